//! etcd, over its JSON gateway (3.4 and later): a record is a key, its version the key's mod revision, a swap one
//! transaction, and a session a key that hangs on an etcd lease, which the server ends by itself.
//!
//! # What holds
//! * `swap` compares the mod revision of every record and whether the session keys exist, and writes or reads the
//!   records, in one transaction: one round trip, won or lost.
//! * The end of a session is final. Its id is the number of its lease, which the server gives once, and its key is
//!   written once, with that lease; a late write of it fails when the lease is gone.
//! * There is no time in it: `at` and `now` are 0 and every term names a session.
//! * Transactions and reads are linearizable, so they need a majority of the cluster; without one they do not answer.
//! * Not after a restore of the server from an old backup: its revisions begin again where the backup was.

mod api;
mod feed;
mod feeds;
#[cfg(test)]
mod tests;
mod wire;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lease::address::{Address, Setup};
use crate::lease::record::Record;
use crate::lease::store::{
    Caps, Clock, Key, Pending, Seen, Store, StoreError, Swap, Swapped, Version, Watch, Written, listed,
};
use api::{Api, Kind, Trouble};
use feeds::Feeds;
use wire::{Lease, Line, Names, Place, Range, Txn};

/// As many operations as a server takes in one transaction, unless it was told otherwise.
const MOST_OPERATIONS: usize = 128;
/// etcd counts in seconds, and ends nothing before two of its elections could have passed.
const MIN_TTL: Duration = Duration::from_secs(2);
/// How often the server looks for sessions that have expired.
const LOOKS_EVERY: Duration = Duration::from_millis(500);
/// How many ended sessions are remembered; what was forgotten is looked up again.
const REMEMBERED: usize = 4096;

const TXN: &str = "/v3/kv/txn";

/// Without I/O: the first request connects.
pub fn open(setup: &Setup) -> Result<Rc<dyn Store>, StoreError> {
    let Address::Etcd(server) = &setup.address else {
        return Err(StoreError::Unsupported("the address is not etcd's".into()));
    };
    let scheme = if server.tls { "etcds" } else { "etcd" };
    let api = Rc::new(Api::new(setup, server)?);
    let names = Rc::new(Names::new(&setup.namespace));
    let ended = Rc::new(Ended::default());
    Ok(Rc::new(Etcd {
        feeds: Feeds::new(api.clone(), names.clone(), ended.clone()),
        shown: format!("{scheme}://{}", api::authority(server)),
        caps: Caps {
            engine: "etcd",
            clock: Clock::Session,
            min_ttl: MIN_TTL,
            slack: LOOKS_EVERY,
            sessions: true,
            multi: true,
            push: true,
            queue: true,
            poll: (Duration::from_millis(500), Duration::from_secs(2)),
            local: false,
            may_double_grant: false,
        },
        api,
        names,
        ended,
    }))
}

/// Sessions that are known to have ended. An end is final, so this is true for ever.
#[derive(Debug, Default)]
struct Ended(RefCell<HashSet<String>>);

impl Ended {
    fn note(&self, session: &str) {
        let mut all = self.0.borrow_mut();
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.insert(session.to_owned());
    }

    fn knows(&self, session: &String) -> bool {
        self.0.borrow().contains(session)
    }

    /// Says of a record's sessions what is known.
    fn tell(&self, mut seen: Seen) -> Seen {
        if !self.0.borrow().is_empty() {
            seen.gone = Record::sessions_in(&seen.body);
            seen.gone.retain(|session| self.knows(session));
        }
        seen
    }
}

#[derive(Debug)]
struct Etcd {
    api: Rc<Api>,
    names: Rc<Names>,
    shown: String,
    caps: Caps,
    feeds: Feeds,
    ended: Rc<Ended>,
}

impl Etcd {
    async fn transact(&self, body: &Value, kind: Kind) -> Result<Txn, StoreError> {
        Ok(self.api.call(TXN, body, kind).await?)
    }

    async fn records(&self, keys: &[Key]) -> Result<Vec<Seen>, StoreError> {
        let mut all = Vec::with_capacity(keys.len());
        for some in keys.chunks(MOST_OPERATIONS) {
            let looks: Vec<Value> = some.iter().map(|key| wire::look(&self.names.record(key))).collect();
            let answer = self.transact(&json!({ "success": looks }), Kind::Read).await?;
            for range in answer.ranges() {
                all.push(range.seen()?);
            }
        }
        match all.len() == keys.len() {
            true => Ok(all),
            false => Err(StoreError::Unsupported("what answers is no etcd: records are missing".into())),
        }
    }

    /// Asks for the sessions that the records name and that are not known to have ended, and fills in `gone`.
    async fn with_gone(&self, seen: Vec<Seen>) -> Result<Vec<Seen>, StoreError> {
        let named: BTreeSet<String> = seen.iter().flat_map(|seen| Record::sessions_in(&seen.body)).collect();
        let asked: Vec<String> = named.into_iter().filter(|session| !self.ended.knows(session)).collect();
        self.all_ended(&asked).await?;
        Ok(seen.into_iter().map(|seen| self.ended.tell(seen)).collect())
    }

    /// Whether none of the sessions lives; those that have ended are remembered.
    async fn all_ended(&self, sessions: &[String]) -> Result<bool, StoreError> {
        let mut ended = 0;
        for some in sessions.chunks(MOST_OPERATIONS) {
            let counts: Vec<Value> =
                some.iter().map(|session| wire::count(&self.names.session(session))).collect();
            let answer = self.transact(&json!({ "success": counts }), Kind::Read).await?;
            for (session, _) in some.iter().zip(answer.ranges()).filter(|(_, range)| range.count == 0) {
                self.ended.note(session);
                ended += 1;
            }
        }
        Ok(ended == sessions.len())
    }

    fn verdict(&self, answer: &Txn, revision: u64, swaps: usize) -> Result<Swapped, StoreError> {
        if answer.succeeded {
            let written = Written { version: Version::Number(revision), base: 0, at: 0 };
            return Ok(Swapped::Won(vec![written; swaps]));
        }
        let there = answer.ranges().map(|range| Ok(self.ended.tell(range.seen()?)));
        Ok(Swapped::Lost(there.collect::<Result<_, StoreError>>()?))
    }

    async fn move_all(&self, swaps: &[Swap]) -> Result<Swapped, StoreError> {
        let (alive, mut gone) = guards(swaps);
        let free = MOST_OPERATIONS.checked_sub(swaps.len() + alive.len());
        let free = free.ok_or_else(|| {
            StoreError::Unsupported(format!("etcd moves at most {MOST_OPERATIONS} records at once"))
        })?;
        // As an end is final, it may as well be looked at before.
        let before = gone.split_off(gone.len().min(free));
        if !self.all_ended(&before).await? {
            return Ok(Swapped::Lost(Vec::new()));
        }
        let body = wire::conditional(&self.names, swaps, &alive, &gone)?;
        let answer = self.transact(&body, Kind::Write).await?;
        self.verdict(&answer, answer.header.revision, swaps.len())
    }

    /// Transactions within one: each has its own conditions and its own verdict.
    async fn move_each(&self, swaps: &[Swap]) -> Result<Vec<Result<Swapped, StoreError>>, StoreError> {
        let mut each = Vec::with_capacity(swaps.len());
        for swap in swaps {
            let swap = std::slice::from_ref(swap);
            let (alive, gone) = guards(swap);
            each.push(json!({ "request_txn": wire::conditional(&self.names, swap, &alive, &gone)? }));
        }
        let answer = self.transact(&json!({ "success": each }), Kind::Write).await?;
        let inner = answer.responses.iter().filter_map(|op| op.response_txn.as_ref());
        let verdicts: Vec<_> = inner.map(|inner| self.verdict(inner, answer.header.revision, 1)).collect();
        match verdicts.len() == swaps.len() {
            true => Ok(verdicts),
            false => Err(StoreError::Unknown("its answer lacks verdicts".into())),
        }
    }

    async fn list_records(&self, prefix: &str, most: usize) -> Result<Vec<(Key, Seen)>, StoreError> {
        let (key, end) = self.names.records(prefix);
        let body = json!({ "key": key, "range_end": end, "limit": most.to_string() });
        let answer: Range = self.api.call("/v3/kv/range", &body, Kind::Read).await?;
        let (mut keys, mut all) = (Vec::<Key>::new(), Vec::new());
        for pair in &answer.kvs {
            let Some(Place::Record(key)) = self.names.place(&pair.key) else { continue };
            if let Some(seen) = listed(pair.seen()).transpose()? {
                keys.push(key.into());
                all.push(seen);
            }
        }
        Ok(keys.into_iter().zip(self.with_gone(all).await?).collect())
    }

    async fn new_session(&self, ttl: Duration) -> Result<String, StoreError> {
        let seconds = ttl.max(MIN_TTL).as_millis().div_ceil(1000);
        let wanted = json!({ "TTL": seconds.to_string() });
        let lease: Lease = self.api.call("/v3/lease/grant", &wanted, Kind::Write).await?;
        let session = format!("{:016x}", lease.id);
        let put = json!({ "key": self.names.session(&session), "lease": lease.id.to_string() });
        let Txn { .. } = self.api.call("/v3/kv/put", &put, Kind::Write).await?;
        Ok(session)
    }

    async fn keep_alive(&self, session: &str) -> Result<bool, StoreError> {
        let body = json!({ "ID": lease_of(session)? });
        let line: Line<Lease> = self.api.call("/v3/lease/keepalive", &body, Kind::Write).await?;
        if let Some(error) = line.error {
            return Err(StoreError::Unavailable { why: error.to_string(), retry_after: None });
        }
        let lives = line.result.is_some_and(|lease| lease.ttl > 0);
        if !lives {
            self.ended.note(session);
        }
        Ok(lives)
    }

    async fn end_session(&self, session: &str) -> Result<(), StoreError> {
        let body = json!({ "ID": lease_of(session)? });
        match self.api.call::<Value>("/v3/lease/revoke", &body, Kind::Write).await {
            Ok(_) | Err(Trouble::NoSuchLease(_)) => {
                self.ended.note(session);
                Ok(())
            }
            Err(Trouble::Store(error)) => Err(error),
        }
    }
}

/// The sessions that must live, and those that must have ended.
fn guards(swaps: &[Swap]) -> (Vec<String>, Vec<String>) {
    let each_once = |sessions: BTreeSet<&String>| sessions.into_iter().cloned().collect();
    let alive = swaps.iter().flat_map(|swap| &swap.alive).collect();
    let gone = swaps.iter().flat_map(|swap| &swap.gone).collect();
    (each_once(alive), each_once(gone))
}

/// The number of the lease behind a session, as the gateway writes numbers.
fn lease_of(session: &str) -> Result<String, StoreError> {
    let number = u64::from_str_radix(session, 16);
    let number = number.map_err(|_| StoreError::Unsupported("this is no session of etcd".into()))?;
    Ok(number.to_string())
}

impl Store for Etcd {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn shown(&self) -> &str {
        &self.shown
    }

    fn read<'a>(&'a self, keys: &'a [Key]) -> Pending<'a, Result<Vec<Seen>, StoreError>> {
        Box::pin(async move { self.with_gone(self.records(keys).await?).await })
    }

    fn swap<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Result<Swapped, StoreError>> {
        Box::pin(self.move_all(swaps))
    }

    fn swap_each<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Vec<Result<Swapped, StoreError>>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(swaps.len());
            for some in swaps.chunks(MOST_OPERATIONS) {
                match self.move_each(some).await {
                    Ok(verdicts) => all.extend(verdicts),
                    Err(error) => all.extend(some.iter().map(|_| Err(error.clone()))),
                }
            }
            all
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, most: usize) -> Pending<'a, Result<Vec<(Key, Seen)>, StoreError>> {
        Box::pin(self.list_records(prefix, most))
    }

    fn watch<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Box<dyn Watch>, StoreError>> {
        Box::pin(self.feeds.watch(key))
    }

    fn open_session(&self, ttl: Duration) -> Pending<'_, Result<String, StoreError>> {
        Box::pin(self.new_session(ttl))
    }

    fn renew_session<'a>(&'a self, session: &'a str) -> Pending<'a, Result<bool, StoreError>> {
        Box::pin(self.keep_alive(session))
    }

    fn close_session<'a>(&'a self, session: &'a str) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(self.end_session(session))
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            self.feeds.close();
            self.api.let_go();
        })
    }
}
