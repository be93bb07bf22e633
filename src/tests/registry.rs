//! The registry under many threads: no change is lost, no state is torn, what is finished stays finished, places
//! come back, and foreign memory is only looked at.

use crate::name::clean;
use crate::registry::entry::{Entry, Patch};
use crate::registry::layout::{ENTRIES, INDEX, Registry};
use crate::registry::memory::apart;
use crate::registry::outside;
use crate::registry::status::{Refused, Status};
use crate::registry::text::Text;
use crate::sync::Field;
use crate::time::{Moment, Nanos};
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

fn described(id: &str) -> Entry {
    Entry { id: Text::whole(id).unwrap(), ..Entry::default() }
}

fn register(registry: &Registry, id: &str, at: u64) -> Result<(), Refused> {
    registry.register(&mut described(id), Nanos(at), |_| {})
}

fn change(registry: &Registry, id: &str, patch: &Patch, at: u64) -> Result<Entry, Refused> {
    let mut entry = Entry::default();
    registry.change(&Text::whole(id).unwrap(), patch, Nanos(at), &mut entry).map(|()| entry)
}

fn state_of(registry: &Registry, id: &str) -> Option<Entry> {
    let mut entry = Entry::default();
    registry.get(&Text::whole(id).unwrap(), &mut entry).then_some(entry)
}

fn status_of(registry: &Registry, id: &str) -> Option<Status> {
    registry.status(&registry.key(&Text::whole(id).unwrap()))
}

#[test]
fn a_process_from_its_registration_to_its_end() {
    let registry = apart();
    assert_eq!(status_of(registry, "build"), None);
    let mut new = described("build");
    new.command = Text::cut("make");
    new.args = Text::of_args(["-j", "2"]);
    registry.register(&mut new, Nanos(10), |_| {}).unwrap();
    assert_eq!((new.status, new.revision, new.registered_at), (Some(Status::Pending), 1, Nanos(10)));
    assert_eq!(register(registry, "build", 11), Err(Refused::DuplicateId));
    let running =
        change(registry, "build", &Patch { pid: Some(77), ..Patch::to(Status::Running) }, 12).unwrap();
    assert_eq!((running.pid, running.started_at, running.ended_at), (77, Nanos(12), Nanos::NEVER));
    let stopped = change(registry, "build", &Patch::to(Status::Stopped), 13).unwrap();
    assert_eq!((stopped.status, stopped.started_at), (Some(Status::Stopped), Nanos(12)));
    let back = change(registry, "build", &Patch::to(Status::Pending), 14);
    assert_eq!(back.unwrap_err(), Refused::Backwards(Status::Stopped));
    change(registry, "build", &Patch { exit_code: Some(-1), ..Patch::to(Status::Failed) }, 9).unwrap();
    let failed = state_of(registry, "build").unwrap();
    assert_eq!(
        (failed.exit_code, failed.ended_at, failed.revision),
        (Some(-1), Nanos(13), 4),
        "time goes on"
    );
    assert_eq!(
        (failed.command.to_text(), failed.args.to_args()),
        ("make".into(), vec!["-j".into(), "2".into()])
    );
    for patch in [Patch::to(Status::Running), Patch::to(Status::Failed), Patch::default()] {
        assert_eq!(change(registry, "build", &patch, 15).unwrap_err(), Refused::Finished(Status::Failed));
    }
    assert_eq!(registry.remove(&Text::whole("build").unwrap()).unwrap().status, Some(Status::Failed));
    assert_eq!(state_of(registry, "build").map(|_| ()), None);
    assert_eq!(change(registry, "build", &Patch::default(), 16).unwrap_err(), Refused::UnknownId);
    register(registry, "build", 17).unwrap();
    assert_eq!(state_of(registry, "build").unwrap().revision, 1, "it is another process");
}

#[test]
fn a_hundred_threads_lose_no_change() {
    const THREADS: u64 = 100;
    let changes: u64 = if std::env::var_os("CHAINLOCK_SMALL").is_some() { 100 } else { 1_000 };
    let registry = apart();
    register(registry, "counter", 1).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for turn in 0..changes {
                    // Some look at it meanwhile, as they would.
                    let patch = Patch { pid: Some(thread << 32 | turn), ..Patch::to(Status::Running) };
                    change(registry, "counter", &patch, turn + 2).unwrap();
                }
            });
        }
    });
    let revision = state_of(registry, "counter").unwrap().revision;
    assert_eq!(revision, 1 + THREADS * changes);
    println!("registry: {} changes by {THREADS} threads, 0 lost", revision - 1);
}

/// A state that tells by itself whether it is whole: every part of it says the same number.
pub(super) fn telling(number: u64) -> Patch {
    let text = format!("{number:_<width$}", width = 1 + number as usize % 40);
    Patch {
        pid: Some(number),
        name: Some(Text::cut(&text)),
        command: Some(Text::cut(&text)),
        args: Some(Text::of_args([&text, "end"])),
        ..Patch::to(if number.is_multiple_of(2) { Status::Running } else { Status::Stopped })
    }
}

pub(super) fn assert_whole(entry: &Entry) {
    let number = entry.pid;
    assert_eq!(entry.status, telling(number).status, "status of one moment, number {number} of another");
    assert_rest_is_whole(entry);
}

/// All of it but the status.
pub(super) fn assert_rest_is_whole(entry: &Entry) {
    let number = entry.pid;
    let expected = telling(number);
    assert_eq!(entry.updated_at.0, number, "times of another moment");
    assert!(entry.name.is_same(&expected.name.unwrap()) && entry.command.is_same(&expected.command.unwrap()));
    assert_eq!(entry.args.to_args(), expected.args.unwrap().to_args());
}

#[test]
fn a_state_is_read_whole_while_it_is_changed() {
    let registry = apart();
    register(registry, "torn", 1).unwrap();
    change(registry, "torn", &telling(2), 2).unwrap();
    let done = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut entry = Entry::default();
                while !done.load(Relaxed) {
                    assert!(registry.get(&Text::whole("torn").unwrap(), &mut entry));
                    assert_whole(&entry);
                    reads.fetch_add(1, Relaxed);
                }
            });
        }
        for number in 3..super::sized(200_000, 5_000_000) {
            change(registry, "torn", &telling(number), number).unwrap();
        }
        done.store(true, Relaxed);
    });
    println!("registry: {} reads of a state that changes, 0 torn", reads.load(Relaxed));
}

#[test]
fn of_many_endings_one_counts() {
    let registry = apart();
    for round in 0..super::sized(2_000, 50_000) {
        let id = format!("race {round}");
        register(registry, &id, 1).unwrap();
        let ended = AtomicU64::new(0);
        thread::scope(|scope| {
            for (code, status) in [(0, Status::Success), (1, Status::Failed), (2, Status::Running)] {
                let (id, ended) = (&id, &ended);
                scope.spawn(move || {
                    let patch =
                        Patch { exit_code: status.is_finished().then_some(code), ..Patch::to(status) };
                    let won = change(registry, id, &patch, 2).is_ok();
                    ended.fetch_add(u64::from(won && status.is_finished()), Relaxed);
                });
            }
        });
        assert_eq!(ended.load(Relaxed), 1);
        let entry = state_of(registry, &id).unwrap();
        let success = entry.status == Some(Status::Success);
        assert_eq!(entry.exit_code, Some(if success { 0 } else { 1 }), "the code of the ending that counts");
    }
}

#[test]
fn an_id_is_registered_once_whoever_is_quickest() {
    let registry = apart();
    for round in 0..super::sized(1_000, 50_000) {
        let id = format!("id {round}");
        let won: u64 = thread::scope(|scope| {
            let id = &id;
            let all: Vec<_> =
                (0..4).map(|_| scope.spawn(move || register(registry, id, 1).is_ok())).collect();
            all.into_iter().map(|one| u64::from(one.join().unwrap())).sum()
        });
        assert_eq!(won, 1);
        assert_eq!(status_of(registry, &id), Some(Status::Pending));
        assert!(registry.remove(&Text::whole(&id).unwrap()).is_some());
    }
    let used = registry.header.free_entries.used();
    assert!(used <= 4, "the places of those who came second are there again: {used}");
}

#[test]
fn places_come_back() {
    let registry = apart();
    for round in 0..100_000 {
        let id = format!("process {round}");
        register(registry, &id, round).unwrap();
        assert!(registry.remove(&Text::whole(&id).unwrap()).is_some());
    }
    assert_eq!((registry.header.free_entries.used(), registry.header.free_records.used()), (1, 1));
    assert!(registry.index.iter().all(|word| word.load(Relaxed) == 0));
}

#[test]
fn a_full_registry_forgets_the_oldest_that_are_finished() {
    let registry = apart();
    let id = |number: usize| format!("process {number}");
    for number in 0..ENTRIES {
        register(registry, &id(number), 1).unwrap();
    }
    assert_eq!(register(registry, "one more", 2), Err(Refused::Full), "nobody who is not finished goes");
    for number in (100..300).rev() {
        change(registry, &id(number), &Patch::to(Status::Success), 1_000 + number as u64).unwrap();
    }
    let mut gone = Vec::new();
    registry.register(&mut described("one more"), Nanos(3), |entry| gone.push(entry.id.to_text())).unwrap();
    gone.sort();
    let oldest: Vec<String> = (100..164).map(id).collect();
    assert_eq!(gone, oldest);
    assert!(oldest.iter().all(|id| status_of(registry, id).is_none()));
    let mut cleared = 0;
    assert_eq!(registry.clear_finished(|_| cleared += 1), 136);
    assert_eq!((cleared, status_of(registry, "one more")), (136, Some(Status::Pending)));
    assert_eq!(status_of(registry, &id(0)), Some(Status::Pending));
}

#[test]
fn a_thread_that_ends_has_failed_and_nobody_else() {
    let registry = apart();
    for (id, owner) in [("its", 7), ("its, done", 7), ("another's", 8)] {
        let mut new = Entry { owner, ..described(id) };
        registry.register(&mut new, Nanos(1), |_| {}).unwrap();
    }
    change(registry, "its, done", &Patch::to(Status::Success), 2).unwrap();
    let mut told = Vec::new();
    registry.depart(7, Nanos(3), |entry| told.push(entry.id.to_text()));
    assert_eq!(told, ["its"]);
    let its = state_of(registry, "its").unwrap();
    assert_eq!((its.status, its.reason.to_text().as_str()), (Some(Status::Failed), "thread_exit"));
    assert_eq!(status_of(registry, "its, done"), Some(Status::Success));
    assert_eq!(status_of(registry, "another's"), Some(Status::Pending));
}

/// A registry as the words that it is made of.
fn words_of(registry: &Registry) -> &[Field] {
    let start: *const Field = std::ptr::from_ref(registry).cast();
    // SAFETY: all of it is words, and its end too.
    unsafe { std::slice::from_raw_parts(start, size_of::<Registry>() / 8) }
}

#[test]
fn foreign_bytes_are_never_trusted() {
    let registry = apart();
    for id in ["one", "two", "three"] {
        register(registry, id, 1).unwrap();
        change(registry, id, &telling(2), 2).unwrap();
    }
    assert_eq!(outside::read(registry).unwrap().len(), 3);
    let words = words_of(registry);
    // The header, the first entries, and the records.
    let (header, entries) = (0..16, 16 + INDEX..16 + INDEX + 4 * 8);
    let places = [header, entries, 16 + INDEX + 8 * ENTRIES..16 + INDEX + 8 * ENTRIES + 8 * 320];
    let cases = ProptestConfig::with_cases(super::sized(20_000, 1_000_000) as u32);
    let spoilt = (0..places.len(), any::<prop::sample::Index>(), any::<u64>(), any::<bool>());
    let seen = AtomicU64::new(0);
    let run =
        proptest::test_runner::TestRunner::new(cases).run(&prop::collection::vec(spoilt, 1..8), |changes| {
            let mut before = Vec::new();
            for (place, at, word, is_whole) in changes {
                let place = &places[place];
                let field = &words[place.start + at.index(place.len())];
                before.push((field, field.get()));
                // Whole words, and single bits, which are more like the truth.
                field.set(if is_whole { word } else { field.get() ^ (1 << (word % 64)) });
            }
            for entry in outside::read(registry).unwrap_or_default() {
                let text = outside::to_json(&entry, &Moment::read()).to_string();
                prop_assert!(text.len() < 32_768 && clean(&text) == text);
                seen.fetch_add(1, Relaxed);
            }
            before.into_iter().rev().for_each(|(field, word)| field.set(word));
            Ok(())
        });
    run.unwrap();
    println!("registry: {} entries read from spoilt bytes, all of them clean", seen.load(Relaxed));
}
