//! Random programs for the named locks, and what the plain model says of each of their steps.

use super::locks_model::{Asked, Model, Word, units};
use crate::local::claim::{ALL, IN_TURN, UPGRADE};
use proptest::prelude::*;

/// Three read/write locks by name, one by handle alone, two semaphores.
pub const NAMES: [&[u16]; 3] = [&[0x61], &[], &[0xd800, 0]];
pub const RESOURCES: usize = 6;
pub const SEMAPHORES: usize = 4;
pub const PERMITS: [u64; 2] = [2, 3];

#[derive(Clone, Debug)]
pub enum Op {
    Try { who: u64, at: usize, weight: u64 },
    Ask { who: u64, at: usize, weight: u64, priority: i32, patience: Option<u64>, steal: bool },
    All { who: u64, names: Vec<(usize, u64)>, priority: i32, patience: Option<u64> },
    Release { nth: usize, failed: bool },
    Downgrade { nth: usize },
    TryUpgrade { nth: usize },
    Upgrade { nth: usize, patience: Option<u64> },
    Cancel { nth: usize },
    Tick,
    Depart { who: u64 },
    Force { at: usize },
    Resize { at: usize, permits: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Granted,
    Waiting,
    Deadlock,
    No,
    Yes,
    Count(u64),
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Answer::Yes } else { Answer::No }
    }
}

/// The id of the nth of those who hold, or of those who wait.
fn nth(model: &Model, nth: usize, held: bool) -> Option<usize> {
    let mut ids: Vec<usize> = model.asked.iter().filter(|one| one.held == held).map(|one| one.id).collect();
    ids.sort_unstable();
    ids.get(nth % ids.len().max(1)).copied()
}

pub fn deadline(patience: Option<u64>, now: u64) -> u64 {
    patience.map_or(u64::MAX, |patience| now + patience)
}

/// What the model does. `target` is the hold or the waiter that the operation is about.
pub fn predict(model: &mut Model, op: &Op, id: usize, target: Option<usize>, now: u64) -> Answer {
    let new = |who, parts, priority: i32, deadline| Asked {
        id,
        who,
        parts,
        rank: (-priority, id as u64, IN_TURN),
        deadline,
        held: false,
        upgrades: None,
    };
    let answer = match op {
        Op::Try { who, at, weight } => {
            let granted = model.ask(new(*who, vec![(*at, *weight)], 0, u64::MAX), false);
            if !granted {
                model.asked.pop();
            }
            if granted { Answer::Granted } else { Answer::No }
        }
        Op::Ask { who, at, weight, priority, patience, steal } => {
            if *steal {
                evict(model, *at);
            }
            let asked = new(*who, vec![(*at, *weight)], *priority, deadline(*patience, now));
            if model.ask(asked, *steal) { Answer::Granted } else { Answer::Waiting }
        }
        Op::All { who, names, priority, patience } => {
            let mut parts: Vec<(usize, u64)> = Vec::new();
            for &(at, weight) in names {
                match parts.iter_mut().find(|part| part.0 == at) {
                    Some(part) => part.1 = part.1.min(weight),
                    None => parts.push((at, weight)),
                }
            }
            let asked = new(*who, parts, *priority, deadline(*patience, now));
            if model.ask(asked, false) { Answer::Granted } else { Answer::Waiting }
        }
        Op::Release { .. } | Op::Cancel { .. } => target.inspect(|&id| model.remove(id)).is_some().into(),
        Op::Downgrade { .. } => {
            let hold = target.and_then(|id| model.find(id));
            let exclusive = hold.filter(|hold| hold.parts.iter().all(|part| part.1 == 0));
            exclusive.map(|hold| hold.parts.iter_mut().for_each(|part| part.1 = 1)).is_some().into()
        }
        Op::TryUpgrade { .. } | Op::Upgrade { .. } => {
            upgrade(model, op, id, target.expect("there is a hold"), now)
        }
        Op::Tick => {
            expire(model, now);
            Answer::Yes
        }
        Op::Depart { who } => {
            model.asked.retain(|one| one.who != *who);
            Answer::Yes
        }
        Op::Force { at } => Answer::Count(evict(model, *at)),
        Op::Resize { at, permits } => {
            model.capacity[*at] = *permits;
            Answer::Yes
        }
    };
    model.settle();
    answer
}

fn evict(model: &mut Model, at: usize) -> u64 {
    let holders: Vec<usize> = model.at(at, true).map(|one| one.id).collect();
    for &id in &holders {
        model.told.push(Word::Lost(id));
        model.remove(id);
    }
    holders.len() as u64
}

fn upgrade(model: &mut Model, op: &Op, id: usize, base: usize, now: u64) -> Answer {
    let hold = model.find(base).expect("a hold").clone();
    let (at, weight) = hold.parts[0];
    if hold.parts.iter().all(|part| part.1 == 0 || model.used(part.0) == units(part.1)) {
        let hold = model.find(base).expect("a hold");
        hold.parts.iter_mut().for_each(|part| part.1 = 0);
        return if matches!(op, Op::Upgrade { .. }) { Answer::Granted } else { Answer::Yes };
    }
    let Op::Upgrade { patience, .. } = op else { return Answer::No };
    if model.upgrade_waits(at, base) {
        return Answer::Deadlock;
    }
    let parts = vec![(at, ALL - weight)];
    let rank = (-UPGRADE, id as u64, IN_TURN);
    let deadline = deadline(*patience, now);
    model.ask(Asked { id, who: hold.who, parts, rank, deadline, held: false, upgrades: Some(base) }, false);
    Answer::Waiting
}

fn expire(model: &mut Model, now: u64) {
    let is_late = |one: &&Asked| !one.held && one.deadline <= now;
    let late: Vec<Asked> = model.asked.iter().filter(is_late).cloned().collect();
    for one in &late {
        let is_held = |part: &&(usize, u64)| model.used(part.0) > 0;
        let at = one.parts.iter().find(is_held).unwrap_or(&one.parts[0]).0;
        let position = model.queue(at).iter().position(|&id| id == one.id).expect("it waits") + 1;
        model.told.push(Word::TimedOut(one.id, position));
    }
    model.asked.retain(|one| !late.iter().any(|gone| gone.id == one.id));
}

/// What the operation is about: the hold or the waiter that its number comes to, if there is one that it
/// may be done to.
pub fn target(model: &Model, op: &Op) -> Option<usize> {
    let one = |number, held| {
        let id: usize = nth(model, number, held)?;
        model.asked.iter().find(|one| one.id == id)
    };
    let is_lock = |hold: &&Asked| hold.parts.iter().all(|part| part.0 < SEMAPHORES);
    let found = match *op {
        Op::Release { nth, .. } => one(nth, true),
        Op::Downgrade { nth } | Op::TryUpgrade { nth } => one(nth, true).filter(is_lock),
        Op::Upgrade { nth, .. } => one(nth, true).filter(is_lock).filter(|hold| hold.parts.len() == 1),
        Op::Cancel { nth } => one(nth, false),
        _ => None,
    };
    found.map(|one| one.id)
}

fn patience() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of(0..30u64)
}

/// A resource, and a weight that can be asked of it.
fn wish() -> impl Strategy<Value = (usize, u64)> {
    prop_oneof![3 => (0..SEMAPHORES, 0..2u64), 1 => (SEMAPHORES..RESOURCES, 1..4u64)]
}

pub fn op() -> impl Strategy<Value = Op> {
    let who = 0..4u64;
    let priority = || prop_oneof![3 => Just(0), 1 => -1..2i32];
    let number = 0..8usize;
    prop_oneof![
        4 => (who.clone(), wish()).prop_map(|(who, (at, weight))| Op::Try { who, at, weight }),
        9 => (who.clone(), wish(), priority(), patience(), 0..12u8).prop_map(
            |(who, (at, weight), priority, patience, dice)| {
                let steal = dice == 0 && at < SEMAPHORES;
                Op::Ask { who, at, weight: if steal { 0 } else { weight }, priority, patience, steal }
            }
        ),
        3 => (who.clone(), proptest::collection::vec((0..NAMES.len(), 0..2u64), 1..4), priority(), patience())
            .prop_map(|(who, names, priority, patience)| Op::All { who, names, priority, patience }),
        8 => (number.clone(), any::<bool>()).prop_map(|(nth, failed)| Op::Release { nth, failed }),
        1 => number.clone().prop_map(|nth| Op::Downgrade { nth }),
        1 => number.clone().prop_map(|nth| Op::TryUpgrade { nth }),
        2 => (number.clone(), patience()).prop_map(|(nth, patience)| Op::Upgrade { nth, patience }),
        2 => number.prop_map(|nth| Op::Cancel { nth }),
        2 => Just(Op::Tick),
        1 => who.prop_map(|who| Op::Depart { who }),
        1 => (0..NAMES.len()).prop_map(|at| Op::Force { at }),
        1 => (SEMAPHORES..RESOURCES, 1..5u64).prop_map(|(at, permits)| Op::Resize { at, permits }),
    ]
}
