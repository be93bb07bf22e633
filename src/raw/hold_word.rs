//! The hold word: whether an exclusive lock is held, and by which grant, in 64 bits that anybody may read
//! at any time without a lock.
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | HELD: the token's grant holds the lock |
//! | 1 | OVERDUE: held longer than the timeout (only together with HELD) |
//! | 2–54 | the token of the present grant, or of the last one when the lock is free |
//!
//! | word | state |
//! |---|---|
//! | token 0, no bit | free, never granted |
//! | token t, no bit | free; t was the last grant |
//! | token t, HELD | held by grant t |
//! | token t, HELD + OVERDUE | held by grant t, past its timeout |
//!
//! Tokens only grow, so a word never comes back to an earlier value of "held by t": one load answers
//! "does t still hold?" for ever. Only the thread inside the lock's mutex writes; readers are many.

use crate::sync::{AtomicU64, Ordering};

const HELD: u64 = 1;
const OVERDUE: u64 = 1 << 1;
const TOKEN_SHIFT: u32 = 2;
/// The largest token: JavaScript's largest safe integer.
pub const MAX_TOKEN: u64 = (1 << 53) - 1;

/// A value of the word, with a predicate for every bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldState(u64);

impl HoldState {
    pub fn free(last_token: u64) -> Self {
        Self(last_token << TOKEN_SHIFT)
    }

    pub fn held(token: u64) -> Self {
        Self(token << TOKEN_SHIFT | HELD)
    }

    pub fn overdue(self) -> Self {
        Self(self.0 | OVERDUE)
    }

    #[inline]
    pub fn is_held(self) -> bool {
        self.0 & HELD != 0
    }

    #[inline]
    pub fn is_held_by(self, token: u64) -> bool {
        self.is_held() && self.token() == token
    }

    #[inline]
    pub fn is_overdue(self) -> bool {
        self.0 & OVERDUE != 0
    }

    #[inline]
    pub fn token(self) -> u64 {
        self.0 >> TOKEN_SHIFT
    }
}

/// The word itself.
#[repr(transparent)]
#[derive(Debug)]
pub struct HoldWord(AtomicU64);

impl HoldWord {
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Acquire: pairs with the Release in [`Self::write`], so that whoever sees a grant sees what was
    /// written before it, and whoever sees a release sees what the holder wrote.
    #[inline]
    pub fn read(&self) -> HoldState {
        HoldState(self.0.load(Ordering::Acquire))
    }

    /// Release: pairs with the Acquire in [`Self::read`]. Called only by the one writer that is inside
    /// the lock's mutex.
    #[inline]
    pub fn write(&self, state: HoldState) {
        self.0.store(state.0, Ordering::Release);
    }
}

impl Default for HoldWord {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_table() {
        let free = HoldState::free(0);
        assert!(!free.is_held() && !free.is_held_by(0) && !free.is_overdue());
        let held = HoldState::held(MAX_TOKEN);
        assert!(held.is_held_by(MAX_TOKEN) && !held.is_held_by(1) && !held.is_overdue());
        let overdue = held.overdue();
        assert!(overdue.is_held_by(MAX_TOKEN) && overdue.is_overdue());
        assert_eq!(HoldState::free(MAX_TOKEN).token(), MAX_TOKEN);
        assert!(!HoldState::free(7).is_held_by(7), "a released token holds nothing");
    }
}
