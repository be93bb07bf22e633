//! A bounded ring of records of fixed size: any number of writers, which never wait, and one reader. What finds it
//! full is dropped and counted.
//!
//! | word | written by | says |
//! |---|---|---|
//! | `tail` | who reserves a place | how many places were ever reserved; the lowest bit: the reader sleeps |
//! | `head` | the reader | how many records were read: their places are free again |
//! | a place's stamp | who reserved it | the record's number, from 1, once the record is whole |
//!
//! That the reader sleeps stands in the very word that every writer changes: so nobody can reserve a place without
//! seeing it, and the reader cannot fall asleep over a record.

use crate::sync::{AtomicU64, Field, Ordering};
use crate::sys::cache::will_write;

/// Places of the process's ring: 4 MB.
pub const PLACES: usize = if SMALL { 2 } else { 65_536 };
/// Under loom every place is an object to keep track of.
const SMALL: bool = cfg!(any(feature = "loom", feature = "shuttle"));
/// Words of a record beside its stamp: with it a line of the processor's cache.
pub const WORDS: usize = 7;

/// How many places ahead a line is fetched: the reader has had it since, and fetching it takes as long as some events.
const AHEAD: u64 = 4;

const ASLEEP: u64 = 1;
const ONE: u64 = 2;

#[repr(C, align(64))]
#[derive(Debug)]
struct Place {
    stamp: AtomicU64,
    words: [Field; WORDS],
}

/// A word with a cache line of its own.
#[repr(align(128))]
#[derive(Debug)]
struct Apart(AtomicU64);

#[derive(Debug)]
pub struct Ring {
    tail: Apart,
    head: Apart,
    dropped: Apart,
    places: Box<[Place]>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    Kept,
    /// The same, and the reader is to be woken: it sleeps, or the ring is half full.
    Wake,
    Dropped,
}

impl Ring {
    pub fn new(places: usize) -> Self {
        let word = || Apart(AtomicU64::new(0));
        let place = |_| Place { stamp: AtomicU64::new(0), words: std::array::from_fn(|_| Field::default()) };
        Self { tail: word(), head: word(), dropped: word(), places: (0..places).map(place).collect() }
    }

    /// Appends the record that `fill` makes, which is asked only when there is room.
    #[inline(always)]
    pub fn push(&self, fill: impl FnOnce() -> [u64; WORDS]) -> Pushed {
        let size = self.places.len() as u64;
        let mut tail = self.tail.0.load(Ordering::Relaxed);
        let (at, ahead) = loop {
            let at = tail / ONE;
            // Acquire: pairs with the Release in `free`: what lay in the place before was read. A head beyond
            // `at` says that others were faster, and then the exchange fails.
            let ahead = at.saturating_sub(self.head.0.load(Ordering::Acquire));
            if ahead >= size {
                self.dropped.0.fetch_add(1, Ordering::Relaxed);
                return Pushed::Dropped;
            }
            let next = (at + 1) * ONE;
            // AcqRel: pairs with itself and with the AcqRel in `reserved_now`: whoever reserves later sees what was
            // written before.
            match self.tail.0.compare_exchange_weak(tail, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break (at, ahead),
                Err(seen) => tail = seen,
            }
        };
        let place = &self.places[(at % size) as usize];
        for (field, word) in place.words.iter().zip(fill()) {
            field.set(word);
        }
        // Release: pairs with the Acquire in `read`.
        place.stamp.store(at + 1, Ordering::Release);
        will_write(&self.places[((at + AHEAD) % size) as usize].stamp);
        if tail & ASLEEP != 0 || ahead == size / 2 { Pushed::Wake } else { Pushed::Kept }
    }

    /// Record `number` (from 0), once it is whole. Only for the reader, and only from the head on.
    #[inline]
    pub fn read(&self, number: u64) -> Option<[u64; WORDS]> {
        let place = &self.places[(number % self.places.len() as u64) as usize];
        // Acquire: pairs with the Release in `push`.
        if place.stamp.load(Ordering::Acquire) != number + 1 {
            return None;
        }
        Some(std::array::from_fn(|at| place.words[at].get()))
    }

    /// The reader has read everything before `number`.
    pub fn free(&self, number: u64) {
        // Release: pairs with the Acquire in `push`.
        self.head.0.store(number, Ordering::Release);
    }

    pub fn head(&self) -> u64 {
        self.head.0.load(Ordering::Relaxed)
    }

    /// How many places were ever reserved.
    pub fn reserved(&self) -> u64 {
        self.tail.0.load(Ordering::Relaxed) / ONE
    }

    /// The same, in line with those who reserve: whoever reserves after this sees what its caller wrote before it.
    pub fn reserved_now(&self) -> u64 {
        // AcqRel: pairs with the AcqRel in `push`.
        self.tail.0.fetch_or(0, Ordering::AcqRel) / ONE
    }

    /// How many records found it full.
    pub fn dropped(&self) -> u64 {
        self.dropped.0.load(Ordering::Relaxed)
    }

    /// The reader wants to sleep, having read everything before `number`; false when there is more.
    pub fn fall_asleep(&self, number: u64) -> bool {
        let (awake, asleep) = (number * ONE, (number * ONE) | ASLEEP);
        match self.tail.0.compare_exchange(awake, asleep, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => true,
            Err(seen) => seen == asleep,
        }
    }

    /// It woke for another reason than a record.
    pub fn wake_up(&self) {
        self.tail.0.fetch_and(!ASLEEP, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(ring: &Ring, value: u64) -> Pushed {
        ring.push(|| [value; WORDS])
    }

    #[test]
    fn what_finds_it_full_is_counted_and_the_rest_is_read_in_order() {
        let ring = Ring::new(4);
        assert!(ring.fall_asleep(0), "there is nothing");
        assert_eq!(put(&ring, 10), Pushed::Wake, "the reader slept");
        assert!(!ring.fall_asleep(0), "there is something");
        assert_eq!([put(&ring, 11), put(&ring, 12)], [Pushed::Kept, Pushed::Wake], "half full");
        assert_eq!([put(&ring, 13), put(&ring, 14)], [Pushed::Kept, Pushed::Dropped]);
        assert_eq!(ring.dropped(), 1);
        let read: Vec<u64> = (0..5).filter_map(|number| ring.read(number)).map(|words| words[6]).collect();
        assert_eq!(read, [10, 11, 12, 13]);
        ring.free(4);
        assert_eq!(put(&ring, 15), Pushed::Kept);
        assert_eq!((ring.read(4).map(|words| words[0]), ring.reserved()), (Some(15), 5));
    }
}
