//! The one I/O thread: all stores, timers and renewals of this process live on it, in a current-thread runtime. It
//! starts with the first job and sleeps without waking while there is nothing to do; only between jobs that come one
//! close after the other it stays awake.

use crate::lease::fault::Fault;
use crate::sync::Mutex;
use crate::time::{Nanos, now};
use once_cell::sync::Lazy;
use std::cell::Cell;
use std::thread;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

/// What the thread is to do; it may spawn local tasks, and must not wait.
pub type Job = Box<dyn FnOnce() + Send>;

const STACK_BYTES: usize = 512 * 1024;

/// Jobs this close together are a conversation: somebody is answered, and asks again. To fall asleep and be woken for
/// each of its requests and answers takes longer than a store on the same machine takes to answer.
const CLOSE: Nanos = Nanos(250_000);

thread_local! {
    /// Until then the I/O thread stays awake for the next job.
    static AWAKE: Cell<Nanos> = const { Cell::new(Nanos::NEVER) };
}

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

/// Somebody begins to wait for another holder, and will not ask again soon.
pub fn rest() {
    AWAKE.set(Nanos::NEVER);
}

fn failed(why: impl std::fmt::Display) -> Fault {
    Fault::new("ERR_LOCK_INTERNAL", format!("the thread of the leases could not be started: {why}"))
}

fn start() -> Result<UnboundedSender<Job>, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (jobs, coming) = unbounded_channel::<Job>();
    // On one processor nobody can ask while this thread stays awake.
    let may_stay = !thread::available_parallelism().is_ok_and(|count| count.get() == 1);
    let mut coming = Coming { jobs: coming, last: Nanos::NEVER, may_stay, clock: now };
    let serve = move || {
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            while let Some(job) = coming.next().await {
                job();
            }
        });
    };
    let thread = thread::Builder::new().name("chainlock-lease".into()).stack_size(STACK_BYTES);
    thread.spawn(serve).map_err(failed)?;
    Ok(jobs)
}

/// The jobs, and how close they come.
struct Coming {
    jobs: UnboundedReceiver<Job>,
    last: Nanos,
    may_stay: bool,
    clock: fn() -> Nanos,
}

impl Coming {
    async fn next(&mut self) -> Option<Job> {
        // To look for a job costs no budget: many of them must not keep tasks and timers from their turn.
        tokio::task::coop::consume_budget().await;
        let job = match self.soon().await {
            Err(TryRecvError::Empty) => self.jobs.recv().await,
            job => job.ok(),
        };
        let came = (self.clock)();
        let is_close = self.may_stay && came.since(self.last) < CLOSE;
        AWAKE.set(if is_close { came.plus(CLOSE) } else { Nanos::NEVER });
        self.last = came;
        job
    }

    /// The next, if it comes while it is worth staying awake for it. What the stores answer is served meanwhile.
    async fn soon(&mut self) -> Result<Job, TryRecvError> {
        loop {
            match self.jobs.try_recv() {
                Err(TryRecvError::Empty) if (self.clock)() < AWAKE.get() => tokio::task::yield_now().await,
                job => return job,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::{Context, Waker};

    const APART: u64 = CLOSE.0 / 2;

    thread_local! {
        static TIME: Cell<u64> = const { Cell::new(1_000_000_000) };
    }

    fn pass(ns: u64) {
        TIME.set(TIME.get() + ns);
    }

    fn coming(may_stay: bool) -> (UnboundedSender<Job>, Coming) {
        let (sender, jobs) = unbounded_channel::<Job>();
        (sender, Coming { jobs, last: Nanos::NEVER, may_stay, clock: || Nanos(TIME.get()) })
    }

    /// One job, after the time.
    fn serve(sender: &UnboundedSender<Job>, coming: &mut Coming, after: u64) {
        pass(after);
        assert!(sender.send(Box::new(|| ())).is_ok());
        assert!(pin!(coming.next()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }

    /// Nothing has come: whether it asks for another turn all the same.
    fn is_awake(coming: &mut Coming) -> bool {
        pin!(coming.soon()).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[test]
    fn it_sleeps_but_for_jobs_that_come_close_together() {
        let (sender, mut coming) = coming(true);
        assert!(!is_awake(&mut coming), "before the first");
        serve(&sender, &mut coming, 0);
        assert!(!is_awake(&mut coming), "after the first");
        serve(&sender, &mut coming, APART);
        assert!(is_awake(&mut coming), "after the second, close to it");
        pass(APART);
        assert!(is_awake(&mut coming), "as long as the next would be close");
        pass(APART);
        assert!(!is_awake(&mut coming), "no longer");
        serve(&sender, &mut coming, APART);
        assert!(!is_awake(&mut coming), "after one that came late");
    }

    #[test]
    fn many_jobs_leave_tasks_their_turn() {
        const MANY: usize = 10_000;
        let (sender, mut coming) = coming(true);
        for _ in 0..MANY {
            assert!(sender.send(Box::new(|| ())).is_ok());
        }
        let (served, turn) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(MANY)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (before, seen) = (served.clone(), turn.clone());
            tokio::task::spawn_local(async move { seen.set(before.get()) });
            while served.get() < MANY && coming.next().await.is_some() {
                served.set(served.get() + 1);
            }
        });
        assert!(turn.get() < MANY, "the task had its turn before the last job");
    }

    #[test]
    fn it_sleeps_when_somebody_begins_to_wait() {
        let (sender, mut coming) = coming(true);
        serve(&sender, &mut coming, 0);
        serve(&sender, &mut coming, APART);
        rest();
        assert!(!is_awake(&mut coming));
    }

    #[test]
    fn on_one_processor_it_always_sleeps() {
        let (sender, mut coming) = coming(false);
        serve(&sender, &mut coming, 0);
        serve(&sender, &mut coming, APART);
        assert!(!is_awake(&mut coming));
    }
}
