//! Where the file lies, and what it must be before anything in it is looked at.

use super::fault::Fault;
use super::store::Store;
use crate::private_folder;
use crate::sys::host_file::Directory;
use crate::sys::process::user_id;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The longest name of a lock, in bytes: a file's name has room for what is put around it.
pub const LONGEST_NAME: usize = 200;

/// An opened place: the private directory, the file in it, and its path for people.
#[derive(Debug)]
pub struct Place {
    pub directory: Directory,
    pub store: Store,
    pub path: PathBuf,
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.contains(['/', '\0'])
        && !matches!(name, "." | "..")
}

/// The path that a lock of that name has, for messages.
pub fn path_of(name: &str) -> PathBuf {
    private_folder::path().join(format!("send-{name}.state"))
}

pub fn pipe_name(name: &str, slot: u32) -> OsString {
    format!("send-{name}.wake-{slot}").into()
}

/// Opens the lock of that name.
pub fn open(name: &str) -> Result<Place, Fault> {
    open_in(&private_folder::path(), name)
}

pub(super) fn open_in(private: &Path, name: &str) -> Result<Place, Fault> {
    if !is_name(name) {
        return Err(Fault::unsafe_place("the name must have 1 to 200 bytes, without '/' and NUL"));
    }
    private_folder::ready(private)?;
    let directory = Directory::open(private)?;
    let path = private.join(format!("send-{name}.state"));
    let file = directory.open_file(&OsString::from(format!("send-{name}.state")))?;
    let facts = file.facts()?;
    let wrong = [
        (!facts.is_regular, "it is not a regular file; remove it"),
        (facts.user != user_id(), "it belongs to another user; remove it"),
        (facts.links != 1, "it has more than one name (a hard link), or none any more; remove it"),
        (facts.mode & 0o077 != 0, "it is open to other users; chmod 600 it"),
    ];
    match wrong.into_iter().find(|(is_so, _)| *is_so) {
        Some((_, what)) => Err(Fault::unsafe_place(what)),
        None => Ok(Place { directory, store: Store { file }, path }),
    }
}
