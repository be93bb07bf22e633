//! The rows of claims: who is one of many, or has something to tell besides.

use crate::name::ShortText;
use crate::snapshot::named::LOOKS;
use crate::table::named::{CLAIMS, ClaimRow, NO_SLOT, NamedPage, PARTS};
use crate::time::Nanos;

/// The most that the rows of a page are read, whatever contradicts itself in it.
const MOST_LOOKS: usize = 16;

/// The row of a claim, copied. The copy is made while others write: it is quick, and only later made readable.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its place.
    pub at: u64,
    pub is_hold: bool,
    /// Whether it waits for the send lock.
    pub is_outside: bool,
    parts: [(u32, u64); PARTS],
    pub thread_row: u64,
    pub thread_id: u64,
    pub token: u64,
    pub arrival: u64,
    pub since: Nanos,
    pub deadline: Nanos,
    pub priority: i64,
    pub let_past: u64,
    pub upgrades: u64,
    inside: [i64; 2],
    label: ShortText,
}

impl Row {
    fn copy(at: u64, row: &ClaimRow) -> Option<Self> {
        let state = row.state.get();
        if state == 0 {
            return None;
        }
        let mut parts = [(NO_SLOT, 0); PARTS];
        for (part, field) in parts.iter_mut().zip(&row.part).take((row.parts.get() as usize).min(PARTS)) {
            *part = (field.get() as u32, field.get() >> 32);
        }
        Some(Self {
            at,
            is_hold: state == 2,
            is_outside: state == 3,
            parts,
            thread_row: row.thread_row.get(),
            thread_id: row.thread_id.get(),
            token: row.token.get(),
            arrival: row.arrival.get(),
            since: Nanos(row.since.get()),
            deadline: Nanos(row.deadline.get()),
            priority: row.priority.get() as i64,
            let_past: row.let_past.get(),
            upgrades: row.upgrades.get(),
            inside: [row.inside[0].get() as i64, row.inside[1].get() as i64],
            label: row.label.get(),
        })
    }

    pub fn label(&self) -> Option<String> {
        (!self.label.is_empty()).then(|| self.label.to_text())
    }

    /// The holds inside of which it was made, by token.
    pub fn inside(&self) -> Vec<i64> {
        self.inside.into_iter().filter(|token| *token != 0).collect()
    }
}

/// All rows that are in use, and which of them are of which slot.
#[derive(Debug, Default)]
pub struct Rows {
    /// In the order of their places.
    pub rows: Vec<Row>,
    /// Slots and indices of rows, sorted.
    by_slot: Vec<(u32, u32)>,
    /// How often they were read again.
    looks: usize,
}

impl Rows {
    pub fn read(page: &NamedPage) -> Self {
        let mut all = Self::default();
        let end = (page.claims_end.get() as usize).min(CLAIMS);
        for (at, row) in page.claims[..end].iter().enumerate() {
            // Most are free: one look is enough for them.
            if row.state.get() == 0 {
                continue;
            }
            let copy = (0..LOOKS).find_map(|_| row.sequence.read(|| Row::copy(at as u64, row)));
            all.rows.extend(copy.flatten());
        }
        for (index, row) in all.rows.iter().enumerate() {
            let slots = row.parts.iter().filter(|(slot, _)| *slot != NO_SLOT);
            all.by_slot.extend(slots.map(|(slot, _)| (*slot, index as u32)));
        }
        all.by_slot.sort_unstable();
        all.by_slot.dedup();
        all
    }

    /// Reads them again; false when that was done often enough.
    pub fn read_again(&mut self, page: &NamedPage) -> bool {
        let looks = self.looks + 1;
        if looks > MOST_LOOKS {
            return false;
        }
        *self = Self { looks, ..Self::read(page) };
        true
    }

    /// The row in that place, if it still is that of a hold with that token, or of a waiter with that arrival.
    pub fn of(&self, at: u64, is_hold: bool, number: u64) -> Option<&Row> {
        let row = &self.rows[self.rows.binary_search_by_key(&at, |row| row.at).ok()?];
        let own = if is_hold { row.token } else { row.arrival };
        (row.is_hold == is_hold && own == number).then_some(row)
    }

    /// The holders or the waiters of a slot, each with what it asks for.
    pub fn in_slot(&self, slot: u32, is_hold: bool) -> impl Iterator<Item = (&Row, u64)> {
        let first = self.by_slot.partition_point(|(other, _)| *other < slot);
        let its = self.by_slot[first..].iter().take_while(move |(other, _)| *other == slot);
        its.filter_map(move |(_, index)| {
            let row = Some(&self.rows[*index as usize]).filter(|row| row.is_hold == is_hold)?;
            let (_, weight) = row.parts.iter().find(|(part, _)| *part == slot)?;
            Some((row, *weight))
        })
    }
}
