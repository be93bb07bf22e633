//! GitHub's rate limits: for how long nothing goes out, after it has said so. Asking on would get the account banned.

use std::time::Duration;

use crate::time::Nanos;

/// How long to be silent when GitHub does not say; twice as long each time, up to the most.
const UNTOLD: Duration = Duration::from_secs(60);
const MOST: Duration = Duration::from_secs(15 * 60);
/// Its limits are counted by the hour: what asks for longer is not believed, but asked again.
const HOUR: Duration = Duration::from_secs(3_600);

/// What the headers of an answer say, in seconds.
#[derive(Debug, Default)]
pub struct Told {
    pub retry_after: Option<u64>,
    pub remaining: Option<u64>,
    pub resets_in: Option<u64>,
}

impl Told {
    pub fn is_limit(&self) -> bool {
        self.retry_after.is_some() || self.remaining == Some(0)
    }

    fn silence(&self) -> Option<Duration> {
        let reset = self.resets_in.filter(|_| self.remaining == Some(0));
        // Its clock has whole seconds.
        self.retry_after.or(reset.map(|seconds| seconds.saturating_add(1))).map(Duration::from_secs)
    }
}

#[derive(Debug, Default)]
pub struct Limit {
    until: Nanos,
    /// How often in a row GitHub refused without saying for how long.
    untold: u32,
}

impl Limit {
    /// For how long nothing may go out.
    pub fn left(&self, now: Nanos) -> Nanos {
        self.until.since(now)
    }

    /// GitHub refused because of a limit.
    pub fn hit(&mut self, told: &Told, now: Nanos) -> Nanos {
        let silence = told.silence().unwrap_or_else(|| {
            self.untold = (self.untold + 1).min(8);
            (UNTOLD * 2u32.pow(self.untold - 1)).min(MOST)
        });
        self.be_silent(silence, now);
        self.left(now)
    }

    /// GitHub served a request; it may have been the last one of this hour.
    pub fn passed(&mut self, told: &Told, now: Nanos) {
        self.untold = 0;
        if let (Some(0), Some(silence)) = (told.remaining, told.silence()) {
            self.be_silent(silence, now);
        }
    }

    fn be_silent(&mut self, silence: Duration, now: Nanos) {
        let silence = silence.min(HOUR);
        self.until = self.until.max(now.plus(Nanos(silence.as_nanos() as u64)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Nanos = Nanos(1_000_000_000_000);

    fn silence_after(tell: impl Fn(&mut Limit)) -> u64 {
        let mut limit = Limit::default();
        tell(&mut limit);
        limit.left(NOW).duration().as_secs()
    }

    #[test]
    fn it_is_silent_for_as_long_as_it_is_told() {
        let told = Told { retry_after: Some(7), ..Told::default() };
        let hit = |told: &Told| {
            silence_after(|limit| {
                limit.hit(told, NOW);
            })
        };
        assert_eq!(hit(&told), 7);
        let told = Told { remaining: Some(0), resets_in: Some(90), retry_after: None };
        assert_eq!(hit(&told), 91);
        assert_eq!(silence_after(|limit| limit.passed(&told, NOW)), 91, "the last one of the hour");
        let endless = Told { retry_after: Some(u64::MAX), ..Told::default() };
        assert_eq!(hit(&endless), 3_600, "what no limit lasts");
        let told = Told { remaining: Some(1), ..told };
        assert_eq!(silence_after(|limit| limit.passed(&told, NOW)), 0);
    }

    #[test]
    fn untold_it_is_silent_for_a_minute_and_longer_each_time() {
        let many = |times: u32| {
            silence_after(|limit| {
                for _ in 0..times {
                    limit.hit(&Told::default(), NOW);
                }
            })
        };
        assert_eq!([1, 2, 3, 4, 5, 50].map(many), [60, 120, 240, 480, 900, 900]);
    }
}
