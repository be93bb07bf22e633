//! Changing: a new state is written where nobody looks, and swapped in.

use crate::registry::current::Current;
use crate::registry::entry::{Entry, Patch};
use crate::registry::index::Key;
use crate::registry::layout::{ENTRIES, ID, RECORDS, Registry};
use crate::registry::status::{Refused, Status};
use crate::registry::text::Text;
use crate::sync::{Ordering, fence};
use crate::time::Nanos;
use std::collections::BinaryHeap;

/// How many finished processes go at once when there is no place: looking for them takes a walk over all.
const EVICTED_AT_ONCE: usize = 64;

/// Why a finished process is what it is when its thread has ended.
pub const THREAD_EXIT: &str = "thread_exit";

impl Registry {
    /// Registers a process as pending. `new` is its description, and then its first state. Tells of each finished
    /// process that had to go for it.
    pub fn register(&self, new: &mut Entry, now: Nanos, gone: impl FnMut(&Entry)) -> Result<(), Refused> {
        let id = new.id;
        let key = self.key(&id);
        if self.find(&key).is_some() {
            return Err(Refused::DuplicateId);
        }
        let place = self.take_entry(gone)?;
        let Some(record) = self.take_record() else {
            self.give_entry(place);
            return Err(Refused::Full);
        };
        let change = self.next_change();
        self.records[record].begin(new, change, now);
        let arriving = self.current(place).arriving(record);
        // Release: pairs with the Acquire in `current`.
        self.entries[place].current.store(arriving.0, Ordering::Release);
        let entered = self.enter(&key, place);
        let may_stay = entered && self.is_first(&key, place);
        // Once it is there, anybody may change it.
        self.records[record].copy_to(new);
        new.status = Some(Status::Pending);
        if may_stay && self.swap(place, arriving, arriving.with(record, Status::Pending)) {
            return Ok(());
        }
        self.withdraw(&key, place, record);
        Err(if entered { Refused::DuplicateId } else { Refused::Full })
    }

    /// Whether an arrival may stay: of several with one id, the one that comes first in the index ends the
    /// arrivals of those behind it, and gives way to whoever is there already.
    fn is_first(&self, key: &Key, place: usize) -> bool {
        let mut is_behind = false;
        self.candidates(key).all(|other| {
            if other == place {
                is_behind = true;
                return true;
            }
            loop {
                let current = self.current(other);
                if current.status().is_none() && !current.is_arriving() {
                    return true;
                }
                let is_same = self.records[current.record()].id.is(key.len, key.words);
                if !self.is_still(other, current) {
                    continue;
                }
                if !is_same {
                    return true;
                }
                if !current.is_arriving() || !is_behind {
                    return false;
                }
                if self.swap(other, current, current.cancelled()) {
                    return true;
                }
            }
        })
    }

    /// Takes back an arrival that did not come to stay.
    fn withdraw(&self, key: &Key, place: usize, record: usize) {
        loop {
            // Another may be ending it at this moment.
            let current = self.current(place);
            if self.swap(place, current, current.free()) {
                break;
            }
        }
        self.strike(key, place);
        self.give_record(record);
        self.give_entry(place);
    }

    /// Changes the process with that id; `into` is its new state.
    pub fn change(&self, id: &Text<ID>, patch: &Patch, now: Nanos, into: &mut Entry) -> Result<(), Refused> {
        let key = self.key(id);
        let mut spare = None;
        loop {
            let found = self.find(&key).ok_or(Refused::UnknownId);
            match found.and_then(|(place, current)| self.step(place, current, patch, now, &mut spare, into)) {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(refused) => {
                    spare.into_iter().for_each(|record| self.give_record(record));
                    return Err(refused);
                }
            }
        }
    }

    /// One attempt to change what the word names; false when somebody was quicker.
    fn step(
        &self,
        place: usize,
        current: Current,
        patch: &Patch,
        now: Nanos,
        spare: &mut Option<usize>,
        into: &mut Entry,
    ) -> Result<bool, Refused> {
        let Some(before) = current.status() else { return Ok(false) };
        let status = before.after(patch.status)?;
        let record = match *spare {
            Some(record) => record,
            None => *spare.insert(self.take_record().ok_or(Refused::Full)?),
        };
        // What is copied from a state that is gone by now is thrown away: the swap fails.
        let new = &self.records[record];
        new.follow(&self.records[current.record()], patch, status, self.next_change(), now);
        new.copy_to(into);
        (into.status, into.before) = (Some(status), Some(before));
        if !self.swap(place, current, current.with(record, status)) {
            return Ok(false);
        }
        *spare = None;
        self.give_record(current.record());
        Ok(true)
    }

    /// Removes the process with that id; its last state, where there was one.
    pub fn remove(&self, id: &Text<ID>) -> Option<Entry> {
        let key = self.key(id);
        let mut last = Entry::default();
        loop {
            let (place, current) = self.find(&key)?;
            self.records[current.record()].copy_to(&mut last);
            last.status = current.status();
            if self.take_out(place, current, &key) {
                return Some(last);
            }
        }
    }

    /// Removes every finished process; tells of each.
    pub fn clear_finished(&self, mut told: impl FnMut(&Entry)) -> usize {
        let mut last = Entry::default();
        let mut count = 0;
        for place in self.places() {
            let Some((finished, current)) = self.look(place, |record, status| {
                record.copy_to(&mut last);
                status.is_finished()
            }) else {
                continue;
            };
            if finished && self.take_out(place, current, &self.key(&last.id)) {
                last.status = current.status();
                told(&last);
                count += 1;
            }
        }
        count
    }

    /// A thread has ended: what it has registered and not finished has failed. Tells of each.
    pub fn depart(&self, owner: u64, now: Nanos, mut told: impl FnMut(&Entry)) {
        let reason = Some(Text::cut(THREAD_EXIT));
        let patch = Patch { reason, ..Patch::to(Status::Failed) };
        let mut spare = None;
        let mut last = Entry::default();
        for place in self.places() {
            while let Some((true, current)) =
                self.look(place, |record, status| record.owner.get() == owner && !status.is_finished())
            {
                match self.step(place, current, &patch, now, &mut spare, &mut last) {
                    Ok(false) => {}
                    Ok(true) => told(&last),
                    Err(_) => break,
                }
            }
        }
        spare.into_iter().for_each(|record| self.give_record(record));
    }

    /// Swaps the entry's word; false when it was another one already.
    fn swap(&self, place: usize, from: Current, to: Current) -> bool {
        let word = &self.entries[place].current;
        // Release: pairs with the Acquire in `current`. Acquire: pairs with the Release of the swap before it, so
        // that the record that goes back to the pool goes back after all that was done with it.
        word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes an entry out, if it still has that word.
    fn take_out(&self, place: usize, current: Current, key: &Key) -> bool {
        if !self.swap(place, current, current.free()) {
            return false;
        }
        self.strike(key, place);
        self.give_record(current.record());
        self.give_entry(place);
        true
    }

    fn next_change(&self) -> u64 {
        self.header.changes.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn take_record(&self) -> Option<usize> {
        let taken = self.header.free_records.take(RECORDS, |record| &self.records[record].below);
        // Pairs with the acquire fence in `is_still`: who sees a word that is written from here on sees that the
        // entry, which had this record before, no longer names it.
        fence(Ordering::Release);
        taken
    }

    fn give_record(&self, record: usize) {
        self.header.free_records.give(record, &self.records[record].below);
    }

    fn give_entry(&self, place: usize) {
        self.header.free_entries.give(place, &self.entries[place].below);
    }

    /// A place for a new process. Where there is none, the oldest finished ones go.
    fn take_entry(&self, mut gone: impl FnMut(&Entry)) -> Result<usize, Refused> {
        loop {
            let taken = self.header.free_entries.take(ENTRIES, |place| &self.entries[place].below);
            match taken {
                Some(place) => return Ok(place),
                None if self.evict(&mut gone) => {}
                None => return Err(Refused::Full),
            }
        }
    }

    /// Takes out the oldest finished processes; whether there were any.
    fn evict(&self, gone: &mut impl FnMut(&Entry)) -> bool {
        let mut oldest = BinaryHeap::with_capacity(EVICTED_AT_ONCE + 1);
        for place in self.places() {
            let ended =
                self.look(place, |record, status| status.is_finished().then(|| record.ended_at.get()));
            if let Some((Some(ended), _)) = ended {
                oldest.push((ended, place));
                if oldest.len() > EVICTED_AT_ONCE {
                    oldest.pop();
                }
            }
        }
        let found = !oldest.is_empty();
        let mut last = Entry::default();
        for (ended, place) in oldest {
            let current = self.look(place, |record, _| record.copy_to(&mut last));
            // It may be another process by now.
            if let Some((_, current)) = current.filter(|_| last.ended_at.0 == ended)
                && self.take_out(place, current, &self.key(&last.id))
            {
                last.status = current.status();
                gone(&last);
            }
        }
        found
    }
}
