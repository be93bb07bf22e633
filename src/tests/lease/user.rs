//! A user of leases over a real file, from outside of the I/O thread: asks, and waits for the answer.

use crate::lease::address::{Address, Setup};
use crate::lease::fault::Fault;
use crate::lease::manager::{
    Events, Granted, LeaseId, Lost, Manager, Opening, Released, Reply, Request, Strategy,
};
use crate::sync::{Arc, Mutex};
use crate::time::{Nanos, boot_now};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Longer than any loaded machine takes.
pub const LIMIT: Duration = Duration::from_secs(60);
pub const TTL_MS: u64 = 30_000;

#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("chainlock-at-once-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("leases.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug, Default)]
pub struct Ears(pub Mutex<Vec<&'static str>>);

impl Events for Ears {
    fn lost(&self, _lease: LeaseId, lost: Lost) {
        self.0.lock().push(lost.cause);
    }

    fn risk(&self, _lease: LeaseId, _left_ms: u64) {}
}

#[derive(Debug)]
pub struct User {
    pub manager: Manager,
    pub ears: Arc<Ears>,
}

pub fn setup(file: &Path, request_timeout: Duration) -> Setup {
    Setup {
        address: Address::Sqlite(file.to_owned()),
        namespace: "chainlock".into(),
        ca_file: None,
        request_timeout,
        token: None,
        api_url: None,
        show_on_issue: false,
    }
}

impl User {
    pub fn new(file: &Path, worker: &str, max_hold_ms: Option<u64>) -> User {
        User::at(setup(file, Duration::from_secs(20)), worker, max_hold_ms)
    }

    /// Beside the others at a desk of its own, as in another process.
    pub fn apart(file: &Path, worker: &str) -> User {
        User::at(setup(file, Duration::from_secs(21)), worker, None)
    }

    pub fn at(setup: Setup, worker: &str, max_hold_ms: Option<u64>) -> User {
        let opening = Opening {
            setup,
            ttl_ms: TTL_MS,
            worker: worker.into(),
            node: None,
            require_loop_alive_ms: None,
            max_hold_ms,
        };
        let ears = Arc::new(Ears::default());
        User { manager: Manager::open(opening, ears.clone()).unwrap(), ears }
    }

    /// Until its shortcut is open.
    pub fn warm(self) -> User {
        let key = format!("warm:{}", fastrand::u64(..));
        let opened = (0..600).any(|_| match self.manager.acquire_at_once(&plain(&key)) {
            Some(granted) => self.release(granted.lease).released,
            None => {
                let granted = self.acquire(plain(&key)).unwrap();
                assert!(self.release(granted.lease).released);
                thread::sleep(Duration::from_millis(5));
                false
            }
        });
        assert!(opened, "no shortcut was opened");
        self
    }

    pub fn acquire(&self, request: Request) -> Result<Granted, Fault> {
        answer(|reply| assert!(self.manager.acquire(request, reply).is_ok()))
    }

    pub fn at_once(&self, key: &str) -> Granted {
        self.manager.acquire_at_once(&plain(key)).expect("granted at once")
    }

    pub fn release(&self, lease: LeaseId) -> Released {
        answer(|reply| self.manager.release(lease, reply).unwrap()).unwrap()
    }

    pub fn close(&self, release: bool) {
        answer(|reply| self.manager.close(release, reply).unwrap()).unwrap();
    }

    pub fn is_held(&self, key: &str) -> bool {
        !answer(|reply| self.manager.inspect(key.into(), reply).unwrap()).unwrap().holds.is_empty()
    }
}

pub fn answer<T: Send + 'static>(ask: impl FnOnce(Reply<T>)) -> Result<T, Fault> {
    let (say, hear) = channel();
    ask(Box::new(move |answer| drop(say.send(answer))));
    hear.recv_timeout(LIMIT).expect("an answer")
}

pub fn plain(key: &str) -> Request {
    Request::new(vec![key.into()])
}

pub fn fail_fast(key: &str) -> Request {
    Request { strategy: Strategy::FailFast, ..plain(key) }
}

pub fn until(mut is_so: impl FnMut() -> bool) {
    let end = boot_now().plus(Nanos(LIMIT.as_nanos() as u64));
    while !is_so() {
        assert!(boot_now() < end, "it does not come to that");
        thread::sleep(Duration::from_millis(2));
    }
}
