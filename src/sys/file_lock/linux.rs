//! Linux: `flock` decides between processes (it is what flock(1) takes, too); bytes of the file, locked by
//! `F_OFD_SETLK`, tell who waits. Both are the kernel's: they end with their process.

use super::{Facts, FileKind, KernelMode, WAITING_BYTES};
use crate::sys::fault;
use once_cell::sync::Lazy;
use std::ffi::CString;
use std::io::{self, Error};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};

/// The longest text kept beside a holder in a lock file: a path that is longer is not told.
pub const MAX_PATH_NOTE: usize = 504;

/// A directory that is looked into by its descriptor, so that nobody can exchange it meanwhile.
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl Directory {
    /// Opens a directory; what is a link or none is refused by the kernel.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = text(path.as_os_str().as_bytes())?;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: `path` is a C string that outlives the call.
        opened(unsafe { libc::open(path.as_ptr(), flags) }).map(Self)
    }

    /// Makes a directory that only its user may look into.
    pub fn make(path: &Path) -> io::Result<()> {
        let path = text(path.as_os_str().as_bytes())?;
        // SAFETY: as above.
        checked(unsafe { libc::mkdir(path.as_ptr(), 0o700) }).map(|_| ())
    }

    pub fn facts(&self) -> io::Result<Facts> {
        facts(self.0.as_raw_fd())
    }

    /// What kind of a network file system it lies on, if it does.
    pub fn network_kind(&self) -> io::Result<Option<&'static str>> {
        let mut found = std::mem::MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the descriptor is ours and open; `found` is writable and of the type that is filled.
        checked(unsafe { libc::fstatfs(self.0.as_raw_fd(), found.as_mut_ptr()) })?;
        // SAFETY: the call succeeded, so it has filled `found`.
        let kind = unsafe { found.assume_init() }.f_type as u32;
        Ok(NETWORK.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name))
    }

    /// Looks at an entry without following or opening it: a device or a FIFO notices nothing.
    pub fn look_at(&self, name: &str) -> io::Result<Facts> {
        let name = text(name.as_bytes())?;
        let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the descriptor is ours and open; `name` is a C string.
        let entry = opened(unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags) })?;
        facts(entry.as_raw_fd())
    }

    /// Opens a file that is there.
    pub fn open_file(&self, name: &str) -> io::Result<LockFile> {
        self.open_with(name, 0)
    }

    /// Makes a file that is not there.
    pub fn make_file(&self, name: &str) -> io::Result<LockFile> {
        self.open_with(name, libc::O_CREAT | libc::O_EXCL)
    }

    /// Takes a name away.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let name = text(name.as_bytes())?;
        // SAFETY: the descriptor is ours and open; `name` is a C string.
        checked(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) }).map(|_| ())
    }

    fn open_with(&self, name: &str, more: i32) -> io::Result<LockFile> {
        let name = text(name.as_bytes())?;
        // Not blocking: what was a file a moment ago may be a FIFO now.
        let flags = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | more;
        // SAFETY: as in `look_at`; the mode is an unsigned int, as the variadic call wants it.
        let fd = opened(unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags, 0o600u32) })?;
        let Facts { device, inode, .. } = facts(fd.as_raw_fd())?;
        Ok(LockFile { fd, device, inode, map: None })
    }
}

/// An open lock file: one open file description, which is what the kernel's locks belong to.
#[derive(Debug)]
pub struct LockFile {
    fd: OwnedFd,
    device: u64,
    inode: u64,
    map: Option<Mapping>,
}

#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    length: usize,
    watch: fault::Watch,
}

// SAFETY: the mapping is shared memory; whoever looks into it does so by atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl LockFile {
    pub fn facts(&self) -> io::Result<Facts> {
        facts(self.fd.as_raw_fd())
    }

    /// Whether it is still the file at that path: it may have been removed, moved away or replaced.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        let path = text(path.as_os_str().as_bytes())?;
        let mut found = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: `path` is a C string; `found` is writable and of the type that the call fills.
        match checked(unsafe { libc::lstat(path.as_ptr(), found.as_mut_ptr()) }) {
            Ok(_) => {
                // SAFETY: the call succeeded, so it has filled `found`.
                let found = unsafe { found.assume_init() };
                Ok((found.st_dev, found.st_ino) == (self.device, self.inode))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sees to it that so many bytes are really there: a sparse page on a full disk would kill us later.
    pub fn allocate(&self, length: usize) -> io::Result<()> {
        // SAFETY: the descriptor is ours and open. The call gives its error and does not set errno.
        let error = unsafe { libc::posix_fallocate(self.fd.as_raw_fd(), 0, length as i64) };
        if error == 0 { Ok(()) } else { Err(Error::from_raw_os_error(error)) }
    }

    /// Maps its first bytes for the file's life; `length` is a multiple of the page size.
    pub fn map(&mut self, length: usize) -> io::Result<()> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping at an address the kernel chooses; it aliases nothing of ours.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), length, access, libc::MAP_SHARED, self.fd.as_raw_fd(), 0) };
        let start = NonNull::new(start.cast::<u8>()).filter(|_| start != libc::MAP_FAILED);
        let start = start.ok_or_else(Error::last_os_error)?;
        let Some(watch) = fault::watch(start, length) else {
            // SAFETY: mapped just now, and nobody has looked into it.
            unsafe { libc::munmap(start.as_ptr().cast(), length) };
            return Err(Error::from_raw_os_error(libc::ENFILE));
        };
        self.map = Some(Mapping { start, length, watch });
        Ok(())
    }

    /// The mapped bytes, if there are that many.
    #[inline]
    pub fn mapped(&self, length: usize) -> Option<NonNull<u8>> {
        self.map.as_ref().filter(|map| length <= map.length).map(|map| map.start)
    }

    /// Whether the file was cut under its mapping: what is read there since means nothing.
    #[inline]
    pub fn is_damaged(&self) -> bool {
        self.map.as_ref().is_none_or(|map| map.watch.was_hit())
    }

    /// Takes the kernel's lock; false when somebody else has it.
    #[inline]
    pub fn try_lock(&self, mode: KernelMode) -> io::Result<bool> {
        // SAFETY: the descriptor is ours and open.
        if unsafe { libc::flock(self.fd.as_raw_fd(), operation(mode) | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        let error = Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EWOULDBLOCK | libc::EINTR) => Ok(false),
            _ => Err(error),
        }
    }

    /// Waits for the kernel's lock; false when a signal came first, such as that of [`Sleeper::wake`].
    pub fn lock(&self, mode: KernelMode) -> io::Result<bool> {
        // SAFETY: the descriptor is ours and open.
        if unsafe { libc::flock(self.fd.as_raw_fd(), operation(mode)) } == 0 {
            return Ok(true);
        }
        let error = Error::last_os_error();
        if error.raw_os_error() == Some(libc::EINTR) { Ok(false) } else { Err(error) }
    }

    /// Gives the kernel's lock back; false when the system would not. Closing the file does it then.
    #[inline]
    pub fn unlock(&self) -> bool {
        loop {
            // SAFETY: the descriptor is ours and open.
            if unsafe { libc::flock(self.fd.as_raw_fd(), libc::LOCK_UN) } == 0 {
                return true;
            }
            if Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                return false;
            }
        }
    }

    /// Tells other processes, by a byte lock of the kernel's that ends with this process, that it waits.
    pub fn begin_waiting(&self, pid: u32) {
        self.bytes(libc::F_OFD_SETLK, libc::F_RDLCK, i64::from(pid), 1);
    }

    pub fn end_waiting(&self, pid: u32) {
        self.bytes(libc::F_OFD_SETLK, libc::F_UNLCK, i64::from(pid), 1);
    }

    /// The pid of another process that waits, any one in that range; the kernel does not answer in their order.
    pub fn waits_among(&self, pids: Range<i64>) -> Option<i64> {
        if pids.is_empty() {
            return None;
        }
        let count = pids.end - pids.start;
        let (kind, start) = self.bytes(libc::F_OFD_GETLK, libc::F_WRLCK, pids.start, count)?;
        let pid = start - WAITING_BYTES;
        (kind != libc::F_UNLCK && pids.contains(&pid)).then_some(pid)
    }

    fn bytes(&self, command: i32, kind: i32, first: i64, count: i64) -> Option<(i32, i64)> {
        // SAFETY: all of it are numbers, for which zeroes are a value.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        range.l_type = kind as i16;
        range.l_whence = libc::SEEK_SET as i16;
        range.l_start = WAITING_BYTES + first;
        range.l_len = count;
        // SAFETY: the descriptor is ours and open; `range` is what these commands take.
        let status = unsafe { libc::fcntl(self.fd.as_raw_fd(), command, &raw mut range) };
        (status == 0).then_some((i32::from(range.l_type), range.l_start))
    }

    /// Reads from its beginning, past every mapping.
    pub fn read_at_start(&self, into: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the descriptor is ours and open; `into` has as many bytes as it says.
        let count = unsafe { libc::pread(self.fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), 0) };
        usize::try_from(count).map_err(|_| Error::last_os_error())
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // A child between fork and exec shares the open file description and would keep its locks.
        self.unlock();
        if let Some(map) = self.map.take() {
            map.watch.end();
            // SAFETY: the mapping was made by `map`; with its file go all that could look into it.
            unsafe { libc::munmap(map.start.as_ptr().cast(), map.length) };
        }
    }
}

/// A thread that may sleep in [`LockFile::lock`].
#[derive(Clone, Copy, Debug)]
pub struct Sleeper(libc::pthread_t);

impl Sleeper {
    /// The calling thread.
    pub fn this() -> Self {
        // SAFETY: takes nothing and cannot fail.
        Self(unsafe { libc::pthread_self() })
    }

    /// Interrupts its sleep, if it is in one. The thread must not have ended.
    pub fn wake(self) {
        if let Some(signal) = *SIGNAL {
            // SAFETY: the caller sees to it that the thread lives; the signal has a handler, which does nothing.
            unsafe { libc::pthread_kill(self.0, signal) };
        }
    }
}

/// A signal that nobody else in the process handles, now with a handler that does nothing, so that it only
/// interrupts; `None` when all are taken, and then a sleep lasts until the kernel ends it.
static SIGNAL: Lazy<Option<i32>> = Lazy::new(|| {
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find(|signal| is_free(*signal) && handle(*signal))
});

fn is_free(signal: i32) -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: asks only, into a place of ours of that type.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) } == 0;
    // SAFETY: the call succeeded, so it has filled `now`.
    asked && unsafe { now.assume_init() }.sa_sigaction == libc::SIG_DFL
}

/// Without SA_RESTART: the interrupted call is to return.
fn handle(signal: i32) -> bool {
    extern "C" fn nothing(_signal: i32) {}
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeroes are a valid `sigaction`: no handler, no flags, an empty mask.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: a handler of the signature that is asked for without SA_SIGINFO, which does nothing.
    unsafe { libc::sigaction(signal, action, ptr::null_mut()) == 0 }
}

fn operation(mode: KernelMode) -> i32 {
    match mode {
        KernelMode::Shared => libc::LOCK_SH,
        KernelMode::Exclusive => libc::LOCK_EX,
    }
}

fn text(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| Error::from_raw_os_error(libc::EINVAL))
}

fn checked(status: i32) -> io::Result<i32> {
    if status < 0 { Err(Error::last_os_error()) } else { Ok(status) }
}

fn opened(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a descriptor that the kernel has just given us, and nobody else has.
    checked(fd).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn facts(fd: RawFd) -> io::Result<Facts> {
    let mut found = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `found` is writable and of the type that the call fills.
    checked(unsafe { libc::fstat(fd, found.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it has filled `found`.
    let found = unsafe { found.assume_init() };
    Ok(Facts {
        device: found.st_dev,
        inode: found.st_ino,
        kind: match found.st_mode & libc::S_IFMT {
            libc::S_IFREG => FileKind::File,
            libc::S_IFDIR => FileKind::Directory,
            libc::S_IFLNK => FileKind::Link,
            libc::S_IFIFO => FileKind::Fifo,
            libc::S_IFSOCK => FileKind::Socket,
            _ => FileKind::Device,
        },
        mode: found.st_mode & 0o7777,
        user: found.st_uid,
        links: links(found.st_nlink),
        size: u64::try_from(found.st_size).unwrap_or(0),
    })
}

/// The count of links has another type on each processor.
fn links(count: impl Into<u64>) -> u64 {
    count.into()
}

/// File systems on which a lock may hold on one machine only, or not at all (the numbers are in statfs(2)
/// and in the kernel's `magic.h`).
const NETWORK: [(u32, &str); 14] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "kAFS"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x786f_4256, "VirtualBox shared folder"),
    (0x0116_1970, "GFS2"),
];
