//! Who watches what, over few streams. A key that is watched has a stream of its own, which brings its changes with
//! the record in them and nothing of other keys, so that a hand-off on a hot key is one small message. Every stream
//! is a connection, though: from `MOST_NARROW` on one wide stream serves all further keys.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::api::Api;
use super::feed::{self, Feed};
use super::wire::Names;
use super::{Ended, Record};
use crate::lease::store::{Hint, Key, Pending, Seen, StoreError, Watch};

/// How many keys have a stream of their own.
const MOST_NARROW: usize = 8;

/// What all streams of a store need.
#[derive(Debug)]
pub struct Common {
    pub api: Rc<Api>,
    pub names: Rc<Names>,
    pub ended: Rc<Ended>,
    /// By key; none is the wide one.
    pub open: RefCell<HashMap<Option<Key>, Running>>,
}

#[derive(Debug)]
pub struct Running {
    feed: Rc<Feed>,
    task: AbortHandle,
}

#[derive(Debug)]
pub struct Feeds(Rc<Common>);

impl Feeds {
    pub fn new(api: Rc<Api>, names: Rc<Names>, ended: Rc<Ended>) -> Feeds {
        Feeds(Rc::new(Common { api, names, ended, open: RefCell::default() }))
    }

    pub async fn watch(&self, key: &Key) -> Result<Box<dyn Watch>, StoreError> {
        let feed = self.feed_for(key);
        let seat = feed.sit_down(key);
        let watch = EtcdWatch { seat, feed };
        watch.feed.opened().await?;
        Ok(Box::new(watch))
    }

    /// Everybody is told, and nobody will be again.
    pub fn close(&self) {
        for (_, running) in self.0.open.take() {
            running.task.abort();
            running
                .feed
                .fail(&StoreError::Unavailable { why: "the store was closed".into(), retry_after: None });
        }
    }

    fn feed_for(&self, key: &Key) -> Rc<Feed> {
        let mut open = self.0.open.borrow_mut();
        let own = Some(key.clone());
        if let Some(running) = open.get(&own).or_else(|| open.get(&None)) {
            return running.feed.clone();
        }
        let scope = if open.len() < MOST_NARROW { own } else { None };
        let feed = Rc::new(Feed::default());
        let run = feed::run(feed.clone(), scope.clone(), Rc::downgrade(&self.0));
        let task = tokio::task::spawn_local(run).abort_handle();
        open.insert(scope, Running { feed: feed.clone(), task });
        feed
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        self.close();
    }
}

/// Who watches a key.
#[derive(Debug)]
pub struct Seat {
    key: Key,
    hint: RefCell<Option<Hint>>,
    rung: Notify,
    /// The sessions that the record names, once one has come by.
    names: RefCell<Option<Vec<String>>>,
}

impl Seat {
    pub fn new(key: &Key) -> Seat {
        Seat { key: key.clone(), hint: RefCell::default(), rung: Notify::new(), names: RefCell::default() }
    }

    pub fn changed(&self, key: &str, seen: &Seen) {
        if *self.key == *key {
            self.names.replace(Some(Record::sessions_in(&seen.body)));
            self.ring(Hint { seen: Some(seen.clone()) });
        }
    }

    /// Only who reads anew sees that a hold has ended.
    pub fn session_ended(&self, session: &str) {
        let is_named = match &*self.names.borrow() {
            Some(names) => names.iter().any(|name| name == session),
            None => true,
        };
        if is_named {
            self.ring(Hint::default());
        }
    }

    pub fn take(&self) -> Option<Hint> {
        self.hint.take()
    }

    /// The last one counts; but one without a record asks for a read, and stays until it is taken.
    pub fn ring(&self, hint: Hint) {
        let mut waiting = self.hint.borrow_mut();
        if waiting.as_ref().is_none_or(|hint| hint.seen.is_some()) {
            *waiting = Some(hint);
        }
        self.rung.notify_one();
    }
}

#[derive(Debug)]
struct EtcdWatch {
    seat: Rc<Seat>,
    feed: Rc<Feed>,
}

impl Watch for EtcdWatch {
    fn next(&mut self) -> Pending<'_, Hint> {
        Box::pin(async {
            loop {
                if let Some(hint) = self.seat.take() {
                    return hint;
                }
                self.seat.rung.notified().await;
            }
        })
    }
}

impl Drop for EtcdWatch {
    fn drop(&mut self) {
        self.feed.stand_up(&self.seat);
    }
}
