//! The user's private folder, in which the files of locks between processes lie: `$XDG_RUNTIME_DIR/chainlock`,
//! else `chainlock-<uid>` among the temporary files.

use crate::sys::file_lock::Directory;
use crate::sys::process::user_id;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// Why it cannot be used.
#[derive(Debug)]
pub enum Refused {
    /// The system would not do that.
    System(&'static str, Error),
    /// Somebody else could reach into it.
    Unsafe(&'static str),
}

/// Where it is, or would be.
pub fn path() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    match runtime {
        Some(runtime) => runtime.join("chainlock"),
        None => std::env::temp_dir().join(format!("chainlock-{}", user_id())),
    }
}

/// The user's folder for what outlives a session: `$XDG_STATE_HOME/chainlock`, else `.local/state/chainlock` at home;
/// nothing when there is neither.
pub fn lasting_path() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    Some(state.or_else(|| Some(home()?.join(".local").join("state")))?.join("chainlock"))
}

/// The files in the folder, in the order of their names, at most so many; nothing where there is no private folder.
pub fn entries(most: usize) -> Vec<PathBuf> {
    let folder = path();
    let is_private = Directory::open(&folder)
        .and_then(|opened| opened.facts())
        .is_ok_and(|facts| facts.user == user_id() && facts.mode & 0o077 == 0);
    let Ok(listed) = std::fs::read_dir(if is_private { &folder } else { Path::new("") }) else {
        return Vec::new();
    };
    let folder = std::fs::canonicalize(&folder).unwrap_or(folder);
    let mut found: Vec<PathBuf> =
        listed.take(most).filter_map(|entry| Some(folder.join(entry.ok()?.file_name()))).collect();
    found.sort_unstable();
    found
}

/// Makes the folder if need be, and looks whether it is private. Its path in one spelling.
pub fn ready(folder: &Path) -> Result<PathBuf, Refused> {
    match Directory::make(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Refused::System("make the private folder", error)),
    }
    let opened = Directory::open(folder).and_then(|opened| opened.facts());
    let facts = opened.map_err(|error| Refused::System("open the private folder", error))?;
    if facts.user != user_id() {
        return Err(Refused::Unsafe("it belongs to another user; remove it"));
    }
    if facts.mode & 0o077 != 0 {
        return Err(Refused::Unsafe("other users may look into it (chmod 700)"));
    }
    Ok(std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()))
}
