//! Moving refs: the one thing here that decides anything. A commit is made first, which nobody sees; then all refs move
//! in one compare-and-swap, or none.
//!
//! A ref is never forced. Every commit has the tip that was seen as its parent, so even where only REST is at hand, and
//! nothing can be compared, a ref that has moved meanwhile does not move again.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Answer, Deadline, Failure};
use super::dates;
use super::place::Place;
use super::refs::{Sight, Tip};
use crate::lease::http::Method;
use crate::lease::store::StoreError;

/// No object: the ref does not exist, or shall not.
const NOTHING: &str = "0000000000000000000000000000000000000000";
/// Reads lag behind a write by moments: how long to wait before each look at what a refusal is about.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(300), Duration::from_secs(1)];

#[derive(Clone, Debug)]
pub struct Move {
    pub name: String,
    /// What was seen; none when the ref did not exist.
    pub before: Option<Rc<str>>,
    /// None removes it.
    pub after: Option<Rc<str>>,
}

#[derive(Debug)]
pub enum Landed {
    All,
    /// None has moved: something was elsewhere. What is there now.
    Elsewhere(Sight),
    /// None has moved, though everything is where it was thought to be.
    Refused(String),
}

impl Place {
    /// A commit that no ref points to yet; its date is GitHub's.
    pub async fn write_commit(
        &self,
        message: &str,
        parents: &[Rc<str>],
        by: Deadline,
    ) -> Result<Tip, StoreError> {
        let tree = &self.repository(by).await?.tree;
        let body = json!({ "message": message, "tree": tree, "parents": parents });
        let made = self.api.write(Method::POST, &format!("{}/git/commits", self.path), body, by).await;
        let answer = match made {
            Ok(answer) => answer,
            Err(Failure::Denied(why)) => return Err(self.explain(why, by).await),
            // Whether it was made or not: nothing points to it.
            Err(failure) => return Err(failure.of_read()),
        };
        let oid = answer.body["sha"].as_str();
        let at = answer.body.pointer("/committer/date").and_then(Value::as_str).and_then(dates::of_commit);
        match (oid, at) {
            (Some(oid), Some(at)) => Ok(Tip { oid: oid.into(), at, message: message.into() }),
            _ => Err(StoreError::Unavailable { why: "the answer names no commit".into(), retry_after: None }),
        }
    }

    pub async fn move_all(&self, moves: &[Move], by: Deadline) -> Result<Landed, StoreError> {
        let id = &self.repository(by).await?.id;
        let asked = match (self.api.rest_only, moves) {
            (false, moves) => self.by_update_refs(id, moves, by).await,
            (true, [one]) => self.by_patch(one, by).await,
            (true, _) => return Err(StoreError::Unsupported("REST moves one ref at a time".into())),
        };
        match asked {
            Ok(_) => Ok(Landed::All),
            // A ref that is not there may be what is missing.
            Err(Failure::Refused(why) | Failure::Missing { why, .. }) => self.look_back(moves, why, by).await,
            Err(Failure::Denied(why)) => Err(self.explain(why, by).await),
            Err(failure) => Err(failure.of_write()),
        }
    }

    async fn by_update_refs(&self, id: &str, moves: &[Move], by: Deadline) -> Result<Answer, Failure> {
        const MUTATION: &str =
            "mutation($input:UpdateRefsInput!){updateRefs(input:$input){clientMutationId}}";
        let oid = |oid: &Option<Rc<str>>| oid.as_deref().unwrap_or(NOTHING).to_owned();
        let updates: Vec<Value> = moves
            .iter()
            .map(|one| {
                json!({
                    "name": one.name,
                    "beforeOid": oid(&one.before),
                    "afterOid": oid(&one.after),
                    // What is removed has no successor; it is compared all the same.
                    "force": one.after.is_none(),
                })
            })
            .collect();
        let input = json!({ "input": { "repositoryId": id, "refUpdates": updates } });
        let answer = self.api.graphql(MUTATION, input, by).await?;
        match answer.body["updateRefs"].is_null() {
            true => Err(Failure::Unknown("neither a yes nor a no".into())),
            false => Ok(answer),
        }
    }

    async fn by_patch(&self, one: &Move, by: Deadline) -> Result<Answer, Failure> {
        let Some(after) = &one.after else {
            return Err(Failure::Refused("REST removes refs without comparing".into()));
        };
        match &one.before {
            None => {
                let body = json!({ "ref": one.name, "sha": after });
                self.api.write(Method::POST, &format!("{}/git/refs", self.path), body, by).await
            }
            Some(_) => {
                let name = one.name.strip_prefix("refs/").unwrap_or(&one.name);
                let body = json!({ "sha": after, "force": false });
                self.api.write(Method::PATCH, &format!("{}/git/refs/{name}", self.path), body, by).await
            }
        }
    }

    /// What a no is about: object ids say it, GitHub's words are no contract.
    async fn look_back(&self, moves: &[Move], why: String, by: Deadline) -> Result<Landed, StoreError> {
        let names: Vec<String> = moves.iter().map(|one| one.name.clone()).collect();
        for pause in LOOKS {
            if pause >= by.left() {
                return Err(unseen(&why));
            }
            tokio::time::sleep(pause).await;
            let Ok(seen) = self.tips_now(&names, by).await else {
                return Err(unseen(&why));
            };
            let are = |what: fn(&Move) -> &Option<Rc<str>>| {
                let mut pairs = moves.iter().zip(&seen.tips);
                pairs.all(|(one, tip)| what(one).as_ref() == tip.as_ref().map(|tip| &tip.oid))
            };
            // Somebody between here and there has sent it twice.
            if are(|one| &one.after) {
                return Ok(Landed::All);
            }
            if !are(|one| &one.before) {
                return Ok(Landed::Elsewhere(seen));
            }
        }
        Ok(Landed::Refused(why))
    }
}

/// A no to a write that may have come twice, and nobody could see what is there.
fn unseen(why: &str) -> StoreError {
    StoreError::Unknown(format!("{why}; what is there could not be read"))
}
