//! Files that are whole at every crash: replaced as a whole, or extended by whole pieces.
//!
//! Replacing: the new content goes into a file beside the target, is synced, takes the target's name, and the
//! directory is synced. At any moment the target's name leads to the old content or to the new.
//! Extending: under the file's lock, with a record beside it that says how long the file was, so that whoever
//! comes next cuts off what a dead process began.
//!
//! Everything beside a target has a name that follows from the target's, so that the next write finds what
//! was left behind without reading the directory. Whether its writer lives is told by the kernel: a writer
//! holds the lock of its file.
//!
//! * [`doors`] what is asked of the system, so that a model of it can take its place
//! * [`place`] from a path to an entry of an open directory
//! * [`temp`] the files beside the target, and what the dead left of them
//! * [`writer`] replacing; [`append`] extending; [`record`] the record's bytes

pub mod append;
pub mod doors;
pub mod place;
pub mod record;
pub mod temp;
pub mod writer;

use crate::sys::replace::{Errno, Kind};

/// What to do when the path is that of a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// What it leads to is the target.
    Follow,
    Refuse,
    /// The link itself is the target.
    Replace,
}

/// Whose the new file is, when the old one was somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The old one's where the system allows that.
    Try,
    /// The old one's, or nothing is written.
    Require,
    /// The writer's.
    Ignore,
}

#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Whether success means that a loss of power cannot undo it.
    pub durable: bool,
    pub links: Links,
    pub owner: Owner,
    /// Exactly these permissions; without it, those of the old file.
    pub mode: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The system refused a step.
    Refused,
    /// The target is no ordinary file.
    NotAFile(Kind),
    /// The path is a link, and links are refused.
    IsLink,
    /// The path is a link to nothing, or to itself over others.
    LinkToNothing,
    LinkLoop,
    /// The old owner cannot be kept, and was required.
    OwnerNotKept,
    /// Somebody else is extending the file: nothing was done.
    Busy,
    /// This system has no locks on files.
    Unsupported,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub what: What,
    /// The step that failed, by the name of its system call.
    pub step: &'static str,
    pub errno: Errno,
    /// Whether the new content is in place all the same, though a loss of power may undo it.
    pub done: bool,
}

impl Trouble {
    fn new(what: What, step: &'static str, errno: Errno) -> Self {
        Self { what, step, errno, done: false }
    }
}

/// For `map_err`: names the step that the system refused.
fn at(step: &'static str) -> impl Fn(Errno) -> Trouble {
    move |errno| Trouble::new(What::Refused, step, errno)
}
