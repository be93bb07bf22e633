//! A memory file, mapped here for writing and then sealed: nobody else, not even root, can open it for
//! writing, shrink it (which would kill us with SIGBUS) or grow it. Readers find it as /proc/PID/fd/N.

use super::Unseen;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

/// `size` bytes (rounded up to pages) of zeroes, mapped until the process ends; `None` where the kernel
/// or a sandbox refuses, and then ordinary memory has to do.
pub fn shared_zeroed(size: usize, name: &str) -> Option<NonNull<u8>> {
    let name = CString::new(name).ok()?;
    let size = size.next_multiple_of(4096);
    // SAFETY: `name` is a C string that outlives the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return None;
    }
    map_and_seal(fd, size).or_else(|| {
        // SAFETY: `fd` is ours and nothing is mapped from it that anybody uses.
        unsafe { libc::close(fd) };
        None
    })
}

fn map_and_seal(fd: i32, size: usize) -> Option<NonNull<u8>> {
    // SAFETY: `fd` is an open memory file of ours.
    if unsafe { libc::ftruncate(fd, libc::off_t::try_from(size).ok()?) } != 0 {
        return None;
    }
    // SAFETY: a fresh mapping at an address the kernel chooses; it aliases nothing.
    let start = unsafe {
        libc::mmap(ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, fd, 0)
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_FUTURE_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: `fd` is an open memory file that allows sealing; the call touches no memory of ours.
    if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } != 0 {
        // SAFETY: `start` is a mapping of `size` bytes made above, to which nobody has a reference yet.
        unsafe { libc::munmap(start, size) };
        return None;
    }
    NonNull::new(start.cast())
}

/// Another process's memory file, mapped for reading as long as this lives.
#[derive(Debug)]
pub struct View {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: memory that is only read, and belongs to no thread.
unsafe impl Send for View {}
// SAFETY: the same; what others write meanwhile is read by atomic loads.
unsafe impl Sync for View {}

impl View {
    /// Where it lies, and how many bytes there are.
    pub fn parts(&self) -> (NonNull<u8>, usize) {
        (self.start, self.size)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: a mapping of that size, made by `map_read_only`; who borrowed it is gone.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size) };
    }
}

/// The memory file of that name among a process's descriptors. Only a sealed one: nobody can shorten it under
/// us.
pub fn open_shared(pid: u32, name: &str) -> Result<View, Unseen> {
    let wanted = format!("/memfd:{name}");
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).map_err(unseen)? {
        let path = entry.map_err(unseen)?.path();
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            // Of a process with more rights the list may be read, and what stands in it may not.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(Unseen::Permission),
            // A descriptor that was closed meanwhile.
            Err(_) => continue,
        };
        let is_it = target
            .to_string_lossy()
            .strip_prefix(&wanted)
            .is_some_and(|rest| ["", " (deleted)"].contains(&rest));
        if is_it && let Some(view) = File::open(&path).map_err(unseen).map(|file| map_read_only(&file))? {
            return Ok(view);
        }
    }
    Err(Unseen::Nothing)
}

fn unseen(error: io::Error) -> Unseen {
    match error.kind() {
        ErrorKind::PermissionDenied => Unseen::Permission,
        _ => Unseen::Gone,
    }
}

fn map_read_only(file: &File) -> Option<View> {
    // SAFETY: an open descriptor; the call touches no memory of ours.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    if seals < 0 || seals & libc::F_SEAL_SHRINK == 0 {
        return None;
    }
    let size = usize::try_from(file.metadata().ok()?.len()).ok().filter(|size| *size > 0)?;
    // SAFETY: a fresh read-only mapping at an address the kernel chooses; it aliases nothing of ours.
    let start =
        unsafe { libc::mmap(ptr::null_mut(), size, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if start == libc::MAP_FAILED { None } else { Some(View { start: NonNull::new(start.cast())?, size }) }
}
