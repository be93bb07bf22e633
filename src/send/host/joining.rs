//! How a process joins: the file is opened or made, the process takes its place, the book is the file's from now.

use super::fault::Fault;
use super::image::{self, Era};
use super::life::Watcher;
use super::place::{self, Place, pipe_name};
use super::store::MOST_MEMBERS;
use super::{FIRST_ROW, Home, Inside};
use crate::local::departures::ProcessId;
use crate::name::ShortText;
use crate::send::book::{Book, Member};
use crate::send::dedup::Sent;
use crate::send::layers::{Layer, Layers};
use crate::send::lock::{HolderView, SendLock, Which, known};
use crate::sync::{Mutex, StaticU64};
use crate::sys::host_file::Watch;
use crate::sys::process;
use crate::table::layout::{HostPage, SendPage};
use crate::table::memory::host_page;
use crate::time::Nanos;
use std::path::PathBuf;

impl SendLock {
    /// Shares the lock of that name with all processes of the user, from now on. `None` when this process does so
    /// already. The caller's own settings count only when it is the first.
    pub fn join_host(&self, name: &str, listens: bool, now: Nanos) -> Result<Option<Watcher>, Fault> {
        let mut book = self.book.lock();
        if let Some(home) = self.home.get() {
            let to = &home.name;
            return if to == name {
                Ok(None)
            } else {
                Err(Fault::scope(format!(
                    "this process shares the lock '{to}' already; it cannot change to another"
                )))
            };
        }
        if book.holder.is_some() || !book.queue.is_empty() {
            let message = "somebody of this process holds the send lock or waits for it; set the scope before it is used";
            return Err(Fault::scope(message.into()));
        }
        let (home, watch, theirs) = Home::join(place::open(name)?, name, &book, ProcessId::this(), now)?;
        let recording = std::mem::take(&mut book.recording);
        *book = Book { recording, ..theirs };
        // Under the book's mutex: nobody is inside of an operation, and the next one sees the home.
        let _ = self.home.set(home);
        drop(book);
        tell_of_joining(self, listens, now);
        Ok(Some(Watcher::new(watch)))
    }

    /// Whether other processes may share this lock.
    pub fn is_shared(&self) -> bool {
        self.home.get().is_some()
    }

    /// What was last wrong with the state that processes share, and where it lies.
    pub fn fault(&self) -> Option<(PathBuf, Option<Fault>)> {
        self.home.get().map(Home::fault)
    }

    /// The number under which the first layer row is told.
    #[inline]
    pub fn first_row(&self) -> usize {
        if self.home.get().is_some() { FIRST_ROW } else { 0 }
    }

    /// The number under which a holder's layer row is told.
    #[inline]
    pub fn row_of(&self, holder: &HolderView) -> usize {
        self.first_row() + holder.layer_row
    }

    #[inline(always)]
    pub(in crate::send) fn meant<'a>(&'a self, which: Which<'a>) -> Which<'a> {
        match self.home.get() {
            Some(home) => home.meant(which),
            None => which,
        }
    }

    /// The name of a layer by its number, also by one from before the lock was shared.
    pub fn layer_name(&self, row: usize) -> ShortText {
        let own = |row: usize| self.page().layers.0.get(row).map_or(ShortText::EMPTY, |row| row.name.get());
        match self.home.get() {
            Some(home) if row < FIRST_ROW => home.old_layer(row).copied().unwrap_or(ShortText::EMPTY),
            Some(_) => own(row - FIRST_ROW),
            None => own(row),
        }
    }

    /// The layer of a number, if it may ask.
    #[inline(always)]
    pub(in crate::send) fn numbered(&self, book: &mut Book, page: &SendPage, row: usize) -> Option<Layer> {
        match self.home.get() {
            None => book.layers.numbered(row),
            Some(home) => home.numbered(book, page, row),
        }
    }
}

/// The first operation: writes the new member, and lets the others know of it.
fn tell_of_joining(lock: &SendLock, listens: bool, now: Nanos) {
    let done = lock.set_listening(listens, now);
    if done.unavailable {
        return;
    }
    let Some(home) = lock.home.get() else { return };
    let members = lock.look(|book, _| book.processes.clone());
    members.iter().filter(|member| member.process != home.me.process).for_each(|member| home.wake(member));
}

/// Which boot and which clock this process goes by.
pub(super) fn era_now() -> Era {
    let own = process::own();
    let [high, low] = own.boot.map(u128::from);
    Era { boot: high << 64 | low, time_namespace: own.time_namespace }
}

impl Home {
    #[cold]
    fn numbered(&self, book: &mut Book, page: &SendPage, row: usize) -> Option<Layer> {
        match row.checked_sub(FIRST_ROW) {
            Some(row) => book.layers.numbered(row),
            None => known(book, page, self.old_layer(row)),
        }
    }

    /// Takes a place among those who share the lock, and makes the book theirs.
    pub(super) fn join(
        place: Place,
        name: &str,
        own: &Book,
        process: ProcessId,
        now: Nanos,
    ) -> Result<(Self, Watch, Book), Fault> {
        let Place { directory, store, path } = place;
        let era = era_now();
        wait_for(|| Ok(store.file.try_lock()?))?;
        let unlock = Unlock(&store);
        let slot = store.begin_life()?.ok_or_else(|| {
            Fault::scope(format!("{MOST_MEMBERS} processes share the lock already; no more can"))
        })?;
        directory.make_pipe(&pipe_name(name, slot))?;
        let watch = directory.watch(&pipe_name(name, slot))?;
        let page = open_state(&store, own, era, now)?;
        let me = Member { process, slot, pid_namespace: process::own().pid_namespace, listens: false };
        let old_layers = own.layers.met.iter().map(|(name, _)| *name).collect();
        drop(unlock);
        let home = Home {
            name: name.into(),
            path,
            directory,
            store,
            page,
            era,
            me,
            old_layers,
            inside: Mutex::new(Inside::default()),
            refused: StaticU64::new(0),
            #[cfg(test)]
            dies_at: Mutex::new(None),
        };
        let mut theirs = Book::new();
        let done = home.change(&mut theirs, now, |book, page, effects, now| {
            // Whoever had the slot before is dead: it is ours.
            let before: Vec<ProcessId> =
                book.processes.iter().filter(|member| member.slot == slot).map(|m| m.process).collect();
            before.into_iter().for_each(|process| home.bury(process, book, page, now, effects));
            book.processes.push(me);
        });
        match (done.unavailable, home.fault().1) {
            (true, Some(fault)) => Err(fault),
            _ => Ok((home, watch, theirs)),
        }
    }
}

/// Looks for as long as an operation may take.
fn wait_for(mut is_so: impl FnMut() -> Result<bool, Fault>) -> Result<(), Fault> {
    for _ in 0..1_000 {
        if is_so()? {
            return Ok(());
        }
        std::thread::sleep(Nanos(1_000_000).duration());
    }
    Err(Fault::busy())
}

struct Unlock<'a>(&'a super::Store);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        self.0.file.unlock();
    }
}

/// Makes the state, if there is none or it is of another boot, and maps the page.
fn open_state(store: &super::Store, own: &Book, era: Era, now: Nanos) -> Result<&'static HostPage, Fault> {
    let mut first = None;
    if store.is_made()? {
        let page = mapped(store)?;
        let newest =
            store.newest(page.intent.get() != 0)?.ok_or_else(|| Fault::damaged("it has no state"))?;
        let found =
            image::decode(&store.payload(newest)?).ok_or_else(|| Fault::damaged("its bytes were changed"))?;
        if found.era == era {
            return Ok(page);
        }
        if found.era.boot == era.boot {
            let message = "a process in another time namespace made it: their clocks cannot be compared; give the lock another name";
            return Err(Fault::foreign(message));
        }
        // Nobody of that boot is left: only the settings and the tokens go on.
        first = Some((newest.sequence, found.book));
    }
    store.make_room()?;
    store.wipe()?;
    let page = mapped(store)?;
    // Whoever dies from here on leaves something to be done again.
    page.intent.set(1);
    let (sequence, old) = first.unwrap_or_else(|| (1, fresh(own)));
    let book = Book {
        settings: old.settings,
        layers: old.layers,
        last_token: old.last_token,
        sent: Sent::default(),
        latest: now,
        ..Book::new()
    };
    store.commit(sequence + 1, &image::encode(era, &book, 0), |_| Ok(()))?;
    store.finish()?;
    Ok(page)
}

/// What the first process brings with it.
fn fresh(own: &Book) -> Book {
    let layers = Layers {
        any: own.layers.any,
        met: own.layers.met.clone(),
        unnumbered: own.layers.unnumbered.clone(),
    };
    Book { settings: own.settings, layers, ..Book::new() }
}

fn mapped(store: &super::Store) -> Result<&'static HostPage, Fault> {
    host_page(&store.map()?).ok_or_else(|| Fault::damaged("it was cut off"))
}
