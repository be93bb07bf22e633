//! Elsewhere, by the standard library: no locks on files, no owners; a directory is only synced where it can
//! be opened as a file.

use super::{Errno, Facts, Kind};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct Dir(PathBuf);

#[derive(Debug)]
pub struct File(fs::File);

pub const HAS_OWNERS: bool = false;

/// A path as it came from JavaScript.
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

pub fn open_dir(path: &Path) -> Result<Dir, Errno> {
    let facts = fs::metadata(path).map_err(named)?;
    if facts.is_dir() { Ok(Dir(path.to_owned())) } else { Err(Errno("ENOTDIR")) }
}

pub fn look(dir: &Dir, name: &OsStr) -> Result<Facts, Errno> {
    fs::symlink_metadata(dir.0.join(name)).map(facts_from).map_err(named)
}

pub fn facts(file: &File) -> Result<Facts, Errno> {
    file.0.metadata().map(facts_from).map_err(named)
}

pub fn read_link(dir: &Dir, name: &OsStr) -> Result<PathBuf, Errno> {
    fs::read_link(dir.0.join(name)).map_err(named)
}

pub fn create(dir: &Dir, name: &OsStr, _mode: u32) -> Result<File, Errno> {
    let path = dir.0.join(name);
    OpenOptions::new().read(true).write(true).create_new(true).open(path).map(File).map_err(named)
}

pub fn open(dir: &Dir, name: &OsStr) -> Result<File, Errno> {
    OpenOptions::new().read(true).append(true).open(dir.0.join(name)).map(File).map_err(named)
}

pub fn open_any(dir: &Dir, name: &OsStr) -> Result<File, Errno> {
    open(dir, name)
}

pub fn try_lock(_file: &File) -> Result<bool, Errno> {
    Err(Errno("ENOSYS"))
}

pub fn unlock(_file: &File) {}

pub fn write(file: &File, bytes: &[u8]) -> Result<usize, Errno> {
    (&file.0).write(bytes).map_err(named)
}

pub fn read_at(file: &File, room: &mut [u8], at: u64) -> Result<usize, Errno> {
    (&file.0).seek(SeekFrom::Start(at)).map_err(named)?;
    (&file.0).read(room).map_err(named)
}

pub fn truncate(file: &File, size: u64) -> Result<(), Errno> {
    file.0.set_len(size).map_err(named)
}

pub fn sync(file: &File) -> Result<(), Errno> {
    file.0.sync_all().map_err(named)
}

pub fn sync_dir(dir: &Dir) -> Result<(), Errno> {
    if cfg!(windows) {
        return Ok(());
    }
    fs::File::open(&dir.0).and_then(|dir| dir.sync_all()).map_err(named)
}

pub fn flush(_file: &File) -> Result<(), Errno> {
    Ok(())
}

pub fn set_owner(_file: &File, _user: Option<u32>, _group: Option<u32>) -> Result<(), Errno> {
    Ok(())
}

pub fn set_mode(_file: &File, _mode: u32) -> Result<(), Errno> {
    Ok(())
}

pub fn rename(dir: &Dir, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    fs::rename(dir.0.join(from), dir.0.join(to)).map_err(named)
}

pub fn unlink(dir: &Dir, name: &OsStr) -> Result<(), Errno> {
    fs::remove_file(dir.0.join(name)).map_err(named)
}

fn facts_from(metadata: fs::Metadata) -> Facts {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_symlink() => Kind::Link,
        _ => Kind::Device,
    };
    Facts { kind, inode: 0, links: 1, size: metadata.len(), mode: 0, user: 0, group: 0 }
}

fn named(error: io::Error) -> Errno {
    Errno(match error.kind() {
        ErrorKind::NotFound => "ENOENT",
        ErrorKind::PermissionDenied => "EACCES",
        ErrorKind::AlreadyExists => "EEXIST",
        ErrorKind::IsADirectory => "EISDIR",
        ErrorKind::NotADirectory => "ENOTDIR",
        ErrorKind::InvalidFilename => "ENAMETOOLONG",
        ErrorKind::InvalidInput => "EINVAL",
        ErrorKind::StorageFull => "ENOSPC",
        ErrorKind::QuotaExceeded => "EDQUOT",
        ErrorKind::FileTooLarge => "EFBIG",
        ErrorKind::ReadOnlyFilesystem => "EROFS",
        ErrorKind::ResourceBusy => "EBUSY",
        ErrorKind::Interrupted => "EINTR",
        ErrorKind::OutOfMemory => "ENOMEM",
        ErrorKind::TimedOut => "ETIMEDOUT",
        ErrorKind::StaleNetworkFileHandle => "ESTALE",
        ErrorKind::Unsupported => "ENOSYS",
        _ => "UNKNOWN",
    })
}
