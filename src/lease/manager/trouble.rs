//! A store that does not answer, or not so: how often it is asked again, how long that is waited for, and what is told
//! then. Who has given up waiting has its error at once; what is still under way winds up behind its back.

use crate::lease::desk::Desk;
use crate::lease::desk::change::Failed;
use crate::lease::fault::Fault;
use crate::lease::keeper::session;
use crate::lease::manager::acquire::Wanted;
use crate::lease::manager::chase::Chase;
use crate::lease::manager::client::Client;
use crate::lease::manager::statistics::Counters;
use crate::lease::manager::types::{Request, Strategy};
use crate::lease::store::StoreError;
use crate::time::Nanos;
use std::future::pending;

/// The first pause after a store that could not be reached; they double.
const TROUBLE: Nanos = Nanos(10_000_000);
const MOST_TROUBLE: Nanos = Nanos(1_000_000_000);
/// Who waits without a limit gives a store that cannot be reached so many times the time of one request.
const PATIENCE: u64 = 6;

impl Chase<'_> {
    pub(super) fn well(&mut self) {
        self.troubles = 0;
        self.in_trouble_since = None;
        self.wanted.asking.set(None);
        *self.wanted.trouble.borrow_mut() = None;
    }

    /// The store has not answered, or not so: again after a pause, as long as that is worth it.
    pub(super) async fn failed(&mut self, failed: Failed) -> Result<(), Fault> {
        let error = match failed {
            Failed::Store(error) => error,
            Failed::Guarded => {
                if let Some(session) = &self.session
                    && let Err(error) = session::verify(self.desk(), session).await
                {
                    error
                } else {
                    StoreError::Unavailable { why: "the record was not moved".into(), retry_after: None }
                }
            }
        };
        let least = match &error {
            StoreError::Unknown(_) => {
                Counters::more(&self.client.counters().unknown);
                Nanos::NEVER
            }
            StoreError::Unavailable { retry_after, .. } => {
                Nanos(retry_after.unwrap_or_default().as_nanos() as u64)
            }
            _ => return Err(self.client.fault(&error, Some(&self.line.key))),
        };
        let since = *self.in_trouble_since.get_or_insert(silent_since(self.desk(), self.wanted));
        let spent = self.desk().now().since(since);
        let fault = self.client.fault(&error, Some(&self.line.key));
        *self.wanted.trouble.borrow_mut() = Some(error);
        let left = patience(self.desk(), &self.wanted.request).since(spent);
        // Who does not wait for a key does not wait for a store either that asks for a long pause.
        if left == Nanos::NEVER || (!is_patient(&self.wanted.request) && least >= left) {
            return Err(fault);
        }
        let most = Nanos(TROUBLE.0 << self.troubles.min(8)).min(MOST_TROUBLE);
        self.troubles += 1;
        let pause = self.desk().outside.part_of(most).min(left);
        self.pause(least.plus(pause)).await;
        Ok(())
    }
}

fn is_patient(request: &Request) -> bool {
    matches!(request.strategy, Strategy::Wait | Strategy::Retry { .. })
}

/// How long nothing may come of it. Who does not wait has time for one request, and for a short second one: on a new
/// connection, when the one that was there has died.
fn patience(desk: &Desk, request: &Request) -> Nanos {
    let one = desk.request_timeout;
    match request.timeout_ms {
        _ if !is_patient(request) => one.plus(Nanos(one.0 / 4)),
        Some(_) => Nanos::FOREVER,
        None => Nanos(one.0.saturating_mul(PATIENCE)),
    }
}

/// Since when the store has been asked by this request, and has answered nobody.
fn silent_since(desk: &Desk, wanted: &Wanted) -> Nanos {
    wanted.asking.get().unwrap_or(desk.now()).max(desk.heard.get())
}

/// For how long the store has been silent, when that is most of what the request has waited.
pub fn silence(desk: &Desk, wanted: &Wanted) -> Option<Nanos> {
    let now = desk.now();
    let silent = now.since(silent_since(desk, wanted));
    (silent.0 >= now.since(wanted.began).0 / 2).then_some(silent)
}

/// Until a request that does not wait has heard nothing for too long, wherever it stands: behind others, or between two
/// of its own requests.
pub async fn is_too_silent(client: &Client, wanted: &Wanted) -> Fault {
    let desk = &client.desk;
    if !is_patient(&wanted.request) {
        // Nearly all have been answered by then.
        desk.silence_limit.within(pending::<()>()).await;
        loop {
            let spent = desk.now().since(silent_since(desk, wanted));
            let left = patience(desk, &wanted.request).since(spent);
            if left == Nanos::NEVER {
                return fault(client, wanted, spent);
            }
            tokio::time::sleep(left.duration()).await;
        }
    }
    pending().await
}

fn fault(client: &Client, wanted: &Wanted, silent: Nanos) -> Fault {
    let line = wanted.line.borrow();
    let key = line.as_ref().map(|line| &*line.key);
    match wanted.trouble.borrow().as_ref() {
        Some(error) => client.fault(error, key),
        None => {
            let why = format!("it has not answered for {} ms", silent.whole_ms());
            client.fault(&StoreError::Unknown(why), key)
        }
    }
}
