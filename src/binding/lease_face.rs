//! A thread's view of the leases: the managers that it has opened, what it has asked, what it holds, and how answers
//! look in the scratch array. Whatever the thread does not come to fetch is given back: a grant that lies in a
//! mailbox when its thread ends holds nothing.

use crate::binding::entry::Seated;
use crate::binding::lease_texts;
use crate::binding::mailbox::{self, Told};
use crate::binding::thread::{Seat, TOLD_SIZE};
use crate::lease::fault::Fault;
use crate::lease::manager::{Events, Granted, LeaseCell, LeaseId, Lost, Manager, Released, RequestId};
use crate::sync::Arc;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

/// Texts that are kept until somebody takes them.
const MOST_TEXTS: usize = 10_000;

/// A grant on its way to its thread. Dropped on the way, it is given back.
#[derive(Debug)]
pub struct Grant(Option<(Manager, Granted)>);

impl Grant {
    pub fn new(manager: Manager, granted: Granted) -> Grant {
        Grant(Some((manager, granted)))
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some((manager, granted)) = self.0.take() {
            // Without an I/O thread there is nobody to give it back to.
            let _ = manager.release(granted.lease, Box::new(|_| ()));
        }
    }
}

/// What a thread is told.
#[derive(Debug)]
pub enum LeaseTold {
    Granted { request: u64, grant: Grant },
    Failed { request: u64, text: String },
    Number { request: u64, value: f64 },
    Released { request: u64, released: Released },
    Text { request: u64, text: String },
    Lost { lease: LeaseId, text: String },
    Risk { lease: LeaseId, left_ms: u64 },
}

/// The kinds of a delivery, as the scratch array numbers them; JavaScript has the numbers from `leaseLayout()`.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Granted = 1,
    Failed,
    Number,
    Released,
    Text,
    Lost,
    Risk,
}

#[derive(Debug)]
struct Held {
    manager: Manager,
    cell: Arc<LeaseCell>,
}

#[derive(Debug)]
pub struct LeaseFace {
    pub seat: Seat,
    managers: RefCell<Vec<Option<Manager>>>,
    /// Those that may still be aborted.
    requests: RefCell<HashMap<u64, (Manager, RequestId)>>,
    held: RefCell<HashMap<u64, Held>>,
    texts: RefCell<(u64, BTreeMap<u64, String>)>,
    last_request: Cell<u64>,
}

impl Seated for LeaseFace {
    #[inline]
    fn seat(&self) -> &Seat {
        &self.seat
    }
}

impl LeaseFace {
    pub fn new(seat: Seat) -> Self {
        Self {
            seat,
            managers: RefCell::default(),
            requests: RefCell::default(),
            held: RefCell::default(),
            texts: RefCell::default(),
            last_request: Cell::new(0),
        }
    }

    /// Gives an opened manager its number.
    pub fn opened(&self, manager: Manager) -> u32 {
        let mut managers = self.managers.borrow_mut();
        let free = managers.iter().position(Option::is_none).unwrap_or(managers.len());
        if free == managers.len() {
            managers.push(None);
        }
        managers[free] = Some(manager);
        free as u32
    }

    pub fn manager(&self, number: u32) -> Option<Manager> {
        self.managers.borrow().get(number as usize)?.clone()
    }

    /// Its number names nothing any more.
    pub fn forget_manager(&self, number: u32) {
        if let Some(place) = self.managers.borrow_mut().get_mut(number as usize) {
            *place = None;
        }
    }

    pub fn next_request(&self) -> u64 {
        let next = self.last_request.get() + 1;
        self.last_request.set(next);
        next
    }

    /// Notes how a request can be aborted.
    pub fn asked(&self, request: u64, manager: Manager, id: RequestId) {
        self.requests.borrow_mut().insert(request, (manager, id));
    }

    pub fn abort(&self, request: u64) {
        let asked = self.requests.borrow_mut().remove(&request);
        if let Some((manager, id)) = asked {
            manager.abort(id);
        }
    }

    /// Whose lease it is.
    pub fn manager_of(&self, lease: u64) -> Option<Manager> {
        Some(self.held.borrow().get(&lease)?.manager.clone())
    }

    /// Forgets a lease that is given back or lost; whose it was.
    pub fn forget(&self, lease: u64) -> Option<Manager> {
        Some(self.held.borrow_mut().remove(&lease)?.manager)
    }

    #[inline]
    pub fn with_cell<R>(&self, lease: u64, look: impl FnOnce(&LeaseCell) -> R) -> Option<R> {
        self.held.borrow().get(&lease).map(|held| look(&held.cell))
    }

    /// The thread ends: what it holds is given back, and what it has asked given up, in the background.
    pub fn close(&self) {
        let managers: Vec<Manager> = self.managers.borrow_mut().drain(..).flatten().collect();
        for manager in managers {
            // As above.
            let _ = manager.close(true, Box::new(|_| ()));
        }
        self.requests.borrow_mut().clear();
        self.held.borrow_mut().clear();
    }

    /// Writes a delivery: its kind, whose it is, then what it says.
    pub fn put_told(&self, index: usize, told: LeaseTold) {
        let written = match told {
            LeaseTold::Granted { request, grant } => self.granted(request, grant),
            LeaseTold::Failed { request, text } => {
                self.requests.borrow_mut().remove(&request);
                row(Kind::Failed, request, [self.keep(text), 0.0])
            }
            LeaseTold::Number { request, value } => row(Kind::Number, request, [value, 0.0]),
            LeaseTold::Released { request, released } => {
                let reason = released.reason.map_or(0.0, |reason| self.keep(reason.to_owned()));
                row(Kind::Released, request, [f64::from(u8::from(released.released)), reason])
            }
            LeaseTold::Text { request, text } => row(Kind::Text, request, [self.keep(text), 0.0]),
            LeaseTold::Lost { lease, text } => row(Kind::Lost, lease.0, [self.keep(text), 0.0]),
            LeaseTold::Risk { lease, left_ms } => row(Kind::Risk, lease.0, [left_ms as f64, 0.0]),
        };
        for (place, value) in written.into_iter().enumerate() {
            self.seat.put(index * TOLD_SIZE + place, value);
        }
    }

    /// Writes a grant that nobody had to wait for, as if it had been delivered alone.
    pub fn put_granted(&self, manager: Manager, granted: Granted) {
        for (place, value) in self.granted(0, Grant::new(manager, granted)).into_iter().enumerate() {
            self.seat.put(place, value);
        }
    }

    fn granted(&self, request: u64, mut grant: Grant) -> [f64; TOLD_SIZE] {
        self.requests.borrow_mut().remove(&request);
        let Some((manager, granted)) = grant.0.take() else { return [0.0; TOLD_SIZE] };
        self.held.borrow_mut().insert(granted.lease.0, Held { manager, cell: granted.cell });
        let several = match granted.tokens.as_slice() {
            [_] => 0.0,
            tokens => self.keep(serde_json::to_string(tokens).unwrap_or_default()),
        };
        [
            f64::from(Kind::Granted as u32),
            request as f64,
            granted.lease.0 as f64,
            granted.tokens.first().map_or(0.0, |token| *token as f64),
            f64::from(granted.retries),
            granted.waited_ms,
            f64::from(u8::from(granted.stale_claimed)),
            several,
        ]
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

fn row(kind: Kind, whose: u64, [first, second]: [f64; 2]) -> [f64; TOLD_SIZE] {
    [f64::from(kind as u32), whose as f64, first, second, 0.0, 0.0, 0.0, 0.0]
}

/// Hands the answer to a request over to the thread that has asked.
pub fn tell<T>(mailbox: u64, request: u64, answer: Result<T, Fault>, say: impl FnOnce(T) -> LeaseTold) {
    let told = match answer {
        Ok(value) => say(value),
        Err(fault) => LeaseTold::Failed { request, text: lease_texts::fault(&fault) },
    };
    mailbox::post(mailbox, [Told::Lease(told)]);
}

/// Where there is nobody to answer a request, says why.
pub fn tell_refusal(mailbox: u64, request: u64, asked: Result<(), Fault>) {
    if let Err(fault) = asked {
        let text = lease_texts::fault(&fault);
        mailbox::post(mailbox, [Told::Lease(LeaseTold::Failed { request, text })]);
    }
}

/// Hands over what becomes of a manager's leases.
#[derive(Debug)]
pub struct Ears {
    pub mailbox: u64,
}

impl Events for Ears {
    fn lost(&self, lease: LeaseId, lost: Lost) {
        let text = lease_texts::lost(&lost);
        mailbox::post(self.mailbox, [Told::Lease(LeaseTold::Lost { lease, text })]);
    }

    fn risk(&self, lease: LeaseId, left_ms: u64) {
        mailbox::post(self.mailbox, [Told::Lease(LeaseTold::Risk { lease, left_ms })]);
    }
}
