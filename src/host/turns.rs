//! One host lock in this process: what it holds of the kernel's lock, and who in it waits for more. All that is
//! done under the state's mutex takes microseconds; the one call that may wait is made without it (`threads`).

use crate::host::directory::Place;
use crate::host::file::HostFile;
use crate::host::page::{ABANDONED, HELD, Holder, Record, Told};
use crate::host::{Fault, UNSAFE};
use crate::local::departures::Caller;
use crate::name::ShortText;
use crate::sync::{Arc, Mutex, Ordering};
use crate::sys::file_lock::KernelMode;
use crate::sys::process::{self, Identity};
use crate::time::{self, Nanos};
use std::collections::VecDeque;

/// Removing a lock file is forbidden, and it is looked for all the same, but not more often than this: the look
/// costs half as much again as the lock itself.
const LOOK_EVERY: Nanos = Nanos(1_000_000);
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
    /// A thread is about to take, or waits for, the kernel's lock.
    pub has_thread: bool,
    /// Where this process is shown as a shared holder.
    reader: Option<usize>,
    /// When the file was last seen to be there still.
    looked_at: Nanos,
}

/// One grant to this process.
#[derive(Debug)]
pub struct Hold {
    pub id: u32,
    pub token: u64,
    pub caller: Caller,
    pub since: Nanos,
    pub label: ShortText,
    pub died: Option<Holder>,
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
            reader: None,
            looked_at: Nanos::NEVER,
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
    pub fn take(&self, ask: &Ask) -> Answer {
        self.with(|state| match state.take(&self.place, ask) {
            Ok(Some(taken)) => Answer::Taken(taken),
            Ok(None) => Answer::Held,
            Err(fault) => Answer::Fault(fault),
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
        if let Some(file) = self.file.as_ref().filter(|file| !file.is_damaged()) {
            return Ok(file.clone());
        }
        let file = Arc::new(HostFile::open(place)?);
        self.file = Some(file.clone());
        Ok(file)
    }

    /// Whether the process may have it by what it knows itself, without the kernel.
    fn may_join(&self, mode: KernelMode) -> bool {
        !self.holds.is_empty() && self.mode == KernelMode::Shared && mode == KernelMode::Shared
    }

    fn take(&mut self, place: &Place, ask: &Ask) -> Result<Option<Taken>, Fault> {
        if self.has_thread || !self.queue.is_empty() {
            return Ok(None);
        }
        if self.may_join(ask.mode) {
            let file = self.open(place)?;
            // A writer of another process would starve behind readers that follow one another here.
            return Ok((!file.does_another_wait()).then(|| self.grant(&file, ask, time::now())));
        }
        if !self.holds.is_empty() {
            return Ok(None);
        }
        for _ in 0..REOPENINGS {
            let file = self.open(place)?;
            if file.does_another_wait() || !file.try_lock(ask.mode)? {
                return Ok(None);
            }
            let now = time::now();
            let is_fresh = now.since(self.looked_at) < LOOK_EVERY;
            if is_fresh || !self.is_removed(&file)? {
                return Ok(Some(self.grant(&file, ask, now)));
            }
        }
        Err(removed_again(place))
    }

    /// Whether the file that was just locked is nobody's any more: then it is given back and forgotten.
    pub fn is_removed(&mut self, file: &Arc<HostFile>) -> Result<bool, Fault> {
        let removed = file.is_damaged() || file.is_removed()?;
        if removed {
            file.unlock();
            self.file = None;
        } else {
            self.looked_at = time::now();
        }
        Ok(removed)
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
        self.last_hold += 1;
        let (id, has_died) = (self.last_hold, died.is_some());
        self.holds.push(Hold { id, token, caller: ask.caller, since, label: ask.label, died });
        Taken { hold: id, token, since, died: has_died }
    }

    /// After the end of holds: with the last one the kernel's lock goes.
    fn settle(&mut self, abandoned: bool) {
        if !self.holds.is_empty() {
            return;
        }
        let Some(file) = &self.file else { return };
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
        if page.waiting.load(Ordering::Relaxed) > 0 {
            page.last_pid.set(u64::from(own().pid));
            page.last_at.set(time::now().system());
        }
        file.unlock();
    }

    /// Whether somebody waits whom no thread serves, and the process does not hold the lock itself.
    pub fn wants_thread(&mut self) -> bool {
        let wanted = !self.has_thread && self.holds.is_empty() && !self.queue.is_empty();
        self.has_thread |= wanted;
        wanted
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

pub fn own() -> Identity {
    process::own()
}

/// What people know this process by.
fn command() -> ShortText {
    use once_cell::sync::Lazy;
    static COMMAND: Lazy<ShortText> =
        Lazy::new(|| ShortText::cut(&process::command_of(own().pid).unwrap_or_default()));
    *COMMAND
}

/// The exclusive holder that did not live to give the lock back. Who asks has the kernel's lock, so nobody
/// else can hold it exclusively.
#[inline]
fn died_before(record: &Record) -> Option<Holder> {
    // Relaxed: most often there is nobody, and `read` looks properly.
    match record.state.load(Ordering::Relaxed) {
        HELD | ABANDONED => record.read().map(|(_, holder)| holder),
        _ => None,
    }
}

/// Shows the process among the shared holders, if there is room.
fn show_reader(readers: &[Record], told: &Told) -> Option<usize> {
    let own = own();
    let free = |record: &Record| record.claim(&own, told);
    readers.iter().position(free).or_else(|| {
        // Those who died do not clear up after themselves.
        for record in readers {
            let dead =
                record.read().is_some_and(|(_, holder)| process::look(&holder.who) == process::Life::Dead);
            if dead {
                record.clear();
            }
        }
        readers.iter().position(free)
    })
}
