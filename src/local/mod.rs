//! Scope process: who waits, in which order, and what happens when a thread leaves.

pub mod departures;
pub mod queue;
