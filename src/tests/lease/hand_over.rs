//! The direct hand-over: what a release grants to those in line, what they count from, and what becomes of those who
//! want it no longer.

use super::sim_store::{Fate, Server, caps};
use super::world::{Worker, in_time, opening, quick};
use crate::lease::hand_over::{HandedOver, claim, hand_over};
use crate::lease::manager::Request;
use crate::lease::record::{Claim, Hold, Mode, Nonce, Record, Term, Ticket, VERSION, Who};
use crate::lease::rules::{self, Ask, Force, View};
use crate::lease::store::Caps;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const NOW: u64 = 1_000;
const LIVE: u64 = NOW + 500;

fn term(until: u64) -> Term {
    Term { ttl_ms: 600, until, session: None }
}

fn who(name: &str) -> Who {
    Who { worker: name.into(), ..Who::default() }
}

fn ticket(name: &str, mode: Mode, until: u64) -> Ticket {
    let claim = Some(Box::new(Claim { ttl_ms: 9_000, delay_ms: 7, meta: None }));
    Ticket { nonce: Nonce(name.into()), mode, term: term(until), who: who(name), claim }
}

fn hold(name: &str, token: u64, mode: Mode, until: u64) -> Hold {
    let (nonce, who) = (Nonce(name.into()), who(name));
    Hold { nonce, token, mode, term: term(until), delay_ms: 0, who, meta: None, handed: None }
}

fn record(holds: Vec<Hold>, queue: Vec<Ticket>) -> Record {
    Record { v: VERSION, token: 9, holds, queue, ..Record::default() }
}

fn view(gone: &[String]) -> View<'_> {
    View { now: NOW, slack: 0, gone, dead: &|who| &*who.worker == "dead" }
}

/// Who holds it then, with which token, and who stands in line.
fn handed(record: &Record) -> (Vec<(String, u64)>, Vec<String>) {
    let after = hand_over(record, &view(&[]), 0).map_or_else(|| record.clone(), |done| done.record);
    let holds = after.holds.iter().map(|hold| (hold.nonce.0.to_string(), hold.token)).collect();
    (holds, after.queue.iter().map(|ticket| ticket.nonce.0.to_string()).collect())
}

#[test]
fn who_is_handed_the_key() {
    use Mode::{Exclusive as X, Permit as P, Shared as S};
    type Expected<'a> = (&'a [(&'a str, u64)], &'a [&'a str]);
    let small = Ticket { claim: None, ..ticket("a", X, LIVE) };
    let closed = Hold { delay_ms: 300, ..hold("h", 9, X, NOW - 100) };
    let table: Vec<(&str, Record, Expected<'_>)> = vec![
        ("nobody waits", record(vec![], vec![]), (&[], &[])),
        (
            "the first",
            record(vec![], vec![ticket("a", X, LIVE), ticket("b", X, LIVE)]),
            (&[("a", 10)], &["b"]),
        ),
        (
            "who is over is not",
            record(vec![], vec![ticket("a", X, NOW - 1), ticket("b", X, LIVE)]),
            (&[("b", 10)], &[]),
        ),
        (
            "nor who is dead",
            record(vec![], vec![ticket("dead", X, LIVE), ticket("b", X, LIVE)]),
            (&[("b", 10)], &[]),
        ),
        (
            "who has little time left acts by itself, and nobody goes before it",
            record(vec![], vec![ticket("a", X, NOW + 299), ticket("b", X, LIVE)]),
            (&[], &["a", "b"]),
        ),
        (
            "as does who has made no claim",
            record(vec![], vec![small, ticket("b", X, LIVE)]),
            (&[], &["a", "b"]),
        ),
        (
            "all who share",
            record(vec![], vec![ticket("a", S, LIVE), ticket("b", S, LIVE), ticket("c", X, LIVE)]),
            (&[("a", 10), ("b", 11)], &["c"]),
        ),
        (
            "beside those who hold",
            record(vec![hold("h", 9, P(2), LIVE)], vec![ticket("a", P(2), LIVE), ticket("b", P(2), LIVE)]),
            (&[("h", 9), ("a", 10)], &["b"]),
        ),
        (
            "not with other permits",
            record(vec![hold("h", 9, P(3), LIVE)], vec![ticket("a", P(2), LIVE)]),
            (&[("h", 9)], &["a"]),
        ),
        (
            "it is held",
            record(vec![hold("h", 9, X, LIVE)], vec![ticket("a", X, LIVE)]),
            (&[("h", 9)], &["a"]),
        ),
        ("it stays closed", record(vec![closed], vec![ticket("a", X, LIVE)]), (&[("h", 9)], &["a"])),
        (
            "in place of what has expired",
            record(vec![hold("h", 9, X, NOW - 100)], vec![ticket("a", X, LIVE)]),
            (&[("a", 10)], &[]),
        ),
    ];
    for (name, record, (holds, queue)) in table {
        let holds: Vec<_> = holds.iter().map(|(name, token)| ((*name).to_owned(), *token)).collect();
        let queue: Vec<_> = queue.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(handed(&record), (holds, queue), "{name}");
    }
}

#[test]
fn the_hold_lasts_as_the_place_did_until_its_first_renewal() {
    let before = record(vec![], vec![ticket("a", Mode::Exclusive, LIVE)]);
    let HandedOver { record, alive, gone } = hand_over(&before, &view(&[]), 0).unwrap();
    let hold = &record.holds[0];
    assert_eq!((&hold.term, hold.handed, hold.delay_ms), (&term(LIVE), Some(9_000), 7));
    assert!(alive.is_empty() && gone.is_empty());
    let stayed = rules::stay(&record, &hold.nonce).unwrap();
    assert_eq!((stayed.holds[0].term.ttl_ms, stayed.holds[0].term.until), (600, 0), "as its place would");
    assert_eq!(stayed.holds[0].handed, Some(9_000));
    let renewed = rules::renew(&record, &view(&[]), &hold.nonce).unwrap();
    let hold = &renewed.holds[0];
    assert_eq!((hold.term.ttl_ms, hold.term.until, hold.handed), (9_000, 0, None));
    assert!(
        hand_over(&before, &view(&[]), 201).is_none(),
        "the time since the record was seen has gone, too"
    );
}

#[test]
fn a_session_has_to_live_and_its_hold_is_complete() {
    let mut waits = ticket("a", Mode::Exclusive, 0);
    waits.term.session = Some("s".into());
    let mut held = hold("h", 9, Mode::Exclusive, 0);
    held.term.session = Some("old".into());
    let before = record(vec![held], vec![waits]);
    assert!(hand_over(&before, &view(&[]), 0).is_none());
    let done = hand_over(&before, &view(&["old".into()]), 0).unwrap();
    assert_eq!((done.alive, done.gone), (vec!["s".into()], vec!["old".into()]));
    let hold = &done.record.holds[0];
    assert_eq!((hold.term.ttl_ms, hold.term.session.as_deref(), hold.handed), (9_000, Some("s"), None));
    assert!(hand_over(&before, &view(&["old".into(), "s".into()]), 0).is_none());
}

#[test]
fn what_only_the_request_itself_may_take_makes_no_claim() {
    let ask = Ask {
        nonce: Nonce("a".into()),
        mode: Mode::Exclusive,
        ttl_ms: 600,
        delay_ms: 0,
        session: None,
        who: who("a"),
        meta: Some(Box::new("small".into())),
        ticket_ttl_ms: None,
        force: Force::No,
        reason: None,
        send: None,
    };
    assert_eq!(claim(&ask).unwrap().meta, ask.meta);
    assert!(claim(&Ask { force: Force::Anybody, ..ask.clone() }).is_none());
    assert!(claim(&Ask { meta: Some(Box::new("x".repeat(300).into())), ..ask }).is_none());
}

fn one() -> Request {
    Request::new(vec!["a".into()])
}

async fn ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Its writes may be cut off, and take so long; what is pushed comes in any case.
struct Way {
    is_cut: Cell<bool>,
    there_ms: Cell<u64>,
}

fn on_its_way(server: &Rc<Server>, name: &str, seed: u64, caps: Caps) -> (Worker, Rc<Way>) {
    let way = Rc::new(Way { is_cut: Cell::new(false), there_ms: Cell::new(1) });
    let its = way.clone();
    let fate = move || {
        let lands_after_ms = its.is_cut.get().then_some(100_000_000);
        Fate { is_lost: its.is_cut.get(), lands_after_ms, there_ms: its.there_ms.get(), ..quick() }
    };
    (Worker::over(server, opening(name), caps, seed, fate), way)
}

fn newest(server: &Server) -> Record {
    let written = server.written.borrow();
    Record::read(&written.last().unwrap().1, 0).unwrap()
}

#[test]
fn a_release_is_the_grant_of_the_next_in_one_write() {
    for sessions in [false, true] {
        in_time(async {
            let server = Server::new();
            let caps = Caps { sessions, ..caps() };
            let worker = |name, seed| Worker::over(&server, opening(name), caps.clone(), seed, quick);
            let (holder, next) = (worker("one", 1), worker("two", 2));
            let held = holder.acquire(one()).await.unwrap();
            // Longer than a place in line lives without a renewal.
            let request = Request { meta: Some("{\"job\":1}".into()), ttl_ms: Some(30_000), ..one() };
            let (_, waits) = next.ask(request);
            ms(50).await;
            let before = server.requests.get();
            assert!(holder.release(held.lease).await.released);
            let granted = waits.await.unwrap().unwrap();
            assert_eq!(granted.tokens, [2]);
            // Its place in line has moved the record, and the holder did not know.
            assert!(server.requests.get() - before <= 3, "{}", server.requests.get() - before);
            assert_eq!(newest(&server).holds[0].meta.as_deref(), Some(&serde_json::json!({ "job": 1 })));
            ms(100).await;
            if !sessions {
                let hold = newest(&server).holds[0].clone();
                assert_eq!((hold.term.until, hold.term.ttl_ms, hold.handed), (30_000, 30_000, None));
                assert!(granted.cell.remaining((next.now)()).whole_ms() > 29_800, "it was renewed soon");
            }
            assert!(next.release(granted.lease).await.released);
            assert_eq!((newest(&server).holds.len(), newest(&server).queue.len()), (0, 0));
        });
    }
}

#[test]
fn who_was_handed_the_key_counts_from_its_place_in_line() {
    in_time(async {
        let server = Server::new();
        let (holder, third) = (Worker::new(&server, "one", 1), Worker::new(&server, "three", 3));
        let (next, way) = on_its_way(&server, "two", 2, caps());
        let held = holder.acquire(one()).await.unwrap();
        let (_, waits) = next.ask(one());
        ms(100).await;
        way.is_cut.set(true);
        ms(150).await;
        holder.release(held.lease).await;
        let granted = waits.await.unwrap().unwrap();
        let left = granted.cell.remaining((next.now)()).whole_ms();
        assert!((700..=760).contains(&left), "{left} ms are left of the 1000 that its place was promised");
        // It cannot renew, so the third is next, but not before the second is told.
        let taken = third.acquire(one()).await.unwrap();
        assert_eq!(taken.tokens, [3]);
        assert!(granted.cell.is_lost((next.now)()));
        assert_eq!(next.losses(), [(granted.lease, "expired")]);
    });
}

#[test]
fn who_has_given_up_gives_back_what_it_was_handed() {
    in_time(async {
        let server = Server::new();
        let (holder, third) = (Worker::new(&server, "one", 1), Worker::new(&server, "three", 3));
        let (next, way) = on_its_way(&server, "two", 2, caps());
        let held = holder.acquire(one()).await.unwrap();
        let (id, waits) = next.ask(one());
        ms(50).await;
        let (_, last) = third.ask(one());
        ms(50).await;
        // What takes its place out of the line is still on its way when it is granted the key.
        way.there_ms.set(60);
        next.client.abort(id);
        ms(10).await;
        holder.release(held.lease).await;
        assert_eq!(waits.await.unwrap().unwrap_err().code, "ERR_LOCK_ABORTED");
        let granted = tokio::time::timeout(Duration::from_millis(300), last).await.expect("soon");
        assert_eq!(granted.unwrap().unwrap().tokens, [3], "the second was given to somebody who has gone");
    });
}

#[test]
fn a_process_that_is_gone_costs_its_place_and_no_more() {
    in_time(async {
        let server = Server::new();
        let (holder, third) = (Worker::new(&server, "one", 1), Worker::new(&server, "three", 3));
        let (next, _) = on_its_way(&server, "two", 2, caps());
        let held = holder.acquire(one()).await.unwrap();
        let waits = next.ask(one());
        ms(50).await;
        let (_, last) = third.ask(one());
        ms(50).await;
        let gone = tokio::time::Instant::now();
        next.client.desk.close().await;
        drop((waits, next));
        holder.release(held.lease).await;
        last.await.unwrap().unwrap();
        assert!(gone.elapsed() < Duration::from_millis(1_100), "{:?}", gone.elapsed());
    });
}
