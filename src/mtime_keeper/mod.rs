//! Keeps lock directories fresh: a directory's time of change says that its holder lives, and a native thread
//! sets it, so that a blocked event loop loses no lock. The form on disk is proper-lockfile's.
//!
//! * [`keeper`] the directories that are kept, and the looks at them
//! * [`mark`] who made a directory, as an attribute that disturbs nobody

pub mod keeper;
pub mod mark;
