//! Sessions, where the store has them.

use super::{Bench, Case, cases, is_as_written, lost, swap, won};
use crate::lease::record::{Hold, Mode, Nonce, Record, Term, Who};
use crate::lease::store::{StoreError, Version};
use std::rc::Rc;
use std::time::Duration;

pub const CASES: &[Case] = cases![
    a_store_without_sessions_says_so,
    a_living_session_guards_a_write,
    an_ended_session_is_seen_and_guards_the_next_write,
    a_session_that_is_not_renewed_ends,
];

/// A record with a hold of a session.
fn held_by(session: &str) -> Rc<str> {
    let term = Term { ttl_ms: 1, until: 0, session: Some(session.to_owned()) };
    let nonce = Nonce(format!("{:032x}", fastrand::u128(..)).into());
    let hold = Hold {
        nonce,
        token: 1,
        mode: Mode::Exclusive,
        term,
        delay_ms: 0,
        who: Who::default(),
        meta: None,
        handed: None,
    };
    Record { token: 1, holds: vec![hold], ..Record::default() }.text(fastrand::u64(..)).unwrap().into()
}

async fn a_store_without_sessions_says_so(bench: &Bench) {
    if bench.store.caps().sessions {
        return;
    }
    let opened = bench.store.open_session(Duration::from_secs(60)).await;
    assert!(matches!(opened, Err(StoreError::Unsupported(_))), "{opened:?}");
}

async fn a_living_session_guards_a_write(bench: &Bench) {
    if !bench.store.caps().sessions {
        return;
    }
    let session = bench.store.open_session(Duration::from_secs(60)).await.unwrap();
    assert!(bench.store.renew_session(&session).await.unwrap());
    let (key, text) = (bench.key("alive"), held_by(&session));
    let mut one = swap(&key, &Version::Absent, &text);
    one.alive = vec![session.clone()];
    let written = won(bench.store.swap(&[one]).await);
    let seen = bench.see(&key).await;
    is_as_written(&seen, &written, &text);
    assert!(seen.gone.is_empty(), "it lives");
    // Nobody drops the hold of a session that lives.
    let mut dropping = swap(&key, &written.version, &held_by("another"));
    dropping.gone = vec![session.clone()];
    lost(bench.store.swap(&[dropping]).await);
    is_as_written(&bench.see(&key).await, &written, &text);
    bench.store.close_session(&session).await.unwrap();
}

async fn an_ended_session_is_seen_and_guards_the_next_write(bench: &Bench) {
    if !bench.store.caps().sessions {
        return;
    }
    let session = bench.store.open_session(Duration::from_secs(60)).await.unwrap();
    let other = bench.store.open_session(Duration::from_secs(60)).await.unwrap();
    assert_ne!(session, other);
    let (key, text) = (bench.key("ended"), held_by(&session));
    let mut one = swap(&key, &Version::Absent, &text);
    one.alive = vec![session.clone()];
    let mut written = won(bench.store.swap(&[one]).await);
    bench.store.close_session(&session).await.unwrap();
    assert_eq!(bench.see(&key).await.gone, std::slice::from_ref(&session));
    assert!(!bench.store.renew_session(&session).await.unwrap(), "what has ended does not come back");
    // Who has ended writes no more as a holder.
    let mut late = swap(&key, &written.version, &text);
    late.alive = vec![session.clone()];
    lost(bench.store.swap(&[late]).await);
    let mut taken = swap(&key, &written.version, &held_by(&other));
    taken.gone = vec![session];
    taken.alive = vec![other.clone()];
    written = won(bench.store.swap(std::slice::from_ref(&taken)).await);
    let seen = bench.see(&key).await;
    is_as_written(&seen, &written, &taken.body);
    assert!(seen.gone.is_empty());
    bench.store.close_session(&other).await.unwrap();
    // Closing twice is nothing.
    bench.store.close_session(&other).await.unwrap();
}

async fn a_session_that_is_not_renewed_ends(bench: &Bench) {
    if !bench.store.caps().sessions {
        return;
    }
    let session = bench.store.open_session(bench.store.caps().min_ttl).await.unwrap();
    let (key, text) = (bench.key("left"), held_by(&session));
    let mut one = swap(&key, &Version::Absent, &text);
    one.alive = vec![session.clone()];
    won(bench.store.swap(&[one]).await);
    while bench.see(&key).await.gone != [session.clone()] {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!bench.store.renew_session(&session).await.unwrap());
}
