//! The book as bytes, and back: what a slot of the file holds. `docs/formats/send-state.md` describes it. The
//! messages already sent are not in it, only how many of their records count; the records lie in the log.

use super::codec::{Reader, Writer};
use crate::local::departures::{Caller, ProcessId, RowId};
use crate::local::queue::{Ticket, WaitQueue};
use crate::name::ShortText;
use crate::send::book::{Book, Holder, Member, Waiter};
use crate::send::config::{MAX_HISTORY_LIMIT, MAX_WAITERS, Settings};
use crate::send::dedup::MessageKey;
use crate::send::layers::{Layer, Layers, OTHERS};
use crate::send::lock::{Delivery, HolderView, Refused, Told};
use crate::send::rules::{CooldownFrom, Hold, OnTimeout, Refusal, Rules, State};
use crate::time::Nanos;

/// Where and when the times of an image mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Era {
    pub boot: u128,
    pub time_namespace: u64,
}

/// A state as it was read.
#[derive(Debug)]
pub struct Image {
    pub era: Era,
    pub book: Book,
    /// Records in the log that belong to it.
    pub logged: u64,
}

/// The bytes at the end that say when the last operation was; they alone are no change.
pub const LATEST: usize = 8;

pub fn encode(era: Era, book: &Book, logged: u64) -> Vec<u8> {
    let mut out = Writer::default();
    out.wide(era.boot);
    out.word(era.time_namespace);
    out.word(logged);
    put_settings(&mut out, &book.settings);
    let layers = &book.layers;
    out.flag(layers.any);
    out.list(layers.met.iter(), |out, (name, allowed)| {
        out.text(name);
        out.flag(*allowed);
    });
    out.list(layers.unnumbered.iter(), Writer::text);
    out.maybe(book.state.hold, |out, hold| {
        out.word(hold.since.0);
        out.flag(hold.overdue);
    });
    out.word(book.state.last_acquired.0);
    out.word(book.state.last_ended.0);
    out.maybe(book.holder, |out, holder| {
        out.word(holder.token);
        put_ask(out, &holder.layer, &holder.caller, holder.message, holder.since);
    });
    out.word(book.last_token);
    out.word(book.history_after);
    out.list(book.evicted.iter(), |out, (token, layer, row)| {
        out.word(*token);
        out.text(layer);
        put_row(out, *row);
    });
    let (first_generation, generations, line) = book.queue.parts();
    out.half(first_generation);
    out.list(generations, Writer::half);
    out.list(line, |out, (place, waiter)| {
        out.half(place);
        put_ask(out, &waiter.layer, &waiter.caller, waiter.message, waiter.since);
        out.word(waiter.deadline.0);
    });
    out.list(book.processes.iter(), |out, member| {
        out.word(member.process.0);
        out.half(member.slot);
        out.word(member.pid_namespace);
        out.flag(member.listens);
    });
    out.list(book.outbox.iter(), put_delivery);
    out.word(book.latest.0);
    out.0
}

/// The state of those bytes; `None` when they are not exactly one.
pub fn decode(bytes: &[u8]) -> Option<Image> {
    let mut from = Reader(bytes);
    let era = Era { boot: from.wide()?, time_namespace: from.word()? };
    let logged = from.word()?;
    let mut book = Book::new();
    book.settings = settings(&mut from)?;
    book.layers = Layers {
        any: from.flag()?,
        met: from.list(|from| Some((name(from)?, from.flag()?)))?,
        unnumbered: from.list(name)?,
    };
    let hold = from.maybe(|from| Some(Hold { since: Nanos(from.word()?), overdue: from.flag()? }))?;
    book.state = State { hold, last_acquired: Nanos(from.word()?), last_ended: Nanos(from.word()?) };
    book.holder = from.maybe(|from| {
        let token = from.word()?;
        let ask = ask(from)?;
        Some(Holder { token, layer: ask.layer, caller: ask.caller, message: ask.message, since: ask.since })
    })?;
    book.last_token = from.word()?;
    book.history_after = from.word()?;
    book.evicted = from.list(|from| Some((from.word()?, from.text()?, row(from)?)))?.into();
    let first_generation = from.half()?;
    let generations = from.list(Reader::half)?;
    let line = from.list(|from| {
        let place = from.half()?;
        Some((place, Waiter { deadline: Nanos::FOREVER, ..ask(from)? }, Nanos(from.word()?)))
    })?;
    let line = line.into_iter().map(|(place, waiter, deadline)| (place, Waiter { deadline, ..waiter }));
    book.queue = WaitQueue::from_parts(first_generation, generations, line.collect())?;
    book.deadlines = book
        .queue
        .iter()
        .filter(|(_, waiter)| waiter.deadline < Nanos::FOREVER)
        .map(|(ticket, waiter)| (waiter.deadline, ticket))
        .collect();
    book.processes = from.list(|from| {
        Some(Member {
            process: ProcessId(from.word()?),
            slot: from.half()?,
            pid_namespace: from.word()?,
            listens: from.flag()?,
        })
    })?;
    book.outbox = from.list(delivery)?;
    book.latest = Nanos(from.word()?);
    (from.0.is_empty() && is_sound(&book)).then_some(Image { era, book, logged })
}

/// What every book is, whatever was done with it.
fn is_sound(book: &Book) -> bool {
    let same_hold = match (book.state.hold, book.holder) {
        (Some(hold), Some(holder)) => hold.since == holder.since && holder.token <= book.last_token,
        (None, None) => true,
        _ => false,
    };
    same_hold
        && book.layers.met.len() <= OTHERS
        && book.settings.history_limit <= MAX_HISTORY_LIMIT
        && book.queue.len() <= MAX_WAITERS
}

fn put_settings(out: &mut Writer, settings: &Settings) {
    let rules = &settings.rules;
    for span in [rules.cooldown, rules.timeout, rules.force_after, rules.dedup_window] {
        out.word(span.0);
    }
    out.flag(rules.cooldown_from == CooldownFrom::Release);
    out.flag(rules.on_timeout == OnTimeout::Release);
    out.word(settings.history_limit as u64);
}

fn settings(from: &mut Reader<'_>) -> Option<Settings> {
    let rules = Rules {
        cooldown: Nanos(from.word()?),
        timeout: Nanos(from.word()?),
        force_after: Nanos(from.word()?),
        dedup_window: Nanos(from.word()?),
        cooldown_from: if from.flag()? { CooldownFrom::Release } else { CooldownFrom::Acquire },
        on_timeout: if from.flag()? { OnTimeout::Release } else { OnTimeout::Report },
    };
    Some(Settings { rules, history_limit: usize::try_from(from.word()?).ok()? })
}

fn put_row(out: &mut Writer, row: RowId) {
    out.word(row.process.0);
    out.half(row.place);
    out.half(row.generation);
}

fn row(from: &mut Reader<'_>) -> Option<RowId> {
    let process = ProcessId(from.word()?);
    Some(RowId { place: from.half()?, generation: from.half()?, process })
}

fn put_ask(out: &mut Writer, layer: &Layer, caller: &Caller, message: Option<MessageKey>, since: Nanos) {
    out.text(&layer.name);
    out.byte(layer.row as u8);
    put_row(out, caller.row);
    out.word(caller.thread_id);
    out.word(caller.mailbox);
    out.maybe(message, |out, key| out.wide(key.0));
    out.word(since.0);
}

fn ask(from: &mut Reader<'_>) -> Option<Waiter> {
    Some(Waiter {
        layer: Layer { name: name(from)?, row: layer_row(from)? },
        caller: Caller { row: row(from)?, thread_id: from.word()?, mailbox: from.word()? },
        message: from.maybe(|from| from.wide().map(MessageKey))?,
        since: Nanos(from.word()?),
        deadline: Nanos::FOREVER,
    })
}

fn name(from: &mut Reader<'_>) -> Option<ShortText> {
    from.text().filter(|name| !name.is_empty())
}

fn layer_row(from: &mut Reader<'_>) -> Option<usize> {
    from.byte().map(usize::from).filter(|row| *row <= OTHERS)
}

fn put_delivery(out: &mut Writer, delivery: &Delivery) {
    out.word(delivery.process.0);
    out.word(delivery.mailbox);
    match delivery.what {
        Told::Granted { ticket, token, since } => {
            out.byte(1);
            out.word(ticket.to_number());
            out.word(token);
            out.word(since.0);
        }
        Told::Refused { ticket, refused } => {
            out.byte(2);
            out.word(ticket.to_number());
            let (code, left) = match refused.refusal {
                Refusal::UnknownLayer => (0, Nanos(0)),
                Refusal::Cooldown { left } => (1, left),
                Refusal::Held => (2, Nanos(0)),
                Refusal::DuplicateMessage { left } => (3, left),
            };
            out.byte(code);
            out.word(left.0);
            out.maybe(refused.holder, put_view);
            out.word(refused.retry_after.0);
        }
        Told::TimedOut { ticket, position, holder } => {
            out.byte(3);
            out.word(ticket.to_number());
            out.word(position as u64);
            out.maybe(holder, put_view);
        }
        Told::Lost { token } => {
            out.byte(4);
            out.word(token);
        }
    }
}

fn delivery(from: &mut Reader<'_>) -> Option<Delivery> {
    let (process, mailbox) = (ProcessId(from.word()?), from.word()?);
    let ticket = |from: &mut Reader<'_>| from.word().map(Ticket::from_number);
    let what = match from.byte()? {
        1 => Told::Granted { ticket: ticket(from)?, token: from.word()?, since: Nanos(from.word()?) },
        2 => {
            let ticket = ticket(from)?;
            let (code, left) = (from.byte()?, Nanos(from.word()?));
            let refusal = match code {
                0 => Refusal::UnknownLayer,
                1 => Refusal::Cooldown { left },
                2 => Refusal::Held,
                3 => Refusal::DuplicateMessage { left },
                _ => return None,
            };
            let refused = Refused { refusal, holder: from.maybe(view)?, retry_after: Nanos(from.word()?) };
            Told::Refused { ticket, refused }
        }
        3 => Told::TimedOut {
            ticket: ticket(from)?,
            position: usize::try_from(from.word()?).ok()?,
            holder: from.maybe(view)?,
        },
        4 => Told::Lost { token: from.word()? },
        _ => return None,
    };
    Some(Delivery { process, mailbox, what })
}

fn put_view(out: &mut Writer, view: HolderView) {
    out.word(view.token);
    out.byte(view.layer_row as u8);
    out.word(view.thread_id);
    out.word(view.process.0);
    out.word(view.held.0);
}

fn view(from: &mut Reader<'_>) -> Option<HolderView> {
    Some(HolderView {
        token: from.word()?,
        layer_row: layer_row(from)?,
        thread_id: from.word()?,
        process: ProcessId(from.word()?),
        held: Nanos(from.word()?),
    })
}
