//! How a thread is told something: a queue and one ThreadsafeFunction that wakes its event loop.
//!
//! A mailbox is opened by its thread when it first waits or listens, and closed by the cleanup hook of its
//! environment. Other threads reach the ThreadsafeFunction only under the mailbox's mutex, and the hook
//! takes it out under the same mutex: nobody can call one that its environment is already taking down
//! (nodejs/node#55706, #58484). The call itself only queues; it runs no JavaScript and does not wait.

use crate::binding::host_face::HostTold;
use crate::binding::lease_face::LeaseTold;
use crate::binding::registry_face::Change;
use crate::local::claim;
use crate::send::lock as send;
use crate::sync::{Arc, Mutex, Ordering, StaticU64};
use crate::time::{self, Nanos};
use napi::sys;
use once_cell::sync::Lazy;
use std::collections::{HashMap, VecDeque};
use std::ptr;

static MAILBOXES: Lazy<Mutex<HashMap<u64, Arc<Mailbox>>>> = Lazy::new(Mutex::default);
static NEXT_ID: StaticU64 = StaticU64::new(1);
/// How many mailboxes want to hear of events; looked at after every operation.
static LISTENERS: StaticU64 = StaticU64::new(0);

/// What lies in a mailbox. One mailbox only ever gets one kind: it belongs to one face.
#[derive(Debug)]
pub enum Told {
    Send(send::Told),
    Locks(claim::Told),
    Host(HostTold),
    Lease(LeaseTold),
    /// A change in the registry of processes, and how many before it were not told.
    Registry {
        change: Arc<Change>,
        missed: u64,
    },
}

/// How long the first in line looks on before its thread goes back to its event loop: about as long as
/// waking a sleeping thread takes.
const PATIENCE: Nanos = Nanos(20_000);
/// On a single core the holder could not go on meanwhile.
static CORES: Lazy<usize> = Lazy::new(|| std::thread::available_parallelism().map_or(1, usize::from));

#[derive(Debug)]
pub struct Mailbox {
    pub id: u64,
    inside: Mutex<Inside>,
    /// Deliveries ever laid in, for a thread that looks on without the mutex; and those taken out.
    laid: StaticU64,
    taken: StaticU64,
}

#[derive(Debug, Default)]
struct Inside {
    waker: Option<Waker>,
    queue: VecDeque<Told>,
    /// A wake-up is on its way already.
    woken: bool,
    listens: bool,
    /// Its thread is looking, and fetches without being woken.
    attended: bool,
}

#[derive(Debug)]
struct Waker(sys::napi_threadsafe_function);

// SAFETY: a ThreadsafeFunction is made to be called from any thread.
unsafe impl Send for Waker {}

impl Mailbox {
    pub fn register() -> Arc<Mailbox> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (laid, taken) = (StaticU64::new(0), StaticU64::new(0));
        let mailbox = Arc::new(Mailbox { id, inside: Mutex::default(), laid, taken });
        MAILBOXES.lock().insert(id, mailbox.clone());
        mailbox
    }

    /// Opens the box; `function` is not null and belongs to the calling thread's environment.
    pub fn open(&self, function: sys::napi_threadsafe_function) {
        self.inside.lock().waker = Some(Waker(function));
    }

    /// Whether the box is open, and its function, for the thread that opened it.
    pub fn function(&self) -> Option<sys::napi_threadsafe_function> {
        self.inside.lock().waker.as_ref().map(|waker| waker.0)
    }

    /// Closes it for good; answers the function, if it was open.
    pub fn close(&self) -> Option<sys::napi_threadsafe_function> {
        self.listen(false);
        MAILBOXES.lock().remove(&self.id);
        let mut inside = self.inside.lock();
        inside.queue.clear();
        inside.waker.take().map(|waker| waker.0)
    }

    /// Whether to be woken by events, too.
    pub fn listen(&self, wanted: bool) {
        let mut inside = self.inside.lock();
        match (inside.listens, wanted) {
            (false, true) => LISTENERS.fetch_add(1, Ordering::Relaxed),
            (true, false) => LISTENERS.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
        inside.listens = wanted;
    }

    /// Looks on for a moment, until something is laid in; whether there is something to fetch. Waking a
    /// thread that sleeps costs more than a short hold lasts, so the first in line does not sleep at once.
    pub fn attend(&self) -> bool {
        if *CORES == 1 {
            return false;
        }
        // Before `attended` is seen: what is laid in from here on changes the count.
        let seen = self.laid.load(Ordering::Relaxed);
        let mut inside = self.inside.lock();
        if !inside.queue.is_empty() {
            return true;
        }
        inside.attended = true;
        drop(inside);
        let end = time::now().plus(PATIENCE);
        // Acquire: pairs with the Release in `post`. The mutex below orders the delivery itself.
        while self.laid.load(Ordering::Acquire) == seen && time::now() < end {
            std::hint::spin_loop();
        }
        let mut inside = self.inside.lock();
        inside.attended = false;
        !inside.queue.is_empty()
    }

    /// Takes up to `most` deliveries, in their order, and hands each over with its index; how many. Fewer
    /// than `most` end a fetch: the next delivery wakes again.
    pub fn take(&self, most: usize, mut each: impl FnMut(usize, Told)) -> usize {
        let mut inside = self.inside.lock();
        for index in 0..most {
            let Some(told) = inside.queue.pop_front() else {
                inside.woken = false;
                self.count_taken(index);
                return index;
            };
            each(index, told);
        }
        self.count_taken(most);
        most
    }

    /// Whether nothing is in it, for its own thread, which alone takes something out. What another thread is
    /// about to lay in comes after this look.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Relaxed: only a count is compared; who takes a delivery out holds the mutex.
        self.laid.load(Ordering::Relaxed) == self.taken.load(Ordering::Relaxed)
    }

    /// Under the mutex.
    fn count_taken(&self, count: usize) {
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Takes the first delivery that is the one looked for, past all others.
    pub fn take_where(&self, is_it: impl Fn(&Told) -> bool) -> Option<Told> {
        let mut inside = self.inside.lock();
        let at = inside.queue.iter().position(is_it)?;
        self.count_taken(1);
        let told = inside.queue.remove(at);
        // What came while its thread looked on has woken nobody.
        if !inside.queue.is_empty() {
            Self::wake(&mut inside);
        }
        told
    }

    /// Lays deliveries in, so that they are fetched together, and wakes their thread if asked to. A box that nobody
    /// opened, or that is closed, drops them: there is nobody to hear it.
    pub fn lay(&self, told: impl IntoIterator<Item = Told>, wake: bool) {
        let mut inside = self.inside.lock();
        if inside.waker.is_none() {
            return;
        }
        let before = inside.queue.len();
        inside.queue.extend(told);
        let count = inside.queue.len() - before;
        // Release: pairs with the Acquire in `attend`.
        self.laid.fetch_add(count as u64, Ordering::Release);
        if wake && !inside.attended {
            Self::wake(&mut inside);
        }
    }

    fn wake(inside: &mut Inside) {
        let Some(waker) = &inside.waker else { return };
        if inside.woken {
            return;
        }
        // SAFETY: the function is alive as long as it is in `inside`, whose mutex we hold.
        let status = unsafe {
            sys::napi_call_threadsafe_function(
                waker.0,
                ptr::null_mut(),
                sys::ThreadsafeFunctionCallMode::nonblocking,
            )
        };
        if status == sys::Status::napi_ok {
            inside.woken = true;
        } else {
            // Closing: its environment is going down, and its hook tells the locks.
            inside.waker = None;
        }
    }
}

/// Lays deliveries into the mailbox of that number, and wakes its thread.
pub fn post(number: u64, told: impl IntoIterator<Item = Told>) {
    let mailbox = MAILBOXES.lock().get(&number).cloned();
    if let Some(mailbox) = mailbox {
        mailbox.lay(told, true);
    }
}

/// How many deliveries that mailbox holds.
pub fn unfetched(number: u64) -> u64 {
    let mailbox = MAILBOXES.lock().get(&number).cloned();
    // Relaxed: a bound that a delivery more or less does not break.
    mailbox.map_or(0, |it| it.laid.load(Ordering::Relaxed).saturating_sub(it.taken.load(Ordering::Relaxed)))
}

/// Whether any thread wants to hear of events.
pub fn anybody_listens() -> bool {
    LISTENERS.load(Ordering::Relaxed) > 0
}

/// Wakes every thread that listens to events.
#[inline]
pub fn announce_events() {
    if LISTENERS.load(Ordering::Relaxed) > 0 {
        wake_listeners();
    }
}

#[cold]
fn wake_listeners() {
    let boxes: Vec<Arc<Mailbox>> = MAILBOXES.lock().values().cloned().collect();
    for mailbox in boxes {
        let mut inside = mailbox.inside.lock();
        if inside.listens {
            Mailbox::wake(&mut inside);
        }
    }
}
