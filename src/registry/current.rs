//! The word of an entry: which record is its state now, and what that state is. It is the one thing that is
//! swapped; whatever else there is to know lies in the record, which nobody changes while the word names it.
//!
//! | bits | meaning |
//! |---|---|
//! | 0–3 | 0 free · 1–5 the status · 6 arriving: not yet anybody's · 7 an arrival that somebody else has ended |
//! | 4–23 | the record's place |
//! | 24–63 | the version: larger with every change, so that no word of an entry ever comes again |

use crate::registry::status::Status;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Current(pub u64);

const FREE: u64 = 0;
const ARRIVING: u64 = 6;
const CANCELLED: u64 = 7;
const CODE_BITS: u32 = 4;
const RECORD_BITS: u32 = 20;

impl Current {
    fn code(self) -> u64 {
        self.0 & ((1 << CODE_BITS) - 1)
    }

    /// `None` for what nobody may see.
    #[inline]
    pub fn status(self) -> Option<Status> {
        Status::from_code(self.code())
    }

    #[inline]
    pub fn record(self) -> usize {
        (self.0 >> CODE_BITS) as usize & ((1 << RECORD_BITS) - 1)
    }

    pub fn is_arriving(self) -> bool {
        self.code() == ARRIVING
    }

    fn next(self, record: usize, code: u64) -> Self {
        let version = (self.0 >> (CODE_BITS + RECORD_BITS)).wrapping_add(1);
        Self(version << (CODE_BITS + RECORD_BITS) | (record as u64) << CODE_BITS | code)
    }

    pub fn with(self, record: usize, status: Status) -> Self {
        self.next(record, status as u64)
    }

    pub fn arriving(self, record: usize) -> Self {
        self.next(record, ARRIVING)
    }

    pub fn cancelled(self) -> Self {
        self.next(self.record(), CANCELLED)
    }

    pub fn free(self) -> Self {
        self.next(0, FREE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_another_word() {
        let word = Current::default();
        let arriving = word.arriving(17);
        assert!(arriving.is_arriving() && arriving.status().is_none() && arriving.record() == 17);
        let pending = arriving.with((1 << 20) - 1, Status::Pending);
        assert_eq!((pending.status(), pending.record()), (Some(Status::Pending), (1 << 20) - 1));
        let cancelled = arriving.cancelled();
        assert!(cancelled.status().is_none() && !cancelled.is_arriving() && cancelled.record() == 17);
        let steps = [
            word,
            arriving,
            pending,
            pending.with(5, Status::Pending),
            pending.free(),
            pending.free().free(),
        ];
        for (at, step) in steps.iter().enumerate() {
            assert!(steps[..at].iter().all(|earlier| earlier != step));
        }
        let last = Current(u64::MAX).with(1, Status::Failed);
        assert_eq!((last.status(), last.record()), (Some(Status::Failed), 1), "the version begins again");
    }
}
