//! Deadlocks that have names: who is refused, with which report, and who is not. Chance and brute force are
//! in `deadlock_schedules`.

use super::deadlock_world::{Refusal, State, Task, World};
use crate::local::claim::Told;
use crate::local::deadlock::all_cycles;
use crate::local::departures::RowId;
use crate::time::{Moment, Nanos};

const EXCLUSIVE: u64 = 0;
const SHARED: u64 = 1;

fn world() -> World {
    World::new(200, &[1, 2, 3])
}

/// The number of the semaphore with so many permits.
fn permits(count: usize) -> usize {
    199 + count
}

fn task(row: u64, outer: Option<usize>, at: usize, weight: u64) -> Task {
    Task::new(row, outer, vec![(at, weight)])
}

fn holds(world: &World, number: usize) -> bool {
    matches!(world.tasks[number].state, State::Holding(_))
}

fn waits(world: &World, number: usize) -> bool {
    matches!(world.tasks[number].state, State::Waiting(_))
}

/// Asks for what is free.
fn take(world: &mut World, task: Task) -> usize {
    let number = world.ask(task);
    assert!(holds(world, number), "{:?}", world.tasks);
    number
}

/// Asks for what is not.
fn stand(world: &mut World, task: Task) -> usize {
    let number = world.ask(task);
    assert!(waits(world, number) && world.refused.is_empty(), "{:?} {:?}", world.refused, world.tasks);
    number
}

/// Asks, and somebody is refused: who, whether for its own hold alone, and the cycle.
fn refused(world: &mut World, task: Task) -> (usize, bool, serde_json::Value) {
    world.ask(task);
    assert_eq!(world.refused.len(), 1, "{:?}", world.tasks);
    let Some(Refusal::Deadlock(number, own, report)) = world.refused.pop() else { panic!("only warned") };
    (number, own, serde_json::from_str::<serde_json::Value>(&report).unwrap()["cycle"].take())
}

fn asks(world: &mut World, task: Task) -> usize {
    let number = world.tasks.len();
    let (refused, ..) = refused(world, task);
    assert_eq!(refused, number, "the youngest is refused");
    number
}

/// Flows that hold one lock each, of which each asks for the next one's, save the last.
fn chain(world: &mut World, length: usize) -> Vec<usize> {
    let held: Vec<usize> = (0..length).map(|at| take(world, task(at as u64, None, at, EXCLUSIVE))).collect();
    for (at, &hold) in held[..length - 1].iter().enumerate() {
        stand(world, task(at as u64, Some(hold), at + 1, EXCLUSIVE));
    }
    held
}

#[test]
fn two_flows_with_two_locks_each() {
    let mut world = world();
    let held = chain(&mut world, 2);
    let (number, own, cycle) = refused(&mut world, task(1, Some(held[1]), 0, SHARED));
    assert_eq!((number, own, cycle.as_array().unwrap().len()), (3, false, 2));
    // The one that asked, the hold that it waits for, and what was asked inside of that.
    assert_eq!(cycle[0]["request"]["label"], "3");
    assert_eq!(cycle[0]["request"]["mode"], "shared");
    assert_eq!(cycle[0]["heldBy"]["label"], "0");
    assert_eq!(cycle[0]["heldBy"]["name"], "\u{0}");
    assert_eq!(cycle[1]["request"]["label"], "2");
    assert_eq!(cycle[1]["request"]["threadId"], 0);
    assert_eq!(cycle[1]["request"]["position"], 1);
    assert_eq!(cycle[1]["heldBy"]["label"], "1");
    assert!(waits(&world, 2), "only one is refused");
    world.end(held[1]);
    assert!(holds(&world, 2), "and the other goes on");
}

#[test]
fn a_ring_of_a_hundred() {
    let mut world = world();
    let held = chain(&mut world, 100);
    let (_, own, cycle) = refused(&mut world, task(99, Some(held[99]), 0, EXCLUSIVE));
    assert_eq!((own, cycle.as_array().unwrap().len()), (false, 100));
    let names: Vec<String> =
        cycle.as_array().unwrap().iter().map(|edge| edge["heldBy"]["label"].to_string()).collect();
    assert_eq!(names, (0..100).map(|at| format!("\"{at}\"")).collect::<Vec<String>>());
}

#[test]
fn a_lock_that_the_asker_has() {
    let mut world = world();
    let outer = take(&mut world, task(0, None, 0, EXCLUSIVE));
    let middle = take(&mut world, task(0, Some(outer), 1, SHARED));
    let (_, own, cycle) = refused(&mut world, task(0, Some(middle), 0, SHARED));
    assert!(own && cycle.as_array().unwrap().len() == 1);
    assert_eq!(cycle[0]["heldBy"]["label"], outer.to_string());
    // Of which somebody else has a part: it is one's own that does not go away.
    let reader = take(&mut world, task(1, None, 1, SHARED));
    let (_, own, _) = refused(&mut world, task(0, Some(middle), 1, EXCLUSIVE));
    assert!(own);
    // A sibling's hold is not one's own, and goes away.
    take(&mut world, task(0, Some(outer), 2, EXCLUSIVE));
    stand(&mut world, task(0, Some(outer), 2, EXCLUSIVE));
    world.end(reader);
}

#[test]
fn reading_twice_with_a_writer_between() {
    let mut world = world();
    let reader = take(&mut world, task(0, None, 0, SHARED));
    take(&mut world, task(0, Some(reader), 0, SHARED));
    let writer = stand(&mut world, task(1, None, 0, EXCLUSIVE));
    let (_, own, _) = refused(&mut world, task(0, Some(reader), 0, SHARED));
    assert!(own && waits(&world, writer));
    assert!(world.is_tidy());
}

#[test]
fn two_readers_that_want_to_write() {
    let mut world = world();
    let readers = [0, 1, 2].map(|row| take(&mut world, task(row, None, 0, SHARED)));
    let upgrade = |base: usize| Task { upgrades: Some(base), ..task(base as u64, Some(base), 0, SHARED) };
    let first = stand(&mut world, upgrade(readers[0]));
    let (number, own, cycle) = refused(&mut world, upgrade(readers[1]));
    assert_eq!((number, own, cycle.as_array().unwrap().len()), (4, false, 2));
    assert_eq!(cycle[0]["request"]["mode"], "exclusive");
    assert_eq!((&cycle[0]["heldBy"]["label"], &cycle[1]["heldBy"]["label"]), (&"0".into(), &"1".into()));
    // The first waits for the others, who may go in any order, and goes before whoever came since.
    let later = stand(&mut world, task(3, None, 0, SHARED));
    world.end(readers[2]);
    assert!(waits(&world, first));
    world.end(readers[1]);
    assert_eq!(world.tasks[readers[0]].parts, [(0, EXCLUSIVE)], "the hold is exclusive now");
    assert!(waits(&world, later));
    world.end(readers[0]);
    assert!(holds(&world, later));
}

#[test]
fn an_upgrade_with_a_request_inside_of_its_hold() {
    for alone in [true, false] {
        let mut world = world();
        let reader = take(&mut world, task(0, None, 0, SHARED));
        let other = take(&mut world, task(1, None, 1, EXCLUSIVE));
        if !alone {
            take(&mut world, task(2, None, 0, SHARED));
        }
        // It waits for the other's lock, and will want to read what the upgrade makes exclusive.
        let inside = stand(&mut world, Task::new(0, Some(reader), vec![(0, SHARED), (1, SHARED)]));
        let State::Holding(grant) = world.tasks[reader].state else { panic!("it holds") };
        assert!(!world.locks.try_upgrade(grant.slot, grant.token, Nanos(1)), "it might be for ever");
        let upgrade = Task { upgrades: Some(reader), ..task(0, Some(reader), 0, SHARED) };
        let (number, _, cycle) = refused(&mut world, upgrade);
        assert_eq!((number, cycle.as_array().unwrap().len()), (inside, 1));
        world.end(other);
    }
}

#[test]
fn a_semaphore_in_which_one_cycle_proves_nothing() {
    let mut world = world();
    let [first, second] = [0, 1].map(|row| take(&mut world, task(row, None, permits(2), 1)));
    let lock = take(&mut world, task(2, None, 0, EXCLUSIVE));
    stand(&mut world, task(0, Some(first), 0, EXCLUSIVE));
    // A cycle over the first permit; but the second comes back.
    let unit = stand(&mut world, task(2, Some(lock), permits(2), 1));
    world.end(second);
    assert!(holds(&world, unit));
    // Now there are two permits, and both hang in the lock.
    let other = take(&mut world, task(3, None, 1, EXCLUSIVE));
    world.end(unit);
    let second = take(&mut world, task(1, None, permits(2), 1));
    stand(&mut world, task(1, Some(second), 1, EXCLUSIVE));
    stand(&mut world, task(2, Some(lock), permits(2), 1));
    asks(&mut world, task(3, Some(other), permits(2), 1));
}

#[test]
fn more_than_one_cycle_at_once() {
    let mut world = world();
    let held = chain(&mut world, 3);
    // Reads what two others hold and want; each of them closes a cycle over it.
    let reader = take(&mut world, task(9, None, 9, SHARED));
    let writers = [7, 8].map(|row| take(&mut world, task(row, None, row as usize, EXCLUSIVE)));
    let victims = [0, 1].map(|n| {
        let web = Task { web: true, ..task(7 + n as u64, Some(writers[n]), 9, EXCLUSIVE) };
        stand(&mut world, web)
    });
    // It may not be refused, and they neither: standard requests hang, and the program is told.
    let both = Task { web: true, ..Task::new(9, Some(reader), vec![(7, SHARED), (8, SHARED)]) };
    let both = world.ask(both);
    assert!(matches!(world.refused[..], [Refusal::Warned(asker, _)] if asker == both));
    world.refused.clear();
    assert!(waits(&world, both) && victims.iter().all(|&victim| waits(&world, victim)));
    assert_eq!(world.locks.peek(|book| all_cycles(book).len()), 2, "each once");
    // Another cycle beside it is found and refused as ever.
    asks(&mut world, task(2, Some(held[2]), 0, EXCLUSIVE));
    let told: serde_json::Value =
        serde_json::from_str(&world.locks.deadlocks_json(Nanos::FOREVER, Moment::read())).unwrap();
    assert_eq!(told["cycles"].as_array().unwrap().len(), 2);
    assert_eq!(told["longWaits"].as_array().unwrap().len(), 0);
}

#[test]
fn who_is_refused_in_the_place_of_a_standard_request() {
    let mut world = world();
    let held = chain(&mut world, 3);
    // The youngest of those that may be refused is the one in the middle.
    let web = Task { web: true, ..task(2, Some(held[2]), 0, EXCLUSIVE) };
    let (number, own, cycle) = refused(&mut world, web);
    assert_eq!((number, own, cycle.as_array().unwrap().len()), (4, false, 3));
    assert!(waits(&world, 5) && waits(&world, 3));
    // A standard request for what it has already hangs, as the standard says.
    let own = Task { web: true, ..task(2, Some(held[2]), 2, EXCLUSIVE) };
    let own = world.ask(own);
    assert!(waits(&world, own) && matches!(world.refused[..], [Refusal::Warned(..)]));
}

#[test]
fn the_send_lock_takes_part() {
    let mut world = world();
    let send = world.send();
    let sender = take(&mut world, task(0, None, send, 1));
    let writer = take(&mut world, task(1, None, 0, EXCLUSIVE));
    let wish = stand(&mut world, task(1, Some(writer), send, 1));
    let (number, own, cycle) = refused(&mut world, task(0, Some(sender), 0, SHARED));
    assert_eq!((number, own, cycle.as_array().unwrap().len()), (3, false, 2));
    assert_eq!(cycle[1]["request"]["kind"], "send");
    assert_eq!(cycle[1]["heldBy"]["kind"], "send");
    // The next sender is another hold, for which it does wait.
    world.end(sender);
    assert!(holds(&world, wish));
    let other = take(&mut world, task(2, None, 1, EXCLUSIVE));
    stand(&mut world, task(1, Some(wish), 1, EXCLUSIVE));
    asks(&mut world, task(2, Some(other), send, 1));
    assert!(world.is_tidy());
}

#[test]
fn threads_that_stand_still() {
    let mut world = world();
    // Whatever else the thread holds waits with it, though nothing was asked inside of it.
    let mine = take(&mut world, task(0, None, 0, EXCLUSIVE));
    let other = take(&mut world, task(1, None, 1, EXCLUSIVE));
    stand(&mut world, Task { sync: true, ..task(0, None, 1, EXCLUSIVE) });
    asks(&mut world, task(1, Some(other), 0, SHARED));
    world.end(other);
    world.end(mine);
    // What it will hold by a request that still waits, too.
    let first = take(&mut world, task(2, None, 2, EXCLUSIVE));
    let second = take(&mut world, task(1, None, 3, EXCLUSIVE));
    stand(&mut world, task(3, None, 2, EXCLUSIVE));
    stand(&mut world, Task { sync: true, ..task(3, None, 3, EXCLUSIVE) });
    let (_, own, cycle) = refused(&mut world, task(1, Some(second), 2, EXCLUSIVE));
    assert!(!own && cycle[0]["behind"]["threadId"] == 3, "{cycle}");
    world.end(first);
}

#[test]
fn a_thread_that_waits_for_itself() {
    let mut world = world();
    take(&mut world, task(0, None, 0, EXCLUSIVE));
    let (_, own, _) = refused(&mut world, Task { sync: true, ..task(0, None, 0, SHARED) });
    assert!(own);
}

#[test]
fn who_goes_past_others_may_make_their_wait_endless() {
    let mut world = world();
    let outer = take(&mut world, task(0, None, permits(3), 1));
    let other = take(&mut world, task(1, None, permits(3), 1));
    let inside = stand(&mut world, task(0, Some(outer), permits(3), 2));
    // It wants all three, before the one inside of whose callback one is waited for.
    let (number, ..) = refused(&mut world, Task { priority: 1, ..task(2, None, permits(3), 3) });
    assert_eq!(number, inside + 1);
    world.end(other);
    assert!(holds(&world, inside));
}

#[test]
fn several_at_once_in_the_way() {
    let mut world = world();
    let first = take(&mut world, task(0, None, 0, EXCLUSIVE));
    let all = stand(&mut world, Task::new(1, None, vec![(0, EXCLUSIVE), (1, EXCLUSIVE)]));
    let later = stand(&mut world, task(2, None, 1, SHARED));
    // The one for which it waits goes before it, and nobody else does.
    let inner = take(&mut world, task(0, Some(first), 1, EXCLUSIVE));
    world.end(inner);
    assert!(waits(&world, all) && waits(&world, later));
    world.end(first);
    assert!(holds(&world, all) && waits(&world, later));
    world.end(all);
    assert!(holds(&world, later) && world.is_tidy());
}

#[test]
fn the_refused_leave_the_queue_in_order() {
    let mut world = world();
    let reader = take(&mut world, task(0, None, 0, SHARED));
    let other = take(&mut world, task(1, None, 1, EXCLUSIVE));
    stand(&mut world, task(0, Some(reader), 1, EXCLUSIVE));
    // A writer that may be refused, and behind it a reader that only it keeps waiting.
    let writer = stand(&mut world, task(1, None, 0, EXCLUSIVE));
    let behind = stand(&mut world, task(2, None, 0, SHARED));
    let State::Waiting(ticket) = world.tasks[writer].state else { panic!("it waits") };
    let done = world.locks.cancel(ticket, Nanos(1));
    assert!(matches!(done.tell[0].what, Told::Granted { .. }), "who stood behind is served");
    assert!(!matches!(world.tasks[behind].state, State::Over));
    let gone = world.locks.depart(RowId::here(1, 1), Nanos(2));
    assert_eq!(gone.tell.len(), 1, "and whoever waited for the dead");
    assert!(holds(&world, other) && world.is_tidy());
}
