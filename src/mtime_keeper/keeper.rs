//! The directories that are kept, and the thread that looks after them.
//!
//! A look compares the entry with what the last one left there. If it is gone, is another, or was touched by
//! somebody else, the lock is lost: that is said, and nothing is touched any more.
//!
//! Lock order: the list, then one directory's state; no call to the system runs under the list.

use crate::mtime_keeper::mark;
use crate::sync::{Arc, Mutex, Ordering, StaticU64};
use crate::sys::entry::{self, Errno, Facts, Pinned};
use crate::time::{self, Nanos};
use once_cell::sync::Lazy;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How long after a failed look the next one comes.
const AGAIN: Nanos = Nanos(1_000_000_000);

/// Why a lock is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The directory is gone.
    Gone,
    /// It is another directory, or somebody else has touched it.
    Taken,
    /// It could not be touched for longer than it stays fresh; with the system's last error.
    Late(Errno),
    /// It was given back, but the directory could not be removed.
    Left(Errno),
}

#[derive(Debug)]
struct Kept {
    id: u64,
    path: String,
    directory: Pinned,
    every: Nanos,
    stale_after: Nanos,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// As the last look left it.
    facts: Facts,
    touched_at: Nanos,
    due: Nanos,
    lost: Option<Lost>,
}

impl Kept {
    /// Looks, if that is due; answers when it is due next.
    fn look(&self, now: Nanos) -> Nanos {
        let mut state = self.state.lock();
        if state.lost.is_none() && state.due <= now {
            match self.refresh(state.facts) {
                Ok(facts) => {
                    (state.facts, state.touched_at) = (facts, now);
                    state.due = now.plus(self.every);
                }
                Err(Lost::Late(_)) if now.since(state.touched_at) <= self.stale_after => {
                    state.due = now.plus(AGAIN);
                }
                Err(lost) => state.lost = Some(lost),
            }
        }
        if state.lost.is_some() { Nanos::FOREVER } else { state.due }
    }

    /// Touches what is still ours.
    fn refresh(&self, known: Facts) -> Result<Facts, Lost> {
        self.compare(known)?;
        self.directory.touch().and_then(|()| self.directory.facts()).map_err(Lost::Late)
    }

    fn compare(&self, known: Facts) -> Result<(), Lost> {
        let found = entry::facts(&self.path).map_err(|number| {
            // What is gone from its name has no other links, being a directory.
            let is_gone = self.directory.facts().is_ok() && number == NO_ENTRY;
            if is_gone { Lost::Gone } else { Lost::Late(number) }
        })?;
        if found == known { Ok(()) } else { Err(Lost::Taken) }
    }
}

/// ENOENT, on every system that has error numbers of this kind.
const NO_ENTRY: Errno = 2;

/// The directories that this process keeps.
#[derive(Debug, Default)]
pub struct Keeper {
    kept: Mutex<Vec<Arc<Kept>>>,
}

impl Keeper {
    /// Begins to keep a directory that this process has just made, and marks it where it can be marked.
    fn keep(&self, path: String, every: Nanos, stale_after: Nanos, now: Nanos) -> Result<u64, Errno> {
        static NEXT: StaticU64 = StaticU64::new(1);
        let directory = Pinned::open(&path)?;
        // Not every file system has attributes; without a mark, age alone tells that the holder is gone.
        let _ = directory.mark(mark::own().as_bytes());
        let state = State { facts: directory.facts()?, touched_at: now, due: now.plus(every), lost: None };
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let kept = Kept { id, path, directory, every, stale_after, state: Mutex::new(state) };
        self.kept.lock().push(Arc::new(kept));
        Ok(id)
    }

    fn find(&self, id: u64) -> Option<Arc<Kept>> {
        self.kept.lock().iter().find(|kept| kept.id == id).cloned()
    }

    /// Why the lock is lost, if it is; `None` also for what is not kept.
    pub fn lost(&self, id: u64) -> Option<Lost> {
        self.find(id)?.state.lock().lost
    }

    /// Keeps it no longer. Answers whether the directory is still the one that was kept.
    pub fn stop(&self, id: u64) -> Result<(), Lost> {
        let Some(kept) = self.find(id) else { return Err(Lost::Gone) };
        self.kept.lock().retain(|each| each.id != id);
        let state = kept.state.lock();
        state.lost.map_or(Ok(()), Err)?;
        kept.compare(state.facts)
    }

    /// Keeps it no longer and removes it, if it is still the one that was kept.
    pub fn release(&self, id: u64) -> Result<(), Lost> {
        let path = self.find(id).map(|kept| kept.path.clone());
        self.stop(id)?;
        match path.map(std::fs::remove_dir) {
            Some(Err(error)) if error.kind() != ErrorKind::NotFound => {
                Err(Lost::Left(error.raw_os_error().unwrap_or(entry::UNSUPPORTED)))
            }
            _ => Ok(()),
        }
    }

    fn tick(&self, now: Nanos) -> Nanos {
        let all = self.kept.lock().clone();
        all.iter().map(|kept| kept.look(now)).min().unwrap_or(Nanos::FOREVER)
    }
}

/// The keeper of this process.
pub static KEEPER: Lazy<Keeper> = Lazy::new(Keeper::default);

static WAKE: Lazy<Mutex<Option<Sender<()>>>> = Lazy::new(Mutex::default);

/// Begins to keep a directory; see [`Keeper`].
pub fn keep(path: String, every: Nanos, stale_after: Nanos) -> Result<u64, Errno> {
    let id = KEEPER.keep(path, every, stale_after, time::now())?;
    if wake() {
        return Ok(id);
    }
    // Without the thread nothing would keep it, and nobody would say so.
    let _ = KEEPER.stop(id);
    Err(entry::UNSUPPORTED)
}

/// Has the thread look when it is to wake next; starts it when it is first needed.
fn wake() -> bool {
    let mut wake = WAKE.lock();
    if wake.as_ref().is_some_and(|sender| sender.send(()).is_ok()) {
        return true;
    }
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("chainlock-mtime".into()).stack_size(256 * 1024);
    let started = thread.spawn(move || run(&receiver)).is_ok();
    *wake = started.then_some(sender);
    started
}

fn run(wakes: &Receiver<()>) {
    loop {
        // The thread must go on, whatever one look has met.
        let next = catch_unwind(AssertUnwindSafe(|| KEEPER.tick(time::now())));
        let next = next.unwrap_or_else(|_| time::now().plus(AGAIN));
        let span = Duration::from_nanos(next.since(time::now()).0);
        if wakes.recv_timeout(span) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

#[cfg(all(test, not(feature = "portable")))]
mod tests {
    use super::*;
    use crate::sys::process::Life;
    use std::fs;

    const EVERY: Nanos = Nanos(5_000_000_000);
    const STALE: Nanos = Nanos(10_000_000_000);

    struct Home(String);

    impl Home {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("chainlock-keeper-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("a.lock")).unwrap();
            Self(path.to_string_lossy().into_owned())
        }

        fn lock(&self) -> String {
            format!("{}/a.lock", self.0)
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn later(seconds: u64) -> Nanos {
        time::now().plus(Nanos(seconds * 1_000_000_000))
    }

    #[test]
    fn what_is_kept_is_touched_when_due_and_goes_with_its_release() {
        let (home, keeper) = (Home::new("touch"), Keeper::default());
        let id = keeper.keep(home.lock(), EVERY, STALE, time::now()).unwrap();
        let before = entry::facts(&home.lock()).unwrap().touched;
        assert!(keeper.tick(later(1)) <= later(5));
        assert_eq!(entry::facts(&home.lock()).unwrap().touched, before, "not yet due");
        while entry::facts(&home.lock()).unwrap().touched == before {
            // The system's own time goes in steps of some milliseconds.
            keeper.tick(later(6));
            std::thread::yield_now();
            keeper.find(id).unwrap().state.lock().due = time::now();
        }
        assert_eq!(mark::life_of_maker(&home.lock()), Some(Life::Alive));
        assert_eq!(keeper.release(id), Ok(()));
        assert_eq!(entry::facts(&home.lock()), Err(NO_ENTRY));
        assert_eq!(keeper.release(id), Err(Lost::Gone));
    }

    #[test]
    fn what_is_not_kept_any_more_is_not_taken_for_kept_by_its_mark() {
        let (home, keeper) = (Home::new("left"), Keeper::default());
        let id = keeper.keep(home.lock(), EVERY, STALE, time::now()).unwrap();
        assert!(mark::is_kept_by_maker(&home.lock()));
        assert_eq!(keeper.stop(id), Ok(()));
        assert_eq!(mark::life_of_maker(&home.lock()), Some(Life::Alive));
        assert!(!mark::is_kept_by_maker(&home.lock()));
        let id = keeper.keep(home.lock(), EVERY, STALE, time::now()).unwrap();
        fs::write(format!("{}/x", home.lock()), "").unwrap();
        keeper.find(id).unwrap().state.lock().facts = entry::facts(&home.lock()).unwrap();
        assert!(matches!(keeper.release(id), Err(Lost::Left(_))), "somebody put something into it");
        assert!(!mark::is_kept_by_maker(&home.lock()));
    }

    #[test]
    fn what_somebody_else_touched_replaced_or_removed_is_lost_and_left_alone() {
        for (name, meddle, lost) in [
            (
                "replaced",
                (|path| {
                    fs::rename(path, format!("{path}.old")).unwrap();
                    fs::create_dir(path).unwrap();
                }) as fn(&str),
                Lost::Taken,
            ),
            ("touched", |path| Pinned::open(path).unwrap().touch().unwrap(), Lost::Taken),
            ("removed", |path| fs::remove_dir(path).unwrap(), Lost::Gone),
        ] {
            let (home, keeper) = (Home::new(name), Keeper::default());
            let id = keeper.keep(home.lock(), EVERY, STALE, time::now()).unwrap();
            let known = entry::facts(&home.lock()).unwrap();
            while entry::facts(&home.lock()) == Ok(known) {
                meddle(&home.lock());
            }
            let theirs = entry::facts(&home.lock());
            assert_eq!(keeper.lost(id), None, "{name}: nobody has looked yet");
            assert_eq!(keeper.tick(later(6)), Nanos::FOREVER);
            assert_eq!(keeper.lost(id), Some(lost), "{name}");
            assert_eq!(keeper.release(id), Err(lost), "{name}");
            assert_eq!(entry::facts(&home.lock()), theirs, "{name}: theirs is left alone");
        }
    }
}
