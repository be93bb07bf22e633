//! Memory files of other processes, mapped read-only. Only sealed ones: what its maker can shrink would end
//! whoever looks at it.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::ForeignMemory;

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::ForeignMemory;
