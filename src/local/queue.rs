//! A FIFO queue of waiters from which any one can be taken in constant time: a doubly linked list through
//! a slab. No recursion and no scan, however long it gets.
//!
//! Invariants: 1. `head`, `tail` and the `previous`/`next` links form one chain over exactly the occupied
//! places. 2. A ticket names a place and the generation in which it was given; a place's generation grows
//! when it is freed, so a ticket never finds another's waiter.

/// Names one waiter, for good: a ticket is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    place: u32,
    generation: u32,
}

impl Ticket {
    /// As one safe integer for JavaScript: 21 bits of place, 32 bits of generation.
    pub fn to_number(self) -> u64 {
        u64::from(self.generation) << 21 | u64::from(self.place)
    }

    pub fn from_number(number: u64) -> Ticket {
        Ticket { place: (number & 0x1f_ffff) as u32, generation: (number >> 21) as u32 }
    }
}

#[derive(Debug)]
struct Place<W> {
    generation: u32,
    previous: Option<u32>,
    next: Option<u32>,
    waiter: Option<W>,
}

#[derive(Debug)]
pub struct WaitQueue<W> {
    places: Vec<Place<W>>,
    free: Vec<u32>,
    head: Option<u32>,
    tail: Option<u32>,
    len: usize,
    /// Where a new place's generation starts: above every generation that a given-back place had.
    first_generation: u32,
}

impl<W> Default for WaitQueue<W> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), head: None, tail: None, len: 0, first_generation: 0 }
    }
}

impl<W> WaitQueue<W> {
    /// What makes up the line: where a new place's generation starts, every place's generation, and who stands
    /// where, in order.
    pub fn parts(&self) -> (u32, impl Iterator<Item = u32>, impl Iterator<Item = (u32, &W)>) {
        let generations = self.places.iter().map(|place| place.generation);
        (self.first_generation, generations, self.iter().map(|(ticket, waiter)| (ticket.place, waiter)))
    }

    /// The line of these parts; `None` when they make none.
    pub fn from_parts(first_generation: u32, generations: Vec<u32>, order: Vec<(u32, W)>) -> Option<Self> {
        let place = |generation| Place { generation, previous: None, next: None, waiter: None };
        let mut places: Vec<Place<W>> = generations.into_iter().map(place).collect();
        let (head, len, mut tail) = (order.first().map(|(place, _)| *place), order.len(), None);
        for (at, waiter) in order {
            let entry = places.get_mut(at as usize).filter(|entry| entry.waiter.is_none())?;
            entry.waiter = Some(waiter);
            entry.previous = tail;
            if let Some(before) = tail.replace(at) {
                places[before as usize].next = Some(at);
            }
        }
        let free =
            (0..places.len() as u32).rev().filter(|at| places[*at as usize].waiter.is_none()).collect();
        Some(Self { places, free, head, tail, len, first_generation })
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Joins the queue at its end.
    pub fn push(&mut self, waiter: W) -> Ticket {
        let place = self.free.pop().unwrap_or_else(|| {
            let generation = self.first_generation;
            self.places.push(Place { generation, previous: None, next: None, waiter: None });
            (self.places.len() - 1) as u32
        });
        let previous = self.tail.replace(place);
        match previous {
            Some(tail) => self.places[tail as usize].next = Some(place),
            None => self.head = Some(place),
        }
        let entry = &mut self.places[place as usize];
        entry.previous = previous;
        entry.next = None;
        entry.waiter = Some(waiter);
        self.len += 1;
        Ticket { place, generation: entry.generation }
    }

    pub fn get(&self, ticket: Ticket) -> Option<&W> {
        let entry = self.places.get(ticket.place as usize)?;
        if entry.generation == ticket.generation { entry.waiter.as_ref() } else { None }
    }

    /// Takes the first in line.
    pub fn pop(&mut self) -> Option<(Ticket, W)> {
        let place = self.head?;
        let ticket = Ticket { place, generation: self.places[place as usize].generation };
        self.remove(ticket).map(|waiter| (ticket, waiter))
    }

    /// Takes one waiter out of the line, wherever it stands; `None` when it has left already.
    pub fn remove(&mut self, ticket: Ticket) -> Option<W> {
        let entry = self.places.get_mut(ticket.place as usize)?;
        if entry.generation != ticket.generation {
            return None;
        }
        let waiter = entry.waiter.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        let (previous, next) = (entry.previous.take(), entry.next.take());
        match previous {
            Some(before) => self.places[before as usize].next = next,
            None => self.head = next,
        }
        match next {
            Some(after) => self.places[after as usize].previous = previous,
            None => self.tail = previous,
        }
        self.free.push(ticket.place);
        self.len -= 1;
        if self.len == 0 {
            self.shrink();
        }
        Some(waiter)
    }

    /// A burst of waiters must not cost memory for ever. The generations of the places given back are
    /// kept growing by starting the next ones above them.
    fn shrink(&mut self) {
        const KEPT: usize = 64;
        if self.places.len() > KEPT {
            let newest = self.places.iter().map(|place| place.generation).max().unwrap_or(0);
            self.first_generation = newest.wrapping_add(1);
            self.places.truncate(KEPT);
            self.places.shrink_to_fit();
            for place in &mut self.places {
                place.generation = self.first_generation;
            }
            self.free = (0..self.places.len() as u32).rev().collect();
        }
    }

    /// The waiters in order, the next to be served first.
    pub fn iter(&self) -> impl Iterator<Item = (Ticket, &W)> {
        let mut at = self.head;
        std::iter::from_fn(move || {
            let place = at?;
            let entry = &self.places[place as usize];
            at = entry.next;
            let ticket = Ticket { place, generation: entry.generation };
            entry.waiter.as_ref().map(|waiter| (ticket, waiter))
        })
    }

    /// Takes everyone out for whom `leaves` says so, in order, in one pass.
    pub fn drain_where(&mut self, mut leaves: impl FnMut(&W) -> bool) -> Vec<(Ticket, W)> {
        let tickets: Vec<Ticket> =
            self.iter().filter(|(_, waiter)| leaves(waiter)).map(|(ticket, _)| ticket).collect();
        tickets.into_iter().filter_map(|ticket| self.remove(ticket).map(|waiter| (ticket, waiter))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn a_ticket_never_finds_a_later_waiter() {
        let mut queue = WaitQueue::default();
        let first = queue.push("first");
        assert_eq!(queue.remove(first), Some("first"));
        let second = queue.push("second");
        assert_eq!(queue.remove(first), None);
        assert_eq!(queue.get(second), Some(&"second"));
        assert_eq!(Ticket::from_number(second.to_number()), second);
    }

    #[test]
    fn tickets_stay_unique_across_a_shrink() {
        let mut queue = WaitQueue::default();
        let old: Vec<Ticket> = (0..200).map(|n| queue.push(n)).collect();
        while queue.pop().is_some() {}
        let new: Vec<Ticket> = (0..200).map(|n| queue.push(n)).collect();
        assert!(new.iter().all(|ticket| !old.contains(ticket)));
    }

    proptest! {
        #[test]
        fn behaves_like_a_list(steps in proptest::collection::vec((0u8..4, any::<usize>()), 0..400)) {
            let mut queue = WaitQueue::default();
            let mut model: VecDeque<(Ticket, u32)> = VecDeque::new();
            let mut next = 0u32;
            for (step, at) in steps {
                match step {
                    0 | 1 => {
                        let ticket = queue.push(next);
                        model.push_back((ticket, next));
                        next += 1;
                    }
                    2 => prop_assert_eq!(queue.pop(), model.pop_front()),
                    _ if !model.is_empty() => {
                        let (ticket, waiter) = model.remove(at % model.len()).unwrap();
                        prop_assert_eq!(queue.remove(ticket), Some(waiter));
                        prop_assert_eq!(queue.remove(ticket), None);
                    }
                    _ => {}
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert!(queue.iter().map(|(t, w)| (t, *w)).eq(model.iter().copied()));
            }
        }
    }
}
