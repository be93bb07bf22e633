//! O6: who looks at another process's locks while its threads are at them never sees a state that there cannot
//! be. A process with four threads at full speed on one lock and one semaphore; this one reads its table.

use super::host_apart::{Random, this_program};
use super::sized;
use crate::local::asking::MAX_WAITERS;
use crate::local::claim::{Ask, Grant, Outcome, Told};
use crate::local::departures::{Caller, RowId};
use crate::local::locks::Locks;
use crate::local::names::{Ref, Target};
use crate::local::resource::Kind;
use crate::snapshot::named::{self, Wanted};
use crate::snapshot::views::LockView;
use crate::sync::{Mutex, Ordering, StaticU64};
use crate::sys::map::{self, View};
use crate::table::memory::{TABLE_NAME, foreign_table, ordinary_table, process_table};
use crate::table::named::FIRST;
use crate::time::{self, Moment, Nanos};
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

const CHILD: &str = "CHAINLOCK_TEST_TABLE_CHILD";
const THREADS: u64 = 4;
const PERMITS: u64 = 3;

/// Requests that may wait at a time, of all threads.
const AT_ONCE: u64 = NOBODY + 8;
/// The count begins above zero: a grant may be given back before its wait is counted.
const NOBODY: u64 = 1 << 32;

/// One thread of the process that is looked at.
struct Worker<'a> {
    locks: &'a Locks,
    semaphore: Ref,
    /// What was granted to those who waited. Whoever comes first gives it back, so that a thread that is kept
    /// from running keeps nobody.
    granted: &'a Mutex<Vec<Grant>>,
    waiting: &'a StaticU64,
    caller: Caller,
    random: Random,
}

impl Worker<'_> {
    fn deliver<T>(&self, done: crate::local::claim::Done<T>) -> T {
        for delivery in done.tell {
            if let Told::Granted { slot, token, .. } = delivery.what {
                self.granted.lock().push(Grant { slot, token });
            }
        }
        done.answer
    }

    fn give_back(&self, grant: Grant) {
        assert!(self.deliver(self.locks.release(grant.slot, grant.token, false, time::now())));
    }

    fn step(&mut self) {
        let granted = std::mem::take(&mut *self.granted.lock());
        self.waiting.fetch_sub(granted.len() as u64, Ordering::Relaxed);
        granted.into_iter().for_each(|grant| self.give_back(grant));
        let name: Vec<u16> = "lock".encode_utf16().collect();
        let (target, weight) = match self.random.below(4) {
            0 => (Target::Ref(self.semaphore), 1 + self.random.below(PERMITS)),
            1 => (Target::Name(&name), 0),
            _ => (Target::Name(&name), 1),
        };
        let labels = [None, Some("labelled")];
        let label = labels[usize::from(self.random.below(8) == 0)];
        if self.random.below(8) > 0 || self.waiting.load(Ordering::Relaxed) >= AT_ONCE {
            let grant = self.locks.try_acquire(self.caller, target, weight, label, time::now());
            grant.into_iter().for_each(|grant| self.give_back(grant));
            return;
        }
        let ask = Ask { label, ..Ask::default() };
        match self.deliver(self.locks.request(self.caller, target, weight, ask, time::now())) {
            Outcome::Granted(grant) => self.give_back(grant),
            Outcome::Waiting(..) => drop(self.waiting.fetch_add(1, Ordering::Relaxed)),
            other => panic!("{other:?}"),
        }
    }
}

/// The process that is looked at; it ends by being killed, or with the one that started it.
fn work_for_ever() {
    let table = process_table();
    let locks = Locks::in_table(|| 0, &table.named);
    let semaphore = locks.open(Kind::Semaphore, Some(&[1]), PERMITS).unwrap();
    let (granted, waiting) = (Mutex::new(Vec::new()), StaticU64::new(NOBODY));
    println!("\nready");
    std::thread::scope(|scope| {
        for thread_id in 0..THREADS {
            let (locks, granted, waiting) = (&locks, &granted, &waiting);
            scope.spawn(move || {
                let caller = Caller { row: RowId::here(thread_id as u32, 1), thread_id, mailbox: thread_id };
                let random = Random(thread_id + 1);
                let mut worker = Worker { locks, semaphore, granted, waiting, caller, random };
                loop {
                    worker.step();
                }
            });
        }
        let _ = std::io::stdin().lines().count();
        std::process::exit(0);
    });
}

struct Working(Child);

impl Working {
    fn start(test: &str) -> Self {
        let mut program = this_program(test);
        let program = program.env(CHILD, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = program.spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(told.map_while(Result::ok).any(|line| line == "ready"));
        Self(child)
    }

    fn open(&self) -> View {
        map::open_shared(self.0.id(), TABLE_NAME).unwrap()
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What no lock can be.
fn contradiction(lock: &LockView) -> Option<&'static str> {
    let exclusive = lock.holders.iter().filter(|holder| holder.mode == "exclusive").count();
    let tokens: HashSet<u64> = lock.holders.iter().map(|holder| holder.token).collect();
    let units: u64 = lock.holders.iter().map(|holder| holder.weight).sum();
    let (holders, waiters) = (lock.holders.len() as u64, lock.waiters.len() as u64);
    let found = [
        (exclusive > 1, "two exclusive holders"),
        (exclusive == 1 && holders > 1, "an exclusive holder and others"),
        (tokens.len() as u64 != holders || tokens.contains(&0), "a hold twice, or none"),
        (tokens.iter().any(|token| *token > lock.last_token), "a hold after the last grant"),
        (!lock.holders.is_sorted_by_key(|holder| holder.token), "grants out of order"),
        (lock.kind == "semaphore" && lock.used > PERMITS, "more permits than there are"),
        (!lock.torn && lock.kind == "semaphore" && units != lock.used, "permits that nobody has"),
        (!lock.torn && holders != lock.holder_count, "a count of holders that is not their number"),
        (!lock.torn && waiters != lock.waiter_count, "a count of waiters that is not their number"),
        (lock.mode == Some("exclusive") && lock.holder_count != 1, "exclusive for several"),
        (holders > lock.holder_count || waiters > lock.waiter_count, "more than there are"),
        (lock.waiter_count > MAX_WAITERS as u64, "a crowd"),
        (lock.waiters.iter().any(|waiter| waiter.thread_id >= THREADS), "a thread that is not there"),
        (lock.state == "held" && lock.holder_count == 0, "held by nobody"),
    ];
    found.into_iter().find(|(is_so, _)| *is_so).map(|(_, what)| what)
}

#[test]
fn no_impossible_state_is_seen_from_outside() {
    if std::env::var_os(CHILD).is_some() {
        return work_for_ever();
    }
    let working = Working::start("tests::table_outside::no_impossible_state_is_seen_from_outside");
    let view = working.open();
    let table = foreign_table(&view).unwrap();
    let wanted = Wanted { all: true };
    let (least, mut reads, mut torn, mut crowds) = (sized(300_000, 10_000_000), 0, 0, 0);
    while reads < least {
        let (locks, _) = named::locks(&table.named, working.0.id(), wanted, Moment::at(time::now(), 0.0));
        for lock in &locks {
            if let Some(what) = contradiction(lock) {
                panic!("{what}, after {reads} reads: {lock:#?}");
            }
            torn += u64::from(lock.torn);
            crowds += u64::from(lock.holder_count + lock.waiter_count > FIRST as u64);
            reads += 1;
        }
    }
    let acquisitions = named::locks(&table.named, 0, wanted, Moment::at(Nanos(1), 0.0)).0[0].acquisitions;
    println!(
        "table outside: {reads} reads, 0 impossible, {torn} torn ({:.3} %), {crowds} of crowds, {acquisitions} grants meanwhile",
        100.0 * torn as f64 / reads as f64
    );
    assert!(acquisitions > 1_000, "nothing was going on");
    assert!(crowds > 0, "there was never a crowd");
    assert!(torn * 1_000 <= reads, "{torn} of {reads} were torn");
}

#[test]
fn a_lock_that_came_when_the_table_was_full_is_shown_when_there_is_room() {
    let table = ordinary_table();
    let locks = Locks::in_table(|| 0, &table.named);
    let caller = Caller { row: RowId::here(0, 1), thread_id: 0, mailbox: 0 };
    let take = |number: u16| locks.try_acquire(caller, Target::Name(&[number]), 0, None, Nanos(1)).unwrap();
    let give = |grant: Grant| assert!(locks.release(grant.slot, grant.token, false, Nanos(2)).answer);
    let crowd: Vec<Grant> = (0..4_096).map(take).collect();
    // Busy enough to be kept when the crowd goes.
    (0..100).for_each(|_| give(take(5_000)));
    assert_eq!(table.named.unshown.get(), 1);
    crowd.into_iter().for_each(give);
    let _held = take(5_000);
    let moment = Moment::at(Nanos(10), 0.0);
    let (shown, _) = named::locks(&table.named, 1, Wanted::default(), moment);
    let [lock] = &shown[..] else { panic!("{} locks are shown", shown.len()) };
    assert_eq!((lock.holders.len(), lock.acquisitions, lock.releases, lock.hold.count), (1, 101, 100, 100));
    assert_eq!((table.named.unshown.get(), table.named.slots_used.get()), (0, 1_000));
}

/// The bar of one who looks: the whole table within 2 ms. Printed; asserted with room for a busy machine.
#[test]
fn a_full_table_is_read_quickly() {
    let table = ordinary_table();
    let locks = Locks::in_table(|| 0, &table.named);
    let caller = Caller { row: RowId::here(0, 1), thread_id: 0, mailbox: 0 };
    for number in 0..4_200 {
        let name: Vec<u16> = format!("session:{number}").encode_utf16().collect();
        for _ in 0..3 {
            let grant = locks.try_acquire(caller, Target::Name(&name), 0, None, Nanos(number)).unwrap();
            assert!(locks.release(grant.slot, grant.token, false, Nanos(number + 2_000_000)).answer);
        }
        locks.try_acquire(caller, Target::Name(&name), 0, None, Nanos(number)).unwrap();
    }
    let read = || named::locks(&table.named, 1, Wanted::default(), Moment::at(Nanos(10_000_000), 0.0)).0;
    assert_eq!(read().len(), 4_096, "all that have a slot");
    assert_eq!(table.named.unshown.get(), 104);
    let best = (0..50)
        .map(|_| {
            let began = time::now();
            assert_eq!(read().len(), 4_096);
            time::now().since(began)
        })
        .min();
    let best = best.unwrap_or_default();
    println!("table: 4096 locks decoded in {:.2} ms", best.as_ms());
    assert!(best < Nanos::from_ms(20.0), "{best:?}");
}
