//! The one I/O thread: all stores, timers and renewals of this process live on it, in a current-thread runtime. It
//! starts with the first job and sleeps without waking while there is nothing to do. While one thing follows the
//! other it looks on for a moment before it sleeps (`patience.rs`).

use crate::lease::fault::Fault;
use crate::lease::patience::Patience;
use crate::sync::{Arc, Mutex};
use crate::time;
use once_cell::sync::Lazy;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::thread;
use tokio::task::LocalSet;

/// What the thread is to do; it may spawn local tasks, and must not wait.
type Job = Box<dyn FnOnce() + Send>;

const STACK_BYTES: usize = 512 * 1024;

static THREAD: Lazy<Mutex<Option<Arc<Jobs>>>> = Lazy::new(Mutex::default);

thread_local! {
    /// Of the I/O thread.
    static PATIENCE: Patience = Patience::new(thread::available_parallelism().map_or(1, usize::from));
    static OWN: RefCell<Option<Arc<Jobs>>> = RefCell::default();
}

/// Runs the job on the I/O thread, in the order in which jobs come.
pub fn run(job: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    let mut thread = THREAD.lock();
    let mut job: Job = Box::new(job);
    if let Some(jobs) = thread.as_ref() {
        match jobs.add(job) {
            Ok(()) => return Ok(()),
            // It has ended; a new one begins with nothing.
            Err(unrun) => job = unrun,
        }
    }
    let jobs = thread.insert(start()?);
    jobs.add(job).map_err(|_| failed("it ended at once"))
}

/// The I/O thread has answered somebody, who may ask for the next thing at once.
pub fn answered() {
    came();
    if looks_on() {
        OWN.with_borrow(|own| own.as_ref().map(|jobs| jobs.wake()));
    }
}

fn came() {
    PATIENCE.with(|patience| patience.came(time::now()));
}

fn looks_on() -> bool {
    PATIENCE.with(|patience| patience.lasts(time::now()))
}

fn failed(why: impl fmt::Display) -> Fault {
    Fault::new("ERR_LOCK_INTERNAL", format!("the thread of the leases could not be started: {why}"))
}

fn start() -> Result<Arc<Jobs>, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let jobs = Arc::new(Jobs::default());
    let coming = Coming(jobs.clone());
    let serve = move || {
        let local = LocalSet::new();
        local.block_on(&runtime, coming.serve());
    };
    let thread = thread::Builder::new().name("chainlock-lease".into()).stack_size(STACK_BYTES);
    thread.spawn(serve).map_err(failed)?;
    Ok(jobs)
}

/// What is to be run.
#[derive(Default)]
struct Jobs(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    waiting: VecDeque<Job>,
    /// The thread sleeps, or is about to; who adds a job takes it and wakes it.
    sleeper: Option<Waker>,
    is_over: bool,
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

impl Jobs {
    fn add(&self, job: Job) -> Result<(), Job> {
        let mut inside = self.0.lock();
        if inside.is_over {
            return Err(job);
        }
        inside.waiting.push_back(job);
        drop(inside);
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        let sleeper = self.0.lock().sleeper.take();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

/// The thread's end of the jobs.
struct Coming(Arc<Jobs>);

impl Drop for Coming {
    fn drop(&mut self) {
        let mut inside = self.0.0.lock();
        inside.is_over = true;
        let unrun = std::mem::take(&mut inside.waiting);
        drop(inside);
        drop(unrun);
    }
}

impl Coming {
    async fn serve(self) {
        OWN.set(Some(self.0.clone()));
        loop {
            if let Some(job) = self.take() {
                came();
                job();
            } else if looks_on() {
                // The driver is looked at in between. Nothing is left to other threads: they would be long about it.
                tokio::task::yield_now().await;
            } else {
                self.sleep().await;
            }
        }
    }

    fn take(&self) -> Option<Job> {
        self.0.0.lock().waiting.pop_front()
    }

    /// Until a job is there, or there is a reason to look on.
    async fn sleep(&self) {
        poll_fn(|context| {
            let mut inside = self.0.0.lock();
            if !inside.waiting.is_empty() || looks_on() {
                inside.sleeper = None;
                return Poll::Ready(());
            }
            inside.sleeper = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    /// Only a lost wake-up takes so long.
    const HANGS: Duration = Duration::from_secs(60);

    /// Waits without sleeping: until then the other thread may fall asleep, or not.
    fn busy_for(us: u64) {
        let end = time::now().plus(time::Nanos(us * 1_000));
        while time::now() < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn every_job_is_run_in_its_order_however_the_thread_sleeps() {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                thread::spawn(|| {
                    let (told, tells) = channel();
                    for number in 0..6_000_u64 {
                        let told = told.clone();
                        run(move || {
                            answered();
                            told.send(number).unwrap();
                        })
                        .unwrap();
                        // Some follow at once, some at the very moment at which the thread stops looking on.
                        assert_eq!(tells.recv_timeout(HANGS), Ok(number));
                        if number % 4 == 0 {
                            busy_for(number % 400);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
