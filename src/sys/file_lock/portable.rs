//! Where no kernel lock of this kind is known: every opening is refused, and the face says so.

use super::{Facts, KernelMode};
use std::io::{self, Error, ErrorKind};
use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;

pub const MAX_PATH_NOTE: usize = 504;

fn unsupported<T>() -> io::Result<T> {
    Err(Error::from(ErrorKind::Unsupported))
}

/// A directory that cannot be opened here.
#[derive(Debug)]
pub struct Directory(());

impl Directory {
    pub fn open(_path: &Path) -> io::Result<Self> {
        unsupported()
    }

    pub fn make(_path: &Path) -> io::Result<()> {
        unsupported()
    }

    pub fn facts(&self) -> io::Result<Facts> {
        unsupported()
    }

    pub fn network_kind(&self) -> io::Result<Option<&'static str>> {
        unsupported()
    }

    pub fn look_at(&self, _name: &str) -> io::Result<Facts> {
        unsupported()
    }

    pub fn open_file(&self, _name: &str) -> io::Result<LockFile> {
        unsupported()
    }

    pub fn remove(&self, _name: &str) -> io::Result<()> {
        unsupported()
    }

    pub fn make_file(&self, _name: &str) -> io::Result<LockFile> {
        unsupported()
    }
}

/// A lock file, of which there is none here.
#[derive(Debug)]
pub struct LockFile(());

impl LockFile {
    pub fn facts(&self) -> io::Result<Facts> {
        unsupported()
    }

    pub fn is_at(&self, _path: &Path) -> io::Result<bool> {
        unsupported()
    }

    pub fn allocate(&self, _length: usize) -> io::Result<()> {
        unsupported()
    }

    pub fn map(&mut self, _length: usize) -> io::Result<()> {
        unsupported()
    }

    pub fn mapped(&self, _length: usize) -> Option<NonNull<u8>> {
        None
    }

    pub fn is_damaged(&self) -> bool {
        true
    }

    pub fn try_lock(&self, _mode: KernelMode) -> io::Result<bool> {
        unsupported()
    }

    pub fn lock(&self, _mode: KernelMode) -> io::Result<bool> {
        unsupported()
    }

    pub fn unlock(&self) -> bool {
        true
    }

    pub fn begin_waiting(&self, _pid: u32) {}

    pub fn end_waiting(&self, _pid: u32) {}

    pub fn waits_among(&self, _pids: Range<i64>) -> Option<i64> {
        None
    }

    pub fn read_at_start(&self, _into: &mut [u8]) -> io::Result<usize> {
        unsupported()
    }
}

/// A thread that never sleeps here.
#[derive(Clone, Copy, Debug)]
pub struct Sleeper(());

impl Sleeper {
    pub fn this() -> Self {
        Self(())
    }

    pub fn wake(self) {}
}
