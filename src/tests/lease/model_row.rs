//! The record of the state machine, in as few bytes as it takes.

use crate::lease::record::{Claim, Hold, Mode, Nonce, Record, Term, Ticket, Who};

pub const TTL: u8 = 2;

/// One record, as far as exclusive holds and one place in line go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    pub version: u8,
    pub token: u8,
    /// Nonce, token, until.
    pub hold: Option<(u8, u8, u8)>,
    /// Nonce, until.
    pub place: Option<(u8, u8)>,
}

pub fn nonce(number: u8) -> Nonce {
    Nonce(number.to_string().into())
}

/// Until 0 is as long as a new term lasts.
fn term(until: u8) -> Term {
    Term { ttl_ms: TTL.into(), until: until.into(), session: None }
}

pub fn record(row: &Row) -> Record {
    let hold = row.hold.map(|(owner, token, until)| Hold {
        nonce: nonce(owner),
        token: token.into(),
        mode: Mode::Exclusive,
        term: term(until),
        delay_ms: 0,
        who: Who::default(),
        meta: None,
        handed: None,
    });
    let ticket = row.place.map(|(waiter, until)| Ticket {
        nonce: nonce(waiter),
        mode: Mode::Exclusive,
        term: term(until),
        who: Who::default(),
        claim: Some(Box::new(Claim { ttl_ms: TTL.into(), delay_ms: 0, meta: None })),
    });
    let (holds, queue) = (hold.into_iter().collect(), ticket.into_iter().collect());
    Record { token: row.token.into(), holds, queue, ..Record::default() }
}

pub fn row(record: &Record) -> Row {
    let number = |nonce: &Nonce| nonce.0.parse().unwrap();
    let hold = record.holds.first();
    let hold = hold.map(|hold| (number(&hold.nonce), hold.token as u8, hold.term.until as u8));
    let place = record.queue.first().map(|ticket| (number(&ticket.nonce), ticket.term.until as u8));
    Row { version: 0, token: record.token as u8, hold, place }
}

impl Row {
    /// As the server keeps it: its clock fills in the terms that begin with this write.
    pub fn written(self, version: u8, now: u8) -> Row {
        let filled = |until| if until == 0 { now + TTL } else { until };
        let hold = self.hold.map(|(owner, token, until)| (owner, token, filled(until)));
        let place = self.place.map(|(waiter, until)| (waiter, filled(until)));
        Row { version, hold, place, ..self }
    }
}
