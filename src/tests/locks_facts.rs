//! Single facts about the named locks: what is counted, who is told when, how long a queue may get.

use crate::local::asking::MAX_WAITERS;
use crate::local::claim::{Ask, Done, Grant, How, Outcome, Told};
use crate::local::departures::{Caller, RowId};
use crate::local::locks::Locks;
use crate::local::names::Target;
use crate::local::resource::Kind;
use crate::time::{Moment, Nanos};

const NAME: &[u16] = &[0x61];
const MS: u64 = 1_000_000;

fn caller(thread: u64) -> Caller {
    Caller { row: RowId::here(thread as u32, 1), thread_id: thread, mailbox: 100 + thread }
}

fn ask(locks: &Locks, thread: u64, weight: u64, ask: Ask<'_>, at: u64) -> Done<Outcome> {
    locks.request(caller(thread), Target::Name(NAME), weight, ask, Nanos(at * MS))
}

fn take(locks: &Locks, thread: u64, weight: u64, at: u64) -> Grant {
    match ask(locks, thread, weight, Ask::default(), at).answer {
        Outcome::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

/// Waits; the ticket, and whether it is next behind one hold of another thread.
fn wait(locks: &Locks, thread: u64, weight: u64, with: Ask<'_>, at: u64) -> (u64, bool) {
    match ask(locks, thread, weight, with, at).answer {
        Outcome::Waiting(ticket, is_next) => (ticket, is_next),
        other => panic!("{other:?}"),
    }
}

fn statistics(locks: &Locks, mode: &str) -> serde_json::Value {
    let text = locks.statistics_json(Some(NAME), Moment::at(Nanos(0), 0.0));
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    told[0]["modes"][mode].clone()
}

#[test]
fn everything_that_happens_is_counted_once() {
    let locks = Locks::new(|| 0);
    let first = take(&locks, 1, 0, 10);
    let (aborted, _) = wait(&locks, 2, 0, Ask::default(), 11);
    let patience = Ask { deadline: Nanos(20 * MS), ..Ask::default() };
    wait(&locks, 3, 0, patience, 12);
    let (served, _) = wait(&locks, 2, 0, Ask::default(), 13);
    assert!(locks.cancel(aborted, Nanos(14 * MS)).answer);
    let told = locks.tick(Nanos(20 * MS));
    assert!(matches!(told.tell[..], [ref one] if one.mailbox == 103));
    let told = locks.release(first.slot, first.token, true, Nanos(30 * MS)).tell;
    let Told::Granted { ticket, waited, slot, token, .. } = told[0].what else { panic!("{told:?}") };
    assert_eq!((ticket, waited, told[0].mailbox), (served, Nanos(17 * MS), 102));
    assert!(locks.downgrade(slot, token, Nanos(40 * MS)).answer);
    assert!(locks.try_upgrade(slot, token, Nanos(42 * MS)));
    let thief = Ask { steal: true, ..Ask::default() };
    let stolen = ask(&locks, 4, 0, thief, 50);
    assert!(matches!(stolen.tell[0].what, Told::Lost { how: How::Stolen, .. }));
    locks.depart(caller(4).row, Nanos(60 * MS));
    let last = take(&locks, 5, 0, 70);
    let refused = Ask { ancestors: &[last.token as i64], ..Ask::default() };
    assert!(matches!(ask(&locks, 5, 0, refused, 71).answer, Outcome::SelfDeadlock(_)));
    assert_eq!(locks.force_release(NAME, "", Nanos(72 * MS)).answer, 1);

    let counted = statistics(&locks, "exclusive");
    let expected = [
        // The change of mode and back ends a hold, and begins one.
        ("acquisitions", 5),
        ("releases", 2),
        ("errors", 1),
        ("timeouts", 1),
        ("aborts", 1),
        ("steals", 2),
        ("deaths", 1),
        ("deadlocks", 1),
        ("contended", 4),
    ];
    for (what, count) in expected {
        assert_eq!(counted[what], count, "{what} in {counted}");
    }
    assert_eq!(counted["wait"]["maxMs"].as_f64(), Some(17.0));
    // 20 ms until the failure, 10 until the downgrade, 8 until the theft, 10 until the end, 2 until the force.
    let hold = |what: &str| counted["hold"][what].as_f64();
    assert_eq!([hold("maxMs"), hold("minMs"), hold("avgMs")], [20.0, 2.0, 10.0].map(Some));
    // From the downgrade to the upgrade.
    let shared = statistics(&locks, "shared");
    assert_eq!((&shared["acquisitions"], &shared["releases"]), (&1.into(), &1.into()));
    assert_eq!(shared["hold"]["maxMs"].as_f64(), Some(2.0));
    locks.reset_statistics(Some(NAME));
    assert_eq!(statistics(&locks, "exclusive")["acquisitions"], 0);
}

#[test]
fn only_the_first_behind_one_hold_of_another_thread_is_next() {
    let locks = Locks::new(|| 0);
    let hold = take(&locks, 1, 0, 1);
    assert!(locks.holds(hold.slot, hold.token) && !locks.holds(hold.slot, hold.token + 1));
    assert!(wait(&locks, 2, 0, Ask::default(), 2).1);
    assert!(!wait(&locks, 3, 0, Ask::default(), 2).1, "another one is before it");
    locks.depart(caller(2).row, Nanos(3 * MS));
    locks.depart(caller(3).row, Nanos(3 * MS));
    assert!(!wait(&locks, 1, 0, Ask::default(), 4).1, "its own thread has it");
    locks.depart(caller(1).row, Nanos(5 * MS));
    assert!(!locks.holds(hold.slot, hold.token));
    let [_, _] = [2, 3].map(|thread| take(&locks, thread, 1, 6));
    assert!(!wait(&locks, 1, 0, Ask::default(), 7).1, "two have it");
}

#[test]
fn the_next_moment_at_which_something_is_due() {
    let locks = Locks::new(|| 0);
    take(&locks, 1, 0, 1);
    let until = |ms: u64| Ask { deadline: Nanos(ms * MS), ..Ask::default() };
    assert_eq!(ask(&locks, 2, 0, Ask::default(), 2).wake_at, Nanos::FOREVER);
    assert_eq!(ask(&locks, 2, 0, until(50), 2).wake_at, Nanos(50 * MS));
    assert_eq!(ask(&locks, 2, 0, until(30), 2).wake_at, Nanos(30 * MS));
    assert_eq!(locks.tick(Nanos(30 * MS - 1)).tell.len(), 0, "nobody goes before its time");
    let told = locks.tick(Nanos(30 * MS));
    assert!(matches!(told.tell[..], [ref one] if matches!(one.what, Told::TimedOut { position: 3, .. })));
    assert_eq!(told.wake_at, Nanos(50 * MS));
}

#[test]
fn a_queue_that_is_full_says_so() {
    let locks = Locks::new(|| 0);
    let hold = take(&locks, 1, 0, 1);
    for _ in 0..MAX_WAITERS {
        wait(&locks, 2, 0, Ask::default(), 2);
    }
    assert!(matches!(ask(&locks, 2, 0, Ask::default(), 3).answer, Outcome::QueueFull));
    assert_eq!(locks.release(hold.slot, hold.token, false, Nanos(4 * MS)).tell.len(), 1);
    wait(&locks, 2, 0, Ask::default(), 5);
}

#[test]
fn a_semaphore_keeps_the_permits_that_it_was_opened_with() {
    let locks = Locks::new(|| 0);
    let open = |permits| locks.open(Kind::Semaphore, Some(NAME), permits);
    let first = open(2).unwrap();
    assert_eq!(open(2), Some(first));
    assert_eq!(open(3), None, "somebody else counts on two");
    let grant = locks.try_acquire(caller(1), Target::Ref(first), 2, None, Nanos(1)).unwrap();
    let waiting = locks.request(caller(2), Target::Ref(first), 1, Ask::default(), Nanos(1)).answer;
    assert_eq!(locks.semaphore_state(first), (2, 2, 1));
    let Outcome::Waiting(ticket, _) = waiting else { panic!("{waiting:?}") };
    assert!(locks.cancel(ticket, Nanos(1)).answer);
    [(); 2].iter().for_each(|()| locks.close(first));
    assert_eq!(open(3), None, "it is in use");
    assert!(locks.release(grant.slot, grant.token, false, Nanos(2)).answer);
    let second = open(3).unwrap();
    assert_eq!(locks.semaphore_state(second), (3, 0, 0));
    assert!(locks.try_acquire(caller(1), Target::Ref(second), 4, None, Nanos(3)).is_none());
    assert!(
        locks.open(Kind::ReadWrite, Some(NAME), 0).is_some_and(|lock| lock != second),
        "names of their own"
    );
}

#[test]
fn a_face_that_goes_takes_its_own_with_it() {
    let locks = Locks::new(|| 0);
    let mine = caller(1);
    // Two copies of the package in one thread.
    let other = Caller { mailbox: 7, ..mine };
    let name = |number| Target::Name(if number == 1 { &[1] } else { &[2] });
    let first = locks.try_acquire(mine, name(1), 0, None, Nanos(1)).unwrap();
    let second = locks.try_acquire(other, name(2), 0, None, Nanos(1)).unwrap();
    let waiting = locks.request(other, name(1), 0, Ask::default(), Nanos(1)).answer;
    assert!(matches!(waiting, Outcome::Waiting(..)));
    assert!(locks.depart_face(7, Nanos(2)).tell.is_empty());
    assert!(locks.holds(first.slot, first.token) && !locks.holds(second.slot, second.token));
    assert_eq!(locks.release(first.slot, first.token, false, Nanos(3)).tell.len(), 0, "nobody waits");
}

#[test]
fn several_at_once_are_counted_each_in_its_mode() {
    let locks = Locks::new(|| 0);
    let names = [(NAME.to_vec(), 1), (vec![0x62], 0)];
    let Outcome::Granted(grant) = locks.request_all(caller(1), &names, Ask::default(), Nanos(MS)).answer
    else {
        panic!("they are free");
    };
    assert!(locks.release(grant.slot, grant.token, false, Nanos(2 * MS)).answer);
    let (shared, exclusive) = (statistics(&locks, "shared"), statistics(&locks, "exclusive"));
    assert_eq!((&shared["acquisitions"], &shared["releases"]), (&1.into(), &1.into()));
    assert_eq!((&exclusive["acquisitions"], &exclusive["releases"]), (&0.into(), &0.into()));
}
