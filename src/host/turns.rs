//! One host lock in this process: what it holds of the kernel's lock, and who in it waits for more. All that is
//! done under the state's mutex takes microseconds; the one call that may wait is made without it (`threads`).

use crate::host::Fault;
use crate::host::directory::Place;
use crate::host::file::HostFile;
use crate::host::state::{End, Hold, State};
use crate::local::departures::Caller;
use crate::name::ShortText;
use crate::recorder::event::What;
use crate::recorder::is_on;
use crate::sync::{Arc, Mutex};
use crate::sys::file_lock::KernelMode;
use crate::time::{self, Nanos};
use std::collections::VecDeque;

/// How long an asker looks on: about as long as waking two threads takes.
const PATIENCE: Nanos = Nanos(30_000);
/// After it has looked on in vain, so many wait at once.
const PAUSE: u32 = 8;

#[derive(Debug)]
pub struct HostLock {
    pub place: Place,
    state: Mutex<State>,
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
        let state = State::new(file, &place.path());
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
            let held = state.holds.swap_remove(at);
            if is_on() {
                state.tell_end(&held, &End::Released);
            }
            state.wants.end_hold(hold);
            state.settle(End::Released);
            (true, state.wants_thread())
        })
    }

    /// Gives back a hold of which nobody was told.
    pub fn refuse(&self, hold: u32) -> (bool, bool) {
        self.with(|state| {
            let Some(at) = state.holds.iter().position(|held| held.id == hold) else { return (false, false) };
            let held = state.holds.swap_remove(at);
            let end = End::Refused(None);
            state.tell_end(&held, &end);
            state.settle(End::Refused(held.died));
            (true, state.wants_thread())
        })
    }

    pub fn has_hold(&self, hold: u32) -> bool {
        self.with(|state| state.holds.iter().any(|held| held.id == hold))
    }

    /// Wakes the thread that waits for what nobody wants any more; whether there is one, which may have to be
    /// woken again: it may not have fallen asleep yet.
    pub fn rouse(&self) -> bool {
        self.with(|state| {
            let wanted = state.queue.front().map(|waiter| waiter.mode);
            match state.sleeper {
                Some((sleeper, mode)) if wanted != Some(mode) => {
                    sleeper.wake();
                    true
                }
                _ => false,
            }
        })
    }

    /// Ends what a departed thread has held and waited for. Its data may be half-written, so whoever comes next
    /// is told. Answers the tickets that are gone, and whether a thread is needed.
    pub fn depart(&self, is_theirs: impl Fn(&Caller) -> bool) -> (Vec<u64>, bool) {
        self.with(|state| {
            let (left, stay) = state.queue.drain(..).partition(|waiter| is_theirs(&waiter.caller));
            state.queue = stay;
            let left: VecDeque<Waiter> = left;
            left.iter().for_each(|waiter| state.tell_waiter(What::Aborted, waiter));
            let gone: Vec<u64> = left.iter().map(|waiter| waiter.ticket).collect();
            let ended: Vec<Hold> = state.holds.extract_if(.., |hold| is_theirs(&hold.caller)).collect();
            for hold in &ended {
                state.wants.end_hold(hold.id);
                state.tell_end(hold, &End::Abandoned);
            }
            if !ended.is_empty() {
                state.settle(End::Abandoned);
            }
            (gone, state.wants_thread())
        })
    }
}
