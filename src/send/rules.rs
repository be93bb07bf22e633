//! The rules of the send lock, in one pure function. No clock, no memory, no lock: everything that
//! matters is an argument, and the model checker and the vectors in `__test__/vectors` run this very code.
//!
//! The order: unknown layer · a hold past its force-release age is ended first · cooldown · held · same
//! message already sent · acquired.

use crate::time::Nanos;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CooldownFrom {
    /// From the last acquisition, as the JavaScript module counted.
    Acquire,
    /// From the end of the last hold.
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnTimeout {
    /// The hold becomes overdue and is reported.
    Report,
    /// The hold is ended.
    Release,
}

/// The settings, one value for all threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    pub cooldown: Nanos,
    pub timeout: Nanos,
    pub force_after: Nanos,
    pub dedup_window: Nanos,
    pub cooldown_from: CooldownFrom,
    pub on_timeout: OnTimeout,
}

/// A present hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    pub since: Nanos,
    pub overdue: bool,
}

/// What the rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub hold: Option<Hold>,
    /// `Nanos::NEVER` when there was none, or when the cooldown was skipped on purpose.
    pub last_acquired: Nanos,
    pub last_ended: Nanos,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    pub layer_known: bool,
    /// When the same message was last sent, if it was and if the caller named one.
    pub sent_before: Option<Nanos>,
}

/// Why a hold ends without its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// Past the timeout, with `onTimeout: 'release'`.
    Timeout,
    /// Past the force-release age.
    Stale,
}

/// What is due by the clock alone, whoever looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Due {
    Nothing,
    /// Mark the hold overdue.
    Overdue,
    /// End the hold.
    End(Expiry),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    UnknownLayer,
    Cooldown { left: Nanos },
    Held,
    DuplicateMessage { left: Nanos },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Acquire,
    Refuse(Refusal),
}

/// What to do first, and then the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    pub first: Due,
    pub verdict: Verdict,
}

/// The decision about one request.
#[inline]
pub fn decide(rules: &Rules, state: &State, request: &Request, now: Nanos) -> Decision {
    if !request.layer_known {
        return Decision { first: Due::Nothing, verdict: Verdict::Refuse(Refusal::UnknownLayer) };
    }
    let first = due(rules, state, now);
    let state = after(state, first, now);
    let verdict = if let Some(left) = cooldown_left(rules, &state, now) {
        Verdict::Refuse(Refusal::Cooldown { left })
    } else if state.hold.is_some() {
        Verdict::Refuse(Refusal::Held)
    } else if let Some(left) = duplicate_left(rules, request, now) {
        Verdict::Refuse(Refusal::DuplicateMessage { left })
    } else {
        Verdict::Acquire
    };
    Decision { first, verdict }
}

/// What is due by the clock.
#[inline]
pub fn due(rules: &Rules, state: &State, now: Nanos) -> Due {
    let Some(hold) = state.hold else { return Due::Nothing };
    let age = now.since(hold.since);
    if age >= rules.force_after {
        Due::End(Expiry::Stale)
    } else if age >= rules.timeout && rules.on_timeout == OnTimeout::Release {
        Due::End(Expiry::Timeout)
    } else if age >= rules.timeout && !hold.overdue {
        Due::Overdue
    } else {
        Due::Nothing
    }
}

/// When something is next due by the clock, given whether anybody waits.
pub fn next_due(rules: &Rules, state: &State, anyone_waits: bool) -> Nanos {
    match state.hold {
        Some(hold) if hold.overdue => hold_end(rules, state),
        Some(hold) => hold_end(rules, state).min(hold.since.plus(rules.timeout)),
        None if anyone_waits => cooldown_end(rules, state),
        None => Nanos::FOREVER,
    }
}

/// When the present hold is taken away if nobody gives it back; `FOREVER` without one.
pub fn hold_end(rules: &Rules, state: &State) -> Nanos {
    let Some(hold) = state.hold else { return Nanos::FOREVER };
    hold.since.plus(match rules.on_timeout {
        OnTimeout::Report => rules.force_after,
        OnTimeout::Release => rules.force_after.min(rules.timeout),
    })
}

/// What is left of the cooldown; `None` when it is over.
#[inline]
pub fn cooldown_left(rules: &Rules, state: &State, now: Nanos) -> Option<Nanos> {
    let end = cooldown_end(rules, state);
    (now < end).then(|| end.since(now))
}

#[inline]
fn cooldown_end(rules: &Rules, state: &State) -> Nanos {
    let from = match rules.cooldown_from {
        CooldownFrom::Acquire => state.last_acquired,
        CooldownFrom::Release => state.last_ended,
    };
    if from == Nanos::NEVER { Nanos::NEVER } else { from.plus(rules.cooldown) }
}

/// What is left of the window in which the request's message is refused; `None` when it may be sent.
#[inline]
pub fn duplicate_left(rules: &Rules, request: &Request, now: Nanos) -> Option<Nanos> {
    let end = request.sent_before?.plus(rules.dedup_window);
    (now < end).then(|| end.since(now))
}

fn after(state: &State, due: Due, now: Nanos) -> State {
    match due {
        Due::Nothing => *state,
        Due::Overdue => State { hold: state.hold.map(|hold| Hold { overdue: true, ..hold }), ..*state },
        Due::End(_) => State { hold: None, last_ended: now, ..*state },
    }
}

/// The state after an acquisition.
pub fn acquired(now: Nanos, state: &State) -> State {
    State { hold: Some(Hold { since: now, overdue: false }), last_acquired: now, ..*state }
}

/// The state after the end of a hold, however it came.
pub fn ended(now: Nanos, state: &State) -> State {
    State { hold: None, last_ended: now, ..*state }
}

/// Whether the hold is overdue under these rules: they may have changed since it became so.
pub fn is_overdue(rules: &Rules, hold: &Hold, now: Nanos) -> bool {
    hold.overdue && now.since(hold.since) >= rules.timeout
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    fn rules() -> Rules {
        Rules {
            cooldown: ms(2_000),
            timeout: ms(300_000),
            force_after: ms(600_000),
            dedup_window: ms(0),
            cooldown_from: CooldownFrom::Acquire,
            on_timeout: OnTimeout::Report,
        }
    }

    const FRESH: State = State { hold: None, last_acquired: Nanos::NEVER, last_ended: Nanos::NEVER };
    const KNOWN: Request = Request { layer_known: true, sent_before: None };

    fn ask(rules: &Rules, state: &State, request: Request, at: Nanos) -> Verdict {
        decide(rules, state, &request, at).verdict
    }

    #[test]
    fn an_unknown_layer_is_refused_before_anything_happens() {
        let stale = acquired(ms(1), &FRESH);
        let unknown = Request { layer_known: false, sent_before: None };
        let decision = decide(&rules(), &stale, &unknown, ms(900_000));
        assert_eq!(
            decision,
            Decision { first: Due::Nothing, verdict: Verdict::Refuse(Refusal::UnknownLayer) }
        );
    }

    #[test]
    fn a_stale_hold_is_ended_first() {
        let state = acquired(ms(1), &FRESH);
        let decision = decide(&rules(), &state, &KNOWN, ms(600_001));
        assert_eq!(decision, Decision { first: Due::End(Expiry::Stale), verdict: Verdict::Acquire });
        assert_eq!(decide(&rules(), &state, &KNOWN, ms(600_000)).first, Due::Overdue);
    }

    #[test]
    fn the_cooldown_comes_before_held_and_ends_on_its_edge() {
        let state = acquired(ms(1_000), &FRESH);
        assert_eq!(
            ask(&rules(), &state, KNOWN, ms(2_999)),
            Verdict::Refuse(Refusal::Cooldown { left: ms(1) })
        );
        assert_eq!(ask(&rules(), &state, KNOWN, ms(3_000)), Verdict::Refuse(Refusal::Held));
        assert_eq!(ask(&rules(), &ended(ms(1_100), &state), KNOWN, ms(3_000)), Verdict::Acquire);
    }

    #[test]
    fn a_cooldown_from_the_release_starts_there_even_when_forced() {
        let rules = Rules { cooldown_from: CooldownFrom::Release, ..rules() };
        let held = acquired(ms(1_000), &FRESH);
        assert_eq!(ask(&rules, &held, KNOWN, ms(1_001)), Verdict::Refuse(Refusal::Held));
        let freed = ended(ms(9_000), &held);
        assert!(matches!(ask(&rules, &freed, KNOWN, ms(10_999)), Verdict::Refuse(Refusal::Cooldown { .. })));
        assert_eq!(ask(&rules, &freed, KNOWN, ms(11_000)), Verdict::Acquire);
        let forced = decide(&rules, &held, &KNOWN, ms(700_000));
        assert!(matches!(forced.verdict, Verdict::Refuse(Refusal::Cooldown { .. })));
    }

    #[test]
    fn a_message_is_refused_within_its_window_only() {
        let rules = Rules { dedup_window: ms(10_000), cooldown: ms(0), ..rules() };
        let again = Request { layer_known: true, sent_before: Some(ms(5_000)) };
        assert_eq!(
            ask(&rules, &FRESH, again, ms(6_000)),
            Verdict::Refuse(Refusal::DuplicateMessage { left: ms(9_000) })
        );
        assert_eq!(ask(&rules, &FRESH, again, ms(15_000)), Verdict::Acquire);
    }

    #[test]
    fn timeout_reports_once_or_releases() {
        let held = acquired(ms(1), &FRESH);
        assert_eq!(due(&rules(), &held, ms(300_001)), Due::Overdue);
        let overdue = State { hold: Some(Hold { since: ms(1), overdue: true }), ..held };
        assert_eq!(due(&rules(), &overdue, ms(300_002)), Due::Nothing);
        let releasing = Rules { on_timeout: OnTimeout::Release, ..rules() };
        assert_eq!(due(&releasing, &held, ms(300_001)), Due::End(Expiry::Timeout));
    }

    #[test]
    fn the_next_due_time_is_what_due_waits_for() {
        let held = acquired(ms(1), &FRESH);
        assert_eq!(next_due(&rules(), &held, false), ms(300_001));
        assert_eq!(next_due(&rules(), &FRESH, true), Nanos::NEVER, "a waiter for a free lock is due at once");
        assert_eq!(next_due(&rules(), &FRESH, false), Nanos::FOREVER);
        assert_eq!(hold_end(&rules(), &held), ms(600_001), "an overdue hold is only reported");
        let releasing = Rules { on_timeout: OnTimeout::Release, ..rules() };
        assert_eq!(hold_end(&releasing, &held), ms(300_001));
        let cooling = ended(ms(2), &held);
        assert_eq!(next_due(&rules(), &cooling, true), ms(2_001));
    }

    proptest! {
        #[test]
        fn nothing_is_due_before_the_next_due_time(
            (timeout, force, since, age) in (0u64..50, 0u64..50, 1u64..50, 0u64..120),
            (overdue, release) in (any::<bool>(), any::<bool>()),
        ) {
            let on_timeout = if release { OnTimeout::Release } else { OnTimeout::Report };
            let rules = Rules { timeout: Nanos(timeout), force_after: Nanos(force), on_timeout, ..rules() };
            let state = State { hold: Some(Hold { since: Nanos(since), overdue }), ..FRESH };
            let now = Nanos(since + age);
            if due(&rules, &state, now) != Due::Nothing {
                prop_assert!(next_due(&rules, &state, false) <= now);
            }
        }
    }
}
