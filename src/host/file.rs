//! One open lock file: its descriptor, to which the kernel's lock belongs, and its page.

use crate::host::directory::{Place, foreign};
use crate::host::page::{HELD, MAGIC, Page, VERSION};
use crate::host::{Fault, memory};
use crate::sync::Ordering;
use crate::sys::file_lock::{KernelMode, LockFile};
use crate::sys::process;
use crate::time::{self, Nanos};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The size of a lock file: whole pages of memory on every machine that has 16 KiB pages or smaller ones.
pub const PAGE_BYTES: usize = 16_384;

/// More than there can be (`PID_MAX_LIMIT` of the kernel is 2²²).
const PIDS: Range<i64> = 0..1 << 32;
/// Tokens are numbers that JavaScript can count exactly; half of them is more than any lock will ever grant.
const MOST_TOKEN: u64 = 1 << 52;
/// How long nobody steps back any more after those who wait did not come: they are stopped.
const NO_SHOW: Nanos = Nanos(200_000_000);
/// How long the last holder lets those go first who waited: enough to be woken.
const COURTESY: Nanos = Nanos(5_000_000);

#[derive(Debug)]
pub struct HostFile {
    file: LockFile,
    path: PathBuf,
}

impl HostFile {
    pub fn open(place: &Place) -> Result<Self, Fault> {
        let path = place.path();
        let file = place.open(|file| make_ready(file, &path))?;
        let opened = Self { file, path };
        let page = opened.page();
        // Whoever comes first writes the same two words, so that nobody has to wait for anybody here.
        if page.magic.get() == 0 && opened.is_empty() {
            page.version.set(VERSION);
            page.magic.set(MAGIC);
        }
        if page.magic.get() != MAGIC || page.version.get() != VERSION || !opened.has_tokens_left() {
            return Err(foreign(&opened.path));
        }
        Ok(opened)
    }

    /// Opens the lock file of somebody else, as it is; `None` when there is none, or it is not one.
    pub fn look(path: &Path) -> Option<Self> {
        let place = Place::of_path(path, true).ok()?;
        let mut file = place.open_existing().ok()??;
        let facts = file.facts().ok()?;
        if facts.size != PAGE_BYTES as u64 {
            return None;
        }
        file.map(PAGE_BYTES).ok()?;
        let looked = Self { file, path: place.path() };
        (looked.page().magic.get() == MAGIC && looked.page().version.get() == VERSION).then_some(looked)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    #[inline]
    pub fn page(&self) -> &Page {
        memory::page_of(&self.file)
    }

    /// Cut short by somebody since it was opened.
    #[inline]
    pub fn is_damaged(&self) -> bool {
        self.page().magic.get() != MAGIC || self.file.is_damaged()
    }

    /// Whether it counts tokens that can be: a count that somebody has garbled ends every grant.
    #[inline]
    pub fn has_tokens_left(&self) -> bool {
        // Relaxed: whatever it is by now.
        self.page().token.load(Ordering::Relaxed) < MOST_TOKEN
    }

    /// Removed, moved or replaced by somebody: others would make or find another file, and lock that.
    pub fn is_gone(&self) -> Result<bool, Fault> {
        let is_there = self.file.is_at(&self.path);
        is_there.map(|is_there| !is_there).map_err(|error| Fault::of_system(&self.path, "look at it", &error))
    }

    /// Whether another process waits. The hint costs nothing to look at; when it says yes, the kernel is asked.
    #[inline]
    pub fn does_another_wait(&self) -> bool {
        // Relaxed: a hint, checked against the kernel.
        self.page().contended.load(Ordering::Relaxed) != 0
            && (self.file.waits_among(PIDS).is_some() || self.calm_down())
    }

    /// Nobody waits any more. Who comes meanwhile tells the kernel first and then raises the hint: either the
    /// second look at the kernel sees it, or it raises the hint after this.
    #[cold]
    fn calm_down(&self) -> bool {
        let contended = &self.page().contended;
        contended.store(0, Ordering::Relaxed);
        let came = self.file.waits_among(PIDS).is_some();
        if came {
            contended.store(1, Ordering::Relaxed);
        }
        came
    }

    /// How many other processes wait.
    pub fn others_waiting(&self) -> u64 {
        let mut found = 0;
        let mut ranges = vec![PIDS];
        while let Some(range) = ranges.pop() {
            if let Some(pid) = self.file.waits_among(range.clone()) {
                found += 1;
                ranges.extend([range.start..pid, pid + 1..range.end]);
            }
        }
        found
    }

    pub fn begin_waiting(&self) {
        self.file.begin_waiting(process::own().pid);
        self.page().contended.store(1, Ordering::Relaxed);
    }

    /// The hint stays until somebody looks.
    pub fn end_waiting(&self) {
        self.file.end_waiting(process::own().pid);
    }

    /// Whether the lock was given back to others who wait, and none of them has come yet. The kernel does not hand
    /// over: who is awake would always be first. Who is stopped or gone does not hold up the line for longer than
    /// `COURTESY`.
    pub fn is_turn_of_others(&self) -> bool {
        let page = self.page();
        // Relaxed: hints.
        let nobody_came = page.token.load(Ordering::Relaxed) == page.last_token.get();
        if !nobody_came || page.last_at.get() == 0 {
            return false;
        }
        let (now, given_back) = (time::now(), Nanos::from_system(page.last_at.get()));
        // What is not from the last moments may be from another boot, or be no time at all.
        let is_fresh = given_back <= now && now < given_back.plus(COURTESY);
        let is_over = now < Nanos::from_system(page.no_show_until.get());
        if is_fresh && !is_over {
            return self.does_another_wait();
        }
        if !is_fresh
            && !is_over
            && given_back <= now
            && now.since(given_back) < NO_SHOW
            && self.does_another_wait()
        {
            page.no_show_until.set(now.plus(NO_SHOW).system());
        }
        false
    }

    /// The same for who stands in the line itself: only the last holder steps back, or two would do so for each
    /// other.
    pub fn must_step_back(&self) -> bool {
        self.page().last_pid.get() == u64::from(process::own().pid) && self.is_turn_of_others()
    }

    /// Whether somebody is shown as the exclusive holder: a look at memory, which costs nothing.
    #[inline]
    pub fn seems_held(&self) -> bool {
        // Relaxed: a hint; the kernel is asked next.
        self.page().holder.state.load(Ordering::Relaxed) == HELD
    }

    /// Notes that the lock is given back while others wait.
    pub fn note_release(&self) {
        let page = self.page();
        page.last_pid.set(u64::from(process::own().pid));
        page.last_at.set(time::now().system());
        page.last_token.set(page.token.load(Ordering::Relaxed));
    }

    #[inline]
    pub fn try_lock(&self, mode: KernelMode) -> Result<bool, Fault> {
        self.file.try_lock(mode).map_err(|error| Fault::of_system(&self.path, "lock it", &error))
    }

    /// Waits for the kernel's lock; false when it was woken before.
    pub fn lock(&self, mode: KernelMode) -> Result<bool, Fault> {
        self.file.lock(mode).map_err(|error| Fault::of_system(&self.path, "lock it", &error))
    }

    /// Nothing but zeroes: a file of ours whose maker died, or one that was made for us.
    fn is_empty(&self) -> bool {
        let mut bytes = vec![0; PAGE_BYTES];
        self.file.read_at_start(&mut bytes).is_ok() && bytes.iter().all(|byte| *byte == 0)
    }

    #[inline]
    pub fn unlock(&self) -> bool {
        self.file.unlock()
    }
}

/// Gives a new file its size, and maps it.
fn make_ready(file: &mut LockFile, path: &Path) -> Result<(), Fault> {
    let facts = file.facts().map_err(|error| Fault::of_system(path, "look at it", &error))?;
    if facts.size == 0 {
        file.allocate(PAGE_BYTES).map_err(|error| Fault::of_system(path, "make the lock file", &error))?;
    } else if facts.size != PAGE_BYTES as u64 {
        return Err(foreign(path));
    }
    file.map(PAGE_BYTES).map_err(|error| Fault::of_system(path, "map the lock file", &error))
}
