//! A thread's view of one send lock, and how refusals and deliveries look in its scratch array: a refusal
//! takes the first five doubles, a delivery [`TOLD_SIZE`] each.

use crate::binding::entry::Seated;
use crate::binding::thread::{Seat, TOLD_SIZE};
use crate::name::ShortText;
use crate::send::lock::{HolderView, Refused, SendLock, Told};
use crate::send::rules::Refusal;
use crate::sync::Arc;
use crate::time::{self, Nanos};

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
/// The state that processes share could not be had; `hostFault()` says why.
pub const UNAVAILABLE: f64 = -8.0;
/// A holder's layer row and its pid share one double: the row is below this.
pub const HOLDER_ROWS: u64 = 4_096;

#[derive(Debug)]
pub struct Face {
    pub seat: Seat,
    pub lock: Arc<SendLock>,
}

impl Seated for Face {
    #[inline]
    fn seat(&self) -> &Seat {
        &self.seat
    }
}

impl Face {
    pub fn new(lock: Arc<SendLock>, seat: Seat) -> Self {
        Self { seat, lock }
    }

    #[inline]
    fn put(&self, place: usize, value: f64) {
        self.seat.put(place, value);
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

    /// Token (0 for nobody), layer row and pid, thread and age in milliseconds.
    #[inline]
    fn put_holder(&self, at: usize, holder: Option<&HolderView>) {
        match holder {
            Some(holder) => {
                self.put(at, holder.token as f64);
                let row = self.lock.row_of(holder) as u64;
                self.put(at + 1, (u64::from(holder.process.pid()) * HOLDER_ROWS + row) as f64);
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
        self.lock.layer_name(row)
    }
}
