//! What people are shown of a host lock: read from its file, for diagnosis only.

use crate::host::Fault;
use crate::host::deadlock::holders;
use crate::host::page::Holder;
use crate::host::shown::own;
use crate::host::turns::HostLock;
use crate::name::clean;
use crate::sync::Ordering;
use crate::sys::process::{self, Life};
use crate::time::{self, Moment, Nanos};
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub path: String,
    /// By what the file tells: `exclusive`, `shared` or nobody.
    pub mode: Option<&'static str>,
    /// Of the last grant; 0 before the first.
    pub token: u64,
    /// Processes that wait.
    pub waiters: u64,
    pub holders: Vec<HolderView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HolderView {
    pub pid: u32,
    pub thread_id: u64,
    pub label: Option<String>,
    /// How long it has held, and since when on the wall clock.
    pub held_ms: u64,
    pub acquired_at: f64,
    pub token: u64,
    pub command: String,
    pub is_own: bool,
    /// False when its process is gone; `None` where that cannot be told.
    pub is_alive: Option<bool>,
    /// The host lock for which it waits meanwhile.
    pub waits_for: Option<String>,
}

pub fn status(lock: &HostLock) -> Result<Status, Fault> {
    let file = lock.file()?;
    let page = file.page();
    let mut holders: Vec<HolderView> = holders(page).map(view).collect();
    holders.retain(|holder| holder.is_alive != Some(false));
    // The exclusive one comes first, and is alone.
    let exclusive = page.holder.read().map(|(_, holder)| holder.token);
    let mode =
        holders.first().map(|first| if Some(first.token) == exclusive { "exclusive" } else { "shared" });
    Ok(Status {
        path: file.path().display().to_string(),
        mode,
        token: page.token.load(Ordering::Relaxed),
        waiters: file.others_waiting() + u64::from(lock.with(|state| !state.queue.is_empty())),
        holders,
    })
}

/// One holder, as people are shown it.
pub fn view(holder: Holder) -> HolderView {
    let since = Nanos::from_system(holder.since);
    let is_alive = match process::look(&holder.who) {
        Life::Alive => Some(true),
        Life::Dead => Some(false),
        Life::Unknown => None,
    };
    HolderView {
        pid: holder.who.pid,
        thread_id: holder.thread,
        label: (!holder.label.is_empty()).then_some(holder.label),
        held_ms: time::now().since(since).whole_ms(),
        acquired_at: Moment::read().epoch_of(since),
        token: holder.token,
        command: holder.command,
        is_own: holder.who.pid == own().pid && holder.who.start == own().start,
        is_alive,
        waits_for: holder.wants.map(|path| clean(&path).into_owned()),
    }
}
