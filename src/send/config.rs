//! The settings: their defaults, and how a change is applied. Validation of what users pass is the face's;
//! what arrives here is in range.

use crate::name::ShortText;
use crate::send::rules::{CooldownFrom, OnTimeout, Rules};
use crate::table::layout::{HISTORY, RuleFields};
use crate::time::Nanos;

pub const DEFAULT_COOLDOWN_MS: f64 = 2_000.0;
pub const DEFAULT_TIMEOUT_MS: f64 = 300_000.0;
pub const DEFAULT_FORCE_RELEASE_MS: f64 = 600_000.0;
pub const DEFAULT_HISTORY_LIMIT: usize = 100;
pub const MAX_HISTORY_LIMIT: usize = HISTORY;
/// Waiters that may queue before the next is refused.
pub const MAX_WAITERS: usize = 10_000;

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub rules: Rules,
    pub history_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Rules {
                cooldown: Nanos::from_ms(DEFAULT_COOLDOWN_MS),
                timeout: Nanos::from_ms(DEFAULT_TIMEOUT_MS),
                force_after: Nanos::from_ms(DEFAULT_FORCE_RELEASE_MS),
                dedup_window: Nanos(0),
                cooldown_from: CooldownFrom::Acquire,
                on_timeout: OnTimeout::Report,
            },
            history_limit: DEFAULT_HISTORY_LIMIT,
        }
    }
}

/// Who may ask from now on.
#[derive(Clone, Debug)]
pub enum LayersChange {
    Any,
    Only(Vec<ShortText>),
    Add(ShortText),
    Remove(ShortText),
}

/// What is to change; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub cooldown: Option<Nanos>,
    pub timeout: Option<Nanos>,
    pub force_after: Option<Nanos>,
    pub dedup_window: Option<Nanos>,
    pub cooldown_from: Option<CooldownFrom>,
    pub on_timeout: Option<OnTimeout>,
    pub history_limit: Option<usize>,
    pub layers: Option<LayersChange>,
}

impl Settings {
    pub fn apply(&mut self, change: &Change) {
        let rules = &mut self.rules;
        rules.cooldown = change.cooldown.unwrap_or(rules.cooldown);
        rules.timeout = change.timeout.unwrap_or(rules.timeout);
        rules.force_after = change.force_after.unwrap_or(rules.force_after);
        rules.dedup_window = change.dedup_window.unwrap_or(rules.dedup_window);
        rules.cooldown_from = change.cooldown_from.unwrap_or(rules.cooldown_from);
        rules.on_timeout = change.on_timeout.unwrap_or(rules.on_timeout);
        self.history_limit = change.history_limit.unwrap_or(self.history_limit).min(MAX_HISTORY_LIMIT);
    }

    /// What [`Self::publish`] wrote.
    pub fn published(fields: &RuleFields) -> Rules {
        Rules {
            cooldown: Nanos(fields.cooldown.get()),
            timeout: Nanos(fields.timeout.get()),
            force_after: Nanos(fields.force_after.get()),
            dedup_window: Nanos(fields.dedup_window.get()),
            cooldown_from: match fields.cooldown_from.get() {
                0 => CooldownFrom::Acquire,
                _ => CooldownFrom::Release,
            },
            on_timeout: match fields.on_timeout.get() {
                0 => OnTimeout::Report,
                _ => OnTimeout::Release,
            },
        }
    }

    pub fn publish(&self, any_layer: bool, fields: &RuleFields) {
        fields.cooldown.set(self.rules.cooldown.0);
        fields.timeout.set(self.rules.timeout.0);
        fields.force_after.set(self.rules.force_after.0);
        fields.dedup_window.set(self.rules.dedup_window.0);
        fields.cooldown_from.set(u64::from(self.rules.cooldown_from == CooldownFrom::Release));
        fields.on_timeout.set(u64::from(self.rules.on_timeout == OnTimeout::Release));
        fields.history_limit.set(self.history_limit as u64);
        fields.any_layer.set(u64::from(any_layer));
    }
}
