//! A record at rest: nothing lies in it but one plain, exclusive hold of ours. Its lease knows nearly all of it anyway, so the
//! line keeps little more than its version, and makes the record anew when somebody asks.

use crate::lease::counts::Counts;
use crate::lease::desk::line::Known;
use crate::lease::keeper::lease::Lease;
use crate::lease::record::{Hold, Record, Term, VERSION, Who};
use crate::lease::store::Version;
use crate::time::Nanos;
use std::rc::Rc;

#[derive(Debug)]
pub struct Rest {
    lease: Rc<Lease>,
    version: u64,
    base: u64,
    at: u64,
    heard: Nanos,
    token: u64,
    counts: Counts,
    /// Shared by many; `at` is its own.
    who: Rc<Who>,
    who_at: u64,
}

impl Rest {
    /// None when the record says more than the lease knows.
    pub fn of(known: &Known, lease: &Rc<Lease>) -> Option<Rest> {
        let Known { version: Version::Number(version), base, at, heard, record, .. } = known else {
            return None;
        };
        let [hold] = record.holds.as_slice() else { return None };
        let rest = Rest {
            lease: lease.clone(),
            version: *version,
            base: *base,
            at: *at,
            heard: *heard,
            token: hold.token,
            counts: record.counts.clone(),
            who: lease.client.who_like(&hold.who),
            who_at: hold.who.at,
        };
        let is_all = known.now == known.at && rest.record(record.write) == **record;
        is_all.then_some(rest)
    }

    pub fn version(&self) -> Version {
        Version::Number(self.version)
    }

    pub fn known(&self) -> Known {
        Known {
            version: self.version(),
            base: self.base,
            at: self.at,
            now: self.at,
            record: Rc::new(self.record(0)),
            gone: None,
            ended: Vec::new(),
            heard: self.heard,
        }
    }

    fn record(&self, write: u64) -> Record {
        let ttl_ms = self.lease.ttl.whole_ms();
        let session = self.lease.session.as_ref().map(|session| session.name.clone());
        let hold = Hold {
            nonce: self.lease.nonce.clone(),
            token: self.token,
            term: Term { ttl_ms, until: self.at.saturating_add(ttl_ms), session },
            who: Who { at: self.who_at, ..Who::clone(&self.who) },
            ..Hold::default()
        };
        let counts = self.counts.clone();
        Record { v: VERSION, write, token: self.token, counts, holds: vec![hold], ..Record::default() }
    }
}
