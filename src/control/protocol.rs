//! Frames and answers of the control socket: text in, a request or a refusal out. No system, no locks, no clock.
//! The form is described for others in docs/formats/control.md.

use crate::name::clean;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// Grows when a frame that was understood would mean something else.
pub const PROTOCOL: u32 = 1;
/// The largest token, which is the largest integer that JavaScript can count with.
const MAX_TOKEN: u64 = (1 << 53) - 1;
/// How much of a text that came from outside goes back in a message.
const MOST_ECHO: usize = 200;

/// Who answers: what tells this process from every other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    pub pid: u32,
    /// In clock ticks since the boot, as the system tells it; 0 where it does not.
    pub start: u64,
    pub version: &'static str,
    pub layout_version: u64,
}

/// What an operator may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Ping,
    Release(Release),
}

/// End this very hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub kind: Kind,
    /// `None` for a lock without a name.
    pub name: Option<String>,
    /// Whether that is only how the name begins: what a table shows of a long one.
    pub name_cut: bool,
    pub token: u64,
    /// Why; not empty.
    pub reason: String,
    pub by: Option<By>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Send,
    Lock,
    Semaphore,
}

/// Who gives the order, in its own words: for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct By {
    pub pid: u32,
    pub command: String,
}

/// Why a frame was not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Error {
    /// It is no JSON object, or not UTF-8. The connection ends.
    BadFrame,
    /// It is longer than a frame may be. The connection ends.
    TooLong,
    /// A field is missing, wrong, or not known.
    BadRequest,
    UnknownOp,
    /// Another process was meant.
    OtherProcess,
    /// The other end belongs to another user. The connection ends.
    Permission,
    /// There are as many connections as there may be. The connection ends.
    Busy,
    /// The state that processes share cannot be had at the moment.
    Unavailable,
    /// An error in chainlock.
    Internal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub error: Error,
    pub message: String,
}

impl Refusal {
    pub fn new(error: Error, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }

    /// Whether what comes after it could not be told apart any more, or is not wanted.
    pub fn ends_connection(&self) -> bool {
        matches!(self.error, Error::BadFrame | Error::TooLong | Error::Permission | Error::Busy)
    }

    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Shown<'a> {
            ok: bool,
            error: Error,
            message: &'a str,
        }
        json(&Shown { ok: false, error: self.error, message: &self.message })
    }
}

#[derive(Deserialize)]
struct Head {
    op: String,
}

/// The process that is meant; a pid alone says too little when it was given again.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct To {
    pid: u32,
    start_time: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PingFrame {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    to: Option<To>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReleaseFrame {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    to: Option<To>,
    kind: Kind,
    name: Option<String>,
    #[serde(default)]
    name_cut: bool,
    token: u64,
    reason: String,
    by: Option<By>,
}

/// One frame, without its newline.
pub fn parse(frame: &[u8], me: &Me) -> Result<Request, Refusal> {
    match read::<Head>(frame)?.op.as_str() {
        "ping" => {
            meant(read::<PingFrame>(frame)?.to, me)?;
            Ok(Request::Ping)
        }
        "release" => {
            let ReleaseFrame { to, kind, name, name_cut, token, reason, by, .. } = read(frame)?;
            meant(to, me)?;
            checked(Release { kind, name, name_cut, token, reason, by })
        }
        other => {
            let message = format!("no such op: {}; there are ping and release", shown(other));
            Err(Refusal::new(Error::UnknownOp, message))
        }
    }
}

fn checked(order: Release) -> Result<Request, Refusal> {
    let wrong = |message: &str| Err(Refusal::new(Error::BadRequest, message));
    if !(1..=MAX_TOKEN).contains(&order.token) {
        return wrong("token is an integer from 1 to 9007199254740991");
    }
    if order.reason.trim().is_empty() {
        return wrong("reason is a text that is not empty");
    }
    // The process's part of a host lock is named so; ending it alone would leave the kernel's lock taken.
    if order.name.as_ref().is_some_and(|name| name.starts_with('-')) {
        return wrong("names that begin with '-' are chainlock's own; a host lock ends with its process");
    }
    Ok(Request::Release(order))
}

fn read<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(frame).map_err(|error| {
        let kind = if error.is_data() { Error::BadRequest } else { Error::BadFrame };
        Refusal::new(kind, shown(&error.to_string()))
    })
}

fn meant(to: Option<To>, me: &Me) -> Result<(), Refusal> {
    let Some(to) = to else { return Ok(()) };
    let other_start = to.start_time.is_some_and(|start| me.start != 0 && start != me.start);
    if to.pid == me.pid && !other_start {
        return Ok(());
    }
    let message = format!("this is process {}, started at {}", me.pid, me.start);
    Err(Refusal::new(Error::OtherProcess, message))
}

fn shown(text: &str) -> String {
    clean(text).chars().take(MOST_ECHO).collect()
}

/// The answer to a ping.
pub fn pong(me: &Me) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Shown {
        ok: bool,
        protocol: u32,
        pid: u32,
        start_time: u64,
        version: &'static str,
        layout_version: u64,
    }
    let Me { pid, start, version, layout_version } = *me;
    json(&Shown { ok: true, protocol: PROTOCOL, pid, start_time: start, version, layout_version })
}

/// The hold was ended; `holder` is JSON.
pub fn released(holder: &str) -> String {
    format!(r#"{{"ok":true,"released":true,"holder":{holder}}}"#)
}

/// Why there was nothing to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Moved,
    Free,
    Unknown,
}

/// Nothing was ended; `holder` is JSON, or nobody.
pub fn not_released(why: Why, holder: Option<&str>) -> String {
    let why = match why {
        Why::Moved => "moved",
        Why::Free => "free",
        Why::Unknown => "unknown",
    };
    let holder = holder.unwrap_or("null");
    format!(r#"{{"ok":true,"released":false,"refused":"{why}","holder":{holder}}}"#)
}

fn json(value: &impl Serialize) -> String {
    // Only maps with keys that are not strings and failing writers can fail; there are none of either.
    serde_json::to_string(value).unwrap_or_default()
}
