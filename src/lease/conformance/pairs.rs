//! Two stores at one place: what one writes the other sees, and they never both win.

use super::pushes::hear_of;
use super::swaps::counted;
use super::{Bench, Case, body, cases, is_as_written, lost, see, swap, won};
use crate::lease::store::{Swapped, Version};

pub const CASES: &[Case] = cases![
    the_other_sees_what_one_wrote,
    two_at_once_and_one_wins,
    no_move_is_lost_between_two,
    the_other_is_told,
];

async fn the_other_sees_what_one_wrote(bench: &Bench) {
    let (key, first, text) = bench.make("seen").await;
    is_as_written(&see(&bench.other, &key).await, &first, &text);
    let text = body("by the other");
    let second = won(bench.other.swap(&[swap(&key, &first.version, &text)]).await);
    assert_eq!(second.base, first.base);
    lost(bench.store.swap(&[swap(&key, &first.version, &body("stale"))]).await);
    is_as_written(&bench.see(&key).await, &second, &text);
}

async fn two_at_once_and_one_wins(bench: &Bench) {
    for round in 0..10 {
        let key = bench.key(&round.to_string());
        let (one, other) =
            ([swap(&key, &Version::Absent, &body("one"))], [swap(&key, &Version::Absent, &body("other"))]);
        let (first, second) = tokio::join!(bench.store.swap(&one), bench.other.swap(&other));
        let wins =
            [first.unwrap(), second.unwrap()].iter().filter(|did| matches!(did, Swapped::Won(_))).count();
        assert_eq!(wins, 1);
    }
}

async fn no_move_is_lost_between_two(bench: &Bench) {
    let key = bench.key("counter");
    let tasks: Vec<_> = [&bench.store, &bench.other, &bench.store, &bench.other]
        .into_iter()
        .map(|store| {
            let (store, key) = (store.clone(), key.clone());
            tokio::task::spawn_local(async move {
                let mut wins = 0;
                while wins < 6 {
                    let seen = see(&store, &key).await;
                    let text = body(&format!("{}+", counted(&seen) + 1));
                    let swapped = store.swap(&[swap(&key, &seen.version, &text)]).await.unwrap();
                    wins += u32::from(matches!(swapped, Swapped::Won(_)));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(counted(&bench.see(&key).await), 24, "each of 24 moves counted once");
}

async fn the_other_is_told(bench: &Bench) {
    if !bench.store.caps().push {
        return;
    }
    let (key, mut was, _) = bench.make("told").await;
    for round in 0..5 {
        let mut watch = bench.other.watch(&key).await.unwrap();
        let text = body(&round.to_string());
        let mut one = swap(&key, &was.version, &text);
        one.wake = true;
        was = won(bench.store.swap(&[one]).await);
        hear_of(&mut watch, &was, &text).await;
    }
}
