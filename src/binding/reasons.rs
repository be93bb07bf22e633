//! Why holds were taken away by force: the reasons of the last of them, for the holders' errors. By token, which
//! is one for ever, so that whoever asks late gets its own reason or none.

use crate::sync::{Arc, Mutex};
use once_cell::sync::Lazy;
use std::collections::VecDeque;

/// How many are kept.
const MOST: usize = 1_000;

/// A token and why its hold was taken away.
type Reason = (u64, Arc<str>);

static REASONS: Lazy<Mutex<VecDeque<Reason>>> = Lazy::new(Mutex::default);

pub fn keep(token: u64, reason: &Arc<str>) {
    let mut reasons = REASONS.lock();
    if reasons.len() >= MOST {
        reasons.pop_front();
    }
    reasons.push_back((token, reason.clone()));
}

pub fn of(token: u64) -> Option<Arc<str>> {
    REASONS.lock().iter().rev().find(|(other, _)| *other == token).map(|(_, reason)| reason.clone())
}
