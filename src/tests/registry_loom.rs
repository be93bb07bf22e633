//! The registry under loom, with two entries, five records and texts of one word: every interleaving of a change
//! with a reading, of two changes, of two arrivals with one id, and of the pool's users.

use super::loom::{bound_of_three, explore};
use crate::registry::entry::{Entry, Patch};
use crate::registry::layout::Registry;
use crate::registry::pool::Pool;
use crate::registry::status::{Refused, Status};
use crate::registry::text::Text;
use crate::sync::{AtomicU64, Field};
use crate::time::Nanos;
use loom::sync::Arc;
use loom::thread;

fn empty() -> Registry {
    let registry = Registry {
        header: Default::default(),
        index: std::array::from_fn(|_| AtomicU64::new(0)),
        entries: std::array::from_fn(|_| Default::default()),
        records: std::array::from_fn(|_| Default::default()),
    };
    registry.header.seed.set(1);
    registry
}

fn with_one() -> Arc<Registry> {
    let registry = Arc::new(empty());
    register(&registry).unwrap();
    registry
}

fn id() -> crate::registry::text::Text<1> {
    Text::cut("one")
}

fn register(registry: &Registry) -> Result<(), Refused> {
    registry.register(&mut Entry { id: id(), ..Entry::default() }, Nanos(1), |_| {})
}

/// The state number `number`: its parts say so.
fn change(registry: &Registry, number: u64) -> Result<(), Refused> {
    let status = if number.is_multiple_of(2) { Status::Running } else { Status::Stopped };
    let patch = Patch { pid: Some(number), ..Patch::to(status) };
    registry.change(&id(), &patch, Nanos(number), &mut Entry::default())
}

fn look(registry: &Registry) {
    let Some((place, _)) = registry.find(&registry.key(&id())) else { return };
    let seen = registry.look(place, |record, status| (record.pid.get(), record.updated_at.get(), status));
    match seen.map(|(seen, _)| seen) {
        None => {}
        Some((0, at, status)) => assert_eq!((at, status), (1, Status::Pending)),
        Some((pid, at, status)) => {
            assert_eq!(at, pid, "half of another state");
            assert_eq!(status == Status::Running, pid.is_multiple_of(2), "the status of another state");
        }
    }
}

// The reader is the thread that begins later: loom only remembers the last access to a word, and would not see that
// a reading which a writer's own loads came after could have gone otherwise.
#[test]
fn a_state_is_read_whole() {
    explore("registry, changes and a reader, 2 threads", bound_of_three(), 1_000, || {
        let registry = with_one();
        let reader = registry.clone();
        let reading = thread::spawn(move || look(&reader));
        change(&registry, 2).unwrap();
        // Into the record that the first state had.
        change(&registry, 3).unwrap();
        reading.join().unwrap();
        look(&registry);
    });
}

#[test]
fn two_changes_are_two() {
    explore("registry, two writers, 2 threads", bound_of_three(), 200, || {
        let registry = with_one();
        let other = registry.clone();
        let changing = thread::spawn(move || change(&other, 2).unwrap());
        change(&registry, 3).unwrap();
        changing.join().unwrap();
        let mut entry = Entry::default();
        assert!(registry.get(&id(), &mut entry));
        assert_eq!(entry.revision, 3);
        assert!(registry.header.free_records.used() <= 3);
    });
}

#[test]
fn an_id_arrives_once() {
    explore("registry, two arrivals, 2 threads", bound_of_three(), 1_000, || {
        let registry = Arc::new(empty());
        let other = registry.clone();
        let registering = thread::spawn(move || register(&other).is_ok());
        let mine = register(&registry).is_ok();
        let others = registering.join().unwrap();
        assert!(mine != others, "one of the two, and not both");
        assert_eq!(registry.status(&registry.key(&id())), Some(Status::Pending));
        assert!(registry.remove(&id()).is_some());
        assert!(registry.remove(&id()).is_none(), "nothing is left of the other one");
    });
}

#[test]
fn a_removal_and_a_change_are_told_apart() {
    explore("registry, removal and change, 2 threads", bound_of_three(), 50, || {
        let registry = with_one();
        let other = registry.clone();
        let removing = thread::spawn(move || other.remove(&id()).is_some());
        let changed = change(&registry, 2);
        assert!(removing.join().unwrap());
        assert!(changed.is_ok() || changed == Err(Refused::UnknownId));
        assert_eq!(registry.status(&registry.key(&id())), None);
        register(&registry).unwrap();
        look(&registry);
    });
}

#[test]
fn a_place_is_out_once() {
    explore("registry, pool, 2 threads", bound_of_three(), 500, || {
        let shared = Arc::new((
            Pool::default(),
            [Field::default(), Field::default()],
            [AtomicU64::new(0), AtomicU64::new(0)],
        ));
        let use_one = |shared: Arc<(Pool, [Field; 2], [AtomicU64; 2])>| {
            move || {
                for _ in 0..2 {
                    let Some(place) = shared.0.take(2, |place| &shared.1[place]) else { continue };
                    assert_eq!(
                        shared.2[place].swap(1, std::sync::atomic::Ordering::Relaxed),
                        0,
                        "it is out already"
                    );
                    shared.2[place].store(0, std::sync::atomic::Ordering::Relaxed);
                    shared.0.give(place, &shared.1[place]);
                }
            }
        };
        // Both have been out, so that they lie one on the other.
        let out = [(); 2].map(|()| shared.0.take(2, |place| &shared.1[place]).unwrap());
        out.into_iter().for_each(|place| shared.0.give(place, &shared.1[place]));
        let other = thread::spawn(use_one(shared.clone()));
        // Out and back again over one that stays out: a head that looks as before, and is not.
        let first = shared.0.take(2, |place| &shared.1[place]);
        let second = shared.0.take(2, |place| &shared.1[place]);
        let mark = |place: usize, out| shared.2[place].swap(out, std::sync::atomic::Ordering::Relaxed);
        if let (Some(first), Some(second)) = (first, second) {
            assert_eq!(mark(second, 1), 0, "it is out already");
            shared.0.give(first, &shared.1[first]);
            mark(second, 0);
            shared.0.give(second, &shared.1[second]);
        } else {
            first.into_iter().chain(second).for_each(|place| shared.0.give(place, &shared.1[place]));
        }
        other.join().unwrap();
        let both = [(); 2].map(|()| shared.0.take(2, |place| &shared.1[place]));
        assert!(both == [Some(0), Some(1)] || both == [Some(1), Some(0)], "{both:?}");
    });
}
