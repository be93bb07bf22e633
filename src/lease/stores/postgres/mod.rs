//! Leases in a PostgreSQL table.
//!
//! # Policy
//! * One statement a request, in one round trip; whoever loses takes another, to see what it lost to. Under names only
//!   where the session is ours alone (`statements.rs`): it works behind poolers that hand every transaction another one.
//! * Connections: one for requests, in which they follow each other without waiting; one that listens, made when
//!   somebody watches. One that does not answer in time is thrown away.
//! * Clock: the server's at the moment of the write, `clock_timestamp()`; never that of the transaction's beginning.
//! * Pushes: `NOTIFY`, only where somebody stands in line, because it makes commits wait for each other. Whether they
//!   arrive is tried once; where they do not (a pooler), the watched rows are looked at instead.
//! * A row is never removed; its version only grows.
//! * Not promised: that a failover to a standby which lags behind keeps what was granted last.

mod config;
mod encryption;
mod errors;
mod link;
mod push;
mod sql;
mod statements;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use crate::lease::address::{Address, Setup};
use crate::lease::store::{
    Caps, Clock, Key, Pending, Seen, Store, StoreError, Swap, Swapped, Version, Watch,
};
use link::Server;
use push::Push;
use sql::Table;

#[derive(Debug)]
pub struct Postgres {
    table: Rc<Table>,
    push: Rc<Push>,
    caps: Caps,
    shown: String,
}

pub fn open(setup: &Setup) -> Result<Rc<dyn Store>, StoreError> {
    let Address::Postgres(address) = &setup.address else {
        return Err(StoreError::Unsupported("this is no address of a PostgreSQL server".into()));
    };
    let (settings, shown) = (config::settings(setup, address)?, config::shown(address));
    let listens = settings.listens;
    let server = Rc::new(Server::new(settings, setup.request_timeout));
    let table = Rc::new(Table::new(server, &setup.namespace));
    let push = Push::new(table.clone(), listens);
    Ok(Rc::new(Postgres { table, push, caps: caps(), shown }))
}

fn caps() -> Caps {
    Caps {
        engine: "postgres",
        clock: Clock::Server,
        min_ttl: Duration::from_millis(200),
        slack: Duration::ZERO,
        sessions: false,
        multi: true,
        push: true,
        queue: true,
        poll: (Duration::from_millis(50), Duration::from_millis(1_000)),
        local: false,
        may_double_grant: false,
    }
}

impl Store for Postgres {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn shown(&self) -> &str {
        &self.shown
    }

    fn read<'a>(&'a self, keys: &'a [Key]) -> Pending<'a, Result<Vec<Seen>, StoreError>> {
        Box::pin(self.table.read(keys))
    }

    fn swap<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Result<Swapped, StoreError>> {
        Box::pin(async move {
            match swaps {
                [] => Ok(Swapped::Won(Vec::new())),
                [one] => self.table.swap_one(one).await,
                many => self.table.swap_all(many).await,
            }
        })
    }

    /// Renewals go in one statement; whatever may make a row or wake somebody goes by itself, at the same time.
    fn swap_each<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Vec<Result<Swapped, StoreError>>> {
        Box::pin(async move {
            let is_alone = |swap: &&Swap| swap.wake || swap.expect == Version::Absent;
            let alone: Vec<_> = swaps
                .iter()
                .filter(is_alone)
                .map(|swap| {
                    let (table, swap) = (self.table.clone(), swap.clone());
                    tokio::task::spawn_local(async move { table.swap_one(&swap).await })
                })
                .collect();
            let together: Vec<Swap> = swaps.iter().filter(|swap| !is_alone(swap)).cloned().collect();
            let mut together = match together.len() {
                0 => Vec::new(),
                1 => vec![self.table.swap_one(&together[0]).await],
                _ => self.table.swap_together(&together).await,
            }
            .into_iter();
            let mut alone = alone.into_iter();
            let mut answers = Vec::with_capacity(swaps.len());
            for swap in swaps {
                let answer = if is_alone(&swap) {
                    match alone.next() {
                        Some(task) => task.await.ok(),
                        None => None,
                    }
                } else {
                    together.next()
                };
                answers.push(answer.unwrap_or_else(|| Err(StoreError::Unknown("the process ends".into()))));
            }
            answers
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, most: usize) -> Pending<'a, Result<Vec<(Key, Seen)>, StoreError>> {
        Box::pin(self.table.list(prefix, most))
    }

    fn watch<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Box<dyn Watch>, StoreError>> {
        Box::pin(self.push.watch(key))
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            self.push.close();
            self.table.server.close().await;
        })
    }
}
