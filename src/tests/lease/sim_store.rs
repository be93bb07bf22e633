//! A store in memory for several clients: each request may be delayed on its way, be applied late or not at all, or
//! lose its answer, as a seeded script says.

use crate::lease::store::{
    Caps, Clock, Hint, Key, Pending, Seen, Store, StoreError, Swap, Swapped, Version, Watch, Written,
};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[derive(Clone, Debug)]
struct Row {
    version: u64,
    at: u64,
    body: Rc<str>,
    base: u64,
}

/// What a server had at some time.
#[derive(Debug)]
pub struct Saved(BTreeMap<Key, Row>);

type Later = (tokio::time::Instant, Rc<dyn Fn(&Server)>);

/// What the server has.
pub struct Server {
    start: tokio::time::Instant,
    rows: RefCell<BTreeMap<Key, Row>>,
    watchers: RefCell<Vec<(Key, UnboundedSender<Hint>)>>,
    sessions: RefCell<BTreeMap<String, u64>>,
    ended: RefCell<BTreeSet<String>>,
    last: Cell<u64>,
    pub requests: Cell<u64>,
    /// What lands later, whatever its client does meanwhile.
    later: RefCell<Vec<Later>>,
    /// Every body that was ever written, in order, with its base.
    pub written: RefCell<Vec<(Key, Rc<str>, u64)>>,
    /// Of whatever is written from now on. It may be raised, as after a server's restart.
    pub base: Cell<u64>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

impl Server {
    pub fn new() -> Rc<Server> {
        Rc::new(Server {
            start: tokio::time::Instant::now(),
            rows: RefCell::default(),
            watchers: RefCell::default(),
            sessions: RefCell::default(),
            ended: RefCell::default(),
            last: Cell::new(0),
            requests: Cell::new(0),
            later: RefCell::default(),
            written: RefCell::default(),
            base: Cell::new(0),
        })
    }

    /// Lands what is due; to be called every ms.
    pub fn land(&self) {
        let now = tokio::time::Instant::now();
        let due: Vec<_> = self.later.borrow_mut().extract_if(.., |(at, _)| *at <= now).collect();
        due.iter().for_each(|(_, run)| run(self));
    }

    pub fn saved(&self) -> Saved {
        Saved(self.rows.borrow().clone())
    }

    /// It ends and begins anew with what it had saved then.
    pub fn restart_with(&self, saved: Saved, base: u64) {
        *self.rows.borrow_mut() = saved.0;
        self.base.set(base);
    }

    /// Its clock has nothing to do with anybody else's.
    pub fn now(&self) -> u64 {
        1_000_000 + self.start.elapsed().as_millis() as u64
    }

    fn seen(&self, key: &Key) -> Seen {
        match self.rows.borrow().get(key) {
            None => Seen::absent(self.now()),
            Some(row) => Seen {
                version: Version::Number(row.version),
                base: row.base,
                at: row.at,
                now: self.now(),
                body: row.body.clone(),
                gone: Vec::new(),
            },
        }
    }

    fn lives(&self, session: &str) -> bool {
        let until = self.sessions.borrow().get(session).copied().unwrap_or(0);
        !self.ended.borrow().contains(session) && self.now() <= until
    }

    fn read(&self, keys: &[Key]) -> Vec<Seen> {
        let look = |key| {
            let mut seen = self.seen(key);
            if let Ok(record) = crate::lease::record::Record::read(&seen.body, seen.at) {
                seen.gone = record.sessions().into_iter().filter(|one| !self.lives(one)).collect();
            }
            seen
        };
        keys.iter().map(look).collect()
    }

    /// Tells those who watch what is there, with the sessions that have ended.
    pub fn hint(&self, key: &str) {
        for seen in self.read(&[key.into()]) {
            let told = |(other, tell): &(Key, UnboundedSender<Hint>)| {
                **other != *key || tell.send(Hint { seen: Some(seen.clone()) }).is_ok()
            };
            self.watchers.borrow_mut().retain(told);
        }
    }

    /// As an administrator can, or a server that has lost them.
    pub fn end_sessions(&self) {
        self.ended.borrow_mut().extend(self.sessions.borrow().keys().cloned());
    }

    fn swap(&self, swaps: &[Swap]) -> Swapped {
        let holds = swaps.iter().all(|swap| {
            self.seen(&swap.key).version == swap.expect
                && swap.alive.iter().all(|session| self.lives(session))
                && swap.gone.iter().all(|session| !self.lives(session))
        });
        if !holds {
            return Swapped::Lost(swaps.iter().map(|swap| self.seen(&swap.key)).collect());
        }
        Swapped::Won(swaps.iter().map(|swap| self.write(swap)).collect())
    }

    fn write(&self, swap: &Swap) -> Written {
        self.ended.borrow_mut().extend(swap.gone.iter().cloned());
        self.last.set(self.last.get() + 1);
        let (version, base) = (self.last.get(), self.base.get());
        let row = Row { version, at: self.now(), body: swap.body.clone(), base };
        let written = Written { version: Version::Number(row.version), base: row.base, at: row.at };
        self.rows.borrow_mut().insert(swap.key.clone(), row);
        self.written.borrow_mut().push((swap.key.clone(), swap.body.clone(), base));
        if swap.wake {
            let hint = Hint { seen: Some(self.seen(&swap.key)) };
            let mut watchers = self.watchers.borrow_mut();
            watchers.retain(|(key, told)| *key != swap.key || told.send(hint.clone()).is_ok());
        }
        written
    }
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    pub there_ms: u64,
    pub back_ms: u64,
    /// The answer, or the request, does not come; the client hears nothing until its time is over.
    pub is_lost: bool,
    /// It is lost, and lands so much later all the same.
    pub lands_after_ms: Option<u64>,
    /// It lands a second time, so much later.
    pub again_after_ms: Option<u64>,
    /// Refused before anything has happened.
    pub is_refused: bool,
}

/// One client's way to the server.
pub struct SimStore {
    pub server: Rc<Server>,
    caps: Caps,
    pub timeout: Duration,
    pub fate: Box<dyn Fn() -> Fate>,
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimStore")
    }
}

pub fn caps() -> Caps {
    Caps {
        engine: "sim",
        clock: Clock::Server,
        min_ttl: Duration::from_millis(10),
        slack: Duration::from_millis(1),
        sessions: false,
        multi: true,
        push: true,
        queue: true,
        poll: (Duration::from_millis(20), Duration::from_millis(200)),
        local: false,
        may_double_grant: false,
    }
}

impl SimStore {
    pub fn new(
        server: Rc<Server>,
        caps: Caps,
        timeout: Duration,
        fate: impl Fn() -> Fate + 'static,
    ) -> Rc<SimStore> {
        Rc::new(SimStore { server, caps, timeout, fate: Box::new(fate) })
    }

    async fn request<T: 'static>(
        &self,
        is_write: bool,
        run: impl Fn(&Server) -> T + 'static,
    ) -> Result<T, StoreError> {
        let fate = (self.fate)();
        let server = self.server.clone();
        server.requests.set(server.requests.get() + 1);
        let run = Rc::new(run);
        tokio::time::sleep(Duration::from_millis(fate.there_ms)).await;
        if fate.is_refused {
            return Err(StoreError::Unavailable { why: "refused".into(), retry_after: None });
        }
        for after in [fate.lands_after_ms, fate.again_after_ms].into_iter().flatten() {
            let run = run.clone();
            let at = tokio::time::Instant::now() + Duration::from_millis(after);
            let again = Rc::new(move |server: &Server| drop(run(server)));
            server.later.borrow_mut().push((at, again));
        }
        let answer = if fate.is_lost && fate.lands_after_ms.is_some() { None } else { Some(run(&server)) };
        if fate.is_lost {
            tokio::time::sleep(self.timeout).await;
            let why = "no answer".to_owned();
            return Err(match is_write {
                true => StoreError::Unknown(why),
                false => StoreError::Unavailable { why, retry_after: None },
            });
        }
        tokio::time::sleep(Duration::from_millis(fate.back_ms)).await;
        answer.ok_or(StoreError::Unknown("no answer".into()))
    }
}

#[derive(Debug)]
struct SimWatch(UnboundedReceiver<Hint>);

impl Watch for SimWatch {
    fn next(&mut self) -> Pending<'_, Hint> {
        Box::pin(async {
            match self.0.recv().await {
                Some(hint) => hint,
                None => std::future::pending().await,
            }
        })
    }
}

impl Store for SimStore {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn shown(&self) -> &str {
        "sim://"
    }

    fn read<'a>(&'a self, keys: &'a [Key]) -> Pending<'a, Result<Vec<Seen>, StoreError>> {
        let keys = keys.to_vec();
        Box::pin(self.request(false, move |server| server.read(&keys)))
    }

    fn swap<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Result<Swapped, StoreError>> {
        let swaps = swaps.to_vec();
        Box::pin(self.request(true, move |server| server.swap(&swaps)))
    }

    fn swap_each<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Vec<Result<Swapped, StoreError>>> {
        let all = swaps.to_vec();
        Box::pin(async move {
            let count = all.len();
            let run = move |server: &Server| {
                all.iter().map(|one| server.swap(std::slice::from_ref(one))).collect::<Vec<_>>()
            };
            match self.request(true, run).await {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error); count],
            }
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, most: usize) -> Pending<'a, Result<Vec<(Key, Seen)>, StoreError>> {
        let prefix = prefix.to_owned();
        let run = move |server: &Server| {
            let keys: Vec<Key> = server.rows.borrow().keys().cloned().collect();
            let found = keys.into_iter().filter(|key| key.starts_with(&prefix)).take(most);
            found.map(|key| (key.clone(), server.seen(&key))).collect()
        };
        Box::pin(self.request(false, run))
    }

    fn watch<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Box<dyn Watch>, StoreError>> {
        let (key, server) = (key.clone(), self.server.clone());
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let (told, hears) = unbounded_channel();
            server.watchers.borrow_mut().push((key, told));
            let watch: Box<dyn Watch> = Box::new(SimWatch(hears));
            Ok(watch)
        })
    }

    fn open_session(&self, ttl: Duration) -> Pending<'_, Result<String, StoreError>> {
        let run = move |server: &Server| {
            server.last.set(server.last.get() + 1);
            let name = format!("s{}-{}", server.last.get(), ttl.as_millis());
            server.sessions.borrow_mut().insert(name.clone(), server.now() + ttl.as_millis() as u64);
            name
        };
        Box::pin(self.request(true, run))
    }

    fn renew_session<'a>(&'a self, session: &'a str) -> Pending<'a, Result<bool, StoreError>> {
        let session = session.to_owned();
        let run = move |server: &Server| {
            let ttl: u64 = session.split('-').nth(1).and_then(|ttl| ttl.parse().ok()).unwrap_or(0);
            let lives = server.lives(&session);
            if lives {
                server.sessions.borrow_mut().insert(session.clone(), server.now() + ttl);
            }
            lives
        };
        Box::pin(self.request(true, run))
    }

    /// As a store without push has it: nobody is told, so the end is foreseen.
    fn session_left(&self, session: &str) -> Option<Duration> {
        let until = self.server.sessions.borrow().get(session).copied().filter(|_| !self.caps.push)?;
        Some(Duration::from_millis((until + 1).saturating_sub(self.server.now())))
    }

    fn close_session<'a>(&'a self, session: &'a str) -> Pending<'a, Result<(), StoreError>> {
        let session = session.to_owned();
        Box::pin(self.request(true, move |server| {
            server.ended.borrow_mut().insert(session.clone());
        }))
    }
}
