//! One open lock file: its descriptor, to which the kernel's lock belongs, and its page.

use crate::host::directory::{Place, foreign};
use crate::host::page::{MAGIC, Page, VERSION};
use crate::host::{Fault, memory};
use crate::sync::Ordering;
use crate::sys::file_lock::{KernelMode, LockFile};
use std::path::{Path, PathBuf};

/// The size of a lock file: whole pages of memory on every machine that has 16 KiB pages or smaller ones.
pub const PAGE_BYTES: usize = 16_384;

#[derive(Debug)]
pub struct HostFile {
    file: LockFile,
    path: PathBuf,
}

impl HostFile {
    pub fn open(place: &Place) -> Result<Self, Fault> {
        let path = place.path();
        let mut file = place.open()?;
        make_ready(&mut file, &path)?;
        let opened = Self { file, path };
        let page = opened.page();
        // Whoever comes first writes the same two words, so that nobody has to wait for anybody here.
        if page.magic.get() == 0 && opened.is_empty() {
            page.version.set(VERSION);
            page.magic.set(MAGIC);
        }
        if page.magic.get() != MAGIC || page.version.get() != VERSION {
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

    /// Removed by somebody: others would make a new file, and lock that.
    pub fn is_removed(&self) -> Result<bool, Fault> {
        let links = self.file.links();
        links.map(|links| links == 0).map_err(|error| Fault::of_system(&self.path, "look at it", &error))
    }

    /// Whether another process waits. The hint costs nothing to look at; when it says yes, the kernel is asked,
    /// and a hint that was left by the dead is put right.
    #[inline]
    pub fn does_another_wait(&self) -> bool {
        // Relaxed: a hint, checked against the kernel.
        if self.page().waiting.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let found = self.file.does_another_wait();
        if !found {
            self.page().waiting.store(0, Ordering::Relaxed);
        }
        found
    }

    pub fn begin_waiting(&self) {
        self.file.begin_waiting();
        self.page().waiting.fetch_add(1, Ordering::Relaxed);
    }

    pub fn end_waiting(&self) {
        self.file.end_waiting();
        let waiting = &self.page().waiting;
        // A hint that was put right meanwhile does not go below nobody.
        let _ = waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
    }

    #[inline]
    pub fn try_lock(&self, mode: KernelMode) -> Result<bool, Fault> {
        self.file.try_lock(mode).map_err(|error| Fault::of_system(&self.path, "lock it", &error))
    }

    pub fn lock(&self, mode: KernelMode) -> Result<(), Fault> {
        self.file.lock(mode).map_err(|error| Fault::of_system(&self.path, "lock it", &error))
    }

    /// Nothing but zeroes: a file of ours whose maker died, or one that was made for us.
    fn is_empty(&self) -> bool {
        let mut bytes = vec![0; PAGE_BYTES];
        self.file.read_at_start(&mut bytes).is_ok() && bytes.iter().all(|byte| *byte == 0)
    }

    #[inline]
    pub fn unlock(&self) {
        self.file.unlock();
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
