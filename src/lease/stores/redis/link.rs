//! The connection for requests: made at the first, replaced when it breaks or stays silent. No request is ever sent
//! twice: who asked decides what a missing answer means.

use super::address::Place;
use super::entry::NO_RUN;
use super::errors::{Doing, failed, unanswered};
use crate::lease::limit::Limit;
use crate::lease::store::StoreError;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, Value, cmd};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use tokio::task::JoinHandle;

pub struct Link {
    place: Rc<Place>,
    current: RefCell<Option<Rc<Live>>>,
    /// One connects, the others wait for it.
    connecting: tokio::sync::Mutex<()>,
    limit: Limit,
}

/// A connection that answered.
struct Live {
    connection: MultiplexedConnection,
    /// The server's run, shortened: another one after a restart or a failover.
    run: String,
    /// Until its driver ends: then nothing can be sent any more.
    is_open: Rc<Cell<bool>>,
    driver: JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Link {
    pub fn new(place: Rc<Place>) -> Link {
        let limit = Limit::new(place.timeout);
        Link { place, current: RefCell::new(None), connecting: tokio::sync::Mutex::new(()), limit }
    }

    /// One command, made for the server's run; an error of the server is an answer.
    pub async fn ask(&self, doing: Doing, make: impl Fn(&str) -> Cmd) -> Result<Value, StoreError> {
        self.send(doing, async |live: &Live, mut connection: MultiplexedConnection| {
            connection.req_packed_command(&make(&live.run)).await
        })
        .await
    }

    /// Several commands in one go; as many answers.
    pub async fn ask_many(
        &self,
        doing: Doing,
        make: impl Fn(&str) -> Pipeline,
    ) -> Result<Vec<Value>, StoreError> {
        self.send(doing, async |live: &Live, mut connection: MultiplexedConnection| {
            let pipe = make(&live.run);
            connection.req_packed_commands(&pipe, 0, pipe.len()).await
        })
        .await
    }

    /// Sends within the request's time. A connection that did not answer in time is not asked again.
    async fn send<T>(
        &self,
        doing: Doing,
        request: impl AsyncFnOnce(&Live, MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        let sent: RefCell<Option<Rc<Live>>> = RefCell::new(None);
        let work = async {
            let live = self.live().await?;
            *sent.borrow_mut() = Some(live.clone());
            let answer = request(&live, live.connection.clone()).await;
            answer.map_err(|error| {
                self.retire(&live);
                failed(&error, doing)
            })
        };
        let ended = self.limit.within(work).await;
        ended.unwrap_or_else(|| match sent.take() {
            Some(live) => {
                self.retire(&live);
                Err(unanswered("no answer in time", doing))
            }
            None => Err(unanswered("no connection in time", Doing::Connect)),
        })
    }

    async fn live(&self) -> Result<Rc<Live>, StoreError> {
        if let Some(live) = self.open() {
            return Ok(live);
        }
        let _turn = self.connecting.lock().await;
        if let Some(live) = self.open() {
            return Ok(live);
        }
        let live = Rc::new(Live::connect(&self.place).await?);
        *self.current.borrow_mut() = Some(live.clone());
        Ok(live)
    }

    fn open(&self) -> Option<Rc<Live>> {
        self.current.borrow().as_ref().filter(|live| live.is_open.get()).cloned()
    }

    /// Those who still wait on it keep it until their own time is over.
    fn retire(&self, live: &Rc<Live>) {
        let mut current = self.current.borrow_mut();
        if current.as_ref().is_some_and(|now| Rc::ptr_eq(now, live)) {
            *current = None;
        }
    }

    pub fn close(&self) {
        *self.current.borrow_mut() = None;
    }
}

impl Live {
    async fn connect(place: &Place) -> Result<Live, StoreError> {
        let (connection, driver) = place.connect().await?;
        let is_open = Rc::new(Cell::new(true));
        let driver = tokio::task::spawn_local(driven(driver, is_open.clone()));
        let mut live = Live { connection, run: NO_RUN.to_owned(), is_open, driver };
        let mut info = cmd("INFO");
        info.arg("server");
        let answer = live.connection.req_packed_command(&info).await;
        let answer = answer.map_err(|error| failed(&error, Doing::Connect))?;
        if let Some(run) = run_in(&answer) {
            live.run = run;
        }
        match answer {
            // A user may have no right to it; whoever is not logged in has none to anything.
            Value::ServerError(error) if error.code() != "NOPERM" && error.code() != "ERR" => {
                Err(super::errors::refused(&error))
            }
            _ => Ok(live),
        }
    }
}

async fn driven(driver: impl Future<Output = ()>, is_open: Rc<Cell<bool>>) {
    driver.await;
    is_open.set(false);
}

/// The beginning of `run_id` in what INFO says.
fn run_in(info: &Value) -> Option<String> {
    let text = match info {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
        Value::VerbatimString { text, .. } => text,
        _ => return None,
    };
    let id = text.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    let run = id.get(..NO_RUN.len())?;
    run.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| run.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_is_read_from_what_the_server_says() {
        let run = |text: &str| run_in(&Value::BulkString(text.into()));
        assert_eq!(
            run("# Server\r\nredis_version:7\r\nrun_id:0123456789abcdef\r\n").as_deref(),
            Some("01234567")
        );
        assert_eq!(run("# Server\r\n"), None);
        assert_eq!(run("run_id:12\r\n"), None);
        assert_eq!(run("run_id:12 45 78 a\r\n"), None);
    }
}
