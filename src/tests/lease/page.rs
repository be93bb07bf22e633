//! What the lease page says while leases come and go, and what a reader makes of a page that is nonsense.

use super::sim_store::{Fate, Server, caps};
use super::world::{Worker, in_time, opening, quick};
use crate::lease::manager::{Request, Strategy};
use crate::lease::page::book::Book;
use crate::lease::page::layout::{LeasePage, LeaseRow};
use crate::lease::page::memory;
use crate::lease::page::outside::{PageView, read};
use crate::lease::page::sheet::{Sheet, State, What};
use crate::lease::record::Mode;
use crate::lease::store::Caps;
use crate::name::clean;
use crate::registry::text::{Text, TextField};
use crate::time::Nanos;
use proptest::prelude::*;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

fn keys(keys: &[&str]) -> Request {
    Request::new(keys.iter().map(|key| (*key).into()).collect())
}

async fn ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn sheet_on(page: &'static LeasePage) -> Rc<Sheet> {
    Sheet::new(Rc::new(Book::of(page)), "sim", "sim://here")
}

fn text<const WORDS: usize>(field: &TextField<WORDS>) -> String {
    let mut text = Text::default();
    field.get(&mut text);
    text.to_text()
}

/// The rows that are in use.
fn rows(page: &'static LeasePage) -> Vec<(What, &'static LeaseRow)> {
    let all = page.leases.iter().map(|row| (What::of(row.what.get()), row));
    all.filter(|(what, _)| what.state != State::Free).collect()
}

fn seen(page: &'static LeasePage) -> PageView {
    read(page, std::process::id(), false).unwrap()
}

#[test]
fn a_row_says_what_it_is_in_one_word() {
    let what = What { state: State::Lost, mode: 2, cause: 4, store: 31, failures: u16::MAX, key_bytes: 512 };
    assert_eq!(What::of(what.word()), what);
    assert_eq!(What::of(0), What::default());
    assert_eq!(What::of(200).state, State::Free, "what is not known is not shown");
}

#[test]
fn a_lease_is_seen_from_its_grant_to_its_release() {
    for sessions in [false, true] {
        in_time(async {
            let page = memory::apart();
            let server = Server::new();
            let caps = Caps { sessions, ..caps() };
            let worker = Worker::shown(&server, opening("ci-7"), caps.clone(), quick, sheet_on(page));
            let request =
                Request { mode: Mode::Permit(3), worker: Some("job 4".into()), ..keys(&["deploy"]) };
            let held = worker.acquire(request).await.unwrap();
            let [(what, row)] = rows(page)[..] else { panic!("one row") };
            assert_eq!((what.state, what.mode, what.failures), (State::Held, 2, 0));
            assert_eq!((text(&row.key), text(&row.worker)), ("deploy".into(), "job 4".into()));
            assert_eq!(
                (row.token.get(), row.ttl_ms.get(), row.counts.get() >> 32),
                (held.tokens[0], 1_000, 3)
            );
            let (deadline, renewed) = (row.deadline.get(), row.renewed.get());
            assert_eq!(deadline, held.cell.deadline().0);
            // Somebody else stands in line: seen with the next renewal.
            let other = Worker::over(&server, opening("two"), caps.clone(), 8, quick);
            other.ask(keys(&["deploy"]));
            ms(800).await;
            assert!(row.deadline.get() > deadline && row.renewed.get() > renewed);
            assert_eq!(row.deadline.get(), held.cell.deadline().0);
            assert_eq!(row.counts.get() & 0xffff, u64::from(!sessions), "with sessions no record is renewed");
            assert!(worker.release(held.lease).await.released);
            assert!(rows(page).is_empty());
            let counts = &page.stores[0].counts;
            assert_eq!((counts.acquisitions.get(), counts.releases.get()), (1, 1));
            assert!(counts.renewals.get() >= 2 && page.stores[0].renew.summary().max_ms >= 2.0);
            worker.client.close(true).await;
            assert_eq!(page.stores[0].state.get(), 2, "nobody uses it any more");
        });
    }
}

#[test]
fn who_waits_is_seen_with_who_is_in_the_way() {
    in_time(async {
        let page = memory::apart();
        let server = Server::new();
        let holder = Worker::over(&server, opening("ci-3"), caps(), 8, quick);
        let held = holder.acquire(keys(&["deploy"])).await.unwrap();
        let worker = Worker::shown(&server, opening("ci-7"), caps(), quick, sheet_on(page));
        let (_, granted) = worker.ask(Request { timeout_ms: Some(60_000), ..keys(&["deploy"]) });
        ms(100).await;
        let [(what, row)] = rows(page)[..] else { panic!("one row") };
        assert_eq!((what.state, row.token.get(), row.lease.get()), (State::Waiting, held.tokens[0], 0));
        assert_eq!((text(&row.worker), text(&row.other)), ("ci-7".into(), "ci-3".into()));
        assert_eq!(row.deadline.get() - row.since.get(), 60_000_000_000);
        assert_eq!(page.stores[0].counts.conflicts.get(), 1);
        holder.release(held.lease).await;
        granted.await.unwrap().unwrap();
        let [(what, _)] = rows(page)[..] else { panic!("its place is used again") };
        assert_eq!(what.state, State::Held);
    });
}

#[test]
fn what_is_lost_stays_until_its_holder_lets_go() {
    for sessions in [false, true] {
        in_time(async {
            let page = memory::apart();
            let server = Server::new();
            let caps = Caps { sessions, ..caps() };
            let worker = Worker::shown(&server, opening("ci-7"), caps.clone(), quick, sheet_on(page));
            let held = worker.acquire(keys(&["deploy"])).await.unwrap();
            let thief = Worker::over(&server, opening("ops"), caps.clone(), 8, quick);
            ms(100).await;
            thief.acquire(Request { strategy: Strategy::Force, ..keys(&["deploy"]) }).await.unwrap();
            ms(800).await;
            let [(what, row)] = rows(page)[..] else { panic!("one row") };
            assert_eq!((what.state, what.cause, text(&row.other)), (State::Lost, 1, "ops".into()));
            assert!(row.deadline.get() <= (worker.now)().0, "since when it is lost");
            assert_eq!(page.stores[0].counts.lost_stolen.get(), 1);
            worker.release(held.lease).await;
            assert!(rows(page).is_empty());
        });
    }
}

#[test]
fn several_keys_have_a_row_each() {
    in_time(async {
        let page = memory::apart();
        let worker = Worker::shown(&Server::new(), opening("ci-7"), caps(), quick, sheet_on(page));
        let held = worker.acquire(keys(&["b", "a", "c"])).await.unwrap();
        let mut shown: Vec<String> = rows(page).iter().map(|(_, row)| text(&row.key)).collect();
        shown.sort();
        assert_eq!(shown, ["a", "b", "c"]);
        ms(700).await;
        assert!(rows(page).iter().all(|(_, row)| row.deadline.get() == held.cell.deadline().0));
        worker.release(held.lease).await;
        assert!(rows(page).is_empty());
    });
}

#[test]
fn a_store_that_does_not_answer_is_down_and_what_is_not_renewed_says_so() {
    for sessions in [false, true] {
        in_time(async {
            let page = memory::apart();
            let is_cut = Rc::new(Cell::new(false));
            let cut = is_cut.clone();
            let fate = move || match cut.get() {
                true => Fate { is_lost: true, ..quick() },
                false => quick(),
            };
            let caps = Caps { sessions, ..caps() };
            let worker = Worker::shown(&Server::new(), opening("ci-7"), caps, fate, sheet_on(page));
            let store = || seen(page).stores.into_iter().next().unwrap();
            assert_eq!(store().reach, "unused");
            worker.acquire(keys(&["deploy"])).await.unwrap();
            assert_eq!((store().reach, store().error), ("up", None));
            is_cut.set(true);
            ms(700).await;
            let down = store();
            assert_eq!((down.reach, down.failures > 0, down.error.is_some()), ("down", true, true));
            assert!(rows(page)[0].0.failures > 0 && page.stores[0].counts.failed_renewals.get() > 0);
            is_cut.set(false);
            ms(250).await;
            assert_eq!((store().reach, store().failures), ("up", 0));
            assert_eq!(rows(page)[0].0.failures, 0);
        });
    }
}

#[test]
fn a_clock_that_is_another_is_seen() {
    in_time(async {
        let page = memory::apart();
        let worker = Worker::shown(&Server::new(), opening("ci-7"), caps(), quick, sheet_on(page));
        worker.acquire(keys(&["deploy"])).await.unwrap();
        let store = seen(page).stores.into_iter().next().unwrap();
        // The simulated server counts from 1970.
        let apart = crate::time::epoch_ms() + store.skew_ms.unwrap();
        assert!((0.0..10_000_000.0).contains(&apart), "{apart}");
        assert!(store.skew_error_ms.unwrap() < 60_000.0);
    });
}

#[test]
fn places_come_back_and_what_finds_none_is_counted() {
    let book = Book::of(memory::apart());
    let taken: Vec<u32> = std::iter::from_fn(|| book.take()).collect();
    assert_eq!(taken.len(), crate::lease::page::layout::LEASES);
    book.give(taken[5]);
    assert_eq!((book.take(), book.take()), (Some(taken[5]), None));
    let opened: Vec<_> = (0..40).map(|at| book.open_store("sim", &format!("sim://{at}"))).collect();
    assert_eq!(opened.iter().flatten().count(), 32);
    book.close_store(7);
    book.close_store(9);
    assert_eq!(book.open_store("sim", "sim://9"), Some(9), "the same store gets its row, with its counts");
    assert_eq!(book.open_store("sim", "sim://new"), Some(7));
}

#[test]
fn whatever_a_store_can_do_it_can_while_it_is_watched() {
    let names = |text: &'static str, from: &str| -> Vec<&'static str> {
        let part = &text[text.find(from).unwrap()..];
        part.lines().filter_map(|line| line.strip_prefix("    fn ")?.split(['(', '<']).next()).collect()
    };
    let all = names(include_str!("../../lease/store.rs"), "pub trait Store");
    assert_eq!(names(include_str!("../../lease/page/observed.rs"), "impl Store for Observed"), all);
}

/// As a process sees a foreign page: `now` says how the boot clock stands.
fn view_of(words: &[u64], pid: u32) -> Option<PageView> {
    let page = memory::apart();
    let row = &page.leases[0];
    let fields = [&row.what, &row.lease, &row.token, &row.ttl_ms, &row.counts, &row.since, &row.deadline];
    fields.iter().zip(words).for_each(|(field, word)| field.set(*word));
    row.renewed.set(words[7]);
    row.key.set(&Text::cut("a\u{1b}[2J"));
    let store = &page.stores[0];
    let fields = [&store.state, &store.reach, &store.since, &store.failures, &store.skew, &store.skew_at];
    fields.iter().zip(&words[8..]).for_each(|(field, word)| field.set(*word));
    page.header.stores_end.set(words[14]);
    page.header.leases_end.set(words[15]);
    page.header.pid.set(u64::from(pid));
    read(page, std::process::id(), true)
}

#[test]
fn another_layout_or_pid_namespace_is_not_read() {
    let page = memory::apart();
    assert!(read(page, std::process::id(), false).is_some());
    assert!(read(page, std::process::id() + 1, false).is_none());
    page.header.layout_version.set(2);
    assert!(read(page, std::process::id(), false).is_none());
    page.header.layout_version.set(1);
    page.header.magic.set(0);
    assert!(read(page, std::process::id(), false).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn foreign_words_never_panic_and_no_text_drives_a_terminal(words in any::<[u64; 16]>(), small in any::<[u8; 16]>()) {
        // Rows that are in use, whatever else they say.
        let mut small = small.map(u64::from);
        small[0] = 1 + small[0] % 3 + (small[1] << 8) + (small[2] << 16) + (small[3] << 24);
        small[8] = 1 + small[8] % 2;
        for words in [words, small] {
            let view = view_of(&words, std::process::id()).unwrap();
            for lease in &view.leases {
                prop_assert!(clean(&lease.key) == lease.key);
            }
            prop_assert!(serde_json::to_string(&view).is_ok());
        }
    }

    #[test]
    fn a_deadline_that_has_passed_is_a_loss_whatever_the_row_says(ago in 1u64..1_000_000) {
        let page = memory::apart();
        let now = crate::time::boot_now();
        page.header.leases_end.set(1);
        page.leases[0].what.set(What { state: State::Held, ..What::default() }.word());
        page.leases[0].deadline.set(now.since(Nanos(ago)).0);
        let view = read(page, std::process::id(), false).unwrap();
        prop_assert_eq!((view.leases[0].state, view.leases[0].cause, view.leases[0].untold), ("lost", Some("expired"), true));
    }
}
