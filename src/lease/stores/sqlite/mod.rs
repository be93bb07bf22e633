//! Leases in an SQLite file, for the processes of one machine.
//!
//! # Policy
//! * Where: on the I/O thread itself. A write is a transaction of some microseconds in the write-ahead log, without a
//!   sync; two thread switches would cost more. What syncs or may take long (opening, taking the log over into the
//!   file) runs beside it.
//! * Waiting: for another process's transaction by trying again, never inside SQLite, so that nobody else waits.
//! * Requests that come together go into one transaction.
//! * What needs no waiting a user's own thread does over a connection of its own (`shortcut.rs`): asking the I/O thread
//!   takes longer than the transaction. Everything that may sync or wait stays here.
//! * Clock: the machine's since its boot, with the boot it belongs to. A boot frees everything: its processes are gone.
//! * Not on network file systems: their locks do not hold between machines, and neither do clocks of boots.
//! * A row is never removed; its version only grows. Who deletes the file starts all tokens anew.

mod clock;
mod desk;
mod file;
mod rows;
mod shortcut;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::lease::address::{Address, Setup};
use crate::lease::store::{
    Caps, Clock, Key, Pending, Seen, Shortcut, Store, StoreError, Swap, Swapped, Watch,
};
use crate::private_folder;
use desk::{Answer, Desk, Work};

/// The file when the user names none.
pub fn default_path() -> Option<PathBuf> {
    Some(private_folder::lasting_path()?.join("leases.db"))
}

#[derive(Debug)]
pub struct Sqlite {
    desk: Rc<Desk>,
    caps: Caps,
    shown: String,
    timeout: Duration,
}

pub fn open(setup: &Setup) -> Result<Rc<dyn Store>, StoreError> {
    let Address::Sqlite(path) = &setup.address else {
        return Err(StoreError::Unsupported("this is no address of an SQLite file".into()));
    };
    let path = std::path::absolute(path)
        .map_err(|error| StoreError::Unsupported(format!("{}: {error}", path.display())))?;
    let (shown, timeout) = (shown(&path), setup.request_timeout);
    let desk = Desk::new(path, setup.namespace.as_str().into(), timeout);
    Ok(Rc::new(Sqlite { desk, caps: caps(), shown, timeout }))
}

fn shown(path: &Path) -> String {
    format!("sqlite:{}", crate::name::clean(&path.to_string_lossy()))
}

fn caps() -> Caps {
    Caps {
        engine: "sqlite",
        clock: Clock::Boot,
        min_ttl: Duration::from_millis(50),
        slack: Duration::ZERO,
        sessions: false,
        multi: true,
        push: true,
        queue: true,
        poll: (Duration::from_millis(2), Duration::from_millis(50)),
        local: true,
        may_double_grant: false,
    }
}

impl Sqlite {
    /// What is taken back before its turn never happens, so that a time-out is certain.
    async fn ask(&self, work: Work) -> Result<Answer, StoreError> {
        let answer = self.desk.ask(work);
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                Err(StoreError::Unavailable { why: "the store was closed".into(), retry_after: None })
            }
            Err(_) => Err(StoreError::Unavailable {
                why: format!("another process has kept the file locked for {} ms", self.timeout.as_millis()),
                retry_after: None,
            }),
        }
    }
}

impl Store for Sqlite {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn shown(&self) -> &str {
        &self.shown
    }

    fn read<'a>(&'a self, keys: &'a [Key]) -> Pending<'a, Result<Vec<Seen>, StoreError>> {
        Box::pin(async {
            match self.ask(Work::Read(keys.to_vec())).await? {
                Answer::Seen(seen) => Ok(seen),
                _ => Err(desk::mixed_up()),
            }
        })
    }

    fn swap<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Result<Swapped, StoreError>> {
        Box::pin(async {
            match self.ask(Work::Swap(swaps.to_vec())).await? {
                Answer::Swapped(swapped) => Ok(swapped),
                _ => Err(desk::mixed_up()),
            }
        })
    }

    fn swap_each<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Vec<Result<Swapped, StoreError>>> {
        Box::pin(async {
            match self.ask(Work::SwapEach(swaps.to_vec())).await {
                Ok(Answer::Each(verdicts)) => verdicts.into_iter().map(Ok).collect(),
                Ok(_) => swaps.iter().map(|_| Err(desk::mixed_up())).collect(),
                Err(error) => swaps.iter().map(|_| Err(error.clone())).collect(),
            }
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, most: usize) -> Pending<'a, Result<Vec<(Key, Seen)>, StoreError>> {
        Box::pin(async move {
            match self.ask(Work::List(prefix.into(), most)).await? {
                Answer::Listed(listed) => Ok(listed),
                _ => Err(desk::mixed_up()),
            }
        })
    }

    fn watch<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Box<dyn Watch>, StoreError>> {
        Box::pin(async {
            let watch = self.desk.watchers.add(key);
            // What is there now is where the watch begins.
            match self.ask(Work::Read(vec![key.clone()])).await? {
                Answer::Seen(seen) => self.desk.clone().look_out(key, seen),
                _ => return Err(desk::mixed_up()),
            }
            Ok(watch)
        })
    }

    fn shortcut(&self) -> Pending<'_, Result<Option<Box<dyn Shortcut>>, StoreError>> {
        Box::pin(async {
            let direct = self.desk.shortcut(self.caps.clone()).await?;
            Ok(Some(Box::new(direct) as Box<dyn Shortcut>))
        })
    }

    fn upkeep(&self) {
        self.desk.upkeep();
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(self.desk.close())
    }
}
