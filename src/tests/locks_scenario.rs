//! Threads that do everything to the named locks at once, and what must hold whatever the schedule. Runs on
//! shuttle's threads (`shuttle.rs`) and on real ones under ThreadSanitizer (`threads.rs`), as `scenario` does.

use super::chainlock::local::claim::{Ask, Done, Grant, Outcome, Told};
use super::chainlock::local::departures::{Caller, RowId};
use super::chainlock::local::locks::Locks;
use super::chainlock::local::names::{Ref, Target};
use super::chainlock::local::resource::Kind;
use super::chainlock::time::Nanos;
use super::scenario::Pause;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, TryLockError};

/// Two read/write locks, then a semaphore.
const NAMES: [&[u16]; 2] = [&[1], &[2]];
const SEMAPHORE: usize = 2;
const PERMITS: u64 = 2;

/// A request that waited: the counts of calls when it was made and when it had its ticket.
#[derive(Clone, Copy, Debug)]
struct Wait {
    ticket: u64,
    thread: u64,
    at: Option<usize>,
    called: u64,
    returned: u64,
}

/// A time during which somebody surely held: from when the grant was known to when it was given back.
#[derive(Clone, Copy, Debug)]
struct Span {
    grant: Grant,
    thread: u64,
    /// Bits of the resources.
    of: usize,
    weight: u64,
    from: u64,
    to: Option<u64>,
}

/// What the world saw, in plain data that takes no part in any schedule.
#[derive(Debug, Default)]
struct Seen {
    waits: Vec<Wait>,
    answers: HashMap<u64, Vec<Told>>,
    wishes: HashMap<u64, (usize, u64)>,
    spans: Vec<Span>,
    lost: HashSet<u64>,
    cancelled: HashSet<u64>,
    departed: HashSet<u64>,
}

#[derive(Debug)]
pub struct LocksWorld {
    locks: Locks,
    semaphore: Ref,
    clock: AtomicU64,
    calls: AtomicU64,
    seen: Mutex<Seen>,
}

impl Default for LocksWorld {
    fn default() -> Self {
        let locks = Locks::new(|| 0);
        let semaphore = locks.open(Kind::Semaphore, None, PERMITS).expect("it is new");
        let (clock, calls) = (AtomicU64::new(1), AtomicU64::new(1));
        Self { locks, semaphore, clock, calls, seen: Mutex::default() }
    }
}

impl LocksWorld {
    fn now(&self) -> Nanos {
        Nanos(self.clock.load(Relaxed))
    }

    fn count(&self) -> u64 {
        self.calls.fetch_add(1, Relaxed)
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

    fn target(&self, at: usize) -> Target<'static> {
        NAMES.get(at).map_or(Target::Ref(self.semaphore), |name| Target::Name(name))
    }

    fn tell<T>(&self, done: Done<T>) -> T {
        self.see(|seen| {
            for delivery in done.tell {
                match delivery.what {
                    Told::Lost { token, .. } => drop(seen.lost.insert(token)),
                    Told::Granted { ticket, .. } | Told::TimedOut { ticket, .. } => {
                        seen.answers.entry(ticket).or_default().push(delivery.what);
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        done.answer
    }

    fn is_answered(&self, ticket: u64) -> bool {
        self.see(|seen| seen.answers.contains_key(&ticket))
    }

    /// A hold is known from now on.
    fn holds(&self, grant: Grant, thread: u64, of: usize, weight: u64) {
        let from = self.count();
        self.see(|seen| seen.spans.push(Span { grant, thread, of, weight, from, to: None }));
    }

    /// A hold is about to end, or to be another.
    fn ends(&self, token: u64) -> Option<Span> {
        let now = self.count();
        self.see(|seen| {
            let span = seen.spans.iter_mut().rev().find(|span| span.grant.token == token)?;
            span.to = span.to.or(Some(now));
            Some(*span)
        })
    }
}

/// One thread's part.
#[derive(Debug)]
pub struct LocksActor<'a> {
    world: &'a LocksWorld,
    caller: Caller,
    holds: Vec<Grant>,
    waiting: Vec<u64>,
}

impl<'a> LocksActor<'a> {
    pub fn new(world: &'a LocksWorld, number: u64) -> Self {
        let row = RowId::here(number as u32, 1);
        let caller = Caller { row, thread_id: number, mailbox: number };
        Self { world, caller, holds: Vec::new(), waiting: Vec::new() }
    }

    fn take(&mut self, grant: Grant, of: usize, weight: u64) {
        self.world.holds(grant, self.caller.thread_id, of, weight);
        self.holds.push(grant);
    }

    fn try_acquire(&mut self, at: usize, weight: u64) {
        let (locks, target) = (&self.world.locks, self.world.target(at));
        let grant = locks.try_acquire(self.caller, target, weight, None, self.world.now());
        grant.into_iter().for_each(|grant| self.take(grant, 1 << at, weight));
    }

    fn request(&mut self, at: usize, weight: u64, ask: Ask<'_>) -> Option<u64> {
        let (called, target) = (self.world.count(), self.world.target(at));
        let done = self.world.locks.request(self.caller, target, weight, ask, self.world.now());
        self.asked(done, called, (Some(at), 1 << at, weight))
    }

    fn request_all(&mut self, weight: u64) {
        let called = self.world.count();
        let targets: Vec<(Vec<u16>, u64)> = NAMES.iter().map(|name| (name.to_vec(), weight)).collect();
        let done = self.world.locks.request_all(self.caller, &targets, Ask::default(), self.world.now());
        self.asked(done, called, (None, 0b11, weight));
    }

    fn asked(&mut self, done: Done<Outcome>, called: u64, wish: (Option<usize>, usize, u64)) -> Option<u64> {
        let (at, of, weight) = wish;
        match self.world.tell(done) {
            Outcome::Granted(grant) => {
                self.take(grant, of, weight);
                None
            }
            Outcome::Waiting(ticket, _) => {
                let (returned, thread) = (self.world.count(), self.caller.thread_id);
                self.world.see(|seen| seen.wishes.insert(ticket, (of, weight)));
                self.world.see(|seen| seen.waits.push(Wait { ticket, thread, at, called, returned }));
                self.waiting.push(ticket);
                Some(ticket)
            }
            other => panic!("{other:?}"),
        }
    }

    fn release(&mut self, grant: Grant) -> bool {
        let Grant { slot, token } = grant;
        self.world.ends(token);
        let done = self.world.locks.release(slot, token, false, self.world.now());
        let released = self.world.tell(done);
        assert!(!self.world.locks.holds(slot, token), "a token given back holds nothing");
        released
    }

    fn release_one(&mut self) {
        self.collect();
        if let Some(grant) = self.holds.pop() {
            self.release(grant);
            assert!(!self.release(grant), "a hold is given back once");
        }
    }

    /// Takes the grants that were told since.
    fn collect(&mut self) {
        let granted = self.world.see(|seen| {
            let answer =
                |ticket: &u64| Some((seen.answers.get(ticket)?.first()?.clone(), seen.wishes[ticket]));
            self.waiting.iter().filter_map(answer).collect::<Vec<_>>()
        });
        let world = self.world;
        self.waiting.retain(|ticket| !world.is_answered(*ticket));
        for (told, (of, weight)) in granted {
            if let Told::Granted { slot, token, .. } = told {
                self.take(Grant { slot, token }, of, weight);
            }
        }
    }

    fn cancel(&mut self) {
        let Some(ticket) = self.waiting.pop() else { return };
        let done = self.world.locks.cancel(ticket, self.world.now());
        if self.world.tell(done) {
            self.world.see(|seen| seen.cancelled.insert(ticket));
        } else {
            self.waiting.push(ticket);
        }
    }

    /// An exclusive hold becomes shared and, if it can, exclusive again.
    fn change_mode(&mut self) {
        let Some(Grant { slot, token }) = self.holds.last().copied() else { return };
        let Some(span) = self.world.ends(token) else { return };
        let done = self.world.locks.downgrade(slot, token, self.world.now());
        let mut weight = if self.world.tell(done) { 1 } else { span.weight };
        if span.of == 1 && self.world.locks.try_upgrade(slot, token, self.world.now()) {
            weight = 0;
        }
        if self.world.locks.holds(slot, token) {
            self.world.holds(Grant { slot, token }, span.thread, span.of, weight);
        }
    }

    fn tick(&mut self, nanos: u64) {
        let now = Nanos(self.world.clock.fetch_add(nanos, Relaxed) + nanos);
        self.world.tell(self.world.locks.tick(now));
    }

    /// Does one of everything, as `choice` has it.
    pub fn step(&mut self, choice: u64) {
        let at = (choice >> 8) as usize % 3;
        let weight = if at == SEMAPHORE { 1 + (choice >> 16) % PERMITS } else { (choice >> 16) % 2 };
        let deadline = self.world.now().plus(Nanos(choice >> 32 & 7));
        match choice % 32 {
            0..=4 => self.try_acquire(at, weight),
            5..=10 => drop(self.request(at, weight, Ask::default())),
            11 | 12 => drop(self.request(at, weight, Ask { deadline, ..Ask::default() })),
            13 => drop(self.request(at % 2, 0, Ask { steal: true, ..Ask::default() })),
            14 | 15 => self.request_all(weight % 2),
            16..=22 => self.release_one(),
            23..=25 => self.cancel(),
            26 | 27 => self.change_mode(),
            28 => drop(self.world.tell(self.world.locks.force_release(NAMES[at % 2], "", self.world.now()))),
            _ => self.tick(choice >> 32 & 3),
        }
    }

    /// The thread ends, with whatever it has.
    pub fn depart(&mut self) {
        self.collect();
        for grant in &self.holds {
            self.world.ends(grant.token);
        }
        self.world.see(|seen| seen.departed.insert(self.caller.thread_id));
        self.world.tell(self.world.locks.depart(self.caller.row, self.world.now()));
        for grant in self.holds.drain(..) {
            assert!(!self.world.locks.holds(grant.slot, grant.token), "a thread that ended holds nothing");
        }
        self.waiting.clear();
    }

    /// Waits for a lock, does `work` under it, gives it back.
    pub fn under(&mut self, at: usize, weight: u64, pause: Pause, work: impl FnOnce()) {
        if let Some(ticket) = self.request(at, weight, Ask::default()) {
            while !self.world.is_answered(ticket) {
                pause();
            }
            self.collect();
        }
        let grant = self.holds.pop().expect("a request without a deadline ends in a grant");
        work();
        assert!(self.release(grant), "nobody took the hold away");
    }
}

impl LocksWorld {
    /// Those whom nobody gives back any more.
    fn left_over(&self) -> Vec<Grant> {
        self.see(|seen| {
            let known: HashSet<u64> = seen.spans.iter().map(|span| span.grant.token).collect();
            let open = seen.spans.iter().filter(|span| span.to.is_none()).map(|span| span.grant);
            let unseen =
                seen.waits.iter().filter_map(|wait| match *seen.answers.get(&wait.ticket)?.first()? {
                    Told::Granted { slot, token, .. } if !known.contains(&token) => {
                        let to_the_dead =
                            seen.departed.contains(&wait.thread) && self.locks.holds(slot, token);
                        assert!(!to_the_dead, "{wait:?} was granted");
                        Some(Grant { slot, token })
                    }
                    _ => None,
                });
            open.chain(unseen).filter(|grant| self.locks.holds(grant.slot, grant.token)).collect()
        })
    }

    /// After all threads have ended: gives back what is left, and checks the whole account.
    pub fn settle_accounts(&self) {
        let mut end = LocksActor::new(self, u64::from(u32::MAX));
        end.tick(1_000_000);
        loop {
            let left = self.left_over();
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(|grant| assert!(end.release(grant)));
        }
        let is_busy = |at| self.locks.state(self.target(at)) != 0;
        assert!(!(0..=SEMAPHORE).any(is_busy), "a hold was forgotten");
        assert_eq!(self.locks.semaphore_state(self.semaphore), (PERMITS, 0, 0));
        self.see(|seen| {
            everyone_was_answered_once(seen);
            nobody_held_beside_a_writer(seen);
            permits_were_not_exceeded(seen);
            NAMES.iter().enumerate().for_each(|(at, _)| first_come_first_served(seen, at));
        });
    }
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

impl Span {
    fn covers(&self, moment: u64) -> bool {
        self.from <= moment && self.to.is_none_or(|to| moment < to)
    }
}

/// The spans of what nobody took away: when that was, is not known.
fn kept(seen: &Seen, of: usize) -> Vec<&Span> {
    let is_kept = |span: &&Span| span.of & of != 0 && !seen.lost.contains(&span.grant.token);
    seen.spans.iter().filter(is_kept).collect()
}

fn nobody_held_beside_a_writer(seen: &Seen) {
    for at in 0..NAMES.len() {
        let spans = kept(seen, 1 << at);
        for one in spans.iter().filter(|span| span.weight == 0) {
            let beside = spans
                .iter()
                .find(|other| other.grant != one.grant && (one.covers(other.from) || other.covers(one.from)));
            assert!(beside.is_none(), "{one:?} beside {beside:?}");
        }
    }
}

fn permits_were_not_exceeded(seen: &Seen) {
    let spans = kept(seen, 1 << SEMAPHORE);
    for one in &spans {
        let used: u64 = spans.iter().filter(|other| other.covers(one.from)).map(|other| other.weight).sum();
        assert!(used <= PERMITS, "{used} units at {one:?}");
    }
}

/// Whoever had a ticket before another one asked was granted before it.
fn first_come_first_served(seen: &Seen, at: usize) {
    let mut served: Vec<(u64, Wait)> = Vec::new();
    for wait in seen.waits.iter().filter(|wait| wait.at == Some(at)) {
        if let Some([Told::Granted { token, .. }]) = seen.answers.get(&wait.ticket).map(Vec::as_slice) {
            served.push((*token, *wait));
        }
    }
    served.sort_by_key(|(token, _)| *token);
    let mut latest_call = 0;
    for (token, wait) in served {
        assert!(latest_call <= wait.returned, "grant {token} went to {wait:?} after one who asked later");
        latest_call = latest_call.max(wait.called);
    }
}
