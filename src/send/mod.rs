//! The send lock: at most one layer of a controller sends into the session at a time, not twice within the
//! cooldown, and nobody keeps the others out for ever.
//!
//! * [`rules`] decides, and is pure: (rules, state, request, now) → decision.
//! * [`lock`] is the shell: one mutex, the table, and who is to be told; `book` is what the mutex guards,
//!   `waiting` the part about the line, `joining` the part about nested calls.
//! * [`host`] is its second home: a file that all processes of the user share.
//! * [`layers`] knows the callers, [`dedup`] the messages already sent, [`report`] what people read.
//!
//! Lock order: the mutex of a send lock is innermost. Nothing foreign is called while it is held; what has
//! to be told to a waiting thread is handed out as [`lock::Delivery`] and told afterwards.

mod answers;
mod book;
pub mod config;
pub mod dedup;
pub mod events;
pub mod host;
mod joining;
pub mod layers;
pub mod lock;
mod recording;
pub mod report;
pub mod rules;
mod waiting;

pub use book::{REASON_PROCESS_EXIT, REASON_STALE, REASON_TIMEOUT};
