//! The send lock's decisions over a record, on a store's clock that the tests own.

use super::state::{End, From, Settings, State};
use super::*;
use crate::lease::record::Mode;
use crate::lease::rules::Force;

struct World {
    record: Record,
    now: u64,
}

impl World {
    fn new() -> World {
        World { record: Record::default(), now: 1_000_000 }
    }

    fn write(&mut self, next: Record) {
        self.record = next;
        self.record.settle(self.now);
        // As every store does, and every reader.
        let text = self.record.clone().text(1).unwrap();
        assert_eq!(Record::read(&text, self.now).unwrap().state, self.record.state);
    }

    fn with_view<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        look(&View { now: self.now, slack: 0, gone: &[], dead: &|_| false })
    }

    fn verdict(&self, ask: &Ask) -> Verdict {
        self.with_view(|view| lease_rules::acquire(&self.record, view, ask))
    }

    /// `granted`, `waits`, or why not.
    fn ask(&mut self, ask: &Ask) -> &'static str {
        match self.verdict(ask) {
            Verdict::Grant { record, .. } => {
                self.write(record);
                "granted"
            }
            Verdict::Stand { record } => {
                self.write(record);
                "waits"
            }
            Verdict::Busy { .. } => "waits",
            Verdict::Mine => "mine",
            Verdict::Ended { record, refusal: LeaseRefusal::Send(refused) } => {
                self.write(record);
                refused.why
            }
            Verdict::Refuse(LeaseRefusal::Send(refused)) => refused.why,
            other => panic!("{other:?}"),
        }
    }

    fn release(&mut self, nonce: &str, how: How) {
        let next = release(&self.record, &Nonce(nonce.into()), how).unwrap();
        self.write(next);
    }

    fn state(&self) -> &State {
        self.record.state.as_ref().unwrap()
    }
}

fn settings() -> Settings {
    Settings { layers: None, ..Settings::default() }
}

fn by(nonce: &str, first: Settings) -> Ask {
    Ask {
        nonce: Nonce(nonce.into()),
        mode: Mode::Exclusive,
        ttl_ms: 10_000,
        delay_ms: 0,
        session: None,
        who: Who::default(),
        meta: None,
        ticket_ttl_ms: None,
        force: Force::No,
        reason: None,
        send: Some(SendAsk { layer: "executor".into(), message: None, first, waits: false }),
    }
}

fn saying(nonce: &str, message: &str, first: Settings) -> Ask {
    let mut ask = by(nonce, first);
    ask.send.as_mut().unwrap().message = Some(message.into());
    ask
}

fn waiting(nonce: &str, first: Settings) -> Ask {
    let mut ask = by(nonce, first);
    ask.send.as_mut().unwrap().waits = true;
    Ask { ticket_ttl_ms: Some(10_000), ..ask }
}

#[test]
fn one_holds_and_the_cooldown_counts_from_the_write() {
    let mut world = World::new();
    assert_eq!(world.ask(&by("a", settings())), "granted");
    assert_eq!(world.ask(&by("a", settings())), "mine");
    assert_eq!(world.ask(&by("b", settings())), "cooldown");
    world.now += 1_999;
    assert_eq!(world.ask(&by("b", settings())), "cooldown");
    world.now += 1;
    assert_eq!(world.ask(&by("b", settings())), "held");
    world.release("a", How::Released);
    assert_eq!(world.ask(&by("b", settings())), "granted");
    assert_eq!(world.record.token, 2);
    assert_eq!(world.state().counts.acquisitions, 2);
}

#[test]
fn a_record_that_was_read_long_ago_grants_nothing_too_early() {
    let mut world = World::new();
    assert_eq!(world.ask(&by("a", settings())), "granted");
    world.release("a", How::Released);
    let old = world.now;
    world.now += 5_000;
    assert_eq!(world.verdict_at(old, &by("b", settings())), "cooldown");
    assert_eq!(world.ask(&by("b", settings())), "granted");
}

impl World {
    fn verdict_at(&self, now: u64, ask: &Ask) -> &'static str {
        let mut then = World { record: self.record.clone(), now };
        then.ask(ask)
    }
}

#[test]
fn the_first_ones_settings_count_until_they_are_changed() {
    let mut world = World::new();
    let slow = Settings { cooldown_ms: 60_000, layers: Some(vec!["executor".into()]), ..settings() };
    assert_eq!(world.ask(&by("a", slow.clone())), "granted");
    world.release("a", How::Released);
    world.now += 3_000;
    assert_eq!(world.ask(&by("b", settings())), "cooldown", "b brings shorter ones in vain");
    let mut other = by("b", settings());
    other.send.as_mut().unwrap().layer = "stranger".into();
    assert_eq!(world.ask(&other), "unknown_layer");
    let change = serde_json::json!({ "cooldownMs": 0, "layers": null });
    let next = configure(&world.record, &settings(), change.as_object().unwrap()).unwrap();
    world.write(next);
    assert_eq!(world.ask(&other), "granted");
    assert_eq!(world.state().settings.force_release_ms, slow.force_release_ms, "the rest stays");
    let nonsense = serde_json::json!({ "cooldownMs": "soon" });
    assert_eq!(configure(&world.record, &settings(), nonsense.as_object().unwrap()), None);
}

#[test]
fn a_dead_holder_is_over_with_its_ttl_and_so_is_its_time() {
    let mut world = World::new();
    let from_release = Settings { cooldown_from: From::Release, ..settings() };
    assert_eq!(world.ask(&by("a", from_release.clone())), "granted");
    world.now += 10_000;
    assert_eq!(world.ask(&by("b", from_release.clone())), "held");
    world.now += 1;
    // The end is written, though the request is refused: else it would never have been.
    assert_eq!(world.ask(&by("b", from_release.clone())), "cooldown");
    assert_eq!(world.state().counts.forced.get("process_exit"), Some(&1));
    world.now += 2_000;
    assert_eq!(world.ask(&by("b", from_release)), "granted");
}

#[test]
fn a_hold_that_lasts_too_long_is_taken_away_though_it_is_renewed() {
    let mut world = World::new();
    let strict = Settings { force_release_ms: 15_000, ..settings() };
    assert_eq!(world.ask(&by("a", strict.clone())), "granted");
    for _ in 0..2 {
        world.now += 7_400;
        let next = world.with_view(|view| lease_rules::renew(&world.record, view, &Nonce("a".into())));
        world.write(next.unwrap());
        assert_eq!(world.ask(&by("b", strict.clone())), "held");
    }
    world.now += 200;
    assert_eq!(world.ask(&by("b", strict)), "granted");
    assert_eq!(world.record.holds.len(), 1);
    assert_eq!(world.record.stolen.as_ref().unwrap().token, 1);
    assert_eq!(world.state().counts.forced.get("stale_timeout"), Some(&1));
    assert_eq!(settings().most_hold(), nanos(600_000));
}

#[test]
fn a_message_is_sent_once_within_its_window() {
    let mut world = World::new();
    let rules = Settings { cooldown_ms: 0, dedup_window_ms: 60_000, ..settings() };
    assert_eq!(world.ask(&saying("a", "m1", rules.clone())), "granted");
    assert_eq!(world.ask(&saying("b", "m1", rules.clone())), "held");
    world.release("a", How::Released);
    world.now += 59_999;
    assert_eq!(world.ask(&saying("b", "m1", rules.clone())), "duplicate_message");
    assert_eq!(world.ask(&saying("b", "m2", rules.clone())), "granted");
    world.release("b", How::Unsent);
    assert_eq!(world.ask(&saying("c", "m2", rules.clone())), "granted", "it was not sent");
    world.release("c", How::Lost);
    assert_eq!(world.ask(&saying("d", "m2", rules.clone())), "duplicate_message", "nobody knows");
    world.now += 1;
    assert_eq!(world.ask(&saying("d", "m1", rules)), "granted");
}

#[test]
fn what_is_remembered_stays_small() {
    let mut state = State::new(Settings { dedup_window_ms: 1_000_000, ..settings() });
    for n in 0..2_000 {
        state.acquire(n, "executor", Some(&format!("{n:032x}")), 1);
        state.end(End::Released);
        state.settle(1);
    }
    assert_eq!((state.sent.len(), state.history.len()), (state::MOST_SENT, 20));
    assert_eq!(state.sent_before(Some(&format!("{:032x}", 1_999)), 1), Some(nanos(1)));
    assert!(serde_json::to_string(&state).unwrap().len() < 64 * 1024);
}

#[test]
fn those_in_line_come_before_those_who_only_try() {
    let mut world = World::new();
    assert_eq!(world.ask(&by("a", settings())), "granted");
    assert_eq!(world.ask(&waiting("w", settings())), "waits");
    assert_eq!(world.record.queue.len(), 1);
    world.release("a", How::Released);
    assert_eq!(world.ask(&waiting("w", settings())), "waits", "for the cooldown");
    world.now += 2_000;
    assert_eq!(world.ask(&by("b", settings())), "held");
    assert_eq!(world.ask(&waiting("w", settings())), "granted");
}

#[test]
fn a_waiter_looks_again_when_the_cooldown_is_over() {
    let mut world = World::new();
    world.ask(&by("a", settings()));
    world.ask(&waiting("w", settings()));
    world.release("a", How::Released);
    world.now += 500;
    let Verdict::Busy { left } = world.verdict(&waiting("w", settings())) else { panic!() };
    assert_eq!(left, Some(1_500));
}

#[test]
fn a_force_release_ends_the_hold_once() {
    let mut world = World::new();
    assert_eq!(world.with_view(|view| force(&world.record, view, &Who::default(), "x")), None);
    world.ask(&by("a", settings()));
    let next = world.with_view(|view| force(&world.record, view, &Who::default(), "operator"));
    world.write(next.unwrap());
    assert_eq!(world.with_view(|view| force(&world.record, view, &Who::default(), "x")), None);
    assert_eq!(release(&world.record, &Nonce("a".into()), How::Released), None, "it is not there any more");
    assert_eq!(world.state().counts.forced.get("manual"), Some(&1));
    assert_eq!(world.state().history.last().unwrap().action, "force_released_operator");
    world.now += 2_000;
    assert_eq!(world.ask(&by("b", settings())), "granted");
}

#[test]
fn a_clock_that_was_set_back_sends_nothing_too_early() {
    let mut world = World::new();
    let rules = Settings { dedup_window_ms: 60_000, ..settings() };
    world.ask(&saying("a", "m1", rules.clone()));
    world.release("a", How::Released);
    world.now = 1_000;
    let next = configure(&world.record, &rules, &Map::new()).unwrap();
    world.write(next);
    assert_eq!(world.ask(&saying("b", "m1", rules.clone())), "cooldown");
    world.now += 2_000;
    assert_eq!(world.ask(&saying("b", "m1", rules.clone())), "duplicate_message");
    world.now += 58_000;
    assert_eq!(world.ask(&saying("b", "m1", rules)), "granted");
}
