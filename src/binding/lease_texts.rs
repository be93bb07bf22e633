//! What JavaScript is told about leases that is more than numbers, in JSON: faults, losses, states, promises, counts;
//! and what it hands in so.

use crate::lease::address::{Address, Secret, Setup};
use crate::lease::fault::{Fault, HolderView};
use crate::lease::manager::send::{Call, What};
use crate::lease::manager::{Lost, Opening, Request, Statistics, Status, Strategy};
use crate::lease::record::Mode;
use crate::lease::send::SendAsk;
use crate::lease::send::state;
use crate::lease::store::{Caps, Clock};
use crate::metrics::histogram::Summary;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Each step is several requests to a server that is far away.
const GITHUB_TIMEOUT: Duration = Duration::from_secs(15);

/// Where the server ends sessions: it counts whole seconds, and looks twice a second which are over.
const SESSION_GRAIN: Duration = Duration::from_secs(2);

/// A manager's settings, checked by `lib/leases/options.js`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    store: Option<String>,
    state_dir: PathBuf,
    namespace: String,
    ttl_ms: u64,
    worker_id: String,
    node_id: Option<String>,
    token: Option<String>,
    api_url: Option<String>,
    show_on_issue: bool,
    ca_file: Option<PathBuf>,
    request_timeout_ms: Option<u64>,
    require_loop_alive_ms: Option<u64>,
    max_hold_ms: Option<u64>,
}

impl Settings {
    pub fn opening(self) -> Result<Opening, Fault> {
        let address = Address::parse(self.store.as_deref(), &self.state_dir)?;
        let usual = if matches!(address, Address::Github { .. }) { GITHUB_TIMEOUT } else { REQUEST_TIMEOUT };
        let setup = Setup {
            address,
            namespace: self.namespace,
            ca_file: self.ca_file,
            request_timeout: self.request_timeout_ms.map_or(usual, Duration::from_millis),
            token: self.token.map(Secret::new),
            api_url: self.api_url,
            show_on_issue: self.show_on_issue,
        };
        Ok(Opening {
            setup,
            ttl_ms: self.ttl_ms,
            worker: self.worker_id,
            node: self.node_id,
            require_loop_alive_ms: self.require_loop_alive_ms,
            max_hold_ms: self.max_hold_ms,
        })
    }
}

/// A request, checked there as well.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ask {
    keys: Vec<String>,
    mode: Option<Asked>,
    ttl_ms: u64,
    delay_ms: Option<u64>,
    worker: Option<String>,
    node: Option<String>,
    meta: Option<String>,
    fair: Option<bool>,
    reason: Option<String>,
    timeout_ms: Option<u64>,
    strategy: String,
    max_retries: Option<u32>,
    retry_delay_ms: Option<u64>,
    max_retry_delay_ms: Option<u64>,
    token: Option<u64>,
    send: Option<AskedSend>,
}

/// Of a request for a send lock.
#[derive(Deserialize)]
struct AskedSend {
    layer: String,
    message: Option<String>,
    first: state::Settings,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Asked {
    Permits(u32),
    Named(Mode),
}

impl Ask {
    pub fn request(self) -> Request {
        let strategy = self.strategy();
        let waits = strategy == Strategy::Wait;
        let send =
            self.send.map(|AskedSend { layer, message, first }| SendAsk { layer, message, first, waits });
        let mode = match self.mode {
            Some(Asked::Permits(permits)) => Mode::Permit(permits),
            Some(Asked::Named(mode)) => mode,
            None => Mode::Exclusive,
        };
        Request {
            mode,
            ttl_ms: Some(self.ttl_ms),
            delay_ms: self.delay_ms.unwrap_or(0),
            worker: self.worker,
            node: self.node,
            meta: self.meta,
            strategy,
            timeout_ms: self.timeout_ms,
            fair: self.fair,
            reason: self.reason,
            send,
            ..Request::new(self.keys)
        }
    }

    fn strategy(&self) -> Strategy {
        match self.strategy.as_str() {
            "failFast" => Strategy::FailFast,
            "stealStale" => Strategy::StealStale,
            "force" => Strategy::Force,
            "steal" => Strategy::Steal { token: self.token.unwrap_or(0) },
            "retry" => Strategy::Retry {
                max: self.max_retries.unwrap_or(0),
                base_ms: self.retry_delay_ms.unwrap_or(1),
                cap_ms: self.max_retry_delay_ms.unwrap_or(1),
            },
            _ => Strategy::Wait,
        }
    }
}

/// A call of a send lock that is no request for it.
#[derive(Deserialize)]
pub struct SendCall {
    key: String,
    first: state::Settings,
    force: Option<String>,
    configure: Option<Map<String, Value>>,
}

impl SendCall {
    pub fn call(self) -> Call {
        let what = match (self.force, self.configure) {
            (Some(reason), _) => What::Force { reason },
            (None, Some(change)) => What::Configure { change },
            (None, None) => What::Look,
        };
        Call { key: self.key, first: self.first, what }
    }
}

pub fn fault(fault: &Fault) -> String {
    let holder = fault.holder.as_deref().map(holder);
    json!({
        "code": fault.code,
        "message": fault.message,
        "key": fault.key,
        "holder": holder,
        "retryAfterMs": fault.retry_after_ms,
        "retries": fault.retries,
    })
    .to_string()
}

pub fn lost(lost: &Lost) -> String {
    json!({ "cause": lost.cause, "by": lost.by.as_ref().map(holder) }).to_string()
}

fn holder(of: &HolderView) -> Value {
    let mode = match of.mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
        Mode::Permit(_) => "permit",
    };
    json!({
        "worker": of.worker,
        "node": of.node,
        "host": of.host,
        "pid": of.pid,
        "token": of.token,
        "mode": mode,
        "acquiredAt": of.acquired_at,
        "expiresInMs": of.expires_in_ms,
        "ttlMs": of.ttl_ms,
        "stale": of.stale,
        "meta": of.meta,
    })
}

pub fn status(of: &Status) -> Value {
    let stolen = of.stolen.as_ref();
    json!({
        "holds": of.holds.iter().map(holder).collect::<Vec<_>>(),
        "waiters": of.waiters,
        "lastToken": of.token,
        "stolen": stolen.map(|it| json!({ "token": it.token, "by": it.by, "reason": it.reason })),
        "writtenMsAgo": of.written_ms_ago,
    })
}

pub fn list(all: &[(String, Status)]) -> String {
    json!(all.iter().map(|(key, one)| json!([key, status(one)])).collect::<Vec<_>>()).to_string()
}

/// What the engine promises. `recovery`: how long after its ttl a dead holder's key is free.
pub fn caps(caps: &Caps) -> String {
    let clock = match caps.clock {
        Clock::Server => "server",
        Clock::Boot => "boot",
        Clock::Session => "session",
    };
    let look = if caps.push { Duration::ZERO } else { caps.poll.1 };
    let grain = if matches!(caps.clock, Clock::Session) { SESSION_GRAIN } else { Duration::ZERO };
    json!({
        "engine": caps.engine,
        "fencing": true,
        "clock": clock,
        "minTtlMs": caps.min_ttl.as_millis() as u64,
        "recoveryMs": (caps.slack + look + grain).as_millis() as u64,
        "atomicKeys": caps.multi,
        "push": caps.push,
        "fair": caps.queue,
        "local": caps.local,
        "mayDoubleGrant": caps.may_double_grant,
    })
    .to_string()
}

pub fn statistics(of: &Statistics) -> String {
    json!({
        "totalAcquisitions": of.acquisitions,
        "totalReleases": of.releases,
        "totalConflicts": of.conflicts,
        "totalRetries": of.retries,
        "failedAcquisitions": of.failed,
        "averageAcquisitionTimeMs": of.acquire.avg_ms,
        "staleLocksClaimed": of.stale_claimed,
        "forced": of.forced + of.stolen,
        "timeouts": of.timeouts,
        "aborted": of.aborted,
        "lost": of.lost,
        "renewals": of.renewals,
        "failedRenewals": of.failed_renewals,
        "unknownAnswers": of.unknown,
        "held": of.held,
        "waiting": of.waiting,
        "acquire": times(&of.acquire),
        "renew": times(&of.renew),
        "hold": times(&of.hold),
    })
    .to_string()
}

fn times(of: &Summary) -> Value {
    json!({
        "count": of.count,
        "avgMs": of.avg_ms,
        "p50Ms": of.p50_ms,
        "p90Ms": of.p90_ms,
        "p99Ms": of.p99_ms,
        "maxMs": of.max_ms,
    })
}
