//! From a path to an entry of an open directory, through links as the caller wants it.

use super::doors::Doors;
use super::{Links, Trouble, What, at};
use crate::sys::replace::{Errno, Facts, Kind};
use std::ffi::OsString;
use std::path::{Path, is_separator};

/// As many as the system itself follows.
const MOST_LINKS: usize = 40;

/// Where the target is.
#[derive(Debug)]
pub struct Place<D: Doors> {
    pub dir: D::Dir,
    pub name: OsString,
    /// The ordinary file that is there.
    pub present: Option<Facts>,
}

pub fn find<D: Doors>(doors: &D, path: &Path, links: Links) -> Result<Place<D>, Trouble> {
    let mut path = path.to_owned();
    for followed in 0..=MOST_LINKS {
        let (parent, name) = split(&path)?;
        let dir = match doors.open_dir(parent) {
            Err(Errno("ENOENT")) if followed > 0 => return Err(nothing("open")),
            answer => answer.map_err(at("open"))?,
        };
        let present = match doors.look(&dir, &name) {
            Err(Errno("ENOENT")) if followed > 0 => return Err(nothing("stat")),
            Err(Errno("ENOENT")) => None,
            answer => Some(answer.map_err(at("stat"))?),
        };
        match present.map(|facts| facts.kind) {
            None | Some(Kind::File) => return Ok(Place { dir, name, present }),
            Some(Kind::Link) => {}
            Some(kind) => return Err(not_a_file(kind)),
        }
        match links {
            Links::Follow => {
                let target = doors.read_link(&dir, &name).map_err(at("readlink"))?;
                path = parent.join(target);
            }
            Links::Refuse => return Err(Trouble::new(What::IsLink, "stat", Errno("ELOOP"))),
            Links::Replace => return Ok(Place { dir, name, present: None }),
        }
    }
    Err(Trouble::new(What::LinkLoop, "readlink", Errno("ELOOP")))
}

/// The directory and the name in it. What can only be a directory is one.
fn split(path: &Path) -> Result<(&Path, OsString), Trouble> {
    let parent =
        path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    match (path.file_name(), parent) {
        (Some(name), Some(parent)) if !says_directory(path) => Ok((parent, name.to_owned())),
        _ => Err(not_a_file(Kind::Directory)),
    }
}

/// Whether a path ends with a separator, or with one and a dot, which `Path` would overlook.
fn says_directory(path: &Path) -> bool {
    let is_separator = |byte: &u8| is_separator(char::from(*byte));
    match path.as_os_str().as_encoded_bytes() {
        [.., before, b'.'] => is_separator(before),
        [.., last] => is_separator(last),
        [] => false,
    }
}

fn not_a_file(kind: Kind) -> Trouble {
    let errno = if kind == Kind::Directory { "EISDIR" } else { "EINVAL" };
    Trouble::new(What::NotAFile(kind), "stat", Errno(errno))
}

fn nothing(step: &'static str) -> Trouble {
    Trouble::new(What::LinkToNothing, step, Errno("ENOENT"))
}
