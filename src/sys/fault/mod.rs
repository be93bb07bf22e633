//! Mapped files that somebody cuts short. A look behind the new end would kill the process by SIGBUS; here
//! the lost pages become zeroes, and whoever mapped the file can see that they did.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::{Watch, watch};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::{Watch, watch};
