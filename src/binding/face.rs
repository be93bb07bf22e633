//! A thread's view of one send lock: who it is, where it is told things, and the scratch array through
//! which more than one number comes back from a raw call.

use crate::binding::mailbox::Mailbox;
use crate::binding::process::PROCESS;
use crate::local::departures::RowId;
use crate::name::ShortText;
use crate::send::lock::{Caller, HolderView, Refused, SendLock, Told};
use crate::send::rules::Refusal;
use crate::sync::Arc;
use crate::time::{self, Nanos};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Doubles in the scratch array: a refusal takes the first five, a fetched delivery [`TOLD_SIZE`] each.
pub const SCRATCH: usize = 8 * 64;
pub const TOLD_SIZE: usize = 8;

/// The codes of a refusal, as the raw calls return them.
pub const UNKNOWN_LAYER: f64 = -1.0;
pub const COOLDOWN: f64 = -2.0;
pub const HELD: f64 = -3.0;
pub const DUPLICATE_MESSAGE: f64 = -4.0;
pub const QUEUE_FULL: f64 = -5.0;
/// The request waits; its ticket is in the scratch array.
pub const WAITING: f64 = -6.0;
/// The hold that was to be joined has ended.
pub const ENDED: f64 = -7.0;

#[derive(Debug)]
pub struct Face {
    pub lock: Arc<SendLock>,
    pub caller: Caller,
    pub mailbox: Arc<Mailbox>,
    scratch: *mut f64,
    closed: Cell<bool>,
}

thread_local! {
    /// This thread's row, and how many faces stand on it.
    static THREAD: Cell<Option<(RowId, usize)>> = const { Cell::new(None) };
    static FACES: RefCell<Vec<Option<Rc<Face>>>> = const { RefCell::new(Vec::new()) };
}

/// A new face of this thread, and its number. `scratch` is the array's data, at least [`SCRATCH`] doubles,
/// kept alive by the caller.
pub fn open(lock: Arc<SendLock>, thread_id: u32, scratch: *mut f64) -> (Rc<Face>, u32) {
    let thread_id = u64::from(thread_id);
    let (row, faces) = THREAD.get().unwrap_or_else(|| (PROCESS.rows.arrive(thread_id, time::now()), 0));
    THREAD.set(Some((row, faces + 1)));
    let mailbox = Mailbox::register();
    let caller = Caller { row, thread_id, mailbox: mailbox.id };
    let face = Rc::new(Face { lock, caller, mailbox, scratch, closed: Cell::new(false) });
    let number = FACES.with_borrow_mut(|faces| {
        let number = faces.iter().position(Option::is_none).unwrap_or_else(|| {
            faces.push(None);
            faces.len() - 1
        });
        faces[number] = Some(face.clone());
        number
    });
    (face, number as u32)
}

/// The face of that number.
pub fn get(number: u32) -> Option<Rc<Face>> {
    FACES.with_borrow(|faces| faces.get(number as usize)?.clone())
}

impl Face {
    /// Closes the face, once; with its last face the thread itself departs.
    pub fn close(&self) -> Option<napi::sys::napi_threadsafe_function> {
        if self.closed.replace(true) {
            return None;
        }
        let function = self.mailbox.close();
        // The thread-locals may be gone already when a thread is torn down; then nobody asks them again.
        let _ = FACES.try_with(|faces| {
            for place in faces.borrow_mut().iter_mut() {
                if place.as_ref().is_some_and(|face| std::ptr::eq(&**face, self)) {
                    *place = None;
                }
            }
        });
        let _ = THREAD.try_with(|thread| match thread.get() {
            Some((row, 1)) => {
                thread.set(None);
                PROCESS.depart(row);
            }
            Some((row, faces)) => thread.set(Some((row, faces - 1))),
            None => {}
        });
        function
    }

    #[inline]
    pub fn put(&self, place: usize, value: f64) {
        debug_assert!(place < SCRATCH);
        // SAFETY: `scratch` points to SCRATCH doubles of an array that this face's creator keeps alive.
        let at = unsafe { self.scratch.add(place) };
        // SAFETY: inside that array, which only this thread touches.
        unsafe { at.write(value) };
    }

    /// Writes a refusal into the scratch array and gives its code.
    #[inline]
    pub fn put_refusal(&self, at: usize, refused: &Refused) -> f64 {
        self.put_holder(at, refused.holder.as_ref());
        self.put(
            at + 4,
            if refused.retry_after == Nanos::FOREVER { -1.0 } else { refused.retry_after.as_ms() },
        );
        match refused.refusal {
            Refusal::UnknownLayer => UNKNOWN_LAYER,
            Refusal::Cooldown { .. } => COOLDOWN,
            Refusal::Held => HELD,
            Refusal::DuplicateMessage { .. } => DUPLICATE_MESSAGE,
        }
    }

    /// Token (0 for nobody), layer row, thread and age in milliseconds.
    #[inline]
    fn put_holder(&self, at: usize, holder: Option<&HolderView>) {
        match holder {
            Some(holder) => {
                self.put(at, holder.token as f64);
                self.put(at + 1, holder.layer_row as f64);
                self.put(at + 2, holder.thread_id as f64);
                self.put(at + 3, holder.held.as_ms());
            }
            None => self.put(at, 0.0),
        }
    }

    /// Writes a delivery: kind, ticket or token, number, then a holder or refusal.
    pub fn put_told(&self, index: usize, told: &Told) {
        let at = index * TOLD_SIZE;
        match told {
            Told::Granted { ticket, token, since } => {
                self.put(at, 1.0);
                self.put(at + 1, ticket.to_number() as f64);
                self.put(at + 2, *token as f64);
                self.put(at + 3, time::now().since(*since).as_ms());
            }
            Told::Refused { ticket, refused } => {
                self.put(at, 2.0);
                self.put(at + 1, ticket.to_number() as f64);
                let code = self.put_refusal(at + 3, refused);
                self.put(at + 2, code);
            }
            Told::TimedOut { ticket, position, holder } => {
                self.put(at, 3.0);
                self.put(at + 1, ticket.to_number() as f64);
                self.put(at + 2, *position as f64);
                self.put_holder(at + 3, holder.as_ref());
            }
            Told::Lost { token } => {
                self.put(at, 4.0);
                self.put(at + 1, *token as f64);
            }
        }
    }

    /// The name of a layer row.
    pub fn layer_name(&self, row: usize) -> ShortText {
        self.lock.page().layers.0.get(row).map_or(ShortText::EMPTY, |row| row.name.get())
    }
}
