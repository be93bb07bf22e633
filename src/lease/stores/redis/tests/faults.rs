//! Servers that go, hang or come back, and ways to them that break: no answer to a write is never taken for a no.

use super::key;
use super::server::{Proxy, Redis, SOON, Way, is_installed};
use crate::lease::conformance::{body, on_a_runtime, see, swap, won};
use crate::lease::store::{Store, StoreError, Swap, Swapped, Version};
use std::rc::Rc;
use std::time::Duration;

fn new_record() -> Swap {
    swap(&key("a"), &Version::Absent, &body("a"))
}

/// Far more than a request's time; a hang is a fault.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("nothing hangs")
}

fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable { .. }))
}

#[test]
fn where_nobody_listens_nothing_was_written() {
    on_a_runtime(async {
        let port = super::server::free_port();
        let place = super::Server { host: "127.0.0.1".into(), port, ..super::Server::default() };
        let store = super::open(&super::setup(place)).unwrap();
        assert!(is_unavailable(&store.read(&[key("a")]).await));
        assert!(is_unavailable(&store.swap(&[new_record()]).await));
        assert!(is_unavailable(&store.watch(&key("a")).await));
        assert!(is_unavailable(&store.list("", 1).await));
        assert!(store.swap_each(&[new_record(), new_record()]).await.iter().all(is_unavailable));
    });
}

#[test]
fn a_store_lives_on_over_a_restart() {
    if !is_installed() {
        return;
    }
    let mut server = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    on_a_runtime(async {
        let store = server.store();
        let first = won(store.swap(&[new_record()]).await);
        server.kill();
        assert!(is_unavailable(&in_time(store.read(&[key("a")])).await));
        server.start_again();
        let seen = see(&store, &key("a")).await;
        assert_eq!(seen.version, first.version, "it was kept");
        won(store.swap(&[swap(&key("a"), &seen.version, &body("b"))]).await);
    });
}

#[test]
fn a_server_that_hangs_leaves_a_write_open() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    on_a_runtime(async {
        let mut setup = server.setup();
        setup.request_timeout = SOON;
        let store = super::open(&setup).unwrap();
        let first = won(store.swap(&[new_record()]).await);
        server.signal("STOP");
        let second = swap(&key("a"), &first.version, &body("b"));
        let write = in_time(store.swap(std::slice::from_ref(&second))).await;
        assert!(matches!(write, Err(StoreError::Unknown(_))), "{write:?}");
        // A new connection does not come up any more than the old one.
        assert!(is_unavailable(&in_time(store.read(&[key("a")])).await));
        assert!(
            is_unavailable(&in_time(store.swap(std::slice::from_ref(&second))).await),
            "it was never sent"
        );
        server.signal("CONT");
        // The same write again lands at most once more than not at all.
        let again = in_time(store.swap(std::slice::from_ref(&second))).await.unwrap();
        let seen = see(&store, &key("a")).await;
        assert_eq!(&*seen.body, &*second.body, "{again:?}");
    });
}

#[test]
fn each_of_a_batch_is_open_when_the_server_hangs() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    on_a_runtime(async {
        let mut setup = server.setup();
        setup.request_timeout = SOON;
        let store = super::open(&setup).unwrap();
        won(store.swap(&[new_record()]).await);
        server.signal("STOP");
        let answers = in_time(store.swap_each(&[new_record(), new_record()])).await;
        assert_eq!(answers.len(), 2);
        assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Unknown(_)))), "{answers:?}");
        server.signal("CONT");
    });
}

/// The write happens and its answer is cut off: told as unknown, and not sent again by anybody.
#[test]
fn a_write_is_sent_once() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    on_a_runtime(async {
        let proxy = Proxy::before(&server).await;
        let store = proxy.store(Duration::from_secs(10));
        let first = won(store.swap(&[new_record()]).await);
        let before = server.calls("evalsha");
        proxy.set(Way::Cut);
        let second = swap(&key("a"), &first.version, &body("b"));
        let write = in_time(store.swap(std::slice::from_ref(&second))).await;
        assert!(matches!(write, Err(StoreError::Unknown(_))), "{write:?}");
        let seen = see(&store, &key("a")).await;
        assert_eq!(&*seen.body, &*second.body, "it had happened");
        assert_eq!(server.calls("evalsha"), before + 1);
        assert_eq!(server.calls("eval"), 1, "the text went over once, at the beginning");
    });
}

#[test]
fn a_half_open_connection_is_replaced() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    on_a_runtime(async {
        let proxy = Proxy::before(&server).await;
        let store = proxy.store(SOON);
        see(&store, &key("a")).await;
        proxy.set(Way::Silent);
        assert!(is_unavailable(&in_time(store.read(&[key("a")])).await));
        proxy.set(Way::Open);
        see(&store, &key("a")).await;
    });
}

#[test]
fn a_server_that_forgets_the_script_is_given_it_again() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    on_a_runtime(async {
        let store = server.store();
        let first = won(store.swap(&[new_record()]).await);
        server.ask::<()>(&["SCRIPT", "FLUSH"]);
        let second = won(store.swap(&[swap(&key("a"), &first.version, &body("b"))]).await);
        server.ask::<()>(&["SCRIPT", "FLUSH"]);
        let each =
            [swap(&key("a"), &second.version, &body("c")), swap(&key("b"), &Version::Absent, &body("c"))];
        for answer in store.swap_each(&each).await {
            assert!(matches!(answer, Ok(Swapped::Won(_))), "{answer:?}");
        }
    });
}

#[test]
fn one_connection_serves_everything_but_watches() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    let connections = |server: &Redis| {
        let text: String = server.ask(&["CLIENT", "LIST"]);
        text.lines()
            .filter(|line| line.contains("lib-name=chainlock") || !line.contains("cmd=client"))
            .count()
    };
    on_a_runtime(async {
        let store = server.store();
        let reads = (0..20).map(|_| {
            let store: Rc<dyn Store> = store.clone();
            tokio::task::spawn_local(async move { see(&store, &key("a")).await })
        });
        for read in reads.collect::<Vec<_>>() {
            read.await.unwrap();
        }
        won(store.swap(&[new_record()]).await);
        assert_eq!(connections(&server), 1, "made by twenty at once, and no connection for pushes");
        let watches = [store.watch(&key("a")).await.unwrap(), store.watch(&key("b")).await.unwrap()];
        assert_eq!(connections(&server), 2);
        drop(watches);
        store.close().await;
        for _ in 0..500 {
            if connections(&server) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a closed store keeps connections");
    });
}
