//! What exists once per process, and the telling after every operation.

use crate::binding::{log, mailbox, timer};
use crate::local::departures::{RowId, Rows};
use crate::send::lock::{Delivery, Done, SendLock};
use crate::sync::{Arc, Mutex, Weak};
use crate::table::memory::process_table;
use crate::table::ring::Record;
use crate::time::{self, Nanos};
use once_cell::sync::Lazy;

/// The process's locks and threads.
#[derive(Debug)]
pub struct Process {
    pub rows: Rows,
    pub send: Arc<SendLock>,
    /// Every lock that the clock and a leaving thread must reach; the dead ones are dropped on the way.
    locks: Mutex<Vec<Weak<SendLock>>>,
}

pub static PROCESS: Lazy<Process> = Lazy::new(|| {
    let table = process_table();
    let send = Arc::new(SendLock::in_table(&table.send));
    let locks = Mutex::new(vec![Arc::downgrade(&send)]);
    Process { rows: Rows::new(&table.rows), send, locks }
});

impl Process {
    /// A lock of its own, beside the process's one.
    pub fn independent_lock(&self) -> Arc<SendLock> {
        let lock = Arc::new(SendLock::independent());
        let mut locks = self.locks.lock();
        locks.retain(|lock| lock.strong_count() > 0);
        locks.push(Arc::downgrade(&lock));
        lock
    }

    fn each_lock(&self) -> Vec<Arc<SendLock>> {
        self.locks.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Does what the clock has made due everywhere; answers when something is due next.
    pub fn tick(&self) -> Nanos {
        let mut next = Nanos::FOREVER;
        for lock in self.each_lock() {
            let done = lock.tick(time::now());
            next = next.min(done.wake_at);
            deliver(&done, None);
        }
        next
    }

    /// A thread has ended, however it ended.
    pub fn depart(&self, row: RowId) {
        if self.rows.leave(row) {
            for lock in self.each_lock() {
                tell(lock.depart(row, time::now()), None);
            }
        }
    }
}

/// Tells everybody concerned what an operation led to, arms the clock, and gives the answer. With `here`,
/// the mailbox of the calling thread, what is for that mailbox is only laid in: the caller fetches it
/// before it returns to its own code. The second value says whether there is something to fetch.
#[inline(always)]
pub fn tell<T>(done: Done<T>, here: Option<u64>) -> (T, bool) {
    let to_fetch = deliver(&done, here);
    timer::arm(done.wake_at);
    (done.answer, to_fetch)
}

/// The telling without the arming: what the clock's own thread does, which arms itself.
#[inline(always)]
fn deliver<T>(done: &Done<T>, here: Option<u64>) -> bool {
    mailbox::announce_events();
    let nothing = done.tell.is_empty() && done.notes.is_empty();
    !nothing && deliver_all(&done.tell, &done.notes, here)
}

#[cold]
fn deliver_all(tell: &[Delivery], notes: &[Record], here: Option<u64>) -> bool {
    let mut to_fetch = false;
    for delivery in tell {
        let is_here = here == Some(delivery.mailbox);
        to_fetch |= is_here;
        mailbox::post(*delivery, !is_here);
    }
    if !notes.is_empty() {
        log::emit(notes);
    }
    to_fetch
}
