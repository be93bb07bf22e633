//! What is seen of other processes besides their tables: lock files, and what the system tells of a process; and of
//! the threads of this one, whether their event loops turn. Texts in JSON.

use crate::binding::calls::failed;
use crate::binding::process::PROCESS;
use crate::host::outside::{self, Kernel};
use crate::name::clean;
use crate::private_folder;
use crate::send::host::outside as send_outside;
use crate::sys::process_facts::{Facts, facts_of};
use crate::time::{self, Moment};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Files of the private folder that are looked at.
const MOST_FILES: usize = 10_000;

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<Vec<T>> {
    serde_json::from_str(text).map_err(|error| failed(&format!("a list in JSON is expected: {error}")))
}

fn text_of(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| failed(&error.to_string()))
}

/// Every lock file in the user's private folder, and those of the given paths (a list in JSON), read and not
/// touched: `{ kind: 'host' | 'send', path, name, skipped?, … }`, a list in JSON.
#[napi(catch_unwind)]
pub fn look_at_host_locks(paths_json: String) -> Result<String> {
    let given: Vec<PathBuf> = parsed::<String>(&paths_json)?.into_iter().map(PathBuf::from).collect();
    let (mut kernel, moment) = (Kernel::read(), Moment::read());
    let found = private_folder::entries(MOST_FILES);
    let mut views: Vec<Value> = Vec::new();
    let named = found.iter().map(|path| (path, true));
    for (path, is_named) in
        named.chain(given.iter().filter(|path| !found.contains(path)).map(|path| (path, false)))
    {
        views.extend(look_at(path, is_named, &mut kernel, moment));
    }
    text_of(&views)
}

fn look_at(path: &Path, is_named: bool, kernel: &mut Kernel, moment: Moment) -> Option<Value> {
    let file = path.file_name()?.to_string_lossy();
    if send_outside::name_of(&file).is_some() {
        let view = send_outside::look(path, kernel.locks.as_ref(), &mut kernel.mounts, moment);
        return serde_json::to_value(view).ok();
    }
    // What else lies in the private folder is no lock.
    let is_lock = !is_named || file.ends_with(".lock");
    is_lock.then(|| serde_json::to_value(outside::look(path, is_named, kernel, moment)).ok()).flatten()
}

/// What the system tells of processes, given by a list of pids in JSON; those that nobody has are left out.
#[napi(catch_unwind)]
pub fn process_facts(pids_json: String) -> Result<String> {
    let pids: Vec<u32> = parsed(&pids_json)?;
    let told: Vec<Value> = pids.into_iter().filter_map(|pid| Some(told_of(pid, &facts_of(pid)?))).collect();
    text_of(&told)
}

fn told_of(pid: u32, facts: &Facts) -> Value {
    json!({
        "pid": pid,
        "state": facts.state.word(),
        "startTime": facts.start_ticks,
        "startTimeMs": time::epoch_of_boot(facts.started_after_boot),
        "command": clean(&facts.short()),
        "commandLine": facts.arguments.iter().map(|word| clean(word)).collect::<Vec<_>>(),
        "cwd": facts.folder.as_deref().map(clean),
        "uid": facts.user,
        "pidNamespaceIsOurs": facts.in_our_namespace,
        "threads": facts.threads,
    })
}

/// The threads of this process that have chainlock loaded: `{ threadId, nativeId, silentMs }`, a list in JSON;
/// `silentMs` is `null` for an event loop that is idle, and for one of which nothing is known.
#[napi(catch_unwind)]
pub fn silences() -> Result<String> {
    let now = time::now();
    let told: Vec<Value> = PROCESS
        .rows
        .live_rows()
        .map(|row| {
            json!({
                "threadId": row.thread_id.get(),
                "nativeId": row.native_id.get(),
                "silentMs": row.silent_for(now).map(|span| span.as_ms()),
            })
        })
        .collect();
    text_of(&told)
}
