//! What a user's own thread does by itself, over a real file: grants and releases without the I/O thread, and all the
//! cases that are left to it.

use super::user::{Folder, LIMIT, User, answer, fail_fast, plain, setup, until};
use crate::lease::manager::{Request, Strategy};
use crate::lease::record::Mode;
use crate::lease::runtime;
use crate::sync::{Arc, Mutex};
use crate::time::{Nanos, boot_now};
use rusqlite::Connection;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

#[test]
fn pairs_at_once_grow_the_token_exclude_others_and_are_counted() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let other = User::apart(&folder.file(), "other");
    let before = one.manager.statistics();
    for round in 1..=20 {
        let held = one.at_once("a");
        assert_eq!(held.tokens, [round]);
        assert!(held.cell.is_held(boot_now()));
        assert!(one.manager.acquire_at_once(&plain("a")).is_none());
        if round % 10 == 0 {
            assert_eq!(other.acquire(fail_fast("a")).unwrap_err().code, "ERR_LOCK_LEASE_HELD");
            assert_eq!(one.manager.statistics().held, 1);
        }
        assert!(one.manager.release_at_once(held.lease));
        assert!(held.cell.is_released());
        assert!(!one.manager.release_at_once(held.lease), "only once");
    }
    let told = one.manager.statistics();
    assert_eq!(told.acquisitions - before.acquisitions, 20);
    assert_eq!(told.releases - before.releases, 20);
    assert_eq!((told.held, told.lost, told.acquire.count), (0, 0, told.acquisitions));
    assert_eq!(told.hold.count, told.releases);
    assert_eq!(other.acquire(fail_fast("a")).unwrap().tokens, [21]);
}

#[test]
fn what_is_held_on_is_kept_by_the_io_thread() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let other = User::apart(&folder.file(), "other");
    let short = Request { ttl_ms: Some(900), ..plain("a") };
    let held = one.manager.acquire_at_once(&short).unwrap();
    let renewals = || one.manager.statistics().renewals;
    until(|| renewals() >= 5 || held.cell.is_lost(boot_now()));
    assert!(held.cell.is_held(boot_now()), "{:?}", one.ears.0.lock());
    assert_eq!(other.acquire(fail_fast("a")).unwrap_err().code, "ERR_LOCK_LEASE_HELD");
    assert!(!one.manager.release_at_once(held.lease), "it is the I/O thread's now");
    assert!(one.release(held.lease).released);
    let told = one.manager.statistics();
    assert_eq!((told.acquisitions, told.held, told.lost), (told.releases, 0, 0));
}

#[test]
fn a_limit_of_the_hold_counts_at_once() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", Some(300)).warm();
    let held = one.at_once("a");
    assert!(held.cell.remaining(boot_now()) <= Nanos::from_ms(300.0));
    until(|| !one.ears.0.lock().is_empty());
    assert_eq!(*one.ears.0.lock(), ["maxHold"]);
    until(|| !one.is_held("a"));
}

#[test]
fn while_somebody_waits_here_everything_is_the_io_threads() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let two = User::new(&folder.file(), "two", None);
    let held = one.at_once("a");
    let (say, hear) = channel();
    let unfair = Request { fair: Some(false), ..plain("a") };
    two.manager.acquire(unfair, Box::new(move |answer| drop(say.send(answer)))).unwrap();
    until(|| two.manager.statistics().waiting == 1);
    assert!(one.manager.acquire_at_once(&plain("b")).is_none());
    assert!(!one.manager.release_at_once(held.lease));
    assert!(one.release(held.lease).released);
    let next = hear.recv_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(next.tokens, [2]);
    let b = one.at_once("b");
    assert!(one.manager.release_at_once(b.lease), "nobody waits any more");
}

#[test]
fn who_stands_in_line_elsewhere_is_not_passed_over() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let two = User::apart(&folder.file(), "two");
    let held = one.at_once("a");
    let (say, hear) = channel();
    two.manager.acquire(plain("a"), Box::new(move |answer| drop(say.send(answer)))).unwrap();
    let waiters = || answer(|reply| one.manager.inspect("a".into(), reply).unwrap()).unwrap().waiters;
    until(|| waiters() == 1);
    assert!(!one.manager.release_at_once(held.lease), "others are to be woken");
    assert!(one.release(held.lease).released);
    assert!(one.manager.acquire_at_once(&plain("a")).is_none(), "it is another's turn");
    assert_eq!(hear.recv_timeout(LIMIT).unwrap().unwrap().tokens, [2]);
}

#[test]
fn a_release_takes_nothing_with_it_that_came_later() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let two = User::apart(&folder.file(), "two");
    let shared = || Request { mode: Mode::Shared, ..plain("a") };
    let mine = one.manager.acquire_at_once(&shared()).unwrap();
    let other = two.acquire(shared()).unwrap();
    assert!(one.manager.release_at_once(mine.lease));
    let status = answer(|reply| two.manager.inspect("a".into(), reply).unwrap()).unwrap();
    let tokens: Vec<u64> = status.holds.iter().map(|hold| hold.token).collect();
    assert_eq!(tokens, other.tokens, "the other's hold is still there");
    assert_eq!(one.acquire(fail_fast("a")).unwrap_err().code, "ERR_LOCK_LEASE_HELD");
}

#[test]
fn what_else_lies_in_the_record_stays_there() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let two = User::apart(&folder.file(), "two");
    let status = || answer(|reply| two.manager.inspect("a".into(), reply).unwrap()).unwrap();
    let robbed = two.acquire(plain("a")).unwrap();
    let thief = two.acquire(Request { strategy: Strategy::Force, ..plain("a") }).unwrap();
    assert!(two.release(thief.lease).released && !two.release(robbed.lease).released);
    let held = one.at_once("a");
    assert!(one.manager.release_at_once(held.lease));
    assert_eq!(status().stolen.map(|stolen| stolen.token), Some(1), "who was robbed, and by whom");
    let shared = |key: &str| Request { mode: Mode::Shared, ..plain(key) };
    let other = two.acquire(shared("b")).unwrap();
    let mine = one.manager.acquire_at_once(&shared("b")).unwrap();
    assert!(one.manager.release_at_once(mine.lease));
    assert!(other.cell.is_held(boot_now()) && two.is_held("b"));
    assert_eq!(one.acquire(fail_fast("b")).unwrap_err().code, "ERR_LOCK_LEASE_HELD");
    assert!(two.release(other.lease).released);
}

#[test]
fn a_record_that_others_have_moved_is_read_anew() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let two = User::apart(&folder.file(), "two");
    for round in 0..5 {
        let mine = one.at_once("a");
        assert_eq!(mine.tokens, [2 * round + 1]);
        assert!(one.manager.release_at_once(mine.lease));
        let other = two.acquire(fail_fast("a")).unwrap();
        assert_eq!(other.tokens, [2 * round + 2]);
        assert!(one.manager.acquire_at_once(&plain("a")).is_none());
        assert!(two.release(other.lease).released);
    }
}

#[test]
fn after_an_expiry_the_delay_holds() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let two = User::apart(&folder.file(), "two").warm();
    let began = boot_now();
    let held =
        one.manager.acquire_at_once(&Request { ttl_ms: Some(60), delay_ms: 400, ..plain("a") }).unwrap();
    one.close(false);
    assert!(held.cell.is_over());
    let mut next = None;
    until(|| {
        next = two.manager.acquire_at_once(&plain("a"));
        next.is_some()
    });
    assert!(boot_now().since(began) >= Nanos::from_ms(460.0), "{:?}", boot_now().since(began));
    let next = next.unwrap();
    assert!(next.stale_claimed && next.tokens == [2]);
    assert_eq!(two.manager.statistics().stale_claimed, 1);
}

#[test]
fn after_max_hold_the_delay_holds_too() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", Some(150)).warm();
    let two = User::apart(&folder.file(), "two").warm();
    let began = boot_now();
    let asked = Request { ttl_ms: Some(300), delay_ms: 300, ..plain("a") };
    let held = one.manager.acquire_at_once(&asked).unwrap();
    let mut next = None;
    until(|| {
        next = two.manager.acquire_at_once(&plain("a"));
        next.is_some()
    });
    assert!(boot_now().since(began) >= Nanos::from_ms(600.0), "{:?}", boot_now().since(began));
    assert!(held.cell.is_over());
}

#[test]
fn what_has_expired_is_not_given_back_at_once_but_told_as_lost() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let before = one.manager.statistics();
    let ((say_busy, hears_busy), (go_on, waits)) = (channel(), channel::<()>());
    // An I/O thread that comes too late to keep it.
    let busy = move || {
        say_busy.send(()).unwrap();
        let _ = waits.recv_timeout(LIMIT);
    };
    assert!(runtime::run(busy).is_ok());
    hears_busy.recv_timeout(LIMIT).unwrap();
    let held = one.manager.acquire_at_once(&Request { ttl_ms: Some(60), ..plain("a") }).unwrap();
    until(|| held.cell.is_lost(boot_now()));
    let is_released = one.manager.release_at_once(held.lease);
    go_on.send(()).unwrap();
    assert!(!is_released);
    until(|| !one.ears.0.lock().is_empty());
    assert_eq!(*one.ears.0.lock(), ["expired"]);
    let told = one.manager.statistics();
    assert_eq!((told.releases, told.lost), (before.releases, before.lost + 1));
}

#[test]
fn a_closed_manager_leaves_nothing() {
    let folder = Folder::new();
    let other = User::apart(&folder.file(), "other");
    let one = User::new(&folder.file(), "one", None).warm();
    let held = one.at_once("a");
    one.close(true);
    assert!(held.cell.is_released());
    assert_eq!(other.acquire(fail_fast("a")).unwrap().tokens, [2]);
    assert!(one.manager.acquire_at_once(&plain("b")).is_none());
    let told = one.manager.statistics();
    assert_eq!((told.acquisitions, told.held), (told.releases, 0));

    let two = User::new(&folder.file(), "two", None).warm();
    let held = two.at_once("c");
    two.close(false);
    assert!(held.cell.is_over() && !held.cell.is_released());
    assert_eq!(*two.ears.0.lock(), ["closed"]);
    let told = two.manager.statistics();
    assert_eq!((told.acquisitions, told.lost, told.held), (told.releases + 1, 1, 0));
}

#[test]
fn while_another_process_writes_nothing_waits_and_nothing_is_written() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let held = one.at_once("a");
    let foreign = Connection::open(folder.file()).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(one.manager.acquire_at_once(&plain("b")).is_none());
    assert!(!one.manager.release_at_once(held.lease));
    foreign.execute_batch("COMMIT").unwrap();
    assert!(held.cell.is_held(boot_now()));
    assert!(one.manager.release_at_once(held.lease));
    assert_eq!(one.at_once("b").tokens, [1]);
}

#[test]
fn what_is_no_record_of_ours_is_never_written_over() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let two = User::apart(&folder.file(), "two").warm();
    for (foreign, code) in
        [("{\"mine\":true}", "ERR_LOCK_STORE_FOREIGN"), ("{\"v\":2}", "ERR_LOCK_STORE_VERSION")]
    {
        let key = format!("a {code}");
        let held = one.at_once(&key);
        let db = Connection::open(folder.file()).unwrap();
        let moved = "UPDATE leases SET version = version + 1, body = ?1 WHERE key = ?2";
        assert_eq!(db.execute(moved, [foreign, &key]).unwrap(), 1);
        let free = Strategy::Steal { token: 1 };
        for strategy in [Strategy::FailFast, Strategy::StealStale, Strategy::Force, free] {
            let request = Request { strategy, ..plain(&key) };
            assert!(two.manager.acquire_at_once(&request).is_none());
            let fault = two.acquire(request).unwrap_err();
            assert_eq!((fault.code, fault.key.as_deref()), (code, Some(&*key)));
        }
        assert!(!one.manager.release_at_once(held.lease));
        assert!(!one.release(held.lease).released);
        let body = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        let there = db.query_row("SELECT body FROM leases WHERE key = ?1", [&key], body).unwrap();
        assert_eq!(there, foreign);
    }
}

#[test]
fn another_file_in_its_place_is_another_store() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    for _ in 0..5 {
        let held = one.at_once("a");
        assert!(one.manager.release_at_once(held.lease));
    }
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.0.join(format!("leases.db{end}")));
    }
    let gone = || match one.manager.acquire_at_once(&plain("b")) {
        Some(held) => !one.release(held.lease).released,
        None => true,
    };
    until(gone);
    until(|| {
        one.acquire(plain("c")).is_ok_and(|held| one.release(held.lease).released && held.tokens == [1])
    });
    let one = one.warm();
    let held = one.at_once("a");
    assert_eq!(held.tokens, [1]);
    assert!(User::apart(&folder.file(), "two").is_held("a"), "others see it");
}

#[test]
fn refused_requests_are_left_to_who_says_why() {
    let folder = Folder::new();
    let one = User::new(&folder.file(), "one", None).warm();
    let several = Request::new(vec!["a".into(), "b".into()]);
    let wrong = Request { ttl_ms: Some(1), ..plain("a") };
    let forced = Request { strategy: Strategy::Force, ..plain("a") };
    for request in [several, wrong, forced, plain("")] {
        assert!(one.manager.acquire_at_once(&request).is_none(), "{request:?}");
    }
    assert!(!one.is_held("a"));
}

#[test]
fn from_many_threads_one_at_a_time_and_every_count_is_right() {
    const KEYS: usize = 3;
    let folder = Folder::new();
    let last: Arc<[Mutex<u64>; KEYS]> = Arc::default();
    let threads = (0..4).map(|index| {
        let (file, last) = (folder.file(), last.clone());
        thread::spawn(move || {
            let user = match index % 2 {
                0 => User::new(&file, "here", None),
                _ => User::at(setup(&file, Duration::from_secs(30 + index)), "there", None),
            };
            let mut at_once = 0;
            for _ in 0..60 {
                let place = fastrand::usize(..KEYS);
                // Kept by the I/O thread after 50 ms, renewed after 133.
                let request = Request { ttl_ms: Some(400), ..plain(&format!("key:{place}")) };
                let granted = user.manager.acquire_at_once(&request);
                at_once += u64::from(granted.is_some());
                let granted = granted.unwrap_or_else(|| user.acquire(request).unwrap());
                let mut last = last[place].lock();
                assert!(granted.tokens[0] > *last || granted.cell.is_lost(boot_now()));
                *last = granted.tokens[0].max(*last);
                drop(last);
                if fastrand::u8(..4) == 0 {
                    thread::sleep(Duration::from_millis(fastrand::u64(..160)));
                }
                if !user.manager.release_at_once(granted.lease) {
                    user.release(granted.lease);
                }
            }
            user.close(true);
            (user.manager.statistics(), at_once)
        })
    });
    let threads: Vec<_> = threads.collect();
    let mut at_once = 0;
    for thread in threads {
        let (told, granted) = thread.join().unwrap();
        assert_eq!(told.acquisitions, told.releases + told.lost);
        assert_eq!((told.acquisitions, told.held, told.waiting), (60, 0, 0));
        at_once += granted;
    }
    assert!(at_once > 0, "the way under test was gone");
    let looker = User::apart(&folder.file(), "looker");
    (0..KEYS).for_each(|place| assert!(!looker.is_held(&format!("key:{place}"))));
}
