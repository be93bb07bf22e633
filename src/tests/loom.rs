//! Every word and every Acquire/Release pair under loom: all interleavings, all values that a load may
//! return. What a word publishes lies in a loom `UnsafeCell`, which sees any access that is not ordered.
//! Two threads are explored without a bound, three with at most three preemptions; `CHAINLOCK_DEEP=1`
//! takes that bound away. (The rings, whose records have many fields, have bounds of their own.) Each test
//! prints its executions and fails when they fall short.

use crate::name::ShortText;
use crate::raw::hold_word::{HoldState, HoldWord};
use crate::raw::seqlock::SeqLock;
use crate::raw::versions::Versions;
use crate::sync::{Field, Mutex};
use crate::table::ring::{Kind, Record, Ring};
use crate::time::Nanos;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicU64 as Count, Ordering::Relaxed};

fn deep() -> bool {
    std::env::var_os("CHAINLOCK_DEEP").is_some()
}

const MOST_DEEP: usize = 8_000_000;

/// Explores `body` and demands at least `push` (or, deep, `deep`) executions.
pub(super) fn explore(name: &str, bound: Option<usize>, least: u64, body: impl Fn() + Send + Sync + 'static) {
    let executions = StdArc::new(Count::new(0));
    let counter = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 100_000;
    // Three threads without a bound may not come to an end within an hour.
    builder.max_permutations = deep().then_some(MOST_DEEP);
    builder.check(move || {
        counter.fetch_add(1, Relaxed);
        body();
    });
    let executions = executions.load(Relaxed);
    let stopped = if executions >= MOST_DEEP as u64 { ", stopped there" } else { "" };
    println!("loom: {name}: {executions} executions{stopped}");
    assert!(executions >= least, "{name}: {executions} executions, {least} were wanted");
}

/// Three preemptions, or, deep, any number.
pub(super) fn bound_of_three() -> Option<usize> {
    if deep() { None } else { Some(3) }
}

/// Data that a protocol, and nothing else, orders.
struct Guarded(UnsafeCell<u64>);

impl Guarded {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn set(&self, value: u64) {
        // SAFETY: loom fails the model when this access is not ordered against another.
        self.0.with_mut(|place| unsafe { *place = value });
    }

    fn get(&self) -> u64 {
        // SAFETY: as above.
        self.0.with(|place| unsafe { *place })
    }
}

#[test]
fn the_hold_word_publishes_what_came_before_a_grant() {
    explore("hold word, grant", None, 2, || {
        let shared = Arc::new((HoldWord::new(), Guarded::new()));
        let writer = shared.clone();
        let granting = thread::spawn(move || {
            writer.1.set(7);
            writer.0.write(HoldState::held(1));
        });
        if shared.0.read().is_held_by(1) {
            assert_eq!(shared.1.get(), 7);
        }
        granting.join().unwrap();
    });
}

#[test]
fn the_hold_word_publishes_what_the_holder_wrote() {
    explore("hold word, release", None, 2, || {
        let shared = Arc::new((HoldWord::new(), Guarded::new()));
        shared.0.write(HoldState::held(1));
        let holder = shared.clone();
        let releasing = thread::spawn(move || {
            holder.1.set(7);
            holder.0.write(HoldState::free(1));
        });
        if !shared.0.read().is_held() {
            shared.1.set(shared.1.get() + 1);
        }
        releasing.join().unwrap();
        assert!([7, 8].contains(&shared.1.get()));
    });
}

/// A lock made as the send lock is: the mutex decides, the word tells.
struct MiniLock {
    book: Mutex<Book>,
    word: HoldWord,
    data: Guarded,
}

#[derive(Default)]
struct Book {
    holder: Option<u64>,
    last: u64,
}

impl MiniLock {
    fn new() -> Self {
        Self { book: Mutex::new(Book::default()), word: HoldWord::new(), data: Guarded::new() }
    }

    fn try_acquire(&self) -> Option<u64> {
        let mut book = self.book.lock();
        if book.holder.is_some() {
            return None;
        }
        book.last += 1;
        book.holder = Some(book.last);
        self.word.write(HoldState::held(book.last));
        book.holder
    }

    fn end(&self, token: Option<u64>) -> bool {
        let mut book = self.book.lock();
        let Some(holder) = book.holder.filter(|holder| token.is_none_or(|token| token == *holder)) else {
            return false;
        };
        book.holder = None;
        self.word.write(HoldState::free(holder));
        true
    }

    /// One hold; answers whether there was one.
    fn hold_once(&self) -> bool {
        let Some(token) = self.try_acquire() else { return false };
        assert!(self.word.read().is_held_by(token), "the holder sees its own grant");
        self.data.set(self.data.get() + 1);
        assert!(self.end(Some(token)));
        assert!(!self.word.read().is_held_by(token), "a token that was released holds nothing");
        true
    }

    /// Looks without the mutex: who sees the end of a grant may read what its holder wrote, as long as
    /// nobody else has begun.
    fn look(&self, last: u64) {
        let state = self.word.read();
        if !state.is_held() && state.token() == last {
            assert_eq!(self.data.get(), last);
        }
    }
}

fn holders(threads: usize, rounds: usize) -> impl Fn() + Send + Sync + 'static {
    move || {
        let lock = Arc::new(MiniLock::new());
        let run = |lock: Arc<MiniLock>| move || (0..rounds).filter(|_| lock.hold_once()).count();
        let others: Vec<_> = (1..threads).map(|_| thread::spawn(run(lock.clone()))).collect();
        let mine = run(lock.clone())();
        let all: usize = mine + others.into_iter().map(|other| other.join().unwrap()).sum::<usize>();
        assert_eq!(lock.data.get(), all as u64);
        assert!(all >= 1);
    }
}

#[test]
fn two_holders_never_overlap() {
    explore("mutex and word, 2 threads", None, 1_000, holders(2, 2));
}

#[test]
fn three_holders_never_overlap() {
    let rounds = if deep() { 1 } else { 2 };
    explore("mutex and word, 3 threads", bound_of_three(), 10_000, holders(3, rounds));
}

#[test]
fn whoever_sees_the_end_of_a_hold_sees_its_work() {
    explore("mutex, word and onlooker, 3 threads", bound_of_three(), 100, || {
        let lock = Arc::new(MiniLock::new());
        let (holder, onlooker) = (lock.clone(), lock.clone());
        let holding = thread::spawn(move || holder.hold_once());
        let looking = thread::spawn(move || onlooker.look(1));
        lock.look(1);
        assert!(holding.join().unwrap());
        looking.join().unwrap();
    });
}

#[test]
fn a_check_that_failed_never_succeeds_again() {
    explore("force and check, 3 threads", bound_of_three(), 100, || {
        let lock = Arc::new(MiniLock::new());
        let (forcing, taking) = (lock.clone(), lock.clone());
        let token = lock.try_acquire().unwrap();
        let force = thread::spawn(move || forcing.end(None));
        let take = thread::spawn(move || taking.try_acquire());
        let first = lock.word.read().is_held_by(token);
        let second = lock.word.read().is_held_by(token);
        assert!(first || !second, "lost is lost");
        let released = lock.end(Some(token));
        let forced = force.join().unwrap();
        let taken = take.join().unwrap();
        assert!(released || forced, "somebody ended the first hold");
        assert!(!(released && forced) || taken.is_some(), "one hold is ended once");
        assert!(taken.is_none_or(|taken| taken > token));
    });
}

struct Pair {
    lock: SeqLock,
    left: Field,
    right: Field,
}

impl Pair {
    fn new() -> Self {
        Self { lock: SeqLock::new(), left: Field::new(0), right: Field::new(0) }
    }

    fn write(&self, value: u64) {
        self.lock.write(|| {
            self.left.set(value);
            self.right.set(value);
        });
    }

    fn check(&self) {
        if let Some((left, right)) = self.lock.read(|| (self.left.get(), self.right.get())) {
            assert_eq!(left, right, "a reader saw half a change");
        }
    }
}

fn pair(writes: u64, readers: usize, reads: usize) -> impl Fn() + Send + Sync + 'static {
    move || {
        let pair = Arc::new(Pair::new());
        let read = |pair: Arc<Pair>| move || (0..reads).for_each(|_| pair.check());
        let others: Vec<_> = (1..readers).map(|_| thread::spawn(read(pair.clone()))).collect();
        let writer = pair.clone();
        let writing = thread::spawn(move || (1..=writes).for_each(|value| writer.write(value)));
        read(pair.clone())();
        writing.join().unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(pair.lock.read(|| pair.left.get()), Some(writes));
    }
}

#[test]
fn a_reader_of_a_sequence_never_sees_half_a_change() {
    explore("sequence, 2 threads", None, 1_000_000, pair(2, 1, 2));
}

#[test]
fn two_readers_of_a_sequence_never_see_half_a_change() {
    explore("sequence, 3 threads", bound_of_three(), 10_000, pair(1, 2, 1));
}

/// Versions of two fields that are always equal, in `N` places. The reader is the thread that begins later: loom
/// only remembers the last access to a word, and would miss what a reader that began first may still see.
fn versions<const N: usize>(before: u64, changes: u64) -> impl Fn() + Send + Sync + 'static {
    move || {
        let places: [[Field; 2]; N] = std::array::from_fn(|_| Default::default());
        let shared = Arc::new((Versions::<N>::new(), places));
        let publish = |value: u64| {
            shared.0.publish(|place| shared.1[place].iter().for_each(|field| field.set(value)));
        };
        (1..=before).for_each(publish);
        let reader = shared.clone();
        let reading = thread::spawn(move || {
            let seen = reader.0.read(|place| [reader.1[place][0].get(), reader.1[place][1].get()]);
            if let Some([one, other]) = seen {
                assert_eq!(one, other, "half a version");
                assert!(one >= before, "an older version than the newest");
            }
        });
        (before + 1..=before + changes).for_each(publish);
        reading.join().unwrap();
        assert_eq!(shared.0.read(|place| shared.1[place][1].get()), Some(before + changes));
    }
}

#[test]
fn a_reader_of_versions_never_sees_half_a_version() {
    explore("versions, 2 places", None, 600, versions::<2>(1, 2));
    explore("versions, 3 places", None, 1_500, versions::<3>(2, 3));
}

fn record(token: u64) -> Record {
    Record {
        kind: Kind::Released,
        at: Nanos(token),
        token,
        held: Some(Nanos(token)),
        thread_id: token,
        layer: ShortText::EMPTY,
        layer_row: token,
        other: ShortText::EMPTY,
        other_row: token,
    }
}

fn ring<const N: usize>(before: u64, pushes: u64, readers: usize) -> impl Fn() + Send + Sync + 'static {
    move || {
        let ring = Arc::new(Ring::<N>::default());
        (1..=before).for_each(|token| ring.push(&record(token)));
        let last = before + pushes;
        let read = |ring: Arc<Ring<N>>, stamp: u64| {
            move || {
                if let Some(found) = ring.read(stamp) {
                    assert_eq!(found, record(stamp), "record {stamp} is whole, or it is not there");
                }
            }
        };
        let others: Vec<_> = (1..readers).map(|_| thread::spawn(read(ring.clone(), last))).collect();
        let writer = ring.clone();
        let writing =
            thread::spawn(move || (before + 1..=last).for_each(|token| writer.push(&record(token))));
        read(ring.clone(), before.max(1))();
        writing.join().unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(ring.read(last), Some(record(last)));
    }
}

#[test]
fn a_record_that_appears_is_whole() {
    explore("ring, new record, 2 threads", None, 10, ring::<1>(0, 1, 1));
}

#[test]
fn a_record_that_is_overwritten_is_not_read() {
    // The sequence is the same protocol on two fields, and has no bound; a record has eleven.
    let bound = if deep() { 4 } else { 3 };
    explore("ring, overwritten record, 2 threads", Some(bound), 50_000, ring::<1>(1, 1, 1));
}

#[test]
fn two_readers_of_a_ring_see_whole_records() {
    explore("ring, 3 threads", Some(if deep() { 3 } else { 2 }), 10_000, ring::<1>(1, 1, 2));
}
