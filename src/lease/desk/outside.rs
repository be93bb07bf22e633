//! What a desk takes from outside, so that the simulator can own it: the clock, chance, who this process is, and
//! whether another one is dead.

use crate::lease::record::{Nonce, Who};
use crate::sys::process::{Identity, Life, look, own};
use crate::time::{self, Nanos};
use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;

#[derive(Clone)]
pub struct Outside {
    /// Runs through suspends.
    pub now: Rc<dyn Fn() -> Nanos>,
    /// Whether a process of this machine is known to be dead.
    pub dead: Rc<dyn Fn(&Who) -> bool>,
    /// Of this process; the worker's name is filled in.
    pub who: Rc<Who>,
    /// Half of every nonce; the other comes from `chance`.
    prefix: u64,
    chance: Rc<RefCell<fastrand::Rng>>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("who", &self.who).finish_non_exhaustive()
    }
}

/// From the system: the keys of std's hash maps are.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn space_of(own: &Identity) -> Rc<str> {
    let [high, low] = own.boot;
    format!("{high:016x}{low:016x}-{:x}-{:x}", own.pid_namespace, own.time_namespace).into()
}

impl Outside {
    pub fn real() -> Outside {
        let own = own();
        let who = Rc::new(Who {
            host: host(),
            pid: own.pid,
            started: own.start,
            space: space_of(&own),
            ..Who::default()
        });
        let space = who.space.clone();
        let dead = move |who: &Who| {
            who.pid != own.pid
                && who.space == space
                && look(&Identity { pid: who.pid, start: who.started, ..own }) == Life::Dead
        };
        Outside::new(Rc::new(time::boot_now), Rc::new(dead), who, random(), random())
    }

    pub fn new(
        now: Rc<dyn Fn() -> Nanos>,
        dead: Rc<dyn Fn(&Who) -> bool>,
        who: Rc<Who>,
        prefix: u64,
        seed: u64,
    ) -> Outside {
        Outside { now, dead, who, prefix, chance: Rc::new(RefCell::new(fastrand::Rng::with_seed(seed))) }
    }

    pub fn now(&self) -> Nanos {
        (self.now)()
    }

    pub fn nonce(&self) -> Nonce {
        let mut chance = self.chance.borrow_mut();
        Nonce::new(self.prefix ^ chance.u64(..), chance.u64(..))
    }

    pub fn number(&self) -> u64 {
        self.chance.borrow_mut().u64(..)
    }

    /// Somewhere in 0 to the whole span.
    pub fn part_of(&self, span: Nanos) -> Nanos {
        Nanos(self.chance.borrow_mut().u64(0..=span.0))
    }
}

fn host() -> Rc<str> {
    crate::sys::process::host_name().map_or_else(|| "unknown".into(), Rc::from)
}

#[cfg(all(test, target_os = "linux", not(feature = "portable")))]
mod tests {
    use super::*;
    use crate::sys::process::start_of;
    use std::collections::HashSet;
    use std::process::{Child, Command};

    fn runs() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn only_a_process_that_can_be_seen_from_here_is_known_to_be_dead() {
        let outside = Outside::real();
        let is_dead = |who: &Who| (outside.dead)(who);
        let child = runs();
        let (pid, started) = (child.id(), start_of(child.id()).unwrap());
        let alive = Who { pid, started, ..Who::clone(&outside.who) };
        assert!(!is_dead(&outside.who) && !is_dead(&alive));
        assert!(is_dead(&Who { started: started - 1, ..alive.clone() }), "another had that pid before");
        end(child);
        assert!(is_dead(&alive));
        for space in ["another boot, or another container", ""] {
            let elsewhere = Who { space: space.into(), ..alive.clone() };
            assert!(!is_dead(&elsewhere), "its pid says nothing here");
        }
    }

    #[test]
    fn no_two_requests_have_one_nonce() {
        let (one, other) = (Outside::real(), Outside::real());
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(one.nonce()) && seen.insert(other.nonce()));
        }
    }
}
