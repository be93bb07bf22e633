//! S3: whatever lies in a lock table, those who read it answer: no panic, no end that does not come, no text
//! that could lead a terminal in what is JSON.

use super::sized;
use crate::local::claim::Ask;
use crate::local::departures::{Caller, RowId};
use crate::local::locks::Locks;
use crate::local::names::Target;
use crate::name::ShortText;
use crate::send::lock::SendLock;
use crate::snapshot::named::Wanted;
use crate::snapshot::process::view;
use crate::snapshot::views::to_json;
use crate::sync::Field;
use crate::table::layout::{SendPage, Table};
use crate::table::memory::ordinary_table;
use crate::table::named::{LockSlot, NamedPage};
use crate::time::{self, Moment, Nanos};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::mem::offset_of;

/// A table with a bit of everything: locks that are held, waited for and free, a crowd, labels, events.
fn true_table() -> &'static Table {
    let table = ordinary_table();
    let locks = Locks::in_table(|| 0, &table.named);
    let caller = |thread_id| Caller { row: RowId::here(thread_id as u32, 1), thread_id, mailbox: 0 };
    for number in 0..6u16 {
        let name = [u16::from(b'a') + number];
        let mode = u64::from(number % 2);
        for thread in 0..u64::from(number) + 1 {
            let label = (number % 3 == 0).then_some("label");
            let ask = Ask { label, ancestors: &[1, -2], deadline: Nanos(90_000), ..Ask::default() };
            drop(locks.request(caller(thread), Target::Name(&name), mode, ask, Nanos(1_000 + thread)));
        }
    }
    locks.tick(Nanos(100_000));
    let send = SendLock::in_table(&table.send);
    let layer = ShortText::cut("e2e-executor");
    (0..5).for_each(|thread| {
        send.request(caller(thread), Some(&layer), None, Nanos::FOREVER, Nanos(2_000));
    });
    table
}

fn words(table: &Table) -> &[Field] {
    let start = std::ptr::from_ref(table).cast::<Field>();
    // SAFETY: a table is nothing but words (`repr(C)`, all of them `Field`s or of their size), and lives on.
    unsafe { std::slice::from_raw_parts(start, size_of::<Table>() / size_of::<Field>()) }
}

/// Where a word lies that a reader comes by.
fn place(seed: u64) -> usize {
    let named = offset_of!(Table, named);
    let (locks, claims) = (offset_of!(NamedPage, locks), offset_of!(NamedPage, claims));
    let events = offset_of!(NamedPage, events);
    let areas = [
        (0, 500),
        (offset_of!(Table, send), 8_000),
        (offset_of!(Table, send) + offset_of!(SendPage, events), 4_000),
        (offset_of!(Table, send) + offset_of!(SendPage, line), 768),
        (named, 64),
        (named, 64),
        (named + locks, 7 * size_of::<LockSlot>()),
        (named + claims, 40 * 216),
        (named + events, 8_000),
    ];
    let (start, bytes) = areas[(seed % areas.len() as u64) as usize];
    (start + (seed / 16) as usize % bytes) / 8
}

/// What noise is: small numbers lead further than large ones, and some are on an edge.
fn noise(seed: u64) -> u64 {
    match seed % 5 {
        0 => seed / 5 % 20,
        1 => u64::MAX - seed / 5 % 3,
        2 => 1 << (seed / 5 % 64),
        3 => seed / 5 % 20_000,
        _ => seed,
    }
}

#[test]
fn no_table_makes_a_reader_stumble() {
    let table = true_table();
    let words = words(table);
    let cases = u32::try_from(sized(6_000, 1_000_000)).unwrap();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let longest_seen = &std::cell::Cell::new(Nanos(0));
    let mut runner = TestRunner::new(config);
    let seeds = (any::<bool>(), proptest::collection::vec((any::<u64>(), any::<u64>()), 1..60));
    let outcome = runner.run(&seeds, |(all, changes)| {
        let before: Vec<_> = changes.iter().map(|(at, _)| (place(*at), words[place(*at)].get())).collect();
        for (at, value) in &changes {
            words[place(*at)].set(noise(*value));
        }
        let began = time::now();
        let json = to_json(&view(table, 7, Wanted { all }, Moment::at(Nanos(200_000), 0.0)));
        longest_seen.set(longest_seen.get().max(time::now().since(began)));
        before.iter().rev().for_each(|(at, value)| words[*at].set(*value));
        prop_assert!(json.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        let told: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert!(told["locks"].as_array().unwrap().len() <= 4_096);
        Ok(())
    });
    outcome.unwrap();
    let longest = longest_seen.get();
    println!("table pages: {cases} tables, 0 panics, 0 unprintable, longest {:.1} ms", longest.as_ms());
    assert!(longest < Nanos::from_ms(5_000.0), "{longest:?}");
}

#[test]
fn the_true_table_is_told_as_it_is() {
    let table = true_table();
    let told = view(table, 7, Wanted::default(), Moment::at(Nanos(200_000), 0.0));
    let counts: Vec<_> =
        told.locks.iter().map(|lock| (lock.holder_count, lock.holders.len(), lock.waiter_count)).collect();
    assert_eq!(counts, [(1, 1, 0), (2, 2, 0), (1, 1, 0), (4, 4, 0), (1, 1, 0), (6, 6, 0)]);
    assert!(told.locks.iter().all(|lock| !lock.torn && lock.state == "held"));
    assert_eq!(told.locks[2].timeouts, 2, "their time was up");
    let kinds: Vec<_> = told.locks[2].events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["waiting", "waiting", "timed_out", "timed_out"]);
    assert_eq!(told.locks[3].holders[0].label.as_deref(), Some("label"));
    let layers: Vec<_> =
        told.send.as_ref().unwrap().waiters.iter().map(|waiter| waiter.layer.as_deref()).collect();
    assert_eq!(layers, [Some("e2e-executor"); 4]);
}
