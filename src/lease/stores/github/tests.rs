//! Against the tests' own GitHub: a real repository behind its two interfaces.

use serde_json::json;

use super::*;
use crate::lease::address::{Address, Secret};
use crate::lease::conformance::github_server::{Server, some_setup, with_server};
use crate::lease::conformance::{self, body, counted, lost, needs_server, on_a_runtime, see, swap, won};
use crate::lease::http::Method;
use crate::lease::record::{Hold, Mode, Nonce, Term, Who};

fn graphql(server: &Server) -> Rc<dyn Store> {
    open(&server.setup()).unwrap()
}

fn rest(server: &Server) -> Rc<dyn Store> {
    let mut setup = server.setup();
    setup.api_url = setup.api_url.map(|url| format!("{url}?refs=rest"));
    open(&setup).unwrap()
}

/// A record that a session holds.
fn held(session: &str) -> Rc<str> {
    let term = Term { ttl_ms: 6_000, until: 0, session: Some(session.into()) };
    let who = Who { worker: "worker-1".into(), host: "here".into(), ..Who::default() };
    let nonce = Nonce(message::random().into());
    let hold =
        Hold { nonce, token: 1, mode: Mode::Exclusive, term, delay_ms: 0, who, meta: None, handed: None };
    Record { token: 1, holds: vec![hold], ..Record::default() }.text(fastrand::u64(..)).unwrap().into()
}

fn alive(key: &Key, expect: &Version, session: &str) -> Swap {
    Swap { alive: vec![session.into()], ..swap(key, expect, &held(session)) }
}

#[test]
fn it_does_what_every_store_does() {
    with_server(json!({}), async |server| {
        conformance::suite(graphql(server)).await;
        conformance::pair_suite(graphql(server), graphql(server)).await;
    });
}

#[test]
fn it_does_so_by_rest_alone() {
    with_server(json!({ "ghes": true, "older": true }), async |server| {
        conformance::suite(rest(server)).await;
        conformance::pair_suite(rest(server), rest(server)).await;
        let told = format!("{:?}", graphql(server).open_session(MIN_TTL).await);
        assert!(told.contains("Unsupported") && told.contains("?refs=rest"), "{told}");
    });
    with_server(json!({}), async |server| {
        let (store, key) = (graphql(server), Key::from("a"));
        let session = store.open_session(MIN_TTL).await.unwrap();
        won(store.swap(&[alive(&key, &Version::Absent, &session)]).await);
        let told = format!("{:?}", rest(server).read(std::slice::from_ref(&key)).await);
        assert!(told.contains("Unsupported") && told.contains("all processes"), "{told}");
    });
}

#[test]
fn it_does_so_among_the_branches_where_other_refs_are_refused() {
    with_server(json!({ "refuseRefs": "refs/locks/" }), async |server| {
        conformance::pair_suite(graphql(server), graphql(server)).await;
        let refs = server.git(&["for-each-ref", "--format=%(refname)"]).await;
        assert!(refs.contains("refs/heads/locks/chainlock/") && !refs.contains("refs/locks/"), "{refs}");
    });
}

#[test]
fn it_costs_what_it_says() {
    with_server(json!({}), async |server| {
        let store = graphql(server);
        let key: Key = "new".into();
        let session = store.open_session(Duration::from_secs(300)).await.unwrap();
        let mut was = Version::Absent;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let cost =
            server.cost(async { was = won(store.swap(&[alive(&key, &was, &session)]).await).version }).await;
        assert_eq!(cost, (3, 2), "an acquisition of what nobody ever held");
        let other = graphql(server);
        other.read(std::slice::from_ref(&"else".into())).await.unwrap();
        let cost = server
            .cost(async { drop(lost(other.swap(&[swap(&key, &Version::Absent, &body("x"))]).await)) })
            .await;
        assert_eq!(cost, (1, 0), "a guess that there is nothing writes nothing");
        let cost = server.cost(async { assert!(store.renew_session(&session).await.unwrap()) }).await;
        assert_eq!(cost, (2, 2), "a renewal, of any number of locks");
        let cost = server
            .cost(async { was = won(store.swap(&[swap(&key, &was, &body("free"))]).await).version })
            .await;
        assert_eq!(cost, (2, 2), "a release");
        see(&store, &key).await;
        let (requests, _) = server
            .cost(async {
                for _ in 0..10 {
                    see(&store, &key).await;
                }
            })
            .await;
        let log = server.log().await;
        assert_eq!(requests, 10);
        assert!(
            log[log.len() - 9..].iter().all(|line| line["status"] == 304),
            "who looks again pays nothing"
        );
    });
}

/// Both directions of an answer that did not come, on a swap and on a heartbeat.
#[test]
fn an_answer_that_was_lost_is_unknown_and_writing_again_settles_it() {
    with_server(json!({}), async |server| {
        let store = graphql(server);
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
            assert!(
                store.renew_session(&session).await.unwrap(),
                "its own late heartbeat is adopted: {kind}"
            );
        }
    });
}

/// Whatever goes wrong: each write that landed is on top of the one that its writer saw, and no verdict was wrong.
#[test]
fn in_a_storm_every_history_is_a_line() {
    for (open, options) in
        [(graphql as fn(&Server) -> _, json!({})), (rest, json!({ "ghes": true, "older": true }))]
    {
        with_server(options, async |server| storm(server, [open(server), open(server), open(server)]).await);
    }
}

async fn storm(server: &Server, stores: [Rc<dyn Store>; 3]) {
    let rate = json!({ "lost-before": 0.04, "lost-after": 0.06, "late": 0.06, "502-after": 0.06, "stale-read": 0.15 });
    won(stores[0].swap(&[swap(&"first".into(), &Version::Absent, &body("0"))]).await);
    server.ask(Method::POST, "faults", json!({ "rate": rate, "seed": 7 })).await;
    let keys: [Key; 2] = ["a".into(), "b".into()];
    let tasks: Vec<_> = (0..6)
        .map(|number| {
            let (store, key) = (stores[number % 3].clone(), keys[number % 2].clone());
            tokio::task::spawn_local(async move {
                let mut wins = Vec::new();
                while wins.len() < 6 {
                    let Ok(seen) = store.read(std::slice::from_ref(&key)).await else { continue };
                    let next = body(&format!("{}+", counted(&seen[0]) + 1));
                    match store.swap(&[swap(&key, &seen[0].version, &next)]).await {
                        Ok(Swapped::Won(written)) => wins.push(written[0].version.clone()),
                        Ok(_) | Err(StoreError::Unknown(_) | StoreError::Unavailable { .. }) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
                (key, wins)
            })
        })
        .collect();
    let mut wins = Vec::new();
    for task in tasks {
        wins.push(task.await.unwrap());
    }
    server.ask(Method::POST, "faults", json!({ "clear": true })).await;
    server.log().await;
    for key in keys {
        let line = server.git(&["log", "--format=%H %P", &format!("refs/locks/chainlock/{key}")]).await;
        let commits: Vec<Vec<&str>> = line.lines().map(|line| line.split_whitespace().collect()).collect();
        for pair in commits.windows(2) {
            assert_eq!(pair[0][1..], [pair[1][0]], "one parent, the write before");
        }
        assert_eq!(counted(&see(&stores[0], &key).await), commits.len() as u64, "each on top of what it saw");
        let won: Vec<&Version> =
            wins.iter().filter(|(of, _)| *of == key).flat_map(|(_, wins)| wins).collect();
        for version in &won {
            assert!(
                commits.iter().any(|commit| **version == Version::Object(commit[0].into())),
                "{version:?}"
            );
            assert_eq!(won.iter().filter(|other| other == &version).count(), 1, "won by one");
        }
        assert!(commits.len() >= won.len(), "some landed whose writers were not told");
    }
}

/// Only object ids tell who won; two who write the same bytes in one second are two.
#[test]
fn the_same_bytes_of_two_workers_are_two_commits() {
    with_server(json!({}), async |server| {
        let (one, other) = (graphql(server), graphql(server));
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
        let (holder, taker) = (graphql(server), graphql(server));
        let (key, session) = (Key::from("a"), holder.open_session(MIN_TTL).await.unwrap());
        won(holder.swap(&[alive(&key, &Version::Absent, &session)]).await);
        let mine = taker.open_session(Duration::from_secs(60)).await.unwrap();
        // GitHub's clock goes on, this machine's does not: as after a long pause.
        server.ask(Method::POST, "faults", json!({ "offsetMs": 60_000 })).await;
        let seen = see(&taker, &key).await;
        assert_eq!(seen.gone, std::slice::from_ref(&session));
        // The pause ends: the heartbeat lands before the taker's write, which must lose.
        assert!(holder.renew_session(&session).await.unwrap());
        let take = |seen: &Seen| Swap { gone: seen.gone.clone(), ..alive(&key, &seen.version, &mine) };
        lost(taker.swap(&[take(&seen)]).await);
        assert!(taker.renew_session(&mine).await.unwrap());
        assert!(see(&taker, &key).await.gone.is_empty());
        server.ask(Method::POST, "faults", json!({ "offsetMs": 80_000 })).await;
        let taken = won(taker.swap(&[take(&see(&taker, &key).await)]).await);
        assert!(!holder.renew_session(&session).await.unwrap(), "it has ended for good");
        lost(holder.swap(&[alive(&"b".into(), &Version::Absent, &session)]).await);
        let seen = see(&holder, &key).await;
        assert_eq!((seen.version, seen.gone.len()), (taken.version, 0));
    });
}

/// Nobody is told of an end, so it is known beforehand: by what a look found, on GitHub's clock.
#[test]
fn when_a_session_ends_is_known_to_who_looks() {
    with_server(json!({}), async |server| {
        let (holder, waiter) = (graphql(server), graphql(server));
        let (key, session) = (Key::from("a"), holder.open_session(MIN_TTL).await.unwrap());
        won(holder.swap(&[alive(&key, &Version::Absent, &session)]).await);
        assert_eq!(waiter.session_left(&session), None, "nobody has looked");
        assert!(see(&waiter, &key).await.gone.is_empty());
        let left = waiter.session_left(&session).unwrap();
        assert!(left <= MIN_TTL + SLACK + Duration::from_secs(2), "{left:?}");
        assert_eq!(holder.session_left(&session), None, "its own is renewed");
        tokio::time::sleep(left).await;
        assert_eq!(see(&waiter, &key).await.gone, std::slice::from_ref(&session), "not before, and no later");
        assert_eq!(waiter.session_left(&session), None);
    });
}

#[test]
fn while_github_asks_for_silence_nothing_goes_out() {
    with_server(json!({}), async |server| {
        let store = graphql(server);
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
            let told = format!(
                "{:?} {store:?}",
                store.swap(&[swap(&"a".into(), &Version::Absent, &body("x"))]).await
            );
            assert!(
                !told.contains("hidden") && !told.contains(server.told["token"].as_str().unwrap()),
                "{told}"
            );
            told
        };
        let wrong_token = Setup { token: Some(Secret::new("hidden".into())), ..server.setup() };
        assert!(told(wrong_token).await.contains("Denied(\"GitHub answered 401"));
        let address = Address::Github { owner: "octo".into(), repo: "other".into() };
        let words = told(Setup { address, ..server.setup() }).await;
        assert!(words.contains("Denied") && words.contains("no such repository"), "{words}");
        // Somebody else's commit under our name.
        let store = graphql(server);
        won(store.swap(&[swap(&"a".into(), &Version::Absent, &body("x"))]).await);
        let main = server.git(&["rev-parse", "refs/heads/main"]).await;
        server.git(&["update-ref", "refs/locks/chainlock/b", &main]).await;
        let foreign = store.read(std::slice::from_ref(&"b".into())).await;
        assert!(matches!(foreign, Err(StoreError::Foreign(_))), "{foreign:?}");
        assert_eq!(conformance::listed(&store).await, ["a"]);
        let none = open(&Setup { token: None, ..server.setup() });
        assert!(matches!(none, Err(StoreError::Denied(_))));
    });
    with_server(json!({ "empty": true }), async |server| {
        let read = graphql(server).read(std::slice::from_ref(&"a".into())).await;
        let swapped = graphql(server).swap(&[swap(&"a".into(), &Version::Absent, &body("x"))]).await;
        let told = format!("{swapped:?}");
        assert!(told.contains("Unsupported") && told.contains("empty"), "{told} {read:?}");
    });
    with_server(json!({ "access": "read" }), async |server| {
        let store = graphql(server);
        assert_eq!(see(&store, &"a".into()).await.version, Version::Absent, "a token that reads may read");
        let told = format!("{:?}", store.swap(&[swap(&"a".into(), &Version::Absent, &body("x"))]).await);
        assert!(told.contains("Denied") && told.contains("contents: write"), "{told}");
    });
    with_server(json!({ "access": "archived" }), async |server| {
        let swapped = graphql(server).swap(&[swap(&"a".into(), &Version::Absent, &body("x"))]).await;
        assert!(
            matches!(&swapped, Err(StoreError::ReadOnly(why)) if why.contains("archived")),
            "{swapped:?}"
        );
    });
}

#[test]
fn an_issue_shows_its_lock_in_one_comment() {
    with_server(json!({}), async |server| {
        let (one, other) = (graphql(server), graphql(server));
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
        let store = graphql(server);
        for _ in 0..3 {
            store.open_session(MIN_TTL).await.unwrap();
        }
        server.ask(Method::POST, "faults", json!({ "offsetMs": 2 * 86_400_000 })).await;
        let session = graphql(server).open_session(MIN_TTL).await.unwrap();
        let one = format!("refs/locks/chainlock=sessions/{session}");
        while server.git(&["for-each-ref", "--format=%(refname)", "refs/locks/chainlock=sessions/"]).await
            != one
        {
            tokio::task::yield_now().await;
        }
    });
}

/// On GitHub itself, in a repository that may be written to.
#[test]
fn it_does_what_every_store_does_on_github_itself() {
    let (Some(token), Some(repo)) = (needs_server("GITHUB_TOKEN"), needs_server("GITHUB_TEST_REPO")) else {
        return;
    };
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
