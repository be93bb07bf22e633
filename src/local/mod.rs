//! Scope process: who waits, in which order, what happens when a thread leaves, and the named locks.
//!
//! * [`queue`] the send lock's waiting line; [`departures`] the threads and their leaving
//! * [`locks`] the named locks behind their one mutex, which guards the [`book`]; [`asking`] what becomes of a
//!   request, [`expiry`] of one whose time is up, [`deadlines`] when that is; [`moving`] what changes a claim
//!   where it is; [`forcing`] what takes a hold away by its token
//! * [`claim`] one request, and later hold; [`names`] the resources by name; [`resource`] one of them
//! * [`deadlock`] the wait-for graph; [`lock_order`] inversions between classes of locks; [`settings`]
//! * [`shown`] what of it lies in the table for others to see, [`showing`] when it is written there
//! * [`statistics`] what is counted; [`report`] claims and cycles, [`views`] everything, as JSON

pub mod asking;
pub mod book;
pub mod claim;
pub mod deadlines;
pub mod deadlock;
pub mod departures;
pub mod expiry;
pub mod forcing;
pub mod lock_order;
pub mod locks;
pub mod moving;
pub mod names;
pub mod queue;
mod recording;
pub mod report;
pub mod resource;
pub mod settings;
pub mod showing;
pub mod shown;
pub mod statistics;
pub mod views;
