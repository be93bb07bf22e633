//! What the holders of this process wait for meanwhile, for other processes to see. A record in the lock file has
//! room for one wait: of several inside one hold the last one is shown, and when it ends, the one before it.

use crate::host::page::Record;

#[derive(Debug, Default)]
pub struct Wants(Vec<Want>);

#[derive(Debug)]
struct Want {
    /// The hold inside of which the wait is made.
    hold: u32,
    ticket: u64,
    /// The file of the wanted lock, and since when, as the system counts.
    path: String,
    since: u64,
}

impl Wants {
    pub fn add(&mut self, hold: u32, ticket: u64, path: String, since: u64) {
        self.0.push(Want { hold, ticket, path, since });
    }

    pub fn end_wait(&mut self, ticket: u64) {
        self.0.retain(|want| want.ticket != ticket);
    }

    pub fn end_hold(&mut self, hold: u32) {
        self.0.retain(|want| want.hold != hold);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn show(&self, record: &Record) {
        record.set_wants(self.0.last().map(|want| (want.path.as_str(), want.since)));
    }
}
