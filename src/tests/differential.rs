//! The send lock against a model of it that is a page of plain code, step by step on random programs:
//! same answers, same deliveries in the same order, same counts.

use crate::local::departures::RowId;
use crate::name::ShortText;
use crate::send::config::{Change, LayersChange};
use crate::send::dedup::MessageKey;
use crate::send::lock::{Caller, Done, Outcome, SendLock, Told, Which};
use crate::send::rules::{CooldownFrom, OnTimeout, Refusal};
use crate::time::Nanos;
use proptest::prelude::*;
use std::collections::HashMap;

const NAMES: [&str; 3] = ["alpha", "beta", "stranger"];
const COOLDOWN: u64 = 10;
const TIMEOUT: u64 = 30;
const FORCE: u64 = 50;
const WINDOW: u64 = 40;

#[derive(Clone, Copy, Debug)]
enum Op {
    Try { who: u64, message: Option<u8> },
    Request { who: u64, patience: Option<u64> },
    Release { who: u64, token: Option<u64>, sent: bool },
    Cancel { nth: usize },
    Force,
    Tick,
    Depart { who: u64 },
    SkipCooldown,
}

/// The model. Waiters are (id, who, deadline).
#[derive(Default)]
struct Plain {
    from_release: bool,
    releases_on_timeout: bool,
    hold: Option<(u64, u64, u64, bool, Option<u8>)>,
    token: u64,
    acquired_at: Option<u64>,
    ended_at: Option<u64>,
    sent: HashMap<u8, u64>,
    line: Vec<(usize, u64, u64)>,
    told: Vec<String>,
    counts: [u64; 6],
}

impl Plain {
    fn end(&mut self, count: usize, now: u64) {
        let Some((token, ..)) = self.hold.take() else { return };
        self.ended_at = Some(now);
        self.counts[count] += 1;
        if count == 2 || count == 3 {
            self.told.push(format!("lost {token}"));
        }
    }

    fn clock(&mut self, now: u64) {
        let Some((_, _, since, overdue, _)) = &mut self.hold else { return };
        let age = now - *since;
        if age >= FORCE || (age >= TIMEOUT && self.releases_on_timeout) {
            self.end(3, now);
        } else if age >= TIMEOUT && !*overdue {
            *overdue = true;
            self.counts[5] += 1;
        }
    }

    fn cooling(&self, now: u64) -> bool {
        let from = if self.from_release { self.ended_at } else { self.acquired_at };
        from.is_some_and(|from| now < from + COOLDOWN)
    }

    fn attempt(&mut self, who: u64, message: Option<u8>, now: u64) -> String {
        self.clock(now);
        let sent = message.and_then(|message| self.sent.get(&message));
        let refusal = match () {
            () if self.cooling(now) => "cooldown",
            () if self.hold.is_some() => "held",
            () if sent.is_some_and(|at| now < at + WINDOW) => "duplicate",
            () => {
                self.token += 1;
                self.hold = Some((self.token, who, now, false, message));
                self.acquired_at = Some(now);
                message.map(|message| self.sent.insert(message, now));
                self.counts[0] += 1;
                return format!("granted {}", self.token);
            }
        };
        self.counts[4] += 1;
        refusal.into()
    }

    fn settle(&mut self, now: u64) {
        self.clock(now);
        while self.hold.is_none() && !self.line.is_empty() && !self.cooling(now) {
            let (id, who, _) = self.line.remove(0);
            let answer = self.attempt(who, None, now);
            self.told.push(format!("{id} {answer}"));
        }
    }

    fn step(&mut self, op: Op, id: usize, tickets: &[usize], now: u64) -> String {
        match op {
            Op::Try { who: 2, .. } | Op::Request { who: 2, .. } => return "unknown".into(),
            Op::Try { who, message } => {
                if !self.line.is_empty() {
                    self.settle(now);
                }
                return self.attempt(who, message, now);
            }
            Op::Request { who, patience } => {
                self.settle(now);
                if self.hold.is_none() && self.line.is_empty() && !self.cooling(now) {
                    return self.attempt(who, None, now);
                }
                self.line.push((id, who, patience.map_or(u64::MAX, |patience| now + patience)));
                return "waiting".into();
            }
            Op::Release { who, token, sent } => {
                let Some((held, holder, _, _, message)) = self.hold else { return "false".into() };
                if holder != who || token.is_some_and(|token| token != held) {
                    return "false".into();
                }
                self.end(1, now);
                message.filter(|_| !sent).map(|message| self.sent.remove(&message));
                if !self.line.is_empty() {
                    self.settle(now);
                }
            }
            Op::Cancel { nth } => {
                let Some(id) = tickets.get(nth) else { return "false".into() };
                let Some(place) = self.line.iter().position(|waiter| waiter.0 == *id) else {
                    return "false".into();
                };
                self.line.remove(place);
                self.settle(now);
            }
            Op::Force => {
                let held = self.hold.is_some();
                self.end(2, now);
                self.settle(now);
                return held.to_string();
            }
            Op::Tick => {
                let before = self.hold.map(|hold| hold.0);
                self.settle(now);
                let late: Vec<_> =
                    (1..).zip(&self.line).filter(|(_, w)| w.2 <= now).map(|(n, w)| (n, w.0)).collect();
                self.told.extend(late.iter().map(|(place, id)| format!("{id} timeout at {place}")));
                self.line.retain(|waiter| waiter.2 > now);
                return (before.is_some() && self.hold.map(|hold| hold.0) != before).to_string();
            }
            Op::Depart { who } => {
                self.line.retain(|waiter| waiter.1 != who);
                let held = self.hold.is_some_and(|hold| hold.1 == who);
                if held {
                    self.hold = None;
                    self.ended_at = Some(now);
                }
                self.settle(now);
                return held.to_string();
            }
            Op::SkipCooldown => {
                (self.acquired_at, self.ended_at) = (None, None);
                self.settle(now);
                return "done".into();
            }
        }
        "true".into()
    }
}

/// The real lock, answering in the model's words.
struct Real {
    lock: SendLock,
    ids: HashMap<crate::local::queue::Ticket, usize>,
    tickets: Vec<(usize, crate::local::queue::Ticket)>,
    told: Vec<String>,
}

fn refusal(refusal: Refusal) -> String {
    let word = match refusal {
        Refusal::UnknownLayer => "unknown",
        Refusal::Cooldown { .. } => "cooldown",
        Refusal::Held => "held",
        Refusal::DuplicateMessage { .. } => "duplicate",
    };
    word.into()
}

impl Real {
    fn new(from_release: bool, releases_on_timeout: bool) -> Self {
        let lock = SendLock::independent();
        let change = Change {
            cooldown: Some(Nanos(COOLDOWN)),
            timeout: Some(Nanos(TIMEOUT)),
            force_after: Some(Nanos(FORCE)),
            dedup_window: Some(Nanos(WINDOW)),
            cooldown_from: Some(if from_release { CooldownFrom::Release } else { CooldownFrom::Acquire }),
            on_timeout: Some(if releases_on_timeout { OnTimeout::Release } else { OnTimeout::Report }),
            layers: Some(LayersChange::Only(NAMES[..2].iter().map(|name| ShortText::cut(name)).collect())),
            ..Change::default()
        };
        lock.configure(&change, Nanos(1));
        Self { lock, ids: HashMap::new(), tickets: Vec::new(), told: Vec::new() }
    }

    fn tell<T>(&mut self, done: Done<T>) -> T {
        for delivery in &done.tell {
            self.told.push(match delivery.what {
                Told::Granted { ticket, token, .. } => format!("{} granted {token}", self.ids[&ticket]),
                Told::Refused { ticket, refused } => {
                    format!("{} {}", self.ids[&ticket], refusal(refused.refusal))
                }
                Told::TimedOut { ticket, position, .. } => {
                    format!("{} timeout at {position}", self.ids[&ticket])
                }
                Told::Lost { token } => format!("lost {token}"),
            });
        }
        done.answer
    }

    fn step(&mut self, op: Op, id: usize, now: Nanos) -> String {
        let caller = |who| {
            let row = RowId::here(who as u32, 1);
            (Caller { row, thread_id: who, mailbox: who }, ShortText::cut(NAMES[who as usize]))
        };
        match op {
            Op::Try { who, message } => {
                let (caller, layer) = caller(who);
                let message = message.map(|message| MessageKey::of(&[message]));
                let done = self.lock.try_acquire(caller, Some(&layer), message, now);
                match self.tell(done) {
                    Ok(token) => format!("granted {token}"),
                    Err(refused) => refusal(refused.refusal),
                }
            }
            Op::Request { who, patience } => {
                let (caller, layer) = caller(who);
                let deadline = patience.map_or(Nanos::FOREVER, |patience| now.plus(Nanos(patience)));
                let done = self.lock.request(caller, Some(&layer), None, deadline, now);
                match self.tell(done) {
                    Outcome::Granted(token) => format!("granted {token}"),
                    Outcome::Waiting(ticket) => {
                        assert!(self.ids.insert(ticket, id).is_none(), "a ticket is given once");
                        self.tickets.push((id, ticket));
                        "waiting".into()
                    }
                    Outcome::Refused(refused) => refusal(refused.refusal),
                    Outcome::QueueFull => "full".into(),
                }
            }
            Op::Release { who, token, sent } => {
                let (caller, layer) = caller(who);
                let done = self.lock.release(caller, Which::Layer(&layer, token), sent, now);
                self.tell(done).to_string()
            }
            Op::Cancel { nth } => {
                let Some((_, ticket)) = self.tickets.get(nth) else { return "false".into() };
                let done = self.lock.cancel(*ticket, now);
                self.tell(done).to_string()
            }
            Op::Force => {
                let done = self.lock.force_release(ShortText::cut("test"), now);
                self.tell(done).to_string()
            }
            Op::Tick => {
                let done = self.lock.tick(now);
                self.tell(done).to_string()
            }
            Op::Depart { who } => {
                let done = self.lock.depart(caller(who).0.row, now);
                self.tell(done).to_string()
            }
            Op::SkipCooldown => {
                let done = self.lock.set_last_acquired(Nanos::NEVER, now);
                self.tell(done);
                "done".into()
            }
        }
    }

    fn counts(&self) -> [u64; 6] {
        let count = &self.lock.page().counters;
        let blocked = [&count.blocked_cooldown, &count.blocked_held, &count.blocked_duplicate_message];
        [
            count.acquisitions.get(),
            count.releases.get(),
            count.forced_manual.get(),
            count.forced_timeout.get() + count.forced_stale_timeout.get(),
            blocked.into_iter().map(|field| field.get()).sum(),
            count.overdue.get(),
        ]
    }
}

fn op() -> impl Strategy<Value = Op> {
    let who = 0..3u64;
    let holder = 0..2u64;
    prop_oneof![
        4 => (who.clone(), proptest::option::of(0..3u8)).prop_map(|(who, message)| Op::Try { who, message }),
        4 => (who, proptest::option::of(0..30u64)).prop_map(|(who, patience)| Op::Request { who, patience }),
        4 => (holder.clone(), proptest::option::of(1..12u64), any::<bool>())
            .prop_map(|(who, token, sent)| Op::Release { who, token, sent }),
        1 => (0..8usize).prop_map(|nth| Op::Cancel { nth }),
        1 => Just(Op::Force),
        2 => Just(Op::Tick),
        1 => holder.prop_map(|who| Op::Depart { who }),
        1 => Just(Op::SkipCooldown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn the_send_lock_does_what_the_plain_model_does(
        from_release in any::<bool>(),
        releases_on_timeout in any::<bool>(),
        program in proptest::collection::vec((op(), prop_oneof![Just(0u64), 1..15u64, 20..60u64]), 1..60),
    ) {
        let mut model = Plain { from_release, releases_on_timeout, ..Plain::default() };
        let mut real = Real::new(from_release, releases_on_timeout);
        let mut now = 1_000;
        for (id, (op, pause)) in program.into_iter().enumerate() {
            now += pause;
            let tickets: Vec<usize> = real.tickets.iter().map(|(id, _)| *id).collect();
            let expected = model.step(op, id, &tickets, now);
            prop_assert_eq!(real.step(op, id, Nanos(now)), expected, "step {}: {:?} at {}", id, op, now);
            prop_assert_eq!(&real.told, &model.told);
            prop_assert_eq!(real.counts(), model.counts);
            prop_assert_eq!(real.lock.state().is_held(), model.hold.is_some());
            prop_assert_eq!(real.lock.state().token(), model.token);
        }
    }
}
