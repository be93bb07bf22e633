//! The pursuit of one key: decide, write, wait, and decide again, until it is granted or given up.

use crate::lease::desk::Desk;
use crate::lease::desk::change::{Changed, Failed, Step, change};
use crate::lease::desk::line::{Kept, Line, Waiter};
use crate::lease::desk::watch::watch;
use crate::lease::fault::Fault;
use crate::lease::keeper::lease::Place;
use crate::lease::keeper::renewal;
use crate::lease::keeper::session::{self, Session};
use crate::lease::manager::acquire::{Wanted, Won, deadline};
use crate::lease::manager::client::Client;
use crate::lease::manager::decide::decide;
use crate::lease::manager::refusal;
use crate::lease::manager::release::{clear_later, clear_unsettled};
use crate::lease::manager::statistics::Counters;
use crate::lease::manager::types::Strategy;
use crate::lease::rules::{Ask, Refusal};
use crate::lease::store::StoreError;
use crate::sync::Ordering;
use crate::time::Nanos;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// A waiter's place in line lives no longer than this without a renewal.
const MOST_PLACE_MS: u64 = 10_000;
/// So long after a hand-over the line is as it stays for a while.
const SETTLES: Nanos = Nanos(2_000_000);

/// What came of one attempt.
#[derive(Debug)]
pub enum Outcome {
    Granted {
        token: u64,
        sent: Option<Nanos>,
        /// Somebody else has handed it over: what its place in line was promised to last.
        handed: Option<Nanos>,
        stale: u32,
        stolen: u32,
    },
    /// Granted, but under a session that is no longer ours.
    Orphaned,
    /// It is to wait, and is not told of changes yet.
    Watch,
    /// Somebody else has it; whether the request stands in line now.
    Busy,
    Refused(Refusal),
}

pub struct Chase<'a> {
    pub client: &'a Rc<Client>,
    pub wanted: &'a Wanted,
    pub line: Rc<Line>,
    pub waiter: Rc<Waiter>,
    pub(super) session: Option<Rc<Session>>,
    place: Option<Rc<Place>>,
    /// A write of ours is on its way whose answer did not come.
    is_unsettled: bool,
    is_watched: bool,
    pub(super) troubles: u32,
    pub(super) in_trouble_since: Option<Nanos>,
}

impl std::fmt::Debug for Chase<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chase").field("line", &self.line.key).finish_non_exhaustive()
    }
}

/// Pursues one key to its end; whatever a failure leaves in the record is taken out behind it.
pub async fn pursue(client: &Rc<Client>, wanted: &Wanted, key: &str, ask: Ask) -> Result<Won, Fault> {
    let line = client.desk.line(key);
    let waiter = Rc::new(Waiter { ask: RefCell::new(ask), sent: Cell::new(None), stood: Cell::new(None) });
    *wanted.line.borrow_mut() = Some(line.clone());
    let mut chase = Chase {
        client,
        wanted,
        line,
        waiter,
        session: None,
        place: None,
        is_unsettled: false,
        is_watched: false,
        troubles: 0,
        in_trouble_since: None,
    };
    let result = chase.run().await;
    chase.leave(result.is_err());
    result
}

impl Chase<'_> {
    pub fn desk(&self) -> &Rc<Desk> {
        &self.client.desk
    }

    async fn run(&mut self) -> Result<Won, Fault> {
        loop {
            if let Some(fault) = self.wanted.cancel.fault() {
                return Err(fault);
            }
            match self.attempt().await {
                Ok(Outcome::Granted { token, sent, handed, stale, stolen }) => {
                    self.well();
                    let (sent, until) = match handed {
                        Some(ttl) => self.handed_over(ttl),
                        None => self.granted(sent),
                    };
                    let won = Won { sent, until, ..self.won(token, stale, stolen) };
                    if self.desk().now() < deadline(&won) {
                        if handed.is_some() {
                            self.look_soon();
                        }
                        return Ok(won);
                    }
                    self.too_late();
                }
                Ok(Outcome::Orphaned) => self.too_late(),
                Ok(Outcome::Watch) => self.well(),
                Ok(Outcome::Refused(refusal)) => {
                    return Err(refusal::refused(self.desk(), &self.line, &refusal));
                }
                Ok(Outcome::Busy) => {
                    self.well();
                    self.conflict().await?;
                }
                Err(failed) => self.failed(failed).await?,
            }
        }
    }

    /// One decision and its write.
    async fn attempt(&mut self) -> Result<Outcome, Failed> {
        let (desk, line) = (self.client.desk.clone(), self.line.clone());
        let began = desk.now();
        self.wanted.asks(began);
        let _turn = line.turn().await;
        if self.wanted.cancel.is_given_up() {
            return Ok(Outcome::Watch);
        }
        if desk.store.caps().sessions {
            let session = session::session(&desk, self.wanted.checked.ttl_ms).await?;
            self.waiter.ask.borrow_mut().session = Some(session.name.clone());
            self.session = Some(session);
        }
        let fair = self.wanted.checked.fair;
        self.waiter.ask.borrow_mut().ticket_ttl_ms = fair.then(|| place_ttl(&desk, self.wanted));
        // Who does not wait need not be told of changes.
        let is_watched = self.is_watched || self.wanted.request.strategy != Strategy::Wait;
        let (waiter, wanted) = (self.waiter.clone(), self.wanted);
        let before = (waiter.sent.get(), waiter.stood.get());
        let changed = change(&desk, &line, began, |known| {
            if wanted.cancel.is_given_up() {
                return Step::Leave(Outcome::Busy);
            }
            decide(&desk, known, &waiter, is_watched)
        });
        let changed = changed.await.inspect_err(|failed| self.has_failed(failed, before));
        let Changed { answer, sent, base } = changed?;
        if sent.is_some() {
            // It stands on the newest record: what was on its way before can land no more.
            self.is_unsettled = false;
        }
        // Who has given up has not looked: it may have been handed over meanwhile.
        let has_looked = !self.wanted.cancel.is_given_up();
        if has_looked && !self.is_unsettled && !matches!(answer, Outcome::Granted { .. } | Outcome::Orphaned)
        {
            self.waiter.sent.set(None);
        }
        match &answer {
            Outcome::Watch => {
                let is_new = watch(&desk, &line).await;
                self.is_watched = true;
                self.wait_here();
                // What was before the watch, a write of its own will say: not without one, and not that a session has ended.
                if (is_new && desk.store.caps().sessions) || (!fair && line.is_watched()) {
                    line.forget();
                }
            }
            Outcome::Busy if sent.is_some() => self.stands(sent.unwrap_or(began)),
            _ => {}
        }
        Ok(match answer {
            Outcome::Granted { token, handed, stale, stolen, .. } => {
                // What was found in the record was told as users see it.
                let base = if sent.is_some() { base } else { 0 };
                Outcome::Granted { token: token.saturating_add(base), sent, handed, stale, stolen }
            }
            other => other,
        })
    }

    /// Whether the last write of this attempt has happened is not known; or it has not, for sure: before the attempt `sent`
    /// and `stood` were so. Whatever else the store says, it is looked for at the end.
    fn has_failed(&mut self, failed: &Failed, (sent, stood): (Option<Nanos>, Option<Nanos>)) {
        match failed {
            Failed::Store(StoreError::Unknown(_)) => self.is_unsettled = true,
            Failed::Guarded | Failed::Store(StoreError::Unavailable { .. }) => {
                self.waiter.sent.set(sent);
                self.waiter.stood.set(stood);
            }
            Failed::Store(_) => {}
        }
    }

    fn won(&self, token: u64, stale: u32, stolen: u32) -> Won {
        let (line, nonce) = (self.line.clone(), self.waiter.ask.borrow().nonce.clone());
        let (sent, until, session) = (Nanos::NEVER, Nanos::NEVER, self.session.clone());
        Won { line, nonce, token, sent, until, session, stale, stolen }
    }

    /// Since when it is granted by a write of this process, and until when.
    fn granted(&self, sent: Option<Nanos>) -> (Nanos, Nanos) {
        // Found in the record: the first write that may have put it there counts.
        let sent = sent.or(self.waiter.sent.get());
        sent.map_or((Nanos::NEVER, Nanos::NEVER), |sent| (sent, sent.plus(self.wanted.ttl())))
    }

    /// The same when another process has handed it over: whenever that was heard, what counts is what was promised
    /// with the place in line.
    fn handed_over(&self, ttl: Nanos) -> (Nanos, Nanos) {
        match (&self.place, self.waiter.stood.get()) {
            (Some(place), _) => (place.renewed.get(), place.until.get()),
            (None, Some(stood)) => (stood, stood.plus(ttl)),
            (None, None) => (Nanos::NEVER, Nanos::NEVER),
        }
    }

    /// Who has handed the key over stands in line again, as a rule: known in time, that costs the next release no second
    /// write.
    fn look_soon(&self) {
        let (desk, line) = (self.desk().clone(), self.line.clone());
        let nonce = self.waiter.ask.borrow().nonce.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(SETTLES.duration()).await;
            let is_held = line.kept.borrow().iter().any(|kept| *kept.nonce() == nonce);
            if is_held && !desk.is_closed.get() {
                // A release without it loses once.
                let _ = desk.look(&line).await;
            }
        });
    }

    /// Granted, but too long ago to begin with: given back, and asked for anew.
    fn too_late(&mut self) {
        Counters::more(&self.client.counters().late_grants);
        let nonce = self.waiter.ask.borrow().nonce.clone();
        self.line.drop_kept(&nonce);
        clear_later(self.desk(), &self.line, &nonce, self.wanted.ttl());
        self.waiter.ask.borrow_mut().nonce = self.desk().outside.nonce();
        self.waiter.sent.set(None);
        self.waiter.stood.set(None);
        self.place = None;
    }

    /// Stands among those whom a release in this process can hand the key over to.
    fn wait_here(&self) {
        if self.line.add_waiter(&self.waiter) {
            Counters::more(&self.client.counters().waiting);
            self.desk().waiting.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The write that put it in line left at `sent`.
    fn stands(&mut self, sent: Nanos) {
        let nonce = self.waiter.ask.borrow().nonce.clone();
        let ttl = Nanos(place_ttl(self.desk(), self.wanted) * 1_000_000);
        let place = Rc::new(Place {
            nonce: nonce.clone(),
            ttl,
            renewed: Cell::new(sent),
            until: Cell::new(sent.plus(ttl)),
            is_hold: false,
            is_lost: Cell::new(false),
        });
        self.waiter.stood.set(None);
        self.line.drop_kept(&nonce);
        if self.session.is_none() {
            self.line.kept.borrow_mut().push(Kept::Place(place.clone()));
            renewal::plan(self.desk(), &self.line);
        }
        self.place = Some(place);
    }

    fn leave(&mut self, has_failed: bool) {
        if self.line.drop_waiter(&self.waiter) {
            Counters::less(&self.client.counters().waiting);
            self.desk().waiting.fetch_sub(1, Ordering::Relaxed);
        }
        let nonce = self.waiter.ask.borrow().nonce.clone();
        if self.place.is_some() {
            self.line.drop_kept(&nonce);
            renewal::plan(self.desk(), &self.line);
        }
        if has_failed && self.is_unsettled {
            clear_unsettled(self.desk(), &self.line, &nonce, self.wanted.ttl());
        } else if has_failed && (self.place.is_some() || self.waiter.sent.get().is_some()) {
            clear_later(self.desk(), &self.line, &nonce, self.wanted.ttl());
        }
    }

    /// The key is not to be had now: what then, is the strategy's.
    async fn conflict(&mut self) -> Result<(), Fault> {
        if !self.wanted.has_conflict.replace(true) {
            Counters::more(&self.client.counters().conflicts);
            self.desk().sheet.count(|counts| &counts.conflicts);
        }
        match self.wanted.request.strategy {
            Strategy::Wait => {
                self.wait().await;
                Ok(())
            }
            Strategy::Retry { max, base_ms, cap_ms } if self.wanted.retries.get() < max => {
                let done = self.wanted.retries.get();
                self.wanted.retries.set(done + 1);
                Counters::more(&self.client.counters().retries);
                let most = base_ms.saturating_mul(1 << done.min(32)).min(cap_ms);
                self.pause(self.desk().outside.part_of(Nanos(most.saturating_mul(1_000_000)))).await;
                Ok(())
            }
            _ => Err(refusal::held(self.desk(), &self.line)),
        }
    }

    pub fn is_standing(&self) -> bool {
        self.place.is_some()
    }

    pub(super) async fn pause(&self, span: Nanos) {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_nanos(span.0)) => {}
            () = self.wanted.cancel.given_up() => {}
        }
    }
}

fn place_ttl(desk: &Desk, wanted: &Wanted) -> u64 {
    let least = desk.store.caps().min_ttl.as_millis() as u64;
    wanted.checked.ttl_ms.min(MOST_PLACE_MS).max(least)
}
