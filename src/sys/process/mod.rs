//! Who a process is, and whether it lives. A pid says neither: it is given again within seconds, and means
//! another process in another pid namespace. What tells processes apart is the pid together with the time
//! at which the process started, the boot and the namespaces in which both were counted.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::{command_of, host_name, look, own, own_processes, start_of, thread_number, user_id};
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub(in crate::sys) use linux::{namespace_of, proc_is_ours};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::{command_of, host_name, look, own, own_processes, start_of, thread_number, user_id};

/// One process of one machine, for ever: no other process has the same five values. Zero is "unknown".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    pub pid: u32,
    /// When it started, in clock ticks since the boot, as its time namespace counts them.
    pub start: u64,
    /// The machine's boot.
    pub boot: [u64; 2],
    /// The pid namespace in which `pid` is counted: an inode number.
    pub pid_namespace: u64,
    /// The time namespace in which `start` is counted: an inode number.
    pub time_namespace: u64,
}

/// What can be said of a process that may be long gone. `Alive` and `Dead` are certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Alive,
    Dead,
    Unknown,
}
