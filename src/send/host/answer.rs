//! What an operation answers when the shared state cannot be had: the least that can be said.

use crate::send::lock::{Outcome, Refused};
use crate::send::rules::Refusal;
use crate::time::Nanos;

/// An answer that there is also without the state.
pub trait Answer {
    fn unavailable() -> Self;
}

/// Nothing is known of a holder; whoever looks at `Done::unavailable` knows better.
const REFUSED: Refused = Refused { refusal: Refusal::Held, holder: None, retry_after: Nanos::FOREVER };

impl Answer for () {
    fn unavailable() {}
}

impl Answer for bool {
    fn unavailable() -> Self {
        false
    }
}

impl<T> Answer for Result<T, Refused> {
    fn unavailable() -> Self {
        Err(REFUSED)
    }
}

impl Answer for Outcome {
    fn unavailable() -> Self {
        Outcome::Refused(REFUSED)
    }
}

impl<T> Answer for Option<T> {
    fn unavailable() -> Self {
        None
    }
}
