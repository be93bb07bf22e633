//! No false alarm and no deadlock overlooked, on random schedules of flows that take locks inside of locks.
//! Where everybody takes them in one order there is no deadlock, and none may be told. Where everybody takes
//! them as it comes, a brute-force simulation says after each step whether somebody can never be served.

use super::deadlock_world::{Dice, NEVER, Refusal, State, Task, World, stuck};
use super::locks_audit::audit;
use super::sized;
use std::fmt;

/// How the flows of a schedule behave.
#[derive(Clone, Copy, Debug)]
struct Habits {
    /// Whether locks are taken in one order, level by level.
    ordered: bool,
    flows: usize,
    /// Read/write locks and semaphores, over all levels.
    locks: usize,
    permits: &'static [u64],
    /// One request in so many is made by a thread that stands still for it.
    sync: usize,
    priority: usize,
    web: usize,
    upgrade: usize,
    send: usize,
    /// The most requests that one callback makes.
    most: usize,
}

/// Two locks and a semaphore on each.
const LEVELS: usize = 3;

fn level_of(world: &World, habits: &Habits, task: usize) -> usize {
    let of = |part: &(usize, u64)| if part.0 < habits.locks { part.0 / 2 } else { part.0 - habits.locks };
    world.tasks[task].parts.iter().map(|part| of(part) + 1).max().unwrap_or(0)
}

/// What a flow that is inside of `outer` asks for next, if it asks for anything.
fn next_wish(world: &World, habits: &Habits, dice: &mut Dice, outer: usize) -> Option<Task> {
    let row = world.tasks[outer].row;
    let depth = world.around(outer).count();
    if world.tasks[outer].made >= habits.most || depth >= 4 || dice.one_in(4) {
        return None;
    }
    let lowest = if habits.ordered { level_of(world, habits, outer) } else { 0 };
    if lowest >= LEVELS {
        return None;
    }
    let level = lowest + dice.below(LEVELS - lowest);
    let weight = |dice: &mut Dice| u64::from(!dice.one_in(2));
    let parts = match dice.below(8) {
        0..=4 => vec![(2 * level + dice.below(2), weight(dice))],
        5 => {
            let at = habits.locks + level;
            vec![(at, 1 + dice.below(world.capacity[at] as usize) as u64)]
        }
        _ if habits.ordered => {
            let first = 2 * level + dice.below(2);
            let last = first + 1 + dice.below((habits.locks - first).max(2) - 1);
            vec![(first, weight(dice)), (last.min(habits.locks - 1), weight(dice))]
        }
        _ => {
            let first = dice.below(habits.locks);
            let second = (first + 1 + dice.below(habits.locks - 1)) % habits.locks;
            vec![(first, weight(dice)), (second, weight(dice))]
        }
    };
    let mut task = Task::new(row, Some(outer), parts);
    task.priority = if dice.one_in(habits.priority) { dice.below(3) as i32 - 1 } else { 0 };
    task.sync = is_sequential(row) && dice.one_in(habits.sync);
    task.web = !task.sync && dice.one_in(habits.web);
    if dice.one_in(habits.send) {
        task.parts = vec![(world.send(), 1)];
    } else if dice.one_in(habits.upgrade) && may_upgrade(world, outer) {
        (task.parts, task.upgrades, task.web) = (world.tasks[outer].parts.clone(), Some(outer), false);
    }
    Some(task)
}

/// Threads that may stand still do one thing after the other; in the others, callbacks run side by side.
fn is_sequential(row: u64) -> bool {
    row.is_multiple_of(2)
}

fn may_upgrade(world: &World, outer: usize) -> bool {
    let is_upgrading = |task: &Task| task.upgrades == Some(outer) && task.state != State::Over;
    let is_shared = matches!(&world.tasks[outer].parts[..], [(at, 1)] if world.capacity[*at] > 9);
    is_shared && !world.tasks.iter().any(is_upgrading)
}

/// One step of somebody who can take one: asks, or ends its callback. None when nobody can.
fn step(world: &mut World, habits: &Habits, dice: &mut Dice) -> Option<Option<usize>> {
    let mut ready = [0; 64];
    let mut count = 0;
    for (number, task) in world.tasks.iter().enumerate() {
        let is_open = match task.state {
            State::Root => task.made < habits.most,
            State::Holding(_) => true,
            State::Waiting(_) | State::Over => false,
        };
        let is_free = if is_sequential(task.row) { task.children == 0 } else { task.children < 2 };
        if is_open && is_free && !world.is_blocked(task.row) {
            ready[count] = number;
            count += 1;
        }
    }
    if count == 0 {
        return None;
    }
    let number = ready[dice.below(count)];
    if let Some(task) = next_wish(world, habits, dice, number) {
        world.idle = 0;
        return Some(Some(world.ask(task)));
    }
    let task = &mut world.tasks[number];
    world.idle += 1;
    if task.state == State::Root {
        task.made = habits.most;
    } else if task.children == 0 {
        world.end(number);
        world.idle = 0;
    }
    // Where nobody does anything any more, somebody waits for ever.
    (world.idle < 1_000).then_some(None)
}

fn begin(world: &mut World, habits: &Habits) {
    world.tasks.clear();
    world.refused.clear();
    world.idle = 0;
    for row in 0..habits.flows as u64 {
        let root = Task { state: State::Root, ..Task::new(row, None, Vec::new()) };
        world.tasks.push(root);
    }
}

/// Schedules in which locks are taken in one order: nothing is refused, and everybody gets through.
fn ordered(schedules: u64, habits: Habits) -> (u64, u64) {
    let mut world = World::new(habits.locks, habits.permits);
    let mut waits = 0;
    for seed in 0..schedules {
        let mut dice = Dice::new(seed);
        begin(&mut world, &habits);
        while let Some(asked) = step(&mut world, &habits, &mut dice) {
            waits +=
                u64::from(asked.is_some_and(|asked| matches!(world.tasks[asked].state, State::Waiting(_))));
            assert!(world.refused.is_empty(), "schedule {seed}: {:?}\n{:?}", world.refused, world.tasks);
        }
        let left = world.tasks.iter().filter(|task| !matches!(task.state, State::Over | State::Root)).count();
        assert_eq!(left, 0, "schedule {seed}: somebody was forgotten\n{:?}", world.tasks);
        if seed % 1_000 == 0 {
            audit(&world.locks);
        }
    }
    (schedules, waits)
}

const ORDERED: Habits = Habits {
    ordered: true,
    flows: 4,
    locks: 6,
    permits: &[1, 2, 3],
    sync: 3,
    priority: 4,
    web: 4,
    upgrade: NEVER,
    send: NEVER,
    most: 2,
};

#[test]
fn what_is_taken_in_one_order_is_never_called_a_deadlock() {
    let schedules = sized(1_000_000, 20_000_000);
    let (schedules, waits) = ordered(schedules, ORDERED);
    println!("deadlocks: {schedules} schedules in order, 0 reports, {waits} waits");
}

/// What a report says about one wait: who waits, and the hold (or, ahead in the queue, the request) that it
/// waits for; the send lock's holder goes by its token.
fn edges(report: &str, tasks: &[Task]) -> Vec<(usize, Option<usize>, Option<usize>)> {
    let report: serde_json::Value = serde_json::from_str(report).expect("a report is JSON");
    let number = |one: &serde_json::Value| one["label"].as_str().and_then(|label| label.parse().ok());
    let edges = report["cycle"].as_array().expect("a report has a cycle").iter();
    edges
        .map(|edge| {
            let asker = number(&edge["request"]).expect("the tests label every request");
            // A request to upgrade goes by the label of its hold.
            let is_upgrade = |task: &Task| task.upgrades == Some(asker) && task.state != State::Over;
            let asker = tasks.iter().position(is_upgrade).unwrap_or(asker);
            (asker, number(&edge["heldBy"]), number(&edge["behind"]))
        })
        .collect()
}

/// A step of a schedule, for whom it fails.
struct Why<'a> {
    seed: u64,
    before: &'a [Task],
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule {}, before:", self.seed)?;
        let numbered = self.before.iter().enumerate();
        numbered
            .filter(|(_, task)| task.state != State::Over)
            .try_for_each(|(n, task)| write!(f, "\n{n}: {task:?}"))
    }
}

/// A reported cycle is one: each waits for a hold (or behind a request) that waits for the next.
fn check_cycle(
    tasks: &[Task],
    capacity: &[u64],
    cycle: &[(usize, Option<usize>, Option<usize>)],
    why: &Why<'_>,
) {
    let is_inside = |inner: usize, hold: usize| {
        std::iter::successors(tasks[inner].outer, |&outer| tasks[outer].outer).any(|outer| outer == hold)
    };
    let shares = |one: usize, other: usize| {
        tasks[one].parts.iter().any(|part| tasks[other].parts.iter().any(|another| another.0 == part.0))
    };
    let nobody = stuck(tasks, capacity);
    for (place, &(asker, hold, behind)) in cycle.iter().enumerate() {
        let next = cycle[(place + 1) % cycle.len()].0;
        assert!(nobody.contains(&asker), "{why}: {asker} could be served");
        match (hold, behind) {
            (Some(hold), None) => {
                assert!(
                    matches!(tasks[hold].state, State::Holding(_)) && shares(asker, hold),
                    "{why}: {asker}"
                );
                let stands = tasks[next].sync && tasks[next].row == tasks[hold].row;
                assert!(stands || is_inside(next, hold), "{why}: {hold} does not wait for {next}");
            }
            (None, Some(behind)) => {
                assert!(shares(asker, behind), "{why}: {asker} is not behind {behind}");
                let stands = tasks[next].sync && tasks[next].row == tasks[behind].row;
                assert!(stands || behind == next, "{why}: {behind} does not wait for {next}");
            }
            // The send lock.
            _ => assert!(tasks[asker].parts[0].0 == capacity.len() - 1, "{why}: {asker} waits for nothing"),
        }
    }
}

/// Checks what was refused in one step against the world as it was before, with the request in it. Answers
/// whether standard requests now wait for ever.
fn check_refusals(world: &mut World, why: &Why<'_>, asked: usize) -> bool {
    let mut tasks = why.before.to_vec();
    if world.refused.is_empty() {
        return false;
    }
    tasks.truncate(asked);
    let state = State::Waiting(0);
    tasks.push(Task { state, ..world.tasks[asked].clone() });
    for refusal in std::mem::take(&mut world.refused) {
        match refusal {
            Refusal::Deadlock(refused, own, report) => {
                let cycle = edges(&report, &tasks);
                check_cycle(&tasks, &world.capacity, &cycle, why);
                assert!(!own || cycle.len() == 1, "{why}: {report}");
                let may_be_refused = cycle.iter().map(|edge| edge.0).filter(|&one| !tasks[one].web);
                assert_eq!(may_be_refused.max(), Some(refused), "{why}: the youngest is refused");
                tasks[refused].state = State::Over;
            }
            Refusal::Warned(asker, report) => {
                let cycle = edges(&report, &tasks);
                check_cycle(&tasks, &world.capacity, &cycle, why);
                assert!(cycle.iter().all(|edge| tasks[edge.0].web), "{why}: one could be refused");
                assert_eq!(asker, asked);
                return true;
            }
        }
    }
    false
}

/// Schedules in which locks are taken as it comes. Answers how many requests were refused, and how many
/// schedules ended in a wait for ever of standard requests.
fn disordered(schedules: u64, habits: Habits) -> (u64, u64) {
    let (mut refused, mut hung) = (0, 0);
    for seed in 0..schedules {
        let mut world = World::new(habits.locks, habits.permits);
        let mut dice = Dice::new(seed);
        begin(&mut world, &habits);
        loop {
            let before = world.picture();
            let Some(asked) = step(&mut world, &habits, &mut dice) else { break };
            let why = Why { seed, before: &before };
            refused += world.refused.len() as u64;
            if asked.is_some_and(|asked| check_refusals(&mut world, &why, asked)) {
                hung += 1;
                break;
            }
            let forgotten = stuck(&world.picture(), &world.capacity);
            assert!(
                forgotten.is_empty(),
                "{forgotten:?} wait for ever, and nobody was told: {why}\n{:?}",
                world.tasks.last()
            );
        }
    }
    (refused, hung)
}

#[test]
fn what_is_called_a_deadlock_is_one_and_none_is_overlooked() {
    let schedules = sized(8_000, 1_000_000);
    let all = Habits {
        ordered: false,
        flows: 4,
        locks: 6,
        permits: &[1, 2, 3],
        sync: NEVER,
        priority: NEVER,
        web: NEVER,
        upgrade: NEVER,
        send: NEVER,
        most: 2,
    };
    for (name, habits) in [
        ("locks and semaphores", all),
        ("upgrades", Habits { upgrade: 3, ..all }),
        ("web requests", Habits { web: 6, ..all }),
        ("the send lock", Habits { send: 3, ..all }),
        ("priorities", Habits { priority: 2, ..all }),
        ("threads that stand still", Habits { sync: 2, ..all }),
        ("all of these", Habits { sync: 4, priority: 4, upgrade: 8, web: 12, ..all }),
    ] {
        let (refused, hung) = disordered(schedules, habits);
        println!("deadlocks: {schedules} schedules with {name}, {refused} refused, {hung} hung");
    }
}
