//! A user's own connection: one statement is one transaction, on whatever thread its user is. It never waits: while
//! somebody else writes it says so, nothing is synced at a commit, and the log is taken over by the desk.

use std::collections::HashMap;

use rusqlite::params;

use crate::lease::store::{Caps, Hindered, Key, Seen, Shortcut, Swap, Version, Written};
use crate::lease::stores::sqlite::clock::BootClock;
use crate::lease::stores::sqlite::desk::{LOOK_EVERY, TIDY_EVERY};
use crate::lease::stores::sqlite::file::{self, Opened};
use crate::lease::stores::sqlite::rows::{Found, Rows};
use crate::sync::{Arc, Ordering, StaticU64};
use crate::time::{self, Nanos};

const MAKE: &str = "INSERT INTO leases (namespace, key, version, at_ms, boot, body) VALUES (?1, ?2, 1, ?3, ?4, ?5) \
                    ON CONFLICT (namespace, key) DO NOTHING";
const MOVE: &str =
    "UPDATE leases SET version = ?3, at_ms = ?4, boot = ?5, body = ?6 WHERE id = ?1 AND version = ?2";
/// How many records are remembered, and how long a text: one that nobody holds is short, and whoever holds it knows it
/// anyway.
const MOST: usize = 200;
const SHORT: usize = 128;

/// A record that has come this way.
#[derive(Debug)]
struct Remembered {
    id: i64,
    version: u64,
    at: u64,
    body: Option<Box<str>>,
}

impl Remembered {
    fn new(id: i64, version: u64, at: u64, body: &str) -> Remembered {
        Remembered { id, version, at, body: (body.len() <= SHORT).then(|| body.into()) }
    }
}

#[derive(Debug)]
pub struct Direct {
    opened: Opened,
    clock: BootClock,
    namespace: Box<str>,
    remembered: HashMap<Box<str>, Remembered>,
    looked_at: Nanos,
    /// The desk's count, which its upkeep sets back.
    written: Arc<StaticU64>,
    has_asked: bool,
    caps: Caps,
}

impl Direct {
    pub fn new(
        opened: Opened,
        clock: BootClock,
        namespace: &str,
        written: Arc<StaticU64>,
        caps: Caps,
    ) -> Direct {
        let (namespace, remembered) = (namespace.into(), HashMap::new());
        Direct {
            opened,
            clock,
            namespace,
            remembered,
            looked_at: Nanos::NEVER,
            written,
            has_asked: false,
            caps,
        }
    }

    /// Another file in its place is another store.
    fn look(&mut self) -> Result<(), Hindered> {
        let now = time::now();
        if now.since(self.looked_at) > LOOK_EVERY {
            self.looked_at = now;
            if !self.opened.is_still_there() {
                return Err(Hindered::Broken);
            }
        }
        Ok(())
    }

    fn remember(&mut self, key: &str, it: Remembered) {
        if let Some(known) = self.remembered.get_mut(key) {
            *known = it;
            return;
        }
        if self.remembered.len() >= MOST {
            self.remembered.clear();
        }
        self.remembered.insert(key.into(), it);
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.opened.connection.prepare_cached(sql)?.execute(values)
    }

    fn make(&mut self, swap: &Swap, now: u64) -> rusqlite::Result<Option<Remembered>> {
        let boot = self.clock.boot();
        let made = self.execute(MAKE, params![self.namespace, &*swap.key, now as i64, boot, &*swap.body])?;
        let id = self.opened.connection.last_insert_rowid();
        Ok((made == 1).then(|| Remembered::new(id, 1, now, &swap.body)))
    }

    fn advance(&mut self, swap: &Swap, seen: u64, now: u64) -> rusqlite::Result<Option<Remembered>> {
        let known = self.remembered.get(&*swap.key).filter(|known| known.version == seen);
        let Some((id, at)) = known.map(|known| (known.id, now.max(known.at))) else { return Ok(None) };
        let (version, boot) = (seen + 1, self.clock.boot());
        let values = params![id, seen as i64, version as i64, at as i64, boot, &*swap.body];
        let moved = self.execute(MOVE, values)?;
        Ok((moved == 1).then(|| Remembered::new(id, version, at, &swap.body)))
    }
}

fn hindered(error: &rusqlite::Error) -> Hindered {
    if file::is_busy(error) { Hindered::Busy } else { Hindered::Broken }
}

impl Shortcut for Direct {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn remembered(&self, key: &str) -> Option<Seen> {
        let Remembered { version, at, body, .. } = self.remembered.get(key)?;
        let (body, now) = (body.as_deref()?.into(), self.clock.now().max(*at));
        Some(Seen { version: Version::Number(*version), base: 0, at: *at, now, body, gone: Vec::new() })
    }

    fn read(&mut self, key: &Key) -> Result<Seen, Hindered> {
        self.look()?;
        let rows =
            Rows { connection: &self.opened.connection, clock: &self.clock, namespace: &self.namespace };
        let found = rows.find(key).map_err(|_| Hindered::Broken)?;
        let Some(Found { seen, id, is_of_this_boot }) = found else {
            return Ok(Seen::absent(self.clock.now()));
        };
        if let Version::Number(version) = seen.version {
            // The time of another boot is no lower limit for ours.
            let at = if is_of_this_boot { seen.at } else { 0 };
            self.remember(key, Remembered::new(id, version, at, &seen.body));
        }
        Ok(seen)
    }

    fn swap(&mut self, swap: &Swap) -> Result<Option<Written>, Hindered> {
        self.look()?;
        let now = self.clock.now();
        let done = match swap.expect {
            Version::Absent => self.make(swap, now),
            Version::Number(seen) => self.advance(swap, seen, now),
            Version::Object(_) => Ok(None),
        };
        let Some(it) = done.map_err(|error| hindered(&error))? else {
            self.remembered.remove(&*swap.key);
            return Ok(None);
        };
        self.written.fetch_add(1, Ordering::Relaxed);
        let written = Written { version: Version::Number(it.version), base: 0, at: it.at };
        self.remember(&swap.key, it);
        Ok(Some(written))
    }

    fn wants_upkeep(&mut self) -> bool {
        let is_due = self.written.load(Ordering::Relaxed) >= TIDY_EVERY;
        let had_asked = std::mem::replace(&mut self.has_asked, is_due);
        is_due && !had_asked
    }
}
