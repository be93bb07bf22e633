//! A socket in a folder, for processes of the same machine: listening, connections that nobody waits for, and who
//! is at the other end.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::{Door, Line, is_answered, wait};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::{Door, Line, is_answered, wait};

/// What one read of a connection gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Bytes(usize),
    Nothing,
    /// The other end has closed, or the connection is broken.
    End,
}

/// Who is at the other end, by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub user: u32,
    /// 0 for one of another pid namespace.
    pub pid: u32,
}
