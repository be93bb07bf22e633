//! One state of a process by itself, in buffers of fixed size; how it is copied from a record and into one, and
//! what a change makes of a record.

use crate::registry::layout::{ARGS, COMMAND, DIR, ID, KIND, NAME, REASON, Record, SIGNAL};
use crate::registry::status::Status;
use crate::registry::text::Text;
use crate::time::Nanos;

const CODE_ORIGIN: i64 = 1 << 32;

/// A state, whole. Reading one allocates nothing; whoever reads many keeps one of these. A new process is
/// described by one, too.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// `None` before the first reading.
    pub status: Option<Status>,
    /// What it was before the change that made this state; `None` where this is read, or new.
    pub before: Option<Status>,
    pub registered_as: u64,
    pub changed_as: u64,
    pub revision: u64,
    pub owner: u64,
    pub thread_id: u64,
    pub pid: u64,
    pub exit_code: Option<i64>,
    pub registered_at: Nanos,
    pub started_at: Nanos,
    pub ended_at: Nanos,
    pub updated_at: Nanos,
    pub id: Text<ID>,
    pub name: Text<NAME>,
    pub kind: Text<KIND>,
    pub signal: Text<SIGNAL>,
    pub reason: Text<REASON>,
    pub command: Text<COMMAND>,
    pub dir: Text<DIR>,
    pub args: Text<ARGS>,
}

/// What somebody wants changed; the rest stays.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    pub status: Option<Status>,
    pub pid: Option<u64>,
    pub exit_code: Option<i64>,
    pub name: Option<Text<NAME>>,
    pub kind: Option<Text<KIND>>,
    pub signal: Option<Text<SIGNAL>>,
    pub reason: Option<Text<REASON>>,
    pub command: Option<Text<COMMAND>>,
    pub dir: Option<Text<DIR>>,
    pub args: Option<Text<ARGS>>,
}

impl Patch {
    pub fn to(status: Status) -> Self {
        Self { status: Some(status), ..Self::default() }
    }
}

fn code_word(code: Option<i64>) -> u64 {
    code.map_or(0, |code| code.wrapping_add(CODE_ORIGIN) as u64)
}

impl Record {
    /// Copies all but the status, which is in the entry's word. What comes out may be of several states: the
    /// caller looks at the word again.
    #[inline]
    pub fn copy_to(&self, entry: &mut Entry) {
        entry.registered_as = self.registered_as.get();
        entry.changed_as = self.changed_as.get();
        entry.revision = self.revision.get();
        entry.owner = self.owner.get();
        entry.thread_id = self.thread_id.get();
        entry.pid = self.pid.get();
        entry.exit_code = match self.exit_code.get() {
            0 => None,
            word => Some((word as i64).wrapping_sub(CODE_ORIGIN)),
        };
        entry.registered_at = Nanos(self.registered_at.get());
        entry.started_at = Nanos(self.started_at.get());
        entry.ended_at = Nanos(self.ended_at.get());
        entry.updated_at = Nanos(self.updated_at.get());
        self.id.get(&mut entry.id);
        self.name.get(&mut entry.name);
        self.kind.get(&mut entry.kind);
        self.signal.get(&mut entry.signal);
        self.reason.get(&mut entry.reason);
        self.command.get(&mut entry.command);
        self.dir.get(&mut entry.dir);
        self.args.get(&mut entry.args);
    }

    /// Writes the first state of a process into a record that nobody else has.
    pub fn begin(&self, entry: &Entry, change: u64, now: Nanos) {
        self.registered_as.set(change);
        self.changed_as.set(change);
        self.revision.set(1);
        self.owner.set(entry.owner);
        self.thread_id.set(entry.thread_id);
        self.pid.set(entry.pid);
        self.exit_code.set(0);
        self.registered_at.set(now.0);
        self.started_at.set(0);
        self.ended_at.set(0);
        self.updated_at.set(now.0);
        self.id.set(&entry.id);
        self.name.set(&entry.name);
        self.kind.set(&entry.kind);
        self.signal.set(&Text::default());
        self.reason.set(&Text::default());
        self.command.set(&entry.command);
        self.dir.set(&entry.dir);
        self.args.set(&entry.args);
    }

    /// Writes what a change makes of a state into a record that nobody else has.
    pub fn follow(&self, old: &Record, patch: &Patch, status: Status, change: u64, now: Nanos) {
        // Whoever asked earlier may come later.
        let now = now.0.max(old.updated_at.get());
        let started = old.started_at.get();
        self.registered_as.set(old.registered_as.get());
        self.changed_as.set(change);
        self.revision.set(old.revision.get() + 1);
        self.owner.set(old.owner.get());
        self.thread_id.set(old.thread_id.get());
        self.pid.set(patch.pid.unwrap_or(old.pid.get()));
        self.exit_code.set(code_word(patch.exit_code));
        self.registered_at.set(old.registered_at.get());
        self.started_at.set(if started == 0 && status == Status::Running { now } else { started });
        self.ended_at.set(if status.is_finished() { now } else { 0 });
        self.updated_at.set(now);
        self.id.copy_from(&old.id);
        match &patch.name {
            Some(name) => self.name.set(name),
            None => self.name.copy_from(&old.name),
        }
        match &patch.kind {
            Some(kind) => self.kind.set(kind),
            None => self.kind.copy_from(&old.kind),
        }
        match &patch.signal {
            Some(signal) => self.signal.set(signal),
            None => self.signal.copy_from(&old.signal),
        }
        match &patch.reason {
            Some(reason) => self.reason.set(reason),
            None => self.reason.copy_from(&old.reason),
        }
        match &patch.command {
            Some(command) => self.command.set(command),
            None => self.command.copy_from(&old.command),
        }
        match &patch.dir {
            Some(dir) => self.dir.set(dir),
            None => self.dir.copy_from(&old.dir),
        }
        match &patch.args {
            Some(args) => self.args.set(args),
            None => self.args.copy_from(&old.args),
        }
    }
}
