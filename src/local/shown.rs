//! The door from the book of the named locks to the table: which lock has which slot, and what is written
//! there. Everything here is called inside the book's mutex, so there is one writer.
//!
//! What is published are the states between two operations: a step marks what it has changed
//! ([`crate::local::names::Names::changed`]), and its end shows it (`showing`). Only the pair that nobody
//! waits for writes at once ([`Slot::show_hold`], [`Slot::show_end`]).

use crate::local::claim::{Claim, Claims, Part, State};
use crate::local::names::Ref;
use crate::local::resource::{Kind, Resource};
use crate::name::ShortText;
use crate::table::named::{
    ClaimRow, FIRST, FirstPlace, IS_HOLD, LockSlot, LockState, ModeStatistics, NamedPage, PARTS, SLOTS,
};
use crate::time::Nanos;

/// The slot of a live resource.
#[derive(Debug)]
pub struct Slot {
    pub number: u32,
    slot: &'static LockSlot,
    /// The resource's name, as events tell it.
    pub name: ShortText,
}

#[derive(Debug, Default)]
pub struct Shown {
    pub page: Option<&'static NamedPage>,
    /// Slots that were given back.
    free: Vec<u32>,
    /// Slots that were ever used.
    end: u32,
    /// What the present step has changed.
    pub changed: Vec<Ref>,
}

impl Shown {
    pub fn on(page: &'static NamedPage) -> Self {
        Self { page: Some(page), ..Self::default() }
    }

    /// Whether there is a slot for another resource.
    pub fn has_room(&self) -> bool {
        self.page.is_some() && (!self.free.is_empty() || (self.end as usize) < SLOTS)
    }

    /// A slot for a resource that comes to life; `None` when all are taken.
    pub fn take(&mut self, kind: Kind, name: Option<&[u16]>) -> Option<Slot> {
        let page = self.page?;
        let number = self.free.pop().or_else(|| {
            let next = self.end;
            ((next as usize) < SLOTS).then(|| {
                self.end += 1;
                next
            })
        });
        let Some(number) = number else {
            page.unshown.add(1);
            return None;
        };
        let slot = &page.locks[number as usize];
        let name = name.map(String::from_utf16_lossy);
        slot.identity.write(|| {
            slot.has_name.set(u64::from(name.is_some()));
            slot.name.set(name.as_deref().unwrap_or_default());
            slot.newest.publish(|place| show_nobody(&slot.states[place], 0, 0, 0));
            slot.kind.set(match kind {
                Kind::ReadWrite => 1,
                Kind::Semaphore => 2,
            });
        });
        page.slots_end.set(u64::from(self.end));
        page.slots_used.add(1);
        Some(Slot { number, slot, name: ShortText::cut(name.as_deref().unwrap_or_default()) })
    }

    /// The same for one that has done without until now.
    pub fn take_late(&mut self, kind: Kind, name: Option<&[u16]>) -> Option<Slot> {
        let slot = self.take(kind, name)?;
        self.give_back_none();
        Some(slot)
    }

    fn give_back_none(&self) {
        if let Some(page) = self.page {
            page.unshown.set(page.unshown.get().saturating_sub(1));
        }
    }

    /// A resource is no more: its slot is another's.
    pub fn give_back(&mut self, slot: Option<Slot>) {
        let Some(page) = self.page else { return };
        let Some(Slot { number, slot, .. }) = slot else { return self.give_back_none() };
        slot.identity.write(|| {
            slot.kind.set(0);
            slot.modes.iter().for_each(ModeStatistics::clear);
        });
        page.slots_used.set(page.slots_used.get().saturating_sub(1));
        self.free.push(number);
    }

    /// Writes the row of a claim. `parts` are slots (all ones: none) and what is asked of them.
    pub fn show_claim(&self, at: u32, claim: &Claim, base: u64, parts: impl Iterator<Item = (u32, u64)>) {
        let Some(page) = self.page else { return };
        let Some(row) = page.claims.get(at as usize) else {
            page.claims_unshown.add(u64::from(!claim.has_row));
            return;
        };
        if !claim.has_row {
            page.claims_used.add(1);
            page.claims_end.set(page.claims_end.get().max(u64::from(at) + 1));
        }
        row.sequence.write(|| write_claim(row, claim, base, parts));
    }

    /// The claim of that row is no more.
    pub fn clear_claim(&self, at: u32) {
        let Some(page) = self.page else { return };
        let Some(row) = page.claims.get(at as usize) else {
            page.claims_unshown.set(page.claims_unshown.get().saturating_sub(1));
            return;
        };
        row.sequence.write(|| row.state.set(0));
        page.claims_used.set(page.claims_used.get().saturating_sub(1));
    }
}

fn write_claim(row: &ClaimRow, claim: &Claim, base: u64, parts: impl Iterator<Item = (u32, u64)>) {
    let (negated, arrival, let_past) = claim.rank();
    let mut count = 0;
    for (field, (slot, weight)) in row.part.iter().zip(parts.take(PARTS)) {
        field.set(weight << 32 | u64::from(slot));
        count += 1;
    }
    row.parts.set(count);
    row.thread_row.set(claim.caller.row.to_word());
    row.thread_id.set(claim.caller.thread_id);
    row.token.set(claim.token);
    row.arrival.set(arrival);
    row.since.set(claim.since.0);
    row.deadline.set(if claim.state == State::Held { Nanos::FOREVER.0 } else { claim.deadline.0 });
    row.priority.set(i64::from(negated.saturating_neg()) as u64);
    row.let_past.set(let_past);
    row.upgrades.set(base);
    for (place, field) in row.inside.iter().enumerate() {
        field.set(claim.ancestors().get(place).map_or(0, |token| *token as u64));
    }
    row.label.set(&claim.label().map_or(ShortText::EMPTY, |label| ShortText::cut(label)));
    row.state.set(match claim.state {
        State::Waiting => 1,
        State::Held => 2,
        State::Outside => 3,
    });
}

#[inline(always)]
fn show_nobody(state: &LockState, capacity: u64, used: u64, last_token: u64) {
    state.capacity.set(capacity);
    state.used.set(used);
    state.holders.set(0);
    state.waiters.set(0);
    state.last_token.set(last_token);
}

#[inline(always)]
fn show_place(place: &FirstPlace, at: u32, claim: &Claim, weight: u64) {
    let is_hold = claim.state == State::Held;
    place.what.set(if is_hold { weight | IS_HOLD } else { weight });
    place.thread_row.set(claim.caller.row.to_word());
    place.thread_id.set(claim.caller.thread_id);
    place.number.set(if is_hold { claim.token } else { claim.sequence });
    place.since.set(claim.since.0);
    place.claim.set(u64::from(at));
}

impl Slot {
    /// A hold that nobody waited for: one of few, or most likely the only one.
    #[inline(always)]
    pub fn show_hold(&self, at: u32, part: Part, resource: &Resource, claims: &Claims) {
        match claims.get(at) {
            Some(claim) if resource.holds.len() == 1 && resource.queue.is_empty() => {
                self.slot.newest.publish(|place| {
                    let state = &self.slot.states[place];
                    show_nobody(state, resource.capacity, resource.used, claim.token);
                    state.holders.set(1);
                    show_place(&state.first[0], at, claim, part.weight);
                });
            }
            _ => self.show(part.resource, resource, claims),
        }
    }

    /// A hold that nobody waits for has ended.
    #[inline(always)]
    pub fn show_end(&self, own: Ref, resource: &Resource, claims: &Claims) {
        if resource.used > 0 {
            return self.show(own, resource, claims);
        }
        self.slot.newest.publish(|place| {
            show_nobody(&self.slot.states[place], resource.capacity, 0, resource.last_token);
        });
    }

    /// Whatever there is.
    pub fn show(&self, own: Ref, resource: &Resource, claims: &Claims) {
        self.slot.newest.publish(|place| {
            let state = &self.slot.states[place];
            show_nobody(state, resource.capacity, resource.used, resource.last_token);
            state.holders.set(resource.holds.len() as u64);
            state.waiters.set(resource.queue.len() as u64);
            let waiters = FIRST.saturating_sub(resource.holds.len());
            let first = resource.holds.iter().take(FIRST).chain(resource.queue.values().take(waiters));
            for (place, &at) in state.first.iter().zip(first) {
                let Some(claim) = claims.get(at) else { continue };
                let part = claim.parts.as_slice().iter().find(|part| part.resource == own);
                show_place(place, at, claim, part.map_or(0, |part| part.weight));
            }
        });
    }

    pub fn figures(&self) -> &'static [ModeStatistics; 2] {
        &self.slot.modes
    }
}
