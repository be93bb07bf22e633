//! Waiting where holds name sessions: a session's end moves no record, so who waits has to hear of it in another way.

use super::sim_store::{Fate, Server, caps};
use super::world::{Worker, in_time, opening, quick};
use crate::lease::manager::{Granted, Request};
use crate::lease::store::Caps;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Shorter than the pause after which somebody who waits looks in any case.
const SOON: Duration = Duration::from_secs(2);

fn with_sessions() -> Caps {
    Caps { sessions: true, ..caps() }
}

fn request(ttl_ms: u64) -> Request {
    Request { ttl_ms: Some(ttl_ms), ..Request::new(vec!["a".into()]) }
}

async fn sleep(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Holds, and is not heard of again.
async fn dead_holder(server: &Rc<Server>, ttl_ms: u64) -> (Worker, Granted) {
    let is_dead = Rc::new(Cell::new(false));
    let death = is_dead.clone();
    let fate = move || Fate { is_lost: death.get(), ..quick() };
    let worker = Worker::over(server, opening("dead"), with_sessions(), 1, fate);
    let granted = worker.acquire(request(ttl_ms)).await.unwrap();
    is_dead.set(true);
    (worker, granted)
}

fn waiter(server: &Rc<Server>, seed: u64) -> Worker {
    Worker::over(server, opening("waiter"), with_sessions(), seed, quick)
}

#[test]
fn a_session_that_ended_before_the_watch_is_found() {
    in_time(async {
        let server = Server::new();
        let (_dead, held) = dead_holder(&server, 400).await;
        sleep(1_000).await;
        let waiter = waiter(&server, 2);
        let granted =
            tokio::time::timeout(SOON, waiter.acquire(request(400))).await.expect("at once").unwrap();
        assert!(granted.tokens[0] > held.tokens[0]);
    });
}

#[test]
fn a_session_that_the_store_ends_early_is_a_loss_with_the_next_renewal() {
    in_time(async {
        let server = Server::new();
        let holder = Worker::over(&server, opening("holder"), with_sessions(), 1, quick);
        let held = holder.acquire(request(3_000)).await.unwrap();
        server.end_sessions();
        sleep(1_050).await;
        assert_eq!(holder.losses(), [(held.lease, "session")]);
        assert!(held.cell.is_lost((holder.now)()));
        // And what it asks for next is under a session that lives.
        let next = holder.acquire(request(3_000)).await.unwrap();
        sleep(9_000).await;
        assert!(next.cell.is_held((holder.now)()));
    });
}

#[test]
fn a_renewal_that_is_asked_for_finds_that_its_session_has_ended() {
    in_time(async {
        let server = Server::new();
        let holder = Worker::over(&server, opening("holder"), with_sessions(), 1, quick);
        let held = holder.acquire(request(3_000)).await.unwrap();
        server.end_sessions();
        assert_eq!(holder.renew(held.lease).await.unwrap_err().code, "ERR_LOCK_LEASE_LOST");
        assert_eq!(holder.losses(), [(held.lease, "session")]);
    });
}

#[test]
fn what_a_hint_says_of_sessions_counts() {
    in_time(async {
        let server = Server::new();
        let (_dead, held) = dead_holder(&server, 400).await;
        let waiter = waiter(&server, 2);
        let (_, waits) = waiter.ask(request(60_000));
        sleep(1_000).await;
        server.hint("a");
        let granted = tokio::time::timeout(SOON, waits).await.expect("told").unwrap().unwrap();
        assert!(granted.tokens[0] > held.tokens[0]);
    });
}

/// Where nobody is told of a session's end, and looks are far apart, its end is known beforehand.
#[test]
fn who_waits_looks_when_a_session_should_end() {
    in_time(async {
        let server = Server::new();
        let (_dead, held) = dead_holder(&server, 1_000).await;
        let poll = (Duration::from_secs(60), Duration::from_secs(90));
        let caps = Caps { push: false, queue: false, poll, ..with_sessions() };
        let waiter = Worker::over(&server, opening("waiter"), caps, 2, quick);
        let before = server.requests.get();
        let waits = tokio::time::timeout(SOON, waiter.acquire(request(60_000)));
        let granted = waits.await.expect("at its end").unwrap();
        assert!(granted.tokens[0] > held.tokens[0]);
        let requests = server.requests.get() - before;
        assert!(
            requests <= 20,
            "{requests} with the dead one's: it looks when it is time, and not all the time"
        );
    });
}
