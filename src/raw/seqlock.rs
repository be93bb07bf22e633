//! A sequence lock: one writer at a time (somebody else sees to that), any number of readers that never
//! make the writer wait, not even from another process.
//!
//! | sequence | meaning |
//! |---|---|
//! | even | at rest; the fields belong together |
//! | odd | a writer is inside; what a reader copies now is thrown away |
//!
//! After H.-J. Boehm, "Can seqlocks get along with programming language memory models?" (MSPC 2012): the
//! fields are relaxed atomics, the reader's copy is closed by an acquire fence, the writer's opening by a
//! release fence.

use crate::sync::{AtomicU64, Ordering, fence};

#[repr(transparent)]
#[derive(Debug)]
pub struct SeqLock(AtomicU64);

impl SeqLock {
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Runs `change` between two steps of the sequence. The caller is the only writer. When `change`
    /// unwinds, the sequence stays odd, and readers are turned away until the next change is complete.
    #[inline]
    pub fn write<R>(&self, change: impl FnOnce() -> R) -> R {
        let inside = self.0.load(Ordering::Relaxed) | 1;
        self.0.store(inside, Ordering::Relaxed);
        // Pairs with the acquire fence in `read`: a reader that saw a field of this change sees the odd
        // sequence when it looks again.
        fence(Ordering::Release);
        let result = change();
        // Pairs with the Acquire load in `read`: who sees the even sequence sees the whole change.
        self.0.store(inside.wrapping_add(1), Ordering::Release);
        result
    }

    /// One attempt to copy; `None` when a writer was inside at either end.
    #[inline]
    pub fn read<R>(&self, copy: impl FnOnce() -> R) -> Option<R> {
        // Acquire: pairs with the Release store that ends `write`.
        let before = self.0.load(Ordering::Acquire);
        if before % 2 == 1 {
            return None;
        }
        let result = copy();
        // Pairs with the release fence in `write`.
        fence(Ordering::Acquire);
        (self.0.load(Ordering::Relaxed) == before).then_some(result)
    }
}

impl Default for SeqLock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(any(feature = "loom", feature = "shuttle"))))]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_panicked_is_never_read_as_whole() {
        let lock = SeqLock::new();
        let panicked = std::panic::catch_unwind(|| lock.write(|| panic!("in the middle of a change")));
        assert!(panicked.is_err());
        assert_eq!(lock.read(|| 1), None);
        lock.write(|| assert_eq!(lock.read(|| 1), None, "the next writer is inside, too"));
        assert_eq!(lock.read(|| 1), Some(1));
    }
}
