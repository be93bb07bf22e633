//! Watches: over a restart, over a silent connection, and gone when nobody watches.

use super::key;
use super::server::{Proxy, Redis, SOON, Way, is_installed};
use crate::lease::conformance::{body, on_a_runtime, see, swap, won};
use crate::lease::store::{Hint, Store, Version, Watch};
use std::rc::Rc;
use std::time::Duration;

async fn hear(watch: &mut Box<dyn Watch>) -> Hint {
    tokio::time::timeout(Duration::from_secs(20), watch.next()).await.expect("a hint")
}

/// Moves the record of `a` on and wakes; answers its text.
async fn wake(store: &Rc<dyn Store>, text: &str) -> Rc<str> {
    let seen = see(store, &key("a")).await;
    let mut one = swap(&key("a"), &seen.version, &body(text));
    one.wake = true;
    let text = one.body.clone();
    won(store.swap(&[one]).await);
    text
}

async fn hear_text(watch: &mut Box<dyn Watch>, text: &str) {
    while hear(watch).await.seen.is_none_or(|seen| &*seen.body != text) {}
}

#[test]
fn a_watch_lives_on_over_a_restart() {
    if !is_installed() {
        return;
    }
    let mut server = Redis::start(&[]);
    on_a_runtime(async {
        let store = server.store();
        let mut watch = store.watch(&key("a")).await.unwrap();
        let text = wake(&store, "before").await;
        hear_text(&mut watch, &text).await;
        server.kill();
        assert!(hear(&mut watch).await.seen.is_none(), "the end of the connection is a hint");
        server.start_again();
        assert!(hear(&mut watch).await.seen.is_none(), "and so is its return");
        let text = wake(&store, "after").await;
        hear_text(&mut watch, &text).await;
    });
}

#[test]
fn a_silent_connection_is_noticed_and_replaced() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    on_a_runtime(async {
        let proxy = Proxy::before(&server).await;
        let (store, direct) = (proxy.store(SOON), server.store());
        let mut watch = store.watch(&key("a")).await.unwrap();
        proxy.set(Way::Silent);
        wake(&direct, "not heard").await;
        assert!(hear(&mut watch).await.seen.is_none(), "told to look for himself");
        proxy.set(Way::Open);
        assert!(hear(&mut watch).await.seen.is_none(), "back again");
        let text = wake(&direct, "heard").await;
        hear_text(&mut watch, &text).await;
    });
}

#[test]
fn a_connection_without_watchers_goes() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    let channels = || server.ask::<Vec<String>>(&["PUBSUB", "CHANNELS", "*"]);
    let gone = async |many: usize| {
        for _ in 0..1000 {
            if channels().len() == many {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("subscriptions stay: {:?}", channels());
    };
    on_a_runtime(async {
        let mut setup = server.setup();
        setup.request_timeout = SOON;
        let store = super::open(&setup).unwrap();
        let (first, second) = (store.watch(&key("a")).await.unwrap(), store.watch(&key("b")).await.unwrap());
        assert_eq!(channels().len(), 2);
        drop(first);
        gone(1).await;
        drop(second);
        gone(0).await;
        let mut again = store.watch(&key("a")).await.unwrap();
        let text = wake(&store, "again").await;
        hear_text(&mut again, &text).await;
    });
}

/// Only who stands in line costs a push, and a large record is not carried to everybody.
#[test]
fn a_push_is_sent_when_it_is_asked_for() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    on_a_runtime(async {
        let store = server.store();
        let mut watch = store.watch(&key("a")).await.unwrap();
        let first = won(store.swap(&[swap(&key("a"), &Version::Absent, &body("quiet"))]).await);
        assert_eq!(server.calls("publish"), 0);
        let mut large = swap(&key("a"), &first.version, &body(&"x".repeat(100_000)));
        large.wake = true;
        won(store.swap(&[large]).await);
        assert!(hear(&mut watch).await.seen.is_none());
        assert_eq!(server.calls("publish"), 1);
    });
}
