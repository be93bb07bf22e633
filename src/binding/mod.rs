//! The Node face: the only area that names napi and tokio. A function here is parse → call → map; the
//! rules are elsewhere, and JavaScript has checked the arguments before.
//!
//! * [`process`] the one table, the one send lock, the list of locks
//! * [`face`] a thread's view of one lock; [`opening`] its life; [`hot`] its raw N-API
//!   functions and [`args`] what they are given; [`calls`] everything else
//! * [`mailbox`] how a thread is told something; [`timer`] the native clock that calls nobody's loop
//! * [`home`] how several copies of chainlock become one; [`log`] the native events on stderr
//!
//! Invariant: no panic leaves this area. `#[napi]` functions carry `catch_unwind`, raw callbacks go through
//! `hot::guarded`.

mod args;
mod calls;
mod face;
mod home;
mod hot;
mod log;
mod mailbox;
mod opening;
mod process;
mod timer;
