//! The content of a lock file, in words. `docs/formats/host-lock.md` describes it; the asserts at the foot hold
//! it still. All-zero bytes are an empty page. Nothing here decides who holds: the kernel does.

use crate::name::ShortText;
use crate::sync::{AtomicU64, Field, Ordering};
use crate::sys::process::Identity;
use crate::table::layout::TextField;

/// "CHNLHOST", read as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"CHNLHOST");
pub const VERSION: u64 = 1;
/// Processes that are shown as shared holders; more hold all the same.
pub const READERS: usize = 16;
/// Words for a path in a page.
const PATH_WORDS: usize = 63;

#[repr(C)]
#[derive(Debug)]
pub struct Page {
    pub magic: Field,
    pub version: Field,
    /// 1 when a process began to wait since somebody last looked: a hint to ask the kernel.
    pub contended: AtomicU64,
    /// The fencing token of the last grant.
    pub token: AtomicU64,
    /// The pid of the last one that gave the lock back while others waited, when, and the token by then.
    pub last_pid: Field,
    pub last_at: Field,
    pub last_token: Field,
    /// Until when nobody steps back for those who wait: they did not come.
    pub no_show_until: Field,
    /// The exclusive holder, or the last one when it died.
    pub holder: Record,
    pub readers: [Record; READERS],
}

/// Who holds. `state` is written last when a hold begins and first when it ends.
#[repr(C)]
#[derive(Debug)]
pub struct Record {
    /// 0 nobody, 1 a holder, 2 one whose thread ended, 3 being written.
    pub state: AtomicU64,
    pub pid: Field,
    pub start: Field,
    pub boot: [Field; 2],
    pub pid_namespace: Field,
    pub time_namespace: Field,
    pub thread: Field,
    /// System monotonic nanoseconds.
    pub since: Field,
    pub token: Field,
    pub label: TextField,
    pub command: TextField,
    /// Since when it waits for another host lock, 0 if it does not; and for which.
    pub wants_since: Field,
    pub wants: PathField,
}

/// A path in shared memory; one that is too long is not there.
#[repr(C)]
#[derive(Debug)]
pub struct PathField {
    length: Field,
    words: [Field; PATH_WORDS],
}

pub const NOBODY: u64 = 0;
pub const HELD: u64 = 1;
pub const ABANDONED: u64 = 2;
const WRITING: u64 = 3;

/// What a record says, copied and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub who: Identity,
    pub thread: u64,
    pub since: u64,
    pub token: u64,
    pub label: String,
    pub command: String,
    pub wants_since: u64,
    pub wants: Option<String>,
}

impl Record {
    /// Claims a free record for this holder; false when somebody else has it.
    pub fn claim(&self, who: &Identity, told: &Told) -> bool {
        // Acquire: pairs with the Release in `clear`, so that the old holder's words do not come after ours.
        let claimed =
            self.state.compare_exchange(NOBODY, WRITING, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if claimed {
            self.fill(who, told);
        }
        claimed
    }

    /// Writes over whatever is there: for who holds the lock alone.
    pub fn write(&self, who: &Identity, told: &Told) {
        self.state.store(WRITING, Ordering::Relaxed);
        self.fill(who, told);
    }

    fn fill(&self, who: &Identity, told: &Told) {
        self.pid.set(u64::from(who.pid));
        self.start.set(who.start);
        self.boot[0].set(who.boot[0]);
        self.boot[1].set(who.boot[1]);
        self.pid_namespace.set(who.pid_namespace);
        self.time_namespace.set(who.time_namespace);
        self.thread.set(told.thread);
        self.since.set(told.since);
        self.token.set(told.token);
        self.label.set(&told.label);
        self.command.set(&told.command);
        self.wants_since.set(0);
        // Release: pairs with the Acquire in `read`.
        self.state.store(HELD, Ordering::Release);
    }

    #[inline]
    pub fn clear(&self) {
        // Release: pairs with the Acquire in `claim`.
        self.state.store(NOBODY, Ordering::Release);
    }

    /// Says what the holder waits for meanwhile; `None` that it does not.
    pub fn set_wants(&self, path: Option<(&str, u64)>) {
        self.wants_since.set(0);
        if let Some((path, since)) = path
            && self.wants.set(path)
        {
            self.wants_since.set(since);
        }
    }

    /// Puts back what was told to somebody who did not take it.
    pub fn restore(&self, died: &Holder) {
        self.pid.set(u64::from(died.who.pid));
        self.start.set(died.who.start);
        self.boot[0].set(died.who.boot[0]);
        self.boot[1].set(died.who.boot[1]);
        self.pid_namespace.set(died.who.pid_namespace);
        self.time_namespace.set(died.who.time_namespace);
        self.thread.set(died.thread);
        self.since.set(died.since);
        self.token.set(died.token);
        self.label.set(&ShortText::cut(&died.label));
        self.command.set(&ShortText::cut(&died.command));
        self.wants_since.set(0);
        // Release: pairs with the Acquire in `read`.
        self.state.store(ABANDONED, Ordering::Release);
    }

    /// What it says, if it says something whole. Two readings that differ were written in between.
    pub fn read(&self) -> Option<(u64, Holder)> {
        // Acquire: pairs with the Release in `fill`.
        let state = self.state.load(Ordering::Acquire);
        if state != HELD && state != ABANDONED {
            return None;
        }
        Some((state, self.copy()))
    }

    /// What it says, whole or not: for who knows that nobody writes it any more.
    pub fn copy(&self) -> Holder {
        let wants_since = self.wants_since.get();
        Holder {
            who: Identity {
                // No process has the pid 0.
                pid: u32::try_from(self.pid.get()).unwrap_or(0),
                start: self.start.get(),
                boot: [self.boot[0].get(), self.boot[1].get()],
                pid_namespace: self.pid_namespace.get(),
                time_namespace: self.time_namespace.get(),
            },
            thread: self.thread.get(),
            since: self.since.get(),
            token: self.token.get(),
            label: self.label.get().to_text(),
            command: self.command.get().to_text(),
            wants_since,
            wants: (wants_since != 0).then(|| self.wants.get()).flatten(),
        }
    }
}

impl PathField {
    fn set(&self, path: &str) -> bool {
        let bytes = path.as_bytes();
        if bytes.len() > PATH_WORDS * 8 {
            return false;
        }
        for (field, chunk) in self.words.iter().zip(bytes.chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            field.set(u64::from_le_bytes(word));
        }
        self.length.set(bytes.len() as u64);
        true
    }

    fn get(&self) -> Option<String> {
        let length = usize::try_from(self.length.get()).ok().filter(|length| *length <= PATH_WORDS * 8)?;
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.get().to_le_bytes()).collect();
        bytes.truncate(length);
        String::from_utf8(bytes).ok()
    }
}

/// What a holder tells of itself.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub thread: u64,
    pub since: u64,
    pub token: u64,
    pub label: ShortText,
    pub command: ShortText,
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Record>() == 10 * 8 + 2 * 72 + 8 + 512);
    assert!(offset_of!(Page, holder) == 64);
    assert!(size_of::<Page>() == 64 + 17 * size_of::<Record>());
    assert!(size_of::<Page>() <= super::file::PAGE_BYTES);
    assert!(PATH_WORDS * 8 == crate::sys::file_lock::MAX_PATH_NOTE);
};
