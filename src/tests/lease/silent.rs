//! A store that says nothing: those who do not wait hear so soon, and what may still be on its way is seen to behind
//! their backs. What never left is not looked for.

use super::sim_store::{Fate, Server, caps};
use super::world::{Worker, in_time, opening, quick};
use crate::lease::fault::Fault;
use crate::lease::manager::{Granted, Request, Strategy};
use crate::lease::store::Caps;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// What one request may take in this world is 100 ms; so long is waited for those that stay away.
const SOON_MS: u64 = 150;

fn keys(keys: &[&str]) -> Request {
    Request::new(keys.iter().map(|&key| key.into()).collect())
}

fn at_once(names: &[&str]) -> Request {
    Request { strategy: Strategy::FailFast, ..keys(names) }
}

async fn ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

const NOT_AT_ALL: Fate =
    Fate { is_lost: true, lands_after_ms: Some(100_000_000), ..Fate { there_ms: 1, back_ms: 1, ..NOTHING } };
const NOTHING: Fate = Fate {
    there_ms: 0,
    back_ms: 0,
    is_lost: false,
    lands_after_ms: None,
    again_after_ms: None,
    is_refused: false,
};
const REFUSED: Fate = Fate { is_refused: true, ..NOTHING };

/// A worker whose requests fare as is said last.
fn faring(server: &Rc<Server>, caps: Caps, first: Fate) -> (Worker, Rc<Cell<Fate>>) {
    let fate = Rc::new(Cell::new(first));
    let now = fate.clone();
    (Worker::over(server, opening("one"), caps, 7, move || now.get()), fate)
}

/// A worker whose requests fare so in turn, and then well.
fn in_turn(server: &Rc<Server>, fates: &[Fate]) -> Worker {
    let left = std::cell::RefCell::new(fates.to_vec());
    let next = move || {
        let mut left = left.borrow_mut();
        if left.is_empty() { quick() } else { left.remove(0) }
    };
    Worker::over(server, opening("one"), caps(), 7, next)
}

/// What came of it, and how long that took.
async fn timed(worker: &Worker, request: Request) -> (Result<Granted, Fault>, u64) {
    let began = (worker.now)();
    let done = worker.acquire(request).await;
    (done, (worker.now)().since(began).whole_ms())
}

#[test]
fn who_does_not_wait_hears_of_it_soon() {
    for (sessions, multi) in [(false, true), (false, false), (true, true), (true, false)] {
        in_time(async {
            let server = Server::new();
            let (worker, fate) = faring(&server, Caps { sessions, multi, ..caps() }, NOT_AT_ALL);
            let hears = async |request: Request| {
                let (away, took) = timed(&worker, request).await;
                let away = away.unwrap_err();
                assert_eq!(away.code, "ERR_LOCK_STORE_UNAVAILABLE");
                assert!(took <= SOON_MS, "sessions {sessions}, several in one {multi}: {took} ms");
            };
            hears(at_once(&["a"])).await;
            // Behind what is done about the one before.
            hears(at_once(&["a"])).await;
            hears(at_once(&["b", "c", "d"])).await;
            hears(Request { strategy: Strategy::Force, ..keys(&["e"]) }).await;
            ms(10_000).await;
            fate.set(quick());
            let held = worker.acquire(keys(&["f"])).await.unwrap();
            assert!(worker.release(held.lease).await.released);
            // What was open goes silent.
            fate.set(NOT_AT_ALL);
            hears(at_once(&["f"])).await;
            hears(at_once(&["f", "g"])).await;
        });
    }
}

#[test]
fn many_at_once_hear_of_it_as_soon() {
    for sessions in [false, true] {
        in_time(async {
            let server = Server::new();
            let (worker, _) = faring(&server, Caps { sessions, ..caps() }, NOT_AT_ALL);
            let began = (worker.now)();
            let asked: Vec<_> = (0..8).map(|_| worker.ask(at_once(&["a"])).1).collect();
            for hears in asked {
                assert_eq!(hears.await.unwrap().unwrap_err().code, "ERR_LOCK_STORE_UNAVAILABLE");
            }
            let took = (worker.now)().since(began).whole_ms();
            assert!(took <= SOON_MS, "{took} ms");
        });
    }
}

#[test]
fn who_waits_has_the_patience_of_six_requests_from_the_start() {
    in_time(async {
        let server = Server::new();
        let (worker, _) = faring(&server, caps(), NOT_AT_ALL);
        let (away, took) = timed(&worker, keys(&["a"])).await;
        assert_eq!(away.unwrap_err().code, "ERR_LOCK_STORE_UNAVAILABLE");
        assert!((600..=710).contains(&took), "{took} ms");
    });
}

#[test]
fn a_connection_that_has_died_is_not_a_store_that_is_silent() {
    in_time(async {
        let server = Server::new();
        let worker = in_turn(&server, &[NOT_AT_ALL]);
        let (granted, took) = timed(&worker, at_once(&["a"])).await;
        granted.unwrap();
        assert!(took <= SOON_MS, "{took} ms");
    });
}

#[test]
fn a_store_that_answers_slowly_is_not_silent() {
    for sessions in [false, true] {
        in_time(async {
            let server = Server::new();
            let caps = Caps { multi: false, sessions, ..caps() };
            let slow = Fate { there_ms: 45, back_ms: 45, ..quick() };
            let (worker, _) = faring(&server, caps.clone(), slow);
            let other = Worker::over(&server, opening("two"), caps, 2, quick);
            let held = other.acquire(keys(&["a"])).await.unwrap();
            assert!(other.release(held.lease).await.released);
            // What is there is first seen by a write that loses.
            let (granted, took) = timed(&worker, at_once(&["a"])).await;
            granted.unwrap();
            assert!(took > SOON_MS, "{took} ms");
            let (granted, took) = timed(&worker, at_once(&["b", "c", "d", "e"])).await;
            granted.unwrap();
            assert!(took > SOON_MS * 2, "{took} ms");
        });
    }
}

#[test]
fn a_write_that_lands_after_the_error_is_given_back() {
    for lands_after_ms in [20, 140, 450] {
        in_time(async {
            let server = Server::new();
            let late = Fate { lands_after_ms: Some(lands_after_ms), ..NOT_AT_ALL };
            let (worker, fate) = faring(&server, caps(), late);
            let (away, took) = timed(&worker, at_once(&["a"])).await;
            assert_eq!(away.unwrap_err().code, "ERR_LOCK_STORE_UNAVAILABLE");
            assert!(took <= SOON_MS, "{took} ms");
            fate.set(quick());
            for _ in 0..500 {
                server.land();
                ms(1).await;
            }
            let other = Worker::new(&server, "two", 2);
            let granted = other.acquire(at_once(&["a"])).await.unwrap();
            assert!(other.release(granted.lease).await.released);
        });
    }
}

#[test]
fn what_was_handed_over_while_it_gave_up_is_given_back() {
    in_time(async {
        let server = Server::new();
        let caps = Caps { sessions: true, queue: false, push: false, ..caps() };
        let (worker, fate) = faring(&server, caps, quick());
        let worker = Rc::new(worker);
        // For its sake the session lives.
        let kept = worker.acquire(keys(&["z"])).await.unwrap();
        let held = worker.acquire(keys(&["a"])).await.unwrap();
        let (id, waits) = worker.ask(keys(&["a"]));
        ms(20).await;
        fate.set(Fate { is_lost: true, ..quick() });
        let releasing = tokio::task::spawn_local({
            let worker = worker.clone();
            async move { worker.release(held.lease).await }
        });
        ms(10).await;
        let (_, body, _) = server.written.borrow().last().cloned().unwrap();
        assert!(body.contains("\"token\":2"), "handed over: {body}");
        // The answer never comes; the one who was given it looks, and gives up before it sees anything.
        fate.set(Fate { there_ms: 40, back_ms: 40, ..quick() });
        ms(100).await;
        worker.client.abort(id);
        assert!(waits.await.unwrap().is_err());
        fate.set(quick());
        drop(releasing.await);
        ms(3_000).await;
        let (_, body, _) = server.written.borrow().last().cloned().unwrap();
        assert!(body.contains("\"holds\":[]"), "{body}");
        assert!(worker.release(kept.lease).await.released);
    });
}

#[test]
fn what_never_left_is_not_looked_for() {
    for (sessions, fate) in [(false, REFUSED), (true, REFUSED), (true, NOT_AT_ALL)] {
        in_time(async {
            let server = Server::new();
            let (worker, _) = faring(&server, Caps { sessions, ..caps() }, fate);
            for request in [at_once(&["a"]), Request { timeout_ms: Some(250), ..keys(&["b"]) }] {
                worker.acquire(request).await.unwrap_err();
                ms(120).await;
                let before = server.requests.get();
                ms(5_000).await;
                assert_eq!(server.requests.get(), before, "sessions {sessions}, {fate:?}");
            }
            assert_eq!(worker.client.desk.clearing.get(), 0);
        });
    }
}

#[test]
fn what_has_left_is_looked_for_also_when_the_next_is_refused() {
    in_time(async {
        let server = Server::new();
        let worker = in_turn(&server, &[Fate { is_lost: true, ..quick() }, REFUSED, REFUSED, REFUSED]);
        let away = worker.acquire(Request { timeout_ms: Some(115), ..keys(&["a"]) }).await.unwrap_err();
        assert_eq!(away.code, "ERR_LOCK_STORE_UNAVAILABLE");
        ms(300).await;
        let (_, body, _) = server.written.borrow().last().cloned().unwrap();
        assert!(body.contains("\"holds\":[]"), "{body}");
    });
}

#[test]
fn a_wait_that_ends_says_whether_it_was_for_the_store_or_for_a_holder() {
    in_time(async {
        let server = Server::new();
        let (worker, fate) = faring(&server, caps(), NOT_AT_ALL);
        let short = || Request { timeout_ms: Some(60), ..keys(&["a"]) };
        let silent = worker.acquire(short()).await.unwrap_err();
        assert_eq!((silent.code, silent.key.as_deref()), ("ERR_LOCK_TIMEOUT", Some("a")));
        for part in ["sim://", "\"a\"", "within 60 ms", "the store has not answered", "not known"] {
            assert!(silent.message.contains(part), "{}", silent.message);
        }
        assert_eq!(silent.holder, None);

        ms(2_000).await;
        fate.set(quick());
        let other = Worker::new(&server, "two", 2);
        other.acquire(Request { ttl_ms: Some(60_000), ..keys(&["a"]) }).await.unwrap();
        let held = worker.acquire(short()).await.unwrap_err();
        assert_eq!((held.code, held.holder.unwrap().worker.as_str()), ("ERR_LOCK_TIMEOUT", "two"));
        assert!(held.message.contains("\"two\"") && !held.message.contains("answered"), "{}", held.message);

        fate.set(NOT_AT_ALL);
        let silent = worker.acquire(short()).await.unwrap_err();
        assert!(silent.message.contains("the store has not answered"), "{}", silent.message);
        assert_eq!(silent.holder.map(|holder| holder.worker).as_deref(), Some("two"), "as it was last heard");
    });
}

#[test]
fn a_long_wait_for_a_holder_is_not_one_for_the_store() {
    in_time(async {
        let server = Server::new();
        let (worker, fate) = faring(&server, caps(), quick());
        let other = Worker::new(&server, "two", 2);
        other.acquire(Request { ttl_ms: Some(60_000), ..keys(&["a"]) }).await.unwrap();
        let (_, waits) = worker.ask(Request { timeout_ms: Some(30_000), ..keys(&["a"]) });
        ms(29_990).await;
        // Its place in line is renewed, and that is not answered any more.
        fate.set(NOT_AT_ALL);
        let held = waits.await.unwrap().unwrap_err();
        assert_eq!(held.code, "ERR_LOCK_TIMEOUT");
        assert!(held.message.contains("\"two\"") && !held.message.contains("answered"), "{}", held.message);
    });
}
