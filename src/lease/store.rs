//! What a store is: records under keys, moved by compare-and-swap and by nothing else.
//!
//! A store knows the record's text, its own clock and this file; never the rules, the manager or another store. All
//! of them live on the one I/O thread (`runtime.rs`), so nothing here is `Send`.
//!
//! # Promises
//! * [`Store::swap`] is one atomic write: all of its records move, or none, and only if each still has the version
//!   that the caller saw. Its verdict is the only thing that counts; everything else here is a hint.
//! * An answer that did not come is [`StoreError::Unknown`]: the write may have happened and may *still* happen.
//!   Writing again with the same expected version is safe (at most one of the two lands); nothing else is.
//! * Records are freed, never deleted: that is how tokens grow over release, expiry and restart.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A user's key: UTF-8, 1 to `record::MAX_KEY` bytes, checked by the manager; a store encodes it for itself.
pub type Key = Rc<str>;

/// What a record is known by; new in every write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// There is none.
    Absent,
    Number(u64),
    Object(Rc<str>),
}

/// A record as a store shows it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub version: Version,
    /// Added to every token of the record; given when the record is made and kept with it. A store that could lose its
    /// records and make them anew gives its clock here (Redis), the others 0. A write may raise it, and says so: what it
    /// grants counts from the base that it answers. It never falls.
    pub base: u64,
    /// When it was written and when it was read: ms on the store's clock; 0 where sessions are the clock.
    pub at: u64,
    pub now: u64,
    /// Empty when absent.
    pub body: Rc<str>,
    /// Of the sessions that the record names: those that have ended. Only from `read`.
    pub gone: Vec<String>,
}

impl Seen {
    pub fn absent(now: u64) -> Seen {
        Seen { version: Version::Absent, base: 0, at: 0, now, body: "".into(), gone: Vec::new() }
    }
}

/// One record to be moved.
#[derive(Clone, Debug)]
pub struct Swap {
    pub key: Key,
    /// What the caller saw.
    pub expect: Version,
    pub body: Rc<str>,
    /// Somebody stands in line: tell those who watch the key, where the store can push.
    pub wake: bool,
    /// Sessions that must still be alive for this write (a new hold's own).
    pub alive: Vec<String>,
    /// Sessions that must have ended, as `Seen::gone` said (those of the holds that it drops). A store in which a session
    /// could come back to life ends it for good with this very write.
    pub gone: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Written {
    pub version: Version,
    pub base: u64,
    pub at: u64,
}

#[derive(Clone, Debug)]
pub enum Swapped {
    /// In the order of the swaps.
    Won(Vec<Written>),
    /// Nothing was written. What is there now, in the order of the swaps, without `gone`; empty when the store cannot
    /// say without another request. Advisory.
    Lost(Vec<Seen>),
}

#[derive(Clone, Debug)]
pub enum StoreError {
    /// No answer: it may have happened, and may still happen.
    Unknown(String),
    /// It has not happened, and may be tried again.
    Unavailable { why: String, retry_after: Option<Duration> },
    /// Wrong credentials, or no permission.
    Denied(String),
    /// Under our key, or in our table, lies something that is not ours.
    Foreign(String),
    /// Made by a newer chainlock.
    Newer(String),
    /// It can be read only.
    ReadOnly(String),
    /// The store, or its version or its settings, cannot do what is asked.
    Unsupported(String),
}

/// One of a list: none when it is not ours, or of a newer chainlock.
pub fn listed<T>(found: Result<T, StoreError>) -> Option<Result<T, StoreError>> {
    match found {
        Err(StoreError::Foreign(_) | StoreError::Newer(_)) => None,
        found => Some(found),
    }
}

/// How a store's clock is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The server's.
    Server,
    /// The machine's, since its boot.
    Boot,
    /// The server ends sessions by itself.
    Session,
}

/// What a store promises. The manager refuses what it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// `sqlite`, `redis`, `postgres`, `etcd`, `github`.
    pub engine: &'static str,
    pub clock: Clock,
    pub min_ttl: Duration,
    /// Added to a term before it counts as expired: the grain of the store's clock.
    pub slack: Duration,
    /// Holds name a session of their process; one renewal keeps all of them.
    pub sessions: bool,
    /// Several records move in one atomic write.
    pub multi: bool,
    /// Watchers are told of changes.
    pub push: bool,
    /// Waiters may stand in line in the record (a write is cheap enough).
    pub queue: bool,
    /// How often to look where nobody is told: the least and the greatest pause.
    pub poll: (Duration, Duration),
    /// Holders are processes of this machine: a dead one need not be waited for.
    pub local: bool,
    /// A failover of the server may lose granted holds: two may believe to hold, and only the fence separates them.
    pub may_double_grant: bool,
}

/// A second way to the same records, for a user's own thread: one record at a time, and never a wait. What it cannot do
/// at once it leaves to the store.
pub trait Shortcut: Debug + Send {
    fn caps(&self) -> &Caps;

    /// The store's clock.
    fn now(&self) -> u64;

    /// The record as it was when it last came this way; it may be old.
    fn remembered(&self, key: &str) -> Option<Seen>;

    fn read(&mut self, key: &Key) -> Result<Seen, Hindered>;

    /// As [`Store::swap`] of one record; none when it has another version. It wakes nobody.
    fn swap(&mut self, swap: &Swap) -> Result<Option<Written>, Hindered>;

    /// Whether it is time for [`Store::upkeep`]; says so once.
    fn wants_upkeep(&mut self) -> bool;
}

/// Why something was not done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindered {
    /// Somebody else writes. It has not happened.
    Busy,
    /// It may have happened; this way is not to be used again.
    Broken,
}

/// A change of a watched key, or of anything that might be one.
#[derive(Clone, Debug, Default)]
pub struct Hint {
    /// The record as it is now, if the store's message carried it.
    pub seen: Option<Seen>,
}

/// A watched key. Dropped when nobody watches any more.
pub trait Watch: Debug {
    /// The next change after the watch was made. Ends only with the connection, which is a hint as well.
    fn next(&mut self) -> Pending<'_, Hint>;
}

pub trait Store: Debug {
    fn caps(&self) -> &Caps;

    /// The store without secrets, for messages: `redis://host:6379/0`.
    fn shown(&self) -> &str;

    /// The records of the keys, in their order.
    fn read<'a>(&'a self, keys: &'a [Key]) -> Pending<'a, Result<Vec<Seen>, StoreError>>;

    /// Moves all of them or none; with one key in one round trip.
    fn swap<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Result<Swapped, StoreError>>;

    /// Each by itself, in as few round trips as it takes: renewals.
    fn swap_each<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Vec<Result<Swapped, StoreError>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(swaps.len());
            for swap in swaps {
                answers.push(self.swap(std::slice::from_ref(swap)).await);
            }
            answers
        })
    }

    /// Every key that begins so, at most `most`, with its record. What is none of ours spoils no list: it is left out
    /// ([`listed`]), or its text comes as it is.
    fn list<'a>(&'a self, prefix: &'a str, most: usize) -> Pending<'a, Result<Vec<(Key, Seen)>, StoreError>>;

    /// From the moment it resolves no change is missed. Stores without push answer a watch that stays silent.
    fn watch<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Box<dyn Watch>, StoreError>>;

    /// A session of this process that lives for `ttl` after each renewal. Only where `caps().sessions`.
    fn open_session(&self, _ttl: Duration) -> Pending<'_, Result<String, StoreError>> {
        Box::pin(async { Err(StoreError::Unsupported("this store has no sessions".into())) })
    }

    /// Whether it lives on.
    fn renew_session<'a>(&'a self, _session: &'a str) -> Pending<'a, Result<bool, StoreError>> {
        Box::pin(async { Err(StoreError::Unsupported("this store has no sessions".into())) })
    }

    /// In how long a session ends unless it is renewed, by what the last look has found. None where only the store
    /// knows, and tells those who watch.
    fn session_left(&self, _session: &str) -> Option<Duration> {
        None
    }

    fn close_session<'a>(&'a self, _session: &'a str) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// Where a user's own thread does something sooner than it could ask for it. It is opened here, because that may take
    /// long. None: never.
    fn shortcut(&self) -> Pending<'_, Result<Option<Box<dyn Shortcut>>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    /// What the use of shortcuts has left to do; in the background.
    fn upkeep(&self) {}

    /// Whether it has a place where people see who holds a key (a GitHub issue).
    fn shows(&self) -> bool {
        false
    }

    /// For people, after other holders have come; best effort, decides nothing.
    fn show<'a>(&'a self, _key: &'a Key, _body: &'a str) -> Pending<'a, ()> {
        Box::pin(async {})
    }

    /// Lets go of its connections and threads.
    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {})
    }
}
