//! Where a Redis is, and how to reach it: a stream over TCP or TLS, which the crate then speaks over.

use super::errors::{Doing, failed};
use crate::lease::address::{Server, Setup};
use crate::lease::store::{Pending, StoreError};
use crate::lease::tls;
use crate::sync::Arc;
use once_cell::unsync::OnceCell;
use redis::RedisConnectionInfo;
use redis::aio::{MultiplexedConnection, PubSub};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What both connections are made from.
pub struct Place {
    host: String,
    port: u16,
    pub database: i64,
    tls: bool,
    ca_file: Option<PathBuf>,
    /// Read with the first connection, and kept: sessions are taken up again.
    trust: OnceCell<Arc<rustls::ClientConfig>>,
    login: RedisConnectionInfo,
    pub timeout: Duration,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.shown()).finish()
    }
}

/// What a connection goes over.
trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

impl Place {
    pub fn of(server: &Server, setup: &Setup) -> Result<Place, StoreError> {
        if let Some((name, _)) = server.query.first() {
            let why = format!("the URL's parameter {name:?} is not known; a redis URL takes none");
            return Err(StoreError::Unsupported(why));
        }
        let database = match server.path.as_str() {
            "" => 0,
            number => number.parse::<u16>().map(i64::from).map_err(|_| {
                let why =
                    format!("the path of a redis URL is the database's number, as in /0, not {number:?}");
                StoreError::Unsupported(why)
            })?,
        };
        let mut login = RedisConnectionInfo::default()
            .set_db(database)
            .set_lib_name("chainlock", env!("CHAINLOCK_VERSION"));
        if let Some(user) = &server.user {
            login = login.set_username(user);
        }
        if let Some(password) = &server.password {
            login = login.set_password(password.expose());
        }
        Ok(Place {
            host: server.host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: server.port,
            database,
            tls: server.tls,
            ca_file: setup.ca_file.clone(),
            trust: OnceCell::new(),
            login,
            timeout: setup.request_timeout,
        })
    }

    pub fn shown(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}/{}", self.port, self.database)
    }

    /// A connection, and what drives it: the crate repeats nothing by itself and has no timeout here.
    pub async fn connect(&self) -> Result<(MultiplexedConnection, Pending<'static, ()>), StoreError> {
        let stream = self.stream().await?;
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&self.login, stream, config).await;
        let (connection, driver) = made.map_err(|error| failed(&error, Doing::Connect))?;
        Ok((connection, Box::pin(driver)))
    }

    pub async fn subscriber(&self) -> Result<PubSub, StoreError> {
        let stream = self.stream().await?;
        PubSub::new(&self.login, stream).await.map_err(|error| failed(&error, Doing::Connect))
    }

    async fn stream(&self) -> Result<Box<dyn Bytes>, StoreError> {
        let unreachable = |why: &dyn fmt::Display| StoreError::Unavailable {
            why: format!("cannot connect to {}: {why}", self.shown()),
            retry_after: None,
        };
        let trust = match self.tls {
            true => Some(
                self.trust.get_or_try_init(|| tls::config(self.ca_file.as_deref()).map(Arc::new))?.clone(),
            ),
            false => None,
        };
        let stream =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| unreachable(&error))?;
        stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
        let Some(trust) = trust else {
            return Ok(Box::new(stream));
        };
        let name = rustls::pki_types::ServerName::try_from(self.host.clone())
            .map_err(|_| StoreError::Unsupported(format!("{:?} is no name for TLS", self.host)))?;
        let stream = TlsConnector::from(trust).connect(name, stream).await;
        stream.map(|stream| Box::new(stream) as Box<dyn Bytes>).map_err(|error| match error.get_ref() {
            // What rustls itself says: a certificate that is not trusted, an alert.
            Some(inner) if inner.is::<rustls::Error>() => {
                StoreError::Denied(format!("TLS with {}: {inner}", self.shown()))
            }
            _ => unreachable(&error),
        })
    }
}
