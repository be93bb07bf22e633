//! What a server refuses, and what lies there that is not ours: each told as what it is.

use super::server::{Redis, is_installed, setup};
use super::{key, open};
use crate::lease::address::{Secret, Server};
use crate::lease::conformance::{body, listed, on_a_runtime, swap, won};
use crate::lease::store::{Store, StoreError, Version};
use std::rc::Rc;

async fn read(store: &Rc<dyn Store>) -> StoreError {
    store.read(&[key("a")]).await.unwrap_err()
}

async fn write(store: &Rc<dyn Store>) -> StoreError {
    store.swap(&[swap(&key("a"), &Version::Absent, &body("a"))]).await.unwrap_err()
}

fn with_login(server: &Redis, user: Option<&str>, word: &str) -> Rc<dyn Store> {
    open(&setup(Server {
        host: "127.0.0.1".into(),
        port: server.port,
        user: user.map(str::to_owned),
        password: Some(Secret::new(word.to_owned())),
        ..Server::default()
    }))
    .unwrap()
}

#[test]
fn wrong_credentials_are_denied_and_not_repeated() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&["--requirepass", "rightword"]);
    on_a_runtime(async {
        let without = server.store();
        let wrong = with_login(&server, None, "hiddenword");
        let stranger = with_login(&server, Some("nobody"), "hiddenword");
        for store in [without, wrong, stranger] {
            for error in [read(&store).await, write(&store).await, store.watch(&key("a")).await.unwrap_err()]
            {
                assert!(matches!(error, StoreError::Denied(_)), "{error:?}");
                assert!(!format!("{error:?} {store:?} {}", store.shown()).contains("hiddenword"));
            }
        }
        let right = with_login(&server, None, "rightword");
        assert!(right.read(&[key("a")]).await.is_ok());
        assert!(!format!("{right:?} {}", right.shown()).contains("rightword"));
    });
}

#[test]
fn a_user_without_the_right_is_denied_and_nothing_is_written() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    let reader = "reader on >word %R~* &* +@read +@connection +info +eval +evalsha +time";
    let mute = "mute on >word ~* resetchannels +@all";
    for user in [reader, mute] {
        let words: Vec<&str> = ["ACL", "SETUSER"].into_iter().chain(user.split(' ')).collect();
        server.ask::<()>(&words);
    }
    on_a_runtime(async {
        let reader = with_login(&server, Some("reader"), "word");
        assert!(reader.read(&[key("a")]).await.is_ok());
        assert!(matches!(write(&reader).await, StoreError::Denied(_)));
        assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0);
        // Who may not publish still writes; who may not subscribe is told.
        let mute = with_login(&server, Some("mute"), "word");
        let mut one = swap(&key("a"), &Version::Absent, &body("a"));
        one.wake = true;
        assert!(mute.swap(&[one]).await.is_ok());
        assert!(matches!(mute.watch(&key("a")).await, Err(StoreError::Denied(_))));
    });
}

#[test]
fn what_is_not_ours_is_told_and_left() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&[]);
    let name = "{chainlock}:lease:a";
    let foreign: [&[&str]; 5] = [
        &["SET", name, "hello"],
        &["SET", name, ""],
        &["SET", name, "another lock's 28 or more bytes of text"],
        &["HSET", name, "field", "value"],
        &["SET", name, "chainlock:1 1763766456000123 and then nothing"],
    ];
    on_a_runtime(async {
        let store = server.store();
        for ours in ["0 ours", "z ours"] {
            won(store.swap(&[swap(&key(ours), &Version::Absent, &body("a"))]).await);
        }
        for words in foreign {
            server.ask::<()>(&["DEL", name]);
            server.ask::<()>(words);
            let was: Vec<u8> = server.ask(&["DUMP", name]);
            let known = store.swap(&[swap(&key("a"), &Version::Number(7), &body("a"))]).await.unwrap_err();
            for error in [read(&store).await, write(&store).await, known] {
                assert!(matches!(error, StoreError::Foreign(_)), "{words:?}: {error:?}");
            }
            assert_eq!(listed(&store).await, ["0 ours", "z ours"], "{words:?}");
            assert_eq!(server.ask::<Vec<u8>>(&["DUMP", name]), was, "it is as it was");
        }
        server.ask::<()>(&["DEL", name]);
        server.ask::<()>(&["SET", name, "chainlock:2 and something new"]);
        for error in [read(&store).await, write(&store).await] {
            assert!(matches!(error, StoreError::Newer(_)), "{error:?}");
        }
        assert_eq!(listed(&store).await, ["0 ours", "z ours"]);
    });
}

#[test]
fn a_replica_can_be_read_only() {
    if !is_installed() {
        return;
    }
    let (main, replica) = (Redis::start(&[]), Redis::start(&[]));
    replica.ask::<()>(&["REPLICAOF", "127.0.0.1", &main.port.to_string()]);
    on_a_runtime(async {
        let store = replica.store();
        assert!(store.read(&[key("a")]).await.is_ok());
        let error = write(&store).await;
        assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    });
}

#[test]
fn a_server_that_cannot_serve_now_says_so() {
    if !is_installed() {
        return;
    }
    let server = Redis::start(&["--cluster-enabled", "yes"]);
    on_a_runtime(async {
        let store = server.store();
        for error in [read(&store).await, write(&store).await] {
            let StoreError::Unavailable { why, .. } = error else { panic!("{error:?}") };
            assert!(why.contains("CLUSTERDOWN"), "{why}");
        }
    });
    let full = Redis::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    on_a_runtime(async {
        let store = full.store();
        assert!(store.read(&[key("a")]).await.is_ok());
        let StoreError::Unavailable { why, .. } = write(&store).await else { panic!("it had room") };
        assert!(why.contains("OOM"), "{why}");
        assert_eq!(full.ask::<u64>(&["DBSIZE"]), 0);
    });
}

#[test]
fn a_url_that_means_nothing_is_refused_before_anything_is_asked() {
    let local = Server { host: "::1".into(), port: 6379, ..Server::default() };
    let query = vec![("family".to_owned(), "hiddenword".to_owned())];
    for server in [
        Server { path: "jobs".into(), ..local.clone() },
        Server { path: "-1".into(), ..local.clone() },
        Server { path: "99999".into(), ..local.clone() },
        Server { query, ..local.clone() },
    ] {
        let error = open(&setup(server)).unwrap_err();
        assert!(matches!(error, StoreError::Unsupported(_)), "{error:?}");
        assert!(!format!("{error:?}").contains("hiddenword"));
    }
    let store = open(&setup(Server { path: "15".into(), ..local })).unwrap();
    assert_eq!(store.shown(), "redis://[::1]:6379/15");
}
