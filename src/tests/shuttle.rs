//! The scenarios on shuttle's scheduler: 8 to 16 threads, schedules chosen by PCT (probabilistic
//! concurrency testing), which finds any bug of depth d with a known probability. A failure prints the
//! schedule that replays it.

use super::locks_scenario::{LocksActor, LocksWorld};
use super::scenario::{Actor, World};
use shuttle::rand::Rng;
use shuttle::scheduler::PctScheduler;
use shuttle::sync::Arc;
use shuttle::{Config, Runner, thread};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

fn schedules(push: usize) -> usize {
    if std::env::var_os("CHAINLOCK_DEEP").is_some() { push * 20 } else { push }
}

fn explore(name: &str, push: usize, body: impl Fn() + Send + Sync + 'static) {
    let wanted = schedules(push);
    let mut config = Config::new();
    config.stack_size = 0x20_000;
    let ran = Runner::new(PctScheduler::new(3, wanted), config).run(body);
    println!("shuttle: {name}: {ran} schedules");
    assert!(ran >= wanted, "{name}: {ran} schedules, {wanted} were wanted");
}

/// Runs `part` on as many threads, numbered from 1, and checks the account after them.
fn together(world: World, threads: u64, part: impl Fn(&mut Actor<'_>, u64) + Send + Sync + 'static) {
    let shared = Arc::new((world, part));
    let running: Vec<_> = (1..=threads)
        .map(|number| {
            let shared = shared.clone();
            thread::spawn(move || (shared.1)(&mut Actor::new(&shared.0, number), number))
        })
        .collect();
    running.into_iter().for_each(|thread| thread.join().unwrap());
    shared.0.settle_accounts();
}

fn everything(threads: u64, steps: u64) {
    together(World::new(2, 12), threads, move |actor, _| {
        (0..steps).for_each(|_| actor.step(thread_random()));
    });
}

fn thread_random() -> u64 {
    shuttle::rand::thread_rng().gen_range(0..=u64::MAX)
}

#[test]
fn eight_threads_do_everything() {
    explore("8 threads, everything", 40_000, || everything(8, 4));
}

#[test]
fn sixteen_threads_do_everything() {
    explore("16 threads, everything", 10_000, || everything(16, 3));
}

#[test]
fn threads_end_while_others_work() {
    explore("8 threads, four of them ending", 30_000, || {
        together(World::new(1, 12), 8, |actor, number| {
            (0..3).for_each(|_| actor.step(thread_random()));
            if number % 2 == 0 {
                actor.depart();
            }
        });
    });
}

#[test]
fn eight_threads_exclude_each_other() {
    explore("8 threads, one at a time", 20_000, || {
        // Read here and written there: whoever comes between loses a count.
        let counter = Arc::new(AtomicU64::new(0));
        let counted = counter.clone();
        together(World::new(0, u64::MAX), 8, move |actor, _| {
            actor.exclusively(thread::yield_now, || {
                let count = counted.load(Relaxed);
                thread::yield_now();
                counted.store(count + 1, Relaxed);
            });
        });
        assert_eq!(counter.load(Relaxed), 8);
    });
}

/// The same for the named locks.
fn together_on_names(threads: u64, part: impl Fn(&mut LocksActor<'_>, u64) + Send + Sync + 'static) {
    let shared = Arc::new((LocksWorld::default(), part));
    let running: Vec<_> = (1..=threads)
        .map(|number| {
            let shared = shared.clone();
            thread::spawn(move || (shared.1)(&mut LocksActor::new(&shared.0, number), number))
        })
        .collect();
    running.into_iter().for_each(|thread| thread.join().unwrap());
    shared.0.settle_accounts();
}

#[test]
fn eight_threads_do_everything_to_names() {
    explore("names, 8 threads, everything", 30_000, || {
        together_on_names(8, |actor, _| (0..4).for_each(|_| actor.step(thread_random())));
    });
}

#[test]
fn sixteen_threads_do_everything_to_names() {
    explore("names, 16 threads, everything", 10_000, || {
        together_on_names(16, |actor, _| (0..3).for_each(|_| actor.step(thread_random())));
    });
}

#[test]
fn threads_end_while_others_work_with_names() {
    explore("names, 8 threads, four of them ending", 30_000, || {
        together_on_names(8, |actor, number| {
            (0..3).for_each(|_| actor.step(thread_random()));
            if number % 2 == 0 {
                actor.depart();
            }
        });
    });
}

#[test]
fn readers_and_writers_of_names_exclude_each_other() {
    explore("names, 5 writers and 4 readers", 20_000, || {
        let counter = Arc::new(AtomicU64::new(0));
        let counted = counter.clone();
        together_on_names(9, move |actor, number| {
            let count = || counted.load(Relaxed);
            let write = u64::from(number % 2 == 0);
            actor.under(0, write, thread::yield_now, || {
                let before = count();
                thread::yield_now();
                if write == 0 {
                    counted.store(before + 1, Relaxed);
                } else {
                    assert_eq!(count(), before, "nobody writes while somebody reads");
                }
            });
        });
        assert_eq!(counter.load(Relaxed), 5);
    });
}
