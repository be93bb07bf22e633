//! Linux: `/proc/locks`, and files that are opened for reading only.

use super::{Key, Refused};
use crate::sys::process::user_id;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// More of the list is not read: some hundred thousand locks.
const MOST_BYTES: u64 = 32 << 20;

/// The kernel's list of file locks; `None` where it may not be read.
pub fn text_of_locks() -> Option<String> {
    let mut bytes = Vec::new();
    File::open("/proc/locks").ok()?.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a process has mapped a part of that file; false where that may not be known.
pub fn is_mapped_by(pid: u32, key: &Key) -> bool {
    let Ok(text) = fs::read(format!("/proc/{pid}/maps")) else { return false };
    let (major, minor) = key.device;
    let wanted = format!("{major:02x}:{minor:02x} {} ", key.inode);
    // `7f..-7f.. rw-s 00000000 fe:00 10470201    /path`: what stands before the device is made of fewer words.
    let is_it = |line: &str| line.splitn(4, ' ').nth(3).is_some_and(|rest| rest.starts_with(&wanted));
    String::from_utf8_lossy(&text).lines().any(is_it)
}

/// The mounts of this process, read when they are first asked for.
#[derive(Debug, Default)]
pub struct Mounts(Option<String>);

impl Mounts {
    /// The device that the kernel's list has for the files of a mount: the file system's own, which is another than
    /// that of its files where a file system has several (btrfs, overlayfs).
    fn device_of(&mut self, mount: &str) -> Option<(u32, u32)> {
        let read = || fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let text = self.0.get_or_insert_with(read);
        let mut lines = text.lines().map(|line| line.split(' '));
        let mut words = lines.find_map(|mut words| (words.next() == Some(mount)).then_some(words))?;
        let (major, minor) = words.nth(1)?.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }
}

/// A file that was opened to be read.
#[derive(Debug)]
pub struct Seen {
    file: File,
    facts: Metadata,
}

/// Opens a file of this user's own. What is none is not opened at all: a device or a FIFO would notice.
pub fn open(path: &Path) -> Result<Seen, Refused> {
    let open = |flags: i32| File::options().read(true).custom_flags(flags | libc::O_NOFOLLOW).open(path);
    let entry = open(libc::O_PATH).and_then(|entry| entry.metadata()).map_err(|error| refused(&error))?;
    check(&entry)?;
    // Not blocking: what was a file a moment ago may be a FIFO now.
    let file = open(libc::O_NONBLOCK | libc::O_NOATIME).map_err(|error| refused(&error))?;
    let facts = file.metadata().map_err(|error| refused(&error))?;
    check(&facts)?;
    Ok(Seen { file, facts })
}

fn check(facts: &Metadata) -> Result<(), Refused> {
    if !facts.is_file() {
        return Err(Refused::NotAFile);
    }
    if facts.uid() == user_id() { Ok(()) } else { Err(Refused::OtherUser) }
}

fn refused(error: &io::Error) -> Refused {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Refused::Gone,
        ErrorKind::PermissionDenied => Refused::Permission,
        // It became a link after it was looked at.
        _ if error.raw_os_error() == Some(libc::ELOOP) => Refused::NotAFile,
        _ => Refused::Unreadable,
    }
}

impl Seen {
    pub fn size(&self) -> u64 {
        self.facts.size()
    }

    /// What the kernel's list calls it.
    pub fn key(&self, mounts: &mut Mounts) -> Key {
        let device = self.facts.dev();
        let own = (libc::major(device), libc::minor(device));
        // Only devices without a number of their own differ.
        let listed = if own.0 == 0 { self.mount().and_then(|mount| mounts.device_of(&mount)) } else { None };
        Key { device: listed.unwrap_or(own), inode: self.facts.ino() }
    }

    fn mount(&self) -> Option<String> {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.file.as_raw_fd())).ok()?;
        text.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(|mount| mount.trim().to_owned())
    }

    /// Reads all of `into`; false when the file is too short by now.
    pub fn read_at(&self, into: &mut [u8], at: u64) -> bool {
        self.file.read_exact_at(into, at).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Locks};
    use super::*;
    use crate::sys::file_lock::{Directory, KernelMode};

    #[test]
    fn a_lock_of_ours_is_found_in_the_list() {
        let folder = std::env::temp_dir().join(format!("chainlock-peek-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let held = Directory::open(&folder).unwrap().make_file("it").unwrap();
        assert!(held.try_lock(KernelMode::Shared).unwrap());
        let seen = open(&folder.join("it")).unwrap();
        let locks = Locks::parse(&text_of_locks().unwrap());
        let found: Vec<_> = locks.of(&seen.key(&mut Mounts::default())).to_vec();
        assert!(found.iter().any(|lock| lock.kind == Kind::Flock && lock.pid == Some(std::process::id())));
        let key = seen.key(&mut Mounts::default());
        assert!(!is_mapped_by(std::process::id(), &key));
        let mut mapped = Directory::open(&folder).unwrap().make_file("mapped").unwrap();
        mapped.allocate(16_384).unwrap();
        mapped.map(16_384).unwrap();
        let key = open(&folder.join("mapped")).unwrap().key(&mut Mounts::default());
        assert!(is_mapped_by(std::process::id(), &key) && !is_mapped_by(u32::MAX, &key));
        std::os::unix::fs::symlink(folder.join("it"), folder.join("link")).unwrap();
        assert_eq!(open(&folder.join("link")).unwrap_err(), Refused::NotAFile);
        assert_eq!(open(&folder).unwrap_err(), Refused::NotAFile);
        assert_eq!(open(&folder.join("none")).unwrap_err(), Refused::Gone);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_mount_has_the_device_of_its_file_system() {
        let text = "29 1 0:25 /sub /home rw - btrfs /dev/sda2 rw\n30 1 254:0 / / rw - ext4 /dev/vda rw\n";
        let mut mounts = Mounts(Some(text.into()));
        assert_eq!(mounts.device_of("29"), Some((0, 25)));
        assert_eq!(mounts.device_of("30"), Some((254, 0)));
        assert_eq!(mounts.device_of("31"), None);
    }
}
