//! What the recorder is told of the named locks. A host lock stands behind a named one of its path, which is its
//! line in the process: of that, the waiting is told as the host lock's; the rest the host lock tells itself.

use crate::local::book::Book;
use crate::local::claim::{Claim, Part};
use crate::local::resource::{Kind, Resource};
use crate::local::statistics::{Mode, Operation, Record};
use crate::recorder::event::{self, Event, Of, What, plain};
use crate::recorder::texts::Text;
use crate::recorder::{self, is_on};
use crate::sync::Arc;
use crate::time::Nanos;

/// How the names of the lines of host locks begin; nobody else may use such a name.
const HOST: &str = "-host:";
/// Why a hold or a waiter of a thread that ended is gone.
const THREAD_EXIT: &str = "thread_exit";

impl Resource {
    /// Counts and remembers an operation, and tells the recorder.
    #[inline]
    pub fn note(&mut self, record: Record, label: Option<&Arc<str>>) {
        self.note_why(record, label, None);
    }

    /// The same for what somebody had a reason for.
    #[inline]
    pub fn note_why(&mut self, record: Record, label: Option<&Arc<str>>, why: Option<&str>) {
        self.statistics.note(record);
        if is_on() {
            self.tell(&record, label.map(|label| &**label), why);
        }
    }

    // Not cold: while somebody records, this is part of every pair.
    #[inline(never)]
    pub fn tell(&self, record: &Record, label: Option<&str>, given: Option<&str>) {
        let has_token = record.token != 0;
        let (what, why) = match record.what {
            Operation::Acquired => (What::Acquired, None),
            Operation::Released => (What::Released, None),
            Operation::Failed => (What::Failed, None),
            Operation::TimedOut => (What::TimedOut, None),
            Operation::Aborted => (What::Aborted, None),
            Operation::Stolen => (What::Stolen, given),
            Operation::Forced => (What::Forced, given),
            Operation::Died if has_token => (What::Recovered, Some(THREAD_EXIT)),
            Operation::Died => (What::Aborted, Some(THREAD_EXIT)),
            Operation::Deadlocked => (What::Deadlock, None),
            Operation::Downgraded => (What::Downgraded, None),
            Operation::Upgraded => (What::Upgraded, None),
        };
        let Record { at, mode, thread_id, token, span, .. } = *record;
        let event = Event { token, span: Some(span), other: plain(why), ..self.event(what, at) };
        self.put(Event {
            mode: Some(mode_of(mode)),
            thread_id: Some(thread_id),
            label: plain(label),
            ..event
        });
    }

    #[inline(always)]
    fn event(&self, what: What, at: Nanos) -> Event<'_> {
        let name = self.name.as_deref().map_or(Text::None, Text::Wide);
        let of = if self.kind == Kind::Semaphore { Of::Semaphore } else { Of::Lock };
        Event::new(of, what, at, (name, Some(&self.recorded)))
    }

    #[inline(always)]
    fn put<'a>(&'a self, mut event: Event<'a>) {
        let path = self.name.as_deref().and_then(host_path);
        if let Some(path) = path {
            if !matches!(event.what, What::Waiting | What::TimedOut | What::Aborted | What::Deadlock) {
                return;
            }
            event.of = Of::Host;
            event.lock = (Text::Wide(path), Some(&self.recorded));
        }
        recorder::note(|| event);
    }
}

/// The path behind the name of a host lock's line.
fn host_path(name: &[u16]) -> Option<&[u16]> {
    let is_host = name.len() > HOST.len() && HOST.encode_utf16().zip(name).all(|(one, other)| one == *other);
    is_host.then(|| &name[HOST.len()..])
}

fn mode_of(mode: Mode) -> event::Mode {
    match mode {
        Mode::Exclusive => event::Mode::Exclusive,
        Mode::Shared => event::Mode::Shared,
    }
}

impl Book {
    /// Tells of a request that is no hold: it waits, or was refused. Besides it is told who holds.
    #[cold]
    pub fn tell_request(&self, what: What, claim: &Claim, now: Nanos) {
        let label = claim.label().map(|label| &**label);
        for part in claim.parts.as_slice() {
            // It holds some of the units, and waits for all.
            let weight = if claim.upgrades().is_some() { 0 } else { part.weight };
            self.tell_part(what, Part { weight, ..*part }, claim.caller.thread_id, label, now);
        }
    }

    #[cold]
    pub fn tell_part(&self, what: What, part: Part, thread_id: u64, label: Option<&str>, now: Nanos) {
        let Some(resource) = self.names.resource(part.resource) else { return };
        let holder = resource.holds.front().and_then(|&slot| self.claims.get(slot));
        let holder = holder.and_then(|holder| holder.label()).map(|label| &**label);
        let mode = Some(mode_of(Mode::of(part.weight)));
        let (thread_id, label, other) = (Some(thread_id), plain(label), plain(holder));
        resource.put(Event { mode, thread_id, label, other, ..resource.event(what, now) });
    }
}
