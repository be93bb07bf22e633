//! The native events on stderr, for `CHAINLOCK_LOG=error|warn|info`; silent without it.
//!
//! One event is one line, in the form that the controller's operators know:
//! `[2026-11-21T08:01:02.345Z] [SHARED_LOCK] [INFO] ℹ️ 🔒 SEND LOCK ACQUIRED: e2e-executor`

use crate::send::events;
use crate::table::ring::Record;
use crate::time;
use once_cell::sync::OnceCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

const VARIABLE: &str = "CHAINLOCK_LOG";

static STARTED: OnceCell<()> = OnceCell::new();

/// Starts printing, once per process, if the environment asks for it. An unknown level prints nothing.
pub fn start() {
    STARTED.get_or_init(|| {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        let level = Some(text.trim()).filter(|text| !text.is_empty());
        let level = level.and_then(|text| text.parse::<LevelFilter>().ok());
        let Some(level) = level.filter(|level| *level != LevelFilter::OFF) else { return };
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .event_format(Familiar)
            // Else a stderr that cannot be written makes it print about that, which panics.
            .log_internal_errors(false);
        let subscriber = tracing_subscriber::registry().with(level).with(lines);
        // Somebody else's subscriber in this library is not possible; if it were, it would stay.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
}

/// Prints. What goes wrong here is nobody's answer: the lock has changed already.
pub fn emit(records: &[Record]) {
    let _ = catch_unwind(AssertUnwindSafe(|| records.iter().for_each(events::emit)));
}

#[derive(Debug)]
struct Familiar;

impl<S, N> FormatEvent<S, N> for Familiar
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (level, mark) = match *event.metadata().level() {
            Level::ERROR => ("ERROR", "❌"),
            Level::WARN => ("WARNING", "⚠️"),
            _ => ("INFO", "ℹ️"),
        };
        write!(writer, "[{}] [SHARED_LOCK] [{level}] {mark} ", time::iso(time::epoch_ms()))?;
        event.record(&mut MessageOnly(&mut writer));
        writeln!(writer)
    }
}

/// Prints the message and leaves the typed fields to other listeners.
struct MessageOnly<'a, 'w>(&'a mut Writer<'w>);

impl tracing::field::Visit for MessageOnly<'_, '_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // A line that cannot be written has nobody to be told.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
