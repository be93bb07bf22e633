//! What every store must do, a named case each: `suite` for one store, `pair_suite` for two that lie at the same
//! place, as two processes have them. The cases are in the other files of this folder.
//!
//! Every run takes keys of its own, so that a server may be used by many of them at once.

#![expect(clippy::print_stdout, reason = "each case tells that it ran, and a skip is loud")]

#[cfg(feature = "github")]
pub mod github_server;
mod pairs;
mod pushes;
mod sessions;
mod swaps;

use crate::lease::record::{Record, Stolen, Who};
use crate::lease::store::{Key, Pending, Seen, Store, StoreError, Swap, Swapped, Version, Written};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// When a case hangs; the slowest store on the slowest machine is far below.
const HANGS: Duration = Duration::from_secs(120);

type Case = (&'static str, for<'a> fn(&'a Bench) -> Pending<'a, ()>);

/// A table of cases: the functions' names are those of the cases.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => { &[$((stringify!($case), |bench| Box::pin($case(bench)))),+] };
}
use cases;
pub use swaps::counted;

/// Every case for one store.
pub async fn suite(store: Rc<dyn Store>) {
    let other = store.clone();
    run_all(&[swaps::CASES, pushes::CASES, sessions::CASES], store, other).await;
}

/// Every case for two stores at one place.
pub async fn pair_suite(one: Rc<dyn Store>, other: Rc<dyn Store>) {
    run_all(&[pairs::CASES], one, other).await;
}

async fn run_all(tables: &[&[Case]], store: Rc<dyn Store>, other: Rc<dyn Store>) {
    let engine = store.caps().engine;
    for (name, case) in tables.iter().copied().flatten() {
        let tag = format!("t{:016x}", fastrand::u64(..));
        let bench = Bench { store: store.clone(), other: other.clone(), tag };
        let ended = tokio::time::timeout(HANGS, case(&bench)).await;
        assert!(ended.is_ok(), "{engine}: {name} hangs");
        println!("{engine}: {name}");
    }
}

/// Runs something on the kind of runtime that stores live on.
pub fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// The URL of a server, from the environment. Without it the test passes, and says so loudly.
pub fn needs_server(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        println!("SKIPPED: {variable} names no server");
    }
    url
}

/// What a case works with.
#[derive(Debug)]
pub struct Bench {
    pub store: Rc<dyn Store>,
    /// The same place, seen by another process; in `suite` the very same store.
    pub other: Rc<dyn Store>,
    tag: String,
}

impl Bench {
    /// A key that nobody else has.
    pub fn key(&self, name: &str) -> Key {
        format!("{} {name}", self.tag).into()
    }

    pub async fn see(&self, key: &Key) -> Seen {
        see(&self.store, key).await
    }

    /// Moves a record that must be as it was seen.
    pub async fn win(&self, key: &Key, expect: &Version, body: &Rc<str>) -> Written {
        won(self.store.swap(&[swap(key, expect, body)]).await)
    }

    /// A new record.
    pub async fn make(&self, name: &str) -> (Key, Written, Rc<str>) {
        let (key, body) = (self.key(name), body(name));
        let written = self.win(&key, &Version::Absent, &body).await;
        (key, written, body)
    }
}

pub async fn see(store: &Rc<dyn Store>, key: &Key) -> Seen {
    let mut seen = store.read(std::slice::from_ref(key)).await.expect("a read");
    assert_eq!(seen.len(), 1, "one key, one record");
    seen.pop().unwrap()
}

/// The names of what is listed.
pub async fn listed(store: &Rc<dyn Store>) -> Vec<String> {
    let all = store.list("", 100).await.expect("a list");
    all.into_iter().map(|(key, _)| key.to_string()).collect()
}

/// A record with some text in it; never the same bytes twice.
pub fn body(text: &str) -> Rc<str> {
    let stolen = Stolen { token: 1, by: Who::default(), reason: Some(text.to_owned()) };
    Record { token: 1, stolen: Some(Box::new(stolen)), ..Record::default() }
        .text(fastrand::u64(..))
        .unwrap()
        .into()
}

pub fn swap(key: &Key, expect: &Version, body: &Rc<str>) -> Swap {
    let (key, expect, body) = (key.clone(), expect.clone(), body.clone());
    Swap { key, expect, body, wake: false, alive: Vec::new(), gone: Vec::new() }
}

/// The only record of a swap that won.
pub fn won(swapped: Result<Swapped, StoreError>) -> Written {
    match swapped {
        Ok(Swapped::Won(mut written)) if written.len() == 1 => written.pop().unwrap(),
        other => panic!("a swap of one record won: {other:?}"),
    }
}

/// What a swap that lost brought back.
pub fn lost(swapped: Result<Swapped, StoreError>) -> Vec<Seen> {
    match swapped {
        Ok(Swapped::Lost(seen)) => seen,
        other => panic!("a swap lost: {other:?}"),
    }
}

/// That a record is what a write made of it.
pub fn is_as_written(seen: &Seen, written: &Written, body: &str) {
    assert_eq!(seen.version, written.version);
    assert_eq!(&*seen.body, body, "the very bytes");
    assert_eq!((seen.base, seen.at), (written.base, written.at), "base and time of the write");
}
