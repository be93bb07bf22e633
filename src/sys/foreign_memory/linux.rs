//! Linux: a memory file is a link among the descriptors of its process, in `/proc/PID/fd`.

use std::fs::{self, File};
use std::io::{Error, Result};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::{self, NonNull};

/// A whole memory file, mapped for reading until this is dropped, whatever becomes of its process.
#[derive(Debug)]
pub struct ForeignMemory {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: it is only read, and whoever gives it a type sees to the sharing.
unsafe impl Send for ForeignMemory {}
// SAFETY: as above.
unsafe impl Sync for ForeignMemory {}

impl ForeignMemory {
    /// The sealed memory file of that name among the descriptors of a process; `None` when it has none.
    pub fn of(pid: u32, name: &str) -> Result<Option<Self>> {
        let wanted = format!("/memfd:{name} (deleted)");
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            let path = entry?.path();
            // It may have been closed since the folder was listed.
            let is_it = fs::read_link(&path).is_ok_and(|target| target.as_os_str() == wanted.as_str());
            if is_it && let Some(memory) = Self::map(&path)? {
                return Ok(Some(memory));
            }
        }
        Ok(None)
    }

    fn map(path: &Path) -> Result<Option<Self>> {
        let file = File::open(path)?;
        // SAFETY: the descriptor is open; the call touches no memory of ours.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 || seals & libc::F_SEAL_SHRINK == 0 {
            return Ok(None);
        }
        // After the seals: from here on it can only grow.
        let size = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        if size == 0 {
            return Ok(None);
        }
        // SAFETY: a fresh mapping at an address the kernel chooses; it aliases nothing, and stays when the
        // descriptor is closed.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), size, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        Ok(NonNull::new(start.cast()).map(|start| Self { start, size }))
    }

    pub fn parts(&self) -> (NonNull<u8>, usize) {
        (self.start, self.size)
    }
}

impl Drop for ForeignMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, of this size; whoever borrowed from it is gone.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size) };
    }
}
