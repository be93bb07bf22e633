//! Waiters whose time is up: they are told their place in line and who holds, and leave.

use crate::local::book::Book;
use crate::local::claim::{Part, Told};
use crate::local::names::Ref;
use crate::local::report;
use crate::local::statistics::Operation;
use crate::sync::Arc;
use crate::time::Nanos;
use std::collections::{BTreeSet, HashMap};

impl Book {
    /// Sends away everybody whose time is up.
    pub fn expire(&mut self, now: Nanos) {
        let late: Vec<u32> = std::iter::from_fn(|| self.deadlines.pop_late(now, &self.claims)).collect();
        if late.is_empty() {
            return;
        }
        let mut words = self.last_words(&late, now);
        // In the order in which their times were up.
        let told = late.iter().filter_map(|slot| {
            let (position, report) = words.remove(slot)?;
            Some((*slot, position, report))
        });
        let told: Vec<_> = told.collect();
        let mut touched = Vec::new();
        for (slot, position, report) in told {
            let ticket = self.claims.ticket(slot);
            let Some(claim) = self.unqueue(slot) else { continue };
            self.note(&claim, Operation::TimedOut, now);
            let waited = now.since(claim.since);
            self.tell(claim.caller, Told::TimedOut { ticket, position, waited, report });
            touched.push(claim.parts);
        }
        // Only now: nobody whose time is up is granted because another one left.
        for parts in touched {
            self.serve_all(&parts, now);
        }
    }

    /// The places in line of those who are late, and who holds: one pass over each queue.
    fn last_words(&self, late: &[u32], now: Nanos) -> HashMap<u32, (usize, Arc<str>)> {
        let mut by_resource: HashMap<Ref, Vec<u32>> = HashMap::new();
        for &slot in late {
            let parts = self.claims.get(slot).map_or(&[][..], |claim| claim.parts.as_slice());
            // Of several, one that is held is what it waited for.
            let is_held = |part: &&Part| {
                self.names.resource(part.resource).is_some_and(|resource| !resource.holds.is_empty())
            };
            if let Some(part) = parts.iter().find(is_held).or(parts.first()) {
                by_resource.entry(part.resource).or_default().push(slot);
            }
        }
        let mut told = HashMap::with_capacity(late.len());
        for (at, slots) in by_resource {
            let Some(resource) = self.names.resource(at) else { continue };
            let report = report::in_the_way(self, at, now);
            let late: BTreeSet<u32> = slots.into_iter().collect();
            for (index, (_, slot)) in resource.queue.iter().enumerate() {
                if late.contains(slot) {
                    told.insert(*slot, (index + 1, report.clone()));
                }
            }
        }
        told
    }
}
