//! The named locks against a model of them that is a page of plain code, step by step on random programs:
//! same answers, same deliveries, same holders and the same order in every queue. The book is audited
//! after every step.

use super::locks_audit::{audit, line};
use super::locks_model::{Model, Word};
use super::locks_programs::{
    Answer, NAMES, Op, PERMITS, RESOURCES, SEMAPHORES, deadline, op, predict, target,
};
use super::sized;
use crate::local::claim::{ALL, Ask, Delivery, Done, Grant, How, Outcome, Told};
use crate::local::departures::{Caller, RowId};
use crate::local::locks::Locks;
use crate::local::names::{Ref, Target};
use crate::local::resource::Kind;
use crate::time::Nanos;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::HashMap;

/// The real locks, answering in the model's words.
struct Real {
    locks: Locks,
    refs: Vec<Ref>,
    tickets: HashMap<usize, u64>,
    grants: HashMap<usize, Grant>,
    newest_token: u64,
    told: Vec<Word>,
}

fn caller(who: u64) -> Caller {
    Caller { row: RowId::here(who as u32, 1), thread_id: who, mailbox: who }
}

impl Real {
    fn new() -> Self {
        let locks = Locks::new(|| 0);
        let open = |at: usize| {
            let (kind, name) = if at < SEMAPHORES {
                (Kind::ReadWrite, NAMES.get(at).copied())
            } else {
                (Kind::Semaphore, (at == SEMAPHORES).then_some(NAMES[0]))
            };
            locks.open(kind, name, PERMITS.get(at.wrapping_sub(SEMAPHORES)).copied().unwrap_or(0))
        };
        let refs = (0..RESOURCES).map(|at| open(at).expect("it is new")).collect();
        let (tickets, grants) = (HashMap::new(), HashMap::new());
        Self { locks, refs, tickets, grants, newest_token: 0, told: Vec::new() }
    }

    fn holds(&mut self, id: usize, grant: Grant) {
        assert!(grant.token > self.newest_token, "tokens grow");
        self.grants.insert(id, grant);
    }

    fn id_of(&self, ticket: u64) -> usize {
        *self.tickets.iter().find(|(_, other)| **other == ticket).expect("a ticket that was given").0
    }

    fn hear(&mut self, tell: Vec<Delivery>) {
        for delivery in tell {
            let word = match delivery.what {
                Told::Granted { ticket, token, slot, .. } => {
                    let id = self.id_of(ticket);
                    let is_known = self.grants.values().any(|held| *held == Grant { slot, token });
                    match token {
                        0 => Word::Over(id),
                        _ if is_known => Word::Upgraded(id),
                        _ => {
                            self.holds(id, Grant { slot, token });
                            Word::Granted(id)
                        }
                    }
                }
                Told::TimedOut { ticket, position, .. } => Word::TimedOut(self.id_of(ticket), position),
                Told::Lost { slot, token, how: How::Stolen | How::Forced } => {
                    let lost = self.grants.iter().find(|(_, held)| **held == Grant { slot, token });
                    Word::Lost(*lost.expect("a hold that was given").0)
                }
                other @ (Told::Deadlocked { .. } | Told::Warned { .. }) => panic!("{other:?}"),
            };
            self.told.push(word);
        }
    }

    fn take<T>(&mut self, done: Done<T>) -> T {
        self.hear(done.tell);
        done.answer
    }

    fn outcome(&mut self, done: Done<Outcome>, id: usize, base: Option<Grant>) -> Answer {
        let answer = match &done.answer {
            Outcome::Granted(grant) if base.is_some_and(|base| base == *grant) => Answer::Granted,
            Outcome::Granted(grant) => {
                self.holds(id, *grant);
                Answer::Granted
            }
            Outcome::Waiting(ticket, _) => {
                let is_new = self.tickets.values().all(|other| other != ticket);
                assert!(is_new, "a ticket is given once");
                self.tickets.insert(id, *ticket);
                Answer::Waiting
            }
            Outcome::Deadlock(_) => Answer::Deadlock,
            other => panic!("{other:?}"),
        };
        self.hear(done.tell);
        answer
    }

    fn target(&self, at: usize, id: usize) -> Target<'static> {
        // Every other time by its handle.
        match NAMES.get(at) {
            Some(name) if id.is_multiple_of(2) => Target::Name(name),
            _ => Target::Ref(self.refs[at]),
        }
    }

    fn step(&mut self, op: &Op, id: usize, target: Option<usize>, at: u64) -> Answer {
        let now = Nanos(at);
        let grant = target.and_then(|id| self.grants.get(&id).copied());
        match op {
            Op::Try { who, at, weight } => {
                let Some(grant) =
                    self.locks.try_acquire(caller(*who), self.target(*at, id), *weight, None, now)
                else {
                    return Answer::No;
                };
                self.holds(id, grant);
                Answer::Granted
            }
            Op::Ask { who, at: resource, weight, priority, patience, steal } => {
                let (priority, steal) = (*priority, *steal);
                let ask = Ask { deadline: Nanos(deadline(*patience, at)), priority, steal, ..Ask::default() };
                let target = self.target(*resource, id);
                let done = self.locks.request(caller(*who), target, *weight, ask, now);
                self.outcome(done, id, None)
            }
            Op::All { who, names, priority, patience } => {
                let (priority, deadline) = (*priority, Nanos(deadline(*patience, at)));
                let ask = Ask { deadline, priority, ..Ask::default() };
                let targets: Vec<(Vec<u16>, u64)> =
                    names.iter().map(|&(at, weight)| (NAMES[at].to_vec(), weight)).collect();
                let done = self.locks.request_all(caller(*who), &targets, ask, now);
                self.outcome(done, id, None)
            }
            Op::Release { failed, .. } => {
                let Some(Grant { slot, token }) = grant else { return Answer::No };
                let done = self.locks.release(slot, token, *failed, now);
                let answer = self.take(done).into();
                assert!(!self.locks.release(slot, token, *failed, now).answer, "a hold is given back once");
                answer
            }
            Op::Downgrade { .. } => {
                let Some(Grant { slot, token }) = grant else { return Answer::No };
                let done = self.locks.downgrade(slot, token, now);
                self.take(done).into()
            }
            Op::TryUpgrade { .. } => {
                let Grant { slot, token } = grant.expect("there is a hold");
                self.locks.try_upgrade(slot, token, now).into()
            }
            Op::Upgrade { patience, .. } => {
                let Grant { slot, token } = grant.expect("there is a hold");
                let ask = Ask { deadline: Nanos(deadline(*patience, at)), ..Ask::default() };
                let done = self.locks.upgrade(slot, token, ask, now);
                self.outcome(done, id, grant)
            }
            Op::Cancel { .. } => {
                let Some(ticket) = target.map(|id| self.tickets[&id]) else { return Answer::No };
                let done = self.locks.cancel(ticket, now);
                let answer = self.take(done).into();
                assert!(!self.locks.cancel(ticket, now).answer, "a waiter leaves once");
                answer
            }
            Op::Tick => {
                let done = self.locks.tick(now);
                self.take(done);
                Answer::Yes
            }
            Op::Depart { who } => {
                let done = self.locks.depart(caller(*who).row, now);
                self.take(done);
                Answer::Yes
            }
            Op::Force { at } => {
                let done = self.locks.force_release(NAMES[*at], "", now);
                Answer::Count(self.take(done))
            }
            Op::Resize { at, permits } => {
                let done = self.locks.resize(self.refs[*at], *permits, now);
                self.take(done);
                Answer::Yes
            }
        }
    }
}

fn compare(model: &Model, real: &Real) {
    audit(&real.locks);
    for (at, resource) in real.refs.iter().enumerate() {
        let line = line(&real.locks, *resource);
        let holds = |id: &usize| real.grants[id];
        let expected: Vec<(u32, u64)> =
            model.at(at, true).map(|one| holds(&one.id)).map(|grant| (grant.slot, grant.token)).collect();
        assert_eq!(line.holds, expected, "the holders of {at}");
        let expected: Vec<u64> = model.queue(at).iter().map(|id| real.tickets[id]).collect();
        assert_eq!(line.queue, expected, "the queue of {at}");
        assert_eq!(line.used, model.used(at));
        let state = if line.used == ALL { -1 } else { line.used as i64 };
        assert_eq!(real.locks.state(Target::Ref(*resource)), state);
    }
}

/// A program in steps, each after a pause.
type Program = Vec<(Op, u64)>;

fn agree(program: Program) -> Result<(), TestCaseError> {
    let mut model = Model { capacity: vec![ALL; RESOURCES], ..Model::default() };
    model.capacity[SEMAPHORES..].copy_from_slice(&PERMITS);
    let mut real = Real::new();
    let mut now = 1_000;
    for (id, (op, pause)) in program.into_iter().enumerate() {
        now += pause;
        let target = target(&model, &op);
        if target.is_none() && matches!(op, Op::TryUpgrade { .. } | Op::Upgrade { .. }) {
            continue;
        }
        let expected = predict(&mut model, &op, id, target, now);
        prop_assert_eq!(real.step(&op, id, target, now), expected, "step {}: {:?} at {}", id, op, now);
        model.told.sort_unstable();
        real.told.sort_unstable();
        prop_assert_eq!(&real.told, &model.told, "told in step {}: {:?}", id, op);
        model.told.clear();
        real.told.clear();
        compare(&model, &real);
        real.newest_token = real.grants.values().map(|grant| grant.token).max().unwrap_or(0);
    }
    Ok(())
}

#[test]
fn the_named_locks_do_what_the_plain_model_does() {
    let programs = sized(50_000, 2_000_000) as u32;
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(programs) };
    let pause = prop_oneof![3 => Just(0u64), 2 => 1..15u64, 1 => 20..60u64];
    let program = proptest::collection::vec((op(), pause), 1..60);
    if let Err(failure) = TestRunner::new(config).run(&program, agree) {
        panic!("{failure}");
    }
    println!("differential: {programs} programs");
}
