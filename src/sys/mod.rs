//! Doors to the operating system: a file per platform, no policy, no retries, no lock names. What a
//! platform lacks is `portable.rs`, which is compiled and tested everywhere with feature `portable`.

pub mod cache;
pub mod clock;
pub mod control_socket;
pub mod entry;
pub mod errno;
pub mod fault;
pub mod file_lock;
pub mod foreign_memory;
pub mod host_file;
pub mod images;
pub mod map;
pub mod peek;
pub mod process;
pub mod process_facts;
pub mod replace;
