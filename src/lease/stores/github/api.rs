//! GitHub's two interfaces, one request at a time: who asks, how long it may take, and what an answer means. No request
//! is repeated here, and none goes out while GitHub has asked for silence.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::clock::ClockThere;
use super::dates;
use super::limit::{Limit, Told};
use crate::lease::address::Setup;
use crate::lease::http::{
    Client, HeaderMap, HeaderName, HeaderValue, HttpError, Method, Request, header, secret_header,
};
use crate::lease::store::StoreError;
use crate::time::{Nanos, boot_now, now};

/// The API's version that this was written for.
const VERSION: HeaderValue = HeaderValue::from_static("2022-11-28");
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-github-api-version");
const DOT_COM: &str = "https://api.github.com";
/// How much of GitHub's own words goes into a message.
const MOST_WORDS: usize = 200;

/// What was answered, if it was a yes.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// GitHub's clock, in ms; 0 when it does not say.
    pub now: u64,
    pub etag: Option<HeaderValue>,
    pub body: Value,
    limits: Told,
}

/// Why there is no yes.
#[derive(Debug)]
pub enum Failure {
    /// It has not happened: it did not reach GitHub.
    NotSent(String),
    /// It may have happened, and may still.
    Unknown(String),
    /// It has not happened: GitHub asks for silence.
    Limited { after: Duration },
    /// It has not happened: the token does not allow it.
    Denied(String),
    /// It has not happened: there is no such thing, or the token may not see it.
    Missing { why: String, now: u64 },
    /// It has not happened: GitHub says no.
    Refused(String),
    /// The server does not know the query.
    NoSuchField(String),
}

impl Failure {
    pub fn of_read(self) -> StoreError {
        match self {
            Failure::NotSent(why) | Failure::Unknown(why) | Failure::Refused(why) => {
                StoreError::Unavailable { why, retry_after: None }
            }
            other => other.of_write(),
        }
    }

    pub fn of_write(self) -> StoreError {
        match self {
            Failure::Unknown(why) => StoreError::Unknown(why),
            Failure::NotSent(why) | Failure::Refused(why) => {
                StoreError::Unavailable { why, retry_after: None }
            }
            Failure::Limited { after } => StoreError::Unavailable {
                why: format!(
                    "GitHub's rate limit is spent; it asks for silence for {} s",
                    after.as_secs() + 1
                ),
                retry_after: Some(after),
            },
            Failure::Denied(why) => StoreError::Denied(why),
            Failure::Missing { why, .. } => StoreError::Denied(format!(
                "{why}: there is no such repository, or the token may not see it (it needs contents: write)"
            )),
            Failure::NoSuchField(why) => StoreError::Unsupported(format!(
                "{why}; this server is too old for `updateRefs`: add `?refs=rest` to the API's URL, in every process"
            )),
        }
    }
}

/// Until when a call of the store must be over, all of its requests together.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Nanos);

impl Deadline {
    pub fn left(self) -> Duration {
        self.0.since(now()).duration()
    }
}

pub struct Api {
    client: Client,
    rest: String,
    graphql: String,
    /// The server has no `updateRefs`, or is not to be asked for it.
    pub rest_only: bool,
    authorization: HeaderValue,
    timeout: Duration,
    limit: RefCell<Limit>,
    clock: RefCell<ClockThere>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("rest", &self.rest).finish_non_exhaustive()
    }
}

impl Api {
    pub fn new(setup: &Setup) -> Result<Api, StoreError> {
        let Some(token) = setup.token.as_ref().filter(|token| !token.is_empty()) else {
            return Err(StoreError::Denied("GitHub needs a token that may write contents".into()));
        };
        let authorization = secret_header(&format!("Bearer {}", token.expose()))?;
        let (rest, graphql, rest_only) = interfaces(setup.api_url.as_deref().unwrap_or(DOT_COM))?;
        let (client, timeout) = (Client::new(setup)?, setup.request_timeout);
        let (limit, clock) = Default::default();
        Ok(Api { client, rest, graphql, rest_only, authorization, timeout, limit, clock })
    }

    pub fn host(&self) -> &str {
        self.rest.split('/').nth(2).unwrap_or_default()
    }

    pub fn deadline(&self) -> Deadline {
        Deadline(now().plus(Nanos(self.timeout.as_nanos() as u64)))
    }

    /// How long until GitHub's clock shows that time.
    pub fn until(&self, then_ms: u64) -> Option<Duration> {
        self.clock.borrow().until(then_ms, boot_now())
    }

    pub fn let_go(&self) {
        self.client.let_go();
    }

    pub async fn get(&self, path: &str, by: Deadline) -> Result<Answer, Failure> {
        self.get_if_new(path, None, by).await
    }

    /// With the tag of what is known already: 304 is free.
    pub async fn get_if_new(
        &self,
        path: &str,
        known: Option<HeaderValue>,
        by: Deadline,
    ) -> Result<Answer, Failure> {
        let answer = self.send(Method::GET, &format!("{}{path}", self.rest), None, known, by).await;
        answer.map(|answer| self.passed(answer))
    }

    /// Without a body if that is null.
    pub async fn write(
        &self,
        method: Method,
        path: &str,
        body: Value,
        by: Deadline,
    ) -> Result<Answer, Failure> {
        let body = (!body.is_null()).then_some(body);
        let answer = self.send(method, &format!("{}{path}", self.rest), body, None, by).await;
        answer.map(|answer| self.passed(answer))
    }

    /// Answers what is below `data`.
    pub async fn graphql(&self, query: &str, variables: Value, by: Deadline) -> Result<Answer, Failure> {
        let body = json!({ "query": query, "variables": variables });
        let mut answer = self.send(Method::POST, &self.graphql, Some(body), None, by).await?;
        if let Some(error) = answer.body.get("errors").and_then(|errors| errors.get(0)) {
            return Err(self.graphql_failure(error, &answer.limits));
        }
        answer.body = answer.body.get_mut("data").map(Value::take).unwrap_or_default();
        Ok(self.passed(answer))
    }

    /// A few kinds are a verdict. Without one of those it may be that something took too long, and goes on.
    fn graphql_failure(&self, error: &Value, limits: &Told) -> Failure {
        let why = words_of(error);
        if error.pointer("/extensions/code").and_then(Value::as_str) == Some("undefinedField") {
            return Failure::NoSuchField(why);
        }
        match error.get("type").and_then(Value::as_str) {
            Some("RATE_LIMITED" | "RATE_LIMIT") => self.limited(limits),
            Some("FORBIDDEN" | "INSUFFICIENT_SCOPES") => Failure::Denied(why),
            Some("NOT_FOUND") => Failure::Missing { why, now: 0 },
            Some("UNPROCESSABLE" | "STALE_DATA") => Failure::Refused(why),
            // Without that kind nobody promises that nothing has happened; silence is asked for all the same.
            _ => {
                if limits.is_limit() || speaks_of_limits(error) {
                    self.limited(limits);
                }
                Failure::Unknown(why)
            }
        }
    }

    fn passed(&self, answer: Answer) -> Answer {
        self.limit.borrow_mut().passed(&answer.limits, now());
        answer
    }

    fn limited(&self, told: &Told) -> Failure {
        Failure::Limited { after: self.limit.borrow_mut().hit(told, now()).duration() }
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
        known: Option<HeaderValue>,
        by: Deadline,
    ) -> Result<Answer, Failure> {
        let silence = self.limit.borrow().left(now());
        if silence > Nanos::NEVER {
            return Err(Failure::Limited { after: silence.duration() });
        }
        let mut headers = vec![
            (header::AUTHORIZATION, self.authorization.clone()),
            (header::ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (header::USER_AGENT, HeaderValue::from_static("chainlock")),
            (VERSION_HEADER, VERSION),
        ];
        headers.extend(known.map(|tag| (header::IF_NONE_MATCH, tag)));
        let body = body.map(|body| body.to_string());
        if body.is_some() {
            headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        let request =
            Request { method, url: url.to_owned(), headers, body: body.map(Into::into), timeout: by.left() };
        let sent = boot_now();
        let answer = self.client.send(request).await.map_err(|error| match error {
            HttpError::NotSent(why) => Failure::NotSent(why),
            HttpError::Unknown(why) => Failure::Unknown(why),
        })?;
        if let Some(date) = date_of(&answer.headers) {
            self.clock.borrow_mut().told(date, sent, boot_now());
        }
        self.judge(answer.status.as_u16(), &answer.headers, &answer.body)
    }

    fn judge(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Result<Answer, Failure> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|value| value.parse::<u64>().ok());
        let now_there = date_of(headers).unwrap_or(0);
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let told = Told {
            retry_after: number("retry-after"),
            remaining: number("x-ratelimit-remaining"),
            resets_in: date_of(headers)
                .and_then(|now| Some(number("x-ratelimit-reset")?.saturating_sub(now / 1_000))),
        };
        let why = || format!("GitHub answered {status}: {}", words_of(&body));
        match status {
            200..=299 | 304 => {
                let etag = headers.get(header::ETAG).cloned();
                Ok(Answer { status, now: now_there, etag, body, limits: told })
            }
            429 => Err(self.limited(&told)),
            403 if told.is_limit() || speaks_of_limits(&body) => Err(self.limited(&told)),
            401 | 403 => Err(Failure::Denied(why())),
            // A redirect: the repository has another name now, or the URL is not that of the API.
            404 | 300..=399 => Err(Failure::Missing { why: why(), now: now_there }),
            400..=407 | 409..=499 => Err(Failure::Refused(why())),
            _ => {
                // A server in need may ask for a pause, too.
                if told.retry_after.is_some() {
                    self.limited(&told);
                }
                Err(Failure::Unknown(why()))
            }
        }
    }
}

fn date_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::DATE)?.to_str().ok().and_then(dates::of_header)
}

/// A secondary limit may come without any header. It has not happened either way: this only chooses the advice.
fn speaks_of_limits(body: &Value) -> bool {
    let has = |name: &str, word: &str| {
        body.get(name).and_then(Value::as_str).is_some_and(|text| text.to_lowercase().contains(word))
    };
    has("documentation_url", "rate-limit") || has("message", "rate limit")
}

fn words_of(body: &Value) -> String {
    let words = body.get("message").and_then(Value::as_str).unwrap_or("nothing that is understood here");
    words.chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect()
}

/// The REST and the GraphQL interface below the API's URL, and whether only REST is to be used.
fn interfaces(api_url: &str) -> Result<(String, String, bool), StoreError> {
    let wrong = |why: &str| StoreError::Unsupported(format!("the API's URL {why}"));
    let url = url::Url::parse(api_url).map_err(|error| wrong(&format!("is none: {error}")))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(wrong("begins with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has no user and password; the token is an option of its own"));
    }
    let rest_only = match url.query() {
        None | Some("") => false,
        Some("refs=rest") => true,
        Some(_) => return Err(wrong("takes no query but ?refs=rest")),
    };
    let path = url.path().trim_end_matches('/');
    let origin = url.origin().ascii_serialization();
    let graphql = path.strip_suffix("/v3").filter(|api| api.ends_with("/api")).unwrap_or(path);
    Ok((format!("{origin}{path}"), format!("{origin}{graphql}/graphql"), rest_only))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::conformance::github_server::some_setup;

    #[test]
    fn both_interfaces_are_found_below_the_url() {
        let dot_com = interfaces(DOT_COM).unwrap();
        assert_eq!(dot_com, (DOT_COM.into(), "https://api.github.com/graphql".into(), false));
        let own = interfaces("https://git.example.org/api/v3/?refs=rest").unwrap();
        let graphql = "https://git.example.org/api/graphql".into();
        assert_eq!(own, ("https://git.example.org/api/v3".into(), graphql, true));
    }

    #[test]
    fn whatever_it_calls_a_limit_is_obeyed() {
        let hears = |error: Value, limits: Told| {
            let api = Api::new(&some_setup()).unwrap();
            let failure = api.graphql_failure(&error, &limits);
            let left = api.limit.borrow().left(now()).duration();
            (failure, left.as_secs_f64().round() as u64)
        };
        for kind in ["RATE_LIMITED", "RATE_LIMIT"] {
            let told = Told { retry_after: Some(7), ..Told::default() };
            let (failure, silence) = hears(json!({ "type": kind, "message": "too much" }), told);
            assert!(matches!(failure, Failure::Limited { .. }) && silence == 7, "{failure:?}");
        }
        let (failure, silence) =
            hears(json!({ "message": "You have exceeded a secondary rate limit." }), Told::default());
        assert!(matches!(failure, Failure::Unknown(_)) && silence == 60, "{failure:?}");
        let (failure, silence) = hears(json!({ "message": "Something went wrong" }), Told::default());
        assert!(matches!(failure, Failure::Unknown(_)) && silence == 0, "{failure:?}");
    }

    #[test]
    fn headers_that_say_half_are_not_believed() {
        let answer = |status: u16, headers: &[(&'static str, &'static str)]| {
            let api = Api::new(&some_setup()).unwrap();
            let pair = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let answer = api.judge(status, &headers.iter().map(pair).collect(), b"{}");
            let left = api.limit.borrow().left(now()).duration();
            (format!("{answer:?}"), left.as_secs_f64().round() as u64)
        };
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1900000000")];
        assert_eq!(answer(403, &spent).1, 60, "without a date the end of the hour is not known");
        assert_eq!(answer(200, &spent).1, 0);
        let (told, silence) = answer(503, &[("retry-after", "30")]);
        assert!(told.contains("Unknown") && silence == 30, "a server in need: {told}");
        assert_eq!(answer(502, &[]).1, 0);
        assert!(answer(403, &[]).0.contains("Denied"));
    }

    #[test]
    fn an_url_that_is_none_is_refused_without_showing_its_secrets() {
        for url in
            ["", "git.example.org", "ftp://a/", "https://bot:hidden@a/api/v3", "https://a/?token=hidden"]
        {
            let told = format!("{:?}", interfaces(url));
            assert!(told.contains("Unsupported") && !told.contains("hidden"), "{told}");
        }
    }
}
