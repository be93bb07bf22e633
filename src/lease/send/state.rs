//! What the send lock keeps in its record beside the hold: its settings, its times, the messages sent, its counts and
//! its past. As JSON; `docs/formats/lease-record.md` describes it.
//!
//! Times are milliseconds on the store's clock, which nobody knows at the moment of writing: 0 is the instant of the
//! write that carries it, and whoever reads the record puts that instant in its place.

use crate::lease::record::Record;
use crate::lease::rules::View;
use crate::send::config;
use crate::send::layers::DEFAULT_LAYERS;
use crate::send::rules::{self, CooldownFrom, OnTimeout, Rules};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The messages remembered at the most; the oldest goes first.
pub const MOST_SENT: usize = 512;
pub const MOST_HISTORY: usize = 100;
const HISTORY: usize = 20;
/// Reasons that are counted by themselves; what users name is counted together.
pub const MANUAL: &str = "manual";

const THIS_WRITE: u64 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    Acquire,
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overdue {
    Report,
    Release,
}

/// One value for all who use the lock: those of the first, until somebody changes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    pub cooldown_ms: u64,
    pub cooldown_from: From,
    pub timeout_ms: u64,
    pub on_timeout: Overdue,
    pub force_release_ms: u64,
    pub dedup_window_ms: u64,
    pub history_limit: usize,
    /// None: any layer.
    pub layers: Option<Vec<String>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cooldown_ms: config::DEFAULT_COOLDOWN_MS as u64,
            cooldown_from: From::Acquire,
            timeout_ms: config::DEFAULT_TIMEOUT_MS as u64,
            on_timeout: Overdue::Report,
            force_release_ms: config::DEFAULT_FORCE_RELEASE_MS as u64,
            dedup_window_ms: 0,
            history_limit: HISTORY,
            layers: Some(DEFAULT_LAYERS.map(str::to_owned).to_vec()),
        }
    }
}

pub fn nanos(ms: u64) -> Nanos {
    Nanos(ms.saturating_mul(1_000_000))
}

impl Settings {
    pub fn rules(&self) -> Rules {
        Rules {
            cooldown: nanos(self.cooldown_ms),
            timeout: nanos(self.timeout_ms),
            force_after: nanos(self.force_release_ms),
            dedup_window: nanos(self.dedup_window_ms),
            cooldown_from: match self.cooldown_from {
                From::Acquire => CooldownFrom::Acquire,
                From::Release => CooldownFrom::Release,
            },
            on_timeout: match self.on_timeout {
                Overdue::Report => OnTimeout::Report,
                Overdue::Release => OnTimeout::Release,
            },
        }
    }

    /// For how long a hold may last at the most.
    pub fn most_hold(&self) -> Nanos {
        let held = rules::acquired(
            Nanos(0),
            &rules::State { hold: None, last_acquired: Nanos::NEVER, last_ended: Nanos::NEVER },
        );
        rules::hold_end(&self.rules(), &held)
    }

    pub fn knows(&self, layer: &str) -> bool {
        self.layers.as_ref().is_none_or(|layers| layers.iter().any(|known| known == layer))
    }

    /// With what the change names; none when that makes no settings.
    pub fn changed(&self, change: &Map<String, Value>) -> Option<Settings> {
        let mut all = serde_json::to_value(self).ok()?;
        all.as_object_mut()?.extend(change.clone());
        serde_json::from_value(all).ok()
    }
}

/// The hold, which is the lease with this token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    pub token: u64,
    pub layer: String,
    pub since: u64,
    /// A hash of the message that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    pub token: u64,
    pub layer: String,
    /// `acquired`, `released`, `force_released_<reason>`.
    pub action: String,
    pub at: u64,
    /// Of a hold that ended: when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    pub acquisitions: u64,
    pub releases: u64,
    /// By reason.
    pub forced: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    pub settings: Settings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Held>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_acquired: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ended: Option<u64>,
    /// Hashes of messages, and when they were sent; the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<(String, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Past>,
    #[serde(default)]
    pub counts: Counts,
}

/// How a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    Released,
    /// Nothing was sent.
    Unsent,
    /// Not by its holder.
    Forced(&'a str),
}

impl State {
    pub fn new(settings: Settings) -> State {
        State { settings, ..State::default() }
    }

    /// Puts the instant of its write in. A time after that is of another clock (a reboot, a clock that was set back):
    /// it counts as this instant, so that nothing is sent too early.
    pub fn settle(&mut self, at: u64) {
        let hold = self.hold.iter_mut().map(|hold| &mut hold.since);
        let sent = self.sent.iter_mut().map(|(_, at)| at);
        let past =
            self.history.iter_mut().flat_map(|past| [Some(&mut past.at), past.since.as_mut()]).flatten();
        let own = [self.last_acquired.as_mut(), self.last_ended.as_mut()].into_iter().flatten();
        for time in hold.chain(sent).chain(past).chain(own) {
            *time = if *time == THIS_WRITE { at } else { (*time).min(at) };
        }
    }

    /// As the rules look at it. What this very write begins, begins now.
    pub fn seen(&self, now: u64) -> rules::State {
        let at = |time: u64| Nanos(nanos(if time == THIS_WRITE { now } else { time }).0.max(1));
        rules::State {
            hold: self.hold.as_ref().map(|hold| rules::Hold { since: at(hold.since), overdue: false }),
            last_acquired: self.last_acquired.map_or(Nanos::NEVER, at),
            last_ended: self.last_ended.map_or(Nanos::NEVER, at),
        }
    }

    pub fn sent_before(&self, message: Option<&String>, now: u64) -> Option<Nanos> {
        let (_, at) = self.sent.iter().rev().find(|(sent, _)| Some(sent) == message)?;
        Some(nanos(if *at == THIS_WRITE { now } else { *at }))
    }

    /// Those that it names.
    pub fn tokens(&self) -> impl Iterator<Item = u64> {
        self.hold.iter().map(|held| held.token).chain(self.history.iter().map(|past| past.token))
    }

    /// Whether the lease that is its hold is there and counts.
    pub fn stands(&self, record: &Record, view: &View<'_>) -> bool {
        let Some(held) = &self.hold else { return false };
        record.holds.iter().any(|hold| hold.token == held.token && !view.is_over(&hold.term, &hold.who))
    }

    pub fn acquire(&mut self, token: u64, layer: &str, message: Option<&String>, now: u64) {
        self.last_acquired = Some(THIS_WRITE);
        let window = nanos(self.settings.dedup_window_ms);
        self.sent.retain(|(sent, at)| Some(sent) != message && nanos(*at).plus(window) > nanos(now));
        if let Some(message) = message.filter(|_| window.0 > 0) {
            self.sent.push((message.clone(), THIS_WRITE));
            let surplus = self.sent.len().saturating_sub(MOST_SENT);
            self.sent.drain(..surplus);
        }
        self.hold =
            Some(Held { token, layer: layer.to_owned(), since: THIS_WRITE, message: message.cloned() });
        self.counts.acquisitions += 1;
        self.note(token, layer.to_owned(), "acquired".to_owned(), None);
    }

    pub fn end(&mut self, how: End<'_>) {
        let Some(Held { token, layer, since, message }) = self.hold.take() else { return };
        self.last_ended = Some(THIS_WRITE);
        let action = match how {
            End::Released | End::Unsent => {
                self.counts.releases += 1;
                "released".to_owned()
            }
            End::Forced(reason) => {
                let counted = if counted().contains(&reason) { reason } else { MANUAL };
                *self.counts.forced.entry(counted.to_owned()).or_default() += 1;
                format!("force_released_{reason}")
            }
        };
        if how == End::Unsent {
            self.sent.retain(|(sent, _)| Some(sent) != message.as_ref());
        }
        self.note(token, layer, action, Some(since));
    }

    fn note(&mut self, token: u64, layer: String, action: String, since: Option<u64>) {
        self.history.push(Past { token, layer, action, at: THIS_WRITE, since });
        let surplus = self.history.len().saturating_sub(self.settings.history_limit.min(MOST_HISTORY));
        self.history.drain(..surplus);
    }
}

fn counted() -> [&'static str; 4] {
    use crate::send::{REASON_PROCESS_EXIT, REASON_STALE, REASON_TIMEOUT};
    [REASON_TIMEOUT, REASON_STALE, REASON_PROCESS_EXIT, super::REASON_LOST]
}
