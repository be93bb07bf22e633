//! Threads that do everything to one send lock at once, and what must hold whatever the schedule. The same
//! scenarios run on shuttle's threads (`shuttle.rs`) and on real ones under ThreadSanitizer (`threads.rs`);
//! whoever runs them brings threads, a pause and random numbers.

use super::chainlock::local::departures::RowId;
use super::chainlock::local::queue::Ticket;
use super::chainlock::name::ShortText;
use super::chainlock::send::config::{Change, LayersChange};
use super::chainlock::send::lock::{Caller, Done, Outcome, SendLock, Told, Which};
use super::chainlock::time::Nanos;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, TryLockError};

/// Gives the processor away for a moment.
pub type Pause = fn();

/// A waiting request, with the count of calls when it was made and when it had its ticket.
#[derive(Clone, Copy, Debug)]
struct Wait {
    ticket: Ticket,
    thread: u64,
    called: u64,
    returned: u64,
}

/// What the world saw, in plain data that takes no part in any schedule.
#[derive(Debug, Default)]
struct Seen {
    waits: Vec<Wait>,
    answers: HashMap<Ticket, Vec<Told>>,
    lost: Vec<u64>,
    cancelled: HashSet<Ticket>,
    granted: Vec<u64>,
    released: Vec<u64>,
    forced: u64,
    departed: HashSet<u64>,
}

#[derive(Debug)]
pub struct World {
    lock: SendLock,
    clock: AtomicU64,
    calls: AtomicU64,
    seen: Mutex<Seen>,
}

impl World {
    pub fn new(cooldown: u64, force_after: u64) -> Self {
        let lock = SendLock::independent();
        let change = Change {
            cooldown: Some(Nanos(cooldown)),
            timeout: Some(Nanos(force_after / 2)),
            force_after: Some(Nanos(force_after)),
            layers: Some(LayersChange::Only((0..32).map(layer).collect())),
            ..Change::default()
        };
        lock.configure(&change, Nanos(1));
        Self { lock, clock: AtomicU64::new(1), calls: AtomicU64::new(0), seen: Mutex::default() }
    }

    fn now(&self) -> Nanos {
        Nanos(self.clock.load(Relaxed))
    }

    fn pass(&self, nanos: u64) -> Nanos {
        Nanos(self.clock.fetch_add(nanos, Relaxed) + nanos)
    }

    fn see<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        // Never waits inside std, where no scheduler and no sanitizer looks.
        loop {
            match self.seen.try_lock() {
                Ok(mut seen) => return look(&mut seen),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
                Err(TryLockError::Poisoned(_)) => panic!("another thread has failed"),
            }
        }
    }

    /// Hands out what an operation left to be told, and gives back its answer.
    fn tell<T>(&self, done: Done<T>) -> T {
        self.see(|seen| {
            for delivery in done.tell {
                match delivery.what {
                    Told::Lost { token } => seen.lost.push(token),
                    Told::Granted { ticket, .. }
                    | Told::Refused { ticket, .. }
                    | Told::TimedOut { ticket, .. } => {
                        seen.answers.entry(ticket).or_default().push(delivery.what);
                    }
                }
            }
        });
        done.answer
    }

    /// The grant that a waiter was told of, if it was.
    fn grant_of(&self, ticket: Ticket) -> Option<u64> {
        self.see(|seen| match seen.answers.get(&ticket)?.first()? {
            Told::Granted { token, .. } => Some(*token),
            _ => None,
        })
    }

    fn is_answered(&self, ticket: Ticket) -> bool {
        self.see(|seen| seen.answers.contains_key(&ticket))
    }
}

fn layer(number: u64) -> ShortText {
    ShortText::cut(&format!("layer-{number}"))
}

/// One thread's part.
#[derive(Debug)]
pub struct Actor<'a> {
    world: &'a World,
    caller: Caller,
    layer: ShortText,
    holds: Vec<u64>,
    waiting: Vec<Ticket>,
}

impl<'a> Actor<'a> {
    pub fn new(world: &'a World, number: u64) -> Self {
        let row = RowId::here(number as u32, 1);
        let caller = Caller { row, thread_id: number, mailbox: number };
        Self { world, caller, layer: layer(number), holds: Vec::new(), waiting: Vec::new() }
    }

    fn try_acquire(&mut self) {
        let done = self.world.lock.try_acquire(self.caller, Some(&self.layer), None, self.world.now());
        if let Ok(token) = self.world.tell(done) {
            self.take(token);
        }
    }

    fn take(&mut self, token: u64) {
        assert!(self.world.lock.state().token() >= token, "whoever knows a grant sees it in the word");
        self.holds.push(token);
        self.world.see(|seen| seen.granted.push(token));
    }

    /// Asks and, if need be, waits in line; answers the ticket.
    fn request(&mut self, patience: Option<u64>) -> Option<Ticket> {
        let called = self.world.calls.fetch_add(1, Relaxed);
        let now = self.world.now();
        let deadline = patience.map_or(Nanos::FOREVER, |patience| now.plus(Nanos(patience)));
        let done = self.world.lock.request(self.caller, Some(&self.layer), None, deadline, now);
        match self.world.tell(done) {
            Outcome::Granted(token) => self.take(token),
            Outcome::Waiting(ticket) => {
                let returned = self.world.calls.fetch_add(1, Relaxed);
                let thread = self.caller.thread_id;
                self.world.see(|seen| seen.waits.push(Wait { ticket, thread, called, returned }));
                self.waiting.push(ticket);
                return Some(ticket);
            }
            Outcome::Refused(_) | Outcome::QueueFull => {}
        }
        None
    }

    fn release(&mut self, token: u64) -> bool {
        let released = self.world.lock.release(self.caller, Which::Token(token), true, self.world.now());
        let released = self.world.tell(released);
        assert!(!self.world.lock.state().is_held_by(token), "a token given back holds nothing");
        if released {
            self.world.see(|seen| seen.released.push(token));
        }
        released
    }

    fn release_one(&mut self) {
        self.collect();
        if let Some(token) = self.holds.pop() {
            self.release(token);
            assert!(!self.release(token), "a hold is given back once");
        }
    }

    /// Takes the grants that were told since.
    fn collect(&mut self) {
        let world = self.world;
        let granted: Vec<u64> = self.waiting.iter().filter_map(|ticket| world.grant_of(*ticket)).collect();
        self.waiting.retain(|ticket| !world.is_answered(*ticket));
        granted.into_iter().for_each(|token| self.take(token));
    }

    fn cancel(&mut self) {
        let Some(ticket) = self.waiting.pop() else { return };
        let done = self.world.lock.cancel(ticket, self.world.now());
        if self.world.tell(done) {
            self.world.see(|seen| seen.cancelled.insert(ticket));
        } else {
            self.waiting.push(ticket);
        }
    }

    fn force(&mut self) {
        let done = self.world.lock.force_release(ShortText::cut("test"), self.world.now());
        let forced = self.world.tell(done);
        self.world.see(|seen| seen.forced += u64::from(forced));
    }

    fn tick(&mut self, nanos: u64) {
        let now = self.world.pass(nanos);
        let done = self.world.lock.tick(now);
        self.world.tell(done);
    }

    /// Does one of everything, as `choice` has it.
    pub fn step(&mut self, choice: u64) {
        match choice % 16 {
            0..=2 => self.try_acquire(),
            3..=5 => drop(self.request(None)),
            6 => drop(self.request(Some(choice >> 32 & 7))),
            7..=10 => self.release_one(),
            11 | 12 => self.cancel(),
            13 => self.force(),
            _ => self.tick(choice >> 32 & 3),
        }
    }

    /// The thread ends, with whatever it has.
    pub fn depart(&mut self) {
        self.collect();
        let done = self.world.lock.depart(self.caller.row, self.world.now());
        self.world.tell(done);
        self.world.see(|seen| seen.departed.insert(self.caller.thread_id));
        for token in &self.holds {
            assert!(!self.world.lock.state().is_held_by(*token), "a thread that ended holds nothing");
        }
        self.holds.clear();
        self.waiting.clear();
    }

    /// Waits for the lock, does `work` alone, gives it back.
    pub fn exclusively(&mut self, pause: Pause, work: impl FnOnce()) {
        if let Some(ticket) = self.request(None) {
            while !self.world.is_answered(ticket) {
                pause();
            }
            self.collect();
        }
        let token = self.holds.pop().expect("a request without a deadline ends in a grant");
        assert!(self.world.lock.state().is_held_by(token), "nobody took the hold away");
        work();
        assert!(self.release(token));
    }
}

impl World {
    /// After all threads have ended: ends what is left, and checks the whole account.
    pub fn settle_accounts(&self) {
        let end = Actor::new(self, 31);
        while self.lock.page().waiters.get() > 0 || self.lock.state().is_held() {
            self.pass(1_000_000);
            self.tell(self.lock.tick(self.now()));
            let holder = self.lock.state();
            if holder.is_held() {
                let which = Which::Token(holder.token());
                assert!(self.tell(self.lock.release(end.caller, which, true, self.now())));
                self.see(|seen| seen.released.push(holder.token()));
            }
        }
        self.check_the_counts();
        self.see(|seen| {
            everyone_was_answered_once(seen);
            first_come_first_served(seen);
        });
    }

    fn check_the_counts(&self) {
        let count = &self.lock.page().counters;
        let by_clock = count.forced_timeout.get() + count.forced_stale_timeout.get();
        let taken_away = count.forced_manual.get() + by_clock;
        let ended = count.releases.get() + taken_away + count.forced_thread_exit.get();
        assert_eq!(count.acquisitions.get(), ended, "acquired = released + taken away");
        assert_eq!(count.acquisitions.get(), self.lock.state().token(), "a token for every grant");
        self.see(|seen| {
            assert_eq!(count.releases.get(), seen.released.len() as u64);
            assert_eq!(count.forced_manual.get(), seen.forced);
            assert_eq!(taken_away, seen.lost.len() as u64, "every lost hold is told");
            assert!(is_set(&seen.lost) && is_set(&seen.released) && is_set(&seen.granted));
            assert!(seen.lost.iter().all(|token| !seen.released.contains(token)), "lost or released");
        });
    }
}

fn is_set(tokens: &[u64]) -> bool {
    tokens.iter().collect::<HashSet<_>>().len() == tokens.len()
}

fn everyone_was_answered_once(seen: &Seen) {
    for wait in &seen.waits {
        let answers = seen.answers.get(&wait.ticket).map_or(0, Vec::len);
        let cancelled = seen.cancelled.contains(&wait.ticket);
        assert!(answers <= 1 && !(cancelled && answers == 1), "{wait:?} was answered twice");
        // The requests of a thread that ended are the only ones that may go unanswered.
        assert!(answers == 1 || cancelled || seen.departed.contains(&wait.thread), "{wait:?} was forgotten");
    }
    assert_eq!(seen.waits.iter().map(|wait| wait.ticket).collect::<HashSet<_>>().len(), seen.waits.len());
}

/// Whoever had a ticket before another one asked was granted before it.
fn first_come_first_served(seen: &Seen) {
    let mut served: Vec<(u64, Wait)> = Vec::new();
    for wait in &seen.waits {
        if let Some([Told::Granted { token, .. }]) = seen.answers.get(&wait.ticket).map(Vec::as_slice) {
            served.push((*token, *wait));
        }
    }
    served.sort_by_key(|(token, _)| *token);
    let mut latest_call = 0;
    for (token, wait) in served {
        assert!(
            latest_call <= wait.returned,
            "grant {token} went to {wait:?} after somebody who asked later"
        );
        latest_call = latest_call.max(wait.called);
    }
}
