//! What names and waiters cost, counted by an allocator of the tests: a free name nothing, a kept one and a
//! waiter so many bytes. And whose statistics are kept.

use crate::local::claim::{Ask, Outcome};
use crate::local::departures::{Caller, RowId};
use crate::local::locks::Locks;
use crate::local::names::{KEPT, Target};
use crate::local::resource::Kind;
use crate::time::{Moment, Nanos};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, with a count of the bytes that each thread has taken.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // A thread that ends has no count any more.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the promises of `dealloc`, and `at` came from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller keeps the promises of `realloc`, and `at` came from the system's allocator.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// What this thread has taken and not given back.
pub fn bytes() -> isize {
    HELD.get()
}

fn caller() -> Caller {
    Caller { row: RowId::here(0, 1), thread_id: 0, mailbox: 0 }
}

fn name(number: u32) -> Vec<u16> {
    format!("a name of some length {number:08}").encode_utf16().collect()
}

fn use_once(locks: &Locks, name: &[u16], now: u64) {
    let grant = locks.try_acquire(caller(), Target::Name(name), 0, None, Nanos(now)).expect("it is free");
    assert!(locks.release(grant.slot, grant.token, false, Nanos(now)).answer);
}

/// How often a name was taken, as far as it is known.
fn acquisitions(locks: &Locks, name: &[u16]) -> u64 {
    let text = locks.statistics_json(Some(name), Moment::at(Nanos(1), 0.0));
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    told[0]["modes"]["exclusive"]["acquisitions"].as_u64().unwrap_or(0)
}

fn names(locks: &Locks) -> usize {
    locks.peek(|book| book.names.len())
}

#[test]
fn a_million_names_leave_nothing_and_the_busiest_stay() {
    let locks = Locks::new(|| 0);
    let busy: Vec<Vec<u16>> = (0..200).map(|number| name(90_000_000 + number)).collect();
    busy.iter().for_each(|name| use_once(&locks, name, 1));
    (0..20_000).for_each(|number| use_once(&locks, &name(number), 2));
    busy.iter().for_each(|name| (0..50).for_each(|_| use_once(&locks, name, 3)));
    let before = bytes();
    let mut rounds = 0;
    for number in 20_000..1_020_000 {
        use_once(&locks, &name(number), 4);
        if number % 500 == 0 {
            rounds += 1;
            busy.iter().for_each(|name| (0..5).for_each(|_| use_once(&locks, name, 5)));
        }
    }
    assert_eq!(names(&locks), KEPT, "no name but the kept ones");
    let grown = bytes() - before;
    assert!(grown < 64 * 1_024, "{grown} bytes more after a million names");
    for name in &busy {
        let known = acquisitions(&locks, name);
        assert!(
            known >= 50 + 5 * rounds,
            "a busy name has lost its statistics: {known} of {}",
            50 + 5 * rounds
        );
    }
    println!("names: a million distinct ones, {grown} bytes of growth");
}

#[test]
fn a_crowd_of_names_and_waiters_gives_its_memory_back() {
    let locks = Locks::new(|| 0);
    // Something that stays, as there always is.
    let kept = locks.try_acquire(caller(), Target::Name(&[1]), 0, None, Nanos(1)).unwrap();
    (0..2 * KEPT as u32).for_each(|number| use_once(&locks, &name(50_000_000 + number), 1));
    let before = bytes();
    let target = |name| Target::Name(name);
    let names: Vec<Vec<u16>> = (0..50_000).map(name).collect();
    let grants: Vec<_> = names
        .iter()
        .map(|name| locks.try_acquire(caller(), target(name), 0, None, Nanos(2)).unwrap())
        .collect();
    let held = (bytes() - before) / 50_000;
    let tickets: Vec<u64> = names
        .iter()
        .map(|name| match locks.request(caller(), target(name), 0, Ask::default(), Nanos(3)).answer {
            Outcome::Waiting(ticket, _) => ticket,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(tickets.iter().all(|&ticket| locks.cancel(ticket, Nanos(4)).answer));
    assert!(grants.iter().all(|grant| locks.release(grant.slot, grant.token, false, Nanos(5)).answer));
    drop((names, grants, tickets));
    // Whoever comes next finds what is left of them.
    (0..2_000).for_each(|number| use_once(&locks, &name(60_000_000 + number), 6));
    let left = bytes() - before;
    println!("names: {held} bytes a held name, {left} bytes left by 50,000 of them");
    assert!(left < 256 * 1_024, "{left} bytes are left of a crowd");
    assert!(locks.release(kept.slot, kept.token, false, Nanos(6)).answer);
}

#[test]
fn a_waiter_is_small() {
    let locks = Locks::new(|| 0);
    locks.try_acquire(caller(), Target::Name(&[1]), 0, None, Nanos(1)).unwrap();
    let ask = Ask { deadline: Nanos(1_000_000), ..Ask::default() };
    let wait = |_| drop(locks.request(caller(), Target::Name(&[1]), 0, ask, Nanos(2)));
    (0..1_000).for_each(wait);
    let before = bytes();
    (0..100_000).for_each(wait);
    let each = (bytes() - before) as f64 / 100_000.0;
    println!("waiters: {each:.0} bytes each");
    assert!(each <= 400.0, "{each} bytes");
}

#[test]
fn a_free_name_with_a_handle_is_small() {
    let locks = Locks::new(|| 0);
    let open =
        |number| locks.open(Kind::ReadWrite, Some(&[number as u16, (number >> 16) as u16]), 0).unwrap();
    let first: Vec<_> = (0..1_000).map(open).collect();
    let before = bytes();
    let more: Vec<_> = (1_000..101_000).map(open).collect();
    let each = (bytes() - before) as f64 / 100_000.0 - 4.0;
    println!("names: {each:.0} bytes a free known name");
    assert!(each <= 128.0, "{each} bytes");
    first.into_iter().chain(more).for_each(|at| locks.close(at));
    assert_eq!(names(&locks), 0, "a closed handle leaves no name");
}
