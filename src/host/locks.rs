//! All host locks of the process: by their paths, and who waits, by tickets.

use crate::host::Fault;
use crate::host::deadlock::{self, Cycle};
use crate::host::directory::Place;
use crate::host::file::HostFile;
use crate::host::state::State;
use crate::host::threads::{Tell, Threads};
use crate::host::turns::{Answer, Ask, HostLock, Taken, Waiter};
use crate::local::departures::Caller;
use crate::recorder::event::What;
use crate::recorder::is_on;
use crate::sync::{Arc, Mutex, Weak};
use crate::time::{self, Nanos};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

/// When a wait inside of other host locks is first looked at for a deadlock, and how often then.
const FIRST_LOOK: Nanos = Nanos(100_000_000);
const NEXT_LOOK: Nanos = Nanos(150_000_000);
/// How long after the first a second try to wake a thread comes: it may not have been asleep yet.
const ROUSE_AGAIN: Nanos = Nanos(5_000_000);

#[derive(Debug)]
pub struct HostLocks {
    registry: Mutex<Registry>,
    threads: Arc<Threads>,
}

#[derive(Debug, Default)]
struct Registry {
    by_path: HashMap<PathBuf, Weak<HostLock>>,
    waits: HashMap<u64, Wait>,
    last_ticket: u64,
    /// What the clock makes due, and for which ticket.
    due: BTreeSet<(Nanos, Due, u64)>,
    /// Threads that wait for what nobody wants any more, and when to wake them again.
    ghosts: Vec<(Nanos, Arc<HostLock>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Timeout,
    Look,
}

#[derive(Clone, Debug)]
struct Wait {
    lock: Arc<HostLock>,
    waiter: Waiter,
    deadline: Nanos,
    /// The holds of this process around it: who made the request does not give them back meanwhile.
    within: Vec<(Arc<HostLock>, u32)>,
    look_at: Nanos,
    suspicion: Option<Cycle>,
    /// It stands in no line here: who made it waits in the process's own line of that lock.
    is_elsewhere: bool,
}

/// What became of a request that may wait.
#[derive(Debug)]
pub enum Requested {
    Taken(Taken),
    Waits(u64),
    Fault(Fault),
}

/// What the clock has made of a waiter.
#[derive(Debug)]
pub enum Ended {
    TimedOut { waited: Nanos },
    Deadlocked(Cycle),
}

impl HostLocks {
    pub fn new(tell: Tell) -> Self {
        Self { registry: Mutex::default(), threads: Arc::new(Threads::new(tell)) }
    }

    /// Opens a lock; the same one for everybody in the process who opens that file.
    pub fn open(&self, place: Place) -> Result<Arc<HostLock>, Fault> {
        let path = place.path();
        if let Some(lock) = self.registry.lock().by_path.get(&path).and_then(Weak::upgrade) {
            return Ok(lock);
        }
        let file = HostFile::open(&place)?;
        let mut registry = self.registry.lock();
        // Another thread may have been faster: its file is the one to which the process's lock belongs.
        if let Some(lock) = registry.by_path.get(&path).and_then(Weak::upgrade) {
            return Ok(lock);
        }
        registry.by_path.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(HostLock::new(place, file));
        registry.by_path.insert(path, Arc::downgrade(&lock));
        Ok(lock)
    }

    /// Asks, and waits if need be; until `deadline`.
    pub fn request(&self, lock: &Arc<HostLock>, ask: &Ask, deadline: Nanos, now: Nanos) -> Requested {
        match lock.take_soon(ask, now) {
            Answer::Taken(taken) => return Requested::Taken(taken),
            Answer::Fault(fault) => {
                // Somebody may have come while this one looked on.
                self.serve(lock, lock.with(State::wants_thread));
                return Requested::Fault(fault);
            }
            Answer::Held => {}
        }
        let waiter = self.enter(lock, ask, deadline, now, false);
        let wants_thread = lock.with(|state| {
            if is_on() {
                state.tell_waiter(What::Waiting, &waiter);
            }
            state.queue.push_back(waiter);
            state.wants_thread()
        });
        self.serve(lock, wants_thread);
        Requested::Waits(waiter.ticket)
    }

    /// Notes that somebody waits for that lock in the process's own line, so that a circle over it is seen: nothing
    /// but [`Ended::Deadlocked`] ever answers the ticket.
    pub fn watch(&self, lock: &Arc<HostLock>, ask: &Ask, now: Nanos) -> u64 {
        self.enter(lock, ask, Nanos::FOREVER, now, true).ticket
    }

    /// Before it stands in line: who grants it finds its ticket.
    fn enter(
        &self,
        lock: &Arc<HostLock>,
        ask: &Ask,
        deadline: Nanos,
        now: Nanos,
        is_elsewhere: bool,
    ) -> Waiter {
        let mut registry = self.registry.lock();
        registry.last_ticket += 1;
        let ticket = registry.last_ticket;
        let waiter = Waiter { ticket, caller: ask.caller, mode: ask.mode, since: now, label: ask.label };
        if deadline != Nanos::FOREVER {
            registry.due.insert((deadline, Due::Timeout, ticket));
        }
        let (within, suspicion) = (Vec::new(), None);
        let (lock, look_at) = (lock.clone(), Nanos::FOREVER);
        let wait = Wait { lock, waiter, deadline, within, look_at, suspicion, is_elsewhere };
        registry.waits.insert(ticket, wait);
        waiter
    }

    fn serve(&self, lock: &Arc<HostLock>, wants_thread: bool) {
        if wants_thread {
            self.threads.serve(lock.clone());
        }
    }

    /// Gives a hold back; whether it was one.
    #[inline]
    pub fn release(&self, lock: &Arc<HostLock>, hold: u32) -> bool {
        let (released, wants_thread) = lock.release(hold);
        self.serve(lock, wants_thread);
        released
    }

    /// Gives back a hold of which nobody was told.
    pub fn refuse(&self, lock: &Arc<HostLock>, hold: u32) -> bool {
        let (refused, wants_thread) = lock.refuse(hold);
        self.serve(lock, wants_thread);
        refused
    }

    /// Says that the wait is made inside of that hold, which its maker does not give back meanwhile. Answers when
    /// the clock is to look.
    pub fn within(&self, ticket: u64, lock: &Arc<HostLock>, hold: u32) -> Nanos {
        let mut registry = self.registry.lock();
        let Some(wait) = registry.waits.get_mut(&ticket) else { return Nanos::FOREVER };
        wait.within.push((lock.clone(), hold));
        let path = wait.lock.place.path();
        let since = wait.waiter.since;
        if let Some(path) = path.to_str() {
            lock.with(|state| state.add_want(hold, ticket, path.to_owned(), since.system()));
        }
        if wait.look_at == Nanos::FOREVER {
            wait.look_at = since.plus(FIRST_LOOK);
            let look = (wait.look_at, Due::Look, ticket);
            registry.due.insert(look);
        }
        since.plus(FIRST_LOOK)
    }

    /// A waiter has been told: it waits no more.
    pub fn settled(&self, ticket: u64) {
        self.leave(ticket);
    }

    fn leave(&self, ticket: u64) -> Option<Wait> {
        let wait = {
            let mut registry = self.registry.lock();
            let wait = registry.waits.remove(&ticket)?;
            registry.due.remove(&(wait.deadline, Due::Timeout, ticket));
            registry.due.remove(&(wait.look_at, Due::Look, ticket));
            wait
        };
        for (lock, _) in &wait.within {
            lock.with(|state| state.end_want(ticket));
        }
        Some(wait)
    }

    /// Takes a waiter out of the line; false when its answer is on its way.
    pub fn cancel(&self, ticket: u64) -> bool {
        self.end_wait(ticket, What::Aborted)
    }

    fn end_wait(&self, ticket: u64, what: What) -> bool {
        let wait = self.registry.lock().waits.get(&ticket).map(|wait| (wait.lock.clone(), wait.is_elsewhere));
        let Some((lock, is_elsewhere)) = wait else { return false };
        if !is_elsewhere && !remove(&lock, ticket, what) {
            return false;
        }
        self.rouse(&lock);
        self.leave(ticket).is_some()
    }

    /// Wakes the lock's thread if it waits in vain.
    fn rouse(&self, lock: &Arc<HostLock>) {
        if lock.rouse() {
            self.registry.lock().ghosts.push((time::now().plus(ROUSE_AGAIN), lock.clone()));
        }
    }

    fn rouse_again(&self, now: Nanos) {
        let due: Vec<_> = self.registry.lock().ghosts.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, lock) in due {
            self.rouse(&lock);
        }
    }

    /// When the clock next makes something due.
    pub fn wake_at(&self) -> Nanos {
        let registry = self.registry.lock();
        let due = registry.due.first().map(|(at, ..)| *at);
        due.into_iter().chain(registry.ghosts.iter().map(|(at, _)| *at)).min().unwrap_or(Nanos::FOREVER)
    }

    /// Does what the clock has made due: who has waited too long, who waits in a circle. Answers them, and when
    /// something is due next.
    pub fn tick(&self, now: Nanos) -> (Vec<(Waiter, Ended)>, Nanos) {
        let mut ended = Vec::new();
        while let Some((_, due, ticket)) = self.next_due(now) {
            match due {
                Due::Timeout => ended.extend(self.time_out(ticket, now)),
                Due::Look => ended.extend(self.look(ticket, now)),
            }
        }
        self.rouse_again(now);
        (ended, self.wake_at())
    }

    fn next_due(&self, now: Nanos) -> Option<(Nanos, Due, u64)> {
        let mut registry = self.registry.lock();
        let first = *registry.due.first().filter(|(at, ..)| *at <= now)?;
        registry.due.remove(&first);
        Some(first)
    }

    fn time_out(&self, ticket: u64, now: Nanos) -> Option<(Waiter, Ended)> {
        let waiter = self.registry.lock().waits.get(&ticket)?.waiter;
        let waited = now.since(waiter.since);
        self.end_wait(ticket, What::TimedOut).then_some((waiter, Ended::TimedOut { waited }))
    }

    /// A circle that stands on two looks is one. The last one that began to wait gives way.
    fn look(&self, ticket: u64, now: Nanos) -> Option<(Waiter, Ended)> {
        let wait = self.registry.lock().waits.get(&ticket)?.clone();
        // A hold that was given back meanwhile is in nobody's way.
        let stands = wait.within.iter().filter(|(lock, hold)| lock.has_hold(*hold));
        let mine: Vec<PathBuf> = stands.map(|(lock, _)| lock.place.path()).collect();
        let Waiter { since, label, .. } = wait.waiter;
        let label = (!label.is_empty()).then(|| label.to_text());
        let found = deadlock::find(&wait.lock.place.path(), &mine, since.system(), label);
        let stands = found.is_some() && found == wait.suspicion;
        if stands
            && found.as_ref().is_some_and(Cycle::is_ours_to_end)
            && self.end_wait(ticket, What::Deadlock)
        {
            return found.map(|cycle| (wait.waiter, Ended::Deadlocked(cycle.aged(now))));
        }
        let mut registry = self.registry.lock();
        let next = now.plus(NEXT_LOOK);
        if let Some(wait) = registry.waits.get_mut(&ticket) {
            wait.suspicion = found;
            wait.look_at = next;
            registry.due.insert((next, Due::Look, ticket));
        }
        None
    }

    /// A thread, or one of its faces, is gone.
    pub fn depart(&self, is_theirs: impl Fn(&Caller) -> bool) {
        let locks: Vec<Arc<HostLock>> =
            self.registry.lock().by_path.values().filter_map(Weak::upgrade).collect();
        for lock in locks {
            let (gone, wants_thread) = lock.depart(&is_theirs);
            for ticket in gone {
                self.leave(ticket);
            }
            self.rouse(&lock);
            self.serve(&lock, wants_thread);
        }
        for ticket in self.tickets_of(is_theirs) {
            self.leave(ticket);
        }
    }

    /// Those that stand in no line of ours.
    fn tickets_of(&self, is_theirs: impl Fn(&Caller) -> bool) -> Vec<u64> {
        let registry = self.registry.lock();
        let theirs = registry.waits.iter().filter(|(_, wait)| is_theirs(&wait.waiter.caller));
        theirs.map(|(ticket, _)| *ticket).collect()
    }
}

fn remove(lock: &HostLock, ticket: u64, what: What) -> bool {
    lock.with(|state| {
        let found = state.queue.iter().position(|waiter| waiter.ticket == ticket);
        let Some(waiter) = found.and_then(|at| state.queue.remove(at)) else { return false };
        state.tell_waiter(what, &waiter);
        true
    })
}
