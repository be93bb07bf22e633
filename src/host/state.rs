//! What a process holds of the kernel's lock, and who in it waits for more. Every step here is made under the
//! mutex of its lock (`turns`).

use crate::host::Fault;
use crate::host::directory::{Place, foreign};
use crate::host::file::HostFile;
use crate::host::page::{ABANDONED, Holder, Told};
use crate::host::recording::Recording;
use crate::host::shown::{command, died_before, own, show_reader};
use crate::host::turns::{Ask, Taken, Waiter};
use crate::host::wants::Wants;
use crate::local::departures::Caller;
use crate::name::ShortText;
use crate::recorder::is_on;
use crate::sync::{Arc, Ordering};
use crate::sys::file_lock::{KernelMode, Sleeper};
use crate::time::{self, Nanos};
use once_cell::sync::Lazy;
use std::collections::VecDeque;
use std::path::Path;

/// Removing a lock file is forbidden, and it is looked for all the same, but not more often than this: the look
/// costs half as much again as the lock itself.
const LOOK_EVERY: Nanos = Nanos(1_000_000);
/// How often a removed or damaged file is opened anew before that is an error.
const REOPENINGS: usize = 5;
/// On a single core the holder could not go on meanwhile.
static CORES: Lazy<usize> = Lazy::new(|| std::thread::available_parallelism().map_or(1, usize::from));

#[derive(Debug)]
pub struct State {
    pub(super) file: Option<Arc<HostFile>>,
    /// The mode in which the process has the kernel's lock, while `holds` is not empty.
    pub(super) mode: KernelMode,
    pub holds: Vec<Hold>,
    pub(super) last_hold: u32,
    pub queue: VecDeque<Waiter>,
    /// A thread is about to take, or waits for, the kernel's lock; or the one that asks looks on for a moment.
    pub has_thread: bool,
    /// The file at which other processes were told that this one waits.
    pub(super) announced: Option<Arc<HostFile>>,
    /// How often in a row looking on was in vain.
    pub(super) misses: u32,
    /// Where this process is shown as a shared holder.
    pub(super) reader: Option<usize>,
    /// When the file was last seen to be there still.
    pub(super) looked_at: Nanos,
    /// The highest token that this process has had.
    pub(super) highest: u64,
    /// The thread that sleeps in the kernel, and in which mode it asks.
    pub(super) sleeper: Option<(Sleeper, KernelMode)>,
    pub(super) wants: Wants,
    pub(super) recording: Recording,
}

/// How holds end.
pub enum End {
    Released,
    /// Their thread is gone.
    Abandoned,
    /// Nobody wanted them any more: whoever comes next is told what this one was told.
    Refused(Option<Box<Holder>>),
}

/// One grant to this process.
#[derive(Debug)]
pub struct Hold {
    pub id: u32,
    pub caller: Caller,
    pub died: Option<Box<Holder>>,
    pub token: u64,
    pub since: Nanos,
    pub label: ShortText,
}

impl State {
    pub(super) fn new(file: HostFile, path: &Path) -> Self {
        Self {
            file: Some(Arc::new(file)),
            mode: KernelMode::Exclusive,
            holds: Vec::new(),
            last_hold: 0,
            queue: VecDeque::new(),
            has_thread: false,
            announced: None,
            misses: 0,
            reader: None,
            looked_at: Nanos::NEVER,
            highest: 0,
            sleeper: None,
            wants: Wants::default(),
            recording: Recording::of(path),
        }
    }

    pub(super) fn open(&mut self, place: &Place) -> Result<Arc<HostFile>, Fault> {
        // What is held, or slept on, stays open, whatever has become of it: closing it would give the kernel's lock
        // back.
        if let Some(file) = self.file.as_ref().filter(|file| self.is_in_use() || !file.is_damaged()) {
            return Ok(file.clone());
        }
        let file = Arc::new(HostFile::open(place)?);
        // A file that was cut short has forgotten its count; what it counts only grows.
        file.page().token.fetch_max(self.highest, Ordering::Relaxed);
        self.file = Some(file.clone());
        Ok(file)
    }

    pub(super) fn is_in_use(&self) -> bool {
        !self.holds.is_empty() || self.has_thread
    }

    /// Whether the process may have it by what it knows itself, without the kernel.
    pub(super) fn may_join(&self, mode: KernelMode) -> bool {
        !self.holds.is_empty() && self.mode == KernelMode::Shared && mode == KernelMode::Shared
    }

    pub(super) fn take(&mut self, place: &Place, ask: &Ask, now: Nanos) -> Result<Option<Taken>, Fault> {
        if self.has_thread || !self.queue.is_empty() {
            return Ok(None);
        }
        if self.may_join(ask.mode) {
            let file = self.open(place)?;
            // A writer of another process would starve behind readers that follow one another here.
            return Ok((!file.is_damaged() && file.has_tokens_left() && !file.does_another_wait())
                .then(|| self.grant(&file, ask, Nanos(0), now)));
        }
        if !self.holds.is_empty() {
            return Ok(None);
        }
        if self.open(place)?.is_turn_of_others() {
            return Ok(None);
        }
        self.try_kernel(place, ask, now)
    }

    /// Asks the kernel, whoever else waits.
    pub(super) fn try_kernel(
        &mut self,
        place: &Place,
        ask: &Ask,
        now: Nanos,
    ) -> Result<Option<Taken>, Fault> {
        for _ in 0..REOPENINGS {
            let file = self.open(place)?;
            if !file.try_lock(ask.mode)? {
                return Ok(None);
            }
            if !file.has_tokens_left() {
                self.unlock(&file);
                return Err(foreign(&place.path()));
            }
            let is_fresh = now.since(self.looked_at) < LOOK_EVERY;
            if is_fresh || !self.is_lost(&file)? {
                return Ok(Some(self.grant(&file, ask, Nanos(0), now)));
            }
        }
        Err(place.removed_again())
    }

    /// Whether the file that was just locked is nobody's any more: then it is given back and forgotten.
    pub fn is_lost(&mut self, file: &Arc<HostFile>) -> Result<bool, Fault> {
        let lost = if file.is_damaged() { Ok(true) } else { file.is_gone() };
        match lost {
            Ok(false) => self.looked_at = time::now(),
            Ok(true) | Err(_) => {
                self.unlock(file);
                self.file = None;
            }
        }
        lost
    }

    /// Gives the kernel's lock back. Where the system will not, closing the file does.
    pub fn unlock(&mut self, file: &HostFile) {
        if !file.unlock() {
            self.file = None;
        }
    }

    /// Takes the first in line out, if the kernel's lock in that mode is for it.
    pub fn pop_waiter(&mut self, mode: KernelMode) -> Option<Waiter> {
        let has_room = mode == KernelMode::Shared || self.holds.is_empty();
        let fits = has_room && self.queue.front().is_some_and(|waiter| waiter.mode == mode);
        if fits { self.queue.pop_front() } else { None }
    }

    /// Notes a grant; the process has the kernel's lock.
    #[inline]
    pub fn grant(&mut self, file: &HostFile, ask: &Ask, waited: Nanos, since: Nanos) -> Taken {
        let page = file.page();
        // Relaxed: the kernel's lock orders exclusive holders, and shared ones only need numbers of their own.
        let token = page.token.fetch_add(1, Ordering::Relaxed) + 1;
        let died = died_before(&page.holder);
        let told = Told {
            thread: ask.caller.thread_id,
            since: since.system(),
            token,
            label: ask.label,
            command: command(),
        };
        if ask.mode == KernelMode::Exclusive {
            page.holder.write(&own(), &told);
        } else {
            // It stays until an exclusive holder was told: who only reads mends nothing.
            if self.holds.is_empty() {
                self.reader = show_reader(&page.readers, &told);
            }
        }
        if is_on() {
            self.tell_grant(ask, token, died.as_deref(), waited, since);
        }
        self.mode = ask.mode;
        self.highest = token;
        self.last_hold += 1;
        let (id, has_died) = (self.last_hold, died.is_some());
        self.holds.push(Hold { id, caller: ask.caller, died, token, since, label: ask.label });
        Taken { hold: id, token, since, died: has_died }
    }

    /// After the end of holds: with the last one the kernel's lock goes.
    pub(super) fn settle(&mut self, end: End) {
        if !self.holds.is_empty() {
            self.show_wants();
            return;
        }
        let Some(file) = self.file.clone() else { return };
        let page = file.page();
        if self.mode == KernelMode::Exclusive {
            match end {
                End::Released | End::Refused(None) => page.holder.clear(),
                // Release: pairs with the Acquire in `Record::read`.
                End::Abandoned => page.holder.state.store(ABANDONED, Ordering::Release),
                End::Refused(Some(died)) => page.holder.restore(&died),
            }
        } else if let Some(at) = self.reader.take() {
            page.readers[at].clear();
        }
        if page.contended.load(Ordering::Relaxed) != 0 {
            file.note_release();
        }
        self.unlock(&file);
    }

    /// Whether somebody waits whom no thread serves, and the process does not hold the lock itself.
    pub fn wants_thread(&mut self) -> bool {
        let wanted = !self.has_thread && self.holds.is_empty() && !self.queue.is_empty();
        if wanted {
            self.has_thread = true;
            self.announce();
        }
        wanted
    }

    /// Tells other processes at once that this one waits: its thread may take its time to run.
    pub(super) fn announce(&mut self) {
        if let (Some(file), None) = (&self.file, &self.announced) {
            file.begin_waiting();
            self.announced = Some(file.clone());
        }
    }

    /// Tells them that it does not wait any more.
    pub fn withdraw(&mut self) {
        if let Some(file) = self.announced.take() {
            file.end_waiting();
        }
    }

    /// Tells them that it waits for this very file.
    pub fn announce_at(&mut self, file: &Arc<HostFile>) {
        if !self.announced.as_ref().is_some_and(|announced| Arc::ptr_eq(announced, file)) {
            self.withdraw();
            file.begin_waiting();
            self.announced = Some(file.clone());
        }
    }

    /// Whether the one that asks may look on: it is alone, and it was worth it lately.
    pub(super) fn may_look_on(&mut self) -> Option<Arc<HostFile>> {
        let is_alone = !self.has_thread && self.queue.is_empty() && self.holds.is_empty();
        let file = self.file.clone().filter(|_| is_alone && *CORES > 1)?;
        if self.misses > 0 {
            self.misses -= 1;
            return None;
        }
        self.has_thread = true;
        self.announce();
        Some(file)
    }

    /// Says beside a hold what its holder waits for.
    pub fn add_want(&mut self, hold: u32, ticket: u64, path: String, since: u64) {
        if self.holds.iter().any(|held| held.id == hold) {
            self.wants.add(hold, ticket, path, since);
            self.show_wants();
        }
    }

    pub fn end_want(&mut self, ticket: u64) {
        if !self.wants.is_empty() {
            self.wants.end_wait(ticket);
            self.show_wants();
        }
    }

    pub(super) fn show_wants(&self) {
        let Some(file) = self.file.as_ref().filter(|_| !self.holds.is_empty()) else { return };
        match (self.mode, self.reader) {
            (KernelMode::Exclusive, _) => self.wants.show(&file.page().holder),
            (KernelMode::Shared, Some(at)) => self.wants.show(&file.page().readers[at]),
            (KernelMode::Shared, None) => {}
        }
    }

    /// Before the thread sleeps: whether what it waits for is wanted still.
    pub fn fall_asleep(&mut self, mode: KernelMode) -> bool {
        let is_wanted = self.queue.front().is_some_and(|waiter| waiter.mode == mode);
        self.sleeper = is_wanted.then(|| (Sleeper::this(), mode));
        is_wanted
    }

    pub fn wake_up(&mut self) {
        self.sleeper = None;
        self.withdraw();
    }
}
