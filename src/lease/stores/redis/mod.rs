//! Redis (5 and later) and what speaks its protocol: a record is a string, moved by one script per swap.
//!
//! # Policy
//! * Use: one connection for requests, made at the first; one for pushes, made at the first watch.
//! * Keys: `{namespace}:lease:<key>`. The braces keep a namespace in one slot of a cluster, for several keys at once.
//! * Clock and tokens: the server's TIME. A record begins with a base, the server's microseconds at its first write;
//!   tokens are counted above it. So they grow on over a record that was lost. The base is raised by the first write
//!   on another run of the server (a restart, a failover), because the record may come from an old snapshot or from a
//!   replica that lagged behind, in which the last tokens are missing. Holds that outlive that keep their tokens, for
//!   whoever writes has noted from what they count.
//! * End: a record that nobody writes for 30 days goes, free or not; its tokens grow on by the base.
//! * Not promised: that a failover keeps what was granted. Redis replicates afterwards: two may believe to hold, and
//!   only the fence separates them.

mod address;
mod entry;
mod errors;
mod link;
mod push;
mod script;
#[cfg(test)]
mod tests;

use crate::lease::address::{Address, Setup};
use crate::lease::store::{Caps, Clock, Key, Pending, Seen, Store, StoreError, Swap, Swapped, Watch, listed};
use address::Place;
use entry::seen_in;
use errors::Doing;
use link::Link;
use push::Push;
use redis::{Cmd, Value, cmd};
use script::Script;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How many keys one SCAN step looks at, and how many records one round trip of a list brings.
const STEP: usize = 500;

const CAPS: Caps = Caps {
    engine: "redis",
    clock: Clock::Server,
    min_ttl: Duration::from_millis(100),
    slack: Duration::ZERO,
    sessions: false,
    multi: true,
    push: true,
    queue: true,
    poll: (Duration::from_millis(50), Duration::from_secs(1)),
    local: false,
    may_double_grant: true,
};

pub struct Redis {
    shown: String,
    /// Before every key.
    prefix: String,
    script: Script,
    link: Link,
    push: Push,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("at", &self.shown).finish_non_exhaustive()
    }
}

/// Connects to nothing yet.
pub fn open(setup: &Setup) -> Result<Rc<dyn Store>, StoreError> {
    let Address::Redis(server) = &setup.address else {
        return Err(StoreError::Unsupported("not the address of a Redis".into()));
    };
    let place = Rc::new(Place::of(server, setup)?);
    let prefix = format!("{{{}}}:lease:", setup.namespace);
    // Channels know no database numbers.
    let channels = format!("{}:{prefix}", place.database);
    Ok(Rc::new(Redis {
        shown: place.shown(),
        prefix,
        script: Script::new(format!("{}:", place.database)),
        link: Link::new(place.clone()),
        push: Push::new(place, channels),
    }))
}

impl Redis {
    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// One script call; a server that does not know the script gets its text, for then it has not run.
    async fn run(&self, swaps: &[Swap]) -> Result<Value, StoreError> {
        let names: Vec<String> = swaps.iter().map(|swap| self.name(&swap.key)).collect();
        let call = |run: &str, whole: bool| self.script.call(&names, swaps, run, whole);
        let answer = self.link.ask(Doing::Write, |run| call(run, false)).await?;
        match script::is_unknown(&answer) {
            true => self.link.ask(Doing::Write, |run| call(run, true)).await,
            false => Ok(answer),
        }
    }

    async fn swap_all(&self, swaps: &[Swap]) -> Result<Swapped, StoreError> {
        script::verdict(&self.run(swaps).await?, swaps.len())
    }

    async fn swap_singly(&self, swaps: &[Swap]) -> Vec<Result<Swapped, StoreError>> {
        let names: Vec<String> = swaps.iter().map(|swap| self.name(&swap.key)).collect();
        let calls = |run: &str| {
            let mut pipe = redis::Pipeline::with_capacity(swaps.len());
            for (name, swap) in names.iter().zip(swaps) {
                let (name, swap) = (std::slice::from_ref(name), std::slice::from_ref(swap));
                pipe.add_command(self.script.call(name, swap, run, false));
            }
            pipe
        };
        let answers = match self.link.ask_many(Doing::Write, calls).await {
            Ok(answers) => answers,
            Err(error) => return swaps.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut verdicts = Vec::with_capacity(swaps.len());
        for (answer, swap) in answers.iter().zip(swaps) {
            verdicts.push(match script::is_unknown(answer) {
                true => self.swap_all(std::slice::from_ref(swap)).await,
                false => script::verdict(answer, 1),
            });
        }
        verdicts
    }

    /// What lies under each of the names, as far as it is ours.
    async fn read_all(&self, names: &[String]) -> Result<Vec<Result<Seen, StoreError>>, StoreError> {
        let ask = |_: &str| {
            let mut pipe = redis::Pipeline::with_capacity(names.len() + 1);
            for name in names {
                pipe.cmd("GET").arg(name);
            }
            pipe.cmd("TIME");
            pipe
        };
        let mut answers = self.link.ask_many(Doing::Read, ask).await?;
        let now = entry::time_in(&answers.pop().unwrap_or_default())?;
        Ok(names.iter().zip(&answers).map(|(name, answer)| seen_in(answer, now, name)).collect())
    }

    async fn list_all(&self, prefix: &str, most: usize) -> Result<Vec<(Key, Seen)>, StoreError> {
        let names = self.names_that_begin(&self.name(prefix), most).await?;
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(STEP) {
            for (name, seen) in names.iter().zip(self.read_all(names).await?) {
                match listed(seen).transpose()? {
                    // One that went away meanwhile was never there.
                    Some(seen) if !seen.body.is_empty() => {
                        found.push((name[self.prefix.len()..].into(), seen))
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    /// SCAN shows everything that was there all the time, some of it twice.
    async fn names_that_begin(&self, start: &str, most: usize) -> Result<Vec<String>, StoreError> {
        let pattern = format!("{}*", literal(start));
        let mut names = BTreeSet::new();
        let mut cursor = String::from("0");
        while names.len() < most {
            let step = |_: &str| -> Cmd {
                let mut scan = cmd("SCAN");
                scan.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
                scan
            };
            let (next, found) = entry::scanned(self.link.ask(Doing::Read, step).await?)?;
            names.extend(found);
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        Ok(names.into_iter().take(most).collect())
    }
}

/// A text as a pattern that matches it alone.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

impl Store for Redis {
    fn caps(&self) -> &Caps {
        &CAPS
    }

    fn shown(&self) -> &str {
        &self.shown
    }

    fn read<'a>(&'a self, keys: &'a [Key]) -> Pending<'a, Result<Vec<Seen>, StoreError>> {
        Box::pin(async move {
            let names: Vec<String> = keys.iter().map(|key| self.name(key)).collect();
            self.read_all(&names).await?.into_iter().collect()
        })
    }

    fn swap<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Result<Swapped, StoreError>> {
        Box::pin(self.swap_all(swaps))
    }

    fn swap_each<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Vec<Result<Swapped, StoreError>>> {
        Box::pin(self.swap_singly(swaps))
    }

    fn list<'a>(&'a self, prefix: &'a str, most: usize) -> Pending<'a, Result<Vec<(Key, Seen)>, StoreError>> {
        Box::pin(self.list_all(prefix, most))
    }

    fn watch<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Box<dyn Watch>, StoreError>> {
        Box::pin(self.push.watch(key))
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            self.link.close();
            self.push.close();
        })
    }
}
