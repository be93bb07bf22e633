//! The shared state's bytes, its deaths, and the rules over several processes; here each "process" is a home of
//! its own on the same file, and dies by closing it.

mod bytes;

use super::image::{self, Era};
use super::joining::era_now;
use super::place::{Place, open_in};
use super::store::{Point, Store};
use super::{Fault, Home};
use crate::local::departures::{Caller, ProcessId, RowId};
use crate::name::ShortText;
use crate::send::book::Book;
use crate::send::config::Change;
use crate::send::dedup::MessageKey;
use crate::send::lock::{Outcome, SendLock, Told, Which};
use crate::send::rules::Refusal;
use crate::time::Nanos;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chainlock-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("send-x.state")
    }

    fn open(&self) -> Result<Place, Fault> {
        open_in(&self.0, "x")
    }

    fn store(&self) -> Store {
        self.open().unwrap().store
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Process {
    lock: SendLock,
    id: ProcessId,
}

impl Process {
    fn join(scratch: &Scratch, number: u64) -> Result<Self, Fault> {
        let (lock, id) = (SendLock::independent(), ProcessId(number));
        lock.configure(&Change { cooldown: Some(Nanos(0)), ..Change::default() }, Nanos(1));
        let mut book = lock.book.lock();
        let (home, _, theirs) = Home::join(scratch.open()?, "x", &book, id, Nanos(10))?;
        *book = theirs;
        assert!(lock.home.set(home).is_ok());
        drop(book);
        Ok(Self { lock, id })
    }

    fn caller(&self) -> Caller {
        Caller { row: RowId { place: 0, generation: 1, process: self.id }, thread_id: 0, mailbox: 7 }
    }

    fn try_acquire(&self, now: u64) -> Result<u64, Refusal> {
        let done = self.lock.try_acquire(self.caller(), Some(&layer()), None, Nanos(now));
        assert!(!done.unavailable, "{:?}", self.lock.fault());
        done.answer.map_err(|refused| refused.refusal)
    }

    fn wait(&self, now: u64) -> Outcome {
        self.lock.request(self.caller(), Some(&layer()), None, Nanos::FOREVER, Nanos(now)).answer
    }

    fn release(&self, token: u64, now: u64) -> bool {
        self.lock.release(self.caller(), Which::Token(token), true, Nanos(now)).answer
    }

    /// The token of the present hold, as the book has it and as the page shows it.
    fn holder(&self) -> Option<u64> {
        let holder = self.lock.look(|book, _| book.holder.map(|holder| holder.token));
        let state = self.lock.state();
        assert_eq!(state.is_held().then(|| state.token()), holder, "page and book agree");
        holder
    }

    fn dies_at(&self, point: Point) {
        *self.lock.home.get().unwrap().dies_at.lock() = Some(point);
    }
}

fn layer() -> ShortText {
    ShortText::name("e2e-executor").unwrap()
}

const POINTS: [Point; 6] = [
    Point::BeforeLog,
    Point::BeforePayload,
    Point::HalfPayload,
    Point::BeforeHead,
    Point::HalfHead,
    Point::AfterHead,
];

#[test]
fn who_dies_in_the_middle_leaves_the_old_state_or_the_new_one() {
    for point in POINTS {
        for looks_first in [false, true] {
            let scratch = Scratch::new("deaths");
            let one = Process::join(&scratch, 1).unwrap();
            // Acquiring: either nothing happened, or the dead one held and does no longer.
            let dying = Process::join(&scratch, 2).unwrap();
            dying.dies_at(point);
            let done = dying.lock.try_acquire(dying.caller(), Some(&layer()), None, Nanos(100));
            assert!(done.unavailable && done.answer.is_err());
            drop(dying);
            if looks_first {
                one.holder();
            }
            let token = one.try_acquire(101).unwrap();
            assert_eq!(token, if point == Point::AfterHead { 2 } else { 1 }, "{point:?}");
            // Releasing: either it is still held, by a dead one, or it is free.
            assert!(one.release(token, 102));
            let dying = Process::join(&scratch, 3).unwrap();
            let token = dying.try_acquire(103).unwrap();
            dying.dies_at(point);
            dying.lock.release(dying.caller(), Which::Token(token), true, Nanos(104));
            drop(dying);
            assert_eq!(one.try_acquire(105), Ok(token + 1), "{point:?}");
            assert_eq!(one.holder(), Some(token + 1));
            let joined = Process::join(&scratch, 4).unwrap();
            assert_eq!(joined.try_acquire(106), Err(Refusal::Held), "{point:?}");
        }
    }
}

#[test]
fn what_was_sent_is_remembered_by_all_and_by_later_ones() {
    let scratch = Scratch::new("dedup");
    let (one, two) = (Process::join(&scratch, 1).unwrap(), Process::join(&scratch, 2).unwrap());
    one.lock.configure(&Change { dedup_window: Some(Nanos(1_000_000)), ..Change::default() }, Nanos(50));
    let send = |process: &Process, text: &[u8], sent: bool| {
        let key = Some(MessageKey::of(text));
        let done = process.lock.try_acquire(process.caller(), Some(&layer()), key, Nanos(100));
        let token = done.answer.map_err(|refused| refused.refusal)?;
        process.lock.release(process.caller(), Which::Token(token), sent, Nanos(100));
        Ok(token)
    };
    for n in 0..300u32 {
        let (first, other) = if n % 2 == 0 { (&one, &two) } else { (&two, &one) };
        assert!(send(first, &n.to_le_bytes(), n % 3 != 0).is_ok());
        assert_eq!(send(other, &n.to_le_bytes(), true).is_ok(), n % 3 == 0, "message {n}");
    }
    // One that dies between the log and the state changes nothing.
    two.dies_at(Point::BeforePayload);
    assert!(send(&two, b"lost", true).is_err());
    drop(two);
    let late = Process::join(&scratch, 3).unwrap();
    for n in 0..300u32 {
        let refused = send(&late, &n.to_le_bytes(), true);
        assert!(matches!(refused, Err(Refusal::DuplicateMessage { .. })), "message {n}: {refused:?}");
    }
    assert!(send(&late, b"lost", true).is_ok());
    assert!(send(&one, b"lost", true).is_err());
}

#[test]
fn waiters_of_all_processes_stand_in_one_line() {
    let scratch = Scratch::new("line");
    let [one, two, three] = [1, 2, 3].map(|number| Process::join(&scratch, number).unwrap());
    let mut token = one.try_acquire(100).unwrap();
    let order = [&two, &three, &one, &two];
    let tickets: Vec<_> = order.map(|process| process.wait(101)).into();
    for (process, outcome) in order.iter().zip(tickets) {
        let Outcome::Waiting(mine) = outcome else { panic!("{outcome:?}") };
        assert!(one.release(token, 102), "whoever has the token may give it back");
        // The grant comes with whatever the process does next.
        let mail = process.lock.tick(Nanos(103)).tell;
        let mut mail: Vec<_> = mail.iter().map(|delivery| delivery.what).collect();
        if process.id == one.id {
            // Its own grant came with its own release.
            assert!(mail.is_empty());
            token += 1;
            continue;
        }
        let Some(Told::Granted { ticket, token: next, .. }) = mail.pop() else { panic!("{mail:?}") };
        assert_eq!(ticket, mine);
        token = next;
    }
}

#[test]
fn a_dead_process_holds_nothing_and_waits_for_nothing() {
    let scratch = Scratch::new("dead");
    let [one, two, three] = [1, 2, 3].map(|number| Process::join(&scratch, number).unwrap());
    two.try_acquire(100).unwrap();
    three.wait(101);
    one.wait(102);
    drop(three);
    drop(two);
    let mail = one.lock.tick(Nanos(103)).tell;
    assert!(matches!(mail[..], [delivery] if matches!(delivery.what, Told::Granted { .. })), "{mail:?}");
    assert_eq!(one.lock.page().counters.forced_process_exit.get(), 1);
    let status = one.lock.status_json(crate::time::Moment::at(Nanos(104), 0.0));
    assert!(status.contains("\"scope\":\"host\"") && status.contains("\"pid\":1"), "{status}");
}

#[test]
fn after_another_boot_nobody_holds_and_tokens_grow() {
    let scratch = Scratch::new("boot");
    let one = Process::join(&scratch, 1).unwrap();
    one.lock.configure(&Change { cooldown: Some(Nanos::from_ms(60_000.0)), ..Change::default() }, Nanos(99));
    one.try_acquire(100).unwrap();
    let book = std::mem::replace(&mut *one.lock.book.lock(), Book::new());
    drop(one);
    let rewrite = |era: Era| {
        let store = scratch.store();
        // One past the newest, whichever that is.
        let newest = store.newest(false).unwrap().unwrap().sequence;
        store.commit(newest + 1, &image::encode(era, &book, 0), |_| Ok(())).unwrap();
    };
    rewrite(Era { boot: era_now().boot ^ 1, time_namespace: 0 });
    let two = Process::join(&scratch, 2).unwrap();
    assert_eq!((two.holder(), two.lock.settings().rules.cooldown), (None, Nanos::from_ms(60_000.0)));
    assert_eq!(two.try_acquire(50), Ok(2), "neither a cooldown nor an old time");
    drop(two);
    rewrite(Era { time_namespace: era_now().time_namespace ^ 1, ..era_now() });
    let fault = Process::join(&scratch, 3).map(|_| ()).unwrap_err();
    assert_eq!(fault.code, "ERR_LOCK_FILE_FOREIGN");
    assert!(fault.message.contains("time namespace"));
}

#[test]
fn a_release_in_vain_is_made_up_for() {
    let scratch = Scratch::new("owed");
    let one = Process::join(&scratch, 1).unwrap();
    let token = one.try_acquire(100).unwrap();
    let stopped = scratch.store();
    assert!(stopped.file.try_lock().unwrap(), "somebody is stopped in the middle of an operation");
    assert!(one.release(token, 101), "it counts, though nothing could be written");
    assert!(one.lock.try_acquire(one.caller(), Some(&layer()), None, Nanos(102)).unavailable);
    assert_eq!(one.lock.fault().unwrap().1.unwrap().code, "ERR_LOCK_BUSY");
    stopped.file.unlock();
    one.lock.pay(Nanos(103));
    assert_eq!(one.holder(), None);
}
