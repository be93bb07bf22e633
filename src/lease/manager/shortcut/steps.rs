//! The steps over a shortcut: decide on what is remembered or read, and write on top of it. No manager, no clock but the
//! store's and the holder's.

use crate::lease::record::{Nonce, Record, Strange};
use crate::lease::rules::{self, Ask, Verdict, View};
use crate::lease::store::{Hindered, Key, Seen, Shortcut, Swap, Version};
use crate::time::{self, Nanos};

/// How often others may be faster before it is left to the I/O thread.
const TRIES: u32 = 3;

#[derive(Debug)]
pub struct Taken {
    pub token: u64,
    /// When the write left.
    pub sent: Nanos,
    pub stale: u32,
    pub alone: Option<Alone>,
}

/// That nothing lies in the record but the hold: then its holder knows all of it, as long as it has this version.
#[derive(Debug)]
pub struct Alone {
    version: u64,
    /// As the record counts it.
    token: u64,
}

impl Alone {
    fn of(record: &Record, version: &Version) -> Option<Alone> {
        let Version::Number(version) = *version else { return None };
        let Record { v: _, write: _, token, counts, holds, queue, stolen, state } = record;
        let is_all =
            holds.len() == 1 && counts.is_empty() && queue.is_empty() && stolen.is_none() && state.is_none();
        is_all.then_some(Alone { version, token: *token })
    }

    /// The record without the hold.
    fn freed(&self) -> Record {
        Record { token: self.token, ..Record::default() }
    }
}

/// What is remembered may be old: a write on top of it finds that out, and who would have to wait looks first.
pub fn take(way: &mut dyn Shortcut, key: &Key, ask: &Ask, number: u64) -> Result<Option<Taken>, Hindered> {
    let slack = way.caps().slack.as_millis() as u64;
    let mut old = way.remembered(key);
    for _ in 0..TRIES {
        let is_old = old.is_some();
        let seen = match old.take() {
            Some(seen) => seen,
            None => way.read(key)?,
        };
        // The I/O thread says what is wrong with it.
        let Ok(record) = record_of(&seen) else { return Ok(None) };
        // Whether a holder's process is dead takes a while to find out.
        let view = View { now: seen.now, slack, gone: &[], dead: &|_| false };
        match rules::acquire(&record, &view, ask) {
            Verdict::Grant { mut record, stale, stolen: 0, .. } => {
                let Ok(body) = record.text(number) else { return Ok(None) };
                let sent = time::boot_now();
                if let Some(written) = way.swap(&swap_of(key, seen.version.clone(), body))? {
                    let (token, alone) = (record.token + written.base, Alone::of(&record, &written.version));
                    return Ok(Some(Taken { token, sent, stale, alone }));
                }
            }
            _ if is_old => {}
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Takes the hold out of its record, if it lies there and nobody stands in line.
pub fn free(
    way: &mut dyn Shortcut,
    key: &Key,
    nonce: &Nonce,
    alone: Option<&Alone>,
    number: u64,
) -> Result<bool, Hindered> {
    if let Some(alone) = alone
        && let Ok(body) = alone.freed().text(number)
        && way.swap(&swap_of(key, Version::Number(alone.version), body))?.is_some()
    {
        return Ok(true);
    }
    let mut old = way.remembered(key);
    for _ in 0..TRIES {
        let seen = match old.take() {
            Some(seen) => seen,
            None => way.read(key)?,
        };
        let next = record_of(&seen).ok().and_then(|record| rules::release(&record, nonce));
        let Some(mut next) = next.filter(|next| next.queue.is_empty()) else { return Ok(false) };
        let Ok(body) = next.text(number) else { return Ok(false) };
        if way.swap(&swap_of(key, seen.version.clone(), body))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn swap_of(key: &Key, expect: Version, body: String) -> Swap {
    let (key, body) = (key.clone(), body.into());
    Swap { key, expect, body, wake: false, alive: Vec::new(), gone: Vec::new() }
}

fn record_of(seen: &Seen) -> Result<Record, Strange> {
    if seen.version == Version::Absent { Ok(Record::default()) } else { Record::read(&seen.body, seen.at) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::record::{Mode, Who};
    use crate::lease::rules::Force;
    use crate::lease::store::{Caps, Clock, Written};
    use std::thread;
    use std::time::Duration;

    /// A way on which a write takes its time, and on which there is nothing but this text.
    #[derive(Debug)]
    struct Slow {
        caps: Caps,
        body: &'static str,
        asked: Option<Nanos>,
    }

    impl Slow {
        fn new(body: &'static str) -> Slow {
            let caps = Caps {
                engine: "slow",
                clock: Clock::Boot,
                min_ttl: Duration::ZERO,
                slack: Duration::ZERO,
                sessions: false,
                multi: false,
                push: false,
                queue: false,
                poll: (Duration::ZERO, Duration::ZERO),
                local: false,
                may_double_grant: false,
            };
            Slow { caps, body, asked: None }
        }
    }

    impl Shortcut for Slow {
        fn caps(&self) -> &Caps {
            &self.caps
        }

        fn now(&self) -> u64 {
            7
        }

        fn remembered(&self, _key: &str) -> Option<Seen> {
            None
        }

        fn read(&mut self, _key: &Key) -> Result<Seen, Hindered> {
            let version = if self.body.is_empty() { Version::Absent } else { Version::Number(3) };
            Ok(Seen { version, body: self.body.into(), ..Seen::absent(self.now()) })
        }

        fn swap(&mut self, _swap: &Swap) -> Result<Option<Written>, Hindered> {
            self.asked = Some(time::boot_now());
            thread::sleep(Duration::from_millis(5));
            Ok(Some(Written { version: Version::Number(1), base: 0, at: self.now() }))
        }

        fn wants_upkeep(&mut self) -> bool {
            false
        }
    }

    fn ask() -> Ask {
        Ask {
            nonce: Nonce("me".into()),
            mode: Mode::Exclusive,
            ttl_ms: 600,
            delay_ms: 0,
            session: None,
            who: Who::default(),
            meta: None,
            ticket_ttl_ms: None,
            force: Force::No,
            reason: None,
            send: None,
        }
    }

    #[test]
    fn a_belief_begins_before_the_write_and_not_with_its_answer() {
        let mut way = Slow::new("");
        let taken = take(&mut way, &"a".into(), &ask(), 1).unwrap().unwrap();
        assert!(taken.sent <= way.asked.unwrap(), "the store may count from then on");
    }

    #[test]
    fn what_is_no_record_is_left_alone() {
        let mut way = Slow::new("hello");
        assert!(take(&mut way, &"a".into(), &ask(), 1).unwrap().is_none());
        assert!(!free(&mut way, &"a".into(), &Nonce("me".into()), None, 1).unwrap());
        assert_eq!(way.asked, None, "nothing was written");
    }
}
