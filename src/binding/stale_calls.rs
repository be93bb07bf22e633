//! What judging and clearing other people's locks needs of the system and Node does not have, as `#[napi]`
//! functions.

use crate::binding::keeper_calls::word_of;
use crate::name;
use crate::sys::entry;
use crate::sys::process::{self, Identity};
use crate::time;
use napi_derive::napi;

/// This process, as far as others can compare it.
#[napi(object)]
pub struct OwnIdentity {
    pub boot_id: Option<String>,
    pub pid_namespace: f64,
    pub time_namespace: f64,
}

/// The wall clock, which a test framework in JavaScript cannot replace: ages of files hang on it.
#[napi(catch_unwind)]
pub fn wall_ms() -> f64 {
    time::epoch_ms()
}

#[napi(catch_unwind)]
pub fn own_identity() -> OwnIdentity {
    let Identity { boot, pid_namespace, time_namespace, .. } = process::own();
    OwnIdentity {
        boot_id: (boot != [0; 2]).then(|| format!("{:016x}{:016x}", boot[0], boot[1])),
        pid_namespace: pid_namespace as f64,
        time_namespace: time_namespace as f64,
    }
}

/// The process that has a pid now.
#[napi(object)]
pub struct FoundProcess {
    pub life: String,
    /// In clock ticks since the boot.
    pub start_ticks: Option<f64>,
    pub command: Option<String>,
}

#[napi(catch_unwind)]
pub fn find_process(pid: u32) -> FoundProcess {
    let start = process::start_of(pid);
    let life = process::look(&Identity { pid, start: start.unwrap_or_default(), ..process::own() });
    FoundProcess {
        life: word_of(life).to_owned(),
        start_ticks: start.map(|start| start as f64),
        command: process::command_of(pid).map(|command| name::clean(&command).into_owned()),
    }
}

/// 0, or the number of the system's error.
#[napi(catch_unwind)]
pub fn exchange_entries(one: String, other: String) -> i32 {
    entry::exchange(&one, &other).err().unwrap_or(0)
}

/// 0 for the kernel's lock on an open file, −1 when somebody else has it, or the number of the system's error.
#[napi(catch_unwind)]
pub fn try_flock(fd: i32) -> i32 {
    match entry::try_flock(fd) {
        Ok(true) => 0,
        Ok(false) => -1,
        Err(number) => number,
    }
}
