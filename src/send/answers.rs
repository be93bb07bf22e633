//! What the send lock answers, and what it has to tell to whom.

use crate::local::departures::{Caller, ProcessId};
use crate::local::queue::Ticket;
use crate::name::ShortText;
use crate::send::book::Holder;
use crate::send::rules::Refusal;
use crate::table::ring::Record;
use crate::time::Nanos;

/// What a refused asker should know about the one in the way.
#[derive(Clone, Copy, Debug)]
pub struct HolderView {
    pub token: u64,
    /// The holding layer's row in the table.
    pub layer_row: usize,
    pub thread_id: u64,
    pub process: ProcessId,
    pub held: Nanos,
}

#[derive(Clone, Copy, Debug)]
pub struct Refused {
    pub refusal: Refusal,
    pub holder: Option<HolderView>,
    /// When asking again can first succeed by the clock alone; `FOREVER` when it never can.
    pub retry_after: Nanos,
}

/// Something for a waiting thread.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// Whose mailboxes are meant.
    pub process: ProcessId,
    pub mailbox: u64,
    pub what: Told,
}

impl Delivery {
    pub fn to(caller: &Caller, what: Told) -> Self {
        Self { process: caller.row.process, mailbox: caller.mailbox, what }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Told {
    Granted {
        ticket: Ticket,
        token: u64,
        since: Nanos,
    },
    Refused {
        ticket: Ticket,
        refused: Refused,
    },
    TimedOut {
        ticket: Ticket,
        /// Place in line when time ran out, from 1.
        position: usize,
        holder: Option<HolderView>,
    },
    /// The hold was taken away from its living holder.
    Lost {
        token: u64,
    },
}

/// An answer and what follows from it.
#[derive(Debug)]
pub struct Done<T> {
    pub answer: T,
    pub tell: Vec<Delivery>,
    pub notes: Vec<Record>,
    pub wake_at: Nanos,
    /// The state that processes share could not be had: nothing was done, and the answer says the least.
    pub unavailable: bool,
}

/// What became of a request that may wait.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Granted(u64),
    Waiting(Ticket),
    Refused(Refused),
    QueueFull,
}

/// Which hold is given back.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// The grant with this token, whoever asks.
    Token(u64),
    /// This layer's hold, taken by the calling thread; with a token, exactly that grant.
    Layer(&'a ShortText, Option<u64>),
    /// The hold of the layer with this number, taken by the calling thread.
    Numbered(usize),
}

impl Which<'_> {
    /// Whether this hold is meant.
    #[inline(always)]
    pub(super) fn is(&self, holder: &Holder, caller: Caller) -> bool {
        match *self {
            Which::Token(token) => holder.token == token,
            Which::Numbered(row) => holder.layer.row == row && holder.caller.row == caller.row,
            Which::Layer(layer, token) => {
                holder.layer.name == *layer
                    && match token {
                        Some(token) => holder.token == token,
                        None => holder.caller.row == caller.row,
                    }
            }
        }
    }
}
