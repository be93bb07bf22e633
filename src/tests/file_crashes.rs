//! Every state in which a crash can leave a file that is being replaced or extended: nothing torn, nothing
//! lost after success, nothing left beside it after the next write.

use super::disk::{Disk, Lies, State};
use crate::atomic_file::append::{append, settle};
use crate::atomic_file::doors::System;
use crate::atomic_file::writer::{Writer, write};
use crate::atomic_file::{How, Links, Owner, Trouble, What};
use crate::sys::replace::Errno;
use std::path::Path;

const NAME: &str = "tasks.json";
const OLD: &[u8] = b"the old content, which is whole";
const NEW: &[u8] = b"new content of another length, whole as well";
const NEXT: &[u8] = b"what comes next";
const HOW: How = How { durable: true, links: Links::Follow, owner: Owner::Try, mode: None };
const NOT_DURABLE: How = How { durable: false, ..HOW };

fn path() -> &'static Path {
    Path::new(NAME)
}

fn replace(disk: &Disk, bytes: &[u8], how: How) -> Result<(), Trouble> {
    let mut writer = Writer::begin(disk, path(), how)?;
    let (first, second) = bytes.split_at(bytes.len() / 3);
    writer.feed(first)?;
    writer.feed(second)?;
    writer.commit()
}

fn starts() -> [State; 2] {
    [State::with(NAME, OLD), State::default()]
}

/// How many states are torn or empty, and how many have lost what was written with success.
#[derive(Debug, Default, PartialEq)]
struct Bad {
    torn: usize,
    lost: usize,
}

/// A way to change a file, and what may be there afterwards.
type Change = fn(&Disk, &[u8], How) -> Result<(), Trouble>;

fn extend(disk: &Disk, bytes: &[u8], how: How) -> Result<(), Trouble> {
    append(&disk, path(), bytes, how)
}

fn joined(a: Option<&[u8]>, b: &[u8]) -> Vec<u8> {
    [a.unwrap_or_default(), b].concat()
}

fn check_replace(state: &State, start: &State, is_done: bool, bad: &mut Bad) {
    let content = state.content(NAME);
    bad.torn += usize::from(content != start.content(NAME) && content != Some(NEW));
    bad.lost += usize::from(is_done && content != Some(NEW));
    let next = Disk::new(state.clone());
    write(&next, path(), NEXT, HOW).unwrap();
    assert_eq!(next.state().content(NAME), Some(NEXT));
    assert_eq!(next.state().names.len(), 1, "nothing is left beside it: {:?}", next.state().names);
}

fn check_extend(state: &State, start: &State, is_done: bool, bad: &mut Bad) {
    let (old, new) = (joined(start.content(NAME), b""), joined(start.content(NAME), NEW));
    let settled = Disk::new(state.clone());
    settle(&&settled, path(), Links::Follow).unwrap();
    let content = joined(settled.state().content(NAME), b"");
    bad.torn += usize::from(content != old && content != new);
    bad.lost += usize::from(is_done && content != new);
    let next = Disk::new(state.clone());
    append(&&next, path(), NEXT, HOW).unwrap();
    assert_eq!(next.state().content(NAME), Some(&joined(Some(&content), NEXT)[..]), "from {state:?}");
    assert_eq!(next.state().names.len(), 1, "nothing is left beside it: {:?}", next.state().names);
}

type Check = fn(&State, &State, bool, &mut Bad);

fn states_of(disk: &Disk, length: usize, power: bool) -> Vec<State> {
    if power { disk.after_power_loss(length) } else { disk.after_kill(length) }
}

/// Looks at every crash of one change; how many states, and how many of them are bad.
fn crashes(change: Change, check: Check, how: How, lies: Lies, power: bool) -> (usize, Bad) {
    let (mut count, mut bad) = (0, Bad::default());
    for start in starts() {
        let disk = Disk::that_lies(start.clone(), lies);
        change(&disk, NEW, how).unwrap();
        for length in 0..=disk.steps() {
            for state in states_of(&disk, length, power) {
                check(&state, &start, length == disk.steps(), &mut bad);
                count += 1;
            }
        }
    }
    (count, bad)
}

#[test]
fn a_replaced_file_is_whole_at_every_crash() {
    let (count, bad) = crashes(replace, check_replace, HOW, Lies::default(), true);
    println!("replacing: {count} states after a loss of power, {bad:?}");
    assert!(count >= 100);
    assert_eq!(bad, Bad::default());
    for how in [HOW, NOT_DURABLE] {
        let (count, bad) = crashes(replace, check_replace, how, Lies::default(), false);
        println!("replacing: {count} states after a kill, {bad:?}");
        assert_eq!(bad, Bad::default());
    }
}

#[test]
fn an_extended_file_is_whole_once_somebody_looked() {
    let (count, bad) = crashes(extend, check_extend, HOW, Lies::default(), true);
    println!("extending: {count} states after a loss of power, {bad:?}");
    assert!(count >= 100);
    assert_eq!(bad, Bad::default());
    for how in [HOW, NOT_DURABLE] {
        let (count, bad) = crashes(extend, check_extend, how, Lies::default(), false);
        println!("extending: {count} states after a kill, {bad:?}");
        assert_eq!(bad, Bad::default());
    }
}

#[test]
fn the_model_sees_a_sync_that_is_missing() {
    let no_sync = Lies { sync: true, ..Lies::default() };
    let no_sync_dir = Lies { sync_dir: true, ..Lies::default() };
    let (_, bad) = crashes(replace, check_replace, HOW, no_sync, true);
    assert!(bad.torn > 0 && bad.lost > 0, "rename without fsync: {bad:?}");
    let (_, bad) = crashes(replace, check_replace, HOW, no_sync_dir, true);
    assert!(bad.torn == 0 && bad.lost > 0, "without fsync of the directory: {bad:?}");
    let (_, bad) = crashes(extend, check_extend, HOW, no_sync, true);
    assert!(bad.torn > 0 && bad.lost > 0, "extending without fsync: {bad:?}");
    let (_, bad) = crashes(extend, check_extend, HOW, no_sync_dir, true);
    assert!(bad.torn > 0, "extending with a record whose name can be lost: {bad:?}");
}

#[test]
fn a_refusal_at_any_request_leaves_the_old_content() {
    let mut count = 0;
    for (change, is_extend) in [(replace as Change, false), (extend, true)] {
        for start in starts() {
            let whole = Disk::new(start.clone());
            change(&whole, NEW, HOW).unwrap();
            let new = whole.state().content(NAME).map(<[u8]>::to_vec);
            for at in 0..whole.asked() {
                let disk = Disk::that_refuses(start.clone(), at, Errno("EIO"));
                let done = change(&disk, NEW, HOW);
                let content = disk.state().content(NAME).map(<[u8]>::to_vec);
                match done {
                    Ok(()) => assert_eq!(content, new, "success at request {at}"),
                    Err(Trouble { done: true, .. }) => assert_eq!(content, new, "in place at request {at}"),
                    Err(_) if is_extend => {
                        assert_eq!(
                            joined(content.as_deref(), b""),
                            joined(start.content(NAME), b""),
                            "at {at}"
                        );
                    }
                    Err(_) => assert_eq!(content.as_deref(), start.content(NAME), "at request {at}"),
                }
                let next = Disk::new(disk.state());
                change(&next, NEXT, HOW).unwrap();
                assert_eq!(next.state().names.len(), 1, "nothing is left after request {at}");
                count += 1;
            }
        }
    }
    println!("{count} refusals");
}

#[test]
fn a_writer_settles_what_an_addition_left() {
    let disk = Disk::new(State::with(NAME, OLD));
    extend(&disk, NEW, HOW).unwrap();
    for length in 0..=disk.steps() {
        for state in disk.after_kill(length) {
            let next = Disk::new(state);
            replace(&next, NEXT, HOW).unwrap();
            assert_eq!(next.state().content(NAME), Some(NEXT));
            assert_eq!(next.state().names.len(), 1);
        }
    }
}

/// Also with feature `portable`, where files are not locked.
#[test]
fn the_system_itself_answers_as_the_model() {
    let dir = std::env::temp_dir().join(format!("chainlock-{}-files", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let file = dir.join(NAME);
    let names =
        || std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    for (content, how) in [(OLD, HOW), (NEW, HOW), (NEXT, NOT_DURABLE)] {
        write(System, &file, content, how).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), content);
    }
    let mut given_up = Writer::begin(System, &file, HOW).unwrap();
    given_up.feed(OLD).unwrap();
    drop(given_up);
    match append(&System, &file, OLD, HOW) {
        Ok(()) => assert_eq!(std::fs::read(&file).unwrap(), joined(Some(NEXT), OLD)),
        Err(trouble) => assert_eq!(trouble.what, What::Unsupported),
    }
    assert_eq!(write(System, &dir, OLD, HOW).unwrap_err().errno, Errno("EISDIR"));
    assert_eq!(write(System, &file.join("a"), OLD, HOW).unwrap_err().what, What::Refused);
    assert_eq!(names(), [NAME], "nothing is left beside it");
    std::fs::remove_dir_all(&dir).unwrap();
}
