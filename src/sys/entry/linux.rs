//! Linux. Nothing here follows a symbolic link in the last place of a path.

use super::{Errno, Facts};
use std::ffi::{CStr, CString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// An extended attribute: it lives and dies with its directory, which stays empty.
const MARK: &CStr = c"user.chainlock.holder";
const LONGEST_MARK: usize = 256;

/// A directory that is kept open, so that its numbers are given to no other.
#[derive(Debug)]
pub struct Pinned(File);

impl Pinned {
    pub fn open(path: &str) -> Result<Self, Errno> {
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        File::options().read(true).custom_flags(flags).open(path).map(Self).map_err(errno)
    }

    pub fn facts(&self) -> Result<Facts, Errno> {
        self.0.metadata().map(|found| facts_in(&found)).map_err(errno)
    }

    /// Sets the times to now, of this very directory, whatever its path leads to by now.
    pub fn touch(&self) -> Result<(), Errno> {
        let now = libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_NOW };
        let times = [now, now];
        // SAFETY: the descriptor is open, and `times` are the two that the call reads.
        answer(unsafe { libc::futimens(self.0.as_raw_fd(), times.as_ptr()) })
    }

    pub fn mark(&self, text: &[u8]) -> Result<(), Errno> {
        // SAFETY: the descriptor is open, the name is a C string, and `text` has as many bytes as it says.
        answer(unsafe {
            libc::fsetxattr(self.0.as_raw_fd(), MARK.as_ptr(), text.as_ptr().cast(), text.len(), 0)
        })
    }
}

pub fn facts(path: &str) -> Result<Facts, Errno> {
    std::fs::symlink_metadata(path).map(|found| facts_in(&found)).map_err(errno)
}

fn facts_in(found: &Metadata) -> Facts {
    Facts { device: found.dev(), inode: found.ino(), touched: (found.mtime(), found.mtime_nsec()) }
}

/// What was left there by [`Pinned::mark`], by whoever could write there.
pub fn mark_of(path: &str) -> Option<Vec<u8>> {
    let path = CString::new(path).ok()?;
    let mut text = vec![0u8; LONGEST_MARK];
    // SAFETY: two C strings, and a buffer of as many bytes as it says.
    let length =
        unsafe { libc::lgetxattr(path.as_ptr(), MARK.as_ptr(), text.as_mut_ptr().cast(), LONGEST_MARK) };
    text.truncate(usize::try_from(length).ok()?);
    Some(text)
}

/// Whether that process has this very entry open; false also where its descriptors cannot be seen.
pub fn is_open_in(pid: u32, path: &str) -> bool {
    let (Ok(known), Ok(all)) = (facts(path), std::fs::read_dir(format!("/proc/{pid}/fd"))) else {
        return false;
    };
    all.flatten().map(|each| each.path()).any(|descriptor| {
        // By name first: to look at just any file may take long, as where a network file system hangs.
        let is_alike = std::fs::read_link(&descriptor)
            .is_ok_and(|target| target.file_name() == Path::new(path).file_name());
        let found = if is_alike { std::fs::metadata(&descriptor).ok() } else { None };
        found.is_some_and(|found| (found.dev(), found.ino()) == (known.device, known.inode))
    })
}

/// Each of two entries gets the other's name, in one step.
pub fn exchange(one: &str, other: &str) -> Result<(), Errno> {
    let (one, other) = (c_string(one)?, c_string(other)?);
    // By number: not every C library has the function.
    // SAFETY: two C strings that outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            one.as_ptr(),
            libc::AT_FDCWD,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    answer(done as i32)
}

/// The exclusive kernel lock of an open file or directory; false when another descriptor has it.
pub fn try_flock(fd: i32) -> Result<bool, Errno> {
    // SAFETY: a number that is no descriptor is refused; the call touches no memory.
    match answer(unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(()) => Ok(true),
        Err(libc::EWOULDBLOCK) => Ok(false),
        Err(number) => Err(number),
    }
}

fn c_string(path: &str) -> Result<CString, Errno> {
    CString::new(path).map_err(|_| libc::EINVAL)
}

fn answer(done: i32) -> Result<(), Errno> {
    if done == 0 { Ok(()) } else { Err(errno(io::Error::last_os_error())) }
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().unwrap_or(libc::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(name: &str) -> String {
        let path = std::env::temp_dir().join(format!("chainlock-entry-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn two_entries_of_any_kind_change_names() {
        let home = folder("exchange");
        let (one, other) = (format!("{home}/one"), format!("{home}/other"));
        fs::create_dir(&one).unwrap();
        fs::write(&other, "x").unwrap();
        let (first, second) = (facts(&one).unwrap(), facts(&other).unwrap());
        exchange(&one, &other).unwrap();
        assert_eq!((facts(&one).unwrap(), facts(&other).unwrap()), (second, first));
        assert_eq!(exchange(&one, &format!("{home}/none")), Err(libc::ENOENT));
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_pinned_directory_is_touched_itself_and_no_link_is_followed() {
        let home = folder("touch");
        let (path, link) = (format!("{home}/a.lock"), format!("{home}/link"));
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Pinned::open(&link).is_err());
        let pinned = Pinned::open(&path).unwrap();
        fs::rename(&path, format!("{home}/b")).unwrap();
        fs::create_dir(&path).unwrap();
        let foreign = facts(&path).unwrap();
        pinned.touch().unwrap();
        assert_eq!(facts(&path).unwrap(), foreign);
        assert_eq!(facts(&format!("{home}/b")).unwrap(), pinned.facts().unwrap());
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn who_has_an_entry_open_is_seen() {
        let home = folder("open");
        assert!(!is_open_in(std::process::id(), &home));
        let pinned = Pinned::open(&home).unwrap();
        assert!(is_open_in(std::process::id(), &home));
        fs::remove_dir(&home).unwrap();
        fs::create_dir(&home).unwrap();
        assert!(!is_open_in(std::process::id(), &home), "another of the same name");
        drop(pinned);
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn one_descriptor_gets_the_kernels_lock() {
        let home = folder("flock");
        let (one, two) = (Pinned::open(&home).unwrap(), Pinned::open(&home).unwrap());
        assert_eq!(try_flock(one.0.as_raw_fd()), Ok(true));
        assert_eq!(try_flock(two.0.as_raw_fd()), Ok(false));
        drop(one);
        assert_eq!(try_flock(two.0.as_raw_fd()), Ok(true));
        assert_eq!(try_flock(-1), Err(libc::EBADF));
        fs::remove_dir_all(home).unwrap();
    }
}
