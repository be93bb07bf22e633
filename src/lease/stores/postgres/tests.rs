//! The PostgreSQL store against a real server: the conformance suite, and what only this engine can do.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::{Client, NoTls};

use super::sql::heard;
use crate::lease::address::{Address, Secret, Server, Setup};
use crate::lease::conformance::{body, lost, needs_server, on_a_runtime, pair_suite, see, suite, swap, won};
use crate::lease::store::{Key, Store, StoreError, Swapped, Version};

pub const VARIABLE: &str = "CHAINLOCK_TEST_POSTGRES";

/// The server, and a schema of the test's own in it.
pub struct Place {
    pub server: Server,
    pub schema: String,
    admin: Client,
}

fn server_of(url: &str) -> Server {
    match Address::parse(Some(url), std::path::Path::new("/")) {
        Ok(Address::Postgres(server)) => server,
        other => panic!("{other:?} is no PostgreSQL"),
    }
}

pub fn setup(server: &Server) -> Setup {
    Setup {
        address: Address::Postgres(server.clone()),
        namespace: "chainlock".into(),
        ca_file: None,
        request_timeout: Duration::from_secs(20),
        token: None,
        api_url: None,
        show_on_issue: false,
    }
}

async fn client_of(server: &Server) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host(&server.host).port(server.port).dbname(&server.path).user(server.user.as_deref().unwrap());
    config.password(server.password.as_ref().map_or("", Secret::expose));
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::task::spawn_local(connection);
    client
}

impl Place {
    pub async fn new(url: &str) -> Self {
        let mut server = server_of(url);
        let (admin, schema) = (client_of(&server).await, format!("t{:016x}", fastrand::u64(..)));
        admin.batch_execute(&format!("CREATE SCHEMA {schema}; SET search_path = {schema}")).await.unwrap();
        server.query.push(("options".into(), format!("-csearch_path={schema}")));
        server.query.push(("application_name".into(), schema.clone()));
        Self { server, schema, admin }
    }

    fn open(&self) -> Rc<dyn Store> {
        super::open(&setup(&self.server)).unwrap()
    }

    fn open_with(&self, name: &str, value: &str) -> Rc<dyn Store> {
        let mut server = self.server.clone();
        match server.query.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = format!("{old} {value}"),
            None => server.query.push((name.into(), value.into())),
        }
        super::open(&setup(&server)).unwrap()
    }

    /// Asks for those of the test's own connections of which something is true.
    fn connections(&self, what: &str) -> String {
        format!("SELECT pid FROM pg_stat_activity WHERE application_name = '{}' AND {what}", self.schema)
    }

    async fn run(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap();
    }

    pub async fn end(self) {
        self.run(&format!("DROP SCHEMA {} CASCADE", self.schema)).await;
    }
}

/// A test with a schema of its own; skipped, loudly, without a server.
macro_rules! in_a_place {
    ($name:ident, $place:ident, $body:block) => {
        #[test]
        fn $name() {
            let Some(url) = needs_server(VARIABLE) else { return };
            on_a_runtime(async {
                let $place = Place::new(&url).await;
                $body
                $place.end().await;
            });
        }
    };
}

in_a_place!(does_what_every_store_must_do, place, {
    suite(place.open()).await;
    pair_suite(place.open(), place.open()).await;
});

in_a_place!(does_it_as_well_where_messages_do_not_arrive, place, {
    suite(place.open_with("listen", "off")).await;
    pair_suite(place.open_with("listen", "off"), place.open_with("listen", "off")).await;
});

in_a_place!(the_time_of_a_write_is_that_of_the_write, place, {
    let (store, key): (_, Key) = (place.open(), "key".into());
    let first = won(store.swap(&[swap(&key, &Version::Absent, &body("x"))]).await);
    // Somebody has the row; the write waits, and its term must not have begun before it lands.
    place.run("BEGIN; UPDATE chainlock_leases SET body = body").await;
    let (writer, task_key) = (store.clone(), key.clone());
    let writes =
        tokio::task::spawn_local(
            async move { writer.swap(&[swap(&task_key, &first.version, &body("y"))]).await },
        );
    let waiting = place.connections("wait_event_type = 'Lock'");
    while place.admin.query(&waiting, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let clock = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let before: i64 = place.admin.query_one(clock, &[]).await.unwrap().get(0);
    place.run("COMMIT").await;
    let written = won(writes.await.unwrap());
    assert!(written.at >= before as u64, "written at {}, let go at {before}", written.at);
});

in_a_place!(many_make_the_table_at_once, place, {
    let tasks: Vec<_> = (0..12)
        .map(|number| {
            let (store, key): (_, Key) = (place.open(), format!("{number}").into());
            tokio::task::spawn_local(async move {
                won(store.swap(&[swap(&key, &Version::Absent, &body("x"))]).await);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(place.open().list("", 100).await.unwrap().len(), 12);
});

in_a_place!(nothing_is_lost_between_many_writers, place, {
    let key: Key = "count".into();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, key) = (place.open(), key.clone());
            tokio::task::spawn_local(async move {
                let (mut wins, mut races) = (0, 0);
                while wins < 25 {
                    let seen = see(&store, &key).await;
                    match store.swap(&[swap(&key, &seen.version, &body("up"))]).await.unwrap() {
                        Swapped::Won(_) => wins += 1,
                        Swapped::Lost(_) => races += 1,
                    }
                }
                races
            })
        })
        .collect();
    let mut races = 0;
    for task in tasks {
        races += task.await.unwrap();
    }
    assert_eq!(see(&place.open(), &key).await.version, Version::Number(200));
    assert!(races > 0, "nobody raced: the test shows nothing");
});

async fn first_read(store: &Rc<dyn Store>) -> Result<(), StoreError> {
    store.read(&["key".into()]).await.map(drop)
}

in_a_place!(what_is_not_ours_is_refused, place, {
    place.run("CREATE TABLE chainlock_leases (namespace text, key text, version bigint)").await;
    let refused = first_read(&place.open()).await;
    assert!(matches!(refused, Err(StoreError::Foreign(_))), "{refused:?}");
    place.run("COMMENT ON TABLE chainlock_leases IS 'chainlock leases 1'").await;
    let refused = first_read(&place.open()).await;
    assert!(matches!(refused, Err(StoreError::Foreign(_))), "a column is missing: {refused:?}");
    place.run("COMMENT ON TABLE chainlock_leases IS 'chainlock leases 2'").await;
    let refused = first_read(&place.open()).await;
    assert!(matches!(refused, Err(StoreError::Newer(_))), "{refused:?}");
    place.run("DROP TABLE chainlock_leases; CREATE VIEW chainlock_leases AS SELECT 1 AS key").await;
    place.run("COMMENT ON VIEW chainlock_leases IS 'chainlock leases 1'").await;
    let refused = first_read(&place.open()).await;
    assert!(matches!(refused, Err(StoreError::Foreign(_))), "{refused:?}");
});

in_a_place!(a_row_that_is_not_ours_spoils_no_list, place, {
    won(place.open().swap(&[swap(&"b".into(), &Version::Absent, &body("b"))]).await);
    place.run("INSERT INTO chainlock_leases VALUES ('chainlock', 'a', -1, 0, '{}')").await;
    assert_eq!(crate::lease::conformance::listed(&place.open()).await, ["b"]);
});

in_a_place!(a_server_that_does_not_let_write_is_told_as_that, place, {
    first_read(&place.open()).await.unwrap();
    let store = place.open_with("options", "-cdefault_transaction_read_only=on");
    first_read(&store).await.unwrap();
    let refused = store.swap(&[swap(&"key".into(), &Version::Absent, &body("x"))]).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
    let strict = place.open_with("options", "-cdefault_transaction_isolation=serializable");
    won(strict.swap(&[swap(&"key".into(), &Version::Absent, &body("x"))]).await);
});

in_a_place!(a_user_who_may_not_make_the_table_uses_the_one_that_is_there, place, {
    let (role, schema) = (format!("{}_user", place.schema), &place.schema);
    place
        .run(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'users-own-secret'; GRANT USAGE ON SCHEMA {schema} TO {role}"
        ))
        .await;
    let mut server = place.server.clone();
    server.user = Some(role.clone());
    server.password = Some(Secret::new("users-own-secret".into()));
    let store = super::open(&setup(&server)).unwrap();
    let refused = first_read(&store).await;
    assert!(matches!(&refused, Err(StoreError::Denied(why)) if why.contains("grant CREATE")), "{refused:?}");
    first_read(&place.open()).await.unwrap();
    let refused = first_read(&store).await;
    assert!(matches!(refused, Err(StoreError::Denied(_))), "it may not read either: {refused:?}");
    place.run(&format!("GRANT SELECT, INSERT, UPDATE ON chainlock_leases TO {role}")).await;
    won(store.swap(&[swap(&"key".into(), &Version::Absent, &body("x"))]).await);
    server.password = Some(Secret::new("guessed-secret".into()));
    let store = super::open(&setup(&server)).unwrap();
    let refused = first_read(&store).await;
    assert!(matches!(refused, Err(StoreError::Denied(_))), "{refused:?}");
    let told = format!("{refused:?} {store:?} {}", store.shown());
    assert!(!told.contains("secret"), "{told}");
    server = place.server.clone();
    server.path = "no_such_database".into();
    let refused = first_read(&super::open(&setup(&server)).unwrap()).await;
    assert!(matches!(refused, Err(StoreError::Denied(_))), "{refused:?}");
    place.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
});

in_a_place!(a_connection_that_was_ended_is_replaced_and_watchers_go_on, place, {
    let (store, other, key): (_, _, Key) = (place.open(), place.open(), "key".into());
    let mut was = won(store.swap(&[swap(&key, &Version::Absent, &body("x"))]).await);
    let mut watch = store.watch(&key).await.unwrap();
    for round in 0..3 {
        for row in place.admin.query(&place.connections("true"), &[]).await.unwrap() {
            place.run(&format!("SELECT pg_terminate_backend({})", row.get::<_, i32>(0))).await;
        }
        let text = body(&round.to_string());
        let mut one = swap(&key, &was.version, &text);
        one.wake = true;
        // The first request may be the one that finds it out.
        was = loop {
            match other.swap(std::slice::from_ref(&one)).await {
                Ok(Swapped::Won(written)) => break written[0].clone(),
                Ok(Swapped::Lost(_)) => break written_by(&see(&other, &key).await, &one.body),
                Err(StoreError::Unknown(_) | StoreError::Unavailable { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        };
        let long = Duration::from_secs(60);
        tokio::time::timeout(long, async {
            while watch.next().await.seen.is_none_or(|seen| seen.version != was.version) {
                // A hint without a record: whoever gets it looks.
                if store
                    .read(std::slice::from_ref(&key))
                    .await
                    .is_ok_and(|seen| seen[0].version == was.version)
                {
                    break;
                }
            }
        })
        .await
        .expect("the watcher hears of it");
    }
});

/// A write whose answer was lost is known by its text.
fn written_by(seen: &crate::lease::store::Seen, text: &str) -> crate::lease::store::Written {
    assert_eq!(&*seen.body, text);
    crate::lease::store::Written { version: seen.version.clone(), base: 0, at: seen.at }
}

/// A way to a server that can be blocked, with all that goes through it.
async fn proxy(server: &Server) -> (Server, Rc<std::cell::Cell<bool>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = (server.host.clone(), server.port);
    let (port, blocked) = (listener.local_addr().unwrap().port(), Rc::new(std::cell::Cell::new(false)));
    let blocks = blocked.clone();
    tokio::task::spawn_local(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect((target.0.as_str(), target.1)).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::task::spawn_local(forward(near_in, far_out, None));
            tokio::task::spawn_local(forward(far_in, near_out, Some(blocks.clone())));
        }
    });
    (Server { host: "127.0.0.1".into(), port, ..server.clone() }, blocked)
}

/// Answers are held back for good by what blocks when they come; questions go through.
async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    blocked: Option<Rc<std::cell::Cell<bool>>>,
) {
    let (mut buffer, mut is_dead) = ([0; 4096], false);
    while let Ok(length) = from.read(&mut buffer).await {
        is_dead |= blocked.as_ref().is_some_and(|blocked| blocked.get());
        if length == 0 || (!is_dead && to.write_all(&buffer[..length]).await.is_err()) {
            return;
        }
    }
}

in_a_place!(an_answer_that_does_not_come_is_unknown_and_the_connection_is_replaced, place, {
    let (server, blocked) = proxy(&place.server).await;
    let hasty = Setup { request_timeout: Duration::from_secs(3), ..setup(&server) };
    let (store, key): (_, Key) = (super::open(&hasty).unwrap(), "key".into());
    let first = won(store.swap(&[swap(&key, &Version::Absent, &body("first"))]).await);
    blocked.set(true);
    let unknown = store.swap(&[swap(&key, &first.version, &body("second"))]).await;
    assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{unknown:?}");
    let unread = store.read(std::slice::from_ref(&key)).await;
    assert!(matches!(unread, Err(StoreError::Unavailable { .. })), "{unread:?}");
    blocked.set(false);
    let seen = see(&store, &key).await;
    assert!(seen.body.contains("second"), "it had happened");
    // To write again on the same version is safe: it loses to itself.
    lost(store.swap(&[swap(&key, &first.version, &body("second"))]).await);
    store.close().await;
    let closed = store.read(&[key]).await;
    assert!(matches!(closed, Err(StoreError::Unavailable { .. })), "{closed:?}");
});

in_a_place!(closing_leaves_no_connection, place, {
    let (store, key): (_, Key) = (place.open(), "key".into());
    see(&store, &key).await;
    let watch = store.watch(&key).await.unwrap();
    let open = place.connections("true");
    assert_eq!(place.admin.query(&open, &[]).await.unwrap().len(), 2, "one for requests, one that listens");
    store.close().await;
    while !place.admin.query(&open, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(watch);
});

#[test]
fn a_server_that_is_not_there_or_says_nothing_is_unavailable_in_time() {
    on_a_runtime(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server { host: "127.0.0.1".into(), port, path: "db".into(), ..Server::default() };
        let hasty = Setup { request_timeout: Duration::from_millis(200), ..setup(&server) };
        let store = super::open(&hasty).unwrap();
        let refused = store.swap(&[swap(&"key".into(), &Version::Absent, &body("x"))]).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        drop(listener);
        let refused = first_read(&super::open(&hasty).unwrap()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    });
}

#[test]
fn a_url_with_something_unknown_is_refused_without_its_values() {
    let with = |name: &str, value: &str| {
        let query = vec![(name.to_owned(), value.to_owned())];
        super::open(&setup(&Server { host: "h".into(), query, ..Server::default() }))
            .map(|store| store.shown().to_owned())
    };
    for (name, value) in [("sslmode", "prefer"), ("sslpassword", "swordfish"), ("listen", "swordfish")] {
        match with(name, value) {
            Err(StoreError::Unsupported(why)) => assert!(!why.contains("swordfish"), "{why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    for (name, value) in [("sslmode", "verify-full"), ("sslmode", "disable"), ("host", "/run/postgresql")] {
        assert!(with(name, value).is_ok(), "{name}={value}");
    }
    assert_eq!(with("sslmode", "require").unwrap(), "postgres://h:5432/");
}

#[test]
fn a_message_is_taken_apart_and_nothing_else_is() {
    let (key, seen) = heard("7 3 99 4 a b {\"v\":1}", 7).unwrap();
    assert_eq!((&*key, seen.unwrap().version), ("a b ", Version::Number(3)));
    assert!(heard("7 3 99 3 a b", 7).unwrap().1.is_none(), "a record that did not fit");
    for strange in
        ["", "7", "7 3 99", "7 3 99 4 é", "7 3 99 1 é", "7 x 99 1 a", "7 3 99 99 a", "8 3 99 1 a{}"]
    {
        assert!(heard(strange, 7).is_none(), "{strange:?}");
    }
}
