//! Moving one record: decide on what is known, write on top of it, and decide again on what is there when another
//! writer was faster. The first decision may be made on an old record: a write on top of it then loses and brings
//! the new one. Only what is not written needs a look.

use crate::lease::desk::Desk;
use crate::lease::desk::line::{Known, Line};
use crate::lease::record::Record;
use crate::lease::store::{StoreError, Swap, Swapped, Written};
use crate::time::Nanos;
use std::rc::Rc;
use std::time::Duration;

/// After so many lost writes in a row one waits a little before the next.
const EAGER: u32 = 4;
/// So many in a row are answered as a store that cannot be reached.
const MOST_LOST: u32 = 200;

/// What is decided about a record.
#[derive(Debug)]
pub enum Step<T> {
    Write(Write, T),
    /// Nothing is written, and it counts only when the record is the newest.
    Keep(T),
    /// Nothing is written, whether the record is new or old.
    Leave(T),
}

#[derive(Debug)]
pub struct Write {
    pub record: Record,
    /// Tell those who watch.
    pub wake: bool,
    pub alive: Vec<String>,
    pub gone: Vec<String>,
}

impl Write {
    pub fn new(record: Record) -> Write {
        Write { record, wake: false, alive: Vec::new(), gone: Vec::new() }
    }

    pub fn waking(record: Record) -> Write {
        let wake = !record.queue.is_empty();
        Write { wake, ..Write::new(record) }
    }
}

#[derive(Debug)]
pub struct Changed<T> {
    pub answer: T,
    /// When the write left; none when nothing was written.
    pub sent: Option<Nanos>,
    /// Of the record that was written, or decided on: a new record gets its base with its first write.
    pub base: u64,
}

#[derive(Debug)]
pub enum Failed {
    Store(StoreError),
    /// The record was as expected: a session that had to live has ended, or one that had to be over lives.
    Guarded,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed::Store(error)
    }
}

/// A write, ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    pub swap: Swap,
    record: Record,
}

pub fn prepare(desk: &Desk, line: &Line, known: &Known, write: Write) -> Result<Prepared, StoreError> {
    let Write { mut record, wake, alive, gone } = write;
    record.note_base(known.record.token, known.base);
    let body = record.text(desk.outside.number()).map_err(StoreError::Unsupported)?;
    let swap =
        Swap { key: line.key.clone(), expect: known.version.clone(), body: body.into(), wake, alive, gone };
    Ok(Prepared { swap, record })
}

/// It has been written: now this is what is there.
pub fn landed(desk: &Desk, line: &Line, prepared: Prepared, written: Written, before: &Known) {
    let Prepared { mut record, swap } = prepared;
    if desk.store.shows() && !are_the_same(&record, &before.record) {
        let (store, Swap { key, body, .. }) = (desk.store.clone(), swap);
        tokio::task::spawn_local(async move { store.show(&key, &body).await });
    }
    record.settle(written.at);
    record.counts.settle(written.base);
    let Written { version, base, at } = written;
    let (gone, ended, heard) = (before.gone.clone(), before.ended.clone(), desk.now());
    line.learn_own(Known { version, base, at, now: at, record: Rc::new(record), gone, ended, heard });
}

/// Whether the same hold a key as before: no two grants have one token.
fn are_the_same(one: &Record, other: &Record) -> bool {
    one.holds.iter().map(|hold| hold.token).eq(other.holds.iter().map(|hold| hold.token))
}

/// Moves the record as `decide` says; only under the line's turn. What was heard from `since` on is new.
pub async fn change<T>(
    desk: &Desk,
    line: &Line,
    since: Nanos,
    mut decide: impl FnMut(&Known) -> Step<T>,
) -> Result<Changed<T>, Failed> {
    let sessions = desk.store.caps().sessions;
    let mut lost = 0;
    let mut known = line.known();
    let mut is_new = known.as_ref().is_some_and(|known| known.heard >= since);
    loop {
        let current = match known.take() {
            Some(known) => known,
            None if !line.is_in_doubt() && lost == 0 => Known::absent(desk.now()),
            None => {
                is_new = true;
                desk.look(line).await?
            }
        };
        match decide(&current) {
            Step::Leave(answer) => return Ok(Changed { answer, sent: None, base: current.base }),
            // Which sessions have ended only a look tells.
            Step::Keep(answer) if is_new && (!sessions || current.gone.is_some()) => {
                return Ok(Changed { answer, sent: None, base: current.base });
            }
            Step::Keep(_) => {
                is_new = true;
                known = Some(desk.look(line).await?);
            }
            Step::Write(write, answer) => {
                let prepared = prepare(desk, line, &current, write)?;
                let sent = desk.now();
                let swapped = desk.store.swap(std::slice::from_ref(&prepared.swap)).await;
                if swapped.is_ok() {
                    desk.hears();
                }
                match swapped {
                    Ok(Swapped::Won(written)) => {
                        let written = written.into_iter().next();
                        let base = written.as_ref().map_or(current.base, |written| written.base);
                        match written {
                            Some(written) => landed(desk, line, prepared, written, &current),
                            None => line.forget(),
                        }
                        return Ok(Changed { answer, sent: Some(sent), base });
                    }
                    Ok(Swapped::Lost(seen)) => {
                        lost += 1;
                        known = match seen.into_iter().next() {
                            Some(seen) => {
                                let there = Known::read(seen, desk.now())?;
                                line.learn(there.clone());
                                is_new = true;
                                if there.version == current.version {
                                    line.forget();
                                    return Err(Failed::Guarded);
                                }
                                Some(there)
                            }
                            None => {
                                line.forget();
                                None
                            }
                        };
                        pause_after(desk, lost).await?;
                    }
                    Err(error) => {
                        line.forget();
                        return Err(error.into());
                    }
                }
            }
        }
    }
}

async fn pause_after(desk: &Desk, lost: u32) -> Result<(), StoreError> {
    if lost >= MOST_LOST {
        let why = format!("{lost} writes in a row lost against others");
        return Err(StoreError::Unavailable { why, retry_after: None });
    }
    if lost >= EAGER {
        let most = Nanos::from_ms(f64::from(1 << (lost - EAGER).min(6)));
        tokio::time::sleep(Duration::from_nanos(desk.outside.part_of(most).0)).await;
    }
    Ok(())
}
