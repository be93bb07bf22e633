//! Against the tests' own GitHub: a real repository behind its two interfaces. `CHAINLOCK_TEST_GITHUB` names the script
//! that serves it (`__test__/helpers/github/serve.js`); each test starts one of its own, with what it needs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::*;
use crate::lease::address::{Address, Secret};
use crate::lease::conformance::{self, body, lost, needs_server, on_a_runtime, see, swap, won};
use crate::lease::http::{Client, Method, Request};
use crate::lease::record::{Hold, Mode, Nonce, Term, Who};

struct Server {
    child: Child,
    told: Value,
    client: Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    fn start(options: Value) -> Option<Server> {
        let script = needs_server("CHAINLOCK_TEST_GITHUB")?;
        let mut child = Command::new("node")
            .args([&script, "--options", &options.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).expect("what it serves");
        let mut server = Server { child, told, client: Client::new(&some_setup()).unwrap() };
        // Kept until the end: the server ends with its standard input.
        server.told["started"] = true.into();
        Some(server)
    }

    fn setup(&self) -> Setup {
        let (owner, repo) = self.told["repo"].as_str().unwrap().split_once('/').unwrap();
        Setup {
            address: Address::Github { owner: owner.into(), repo: repo.into() },
            token: Some(Secret::new(self.told["token"].as_str().unwrap().into())),
            api_url: Some(self.told["apiUrl"].as_str().unwrap().into()),
            ..some_setup()
        }
    }

    fn open(&self) -> Rc<dyn Store> {
        open(&self.setup()).unwrap()
    }

    fn open_rest(&self) -> Rc<dyn Store> {
        let mut setup = self.setup();
        setup.api_url = setup.api_url.map(|url| format!("{url}?refs=rest"));
        open(&setup).unwrap()
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/_test/{path}", self.told["url"].as_str().unwrap());
        let body = (!body.is_null()).then(|| body.to_string().into());
        let timeout = Duration::from_secs(30);
        let request = Request { method, url, headers: Vec::new(), body, timeout };
        let answer = self.client.send(request).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn fault(&self, kind: &str, operation: &str) {
        let next = json!({ "kind": kind, "matcher": { "operation": operation }, "ms": 400, "seconds": 5 });
        self.ask(Method::POST, "faults", json!({ "next": [next] })).await;
    }

    async fn git(&self, args: &[&str]) -> String {
        let answer = self.ask(Method::POST, "git", json!({ "args": args })).await;
        answer["stdout"].as_str().unwrap_or_else(|| panic!("{answer}")).trim().to_owned()
    }

    async fn log(&self) -> Vec<Value> {
        self.ask(Method::GET, "idle", Value::Null).await;
        self.ask(Method::GET, "log", Value::Null).await.as_array().unwrap().clone()
    }

    /// How many requests something takes, and how many of them write.
    async fn cost(&self, work: impl Future<Output = ()>) -> (usize, usize) {
        let before = self.log().await.len();
        work.await;
        let log = self.log().await;
        let is_write = |line: &&Value| {
            line["method"] != "GET" && line["operation"].as_str().is_none_or(|name| !name.contains("repository"))
        };
        (log.len() - before, log[before..].iter().filter(is_write).count())
    }

    /// That nothing was asked or answered as GitHub would not.
    async fn was_right(&self) {
        let violations = self.ask(Method::GET, "violations", Value::Null).await;
        assert_eq!(violations, json!([]));
    }
}

fn some_setup() -> Setup {
    Setup {
        address: Address::Github { owner: "octo".into(), repo: "locks".into() },
        namespace: "chainlock".into(),
        ca_file: None,
        request_timeout: Duration::from_secs(15),
        token: Some(Secret::new("hidden".into())),
        api_url: None,
        show_on_issue: true,
    }
}

fn with_server(options: Value, test: impl AsyncFnOnce(&Server)) {
    if let Some(server) = Server::start(options) {
        on_a_runtime(async {
            test(&server).await;
            server.was_right().await;
        });
    }
}

/// A record that a session holds.
fn held(session: &str) -> Rc<str> {
    let term = Term { ttl_ms: 6_000, until: 0, session: Some(session.into()) };
    let who = Who { worker: "worker-1".into(), host: "here".into(), ..Who::default() };
    let nonce = Nonce(message::random());
    let hold = Hold { nonce, token: 1, mode: Mode::Exclusive, term, delay_ms: 0, who, meta: None };
    Record { token: 1, holds: vec![hold], ..Record::default() }.text(fastrand::u64(..)).unwrap().into()
}

fn alive(key: &Key, expect: &Version, session: &str) -> Swap {
    Swap { alive: vec![session.into()], ..swap(key, expect, &held(session)) }
}

#[test]
fn it_does_what_every_store_does() {
    with_server(json!({}), async |server| {
        conformance::suite(server.open()).await;
        conformance::pair_suite(server.open(), server.open()).await;
    });
}

#[test]
fn it_does_so_by_rest_alone() {
    with_server(json!({ "ghes": true, "older": true }), async |server| {
        conformance::suite(server.open_rest()).await;
        conformance::pair_suite(server.open_rest(), server.open_rest()).await;
        let told = format!("{:?}", server.open().open_session(MIN_TTL).await);
        assert!(told.contains("Unsupported") && told.contains("?refs=rest"), "{told}");
    });
}

#[test]
fn it_does_so_among_the_branches_where_other_refs_are_refused() {
    with_server(json!({ "refuseRefs": "refs/locks/" }), async |server| {
        conformance::pair_suite(server.open(), server.open()).await;
        let refs = server.git(&["for-each-ref", "--format=%(refname)"]).await;
        assert!(refs.contains("refs/heads/locks/chainlock/") && !refs.contains("refs/locks/"), "{refs}");
    });
}

#[test]
fn it_costs_what_it_says() {
    with_server(json!({}), async |server| {
        let store = server.open();
        let key: Key = "new".into();
        let session = store.open_session(Duration::from_secs(300)).await.unwrap();
        let mut was = Version::Absent;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let cost = server.cost(async { was = won(store.swap(&[alive(&key, &was, &session)]).await).version }).await;
        assert_eq!(cost, (3, 2), "an acquisition of what nobody ever held");
        let other = server.open();
        other.read(std::slice::from_ref(&"else".into())).await.unwrap();
        let cost = server.cost(async { drop(lost(other.swap(&[swap(&key, &Version::Absent, &body("x"))]).await)) }).await;
        assert_eq!(cost, (1, 0), "a guess that there is nothing writes nothing");
        let cost = server.cost(async { assert!(store.renew_session(&session).await.unwrap()) }).await;
        assert_eq!(cost, (2, 2), "a renewal, of any number of locks");
        let cost = server.cost(async { was = won(store.swap(&[swap(&key, &was, &body("free"))]).await).version }).await;
        assert_eq!(cost, (2, 2), "a release");
        see(&store, &key).await;
        let (requests, _) = server.cost(async {
            for _ in 0..10 {
                see(&store, &key).await;
            }
        }).await;
        let log = server.log().await;
        assert_eq!(requests, 10);
        assert!(log[log.len() - 9..].iter().all(|line| line["status"] == 304), "who looks again pays nothing");
    });
}

/// Both directions of an answer that did not come, on a swap and on a heartbeat.
#[test]
fn an_answer_that_was_lost_is_unknown_and_writing_again_settles_it() {
    with_server(json!({}), async |server| {
        let store = server.open();
        let mut was = won(store.swap(&[swap(&"a".into(), &Version::Absent, &body("0"))]).await).version;
        for kind in ["lost-after", "lost-before", "502-after", "late"] {
            server.fault(kind, "graphql/updateRefs").await;
            let next = [swap(&"a".into(), &was, &body(kind))];
            let unknown = store.swap(&next).await;
            assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{kind}: {unknown:?}");
            // On the same version: one of the two lands.
            let again = store.swap(&[swap(&"a".into(), &was, &body("again"))]).await.unwrap();
            server.log().await;
            let seen = see(&store, &"a".into()).await;
            let landed = matches!(again, Swapped::Won(_));
            assert_eq!(landed, seen.body.contains("again"), "{kind}");
            assert_eq!(landed, ["lost-before", "late"].contains(&kind), "{kind}");
            was = seen.version;
        }
        let session = store.open_session(Duration::from_secs(60)).await.unwrap();
        for kind in ["lost-after", "502-after", "late"] {
            server.fault(kind, "graphql/updateRefs").await;
            let unknown = store.renew_session(&session).await;
            assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{kind}: {unknown:?}");
            server.log().await;
            assert!(store.renew_session(&session).await.unwrap(), "its own late heartbeat is adopted: {kind}");
        }
    });
}

/// Only object ids tell who won; two who write the same bytes in one second are two.
#[test]
fn the_same_bytes_of_two_workers_are_two_commits() {
    with_server(json!({}), async |server| {
        let (one, other) = (server.open(), server.open());
        for round in 0..10 {
            let (key, body): (Key, _) = (format!("k{round}").into(), body("same"));
            let swaps = [swap(&key, &Version::Absent, &body)];
            let (first, second) = tokio::join!(one.swap(&swaps), other.swap(&swaps));
            let wins = [first, second].into_iter().filter(|did| matches!(did, Ok(Swapped::Won(_)))).count();
            assert_eq!(wins, 1);
        }
    });
}

/// The holder is paused, its lock is taken, and then its heartbeats go on, both late and new.
#[test]
fn who_was_taken_from_cannot_renew_any_more() {
    with_server(json!({}), async |server| {
        let (holder, taker) = (server.open(), server.open());
        let (key, session) = (Key::from("a"), holder.open_session(MIN_TTL).await.unwrap());
        won(holder.swap(&[alive(&key, &Version::Absent, &session)]).await);
        let mine = taker.open_session(Duration::from_secs(60)).await.unwrap();
        // GitHub's clock goes on, this machine's does not: as after a long pause.
        server.ask(Method::POST, "faults", json!({ "offsetMs": 60_000 })).await;
        let seen = see(&taker, &key).await;
        assert_eq!(seen.gone, [session.clone()]);
        // The pause ends: the heartbeat lands before the taker's write, which must lose.
        assert!(holder.renew_session(&session).await.unwrap());
        let take = |seen: &Seen| Swap { gone: seen.gone.clone(), ..alive(&key, &seen.version, &mine) };
        lost(taker.swap(&[take(&seen)]).await);
        assert!(see(&taker, &key).await.gone.is_empty());
        server.ask(Method::POST, "faults", json!({ "offsetMs": 120_000 })).await;
        let taken = won(taker.swap(&[take(&see(&taker, &key).await)]).await);
        assert!(!holder.renew_session(&session).await.unwrap(), "it has ended for good");
        lost(holder.swap(&[alive(&"b".into(), &Version::Absent, &session)]).await);
        let seen = see(&holder, &key).await;
        assert_eq!((seen.version, seen.gone.len()), (taken.version, 0));
    });
}

#[test]
fn while_github_asks_for_silence_nothing_goes_out() {
    with_server(json!({}), async |server| {
        let store = server.open();
        let (key, mut was) = (Key::from("a"), Version::Absent);
        was = won(store.swap(&[swap(&key, &was, &body("0"))]).await).version;
        server.fault("secondary-limit", "graphql/updateRefs").await;
        let cost = server.cost(async {
            for _ in 0..3 {
                match store.swap(&[swap(&key, &was, &body("1"))]).await {
                    Err(StoreError::Unavailable { retry_after: Some(after), .. }) => {
                        assert!(after > Duration::ZERO && after <= Duration::from_secs(5), "{after:?}");
                    }
                    other => panic!("{other:?}"),
                }
            }
            store.read(std::slice::from_ref(&key)).await.unwrap_err();
        });
        assert_eq!(cost.await.0, 2, "the commit and the refusal");
        let after = tokio::time::sleep(Duration::from_secs(5));
        after.await;
        won(store.swap(&[swap(&key, &was, &body("1"))]).await);
    });
}

#[test]
fn what_is_wrong_is_said_with_its_kind_and_without_the_token() {
    with_server(json!({}), async |server| {
        let told = async |setup: Setup| {
            let store = open(&setup).unwrap();
            let told = format!("{:?} {store:?}", store.swap(&[swap(&"a".into(), &Version::Absent, &body("x"))]).await);
            assert!(!told.contains("hidden") && !told.contains(server.told["token"].as_str().unwrap()), "{told}");
            told
        };
        let wrong_token = Setup { token: Some(Secret::new("hidden".into())), ..server.setup() };
        assert!(told(wrong_token).await.contains("Denied(\"GitHub answered 401"));
        let address = Address::Github { owner: "octo".into(), repo: "other".into() };
        let words = told(Setup { address, ..server.setup() }).await;
        assert!(words.contains("Denied") && words.contains("no such repository"), "{words}");
        // Somebody else's commit under our name.
        let store = server.open();
        won(store.swap(&[swap(&"a".into(), &Version::Absent, &body("x"))]).await);
        let main = server.git(&["rev-parse", "refs/heads/main"]).await;
        server.git(&["update-ref", "refs/locks/chainlock/b", &main]).await;
        let foreign = store.read(std::slice::from_ref(&"b".into())).await;
        assert!(matches!(foreign, Err(StoreError::Foreign(_))), "{foreign:?}");
        let none = open(&Setup { token: None, ..server.setup() });
        assert!(matches!(none, Err(StoreError::Denied(_))));
    });
    with_server(json!({ "empty": true }), async |server| {
        let read = server.open().read(std::slice::from_ref(&"a".into())).await;
        let swapped = server.open().swap(&[swap(&"a".into(), &Version::Absent, &body("x"))]).await;
        let told = format!("{swapped:?}");
        assert!(told.contains("Unsupported") && told.contains("empty"), "{told} {read:?}");
    });
    with_server(json!({ "access": "read" }), async |server| {
        let store = server.open();
        assert_eq!(see(&store, &"a".into()).await.version, Version::Absent, "a token that reads may read");
        let told = format!("{:?}", store.swap(&[swap(&"a".into(), &Version::Absent, &body("x"))]).await);
        assert!(told.contains("Denied") && told.contains("contents: write"), "{told}");
    });
}

#[test]
fn an_issue_shows_its_lock_in_one_comment() {
    with_server(json!({}), async |server| {
        let (one, other) = (server.open(), server.open());
        let key: Key = "7".into();
        for (store, body) in [(&one, held("s")), (&other, body("")), (&other, held("s"))] {
            store.show(&key, &body).await;
        }
        one.show(&"not an issue".into(), &held("s")).await;
        let log = server.log().await;
        let count = |name: &str| log.iter().filter(|line| line["operation"] == name).count();
        assert_eq!(count("issues/create-comment"), 1);
        assert_eq!(count("issues/update-comment"), 2);
        assert_eq!((count("issues/add-labels"), count("issues/remove-label")), (2, 1));
        assert_eq!((count("issues/add-assignees"), count("issues/remove-assignees")), (2, 1));
    });
}

#[test]
fn what_ended_long_ago_is_removed() {
    with_server(json!({}), async |server| {
        let store = server.open();
        for _ in 0..3 {
            store.open_session(MIN_TTL).await.unwrap();
        }
        server.ask(Method::POST, "faults", json!({ "offsetMs": 2 * 86_400_000 })).await;
        let session = server.open().open_session(MIN_TTL).await.unwrap();
        let one = format!("refs/locks/chainlock=sessions/{session}");
        while server.git(&["for-each-ref", "--format=%(refname)", "refs/locks/chainlock=sessions/"]).await != one {
            tokio::task::yield_now().await;
        }
    });
}

/// On GitHub itself, in a repository that may be written to.
#[test]
fn it_does_what_every_store_does_on_github_itself() {
    let (Some(token), Some(repo)) = (needs_server("GITHUB_TOKEN"), needs_server("GITHUB_TEST_REPO")) else { return };
    let (owner, repo) = repo.split_once('/').expect("GITHUB_TEST_REPO is owner/repo");
    let setup = Setup {
        address: Address::Github { owner: owner.into(), repo: repo.into() },
        namespace: format!("test-{:08x}", fastrand::u32(..)),
        token: Some(Secret::new(token)),
        ..some_setup()
    };
    on_a_runtime(async {
        conformance::suite(open(&setup).unwrap()).await;
        conformance::pair_suite(open(&setup).unwrap(), open(&setup).unwrap()).await;
    });
}
