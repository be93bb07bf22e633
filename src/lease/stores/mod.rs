//! The stores: one area each, which knows `store.rs`, the address and the record's text, and nothing else.

#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlite")]
pub mod watchers;
