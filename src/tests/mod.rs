//! Promises across files; a file's own facts are tested at its foot. `scripts/rust-checks.mjs` runs
//! them all, each on the machinery that it needs.

#![expect(clippy::print_stdout, reason = "each proof prints its figure")]

#[cfg(feature = "loom")]
mod loom;
#[cfg(feature = "loom")]
mod loom_ring;

#[cfg(feature = "shuttle")]
mod locks_scenario;
#[cfg(feature = "shuttle")]
mod scenario;
#[cfg(feature = "shuttle")]
mod shuttle;

/// The scenarios name the crate as a program outside would, and so run in both places.
#[cfg(feature = "shuttle")]
extern crate self as chainlock;

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod control;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod deadlock_schedules;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod deadlock_world;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod deadlocks;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod differential;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod disk;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod escapes;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod file_crashes;
#[cfg(all(target_os = "linux", not(any(feature = "loom", feature = "shuttle", feature = "portable"))))]
mod host_apart;
#[cfg(all(target_os = "linux", not(any(feature = "loom", feature = "shuttle", feature = "portable"))))]
mod host_faults;
#[cfg(all(target_os = "linux", not(any(feature = "loom", feature = "shuttle", feature = "portable"))))]
mod host_mixed;
#[cfg(all(target_os = "linux", not(any(feature = "loom", feature = "shuttle", feature = "portable"))))]
mod host_pages;
#[cfg(all(target_os = "linux", not(any(feature = "loom", feature = "shuttle", feature = "portable"))))]
mod host_storm;
#[cfg(all(feature = "sqlite", not(any(feature = "loom", feature = "shuttle"))))]
mod journal;
#[cfg(all(feature = "lease", not(any(feature = "loom", feature = "shuttle"))))]
mod lease;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod locks_audit;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod locks_differential;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod locks_facts;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod locks_memory;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod locks_model;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod locks_programs;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod model;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod registry;
#[cfg(feature = "loom")]
mod registry_loom;
#[cfg(all(target_os = "linux", not(any(feature = "loom", feature = "shuttle", feature = "portable"))))]
mod registry_outside;
#[cfg(all(target_os = "linux", not(any(feature = "loom", feature = "shuttle", feature = "portable"))))]
mod table_outside;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod table_pages;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod tidy;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod vectors;

/// How much of a proof to run: CHAINLOCK_DEEP takes the larger figure, CHAINLOCK_SMALL a tenth of the
/// smaller, for runs that repeat it for every mutant.
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
fn sized(push: u64, deep: u64) -> u64 {
    match (std::env::var_os("CHAINLOCK_DEEP"), std::env::var_os("CHAINLOCK_SMALL")) {
        (Some(_), _) => deep,
        (None, Some(_)) => push / 10,
        (None, None) => push,
    }
}
