//! A server that ends and begins anew, with all of its records or with older ones, and raises their base: tokens grow
//! over it, and a hold that outlives it has one token for everybody.

use super::sim_store::{Server, caps};
use super::world::{Worker, in_time, opening, quick};
use crate::lease::manager::shown::status;
use crate::lease::manager::{Granted, Request, Status, Strategy};
use crate::lease::record::Mode;
use crate::lease::store::Caps;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

fn one() -> Request {
    Request::new(vec!["a".into()])
}

fn steal(token: u64) -> Request {
    Request { strategy: Strategy::Steal { token }, ..one() }
}

async fn ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// The key as that worker sees it.
async fn seen(worker: &Worker) -> Status {
    let desk = &worker.client.desk;
    status(desk, &desk.look(&desk.line("a")).await.unwrap())
}

fn world() -> (Rc<Server>, [Worker; 3]) {
    let server = Server::new();
    server.base.set(1_000);
    let workers = [("one", 1), ("two", 2), ("three", 3)];
    let workers = workers.map(|(name, seed)| Worker::new(&server, name, seed));
    (server, workers)
}

fn restart(server: &Server, base: u64) {
    server.restart_with(server.saved(), base);
}

#[test]
fn what_outlives_a_restart_has_one_token_for_everybody() {
    in_time(async {
        let (server, [holder, other, third]) = world();
        let held = holder.acquire(one()).await.unwrap();
        assert_eq!(held.tokens, [1_001]);
        for base in [5_000, 7_000] {
            restart(&server, base);
            // A later write of the same run of the server is no other than the first.
            for _ in 0..2 {
                holder.renew(held.lease).await.unwrap();
                for worker in [&holder, &other, &third] {
                    let status = seen(worker).await;
                    assert_eq!((status.token, status.holds[0].token), (1_001, 1_001));
                }
            }
        }
        assert_eq!(other.acquire(steal(7_001)).await.unwrap_err().code, "ERR_LOCK_TOKEN_MOVED");
        let taken = other.acquire(steal(1_001)).await.unwrap();
        assert_eq!(taken.tokens, [7_002]);
        let status = seen(&third).await;
        assert_eq!((status.stolen.unwrap().token, status.holds[0].token), (1_001, 7_002));
        assert!(holder.renew(held.lease).await.is_err());
        assert_eq!(holder.losses(), [(held.lease, "stolen")]);
        let by = holder.heard.lost.lock()[0].1.by.clone().unwrap();
        assert_eq!((by.worker.as_str(), by.token), ("two", 7_002));
        assert!(other.release(taken.lease).await.released);
        assert_eq!(seen(&third).await.token, 7_002);
        assert_eq!(third.acquire(one()).await.unwrap().tokens, [7_003]);
    });
}

#[test]
fn the_first_write_after_a_restart_may_be_the_theft() {
    in_time(async {
        let (server, [holder, other, _]) = world();
        let held = holder.acquire(one()).await.unwrap();
        restart(&server, 5_000);
        assert_eq!(other.acquire(steal(1_001)).await.unwrap().tokens, [5_002]);
        assert!(holder.renew(held.lease).await.is_err());
        assert_eq!(holder.losses(), [(held.lease, "stolen")]);
    });
}

#[test]
fn those_who_hold_together_keep_theirs_and_those_who_come_get_larger_ones() {
    in_time(async {
        let (server, [first, second, third]) = world();
        let shared = || Request { mode: Mode::Shared, ..one() };
        let held = first.acquire(shared()).await.unwrap();
        restart(&server, 5_000);
        let later = second.acquire(shared()).await.unwrap();
        let waits = third.ask(one()).1;
        ms(20).await;
        restart(&server, 7_000);
        ms(3_000).await;
        let tokens = |status: Status| status.holds.iter().map(|hold| hold.token).collect::<Vec<_>>();
        assert_eq!((held.tokens[0], later.tokens[0]), (1_001, 5_002));
        assert_eq!(tokens(seen(&third).await), [1_001, 5_002], "both were renewed several times");
        assert!(first.release(held.lease).await.released);
        assert!(second.release(later.lease).await.released);
        let handed: Granted = waits.await.unwrap().unwrap();
        assert_eq!((handed.tokens[0], tokens(seen(&first).await)), (7_003, vec![7_003]));
    });
}

#[test]
fn whoever_finds_its_hold_only_later_has_the_token_that_others_see() {
    in_time(async {
        let (server, [_, other, _]) = world();
        let is_lost = Rc::new(Cell::new(false));
        let lost = is_lost.clone();
        let fate = move || super::sim_store::Fate { is_lost: lost.get(), ..quick() };
        let holder = Worker::over(&server, opening("one"), Caps { push: false, ..caps() }, 9, fate);
        is_lost.set(true);
        let waits = holder.ask(one()).1;
        ms(20).await;
        assert_eq!(seen(&other).await.holds[0].token, 1_001, "its write has landed");
        restart(&server, 5_000);
        let stands = other.ask(one());
        ms(30).await;
        assert_eq!(seen(&other).await.waiters, 1, "somebody has written with the new base");
        is_lost.set(false);
        assert_eq!(waits.await.unwrap().unwrap().tokens, [1_001]);
        assert_eq!(seen(&other).await.holds[0].token, 1_001);
        drop(stands);
    });
}

/// The server comes back with a record from before the last grants.
#[test]
fn what_was_forgotten_is_gone_and_never_granted_again() {
    in_time(async {
        let (server, [first, second, third]) = world();
        let held = first.acquire(one()).await.unwrap();
        let saved = server.saved();
        assert!(first.release(held.lease).await.released);
        let later = second.acquire(one()).await.unwrap();
        assert_eq!(later.tokens, [1_002]);
        server.restart_with(saved, 5_000);
        assert_eq!(seen(&third).await.holds[0].token, 1_001, "as it was saved");
        let taken = third.acquire(Request { strategy: Strategy::Force, ..one() }).await.unwrap();
        assert_eq!(taken.tokens, [5_002]);
        assert!(second.renew(later.lease).await.is_err());
        assert_eq!(second.losses(), [(later.lease, "gone")]);
        assert!(third.release(taken.lease).await.released);
        assert_eq!(first.acquire(one()).await.unwrap().tokens, [5_003]);
    });
}

/// The server comes back without the record.
#[test]
fn what_was_forgotten_altogether_is_gone() {
    in_time(async {
        let (server, [first, second, _]) = world();
        let saved = server.saved();
        let held = first.acquire(one()).await.unwrap();
        assert_eq!(held.tokens, [1_001]);
        server.restart_with(saved, 5_000);
        let next = second.acquire(one()).await.unwrap();
        assert_eq!(next.tokens, [5_001]);
        assert!(first.renew(held.lease).await.is_err());
        assert_eq!(first.losses(), [(held.lease, "gone")]);
    });
}
