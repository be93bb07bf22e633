//! What is neither on the uncontended path nor about a face's own life, as `#[napi]` functions: settings,
//! reports, events, and the orders that nobody gives in a loop. A face is named by its number.

use crate::binding::face::Face;
use crate::binding::home;
use crate::binding::mailbox;
use crate::binding::process::tell;
use crate::binding::thread::{self, AnyFace};
use crate::name::ShortText;
use crate::raw::hold_word::MAX_TOKEN as MAX_SAFE_INTEGER;
use crate::send::config::{Change, LayersChange, MAX_HISTORY_LIMIT, MAX_WAITERS};
use crate::send::lock::Done;
use crate::send::report;
use crate::send::rules::{CooldownFrom, OnTimeout};
use crate::time::{self, Moment, Nanos};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use std::rc::Rc;

pub(super) fn failed(what: &str) -> Error {
    Error::new(Status::GenericFailure, format!("chainlock: {what}"))
}

fn face(number: u32) -> Result<Rc<Face>> {
    match thread::face(number) {
        Some(AnyFace::Send(face)) => Ok(face),
        _ => Err(failed("no such face on a send lock")),
    }
}

/// The answer of an operation, told to everybody; an error when the state that processes share cannot be had.
fn done<T>(done: Done<T>) -> Result<T> {
    let unavailable = done.unavailable;
    let answer = tell(done, None).0;
    if unavailable { Err(failed("the shared state cannot be had")) } else { Ok(answer) }
}

/// Whether events wake the mailbox; answers the newest event's number.
#[napi(catch_unwind)]
pub fn listen(number: u32, wanted: bool) -> Result<f64> {
    let face = face(number)?;
    face.seat.mailbox.listen(wanted);
    if face.lock.is_shared() {
        tell(face.lock.set_listening(mailbox::anybody_listens(), time::now()), None);
    }
    Ok(face.lock.last_event() as f64)
}

/// The events after that number: `{ last, lost, events }` as JSON.
#[napi(catch_unwind)]
pub fn events_after(number: u32, after: f64) -> Result<String> {
    Ok(face(number)?.lock.events_json(after as u64, Moment::read()))
}

/// The settings, checked by the caller; what is missing stays. Times in ms.
#[napi(object)]
pub struct SettingsChange {
    pub cooldown_ms: Option<f64>,
    pub timeout_ms: Option<f64>,
    pub force_release_ms: Option<f64>,
    pub dedup_window_ms: Option<f64>,
    pub cooldown_from_release: Option<bool>,
    pub release_on_timeout: Option<bool>,
    pub history_limit: Option<u32>,
    pub any_layer: Option<bool>,
    pub layers: Option<Vec<String>>,
    pub add_layer: Option<String>,
    pub remove_layer: Option<String>,
}

/// Milliseconds as JavaScript shows them; what is longer than the clock can tell is the largest integer.
fn shown_ms(span: Nanos) -> f64 {
    if span == Nanos::FOREVER { MAX_SAFE_INTEGER as f64 } else { span.as_ms() }
}

/// The settings in force.
#[napi(object)]
pub struct SettingsInForce {
    pub cooldown_ms: f64,
    pub timeout_ms: f64,
    pub force_release_ms: f64,
    pub dedup_window_ms: f64,
    pub cooldown_from_release: bool,
    pub release_on_timeout: bool,
    pub history_limit: u32,
    pub any_layer: bool,
    pub layers: Vec<String>,
}

/// The limits that settings and requests are checked against.
#[napi(object)]
pub struct Limits {
    pub name_bytes: u32,
    pub history_limit: u32,
    pub waiters: u32,
    pub listed_layers: u32,
    /// The layer row that several layers may share, as the last of this many; see `holderLayer`.
    pub shared_row: u32,
    pub rows: u32,
    /// What a holder's row and pid are told apart by.
    pub holder_rows: u32,
    /// The longest name of a lock that processes share, in bytes.
    pub host_name_bytes: u32,
}

#[napi(catch_unwind)]
pub fn limits() -> Limits {
    Limits {
        name_bytes: crate::name::MAX_BYTES as u32,
        history_limit: MAX_HISTORY_LIMIT as u32,
        waiters: MAX_WAITERS as u32,
        listed_layers: crate::send::layers::MOST_LISTED as u32,
        shared_row: crate::send::layers::OTHERS as u32,
        rows: crate::send::host::FIRST_ROW as u32,
        holder_rows: crate::binding::face::HOLDER_ROWS as u32,
        host_name_bytes: crate::send::host::place::LONGEST_NAME as u32,
    }
}

/// The text as a layer id, cleaned; `null` when it cannot be one.
#[napi(catch_unwind)]
pub fn layer_id(text: String) -> Option<String> {
    ShortText::name(&text).map(|name| name.to_text())
}

#[napi(catch_unwind)]
pub fn configure(number: u32, change: SettingsChange) -> Result<()> {
    let name = |text: &String| ShortText::name(text).ok_or_else(|| failed("not a layer id"));
    let layers = match &change {
        SettingsChange { any_layer: Some(true), .. } => Some(LayersChange::Any),
        SettingsChange { layers: Some(list), .. } => {
            Some(LayersChange::Only(list.iter().map(name).collect::<Result<_>>()?))
        }
        SettingsChange { add_layer: Some(layer), .. } => Some(LayersChange::Add(name(layer)?)),
        SettingsChange { remove_layer: Some(layer), .. } => Some(LayersChange::Remove(name(layer)?)),
        _ => None,
    };
    let change = Change {
        cooldown: change.cooldown_ms.map(Nanos::from_ms),
        timeout: change.timeout_ms.map(Nanos::from_ms),
        force_after: change.force_release_ms.map(Nanos::from_ms),
        dedup_window: change.dedup_window_ms.map(Nanos::from_ms),
        cooldown_from: change
            .cooldown_from_release
            .map(|release| if release { CooldownFrom::Release } else { CooldownFrom::Acquire }),
        on_timeout: change
            .release_on_timeout
            .map(|release| if release { OnTimeout::Release } else { OnTimeout::Report }),
        history_limit: change.history_limit.map(|limit| limit as usize),
        layers,
    };
    done(face(number)?.lock.configure(&change, time::now()))
}

#[napi(catch_unwind)]
pub fn settings(number: u32) -> Result<SettingsInForce> {
    let face = face(number)?;
    let settings = face.lock.settings();
    let (any_layer, layers) = face.lock.layers();
    Ok(SettingsInForce {
        cooldown_ms: shown_ms(settings.rules.cooldown),
        timeout_ms: shown_ms(settings.rules.timeout),
        force_release_ms: shown_ms(settings.rules.force_after),
        dedup_window_ms: shown_ms(settings.rules.dedup_window),
        cooldown_from_release: settings.rules.cooldown_from == CooldownFrom::Release,
        release_on_timeout: settings.rules.on_timeout == OnTimeout::Release,
        history_limit: settings.history_limit as u32,
        any_layer,
        layers: layers.iter().map(ShortText::to_text).collect(),
    })
}

/// Whether that layer may ask.
#[napi(catch_unwind)]
pub fn knows_layer(number: u32, layer: String) -> Result<bool> {
    let face = face(number)?;
    Ok(ShortText::name(&layer).is_some_and(|layer| face.lock.knows(&layer)))
}

/// The name in a layer row of the scratch array.
#[napi(catch_unwind)]
pub fn layer_name(number: u32, row: u32) -> Result<String> {
    Ok(face(number)?.layer_name(row as usize).to_text())
}

/// The layer that holds with that token; `null` when it no longer does.
#[napi(catch_unwind)]
pub fn holder_layer(number: u32, token: f64) -> Result<Option<String>> {
    Ok(face(number)?.lock.holder_layer(token as u64).map(|layer| layer.to_text()))
}

#[napi(catch_unwind)]
pub fn force_release(number: u32, reason: String) -> Result<bool> {
    done(face(number)?.lock.force_release(ShortText::cut(&reason), time::now()))
}

/// Does what the clock has made due; whether a hold was ended.
#[napi(catch_unwind)]
pub fn settle(number: u32) -> Result<bool> {
    done(face(number)?.lock.tick(time::now()))
}

/// Sets the last acquisition, in ms since 1970; 0 skips the cooldown.
#[napi(catch_unwind)]
pub fn set_last_send_time(number: u32, epoch_ms: f64) -> Result<()> {
    let moment = Moment::read();
    let at = if epoch_ms == 0.0 { Nanos::NEVER } else { moment.nanos_of(epoch_ms) };
    done(face(number)?.lock.set_last_acquired(at, moment.now))
}

/// The names of the numbers that the raw `metrics()` writes first; a dot is a level.
#[napi(catch_unwind)]
pub fn metric_names() -> Vec<&'static str> {
    report::metric_names()
}

/// The history's records from number `first` on, as JSON, where the raw `metrics()` has no row for a text.
#[napi(catch_unwind)]
pub fn entries_json(number: u32, first: f64, count: u32) -> Result<String> {
    Ok(face(number)?.lock.entries_json(first as u64, count as usize, Moment::read()))
}

#[napi(catch_unwind)]
pub fn status_json(number: u32) -> Result<String> {
    Ok(face(number)?.lock.status_json(Moment::read()))
}

#[napi(catch_unwind)]
pub fn history_json(number: u32) -> Result<String> {
    Ok(face(number)?.lock.history_json(Moment::read()))
}

#[napi(catch_unwind)]
pub fn reset_metrics(number: u32) -> Result<()> {
    done(face(number)?.lock.reset_metrics(time::now()))
}

/// The version of this native code.
#[napi(catch_unwind)]
pub fn version() -> &'static str {
    home::VERSION
}

/// The exports of the copy of chainlock that was loaded first into this process, when that is another one
/// than this; `null` when it is this one. Throws, with both paths and versions, when the two cannot share.
#[napi(catch_unwind, ts_return_type = "typeof import('./binding.cjs') | null")]
pub fn adopt(env: Env) -> Result<Option<Object<'static>>> {
    home::adopt(env)
}
