//! Leases: locks that hold between machines, in a store with compare-and-swap.
//!
//! # Policy
//! * Use: a [`manager`] per user of a store; everything runs on one I/O thread, which starts with the first.
//! * Decided by: one conditional write. Every key is one record (`record.rs`); the rules (`rules.rs`) say from a record
//!   what the next one is; a store (`store.rs`) moves it only if it is still the one that was seen.
//! * Death: a holder that stops renewing loses its lease when its ttl is over on the *store's* clock. The holder's own
//!   deadline began before its request left, on a clock that runs through suspends, so it knows first.
//! * Modes: exclusive, shared, permits; waiters stand in line in the record, and their places are leases as well.
//! * Not promised: that a holder which was paused longer than its ttl does nothing afterwards. Nobody can promise that;
//!   the fencing token, which grows with every grant, lets the guarded resource refuse it.

pub mod address;
mod address_text;
#[cfg(test)]
pub mod conformance;
pub mod counts;
pub mod desk;
pub mod fault;
mod few;
pub mod hand_over;
#[cfg(feature = "http")]
pub mod http;
pub mod keeper;
pub mod limit;
pub mod manager;
pub mod nonce;
pub mod page;
pub mod record;
pub mod rules;
pub mod runtime;
pub mod send;
pub mod store;
pub mod stores;
#[cfg(feature = "tls")]
pub mod tls;
