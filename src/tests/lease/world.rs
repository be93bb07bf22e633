//! Clients over one simulated server, in one thread and in a time of their own.

use super::sim_store::{Fate, Server, SimStore, caps};
use crate::lease::address::{Address, Setup};
use crate::lease::desk::Desk;
use crate::lease::desk::outside::Outside;
use crate::lease::fault::Fault;
use crate::lease::manager::client::Client;
use crate::lease::manager::shared::{Shared, next_id};
use crate::lease::manager::{
    Events, Granted, LeaseId, Lost, Opening, Released, Request, RequestId, Statistics,
};
use crate::lease::record::Who;
use crate::lease::send::How;
use crate::lease::store::{Caps, Store};
use crate::sync::{Arc, Mutex};
use crate::time::Nanos;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Runs it with a time that goes on only when everybody sleeps.
pub fn in_time<T>(run: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let limited =
        async { tokio::time::timeout(Duration::from_secs(600), run).await.expect("nothing is stuck") };
    tokio::task::LocalSet::new().block_on(&runtime, limited)
}

/// The simulated time as a boot clock.
pub fn clock() -> Rc<dyn Fn() -> Nanos> {
    let start = tokio::time::Instant::now();
    Rc::new(move || Nanos(1_000_000_000 + start.elapsed().as_nanos() as u64))
}

#[derive(Debug, Default)]
pub struct Heard {
    pub lost: Mutex<Vec<(LeaseId, Lost)>>,
    pub risks: Mutex<Vec<(LeaseId, u64)>>,
}

impl Events for Heard {
    fn lost(&self, lease: LeaseId, lost: Lost) {
        self.lost.lock().push((lease, lost));
    }

    fn risk(&self, lease: LeaseId, left_ms: u64) {
        self.risks.lock().push((lease, left_ms));
    }
}

pub struct Worker {
    pub client: Rc<Client>,
    pub heard: Arc<Heard>,
    pub now: Rc<dyn Fn() -> Nanos>,
}

pub fn opening(worker: &str) -> Opening {
    Opening {
        setup: Setup {
            address: Address::Github { owner: "sim".into(), repo: "sim".into() },
            namespace: "chainlock".into(),
            ca_file: None,
            request_timeout: Duration::from_millis(100),
            token: None,
            api_url: None,
            show_on_issue: false,
        },
        ttl_ms: 1_000,
        worker: worker.into(),
        node: None,
        require_loop_alive_ms: None,
        max_hold_ms: None,
    }
}

pub fn quick() -> Fate {
    Fate { there_ms: 1, back_ms: 1, ..Fate::default() }
}

impl Worker {
    pub fn over(
        server: &Rc<Server>,
        opening: Opening,
        caps: Caps,
        seed: u64,
        fate: impl Fn() -> Fate + 'static,
    ) -> Worker {
        let store = SimStore::new(server.clone(), caps, opening.setup.request_timeout, fate);
        Worker::at(store, opening, seed, |_| false)
    }

    /// One that can see which processes are dead.
    pub fn knowing(
        server: &Rc<Server>,
        opening: Opening,
        caps: Caps,
        seed: u64,
        dead: impl Fn(&Who) -> bool + 'static,
    ) -> Worker {
        let store = SimStore::new(server.clone(), caps, opening.setup.request_timeout, quick);
        Worker::at(store, opening, seed, dead)
    }

    pub fn at(
        store: Rc<dyn Store>,
        opening: Opening,
        seed: u64,
        dead: impl Fn(&Who) -> bool + 'static,
    ) -> Worker {
        let now = clock();
        let pid = 1 + seed as u32;
        let who = Rc::new(Who { host: "sim".into(), pid, space: "here".into(), ..Who::default() });
        let outside = Outside::new(now.clone(), Rc::new(dead), who, seed, seed);
        let desk = Desk::new(store, outside, opening.setup.request_timeout);
        let heard = Arc::new(Heard::default());
        let events: Arc<dyn Events> = heard.clone();
        let client = Client::new(desk, Shared::new(opening, events, now()));
        Worker { client, heard, now }
    }

    pub fn new(server: &Rc<Server>, name: &str, seed: u64) -> Worker {
        Worker::over(server, opening(name), caps(), seed, quick)
    }

    pub fn ask(&self, request: Request) -> (RequestId, oneshot::Receiver<Result<Granted, Fault>>) {
        let id = RequestId(next_id());
        let (told, hears) = oneshot::channel();
        self.client.acquire(id, request, Box::new(move |answer| drop(told.send(answer))));
        (id, hears)
    }

    pub async fn acquire(&self, request: Request) -> Result<Granted, Fault> {
        self.ask(request).1.await.unwrap()
    }

    pub async fn release(&self, lease: LeaseId) -> Released {
        let (told, hears) = oneshot::channel();
        self.client.release(lease, How::Released, Box::new(move |answer| drop(told.send(answer))));
        hears.await.unwrap().unwrap()
    }

    pub async fn renew(&self, lease: LeaseId) -> Result<u64, Fault> {
        let (told, hears) = oneshot::channel();
        self.client.renew(lease, Box::new(move |answer| drop(told.send(answer))));
        hears.await.unwrap()
    }

    pub fn statistics(&self) -> Statistics {
        self.client.shared.counters.read()
    }

    pub fn losses(&self) -> Vec<(LeaseId, &'static str)> {
        self.heard.lost.lock().iter().map(|(lease, lost)| (*lease, lost.cause)).collect()
    }
}
