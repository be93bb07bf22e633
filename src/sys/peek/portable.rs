//! Where the kernel lists no locks, nothing is looked at from outside.

use super::{Key, Refused};
use std::path::Path;

#[derive(Debug, Default)]
pub struct Mounts;

#[derive(Debug)]
pub struct Seen;

pub fn text_of_locks() -> Option<String> {
    None
}

pub fn is_mapped_by(_pid: u32, _key: &Key) -> bool {
    false
}

pub fn open(_path: &Path) -> Result<Seen, Refused> {
    Err(Refused::Unreadable)
}

impl Seen {
    pub fn size(&self) -> u64 {
        0
    }

    pub fn key(&self, _mounts: &mut Mounts) -> Key {
        Key { device: (0, 0), inode: 0 }
    }

    pub fn read_at(&self, _into: &mut [u8], _at: u64) -> bool {
        false
    }
}
