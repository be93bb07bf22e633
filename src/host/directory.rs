//! Where lock files lie: a private folder of the user for names, anywhere for paths; and how a file is opened
//! so that nobody leads us to another one.

use crate::host::file::PAGE_BYTES;
use crate::host::{FOREIGN, Fault, NETWORK, UNSAFE};
use crate::private_folder::{self, Refused};
use crate::sys::file_lock::{Directory, Facts, FileKind, LockFile};
use crate::sys::process::user_id;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// The longest name of a lock.
pub const MAX_NAME_BYTES: usize = 255;
/// Longer ones are cut, and told apart by a hash: file systems end at 255.
const MAX_STEM_BYTES: usize = 200;
/// How often an opening starts anew because the file was exchanged meanwhile.
const ATTEMPTS: usize = 10;

/// Which file is a lock's.
#[derive(Clone, Debug)]
pub struct Place {
    folder: PathBuf,
    file: String,
    /// A folder of ours, which nobody else may look into.
    is_private: bool,
    allow_network: bool,
}

impl Place {
    /// The file of a named lock, in the user's private folder.
    pub fn of_name(name: &str) -> Result<Self, Fault> {
        let folder = private()?;
        Ok(Self { folder, file: file_name(name), is_private: true, allow_network: false })
    }

    /// The very file that the user names.
    pub fn of_path(given: &Path, allow_network: bool) -> Result<Self, Fault> {
        let path = std::path::absolute(given).map_err(|error| Fault::of_system(given, "find it", &error))?;
        // As it is spelt: `file_name` would read "lock/" and "lock/." as "lock".
        let is_file = !given.as_os_str().as_encoded_bytes().ends_with(b"/")
            && matches!(path.components().next_back(), Some(Component::Normal(_)));
        let (Some(parent), Some(file), true) = (path.parent(), path.file_name(), is_file) else {
            return Err(Fault::new(UNSAFE, given, "it names a folder; a lock needs a file of its own"));
        };
        let Some(file) = file.to_str() else {
            return Err(Fault::new(UNSAFE, given, "its name is not text (UTF-8)"));
        };
        let folder = std::fs::canonicalize(parent);
        let folder = folder.map_err(|error| Fault::of_system(&path, "open its folder", &error))?;
        Ok(Self { folder, file: file.to_owned(), is_private: false, allow_network })
    }

    /// One spelling for one file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.file)
    }

    /// Opens the lock's file, and makes it when it is not there; a file that was made is made ready by `prepare`,
    /// or is not left behind.
    pub fn open(&self, prepare: impl FnOnce(&mut LockFile) -> Result<(), Fault>) -> Result<LockFile, Fault> {
        let folder = self.open_folder()?;
        self.check_file_system(&folder)?;
        for _ in 0..ATTEMPTS {
            if let Some(mut file) = self.open_entry(&folder)? {
                return prepare(&mut file).map(|()| file);
            }
            match folder.make_file(&self.file) {
                Ok(mut file) => {
                    return match prepare(&mut file) {
                        Ok(()) => Ok(file),
                        Err(fault) => {
                            self.remove_empty(&folder, &file);
                            Err(fault)
                        }
                    };
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Fault::of_system(&self.path(), "make the lock file", &error)),
            }
        }
        Err(self.removed_again())
    }

    /// Opening it anew comes to no end.
    pub fn removed_again(&self) -> Fault {
        let why = "somebody keeps on removing the lock file; nobody may, while it is used";
        Fault::new(UNSAFE, &self.path(), why)
    }

    /// What was made and has no content yet is nobody's.
    fn remove_empty(&self, folder: &Directory, file: &LockFile) {
        let is_empty = file.facts().is_ok_and(|facts| facts.size == 0);
        if is_empty && file.is_at(&self.path()).unwrap_or(false) {
            // It may be gone already, and it does no harm if it stays: the next one takes it as it is.
            let _ = folder.remove(&self.file);
        }
    }

    /// Opens the lock's file as it is; `None` when there is none.
    pub fn open_existing(&self) -> Result<Option<LockFile>, Fault> {
        self.open_entry(&self.open_folder()?)
    }

    fn open_folder(&self) -> Result<Directory, Fault> {
        if self.is_private {
            // It goes when the user logs out, and comes back with the next lock.
            private()?;
        }
        let opened = Directory::open(&self.folder);
        opened.map_err(|error| Fault::of_system(&self.path(), "open its folder", &error))
    }

    /// Looks before it opens: a FIFO or a device would notice. Then looks at what it has opened.
    fn open_entry(&self, folder: &Directory) -> Result<Option<LockFile>, Fault> {
        let path = self.path();
        let fault = |what: &str, error: &std::io::Error| Fault::of_system(&path, what, error);
        match folder.look_at(&self.file) {
            Ok(facts) => check_entry(&path, &facts)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault("look at the lock file", &error)),
        }
        let file = match folder.open_file(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault("open the lock file", &error)),
        };
        let facts = file.facts().map_err(|error| fault("look at the lock file", &error))?;
        if facts.links == 0 {
            return Ok(None);
        }
        check_entry(&path, &facts)?;
        Ok(Some(file))
    }

    fn check_file_system(&self, folder: &Directory) -> Result<(), Fault> {
        if self.is_private || self.allow_network {
            return Ok(());
        }
        let kind = folder.network_kind();
        match kind.map_err(|error| Fault::of_system(&self.path(), "look at its file system", &error))? {
            None => Ok(()),
            Some(kind) => Err(Fault::new(
                NETWORK,
                &self.path(),
                format!(
                    "it lies on {kind}, where a lock may hold on one machine only or not at all; choose a path on a \
                     local disk, or say allowNetworkFs: true if you know that locks hold there"
                ),
            )),
        }
    }
}

/// A file of this user's own, and no other's by another name.
fn check_entry(path: &Path, facts: &Facts) -> Result<(), Fault> {
    let what = match facts.kind {
        FileKind::File if facts.user != user_id() => "it belongs to another user",
        FileKind::File if facts.links > 1 => "it is a hard link: the file has another name, too",
        FileKind::File if facts.mode & 0o002 != 0 => "every user may write to it (chmod o-w)",
        FileKind::File if facts.size != 0 && facts.size != PAGE_BYTES as u64 => return Err(foreign(path)),
        FileKind::File => return Ok(()),
        FileKind::Directory => "it is a folder",
        FileKind::Link => "it is a symbolic link",
        FileKind::Fifo => "it is a FIFO",
        FileKind::Device => "it is a device",
        FileKind::Socket => "it is a socket",
    };
    Err(Fault::new(
        UNSAFE,
        path,
        format!("{what}; a lock needs a file of its own that nobody else can change"),
    ))
}

pub fn foreign(path: &Path) -> Fault {
    let why = "the file holds something else than a lock of chainlock, and was left alone; choose a path of its own, \
               for example the same with .lock behind it";
    Fault::new(FOREIGN, path, why)
}

/// The user's private folder, made if need be.
fn private() -> Result<PathBuf, Fault> {
    let folder = private_folder::path();
    private_folder::ready(&folder).map_err(|refused| match refused {
        Refused::System(what, error) => Fault::of_system(&folder, what, &error),
        Refused::Unsafe(what) => {
            Fault::new(UNSAFE, &folder, format!("the private folder of chainlock cannot be used: {what}"))
        }
    })
}

/// A file name for any name: what file systems, shells or people could misread is written as `%XX`.
fn file_name(name: &str) -> String {
    let mut stem = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => stem.push(char::from(byte)),
            b'.' if !stem.is_empty() => stem.push('.'),
            _ => stem.push_str(&format!("%{byte:02X}")),
        }
    }
    if stem.len() > MAX_STEM_BYTES {
        let hash = fnv(name.as_bytes());
        stem.truncate(MAX_STEM_BYTES);
        stem.push_str(&format!("~{hash:032x}"));
    }
    stem.push_str(".lock");
    stem
}

/// The name of the lock whose file is called so, and whether the end of it is missing.
pub fn name_of(file: &str) -> Option<(String, bool)> {
    let stem = file.strip_suffix(".lock")?;
    let (stem, is_cut) = match stem.split_once('~') {
        Some((stem, _)) => (stem, true),
        None => (stem, false),
    };
    let mut bytes = Vec::with_capacity(stem.len());
    let mut rest = stem.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (hex, next) =
            if *first == b'%' { after.split_at_checked(2).unwrap_or((after, &[])) } else { (&[][..], after) };
        let escaped = std::str::from_utf8(hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (*first, escaped) {
            (b'%', Some(byte)) if hex.len() == 2 => bytes.push(byte),
            // An escape that was cut in the middle.
            (b'%', _) if is_cut => break,
            (b'%', _) => return None,
            (plain, _) => bytes.push(plain),
        }
        rest = next;
    }
    Some((String::from_utf8_lossy(&bytes).into_owned(), is_cut))
}

/// FNV-1a, 128 bits (Fowler, Noll, Vo): the same on every machine and in every version.
fn fnv(bytes: &[u8]) -> u128 {
    const PRIME: u128 = (1 << 88) + 0x13b;
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_file_of_its_own() {
        assert_eq!(file_name("deploy"), "deploy.lock");
        assert_eq!(file_name(".."), "%2E..lock");
        assert_eq!(file_name("a b/c\n"), "a%20b%2Fc%0A.lock");
        let (one, other) =
            (file_name(&format!("{}1", "ü".repeat(127))), file_name(&format!("{}2", "ü".repeat(127))));
        assert!(one != other && one.len() <= 255 && one.starts_with("%C3%BC"));
        for name in ["deploy", "..", "a b/c\n", "ü%~", "x.lock"] {
            assert_eq!(name_of(&file_name(name)), Some((name.into(), false)));
        }
        let (told, is_cut) = name_of(&one).unwrap_or_default();
        assert!(is_cut && told.starts_with("üüü") && told.len() > 60);
        assert_eq!((name_of("x"), name_of("%G0.lock"), name_of("%2.lock")), (None, None, None));
        assert_eq!(fnv(b"a"), 0xd228cb696f1a8caf78912b704e4a8964);
    }
}
