//! The recorder's ring under loom: records are whole, in order and none lost; the reader does not sleep over one; a
//! text's number is never of a generation that may be gone.

use super::loom::explore;
use crate::recorder::ring::{Pushed, Ring, WORDS};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom::thread;

#[test]
fn records_are_whole_and_in_order_and_a_full_ring_drops() {
    explore("recorder ring, two writers", Some(2), 900, || {
        let ring = Arc::new(Ring::new(2));
        let writers: Vec<_> = [10, 20]
            .map(|first| {
                let ring = ring.clone();
                thread::spawn(move || {
                    let kept = |value| u64::from(ring.push(|| [value; WORDS]) != Pushed::Dropped);
                    kept(first) + kept(first + 1)
                })
            })
            .into();
        let mut read = Vec::new();
        let mut take = |ring: &Ring| {
            while let Some(words) = ring.read(read.len() as u64) {
                assert!(words.iter().all(|word| *word == words[0]), "a torn record");
                read.push(words[0]);
                ring.free(read.len() as u64);
            }
        };
        take(&ring);
        let kept: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        take(&ring);
        assert_eq!((read.len() as u64, ring.dropped()), (kept, 4 - kept));
        for first in [10, 20] {
            let own: Vec<u64> = read.iter().copied().filter(|value| value / 10 == first / 10).collect();
            assert!(own.is_sorted(), "the order of one writer: {own:?}");
        }
    });
}

#[test]
fn the_reader_does_not_sleep_over_a_record() {
    explore("recorder ring, sleep", None, 7, || {
        let ring = Arc::new(Ring::new(2));
        let writer = ring.clone();
        let writing = thread::spawn(move || writer.push(|| [1; WORDS]));
        let sleeps = ring.fall_asleep(0);
        let pushed = writing.join().unwrap();
        assert!(!sleeps || pushed == Pushed::Wake, "it sleeps, and nobody wakes it");
        assert!(sleeps || ring.read(0).is_some(), "it is awake for nothing");
    });
}

#[test]
fn a_number_of_an_old_generation_is_reserved_before_the_new_one_is_told() {
    explore("recorder ring, generations", None, 10, || {
        let shared = Arc::new((Ring::new(2), AtomicU64::new(1)));
        let writer = shared.clone();
        let writing = thread::spawn(move || {
            writer.0.push(|| [writer.1.load(Relaxed); WORDS]);
        });
        shared.1.store(2, Relaxed);
        let until = shared.0.reserved_now();
        writing.join().unwrap();
        let generation = shared.0.read(0).map(|words| words[0]);
        assert!(generation == Some(2) || until > 0, "generation {generation:?} after it was dropped");
    });
}
