//! The file beside the target in which new content grows.
//!
//! Its name is the first free one of those that belong to the target, which are counted. The writer makes it,
//! takes its lock and looks that it is still there: from then on nobody removes it while the writer lives. A
//! file that can be locked is a dead writer's, and is removed. Where files cannot be locked, each writer has a
//! name of its own, and nobody removes what is not his.

use super::doors::Doors;
use super::{Trouble, at};
use crate::sync::{Ordering, StaticU64};
use crate::sys::replace::{Errno, Facts, Kind};
use std::ffi::{OsStr, OsString};

/// What is left behind is looked for until so many names in a row are free: there is hardly ever a second
/// writer of one file at a time, and each look is a system call of every write.
const NEAR: usize = 3;
/// More writers of one file at a time have a name of their own.
const MOST: usize = 1_000;
/// The longest part of the target's name in the name of a file beside it, in bytes.
const LONGEST_STEM: usize = 100;
/// How often a name is tried that somebody is clearing.
const TRIES: usize = 3;

static UNIQUE: StaticU64 = StaticU64::new(0);

/// A new, empty file that is ours.
#[derive(Debug)]
pub struct Temp<D: Doors> {
    pub file: D::File,
    pub name: OsString,
    pub facts: Facts,
}

/// What has come of an attempt to make a file of one name.
enum Made<D: Doors> {
    Ours(Temp<D>),
    Taken,
    /// Files cannot be locked here.
    NoLocks,
}

/// What has become of a name.
#[derive(Clone, Copy, PartialEq)]
enum Name {
    /// There was nothing.
    Free,
    /// What was there was a dead writer's.
    Cleared,
    Taken,
}

/// A new file for the target of that name; clears away what dead writers of this target left.
pub fn claim<D: Doors>(doors: &D, dir: &D::Dir, target: &OsStr, mode: u32) -> Result<Temp<D>, Trouble> {
    let (mut own, mut free) = (None, 0);
    for slot in 0..MOST {
        let name = beside(target, &format!("{slot}.chainlock-tmp"));
        if own.is_some() {
            free = if clear(doors, dir, &name) == Name::Free { free + 1 } else { 0 };
            if free == NEAR {
                break;
            }
            continue;
        }
        match make(doors, dir, &name, mode)? {
            Made::Ours(temp) => own = Some(temp),
            Made::Taken => {}
            Made::NoLocks => break,
        }
    }
    own.map_or_else(|| make_unlocked(doors, dir, target, mode), Ok)
}

fn make<D: Doors>(doors: &D, dir: &D::Dir, name: &OsStr, mode: u32) -> Result<Made<D>, Trouble> {
    for _ in 0..TRIES {
        let file = match doors.create(dir, name, mode) {
            Err(Errno("EEXIST")) if clear(doors, dir, name) != Name::Taken => continue,
            Err(Errno("EEXIST")) => return Ok(Made::Taken),
            answer => answer.map_err(at("open"))?,
        };
        match doors.try_lock(&file) {
            Ok(true) => {}
            // Somebody took it for a dead writer's, and removes it.
            Ok(false) => continue,
            Err(Errno("ENOSYS" | "ENOLCK" | "EOPNOTSUPP" | "ENOTSUP" | "EINVAL")) => {
                let _ = doors.unlink(dir, name);
                return Ok(Made::NoLocks);
            }
            Err(errno) => {
                let _ = doors.unlink(dir, name);
                return Err(at("flock")(errno));
            }
        }
        match doors.facts(&file) {
            Ok(facts) if facts.links == 0 => {}
            Ok(facts) => return Ok(Made::Ours(Temp { file, name: name.to_owned(), facts })),
            Err(errno) => {
                let _ = doors.unlink(dir, name);
                return Err(at("fstat")(errno));
            }
        }
    }
    Ok(Made::Taken)
}

fn make_unlocked<D: Doors>(doors: &D, dir: &D::Dir, target: &OsStr, mode: u32) -> Result<Temp<D>, Trouble> {
    loop {
        let turn = UNIQUE.fetch_add(1, Ordering::Relaxed);
        let name = beside(target, &format!("{}-{turn}.chainlock-tmp", std::process::id()));
        let file = match doors.create(dir, &name, mode) {
            Err(Errno("EEXIST")) => continue,
            answer => answer.map_err(at("open"))?,
        };
        return match doors.facts(&file) {
            Ok(facts) => Ok(Temp { file, name, facts }),
            Err(errno) => {
                let _ = doors.unlink(dir, &name);
                Err(at("fstat")(errno))
            }
        };
    }
}

/// Removes the file when it is a dead writer's.
fn clear<D: Doors>(doors: &D, dir: &D::Dir, name: &OsStr) -> Name {
    match doors.look(dir, name) {
        Err(Errno("ENOENT")) => return Name::Free,
        Ok(facts) if facts.kind == Kind::File => {}
        _ => return Name::Taken,
    }
    let Ok(file) = doors.open_any(dir, name) else { return Name::Taken };
    if doors.try_lock(&file) != Ok(true) {
        return Name::Taken;
    }
    // Only now, as another may have cleared the name and a third taken it since it was opened.
    let is_this = match (doors.facts(&file), doors.look(dir, name)) {
        (Ok(opened), Ok(named)) => opened.inode == named.inode,
        _ => false,
    };
    let is_cleared = is_this && doors.unlink(dir, name).is_ok();
    doors.unlock(&file);
    if is_cleared { Name::Cleared } else { Name::Taken }
}

/// The name of a file beside the target: `.settings.json.0.chainlock-tmp`. A long name is told by its
/// beginning and a hash, so that a file beside a target with the longest name is possible.
pub fn beside(target: &OsStr, end: &str) -> OsString {
    let whole = target.to_string_lossy();
    let bytes = target.as_encoded_bytes();
    let stem = if bytes.len() <= LONGEST_STEM && matches!(whole, std::borrow::Cow::Borrowed(_)) {
        whole.into_owned()
    } else {
        let cut = (0..=LONGEST_STEM / 2).rfind(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        format!("{}~{:016x}", &whole[..cut], hash(HASH_START, bytes))
    };
    OsString::from(format!(".{stem}.{end}"))
}

pub const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits; goes on from what came before.
pub fn hash(before: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(before, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
