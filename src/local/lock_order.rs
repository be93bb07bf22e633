//! The order in which classes of locks are taken, and its inversions, after the Linux kernel's lockdep: who
//! holds a lock of one class and asks for one of another states an order; whoever states the opposite, over
//! however many steps, could deadlock with the first, though neither does today. Told once for each pair.

use crate::local::book::Book;
use crate::local::claim::{Ask, Parts, State};
use crate::local::departures::Caller;
use crate::local::report;
use crate::sync::Arc;
use std::collections::{HashMap, HashSet};

/// The most orders that are remembered; what comes after is not looked at.
const MOST_ORDERS: usize = 10_000;
/// The class of a name is its beginning, up to this.
const CLASS_END: u16 = b':' as u16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    #[default]
    Off,
    Warn,
    Error,
}

pub type Class = Arc<[u16]>;

/// A hold as the order sees it.
#[derive(Clone, Debug)]
pub struct Ranked {
    pub class: Class,
    pub name: Arc<[u16]>,
}

/// When two classes were taken one inside the other: by whom, and where.
#[derive(Clone, Debug)]
pub struct Sight {
    pub held: Class,
    pub then: Class,
    /// The names that were held, outermost first, and the one that was asked for.
    pub chain: Vec<Arc<[u16]>>,
    pub thread_id: u64,
    pub label: Option<Arc<str>>,
    pub site: Option<Arc<str>>,
}

/// An order that was turned round.
#[derive(Debug)]
pub struct Disorder {
    pub report: Arc<str>,
    /// The hold inside of which the request was made.
    pub held: Arc<[u16]>,
}

impl Disorder {
    fn new(first: &Sight, now: &Sight, hold: &Ranked) -> Self {
        Self { report: report::disorder(first, now), held: hold.name.clone() }
    }
}

#[derive(Debug, Default)]
pub struct LockOrder {
    pub level: Level,
    /// For each class those that were asked for while it was held.
    after: HashMap<Class, HashMap<Class, Sight>>,
    orders: usize,
    told: HashSet<(Class, Class)>,
}

/// The class of a name that was given none.
pub fn class_of(name: &[u16]) -> Class {
    let end = name.iter().position(|&unit| unit == CLASS_END).unwrap_or(name.len());
    Class::from(&name[..end])
}

impl LockOrder {
    pub fn set_level(&mut self, level: Level) {
        *self = Self { level, ..Self::default() };
    }

    /// A lock is asked for while others are held. Answers an inversion that was not told before.
    pub fn look(&mut self, held: &[Ranked], asked: &Ranked, by: &Sight) -> Option<Disorder> {
        let mut found = None;
        for hold in held {
            if hold.class == asked.class {
                continue;
            }
            let sight = Sight { held: hold.class.clone(), then: asked.class.clone(), ..by.clone() };
            let before = self.way(&asked.class, &hold.class);
            match before {
                Some(first) if self.told.insert((hold.class.clone(), asked.class.clone())) => {
                    found = found.or_else(|| Some(Disorder::new(&first, &sight, hold)));
                }
                // Told already; in the error mode it is an error every time.
                Some(first) if self.level == Level::Error => {
                    found = found.or_else(|| Some(Disorder::new(&first, &sight, hold)));
                }
                Some(_) => {}
                None => self.remember(sight),
            }
        }
        found
    }

    fn remember(&mut self, sight: Sight) {
        if self.orders >= MOST_ORDERS {
            return;
        }
        let after = self.after.entry(sight.held.clone()).or_default();
        if !after.contains_key(&sight.then) {
            after.insert(sight.then.clone(), sight);
            self.orders += 1;
        }
    }

    /// The first step of a way from one class to another, if the orders seen so far make one.
    fn way(&self, from: &Class, to: &Class) -> Option<Sight> {
        let mut seen: HashSet<&Class> = HashSet::from([from]);
        let mut work: Vec<(&Class, Option<&Sight>)> = vec![(from, None)];
        while let Some((at, first)) = work.pop() {
            for (next, sight) in self.after.get(at).into_iter().flatten() {
                let first = first.unwrap_or(sight);
                if next == to {
                    return Some(first.clone());
                }
                if seen.insert(next) {
                    work.push((next, Some(first)));
                }
            }
        }
        None
    }
}

/// Whether a request for these parts, inside of the holds that it names, turns an order round.
pub fn look_at(book: &mut Book, caller: Caller, parts: &Parts, ask: &Ask<'_>) -> Option<Disorder> {
    let held = held_by(book, ask.ancestors);
    if held.is_empty() {
        return None;
    }
    let mut found = None;
    for part in parts.as_slice() {
        let Some(name) = book.names.name(part.resource).cloned() else { continue };
        let class = ask.class.map_or_else(|| class_of(&name), |class| class.encode_utf16().collect());
        let asked = Ranked { class: class.clone(), name: name.clone() };
        let by = Sight {
            held: class.clone(),
            then: class,
            chain: held.iter().map(|hold| hold.name.clone()).chain([name]).collect(),
            thread_id: caller.thread_id,
            label: ask.label.map(Arc::from),
            site: ask.site.map(Arc::from),
        };
        let told = book.order.look(&held, &asked, &by);
        found = found.or(told);
    }
    found
}

/// The named holds among the ancestors of a request, outermost first. Looks at every claim, and only where
/// the order of locks is watched.
fn held_by(book: &Book, ancestors: &[i64]) -> Vec<Ranked> {
    let mut held = Vec::new();
    for &token in ancestors.iter().rev() {
        if token < 0 {
            let name: Class = report::SEND_LOCK.encode_utf16().collect();
            held.push(Ranked { class: name.clone(), name });
        }
        let hold =
            book.claims.iter().find(|(_, claim)| claim.state == State::Held && claim.token as i64 == token);
        let Some((_, hold)) = hold else { continue };
        for part in hold.parts.as_slice() {
            let Some(name) = book.names.name(part.resource).cloned() else { continue };
            let class = match hold.class() {
                Some(class) => class.encode_utf16().collect(),
                None => class_of(&name),
            };
            held.push(Ranked { class, name });
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn ranked(name: &str) -> Ranked {
        Ranked { class: class_of(&units(name)), name: Arc::from(units(name)) }
    }

    fn take(order: &mut LockOrder, held: &[&str], asked: &str) -> bool {
        let held: Vec<Ranked> = held.iter().map(|name| ranked(name)).collect();
        let asked = ranked(asked);
        let by = Sight {
            held: asked.class.clone(),
            then: asked.class.clone(),
            chain: held.iter().chain([&asked]).map(|hold| hold.name.clone()).collect(),
            thread_id: 0,
            label: None,
            site: None,
        };
        order.look(&held, &asked, &by).is_some()
    }

    #[test]
    fn both_orders_are_told_once_and_by_class() {
        let mut order = LockOrder { level: Level::Warn, ..LockOrder::default() };
        assert!(!take(&mut order, &["store:1"], "index:7"));
        assert!(!take(&mut order, &["store:2"], "index:8"));
        assert!(!take(&mut order, &["store:1"], "store:2"), "one class has no order in itself");
        assert!(take(&mut order, &["index:9"], "store:5"));
        assert!(!take(&mut order, &["index:9"], "store:5"), "told once");
        assert!(!take(&mut order, &["store:1"], "index:7"), "the first order stays the right one");
    }

    #[test]
    fn an_inversion_over_three_classes_is_seen() {
        let mut order = LockOrder { level: Level::Error, ..LockOrder::default() };
        assert!(!take(&mut order, &["a"], "b"));
        assert!(!take(&mut order, &["b"], "c"));
        assert!(take(&mut order, &["c"], "a"));
        assert!(take(&mut order, &["c"], "a"), "as an error, every time");
        assert!(!take(&mut order, &["a", "b"], "c"));
    }
}
