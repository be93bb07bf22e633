//! What a table says, as plain data for JSON. Instants are epoch milliseconds (`…_at_ms`), spans are
//! milliseconds; text is as its maker wrote it, and the JSON is plain ASCII.

use serde::Serialize;
use std::fmt::Write;

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    pub processes: Vec<ProcessView>,
    pub unseen: Vec<UnseenView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnseenView {
    pub pid: u32,
    pub command: Option<String>,
    pub reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout_version: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessView {
    pub pid: u32,
    pub layout_version: u64,
    pub version: Option<String>,
    pub is_own: bool,
    pub now_ns: u64,
    pub rows: Vec<RowView>,
    pub table: TableView,
    /// `null`: it is shared with other processes, and their file shows it.
    pub send: Option<LockView>,
    pub locks: Vec<LockView>,
    pub deadlocks: u64,
    pub order_inversions: u64,
    pub journal: Option<JournalView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RowView {
    pub thread_id: u64,
    pub generation: u64,
    pub since_ns: u64,
    pub since_at_ms: f64,
    pub native_id: u64,
    /// How long its event loop has not turned; `null` for an idle one and where nothing is known.
    pub silent_ms: Option<f64>,
    pub live: bool,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableView {
    pub slots: u64,
    pub used: u64,
    pub unshown: u64,
    pub claims: u64,
    pub claims_used: u64,
    pub claims_unshown: u64,
    pub rows: u64,
    pub rows_used: u64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LockView {
    pub name: Option<String>,
    pub name_cut: bool,
    pub kind: &'static str,
    pub scope: &'static str,
    /// Tells locks without a name apart.
    pub slot: Option<u32>,
    pub path: Option<String>,
    pub state: &'static str,
    pub mode: Option<&'static str>,
    pub permits: Option<u64>,
    pub used: u64,
    pub holders: Vec<HolderView>,
    pub holder_count: u64,
    pub waiters: Vec<WaiterView>,
    pub waiter_count: u64,
    /// The lists could not be made out together with the counts, which hold: they may lack somebody.
    pub torn: bool,
    pub last_token: u64,
    pub acquisitions: u64,
    pub releases: u64,
    pub errors: u64,
    pub contended: u64,
    pub timeouts: u64,
    pub aborts: u64,
    pub forced: u64,
    pub stolen: u64,
    pub recoveries: u64,
    pub deadlocks: u64,
    pub wait: TimesView,
    pub hold: TimesView,
    pub events: Vec<EventView>,
    pub send: Option<SendView>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimesView {
    pub count: u64,
    pub total_ms: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Vec<(f64, u64)>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HolderView {
    pub pid: Option<u32>,
    pub thread_id: u64,
    pub thread_row: u64,
    pub layer: Option<String>,
    pub label: Option<String>,
    pub token: u64,
    pub mode: &'static str,
    pub weight: u64,
    pub since_at_ms: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaiterView {
    pub position: u64,
    pub pid: Option<u32>,
    pub thread_id: u64,
    pub thread_row: u64,
    pub layer: Option<String>,
    pub label: Option<String>,
    pub mode: &'static str,
    pub weight: u64,
    pub since_at_ms: f64,
    pub deadline_at_ms: Option<f64>,
    pub priority: i64,
    pub inside_of: Vec<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    pub at_ms: f64,
    pub kind: &'static str,
    pub layer: Option<String>,
    pub label: Option<String>,
    pub thread_id: u64,
    pub token: Option<u64>,
    pub span_ms: Option<f64>,
    pub other: Option<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendView {
    pub cooldown_ms: f64,
    pub cooldown_left_ms: f64,
    pub timeout_ms: Option<f64>,
    pub force_after_ms: Option<f64>,
    pub due_timeout_ms: Option<f64>,
    pub due_force_ms: Option<f64>,
    pub is_overdue: bool,
    pub duplicates_suppressed: u64,
    pub blocked_held: u64,
    pub blocked_cooldown: u64,
    pub refused_unknown_layer: u64,
    pub queue_full: u64,
    pub joins: u64,
    pub forced_by_reason: ForcedView,
    pub layers: Vec<LayerView>,
    pub overdue: u64,
    pub late_releases: u64,
}

#[derive(Debug, Default, Serialize)]
pub struct ForcedView {
    pub manual: u64,
    pub timeout: u64,
    pub stale_timeout: u64,
    pub thread_exit: u64,
    pub process_exit: u64,
}

#[derive(Debug, Serialize)]
pub struct LayerView {
    pub layer: String,
    pub acquisitions: u64,
    pub releases: u64,
    pub blocked: u64,
    pub forced: u64,
}

/// JSON of nothing but printable ASCII: what is not, stands only in texts, which can be written otherwise.
pub fn to_json(value: &impl Serialize) -> String {
    // Only maps with keys that are not strings and failing writers can fail; there are none of either.
    let text = serde_json::to_string(value).unwrap_or_default();
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return text;
    }
    let mut ascii = String::with_capacity(text.len() + text.len() / 8);
    for sign in text.chars() {
        if (' '..='~').contains(&sign) {
            ascii.push(sign);
            continue;
        }
        for unit in sign.encode_utf16(&mut [0; 2]) {
            // Writing to a String does not fail.
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
}

/// How far the process's journal is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalView {
    pub path: String,
    pub pending: u64,
    pub written: u64,
    pub dropped: u64,
    /// How long the newest event that was taken has waited to be in the file; 0 when none waits.
    pub lag_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_plain_ascii_and_says_the_same() {
        for text in ["a\"b\\", "\x1b[2J", "\u{9b}2J \u{202e}", "漢字 🔒", "\u{7f}\0"] {
            let json = to_json(&text);
            assert!(json.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{json:?}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
