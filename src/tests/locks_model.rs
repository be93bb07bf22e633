//! The named locks as a page of plain code: everybody who asked and has not left stands in one list, and
//! after each step the list is read again from its beginning until nobody more can be granted.

use crate::local::claim::{ALL, Rank, UPGRADE};

#[derive(Clone, Debug)]
pub struct Asked {
    pub id: usize,
    pub who: u64,
    /// Resource and weight; 0 is exclusive.
    pub parts: Vec<(usize, u64)>,
    pub rank: Rank,
    pub deadline: u64,
    pub held: bool,
    pub upgrades: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    Granted(usize),
    /// An upgrade came through.
    Upgraded(usize),
    /// An upgrade came to nothing: its hold is gone.
    Over(usize),
    TimedOut(usize, usize),
    Lost(usize),
}

pub fn units(weight: u64) -> u64 {
    if weight == 0 { ALL } else { weight }
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub capacity: Vec<u64>,
    /// Holds stand in the order of their grants.
    pub asked: Vec<Asked>,
    pub told: Vec<Word>,
}

impl Model {
    pub fn at(&self, resource: usize, held: bool) -> impl Iterator<Item = &Asked> {
        let is_for = move |one: &&Asked| one.parts.iter().any(|part| part.0 == resource);
        self.asked.iter().filter(move |one| one.held == held).filter(is_for)
    }

    pub fn used(&self, resource: usize) -> u64 {
        let parts = self.at(resource, true).flat_map(|one| &one.parts);
        parts.filter(|part| part.0 == resource).map(|part| units(part.1)).sum()
    }

    pub fn queue(&self, resource: usize) -> Vec<usize> {
        let mut waiting: Vec<&Asked> = self.at(resource, false).collect();
        waiting.sort_by_key(|one| one.rank);
        waiting.iter().map(|one| one.id).collect()
    }

    pub fn fits(&self, parts: &[(usize, u64)]) -> bool {
        parts.iter().all(|&(at, weight)| self.used(at) + units(weight) <= self.capacity[at])
    }

    pub fn is_next(&self, one: &Asked) -> bool {
        one.parts.iter().all(|part| self.queue(part.0).first() == Some(&one.id)) && self.fits(&one.parts)
    }

    pub fn find(&mut self, id: usize) -> Option<&mut Asked> {
        self.asked.iter_mut().find(|one| one.id == id)
    }

    /// Asks, and is granted at once when nobody stands before. A thief has sent the holders away already.
    pub fn ask(&mut self, asked: Asked, steals: bool) -> bool {
        let place = self.asked.len();
        self.asked.push(asked);
        self.asked[place].held = steals || self.is_next(&self.asked[place]);
        self.asked[place].held
    }

    /// Grants whoever can be granted, one after the other.
    pub fn settle(&mut self) {
        while let Some(place) = self.asked.iter().position(|one| !one.held && self.is_next(one)) {
            let mut one = self.asked.remove(place);
            if let Some(base) = one.upgrades {
                self.told.push(Word::Upgraded(one.id));
                let its = self.asked.iter().filter(|other| other.upgrades == Some(base));
                self.told.extend(its.map(|other| Word::Upgraded(other.id)).collect::<Vec<Word>>());
                self.asked.retain(|other| other.upgrades != Some(base));
                self.find(base).expect("an upgrade has a hold").parts[0].1 = 0;
                continue;
            }
            self.told.push(Word::Granted(one.id));
            one.held = true;
            self.asked.push(one);
        }
    }

    /// Takes somebody off the list; an upgrade of what it held has nothing left to wait for.
    pub fn remove(&mut self, id: usize) {
        let over = self.asked.iter().filter(|one| one.upgrades == Some(id)).map(|one| Word::Over(one.id));
        self.told.extend(over.collect::<Vec<Word>>());
        self.asked.retain(|one| one.id != id && one.upgrades != Some(id));
    }

    /// Whether another hold than that waits to become exclusive.
    pub fn upgrade_waits(&self, resource: usize, base: usize) -> bool {
        self.at(resource, false).any(|one| one.rank.0 == -UPGRADE && one.upgrades != Some(base))
    }
}
