//! The one I/O thread: all stores, timers and renewals of this process live on it, in a current-thread runtime. It
//! starts with the first job and sleeps without waking while there is nothing to do.

use crate::lease::fault::Fault;
use crate::sync::Mutex;
use once_cell::sync::Lazy;
use std::thread;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

/// What the thread is to do; it may spawn local tasks, and must not wait.
pub type Job = Box<dyn FnOnce() + Send>;

const STACK_BYTES: usize = 512 * 1024;

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
    let (jobs, mut coming) = unbounded_channel::<Job>();
    let serve = move || {
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            while let Some(job) = coming.recv().await {
                job();
            }
        });
    };
    let thread = thread::Builder::new().name("chainlock-lease".into()).stack_size(STACK_BYTES);
    thread.spawn(serve).map_err(failed)?;
    Ok(jobs)
}
