//! A thread's view of the host locks: what it has opened, and how answers and deliveries look in the scratch
//! array. A hold is numbered by its file's number in this face and its own in that lock.

use crate::binding::entry::Seated;
use crate::binding::mailbox::{self, Told};
use crate::binding::process::PROCESS;
use crate::binding::thread::{Seat, TOLD_SIZE};
use crate::host::Fault;
use crate::host::locks::{Ended, Requested};
use crate::host::threads::Outcome;
use crate::host::turns::{Ask, HostLock, Taken, Waiter};
use crate::name::ShortText;
use crate::sync::Arc;
use crate::sys::file_lock::KernelMode;
use crate::time::Nanos;
use serde_json::json;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// What a raw call returns in the place of a token.
pub const UNAVAILABLE: f64 = -1.0;
/// The number of the text that says why is in the scratch array.
pub const FAULT: f64 = -2.0;
/// The request waits; its ticket is in the scratch array.
pub const WAITING: f64 = -3.0;
/// Texts that are kept until somebody takes them.
const MOST_TEXTS: usize = 10_000;
const FILE_UNIT: f64 = 4_294_967_296.0;

#[derive(Debug)]
pub struct HostFace {
    pub seat: Seat,
    files: RefCell<Vec<Option<Arc<HostLock>>>>,
    /// For which file each ticket waits.
    tickets: RefCell<HashMap<u64, u32>>,
    texts: RefCell<(u64, BTreeMap<u64, String>)>,
}

/// What a waiting thread is told.
#[derive(Debug)]
pub enum HostTold {
    Granted { ticket: u64, taken: Taken },
    TimedOut { ticket: u64, waited: Nanos },
    Failed { ticket: u64, text: String },
    Deadlocked { ticket: u64, text: String },
}

impl HostTold {
    pub fn ticket(&self) -> u64 {
        match self {
            Self::Granted { ticket, .. }
            | Self::TimedOut { ticket, .. }
            | Self::Failed { ticket, .. }
            | Self::Deadlocked { ticket, .. } => *ticket,
        }
    }
}

impl Seated for HostFace {
    #[inline]
    fn seat(&self) -> &Seat {
        &self.seat
    }
}

impl HostFace {
    pub fn new(seat: Seat) -> Self {
        Self { seat, files: RefCell::default(), tickets: RefCell::default(), texts: RefCell::default() }
    }

    /// Gives an opened lock its number.
    pub fn opened(&self, lock: Arc<HostLock>) -> u32 {
        let mut files = self.files.borrow_mut();
        let free = files.iter().position(Option::is_none).unwrap_or(files.len());
        if free == files.len() {
            files.push(None);
        }
        files[free] = Some(lock);
        free as u32
    }

    pub fn close(&self, file: u32) {
        if let Some(place) = self.files.borrow_mut().get_mut(file as usize) {
            *place = None;
        }
    }

    #[inline]
    pub fn lock(&self, file: u32) -> Option<Arc<HostLock>> {
        self.files.borrow().get(file as usize)?.clone()
    }

    /// The lock and the number in it that a hold's number stands for.
    #[inline]
    pub fn hold(&self, number: f64) -> Option<(Arc<HostLock>, u32)> {
        let file = (number / FILE_UNIT).floor();
        let lock = self.lock(file as u32)?;
        Some((lock, (number - file * FILE_UNIT) as u32))
    }

    #[inline]
    pub fn ask(&self, weight: u64, label: Option<&str>) -> Ask {
        let mode = if weight == 0 { KernelMode::Exclusive } else { KernelMode::Shared };
        let label = label.map_or(ShortText::EMPTY, ShortText::cut);
        Ask { caller: self.seat.caller, mode, label }
    }

    /// Writes down a grant, behind the two places of a named hold.
    #[inline]
    pub fn put_taken(&self, file: u32, taken: &Taken) -> f64 {
        self.seat.put(2, taken.since.as_ms());
        self.seat.put(3, hold_number(file, taken.hold));
        self.seat.put(4, f64::from(u8::from(taken.died)));
        taken.token as f64
    }

    pub fn put_fault(&self, fault: &Fault) -> f64 {
        self.seat.put(0, self.keep(text_of(fault)));
        FAULT
    }

    pub fn put_requested(&self, file: u32, requested: Requested) -> f64 {
        match requested {
            Requested::Taken(taken) => self.put_taken(file, &taken),
            Requested::Fault(fault) => self.put_fault(&fault),
            Requested::Waits(ticket) => {
                self.waits(ticket, file);
                self.seat.put(0, ticket as f64);
                WAITING
            }
        }
    }

    /// Notes for which file a ticket waits.
    pub fn waits(&self, ticket: u64, file: u32) {
        self.tickets.borrow_mut().insert(ticket, file);
    }

    pub fn forget(&self, ticket: u64) {
        self.tickets.borrow_mut().remove(&ticket);
    }

    /// Writes a delivery: its kind, its ticket, then what it says.
    pub fn put_told(&self, index: usize, told: HostTold) {
        let ticket = told.ticket();
        let file = self.tickets.borrow_mut().remove(&ticket).unwrap_or(u32::MAX);
        let ticket = ticket as f64;
        let written: [f64; 6] = match told {
            HostTold::Granted { taken, .. } => {
                let died = f64::from(u8::from(taken.died));
                [1.0, ticket, hold_number(file, taken.hold), taken.token as f64, taken.since.as_ms(), died]
            }
            HostTold::TimedOut { waited, .. } => [2.0, ticket, waited.as_ms(), 0.0, 0.0, 0.0],
            HostTold::Failed { text, .. } => [3.0, ticket, self.keep(text), 0.0, 0.0, 0.0],
            HostTold::Deadlocked { text, .. } => [4.0, ticket, self.keep(text), 0.0, 0.0, 0.0],
        };
        for (place, value) in written.into_iter().enumerate() {
            self.seat.put(index * TOLD_SIZE + place, value);
        }
    }

    /// Keeps a text until JavaScript takes it. Its number.
    fn keep(&self, text: String) -> f64 {
        let (last, kept) = &mut *self.texts.borrow_mut();
        *last += 1;
        kept.insert(*last, text);
        if kept.len() > MOST_TEXTS {
            kept.pop_first();
        }
        *last as f64
    }

    pub fn take_text(&self, number: u64) -> Option<String> {
        self.texts.borrow_mut().1.remove(&number)
    }
}

fn hold_number(file: u32, hold: u32) -> f64 {
    f64::from(file) * FILE_UNIT + f64::from(hold)
}

fn text_of(fault: &Fault) -> String {
    serde_json::to_string(fault).unwrap_or_default()
}

/// Tells a waiter what the kernel has answered.
pub fn tell(waiter: &Waiter, outcome: Outcome) {
    let ticket = waiter.ticket;
    PROCESS.host.settled(ticket);
    let told = match outcome {
        Outcome::Granted(taken) => HostTold::Granted { ticket, taken },
        Outcome::Failed(fault) => HostTold::Failed { ticket, text: text_of(&fault) },
    };
    mailbox::post(waiter.caller.mailbox, [Told::Host(told)]);
}

/// Tells a waiter what the clock has made of it.
pub fn tell_ended(waiter: &Waiter, ended: Ended) {
    let ticket = waiter.ticket;
    let told = match ended {
        Ended::TimedOut { waited } => HostTold::TimedOut { ticket, waited },
        Ended::Deadlocked(cycle) => HostTold::Deadlocked {
            ticket,
            text: json!({ "code": "ERR_LOCK_DEADLOCK", "cycle": cycle.0 }).to_string(),
        },
    };
    mailbox::post(waiter.caller.mailbox, [Told::Host(told)]);
}
