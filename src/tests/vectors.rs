//! Runs `__test__/vectors/send-rules.json` against the send lock. JavaScript runs the same file against the
//! addon; the file itself says what its words mean.

use crate::local::departures::RowId;
use crate::name::ShortText;
use crate::send::config::{Change, LayersChange};
use crate::send::dedup::MessageKey;
use crate::send::lock::{Caller, Refused, SendLock, Which};
use crate::send::report::metric_names;
use crate::send::rules::{CooldownFrom, OnTimeout, Refusal};
use crate::time::{Moment, Nanos};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

const FILE: &str = include_str!("../../__test__/vectors/send-rules.json");
/// The process has been up for a day and an hour when a vector begins.
const BEGIN_MS: f64 = 90_000_000.0;
const BEGIN_EPOCH_MS: f64 = 1_700_000_000_000.0;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    clock: String,
    settings: SettingsOf,
    steps: Vec<Step>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SettingsOf {
    cooldown_ms: Option<f64>,
    timeout_ms: Option<f64>,
    force_release_ms: Option<f64>,
    dedup_window_ms: Option<f64>,
    cooldown_from: Option<String>,
    on_timeout: Option<String>,
    history_limit: Option<usize>,
    layers: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    op: String,
    at: Option<f64>,
    #[serde(default)]
    thread: u64,
    layer: Option<String>,
    message: Option<String>,
    /// The grant's name for later steps.
    r#as: Option<String>,
    token: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    holder: Option<Value>,
    retry_after_ms: Option<f64>,
    grant: Option<String>,
    sent: Option<bool>,
    reason: Option<String>,
    to: Option<f64>,
    settings: Option<SettingsOf>,
    expect: Option<Value>,
}

/// Keeps a `null` that is there apart from what is not there.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

impl SettingsOf {
    fn change(&self) -> Change {
        let text = |value: &Value| ShortText::name(value.as_str().unwrap()).unwrap();
        Change {
            cooldown: self.cooldown_ms.map(Nanos::from_ms),
            timeout: self.timeout_ms.map(Nanos::from_ms),
            force_after: self.force_release_ms.map(Nanos::from_ms),
            dedup_window: self.dedup_window_ms.map(Nanos::from_ms),
            cooldown_from: self.cooldown_from.as_deref().map(|from| match from {
                "acquire" => CooldownFrom::Acquire,
                "release" => CooldownFrom::Release,
                other => panic!("cooldownFrom: {other}"),
            }),
            on_timeout: self.on_timeout.as_deref().map(|what| match what {
                "report" => OnTimeout::Report,
                "release" => OnTimeout::Release,
                other => panic!("onTimeout: {other}"),
            }),
            history_limit: self.history_limit,
            layers: self.layers.as_ref().map(|layers| match layers.as_array() {
                Some(names) => LayersChange::Only(names.iter().map(text).collect()),
                None => LayersChange::Any,
            }),
        }
    }
}

struct Run {
    lock: SendLock,
    grants: HashMap<String, u64>,
}

impl Run {
    fn new(settings: &SettingsOf, moment: Moment) -> Self {
        let lock = SendLock::independent();
        lock.configure(&settings.change(), moment.now);
        Self { lock, grants: HashMap::new() }
    }

    fn token(&self, value: &Value) -> u64 {
        value.as_u64().unwrap_or_else(|| self.grants[value.as_str().unwrap()])
    }

    /// The answer of one step, or what is wrong with it.
    fn step(&mut self, step: &Step, moment: Moment) -> Result<(), String> {
        let row = RowId::here(step.thread as u32, 1);
        let caller = Caller { row, thread_id: step.thread, mailbox: 0 };
        let layer = step.layer.as_deref().and_then(ShortText::name);
        let now = moment.now;
        let answer = match step.op.as_str() {
            "try" => return self.attempt(step, caller, layer.as_ref(), now),
            "release" => {
                let token = step.token.as_ref().map(|token| self.token(token));
                json!(self.lock.release(caller, Which::Layer(&layer.unwrap(), token), true, now).answer)
            }
            "releaseGuard" => {
                let token = self.grants[step.grant.as_deref().unwrap()];
                json!(self.lock.release(caller, Which::Token(token), step.sent.unwrap_or(true), now).answer)
            }
            "check" => json!(self.lock.state().is_held_by(self.grants[step.grant.as_deref().unwrap()])),
            "locked" => json!(self.lock.state().is_held()),
            "force" => {
                json!(self.lock.force_release(ShortText::cut(step.reason.as_deref().unwrap()), now).answer)
            }
            "checkAndForce" => json!(self.lock.tick(now).answer),
            "threadExit" => json!(self.lock.depart(row, now).answer),
            "setLastSendTime" => {
                let to = step.to.unwrap();
                let at = if to == 0.0 { Nanos::NEVER } else { moment.nanos_of(to) };
                self.lock.set_last_acquired(at, now);
                Value::Null
            }
            "configure" => {
                self.lock.configure(&step.settings.as_ref().unwrap().change(), now);
                Value::Null
            }
            "reset" => {
                self.lock.reset_metrics(Nanos::NEVER);
                Value::Null
            }
            "status" => serde_json::from_str(&self.lock.status_json(moment)).unwrap(),
            "metrics" => self.metrics(moment),
            "history" => {
                let entries: Vec<Value> = serde_json::from_str(&self.lock.history_json(moment)).unwrap();
                let line = |entry: &Value| {
                    format!("{} {}", entry["action"].as_str().unwrap(), entry["layerId"].as_str().unwrap())
                };
                json!(entries.iter().map(line).collect::<Vec<_>>())
            }
            other => panic!("no such op: {other}"),
        };
        agrees(&answer, step.expect.as_ref().unwrap_or(&Value::Null), "")
    }

    /// `getMetrics()`, as far as it is made here.
    fn metrics(&self, moment: Moment) -> Value {
        let mut numbers = Vec::new();
        self.lock.metrics(moment, |number| numbers.push(number));
        let mut metrics = json!({});
        for (name, number) in metric_names().iter().zip(&numbers) {
            let place = name.split('.').fold(&mut metrics, |place, level| &mut place[level]);
            *place = json!(number);
        }
        let held = |name: &str| metrics[name].as_f64().unwrap();
        let mean = held("historyDurationMs") / held("historyDurations");
        metrics["averageLockDurationMs"] = if mean.is_nan() { Value::Null } else { json!(mean) };
        let entries: Vec<Value> = serde_json::from_str(&self.lock.history_json(moment)).unwrap();
        metrics["recentActivity"] = json!(entries[entries.len().saturating_sub(10)..]);
        metrics["layers"] = json!({});
        for row in &self.lock.page().layers.0 {
            metrics["layers"][row.name.get().to_text()] = json!({
                "acquisitions": row.acquisitions.get(),
                "releases": row.releases.get(),
                "blocked": row.blocked.get(),
                "forced": row.forced.get(),
            });
        }
        metrics
    }

    fn attempt(
        &mut self,
        step: &Step,
        caller: Caller,
        layer: Option<&ShortText>,
        now: Nanos,
    ) -> Result<(), String> {
        let message = step.message.as_deref().map(|text| MessageKey::of(text.as_bytes()));
        let answer = self.lock.try_acquire(caller, layer, message, now).answer;
        let expected = step.expect.as_ref().unwrap();
        match answer {
            Ok(token) => {
                agrees(&json!("acquired"), expected, "")?;
                if let Some(name) = &step.r#as {
                    self.grants.insert(name.clone(), token);
                }
                step.token.as_ref().map_or(Ok(()), |wanted| agrees(&json!(token), wanted, ".token"))
            }
            Err(refused) => {
                agrees(&json!(reason(&refused)), expected, "")?;
                let rows = &self.lock.page().layers.0;
                let holder = refused.holder.map(|holder| rows[holder.layer_row].name.get().to_text());
                step.holder.as_ref().map_or(Ok(()), |wanted| agrees(&json!(holder), wanted, ".holder"))?;
                let left = refused.retry_after.as_ms();
                step.retry_after_ms
                    .map_or(Ok(()), |wanted| agrees(&json!(left), &json!(wanted), ".retryAfterMs"))
            }
        }
    }
}

/// What JavaScript makes of the numbers; only its half can check it.
const MADE_BY_JAVASCRIPT: [&str; 5] =
    ["lockEfficiency", "duplicateRate", "averageLockDuration", "lockEfficiencyRatio", "duplicateRateRatio"];

fn reason(refused: &Refused) -> &'static str {
    match refused.refusal {
        Refusal::UnknownLayer => "unknown_layer",
        Refusal::Cooldown { .. } => "cooldown",
        Refusal::Held => "held",
        Refusal::DuplicateMessage { .. } => "duplicate_message",
    }
}

/// Whether every key of `expected` is in `answer` with that value.
fn agrees(answer: &Value, expected: &Value, at: &str) -> Result<(), String> {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => expected.iter().try_for_each(|(key, value)| {
            if MADE_BY_JAVASCRIPT.contains(&key.as_str()) {
                return Ok(());
            }
            agrees(answer.get(key).unwrap_or(&Value::Null), value, &format!("{at}.{key}"))
        }),
        (Value::Array(answer), Value::Array(expected)) if answer.len() == expected.len() => {
            let mut pairs = answer.iter().zip(expected).enumerate();
            pairs.try_for_each(|(index, (answer, value))| agrees(answer, value, &format!("{at}[{index}]")))
        }
        (Value::Number(answer), Value::Number(expected)) if answer.as_f64() == expected.as_f64() => Ok(()),
        _ if answer == expected => Ok(()),
        _ => Err(format!("answer{at} is {answer}, expected {expected}")),
    }
}

fn moment(ms: f64) -> Moment {
    Moment::at(Nanos::from_ms(BEGIN_MS).plus(Nanos::from_ms(ms)), BEGIN_EPOCH_MS + ms)
}

/// Plays a vector with `pace` milliseconds between steps that name no time of their own.
fn play(vector: &Vector, pace: f64) -> Result<(), String> {
    let mut run = Run::new(&vector.settings, moment(0.0));
    for (index, step) in vector.steps.iter().enumerate() {
        let at = step.at.unwrap_or(index as f64 * pace);
        run.step(step, moment(at))
            .map_err(|wrong| format!("\"{}\", step {} ({}): {wrong}", vector.name, index + 1, step.op))?;
    }
    Ok(())
}

/// In virtual vectors only steps that look at no clock may leave their time out.
fn names_its_times(vector: &Vector) -> bool {
    vector
        .steps
        .iter()
        .all(|step| step.at.is_some() || ["history", "reset", "locked"].contains(&step.op.as_str()))
}

#[test]
fn the_send_lock_answers_as_the_vectors_say() {
    let file: File = serde_json::from_str(FILE).unwrap();
    let mut wrong = Vec::new();
    for vector in &file.vectors {
        // A vector for any clock is right at rest, at a walk and at a crawl.
        let paces: &[f64] = match vector.clock.as_str() {
            "any" => &[0.0, 7.0, 90_000.0],
            "virtual" if names_its_times(vector) => &[0.0],
            other => panic!("\"{}\": clock {other}, or a step without `at`", vector.name),
        };
        wrong.extend(paces.iter().filter_map(|pace| play(vector, *pace).err()));
    }
    let any = file.vectors.iter().filter(|vector| vector.clock == "any").count();
    println!("vectors: {} vectors ({any} for any clock)", file.vectors.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(file.vectors.len() >= 40 && any >= 40);
}
