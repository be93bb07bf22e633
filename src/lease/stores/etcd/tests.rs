//! Against real servers: the one that `CHAINLOCK_TEST_ETCD` names (`etcd://host:port`), and those that the tests start
//! with the program in `CHAINLOCK_TEST_ETCD_COMMAND`, to stop, kill and lock them.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::feeds::Seat;
use super::*;
use crate::lease::address::{Secret, Server};
use crate::lease::conformance::{self, body, lost, needs_server, on_a_runtime, see, swap, won};
use crate::lease::record::{Hold, Mode, Nonce, Term, Who};
use crate::lease::store::Hint;

const LONG: Duration = Duration::from_secs(60);

fn setup(url: &str) -> Setup {
    let url = url::Url::parse(url).unwrap();
    let user = Some(url.username().to_owned()).filter(|user| !user.is_empty());
    let server = Server {
        tls: url.scheme() == "etcds",
        host: url.host_str().unwrap().to_owned(),
        port: url.port().unwrap(),
        user,
        password: url.password().map(|password| Secret::new(password.to_owned())),
        ..Server::default()
    };
    Setup {
        address: Address::Etcd(server),
        namespace: format!("test-{:x}", fastrand::u64(..)),
        ca_file: None,
        request_timeout: Duration::from_secs(30),
        token: None,
        api_url: None,
        show_on_issue: false,
    }
}

fn store(setup: &Setup) -> Rc<dyn Store> {
    open(setup).unwrap()
}

/// A record whose holds name these sessions.
fn held_by(sessions: &[String]) -> Rc<str> {
    let hold = |session: &String| Hold {
        nonce: Nonce(session.as_str().into()),
        token: 1,
        mode: Mode::Shared,
        term: Term { ttl_ms: 1, until: 0, session: Some(session.clone()) },
        delay_ms: 0,
        who: Who::default(),
        meta: None,
        handed: None,
    };
    let holds = sessions.iter().map(hold).collect();
    Record { token: 1, holds, ..Record::default() }.text(fastrand::u64(..)).unwrap().into()
}

async fn hear(watch: &mut Box<dyn Watch>) -> Hint {
    tokio::time::timeout(LONG, watch.next()).await.expect("a change is told")
}

/// A server of one test.
struct Own {
    command: String,
    folder: PathBuf,
    /// For clients, and for its peers, of which it has none.
    ports: (u16, u16),
    options: &'static [&'static str],
    child: Child,
}

impl Own {
    async fn start(options: &'static [&'static str]) -> Option<Own> {
        let command = needs_server("CHAINLOCK_TEST_ETCD_COMMAND")?;
        let folder = std::env::temp_dir().join(format!("chainlock-etcd-{:x}", fastrand::u64(..)));
        let free = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [client, peer] = free.map(|listener| listener.local_addr().unwrap().port());
        let ports = (client, peer);
        let child = run(&command, &folder, ports, options);
        let own = Own { command, folder, ports, options, child };
        own.answers().await;
        Some(own)
    }

    fn setup(&self, user: &str) -> Setup {
        setup(&format!("etcd://{user}127.0.0.1:{}", self.ports.0))
    }

    async fn answers(&self) {
        let api = self.api("");
        while let Err(error) = api.call::<Value>("/v3/lease/leases", &json!({}), Kind::Read).await {
            assert!(matches!(error, Trouble::Store(StoreError::Unavailable { .. })), "{error:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn api(&self, user: &str) -> Api {
        let setup = self.setup(user);
        let Address::Etcd(server) = &setup.address else { unreachable!() };
        Api::new(&setup, server).unwrap()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = run(&self.command, &self.folder, self.ports, self.options);
    }
}

fn run(command: &str, folder: &PathBuf, (client, peer): (u16, u16), options: &[&str]) -> Child {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let mut etcd = Command::new(command);
    etcd.arg("--data-dir").arg(folder).args(["--listen-client-urls", &client]);
    etcd.args(["--advertise-client-urls", &client, "--listen-peer-urls", &peer]);
    etcd.args(["--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("default={peer}")]);
    etcd.args(options).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn it_does_what_every_store_must() {
    let Some(url) = needs_server("CHAINLOCK_TEST_ETCD") else { return };
    let setup = setup(&url);
    on_a_runtime(conformance::suite(store(&setup)));
    on_a_runtime(async { conformance::pair_suite(store(&setup), store(&setup)).await });
}

#[test]
fn the_end_of_a_session_wakes_who_watches_a_record_that_names_it() {
    let Some(url) = needs_server("CHAINLOCK_TEST_ETCD") else { return };
    on_a_runtime(async {
        let setup = setup(&url);
        let (store, watcher) = (store(&setup), store(&setup));
        let session = store.open_session(MIN_TTL).await.unwrap();
        let other = store.open_session(LONG).await.unwrap();
        let (key, key_of_other): (Key, Key) = ("left".into(), "kept".into());
        let (mut watch, mut watch_of_other) =
            (watcher.watch(&key).await.unwrap(), watcher.watch(&key_of_other).await.unwrap());
        let text = held_by(std::slice::from_ref(&session));
        won(store.swap(&[swap(&key, &Version::Absent, &text)]).await);
        let text_of_other = held_by(std::slice::from_ref(&other));
        won(store.swap(&[swap(&key_of_other, &Version::Absent, &text_of_other)]).await);
        assert_eq!(hear(&mut watch).await.seen.unwrap().body, text);
        assert_eq!(hear(&mut watch_of_other).await.seen.unwrap().body, text_of_other);
        // Nobody renews it.
        assert!(hear(&mut watch).await.seen.is_none(), "only a read tells who is gone");
        assert_eq!(see(&watcher, &key).await.gone, std::slice::from_ref(&session));
        let quiet = tokio::time::timeout(Duration::from_millis(100), watch_of_other.next()).await;
        assert!(quiet.is_err(), "the session of the other record lives");
        // What is known to have ended is told with everything that comes later.
        let seen = see(&store, &key).await;
        won(store.swap(&[swap(&key, &seen.version, &held_by(std::slice::from_ref(&session)))]).await);
        assert_eq!(hear(&mut watch).await.seen.unwrap().gone, std::slice::from_ref(&session));
        let there = lost(watcher.swap(&[swap(&key, &Version::Absent, &text)]).await);
        assert_eq!(there[0].gone, [session]);
    });
}

#[test]
fn a_hint_that_asks_for_a_read_is_not_covered_by_a_later_one() {
    on_a_runtime(async {
        let seat = Seat::new(&"k".into());
        seat.session_ended("s");
        seat.changed("k", &Seen::absent(0));
        assert!(seat.take().unwrap().seen.is_none());
        seat.changed("k", &Seen::absent(0));
        assert!(seat.take().unwrap().seen.is_some());
        // It has seen the record, which names no session.
        seat.session_ended("s");
        seat.changed("another", &Seen::absent(0));
        assert!(seat.take().is_none());
    });
}

#[test]
fn many_watched_keys_are_all_told_and_unused_streams_end() {
    let Some(url) = needs_server("CHAINLOCK_TEST_ETCD") else { return };
    on_a_runtime(async {
        let store = store(&setup(&url));
        let keys: Vec<Key> = (0..30).map(|number| format!("key {number}").into()).collect();
        let mut watches = Vec::new();
        for key in &keys {
            watches.push(store.watch(key).await.unwrap());
        }
        for (key, watch) in keys.iter().zip(&mut watches) {
            let text = body(key);
            won(store.swap(&[swap(key, &Version::Absent, &text)]).await);
            assert_eq!(hear(watch).await.seen.unwrap().body, text);
        }
        let told = format!("{store:?}");
        assert_eq!(told.matches("Running {").count(), 9, "eight narrow ones and a wide one");
        drop(watches);
        while format!("{store:?}").contains("Running {") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}

#[test]
fn more_ended_sessions_than_a_transaction_takes() {
    let Some(url) = needs_server("CHAINLOCK_TEST_ETCD") else { return };
    on_a_runtime(async {
        let store = store(&setup(&url));
        let mut sessions: Vec<String> = (0..200).map(|number| format!("{:016x}", 7 + number)).collect();
        let (key, text): (Key, _) = ("many".into(), held_by(&sessions));
        let written = won(store.swap(&[swap(&key, &Version::Absent, &text)]).await);
        assert_eq!(see(&store, &key).await.gone, sessions);
        let mut dropping = swap(&key, &written.version, &body("free"));
        // Sorted behind all others, so that it is not among those that the transaction looks at.
        let lives = store.open_session(LONG).await.unwrap();
        sessions.push(lives.clone());
        dropping.gone = sessions.clone();
        lost(store.swap(std::slice::from_ref(&dropping)).await);
        store.close_session(&lives).await.unwrap();
        won(store.swap(&[dropping]).await);
    });
}

#[test]
fn a_server_that_is_killed_keeps_records_and_sessions_and_watchers_hear_of_it() {
    on_a_runtime(async {
        let Some(mut own) = Own::start(&[]).await else { return };
        let store = store(&own.setup(""));
        let session = store.open_session(LONG).await.unwrap();
        let (key, text): (Key, _) = ("kept".into(), held_by(std::slice::from_ref(&session)));
        let written = won(store.swap(&[swap(&key, &Version::Absent, &text)]).await);
        let mut watch = store.watch(&key).await.unwrap();
        own.kill();
        own.start_again();
        own.answers().await;
        assert!(hear(&mut watch).await.seen.is_none(), "who watches has to look");
        let seen = see(&store, &key).await;
        assert_eq!((&seen.version, &seen.body), (&written.version, &text));
        assert!(seen.gone.is_empty() && store.renew_session(&session).await.unwrap());
        // The stream is open again, at the latest when a watch can be made.
        let _another = store.watch(&key).await;
        loop {
            let seen = see(&store, &key).await;
            won(store.swap(&[swap(&key, &seen.version, &body("again"))]).await);
            let heard = tokio::time::timeout(Duration::from_millis(500), watch.next()).await;
            if heard.is_ok_and(|hint| hint.seen.is_some()) {
                break;
            }
        }
    });
}

#[test]
fn no_answer_is_unknown_for_a_write_and_nobody_there_is_not() {
    on_a_runtime(async {
        let Some(mut own) = Own::start(&[]).await else { return };
        let mut setup = own.setup("");
        let patient = store(&setup);
        setup.request_timeout = Duration::from_secs(3);
        let store = store(&setup);
        let (key, text): (Key, _) = ("stopped".into(), body("perhaps"));
        see(&store, &key).await;
        let mut watch = store.watch(&key).await.unwrap();
        own.signal("-STOP");
        let mut one = swap(&key, &Version::Absent, &text);
        let unknown = store.swap(std::slice::from_ref(&one)).await;
        assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{unknown:?}");
        let unread = store.read(std::slice::from_ref(&key)).await;
        assert!(matches!(unread, Err(StoreError::Unavailable { .. })), "{unread:?}");
        own.signal("-CONT");
        // Written again on the same version: one of the two has landed, whichever it was.
        one.body = body("for certain");
        let verdict = patient.swap(std::slice::from_ref(&one)).await.unwrap();
        let landed = if matches!(verdict, Swapped::Won(_)) { &one.body } else { &text };
        assert_eq!(see(&patient, &key).await.body, *landed);
        // Whoever watches was on a connection like the one that did not answer.
        assert!(hear(&mut watch).await.seen.is_none());
        own.kill();
        let refused = store.swap(&[one]).await;
        assert!(
            matches!(&refused, Err(StoreError::Unavailable { why, .. }) if why.contains("refused")),
            "{refused:?}"
        );
        // A stream that still looks open says so by its end.
        if let Ok(mut watch) = store.watch(&key).await {
            assert!(hear(&mut watch).await.seen.is_none());
        }
    });
}

#[test]
fn users_passwords_and_tokens_that_the_server_forgot() {
    on_a_runtime(async {
        let Some(mut own) = Own::start(&[]).await else { return };
        let key: Key = "guarded".into();
        // Who names a user to a server without users is served.
        let root = store(&own.setup("root:geheim@"));
        assert_eq!(see(&root, &key).await.version, Version::Absent);
        let api = own.api("");
        for (path, body) in [
            ("/v3/auth/user/add", json!({ "name": "root", "password": "geheim" })),
            ("/v3/auth/role/add", json!({ "name": "root" })),
            ("/v3/auth/user/grant", json!({ "user": "root", "role": "root" })),
            ("/v3/auth/user/add", json!({ "name": "nobody", "password": "nichts" })),
            ("/v3/auth/enable", json!({})),
        ] {
            api.call::<Value>(path, &body, Kind::Write).await.unwrap();
        }
        let session = root.open_session(LONG).await.unwrap();
        let written = won(root.swap(&[swap(&key, &Version::Absent, &body("first"))]).await);
        assert!(root.watch(&key).await.is_ok());
        for user in ["", "root:falsch@", "nobody:nichts@"] {
            let store = store(&own.setup(user));
            let read = store.read(std::slice::from_ref(&key)).await;
            let watch = store.watch(&key).await.map(|_| ());
            let wrote = store.swap(&[swap(&key, &Version::Absent, &body("mine"))]).await;
            let told = format!("{read:?} {watch:?} {wrote:?} {store:?} {}", store.shown());
            assert!(matches!(read, Err(StoreError::Denied(_))), "{user} {told}");
            assert!(matches!(watch, Err(StoreError::Denied(_))), "{user} {told}");
            assert!(matches!(wrote, Err(StoreError::Denied(_))), "{user} {told}");
            assert!(["falsch", "nichts", "root"].iter().all(|secret| !told.contains(secret)), "{told}");
        }
        // Its tokens were in its memory.
        own.kill();
        own.start_again();
        while root.read(std::slice::from_ref(&key)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(root.renew_session(&session).await.unwrap());
        won(root.swap(&[swap(&key, &written.version, &body("second"))]).await);
    });
}

#[test]
fn what_is_no_record_and_who_is_no_etcd_are_told_apart() {
    let Some(url) = needs_server("CHAINLOCK_TEST_ETCD") else { return };
    on_a_runtime(async {
        let setup = setup(&url);
        let Address::Etcd(server) = &setup.address else { unreachable!() };
        let (api, names) = (Api::new(&setup, server).unwrap(), Names::new(&setup.namespace));
        let strange = json!({ "key": names.record("strange"), "value": "/w==" });
        api.call::<Value>("/v3/kv/put", &strange, Kind::Write).await.unwrap();
        let read = store(&setup).read(&["strange".into()]).await;
        assert!(matches!(read, Err(StoreError::Foreign(_))), "{read:?}");
        let ours: Key = format!("strange {:x}", fastrand::u64(..)).into();
        won(store(&setup).swap(&[swap(&ours, &Version::Absent, &body("x"))]).await);
        let listed: Vec<Key> =
            store(&setup).list("strange", 1_000).await.unwrap().into_iter().map(|(key, _)| key).collect();
        assert!(listed.contains(&ours) && !listed.contains(&"strange".into()), "{listed:?}");
        let nowhere = api.call::<Value>("/v4/kv/put", &json!({}), Kind::Write).await;
        assert!(matches!(nowhere, Err(Trouble::Store(StoreError::Unsupported(_)))), "{nowhere:?}");
        let big = "x".repeat(3_000_000).into();
        let swapped = store(&setup).swap(&[swap(&"big".into(), &Version::Absent, &big)]).await;
        assert!(matches!(swapped, Err(StoreError::Unsupported(_))), "{swapped:?}");
    });
}

#[test]
fn a_full_database_takes_nothing_and_says_so() {
    on_a_runtime(async {
        let Some(own) = Own::start(&["--quota-backend-bytes", "100000"]).await else { return };
        let store = store(&own.setup(""));
        let (key, large): (Key, _) = ("full".into(), body(&"x".repeat(200_000)));
        for _ in 0..2 {
            let full = store.swap(&[swap(&key, &Version::Absent, &large)]).await;
            let told = format!("{full:?}");
            assert!(matches!(full, Err(StoreError::Unavailable { .. })) && told.contains("space"), "{told}");
        }
        assert_eq!(see(&store, &key).await.version, Version::Absent);
    });
}
