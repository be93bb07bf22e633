//! A memory file, mapped here for writing and then sealed: nobody else, not even root, can open it for
//! writing, shrink it (which would kill us with SIGBUS) or grow it. Readers find it as /proc/PID/fd/N.

use std::ffi::CString;
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
