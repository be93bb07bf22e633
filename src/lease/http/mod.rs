//! One HTTP/1.1 client for the stores that speak it. It follows no redirect and writes nothing twice; of every
//! failure it says whether the request may have reached the server.
//!
//! Connections are kept and used again. A request that gets no answer in time takes all of them down with it: on a
//! half-open connection the next one would wait as long.

mod stream;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
pub use hyper::body::Bytes;
use hyper::body::Incoming;
pub use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
pub use hyper::{Method, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{CaptureConnection, HttpConnector, capture_connection};
use hyper_util::client::legacy::{self, Client as Legacy};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Notify, Semaphore};

use crate::lease::address::Setup;
use crate::lease::store::StoreError;
use crate::lease::tls;

pub use stream::Lines;

/// The largest answer that is read.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How many requests are under way at once; more wait for their turn, within their timeout.
const AT_ONCE: usize = 8;
/// How many connections are kept while nothing is to do, and for how long.
const KEPT: usize = 4;
const KEPT_FOR: Duration = Duration::from_secs(90);
/// The system asks a silent peer so often whether it is still there, and gives it up after the third time.
const PROBED_AFTER: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

pub struct Request {
    pub method: Method,
    /// Without user and password: those belong into a header.
    pub url: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Option<Bytes>,
    pub timeout: Duration,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and body carry secrets.
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// It has not reached the server.
    NotSent(String),
    /// It may have reached the server, and may still.
    Unknown(String),
}

impl HttpError {
    pub fn why(&self) -> &str {
        match self {
            HttpError::NotSent(why) | HttpError::Unknown(why) => why,
        }
    }

    /// For a request that changes something.
    pub fn of_write(self) -> StoreError {
        match self {
            HttpError::NotSent(why) => StoreError::Unavailable { why, retry_after: None },
            HttpError::Unknown(why) => StoreError::Unknown(why),
        }
    }

    /// For a request that only looks.
    pub fn of_read(self) -> StoreError {
        let (HttpError::NotSent(why) | HttpError::Unknown(why)) = self;
        StoreError::Unavailable { why, retry_after: None }
    }
}

type Pool = Legacy<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A header whose value is not shown by anybody's `Debug`.
pub fn secret_header(value: &str) -> Result<HeaderValue, StoreError> {
    let mut header = HeaderValue::from_str(value)
        .map_err(|_| StoreError::Denied("the secret has characters that no header may have".into()))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Belongs to the I/O thread and its runtime; connects with the first request.
pub struct Client {
    connector: HttpsConnector<HttpConnector>,
    pool: RefCell<Option<Pool>>,
    turns: Semaphore,
    dropped: Notify,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub fn new(setup: &Setup) -> Result<Client, StoreError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(setup.request_timeout));
        tcp.set_keepalive(Some(PROBED_AFTER));
        tcp.set_keepalive_interval(Some(PROBED_AFTER));
        tcp.set_keepalive_retries(Some(PROBES));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(setup.ca_file.as_deref())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let turns = Semaphore::new(AT_ONCE);
        Ok(Client { connector, pool: RefCell::new(None), turns, dropped: Notify::new() })
    }

    /// The answer, whatever its status says.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let limit = request.timeout;
        let mut stage = Stage::Waits;
        let answered = tokio::time::timeout(limit, async {
            let _turn = self.turns.acquire().await;
            let (head, body) = self.exchange(&request, &mut stage).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| HttpError::Unknown(causes(&*error)))?.to_bytes();
            Ok(Response { status: head.status, headers: head.headers, body })
        });
        answered.await.unwrap_or_else(|_| Err(self.late(limit, &stage)))
    }

    /// The answer's lines as they come. The timeout is for its beginning.
    pub async fn stream(&self, request: Request) -> Result<Lines, HttpError> {
        let limit = request.timeout;
        let mut stage = Stage::Waits;
        let begun = tokio::time::timeout(limit, self.exchange(&request, &mut stage)).await;
        begun.unwrap_or_else(|_| Err(self.late(limit, &stage))).map(Lines::new)
    }

    /// Resolves when the connections were given up because one of them did not answer: streams of the same server
    /// are as dead.
    pub async fn given_up(&self) {
        self.dropped.notified().await;
    }

    /// Lets go of the connections; the next request makes new ones.
    pub fn let_go(&self) {
        self.pool.replace(None);
    }

    fn pool(&self) -> Pool {
        let make = || {
            Legacy::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(KEPT_FOR)
                .pool_max_idle_per_host(KEPT)
                .retry_canceled_requests(false)
                .build(self.connector.clone())
        };
        self.pool.borrow_mut().get_or_insert_with(make).clone()
    }

    async fn exchange(
        &self,
        request: &Request,
        stage: &mut Stage,
    ) -> Result<hyper::Response<Incoming>, HttpError> {
        let mut again = true;
        loop {
            let mut ready = ready(request)?;
            let connection = capture_connection(&mut ready);
            *stage = Stage::Leaves(connection.clone());
            match self.pool().request(ready).await {
                Ok(answer) => return Ok(answer),
                // The connection that was kept had been closed, and the request came back unsent.
                Err(error) if came_back(&error) && again => again = false,
                Err(error) => return Err(verdict(&error, &connection)),
            }
        }
    }

    fn late(&self, limit: Duration, stage: &Stage) -> HttpError {
        let why = format!("no answer within {} ms", limit.as_millis());
        match stage {
            Stage::Waits => HttpError::NotSent(format!("{why}: too many requests before it")),
            Stage::Leaves(connection) => {
                self.let_go();
                self.dropped.notify_waiters();
                match has_left(connection) {
                    true => HttpError::Unknown(why),
                    false => HttpError::NotSent(format!("{why}: no connection")),
                }
            }
        }
    }
}

/// How far a request has come.
enum Stage {
    Waits,
    Leaves(CaptureConnection),
}

/// A connection is noted before the first byte is handed to it.
fn has_left(connection: &CaptureConnection) -> bool {
    connection.connection_metadata().is_some()
}

/// Whether its connection was closed before it took the request: hyper says `canceled` of nothing else.
fn came_back(error: &legacy::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    cause.is_some_and(hyper::Error::is_canceled)
}

fn verdict(error: &legacy::Error, connection: &CaptureConnection) -> HttpError {
    let unsent = error.is_connect() || came_back(error) || !has_left(connection);
    match unsent {
        true => HttpError::NotSent(causes(error)),
        false => HttpError::Unknown(causes(error)),
    }
}

fn ready(request: &Request) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
    let mut builder = hyper::Request::builder().method(&request.method).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let body = Full::new(request.body.clone().unwrap_or_default());
    builder.body(body).map_err(|error| HttpError::NotSent(error.to_string()))
}

/// An error with what it comes from: hyper's own words only say where it was.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !told.contains(&words) {
            told = format!("{told}: {words}");
        }
        next = cause.source();
    }
    told
}
