//! A thread's view of the named locks: what it has opened, the texts that JavaScript has yet to take, and how
//! answers and deliveries look in the scratch array.

use crate::binding::entry::Seated;
use crate::binding::process::{Next, PROCESS};
use crate::binding::thread::{Seat, TOLD_SIZE};
use crate::local::claim::{Grant, How, Outcome, Told, Warning};
use crate::local::names::Ref;
use crate::sync::Arc;
use crate::time::Nanos;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

/// What a raw call returns in the place of a token.
pub const UNAVAILABLE: f64 = -1.0;
pub const QUEUE_FULL: f64 = -2.0;
/// The request waits; its ticket is in the scratch array.
pub const WAITING: f64 = -3.0;
/// Refused; the number of the report is in the scratch array.
pub const DEADLOCK: f64 = -4.0;
pub const SELF_DEADLOCK: f64 = -5.0;
pub const DISORDER: f64 = -6.0;

/// The bits of a release's answer.
pub const RELEASED: f64 = 1.0;
/// A request of this very thread was granted: fetch it now.
pub const FETCH: f64 = 2.0;
/// One was, and that is all: the delivery lies in the scratch array already, in the second one's place.
pub const HANDED: f64 = 4.0;
pub const HANDED_INDEX: usize = 1;

/// The bits of a request's flags.
pub const STEAL: u32 = 1;
pub const WEB: u32 = 1 << 1;
pub const SYNC: u32 = 1 << 2;

/// Where in the scratch array the ancestors of a request lie, and the most that are looked at.
pub const ANCESTORS_AT: usize = 16;
pub const MOST_ANCESTORS: usize = 64;
/// The texts that are kept until somebody takes them: more than can wait for one lock.
const MOST_TEXTS: usize = 250_000;
/// After a request has looked on for nothing, so many go to the event loop at once; twice as many after
/// each further miss, up to the second.
const FIRST_PAUSE: u32 = 1;
const LONGEST_PAUSE: u32 = 256;

#[derive(Debug)]
pub struct LocksFace {
    pub seat: Seat,
    /// How often each resource was opened and not closed.
    opened: RefCell<HashMap<Ref, u32>>,
    texts: RefCell<Texts>,
    /// Where in the program the next request is made.
    pub site: RefCell<Option<String>>,
    attention: Cell<Attention>,
}

#[derive(Debug, Default)]
struct Texts {
    last: u64,
    kept: BTreeMap<u64, Arc<str>>,
}

/// Whether the next in line should look on. There are many locks, and many are held for long.
#[derive(Clone, Copy, Debug, Default)]
struct Attention {
    /// Requests that are yet to go by.
    pause: u32,
    /// How many went by after the last miss.
    last: u32,
}

impl Seated for LocksFace {
    #[inline]
    fn seat(&self) -> &Seat {
        &self.seat
    }
}

impl LocksFace {
    pub fn new(seat: Seat) -> Self {
        Self {
            seat,
            opened: RefCell::default(),
            texts: RefCell::default(),
            site: RefCell::default(),
            attention: Cell::default(),
        }
    }

    pub fn opened(&self, resource: Ref) {
        *self.opened.borrow_mut().entry(resource).or_default() += 1;
    }

    /// Closes a resource; what this face has not opened stays.
    pub fn close_resource(&self, resource: Ref) {
        let mut opened = self.opened.borrow_mut();
        let Some(count) = opened.get_mut(&resource) else { return };
        *count -= 1;
        if *count == 0 {
            opened.remove(&resource);
        }
        PROCESS.named.close(resource);
    }

    /// Closes whatever is still open: nobody else would.
    pub fn close_resources(&self) {
        for (resource, count) in self.opened.take() {
            for _ in 0..count {
                PROCESS.named.close(resource);
            }
        }
    }

    /// Keeps a text until JavaScript takes it. Its number.
    pub fn keep(&self, text: Arc<str>) -> f64 {
        let mut texts = self.texts.borrow_mut();
        texts.last += 1;
        let number = texts.last;
        texts.kept.insert(number, text);
        if texts.kept.len() > MOST_TEXTS {
            texts.kept.pop_first();
        }
        number as f64
    }

    pub fn take_text(&self, number: u64) -> Option<Arc<str>> {
        self.texts.borrow_mut().kept.remove(&number)
    }

    /// The first `count` tokens in the scratch array's place for them.
    #[inline]
    pub fn ancestors<'a>(&self, count: u64, room: &'a mut [i64; MOST_ANCESTORS]) -> &'a [i64] {
        let count = (count as usize).min(MOST_ANCESTORS);
        for (place, token) in room[..count].iter_mut().enumerate() {
            *token = self.seat.get(ANCESTORS_AT + place) as i64;
        }
        &room[..count]
    }

    /// Writes down a grant: its place, and when it was made, on the monotonic clock.
    #[inline]
    pub fn put_grant(&self, grant: Grant, now: Nanos) -> f64 {
        self.seat.put(0, f64::from(grant.slot));
        self.seat.put(1, now.as_ms());
        grant.token as f64
    }

    /// Writes down what became of a request, and how closely the order of locks is watched.
    #[inline]
    pub fn put_outcome(&self, outcome: Outcome, now: Nanos) -> f64 {
        self.seat.put(2, PROCESS.named.settings.order() as u64 as f64);
        match outcome {
            Outcome::Granted(grant) => self.put_grant(grant, now),
            Outcome::Waiting(ticket, is_next) => {
                self.seat.put(0, ticket as f64);
                self.seat.put(1, f64::from(u8::from(is_next && self.attend())));
                WAITING
            }
            Outcome::QueueFull => QUEUE_FULL,
            Outcome::Deadlock(report) => self.put_report(report, DEADLOCK),
            Outcome::SelfDeadlock(report) => self.put_report(report, SELF_DEADLOCK),
            Outcome::Disorder(report) => self.put_report(report, DISORDER),
        }
    }

    pub fn put_report(&self, report: Arc<str>, code: f64) -> f64 {
        self.seat.put(0, self.keep(report));
        code
    }

    /// Looks on for a moment; whether the answer can be fetched.
    fn attend(&self) -> bool {
        let Attention { pause, last } = self.attention.get();
        if pause > 0 {
            self.attention.set(Attention { pause: pause - 1, last });
            return false;
        }
        let came = self.seat.mailbox.attend();
        let last = if came { 0 } else { (2 * last).clamp(FIRST_PAUSE, LONGEST_PAUSE) };
        self.attention.set(Attention { pause: last, last });
        came
    }

    /// The answer to a release.
    #[inline]
    pub fn put_next(&self, (released, next): (bool, Next)) -> f64 {
        let released = if released { RELEASED } else { 0.0 };
        match next {
            Next::Nothing => released,
            Next::Fetch => released + FETCH,
            Next::Granted(told) => {
                self.put_told(HANDED_INDEX, &told);
                released + HANDED
            }
        }
    }

    /// Writes a delivery: its kind, then what it says.
    pub fn put_told(&self, index: usize, told: &Told) {
        let at = index * TOLD_SIZE;
        let written: [f64; 6] = match told {
            Told::Granted { ticket, token, slot, waited, at } => {
                [1.0, *ticket as f64, *token as f64, f64::from(*slot), waited.as_ms(), at.as_ms()]
            }
            Told::TimedOut { ticket, position, waited, report } => {
                [2.0, *ticket as f64, *position as f64, self.keep(report.clone()), waited.as_ms(), 0.0]
            }
            Told::Lost { slot, token, how } => {
                let how = match how {
                    How::Stolen => 1.0,
                    How::Forced => 2.0,
                };
                [3.0, f64::from(*slot), *token as f64, how, 0.0, 0.0]
            }
            Told::Deadlocked { ticket, report } => {
                [4.0, *ticket as f64, self.keep(report.clone()), 0.0, 0.0, 0.0]
            }
            Told::Warned { report, which } => {
                let which = match which {
                    Warning::Deadlock => 1.0,
                    Warning::Disorder => 2.0,
                };
                [5.0, self.keep(report.clone()), which, 0.0, 0.0, 0.0]
            }
        };
        for (place, value) in written.into_iter().enumerate() {
            self.seat.put(at + place, value);
        }
    }
}

/// The ticket that a delivery answers.
pub fn ticket_of(told: &Told) -> Option<u64> {
    match told {
        Told::Granted { ticket, .. } | Told::TimedOut { ticket, .. } | Told::Deadlocked { ticket, .. } => {
            Some(*ticket)
        }
        Told::Lost { .. } | Told::Warned { .. } => None,
    }
}
