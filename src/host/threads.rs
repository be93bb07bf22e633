//! The threads that wait for the kernel: one per lock file for which this process waits, whoever asks in it, and
//! however many. They sleep in `flock`, from which the kernel wakes them when the lock is given back or its
//! holder dies. A thread that is done stays for a while for the next lock.

use crate::host::Fault;
use crate::host::file::HostFile;
use crate::host::state::State;
use crate::host::turns::{Ask, HostLock, Taken, Waiter};
use crate::recorder::event::What;
use crate::sync::{Arc, Mutex};
use crate::sys::file_lock::KernelMode;
use crate::time;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// Who waits for so many contended lock files at a time gets an error for the next.
pub const MOST_THREADS: usize = 1_000;
const STACK_BYTES: usize = 128 * 1024;
/// How long an idle one stays.
const IDLE: Duration = Duration::from_secs(10);
/// How often it is looked whether others have had their turn.
const LOOK: Duration = Duration::from_micros(40);
/// How often a removed file is opened anew.
const REOPENINGS: usize = 20;

/// What became of a waiter.
#[derive(Debug)]
pub enum Outcome {
    Granted(Taken),
    Failed(Fault),
}

/// Tells a waiter. Called without any lock.
pub type Tell = fn(&Waiter, Outcome);

#[derive(Debug)]
pub struct Threads {
    idle: Mutex<Idle>,
    tell: Tell,
}

#[derive(Debug, Default)]
struct Idle {
    /// By their numbers.
    senders: Vec<(u64, Sender<Arc<HostLock>>)>,
    last: u64,
    running: usize,
}

impl Threads {
    pub fn new(tell: Tell) -> Self {
        Self { idle: Mutex::default(), tell }
    }

    /// Serves those who wait for that lock; its state says already that it has a thread.
    pub fn serve(self: &Arc<Self>, lock: Arc<HostLock>) {
        let mut idle = self.idle.lock();
        let mut lock = lock;
        // Sent under the mutex: who finds itself off the list has its lock in the channel.
        while let Some((_, sender)) = idle.senders.pop() {
            match sender.send(lock) {
                Ok(()) => return,
                Err(back) => lock = back.0,
            }
        }
        let has_room = idle.running < MOST_THREADS;
        idle.running += usize::from(has_room);
        drop(idle);
        let started = has_room && self.start(lock.clone());
        if !started {
            let path = lock.place.path();
            let why = format!(
                "the process waits for {MOST_THREADS} lock files already, or has no room for a thread"
            );
            self.fail_all(&lock, &Fault::new(super::IO, &path, why));
        }
    }

    fn start(self: &Arc<Self>, lock: Arc<HostLock>) -> bool {
        let this = self.clone();
        let builder = thread::Builder::new().name("chainlock-host".into()).stack_size(STACK_BYTES);
        let started = builder.spawn(move || this.work(lock)).is_ok();
        if !started {
            self.idle.lock().running -= 1;
        }
        started
    }

    fn work(self: Arc<Self>, first: Arc<HostLock>) {
        let mut next = Some(first);
        while let Some(lock) = next {
            self.serve_one(&lock);
            drop(lock);
            next = self.next();
        }
    }

    /// The next lock to serve; `None` when there was none for long, and the thread ends.
    fn next(&self) -> Option<Arc<HostLock>> {
        let (sender, receiver) = channel();
        let number = {
            let mut idle = self.idle.lock();
            idle.last += 1;
            let number = idle.last;
            idle.senders.push((number, sender));
            number
        };
        if let Ok(lock) = receiver.recv_timeout(IDLE) {
            return Some(lock);
        }
        let mut idle = self.idle.lock();
        match idle.senders.iter().position(|(listed, _)| *listed == number) {
            Some(at) => {
                idle.senders.swap_remove(at);
                idle.running -= 1;
                None
            }
            None => receiver.try_recv().ok(),
        }
    }

    /// Until nobody waits, or somebody of this process has the lock.
    fn serve_one(&self, lock: &Arc<HostLock>) {
        let mut removals = 0;
        while let Some(head) = first_in_line(lock) {
            let file = match wait_for_kernel(lock, head.mode) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(fault) => return self.fail_all(lock, &fault),
            };
            match self.hand_out(lock, &file, head.mode) {
                Handed::Out => return,
                Handed::NotWanted => {}
                Handed::Removed if removals < REOPENINGS => removals += 1,
                Handed::Removed => return self.fail_all(lock, &lock.place.removed_again()),
                Handed::Fault(fault) => return self.fail_all(lock, &fault),
            }
        }
    }

    /// Gives what the kernel has granted to those who wait now.
    fn hand_out(&self, lock: &Arc<HostLock>, file: &Arc<HostFile>, mode: KernelMode) -> Handed {
        let mut told: Vec<(Waiter, Taken)> = Vec::new();
        let handed = lock.with(|state| {
            match state.is_lost(file) {
                Ok(false) => {}
                Ok(true) => return Handed::Removed,
                Err(fault) => return Handed::Fault(fault),
            }
            // Who asked for it may have left meanwhile, and another be first.
            while let Some(waiter) = state.pop_waiter(mode) {
                let ask = Ask { caller: waiter.caller, mode, label: waiter.label };
                let now = time::now();
                told.push((waiter, state.grant(file, &ask, now.since(waiter.since), now)));
            }
            if told.is_empty() {
                state.unlock(file);
                return Handed::NotWanted;
            }
            state.has_thread = false;
            Handed::Out
        });
        for (waiter, taken) in told {
            (self.tell)(&waiter, Outcome::Granted(taken));
        }
        handed
    }

    fn fail_all(&self, lock: &Arc<HostLock>, fault: &Fault) {
        let waiters: Vec<Waiter> = lock.with(|state| {
            state.has_thread = false;
            state.withdraw();
            let waiters: Vec<Waiter> = state.queue.drain(..).collect();
            waiters.iter().for_each(|waiter| state.tell_waiter(What::Failed, waiter));
            waiters
        });
        for waiter in waiters {
            (self.tell)(&waiter, Outcome::Failed(fault.clone()));
        }
    }
}

/// Whether what the kernel has granted was wanted.
enum Handed {
    Out,
    NotWanted,
    Removed,
    Fault(Fault),
}

/// Whom to serve next; without anybody the lock has no thread any more.
fn first_in_line(lock: &HostLock) -> Option<Waiter> {
    lock.with(|state| {
        let head = state.queue.front().copied();
        state.has_thread = head.is_some();
        if head.is_none() {
            state.withdraw();
        }
        head
    })
}

/// Sleeps until the kernel gives the lock; `None` when it was woken before, or nobody wants it any more.
fn wait_for_kernel(lock: &Arc<HostLock>, mode: KernelMode) -> Result<Option<Arc<HostFile>>, Fault> {
    let file = lock.file()?;
    lock.with(|state| state.announce_at(&file));
    while file.must_step_back() {
        thread::sleep(LOOK);
    }
    if !lock.with(|state| state.fall_asleep(mode)) {
        return Ok(None);
    }
    let got = file.lock(mode);
    lock.with(State::wake_up);
    got.map(|got| got.then_some(file))
}
