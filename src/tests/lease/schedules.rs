//! Seeded schedules: three workers, two keys, and a store whose answers are lost, late and doubled, while workers are
//! stopped and go on. `CHAINLOCK_SEED` runs one of them; `CHAINLOCK_DEEP` a hundred times as many.

use super::sim_store::{Fate, Server, caps};
use super::world::{Worker, clock, opening};
use crate::lease::fault::Fault;
use crate::lease::manager::shared::next_id;
use crate::lease::manager::{Granted, Request, RequestId, Strategy};
use crate::lease::record::{Mode, Nonce, Record};
use crate::lease::store::Caps;
use crate::time::Nanos;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::Instant;

const KEYS: [&str; 2] = ["a", "b"];
const TTLS: [u64; 3] = [200, 400, 800];
const ROUNDS: usize = 6;

type Chance = Rc<RefCell<fastrand::Rng>>;

/// A client that can be stopped: nothing in it runs until it goes on; its clock does.
struct Process {
    tasks: LocalSet,
    main: Pin<Box<dyn Future<Output = ()>>>,
    stopped_until: Rc<Cell<Option<Instant>>>,
    wakes: Pin<Box<tokio::time::Sleep>>,
}

impl Future for Process {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(until) = self.stopped_until.get() {
            if Instant::now() < until {
                self.wakes.as_mut().reset(until);
                let _ = self.wakes.as_mut().poll(context);
                return Poll::Pending;
            }
            self.stopped_until.set(None);
        }
        let Process { tasks, main, .. } = &mut *self;
        let inside = tasks.run_until(main.as_mut());
        std::pin::pin!(inside).poll(context)
    }
}

/// What is true of all workers together.
struct Truth {
    seed: u64,
    now: Rc<dyn Fn() -> Nanos>,
    /// By key: who believes to hold, with what mode, and whether it was robbed with its knowledge.
    beliefs: RefCell<HashMap<String, Vec<(Granted, Mode)>>>,
    tokens: RefCell<HashMap<String, Vec<u64>>>,
    /// By key: the last token that was taken by force. Whoever had an earlier one may not know yet.
    forced: RefCell<HashMap<String, u64>>,
    grants: Cell<u64>,
    is_calm: Cell<bool>,
    server: Rc<Server>,
}

impl Truth {
    /// By a force whose request has heard nothing of it: then nobody else has, either.
    fn was_robbed(&self, key: &str, tokens: &[u64]) -> bool {
        let written = self.server.written.borrow();
        let of_key = written.iter().filter(|(other, ..)| &**other == key);
        let records: Vec<(Record, u64)> =
            of_key.map(|(_, body, base)| (Record::read(body, 0).unwrap(), *base)).collect();
        let has = |(record, base): &(Record, u64)| {
            record.holds.iter().any(|hold| tokens.contains(&record.told(hold.token, *base)))
        };
        records.windows(2).any(|two| has(&two[0]) && !has(&two[1]) && two[0].0.stolen != two[1].0.stolen)
    }

    fn granted(&self, key: &str, token: u64, granted: &Granted, mode: Mode, is_forced: bool) {
        let (now, seed) = ((self.now)(), self.seed);
        self.grants.set(self.grants.get() + 1);
        let mut tokens = self.tokens.borrow_mut();
        let tokens = tokens.entry(key.into()).or_default();
        assert!(!tokens.contains(&token), "seed {seed}: token {token} of {key} twice");
        let mut forced = self.forced.borrow_mut();
        let forced = forced.entry(key.into()).or_default();
        if token < *forced {
            return tokens.push(token);
        }
        if is_forced {
            *forced = token;
        }
        let highest = tokens.iter().max().copied().unwrap_or(0);
        // Shared holds are told of in any order.
        assert!(
            token > highest || mode != Mode::Exclusive,
            "seed {seed}: token {token} of {key} after {highest}"
        );
        tokens.push(token);
        let mut beliefs = self.beliefs.borrow_mut();
        let beliefs = beliefs.entry(key.into()).or_default();
        beliefs.retain(|(other, _)| !other.cell.is_lost(now) && !other.cell.is_released());
        if is_forced {
            beliefs.clear();
        }
        let clash = beliefs.iter().find(|(_, other)| mode == Mode::Exclusive || *other == Mode::Exclusive);
        // The one who is told now may itself have been robbed on the way.
        let robbed = |tokens: &[u64]| self.was_robbed(key, tokens);
        if let Some((other, _)) = clash.filter(|(other, _)| !robbed(&other.tokens) && !robbed(&[token])) {
            let left = other.cell.remaining(now).whole_ms();
            panic!(
                "seed {seed}: {key} granted with {token} while {:?} believes for {left} ms more",
                other.tokens
            );
        }
        beliefs.push((granted.clone(), mode));
    }
}

fn caps_of(seed: u64) -> Caps {
    Caps {
        push: !seed.is_multiple_of(3),
        sessions: seed.is_multiple_of(5),
        multi: seed.is_multiple_of(2),
        queue: !seed.is_multiple_of(7),
        ..caps()
    }
}

fn fate(chance: &Chance, is_rough: bool) -> Fate {
    let mut chance = chance.borrow_mut();
    let mut fate = Fate { there_ms: chance.u64(0..4), back_ms: chance.u64(0..4), ..Fate::default() };
    if !is_rough {
        return fate;
    }
    match chance.u32(0..40) {
        0 => fate.is_lost = true,
        1 => (fate.is_lost, fate.lands_after_ms) = (true, Some(chance.u64(0..600))),
        2 => (fate.is_lost, fate.lands_after_ms) = (true, Some(1_000_000)),
        3 => fate.again_after_ms = Some(chance.u64(0..600)),
        4 => fate.there_ms = chance.u64(0..500),
        5 => fate.back_ms = chance.u64(0..500),
        6 => fate.is_refused = true,
        _ => {}
    }
    fate
}

async fn sleep(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn request(chance: &mut fastrand::Rng, worker: &Worker, may_force: bool) -> Request {
    let caps = worker.client.desk.store.caps();
    let key = KEYS[chance.usize(0..KEYS.len())];
    let keys = if chance.u32(0..6) == 0 { vec!["b".into(), "a".into()] } else { vec![key.into()] };
    let strategy = match chance.u32(0..12) {
        0 => Strategy::FailFast,
        1 => Strategy::Retry { max: 3, base_ms: 50, cap_ms: 200 },
        2 => Strategy::StealStale,
        3 if may_force => Strategy::Force,
        _ => Strategy::Wait,
    };
    Request {
        mode: if chance.u32(0..4) == 0 { Mode::Shared } else { Mode::Exclusive },
        ttl_ms: Some(TTLS[chance.usize(0..TTLS.len())]),
        delay_ms: if !caps.sessions && chance.u32(0..8) == 0 { 150 } else { 0 },
        strategy,
        timeout_ms: (chance.u32(0..3) == 0).then(|| chance.u64(1..1_500)),
        fair: if chance.u32(0..5) == 0 { Some(false) } else { None },
        ..Request::new(keys)
    }
}

async fn work(truth: Rc<Truth>, server: Rc<Server>, chance: Chance, number: u64) {
    let fates = chance.clone();
    let rough = truth.clone();
    let mut opening = opening(&format!("worker-{number}"));
    opening.setup.request_timeout = Duration::from_millis(60);
    let seed = truth.seed.wrapping_mul(1_000).wrapping_add(number);
    let worker =
        Worker::over(&server, opening, caps_of(truth.seed), seed, move || fate(&fates, !rough.is_calm.get()));
    for _ in 0..ROUNDS {
        let (request, pause, abort) = {
            let mut chance = chance.borrow_mut();
            (
                request(&mut chance, &worker, truth.seed.is_multiple_of(4)),
                chance.u64(0..300),
                chance.u32(0..8) == 0,
            )
        };
        sleep(pause).await;
        let (id, answer) = ask(&worker, request);
        if abort {
            sleep(pause).await;
            worker.client.abort(id);
            continue;
        }
        let Ok(granted) = answer.await.unwrap() else { continue };
        let (hold, releases) = {
            let mut chance = chance.borrow_mut();
            (chance.u64(0..1_200), chance.u32(0..10) != 0)
        };
        sleep(hold).await;
        let now = (truth.now)();
        if granted.cell.is_lost(now) {
            sleep(5).await;
            let is_told = worker.losses().iter().any(|(lease, _)| *lease == granted.lease);
            assert!(is_told, "seed {}: nobody was told of the loss", truth.seed);
        }
        if releases {
            worker.release(granted.lease).await;
        }
    }
    worker.client.close(true).await;
    // What could not be given up at once goes on for a while.
    sleep(3_000).await;
    let told = worker.statistics();
    assert_eq!(told.acquisitions, told.releases + told.lost + told.held, "seed {}: {told:?}", truth.seed);
    assert_eq!((told.held, told.waiting), (0, 0), "seed {}: {told:?}", truth.seed);
}

thread_local! {
    /// Replies may go to other threads, so what they tell is found here.
    static TRUTH: RefCell<Option<Rc<Truth>>> = const { RefCell::new(None) };
}

/// Belief begins with the reply.
fn ask(worker: &Worker, request: Request) -> (RequestId, oneshot::Receiver<Result<Granted, Fault>>) {
    let id = RequestId(next_id());
    let (told, hears) = oneshot::channel();
    let (keys, mode) = (request.keys.clone(), request.mode);
    let is_forced = request.strategy == Strategy::Force;
    let reply = move |answer: Result<Granted, Fault>| {
        if let Ok(granted) = &answer {
            let truth = TRUTH.with_borrow(|truth| truth.clone().unwrap());
            for (key, token) in keys.iter().zip(&granted.tokens) {
                truth.granted(key, *token, granted, mode, is_forced);
            }
        }
        drop(told.send(answer));
    };
    worker.client.acquire(id, request, Box::new(reply));
    (id, hears)
}

/// Every key is to be had in the end, within the longest ttl.
async fn finish(truth: &Truth, server: &Rc<Server>) {
    truth.is_calm.set(true);
    let last = Worker::over(server, opening("last"), caps_of(truth.seed), 999, super::world::quick);
    for key in KEYS {
        let began = Instant::now();
        let granted =
            last.acquire(Request { ttl_ms: Some(5_000), ..Request::new(vec![key.into()]) }).await.unwrap();
        let took = began.elapsed();
        assert!(took < Duration::from_millis(3_000), "seed {}: {key} was stuck for {took:?}", truth.seed);
        truth.granted(key, granted.tokens[0], &granted, Mode::Exclusive, false);
        assert!(last.release(granted.lease).await.released, "seed {}", truth.seed);
    }
    last.client.close(true).await;
}

/// In the record, too, every token was given once, and a hold has one for everybody and for good.
fn audit(truth: &Truth, server: &Server) {
    let mut nonces: HashMap<(String, u64), Nonce> = HashMap::new();
    let mut told: HashMap<(String, u64), u64> = HashMap::new();
    let mut highest: HashMap<String, u64> = HashMap::new();
    for (key, body, base) in server.written.borrow().iter() {
        let record = Record::read(body, 0).unwrap();
        let last = record.told(record.token, *base);
        let before = highest.insert(key.to_string(), last).unwrap_or(0);
        assert!(last >= before, "seed {}: the token of {key} went back", truth.seed);
        for hold in &record.holds {
            let token = record.told(hold.token, *base);
            let known = nonces.entry((key.to_string(), token)).or_insert_with(|| hold.nonce.clone());
            assert_eq!(*known, hold.nonce, "seed {}: token {token} of {key} for two", truth.seed);
            let known = told.entry((key.to_string(), hold.token)).or_insert(token);
            assert_eq!(*known, token, "seed {}: two tokens for a hold of {key}", truth.seed);
        }
    }
}

fn run(seed: u64) -> u64 {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let truth = Rc::new(Truth {
            seed,
            now: clock(),
            beliefs: RefCell::default(),
            tokens: RefCell::default(),
            forced: RefCell::default(),
            grants: Cell::new(0),
            is_calm: Cell::new(false),
            server: Server::new(),
        });
        TRUTH.set(Some(truth.clone()));
        let server = truth.server.clone();
        let mut processes: Vec<Option<Process>> = (0..3)
            .map(|number| {
                let chance = Rc::new(RefCell::new(fastrand::Rng::with_seed(
                    seed.wrapping_mul(31).wrapping_add(number),
                )));
                Some(Process {
                    tasks: LocalSet::new(),
                    main: Box::pin(work(truth.clone(), server.clone(), chance, number)),
                    stopped_until: Rc::default(),
                    wakes: Box::pin(tokio::time::sleep(Duration::ZERO)),
                })
            })
            .collect();
        let stops: Vec<_> = processes.iter().flatten().map(|one| one.stopped_until.clone()).collect();
        let landing = server.clone();
        tokio::task::spawn_local(async move {
            loop {
                sleep(20).await;
                landing.land();
            }
        });
        let mut chance = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let stopping = tokio::task::spawn_local(async move {
            loop {
                sleep(chance.u64(50..1_000)).await;
                let until = Instant::now() + Duration::from_millis(chance.u64(10..1_500));
                stops[chance.usize(0..3)].set(Some(until));
            }
        });
        if seed % 4 == 1 {
            server.base.set(1_000);
            let (server, mut chance) = (server.clone(), fastrand::Rng::with_seed(seed ^ 0xba5e));
            tokio::task::spawn_local(async move {
                loop {
                    sleep(chance.u64(20..800)).await;
                    server.base.set(server.base.get() + 100_000);
                }
            });
        }
        let all = std::future::poll_fn(|context| {
            for slot in &mut processes {
                if slot.as_mut().is_some_and(|process| Pin::new(process).poll(context).is_ready()) {
                    *slot = None;
                }
            }
            if processes.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        });
        let done = tokio::time::timeout(Duration::from_secs(300), all).await;
        assert!(done.is_ok(), "seed {seed}: a worker is stuck");
        stopping.abort();
        finish(&truth, &server).await;
        audit(&truth, &server);
        truth.grants.get()
    })
}

#[test]
fn no_schedule_breaks_a_promise() {
    let seeds: Vec<u64> = match std::env::var("CHAINLOCK_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..crate::tests::sized(10_000, 1_000_000)).collect(),
    };
    let (mut grants, mut failed) = (0, Vec::new());
    for seed in &seeds {
        match std::panic::catch_unwind(|| run(*seed)) {
            Ok(granted) => grants += granted,
            Err(_) => failed.push(*seed),
        }
        // Enough to see what is wrong.
        if failed.len() == 20 {
            break;
        }
    }
    println!("leases: {} schedules, {grants} grants", seeds.len());
    assert!(failed.is_empty() && grants > 0, "failed with CHAINLOCK_SEED={failed:?}");
}
