//! The monotonic clock in nanoseconds, as the system counts it; `time.rs` is its only reader.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::{monotonic_ns, since_boot_ns};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::{monotonic_ns, since_boot_ns};
