//! Places that are given out and taken back without a lock: a stack of those that came back (R. Treiber, 1986;
//! a tag in its head counts the changes, so that a head never comes again), and a count of those that were never
//! out. What was given back last goes out first, and what was never out is never touched.

use crate::sync::{AtomicU64, Field, Ordering};

/// All zeroes: nothing has been given out.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Pool {
    /// Low half: the top's place and one, 0 for none. High half: the tag.
    head: AtomicU64,
    /// How many places have ever been out.
    fresh: AtomicU64,
}

const HALF: u32 = 32;

/// The head after `head`, with `top` in its low half.
fn next_head(head: u64, top: u64) -> u64 {
    ((head >> HALF).wrapping_add(1)) << HALF | top
}

impl Pool {
    /// A place that is nobody's, below `capacity`; `below` is where a place keeps what lies under it.
    pub fn take<'m>(&self, capacity: usize, below: impl Fn(usize) -> &'m Field) -> Option<usize> {
        // Acquire: pairs with the Release in `give`, here and where the exchange fails.
        let mut head = self.head.load(Ordering::Acquire);
        while let Some(place) = (head as u32).checked_sub(1) {
            let new = next_head(head, below(place as usize).get());
            // Acquire: pairs with the Release in `give`.
            match self.head.compare_exchange(head, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(place as usize),
                Err(now) => head = now,
            }
        }
        self.take_fresh(capacity)
    }

    fn take_fresh(&self, capacity: usize) -> Option<usize> {
        let mut fresh = self.fresh.load(Ordering::Relaxed);
        while fresh < capacity as u64 {
            match self.fresh.compare_exchange(fresh, fresh + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(fresh as usize),
                Err(now) => fresh = now,
            }
        }
        None
    }

    /// Gives a place back that the caller has to itself.
    pub fn give(&self, place: usize, below: &Field) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            below.set(u64::from(head as u32));
            let new = next_head(head, place as u64 + 1);
            // Release: pairs with the Acquire in `take`: who takes the place comes after all that was done with it.
            match self.head.compare_exchange(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// How many places have ever been out: those from here on are untouched.
    pub fn used(&self) -> usize {
        self.fresh.load(Ordering::Relaxed) as usize
    }
}

#[cfg(all(test, not(any(feature = "loom", feature = "shuttle"))))]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_out_once_and_the_last_one_back_goes_first() {
        let below: Vec<Field> = (0..4).map(|_| Field::default()).collect();
        let pool = Pool::default();
        let take = || pool.take(4, |place| &below[place]);
        assert_eq!([take(), take(), take(), take(), take()], [Some(0), Some(1), Some(2), Some(3), None]);
        pool.give(2, &below[2]);
        pool.give(0, &below[0]);
        assert_eq!([take(), take(), take()], [Some(0), Some(2), None]);
        assert_eq!(pool.used(), 4);
    }
}
