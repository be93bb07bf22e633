//! The native events of the send lock, through `tracing`, with typed fields. Called after the mutex is
//! open, and only when somebody listens.

use crate::send::report::action;
use crate::table::ring::{Kind, Record};
use tracing::{error, info, warn};

/// Where the events come from, for filters.
pub const TARGET: &str = "chainlock::send";

/// Tells one record. The message is in the form that the controller's operators know.
pub fn emit(record: &Record) {
    let layer = record.layer.to_text();
    let other = record.other.to_text();
    let (token, thread) = (record.token, record.thread_id);
    let held_ms = record.held.map_or(0, |held| held.whole_ms());
    let action = action(record.kind, &record.other);
    match record.kind {
        Kind::Acquired => {
            info!(target: TARGET, %action, %layer, token, thread, "🔒 SEND LOCK ACQUIRED: {layer}");
        }
        Kind::Released => {
            info!(target: TARGET, %action, %layer, token, thread, held_ms, "🔓 SEND LOCK RELEASED: {layer} (held for {held_ms}ms)");
        }
        Kind::BlockedHeld => {
            warn!(target: TARGET, %action, %layer, token, thread, holder = %other, "DUPLICATE BLOCKED: {layer} - {other} already sending");
        }
        Kind::BlockedCooldown => {
            warn!(target: TARGET, %action, %layer, thread, "⏸️ Cooldown active for {layer}");
        }
        Kind::BlockedDuplicateMessage => {
            warn!(target: TARGET, %action, %layer, thread, "DUPLICATE BLOCKED: {layer} - message already sent");
        }
        Kind::Overdue => {
            warn!(target: TARGET, %action, %layer, token, thread, held_ms, "SEND LOCK OVERDUE: {layer} (held for {held_ms}ms)");
        }
        Kind::Forced => {
            warn!(target: TARGET, %action, %layer, token, thread, held_ms, reason = %other, "FORCE RELEASING STALE LOCK: {layer} ({other}, held for {held_ms}ms)");
        }
        Kind::Recovered => {
            error!(target: TARGET, %action, %layer, token, thread, held_ms, reason = %other, "SEND LOCK RECOVERED: {layer} ({other}, held for {held_ms}ms)");
        }
    }
}
