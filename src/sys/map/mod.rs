//! Memory that another process can be shown but cannot change.

/// Why another process's memory cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// It has none of that name.
    Nothing,
    Gone,
    Permission,
}

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::{View, open_shared, shared_zeroed};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::{View, open_shared, shared_zeroed};
