//! The registries of other processes, as they are mapped read-only. Nothing there is trusted: every number is
//! checked before it is used, and every text is cut and cleaned again.

use crate::registry::current::Current;
use crate::registry::entry::Entry;
use crate::registry::layout::{LAYOUT_VERSION, MAGIC, Registry};
use crate::registry::memory::{FILE, foreign};
use crate::registry::status::Status;
use crate::registry::text::Text;
use crate::sync::{Ordering, fence};
use crate::sys::foreign_memory::ForeignMemory;
use crate::sys::process::{self, Identity, Life};
use crate::time::{Moment, Nanos};
use serde_json::{Value, json};
use std::mem::size_of;

/// Why an unfinished process is shown as failed: the one that registered it has died.
pub const PROCESS_EXIT: &str = "process_exit";
/// A writer that does its worst can spoil so many copies of one entry; then it is left out.
const MOST_LOOKS: usize = 100;

/// Why nothing can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// No such process, or none that shows a registry.
    Nothing,
    Permission,
    /// A registry of another layout.
    Version(u64),
}

/// The registry of another process, for as long as this lives: also after that process has died.
#[derive(Debug)]
pub struct Outside(ForeignMemory);

impl Outside {
    pub fn open(pid: u32) -> Result<Self, Unseen> {
        match ForeignMemory::of(pid, FILE) {
            Ok(Some(memory)) => Ok(Self(memory)),
            Ok(None) => Err(Unseen::Nothing),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(Unseen::Permission),
            Err(_) => Err(Unseen::Nothing),
        }
    }

    /// Every entry, in the order of registration. What a process that has died left unfinished has failed.
    pub fn entries(&self) -> Result<Vec<Entry>, Unseen> {
        let registry = foreign(&self.0).ok_or(Unseen::Nothing)?;
        let mut entries = read(registry)?;
        let identity = Identity {
            pid: registry.header.pid.get() as u32,
            start: registry.header.start.get(),
            ..process::own()
        };
        if process::look(&identity) == Life::Dead {
            entries.iter_mut().for_each(orphan);
        }
        Ok(entries)
    }
}

fn orphan(entry: &mut Entry) {
    if entry.status.is_some_and(|status| !status.is_finished()) {
        entry.status = Some(Status::Failed);
        entry.reason = Text::cut(PROCESS_EXIT);
    }
}

/// What lies in foreign memory.
pub fn read(registry: &Registry) -> Result<Vec<Entry>, Unseen> {
    let header = &registry.header;
    if header.magic.get() != MAGIC {
        return Err(Unseen::Nothing);
    }
    // Pairs with the release fence in `memory::begun`.
    fence(Ordering::Acquire);
    if header.layout_version.get() != LAYOUT_VERSION || header.size.get() != size_of::<Registry>() as u64 {
        return Err(Unseen::Version(header.layout_version.get()));
    }
    let mut found: Vec<Entry> = registry.places().filter_map(|place| read_entry(registry, place)).collect();
    found.sort_by_key(|entry| entry.registered_as);
    Ok(found)
}

fn read_entry(registry: &Registry, place: usize) -> Option<Entry> {
    let mut entry = Entry::default();
    for _ in 0..MOST_LOOKS {
        let current: Current = registry.current(place);
        entry.status = Some(current.status()?);
        let record = registry.records.get(current.record())?;
        record.copy_to(&mut entry);
        if registry.is_still(place, current) {
            return Some(entry);
        }
    }
    None
}

/// The registry of a process, its own or another's, as JSON.
pub fn of(pid: u32) -> Result<Vec<Value>, Unseen> {
    let entries = Outside::open(pid)?.entries()?;
    let moment = Moment::read();
    Ok(entries.iter().map(|entry| to_json(entry, &moment)).collect())
}

/// An entry as `registry.get()` in JavaScript shows it.
pub fn to_json(entry: &Entry, moment: &Moment) -> Value {
    let text = |text: String| (!text.is_empty()).then_some(text);
    let at = |at: Nanos| (at != Nanos::NEVER).then(|| moment.epoch_of(at));
    let id = entry.id.to_text();
    json!({
        "name": text(entry.name.to_text()).unwrap_or_else(|| id.clone()),
        "id": id,
        "command": text(entry.command.to_text()),
        "args": entry.args.to_args(),
        "dir": text(entry.dir.to_text()),
        "kind": text(entry.kind.to_text()),
        "pid": (entry.pid != 0).then_some(entry.pid),
        "status": entry.status.map(Status::word),
        "exitCode": entry.exit_code,
        "signal": text(entry.signal.to_text()),
        "reason": text(entry.reason.to_text()),
        "registeredAt": at(entry.registered_at),
        "startedAt": at(entry.started_at),
        "endedAt": at(entry.ended_at),
        "updatedAt": at(entry.updated_at),
        "threadId": entry.thread_id,
        "revision": entry.revision,
    })
}
