//! The one I/O thread: all stores, timers and renewals of this process live on it, in a current-thread runtime. It
//! starts with the first job and sleeps without waking while there is nothing to do.
//!
//! While jobs follow each other closely (a caller that acquires, works for a moment and releases, over a store that is
//! near) it does not fall asleep between them: to wake a sleeping thread costs as much as such a store takes to answer,
//! and an answer would have to wake it once more. One pause that is longer than that ends it.

use crate::lease::fault::Fault;
use crate::sync::Mutex;
use crate::time::{self, Nanos};
use once_cell::sync::Lazy;
use std::thread;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

/// What the thread is to do; it may spawn local tasks, and must not wait.
pub type Job = Box<dyn FnOnce() + Send>;

const STACK_BYTES: usize = 512 * 1024;
/// Jobs follow each other closely when the next comes within this time; so long the thread stays awake for it.
const CLOSELY: Nanos = Nanos(100_000);

static THREAD: Lazy<Mutex<Option<UnboundedSender<Job>>>> = Lazy::new(Mutex::default);

/// Runs the job on the I/O thread, in the order in which jobs come.
pub fn run(job: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    let mut thread = THREAD.lock();
    let mut job: Job = Box::new(job);
    if let Some(jobs) = thread.as_ref() {
        match jobs.send(job) {
            Ok(()) => return Ok(()),
            // It has ended; a new one begins with nothing.
            Err(unsent) => job = unsent.0,
        }
    }
    let jobs = thread.insert(start()?);
    jobs.send(job).map_err(|_| failed("it ended at once"))
}

fn failed(why: impl std::fmt::Display) -> Fault {
    Fault::new("ERR_LOCK_INTERNAL", format!("the thread of the leases could not be started: {why}"))
}

fn start() -> Result<UnboundedSender<Job>, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (jobs, coming) = unbounded_channel::<Job>();
    let serve = move || LocalSet::new().block_on(&runtime, serve(coming));
    let thread = thread::Builder::new().name("chainlock-lease".into()).stack_size(STACK_BYTES);
    thread.spawn(serve).map_err(failed)?;
    Ok(jobs)
}

async fn serve(mut coming: UnboundedReceiver<Job>) {
    // On a single core nobody else could go on meanwhile.
    let may_stay_awake = thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    let mut follows_closely = false;
    loop {
        let idle_since = time::now();
        let at_once =
            if follows_closely { look_on(&mut coming, idle_since.plus(CLOSELY)).await } else { None };
        let next = match at_once {
            Some(job) => Some(job),
            None => coming.recv().await,
        };
        let Some(job) = next else { return };
        follows_closely = may_stay_awake && time::now().since(idle_since) < CLOSELY;
        job();
    }
}

/// Looks for the next job until then; all other tasks, and what the system has for them, have their turn meanwhile.
async fn look_on(coming: &mut UnboundedReceiver<Job>, until: Nanos) -> Option<Job> {
    loop {
        match coming.try_recv() {
            Ok(job) => return Some(job),
            Err(TryRecvError::Empty) if time::now() < until => tokio::task::yield_now().await,
            Err(_) => return None,
        }
    }
}
