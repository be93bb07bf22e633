//! What a pair of swaps costs beside the least that a lock on Redis can be. Run by hand, on a quiet machine:
//! `cargo test --release --lib redis::tests::figures -- --ignored --nocapture`.

use super::key;
use super::server::{Redis, is_installed};
use crate::lease::conformance::on_a_runtime;
use crate::lease::record::{Hold, Mode, Nonce, Record, Term, Who};
use crate::lease::store::{Store, Swap, Swapped, Version};
use redis::aio::MultiplexedConnection;
use std::rc::Rc;
use std::time::Instant;

const PAIRS: usize = 2_000;
const ROUNDS: usize = 10;

const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// A record as the manager writes it, held or free.
fn text(held: bool) -> Rc<str> {
    let who = Who {
        worker: "worker-1".into(),
        host: "machine-17.example".into(),
        pid: 4711,
        started: 123_456_789,
        space: "0123456789abcdef".into(),
        at: 1_763_766_456_000,
        ..Who::default()
    };
    let hold = Hold {
        nonce: Nonce("0123456789abcdef0123456789abcdef".into()),
        token: 1,
        mode: Mode::Exclusive,
        term: Term { ttl_ms: 30_000, until: 0, session: None },
        delay_ms: 0,
        who,
        meta: None,
        handed: None,
    };
    let holds = if held { vec![hold] } else { Vec::new() };
    Record { token: 1, holds, ..Record::default() }.text(1).unwrap().into()
}

/// What a process has had of the processors so far, in µs. Beside other programs it tells more than the time does.
fn processor_time(process: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = [11, 12].iter().map(|at| fields[*at].parse::<f64>().unwrap()).sum();
    ticks * 1e6 / 100.0
}

async fn our_pairs(store: &Rc<dyn Store>, held: &Rc<str>, free: &Rc<str>, last: &mut Version) -> f64 {
    let begin = Instant::now();
    for _ in 0..PAIRS {
        for body in [held, free] {
            let one = Swap {
                key: key("figures"),
                expect: last.clone(),
                body: body.clone(),
                wake: false,
                alive: Vec::new(),
                gone: Vec::new(),
            };
            let Ok(Swapped::Won(written)) = store.swap(&[one]).await else { panic!("nobody else is here") };
            *last = written[0].version.clone();
        }
    }
    begin.elapsed().as_secs_f64() * 1e6 / PAIRS as f64
}

async fn raw_pairs(connection: &mut MultiplexedConnection, release: &redis::Script) -> f64 {
    let begin = Instant::now();
    for number in 0..PAIRS {
        let nonce = format!("{number:032x}");
        let mut set = redis::cmd("SET");
        set.arg("raw").arg(&nonce).arg("NX").arg("PX").arg(30_000);
        set.query_async::<()>(connection).await.unwrap();
        let gone: u32 = release.key("raw").arg(&nonce).invoke_async(connection).await.unwrap();
        assert_eq!(gone, 1);
    }
    begin.elapsed().as_secs_f64() * 1e6 / PAIRS as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[test]
#[ignore = "a figure, not a test"]
fn a_pair_beside_the_raw_pair() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    on_a_runtime(async {
        let store = server.store();
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", server.port)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let release = redis::Script::new(RELEASE);
        let (held, free, mut last) = (text(true), text(false), Version::Absent);
        our_pairs(&store, &held, &free, &mut last).await;
        raw_pairs(&mut connection, &release).await;
        let (mut ours, mut raws, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let pid = server.pid();
        let spent = || [processor_time("self"), processor_time(&pid)];
        let mut costs = [[0.0; 2]; 2];
        for _ in 0..ROUNDS {
            let begin = spent();
            let our = our_pairs(&store, &held, &free, &mut last).await;
            let middle = spent();
            let raw = raw_pairs(&mut connection, &release).await;
            let end = spent();
            for side in [0, 1] {
                costs[0][side] += (middle[side] - begin[side]) / (PAIRS * ROUNDS) as f64;
                costs[1][side] += (end[side] - middle[side]) / (PAIRS * ROUNDS) as f64;
            }
            ours.push(our);
            raws.push(raw);
            ratios.push(our / raw);
        }
        println!(
            "a pair of swaps {:.1} µs, raw SET NX and script {:.1} µs, ratio {:.3} (records of {} bytes)",
            median(ours),
            median(raws),
            median(ratios),
            held.len()
        );
        println!(
            "processor time: ours {:.1} + server {:.1} µs, raw {:.1} + server {:.1} µs, ratio {:.3}",
            costs[0][0],
            costs[0][1],
            costs[1][0],
            costs[1][1],
            costs[0].iter().sum::<f64>() / costs[1].iter().sum::<f64>()
        );
    });
}
