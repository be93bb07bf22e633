//! Linux and macOS.

use super::{Errno, Facts, Kind};
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct Dir(OwnedFd);

#[derive(Debug)]
pub struct File(OwnedFd);

/// Whether the owner of a file can be told and set.
pub const HAS_OWNERS: bool = true;

const PERMISSIONS: u32 = 0o7777;
/// Longer targets of links are cut, and then lead nowhere.
const LONGEST_LINK: usize = libc::PATH_MAX as usize;

/// A path as it came from JavaScript.
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

pub fn open_dir(path: &Path) -> Result<Dir, Errno> {
    let path = c_string(path.as_os_str())?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: `path` is a C string that outlives the call.
    owned(unsafe { libc::open(path.as_ptr(), flags) }).map(Dir)
}

/// What stands under that name; a link is not followed.
pub fn look(dir: &Dir, name: &OsStr) -> Result<Facts, Errno> {
    let name = c_string(name)?;
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    let (fd, flags) = (dir.0.as_raw_fd(), libc::AT_SYMLINK_NOFOLLOW);
    // SAFETY: `fd` is open, `name` is a C string, `stat` is writable and of the type that the call fills.
    checked(unsafe { libc::fstatat(fd, name.as_ptr(), stat.as_mut_ptr(), flags) })?;
    // SAFETY: the call succeeded, so it has filled `stat`.
    Ok(facts_from(unsafe { stat.assume_init() }))
}

pub fn facts(file: &File) -> Result<Facts, Errno> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the file is open, `stat` is writable and of the type that the call fills.
    checked(unsafe { libc::fstat(file.0.as_raw_fd(), stat.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it has filled `stat`.
    Ok(facts_from(unsafe { stat.assume_init() }))
}

pub fn read_link(dir: &Dir, name: &OsStr) -> Result<PathBuf, Errno> {
    let name = c_string(name)?;
    let mut target = vec![0_u8; LONGEST_LINK];
    let room = target.as_mut_ptr().cast();
    // SAFETY: the directory is open, `name` is a C string, `target` has as many bytes as are said.
    let length = unsafe { libc::readlinkat(dir.0.as_raw_fd(), name.as_ptr(), room, LONGEST_LINK) };
    target.truncate(counted(length)?);
    Ok(path_of(target))
}

/// A new, empty file; fails with `EEXIST` when the name is taken, by whatever it be.
pub fn create(dir: &Dir, name: &OsStr, mode: u32) -> Result<File, Errno> {
    open_at(dir, name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, mode)
}

/// For reading and, at its end, for writing. Never waits for the other side of a FIFO.
pub fn open(dir: &Dir, name: &OsStr) -> Result<File, Errno> {
    open_at(dir, name, libc::O_RDWR | libc::O_APPEND | libc::O_NONBLOCK | libc::O_NOCTTY, 0)
}

/// For locking alone, by whatever its permissions allow.
pub fn open_any(dir: &Dir, name: &OsStr) -> Result<File, Errno> {
    // Locking a file over a network needs the right to write.
    let ways = [libc::O_RDWR, libc::O_RDONLY, libc::O_WRONLY];
    let open = |way| open_at(dir, name, way | libc::O_NONBLOCK | libc::O_NOCTTY, 0);
    let opened = ways.into_iter().map(open).find(|answer| !matches!(answer, Err(Errno("EACCES"))));
    opened.unwrap_or(Err(Errno("EACCES")))
}

fn open_at(dir: &Dir, name: &OsStr, how: libc::c_int, mode: u32) -> Result<File, Errno> {
    let name = c_string(name)?;
    let (fd, flags) = (dir.0.as_raw_fd(), how | libc::O_NOFOLLOW | libc::O_CLOEXEC);
    // SAFETY: `fd` is open, `name` is a C string that outlives the call.
    owned(unsafe { libc::openat(fd, name.as_ptr(), flags, mode as libc::c_uint) }).map(File)
}

/// Takes the file's lock (BSD `flock`, exclusive) if it is free; it goes with the last descriptor.
pub fn try_lock(file: &File) -> Result<bool, Errno> {
    // SAFETY: the file is open; the call touches no memory of ours.
    match checked(unsafe { libc::flock(file.0.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(()) => Ok(true),
        Err(Errno("EAGAIN")) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Before closing, so that a child that was forked at the wrong moment does not keep the lock.
pub fn unlock(file: &File) {
    // SAFETY: the file is open; the call touches no memory of ours.
    unsafe { libc::flock(file.0.as_raw_fd(), libc::LOCK_UN) };
}

/// Writes some of the bytes; how many.
pub fn write(file: &File, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the file is open and `bytes` has as many bytes as are said.
    counted(unsafe { libc::write(file.0.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })
}

/// Reads some bytes from a place on; how many, 0 at the end.
pub fn read_at(file: &File, room: &mut [u8], at: u64) -> Result<usize, Errno> {
    let at = libc::off_t::try_from(at).map_err(|_| Errno("EINVAL"))?;
    // SAFETY: the file is open and `room` is writable and has as many bytes as are said.
    counted(unsafe { libc::pread(file.0.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), at) })
}

pub fn truncate(file: &File, size: u64) -> Result<(), Errno> {
    let size = libc::off_t::try_from(size).map_err(|_| Errno("EINVAL"))?;
    // SAFETY: the file is open; the call touches no memory of ours.
    checked(unsafe { libc::ftruncate(file.0.as_raw_fd(), size) })
}

/// Returns when the content is on the disk, also through the disk's own cache where the system can do that.
pub fn sync(file: &File) -> Result<(), Errno> {
    sync_fd(file.0.as_raw_fd())
}

/// The same for the entries of a directory.
pub fn sync_dir(dir: &Dir) -> Result<(), Errno> {
    sync_fd(dir.0.as_raw_fd())
}

fn sync_fd(fd: libc::c_int) -> Result<(), Errno> {
    // Apple's fsync stops at the disk's cache; not every file system has the other.
    #[cfg(target_os = "macos")]
    // SAFETY: `fd` is open; the call touches no memory of ours.
    if unsafe { libc::fcntl(fd, libc::F_FULLFSYNC) } == 0 {
        return Ok(());
    }
    // SAFETY: `fd` is open; the call touches no memory of ours.
    checked(unsafe { libc::fsync(fd) })
}

/// Tells what a file system reports at closing only, as those over a network do. The file stays open.
pub fn flush(file: &File) -> Result<(), Errno> {
    // SAFETY: the file is open.
    let copy = unsafe { libc::fcntl(file.0.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) };
    checked(copy)?;
    // SAFETY: `copy` is open, and nobody else knows it.
    checked(unsafe { libc::close(copy) })
}

/// What is `None` stays.
pub fn set_owner(file: &File, user: Option<u32>, group: Option<u32>) -> Result<(), Errno> {
    let (user, group) = (user.unwrap_or(u32::MAX), group.unwrap_or(u32::MAX));
    // SAFETY: the file is open; the call touches no memory of ours.
    checked(unsafe { libc::fchown(file.0.as_raw_fd(), user, group) })
}

pub fn set_mode(file: &File, mode: u32) -> Result<(), Errno> {
    // SAFETY: the file is open; the call touches no memory of ours.
    checked(unsafe { libc::fchmod(file.0.as_raw_fd(), mode as libc::mode_t) })
}

/// Within one directory; what had the new name is gone.
pub fn rename(dir: &Dir, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    let (from, to, fd) = (c_string(from)?, c_string(to)?, dir.0.as_raw_fd());
    // SAFETY: `fd` is open; both names are C strings that outlive the call.
    checked(unsafe { libc::renameat(fd, from.as_ptr(), fd, to.as_ptr()) })
}

pub fn unlink(dir: &Dir, name: &OsStr) -> Result<(), Errno> {
    let name = c_string(name)?;
    // SAFETY: the directory is open and `name` is a C string that outlives the call.
    checked(unsafe { libc::unlinkat(dir.0.as_raw_fd(), name.as_ptr(), 0) })
}

fn facts_from(stat: libc::stat) -> Facts {
    let mode = wide(stat.st_mode) as u32;
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => Kind::File,
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFLNK => Kind::Link,
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFSOCK => Kind::Socket,
        _ => Kind::Device,
    };
    let (inode, links, size) = (wide(stat.st_ino), wide(stat.st_nlink), wide(stat.st_size));
    Facts { kind, inode, links, size, mode: mode & PERMISSIONS, user: stat.st_uid, group: stat.st_gid }
}

/// These fields differ in width between systems.
fn wide(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(0)
}

fn c_string(text: &OsStr) -> Result<CString, Errno> {
    CString::new(text.as_bytes()).map_err(|_| Errno("EINVAL"))
}

fn owned(fd: libc::c_int) -> Result<OwnedFd, Errno> {
    checked(fd)?;
    // SAFETY: the call that made `fd` succeeded, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn checked(answer: libc::c_int) -> Result<(), Errno> {
    if answer < 0 { Err(last()) } else { Ok(()) }
}

fn counted(answer: libc::ssize_t) -> Result<usize, Errno> {
    usize::try_from(answer).map_err(|_| last())
}

fn last() -> Errno {
    let code = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Errno(NAMES.iter().find(|(known, _)| *known == code).map_or("UNKNOWN", |(_, name)| name))
}

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

const NAMES: &[(libc::c_int, &str)] = names! {
    EACCES EAGAIN EBADF EBUSY EDQUOT EEXIST EFAULT EFBIG EINTR EINVAL EIO EISDIR ELOOP EMFILE EMLINK
    ENAMETOOLONG ENFILE ENODEV ENOENT ENOLCK ENOMEM ENOSPC ENOSYS ENOTDIR ENOTSUP ENXIO EOPNOTSUPP EOVERFLOW
    EPERM EPIPE EROFS ESTALE ETIMEDOUT ETXTBSY EXDEV ENOTCONN ECONNREFUSED EHOSTDOWN EHOSTUNREACH ENETDOWN
};
