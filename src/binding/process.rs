//! What exists once per process, and the telling after every operation.

use crate::binding::mailbox::{self, Mailbox, Told};
use crate::binding::{host_face, log, registry_face, timer};
use crate::host::locks::HostLocks;
use crate::local::claim;
use crate::local::departures::{RowId, Rows};
use crate::local::locks::Locks;
use crate::send::lock::{Delivery, Done, SendLock};
use crate::sync::{Arc, Mutex, Weak};
use crate::table::layout::Table;
#[cfg(feature = "sqlite")]
use crate::table::layout::JournalPage;
use crate::table::memory::process_table;
use crate::table::ring::Record;
use crate::time::{self, Nanos};
use once_cell::sync::Lazy;

/// The process's locks and threads.
#[derive(Debug)]
pub struct Process {
    /// What others see of it.
    pub table: &'static Table,
    pub rows: Rows,
    pub send: Arc<SendLock>,
    /// The named locks.
    pub named: Locks,
    /// The host locks.
    pub host: HostLocks,
    /// Every send lock that the clock and a leaving thread must reach; the dead ones are dropped on the way.
    locks: Mutex<Vec<Weak<SendLock>>>,
    /// What onlookers see of the journal.
    #[cfg(feature = "sqlite")]
    pub journal: &'static JournalPage,
}

pub static PROCESS: Lazy<Process> = Lazy::new(|| {
    let table = process_table();
    let send = Arc::new(SendLock::in_table(&table.send));
    let locks = Mutex::new(vec![Arc::downgrade(&send)]);
    Process {
        table,
        rows: Rows::new(&table.rows),
        send,
        named: Locks::in_table(send_token, &table.named),
        host: HostLocks::new(host_face::tell),
        locks,
        #[cfg(feature = "sqlite")]
        journal: &table.journal,
    }
});

/// The token of the hold of the process's send lock; 0 for nobody.
fn send_token() -> u64 {
    let state = PROCESS.send.state();
    if state.is_held() { state.token() } else { 0 }
}

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
        let done = self.named.tick(time::now());
        deliver_named(done.tell, None);
        let (ended, next_host) = self.host.tick(time::now());
        for (waiter, how) in ended {
            host_face::tell_ended(&waiter, how);
        }
        next.min(done.wake_at).min(next_host)
    }

    /// A face on the named locks is garbage in a thread that goes on.
    pub fn depart_face(&self, mailbox: u64) {
        // The kernel's lock first: who has the named one next asks for it.
        self.host.depart(|caller| caller.mailbox == mailbox);
        timer::arm(self.host.wake_at());
        tell_named(self.named.depart_face(mailbox, time::now()), None);
    }

    /// A thread has ended, however it ended.
    pub fn depart(&self, row: RowId) {
        if self.rows.leave(row) {
            for lock in self.each_lock() {
                tell(lock.depart(row, time::now()), None);
            }
            self.host.depart(|caller| caller.row == row);
            timer::arm(self.host.wake_at());
            tell_named(self.named.depart(row, time::now()), None);
            registry_face::depart(row);
        }
    }
}

/// Tells everybody concerned what an operation led to, arms the clock, and gives the answer. With `here`,
/// the mailbox of the calling thread, what is for that mailbox is only laid in: the caller fetches it
/// before it returns to its own code. The second value says whether there is something to fetch.
#[inline(always)]
pub fn tell<T>(done: Done<T>, here: Option<&Mailbox>) -> (T, bool) {
    let to_fetch = deliver(&done, here);
    timer::arm(done.wake_at);
    (done.answer, to_fetch)
}

/// The same for the named locks.
#[inline(always)]
pub fn tell_named<T>(done: claim::Done<T>, here: Option<&Mailbox>) -> (T, bool) {
    let to_fetch = !done.tell.is_empty() && deliver_named(done.tell, here);
    timer::arm(done.wake_at);
    (done.answer, to_fetch)
}

/// What a release leads to in its own thread.
#[derive(Debug)]
pub enum Next {
    Nothing,
    /// It has to fetch.
    Fetch,
    /// A request of its own was granted, and that is all: it needs no mailbox.
    Granted(claim::Told),
}

/// As `tell_named`, for what is likely to grant one request of the thread itself.
#[inline(always)]
pub fn tell_next(mut done: claim::Done<bool>, here: &Mailbox) -> (bool, Next) {
    timer::arm(done.wake_at);
    if done.tell.is_empty() {
        return (done.answer, Next::Nothing);
    }
    // Past nothing that was told before.
    let is_only = |one: &claim::Delivery| one.mailbox == here.id && is_grant(&one.what) && here.is_empty();
    let next = match done.tell.pop_if(|last| is_only(last)) {
        Some(only) if done.tell.is_empty() => Next::Granted(only.what),
        last => {
            done.tell.extend(last);
            if deliver_named(done.tell, Some(here)) { Next::Fetch } else { Next::Nothing }
        }
    };
    (done.answer, next)
}

fn is_grant(told: &claim::Told) -> bool {
    matches!(told, claim::Told::Granted { .. })
}

/// The telling without the arming: what the clock's own thread does, which arms itself.
#[inline(always)]
fn deliver<T>(done: &Done<T>, here: Option<&Mailbox>) -> bool {
    mailbox::announce_events();
    let nothing = done.tell.is_empty() && done.notes.is_empty();
    !nothing && deliver_all(&done.tell, &done.notes, here)
}

#[cold]
fn deliver_all(tell: &[Delivery], notes: &[Record], here: Option<&Mailbox>) -> bool {
    let told = tell.iter().map(|delivery| (delivery.mailbox, Told::Send(delivery.what)));
    let to_fetch = lay_all(told, here);
    if !notes.is_empty() {
        log::emit(notes);
    }
    to_fetch
}

fn deliver_named(tell: Vec<claim::Delivery>, here: Option<&Mailbox>) -> bool {
    lay_all(tell.into_iter().map(|delivery| (delivery.mailbox, Told::Locks(delivery.what))), here)
}

/// Lays deliveries into their mailboxes; whether one is the caller's. What one step tells a thread comes to it
/// together: a thread that has heard the end of its last wait may end its event loop, and must not be told of a
/// grant only after that.
fn lay_all(mut told: impl ExactSizeIterator<Item = (u64, Told)>, here: Option<&Mailbox>) -> bool {
    if told.len() == 1 {
        return told.next().is_some_and(|(number, one)| lay(number, std::iter::once(one), here));
    }
    let mut boxes: Vec<(u64, Vec<Told>)> = Vec::new();
    for (number, one) in told {
        match boxes.iter_mut().find(|(known, _)| *known == number) {
            Some((_, all)) => all.push(one),
            None => boxes.push((number, vec![one])),
        }
    }
    let mut to_fetch = false;
    for (number, all) in boxes {
        to_fetch |= lay(number, all, here);
    }
    to_fetch
}

/// Lays deliveries into one mailbox; whether that is the caller's.
fn lay(number: u64, all: impl IntoIterator<Item = Told>, here: Option<&Mailbox>) -> bool {
    match here.filter(|mailbox| mailbox.id == number) {
        Some(mailbox) => mailbox.lay(all, false),
        None => {
            mailbox::post(number, all);
            return false;
        }
    }
    true
}
