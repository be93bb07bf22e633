//! The one door to atomics, mutexes and shared cells. Everything else imports them from here, so that
//! the same code runs on std, on loom (feature `loom`, every interleaving and reordering) and on
//! shuttle (feature `shuttle`, randomised schedules).
//!
//! Two kinds of shared value, and the difference matters:
//! * [`AtomicU64`] and friends carry an *ordering*: each Acquire names its Release in a comment.
//! * [`Field`] carries none: it is data that a lock or a seqlock orders. It is atomic only so that a
//!   reader in another process may look at it while it is being written.

#[cfg(feature = "loom")]
mod imp {
    pub use loom::sync::atomic::{AtomicU64, fence};
    pub use loom::sync::{Mutex, MutexGuard};
    pub type FieldWord = loom::sync::atomic::AtomicU64;
}

#[cfg(all(feature = "shuttle", not(feature = "loom")))]
mod imp {
    pub use shuttle::sync::atomic::{AtomicU64, fence};
    pub use shuttle::sync::{Mutex, MutexGuard};
    // Fields take no part in the protocol, so they need not be scheduling points.
    pub type FieldWord = std::sync::atomic::AtomicU64;
}

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod imp {
    pub use std::sync::atomic::{AtomicU64, fence};
    pub use std::sync::{Mutex, MutexGuard};
    pub type FieldWord = std::sync::atomic::AtomicU64;
}

pub use imp::{AtomicU64, MutexGuard, fence};
/// For statics: the model checkers' atomics cannot be made in a constant, and no protocol hangs on these.
pub use std::sync::atomic::AtomicU64 as StaticU64;
pub use std::sync::atomic::Ordering;
pub use std::sync::{Arc, Weak};

/// A mutex without poisoning: a panic under it must not stop the lock library for everybody else.
/// The critical sections are short, allocate little and call nothing foreign.
#[derive(Debug, Default)]
pub struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(feature = "stress")]
        return lock_in_sight(&self.0);
        #[cfg(not(feature = "stress"))]
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

/// ThreadSanitizer sees the fast path of std's mutex, which is compiled together with us, but not the slow
/// one: so nobody takes that.
#[cfg(feature = "stress")]
fn lock_in_sight<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    use std::sync::TryLockError;
    loop {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}

/// A 64-bit datum that somebody else orders (see the module's text).
#[repr(transparent)]
#[derive(Debug)]
pub struct Field(imp::FieldWord);

impl Field {
    pub fn new(value: u64) -> Self {
        Self(imp::FieldWord::new(value))
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds without an atomic read-modify-write: only the one writer that holds the lock calls it.
    #[inline]
    pub fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }
}

impl Default for Field {
    fn default() -> Self {
        Self::new(0)
    }
}
