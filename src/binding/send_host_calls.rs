//! A send lock that processes share: how this process joins, and its one native thread that hears from the others.

use crate::binding::calls::failed;
use crate::binding::mailbox;
use crate::binding::process::{PROCESS, tell};
use crate::name::clean;
use crate::send::host::{Fault, Watcher, place};
use crate::time;
use napi::bindgen_prelude::*;
use napi_derive::napi;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What is wrong with the state that processes share.
#[napi(object)]
pub struct HostFault {
    pub code: String,
    pub message: String,
    pub path: String,
    pub errno: Option<String>,
}

fn shown(path: &Path, fault: Fault) -> HostFault {
    HostFault {
        code: fault.code.into(),
        message: fault.message,
        path: clean(&path.to_string_lossy()).into_owned(),
        errno: fault.errno.map(Into::into),
    }
}

/// Shares the process's send lock with all processes of the user that name it so; what is wrong when it cannot be.
#[napi(catch_unwind)]
pub fn join_host(name: String) -> Result<Option<HostFault>> {
    match PROCESS.send.join_host(&name, mailbox::anybody_listens(), time::now()) {
        Ok(None) => Ok(None),
        Ok(Some(watcher)) => {
            PROCESS.table.header.shares_send.set(1);
            let thread = std::thread::Builder::new().name("chainlock-host".into()).stack_size(256 * 1024);
            match thread.spawn(move || run(watcher)) {
                Ok(_) => Ok(None),
                Err(error) => {
                    Err(failed(&format!("cannot start the thread that hears from others: {error}")))
                }
            }
        }
        Err(fault) => Ok(Some(shown(&place::path_of(&name), fault))),
    }
}

/// Whether the process's send lock is shared with other processes.
#[napi(catch_unwind)]
pub fn is_shared() -> bool {
    PROCESS.send.is_shared()
}

/// What was last wrong with the shared state; `null` for nothing.
#[napi(catch_unwind)]
pub fn host_fault() -> Option<HostFault> {
    let (path, fault) = PROCESS.send.fault()?;
    fault.map(|fault| shown(&path, fault))
}

fn run(mut watcher: Watcher) {
    loop {
        // It must go on, whatever one look has met.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let (done, has_events) = watcher.attend(&PROCESS.send, time::now);
            for done in done {
                tell(done, None);
            }
            if has_events {
                mailbox::announce_events();
            }
        }));
    }
}
