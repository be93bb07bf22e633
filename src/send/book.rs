//! What the send lock's mutex guards, and the steps that change it. Every step writes the table as it
//! goes; the caller holds the mutex and has opened the page's sequence.

use crate::local::departures::{ProcessId, RowId};
use crate::local::queue::{Ticket, WaitQueue};
use crate::name::ShortText;
use crate::raw::hold_word::{HoldState, MAX_TOKEN};
use crate::recorder::is_on;
use crate::send::config::Settings;
use crate::send::dedup::{MessageKey, Sent};
use crate::send::layers::{Layer, Layers};
use crate::send::lock::{Caller, Delivery, HolderView, Refused, Told};
use crate::send::recording::Recording;
use crate::send::rules::{self, Due, Expiry, Refusal, Request, State, Verdict};
use crate::table::layout::SendPage;
use crate::table::ring::{Kind, NO_ROW, Record};
use crate::time::Nanos;
use std::collections::{BTreeSet, VecDeque};

/// Ended without their holder; kept to recognise its late release.
const EVICTED_KEPT: usize = 32;

/// The reasons that chainlock itself gives for ending a hold; users see `force_released_<reason>`.
pub const REASON_TIMEOUT: &str = "timeout";
pub const REASON_STALE: &str = "stale_timeout";
pub const REASON_THREAD_EXIT: &str = "thread_exit";
pub const REASON_PROCESS_EXIT: &str = "process_exit";

#[derive(Clone, Copy, Debug)]
pub struct Holder {
    pub token: u64,
    pub layer: Layer,
    pub caller: Caller,
    pub message: Option<MessageKey>,
    pub since: Nanos,
}

#[derive(Clone, Copy, Debug)]
pub struct Waiter {
    pub layer: Layer,
    pub caller: Caller,
    pub message: Option<MessageKey>,
    pub since: Nanos,
    pub deadline: Nanos,
}

/// A process that shares the lock with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub process: ProcessId,
    /// The byte that it keeps locked as long as it lives; no other member has the same.
    pub slot: u32,
    /// The pid namespace in which its pid is its.
    pub pid_namespace: u64,
    /// Whether any of its threads wants to hear of events.
    pub listens: bool,
}

/// How a hold ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Released { sent: bool },
    Expired(Expiry),
    Forced(ShortText),
    ThreadExit,
    ProcessExit,
}

#[derive(Debug)]
pub struct Book {
    pub settings: Settings,
    pub layers: Layers,
    pub state: State,
    pub holder: Option<Holder>,
    pub last_token: u64,
    pub queue: WaitQueue<Waiter>,
    /// Waiters that do not wait for ever, the next to give up first.
    pub deadlines: BTreeSet<(Nanos, Ticket)>,
    pub sent: Sent,
    pub(super) evicted: VecDeque<(u64, ShortText, RowId)>,
    /// History records up to this one belong to before the last `resetMetrics()`.
    pub history_after: u64,
    /// The processes that share the lock, and what is on its way to their threads; nobody while it is this
    /// process's alone.
    pub processes: Vec<Member>,
    pub outbox: Vec<Delivery>,
    /// The latest moment at which anything was done; the lock's time does not run backwards.
    pub latest: Nanos,
    pub recording: Recording,
}

/// What a step leaves to be done after the mutex is open again.
#[derive(Debug, Default)]
pub struct Effects {
    pub tell: Vec<Delivery>,
    /// Filled only when somebody listens to the native events.
    pub notes: Vec<Record>,
}

impl Book {
    pub fn new() -> Self {
        Self {
            settings: Settings::default(),
            layers: Layers::new(),
            state: State { hold: None, last_acquired: Nanos::NEVER, last_ended: Nanos::NEVER },
            holder: None,
            last_token: 0,
            queue: WaitQueue::default(),
            deadlines: BTreeSet::new(),
            sent: Sent::default(),
            evicted: VecDeque::new(),
            history_after: 0,
            processes: Vec::new(),
            outbox: Vec::new(),
            latest: Nanos::NEVER,
            recording: Recording::default(),
        }
    }

    /// What the clock alone makes due: expiry, then the first in line.
    pub fn settle(&mut self, page: &SendPage, now: Nanos, effects: &mut Effects) {
        self.apply_due(page, rules::due(&self.settings.rules, &self.state, now), now, effects);
        while self.holder.is_none()
            && !self.queue.is_empty()
            && rules::cooldown_left(&self.settings.rules, &self.state, now).is_none()
        {
            let Some((ticket, waiter)) = self.queue.pop() else { break };
            self.deadlines.remove(&(waiter.deadline, ticket));
            self.show_line(page);
            // The list of layers may have changed while it waited.
            let answer = match self.layers.find(&waiter.layer.name) {
                Some(_) => self.attempt(page, &waiter, now, effects),
                None => {
                    let (layer, caller) = (&waiter.layer, waiter.caller);
                    Err(self.refuse(page, layer, caller, Refusal::UnknownLayer, now, effects))
                }
            };
            let what = match answer {
                Ok(token) => {
                    page.wait_times.record(now.since(waiter.since));
                    Told::Granted { ticket, token, since: now }
                }
                Err(refused) => Told::Refused { ticket, refused },
            };
            effects.tell.push(Delivery::to(&waiter.caller, what));
        }
    }

    /// One request against the rules, and what they say is done.
    #[inline(always)]
    pub fn attempt(
        &mut self,
        page: &SendPage,
        ask: &Waiter,
        now: Nanos,
        effects: &mut Effects,
    ) -> Result<u64, Refused> {
        let sent_before = match ask.message {
            Some(key) => self.sent.when(key),
            None => None,
        };
        let request = Request { layer_known: true, sent_before };
        let decision = rules::decide(&self.settings.rules, &self.state, &request, now);
        self.apply_due(page, decision.first, now, effects);
        match decision.verdict {
            Verdict::Acquire => Ok(self.acquire(page, ask, now, effects)),
            Verdict::Refuse(refusal) => Err(self.refuse(page, &ask.layer, ask.caller, refusal, now, effects)),
        }
    }

    #[inline(always)]
    fn acquire(&mut self, page: &SendPage, ask: &Waiter, now: Nanos, effects: &mut Effects) -> u64 {
        self.last_token = (self.last_token + 1).min(MAX_TOKEN);
        let token = self.last_token;
        self.state = rules::acquired(now, &self.state);
        self.holder =
            Some(Holder { token, layer: ask.layer, caller: ask.caller, message: ask.message, since: now });
        if let Some(key) = ask.message {
            self.sent.remember(key, now);
        }
        page.holder_layer.set(&ask.layer.name);
        page.holder_row.set(ask.caller.row.to_word());
        page.holder_pid.set(u64::from(ask.caller.row.process.pid()));
        page.holder_thread.set(ask.caller.thread_id);
        page.held_since.set(now.0);
        page.last_acquired.set(now.0);
        page.counters.acquisitions.add(1);
        page.layers.0[ask.layer.row].acquisitions.add(1);
        page.word.write(HoldState::held(token));
        let record = Record {
            kind: Kind::Acquired,
            at: now,
            token,
            held: None,
            thread_id: ask.caller.thread_id,
            layer: ask.layer.name,
            layer_row: ask.layer.row as u64,
            other: ShortText::EMPTY,
            other_row: NO_ROW,
        };
        self.note(page, &record, effects);
        token
    }

    /// Counts a refusal and says what the asker should know.
    pub fn refuse(
        &mut self,
        page: &SendPage,
        layer: &Layer,
        caller: Caller,
        refusal: Refusal,
        now: Nanos,
        effects: &mut Effects,
    ) -> Refused {
        let (count, kind) = match refusal {
            Refusal::UnknownLayer => (&page.counters.refused_unknown_layer, None),
            Refusal::Cooldown { .. } => (&page.counters.blocked_cooldown, Some(Kind::BlockedCooldown)),
            Refusal::Held => (&page.counters.blocked_held, Some(Kind::BlockedHeld)),
            Refusal::DuplicateMessage { .. } => {
                (&page.counters.blocked_duplicate_message, Some(Kind::BlockedDuplicateMessage))
            }
        };
        count.add(1);
        if refusal == Refusal::UnknownLayer && is_on() {
            self.recording.tell_refused(layer, caller, now);
        }
        let holder = self.holder_view(now);
        if let Some(kind) = kind {
            page.layers.0[layer.row].blocked.add(1);
            let record = Record {
                kind,
                at: now,
                token: holder.map_or(0, |holder| holder.token),
                held: None,
                thread_id: caller.thread_id,
                layer: layer.name,
                layer_row: layer.row as u64,
                other: self.holder.map_or(ShortText::EMPTY, |holder| holder.layer.name),
                other_row: self.holder.map_or(NO_ROW, |holder| holder.layer.row as u64),
            };
            self.note(page, &record, effects);
        }
        let retry_after = match refusal {
            Refusal::Cooldown { left } | Refusal::DuplicateMessage { left } => left,
            // The latest moment at which the holder loses the lock; it may well be earlier.
            Refusal::Held => match rules::hold_end(&self.settings.rules, &self.state) {
                Nanos::FOREVER => Nanos::FOREVER,
                end => end.since(now),
            },
            Refusal::UnknownLayer => Nanos::FOREVER,
        };
        Refused { refusal, holder, retry_after }
    }

    pub fn holder_view(&self, now: Nanos) -> Option<HolderView> {
        self.holder.map(|holder| HolderView {
            token: holder.token,
            layer_row: holder.layer.row,
            thread_id: holder.caller.thread_id,
            process: holder.caller.row.process,
            held: now.since(holder.since),
        })
    }

    #[inline]
    fn apply_due(&mut self, page: &SendPage, due: Due, now: Nanos, effects: &mut Effects) {
        match due {
            Due::Nothing => {}
            Due::Overdue => self.mark_overdue(page, now, effects),
            Due::End(expiry) => self.end(page, End::Expired(expiry), now, effects),
        }
    }

    /// New settings: a hold is overdue by today's timeout or not at all, and a shorter history is short.
    pub fn after_settings(&mut self, page: &SendPage, now: Nanos) {
        let oldest = page.history.written().saturating_sub(self.settings.history_limit as u64);
        self.history_after = self.history_after.max(oldest);
        let (Some(holder), Some(hold)) = (self.holder, self.state.hold.as_mut()) else { return };
        if hold.overdue && !rules::is_overdue(&self.settings.rules, hold, now) {
            hold.overdue = false;
            page.word.write(HoldState::held(holder.token));
        }
    }

    fn mark_overdue(&mut self, page: &SendPage, now: Nanos, effects: &mut Effects) {
        let (Some(holder), Some(hold)) = (self.holder, self.state.hold.as_mut()) else { return };
        hold.overdue = true;
        page.word.write(HoldState::held(holder.token).overdue());
        page.counters.overdue.add(1);
        let record = self.record_of(Kind::Overdue, &holder, ShortText::cut(REASON_TIMEOUT), now);
        self.note(page, &record, effects);
    }

    /// Ends the present hold, if there is one.
    #[inline(always)]
    pub fn end(&mut self, page: &SendPage, how: End, now: Nanos, effects: &mut Effects) {
        let Some(holder) = self.holder.take() else { return };
        self.state = rules::ended(now, &self.state);
        page.last_ended.set(now.0);
        page.word.write(HoldState::free(holder.token));
        page.hold_times.record(now.since(holder.since));
        let row = &page.layers.0[holder.layer.row];
        let counters = &page.counters;
        let (count, kind, reason) = match how {
            End::Released { sent } => {
                if let (false, Some(key)) = (sent, holder.message) {
                    self.sent.forget(key);
                }
                row.releases.add(1);
                (&counters.releases, Kind::Released, ShortText::EMPTY)
            }
            End::Expired(Expiry::Timeout) => {
                (&counters.forced_timeout, Kind::Forced, ShortText::cut(REASON_TIMEOUT))
            }
            End::Expired(Expiry::Stale) => {
                (&counters.forced_stale_timeout, Kind::Forced, ShortText::cut(REASON_STALE))
            }
            End::Forced(reason) => (&counters.forced_manual, Kind::Forced, reason),
            End::ThreadExit => {
                (&counters.forced_thread_exit, Kind::Recovered, ShortText::cut(REASON_THREAD_EXIT))
            }
            End::ProcessExit => {
                (&counters.forced_process_exit, Kind::Recovered, ShortText::cut(REASON_PROCESS_EXIT))
            }
        };
        count.add(1);
        if kind != Kind::Released {
            row.forced.add(1);
        }
        if kind == Kind::Forced {
            self.evict(&holder);
            let what = Told::Lost { token: holder.token };
            effects.tell.push(Delivery::to(&holder.caller, what));
        }
        let record = self.record_of(kind, &holder, reason, now);
        self.note(page, &record, effects);
    }

    fn evict(&mut self, holder: &Holder) {
        if self.evicted.len() == EVICTED_KEPT {
            self.evicted.pop_front();
        }
        self.evicted.push_back((holder.token, holder.layer.name, holder.caller.row));
    }

    /// Whether this failed release is the late one of a hold that was taken away; each counts once.
    pub fn was_evicted(&mut self, row: RowId, layer: Option<&ShortText>, token: Option<u64>) -> bool {
        let found = self.evicted.iter().position(|(evicted, name, from)| {
            *from == row
                && token.is_none_or(|token| token == *evicted)
                && layer.is_none_or(|layer| layer == name)
        });
        found.and_then(|place| self.evicted.remove(place)).is_some()
    }

    fn record_of(&self, kind: Kind, holder: &Holder, other: ShortText, now: Nanos) -> Record {
        Record {
            kind,
            at: now,
            token: holder.token,
            held: Some(now.since(holder.since)),
            thread_id: holder.caller.thread_id,
            layer: holder.layer.name,
            layer_row: holder.layer.row as u64,
            other,
            other_row: NO_ROW,
        }
    }

    #[inline(always)]
    fn note(&self, page: &SendPage, record: &Record, effects: &mut Effects) {
        page.events.push(record);
        if is_on() {
            self.recording.tell(record);
        }
        let in_history = !matches!(record.kind, Kind::BlockedCooldown | Kind::Overdue);
        if in_history && self.settings.history_limit > 0 {
            page.history.push(record);
        }
        // Whatever level is listened to, errors are part of it; the listener leaves out the rest.
        if tracing::enabled!(tracing::Level::ERROR) {
            effects.notes.push(*record);
        }
    }

    /// When the clock next makes something due.
    #[inline]
    pub fn next_due(&self) -> Nanos {
        let anyone_waits = !self.queue.is_empty();
        let due = rules::next_due(&self.settings.rules, &self.state, anyone_waits);
        match self.deadlines.first() {
            Some((deadline, _)) => due.min(*deadline),
            None => due,
        }
    }
}
