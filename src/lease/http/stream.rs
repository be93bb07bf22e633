//! An answer that goes on: its lines, one JSON text each, as they come.

use std::fmt;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Response, StatusCode};

use super::{Bytes, HttpError, MAX_ANSWER, causes};

pub struct Lines {
    status: StatusCode,
    body: Incoming,
    /// What has come and was not yet handed out, from `from` on.
    come: Vec<u8>,
    from: usize,
    /// Up to here no line ends.
    looked: usize,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Lines {
    pub(super) fn new(answer: Response<Incoming>) -> Lines {
        let status = answer.status();
        Lines { status, body: answer.into_body(), come: Vec::new(), from: 0, looked: 0 }
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The next line without its end; none when the answer is over. Safe to drop and to call again.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            if let Some(line) = self.whole_line() {
                return Ok(Some(line));
            }
            if self.come.len() - self.from > MAX_ANSWER {
                return Err(HttpError::Unknown(format!("a line of more than {MAX_ANSWER} bytes")));
            }
            match self.body.frame().await {
                None => return Ok(self.rest()),
                Some(Ok(frame)) => self.come.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                Some(Err(error)) => return Err(HttpError::Unknown(causes(&error))),
            }
        }
    }

    fn whole_line(&mut self) -> Option<Bytes> {
        let end = self.come[self.looked..].iter().position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| self.looked + end) else {
            self.come.drain(..self.from);
            (self.from, self.looked) = (0, self.come.len());
            return None;
        };
        let line = Bytes::copy_from_slice(&self.come[self.from..end]);
        (self.from, self.looked) = (end + 1, end + 1);
        Some(line)
    }

    fn rest(&mut self) -> Option<Bytes> {
        let rest = Bytes::copy_from_slice(&self.come[self.from..]);
        self.come.clear();
        (self.from, self.looked) = (0, 0);
        (!rest.is_empty()).then_some(rest)
    }
}
