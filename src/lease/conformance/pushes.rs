//! Being told of changes, where the store can.

use super::{Bench, Case, body, cases, is_as_written, swap, won};
use crate::lease::store::{Hint, Key, Watch, Written};
use std::rc::Rc;
use std::time::Duration;

pub const CASES: &[Case] = cases![
    a_watcher_is_told,
    no_change_is_missed_after_the_watch_was_made,
    every_watcher_is_told_and_one_that_leaves_disturbs_none,
    odd_keys_are_told_of,
];

/// A push that takes longer did not come.
const LONG: Duration = Duration::from_secs(30);

pub async fn hear(watch: &mut Box<dyn Watch>) -> Hint {
    tokio::time::timeout(LONG, watch.next()).await.expect("a change is told")
}

/// Hears until a hint could be of that write: what it carries is then that write.
pub async fn hear_of(watch: &mut Box<dyn Watch>, written: &Written, body: &str) {
    loop {
        match hear(watch).await.seen {
            Some(seen) if seen.version == written.version => return is_as_written(&seen, written, body),
            Some(_) => {}
            None => return,
        }
    }
}

/// Moves a record for whose key somebody stands in line.
async fn wake(bench: &Bench, key: &Key, was: &Written, text: &Rc<str>) -> Written {
    let mut one = swap(key, &was.version, text);
    one.wake = true;
    won(bench.store.swap(&[one]).await)
}

async fn a_watcher_is_told(bench: &Bench) {
    let (key, was, _) = bench.make("watched").await;
    let mut watch = bench.store.watch(&key).await.unwrap();
    if !bench.store.caps().push {
        let heard = tokio::time::timeout(Duration::from_millis(20), watch.next()).await;
        assert!(heard.is_err(), "a watch without push is silent");
        return;
    }
    let text = body("told");
    let (hears, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let waits = tokio::task::spawn_local(async move {
        // Somebody already waits when it happens; what it hears before may be of anything.
        while hears.send(hear(&mut watch).await).is_ok() {}
    });
    tokio::task::yield_now().await;
    let written = wake(bench, &key, &was, &text).await;
    loop {
        match heard.recv().await.expect("a change is told").seen {
            Some(seen) if seen.version == written.version => {
                is_as_written(&seen, &written, &text);
                assert!(seen.now >= seen.at);
                break;
            }
            Some(_) => {}
            None => break,
        }
    }
    waits.abort();
}

async fn no_change_is_missed_after_the_watch_was_made(bench: &Bench) {
    if !bench.store.caps().push {
        return;
    }
    let (key, mut was, _) = bench.make("rounds").await;
    for round in 0..10 {
        let mut watch = bench.store.watch(&key).await.unwrap();
        let text = body(&round.to_string());
        was = wake(bench, &key, &was, &text).await;
        hear_of(&mut watch, &was, &text).await;
    }
}

async fn every_watcher_is_told_and_one_that_leaves_disturbs_none(bench: &Bench) {
    if !bench.store.caps().push {
        return;
    }
    let (key, mut was, _) = bench.make("many").await;
    let (other, was_other, _) = bench.make("many other").await;
    let mut stays = bench.store.watch(&key).await.unwrap();
    let leaves = bench.store.watch(&key).await.unwrap();
    let mut elsewhere = bench.store.watch(&other).await.unwrap();
    drop(leaves);
    for round in 0..3 {
        let text = body(&round.to_string());
        was = wake(bench, &key, &was, &text).await;
        hear_of(&mut stays, &was, &text).await;
    }
    let text = body("other");
    let written = wake(bench, &other, &was_other, &text).await;
    hear_of(&mut elsewhere, &written, &text).await;
}

async fn odd_keys_are_told_of(bench: &Bench) {
    if !bench.store.caps().push {
        return;
    }
    for name in ["a b", "a/b", "*", "a?", "[x]", "'\"", "😀", "a%", "\\", &"x".repeat(490)] {
        let (key, was, _) = bench.make(name).await;
        let mut watch = bench.store.watch(&key).await.unwrap();
        let text = body(name);
        let written = wake(bench, &key, &was, &text).await;
        hear_of(&mut watch, &written, &text).await;
    }
}
