//! One host lock in this process: what it holds of the kernel's lock, and who in it waits for more. All that is
//! done under the state's mutex takes microseconds; the one call that may wait is made without it (`threads`).

use crate::host::directory::Place;
use crate::host::file::HostFile;
use crate::host::page::{ABANDONED, Holder, Told};
use crate::host::shown::{command, died_before, own, show_reader};
use crate::host::{Fault, UNSAFE};
use crate::local::departures::Caller;
use crate::name::ShortText;
use crate::sync::{Arc, Mutex, Ordering};
use crate::sys::file_lock::KernelMode;
use crate::time::{self, Nanos};
use once_cell::sync::Lazy;
use std::collections::VecDeque;

/// Removing a lock file is forbidden, and it is looked for all the same, but not more often than this: the look
/// costs half as much again as the lock itself.
const LOOK_EVERY: Nanos = Nanos(1_000_000);
/// How long an asker looks on: about as long as waking two threads takes.
const PATIENCE: Nanos = Nanos(30_000);
/// After it has looked on in vain, so many wait at once.
const PAUSE: u32 = 8;
/// On a single core the holder could not go on meanwhile.
static CORES: Lazy<usize> = Lazy::new(|| std::thread::available_parallelism().map_or(1, usize::from));
/// How often a removed or damaged file is opened anew before that is an error.
const REOPENINGS: usize = 5;

#[derive(Debug)]
pub struct HostLock {
    pub place: Place,
    state: Mutex<State>,
}

#[derive(Debug)]
pub struct State {
    file: Option<Arc<HostFile>>,
    /// The mode in which the process has the kernel's lock, while `holds` is not empty.
    mode: KernelMode,
    pub holds: Vec<Hold>,
    last_hold: u32,
    pub queue: VecDeque<Waiter>,
    /// A thread is about to take, or waits for, the kernel's lock; or the one that asks looks on for a moment.
    pub has_thread: bool,
    /// The file at which other processes were told that this one waits.
    announced: Option<Arc<HostFile>>,
    /// How often in a row looking on was in vain.
    misses: u32,
    /// Where this process is shown as a shared holder.
    reader: Option<usize>,
    /// When the file was last seen to be there still.
    looked_at: Nanos,
    /// The highest token that this process has had.
    highest: u64,
}

/// One grant to this process.
#[derive(Debug)]
pub struct Hold {
    pub id: u32,
    pub caller: Caller,
    pub died: Option<Box<Holder>>,
}

#[derive(Clone, Copy, Debug)]
pub struct Waiter {
    pub ticket: u64,
    pub caller: Caller,
    pub mode: KernelMode,
    pub since: Nanos,
    pub label: ShortText,
}

/// A grant, as its asker is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub hold: u32,
    pub token: u64,
    pub since: Nanos,
    pub died: bool,
}

#[derive(Debug)]
pub enum Answer {
    Taken(Taken),
    /// Somebody holds, or waits.
    Held,
    Fault(Fault),
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub caller: Caller,
    pub mode: KernelMode,
    pub label: ShortText,
}

impl HostLock {
    pub fn new(place: Place, file: HostFile) -> Self {
        let state = State {
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
        };
        Self { place, state: Mutex::new(state) }
    }

    pub fn with<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        step(&mut self.state.lock())
    }

    /// The open file, opened anew where it was removed or damaged.
    pub fn file(&self) -> Result<Arc<HostFile>, Fault> {
        self.with(|state| state.open(&self.place))
    }

    /// Asks without waiting.
    #[inline]
    pub fn take(&self, ask: &Ask, now: Nanos) -> Answer {
        self.with(|state| match state.take(&self.place, ask, now) {
            Ok(Some(taken)) => Answer::Taken(taken),
            Ok(None) => Answer::Held,
            Err(fault) => Answer::Fault(fault),
        })
    }

    /// Asks, and where the lock is held looks on for a moment: waking a thread costs more than a short hold lasts.
    pub fn take_soon(&self, ask: &Ask, now: Nanos) -> Answer {
        let answer = self.take(ask, now);
        if !matches!(answer, Answer::Held) {
            return answer;
        }
        let Some(file) = self.with(State::may_look_on) else { return Answer::Held };
        let end = time::now().plus(PATIENCE);
        while (file.seems_held() || file.must_step_back()) && time::now() < end {
            std::hint::spin_loop();
        }
        let is_free = !file.seems_held() && !file.must_step_back();
        self.with(|state| {
            state.has_thread = false;
            state.withdraw();
            let taken = if is_free { state.try_kernel(&self.place, ask, time::now()) } else { Ok(None) };
            state.misses = if matches!(taken, Ok(Some(_))) { 0 } else { PAUSE };
            match taken {
                Ok(Some(taken)) => Answer::Taken(taken),
                Ok(None) => Answer::Held,
                Err(fault) => Answer::Fault(fault),
            }
        })
    }

    /// Gives a hold back; whether it was one. The second value: a thread is needed for those who wait.
    #[inline]
    pub fn release(&self, hold: u32) -> (bool, bool) {
        self.with(|state| {
            let Some(at) = state.holds.iter().position(|held| held.id == hold) else { return (false, false) };
            state.holds.swap_remove(at);
            state.settle(false);
            (true, state.wants_thread())
        })
    }

    /// Ends what a departed thread has held and waited for. Its data may be half-written, so whoever comes next
    /// is told. Answers the tickets that are gone, and whether a thread is needed.
    pub fn depart(&self, is_theirs: impl Fn(&Caller) -> bool) -> (Vec<u64>, bool) {
        self.with(|state| {
            let gone =
                state.queue.iter().filter(|waiter| is_theirs(&waiter.caller)).map(|waiter| waiter.ticket);
            let gone: Vec<u64> = gone.collect();
            state.queue.retain(|waiter| !is_theirs(&waiter.caller));
            let before = state.holds.len();
            state.holds.retain(|hold| !is_theirs(&hold.caller));
            if state.holds.len() != before {
                state.settle(true);
            }
            (gone, state.wants_thread())
        })
    }
}

impl State {
    fn open(&mut self, place: &Place) -> Result<Arc<HostFile>, Fault> {
        // What is held stays open, whatever has become of it: closing it would give the kernel's lock back.
        if let Some(file) = self.file.as_ref().filter(|file| !self.holds.is_empty() || !file.is_damaged()) {
            return Ok(file.clone());
        }
        let file = Arc::new(HostFile::open(place)?);
        // A file that was cut short has forgotten its count; what it counts only grows.
        file.page().token.fetch_max(self.highest, Ordering::Relaxed);
        self.file = Some(file.clone());
        Ok(file)
    }

    /// Whether the process may have it by what it knows itself, without the kernel.
    fn may_join(&self, mode: KernelMode) -> bool {
        !self.holds.is_empty() && self.mode == KernelMode::Shared && mode == KernelMode::Shared
    }

    fn take(&mut self, place: &Place, ask: &Ask, now: Nanos) -> Result<Option<Taken>, Fault> {
        if self.has_thread || !self.queue.is_empty() {
            return Ok(None);
        }
        if self.may_join(ask.mode) {
            let file = self.open(place)?;
            // A writer of another process would starve behind readers that follow one another here.
            return Ok((!file.is_damaged() && !file.does_another_wait()).then(|| self.grant(&file, ask, now)));
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
    fn try_kernel(&mut self, place: &Place, ask: &Ask, now: Nanos) -> Result<Option<Taken>, Fault> {
        for _ in 0..REOPENINGS {
            let file = self.open(place)?;
            if !file.try_lock(ask.mode)? {
                return Ok(None);
            }
            let is_fresh = now.since(self.looked_at) < LOOK_EVERY;
            if is_fresh || !self.is_lost(&file)? {
                return Ok(Some(self.grant(&file, ask, now)));
            }
        }
        Err(removed_again(place))
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
    pub fn grant(&mut self, file: &HostFile, ask: &Ask, since: Nanos) -> Taken {
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
            if died.is_some() {
                page.holder.clear();
            }
            if self.holds.is_empty() {
                self.reader = show_reader(&page.readers, &told);
            }
        }
        self.mode = ask.mode;
        self.highest = token;
        self.last_hold += 1;
        let (id, has_died) = (self.last_hold, died.is_some());
        self.holds.push(Hold { id, caller: ask.caller, died });
        Taken { hold: id, token, since, died: has_died }
    }

    /// After the end of holds: with the last one the kernel's lock goes.
    fn settle(&mut self, abandoned: bool) {
        if !self.holds.is_empty() {
            return;
        }
        let Some(file) = self.file.clone() else { return };
        let page = file.page();
        if self.mode == KernelMode::Exclusive {
            if abandoned {
                // Release: pairs with the Acquire in `Record::read`.
                page.holder.state.store(ABANDONED, Ordering::Release);
            } else {
                page.holder.clear();
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
    fn announce(&mut self) {
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
    fn may_look_on(&mut self) -> Option<Arc<HostFile>> {
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
    pub fn set_wants(&self, hold: u32, wants: Option<(&str, u64)>) {
        let Some(file) = self.file.as_ref().filter(|_| self.holds.iter().any(|held| held.id == hold)) else {
            return;
        };
        let page = file.page();
        match (self.mode, self.reader) {
            (KernelMode::Exclusive, _) => page.holder.set_wants(wants),
            (KernelMode::Shared, Some(at)) => page.readers[at].set_wants(wants),
            (KernelMode::Shared, None) => {}
        }
    }
}

pub fn removed_again(place: &Place) -> Fault {
    Fault::new(
        UNSAFE,
        &place.path(),
        "somebody keeps on removing the lock file; nobody may, while it is used",
    )
}
