//! One thing at a time: what a request, a renewal and a release do, and in how many requests.

use super::sim_store::{Fate, Server, caps};
use super::world::{Worker, in_time, opening};
use crate::lease::manager::{Request, Strategy};
use crate::lease::record::Record;
use crate::lease::store::Caps;
use crate::time::Nanos;
use std::time::Duration;

fn one(key: &str) -> Request {
    Request::new(vec![key.into()])
}

#[test]
fn an_uncontended_pair_is_two_requests() {
    in_time(async {
        let server = Server::new();
        let worker = Worker::new(&server, "one", 1);
        for round in 1..=3 {
            let granted = worker.acquire(one("a")).await.unwrap();
            assert_eq!(granted.tokens, [round]);
            assert!(granted.cell.is_held((worker.now)()));
            assert!(worker.release(granted.lease).await.released);
            assert_eq!(server.requests.get(), round * 2);
        }
        let told = worker.statistics();
        assert_eq!((told.acquisitions, told.releases, told.held, told.conflicts), (3, 3, 0, 0));
    });
}

#[test]
fn who_waits_gets_it_after_the_release_in_few_requests() {
    in_time(async {
        let server = Server::new();
        let (one_worker, other) = (Worker::new(&server, "one", 1), Worker::new(&server, "two", 2));
        let held = one_worker.acquire(one("a")).await.unwrap();
        let (_, waits) = other.ask(one("a"));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let before = server.requests.get();
        one_worker.release(held.lease).await;
        let granted = waits.await.unwrap().unwrap();
        assert_eq!(granted.tokens, [2]);
        // The place in line has moved the record: the release loses once. Then one write grants.
        assert!(server.requests.get() - before <= 3, "{}", server.requests.get() - before);
        assert!(other.release(granted.lease).await.released);
    });
}

#[test]
fn a_lease_is_renewed_and_outlives_its_ttl() {
    in_time(async {
        let server = Server::new();
        let worker = Worker::new(&server, "one", 1);
        let held = worker.acquire(one("a")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(held.cell.is_held((worker.now)()));
        let told = worker.statistics();
        assert!((170..=210).contains(&told.renewals), "{}", told.renewals);
        let refused = Worker::new(&server, "two", 2)
            .acquire(Request { strategy: Strategy::FailFast, ..one("a") })
            .await
            .unwrap_err();
        assert_eq!(refused.code, "ERR_LOCK_LEASE_HELD");
        assert_eq!(refused.holder.unwrap().worker, "one");
        assert!(worker.release(held.lease).await.released);
    });
}

/// The store counts from when it writes: whoever counted from the answer would believe for longer than it is so.
#[test]
fn a_belief_counts_from_the_request_and_not_from_its_answer() {
    for sessions in [false, true] {
        in_time(async {
            let server = Server::new();
            let slow = || Fate { there_ms: 1, back_ms: 300, ..Fate::default() };
            let caps = Caps { sessions, ..caps() };
            let worker = Worker::over(&server, opening("one"), caps, 1, slow);
            let ttl = Nanos::from_ms(30_000.0);
            let asked = (worker.now)();
            let held = worker.acquire(Request { ttl_ms: Some(30_000), ..one("a") }).await.unwrap();
            assert!(held.cell.deadline() <= asked.plus(ttl), "the grant");
            let asked = (worker.now)();
            worker.renew(held.lease).await.unwrap();
            assert!(held.cell.deadline() <= asked.plus(ttl), "a renewal that was asked for");
            let before = server.requests.get();
            while server.requests.get() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let asked = (worker.now)();
            tokio::time::sleep(Duration::from_millis(400)).await;
            assert!(held.cell.deadline() > asked, "it was renewed");
            assert!(held.cell.deadline() <= asked.plus(ttl), "a renewal in the background");
        });
    }
}

#[test]
fn who_waits_for_long_keeps_its_place() {
    in_time(async {
        let server = Server::new();
        let worker = |name, seed| Worker::new(&server, name, seed);
        let (holder, first, second) = (worker("one", 1), worker("two", 2), worker("three", 3));
        let held = holder.acquire(one("a")).await.unwrap();
        let (_, waits) = first.ask(one("a"));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (_, behind) = second.ask(one("a"));
        // Many times as long as a place lives without a renewal.
        tokio::time::sleep(Duration::from_secs(30)).await;
        let (_, body, _) = server.written.borrow().last().cloned().unwrap();
        let record = Record::read(&body, server.now()).unwrap();
        assert_eq!(record.queue.len(), 2);
        assert!(record.queue.iter().all(|ticket| ticket.term.until > server.now()), "{body}");
        assert!(holder.release(held.lease).await.released);
        let granted = waits.await.unwrap().unwrap();
        assert_eq!(granted.tokens, [2]);
        assert!(first.release(granted.lease).await.released);
        assert_eq!(behind.await.unwrap().unwrap().tokens, [3]);
    });
}

/// What it wants to write with its hold is too much for a place in line, so nobody can do that for it.
#[test]
fn who_must_take_the_key_itself_is_told_that_it_is_free() {
    in_time(async {
        let server = Server::new();
        let (holder, other) = (Worker::new(&server, "one", 1), Worker::new(&server, "two", 2));
        let held = holder.acquire(one("a")).await.unwrap();
        let meta = Some(format!("{:?}", "x".repeat(1_000)));
        let (_, waits) = other.ask(Request { meta, ..one("a") });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let freed = (other.now)();
        assert!(holder.release(held.lease).await.released);
        assert_eq!(waits.await.unwrap().unwrap().tokens, [2]);
        assert!((other.now)().since(freed) <= Nanos::from_ms(100.0), "it did not look by chance");
    });
}

#[test]
fn requests_of_one_process_hand_over_in_one_write() {
    in_time(async {
        let server = Server::new();
        let worker = Worker::new(&server, "one", 1);
        let held = worker.acquire(one("a")).await.unwrap();
        let waits: Vec<_> = (0..5).map(|_| worker.ask(one("a")).1).collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = server.requests.get();
        worker.release(held.lease).await;
        for (place, waits) in waits.into_iter().enumerate() {
            let granted = waits.await.unwrap().unwrap();
            assert_eq!(granted.tokens, [place as u64 + 2]);
            worker.release(granted.lease).await;
        }
        assert_eq!(server.requests.get() - before, 6);
    });
}
