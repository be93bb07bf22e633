//! The send lock and the named locks on real threads, as a plain program for ThreadSanitizer. Data that only the lock orders
//! is not atomic, so that a missing order is a data race that the sanitizer sees.
//!
//! `CHAINLOCK_PLANT_RACE=1` leaves the lock out once: the sanitizer must then end the program with 66.

#![expect(clippy::print_stdout, reason = "a program that reports its figures")]

extern crate chainlock;

mod locks_scenario;
mod scenario;

use chainlock::local::departures::{RowId, Rows};
use chainlock::name::ShortText;
use chainlock::raw::hold_word::HoldState;
use chainlock::send::config::{Change, LayersChange};
use chainlock::send::lock::{Caller, SendLock, Which};
use chainlock::table::layout::{ROWS, Row};
use chainlock::table::ring::Record;
use chainlock::time::Nanos;
use locks_scenario::{LocksActor, LocksWorld};
use scenario::{Actor, World};
use std::cell::UnsafeCell;
use std::thread;

const THREADS: u64 = 4;

/// Runs `part` on threads numbered from 0 and adds up what they answer. Each is joined by name: the end of
/// a scope alone is an order that the sanitizer does not see.
fn on_threads(count: u64, part: impl Fn(u64) -> u64 + Sync) -> u64 {
    thread::scope(|scope| {
        let part = &part;
        let running: Vec<_> = (0..count).map(|number| scope.spawn(move || part(number))).collect();
        running.into_iter().map(|thread| thread.join().expect("a thread has failed")).sum()
    })
}

/// Data that nothing but the lock under test orders.
struct Unordered(UnsafeCell<u64>);

// SAFETY: it is not safe to share: whether the lock makes it so is what the sanitizer finds out.
unsafe impl Sync for Unordered {}

impl Unordered {
    fn add(&self, more: u64) -> u64 {
        // SAFETY: the caller believes that it is alone; the sanitizer checks.
        let place = unsafe { &mut *self.0.get() };
        *place += more;
        *place
    }

    fn read(&self) -> u64 {
        // SAFETY: the caller believes that nobody writes; the sanitizer checks.
        unsafe { *self.0.get() }
    }
}

fn open_lock() -> SendLock {
    let lock = SendLock::independent();
    let layers = Some(LayersChange::Any);
    lock.configure(&Change { cooldown: Some(Nanos(0)), layers, ..Change::default() }, Nanos(1));
    lock
}

fn caller(number: u64) -> Caller {
    Caller { row: RowId::here(number as u32, 1), thread_id: number, mailbox: number }
}

/// Threads try for the lock; whoever has it counts without any other protection.
fn counted_by_try(rounds: u64) -> u64 {
    let (lock, counter, name) = (open_lock(), Unordered(UnsafeCell::new(0)), ShortText::cut("thread"));
    let planted = std::env::var_os("CHAINLOCK_PLANT_RACE").is_some();
    let counted = on_threads(THREADS, |number| {
        let mut mine = 0;
        while mine < rounds {
            match lock.try_acquire(caller(number), Some(&name), None, Nanos(2)).answer {
                Ok(token) => {
                    counter.add(1);
                    mine += 1;
                    assert!(lock.release(caller(number), Which::Token(token), true, Nanos(2)).answer);
                }
                Err(_) if planted => assert!(counter.add(0) <= THREADS * rounds),
                Err(_) => thread::yield_now(),
            }
        }
        mine
    });
    assert_eq!(counter.add(0), counted);
    counted
}

/// One thread works and gives back; another sees it in the word alone, and goes on with the data.
fn handed_over_by_the_word(rounds: u64) -> u64 {
    let (lock, data, name) = (open_lock(), Unordered(UnsafeCell::new(0)), ShortText::cut("thread"));
    on_threads(2, |turn| {
        for round in (turn..2 * rounds).step_by(2) {
            let is_my_turn = |state: HoldState| !state.is_held() && state.token() == round;
            while !is_my_turn(lock.state()) {
                thread::yield_now();
            }
            assert_eq!(data.add(1), round + 1);
            let taken = lock.try_acquire(caller(turn), Some(&name), None, Nanos(2)).answer;
            let token = taken.expect("the lock is free");
            assert!(lock.release(caller(turn), Which::Token(token), true, Nanos(2)).answer);
        }
        rounds
    })
}

/// Two threads fill the rings while two copy records without the mutex.
fn read_while_written(rounds: u64) -> u64 {
    let lock = open_lock();
    let page = lock.page();
    on_threads(4, |number| {
        let name = ShortText::cut(&format!("layer-{number}"));
        let mut last = 0;
        while last < rounds {
            last = page.events.written();
            if number < 2 {
                if let Ok(token) = lock.try_acquire(caller(number), Some(&name), None, Nanos(2)).answer {
                    lock.release(caller(number), Which::Token(token), true, Nanos(2));
                }
            } else {
                let whole = |record: Record| record.layer.to_text().starts_with("layer-");
                assert!(page.events.latest(16, 0).all(whole), "half a record was read");
                page.sequence.read(|| page.held_since.get());
            }
        }
        0
    });
    page.events.written()
}

fn come_and_go(rounds: u64) -> u64 {
    let shown: Box<[Row; ROWS]> = Box::new(std::array::from_fn(|_| Row::default()));
    let rows = Rows::new(Box::leak(shown));
    let gone = on_threads(THREADS, |number| {
        for _ in 0..rounds {
            let row = rows.arrive(number, Nanos(1));
            assert!(rows.leave(row) && !rows.leave(row));
        }
        rounds
    });
    assert_eq!(rows.live(), 0);
    gone
}

/// A sequence of choices that is the same on every run.
fn choices(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

fn everything(worlds: u64, steps: u64) -> u64 {
    let world_of = |seed: u64| {
        let world = World::new(2, 12);
        let done = on_threads(THREADS, |number| {
            let mut choose = choices(seed * THREADS + number);
            let mut actor = Actor::new(&world, number);
            (0..steps).for_each(|_| actor.step(choose()));
            if number == seed % (2 * THREADS) {
                actor.depart();
            }
            steps
        });
        world.settle_accounts();
        done
    };
    (0..worlds).map(world_of).sum()
}

fn one_at_a_time(rounds: u64) -> u64 {
    let (world, counter) = (World::new(0, u64::MAX), Unordered(UnsafeCell::new(0)));
    let held = on_threads(THREADS, |number| {
        let mut actor = Actor::new(&world, number);
        for _ in 0..rounds {
            actor.exclusively(thread::yield_now, || assert!(counter.add(1) <= THREADS * rounds));
        }
        rounds
    });
    assert_eq!(counter.add(0), held);
    world.settle_accounts();
    held
}

/// Everything to the named locks, too.
fn everything_to_names(worlds: u64, steps: u64) -> u64 {
    let world_of = |seed: u64| {
        let world = LocksWorld::default();
        let done = on_threads(THREADS, |number| {
            let mut choose = choices(seed * THREADS + number);
            let mut actor = LocksActor::new(&world, number);
            (0..steps).for_each(|_| actor.step(choose()));
            if number == seed % (2 * THREADS) {
                actor.depart();
            }
            steps
        });
        world.settle_accounts();
        done
    };
    (0..worlds).map(world_of).sum()
}

/// Two threads write and two read what only a name orders.
fn read_and_written(rounds: u64) -> u64 {
    let (world, counter) = (LocksWorld::default(), Unordered(UnsafeCell::new(0)));
    let held = on_threads(THREADS, |number| {
        let mut actor = LocksActor::new(&world, number);
        for _ in 0..rounds {
            let write = number % 2;
            actor.under(0, 1 - write, thread::yield_now, || match write {
                0 => assert!(counter.read() <= THREADS * rounds),
                _ => assert!(counter.add(1) <= THREADS * rounds),
            });
        }
        rounds
    });
    assert_eq!(counter.read(), held / 2);
    world.settle_accounts();
    held
}

fn main() {
    // The others would wait for a thread that failed.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        told(panic);
        std::process::exit(1);
    }));
    let more = if std::env::var_os("CHAINLOCK_DEEP").is_some() { 20 } else { 1 };
    println!("threads: {} holds counted one by one", counted_by_try(20_000 * more));
    println!("threads: {} hand-overs by the word alone", handed_over_by_the_word(5_000 * more));
    println!("threads: {} records written under readers", read_while_written(20_000 * more));
    println!("threads: {} arrivals and leavings", come_and_go(20_000 * more));
    println!("threads: {} steps of everything", everything(200 * more, 100));
    println!("threads: {} holds waited for", one_at_a_time(1_000 * more));
    println!("threads: {} steps of everything with names", everything_to_names(200 * more, 60));
    println!("threads: {} holds of names, read and written", read_and_written(400 * more));
}
