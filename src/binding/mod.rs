//! The Node face: the only area that names napi and tokio. A function here is parse → call → map; the
//! rules are elsewhere, and JavaScript has checked the arguments before.
//!
//! * [`process`] the one table, the send lock, the named locks, and the telling after every operation
//! * [`thread`] a thread's row and its faces; [`face`] its view of one send lock, [`locks_face`] of the named
//!   locks; [`opening`] their life
//! * [`hot`], [`locks_hot`] the raw N-API functions of these faces, [`entry`] the one way into them, [`args`]
//!   what they are given; [`calls`], [`locks_calls`] everything else; [`host_face`], [`host_hot`], [`host_calls`]
//!   the same for the host locks
//! * [`file_calls`] crash-safe files
//! * [`keeper_calls`], [`stale_calls`] lock directories that are kept fresh; other people's locks
//! * [`look_calls`] what this and other processes' lock tables say
//! * [`mailbox`] how a thread is told something; [`timer`] the native clock that calls nobody's loop
//! * [`outside_calls`] lock files and processes, seen from outside
//! * [`pulse`] whether a thread's event loop turns
//! * [`send_host_calls`] how the send lock joins those of other processes, and its one thread that hears from them
//! * [`control`] what an operator may order from outside, and the thread that hears it
//! * [`registry_face`], [`registry_calls`] the registry of processes
//! * [`journal_calls`] the journal, its stats and its readers
//! * [`lease_face`], [`lease_calls`], [`lease_texts`] the leases
//! * [`reasons`] why holds were taken away by force
//! * [`home`] how several copies of chainlock become one; [`log`] the native events on stderr
//!
//! Invariant: no panic leaves this area. `#[napi]` functions carry `catch_unwind`, raw callbacks go through
//! `entry::guarded`.

mod args;
mod calls;
mod control;
mod entry;
mod face;
mod file_calls;
mod home;
mod host_calls;
mod host_face;
mod host_hot;
mod hot;
#[cfg(feature = "sqlite")]
mod journal_calls;
mod keeper_calls;
mod lease_calls;
mod lease_face;
mod lease_texts;
mod locks_calls;
mod locks_face;
mod locks_hot;
mod log;
mod look_calls;
mod mailbox;
mod opening;
mod outside_calls;
mod process;
mod pulse;
mod reasons;
mod registry_calls;
mod registry_face;
mod send_host_calls;
mod stale_calls;
mod thread;
mod timer;
