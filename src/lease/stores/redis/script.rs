//! The one write: a script that moves all of its records or none, and how its answer is read.

use super::entry::{Head, seen_of};
use super::errors::{refused, strange};
use crate::lease::store::{Seen, StoreError, Swap, Swapped, Version};
use redis::{Cmd, Value, cmd};

/// KEYS: the records. ARGV: this run of the server, what stands before a channel's name, then for each record what
/// its first line begins with (empty: there is none), its text, and `1` to tell those who watch.
/// Answers the records' first lines; or false, the time, and what lies there, when one of them was moved.
///
/// The time is read once: all records of a call get one version, above each of the old ones. A base stays with its
/// record as long as the server's run is the same. A push that the user has no right to is only a hint that is lost.
/// Numbers stay texts of one width, which compare as they count: making them is most of what a call costs.
const SWAP: &str = r"
local call, sub = redis.call, string.sub
local time = call('TIME')
local now = time[1] .. sub(time[2] + 1000000, 2)
local held, moved, new = {}, false, now
for i = 1, #KEYS do
  local value, want = call('GET', KEYS[i]), ARGV[3 * i]
  held[i] = value
  if (value and sub(value, 1, 28) or '') ~= want or value == '' then
    moved = true
  elseif value and sub(want, 13) >= new then
    new = string.format('%016.0f', sub(want, 13) + 1)
  end
end
if moved then
  return {false, now, unpack(held)}
end
local run = ARGV[1]
for i = 1, #KEYS do
  local key, value, base = KEYS[i], held[i], new
  if value and sub(value, 47, 54) == run then
    base = sub(value, 30, 45)
  end
  local head = 'chainlock:1 ' .. new .. ' ' .. base .. ' ' .. run .. ' ' .. now .. '\n'
  value = head .. ARGV[3 * i + 1]
  call('SET', key, value, 'PX', '2592000000')
  if ARGV[3 * i + 2] == '1' then
    redis.pcall('PUBLISH', ARGV[2] .. key, #value <= 65536 and value or '')
  end
  held[i] = head
end
return held
";

/// What nothing begins with.
const NEVER: &str = "-";

#[derive(Debug)]
pub struct Script {
    hash: String,
    /// Before a record's name: the name of its channel.
    channel: String,
}

impl Script {
    pub fn new(channel: String) -> Script {
        Script { hash: redis::Script::new(SWAP).get_hash().to_owned(), channel }
    }

    /// The call, by the script's hash or with its whole text.
    pub fn call(&self, names: &[String], swaps: &[Swap], run: &str, whole: bool) -> Cmd {
        let mut call = match whole {
            true => cmd("EVAL"),
            false => cmd("EVALSHA"),
        };
        call.arg(if whole { SWAP } else { &self.hash }).arg(names.len()).arg(names);
        call.arg(run).arg(&self.channel);
        for swap in swaps {
            match &swap.expect {
                Version::Absent => call.arg(""),
                Version::Number(number) => call.arg(format!("chainlock:1 {number:016}")),
                Version::Object(_) => call.arg(NEVER),
            };
            call.arg(&*swap.body).arg(if swap.wake { "1" } else { "" });
        }
        call
    }
}

/// Whether the server does not have the script; then nothing was run.
pub fn is_unknown(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

/// What the script said about so many records.
pub fn verdict(answer: &Value, many: usize) -> Result<Swapped, StoreError> {
    let parts = match answer {
        Value::Array(parts) => parts.as_slice(),
        Value::ServerError(error) => return Err(refused(error)),
        _ => &[],
    };
    let swapped = match parts {
        [Value::Nil, time, held @ ..] if held.len() == many => lost(time, held)?,
        heads if heads.len() == many => won(heads),
        _ => None,
    };
    swapped.ok_or_else(|| strange("something else than the script says"))
}

fn won(heads: &[Value]) -> Option<Swapped> {
    let heads = heads.iter().map(|head| Head::read(text(head)?).map(Head::written));
    heads.collect::<Option<Vec<_>>>().map(Swapped::Won)
}

fn lost(time: &Value, held: &[Value]) -> Result<Option<Swapped>, StoreError> {
    let Some(now) = text(time).and_then(|time| time.parse::<u64>().ok()) else {
        return Ok(None);
    };
    let held: Result<Vec<Seen>, StoreError> =
        held.iter().map(|value| super::entry::seen_in(value, now / 1000, "it")).collect();
    Ok(Some(Swapped::Lost(held?)))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// What a push carried: the record as it was written.
pub fn pushed(payload: &[u8]) -> Option<Seen> {
    seen_of(payload, 0).ok()
}
