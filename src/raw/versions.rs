//! A few copies of one state, of which the newest counts: one writer at a time, any number of readers that
//! never make it wait. Unlike under a [`crate::raw::seqlock`], a reader is not turned away by every change
//! that falls into its copying, but only by the one that comes round to the copy that it reads.
//!
//! Version n lies at place n mod N. The writer fills the place of version n + 1, in which the oldest lies, and
//! then counts on.

use crate::sync::{AtomicU64, Ordering, fence};

#[repr(transparent)]
#[derive(Debug)]
pub struct Versions<const N: usize>(AtomicU64);

impl<const N: usize> Versions<N> {
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Publishes a version: `fill` writes it into the place that it is given. The caller is the only writer.
    /// When `fill` unwinds, the version before stays the newest.
    #[inline]
    pub fn publish(&self, fill: impl FnOnce(usize)) {
        let next = self.0.load(Ordering::Relaxed).wrapping_add(1);
        // Pairs with the acquire fence in `read`: a reader that saw a field of this version sees that the one
        // before was the newest already.
        fence(Ordering::Release);
        fill((next % N as u64) as usize);
        // Pairs with the Acquire load in `read`: who sees the number sees the whole version.
        self.0.store(next, Ordering::Release);
    }

    /// One attempt to copy the newest version; `None` when the writer came round to its place meanwhile.
    #[inline]
    pub fn read<R>(&self, copy: impl FnOnce(usize) -> R) -> Option<R> {
        // Acquire: pairs with the Release store that ends `publish`.
        let newest = self.0.load(Ordering::Acquire);
        let result = copy((newest % N as u64) as usize);
        // Pairs with the release fence in `publish`.
        fence(Ordering::Acquire);
        let since = self.0.load(Ordering::Relaxed).wrapping_sub(newest);
        // The place is written again for version `newest + N`, which begins after `newest + N - 1`.
        (since < N as u64 - 1).then_some(result)
    }
}

impl<const N: usize> Default for Versions<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(any(feature = "loom", feature = "shuttle"))))]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_turned_away_only_by_the_change_that_comes_round_to_its_place() {
        let versions = Versions::<4>::new();
        let places = std::cell::RefCell::new(Vec::new());
        let publish = || versions.publish(|place| places.borrow_mut().push(place));
        (0..5).for_each(|_| publish());
        assert_eq!(*places.borrow(), [1, 2, 3, 0, 1]);
        let during = |changes: usize| versions.read(|_| (0..changes).for_each(|_| publish()));
        assert!(during(0).is_some() && during(2).is_some() && during(3).is_none());
        let before = versions.read(|place| place);
        let stopped =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| versions.publish(|_| panic!("inside"))));
        assert!(stopped.is_err());
        assert_eq!(versions.read(|place| place), before, "half a version is none");
    }
}
