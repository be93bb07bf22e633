//! What the tokens of a record count from. A record counts its tokens from 1, and users see them with the store's base
//! added. A store may raise that base with any write, so that nothing that it has forgotten is granted twice; but a hold
//! keeps the token that its holder was told. So whoever writes notes from what the tokens up to now count, because only
//! those that this very write grants can count from a new base.
//!
//! Where the base is 0 it is never raised, and nothing is noted.

use crate::lease::record::MAX_TOKEN;
use serde::{Deserialize, Serialize};

/// The tokens up to `to`, and above those of the entry before it, count from `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub to: u64,
    pub from: u64,
}

/// In the order of the tokens; whatever is above the last entry counts from the record's base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts(Vec<Counted>);

impl Counts {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A token of the record as users see it.
    pub fn told(&self, token: u64, base: u64) -> u64 {
        let at = self.0.partition_point(|counted| counted.to < token);
        token.saturating_add(self.0.get(at).map_or(base, |counted| counted.from))
    }

    /// Whether a token that was told lies in the gap that the last new base has left, or below the only one: the store
    /// has forgotten it.
    pub fn forgot(&self, told: u64, base: u64) -> bool {
        self.0.last().map_or(told <= base, |last| told > last.to + last.from && told <= last.to + base)
    }

    /// Before a write on top of a record whose last token was `to`, with this base. Of older entries those stay that
    /// one of the record's tokens needs, the last one always.
    pub fn note(&mut self, to: u64, base: u64, needed: &[u64]) {
        if base == 0 || to == 0 {
            return;
        }
        match self.0.last_mut() {
            // None was granted above this base.
            Some(last) if last.to == to => {}
            Some(last) if last.from == base => last.to = to,
            _ => self.0.push(Counted { to, from: base }),
        }
        let last = self.0.len() - 1;
        let (mut index, mut after) = (0, 0);
        self.0.retain(|counted| {
            let stays = index == last || needed.iter().any(|token| after < *token && *token <= counted.to);
            (index, after) = (index + 1, counted.to);
            stays
        });
    }

    /// What counts from the record's own base needs no note.
    pub fn settle(&mut self, base: u64) {
        while self.0.last().is_some_and(|last| last.from == base) {
            self.0.pop();
        }
    }

    /// Whether it can be of a record whose last token is this one.
    pub fn fit(&self, token: u64) -> bool {
        let grow = |two: &[Counted]| matches!(two, [one, next] if one.to < next.to && one.from < next.from);
        self.0.iter().all(|counted| counted.to <= token && counted.from <= MAX_TOKEN - token)
            && self.0.windows(2).all(grow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &[(u64, u64)]) -> Counts {
        Counts(all.iter().map(|&(to, from)| Counted { to, from }).collect())
    }

    #[test]
    fn a_token_counts_from_what_it_was_granted_above() {
        let counts = counts(&[(3, 100), (5, 200)]);
        let told: Vec<u64> = (1..=7).map(|token| counts.told(token, 300)).collect();
        assert_eq!(told, [101, 102, 103, 204, 205, 306, 307]);
        assert_eq!(Counts::default().told(7, 300), 307);
    }

    #[test]
    fn a_note_is_made_once_for_a_base_and_goes_with_the_last_token_that_needs_it() {
        let mut noted = Counts::default();
        noted.note(0, 100, &[]);
        noted.note(9, 0, &[9]);
        assert!(noted.is_empty(), "nothing was granted, or nothing is ever raised");
        for (to, base) in [(3, 100), (4, 100), (6, 200)] {
            noted.note(to, base, &[1, 5]);
        }
        assert_eq!(noted, counts(&[(4, 100), (6, 200)]));
        noted.note(7, 300, &[1]);
        assert_eq!(noted, counts(&[(4, 100), (7, 300)]), "5 and 6 are nobody's any more");
        noted.note(7, 400, &[1]);
        assert_eq!(noted, counts(&[(4, 100), (7, 300)]), "none counts from this one");
        noted.settle(300);
        assert_eq!(noted, counts(&[(4, 100)]));
        noted.note(7, 300, &[]);
        assert_eq!(noted, counts(&[(7, 300)]), "the last stays");
        noted.settle(400);
        assert_eq!(noted, counts(&[(7, 300)]));
    }

    #[test]
    fn what_the_store_has_forgotten_is_known_by_the_gap() {
        let counts = counts(&[(3, 100)]);
        let forgotten: Vec<u64> =
            (99..=110).chain(200..=206).filter(|told| counts.forgot(*told, 200)).collect();
        assert_eq!(forgotten, [104, 105, 106, 107, 108, 109, 110, 200, 201, 202, 203]);
        assert!(!Counts::default().forgot(5, 0));
        assert!(Counts::default().forgot(100, 200) && !Counts::default().forgot(201, 200));
    }

    #[test]
    fn what_nobody_has_written_does_not_fit() {
        assert!(counts(&[(3, 100), (5, 200)]).fit(5));
        for wrong in [&[(6, 100)][..], &[(3, MAX_TOKEN)], &[(3, 100), (3, 200)], &[(3, 200), (5, 100)]] {
            assert!(!counts(wrong).fit(5), "{wrong:?}");
        }
    }
}
