//! What this process shows of itself in a lock file, and what it finds there of those who are gone.

use crate::host::page::{Holder, NOBODY, Record, Told};
use crate::name::ShortText;
use crate::sync::Ordering;
use crate::sys::process::{self, Identity};
use once_cell::sync::Lazy;

pub fn own() -> Identity {
    process::own()
}

/// What people know this process by.
pub fn command() -> ShortText {
    static COMMAND: Lazy<ShortText> =
        Lazy::new(|| ShortText::cut(&process::command_of(own().pid).unwrap_or_default()));
    *COMMAND
}

/// The exclusive holder that did not live to give the lock back, or not even to write down who it is. Who asks has
/// the kernel's lock, so nobody else can hold it exclusively, or write.
#[inline]
pub fn died_before(record: &Record) -> Option<Box<Holder>> {
    // Relaxed: whoever wrote it is gone.
    let is_free = record.state.load(Ordering::Relaxed) == NOBODY;
    if is_free { None } else { Some(Box::new(record.copy())) }
}

/// Shows the process among the shared holders, if there is room.
pub fn show_reader(readers: &[Record], told: &Told) -> Option<usize> {
    let own = own();
    let free = |record: &Record| record.claim(&own, told);
    readers.iter().position(free).or_else(|| {
        // Those who died do not clear up after themselves.
        for record in readers {
            let dead =
                record.read().is_some_and(|(_, holder)| process::look(&holder.who) == process::Life::Dead);
            if dead {
                record.clear();
            }
        }
        readers.iter().position(free)
    })
}
