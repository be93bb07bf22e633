//! Linux: `flock` for one operation, an OFD lock on a byte for a life (the kernel frees it at death, whatever
//! the pid namespace), FIFOs to wake, pidfds to hear of an end.

use super::{Facts, Mapped, Woken};
use crate::sys::fault;
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::ptr::{self, NonNull};

fn text(name: &OsStr) -> Result<CString> {
    CString::new(name.as_bytes()).map_err(|_| Error::from(ErrorKind::InvalidInput))
}

/// The descriptor that a call has answered, or its error.
fn opened(fd: RawFd) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the call has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn done(status: i32) -> Result<()> {
    if status < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

fn facts_of(file: &File) -> Result<Facts> {
    let data = file.metadata()?;
    Ok(Facts {
        is_regular: data.file_type().is_file(),
        is_directory: data.file_type().is_dir(),
        mode: data.mode() & 0o7777,
        user: data.uid(),
        links: data.nlink(),
        size: data.size(),
    })
}

#[derive(Debug)]
pub struct Directory(File);

impl Directory {
    /// Opens a directory, made private if it is not there; not through a link.
    pub fn open(path: &Path) -> Result<Self> {
        let name = text(path.as_os_str())?;
        // SAFETY: `name` is a C string that outlives the call.
        if let Err(error) = done(unsafe { libc::mkdir(name.as_ptr(), 0o700) })
            && error.kind() != ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: as above.
        let fd = opened(unsafe { libc::open(name.as_ptr(), flags) })?;
        Ok(Self(File::from(fd)))
    }

    pub fn facts(&self) -> Result<Facts> {
        facts_of(&self.0)
    }

    fn open_at(&self, name: &OsStr, flags: i32) -> Result<OwnedFd> {
        let name = text(name)?;
        let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: `name` is a C string that outlives the call.
        opened(unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags, 0o600) })
    }

    /// Opens a file for reading and writing; makes it, private, when there is none.
    pub fn open_file(&self, name: &OsStr) -> Result<HostFile> {
        loop {
            match self.open_at(name, libc::O_RDWR) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                found => return Ok(HostFile(File::from(found?))),
            }
            match self.open_at(name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL) {
                // Somebody was faster.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => return Ok(HostFile(File::from(made?))),
            }
        }
    }

    pub fn make_pipe(&self, name: &OsStr) -> Result<()> {
        let name = text(name)?;
        // SAFETY: `name` is a C string that outlives the call.
        match done(unsafe { libc::mkfifoat(self.0.as_raw_fd(), name.as_ptr(), 0o600) }) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn open_pipe(&self, name: &OsStr, flags: i32) -> Result<File> {
        use std::os::unix::fs::FileTypeExt;
        let pipe = File::from(self.open_at(name, flags)?);
        let is_pipe = pipe.metadata()?.file_type().is_fifo();
        if is_pipe { Ok(pipe) } else { Err(Error::from(ErrorKind::InvalidInput)) }
    }

    /// Listens to a pipe. It is opened for writing, too, so that it never ends.
    pub fn watch(&self, name: &OsStr) -> Result<Watch> {
        Ok(Watch { pipe: self.open_pipe(name, libc::O_RDWR)?, processes: Vec::new() })
    }

    /// The other end; fails when nobody listens.
    pub fn waker(&self, name: &OsStr) -> Result<Waker> {
        Ok(Waker(self.open_pipe(name, libc::O_WRONLY)?))
    }
}

#[derive(Debug)]
pub struct HostFile(File);

impl HostFile {
    pub fn facts(&self) -> Result<Facts> {
        facts_of(&self.0)
    }

    /// The lock of the whole file, if it is free.
    pub fn try_lock(&self) -> Result<bool> {
        // SAFETY: takes an open descriptor and touches no memory.
        match done(unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn unlock(&self) {
        // SAFETY: as above.
        unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }

    fn byte_lock(&self, command: i32, at: u64) -> Result<libc::flock> {
        // SAFETY: `flock` is plain integers, for which zeroes are valid.
        let mut range: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
        range.l_type = libc::F_WRLCK as libc::c_short;
        range.l_whence = libc::SEEK_SET as libc::c_short;
        range.l_start = at as libc::off_t;
        range.l_len = 1;
        // SAFETY: an open descriptor and a `flock` that outlives the call.
        done(unsafe { libc::fcntl(self.0.as_raw_fd(), command, &raw mut range) })?;
        Ok(range)
    }

    /// Locks one byte for as long as this file stays open; false when another process has it.
    pub fn lock_byte(&self, at: u64) -> Result<bool> {
        match self.byte_lock(libc::F_OFD_SETLK, at) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether anybody else has locked that byte.
    pub fn is_byte_locked(&self, at: u64) -> Result<bool> {
        let found = self.byte_lock(libc::F_OFD_GETLK, at)?;
        Ok(i32::from(found.l_type) != libc::F_UNLCK)
    }

    pub fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        self.0.read_exact_at(bytes, at)
    }

    pub fn write_at(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.0.write_all_at(bytes, at)
    }

    /// Makes the file that long at least, with room for all of it.
    pub fn reserve(&self, size: u64) -> Result<()> {
        // SAFETY: takes an open descriptor and touches no memory.
        match unsafe { libc::posix_fallocate(self.0.as_raw_fd(), 0, size as libc::off_t) } {
            0 => Ok(()),
            error => Err(Error::from_raw_os_error(error)),
        }
    }

    /// Maps a reserved part of the file, for good; by a description of its own, because a mapping keeps that
    /// open, and with it its locks.
    pub fn map(&self, at: u64, size: usize) -> Result<Mapped> {
        let again = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let own = fs::OpenOptions::new().read(true).write(true).open(again);
        let fd = own.as_ref().unwrap_or(&self.0).as_raw_fd();
        let (access, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a fresh mapping at an address the kernel chooses; it aliases nothing.
        let start = unsafe { libc::mmap(ptr::null_mut(), size, access, how, fd, at as libc::off_t) };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(Error::last_os_error)?;
        // Somebody may cut the file short under us. It is never unmapped, so the watch never ends.
        match fault::watch(start, size) {
            Some(_) => Ok(Mapped { start, size }),
            None => Err(Error::from_raw_os_error(libc::ENFILE)),
        }
    }
}

#[derive(Debug)]
pub struct Waker(File);

impl Waker {
    /// False when nobody listens any more. A full pipe has woken already.
    pub fn wake(&self) -> bool {
        match (&self.0).write_all(&[1]) {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// One thread's wait: for its pipe, and for the end of processes.
#[derive(Debug)]
pub struct Watch {
    pipe: File,
    processes: Vec<OwnedFd>,
}

impl Watch {
    pub fn clear(&mut self) {
        self.processes.clear();
    }

    /// Watches a process; false where that cannot be had.
    pub fn add(&mut self, pid: u32) -> bool {
        // SAFETY: takes two integers; answers a new descriptor, close-on-exec, or an error.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
        match opened(fd as RawFd) {
            Ok(fd) => self.processes.push(fd),
            Err(_) => return false,
        }
        true
    }

    /// Waits, at most so long. Takes everything out of the pipe.
    pub fn wait(&mut self, most_ms: u32) -> Woken {
        let watched = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut fds = vec![watched(self.pipe.as_raw_fd())];
        fds.extend(self.processes.iter().map(|process| watched(process.as_raw_fd())));
        let count = fds.len() as libc::nfds_t;
        // SAFETY: `fds` has as many entries as `count` says.
        if unsafe { libc::poll(fds.as_mut_ptr(), count, most_ms.min(60_000) as i32) } <= 0 {
            return Woken::default();
        }
        let woken = Woken { called: fds[0].revents != 0, ended: fds[1..].iter().any(|fd| fd.revents != 0) };
        let mut calls = [0; 4096];
        while woken.called && matches!((&self.pipe).read(&mut calls), Ok(read) if read == calls.len()) {}
        woken
    }
}
