//! The machine's clock, and which boot it counts from.

use crate::lease::store::StoreError;
use crate::sys::process;
use crate::time;

/// A row of another boot is seen so long after it was written: longer than any term.
pub const ANOTHER_BOOT: u64 = 1 << 51;
/// In place of the boot, where a system has no clock of it: the wall clock, which somebody may set.
const WALL: &str = "wall";

#[derive(Clone, Debug)]
pub struct BootClock {
    /// The boot's id, and the time namespace in which it is counted.
    boot: String,
}

impl BootClock {
    pub fn new() -> Self {
        let own = process::own();
        let [high, low] = own.boot;
        match (own.boot != [0; 2]).then(time::ms_since_boot).flatten() {
            Some(_) => Self { boot: format!("{high:016x}{low:016x}.{}", own.time_namespace) },
            None => Self { boot: WALL.to_owned() },
        }
    }

    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// Milliseconds, never 0.
    pub fn now(&self) -> u64 {
        let ms = if self.boot == WALL { None } else { time::ms_since_boot() };
        ms.unwrap_or_else(|| time::epoch_ms() as u64).max(1)
    }

    /// What time it is for a row that was written at `at` of some boot.
    pub fn now_for(&self, at: u64, boot: &str) -> Result<u64, StoreError> {
        if boot == self.boot {
            return Ok(self.now().max(at));
        }
        let (id, own) = (id_of(boot), id_of(&self.boot));
        if id == own {
            return Err(StoreError::Unsupported("it is also used from another time namespace".into()));
        }
        if id == WALL || own == WALL {
            return Err(StoreError::Unsupported(
                "it is also used where the machine's boot cannot be read".into(),
            ));
        }
        Ok(at.saturating_add(ANOTHER_BOOT))
    }
}

fn id_of(boot: &str) -> &str {
    boot.split('.').next().unwrap_or_default()
}
