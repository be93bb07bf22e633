//! Taking one hold away by force, by its token: what an operator orders from outside. The token is the proof that
//! the hold is still the one that was looked at; a newer hold of the same lock is left alone.

use crate::local::book::Book;
use crate::local::claim::{Claim, Done, How, State};
use crate::local::locks::Locks;
use crate::local::names::Ref;
use crate::local::report;
use crate::local::resource::Kind;
use crate::time::Nanos;

/// Taking away from holders, and the reason given for it.
#[derive(Clone, Copy, Debug)]
pub struct Taking<'a> {
    pub how: How,
    pub why: Option<&'a str>,
}

impl<'a> Taking<'a> {
    /// An empty reason is none.
    pub fn by_force(reason: &'a str) -> Self {
        Self { how: How::Forced, why: Some(reason).filter(|reason| !reason.is_empty()) }
    }
}

/// Which lock is meant.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    /// One that has no name.
    Not,
    So(&'a str),
    /// Its name begins so.
    Begins(&'a str),
}

/// What became of an order to take a hold away; holders as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forced {
    /// That hold was ended.
    Ended(String),
    /// Somebody holds it, with another token.
    Moved(String),
    /// Nobody holds it.
    Free,
    /// There is no such lock.
    Unknown,
}

impl Locks {
    /// Ends the hold of that token, if it is one of that lock. `None` names the locks that have no name.
    pub fn force_release_hold(
        &self,
        kind: Kind,
        name: Named<'_>,
        token: u64,
        reason: &str,
        now: Nanos,
    ) -> Done<Forced> {
        self.change(now, |book, now| {
            let found = book.claims.iter().find(|(_, claim)| {
                claim.state == State::Held && claim.token == token && is_for(book, claim, kind, name)
            });
            if let Some((slot, claim)) = found {
                let holder = report::holder(book, claim, now);
                let mut touched = Vec::new();
                book.evict_hold(slot, Taking::by_force(reason), now, &mut touched);
                book.serve_touched(&touched, now);
                return Forced::Ended(holder);
            }
            let Named::So(name) = name else { return Forced::Unknown };
            let units: Vec<u16> = name.encode_utf16().collect();
            let Some(at) = book.names.find(kind, &units) else { return Forced::Unknown };
            let hold = book.names.resource(at).and_then(|resource| resource.holds.front().copied());
            match hold.and_then(|slot| book.claims.get(slot)) {
                Some(claim) => Forced::Moved(report::holder(book, claim, now)),
                None => Forced::Free,
            }
        })
    }
}

/// Whether one of the claim's parts is that lock.
fn is_for(book: &Book, claim: &Claim, kind: Kind, name: Named<'_>) -> bool {
    claim.parts.as_slice().iter().any(|part| is_called(book, part.resource, kind, name))
}

/// Names with lone surrogates are told as U+FFFD, and so found by it, too.
fn is_called(book: &Book, at: Ref, kind: Kind, name: Named<'_>) -> bool {
    let Some(entry) = book.names.entry(at).filter(|entry| entry.kind == kind) else { return false };
    let Some(own) = entry.name.as_deref() else { return matches!(name, Named::Not) };
    let mut own =
        char::decode_utf16(own.iter().copied()).map(|sign| sign.unwrap_or(char::REPLACEMENT_CHARACTER));
    match name {
        Named::Not => false,
        Named::So(name) => own.eq(name.chars()),
        Named::Begins(start) => start.chars().all(|sign| own.next() == Some(sign)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::claim::{Ask, Outcome, Told};
    use crate::local::departures::{Caller, RowId};
    use crate::local::names::Target;

    fn units(name: &str) -> Vec<u16> {
        name.encode_utf16().collect()
    }

    fn caller(mailbox: u64) -> Caller {
        Caller { row: RowId::here(0, 1), thread_id: mailbox, mailbox }
    }

    #[test]
    fn only_the_hold_of_that_token_ends_and_the_next_is_served() {
        let locks = Locks::new(|| 0);
        let name = units("index");
        let take = |weight, who| {
            locks.try_acquire(caller(who), Target::Name(&name), weight, None, Nanos(1)).unwrap()
        };
        let (one, two) = (take(1, 1), take(1, 2));
        let wait = locks.request(caller(3), Target::Name(&name), 0, Ask::default(), Nanos(2));
        assert!(matches!(wait.answer, Outcome::Waiting(..)));
        let force =
            |token| locks.force_release_hold(Kind::ReadWrite, Named::So("index"), token, "", Nanos(3));

        let done = force(one.token);
        assert!(matches!(done.answer, Forced::Ended(_)) && done.tell.len() == 1);
        assert!(!locks.holds(one.slot, one.token) && locks.holds(two.slot, two.token), "one reader only");

        let again = force(one.token);
        assert!(matches!(again.answer, Forced::Moved(_)) && again.tell.is_empty());
        assert!(locks.holds(two.slot, two.token), "the other holder is left alone");

        let last = force(two.token);
        let granted = last.tell.iter().filter(|delivery| matches!(delivery.what, Told::Granted { .. }));
        assert_eq!(granted.count(), 1, "the writer's turn has come");
        assert!(matches!(force(two.token).answer, Forced::Moved(_)), "the writer's hold has another token");
    }

    #[test]
    fn a_token_of_another_lock_or_kind_ends_nothing() {
        let locks = Locks::new(|| 0);
        let (a, b) = (units("a"), units("b"));
        let hold = locks.try_acquire(caller(1), Target::Name(&a), 0, None, Nanos(1)).unwrap();
        let free = locks.try_acquire(caller(1), Target::Name(&b), 0, None, Nanos(1)).unwrap();
        locks.release(free.slot, free.token, false, Nanos(2));
        let force = |kind, name| locks.force_release_hold(kind, name, hold.token, "", Nanos(3)).answer;
        assert_eq!(force(Kind::ReadWrite, Named::So("b")), Forced::Free);
        assert_eq!(force(Kind::ReadWrite, Named::So("c")), Forced::Unknown);
        assert_eq!(force(Kind::Semaphore, Named::So("a")), Forced::Unknown);
        assert_eq!(force(Kind::ReadWrite, Named::Not), Forced::Unknown);
        assert!(locks.holds(hold.slot, hold.token));
    }

    #[test]
    fn nameless_ones_and_names_that_no_text_can_hold_are_found_by_their_token() {
        let locks = Locks::new(|| 0);
        let odd = [0xd800, u16::from(b'x')];
        let hold = locks.try_acquire(caller(1), Target::Name(&odd), 0, None, Nanos(1)).unwrap();
        let done =
            locks.force_release_hold(Kind::ReadWrite, Named::So("\u{fffd}x"), hold.token, "", Nanos(2));
        assert!(matches!(done.answer, Forced::Ended(_)));
        let at = locks.open(Kind::Semaphore, None, 2).unwrap();
        let hold = locks.try_acquire(caller(1), Target::Ref(at), 2, None, Nanos(3)).unwrap();
        let done = locks.force_release_hold(Kind::Semaphore, Named::Not, hold.token, "", Nanos(4));
        assert!(matches!(done.answer, Forced::Ended(_)));
        assert_eq!(locks.semaphore_state(at), (2, 0, 0));
    }

    #[test]
    fn a_name_that_is_shown_in_part_is_found_by_its_beginning() {
        let locks = Locks::new(|| 0);
        let hold =
            locks.try_acquire(caller(1), Target::Name(&units("a long one")), 0, None, Nanos(1)).unwrap();
        let force = |name| locks.force_release_hold(Kind::ReadWrite, name, hold.token, "", Nanos(2)).answer;
        assert_eq!(force(Named::So("a long")), Forced::Unknown);
        assert_eq!(force(Named::Begins("a long one!")), Forced::Unknown);
        assert!(matches!(force(Named::Begins("a long")), Forced::Ended(_)));
    }
}
