//! The figures of the process registry, as a program: `benches/lines/registry.mjs` builds and runs it, and judges
//! what it prints. Beside each figure stands the same of a twin: the same facts in a map behind a mutex, handed
//! out as a copy. Both are timed in turn, in many short rounds.

use chainlock::registry::entry::{Entry, Patch};
use chainlock::registry::layout::Registry;
use chainlock::registry::memory::apart;
use chainlock::registry::status::Status;
use chainlock::registry::text::Text;
use chainlock::time::{self, Nanos};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

/// Counts what is asked of the heap.
struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: it hands everything on to the system's allocator, as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const PROCESSES: usize = 100;
const READERS: usize = 4;
/// Of so many operations one is a change, where reading and changing are mixed.
const ONE_IN: u64 = 10;

fn id(number: usize) -> String {
    format!("process {number}")
}

/// What the twin knows of a process: the same facts.
#[derive(Clone)]
struct Facts {
    status: Status,
    pid: u64,
    exit_code: Option<i64>,
    times: [u64; 4],
    revision: u64,
    _id: String,
    _name: String,
    _command: String,
    _args: Vec<String>,
    _dir: String,
}

struct Twin(Mutex<HashMap<String, Facts>>);

impl Twin {
    fn new() -> Self {
        let facts = |number| Facts {
            status: Status::Running,
            pid: 7,
            exit_code: None,
            times: [1, 2, 0, 3],
            revision: 2,
            _id: id(number),
            _name: format!("name {number}"),
            _command: "node".into(),
            _args: vec!["-e".into(), "work()".into()],
            _dir: "/srv/work".into(),
        };
        Self(Mutex::new((0..PROCESSES).map(|number| (id(number), facts(number))).collect()))
    }

    fn get(&self, id: &str) -> Option<Facts> {
        self.0.lock().unwrap().get(id).cloned()
    }

    fn status(&self, id: &str) -> Option<Status> {
        self.0.lock().unwrap().get(id).map(|facts| facts.status)
    }

    fn change(&self, id: &str, pid: u64, now: Nanos) {
        if let Some(facts) = self.0.lock().unwrap().get_mut(id) {
            facts.pid = pid;
            facts.times[3] = now.0;
            facts.revision += 1;
        }
    }
}

fn filled() -> &'static Registry {
    let registry = apart();
    for number in 0..PROCESSES {
        let mut entry = Entry {
            id: Text::whole(&id(number)).unwrap(),
            name: Text::cut(&format!("name {number}")),
            command: Text::cut("node"),
            args: Text::of_args(["-e", "work()"]),
            dir: Text::cut("/srv/work"),
            ..Entry::default()
        };
        registry.register(&mut entry, Nanos(1), |_| {}).unwrap();
        let running = Patch { pid: Some(7), ..Patch::to(Status::Running) };
        registry.change(&entry.id, &running, Nanos(2), &mut Entry::default()).unwrap();
    }
    registry
}

/// Nanoseconds of one operation, made so often by each of so many threads at once. Every thread looks at the clock
/// itself: on a busy machine nobody else would be there in time.
fn timed(threads: usize, times: u64, one: impl Fn(u64, &mut Entry) + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let run = |thread: u64| {
        let mut entry = Entry::default();
        barrier.wait();
        let began = time::now();
        (0..times).for_each(|turn| one(turn + thread * 31, &mut entry));
        (began, time::now())
    };
    let spans: Vec<(Nanos, Nanos)> = thread::scope(|scope| {
        let all: Vec<_> = (0..threads as u64).map(|thread| scope.spawn(move || run(thread))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let began = spans.iter().map(|span| span.0).min().unwrap();
    let ended = spans.iter().map(|span| span.1).max().unwrap();
    ended.since(began).0 as f64 / (times * threads as u64) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Times both in turn; the medians of the nanoseconds and of the rounds' ratios.
fn compare(
    name: &str,
    threads: usize,
    rounds: usize,
    ours: impl Fn(u64, &mut Entry) + Sync,
    twins: impl Fn(u64, &mut Entry) + Sync,
) {
    const TIMES: u64 = 40_000;
    let (mut ns, mut twin_ns, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    timed(threads, TIMES, &ours);
    timed(threads, TIMES, &twins);
    for _ in 0..rounds {
        let (own, twin) = (timed(threads, TIMES, &ours), timed(threads, TIMES, &twins));
        ns.push(own);
        twin_ns.push(twin);
        ratios.push(twin / own);
    }
    let least = ns.iter().copied().fold(f64::MAX, f64::min);
    let (ns, twin_ns, ratio) = (median(ns), median(twin_ns), median(ratios));
    println!(
        "{{\"name\":\"{name}\",\"ns\":{ns:.2},\"leastNs\":{least:.2},\"twinNs\":{twin_ns:.2},\"ratio\":{ratio:.2}}}"
    );
}

/// How long a walk over 10,000 processes takes while one of them is being changed, in ms.
fn list(rounds: usize) {
    let registry = apart();
    for number in 0..10_000 {
        let mut entry = Entry { id: Text::whole(&id(number)).unwrap(), ..Entry::default() };
        registry.register(&mut entry, Nanos(1), |_| {}).unwrap();
    }
    let done = AtomicBool::new(false);
    let mut times = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| change_until(registry, &done));
        let mut entry = Entry::default();
        for _ in 0..rounds {
            let began = time::now();
            let count =
                registry.places().filter(|place| registry.read(*place, black_box(&mut entry))).count();
            times.push(time::now().since(began).as_ms());
            assert_eq!(count, 10_000);
        }
        done.store(true, Relaxed);
    });
    println!("{{\"name\":\"list\",\"ms\":{:.3}}}", median(times));
}

/// Changes one process after another until it is told to stop.
fn change_until(registry: &Registry, done: &AtomicBool) {
    let ids: Vec<_> = (0..100).map(|number| Text::whole(&id(number)).unwrap()).collect();
    let mut entry = Entry::default();
    for turn in 1..u64::MAX {
        if done.load(Relaxed) {
            return;
        }
        let patch = Patch { pid: Some(turn), ..Patch::default() };
        registry.change(&ids[turn as usize % 100], &patch, Nanos(turn), &mut entry).unwrap();
    }
}

/// Readings by id beside a writer.
fn get_while_changed(
    registry: &'static Registry,
    twin: &'static Twin,
    ids: &[Text<8>],
    names: &[String],
    rounds: usize,
) {
    let done: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let writer = thread::spawn(move || change_until(registry, done));
    let twin_writer = thread::spawn(move || {
        let names: Vec<String> = (0..100).map(id).collect();
        for turn in 1..u64::MAX {
            if done.load(Relaxed) {
                return;
            }
            twin.change(&names[turn as usize % 100], turn, Nanos(turn));
        }
    });
    compare(
        "get",
        READERS,
        rounds,
        |turn, entry| {
            black_box(registry.get(&ids[turn as usize % PROCESSES], entry));
        },
        |turn, _| {
            black_box(twin.get(&names[turn as usize % PROCESSES]));
        },
    );
    done.store(true, Relaxed);
    writer.join().unwrap();
    twin_writer.join().unwrap();
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(41);
    let registry = filled();
    let twin: &'static Twin = Box::leak(Box::new(Twin::new()));
    let ids: Vec<_> = (0..PROCESSES).map(|number| Text::whole(&id(number)).unwrap()).collect();
    let names: Vec<String> = (0..PROCESSES).map(id).collect();
    let alone = Mutex::new(twin.get(&names[0]).unwrap());
    // One process, known already: what it is, in fields, without its texts.
    let own = |_, _: &mut Entry| {
        let numbers = registry.look(black_box(0), |record, status| {
            (status, record.pid.get(), record.exit_code.get(), record.started_at.get(), record.ended_at.get())
        });
        black_box(numbers);
    };
    let twins = |_, _: &mut Entry| {
        let facts = black_box(&alone).lock().unwrap();
        black_box((facts.status, facts.pid, facts.exit_code, facts.times[1], facts.times[2]));
    };
    // The same with all there is to know, to keep.
    let own_whole = |_, entry: &mut Entry| {
        black_box(registry.read(black_box(0), entry));
    };
    let twins_whole = |_, _: &mut Entry| {
        black_box(black_box(&alone).lock().unwrap().clone());
    };
    compare("fields", 1, rounds, own, twins);
    compare("concurrent-fields", READERS, rounds, own, twins);
    compare("read", 1, rounds, own_whole, twins_whole);
    compare("concurrent-read", READERS, rounds, own_whole, twins_whole);
    let key = |turn: u64| registry.key(&ids[turn as usize % PROCESSES]);
    let named = |turn: u64| &names[turn as usize % PROCESSES];
    compare(
        "status",
        1,
        rounds,
        |turn, _| {
            black_box(registry.status(&key(turn)));
        },
        |turn, _| {
            black_box(twin.status(named(turn)));
        },
    );
    // What is found stays usable when the look-up is over: a place, and of the twin a counted reference.
    let handles =
        twin.0.lock().unwrap().clone().into_iter().map(|(id, facts)| (id, Arc::new(Mutex::new(facts))));
    let handles: Mutex<HashMap<String, Arc<Mutex<Facts>>>> = Mutex::new(handles.collect());
    compare(
        "look-up",
        1,
        rounds,
        |turn, _| {
            black_box(registry.find(&key(turn)));
        },
        |turn, _| {
            black_box(handles.lock().unwrap().get(named(turn)).cloned());
        },
    );
    compare(
        "mixed",
        READERS,
        rounds,
        |turn, entry| {
            let at = turn as usize % PROCESSES;
            if turn.is_multiple_of(ONE_IN) {
                let patch = Patch { pid: Some(turn + 1), ..Patch::default() };
                registry.change(&ids[at], &patch, Nanos(turn), entry).unwrap();
            } else {
                black_box(registry.get(&ids[at], entry));
            }
        },
        |turn, _| {
            let at = turn as usize % PROCESSES;
            if turn.is_multiple_of(ONE_IN) {
                twin.change(&names[at], turn + 1, Nanos(turn));
            } else {
                black_box(twin.get(&names[at]));
            }
        },
    );
    get_while_changed(registry, twin, &ids, &names, rounds);
    list(rounds);
    let mut entry = Entry::default();
    let before = ALLOCATIONS.load(Relaxed);
    for turn in 0..100_000 {
        own_whole(turn, &mut entry);
        black_box(registry.status(&key(turn)));
        black_box(registry.get(&ids[turn as usize % PROCESSES], &mut entry));
    }
    println!("{{\"name\":\"allocations\",\"count\":{}}}", ALLOCATIONS.load(Relaxed) - before);
}
