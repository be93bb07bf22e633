//! A limit in time for requests. Nearly all of them are answered long before it, and a timer for each would wake the
//! thread's driver twice; so all requests of one limit share one timer, which fires at most once in its span.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// When, and a number that tells requests of one instant apart.
type Place = (Instant, u64);

pub struct Limit {
    span: Duration,
    running: Rc<Running>,
    timer: RefCell<Option<AbortHandle>>,
}

#[derive(Default)]
struct Running {
    /// Those that are not over, in the order in which they will be.
    requests: RefCell<BTreeMap<Place, Waker>>,
    count: Cell<u64>,
    /// The timer has nothing to wait for.
    is_idle: Cell<bool>,
    begun: Notify,
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").field("span", &self.span).finish_non_exhaustive()
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.borrow_mut().take() {
            timer.abort();
        }
    }
}

impl Limit {
    pub fn new(span: Duration) -> Limit {
        Limit { span, running: Rc::default(), timer: RefCell::default() }
    }

    /// What comes of the work; none when it takes longer.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut begun: Option<Begun> = None;
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            match &begun {
                None => begun = Some(self.begin(context)),
                Some(begun) if begun.is_over(context) => return Poll::Ready(None),
                Some(_) => {}
            }
            Poll::Pending
        })
        .await
    }

    fn begin(&self, context: &Context<'_>) -> Begun {
        let running = &self.running;
        let number = running.count.get();
        running.count.set(number + 1);
        let place = (tokio::time::sleep(self.span).deadline(), number);
        running.requests.borrow_mut().insert(place, context.waker().clone());
        let mut timer = self.timer.borrow_mut();
        if timer.is_none() {
            *timer = Some(tokio::task::spawn_local(time(running.clone())).abort_handle());
        } else if running.is_idle.replace(false) {
            running.begun.notify_one();
        }
        Begun { running: running.clone(), place }
    }
}

/// A request that is not over; until this is dropped.
struct Begun {
    running: Rc<Running>,
    place: Place,
}

impl Begun {
    fn is_over(&self, context: &Context<'_>) -> bool {
        match self.running.requests.borrow_mut().get_mut(&self.place) {
            Some(waker) => {
                waker.clone_from(context.waker());
                false
            }
            None => true,
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.running.requests.borrow_mut().remove(&self.place);
    }
}

/// Ends what takes too long. A later request is over later, so the first is all that is waited for.
async fn time(running: Rc<Running>) {
    loop {
        let first = running.requests.borrow().first_key_value().map(|(place, _)| *place);
        match first {
            Some((until, _)) => {
                tokio::time::sleep_until(until).await;
                let later = running.requests.borrow_mut().split_off(&(until, u64::MAX));
                let over = running.requests.replace(later);
                over.into_values().for_each(Waker::wake);
            }
            None => {
                running.is_idle.set(true);
                running.begun.notified().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::task::{LocalSet, spawn_local};
    use tokio::time::sleep;

    const SPAN: Duration = Duration::from_secs(5);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// On a clock that jumps to the next timer.
    fn timed(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        LocalSet::new().block_on(&runtime.unwrap(), work);
    }

    #[test]
    fn what_is_done_in_time_is_handed_over() {
        timed(async {
            let limit = Limit::new(SPAN);
            assert_eq!(limit.within(ready(1)).await, Some(1));
            let slow = async {
                sleep(ms(4_999)).await;
                2
            };
            assert_eq!(limit.within(slow).await, Some(2));
        });
    }

    #[test]
    fn each_is_over_after_its_own_span() {
        timed(async {
            let limit = Rc::new(Limit::new(SPAN));
            let began = sleep(ms(0)).deadline();
            let tasks: Vec<_> = [0, 10, 2_500, 4_990, 20_000]
                .map(|pause| {
                    let limit = limit.clone();
                    spawn_local(async move {
                        sleep(ms(pause)).await;
                        assert!(limit.within(pending::<()>()).await.is_none());
                        (pause, sleep(ms(0)).deadline())
                    })
                })
                .into_iter()
                .collect();
            for task in tasks {
                let (pause, ended) = task.await.unwrap();
                let took = ended - began;
                assert!(took >= SPAN + ms(pause) && took < SPAN + ms(pause + 5), "{pause}: {took:?}");
            }
        });
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        timed(async {
            let limit = Limit::new(SPAN);
            for _ in 0..100 {
                assert!(tokio::time::timeout(ms(1), limit.within(pending::<()>())).await.is_err());
            }
            assert!(limit.running.requests.borrow().is_empty());
            sleep(SPAN * 2).await;
            assert!(limit.running.is_idle.get(), "nothing is waited for");
            assert!(limit.within(pending::<()>()).await.is_none());
        });
    }
}
