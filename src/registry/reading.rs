//! Reading: nothing here writes, waits or allocates.

use crate::registry::current::Current;
use crate::registry::entry::Entry;
use crate::registry::index::Key;
use crate::registry::layout::{ENTRIES, ID, Record, Registry};
use crate::registry::status::Status;
use crate::registry::text::Text;
use crate::sync::{Ordering, fence};

impl Registry {
    /// The entry's word. Who acts on what it names comes after the change that made it.
    #[inline]
    pub fn current(&self, place: usize) -> Current {
        // Acquire: pairs with the Release of every exchange in `changing`: who sees the word sees the record.
        Current(self.entries[place].current.load(Ordering::Acquire))
    }

    /// Whether the entry still has that word: then what was copied of its record before this call is whole.
    #[inline]
    pub fn is_still(&self, place: usize, current: Current) -> bool {
        // Pairs with the release fence of whoever takes a record out of the pool.
        fence(Ordering::Acquire);
        self.entries[place].current.load(Ordering::Relaxed) == current.0
    }

    /// What `look` finds in the entry's state, and that state's word: all of one moment. `None` when nobody is
    /// registered there.
    #[inline]
    pub fn look<R>(&self, place: usize, mut look: impl FnMut(&Record, Status) -> R) -> Option<(R, Current)> {
        loop {
            let current = self.current(place);
            let status = current.status()?;
            let found = look(&self.records[current.record()], status);
            if self.is_still(place, current) {
                return Some((found, current));
            }
        }
    }

    /// The place of the process with that id, and its word of this moment.
    #[inline]
    pub fn find(&self, key: &Key) -> Option<(usize, Current)> {
        self.candidates(key).find_map(|place| {
            let (is_it, current) = self.look(place, |record, _| record.id.is(key.len, key.words))?;
            is_it.then_some((place, current))
        })
    }

    /// The status of the process with that id: all that is asked most.
    #[inline]
    pub fn status(&self, key: &Key) -> Option<Status> {
        self.find(key)?.1.status()
    }

    /// The state of an entry; false, and nothing of use in `into`, when nobody is registered there.
    #[inline]
    pub fn read(&self, place: usize, into: &mut Entry) -> bool {
        let status = self.look(place, |record, status| {
            record.copy_to(into);
            status
        });
        into.status = status.map(|(status, _)| status);
        into.status.is_some()
    }

    /// The state of the process with that id.
    #[inline]
    pub fn get(&self, id: &Text<ID>, into: &mut Entry) -> bool {
        let key = self.key(id);
        while let Some((place, _)) = self.find(&key) {
            // The place may be another process's by now.
            if self.read(place, into) && into.id.parts() == id.parts() {
                return true;
            }
        }
        false
    }

    /// Every place that may have an entry.
    pub fn places(&self) -> std::ops::Range<usize> {
        0..self.header.free_entries.used().min(ENTRIES)
    }
}
