//! chainlock: locks for Node.js that hold across modules, worker threads, processes and machines, from one
//! native core.
//!
//! # Map, in reading order
//!
//! The second row is the base. From `send` to `control` they stand side by side: none knows another.
//!
//! | area | what lives there | may use |
//! |---|---|---|
//! | `sys` | doors to the operating system, a file per platform | nothing |
//! | `sync` `time` `name` `metrics` `private_folder` | the doors to atomics and clocks, clean texts, histograms, the user's folder | `sys` |
//! | `raw` | state machines on words, proved by loom | `sync` |
//! | `recorder` | what happens to every lock, on its way to the journal | `sys`, base |
//! | `table` | the lock table: layout, memory, ring of records | `raw`, `sys` |
//! | `local` | the named locks, the send lock's waiting line, the threads and their leaving | `table` |
//! | `send` | the send lock: pure rules, the book, the lock, reports | `local` |
//! | `host` | host locks: the kernel's lock on a file, who waits for it, what the file tells | `local` |
//! | `journal` | the events of all locks in an SQLite file | `recorder`, `table`, base |
//! | `registry` | the processes that a program has started: states that are swapped in whole | `sys`, base |
//! | `atomic_file` | files that are whole at every crash: replacing, extending | `sys`, base |
//! | `mtime_keeper` | lock directories that a thread keeps fresh, as proper-lockfile does | `sys`, base |
//! | `control` | the socket by which an operator reaches the process: frames, limits, the serving loop | `sys`, base |
//! | `lease` | leases: records in a store with compare-and-swap; rules, stores, manager and keeper on one I/O thread | `send`, `sys`, base |
//! | `snapshot` | what the lock tables of this and other processes say | everything above |
//! | `binding` | the Node face; the only area that names napi | everything |
//!
//! # Lock order
//!
//! Outermost first: the list of locks (`binding::process`) → the rows (`local::departures`) → a send lock's
//! book, or the book of the named locks (`local::locks`), never both → a mailbox (`binding::mailbox`). No two
//! of one kind are held together. The registry's listeners (`binding::registry_face`) → a mailbox. The host
//! locks: their registry → a lock's state, and no book under either. No JavaScript and nothing that may wait
//! runs under any of them.

pub mod metrics;
pub mod name;
pub mod private_folder;
pub mod sync;
pub mod time;

pub mod sys;

pub mod raw;

pub mod recorder;

pub mod table;

pub mod local;

pub mod send;

pub mod atomic_file;
pub mod control;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub mod host;
#[cfg(feature = "sqlite")]
pub mod journal;
#[cfg(feature = "lease")]
pub mod lease;
pub mod mtime_keeper;
pub mod registry;
pub mod snapshot;

#[cfg(feature = "addon")]
mod binding;

#[cfg(test)]
mod tests;
