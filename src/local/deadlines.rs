//! When those who wait give up, the next one first.
//!
//! A heap from which nobody is taken before his time: who has left is only counted, and skipped when his time
//! comes. Most requests are granted long before, and then nothing is searched for. When more have left than
//! wait, all who have left are thrown out.

use crate::local::claim::Claims;
use crate::time::Nanos;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// So few are never worth throwing out.
const FEW: usize = 64;

#[derive(Debug, Default)]
pub struct Deadlines {
    /// By deadline and ticket. A ticket is never given twice: one that waits no more is seen to have left.
    heap: BinaryHeap<Reverse<(Nanos, u64)>>,
    /// How many of them still wait.
    waiting: usize,
}

impl Deadlines {
    pub fn add(&mut self, deadline: Nanos, ticket: u64) {
        self.heap.push(Reverse((deadline, ticket)));
        self.waiting += 1;
    }

    /// One of them waits no more: granted, or gone. To be called when `claims` knows it.
    #[inline]
    pub fn left(&mut self, claims: &Claims) {
        self.waiting -= 1;
        if self.waiting == 0 {
            self.heap.clear();
        }
        if self.heap.len() > FEW.max(2 * self.waiting) || self.heap.capacity() > FEW && self.heap.is_empty() {
            self.throw_out(claims);
        }
    }

    #[cold]
    fn throw_out(&mut self, claims: &Claims) {
        self.heap.retain(|Reverse((_, ticket))| claims.waiting(*ticket).is_some());
        if self.heap.capacity() > FEW.max(4 * self.heap.len()) {
            self.heap.shrink_to(FEW.max(2 * self.heap.len()));
        }
    }

    /// The next whose time is up, and who still waits. It is not in here any more, but counts until it has
    /// left.
    pub fn pop_late(&mut self, now: Nanos, claims: &Claims) -> Option<u32> {
        while self.next() <= now {
            let Reverse((_, ticket)) = self.heap.pop()?;
            if let Some(slot) = claims.waiting(ticket) {
                return Some(slot);
            }
        }
        None
    }

    /// No later than when the next one gives up; earlier, when that one has left.
    #[inline]
    pub fn next(&self) -> Nanos {
        self.heap.peek().map_or(Nanos::FOREVER, |Reverse((deadline, _))| *deadline)
    }

    /// Those who wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    #[cfg(test)]
    pub fn has(&self, deadline: Nanos, ticket: u64) -> bool {
        self.heap.iter().any(|Reverse(each)| *each == (deadline, ticket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_of_those_who_left() {
        let mut deadlines = Deadlines::default();
        let claims = Claims::default();
        for ticket in 0..10_000 {
            deadlines.add(Nanos(ticket), ticket);
        }
        (0..9_990).for_each(|_| deadlines.left(&claims));
        assert!(deadlines.heap.capacity() <= 2 * FEW, "a crowd that has left costs nothing");
        (0..10).for_each(|_| deadlines.left(&claims));
        assert_eq!((deadlines.len(), deadlines.next()), (0, Nanos::FOREVER));
    }
}
