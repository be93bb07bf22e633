//! The desk: requests lie on it, and one task works them off, all that are there in one transaction. While another
//! process writes it tries again from time to time; whoever gives up waiting takes its request back.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::lease::store::{Caps, Hint, Key, Seen, StoreError, Swap, Swapped, Version};
use crate::lease::stores::sqlite::clock::BootClock;
use crate::lease::stores::sqlite::file::{self, Opened};
use crate::lease::stores::sqlite::rows::Rows;
use crate::lease::stores::sqlite::shortcut::Direct;
use crate::lease::stores::watchers::Watchers;
use crate::sync::{Arc, Ordering, StaticU64};
use crate::time::{self, Nanos};

/// How often the path is looked at, whether it still names the open file.
pub const LOOK_EVERY: Nanos = Nanos(250_000_000);
/// Transactions between two looks at the size of the log.
pub const TIDY_EVERY: u64 = 1_000;
/// How often at once, and then with which pauses, it is tried again while another process writes.
const AT_ONCE: u32 = 3;
const PAUSES_MS: (u64, u64) = (1, 8);
/// The pauses between looks whether another process has written, while somebody watches.
const LOOKS_MS: (u64, u64) = (2, 50);

#[derive(Debug)]
pub enum Work {
    Read(Vec<Key>),
    List(Rc<str>, usize),
    Swap(Vec<Swap>),
    SwapEach(Vec<Swap>),
}

#[derive(Debug)]
pub enum Answer {
    Seen(Vec<Seen>),
    Listed(Vec<(Key, Seen)>),
    Swapped(Swapped),
    Each(Vec<Swapped>),
}

pub type Answered = oneshot::Receiver<Result<Answer, StoreError>>;

#[derive(Debug)]
struct Job {
    work: Work,
    answer: oneshot::Sender<Result<Answer, StoreError>>,
}

#[derive(Debug)]
pub struct Desk {
    path: PathBuf,
    namespace: Rc<str>,
    patience: Duration,
    clock: BootClock,
    pub watchers: Rc<Watchers>,
    queue: RefCell<Vec<Job>>,
    /// None until the first request, and while something is done with it elsewhere.
    opened: RefCell<Option<Opened>>,
    works: Cell<bool>,
    closed: Cell<bool>,
    looked_at: Cell<Nanos>,
    /// Transactions since the last look at the size of the log; those of the shortcuts as well.
    written: Arc<StaticU64>,
    /// What the watchers know, and SQLite's count of the others' transactions at that time.
    known: RefCell<HashMap<Key, Version>>,
    others: Cell<Option<i64>>,
    looks_out: Cell<bool>,
}

/// A request was answered with another's answer: a bug here.
pub fn mixed_up() -> StoreError {
    StoreError::Unknown("an answer to another question came".into())
}

impl Desk {
    pub fn new(path: PathBuf, namespace: Rc<str>, patience: Duration) -> Rc<Self> {
        Rc::new(Self {
            path,
            namespace,
            patience,
            clock: BootClock::new(),
            watchers: Rc::default(),
            queue: RefCell::default(),
            opened: RefCell::default(),
            works: Cell::new(false),
            closed: Cell::new(false),
            looked_at: Cell::new(Nanos::NEVER),
            written: Arc::new(StaticU64::new(0)),
            known: RefCell::default(),
            others: Cell::new(None),
            looks_out: Cell::new(false),
        })
    }

    pub fn ask(self: &Rc<Self>, work: Work) -> Answered {
        let (answer, answered) = oneshot::channel();
        if !self.closed.get() {
            self.queue.borrow_mut().push(Job { work, answer });
            if !self.works.replace(true) {
                tokio::task::spawn_local(self.clone().work_off());
            }
        }
        answered
    }

    pub async fn close(&self) {
        self.closed.set(true);
        self.queue.borrow_mut().clear();
        self.put_away().await;
    }

    /// A connection of its own to the same file, for a user's thread.
    pub async fn shortcut(&self, caps: Caps) -> Result<Direct, StoreError> {
        let (path, patience) = (self.path.clone(), self.patience);
        let opened = beside(move || file::open(&path, patience)).await??;
        Ok(Direct::new(opened, self.clock.clone(), &self.namespace, self.written.clone(), caps))
    }

    /// Looks at the log now, if nothing else is done.
    pub fn upkeep(self: &Rc<Self>) {
        if !self.closed.get() && !self.works.replace(true) {
            let desk = self.clone();
            tokio::task::spawn_local(async move {
                desk.tidy_up().await;
                desk.work_off().await;
            });
        }
    }

    async fn work_off(self: Rc<Self>) {
        loop {
            let jobs = self.queue.take();
            if jobs.is_empty() {
                self.works.set(false);
                return;
            }
            match self.ready().await {
                Ok(()) => self.serve(jobs).await,
                Err(error) => refuse(jobs, &error),
            }
            self.tidy_up().await;
        }
    }

    /// Opens the file, anew when another one lies in its place.
    async fn ready(&self) -> Result<(), StoreError> {
        let now = time::now();
        if now.since(self.looked_at.get()) > LOOK_EVERY {
            self.looked_at.set(now);
            let is_there = self.opened.borrow().as_ref().is_none_or(Opened::is_still_there);
            if !is_there {
                self.put_away().await;
            }
        }
        if self.opened.borrow().is_some() {
            return Ok(());
        }
        let (path, patience) = (self.path.clone(), self.patience);
        let opened = beside(move || file::open(&path, patience)).await??;
        self.others.set(None);
        if !self.closed.get() {
            *self.opened.borrow_mut() = Some(opened);
        }
        Ok(())
    }

    /// Closing may take the log over, and sync.
    async fn put_away(&self) {
        let opened = self.opened.take();
        if let Some(opened) = opened {
            let _ = beside(move || drop(opened)).await;
        }
    }

    async fn tidy_up(&self) {
        if self.written.load(Ordering::Relaxed) < TIDY_EVERY {
            return;
        }
        self.written.store(0, Ordering::Relaxed);
        let opened = self.opened.take();
        let Some(opened) = opened else { return };
        let opened = beside(move || {
            opened.tidy_up();
            opened
        });
        if let Ok(opened) = opened.await
            && !self.closed.get()
        {
            *self.opened.borrow_mut() = Some(opened);
        }
    }

    async fn serve(&self, mut jobs: Vec<Job>) {
        let (mut tries, mut pause) = (0, PAUSES_MS.0);
        loop {
            // Whoever does not wait any more must not be served: it believes that nothing has happened.
            jobs.retain(|job| !job.answer.is_closed());
            if jobs.is_empty() || self.serve_now(&mut jobs) {
                return;
            }
            tries += 1;
            if tries <= AT_ONCE {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(Duration::from_millis(pause) + jitter()).await;
                pause = (pause * 2).min(PAUSES_MS.1);
            }
        }
    }

    /// One transaction for all of them; false while another process writes.
    fn serve_now(&self, jobs: &mut Vec<Job>) -> bool {
        let opened = self.opened.borrow();
        let Some(opened) = opened.as_ref() else {
            refuse(std::mem::take(jobs), &unavailable("the store was closed"));
            return true;
        };
        let connection = &opened.connection;
        let run = |sql| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        let writes = jobs.iter().any(|job| matches!(job.work, Work::Swap(_) | Work::SwapEach(_)));
        if writes {
            match run("BEGIN IMMEDIATE") {
                Ok(_) => {}
                Err(error) if file::is_busy(&error) => return false,
                Err(error) => {
                    refuse(std::mem::take(jobs), &file::of_sqlite(error));
                    return true;
                }
            }
        }
        let rows = Rows { connection, clock: &self.clock, namespace: &self.namespace };
        let jobs = std::mem::take(jobs);
        let mut answers = Vec::with_capacity(jobs.len());
        for job in &jobs {
            let before = connection.total_changes();
            let answer = do_work(&rows, &job.work);
            let is_half_done = writes && connection.total_changes() != before;
            match answer {
                // With one half of it written, or all undone by SQLite, nothing of all this may stay.
                Err(error) if is_half_done || (writes && connection.is_autocommit()) => {
                    let _ = run("ROLLBACK");
                    refuse(jobs, &error);
                    return true;
                }
                answer => answers.push(answer),
            }
        }
        if writes {
            if let Err(error) = run("COMMIT") {
                let _ = run("ROLLBACK");
                refuse(jobs, &StoreError::Unknown(format!("SQLite says: {error}")));
                return true;
            }
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        for (job, answer) in jobs.into_iter().zip(answers) {
            if let Ok(answer) = &answer {
                self.tell(&job.work, answer);
            }
            let _ = job.answer.send(answer);
        }
        true
    }

    /// Tells those of this process who watch what was written.
    fn tell(&self, work: &Work, answer: &Answer) {
        let (swaps, verdicts) = match (work, answer) {
            (Work::Swap(swaps), Answer::Swapped(verdict)) => (swaps, std::slice::from_ref(verdict)),
            (Work::SwapEach(swaps), Answer::Each(verdicts)) => (swaps, &verdicts[..]),
            _ => return,
        };
        let won = verdicts.iter().flat_map(|verdict| match verdict {
            Swapped::Won(written) => written.iter().map(Some).collect(),
            Swapped::Lost(_) => vec![None],
        });
        for (swap, written) in swaps.iter().zip(won) {
            let Some(written) = written.filter(|_| self.watchers.are_on(&swap.key)) else { continue };
            self.known.borrow_mut().insert(swap.key.clone(), written.version.clone());
            if swap.wake {
                let (version, body) = (written.version.clone(), swap.body.clone());
                let seen =
                    Seen { version, base: 0, at: written.at, now: self.clock.now(), body, gone: Vec::new() };
                self.watchers.tell(&swap.key, &Hint { seen: Some(seen) });
            }
        }
    }

    /// Looks out for what other processes write, from what is there now.
    pub fn look_out(self: Rc<Self>, key: &Key, seen: Vec<Seen>) {
        if let Some(seen) = seen.into_iter().next() {
            self.known.borrow_mut().entry(key.clone()).or_insert(seen.version);
        }
        if !self.looks_out.replace(true) {
            tokio::task::spawn_local(self.look_until_nobody_watches());
        }
    }

    async fn look_until_nobody_watches(self: Rc<Self>) {
        let mut pause = LOOKS_MS.0;
        while !self.watchers.is_empty() && !self.closed.get() {
            tokio::time::sleep(Duration::from_millis(pause) + jitter()).await;
            pause = if self.look() { LOOKS_MS.0 } else { (pause * 3 / 2).min(LOOKS_MS.1) };
        }
        self.looks_out.set(false);
        self.known.borrow_mut().clear();
    }

    /// Tells the watchers of what others have written since the last look; whether they have written anything.
    fn look(&self) -> bool {
        let opened = self.opened.borrow();
        let Some(connection) = opened.as_ref().map(|opened| &opened.connection) else { return false };
        let others = connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .ok();
        if others.is_none() || others == self.others.replace(others) {
            return false;
        }
        let rows = Rows { connection, clock: &self.clock, namespace: &self.namespace };
        let mut known = self.known.borrow_mut();
        known.retain(|key, _| self.watchers.are_on(key));
        for (key, version) in known.iter_mut() {
            match rows.read(key) {
                Ok(seen) if seen.version == *version => {}
                Ok(seen) => {
                    *version = seen.version.clone();
                    self.watchers.tell(key, &Hint { seen: Some(seen) });
                }
                Err(_) => self.watchers.tell(key, &Hint::default()),
            }
        }
        true
    }
}

fn do_work(rows: &Rows<'_>, work: &Work) -> Result<Answer, StoreError> {
    Ok(match work {
        Work::Read(keys) => Answer::Seen(keys.iter().map(|key| rows.read(key)).collect::<Result<_, _>>()?),
        Work::List(prefix, most) => Answer::Listed(rows.list(prefix, *most)?),
        Work::Swap(swaps) => Answer::Swapped(rows.swap(swaps)?),
        Work::SwapEach(swaps) => {
            let verdicts = swaps.iter().map(|swap| rows.swap(std::slice::from_ref(swap)));
            Answer::Each(verdicts.collect::<Result<_, _>>()?)
        }
    })
}

fn refuse(jobs: Vec<Job>, error: &StoreError) {
    for job in jobs {
        let _ = job.answer.send(Err(error.clone()));
    }
}

fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable { why: why.into(), retry_after: None }
}

/// Those who wait for the same thing do not come back together.
fn jitter() -> Duration {
    Duration::from_micros(fastrand::u64(0..1_000))
}

/// On a thread that may wait.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| unavailable("the process ends"))
}
