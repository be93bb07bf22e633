//! Several keys at once, all or none. Where the store can move several records in one write, and all of them are to
//! be had, they are taken together. Else they are waited for one after the other in the order of their names, which
//! cannot deadlock, with what is held already kept alive; and given back when one is not to be had.

use crate::lease::desk::Desk;
use crate::lease::desk::change::{Write, landed, prepare};
use crate::lease::desk::line::{Kept, Known, Line};
use crate::lease::fault::Fault;
use crate::lease::keeper::lease::Place;
use crate::lease::keeper::{renewal, session};
use crate::lease::manager::acquire::{Wanted, Won, deadline};
use crate::lease::manager::chase;
use crate::lease::manager::client::Client;
use crate::lease::manager::decide::verdict;
use crate::lease::manager::release::clear_later;
use crate::lease::record::Nonce;
use crate::lease::rules::Verdict;
use crate::lease::store::{Key, StoreError, Swap, Swapped};
use crate::time::Nanos;
use std::cell::Cell;
use std::rc::Rc;

/// How often others may be faster before it is done one after the other.
const TRIES: u32 = 3;

pub async fn pursue(client: &Rc<Client>, wanted: &Wanted) -> Result<Vec<Won>, Fault> {
    let several = wanted.checked.keys.len() > 1;
    if several
        && client.desk.store.caps().multi
        && let Some(all) = together(client, wanted).await
    {
        return Ok(all);
    }
    loop {
        let all = one_by_one(client, wanted).await?;
        let now = client.desk.now();
        if all.iter().all(|won| now < deadline(won)) && is_under_one_session(&all) {
            return Ok(all);
        }
        give_back(&client.desk, wanted, &all);
    }
}

/// One lease has one deadline.
fn is_under_one_session(all: &[Won]) -> bool {
    let names = |won: &Won| won.session.as_ref().map(|session| session.name.clone());
    all.windows(2).all(|two| matches!(two, [one, other] if names(one) == names(other)))
}

async fn one_by_one(client: &Rc<Client>, wanted: &Wanted) -> Result<Vec<Won>, Fault> {
    let desk = &client.desk;
    let ask = wanted.ask(desk.outside.nonce());
    let mut all: Vec<Won> = Vec::with_capacity(wanted.checked.keys.len());
    let mut kept: Vec<Rc<Place>> = Vec::new();
    for (key, _) in &wanted.checked.keys {
        if let Some(last) = all.last() {
            kept.push(keep(desk, wanted, last));
        }
        match chase::pursue(client, wanted, key, ask.clone()).await {
            Ok(won) => all.push(won),
            Err(fault) => {
                give_back(desk, wanted, &all);
                return Err(fault);
            }
        }
    }
    for (won, place) in all.iter_mut().zip(&kept) {
        won.line.drop_kept(&won.nonce);
        // One that was lost meanwhile counts as over: then all begins anew.
        (won.sent, won.until) = match place.is_lost.get() {
            true => (Nanos::NEVER, Nanos::NEVER),
            false => (place.renewed.get(), place.until.get()),
        };
    }
    Ok(all)
}

/// Keeps what is held alive while the next is waited for.
fn keep(desk: &Rc<Desk>, wanted: &Wanted, won: &Won) -> Rc<Place> {
    let place = Rc::new(Place {
        nonce: won.nonce.clone(),
        ttl: wanted.ttl(),
        renewed: Cell::new(won.sent),
        until: Cell::new(won.until),
        is_hold: true,
        is_lost: Cell::new(false),
    });
    won.line.drop_kept(&won.nonce);
    if won.session.is_none() {
        won.line.kept.borrow_mut().push(Kept::Place(place.clone()));
        renewal::plan(desk, &won.line);
    }
    place
}

fn give_back(desk: &Rc<Desk>, wanted: &Wanted, all: &[Won]) {
    for won in all {
        won.line.drop_kept(&won.nonce);
        renewal::plan(desk, &won.line);
        clear_later(desk, &won.line, &won.nonce, wanted.ttl());
    }
}

/// All in one write, if they are to be had just now; none when not, for whatever reason.
async fn together(client: &Rc<Client>, wanted: &Wanted) -> Option<Vec<Won>> {
    let desk = &client.desk;
    let lines: Vec<Rc<Line>> = wanted.checked.keys.iter().map(|(key, _)| desk.line(key)).collect();
    *wanted.line.borrow_mut() = lines.first().cloned();
    let mut ask = wanted.ask(desk.outside.nonce());
    let mut turns = Vec::with_capacity(lines.len());
    for line in &lines {
        turns.push(line.turn().await);
    }
    let session = match desk.store.caps().sessions {
        true => Some(noted(wanted, session::session(desk, wanted.checked.ttl_ms).await)?),
        false => None,
    };
    ask.session = session.as_ref().map(|session| session.name.clone());
    for _ in 0..TRIES {
        if wanted.cancel.is_given_up() {
            return None;
        }
        let known = noted(wanted, all_known(desk, &lines).await)?;
        let mut prepared = Vec::with_capacity(lines.len());
        let mut all = Vec::with_capacity(lines.len());
        let sent = desk.now();
        for (line, known) in lines.iter().zip(&known) {
            let Verdict::Grant { record, ended, stale, stolen } = verdict(desk, known, &ask) else {
                return None;
            };
            let token = record.token;
            let alive = ask.session.iter().cloned().collect();
            let write = Write { alive, gone: ended, ..Write::new(record) };
            prepared.push(prepare(desk, line, known, write).ok()?);
            let (line, nonce, session) = (line.clone(), ask.nonce.clone(), session.clone());
            let until = sent.plus(wanted.ttl());
            all.push(Won { line, nonce, token, sent, until, session, stale, stolen });
        }
        let swaps: Vec<Swap> = prepared.iter().map(|one| one.swap.clone()).collect();
        match desk.store.swap(&swaps).await {
            Ok(Swapped::Won(written)) => {
                for (won, written) in all.iter_mut().zip(&written) {
                    won.token = won.token.saturating_add(written.base);
                }
                let made = lines.iter().zip(prepared).zip(written).zip(&known);
                made.for_each(|(((line, prepared), written), known)| {
                    landed(desk, line, prepared, written, known)
                });
                drop(turns);
                desk.hears();
                return in_time(desk, wanted, all);
            }
            Ok(Swapped::Lost(seen)) => {
                desk.hears();
                learn(desk, &lines, seen);
            }
            Err(error) => {
                lines.iter().for_each(|line| line.forget());
                drop(turns);
                if matches!(error, StoreError::Unknown(_)) {
                    settle(desk, &lines, &ask.nonce, wanted.ttl());
                }
                return noted(wanted, Err(error));
            }
        }
    }
    None
}

/// What the store has not done is told when the request's time is over before it is asked again.
fn noted<T>(wanted: &Wanted, done: Result<T, StoreError>) -> Option<T> {
    done.map_err(|error| *wanted.trouble.borrow_mut() = Some(error)).ok()
}

fn in_time(desk: &Rc<Desk>, wanted: &Wanted, all: Vec<Won>) -> Option<Vec<Won>> {
    let now = desk.now();
    if all.iter().all(|won| now < deadline(won)) {
        return Some(all);
    }
    give_back(desk, wanted, &all);
    None
}

/// A write whose answer did not come may still land: the records are moved on.
fn settle(desk: &Rc<Desk>, lines: &[Rc<Line>], nonce: &Nonce, ttl: Nanos) {
    lines.iter().for_each(|line| crate::lease::manager::release::clear_unsettled(desk, line, nonce, ttl));
}

fn learn(desk: &Desk, lines: &[Rc<Line>], seen: Vec<crate::lease::store::Seen>) {
    if seen.len() != lines.len() {
        return lines.iter().for_each(|line| line.forget());
    }
    for (line, seen) in lines.iter().zip(seen) {
        match Known::read(seen, desk.now()) {
            Ok(known) => line.learn(known),
            Err(_) => line.forget(),
        }
    }
}

/// What is known of each; those that were never seen are taken to be absent.
async fn all_known(desk: &Desk, lines: &[Rc<Line>]) -> Result<Vec<Known>, StoreError> {
    let doubtful: Vec<&Rc<Line>> = lines.iter().filter(|line| line.is_in_doubt()).collect();
    if !doubtful.is_empty() {
        let keys: Vec<Key> = doubtful.iter().map(|line| line.key.clone()).collect();
        let all = desk.store.read(&keys).await?;
        desk.hears();
        for (line, mut seen) in doubtful.iter().zip(all) {
            let gone = std::mem::take(&mut seen.gone);
            let known = Known::read(seen, desk.now())?;
            line.learn(Known { gone: Some(gone), ..known });
        }
    }
    Ok(lines.iter().map(|line| line.known().unwrap_or_else(|| Known::absent(desk.now()))).collect())
}
