//! What the recorder is told of the send lock: what its own ring of events is told, and who waits.

use crate::local::departures::Caller;
use crate::name::ShortText;
use crate::recorder::event::{Event, Of, What, short};
use crate::recorder::note;
use crate::recorder::texts::{Kept, Text};
use crate::send::book::{Book, Waiter};
use crate::send::layers::Layer;
use crate::sync::Arc;
use crate::table::layout::LAYERS;
use crate::table::ring::{Kind, Record};
use crate::time::Nanos;

/// The process's send lock is called so, alone or shared.
pub const SEND: &str = "send";

/// A send lock as the recorder knows it: its name and the names of its layers.
#[derive(Debug, Default)]
pub struct Recording {
    name: Option<Arc<str>>,
    kept: Kept,
    /// By rows of the table but the last, which many share; nothing for a lock without name.
    layers: Box<[Kept]>,
}

impl Recording {
    pub fn named(name: &str) -> Self {
        let layers = (0..LAYERS - 1).map(|_| Kept::default()).collect();
        Self { name: Some(name.into()), kept: Kept::default(), layers }
    }

    fn event(&self, what: What, at: Nanos, thread_id: u64) -> Event<'_> {
        let name = self.name.as_deref().map_or(Text::None, Text::Plain);
        Event { thread_id: Some(thread_id), ..Event::new(Of::Send, what, at, (name, Some(&self.kept))) }
    }

    fn layer<'a>(&'a self, layer: &'a ShortText, row: u64) -> (Text<'a>, Option<&'a Kept>) {
        (short(layer), self.layers.get(row as usize))
    }

    // Not cold: while somebody records, this is part of every pair.
    #[inline(never)]
    pub fn tell(&self, record: &Record) {
        let what = match record.kind {
            Kind::Acquired => What::Acquired,
            Kind::Released => What::Released,
            Kind::BlockedHeld | Kind::BlockedCooldown | Kind::BlockedDuplicateMessage => What::Blocked,
            Kind::Overdue => What::Overdue,
            Kind::Forced => What::Forced,
            Kind::Recovered => What::Recovered,
        };
        // Where nobody is in the way, the rule is.
        let other = match record.kind {
            Kind::BlockedCooldown => Text::Plain("cooldown"),
            Kind::BlockedDuplicateMessage => Text::Plain("duplicate_message"),
            _ => short(&record.other),
        };
        let layer = self.layer(&record.layer, record.layer_row);
        let Record { token, held, .. } = *record;
        note(|| Event { token, span: held, layer, other, ..self.event(what, record.at, record.thread_id) });
    }

    /// A stranger's name goes nowhere, as it is nobody's.
    #[cold]
    pub fn tell_refused(&self, layer: &Layer, caller: Caller, now: Nanos) {
        let other = Text::Plain("unknown_layer");
        let layer = self.layer(&layer.name, layer.row as u64);
        note(|| Event { layer, other, ..self.event(What::Refused, now, caller.thread_id) });
    }
}

impl Book {
    /// Tells of one in the line: it came, or it left unserved, for which it says how long it waited.
    #[cold]
    pub fn tell_waiter(&self, what: What, waiter: &Waiter, now: Nanos) {
        let other = self.holder.as_ref().map_or(Text::None, |holder| short(&holder.layer.name));
        let span = (what != What::Waiting).then(|| now.since(waiter.since));
        let layer = self.recording.layer(&waiter.layer.name, waiter.layer.row as u64);
        let event = self.recording.event(what, now, waiter.caller.thread_id);
        note(|| Event { layer, other, span, ..event });
    }
}
