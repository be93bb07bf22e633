//! A ring of records: one writer at a time, any number of readers, also from outside.
//!
//! Record n (counted from 1) lies at place (n − 1) mod N and carries n as its stamp. The writer takes the
//! stamp off before it changes the record and puts the new one on after, so that a reader who finds the
//! same stamp before and after has the whole record n; and nothing else.

use crate::name::ShortText;
use crate::sync::{AtomicU64, Field, Ordering, fence};
use crate::table::layout::{LAYERS, TextField};
use crate::time::Nanos;

/// What a record says happened, as a number. The numbers are part of the table's format.
pub trait Code: Copy + 'static {
    /// All there are.
    const ALL: &'static [Self];

    fn code(self) -> u64;

    fn from_code(code: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

/// What happened to a send lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    Acquired = 1,
    Released = 2,
    /// Refused because the lock was held.
    BlockedHeld = 3,
    BlockedCooldown = 4,
    BlockedDuplicateMessage = 5,
    /// Past its timeout.
    Overdue = 6,
    /// Taken away from a live holder.
    Forced = 7,
    /// Taken back from a thread that ended.
    Recovered = 8,
}

impl Code for Kind {
    const ALL: &'static [Self] = {
        use Kind::*;
        &[
            Acquired,
            Released,
            BlockedHeld,
            BlockedCooldown,
            BlockedDuplicateMessage,
            Overdue,
            Forced,
            Recovered,
        ]
    };

    fn code(self) -> u64 {
        self as u64
    }
}

/// One record, copied out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<K = Kind> {
    pub kind: K,
    pub at: Nanos,
    /// The grant concerned: the new one, the ended one, or the one in the way; 0 for none.
    pub token: u64,
    /// How long the grant had been held; `None` where that says nothing.
    pub held: Option<Nanos>,
    /// `worker_threads.threadId` of the one who acted or held.
    pub thread_id: u64,
    pub layer: ShortText,
    /// The layer's row in the table; of a named lock, see `named::event_row`.
    pub layer_row: u64,
    /// The holder in the way of a blocked one; the reason of a forced or recovered one.
    pub other: ShortText,
    /// The row of that holder; [`NO_ROW`] where `other` is no layer.
    pub other_row: u64,
}

/// Stands for "in no row of the layer table".
pub const NO_ROW: u64 = u64::MAX;
/// The row of the layer table that all layers share who came after it was full.
const SHARED_ROW: u64 = LAYERS as u64 - 1;

/// A record as it lies in the table.
#[repr(C)]
#[derive(Debug, Default)]
struct Place {
    stamp: Stamp,
    kind: Field,
    at: Field,
    token: Field,
    /// Nanoseconds + 1; 0 for none.
    held: Field,
    thread_id: Field,
    layer_row: Field,
    other_row: Field,
    layer: TextField,
    other: TextField,
}

impl Place {
    /// Whether the name of that row's layer lies here already, from the last record. A row of its own has
    /// one name for good; the last row is shared by many.
    #[inline]
    fn tells_of(&self, row: u64) -> bool {
        self.layer_row.get() == row && row < SHARED_ROW && self.stamp.0.load(Ordering::Relaxed) != 0
    }
}

#[repr(transparent)]
#[derive(Debug)]
struct Stamp(AtomicU64);

impl Default for Stamp {
    fn default() -> Self {
        Self(AtomicU64::new(0))
    }
}

#[repr(C)]
#[derive(Debug)]
pub struct Ring<const N: usize> {
    /// Records ever written; the newest carries this stamp.
    written: Field,
    places: [Place; N],
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self { written: Field::default(), places: std::array::from_fn(|_| Place::default()) }
    }
}

impl<const N: usize> Ring<N> {
    /// Appends. One writer at a time.
    #[inline]
    pub fn push<K: Code>(&self, record: &Record<K>) {
        let stamp = self.written.get() + 1;
        let place = &self.places[((stamp - 1) % N as u64) as usize];
        let is_told = place.tells_of(record.layer_row);
        place.stamp.0.store(0, Ordering::Relaxed);
        // Pairs with the acquire fence in `read`: who copied any of what follows sees the stamp gone.
        fence(Ordering::Release);
        place.kind.set(record.kind.code());
        place.at.set(record.at.0);
        place.token.set(record.token);
        place.held.set(record.held.map_or(0, |held| held.0.saturating_add(1)));
        place.thread_id.set(record.thread_id);
        place.layer_row.set(record.layer_row);
        place.other_row.set(record.other_row);
        if !is_told {
            place.layer.set(&record.layer);
        }
        place.other.set(&record.other);
        // Pairs with the Acquire load in `read`.
        place.stamp.0.store(stamp, Ordering::Release);
        self.written.set(stamp);
    }

    /// How many records were ever written.
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// Record `stamp`, or `None` when it is overwritten, being written, or not one of ours.
    pub fn read<K: Code>(&self, stamp: u64) -> Option<Record<K>> {
        let place = &self.places[(stamp.checked_sub(1)? % N as u64) as usize];
        // Acquire: pairs with the Release store that ends `push`.
        if place.stamp.0.load(Ordering::Acquire) != stamp {
            return None;
        }
        let kind = place.kind.get();
        let record = Record {
            kind: (),
            at: Nanos(place.at.get()),
            token: place.token.get(),
            held: place.held.get().checked_sub(1).map(Nanos),
            thread_id: place.thread_id.get(),
            layer: place.layer.get(),
            layer_row: place.layer_row.get(),
            other: place.other.get(),
            other_row: place.other_row.get(),
        };
        // Pairs with the release fence in `push`.
        fence(Ordering::Acquire);
        if place.stamp.0.load(Ordering::Relaxed) != stamp {
            return None;
        }
        let Record { kind: (), at, token, held, thread_id, layer, layer_row, other, other_row } = record;
        let kind = K::from_code(kind)?;
        Some(Record { kind, at, token, held, thread_id, layer, layer_row, other, other_row })
    }

    /// The row of record `stamp`, the rest unread; of another record, where that one is not there any more.
    pub fn row_of(&self, stamp: u64) -> u64 {
        self.places[(stamp.saturating_sub(1) % N as u64) as usize].layer_row.get()
    }

    /// How long the grants of the newest `most` records after `after` had been held, the texts unread.
    pub fn latest_held(&self, most: usize, after: u64) -> impl Iterator<Item = Nanos> + '_ {
        self.stamps(most, after).filter_map(|stamp| {
            let place = &self.places[((stamp - 1) % N as u64) as usize];
            place.held.get().checked_sub(1).map(Nanos)
        })
    }

    /// The stamps of the newest `most` records after `after`, oldest first.
    pub fn stamps(&self, most: usize, after: u64) -> std::ops::RangeInclusive<u64> {
        let written = self.written();
        (written.saturating_sub(most.min(N) as u64)).max(after) + 1..=written
    }

    /// The newest `most` records after record `after`, oldest first.
    pub fn latest<K: Code>(&self, most: usize, after: u64) -> impl Iterator<Item = Record<K>> + '_ {
        self.stamps(most, after).filter_map(|stamp| self.read(stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn record(token: u64) -> Record {
        Record {
            kind: Kind::Released,
            at: Nanos(token * 10),
            token,
            held: Some(Nanos(token)),
            thread_id: 0,
            layer: ShortText::cut("layer"),
            layer_row: 0,
            other: ShortText::default(),
            other_row: NO_ROW,
        }
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let ring = Ring::<4>::default();
        for token in 1..=6 {
            ring.push(&record(token));
        }
        assert_eq!(ring.read::<Kind>(2), None, "overwritten");
        assert_eq!(ring.read(3), Some(record(3)));
        assert_eq!(ring.read::<Kind>(7), None, "not yet written");
        let latest: Vec<u64> = ring.latest::<Kind>(10, 0).map(|r| r.token).collect();
        assert_eq!(latest, [3, 4, 5, 6]);
        let after: Vec<u64> = ring.latest::<Kind>(10, 5).map(|r| r.token).collect();
        assert_eq!(after, [6]);
    }

    #[test]
    fn a_shorter_text_leaves_nothing_of_a_longer_one() {
        let field = TextField::default();
        field.set(&ShortText::cut("a long text of more than sixteen bytes"));
        field.set(&ShortText::cut("short"));
        assert_eq!(field.get(), ShortText::cut("short"));
    }
}
