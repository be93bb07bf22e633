//! The stores: one area each, which knows `store.rs`, the address and the record's text, and nothing else.

#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(feature = "github")]
pub mod github;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod watchers;

use crate::lease::address::{Address, Setup};
use crate::lease::store::{Store, StoreError};
use std::rc::Rc;

/// Opens the store of a setup, without reaching for it yet.
pub fn open(setup: &Setup) -> Result<Rc<dyn Store>, StoreError> {
    match &setup.address {
        #[cfg(feature = "sqlite")]
        Address::Sqlite(_) => sqlite::open(setup),
        #[cfg(feature = "redis")]
        Address::Redis(_) => redis::open(setup),
        #[cfg(feature = "postgres")]
        Address::Postgres(_) => postgres::open(setup),
        #[cfg(feature = "etcd")]
        Address::Etcd(_) => etcd::open(setup),
        #[cfg(feature = "github")]
        Address::Github { .. } => github::open(setup),
        #[cfg(not(all(
            feature = "sqlite",
            feature = "redis",
            feature = "postgres",
            feature = "etcd",
            feature = "github"
        )))]
        address => Err(StoreError::Unsupported(format!("this build has no store for {}", address.shown()))),
    }
}
