//! Who watches hears of changes: by a connection that listens, or, where nothing arrives on it, from looking.
//!
//! One task attends as long as somebody watches. It begins by listening and tries whether a message arrives; if not, it
//! looks at the watched rows, and tries to listen again from time to time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::lease::store::{Hint, Key, StoreError, Version, Watch};
use crate::lease::stores::postgres::link::Link;
use crate::lease::stores::postgres::sql::{Table, heard};
use crate::lease::stores::watchers::Watchers;

/// How long a message to oneself may take before pushes count as not to be had.
const ARRIVES: Duration = Duration::from_millis(1_000);
/// How often it is tried whether the connection still lives, and while looking, whether listening works again.
const TRY_EVERY: Duration = Duration::from_secs(15);
/// The pauses between looks.
const LOOKS_MS: (u64, u64) = (20, 500);

#[derive(Debug)]
pub struct Push {
    table: Rc<Table>,
    watchers: Rc<Watchers>,
    /// Whether to try to listen.
    listens: bool,
    /// Whether the task attends: from then on nothing is missed.
    attends: watch::Sender<bool>,
    runs: Cell<bool>,
    closed: Cell<bool>,
    /// Wakes the task: closing.
    stir: Notify,
    /// What the watchers know, while it looks.
    known: RefCell<HashMap<Key, Version>>,
}

impl Push {
    pub fn new(table: Rc<Table>, listens: bool) -> Rc<Self> {
        Rc::new(Self {
            table,
            watchers: Rc::default(),
            listens,
            attends: watch::channel(false).0,
            runs: Cell::new(false),
            closed: Cell::new(false),
            stir: Notify::new(),
            known: RefCell::default(),
        })
    }

    pub fn close(&self) {
        self.closed.set(true);
        self.stir.notify_one();
        self.watchers.tell_all();
    }

    pub async fn watch(self: &Rc<Self>, key: &Key) -> Result<Box<dyn Watch>, StoreError> {
        let watch = self.watchers.add(key);
        if !self.runs.replace(true) {
            tokio::task::spawn_local(self.clone().attend());
        }
        let mut attends = self.attends.subscribe();
        // Until then the timers of whoever waits are enough.
        let _ = tokio::time::timeout(self.table.server.timeout, attends.wait_for(|attends| *attends)).await;
        Ok(watch)
    }

    fn is_wanted(&self) -> bool {
        !self.closed.get() && !self.watchers.is_empty()
    }

    async fn attend(self: Rc<Self>) {
        while self.is_wanted() {
            if self.listens && self.listen().await.is_ok() {
                continue;
            }
            if self.is_wanted() {
                self.look_for(TRY_EVERY).await;
            }
        }
        self.attends.send_replace(false);
        self.known.borrow_mut().clear();
        self.runs.set(false);
    }

    /// Listens until the connection ends or nobody watches; an error when nothing arrives.
    async fn listen(&self) -> Result<(), StoreError> {
        let link = self.begin_to_listen().await?;
        // What changed before may not have been heard of.
        self.watchers.tell_all();
        self.attends.send_replace(true);
        let ended = self.stay(&link).await;
        self.attends.send_replace(false);
        // Nobody is told of what is missed from now on.
        self.watchers.tell_all();
        ended
    }

    async fn begin_to_listen(&self) -> Result<Link, StoreError> {
        let (timeout, server) = (self.table.server.timeout, &self.table.server);
        let requests = within(timeout, server.link()).await??;
        let (watchers, table) = (self.watchers.clone(), requests.table.get());
        let arrived = Rc::new(Notify::new());
        let arrives = arrived.clone();
        let told =
            move |notification: tokio_postgres::Notification| match heard(notification.payload(), table) {
                Some((key, seen)) => watchers.tell(&key, &Hint { seen }),
                None => arrives.notify_one(),
            };
        let link = within(timeout, server.connect(told)).await??;
        let listen = format!("LISTEN {}", self.table.channel);
        run(timeout, &link, &listen).await?;
        // By the other connection: behind a pooler a message reaches this one, if at all, only while it is used.
        run(timeout, &requests, &format!("NOTIFY {}", self.table.channel)).await?;
        within(ARRIVES, arrived.notified()).await?;
        Ok(link)
    }

    /// Keeps the connection as long as it answers and somebody watches.
    async fn stay(&self, link: &Link) -> Result<(), StoreError> {
        while self.is_wanted() {
            tokio::select! {
                () = tokio::time::sleep(TRY_EVERY) => {}
                () = self.stir.notified() => {}
            }
            run(self.table.server.timeout, link, "").await?;
        }
        Ok(())
    }

    /// Looks at the watched rows for so long.
    async fn look_for(&self, span: Duration) {
        self.known.borrow_mut().clear();
        let looks = async {
            let mut pause = LOOKS_MS.0;
            while self.is_wanted() {
                let has_news = self.look().await;
                pause = if has_news { LOOKS_MS.0 } else { (pause * 3 / 2).min(LOOKS_MS.1) };
                tokio::time::sleep(Duration::from_millis(fastrand::u64(pause / 2..=pause))).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(span, looks) => {}
            () = self.stir.notified() => {}
        }
    }

    /// Tells of the rows that have changed since the last look, of those that are new to it in any case.
    async fn look(&self) -> bool {
        self.attends.send_replace(true);
        let keys = self.watchers.keys();
        let Ok(records) = self.table.read(&keys).await else { return false };
        let mut known = self.known.borrow_mut();
        known.retain(|key, _| self.watchers.are_on(key));
        let mut has_news = false;
        for (key, seen) in keys.into_iter().zip(records) {
            if known.insert(key.clone(), seen.version.clone()).as_ref() != Some(&seen.version) {
                has_news = true;
                self.watchers.tell(&key, &Hint { seen: Some(seen) });
            }
        }
        has_news
    }
}

async fn within<T>(span: Duration, work: impl Future<Output = T>) -> Result<T, StoreError> {
    tokio::time::timeout(span, work)
        .await
        .map_err(|_| StoreError::Unavailable { why: "nothing comes".into(), retry_after: None })
}

async fn run(span: Duration, link: &Link, sql: &str) -> Result<(), StoreError> {
    let ran = within(span, link.client.batch_execute(sql)).await?;
    ran.map_err(|error| StoreError::Unavailable { why: error.to_string(), retry_after: None })
}
