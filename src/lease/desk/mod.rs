//! A desk: one store, and everything that this process does with it. Managers with the same setup share one.

pub mod change;
pub mod line;
pub mod outside;
pub mod rest;
pub mod watch;

use crate::lease::desk::line::{Known, Line};
use crate::lease::desk::outside::Outside;
use crate::lease::keeper::Keeper;
use crate::lease::limit::Limit;
use crate::lease::page::sheet::Sheet;
use crate::lease::record::Who;
use crate::lease::rules::View;
use crate::lease::store::{Store, StoreError};
use crate::sync::{Arc, StaticU64};
use crate::time::Nanos;
use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

/// How many keys are remembered that nobody uses at the moment.
const MOST_IDLE: usize = 10_000;

/// A line, found by its key.
#[derive(Debug)]
struct ByKey(Rc<Line>);

impl Borrow<str> for ByKey {
    fn borrow(&self) -> &str {
        &self.0.key
    }
}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &ByKey) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for ByKey {}

#[derive(Debug)]
pub struct Desk {
    pub store: Rc<dyn Store>,
    pub outside: Outside,
    pub keeper: Keeper,
    /// What others may see of it.
    pub sheet: Rc<Sheet>,
    /// The longest that one request takes.
    pub request_timeout: Nanos,
    /// How long a release is waited for: that of two requests.
    pub release_limit: Limit,
    /// After how long it is looked whether a request that does not wait has heard anything.
    pub silence_limit: Limit,
    /// When the store last answered a request for some key.
    pub heard: Cell<Nanos>,
    lines: RefCell<HashSet<ByKey>>,
    uses: Cell<u64>,
    /// Managers that are open here.
    pub managers: Cell<u32>,
    pub is_closed: Cell<bool>,
    /// Requests that wait here for some key: then nothing is done past the desk.
    pub waiting: Arc<StaticU64>,
    /// Tasks that take something of ours out of a record.
    pub clearing: Cell<u32>,
}

impl Desk {
    /// `sheet` is where others see what it does.
    pub fn new(
        store: Rc<dyn Store>,
        outside: Outside,
        request_timeout: Duration,
        sheet: Rc<Sheet>,
    ) -> Rc<Desk> {
        let desk = Rc::new(Desk {
            store,
            outside,
            keeper: Keeper::default(),
            sheet,
            request_timeout: Nanos(request_timeout.as_nanos() as u64),
            release_limit: Limit::new(request_timeout.saturating_mul(2)),
            silence_limit: Limit::new(request_timeout),
            heard: Cell::new(Nanos::NEVER),
            lines: RefCell::default(),
            uses: Cell::new(0),
            managers: Cell::new(0),
            is_closed: Cell::new(false),
            waiting: Arc::new(StaticU64::new(0)),
            clearing: Cell::new(0),
        });
        crate::lease::keeper::start(&desk);
        desk
    }

    pub fn now(&self) -> Nanos {
        self.outside.now()
    }

    /// The store has answered.
    pub fn hears(&self) {
        self.heard.set(self.now());
    }

    pub fn line(&self, key: &str) -> Rc<Line> {
        let used = self.uses.get() + 1;
        self.uses.set(used);
        let mut lines = self.lines.borrow_mut();
        if let Some(ByKey(line)) = lines.get(key) {
            line.used.set(used);
            return line.clone();
        }
        if lines.len() >= MOST_IDLE {
            throw_away(&mut lines);
        }
        let line = Rc::new(Line::new(key.into()));
        line.used.set(used);
        lines.insert(ByKey(line.clone()));
        line
    }

    /// Judges a record, as far as it is known.
    pub fn judge<T>(&self, known: &Known, judge: impl FnOnce(&View<'_>) -> T) -> T {
        let caps = self.store.caps();
        let dead = |who: &Who| caps.local && (self.outside.dead)(who);
        let gone = known.gone.as_deref().unwrap_or(&known.ended);
        judge(&View { now: known.now, slack: caps.slack.as_millis() as u64, gone, dead: &dead })
    }

    /// What the store has under the key now.
    pub async fn look(&self, line: &Line) -> Result<Known, StoreError> {
        let began = self.now();
        let mut seen = self.store.read(std::slice::from_ref(&line.key)).await?;
        self.hears();
        let Some(mut seen) = seen.pop() else {
            return Err(StoreError::Foreign("the store has answered nothing".into()));
        };
        let gone = std::mem::take(&mut seen.gone);
        let mut known = Known::read(seen, self.now())?;
        // A watch may have told of a newer one while the answer was on its way.
        if let Some(newer) =
            line.known().filter(|other| other.heard >= began && line.knows_newer(&known.version))
        {
            return Ok(newer);
        }
        known.gone = Some(gone);
        line.learn(known.clone());
        Ok(known)
    }

    /// Lets go of everything; what is held stays in the store until it expires.
    pub async fn close(&self) {
        self.is_closed.set(true);
        self.keeper.stop(self).await;
        for line in self.lines.borrow_mut().drain() {
            line.0.stop_watching();
        }
        self.store.close().await;
        self.sheet.close();
    }
}

/// Of those that nobody uses the half that was used longest ago.
#[expect(clippy::mutable_key_type, reason = "found by the key, which never changes")]
fn throw_away(lines: &mut HashSet<ByKey>) {
    let mut idle: Vec<u64> =
        lines.iter().filter(|line| is_unused(&line.0)).map(|line| line.0.used.get()).collect();
    let middle = idle.len() / 2;
    if idle.is_empty() {
        return;
    }
    let (_, limit, _) = idle.select_nth_unstable(middle);
    let limit = *limit;
    lines.retain(|line| !is_unused(&line.0) || line.0.used.get() > limit);
}

fn is_unused(line: &Rc<Line>) -> bool {
    Rc::strong_count(line) == 1 && line.is_idle()
}
