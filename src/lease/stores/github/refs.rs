//! Reading refs and the commits that they point to. Whatever is read may be older than what is there: nothing is
//! decided by it, the next write carries what was seen.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::api::{Answer, Deadline, Failure};
use super::dates;
use super::place::Place;
use crate::lease::http::HeaderValue;
use crate::lease::store::StoreError;

/// How many refs one query asks for.
const AT_ONCE: usize = 50;
/// Of how many refs it is remembered what was seen last.
const MOST_POLLED: usize = 1024;

/// Where a ref points to.
#[derive(Clone, Debug)]
pub struct Tip {
    pub oid: Rc<str>,
    /// The commit's date on GitHub's clock, in ms.
    pub at: u64,
    /// Empty when it is no commit.
    pub message: Rc<str>,
}

/// What was seen at one time.
#[derive(Debug, Default)]
pub struct Sight {
    /// In the order of the names; none where there is no such ref.
    pub tips: Vec<Option<Tip>>,
    /// GitHub's clock, in ms.
    pub now: u64,
}

/// What was seen last of a ref, with the tag that asks whether it has changed.
#[derive(Debug)]
struct Polled {
    tag: Option<HeaderValue>,
    tip: Tip,
}

#[derive(Debug, Default)]
pub struct Memory(RefCell<HashMap<String, Polled>>);

impl Memory {
    /// A tag goes with the tip that it was given for: "nothing new" is said of that one, and of no other that a read
    /// which lagged behind has found since.
    pub fn keep(&self, name: &str, tip: &Tip, tag: Option<HeaderValue>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() >= MOST_POLLED && !kept.contains_key(name) {
            kept.clear();
        }
        let same = |polled: &&Polled| polled.tip.oid == tip.oid;
        let tag = tag.or_else(|| kept.get(name).filter(same).and_then(|polled| polled.tag.clone()));
        kept.insert(name.to_owned(), Polled { tag, tip: tip.clone() });
    }

    fn tip(&self, name: &str) -> Option<Tip> {
        self.0.borrow().get(name).map(|polled| polled.tip.clone())
    }

    /// With its tag, if there is one.
    fn polled(&self, name: &str) -> (Option<Tip>, Option<HeaderValue>) {
        let kept = self.0.borrow();
        let polled = kept.get(name);
        (polled.map(|polled| polled.tip.clone()), polled.and_then(|polled| polled.tag.clone()))
    }
}

impl Place {
    /// As cheaply as it goes: a single ref that was seen before costs nothing while it has not changed.
    pub async fn tips(&self, names: &[String], by: Deadline) -> Result<Sight, StoreError> {
        match names {
            [name] if self.memory.tip(name).is_some() => self.poll(name, by).await,
            names => self.tips_now(names, by).await,
        }
    }

    /// In as few requests as it goes, when something has probably changed.
    pub async fn tips_now(&self, names: &[String], by: Deadline) -> Result<Sight, StoreError> {
        let mut seen = Sight::default();
        for names in names.chunks(AT_ONCE) {
            let part = match self.api.rest_only {
                true => self.one_by_one(names, by).await?,
                false => self.in_one(names, by).await?,
            };
            // The earliest: later nothing is younger than it seems.
            seen.now = if seen.tips.is_empty() { part.now } else { seen.now };
            seen.tips.extend(part.tips);
        }
        Ok(seen)
    }

    async fn in_one(&self, names: &[String], by: Deadline) -> Result<Sight, StoreError> {
        let mut variables = self.coordinates();
        let (mut parameters, mut fields) = (String::new(), String::new());
        for (number, name) in names.iter().enumerate() {
            parameters += &format!(",$r{number}:String!");
            fields += &format!(" r{number}:ref(qualifiedName:$r{number}){{...tip}}");
            variables.insert(format!("r{number}"), name.as_str().into());
        }
        let query = format!(
            "query($owner:String!,$repo:String!{parameters}){{repository(owner:$owner,name:$repo){{{fields}}}}} \
             fragment tip on Ref{{target{{oid ...on Commit{{message committedDate}}}}}}"
        );
        let answer = self.api.graphql(&query, variables.into(), by).await.map_err(Failure::of_read)?;
        let found = &answer.body["repository"];
        let mut tips = Vec::with_capacity(names.len());
        for number in 0..names.len() {
            let one = &found[format!("r{number}")];
            let tip = tip_of(&one["target"]);
            if tip.is_none() && !one.is_null() {
                return Err(lags_behind());
            }
            tips.push(tip);
        }
        for (name, tip) in names.iter().zip(&tips) {
            if let Some(tip) = tip {
                self.memory.keep(name, tip, None);
            }
        }
        Ok(Sight { tips, now: answer.now })
    }

    async fn one_by_one(&self, names: &[String], by: Deadline) -> Result<Sight, StoreError> {
        let mut seen = Sight::default();
        for name in names {
            let one = self.poll(name, by).await?;
            seen.now = if seen.tips.is_empty() { one.now } else { seen.now };
            seen.tips.extend(one.tips);
        }
        Ok(seen)
    }

    /// One ref: free as long as it has not changed.
    async fn poll(&self, name: &str, by: Deadline) -> Result<Sight, StoreError> {
        let path = format!("{}/git/ref/{}", self.path, name.strip_prefix("refs/").unwrap_or(name));
        let (known, tag) = self.memory.polled(name);
        let answer = match self.api.get_if_new(&path, tag, by).await {
            Ok(answer) => answer,
            // Or it is the repository that is not there, and says so itself.
            Err(Failure::Missing { now, .. }) => {
                return self.repository(by).await.map(|_| Sight { tips: vec![None], now });
            }
            Err(failure) => return Err(failure.of_read()),
        };
        let Answer { now, etag, body, status, .. } = answer;
        let tip = match (known, body["object"]["sha"].as_str()) {
            (Some(tip), _) if status == 304 => tip,
            (Some(tip), Some(oid)) if *tip.oid == *oid => tip,
            (_, Some(oid)) if body["object"]["type"] != "commit" => {
                Tip { oid: oid.into(), at: 0, message: "".into() }
            }
            (_, Some(oid)) => self.commit(oid, by).await?,
            (_, None) => return Err(strange_answer()),
        };
        self.memory.keep(name, &tip, etag);
        Ok(Sight { tips: vec![Some(tip)], now })
    }

    async fn commit(&self, oid: &str, by: Deadline) -> Result<Tip, StoreError> {
        let path = format!("{}/git/commits/{oid}", self.path);
        match self.api.get(&path, by).await {
            Ok(answer) => {
                let date = answer.body.pointer("/committer/date").and_then(Value::as_str);
                let message = answer.body["message"].as_str().unwrap_or_default().into();
                Ok(Tip { oid: oid.into(), at: date.and_then(dates::of_commit).unwrap_or(0), message })
            }
            Err(Failure::Missing { .. }) => Err(lags_behind()),
            Err(failure) => Err(failure.of_read()),
        }
    }

    /// The refs below a prefix that ends a part of a name, with their tips: the first `most` that are wanted.
    pub async fn tips_below(
        &self,
        prefix: &str,
        most: usize,
        wanted: impl Fn(&str, &Tip) -> bool,
        by: Deadline,
    ) -> Result<(Vec<(String, Tip)>, u64), StoreError> {
        match self.api.rest_only {
            true => self.matching(prefix, most, wanted, by).await,
            false => self.pages(prefix, most, wanted, by).await,
        }
    }

    async fn pages(
        &self,
        prefix: &str,
        most: usize,
        wanted: impl Fn(&str, &Tip) -> bool,
        by: Deadline,
    ) -> Result<(Vec<(String, Tip)>, u64), StoreError> {
        const QUERY: &str = "query($owner:String!,$repo:String!,$below:String!,$after:String){\
             repository(owner:$owner,name:$repo){refs(refPrefix:$below,first:100,after:$after){\
             nodes{name target{oid ...on Commit{message committedDate}}} pageInfo{hasNextPage endCursor}}}}";
        let below = prefix.rfind('/').map_or(prefix, |at| &prefix[..=at]);
        let mut variables = self.coordinates();
        variables.insert("below".into(), below.into());
        let (mut found, mut now) = (Vec::new(), None);
        loop {
            let answer = self.api.graphql(QUERY, variables.clone().into(), by).await;
            let answer = answer.map_err(Failure::of_read)?;
            let refs = &answer.body["repository"]["refs"];
            now.get_or_insert(answer.now);
            for node in refs["nodes"].as_array().into_iter().flatten() {
                let name = format!("{below}{}", node["name"].as_str().unwrap_or_default());
                let Some(tip) = tip_of(&node["target"]) else { continue };
                if name.starts_with(prefix) && wanted(&name, &tip) {
                    found.push((name, tip));
                }
            }
            let more = refs["pageInfo"]["hasNextPage"] == true;
            if !more || found.len() >= most {
                found.truncate(most);
                return Ok((found, now.unwrap_or(0)));
            }
            variables.insert("after".into(), refs["pageInfo"]["endCursor"].clone());
        }
    }

    async fn matching(
        &self,
        prefix: &str,
        most: usize,
        wanted: impl Fn(&str, &Tip) -> bool,
        by: Deadline,
    ) -> Result<(Vec<(String, Tip)>, u64), StoreError> {
        let below = prefix.strip_prefix("refs/").unwrap_or(prefix);
        let path = format!("{}/git/matching-refs/{below}", self.path);
        let answer = self.api.get(&path, by).await.map_err(Failure::of_read)?;
        let mut found = Vec::new();
        for one in answer.body.as_array().into_iter().flatten() {
            let (name, oid) = (one["ref"].as_str(), one["object"]["sha"].as_str());
            let (Some(name), Some(oid)) = (name, oid) else { return Err(strange_answer()) };
            let tip = match self.memory.tip(name).filter(|tip| *tip.oid == *oid) {
                Some(tip) => tip,
                None => self.commit(oid, by).await?,
            };
            self.memory.keep(name, &tip, None);
            if found.len() < most && wanted(name, &tip) {
                found.push((name.to_owned(), tip));
            }
        }
        Ok((found, answer.now))
    }

    /// The variables that every query begins with.
    pub fn coordinates(&self) -> Map<String, Value> {
        let pairs = [("owner", &self.owner), ("repo", &self.repo)];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.as_str().into())).collect()
    }
}

fn tip_of(target: &Value) -> Option<Tip> {
    let oid = target["oid"].as_str()?.into();
    let at = target["committedDate"].as_str().and_then(dates::of_commit).unwrap_or(0);
    Some(Tip { oid, at, message: target["message"].as_str().unwrap_or_default().into() })
}

fn strange_answer() -> StoreError {
    StoreError::Unavailable { why: "an answer that is not GitHub's".into(), retry_after: None }
}

/// A ref is seen, and what it points to is not yet.
pub fn lags_behind() -> StoreError {
    StoreError::Unavailable { why: "GitHub's reads lag behind its writes".into(), retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(oid: &str) -> Tip {
        Tip { oid: oid.into(), at: 0, message: "".into() }
    }

    #[test]
    fn a_tag_goes_with_its_tip() {
        let (memory, tag) = (Memory::default(), |text| HeaderValue::from_static(text));
        let polled = || {
            let (tip, tag) = memory.polled("a");
            (tip.unwrap().oid.to_string(), tag.map(|tag| tag.to_str().unwrap().to_owned()))
        };
        memory.keep("a", &tip("new"), Some(tag("new's")));
        memory.keep("a", &tip("new"), None);
        assert_eq!(polled(), ("new".into(), Some("new's".into())), "seen again");
        // A read that lags behind: what has not changed since "new" is not this one.
        memory.keep("a", &tip("old"), None);
        assert_eq!(polled(), ("old".into(), None));
        assert!(memory.polled("b").0.is_none());
    }
}
