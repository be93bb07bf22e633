//! What is asked of the system. The model of a disk that loses things (`tests::disk`) answers the same.

use crate::sys::replace::{self as sys, Errno, Facts};
use std::ffi::OsStr;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

pub type Answer<T> = Result<T, Errno>;

/// See `sys::replace`, whose functions these are.
pub trait Doors: Debug {
    type Dir: Debug;
    type File: Debug;
    fn open_dir(&self, path: &Path) -> Answer<Self::Dir>;
    fn look(&self, dir: &Self::Dir, name: &OsStr) -> Answer<Facts>;
    fn read_link(&self, dir: &Self::Dir, name: &OsStr) -> Answer<PathBuf>;
    fn create(&self, dir: &Self::Dir, name: &OsStr, mode: u32) -> Answer<Self::File>;
    fn open(&self, dir: &Self::Dir, name: &OsStr) -> Answer<Self::File>;
    fn open_any(&self, dir: &Self::Dir, name: &OsStr) -> Answer<Self::File>;
    fn facts(&self, file: &Self::File) -> Answer<Facts>;
    fn try_lock(&self, file: &Self::File) -> Answer<bool>;
    fn unlock(&self, file: &Self::File);
    fn write(&self, file: &Self::File, bytes: &[u8]) -> Answer<usize>;
    fn read_at(&self, file: &Self::File, room: &mut [u8], at: u64) -> Answer<usize>;
    fn truncate(&self, file: &Self::File, size: u64) -> Answer<()>;
    fn sync(&self, file: &Self::File) -> Answer<()>;
    fn sync_dir(&self, dir: &Self::Dir) -> Answer<()>;
    fn flush(&self, file: &Self::File) -> Answer<()>;
    fn set_owner(&self, file: &Self::File, user: Option<u32>, group: Option<u32>) -> Answer<()>;
    fn set_mode(&self, file: &Self::File, mode: u32) -> Answer<()>;
    fn rename(&self, dir: &Self::Dir, from: &OsStr, to: &OsStr) -> Answer<()>;
    fn unlink(&self, dir: &Self::Dir, name: &OsStr) -> Answer<()>;
}

/// The system itself.
#[derive(Clone, Copy, Debug)]
pub struct System;

/// More interruptions than this in a row are no accident.
const MOST_INTERRUPTIONS: usize = 100;

/// A signal that came in between is no failure.
fn again<T>(mut call: impl FnMut() -> Answer<T>) -> Answer<T> {
    for _ in 0..MOST_INTERRUPTIONS {
        match call() {
            Err(Errno("EINTR")) => {}
            answer => return answer,
        }
    }
    Err(Errno("EINTR"))
}

impl Doors for System {
    type Dir = sys::Dir;
    type File = sys::File;

    fn open_dir(&self, path: &Path) -> Answer<Self::Dir> {
        again(|| sys::open_dir(path))
    }

    fn look(&self, dir: &Self::Dir, name: &OsStr) -> Answer<Facts> {
        again(|| sys::look(dir, name))
    }

    fn read_link(&self, dir: &Self::Dir, name: &OsStr) -> Answer<PathBuf> {
        again(|| sys::read_link(dir, name))
    }

    fn create(&self, dir: &Self::Dir, name: &OsStr, mode: u32) -> Answer<Self::File> {
        again(|| sys::create(dir, name, mode))
    }

    fn open(&self, dir: &Self::Dir, name: &OsStr) -> Answer<Self::File> {
        again(|| sys::open(dir, name))
    }

    fn open_any(&self, dir: &Self::Dir, name: &OsStr) -> Answer<Self::File> {
        again(|| sys::open_any(dir, name))
    }

    fn facts(&self, file: &Self::File) -> Answer<Facts> {
        again(|| sys::facts(file))
    }

    fn try_lock(&self, file: &Self::File) -> Answer<bool> {
        again(|| sys::try_lock(file))
    }

    fn unlock(&self, file: &Self::File) {
        sys::unlock(file);
    }

    fn write(&self, file: &Self::File, bytes: &[u8]) -> Answer<usize> {
        again(|| sys::write(file, bytes))
    }

    fn read_at(&self, file: &Self::File, room: &mut [u8], at: u64) -> Answer<usize> {
        again(|| sys::read_at(file, room, at))
    }

    fn truncate(&self, file: &Self::File, size: u64) -> Answer<()> {
        again(|| sys::truncate(file, size))
    }

    fn sync(&self, file: &Self::File) -> Answer<()> {
        again(|| sys::sync(file))
    }

    fn sync_dir(&self, dir: &Self::Dir) -> Answer<()> {
        again(|| sys::sync_dir(dir))
    }

    fn flush(&self, file: &Self::File) -> Answer<()> {
        match sys::flush(file) {
            // The descriptor that was closed is gone, whatever the answer.
            Err(Errno("EINTR")) => Ok(()),
            answer => answer,
        }
    }

    fn set_owner(&self, file: &Self::File, user: Option<u32>, group: Option<u32>) -> Answer<()> {
        again(|| sys::set_owner(file, user, group))
    }

    fn set_mode(&self, file: &Self::File, mode: u32) -> Answer<()> {
        again(|| sys::set_mode(file, mode))
    }

    fn rename(&self, dir: &Self::Dir, from: &OsStr, to: &OsStr) -> Answer<()> {
        again(|| sys::rename(dir, from, to))
    }

    fn unlink(&self, dir: &Self::Dir, name: &OsStr) -> Answer<()> {
        again(|| sys::unlink(dir, name))
    }
}
