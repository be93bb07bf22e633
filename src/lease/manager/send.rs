//! The send lock between machines, as a part of the manager: how long a hold may last, and the
//! calls that are no requests for it.

use crate::lease::desk::change::{Failed, Step, change};
use crate::lease::desk::line::Known;
use crate::lease::fault::Fault;
use crate::lease::manager::acquire::{Wanted, Won};
use crate::lease::manager::client::Client;
use crate::lease::manager::release::handed_over;
use crate::lease::manager::{check, types};
use crate::lease::record::{Record, Who};
use crate::lease::send;
use crate::lease::send::shown::shown;
use crate::lease::send::state::Settings;
use crate::lease::store::StoreError;
use crate::time::{self, Nanos};
use serde_json::{Map, Value};
use std::rc::Rc;

/// What is wanted of a send lock besides holding it.
#[derive(Clone, Debug)]
pub struct Call {
    pub key: String,
    /// In force when there are none yet.
    pub first: Settings,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Look,
    /// Take it from whoever holds it.
    Force {
        reason: String,
    },
    /// Everybody's settings, from now on.
    Configure {
        change: Map<String, Value>,
    },
}

/// When a hold of the send lock ends for its holder, whatever is renewed.
pub fn until(wanted: &Wanted, won: &[Won]) -> Nanos {
    let [won] = won else { return Nanos::FOREVER };
    let known = won.line.last_known().filter(|_| wanted.request.send.is_some());
    let settings = known.and_then(|known| known.record.state.as_ref().map(|state| state.settings.clone()));
    settings.map_or(Nanos::FOREVER, |settings| won.sent.plus(settings.most_hold()))
}

/// Does it, and tells how the lock stands then.
pub async fn run(client: &Rc<Client>, call: Call) -> Result<String, Fault> {
    let Call { key, first, what } = call;
    check::key_is_allowed(&key)?;
    let desk = &client.desk;
    let line = desk.line(&key);
    let fault = |error: StoreError| client.fault(&error, Some(&key));
    let did = match what {
        What::Look => {
            desk.look(&line).await.map_err(fault)?;
            false
        }
        what => {
            let (began, who) = (desk.now(), own(client));
            let turn = line.turn().await;
            let changed =
                change(desk, &line, began, |known| match next(client, known, &who, &first, &what) {
                    Some(record) => Step::Write(handed_over(desk, &line, known, record), true),
                    None => Step::Keep(false),
                });
            let changed = changed.await;
            drop(turn);
            match changed {
                Ok(changed) => changed.answer,
                Err(Failed::Store(error)) => return Err(fault(error)),
                Err(Failed::Guarded) => {
                    let why = "the record was not moved".into();
                    return Err(fault(StoreError::Unavailable { why, retry_after: None }));
                }
            }
        }
    };
    let known = line.last_known().unwrap_or_else(|| Known::absent(desk.now()));
    Ok(desk.judge(&known, |view| shown(&known.record, known.base, view, &first, did)).to_string())
}

fn next(client: &Client, known: &Known, who: &Who, first: &Settings, what: &What) -> Option<Record> {
    match what {
        What::Look => None,
        What::Force { reason } => {
            client.desk.judge(known, |view| send::force(&known.record, view, who, reason))
        }
        What::Configure { change } => send::configure(&known.record, first, change),
    }
}

fn own(client: &Client) -> Who {
    let types::Opening { worker, node, .. } = &client.shared.opening;
    Who {
        worker: worker.as_str().into(),
        node: node.as_deref().map(Into::into),
        at: time::epoch_ms() as u64,
        ..Who::clone(&client.desk.outside.who)
    }
}
