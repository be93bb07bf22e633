//! What a held lease takes on the I/O thread, counted by the tests' allocator: of a thousand, all told.

use super::sim_store::caps;
use super::world::{Worker, in_time, opening};
use crate::lease::manager::{Granted, Request};
use crate::lease::store::{
    Caps, Key, Pending, Seen, Store, StoreError, Swap, Swapped, Version, Watch, Written,
};
use crate::tests::locks_memory::bytes;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const MANY: usize = 1_000;
/// Half of what a lease may take; the other half is the store's and JavaScript's.
const MOST: usize = 640;

/// Keeps nothing, and agrees to everything.
#[derive(Debug)]
struct Agreeing {
    caps: Caps,
    writes: Cell<u64>,
}

impl Store for Agreeing {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn shown(&self) -> &str {
        "agreeing"
    }

    fn read<'a>(&'a self, keys: &'a [Key]) -> Pending<'a, Result<Vec<Seen>, StoreError>> {
        Box::pin(async move { Ok(keys.iter().map(|_| Seen::absent(0)).collect()) })
    }

    fn swap<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Result<Swapped, StoreError>> {
        let written = |_: &Swap| {
            self.writes.set(self.writes.get() + 1);
            Written { version: Version::Number(self.writes.get()), base: 0, at: 1_000 + self.writes.get() }
        };
        Box::pin(async move { Ok(Swapped::Won(swaps.iter().map(written).collect())) })
    }

    fn list<'a>(&'a self, _: &'a str, _: usize) -> Pending<'a, Result<Vec<(Key, Seen)>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn watch<'a>(&'a self, _: &'a Key) -> Pending<'a, Result<Box<dyn Watch>, StoreError>> {
        Box::pin(async { Err(StoreError::Unsupported("nobody is told".into())) })
    }
}

async fn hold(worker: &Worker, from: usize) -> Vec<Granted> {
    let mut all = Vec::with_capacity(MANY);
    for number in from..from + MANY {
        let request = Request { ttl_ms: Some(30_000), ..Request::new(vec![format!("task:{number}")]) };
        all.push(worker.acquire(request).await.unwrap());
    }
    all
}

#[test]
fn a_held_lease_takes_little() {
    in_time(async {
        let store = Rc::new(Agreeing { caps: caps(), writes: Cell::new(0) });
        let worker = Worker::at(store.clone(), opening("one"), 1, |_| false);
        // What grows once is there.
        hold(&worker, 0).await;
        let before = bytes();
        let held = hold(&worker, MANY).await;
        let each = |now: isize| (now - before) as usize / MANY - size_of::<Granted>() - size_of::<u64>();
        let at_first = each(bytes());
        assert!(at_first <= MOST, "{at_first} bytes a lease; at most {MOST} are allowed");
        // Renewed three times, and as small.
        let writes = store.writes.get();
        tokio::time::sleep(Duration::from_secs(32)).await;
        assert!(store.writes.get() >= writes + 2 * 3 * MANY as u64, "all of them were renewed");
        let later = each(bytes());
        assert!(later <= MOST, "{later} bytes a lease after renewals, {at_first} before; at most {MOST}");
        assert!(held.iter().all(|granted| granted.cell.is_held((worker.now)())));
        println!("{at_first} bytes of a lease that is held, {later} after renewals");
        for granted in held {
            assert!(worker.release(granted.lease).await.released);
        }
    });
}
