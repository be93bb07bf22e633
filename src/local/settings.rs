//! The settings of the named locks, one set per process. They are single values that nobody reads together, so
//! they need no mutex.

use crate::local::lock_order::Level;
use crate::sync::Field;

/// Milliseconds; a wait without end is infinite.
#[derive(Debug)]
pub struct Settings {
    read_timeout: Field,
    write_timeout: Field,
    long_wait: Field,
    order: Field,
}

/// What a change leaves as it is, is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    pub read_timeout_ms: Option<f64>,
    pub write_timeout_ms: Option<f64>,
    pub long_wait_ms: Option<f64>,
    pub order: Option<Level>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read_timeout: Field::new(10_000f64.to_bits()),
            write_timeout: Field::new(30_000f64.to_bits()),
            long_wait: Field::new(300_000f64.to_bits()),
            order: Field::new(Level::Off as u64),
        }
    }
}

impl Settings {
    pub(super) fn apply(&self, change: &Change) {
        let times = [
            (&self.read_timeout, change.read_timeout_ms),
            (&self.write_timeout, change.write_timeout_ms),
            (&self.long_wait, change.long_wait_ms),
        ];
        for (field, ms) in times {
            if let Some(ms) = ms {
                field.set(ms.to_bits());
            }
        }
        if let Some(level) = change.order {
            self.order.set(level as u64);
        }
    }

    pub fn read_timeout_ms(&self) -> f64 {
        f64::from_bits(self.read_timeout.get())
    }

    pub fn write_timeout_ms(&self) -> f64 {
        f64::from_bits(self.write_timeout.get())
    }

    pub fn long_wait_ms(&self) -> f64 {
        f64::from_bits(self.long_wait.get())
    }

    pub fn order(&self) -> Level {
        match self.order.get() {
            0 => Level::Off,
            1 => Level::Warn,
            _ => Level::Error,
        }
    }
}
