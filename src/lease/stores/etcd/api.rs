//! Calls of etcd's JSON gateway: the user's token with each, and what a refusal means.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::wire::Token;
use crate::lease::address::{Secret, Server, Setup};
use crate::lease::http::{
    Bytes, Client, HeaderValue, HttpError, Lines, Method, Request, Response, header, secret_header,
};
use crate::lease::store::StoreError;

/// What it means that no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
}

impl Kind {
    fn unanswered(self, why: String) -> StoreError {
        match self {
            Kind::Read => StoreError::Unavailable { why, retry_after: None },
            Kind::Write => StoreError::Unknown(why),
        }
    }

    fn of(self, error: HttpError) -> StoreError {
        match self {
            Kind::Read => error.of_read(),
            Kind::Write => error.of_write(),
        }
    }
}

/// Why a call has no result.
#[derive(Debug)]
pub enum Trouble {
    /// The server does not know the lease that it is about.
    NoSuchLease(String),
    Store(StoreError),
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> StoreError {
        match trouble {
            Trouble::NoSuchLease(why) => StoreError::Unavailable { why, retry_after: None },
            Trouble::Store(error) => error,
        }
    }
}

pub struct Api {
    http: Client,
    base: String,
    login: Option<(String, Secret)>,
    /// None: nobody asked yet. None inside: the server wants no users.
    token: RefCell<Option<Option<HeaderValue>>>,
    pub timeout: Duration,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Api {
    pub fn new(setup: &Setup, server: &Server) -> Result<Api, StoreError> {
        let scheme = if server.tls { "https" } else { "http" };
        let login = server.user.clone().map(|user| (user, server.password.clone().unwrap_or_default()));
        Ok(Api {
            http: Client::new(setup)?,
            base: format!("{scheme}://{}", authority(server)),
            login,
            token: RefCell::new(None),
            timeout: setup.request_timeout,
        })
    }

    pub fn let_go(&self) {
        self.http.let_go();
    }

    /// Resolves when a request found that the connections are dead.
    pub async fn given_up(&self) {
        self.http.given_up().await;
    }

    /// The answer to a request.
    pub async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        kind: Kind,
    ) -> Result<T, Trouble> {
        let body = Bytes::from(body.to_string());
        let mut again = self.login.is_some();
        loop {
            let token = self.token().await.map_err(Trouble::Store)?;
            let answer = self.post(path, body.clone(), token).await;
            let answer = answer.map_err(|error| Trouble::Store(kind.of(error)))?;
            if answer.status.is_success() {
                return read(&answer.body).map_err(Trouble::Store);
            }
            let refusal = Refusal::of(&answer);
            if !(refusal.is_of_the_token() && again) {
                return Err(refusal.means(kind));
            }
            // It was refused before it did anything.
            self.forget_token();
            again = false;
        }
    }

    /// The answer's lines, when the server has begun to answer.
    pub async fn lines(&self, path: &str, body: String) -> Result<Lines, StoreError> {
        let token = self.token().await?;
        let request = self.request(path, body.into(), token);
        let lines = self.http.stream(request).await.map_err(HttpError::of_read)?;
        match lines.status().is_success() {
            true => Ok(lines),
            false => Err(Kind::Read.unanswered(format!("it answered {}", lines.status()))),
        }
    }

    /// The next call asks for a new one.
    pub fn forget_token(&self) {
        self.token.replace(None);
    }

    async fn token(&self) -> Result<Option<HeaderValue>, StoreError> {
        let Some((user, password)) = &self.login else { return Ok(None) };
        let known = self.token.borrow().clone();
        if let Some(token) = known {
            return Ok(token);
        }
        let body = json!({ "name": user, "password": password.expose() }).to_string();
        let answer = self.post("/v3/auth/authenticate", body.into(), None).await;
        let answer = answer.map_err(HttpError::of_read)?;
        let token = if answer.status.is_success() {
            Some(secret_header(&read::<Token>(&answer.body)?.token)?)
        } else {
            let refusal = Refusal::of(&answer);
            if !refusal.says("authentication is not enabled") {
                return Err(refusal.means(Kind::Read).into());
            }
            None
        };
        self.token.replace(Some(token.clone()));
        Ok(token)
    }

    async fn post(&self, path: &str, body: Bytes, token: Option<HeaderValue>) -> Result<Response, HttpError> {
        self.http.send(self.request(path, body, token)).await
    }

    fn request(&self, path: &str, body: Bytes, token: Option<HeaderValue>) -> Request {
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let token = token.map(|token| (header::AUTHORIZATION, token));
        Request {
            method: Method::POST,
            url: format!("{}{path}", self.base),
            headers: std::iter::once(json).chain(token).collect(),
            body: Some(body),
            timeout: self.timeout,
        }
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub fn authority(server: &Server) -> String {
    match server.host.contains(':') && !server.host.starts_with('[') {
        true => format!("[{}]:{}", server.host, server.port),
        false => format!("{}:{}", server.host, server.port),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(body)
        .map_err(|error| StoreError::Unsupported(format!("what answers is no etcd: {error}")))
}

/// A refusal in the server's words, with gRPC's code.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    #[serde(skip)]
    status: u16,
    code: u16,
    message: String,
}

impl Refusal {
    fn of(answer: &Response) -> Refusal {
        let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        Refusal { status: answer.status.as_u16(), ..refusal }
    }

    /// One that came in a stream, where the code is only in the words.
    pub fn in_words(message: &str) -> Refusal {
        let mut refusal = Refusal { message: message.to_owned(), code: 0, status: 200 };
        if refusal.is_of_the_token()
            || ["permission denied", "auth token"].iter().any(|words| refusal.says(words))
        {
            refusal.code = 7;
        }
        refusal
    }

    fn says(&self, words: &str) -> bool {
        self.message.contains(words)
    }

    /// The user is not known by this token any more; with a new one the same request may pass.
    fn is_of_the_token(&self) -> bool {
        self.code == 16 || self.says("auth store is old") || self.says("user name is empty")
    }

    pub fn means(&self, kind: Kind) -> Trouble {
        let why = match self.message.is_empty() {
            true => format!("it answered {}", self.status),
            false => self.message.clone(),
        };
        let unavailable = |why| StoreError::Unavailable { why, retry_after: None };
        Trouble::Store(match self.code {
            5 => return Trouble::NoSuchLease(why),
            7 | 16 => StoreError::Denied(why),
            3 if self.is_of_the_token() || self.says("authentication failed") => StoreError::Denied(why),
            3 | 12 => StoreError::Unsupported(why),
            8 if self.says("larger than max") => StoreError::Unsupported(why),
            // Refused before, or while, nothing was written.
            8 if self.says("too many requests") || self.says("space exceeded") => unavailable(why),
            14 if self.says("no leader") => unavailable(why),
            0 if matches!(self.status, 401 | 403) => StoreError::Denied(why),
            0 if self.status == 404 => StoreError::Unsupported(
                "there is no /v3 (etcd 3.4 and later have it, unless its gRPC gateway is switched off)"
                    .into(),
            ),
            _ => kind.unanswered(why),
        })
    }
}
