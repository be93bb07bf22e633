//! Renewals: whatever of ours lies in one record is renewed in one write, and records that are due at about the same
//! time in one batch. A record that somebody else has moved is looked at by itself.

use crate::lease::desk::Desk;
use crate::lease::desk::change::{Changed, Failed, Prepared, Step, Write, change, landed, prepare};
use crate::lease::desk::line::{Kept, Known, Line};
use crate::lease::keeper::Duty;
use crate::lease::keeper::lease::{Lease, Part};
use crate::lease::keeper::loss::{missing, renewed, tell_risk, watch_risk};
use crate::lease::record::{Nonce, Record};
use crate::lease::rules;
use crate::lease::store::{Swap, Swapped};
use crate::time::Nanos;
use std::rc::Rc;
use tokio::sync::MutexGuard;

/// A failed renewal is tried again after this at the least, and at the most.
const SOONEST: Nanos = Nanos(20_000_000);
const LATEST: Nanos = Nanos(1_000_000_000);
/// Who was handed the key over holds it for what its place in line had left. Where places live for less than the ttl
/// it is given all of its length after so long.
const WHOLE_AFTER: Nanos = Nanos(50_000_000);

/// Sets when the line is renewed next: a third of the ttl after the last time, a little earlier by chance.
pub fn plan(desk: &Desk, line: &Rc<Line>) {
    let due = line.kept.borrow().iter().map(|kept| due_of(kept, line)).min();
    let Some((due, third)) = due else { return plan_at(desk, line, None, Nanos(0)) };
    let early = desk.outside.part_of(Nanos(third.0 / 16));
    plan_at(desk, line, Some(Nanos(due.0.saturating_sub(early.0))), Nanos(third.0 / 8));
}

/// When it is to be renewed, and a third of its term.
fn due_of(kept: &Kept, line: &Rc<Line>) -> (Nanos, Nanos) {
    let after_a_third = |renewed: Nanos, term: Nanos| {
        let third = Nanos(term.0 / 3);
        (renewed.plus(third), third)
    };
    match kept {
        Kept::Place(place) => after_a_third(place.renewed.get(), place.ttl),
        Kept::Hold(lease) => match part_of(lease, line) {
            Some(part) => {
                let term = part.until.get().since(part.renewed.get());
                let (due, third) = after_a_third(part.renewed.get(), term);
                let is_whole = term >= lease.ttl;
                (if is_whole { due } else { due.min(lease.since.plus(WHOLE_AFTER)) }, third)
            }
            None => (Nanos::NEVER, Nanos(lease.ttl.0 / 3)),
        },
    }
}

fn part_of<'a>(lease: &'a Lease, line: &Rc<Line>) -> Option<&'a Part> {
    lease.parts.iter().find(|part| Rc::ptr_eq(&part.line, line))
}

fn plan_at(desk: &Desk, line: &Rc<Line>, at: Option<Nanos>, early: Nanos) {
    desk.keeper.remove(line.due.take());
    line.due.set(at.map(|at| desk.keeper.add(at, Duty::Renew(line.clone(), early))));
}

/// What is to be renewed: not what is lost, and not what its holder's event loop does not ask for.
fn wanted(desk: &Desk, line: &Line) -> Vec<Kept> {
    let now = desk.now();
    let kept = line.kept.borrow();
    kept.iter().filter(|kept| is_wanted(kept, now)).cloned().collect()
}

fn is_wanted(kept: &Kept, now: Nanos) -> bool {
    let Kept::Hold(lease) = kept else { return true };
    lease.is_stalled.set(!lease.client.loop_is_alive(now));
    !lease.is_stalled.get() && lease.is_held(now)
}

/// The record with all of them renewed, and those that are not in it.
fn renewal(desk: &Desk, known: &Known, kept: &[Kept]) -> (Option<Record>, Vec<Nonce>) {
    let mut next: Option<Record> = None;
    let mut absent = Vec::new();
    for one in kept {
        let record = next.as_ref().unwrap_or(&known.record);
        let renewed = match one {
            Kept::Hold(lease) => desk.judge(known, |view| rules::renew(record, view, &lease.nonce)),
            Kept::Place(place) if place.is_hold => {
                desk.judge(known, |view| rules::renew(record, view, &place.nonce))
            }
            Kept::Place(place) => rules::stay(record, &place.nonce),
        };
        match renewed {
            Some(record) => next = Some(record),
            None => absent.push(one.nonce().clone()),
        }
    }
    (next, absent)
}

struct Batched<'a> {
    line: &'a Rc<Line>,
    _turn: MutexGuard<'a, ()>,
    kept: Vec<Kept>,
    known: Known,
    prepared: Prepared,
}

/// Renews the lines: in one batch those whose records are known and whose turn is free.
pub async fn renew(desk: Rc<Desk>, lines: Vec<Rc<Line>>) {
    let mut batch = Vec::new();
    for line in &lines {
        let kept = wanted(&desk, line);
        if kept.is_empty() {
            put_off(&desk, line);
            continue;
        }
        match batched(&desk, line, kept) {
            Some(one) => batch.push(one),
            None => renew_later(&desk, line),
        }
    }
    if batch.is_empty() {
        return;
    }
    let sent = desk.now();
    batch.iter().for_each(|one| leaves(&desk, &one.kept, sent));
    let swaps: Vec<Swap> = batch.iter().map(|one| one.prepared.swap.clone()).collect();
    let answers = desk.store.swap_each(&swaps).await;
    if answers.iter().any(Result::is_ok) {
        desk.hears();
    }
    let mut answers = answers.into_iter();
    for Batched { line, _turn, kept, known, prepared } in batch {
        match answers.next() {
            Some(Ok(Swapped::Won(written))) => {
                match written.into_iter().next() {
                    Some(written) => landed(&desk, line, prepared, written, &known),
                    None => line.forget(),
                }
                confirm(&desk, line, &kept, sent);
                plan(&desk, line);
            }
            Some(Ok(Swapped::Lost(seen))) => {
                match seen.into_iter().next().map(|seen| Known::read(seen, desk.now())) {
                    Some(Ok(known)) => line.learn(known),
                    _ => line.forget(),
                }
                renew_later(&desk, line);
            }
            Some(Err(_)) | None => {
                line.forget();
                fail(&desk, line, &kept);
            }
        }
    }
}

fn batched<'a>(desk: &Desk, line: &'a Rc<Line>, kept: Vec<Kept>) -> Option<Batched<'a>> {
    let turn = line.free_turn()?;
    let known = line.known()?;
    let (next, absent) = renewal(desk, &known, &kept);
    let record = next.filter(|_| absent.is_empty())?;
    let prepared = prepare(desk, line, &known, Write::new(record)).ok()?;
    Some(Batched { line, _turn: turn, kept, known, prepared })
}

fn renew_later(desk: &Rc<Desk>, line: &Rc<Line>) {
    let (desk, line) = (desk.clone(), line.clone());
    tokio::task::spawn_local(async move { renew_one(&desk, &line).await });
}

/// Renews what of ours lies in one record; says what has happened to whatever is not there.
pub async fn renew_one(desk: &Rc<Desk>, line: &Rc<Line>) {
    let turn = line.turn().await;
    let kept = wanted(desk, line);
    if kept.is_empty() {
        return put_off(desk, line);
    }
    let began = desk.now();
    leaves(desk, &kept, began);
    let changed = change(desk, line, began, |known| match renewal(desk, known, &kept) {
        (Some(next), absent) => Step::Write(Write::new(next), (absent, known.clone())),
        (None, absent) => Step::Keep((absent, known.clone())),
    });
    let changed = changed.await;
    drop(turn);
    match changed {
        Ok(Changed { answer: (absent, known), sent, .. }) => {
            let (lost, renewed): (Vec<Kept>, Vec<Kept>) =
                kept.into_iter().partition(|kept| absent.contains(kept.nonce()));
            if let Some(sent) = sent {
                confirm(desk, line, &renewed, sent);
            }
            lost.iter().for_each(|kept| is_absent(desk, line, kept, &known));
            plan(desk, line);
        }
        Err(Failed::Store(_) | Failed::Guarded) => fail(desk, line, &kept),
    }
}

fn is_absent(desk: &Rc<Desk>, line: &Rc<Line>, kept: &Kept, known: &Known) {
    match kept {
        Kept::Hold(lease) => {
            if let Some(part) = part_of(lease, line) {
                missing(desk, lease, part, known);
            }
        }
        // Its request sees that for itself, and asks anew.
        Kept::Place(place) => {
            place.is_lost.set(true);
            place.renewed.set(desk.now());
        }
    }
}

fn leaves(desk: &Desk, kept: &[Kept], sent: Nanos) {
    for one in kept {
        if let Kept::Hold(lease) = one {
            watch_risk(desk, lease, sent);
        }
    }
}

fn confirm(desk: &Rc<Desk>, line: &Rc<Line>, kept: &[Kept], sent: Nanos) {
    for one in kept {
        match one {
            Kept::Place(place) => {
                place.renewed.set(sent);
                place.until.set(sent.plus(place.ttl));
            }
            Kept::Hold(lease) => {
                if let Some(part) = part_of(lease, line) {
                    part.renewed.set(sent);
                    part.until.set(sent.plus(lease.ttl));
                    lease.client.answered(desk.now().since(sent));
                    renewed(desk, lease);
                    line.rest(lease);
                }
            }
        }
    }
}

/// Again soon: within the time that is left, but not without a pause.
fn fail(desk: &Desk, line: &Rc<Line>, kept: &[Kept]) {
    let now = desk.now();
    let mut left = LATEST;
    for one in kept {
        if let Kept::Hold(lease) = one {
            lease.client.renewal_failed(lease);
            tell_risk(desk, lease);
            left = left.min(Nanos(lease.cell.remaining(now).0 / 8));
        }
    }
    let pause = left.max(SOONEST);
    plan_at(desk, line, Some(now.plus(Nanos(pause.0 / 2)).plus(desk.outside.part_of(pause))), Nanos(0));
}

/// Nothing to renew now; perhaps later, when the event loop answers again.
fn put_off(desk: &Desk, line: &Rc<Line>) {
    let least = line.kept.borrow().iter().map(|kept| due_of(kept, line).1).min();
    plan_at(desk, line, least.map(|third| desk.now().plus(Nanos(third.0 / 4).max(SOONEST))), Nanos(0));
}
