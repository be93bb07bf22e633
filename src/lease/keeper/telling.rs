//! What the recorder is told of leases: grants, releases and losses, on their way to the journal. Of a lease of several
//! keys each key is told.

use crate::lease::keeper::lease::Lease;
use crate::recorder::event::{Event, Of, What, plain};
use crate::recorder::note;
use crate::recorder::texts::Text;
use crate::time::{self, Nanos};

fn tell(lease: &Lease, what: What, span: Option<Nanos>, other: Option<&str>) {
    for part in lease.parts.iter() {
        note(|| Event {
            token: part.token,
            span,
            layer: (Text::Plain(&lease.client.worker), None),
            label: Text::Plain(lease.client.desk.store.shown()),
            other: plain(other),
            ..Event::new(Of::Lease, what, time::now(), (Text::Plain(&part.line.key), None))
        });
    }
}

pub fn granted(lease: &Lease) {
    tell(lease, What::Acquired, None, None);
}

pub fn released(lease: &Lease, now: Nanos) {
    tell(lease, What::Released, Some(now.since(lease.since)), None);
}

/// `other` is why.
pub fn lost(lease: &Lease, cause: &str, now: Nanos) {
    let what = if cause == "stolen" { What::Stolen } else { What::Lost };
    tell(lease, what, Some(now.since(lease.since)), Some(cause));
}
