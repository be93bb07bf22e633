//! The resources by name and by number. A name that nobody holds, waits for or has a handle of costs
//! nothing, except for the busiest [`KEPT`], whose statistics are kept.

use crate::local::claim::ALL;
use crate::local::resource::{Kind, Resource};
use crate::local::shown::Shown;
use crate::sync::Arc;
use std::collections::HashMap;

/// Free names whose statistics are kept.
pub const KEPT: usize = 1_000;
/// How many of them are looked at when one has to go (as Redis samples for its LFU eviction).
const SAMPLE: usize = 8;
/// So many entries are never worth giving back.
const SMALL: usize = 4_096;

/// The number of a resource, as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ref(pub u32);

/// How a caller names a resource: by number, or a read/write lock by name.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    Ref(Ref),
    Name(&'a [u16]),
}

#[derive(Debug)]
pub struct Entry {
    /// `None` for one that only its handle knows.
    pub name: Option<Arc<[u16]>>,
    pub kind: Kind,
    pub capacity: u64,
    pub handles: u32,
    live: Option<Box<Resource>>,
}

#[derive(Debug, Default)]
pub struct Names {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    locks: HashMap<Arc<[u16]>, Ref>,
    semaphores: HashMap<Arc<[u16]>, Ref>,
    /// The free names whose statistics are kept.
    kept: Vec<Ref>,
    /// Where the next sample begins.
    hand: usize,
    /// How many have gone since memory was last given back.
    gone: usize,
    /// Where the live ones are shown.
    pub shown: Shown,
}

impl Names {
    pub fn shown_on(shown: Shown) -> Self {
        Self { shown, ..Self::default() }
    }

    fn by_name(&self, kind: Kind) -> &HashMap<Arc<[u16]>, Ref> {
        match kind {
            Kind::ReadWrite => &self.locks,
            Kind::Semaphore => &self.semaphores,
        }
    }

    fn by_name_mut(&mut self, kind: Kind) -> &mut HashMap<Arc<[u16]>, Ref> {
        match kind {
            Kind::ReadWrite => &mut self.locks,
            Kind::Semaphore => &mut self.semaphores,
        }
    }

    pub fn find(&self, kind: Kind, name: &[u16]) -> Option<Ref> {
        self.by_name(kind).get(name).copied()
    }

    /// The resource of that name, made if there is none.
    pub fn find_or_make(&mut self, kind: Kind, name: Option<&[u16]>, capacity: u64) -> Ref {
        if let Some(found) = name.and_then(|name| self.find(kind, name)) {
            return found;
        }
        let name: Option<Arc<[u16]>> = name.map(Arc::from);
        let entry = Entry { name: name.clone(), kind, capacity, handles: 0, live: None };
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as u32
        });
        self.entries[number as usize] = Some(entry);
        if let Some(name) = name {
            self.by_name_mut(kind).insert(name, Ref(number));
        }
        Ref(number)
    }

    #[inline]
    pub fn resolve(&mut self, target: Target<'_>) -> Option<Ref> {
        match target {
            Target::Ref(at) => self.entry(at).map(|_| at),
            Target::Name(name) => Some(self.find_or_make(Kind::ReadWrite, Some(name), ALL)),
        }
    }

    /// The same without making any.
    pub fn look_up(&self, target: Target<'_>) -> Option<Ref> {
        match target {
            Target::Ref(at) => self.entry(at).map(|_| at),
            Target::Name(name) => self.find(Kind::ReadWrite, name),
        }
    }

    #[inline]
    pub fn entry(&self, at: Ref) -> Option<&Entry> {
        self.entries.get(at.0 as usize)?.as_ref()
    }

    pub fn entry_mut(&mut self, at: Ref) -> Option<&mut Entry> {
        self.entries.get_mut(at.0 as usize)?.as_mut()
    }

    #[inline]
    pub fn resource(&self, at: Ref) -> Option<&Resource> {
        self.entry(at)?.live.as_deref()
    }

    #[inline]
    pub fn resource_mut(&mut self, at: Ref) -> Option<&mut Resource> {
        self.entry_mut(at)?.live.as_deref_mut()
    }

    /// The resource, brought to life.
    #[inline]
    pub fn live(&mut self, at: Ref) -> Option<&mut Resource> {
        let Self { entries, shown, .. } = self;
        let entry = entries.get_mut(at.0 as usize)?.as_mut()?;
        let Entry { live, kind, name, capacity, .. } = entry;
        Some(live.get_or_insert_with(|| {
            Box::new(Resource::new(*kind, name.clone(), *capacity, shown.take(*kind, name.as_deref())))
        }))
    }

    /// The live resource, of which something changes that is shown when the step ends.
    pub fn changed(&mut self, at: Ref) -> Option<&mut Resource> {
        let Self { entries, shown, .. } = self;
        let live = entries.get_mut(at.0 as usize)?.as_mut()?.live.as_deref_mut()?;
        if live.slot.is_some() && !live.is_changed {
            live.is_changed = true;
            shown.changed.push(at);
        }
        Some(live)
    }

    pub fn name(&self, at: Ref) -> Option<&Arc<[u16]>> {
        self.entry(at)?.name.as_ref()
    }

    /// To be called when a resource may have become free: keeps its statistics or lets it go.
    #[inline]
    pub fn settle(&mut self, at: Ref) {
        let Some(entry) = self.entry(at) else { return };
        match &entry.live {
            Some(live) if !live.is_free() || live.kept.is_some() => {}
            Some(_) if entry.name.is_some() => self.keep(at),
            // One without a name has nobody who could ask for its statistics but its handle.
            Some(_) | None => self.let_go(at),
        }
    }

    /// Puts a free resource among the kept ones; when they are full, the least busy of a sample goes.
    #[cold]
    fn keep(&mut self, at: Ref) {
        if self.kept.len() < KEPT {
            let place = self.kept.len() as u32;
            self.kept.push(at);
            self.set_kept(at, Some(place));
            return;
        }
        let heat_of = |names: &Names, at: Ref| names.resource(at).map_or(0, |live| live.heat);
        let mut coldest = (u32::MAX, 0);
        for step in 0..SAMPLE {
            let place = (self.hand + step) % KEPT;
            let candidate = self.kept[place];
            let Some(live) = self.resource_mut(candidate) else { continue };
            let is_free = live.is_free();
            // Whoever was busy long ago cools down with every look; slowly, because names that are used once
            // each must not push those out that are used again and again.
            let heat = live.heat;
            live.heat = heat.saturating_sub(1 + heat / 64);
            if is_free && heat < coldest.0 {
                coldest = (heat, place);
            }
        }
        self.hand = (self.hand + SAMPLE) % KEPT;
        if coldest.0 > heat_of(self, at) {
            self.let_go(at);
            return;
        }
        let gone = std::mem::replace(&mut self.kept[coldest.1], at);
        self.set_kept(gone, None);
        self.set_kept(at, Some(coldest.1 as u32));
        self.let_go(gone);
    }

    fn set_kept(&mut self, at: Ref, place: Option<u32>) {
        if let Some(live) = self.resource_mut(at) {
            live.kept = place;
        }
    }

    /// Lets a free resource go: all of it, or all but the name and capacity that its handles stand on.
    fn let_go(&mut self, at: Ref) {
        let Self { entries, shown, .. } = self;
        let Some(entry) = entries.get_mut(at.0 as usize).and_then(Option::as_mut) else { return };
        // What a handle without a name has counted is nowhere else.
        if (entry.handles == 0 || entry.name.is_some())
            && let Some(live) = entry.live.take()
        {
            shown.give_back(live.slot);
        }
        if entry.handles > 0 {
            return;
        }
        let (kind, name) = (entry.kind, entry.name.take());
        self.entries[at.0 as usize] = None;
        self.free.push(at.0);
        if let Some(name) = name {
            self.by_name_mut(kind).remove(&name);
        }
        self.gone += 1;
        if self.entries.len() > SMALL && self.free.len() > self.entries.len() / 8 * 7 {
            self.shrink();
        }
    }

    /// After a crowd of names its memory goes back: the kept ones move to the front, and the end goes.
    #[cold]
    fn shrink(&mut self) {
        // Seldom enough that looking through all entries costs nothing, seen over all names.
        if self.gone < self.entries.len() / 64 {
            return;
        }
        self.gone = 0;
        self.free.sort_unstable_by(|one, other| other.cmp(one));
        let left: Vec<u32> = (0..self.kept.len()).filter_map(|place| self.move_kept(place)).collect();
        self.free.extend(left);
        let end = self.entries.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.entries.truncate(end);
        self.entries.shrink_to_fit();
        self.free.retain(|&number| (number as usize) < end);
        self.free.shrink_to_fit();
        self.locks.shrink_to_fit();
        self.semaphores.shrink_to_fit();
    }

    /// Gives a kept resource the lowest free number, if only its name leads to it. Answers the old one.
    fn move_kept(&mut self, place: usize) -> Option<u32> {
        let from = self.kept[place];
        let to = *self.free.last().filter(|&&to| to < from.0)?;
        let entry = self.entry(from)?;
        // What the present step has changed is shown by its number when the step ends.
        let is_bound =
            entry.handles > 0 || entry.live().is_none_or(|live| !live.is_free() || live.is_changed);
        let (kind, name) = (entry.kind, entry.name.clone().filter(|_| !is_bound)?);
        self.free.pop();
        self.entries[to as usize] = self.entries[from.0 as usize].take();
        self.by_name_mut(kind).insert(name, Ref(to));
        self.kept[place] = Ref(to);
        Some(from.0)
    }

    pub fn set_capacity(&mut self, at: Ref, capacity: u64) {
        let Some(entry) = self.entry_mut(at) else { return };
        entry.capacity = capacity;
        if let Some(live) = self.changed(at) {
            live.capacity = capacity;
        }
    }

    /// A handle was opened.
    pub fn hold_open(&mut self, at: Ref) {
        if let Some(entry) = self.entry_mut(at) {
            entry.handles += 1;
        }
    }

    /// A handle was closed.
    pub fn close(&mut self, at: Ref) {
        let Some(entry) = self.entry_mut(at) else { return };
        entry.handles = entry.handles.saturating_sub(1);
        if entry.handles > 0 {
            return;
        }
        if entry.live.as_ref().is_none_or(|live| live.is_free()) {
            self.settle(at);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Ref, &Entry)> {
        self.entries.iter().enumerate().filter_map(|(at, entry)| Some((Ref(at as u32), entry.as_ref()?)))
    }

    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Entry {
    pub fn live(&self) -> Option<&Resource> {
        self.live.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn use_once(names: &mut Names, number: u16, times: usize) {
        let at = names.find_or_make(Kind::ReadWrite, Some(&[number]), ALL);
        for _ in 0..times {
            let live = names.live(at).unwrap();
            live.take(0, 1, 1);
            live.give_back(0, 1, |_| false);
        }
        names.settle(at);
    }

    fn knows(names: &Names, number: u16) -> bool {
        names.find(Kind::ReadWrite, &[number]).is_some()
    }

    #[test]
    fn the_coldest_of_a_sample_goes() {
        let mut names = Names::default();
        (0..KEPT as u16).for_each(|number| use_once(&mut names, number, if number == 5 { 3 } else { 9 }));
        use_once(&mut names, 2_000, 4);
        assert!(knows(&names, 2_000) && !knows(&names, 5) && knows(&names, 4) && knows(&names, 6));
        // The next sample has nobody who is less busy.
        use_once(&mut names, 2_001, 4);
        assert!(!knows(&names, 2_001) && names.len() == KEPT);
        // As busy as the coldest is busy enough: it was used later.
        use_once(&mut names, 2_002, 9);
        assert!(knows(&names, 2_002) && names.len() == KEPT);
    }

    #[test]
    fn a_name_lives_as_long_as_its_last_handle() {
        let mut names = Names::default();
        assert!(names.is_empty());
        let at = names.find_or_make(Kind::Semaphore, Some(&[1]), 3);
        names.hold_open(at);
        names.hold_open(at);
        names.close(at);
        assert!(!names.is_empty() && names.find(Kind::Semaphore, &[1]) == Some(at));
        names.close(at);
        assert!(names.is_empty() && names.find(Kind::Semaphore, &[1]).is_none());
        // Without a name, what was counted stays with the handle.
        let at = names.find_or_make(Kind::ReadWrite, None, ALL);
        names.hold_open(at);
        names.live(at).unwrap();
        names.settle(at);
        assert!(names.resource(at).is_some());
        names.close(at);
        assert!(names.is_empty());
    }

    #[test]
    fn a_crowd_goes_and_the_kept_ones_move_to_the_front() {
        let mut names = Names::default();
        let all: Vec<Ref> =
            (0..20_000).map(|number| names.find_or_make(Kind::ReadWrite, Some(&[number]), ALL)).collect();
        let bound = all[19_000];
        names.hold_open(bound);
        all.iter().for_each(|&at| {
            names.live(at).unwrap();
        });
        all.iter().filter(|&&at| at != bound).for_each(|&at| names.settle(at));
        assert_eq!(names.find(Kind::ReadWrite, &[19_000]), Some(bound), "a handle keeps its number");
        (0..2_000).for_each(|number| use_once(&mut names, 30_000 + number, 1));
        assert!(names.entries.len() <= 19_001 && names.len() == KEPT + 1);
        let moved = names.kept.iter().filter(|at| at.0 < 2 * KEPT as u32).count();
        assert_eq!(moved, KEPT, "all behind no more than there are");
        names.close(bound);
        assert!(names.kept.iter().all(|&at| names.resource(at).is_some()));
    }

    #[test]
    fn what_is_to_be_shown_when_the_step_ends_is_not_moved_before() {
        let mut names = Names::shown_on(Shown::on(&crate::table::memory::ordinary_table().named));
        let make = |number| names.find_or_make(Kind::ReadWrite, Some(&[number]), ALL);
        let all: Vec<Ref> = (0..6_000).map(make).collect();
        let last = all[5_999];
        assert!(names.live(last).is_some() && names.changed(last).is_some());
        all.iter().rev().for_each(|&at| names.settle(at));
        assert!(names.gone < 5_999 && names.changed(last).is_some(), "it is where the step knows it");
    }
}
