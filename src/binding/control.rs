//! What an operator orders from outside is done here, on the control socket's own native thread: a blocked event
//! loop obeys, too.

use crate::binding::home;
use crate::binding::process::{PROCESS, tell, tell_named};
use crate::binding::reasons;
use crate::control::protocol::{self, Error, Kind, Me, Refusal, Release, Request, Why};
use crate::control::server;
use crate::local::claim::Told;
use crate::local::forcing::{Forced, Named};
use crate::local::report::{SEND_LOCK, quoted_text};
use crate::local::resource;
use crate::name::{ShortText, clean};
use crate::send::lock::HolderView;
use crate::sync::Arc;
use crate::sys::control_socket::Peer;
use crate::sys::process;
use crate::table::layout::LAYOUT_VERSION;
use crate::time;
use napi_derive::napi;
use once_cell::sync::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing::warn;

const VARIABLE: &str = "CHAINLOCK_CONTROL";
/// Where the events come from, for filters.
const TARGET: &str = "chainlock::control";
/// What the reasons that operators give begin with.
const OPERATOR: &str = "operator: ";

static STARTED: OnceCell<()> = OnceCell::new();

/// Starts the thread, once per process, unless the environment says `off`. It does the rest by itself.
pub fn start() {
    STARTED.get_or_init(|| {
        if std::env::var_os(VARIABLE).is_some_and(|value| value == "off") {
            return;
        }
        let thread = std::thread::Builder::new().name("chainlock-control".into()).stack_size(256 * 1024);
        // Without it nobody can order anything from outside; the locks need it for nothing.
        let _ = thread.spawn(run);
    });
}

/// The folder of the control sockets of this user's processes.
#[napi(catch_unwind)]
pub fn control_folder() -> String {
    server::folder().to_string_lossy().into_owned()
}

fn run() {
    let own = process::own();
    let me = Me { pid: own.pid, start: own.start, version: home::VERSION, layout_version: LAYOUT_VERSION };
    // A panic here is nobody's answer; then there is no control socket any more.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        server::serve(&me, |request, peer| {
            let answer = catch_unwind(AssertUnwindSafe(|| match request {
                Request::Ping => protocol::pong(&me),
                Request::Release(order) => release(order, peer),
            }));
            answer.unwrap_or_else(|_| Refusal::new(Error::Internal, "an error in chainlock").to_json())
        });
    }));
}

fn release(order: &Release, peer: Peer) -> String {
    let reason = ShortText::cut(&format!("{OPERATOR}{}", order.reason.trim()));
    let answer = match order.kind {
        Kind::Send => release_send(order.token, reason),
        Kind::Lock => release_named(resource::Kind::ReadWrite, order, reason),
        Kind::Semaphore => release_named(resource::Kind::Semaphore, order, reason),
    };
    match answer {
        Ok(holder) => {
            note(order, &reason, peer);
            protocol::released(&holder)
        }
        Err(answer) => answer,
    }
}

/// The holder whose hold was ended, as JSON; or the answer.
fn release_send(token: u64, reason: ShortText) -> Result<String, String> {
    let done = PROCESS.send.force_release_token(token, reason, time::now());
    let unavailable = done.unavailable;
    match tell(done, None).0 {
        Some((true, holder)) => Ok(send_holder(&holder)),
        Some((false, holder)) => Err(protocol::not_released(Why::Moved, Some(&send_holder(&holder)))),
        None if unavailable => {
            let message = "the state that processes share cannot be had at the moment";
            Err(Refusal::new(Error::Unavailable, message).to_json())
        }
        None => Err(protocol::not_released(Why::Free, None)),
    }
}

fn release_named(kind: resource::Kind, order: &Release, reason: ShortText) -> Result<String, String> {
    let name = match order.name.as_deref() {
        None => Named::Not,
        Some(name) if order.name_cut => Named::Begins(name),
        Some(name) => Named::So(name),
    };
    let reason: Arc<str> = reason.to_text().into();
    let done = PROCESS.named.force_release_hold(kind, name, order.token, &reason, time::now());
    // Before its holder is told: it asks for the reason at once.
    for delivery in &done.tell {
        if let Told::Lost { token, .. } = delivery.what {
            reasons::keep(token, &reason);
        }
    }
    match tell_named(done, None).0 {
        Forced::Ended(holder) => Ok(holder),
        Forced::Moved(holder) => Err(protocol::not_released(Why::Moved, Some(&holder))),
        Forced::Free => Err(protocol::not_released(Why::Free, None)),
        Forced::Unknown => Err(protocol::not_released(Why::Unknown, None)),
    }
}

/// As the holders of named locks are told.
fn send_holder(holder: &HolderView) -> String {
    let layer = PROCESS.send.layer_name(PROCESS.send.row_of(holder)).to_text();
    format!(
        r#"{{"name":"{SEND_LOCK}","kind":"send","mode":"exclusive","weight":1,"label":{},"threadId":{},"pid":{},"token":{},"heldMs":{}}}"#,
        quoted_text(Some(&layer)),
        holder.thread_id,
        holder.process.pid(),
        holder.token,
        holder.held.as_ms(),
    )
}

/// For whoever reads the log: who did what, by the kernel's word and by its own.
fn note(order: &Release, reason: &ShortText, peer: Peer) {
    let (name, token) = (clean(order.name.as_deref().unwrap_or_default()), order.token);
    let by = order.by.clone().unwrap_or_default();
    let (command, claimed) = (ShortText::cut(&by.command).to_text(), by.pid);
    let (kind, user, pid, reason) = (order.kind, peer.user, peer.pid, reason.to_text());
    warn!(
        target: TARGET, ?kind, %name, token, %reason, user, pid, claimed, %command,
        "RELEASED BY ORDER: {kind:?} {name} token {token} ({reason}) by pid {pid}, user {user}: {command}"
    );
}
