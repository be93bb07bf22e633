//! One stream of changes: of a key, or of all, and of sessions that end. It is opened anew when it ends, and then
//! everybody is told to look, since what happened in between is not known.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::api::{Kind, Refusal};
use super::feeds::{Common, Seat};
use super::wire::{Line, Place, Watched};
use crate::lease::http::{HttpError, Lines};
use crate::lease::store::{Hint, Key, StoreError};

/// How long a stream stays that nobody uses: who comes back at once finds it open.
const LINGERS: Duration = Duration::from_secs(5);
/// The least and the longest pause before a stream is opened anew.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

#[derive(Clone, Debug)]
enum State {
    Opening,
    Open,
    Failed(StoreError),
}

#[derive(Debug)]
pub struct Feed {
    state: watch::Sender<State>,
    seats: RefCell<Vec<Rc<Seat>>>,
    /// Somebody came or left.
    moved: Notify,
}

impl Default for Feed {
    fn default() -> Feed {
        Feed { state: watch::Sender::new(State::Opening), seats: RefCell::default(), moved: Notify::new() }
    }
}

impl Feed {
    pub fn sit_down(&self, key: &Key) -> Rc<Seat> {
        let seat = Rc::new(Seat::new(key));
        self.seats.borrow_mut().push(seat.clone());
        self.moved.notify_one();
        seat
    }

    pub fn stand_up(&self, seat: &Rc<Seat>) {
        self.seats.borrow_mut().retain(|other| !Rc::ptr_eq(other, seat));
        self.moved.notify_one();
    }

    /// From when it resolves no change is missed.
    pub async fn opened(&self) -> Result<(), StoreError> {
        let mut states = self.state.subscribe();
        let state = states.wait_for(|state| !matches!(state, State::Opening)).await;
        match state.as_deref() {
            Ok(State::Failed(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Those who watch are told the first time: it is theirs to look from time to time now.
    pub fn fail(&self, error: &StoreError) {
        let was = self.state.send_replace(State::Failed(error.clone()));
        if !matches!(was, State::Failed(_)) {
            self.tell(|seat| seat.ring(Hint::default()));
        }
    }

    fn is_empty(&self) -> bool {
        self.seats.borrow().is_empty()
    }

    fn tell(&self, what: impl Fn(&Seat)) {
        self.seats.borrow().iter().for_each(|seat| what(seat));
    }

    /// Resolves when it has been empty for a while.
    async fn unused(&self) {
        loop {
            let moved = self.moved.notified();
            match self.is_empty() {
                false => moved.await,
                true if tokio::time::timeout(LINGERS, moved).await.is_err() => return,
                true => {}
            }
        }
    }
}

enum Ending {
    Unused,
    Broken,
}

/// The life of a stream.
pub async fn run(feed: Rc<Feed>, scope: Option<Key>, common: Weak<Common>) {
    let (mut pause, mut was_open) = (PAUSES.0, false);
    while let Some(common) = common.upgrade() {
        match open(&common, &scope).await {
            Ok(lines) => {
                feed.state.send_replace(State::Open);
                if was_open {
                    feed.tell(|seat| seat.ring(Hint::default()));
                }
                (pause, was_open) = (PAUSES.0, true);
                match follow(lines, &feed, &common).await {
                    Ending::Unused => return leave(&common, &scope),
                    Ending::Broken => feed.state.send_replace(State::Opening),
                };
            }
            Err(error) => {
                if matches!(error, StoreError::Denied(_)) {
                    common.api.forget_token();
                }
                feed.fail(&error);
                if feed.is_empty() {
                    return leave(&common, &scope);
                }
            }
        }
        drop(common);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Whoever comes later opens another one.
fn leave(common: &Common, scope: &Option<Key>) {
    common.open.borrow_mut().remove(scope);
}

/// One request asks for two watches: of records that are written, and of sessions that end.
async fn open(common: &Common, scope: &Option<Key>) -> Result<Lines, StoreError> {
    let (key, end) = match scope {
        Some(key) => (common.names.record(key), String::new()),
        None => common.names.records(""),
    };
    let records = json!({ "create_request": { "key": key, "range_end": end, "filters": ["NODELETE"] } });
    let (key, end) = common.names.sessions();
    let sessions = json!({ "create_request": { "key": key, "range_end": end, "filters": ["NOPUT"] } });
    let opening = async {
        let mut lines = common.api.lines("/v3/watch", format!("{records}{sessions}")).await?;
        for _ in 0..2 {
            created(&mut lines).await?;
        }
        Ok(lines)
    };
    let late =
        |_| StoreError::Unavailable { why: "the watch did not begin in time".into(), retry_after: None };
    tokio::time::timeout(common.api.timeout * 2, opening).await.map_err(late)?
}

/// Changes that come before both watches were made are nobody's: who sits here looks afterwards.
async fn created(lines: &mut Lines) -> Result<(), StoreError> {
    loop {
        let line = lines.next().await.map_err(HttpError::of_read)?;
        let told = line.and_then(|line| read(&line)).unwrap_or_default();
        if told.canceled || (!told.created && told.events.is_empty()) {
            return Err(Refusal::in_words(&told.cancel_reason).means(Kind::Read).into());
        }
        if told.created {
            return Ok(());
        }
    }
}

fn read(line: &[u8]) -> Option<Watched> {
    let line: Line<Watched> = serde_json::from_slice(line).ok()?;
    let told = |error: &Value| error["message"].as_str().unwrap_or("the watch was refused").to_owned();
    let refused =
        |error: Value| Watched { canceled: true, cancel_reason: told(&error), ..Watched::default() };
    line.error.map(refused).or(line.result)
}

async fn follow(mut lines: Lines, feed: &Feed, common: &Common) -> Ending {
    let (mut unused, mut given_up) = (pin!(feed.unused()), pin!(common.api.given_up()));
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            () = &mut unused => return Ending::Unused,
            () = &mut given_up => return Ending::Broken,
        };
        let told = line.ok().flatten().and_then(|line| read(&line)).filter(|told| !told.canceled);
        let Some(told) = told else { return Ending::Broken };
        for event in &told.events {
            match common.names.place(&event.kv.key) {
                Some(Place::Session(session)) if event.r#type == "DELETE" => {
                    common.ended.note(&session);
                    feed.tell(|seat| seat.session_ended(&session));
                }
                Some(Place::Record(key)) => match event.kv.seen() {
                    Ok(seen) => {
                        let seen = common.ended.tell(seen);
                        feed.tell(|seat| seat.changed(&key, &seen));
                    }
                    Err(_) => feed.tell(|seat| seat.ring(Hint::default())),
                },
                _ => {}
            }
        }
    }
}
