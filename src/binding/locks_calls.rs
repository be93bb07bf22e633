//! What of the named locks is not called in a loop, as `#[napi]` functions: handles, requests for several
//! locks, reports, settings. A face is named by its number.

#![expect(clippy::too_many_arguments, reason = "`requestAll` has those of the raw `request`")]

use crate::binding::args::short;
use crate::binding::calls::failed;
use crate::binding::locks_face::{self, LocksFace, MOST_ANCESTORS};
use crate::binding::locks_hot::{deadline, given_back};
use crate::binding::process::{PROCESS, tell_named};
use crate::binding::reasons;
use crate::binding::thread::{self, AnyFace};
use crate::local::claim::{Ask, Done, Told};
use crate::local::lock_order::Level;
use crate::local::names::Ref;
use crate::local::resource::Kind;
use crate::local::settings::Change;
use crate::sync::Arc;
use crate::time::{self, Moment, Nanos};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use std::rc::Rc;

/// The longest text that says where a request is made.
const MOST_SITE: usize = 4_096;

fn face(number: u32) -> Result<Rc<LocksFace>> {
    match thread::face(number) {
        Some(AnyFace::Locks(face)) => Ok(face),
        _ => Err(failed("no such face on the named locks")),
    }
}

/// Opens a handle: `kind` 0 for a read/write lock, 1 for a semaphore; without a name it is its handle's alone.
/// Its number, or −1 for a semaphore that has other permits.
#[napi(catch_unwind)]
pub fn open_resource(number: u32, kind: u32, name: Option<Utf16String>, permits: f64) -> Result<f64> {
    let face = face(number)?;
    let kind = if kind == 0 { Kind::ReadWrite } else { Kind::Semaphore };
    let Some(resource) = PROCESS.named.open(kind, name.as_deref(), permits as u64) else { return Ok(-1.0) };
    face.opened(resource);
    Ok(f64::from(resource.0))
}

#[napi(catch_unwind)]
pub fn close_resource(number: u32, resource: u32) -> Result<()> {
    face(number)?.close_resource(Ref(resource));
    Ok(())
}

/// What a semaphore has, and what waits for it.
#[napi(object)]
pub struct SemaphoreState {
    pub permits: f64,
    pub used: f64,
    pub waiting: f64,
}

#[napi(catch_unwind)]
pub fn semaphore_state(number: u32, resource: u32) -> Result<SemaphoreState> {
    face(number)?;
    let (permits, used, waiting) = PROCESS.named.semaphore_state(Ref(resource));
    Ok(SemaphoreState { permits: permits as f64, used: used as f64, waiting: waiting as f64 })
}

/// Gives a semaphore another number of permits; answers as the raw `release`.
#[napi(catch_unwind)]
pub fn resize_semaphore(number: u32, resource: u32, permits: f64) -> Result<f64> {
    let face = face(number)?;
    let Done { tell, wake_at, .. } = PROCESS.named.resize(Ref(resource), permits as u64, time::now());
    Ok(given_back(&face, Done { answer: true, tell, wake_at }))
}

/// The raw `request` for several read/write locks: all of them or none.
#[napi(catch_unwind)]
pub fn request_all(
    number: u32,
    targets: Vec<Utf16String>,
    weights: Vec<u32>,
    timeout_ms: f64,
    priority: i32,
    flags: u32,
    ancestors: u32,
    label: Option<String>,
    class_name: Option<String>,
) -> Result<f64> {
    let face = face(number)?;
    let now = time::now();
    let targets: Vec<(Vec<u16>, u64)> =
        targets.iter().zip(weights).map(|(name, weight)| (name.to_vec(), u64::from(weight))).collect();
    let label = label.as_deref().map(short).filter(|label| !label.is_empty());
    let mut tokens = [0; MOST_ANCESTORS];
    let site = face.site.take();
    let ask = Ask {
        deadline: deadline(Some(timeout_ms), now),
        priority,
        sync: flags & locks_face::SYNC != 0,
        ancestors: face.ancestors(u64::from(ancestors), &mut tokens),
        label: label.as_deref(),
        class: class_name.as_deref(),
        site: site.as_deref(),
        ..Ask::default()
    };
    let done = PROCESS.named.request_all(face.seat.caller, &targets, ask, now);
    Ok(face.put_outcome(tell_named(done, None).0, now))
}

/// A text whose number a call or a delivery gave, once.
#[napi(catch_unwind)]
pub fn locks_text(number: u32, text: f64) -> Result<String> {
    Ok(face(number)?.take_text(text as u64).map_or_else(String::new, |text| text.to_string()))
}

/// Where in the program the next request of this face is made; for the order of locks.
#[napi(catch_unwind)]
pub fn set_site(number: u32, site: String) -> Result<()> {
    let mut site = site;
    let end = (0..=site.len().min(MOST_SITE)).rfind(|at| site.is_char_boundary(*at));
    site.truncate(end.unwrap_or(0));
    face(number)?.site.replace(Some(site));
    Ok(())
}

/// The holds and the requests: the standard's snapshot, or all that is known, as JSON.
#[napi(catch_unwind)]
pub fn locks_query(number: u32, detail: bool) -> Result<String> {
    face(number)?;
    Ok(PROCESS.named.query_json(detail, Moment::read()))
}

/// What was counted, of one name or of all, as JSON.
#[napi(catch_unwind)]
pub fn lock_statistics(number: u32, name: Option<Utf16String>) -> Result<String> {
    face(number)?;
    Ok(PROCESS.named.statistics_json(name.as_deref(), Moment::read()))
}

/// The same for one handle.
#[napi(catch_unwind)]
pub fn resource_statistics(number: u32, resource: u32) -> Result<String> {
    face(number)?;
    Ok(PROCESS.named.statistics_of_json(Ref(resource), Moment::read()))
}

#[napi(catch_unwind)]
pub fn reset_lock_statistics(number: u32, name: Option<Utf16String>) -> Result<()> {
    face(number)?;
    PROCESS.named.reset_statistics(name.as_deref());
    Ok(())
}

/// Who holds and who waits, of one name or of all, as JSON.
#[napi(catch_unwind)]
pub fn lock_status(number: u32, name: Option<Utf16String>) -> Result<String> {
    face(number)?;
    Ok(PROCESS.named.status_json(name.as_deref(), Moment::read()))
}

/// The cycles there are, and the waits that are older than that, as JSON.
#[napi(catch_unwind)]
pub fn lock_deadlocks(number: u32, older_than_ms: f64) -> Result<String> {
    face(number)?;
    Ok(PROCESS.named.deadlocks_json(Nanos::from_ms(older_than_ms), Moment::read()))
}

/// Settings, checked by the caller; what is missing stays. Times in ms, `Infinity` for none.
#[napi(object)]
pub struct LocksSettingsChange {
    pub read_timeout_ms: Option<f64>,
    pub write_timeout_ms: Option<f64>,
    pub long_wait_ms: Option<f64>,
    /// What an inversion of the order of locks leads to: 0 nothing, 1 a warning, 2 an error.
    pub lock_order: Option<u32>,
}

#[napi(object)]
pub struct LocksSettingsInForce {
    pub read_timeout_ms: f64,
    pub write_timeout_ms: f64,
    pub long_wait_ms: f64,
    pub lock_order: u32,
}

/// Changes the settings of the process.
#[napi(catch_unwind)]
pub fn configure_locks(number: u32, change: LocksSettingsChange) -> Result<()> {
    face(number)?;
    let LocksSettingsChange { read_timeout_ms, write_timeout_ms, long_wait_ms, lock_order } = change;
    let order = lock_order.map(|order| match order {
        0 => Level::Off,
        1 => Level::Warn,
        _ => Level::Error,
    });
    PROCESS.named.configure(&Change { read_timeout_ms, write_timeout_ms, long_wait_ms, order });
    Ok(())
}

/// The settings of the process.
#[napi(catch_unwind)]
pub fn locks_settings(number: u32) -> Result<LocksSettingsInForce> {
    face(number)?;
    let settings = &PROCESS.named.settings;
    Ok(LocksSettingsInForce {
        read_timeout_ms: settings.read_timeout_ms(),
        write_timeout_ms: settings.write_timeout_ms(),
        long_wait_ms: settings.long_wait_ms(),
        lock_order: settings.order() as u32,
    })
}

/// Now, on the clock in which raw calls tell when a hold began, in ms.
#[napi(catch_unwind)]
pub fn clock_ms() -> f64 {
    time::now().as_ms()
}

/// Ends every hold of a name; how many. The reason may be empty.
#[napi(catch_unwind)]
pub fn force_release_name(number: u32, name: Utf16String, reason: String) -> Result<f64> {
    face(number)?;
    let reason: Arc<str> = short(&reason).into();
    let done = PROCESS.named.force_release(&name, &reason, time::now());
    for delivery in &done.tell {
        if let Told::Lost { token, .. } = delivery.what {
            reasons::keep(token, &reason);
        }
    }
    Ok(tell_named(done, None).0 as f64)
}

/// Why the hold with that token was taken away by force; nothing when it was not, or long ago.
#[napi(catch_unwind)]
pub fn lost_reason(token: f64) -> Option<String> {
    reasons::of(token as u64).map(|reason| reason.to_string())
}

/// A request for the send lock begins to wait inside of holds of named locks, whose tokens lie in the scratch
/// array: its number, or the raw request's code for a deadlock.
#[napi(catch_unwind)]
pub fn send_wait(number: u32, ancestors: u32, label: String) -> Result<f64> {
    let face = face(number)?;
    let mut tokens = [0; MOST_ANCESTORS];
    let ancestors = face.ancestors(u64::from(ancestors), &mut tokens);
    let done = PROCESS.named.wait_outside(face.seat.caller, ancestors, &short(&label), time::now());
    Ok(match tell_named(done, None).0 {
        Ok(wait) => wait as f64,
        Err(report) => face.put_report(report, locks_face::DEADLOCK),
    })
}

/// That wait is over, however it ended.
#[napi(catch_unwind)]
pub fn send_wait_over(wait: f64) {
    PROCESS.named.wait_outside_over(wait as u64);
}
