//! The repository: what is known of it, and where in it the locks lie.
//!
//! They lie under `refs/locks/`, which nobody fetches by accident. Where GitHub refuses that namespace they lie among
//! the branches. All processes must agree, so the choice is made once per namespace and kept in the repository, as a
//! mark: the first that writes anything makes it.

use serde_json::Value;
use tokio::sync::OnceCell;

use super::api::{Api, Deadline, Failure};
use super::message;
use super::moves::{Landed, Move};
use super::names::{BRANCHES, Names, OWN};
use super::refs::{Memory, lags_behind};
use crate::lease::address::{Address, Setup};
use crate::lease::store::StoreError;

#[derive(Debug)]
pub struct Place {
    pub api: Api,
    pub names: Names,
    pub owner: String,
    pub repo: String,
    /// What the paths of its REST resources begin with.
    pub path: String,
    pub memory: Memory,
    namespace: String,
    repository: OnceCell<Repository>,
    base: OnceCell<&'static str>,
}

#[derive(Debug)]
pub struct Repository {
    /// GraphQL's name of it; empty where only REST is used.
    pub id: String,
    /// Every commit needs a tree, and ours says nothing: that of the default branch.
    pub tree: String,
    /// Whose the token is, if that can be said.
    pub login: Option<String>,
}

impl Place {
    pub fn new(setup: &Setup) -> Result<Place, StoreError> {
        let Address::Github { owner, repo } = &setup.address else {
            return Err(StoreError::Unsupported("this is no GitHub repository".into()));
        };
        let plain = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !plain(owner) || !plain(repo) || repo.trim_matches('.').is_empty() {
            return Err(StoreError::Unsupported("a repository is named github:owner/repo".into()));
        }
        Ok(Place {
            api: Api::new(setup)?,
            names: Names::new(&setup.namespace),
            owner: owner.clone(),
            repo: repo.clone(),
            path: format!("/repos/{owner}/{repo}"),
            memory: Memory::default(),
            namespace: setup.namespace.clone(),
            repository: OnceCell::new(),
            base: OnceCell::new(),
        })
    }

    pub async fn repository(&self, by: Deadline) -> Result<&Repository, StoreError> {
        let ask = || async {
            match self.api.rest_only {
                true => self.by_rest(by).await,
                false => self.by_graphql(by).await,
            }
        };
        self.repository.get_or_try_init(ask).await
    }

    async fn by_graphql(&self, by: Deadline) -> Result<Repository, StoreError> {
        const QUERY: &str = "query($owner:String!,$repo:String!){viewer{login} repository(owner:$owner,name:$repo){\
             id defaultBranchRef{target{...on Commit{tree{oid}}}}}}";
        let answer =
            self.api.graphql(QUERY, self.coordinates().into(), by).await.map_err(Failure::of_read)?;
        let found = &answer.body["repository"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let Some(id) = text(&found["id"]) else { return Err(self.missing()) };
        let tree = text(&found["defaultBranchRef"]["target"]["tree"]["oid"]).ok_or_else(empty)?;
        Ok(Repository { id, tree, login: text(&answer.body["viewer"]["login"]) })
    }

    async fn by_rest(&self, by: Deadline) -> Result<Repository, StoreError> {
        let get = |path: String| async move { self.api.get(&path, by).await };
        let found = get(self.path.clone()).await.map_err(Failure::of_read)?;
        let branch = found.body["default_branch"].as_str().unwrap_or("main").to_owned();
        let tip = match get(format!("{}/git/ref/heads/{branch}", self.path)).await {
            Ok(tip) => tip,
            Err(Failure::Missing { .. } | Failure::Refused(_)) => return Err(empty()),
            Err(failure) => return Err(failure.of_read()),
        };
        let oid = tip.body["object"]["sha"].as_str().unwrap_or_default().to_owned();
        let commit = get(format!("{}/git/commits/{oid}", self.path)).await.map_err(Failure::of_read)?;
        let tree = commit.body["tree"]["sha"].as_str().ok_or_else(empty)?.to_owned();
        // A token of an app may not ask; then nobody is assigned.
        let login =
            get("/user".into()).await.ok().and_then(|user| user.body["login"].as_str().map(str::to_owned));
        Ok(Repository { id: String::new(), tree, login })
    }

    fn missing(&self) -> StoreError {
        Failure::Missing { why: format!("{}/{} is not to be found", self.owner, self.repo), now: 0 }.of_read()
    }

    /// Where to look. While nobody has made the mark there is nothing to be seen.
    pub async fn base(&self, by: Deadline) -> Result<&'static str, StoreError> {
        match self.base.get() {
            Some(base) => Ok(base),
            None => Ok(self.marked(by).await?.unwrap_or(OWN)),
        }
    }

    /// Where to write: the mark is there, or it is made now.
    pub async fn base_to_write(&self, by: Deadline) -> Result<&'static str, StoreError> {
        if let Some(base) = self.base.get() {
            return Ok(base);
        }
        match self.marked(by).await? {
            Some(base) => Ok(base),
            None => self.mark(by).await,
        }
    }

    /// The mark among the branches counts first: it was made because the other could not be.
    async fn marked(&self, by: Deadline) -> Result<Option<&'static str>, StoreError> {
        let marks = [BRANCHES, OWN].map(|base| self.names.of_home(base));
        let seen = self.tips_now(&marks, by).await?;
        let found = [BRANCHES, OWN].into_iter().zip(&seen.tips).find(|(_, tip)| tip.is_some());
        Ok(found.map(|(base, _)| {
            // Full already is as good: marks do not change.
            drop(self.base.set(base));
            base
        }))
    }

    async fn mark(&self, by: Deadline) -> Result<&'static str, StoreError> {
        let mut refused = String::new();
        for base in [OWN, BRANCHES] {
            let made = self.write_commit(&message::of_home(&self.namespace), &[], by).await?;
            let mark = Move { name: self.names.of_home(base), before: None, after: Some(made.oid) };
            match self.move_all(&[mark], by).await? {
                // Ours, or somebody's at the same time: what counts is what is there now.
                Landed::All | Landed::Elsewhere(_) => {
                    if let Some(base) = self.marked(by).await? {
                        return Ok(base);
                    }
                    return Err(lags_behind());
                }
                Landed::Refused(why) => refused = why,
            }
        }
        Err(StoreError::Unsupported(format!("no ref may be made: {refused}")))
    }

    /// Why a write was not allowed, in words that help.
    pub async fn explain(&self, why: String, by: Deadline) -> StoreError {
        match self.is_read_only(by).await {
            Some(read_only) => read_only,
            None => StoreError::Denied(format!("{why} (the token needs contents: write)")),
        }
    }

    /// Why nothing moves though nothing is in the way. It may be a rule of the repository, or reads that lag behind.
    pub async fn explain_refusal(&self, why: String, by: Deadline) -> StoreError {
        let unavailable = StoreError::Unavailable { why, retry_after: None };
        self.is_read_only(by).await.unwrap_or(unavailable)
    }

    async fn is_read_only(&self, by: Deadline) -> Option<StoreError> {
        let found = self.api.get(&self.path, by).await.ok()?;
        let read_only = |why: &str| Some(StoreError::ReadOnly(why.into()));
        match (&found.body["archived"], &found.body["permissions"]["push"]) {
            (Value::Bool(true), _) => read_only("the repository is archived"),
            (_, Value::Bool(false)) => read_only("the token may only read the repository"),
            _ => None,
        }
    }
}

fn empty() -> StoreError {
    StoreError::Unsupported("the repository is empty: GitHub makes no refs before its first commit".into())
}
