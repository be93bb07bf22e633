//! How leases end that nobody has released, and who hears of it.

use super::sim_store::{Fate, Server, caps};
use super::world::{Worker, in_time, opening, quick};
use crate::lease::manager::{Opening, Request, Strategy};
use crate::lease::record::Mode;
use crate::lease::store::Caps;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

fn one(key: &str) -> Request {
    Request::new(vec![key.into()])
}

async fn ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// A worker whose way to the server can be cut.
fn cuttable(server: &Rc<Server>, opening: Opening, caps: Caps) -> (Worker, Rc<Cell<bool>>) {
    let is_cut = Rc::new(Cell::new(false));
    let cut = is_cut.clone();
    let fate = move || match cut.get() {
        true => Fate { is_lost: true, lands_after_ms: Some(100_000_000), ..quick() },
        false => quick(),
    };
    (Worker::over(server, opening, caps, 7, fate), is_cut)
}

#[test]
fn who_cannot_renew_is_warned_and_told_at_the_deadline() {
    for sessions in [false, true] {
        in_time(async {
            let server = Server::new();
            let (worker, cut) = cuttable(&server, opening("one"), Caps { sessions, ..caps() });
            let held = worker.acquire(one("a")).await.unwrap();
            cut.set(true);
            while !held.cell.is_lost((worker.now)()) {
                assert!(worker.losses().is_empty() || held.cell.is_over());
                ms(1).await;
            }
            ms(1).await;
            assert_eq!(worker.losses(), [(held.lease, "expired")]);
            let left = worker.heard.risks.lock().first().copied().unwrap().1;
            assert!((300..700).contains(&left), "{left}");
            let before = server.requests.get();
            assert!(!worker.release(held.lease).await.released);
            assert_eq!(server.requests.get(), before, "nothing is sent for what is lost");
            let other = Worker::over(&server, opening("two"), Caps { sessions, ..caps() }, 8, quick);
            assert_eq!(other.acquire(one("a")).await.unwrap().tokens, [2]);
            assert!(other.statistics().stale_claimed == 1);
        });
    }
}

#[test]
fn what_was_lost_while_its_process_was_stopped_stays_lost() {
    for sessions in [false, true] {
        in_time(async {
            let server = Server::new();
            let back_ms = Rc::new(Cell::new(1));
            let its = back_ms.clone();
            let fate = move || Fate { there_ms: 1, back_ms: its.get(), ..Fate::default() };
            let caps = Caps { sessions, ..caps() };
            let worker = Worker::over(&server, opening("one"), caps, 1, fate);
            let held = worker.acquire(one("a")).await.unwrap();
            // Its renewal leaves after a third of the ttl, and is answered just before the deadline.
            back_ms.set(600);
            ms(900).await;
            let deadline = held.cell.deadline();
            tokio::time::advance(Duration::from_millis(200)).await;
            assert!(deadline <= (worker.now)(), "whoever looked knew that it was lost");
            ms(10).await;
            assert!(held.cell.is_lost((worker.now)()), "and so it is");
            assert_eq!(worker.losses().len(), 1, "{:?}", worker.losses());
        });
    }
}

#[test]
fn who_is_robbed_hears_of_it_and_by_whom() {
    for sessions in [false, true] {
        in_time(async {
            let server = Server::new();
            let caps = Caps { sessions, ..caps() };
            let one_worker = Worker::over(&server, opening("one"), caps.clone(), 1, quick);
            let other = Worker::over(&server, opening("two"), caps, 2, quick);
            let held = one_worker.acquire(one("a")).await.unwrap();
            let wrong = other.acquire(Request { strategy: Strategy::Steal { token: 9 }, ..one("a") }).await;
            assert_eq!(wrong.unwrap_err().code, "ERR_LOCK_TOKEN_MOVED");
            let steal =
                Request { strategy: Strategy::Steal { token: 1 }, reason: Some("why".into()), ..one("a") };
            assert_eq!(other.acquire(steal).await.unwrap().tokens, [2]);
            assert_eq!(other.statistics().stolen, 1);
            assert!(one_worker.renew(held.lease).await.is_err());
            ms(400).await;
            let lost = one_worker.heard.lost.lock();
            assert_eq!(lost.len(), 1);
            assert_eq!((lost[0].1.cause, lost[0].1.by.as_ref().unwrap().worker.as_str()), ("stolen", "two"));
        });
    }
}

#[test]
fn no_lease_is_held_for_longer_than_max_hold() {
    in_time(async {
        let server = Server::new();
        let opening = Opening { max_hold_ms: Some(2_500), ..opening("one") };
        let worker = Worker::over(&server, opening, caps(), 1, quick);
        let held = worker.acquire(one("a")).await.unwrap();
        ms(2_490).await;
        assert!(held.cell.is_held((worker.now)()));
        ms(15).await;
        assert_eq!(worker.losses(), [(held.lease, "maxHold")]);
        // It need not be waited for.
        let other = Worker::new(&server, "two", 2);
        assert!(other.acquire(one("a")).await.unwrap().waited_ms < 100.0);
    });
}

#[test]
fn a_silent_event_loop_loses_its_lease_where_that_is_asked_for() {
    in_time(async {
        let server = Server::new();
        let opening = Opening { require_loop_alive_ms: Some(500), ..opening("one") };
        let worker = Worker::over(&server, opening, caps(), 1, quick);
        let held = worker.acquire(one("a")).await.unwrap();
        for _ in 0..40 {
            ms(100).await;
            worker.client.shared.beats((worker.now)());
        }
        assert!(worker.losses().is_empty());
        ms(2_000).await;
        assert_eq!(worker.losses(), [(held.lease, "loop")]);
    });
}

#[test]
fn an_expiry_keeps_the_key_closed_for_the_delay() {
    in_time(async {
        let server = Server::new();
        let (worker, cut) = cuttable(&server, opening("one"), caps());
        worker.acquire(Request { delay_ms: 3_000, ..one("a") }).await.unwrap();
        cut.set(true);
        let other = Worker::new(&server, "two", 2);
        let granted = other.acquire(one("a")).await.unwrap();
        assert!((3_900.0..4_400.0).contains(&granted.waited_ms), "{}", granted.waited_ms);
    });
}

#[test]
fn max_hold_and_a_theft_keep_the_key_closed_for_the_delay() {
    in_time(async {
        let server = Server::new();
        let limited = Opening { max_hold_ms: Some(1_500), ..opening("one") };
        let worker = Worker::over(&server, limited, caps(), 1, quick);
        let other = Worker::new(&server, "two", 2);
        let two = Request { delay_ms: 3_000, ..Request::new(vec!["a".into(), "b".into()]) };
        let held = worker.acquire(two).await.unwrap();
        let theft = Request { strategy: Strategy::Steal { token: 1 }, ..one("a") };
        other.acquire(theft).await.unwrap();
        worker.renew(held.lease).await.unwrap_err();
        assert!(other.acquire(one("b")).await.unwrap().waited_ms >= 3_000.0, "nobody has released it");

        let held = worker.acquire(Request { delay_ms: 3_000, ..one("c") }).await.unwrap();
        ms(1_510).await;
        assert_eq!(worker.losses().last(), Some(&(held.lease, "maxHold")));
        assert!(other.acquire(one("c")).await.unwrap().waited_ms >= 3_000.0, "nobody has released it");
    });
}

#[test]
fn who_gives_up_leaves_nothing_behind() {
    in_time(async {
        let server = Server::new();
        let (holder, other) = (Worker::new(&server, "one", 1), Worker::new(&server, "two", 2));
        let held = holder.acquire(one("a")).await.unwrap();
        let timeout = other.acquire(Request { timeout_ms: Some(50), ..one("a") }).await.unwrap_err();
        assert_eq!((timeout.code, timeout.holder.unwrap().worker.as_str()), ("ERR_LOCK_TIMEOUT", "one"));
        let (id, waits) = other.ask(one("a"));
        ms(20).await;
        other.client.abort(id);
        assert_eq!(waits.await.unwrap().unwrap_err().code, "ERR_LOCK_ABORTED");
        let (_, waits) = other.ask(one("a"));
        ms(20).await;
        other.client.close(true).await;
        assert_eq!(waits.await.unwrap().unwrap_err().code, "ERR_LOCK_LEASE_CLOSED");
        let (_, body, _) = server.written.borrow().last().cloned().unwrap();
        assert!(!body.contains("queue"), "{body}");
        assert!(holder.release(held.lease).await.released);
    });
}

#[test]
fn a_write_that_may_still_land_is_burned() {
    in_time(async {
        let server = Server::new();
        let is_first = Rc::new(Cell::new(true));
        let fate = move || match is_first.replace(false) {
            true => Fate { is_lost: true, lands_after_ms: Some(300), ..quick() },
            false => quick(),
        };
        let worker = Worker::over(&server, opening("one"), caps(), 1, fate);
        let given_up = worker.acquire(Request { timeout_ms: Some(50), ..one("a") }).await.unwrap_err();
        assert_eq!(given_up.code, "ERR_LOCK_TIMEOUT");
        ms(350).await;
        server.land();
        let other = Worker::new(&server, "two", 2);
        assert!(other.acquire(one("a")).await.unwrap().waited_ms < 100.0, "nobody holds it");
    });
}

#[test]
fn several_keys_are_one_write_where_the_store_can() {
    for multi in [true, false] {
        in_time(async {
            let server = Server::new();
            let caps = Caps { multi, ..caps() };
            let worker = Worker::over(&server, opening("one"), caps.clone(), 1, quick);
            let keys = || Request::new(vec!["b".into(), "a".into(), "c".into()]);
            let held = worker.acquire(keys()).await.unwrap();
            assert_eq!(server.requests.get(), if multi { 1 } else { 3 });
            let other = Worker::over(&server, opening("two"), caps, 2, quick);
            let refused =
                other.acquire(Request { strategy: Strategy::FailFast, ..keys() }).await.unwrap_err();
            assert_eq!(refused.code, "ERR_LOCK_LEASE_HELD");
            let (_, waits) = other.ask(keys());
            ms(5_000).await;
            assert!(worker.release(held.lease).await.released);
            let granted = waits.await.unwrap().unwrap();
            assert_eq!(granted.tokens.len(), 3);
            ms(5_000).await;
            assert!(granted.cell.is_held((other.now)()));
            assert!(other.release(granted.lease).await.released);
        });
    }
}

#[test]
fn what_could_be_had_of_several_keys_is_given_back() {
    for (multi, sessions) in [(true, false), (false, false), (false, true)] {
        in_time(async {
            let server = Server::new();
            let caps = Caps { multi, sessions, ..caps() };
            let worker = |name, seed| Worker::over(&server, opening(name), caps.clone(), seed, quick);
            let (holder, other, third) = (worker("one", 1), worker("two", 2), worker("three", 3));
            let held = holder.acquire(one("c")).await.unwrap();
            let long = || Request { ttl_ms: Some(300_000), ..Request::new(vec!["c".into(), "a".into()]) };
            let late = other.acquire(Request { timeout_ms: Some(200), ..long() }).await.unwrap_err();
            assert_eq!(late.code, "ERR_LOCK_TIMEOUT");
            let held_by = other.acquire(Request { strategy: Strategy::FailFast, ..long() }).await;
            assert_eq!(held_by.unwrap_err().code, "ERR_LOCK_LEASE_HELD");
            ms(100).await;
            let free = third.acquire(Request { strategy: Strategy::FailFast, ..one("a") }).await;
            assert!(third.release(free.unwrap().lease).await.released);
            assert!(holder.release(held.lease).await.released);
        });
    }
}

#[test]
fn so_many_hold_as_there_are_permits() {
    in_time(async {
        let server = Server::new();
        let worker = Worker::new(&server, "one", 1);
        let permit = || Request { mode: Mode::Permit(2), ..one("a") };
        let first = worker.acquire(permit()).await.unwrap();
        let second = worker.acquire(permit()).await.unwrap();
        assert_eq!((first.tokens[0], second.tokens[0]), (1, 2));
        let full = worker.acquire(Request { strategy: Strategy::FailFast, ..permit() }).await;
        assert_eq!(full.unwrap_err().code, "ERR_LOCK_LEASE_HELD");
        let wrong = worker.acquire(Request { mode: Mode::Permit(3), ..one("a") }).await;
        assert_eq!(wrong.unwrap_err().code, "ERR_LOCK_INVALID_ARGUMENT");
        let (_, waits) = worker.ask(permit());
        ms(3_000).await;
        worker.release(first.lease).await;
        assert_eq!(waits.await.unwrap().unwrap().tokens, [3]);
    });
}

#[test]
fn a_store_that_is_away_is_told_of_within_the_callers_time() {
    in_time(async {
        let server = Server::new();
        let (worker, cut) = cuttable(&server, opening("one"), caps());
        cut.set(true);
        let away = worker.acquire(Request { timeout_ms: Some(350), ..one("a") }).await.unwrap_err();
        assert_eq!(away.code, "ERR_LOCK_STORE_UNAVAILABLE");
        let away = worker.acquire(Request { strategy: Strategy::FailFast, ..one("a") }).await.unwrap_err();
        assert_eq!(away.code, "ERR_LOCK_STORE_UNAVAILABLE");
    });
}

#[test]
fn the_process_of_a_dead_holder_need_not_be_waited_for() {
    in_time(async {
        let server = Server::new();
        let (holder, cut) = cuttable(&server, opening("one"), caps());
        holder.acquire(Request { ttl_ms: Some(300_000), ..one("a") }).await.unwrap();
        cut.set(true);
        let is_dead = Rc::new(Cell::new(false));
        let dead = is_dead.clone();
        let other = Worker::knowing(&server, opening("two"), Caps { local: true, ..caps() }, 2, move |who| {
            &*who.worker == "one" && dead.get()
        });
        let (_, waits) = other.ask(one("a"));
        ms(5_000).await;
        is_dead.set(true);
        let died = (other.now)();
        assert_eq!(waits.await.unwrap().unwrap().tokens, [2]);
        assert!((other.now)().since(died).whole_ms() <= 60);
    });
}

#[test]
fn a_thousand_leases_are_renewed_in_few_requests() {
    in_time(async {
        let server = Server::new();
        let worker = Worker::new(&server, "one", 1);
        for number in 0..1_000 {
            let request = Request { ttl_ms: Some(30_000), ..one(&format!("key-{number}")) };
            worker.acquire(request).await.unwrap();
        }
        let before = server.requests.get();
        ms(60_000).await;
        let told = worker.statistics();
        assert_eq!((told.held, told.lost), (1_000, 0));
        let requests = server.requests.get() - before;
        println!("leases: 1,000 held for 60 s of a ttl of 30 s, {requests} requests");
        assert!(requests < 50, "{requests}");
    });
}
