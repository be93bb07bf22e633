//! What the recorder is told of a host lock: what the kernel gave this process, and what became of it. Who waits in
//! the process's own line is told by that line (`local::recording`).

use crate::host::page::Holder;
use crate::host::state::{End, Hold, State};
use crate::host::turns::{Ask, Waiter};
use crate::local::departures::Caller;
use crate::name::ShortText;
use crate::recorder::event::{Event, Mode, Of, What, plain, short};
use crate::recorder::note;
use crate::recorder::texts::{Kept, Text};
use crate::sys::file_lock::KernelMode;
use crate::time::{self, Nanos};
use std::path::Path;

/// A host lock as the recorder knows it: by its path.
#[derive(Debug)]
pub struct Recording {
    path: Box<str>,
    kept: Kept,
}

impl Recording {
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_string_lossy().into(), kept: Kept::default() }
    }

    fn event<'a>(
        &'a self,
        what: What,
        at: Nanos,
        (caller, mode, label): (Caller, KernelMode, &'a ShortText),
    ) -> Event<'a> {
        let mode = match mode {
            KernelMode::Exclusive => Mode::Exclusive,
            KernelMode::Shared => Mode::Shared,
        };
        let lock = (Text::Plain(&self.path), Some(&self.kept));
        let thread_id = Some(caller.thread_id);
        Event { mode: Some(mode), thread_id, label: short(label), ..Event::new(Of::Host, what, at, lock) }
    }
}

impl State {
    #[cold]
    pub(super) fn tell_grant(&self, ask: &Ask, token: u64, died: Option<&Holder>, waited: Nanos, now: Nanos) {
        let who = (ask.caller, ask.mode, &ask.label);
        if let Some(died) = died {
            let (token, label) = (died.token, Some(died.label.as_str()).filter(|label| !label.is_empty()));
            let event = self.recording.event(What::Recovered, now, who);
            let (label, other) = (plain(label), Text::Plain("process_exit"));
            note(|| Event { token, label, other, thread_id: None, mode: None, ..event });
        }
        note(|| Event { token, span: Some(waited), ..self.recording.event(What::Acquired, now, who) });
    }

    /// A hold is over.
    #[cold]
    pub(super) fn tell_end(&self, hold: &Hold, end: &End) {
        let (what, why) = match end {
            End::Released => (What::Released, Text::None),
            End::Abandoned => (What::Recovered, Text::Plain("thread_exit")),
            End::Refused(_) => (What::Released, Text::Plain("not_wanted")),
        };
        let now = time::now();
        let who = (hold.caller, self.mode, &hold.label);
        let (token, span) = (hold.token, Some(now.since(hold.since)));
        note(|| Event { token, span, other: why, ..self.recording.event(what, now, who) });
    }

    /// One that waits for the kernel's lock came, or went unserved.
    #[cold]
    pub(super) fn tell_waiter(&self, what: What, waiter: &Waiter) {
        let now = time::now();
        let span = (what != What::Waiting).then(|| now.since(waiter.since));
        let who = (waiter.caller, waiter.mode, &waiter.label);
        note(|| Event { span, ..self.recording.event(what, now, who) });
    }
}
