//! Extending a file by a whole piece.
//!
//! Under the file's lock: a record beside the file says how long it was, is synced, then the bytes are
//! written in place and synced, then the record goes. Who comes upon a record with the lock in his hand knows
//! that its writer is dead: if the piece is whole, it stays; else it is cut off.

use super::doors::Doors;
use super::place::{Place, find};
use super::record::{BEFORE, Record, SIZE};
use super::temp::{HASH_START, beside, hash};
use super::writer::write_all;
use super::{How, Links, Trouble, What, at};
use crate::sys::replace::{Errno, Kind};
use std::ffi::{OsStr, OsString};
use std::path::Path;

const USUAL: u32 = 0o666;
const PRIVATE: u32 = 0o600;
const PIECE: usize = 64 * 1_024;

fn record_name(target: &OsStr) -> OsString {
    beside(target, "chainlock-append")
}

/// Adds the bytes at the end of a file, or makes it. `Busy` when somebody else does so at the moment: then
/// nothing was done.
pub fn append<D: Doors>(doors: &D, path: &Path, bytes: &[u8], how: How) -> Result<(), Trouble> {
    let place = find(doors, path, how.links)?;
    let file = open_target(doors, &place, how.mode)?;
    lock(doors, &place, &file)?;
    let done = extend(doors, &place, &file, bytes, how.durable);
    doors.unlock(&file);
    done
}

/// Undoes what a dead process has left of an extension of this file; nothing to do if there is none, or if
/// a living one is at it.
pub fn settle<D: Doors>(doors: &D, path: &Path, links: Links) -> Result<(), Trouble> {
    let place = find(doors, path, links)?;
    settle_at(doors, &place.dir, &place.name);
    Ok(())
}

pub(super) fn settle_at<D: Doors>(doors: &D, dir: &D::Dir, name: &OsStr) {
    let record = record_name(name);
    if doors.look(dir, &record).is_err() {
        return;
    }
    match doors.open(dir, name) {
        Ok(file) => {
            if doors.try_lock(&file) == Ok(true) {
                // What cannot be settled now is left to the next one.
                let _ = settle_locked(doors, dir, &record, &file);
                doors.unlock(&file);
            }
        }
        Err(Errno("ENOENT")) => {
            let _ = doors.unlink(dir, &record);
        }
        Err(_) => {}
    }
}

fn open_target<D: Doors>(doors: &D, place: &Place<D>, mode: Option<u32>) -> Result<D::File, Trouble> {
    let (dir, name) = (&place.dir, &place.name);
    let mut is_new = false;
    if place.present.is_none() {
        match doors.create(dir, name, mode.map_or(USUAL, |_| PRIVATE)) {
            Ok(_) => is_new = true,
            // Somebody was quicker.
            Err(Errno("EEXIST")) => {}
            Err(errno) => return Err(at("open")(errno)),
        }
    }
    let file = doors.open(dir, name).map_err(at("open"))?;
    let facts = doors.facts(&file).map_err(at("fstat"))?;
    if facts.kind != Kind::File {
        return Err(Trouble::new(What::NotAFile(facts.kind), "fstat", Errno("EINVAL")));
    }
    if let Some(mode) = mode.filter(|_| is_new) {
        doors.set_mode(&file, mode).map_err(at("fchmod"))?;
    }
    Ok(file)
}

/// Takes the lock of the file that has the name now.
fn lock<D: Doors>(doors: &D, place: &Place<D>, file: &D::File) -> Result<(), Trouble> {
    match doors.try_lock(file) {
        Ok(true) => {}
        Ok(false) => return Err(busy()),
        Err(errno @ Errno("ENOSYS" | "ENOLCK" | "EOPNOTSUPP" | "ENOTSUP" | "EINVAL")) => {
            return Err(Trouble::new(What::Unsupported, "flock", errno));
        }
        Err(errno) => return Err(at("flock")(errno)),
    }
    let opened = doors.facts(file).map_err(at("fstat"))?;
    match doors.look(&place.dir, &place.name) {
        Ok(named) if named.inode == opened.inode => Ok(()),
        // Replaced or removed since it was opened: the next try finds what is there now.
        Ok(_) | Err(Errno("ENOENT")) => {
            doors.unlock(file);
            Err(busy())
        }
        Err(errno) => Err(at("stat")(errno)),
    }
}

fn busy() -> Trouble {
    Trouble::new(What::Busy, "flock", Errno("EAGAIN"))
}

fn extend<D: Doors>(
    doors: &D,
    place: &Place<D>,
    file: &D::File,
    bytes: &[u8],
    durable: bool,
) -> Result<(), Trouble> {
    let (dir, name) = (&place.dir, record_name(&place.name));
    settle_locked(doors, dir, &name, file)?;
    let facts = doors.facts(file).map_err(at("fstat"))?;
    let (inode, old_size) = (facts.inode, facts.size);
    if !bytes.is_empty() {
        let new_size = old_size.saturating_add(bytes.len() as u64);
        let before = hash_before(doors, file, old_size)?;
        let record = Record { inode, old_size, new_size, before, added: hash(HASH_START, bytes) };
        let put = put_record(doors, dir, &name, &record, durable);
        put.and_then(|()| write_piece(doors, file, bytes, durable)).inspect_err(|_| {
            // Cut off at once; where that fails, too, the record stays for the next one.
            if doors.truncate(file, old_size).is_ok() && (!durable || doors.sync(file).is_ok()) {
                let _ = doors.unlink(dir, &name);
            }
        })?;
        // The piece is whole and stays; a record that cannot be removed says just that.
        let _ = doors.unlink(dir, &name);
    } else if durable {
        doors.sync(file).map_err(at("fsync"))?;
        doors.sync_dir(dir).map_err(at("fsync"))?;
    }
    Ok(())
}

fn put_record<D: Doors>(
    doors: &D,
    dir: &D::Dir,
    name: &OsStr,
    record: &Record,
    durable: bool,
) -> Result<(), Trouble> {
    let file = doors.create(dir, name, PRIVATE).map_err(at("open"))?;
    write_all(doors, &file, &record.to_bytes())?;
    if durable {
        doors.sync(&file).map_err(at("fsync"))?;
        // The record's name, and that of the file if it is new.
        doors.sync_dir(dir).map_err(at("fsync"))?;
    }
    Ok(())
}

fn write_piece<D: Doors>(doors: &D, file: &D::File, bytes: &[u8], durable: bool) -> Result<(), Trouble> {
    write_all(doors, file, bytes)?;
    if durable { doors.sync(file).map_err(at("fsync")) } else { doors.flush(file).map_err(at("close")) }
}

/// With the file's lock in the hand: whoever wrote a record is dead.
fn settle_locked<D: Doors>(doors: &D, dir: &D::Dir, name: &OsStr, file: &D::File) -> Result<(), Trouble> {
    match doors.look(dir, name) {
        Err(Errno("ENOENT")) => return Ok(()),
        answer => answer.map_err(at("stat"))?,
    };
    if let Some(record) = read_record(doors, dir, name)? {
        let size = doors.facts(file).map_err(at("fstat"))?.size;
        if is_torn(doors, file, size, &record)? {
            doors.truncate(file, record.old_size).map_err(at("ftruncate"))?;
            // Else a loss of power could bring the torn piece back, without its record.
            doors.sync(file).map_err(at("fsync"))?;
        }
    }
    doors.unlink(dir, name).map_err(at("unlink"))
}

fn read_record<D: Doors>(doors: &D, dir: &D::Dir, name: &OsStr) -> Result<Option<Record>, Trouble> {
    let file = doors.open(dir, name).map_err(at("open"))?;
    let mut bytes = [0; SIZE];
    let count = doors.read_at(&file, &mut bytes, 0).map_err(at("read"))?;
    Ok(if count == SIZE { Record::from_bytes(&bytes) } else { None })
}

/// Whether the file is still the one of the record, and its end a part of what was to be added.
fn is_torn<D: Doors>(doors: &D, file: &D::File, size: u64, record: &Record) -> Result<bool, Trouble> {
    if size <= record.old_size || size > record.new_size {
        return Ok(false);
    }
    if doors.facts(file).map_err(at("fstat"))?.inode != record.inode
        || hash_before(doors, file, record.old_size)? != record.before
    {
        return Ok(false);
    }
    let is_whole =
        size == record.new_size && hash_between(doors, file, record.old_size, size)? == record.added;
    Ok(!is_whole)
}

fn hash_before<D: Doors>(doors: &D, file: &D::File, size: u64) -> Result<u64, Trouble> {
    hash_between(doors, file, size.saturating_sub(BEFORE), size)
}

fn hash_between<D: Doors>(doors: &D, file: &D::File, from: u64, to: u64) -> Result<u64, Trouble> {
    let (mut place, mut sum) = (from, HASH_START);
    let mut room = vec![0_u8; PIECE.min(usize::try_from(to - from).unwrap_or(PIECE))];
    while place < to {
        let wanted = room.len().min(usize::try_from(to - place).unwrap_or(PIECE));
        let count = doors.read_at(file, &mut room[..wanted], place).map_err(at("read"))?;
        if count == 0 {
            break;
        }
        sum = hash(sum, &room[..count]);
        place += count as u64;
    }
    Ok(sum)
}
