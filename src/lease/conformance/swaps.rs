//! Reading, listing and moving records.

use super::{Bench, Case, body, cases, is_as_written, lost, swap, won};
use crate::lease::store::{Clock, Key, Seen, Swapped, Version};
use std::collections::HashSet;
use std::rc::Rc;

pub const CASES: &[Case] = cases![
    what_is_not_there_is_absent,
    a_record_is_made_once,
    a_stale_version_loses_and_brings_what_is_there,
    the_same_write_again_loses_to_itself,
    sixteen_at_once_and_one_wins,
    the_clock_runs_forwards_and_no_write_is_in_the_future,
    the_base_stays,
    odd_keys_are_keys_of_their_own,
    a_prefix_is_text_and_no_pattern,
    a_list_ends_at_the_most,
    what_is_no_record_spoils_no_list,
    large_records_come_back_whole,
    a_version_never_comes_again,
    several_records_move_together_or_not_at_all,
    several_in_any_order_do_not_lock_each_other_out,
    each_by_itself_has_its_own_verdict,
    records_come_in_the_order_of_their_keys,
    a_request_that_was_dropped_harms_nobody,
];

async fn what_is_not_there_is_absent(bench: &Bench) {
    let seen = bench.see(&bench.key("nothing")).await;
    assert_eq!((&seen.version, &*seen.body), (&Version::Absent, ""));
    assert_eq!(bench.store.list(&bench.key(""), 10).await.unwrap().len(), 0);
}

async fn a_record_is_made_once(bench: &Bench) {
    let (key, written, text) = bench.make("once").await;
    assert_ne!(written.version, Version::Absent);
    is_as_written(&bench.see(&key).await, &written, &text);
    lost(bench.store.swap(&[swap(&key, &Version::Absent, &body("twice"))]).await);
    is_as_written(&bench.see(&key).await, &written, &text);
}

async fn a_stale_version_loses_and_brings_what_is_there(bench: &Bench) {
    let (key, first, _) = bench.make("stale").await;
    let text = body("second");
    let second = bench.win(&key, &first.version, &text).await;
    for stale in [&first.version, &Version::Absent] {
        let seen = lost(bench.store.swap(&[swap(&key, stale, &body("stale"))]).await);
        seen.iter().for_each(|seen| is_as_written(seen, &second, &text));
    }
    is_as_written(&bench.see(&key).await, &second, &text);
    // A record that is not there has no version to be moved from.
    let nowhere = bench.key("nowhere");
    lost(bench.store.swap(&[swap(&nowhere, &first.version, &body("nowhere"))]).await);
    assert_eq!(bench.see(&nowhere).await.version, Version::Absent);
}

async fn the_same_write_again_loses_to_itself(bench: &Bench) {
    let (key, first, _) = bench.make("again").await;
    let again = swap(&key, &first.version, &body("again"));
    let second = won(bench.store.swap(std::slice::from_ref(&again)).await);
    let seen = lost(bench.store.swap(std::slice::from_ref(&again)).await);
    seen.iter().for_each(|seen| is_as_written(seen, &second, &again.body));
    is_as_written(&bench.see(&key).await, &second, &again.body);
}

async fn sixteen_at_once_and_one_wins(bench: &Bench) {
    let (crowded, was, _) = bench.make("crowd").await;
    for (key, expect) in [(bench.key("new crowd"), Version::Absent), (crowded, was.version)] {
        let tasks: Vec<_> = (0..16)
            .map(|number| {
                let (store, one) = (bench.store.clone(), swap(&key, &expect, &body(&number.to_string())));
                tokio::task::spawn_local(async move { store.swap(&[one]).await.unwrap() })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            if let Swapped::Won(mut written) = task.await.unwrap() {
                winners.append(&mut written);
            }
        }
        assert_eq!(winners.len(), 1, "one of sixteen");
        assert_eq!(bench.see(&key).await.version, winners[0].version);
    }
}

async fn the_clock_runs_forwards_and_no_write_is_in_the_future(bench: &Bench) {
    let (key, mut written, _) = bench.make("clock").await;
    let mut now = 0;
    for round in 0..8 {
        let seen = bench.see(&key).await;
        if bench.store.caps().clock == Clock::Session {
            assert_eq!((seen.at, seen.now), (0, 0), "sessions are the clock");
        } else {
            assert!(seen.now > 0 && seen.now >= now, "now went from {now} to {}", seen.now);
            let slack = bench.store.caps().slack.as_millis() as u64;
            assert!(seen.at > 0 && seen.now + slack >= seen.at, "written at {}, now {}", seen.at, seen.now);
            now = seen.now;
        }
        let next = bench.win(&key, &written.version, &body(&round.to_string())).await;
        assert!(next.at >= written.at, "written at {}, and then at {}", written.at, next.at);
        written = next;
    }
}

async fn the_base_stays(bench: &Bench) {
    let (key, first, text) = bench.make("base").await;
    let freed = body("freed");
    let second = bench.win(&key, &first.version, &freed).await;
    let third = bench.win(&key, &second.version, &text).await;
    assert!(first.base == second.base && second.base == third.base, "tokens would fall");
    assert!(third.base < 1 << 52, "tokens are numbers of JavaScript");
    let listed = bench.store.list(&key, 1).await.unwrap();
    is_as_written(&listed[0].1, &third, &text);
}

/// Names that some store might confuse with one another, or with its own signs.
fn odd_names() -> Vec<String> {
    let plain = [
        "a",
        "A",
        "a ",
        " a",
        "a/b",
        "a//b",
        "/",
        "a.",
        "..",
        ".",
        "../a",
        "a.lock",
        "a%2Fb",
        "%",
        "a_b",
        "axb",
        "a*",
        "a?",
        "[a]",
        "{a}",
        "a:b",
        "a\\b",
        "'",
        "\"",
        "''; DROP TABLE",
        "a\nb",
        "a\tb",
        "\u{1}",
        "~",
        "^",
        "@{",
        "-",
        "--",
        "#1",
        "1",
        "01",
        "😀",
        "é",
        "e\u{301}",
        "ß",
        "SS",
        "\u{202e}a",
        "\u{feff}",
        "日本",
    ];
    let mut names: Vec<String> = plain.iter().map(ToString::to_string).collect();
    names.push("x".repeat(490));
    names.push(format!("{}y", "x".repeat(489)));
    names.push("é".repeat(247));
    names
}

async fn odd_keys_are_keys_of_their_own(bench: &Bench) {
    let mut made = Vec::new();
    for name in odd_names() {
        made.push(bench.make(&name).await);
    }
    for (key, written, text) in &made {
        is_as_written(&bench.see(key).await, written, text);
    }
    let listed = bench.store.list(&bench.key(""), 1_000).await.unwrap();
    assert_eq!(listed.len(), made.len());
    for (key, written, text) in &made {
        let (_, seen) = listed.iter().find(|(listed, _)| listed == key).expect("it is listed");
        is_as_written(seen, written, text);
    }
}

async fn a_prefix_is_text_and_no_pattern(bench: &Bench) {
    let names =
        ["p_q", "pxq", "p%q", "pzzq", "p*q", "p?q", "[pq]", "p", "P_q", "p\\q", "p/q", "p/", "pé", "pè"];
    for name in names {
        bench.make(name).await;
    }
    for prefix in ["p_", "p%", "p*", "p?", "[p", "p\\", "p", "p/", "pé", "q", "pzzqz"] {
        let listed = bench.store.list(&bench.key(prefix), 100).await.unwrap();
        let mut found: Vec<Key> = listed.into_iter().map(|(key, _)| key).collect();
        let mut right: Vec<Key> =
            names.iter().filter(|name| name.starts_with(prefix)).map(|name| bench.key(name)).collect();
        found.sort_unstable();
        right.sort_unstable();
        assert_eq!(found, right, "what begins with {prefix:?}");
    }
}

async fn a_list_ends_at_the_most(bench: &Bench) {
    for number in 0..5 {
        bench.make(&number.to_string()).await;
    }
    for (most, found) in [(1, 1), (4, 4), (5, 5), (6, 5)] {
        assert_eq!(bench.store.list(&bench.key(""), most).await.unwrap().len(), found);
    }
}

/// Its text comes as it is: who reads it says what is wrong with it.
async fn what_is_no_record_spoils_no_list(bench: &Bench) {
    let (ours, ..) = bench.make("list a").await;
    for (name, text) in [("list b", "hello"), ("list c", "{\"v\":9}"), ("list d", "{\"v\":1}")] {
        bench.win(&bench.key(name), &Version::Absent, &text.into()).await;
    }
    let (last, ..) = bench.make("list e").await;
    let listed = bench.store.list(&bench.key("list"), 10).await.unwrap();
    for key in [ours, last] {
        assert!(listed.iter().any(|(listed, _)| *listed == key), "{key} is listed");
    }
    assert_eq!(&*bench.see(&bench.key("list b")).await.body, "hello");
}

async fn large_records_come_back_whole(bench: &Bench) {
    let (key, mut last, _) = bench.make("large").await;
    for length in [10, 7_900, 8_100, 65_536, 200 * 1024] {
        let text = body(&"ä".repeat(length / 2));
        let mut one = swap(&key, &last.version, &text);
        // What does not fit into a message is no reason to lose the write.
        one.wake = true;
        last = won(bench.store.swap(&[one]).await);
        is_as_written(&bench.see(&key).await, &last, &text);
    }
}

async fn a_version_never_comes_again(bench: &Bench) {
    let (key, mut last, _) = bench.make("versions").await;
    let mut versions = HashSet::from([last.version.clone()]);
    for round in 0..12 {
        last = bench.win(&key, &last.version, &body(if round % 2 == 0 { "free" } else { "held" })).await;
        assert!(versions.insert(last.version.clone()), "{:?} came again", last.version);
    }
}

async fn several_records_move_together_or_not_at_all(bench: &Bench) {
    if !bench.store.caps().multi {
        return;
    }
    let keys = ["m c", "m a", "m b"].map(|name| bench.key(name));
    let first: Vec<_> = keys.iter().map(|key| swap(key, &Version::Absent, &body("first"))).collect();
    let Ok(Swapped::Won(written)) = bench.store.swap(&first).await else { panic!("three new ones") };
    assert_eq!(written.len(), 3);
    let seen = bench.store.read(&keys).await.unwrap();
    for ((seen, written), swap) in seen.iter().zip(&written).zip(&first) {
        is_as_written(seen, written, &swap.body);
    }
    // Whichever of them is stale, and even if it is to be new: nothing moves.
    for stale in 0..3 {
        let mut next: Vec<_> =
            keys.iter().zip(&written).map(|(key, was)| swap(key, &was.version, &body("next"))).collect();
        next[stale].expect = Version::Absent;
        let there = lost(bench.store.swap(&next).await);
        assert!(there.is_empty() || there.len() == 3);
        for (seen, (was, swap)) in there.iter().zip(written.iter().zip(&first)) {
            is_as_written(seen, was, &swap.body);
        }
        let seen = bench.store.read(&keys).await.unwrap();
        let versions: Vec<_> = seen.iter().map(|seen| &seen.version).collect();
        assert_eq!(versions, written.iter().map(|was| &was.version).collect::<Vec<_>>());
    }
    let new = bench.key("m new");
    let next = [swap(&new, &Version::Absent, &body("new")), swap(&keys[0], &Version::Absent, &body("stale"))];
    lost(bench.store.swap(&next).await);
    assert_eq!(bench.see(&new).await.version, Version::Absent);
}

async fn several_in_any_order_do_not_lock_each_other_out(bench: &Bench) {
    if !bench.store.caps().multi {
        return;
    }
    let keys = ["o a", "o b", "o c"].map(|name| bench.key(name));
    let tasks: Vec<_> = (0..6)
        .map(|worker| {
            let (store, mut keys) =
                (if worker % 2 == 0 { &bench.store } else { &bench.other }.clone(), keys.clone());
            keys.rotate_left(worker % 3);
            tokio::task::spawn_local(async move {
                let mut wins = 0;
                while wins < 5 {
                    let seen = store.read(&keys).await.unwrap();
                    let next: Vec<_> = keys
                        .iter()
                        .zip(&seen)
                        .map(|(key, seen)| {
                            swap(key, &seen.version, &body(&format!("{}+", counted(seen) + 1)))
                        })
                        .collect();
                    wins += u32::from(matches!(store.swap(&next).await.unwrap(), Swapped::Won(_)));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for key in &keys {
        assert_eq!(counted(&bench.see(key).await), 30, "each of 30 moves counted once");
    }
}

/// The number that the case above keeps in a record.
pub fn counted(seen: &Seen) -> u64 {
    let reason = seen.body.split("\"reason\":\"").nth(1);
    reason.and_then(|reason| reason.split('+').next()).map_or(0, |number| number.parse().unwrap())
}

async fn each_by_itself_has_its_own_verdict(bench: &Bench) {
    let (a, was_a, _) = bench.make("each a").await;
    let (b, was_b, text_b) = bench.make("each b").await;
    let c = bench.key("each c");
    let swaps = [
        swap(&a, &was_a.version, &body("a")),
        swap(&b, &was_a.version, &body("stale")),
        swap(&c, &Version::Absent, &body("c")),
    ];
    // Where versions are numbers, another record's may be the same: make it stale for certain.
    let mut swaps = swaps.to_vec();
    swaps[1].expect = Version::Absent;
    let verdicts = bench.store.swap_each(&swaps).await;
    assert_eq!(verdicts.len(), 3);
    let mut verdicts = verdicts.into_iter();
    let now_a = won(verdicts.next().unwrap());
    let there = lost(verdicts.next().unwrap());
    there.iter().for_each(|seen| is_as_written(seen, &was_b, &text_b));
    let now_c = won(verdicts.next().unwrap());
    is_as_written(&bench.see(&a).await, &now_a, &swaps[0].body);
    is_as_written(&bench.see(&b).await, &was_b, &text_b);
    is_as_written(&bench.see(&c).await, &now_c, &swaps[2].body);
    assert!(bench.store.swap_each(&[]).await.is_empty());
}

async fn records_come_in_the_order_of_their_keys(bench: &Bench) {
    let (b, was_b, text_b) = bench.make("z").await;
    let (a, was_a, text_a) = bench.make("a").await;
    let seen = bench.store.read(&[b.clone(), bench.key("none"), a.clone(), b]).await.unwrap();
    assert_eq!(seen.len(), 4);
    is_as_written(&seen[0], &was_b, &text_b);
    assert_eq!(seen[1].version, Version::Absent);
    is_as_written(&seen[2], &was_a, &text_a);
    is_as_written(&seen[3], &was_b, &text_b);
}

async fn a_request_that_was_dropped_harms_nobody(bench: &Bench) {
    let (key, mut was, mut text) = bench.make("dropped").await;
    for round in 0..8 {
        let next = body(&round.to_string());
        let swaps = [swap(&key, &was.version, &next)];
        tokio::select! {
            biased;
            answer = bench.store.swap(&swaps) => { won(answer); }
            () = async { for _ in 0..round { tokio::task::yield_now().await } } => {}
        }
        // It happened or it did not; it may also happen late, but never after a write on the same version.
        let after = body("after");
        let verdict = bench.store.swap(&[swap(&key, &was.version, &after)]).await.unwrap();
        let seen = bench.see(&key).await;
        let landed: &Rc<str> = if matches!(verdict, Swapped::Won(_)) { &after } else { &next };
        assert_eq!(seen.body, *landed, "one of the two is there");
        (was.version, text) = (seen.version, seen.body);
    }
    assert_eq!(bench.see(&key).await.body, text);
}
