//! A small world of flows that take locks inside of locks, driven by chance over the real named locks; and
//! what a brute-force simulation says about who of them can still be served.

use super::locks_audit::audit;
use super::locks_model::{Asked, Model};
use crate::local::claim::{ALL, Ask, Delivery, Done, Grant, IN_TURN, Outcome, Rank, Told, UPGRADE, Warning};
use crate::local::departures::{Caller, RowId};
use crate::local::locks::Locks;
use crate::local::names::{Ref, Target};
use crate::local::resource::Kind;
use crate::sync::Arc;
use crate::time::Nanos;
use std::cell::Cell;
use std::fmt;

/// Choices that are the same for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

/// One in so many is none.
pub const NEVER: usize = usize::MAX;

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as usize * end) >> 32
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        many != NEVER && self.below(many) == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A flow itself: it holds nothing.
    Root,
    Waiting(u64),
    Holding(Grant),
    Over,
}

/// A request, later a hold with a callback, later nothing.
#[derive(Clone)]
pub struct Task {
    pub row: u64,
    /// The hold inside of whose callback it asks.
    pub outer: Option<usize>,
    pub parts: Vec<(usize, u64)>,
    pub priority: i32,
    pub sync: bool,
    pub web: bool,
    pub upgrades: Option<usize>,
    /// Where it stands in line, in a picture of the world.
    pub rank: Option<Rank>,
    pub state: State,
    /// Those of its own requests that are not over, and all that it has made.
    pub children: usize,
    pub made: usize,
}

impl Task {
    pub fn new(row: u64, outer: Option<usize>, parts: Vec<(usize, u64)>) -> Self {
        let state = State::Over;
        let (priority, sync, web, upgrades, rank, children, made) = (0, false, false, None, None, 0, 0);
        Self { row, outer, parts, priority, sync, web, upgrades, rank, state, children, made }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let marks = [(self.sync, " sync"), (self.web, " web"), (self.upgrades.is_some(), " upgrade")];
        let marks: String = marks.into_iter().filter(|mark| mark.0).map(|mark| mark.1).collect();
        let Self { row, outer, parts, priority, state, .. } = self;
        write!(f, "thread {row} in {outer:?} asks {parts:?} {priority}{marks}: {state:?}")
    }
}

/// What the locks said besides grants.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The task, whether its own hold alone was in the way, and the report.
    Deadlock(usize, bool, Arc<str>),
    /// Nobody could be refused; the task that closed the cycle.
    Warned(usize, Arc<str>),
}

/// Read/write locks come first, then semaphores, then the send lock.
#[derive(Debug)]
pub struct World {
    pub locks: Locks,
    refs: Vec<Ref>,
    pub capacity: Vec<u64>,
    pub tasks: Vec<Task>,
    pub refused: Vec<Refusal>,
    /// Steps since anybody did anything.
    pub idle: usize,
    send_queue: Vec<usize>,
}

thread_local! {
    static SEND_TOKEN: Cell<u64> = const { Cell::new(0) };
    static LAST_SEND_TOKEN: Cell<u64> = const { Cell::new(0) };
}

/// The slot that stands for the send lock, which has none.
const SEND: u32 = u32::MAX;
const NOW: Nanos = Nanos(1_000);

impl World {
    pub fn new(locks: usize, permits: &[u64]) -> Self {
        SEND_TOKEN.set(0);
        let real = Locks::new(|| SEND_TOKEN.get());
        let lock = |at: usize| real.open(Kind::ReadWrite, Some(&[at as u16]), 0);
        let mut refs: Vec<Ref> = (0..locks).map(|at| lock(at).expect("it is new")).collect();
        let semaphore = |permits: &u64| real.open(Kind::Semaphore, None, *permits).expect("it is new");
        refs.extend(permits.iter().map(semaphore));
        let mut capacity = vec![ALL; locks];
        capacity.extend(permits.iter().chain([&1]));
        Self {
            locks: real,
            refs,
            capacity,
            tasks: Vec::new(),
            refused: Vec::new(),
            idle: 0,
            send_queue: Vec::new(),
        }
    }

    /// The number of the send lock among the resources.
    pub fn send(&self) -> usize {
        self.refs.len()
    }

    pub fn caller(row: u64) -> Caller {
        Caller { row: RowId::here(row as u32, 1), thread_id: row, mailbox: row }
    }

    /// The holds around a task, innermost first.
    pub fn around(&self, task: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.tasks[task].outer, |&outer| self.tasks[outer].outer)
    }

    fn token(&self, task: usize) -> Option<i64> {
        match self.tasks[task].state {
            State::Holding(Grant { slot: SEND, token }) => Some(-(token as i64)),
            State::Holding(Grant { token, .. }) => Some(token as i64),
            State::Root | State::Waiting(_) | State::Over => None,
        }
    }

    /// Makes a request; answers its number.
    pub fn ask(&mut self, task: Task) -> usize {
        let number = self.tasks.len();
        if let Some(outer) = task.outer {
            self.tasks[outer].children += 1;
            self.tasks[outer].made += 1;
        }
        self.tasks.push(task);
        let ancestors: Vec<i64> = self.around(number).filter_map(|outer| self.token(outer)).collect();
        let task = &self.tasks[number];
        let caller = Self::caller(task.row);
        if task.parts[0].0 == self.send() {
            self.ask_for_send_lock(number, caller, &ancestors);
            return number;
        }
        let label = number.to_string();
        let ask = Ask {
            priority: task.priority,
            sync: task.sync,
            web: task.web,
            ancestors: &ancestors,
            label: Some(&label),
            ..Ask::default()
        };
        let done = match (task.upgrades, &task.parts[..]) {
            (Some(base), _) => {
                let State::Holding(Grant { slot, token }) = self.tasks[base].state else { panic!("no hold") };
                self.locks.upgrade(slot, token, ask, NOW)
            }
            (None, &[(at, weight)]) => {
                self.locks.request(caller, Target::Ref(self.refs[at]), weight, ask, NOW)
            }
            (None, parts) => {
                let targets: Vec<(Vec<u16>, u64)> =
                    parts.iter().map(|part| (vec![part.0 as u16], part.1)).collect();
                self.locks.request_all(caller, &targets, ask, NOW)
            }
        };
        self.outcome(number, done);
        number
    }

    fn outcome(&mut self, number: usize, done: Done<Outcome>) {
        match done.answer {
            Outcome::Granted(grant) => self.granted(number, grant),
            Outcome::Waiting(ticket, _) => self.tasks[number].state = State::Waiting(ticket),
            Outcome::Deadlock(report) => self.refuse(number, false, report),
            Outcome::SelfDeadlock(report) => self.refuse(number, true, report),
            other => panic!("{other:?}"),
        }
        self.hear(done.tell, number);
    }

    fn ask_for_send_lock(&mut self, number: usize, caller: Caller, ancestors: &[i64]) {
        if SEND_TOKEN.get() == 0 {
            self.give_send_lock(number);
            return;
        }
        let done = self.locks.wait_outside(caller, ancestors, &number.to_string(), NOW);
        match done.answer {
            Ok(ticket) => {
                self.tasks[number].state = State::Waiting(ticket);
                self.send_queue.push(number);
            }
            Err(report) => self.refuse(number, false, report),
        }
        self.hear(done.tell, number);
    }

    fn give_send_lock(&mut self, number: usize) {
        LAST_SEND_TOKEN.set(LAST_SEND_TOKEN.get() + 1);
        SEND_TOKEN.set(LAST_SEND_TOKEN.get());
        self.tasks[number].state = State::Holding(Grant { slot: SEND, token: SEND_TOKEN.get() });
    }

    fn granted(&mut self, number: usize, grant: Grant) {
        if let Some(base) = self.tasks[number].upgrades {
            self.tasks[base].parts[0].1 = 0;
            self.over(number);
        } else {
            self.tasks[number].state = State::Holding(grant);
        }
    }

    fn over(&mut self, number: usize) {
        self.tasks[number].state = State::Over;
        self.send_queue.retain(|&other| other != number);
        if let Some(outer) = self.tasks[number].outer {
            self.tasks[outer].children -= 1;
        }
    }

    fn refuse(&mut self, number: usize, own: bool, report: Arc<str>) {
        self.over(number);
        self.refused.push(Refusal::Deadlock(number, own, report));
    }

    fn hear(&mut self, tell: Vec<Delivery>, asker: usize) {
        for delivery in tell {
            match delivery.what {
                Told::Granted { ticket, token, slot, .. } => {
                    self.granted(self.with_ticket(ticket), Grant { slot, token });
                }
                Told::Deadlocked { ticket, report } => {
                    let number = self.with_ticket(ticket);
                    self.refuse(number, false, report);
                }
                Told::Warned { report, which: Warning::Deadlock } => {
                    self.refused.push(Refusal::Warned(asker, report));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn with_ticket(&self, ticket: u64) -> usize {
        let place = self.tasks.iter().position(|task| task.state == State::Waiting(ticket));
        place.expect("an answer to somebody who waits")
    }

    /// The callback of a hold ends.
    pub fn end(&mut self, number: usize) {
        let State::Holding(Grant { slot, token }) = self.tasks[number].state else { panic!("no hold") };
        self.over(number);
        if slot == SEND {
            self.end_send_hold();
            return;
        }
        let done = self.locks.release(slot, token, false, NOW);
        assert!(done.answer);
        self.hear(done.tell, number);
    }

    fn end_send_hold(&mut self) {
        SEND_TOKEN.set(0);
        if self.send_queue.is_empty() {
            return;
        }
        let next = self.send_queue.remove(0);
        if let State::Waiting(ticket) = self.tasks[next].state {
            self.locks.wait_outside_over(ticket);
        }
        self.give_send_lock(next);
    }

    /// All tasks, with their places in line.
    pub fn picture(&self) -> Vec<Task> {
        let rank = |task: &Task| match task.state {
            State::Waiting(ticket) => self.locks.peek(|book| {
                let claim = book.claims.get(book.claims.waiting(ticket)?)?;
                Some(claim.rank())
            }),
            State::Root | State::Holding(_) | State::Over => None,
        };
        self.tasks.iter().map(|task| Task { rank: rank(task), ..task.clone() }).collect()
    }

    /// Whether the locks' book is as it must be.
    pub fn is_tidy(&self) -> bool {
        audit(&self.locks);
        true
    }

    /// Whether a thread stands still for one of its requests.
    pub fn is_blocked(&self, row: u64) -> bool {
        let blocks = |task: &&Task| task.row == row && task.sync && matches!(task.state, State::Waiting(_));
        self.tasks.iter().any(|task| blocks(&task))
    }
}

/// Those who could never be served, if nobody asked for anything more, and everybody gave back as soon as
/// nothing inside of its callback waits.
pub fn stuck(tasks: &[Task], capacity: &[u64]) -> Vec<usize> {
    let mut model = Model { capacity: capacity.to_vec(), ..Model::default() };
    for (id, task) in tasks.iter().enumerate() {
        let (held, rank) = match task.state {
            State::Holding(_) => (true, (0, 0, 0)),
            State::Waiting(_) => (false, task.rank.unwrap_or_else(|| last_rank(task))),
            State::Root | State::Over => continue,
        };
        let upgrade = task.upgrades.map(|_| vec![(task.parts[0].0, ALL - 1)]);
        let parts = upgrade.unwrap_or_else(|| task.parts.clone());
        let (who, upgrades) = (task.row, task.upgrades);
        model.asked.push(Asked { id, who, parts, rank, deadline: 0, held, upgrades });
    }
    let is_inside = |inner: usize, hold: usize| {
        std::iter::successors(tasks[inner].outer, |&outer| tasks[outer].outer).any(|outer| outer == hold)
    };
    loop {
        model.settle();
        let waits = |hold: &Asked| {
            let mut waiting = model.asked.iter().filter(|one| !one.held);
            waiting.any(|one| is_inside(one.id, hold.id) || one.who == hold.who && tasks[one.id].sync)
        };
        let Some(free) = model.asked.iter().find(|one| one.held && !waits(one)) else { break };
        model.remove(free.id);
    }
    model.asked.iter().filter(|one| !one.held).map(|one| one.id).collect()
}

/// The rank of one who comes last.
fn last_rank(task: &Task) -> Rank {
    let priority = if task.upgrades.is_some() { UPGRADE } else { task.priority };
    (-priority, u64::MAX, IN_TURN)
}
