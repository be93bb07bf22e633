//! Where this is not built: every door says so.

use super::{Facts, Mapped, Woken};
use std::ffi::OsStr;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

fn unsupported<T>() -> Result<T> {
    Err(Error::from(ErrorKind::Unsupported))
}

#[derive(Debug)]
pub struct Directory;

impl Directory {
    pub fn open(_path: &Path) -> Result<Self> {
        unsupported()
    }

    pub fn facts(&self) -> Result<Facts> {
        unsupported()
    }

    pub fn open_file(&self, _name: &OsStr) -> Result<HostFile> {
        unsupported()
    }

    pub fn make_pipe(&self, _name: &OsStr) -> Result<()> {
        unsupported()
    }

    pub fn watch(&self, _name: &OsStr) -> Result<Watch> {
        unsupported()
    }

    pub fn waker(&self, _name: &OsStr) -> Result<Waker> {
        unsupported()
    }
}

#[derive(Debug)]
pub struct HostFile;

impl HostFile {
    pub fn facts(&self) -> Result<Facts> {
        unsupported()
    }

    pub fn try_lock(&self) -> Result<bool> {
        unsupported()
    }

    pub fn unlock(&self) {}

    pub fn lock_byte(&self, _at: u64) -> Result<bool> {
        unsupported()
    }

    pub fn is_byte_locked(&self, _at: u64) -> Result<bool> {
        unsupported()
    }

    pub fn read_at(&self, _bytes: &mut [u8], _at: u64) -> Result<()> {
        unsupported()
    }

    pub fn write_at(&self, _bytes: &[u8], _at: u64) -> Result<()> {
        unsupported()
    }

    pub fn reserve(&self, _size: u64) -> Result<()> {
        unsupported()
    }

    pub fn map(&self, _at: u64, _size: usize) -> Result<Mapped> {
        unsupported()
    }
}

#[derive(Debug)]
pub struct Waker;

impl Waker {
    pub fn wake(&self) -> bool {
        false
    }
}

#[derive(Debug)]
pub struct Watch;

impl Watch {
    pub fn clear(&mut self) {}

    pub fn add(&mut self, _pid: u32) -> bool {
        false
    }

    pub fn wait(&mut self, _most_ms: u32) -> Woken {
        Woken::default()
    }
}
