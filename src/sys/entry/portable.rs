//! Where these calls are missing, every one of them says so.

use super::{Errno, Facts, UNSUPPORTED};

#[derive(Debug)]
pub struct Pinned;

impl Pinned {
    pub fn open(_path: &str) -> Result<Self, Errno> {
        Err(UNSUPPORTED)
    }

    pub fn facts(&self) -> Result<Facts, Errno> {
        Err(UNSUPPORTED)
    }

    pub fn touch(&self) -> Result<(), Errno> {
        Err(UNSUPPORTED)
    }

    pub fn mark(&self, _text: &[u8]) -> Result<(), Errno> {
        Err(UNSUPPORTED)
    }
}

pub fn facts(_path: &str) -> Result<Facts, Errno> {
    Err(UNSUPPORTED)
}

pub fn mark_of(_path: &str) -> Option<Vec<u8>> {
    None
}

pub fn is_open_in(_pid: u32, _path: &str) -> bool {
    false
}

pub fn exchange(_one: &str, _other: &str) -> Result<(), Errno> {
    Err(UNSUPPORTED)
}

pub fn try_flock(_fd: i32) -> Result<bool, Errno> {
    Err(UNSUPPORTED)
}
