//! What of the host locks is not called in a loop, as `#[napi]` functions. A face is named by its number, a file
//! by its number in the face. What can go wrong with a file is an answer, not an exception: a text in JSON.

use crate::binding::calls::failed;
use crate::binding::host_face::HostFace;
use crate::binding::opening::{self, OpenedHostFace};
use crate::binding::process::PROCESS;
use crate::binding::thread::{self, AnyFace};
use crate::host::directory::{MAX_NAME_BYTES, Place};
use crate::host::report;
use napi::bindgen_prelude::*;
use napi_derive::napi;
use std::path::Path;
use std::rc::Rc;

fn face(number: u32) -> Result<Rc<HostFace>> {
    match thread::face(number) {
        Some(AnyFace::Host(face)) => Ok(face),
        _ => Err(failed("no such face on the host locks")),
    }
}

/// Opens a face on the process's host locks. `scratch` is a `Float64Array` of `hostLayout().scratchLength`
/// elements that the result keeps alive.
#[napi(catch_unwind)]
pub fn open_host_face(env: Env, thread_id: u32, scratch: Object) -> Result<OpenedHostFace> {
    opening::open_host(env, thread_id, scratch)
}

/// What lies where in the scratch array of the host locks, in doubles, and what a name may be.
#[napi(object)]
pub struct HostLayout {
    pub scratch_length: u32,
    /// How many one fetched delivery takes.
    pub told_length: u32,
    pub max_name_bytes: u32,
}

#[napi(catch_unwind)]
pub fn host_layout() -> HostLayout {
    HostLayout {
        scratch_length: thread::SCRATCH as u32,
        told_length: thread::TOLD_SIZE as u32,
        max_name_bytes: MAX_NAME_BYTES as u32,
    }
}

/// What an opening led to: a number, or why there is none.
#[napi(object)]
pub struct OpenedFile {
    pub file: Option<u32>,
    /// The lock file, in its one spelling.
    pub path: Option<String>,
    /// `{ code, path, errno?, message }`, in JSON.
    pub fault: Option<String>,
}

/// Opens a lock file by the name of its lock, or by its path.
#[napi(catch_unwind)]
pub fn host_open(number: u32, given: String, is_path: bool, allow_network_fs: bool) -> Result<OpenedFile> {
    let face = face(number)?;
    let place =
        if is_path { Place::of_path(Path::new(&given), allow_network_fs) } else { Place::of_name(&given) };
    Ok(match place.and_then(|place| PROCESS.host.open(place)) {
        Ok(lock) => {
            let path = lock.place.path().display().to_string();
            OpenedFile { file: Some(face.opened(lock)), path: Some(path), fault: None }
        }
        Err(fault) => OpenedFile { file: None, path: None, fault: serde_json::to_string(&fault).ok() },
    })
}

#[napi(catch_unwind)]
pub fn host_close(number: u32, file: u32) -> Result<()> {
    face(number)?.close(file);
    Ok(())
}

/// A text that the native side keeps until it is taken, once; empty when it is not there any more.
#[napi(catch_unwind)]
pub fn host_text(number: u32, text: f64) -> Result<String> {
    Ok(face(number)?.take_text(text as u64).unwrap_or_default())
}

/// What the file tells of its holders, in JSON; a fault as it stands in `hostOpen`.
#[napi(catch_unwind)]
pub fn host_status(number: u32, file: u32) -> Result<String> {
    let lock = face(number)?.lock(file).ok_or_else(|| failed("no such lock file"))?;
    let text = match report::status(&lock) {
        Ok(status) => serde_json::to_string(&status),
        Err(fault) => serde_json::to_string(&serde_json::json!({ "fault": fault })),
    };
    text.map_err(|error| failed(&error.to_string()))
}

/// Who held before that hold and did not live to give it back, in JSON; empty for nobody.
#[napi(catch_unwind)]
pub fn host_died(number: u32, hold: f64) -> Result<String> {
    let Some((lock, id)) = face(number)?.hold(hold) else { return Ok(String::new()) };
    let died =
        lock.with(|state| state.holds.iter().find(|hold| hold.id == id).and_then(|hold| hold.died.clone()));
    Ok(died.and_then(|holder| serde_json::to_string(&report::view(*holder)).ok()).unwrap_or_default())
}
