//! A record as it lies in Redis: one line that the script reads and writes, and the record's JSON after it.
//!
//! `chainlock:1 <version> <base> <run> <at>⏎`: 16 digits each, and 8 hexadecimal digits for the run of the server that
//! wrote it. All three numbers are microseconds on the server's clock; a version may run ahead of it.

use super::errors::{refused, strange};
use crate::lease::store::{Seen, StoreError, Version, Written};
use redis::Value;

/// Stands before every version of the format.
const NAME: &str = "chainlock:";
const HEAD: usize = 72;
/// When the server does not tell its run.
pub const NO_RUN: &str = "--------";

/// The first line, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub version: u64,
    pub base: u64,
    /// In milliseconds.
    pub at: u64,
}

impl Head {
    pub fn read(line: &str) -> Option<Head> {
        let rest = line.strip_prefix(NAME)?.strip_prefix("1 ").filter(|rest| rest.ends_with('\n'))?;
        let (version, rest) = number(rest, 16)?;
        let (base, rest) = number(rest, 16)?;
        let (_run, rest) = rest.split_at_checked(NO_RUN.len())?;
        let (at, end) = number(rest.strip_prefix(' ')?, 16)?;
        end.is_empty().then_some(Head { version, base, at: at / 1000 })
    }

    pub fn written(self) -> Written {
        Written { version: Version::Number(self.version), base: self.base, at: self.at }
    }
}

/// A number of so many digits, and what follows after a space or at the end of the line.
fn number(text: &str, digits: usize) -> Option<(u64, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((number.parse().ok().filter(|_| is_number)?, rest.strip_prefix([' ', '\n'])?))
}

/// What lies under a key.
pub fn seen_in(value: &Value, now: u64, name: &str) -> Result<Seen, StoreError> {
    match value {
        Value::Nil => Ok(Seen::absent(now)),
        Value::BulkString(bytes) => seen_of(bytes, now).map_err(|why| match why {
            Strange::Foreign => {
                StoreError::Foreign(format!("under {name} lies something that chainlock did not write"))
            }
            Strange::Newer => StoreError::Newer(format!("the record under {name} has another format")),
        }),
        Value::ServerError(error) => Err(refused(error)),
        other => Err(strange(&format!("{other:?}"))),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Strange {
    Foreign,
    Newer,
}

/// A stored value. A clock that was set back shows no write of the future: its time stands until it is caught up.
pub fn seen_of(bytes: &[u8], now: u64) -> Result<Seen, Strange> {
    let text = std::str::from_utf8(bytes).map_err(|_| Strange::Foreign)?;
    let is_newer = || text.strip_prefix(NAME).is_some_and(|rest| !rest.starts_with("1 "));
    let strange = || if is_newer() { Strange::Newer } else { Strange::Foreign };
    let (head, body) = text.split_at_checked(HEAD).ok_or_else(strange)?;
    let head = Head::read(head).ok_or_else(strange)?;
    Ok(Seen {
        version: Version::Number(head.version),
        base: head.base,
        at: head.at,
        now: now.max(head.at),
        body: body.into(),
        gone: Vec::new(),
    })
}

/// The answer to TIME, in milliseconds.
pub fn time_in(value: &Value) -> Result<u64, StoreError> {
    let part = |value: Option<&Value>| match value {
        Some(Value::BulkString(bytes)) => std::str::from_utf8(bytes).ok()?.parse::<u64>().ok(),
        _ => None,
    };
    match value {
        Value::Array(parts) => part(parts.first()).zip(part(parts.get(1))),
        Value::ServerError(error) => return Err(refused(error)),
        _ => None,
    }
    .map(|(seconds, micros)| seconds.saturating_mul(1000).saturating_add(micros / 1000))
    .ok_or_else(|| strange("something else than its time"))
}

/// The answer to SCAN: where to go on, and names; those that are no text are not ours.
pub fn scanned(value: Value) -> Result<(String, Vec<String>), StoreError> {
    let text = |value: Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    };
    let parts = match value {
        Value::Array(parts) => parts,
        Value::ServerError(error) => return Err(refused(&error)),
        _ => Vec::new(),
    };
    match <[Value; 2]>::try_from(parts) {
        Ok([cursor, Value::Array(names)]) => {
            let cursor = text(cursor).ok_or_else(|| strange("no cursor"))?;
            Ok((cursor, names.into_iter().filter_map(text).collect()))
        }
        _ => Err(strange("something else than a scan")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "chainlock:1 1763766456000123 1763766456000001 a1b2c3d4 1763766456000120\n{\"v\":1}";

    #[test]
    fn a_value_is_read_back() {
        let seen = seen_of(GOOD.as_bytes(), 1763766457000).unwrap();
        assert_eq!(seen.version, Version::Number(1763766456000123));
        assert_eq!((seen.base, seen.at, seen.now), (1763766456000001, 1763766456000, 1763766457000));
        assert_eq!(&*seen.body, "{\"v\":1}");
    }

    #[test]
    fn a_clock_that_was_set_back_stands() {
        assert_eq!(seen_of(GOOD.as_bytes(), 5).unwrap().now, 1763766456000);
    }

    #[test]
    fn whatever_else_lies_there_is_told_apart() {
        let newer = GOOD.replacen(":1 ", ":2 ", 1);
        assert_eq!(seen_of(newer.as_bytes(), 1).unwrap_err(), Strange::Newer);
        let broken = [
            GOOD.replacen("17637", "+7637", 1),
            GOOD.replacen('\n', " ", 1),
            GOOD[..60].to_owned(),
            GOOD.replacen(" 1763766456000120", " 17é6456000120", 1),
            String::new(),
            "17".to_owned(),
        ];
        for text in broken {
            assert_eq!(seen_of(text.as_bytes(), 1).unwrap_err(), Strange::Foreign, "{text:?}");
        }
        assert_eq!(seen_of(b"\xff\xfe", 1).unwrap_err(), Strange::Foreign);
    }
}
