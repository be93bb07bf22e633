//! Tokens grow, whatever a server forgets: what is compared is base plus count, as the manager counts.

use super::key;
use super::server::{Redis, is_installed};
use crate::lease::conformance::{body, on_a_runtime, see, swap, won};
use crate::lease::store::{Store, Version, Written};
use std::rc::Rc;

/// Moves the record of `a` on, from whatever is there.
async fn moved(store: &Rc<dyn Store>) -> Written {
    let seen = see(store, &key("a")).await;
    won(store.swap(&[swap(&key("a"), &seen.version, &body("a"))]).await)
}

#[test]
fn a_base_grows_over_a_record_that_was_lost() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    on_a_runtime(async {
        let store = server.store();
        let first = moved(&store).await;
        for _ in 0..20 {
            moved(&store).await;
        }
        server.ask::<()>(&["FLUSHALL"]);
        assert_eq!(see(&store, &key("a")).await.version, Version::Absent);
        let again = moved(&store).await;
        assert!(again.base > first.base + 20, "{} {}", first.base, again.base);
    });
}

#[test]
fn a_record_stays_for_weeks() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    on_a_runtime(async {
        moved(&server.store()).await;
        let left: u64 = server.ask(&["TTL", "{chainlock}:lease:a"]);
        assert!((29 * 86_400..=30 * 86_400).contains(&left), "{left}");
    });
}

/// The server comes back with what it had saved, which is not the last that it had said.
#[test]
fn tokens_that_a_snapshot_does_not_know_are_not_given_again() {
    if !is_installed() {
        return;
    }
    let mut server = Redis::start(&[]);
    on_a_runtime(async {
        let store = server.store();
        let saved = moved(&store).await;
        server.ask::<()>(&["SAVE"]);
        for _ in 0..5 {
            moved(&store).await;
        }
        server.kill();
        server.start_again();
        // The end of the old connection is still to be heard.
        while store.read(&[key("a")]).await.is_err() {}
        let seen = see(&store, &key("a")).await;
        assert_eq!((seen.version, seen.base), (saved.version.clone(), saved.base), "it came back old");
        let next = moved(&store).await;
        assert!(next.base > saved.base + 6, "{} {}", saved.base, next.base);
        assert_ne!(next.version, saved.version);
        let after = moved(&store).await;
        assert_eq!(after.base, next.base, "once for a run of the server");
    });
}

/// Two clients that know each other's run of the server, or do not know it, never let the base fall.
#[test]
fn a_base_never_falls() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&["--user", "blind", "on", ">word", "~*", "&*", "+@all", "-info"]);
    on_a_runtime(async {
        let sees = server.store();
        let mut setup = server.setup();
        let crate::lease::address::Address::Redis(place) = &mut setup.address else { unreachable!() };
        place.user = Some("blind".into());
        place.password = Some(crate::lease::address::Secret::new("word".into()));
        let blind = super::open(&setup).unwrap();
        let mut last = moved(&sees).await;
        for round in 0..10 {
            let next = moved(if round % 3 == 0 { &sees } else { &blind }).await;
            assert!(next.base >= last.base);
            last = next;
        }
    });
}
