//! What the keeper keeps: leases that are held, and places in line.

use crate::lease::desk::line::Line;
use crate::lease::few::Few;
use crate::lease::keeper::DutyKey;
use crate::lease::keeper::session::Session;
use crate::lease::manager::cell::LeaseCell;
use crate::lease::manager::client::Client;
use crate::lease::manager::types::LeaseId;
use crate::lease::record::Nonce;
use crate::sync::Arc;
use crate::time::Nanos;
use std::borrow::Borrow;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// One of the keys of a lease.
#[derive(Debug)]
pub struct Part {
    pub line: Rc<Line>,
    /// As users see it.
    pub token: u64,
    /// When the last write left that began its term, and when that is over.
    pub renewed: Cell<Nanos>,
    pub until: Cell<Nanos>,
}

#[derive(Debug)]
pub struct Lease {
    pub id: LeaseId,
    pub nonce: Nonce,
    pub ttl: Nanos,
    pub parts: Few<Part>,
    pub cell: Arc<LeaseCell>,
    pub since: Nanos,
    /// It is not held for longer, whatever is renewed (`maxHold`).
    pub until: Nanos,
    /// An expiry keeps the key closed for a while, so what has expired is not cleared away.
    pub has_delay: bool,
    pub session: Option<Rc<Session>>,
    pub client: Rc<Client>,
    pub risk_is_told: Cell<bool>,
    /// Not renewed because the event loop does not answer.
    pub is_stalled: Cell<bool>,
    pub risk: Cell<Option<DutyKey>>,
}

/// A lease, found by its number.
#[derive(Debug)]
pub struct ById(pub Rc<Lease>);

impl Borrow<LeaseId> for ById {
    fn borrow(&self) -> &LeaseId {
        &self.0.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &ById) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl Lease {
    /// As far as the renewals go.
    pub fn deadline(&self) -> Nanos {
        let kept = match &self.session {
            Some(session) => session.deadline.get(),
            None => self.parts.iter().map(|part| part.until.get()).min().unwrap_or_default(),
        };
        kept.min(self.until)
    }

    /// When the last renewal left that has succeeded for all of it.
    pub fn renewed(&self) -> Nanos {
        match &self.session {
            Some(session) => session.renewed.get(),
            None => self.parts.iter().map(|part| part.renewed.get()).min().unwrap_or_default(),
        }
    }

    pub fn is_held(&self, now: Nanos) -> bool {
        self.cell.is_held(now)
    }
}

/// What a request that is not yet granted has in a record: its place in line, or one of several keys.
#[derive(Debug)]
pub struct Place {
    pub nonce: Nonce,
    pub ttl: Nanos,
    pub renewed: Cell<Nanos>,
    /// What was promised with that counts until then.
    pub until: Cell<Nanos>,
    pub is_hold: bool,
    pub is_lost: Cell<bool>,
}
