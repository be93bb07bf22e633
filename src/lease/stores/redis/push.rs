//! Watches: one subscribed connection for all of them, made at the first watch and let go when nobody watches.
//!
//! A watcher has a slot for one hint, the newest; so one that does not look costs nothing. When the connection breaks
//! everybody is told at once, for a change may be missed, and again when it is back. A connection that is silent is
//! asked for a sign of life as often as a request may take.

use super::address::Place;
use super::errors::{Doing, failed, unanswered};
use super::script::pushed;
use crate::lease::store::{Hint, Key, Pending, StoreError, Watch};
use futures_core::Stream;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Msg, RedisError};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Between two attempts to come back: from, to.
const AGAIN: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(1));

pub struct Push {
    hub: Rc<Hub>,
    /// Before a key: its channel's name.
    channels: String,
}

/// What the watchers and the connection share.
struct Hub {
    place: Rc<Place>,
    /// Each channel that is subscribed, or soon will be, and who listens to it.
    slots: RefCell<HashMap<String, Vec<Weak<Slot>>>>,
    line: RefCell<Option<Line>>,
    connecting: tokio::sync::Mutex<()>,
}

/// The subscribed connection, and the task that hears it.
struct Line {
    sink: PubSubSink,
    hears: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.hears.abort();
    }
}

#[derive(Default)]
struct Slot {
    hint: Cell<Option<Hint>>,
    told: Notify,
}

impl Slot {
    fn tell(&self, hint: Hint) {
        self.hint.set(Some(hint));
        self.told.notify_one();
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("place", &self.hub.place).finish_non_exhaustive()
    }
}

/// A watched key.
struct Listener {
    slot: Rc<Slot>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

impl Watch for Listener {
    fn next(&mut self) -> Pending<'_, Hint> {
        Box::pin(async {
            loop {
                if let Some(hint) = self.slot.hint.take() {
                    return hint;
                }
                self.slot.told.notified().await;
            }
        })
    }
}

impl Push {
    pub fn new(place: Rc<Place>, channels: String) -> Push {
        let hub = Hub {
            place,
            slots: RefCell::default(),
            line: RefCell::new(None),
            connecting: tokio::sync::Mutex::new(()),
        };
        Push { hub: Rc::new(hub), channels }
    }

    pub async fn watch(&self, key: &Key) -> Result<Box<dyn Watch>, StoreError> {
        let channel = format!("{}{key}", self.channels);
        let slot = Rc::new(Slot::default());
        within(&self.hub.place, self.hub.listen(&channel, &slot)).await?;
        Ok(Box::new(Listener { slot }))
    }

    pub fn close(&self) {
        self.hub.slots.borrow_mut().clear();
        *self.hub.line.borrow_mut() = None;
    }
}

/// Within the time that a request may take.
async fn within<T>(
    place: &Place,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let ended = tokio::time::timeout(place.timeout, work).await;
    ended.unwrap_or_else(|_| Err(unanswered("no answer in time to a subscription", Doing::Read)))
}

fn broken(error: &RedisError) -> StoreError {
    failed(error, Doing::Read)
}

impl Hub {
    /// Stands among the listeners before the server is asked, so that nothing is missed once it has confirmed.
    async fn listen(self: &Rc<Self>, channel: &str, slot: &Rc<Slot>) -> Result<(), StoreError> {
        let mut sink = self.clone().sink().await?;
        self.slots.borrow_mut().entry(channel.to_owned()).or_default().push(Rc::downgrade(slot));
        // Also where others listen already: theirs may not be confirmed yet. Twice is once.
        sink.subscribe(channel).await.map_err(|error| broken(&error))
    }

    async fn sink(self: Rc<Self>) -> Result<PubSubSink, StoreError> {
        if let Some(sink) = self.open() {
            return Ok(sink);
        }
        let _turn = self.connecting.lock().await;
        if let Some(sink) = self.open() {
            return Ok(sink);
        }
        let (mut sink, stream) = self.place.subscriber().await?.split();
        let channels = self.listened();
        if !channels.is_empty() {
            sink.subscribe(&channels).await.map_err(|error| broken(&error))?;
        }
        let hears = tokio::task::spawn_local(hear(Rc::downgrade(&self), stream, sink.clone()));
        *self.line.borrow_mut() = Some(Line { sink: sink.clone(), hears });
        Ok(sink)
    }

    fn open(&self) -> Option<PubSubSink> {
        self.line.borrow().as_ref().map(|line| line.sink.clone())
    }

    /// The channels to which somebody listens; the others are forgotten.
    fn listened(&self) -> Vec<String> {
        self.forget_unheard();
        self.slots.borrow().keys().cloned().collect()
    }

    /// Takes those out who have left. Answers the channels that nobody listens to any more.
    fn forget_unheard(&self) -> Vec<String> {
        let mut unheard = Vec::new();
        self.slots.borrow_mut().retain(|channel, slots| {
            slots.retain(|slot| slot.strong_count() > 0);
            if slots.is_empty() {
                unheard.push(channel.clone());
            }
            !slots.is_empty()
        });
        unheard
    }

    fn dispatch(&self, message: &Msg) {
        let slots = self.slots.borrow();
        for slot in slots.get(message.get_channel_name()).into_iter().flatten().filter_map(Weak::upgrade) {
            slot.tell(Hint { seen: pushed(message.get_payload_bytes()) });
        }
    }

    fn tell_everybody(&self) {
        for slot in self.slots.borrow().values().flatten().filter_map(Weak::upgrade) {
            slot.tell(Hint::default());
        }
    }

    /// Lets the server know what nobody listens to, and asks whether it is there. False when nobody is left, or when
    /// it is not there. A channel that somebody watches anew meanwhile is asked for after this, in this order.
    async fn look_after(&self, sink: &mut PubSubSink) -> bool {
        let unheard = self.forget_unheard();
        if self.slots.borrow().is_empty() {
            return false;
        }
        let asked = within(&self.place, async {
            if !unheard.is_empty() {
                sink.unsubscribe(&unheard).await.map_err(|error| broken(&error))?;
            }
            sink.ping::<redis::Value>().await.map_err(|error| broken(&error))
        });
        asked.await.is_ok()
    }

    /// The connection is gone: everybody looks for himself now, and once more when it is back.
    async fn come_back(self: Rc<Self>) {
        let mut pause = AGAIN.0;
        while !self.listened().is_empty() {
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            if within(&self.place, self.clone().sink()).await.is_ok() {
                return self.tell_everybody();
            }
            pause = (pause * 2).min(AGAIN.1);
        }
    }
}

/// Hands out what the server says, until it says nothing any more or nobody listens.
async fn hear(hub: Weak<Hub>, mut stream: PubSubStream, mut sink: PubSubSink) {
    let Some(every) = hub.upgrade().map(|hub| hub.place.timeout) else {
        return;
    };
    loop {
        let heard = tokio::time::timeout(every, next_of(&mut stream)).await;
        let Some(hub) = hub.upgrade() else {
            return;
        };
        let goes_on = match heard {
            Ok(Some(message)) => {
                hub.dispatch(&message);
                true
            }
            Ok(None) => false,
            Err(_) => hub.look_after(&mut sink).await,
        };
        if !goes_on {
            break;
        }
    }
    let Some(hub) = hub.upgrade() else {
        return;
    };
    hub.tell_everybody();
    if let Some(line) = hub.line.borrow_mut().take() {
        // Dropping the line ends this very task at its next pause.
        tokio::task::spawn_local(hub.clone().come_back());
        drop(line);
    }
}

async fn next_of(stream: &mut PubSubStream) -> Option<Msg> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}
