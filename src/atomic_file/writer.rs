//! Replacing a file as a whole.

use super::append::settle_at;
use super::doors::Doors;
use super::place::{Place, find};
use super::temp::{Temp, claim};
use super::{How, Owner, Trouble, What, at};
use crate::sys::replace::{Errno, Facts};
use std::path::Path;

/// Nobody else reads content that is not yet what the target will be.
const PRIVATE: u32 = 0o600;
/// For a new file; the system takes the process's umask off.
const USUAL: u32 = 0o666;
const SET_ID: u32 = 0o6000;

/// New content on its way. What is dropped before its end leaves the target as it was, and nothing beside it.
#[derive(Debug)]
pub struct Writer<D: Doors> {
    doors: D,
    place: Place<D>,
    temp: Option<Temp<D>>,
    durable: bool,
    /// The permissions that the new file shall have, where it has others. They come last: whoever clears up after
    /// us has to open it, and writing would take set-id bits off.
    mode: Option<u32>,
}

/// Replaces the content of a file, or makes it.
pub fn write<D: Doors>(doors: D, path: &Path, bytes: &[u8], how: How) -> Result<(), Trouble> {
    let mut writer = Writer::begin(doors, path, how)?;
    writer.feed(bytes)?;
    writer.commit()
}

impl<D: Doors> Writer<D> {
    pub fn begin(doors: D, path: &Path, how: How) -> Result<Self, Trouble> {
        let place = find(&doors, path, how.links)?;
        let is_plain = place.present.is_none() && how.mode.is_none();
        let temp = claim(&doors, &place.dir, &place.name, if is_plain { USUAL } else { PRIVATE })?;
        let mut writer = Self { doors, place, temp: Some(temp), durable: how.durable, mode: None };
        if !is_plain {
            writer.mode = writer.dress(how)?;
        }
        Ok(writer)
    }

    /// Gives the new file the owner that it shall have; answers the permissions, where it has others.
    fn dress(&self, how: How) -> Result<Option<u32>, Trouble> {
        let Some(temp) = &self.temp else { return Ok(None) };
        let kept = match self.place.present {
            Some(old) if how.owner != Owner::Ignore => self.keep_owner(temp, old, how.owner)?,
            Some(old) => safe_mode(old, old.user == temp.facts.user, old.group == temp.facts.group),
            None => PRIVATE,
        };
        let mode = how.mode.unwrap_or(kept);
        Ok(Some(mode).filter(|mode| *mode != temp.facts.mode))
    }

    /// Makes the new file that of the old one's owner and group, as far as the system allows it; answers the
    /// old permissions without those that would now reach others.
    fn keep_owner(&self, temp: &Temp<D>, old: Facts, owner: Owner) -> Result<u32, Trouble> {
        let user = (old.user != temp.facts.user).then_some(old.user);
        let group = (old.group != temp.facts.group).then_some(old.group);
        if user.is_none() && group.is_none() {
            return Ok(old.mode);
        }
        match self.doors.set_owner(&temp.file, user, group) {
            Ok(()) => Ok(old.mode),
            Err(errno) if owner == Owner::Require => Err(Trouble::new(What::OwnerNotKept, "fchown", errno)),
            Err(Errno("EPERM" | "EINVAL" | "ENOTSUP" | "EOPNOTSUPP" | "ENOSYS")) => {
                let has_group = group.is_none()
                    || (user.is_some() && self.doors.set_owner(&temp.file, None, group).is_ok());
                Ok(safe_mode(old, user.is_none(), has_group))
            }
            Err(errno) => Err(at("fchown")(errno)),
        }
    }

    /// Adds to the new content.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        match &self.temp {
            Some(temp) => write_all(&self.doors, &temp.file, bytes),
            None => Err(at("write")(Errno("EBADF"))),
        }
    }

    /// Puts the new content into place.
    pub fn commit(&mut self) -> Result<(), Trouble> {
        let Some(temp) = &self.temp else { return Err(at("rename")(Errno("EBADF"))) };
        if let Some(mode) = self.mode {
            self.doors.set_mode(&temp.file, mode).map_err(at("fchmod"))?;
        }
        if self.durable {
            self.doors.sync(&temp.file).map_err(at("fsync"))?;
        } else {
            self.doors.flush(&temp.file).map_err(at("close"))?;
        }
        settle_at(&self.doors, &self.place.dir, &self.place.name);
        self.doors.rename(&self.place.dir, &temp.name, &self.place.name).map_err(at("rename"))?;
        // Closing gives its lock back.
        drop(self.temp.take());
        if self.durable {
            let synced = self.doors.sync_dir(&self.place.dir).map_err(at("fsync"));
            return synced.map_err(|trouble| Trouble { done: true, ..trouble });
        }
        Ok(())
    }
}

impl<D: Doors> Drop for Writer<D> {
    fn drop(&mut self) {
        if let Some(temp) = self.temp.take() {
            // While it is locked. What cannot be removed now, the next write removes.
            let _ = self.doors.unlink(&self.place.dir, &temp.name);
            self.doors.unlock(&temp.file);
        }
    }
}

/// The old permissions, where not everybody they were for is still who he was.
fn safe_mode(old: Facts, same_user: bool, same_group: bool) -> u32 {
    let mut mode = old.mode;
    if !(same_user && same_group) {
        mode &= !SET_ID;
    }
    if !same_group {
        // What was for a group is for everybody or for nobody of another one.
        mode = (mode & !0o070) | (mode & 0o007) << 3 & mode;
    }
    mode
}

pub fn write_all<D: Doors>(doors: &D, file: &D::File, mut bytes: &[u8]) -> Result<(), Trouble> {
    while !bytes.is_empty() {
        match doors.write(file, bytes).map_err(at("write"))? {
            // A system that takes nothing and says nothing would keep us here.
            0 => return Err(at("write")(Errno("EIO"))),
            count => bytes = bytes.get(count..).unwrap_or_default(),
        }
    }
    Ok(())
}
