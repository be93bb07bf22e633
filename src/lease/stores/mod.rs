//! The stores: one area each, which knows `store.rs`, the address and the record's text, and nothing else.

#[cfg(feature = "github")]
pub mod github;
