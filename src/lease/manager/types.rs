//! What users of the manager hand in and get back: plain values, all `Send`.

use crate::lease::address::Setup;
use crate::lease::fault::{Fault, HolderView};
use crate::lease::manager::cell::LeaseCell;
use crate::lease::record::Mode;
use crate::lease::send::SendAsk;
use crate::sync::Arc;

/// Unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

/// Called once, on the I/O thread, under no mutex; hands over and returns.
pub type Reply<T> = Box<dyn FnOnce(Result<T, Fault>) + Send>;

/// What a manager is opened with.
#[derive(Clone, Debug)]
pub struct Opening {
    pub setup: Setup,
    /// Of requests that say nothing else.
    pub ttl_ms: u64,
    pub worker: String,
    pub node: Option<String>,
    /// No renewal while the event loop has not answered for so long (`Manager::beat`).
    pub require_loop_alive_ms: Option<u64>,
    /// Nobody holds for longer than this, whatever the renewals say.
    pub max_hold_ms: Option<u64>,
}

/// What to do when the key is not to be had at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Stand in line until granted, timed out or aborted.
    Wait,
    FailFast,
    /// Try again so many times, after pauses of full jitter that double from `base_ms` to `cap_ms`.
    Retry {
        max: u32,
        base_ms: u64,
        cap_ms: u64,
    },
    /// As `FailFast`: what has expired is taken by every strategy; here that is the point.
    StealStale,
    /// Take it from whoever holds it.
    Force,
    /// Take it from the hold with this token, and from no other.
    Steal {
        token: u64,
    },
}

impl Strategy {
    /// As users write the default: 5 retries, 1 s doubling to 16 s.
    pub const RETRY: Strategy = Strategy::Retry { max: 5, base_ms: 1_000, cap_ms: 16_000 };
}

#[derive(Clone, Debug)]
pub struct Request {
    pub keys: Vec<String>,
    pub mode: Mode,
    pub ttl_ms: Option<u64>,
    /// After an expiry nobody gets the key for so long.
    pub delay_ms: u64,
    pub worker: Option<String>,
    pub node: Option<String>,
    /// JSON, at most `record::MAX_META` bytes.
    pub meta: Option<String>,
    pub strategy: Strategy,
    pub timeout_ms: Option<u64>,
    /// Stand in line. None: where the store can.
    pub fair: Option<bool>,
    /// Why it is forced or stolen, for its former holder.
    pub reason: Option<String>,
    /// For the send lock, of which the key is the record.
    pub send: Option<SendAsk>,
}

impl Request {
    /// Exclusive, waiting, with the manager's defaults.
    pub fn new(keys: Vec<String>) -> Request {
        Request {
            keys,
            mode: Mode::Exclusive,
            ttl_ms: None,
            delay_ms: 0,
            worker: None,
            node: None,
            meta: None,
            strategy: Strategy::Wait,
            timeout_ms: None,
            fair: None,
            reason: None,
            send: None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Granted {
    pub lease: LeaseId,
    /// In the order of the request's keys.
    pub tokens: Vec<u64>,
    pub cell: Arc<LeaseCell>,
    pub retries: u32,
    pub waited_ms: f64,
    /// It was taken over from a holder whose term was over.
    pub stale_claimed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// It was ours until now, and is free.
    pub released: bool,
    /// Else why not: a cause of `Lost`, `released` (before), or `unavailable` (it is tried on, until it expires).
    pub reason: Option<&'static str>,
}

/// Why a lease is no longer held.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// `expired` (the deadline came without a renewal), `stolen`, `gone` (the store lost the record), `session`,
    /// `maxHold`, `loop`, `closed`.
    pub cause: &'static str,
    pub by: Option<HolderView>,
}

/// Told on the I/O thread, under no mutex; must only hand over.
pub trait Events: Send + Sync {
    /// At the deadline at the latest, once for each lease that is lost.
    fn lost(&self, lease: LeaseId, lost: Lost);
    /// A renewal has failed, or has not been answered for long: so many ms are left.
    fn risk(&self, lease: LeaseId, left_ms: u64);
    fn renewed(&self, _lease: LeaseId, _left_ms: u64) {}
}

#[derive(Clone, Debug, PartialEq)]
pub struct StolenView {
    pub token: u64,
    pub by: String,
    pub reason: Option<String>,
}

/// What a store says about a key: advisory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    pub holds: Vec<HolderView>,
    pub waiters: u64,
    /// The last token that was granted; 0 when none ever was.
    pub token: u64,
    /// It is held, and the terms of all who hold it are over.
    pub stale: bool,
    pub stolen: Option<StolenView>,
    /// Since the record was last written; none when the store has no clock, or no record.
    pub written_ms_ago: Option<u64>,
}
