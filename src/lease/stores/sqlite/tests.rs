//! The SQLite store: the conformance suite, and what only a file can do.

#![expect(clippy::print_stdout, reason = "a skip is loud, and the storm tells its figure")]

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::lease::address::{Address, Setup};
use rusqlite::Connection;

use super::clock::{ANOTHER_BOOT, BootClock};
use crate::lease::conformance::{body, listed, lost, on_a_runtime, pair_suite, see, suite, swap, won};
use crate::lease::store::{Key, Store, StoreError, Swapped, Version};

/// A folder of the test's own, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("chainlock-leases-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("leases.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn setup(path: &Path) -> Setup {
    Setup {
        address: Address::Sqlite(path.to_owned()),
        namespace: "chainlock".into(),
        ca_file: None,
        request_timeout: Duration::from_secs(20),
        token: None,
        api_url: None,
        show_on_issue: false,
    }
}

fn open(path: &Path) -> Rc<dyn Store> {
    super::open(&setup(path)).unwrap()
}

#[test]
fn does_what_every_store_must_do() {
    let folder = Folder::new();
    on_a_runtime(async {
        suite(open(&folder.file())).await;
        pair_suite(open(&folder.file()), open(&folder.file())).await;
    });
}

/// Puts something else in the place of the file.
type Spoil = fn(&Path);

/// What a read of anything says.
fn first_read(path: &Path) -> Result<(), StoreError> {
    on_a_runtime(async { open(path).read(&["key".into()]).await.map(drop) })
}

#[test]
fn a_file_is_its_users_alone_and_folders_are_made() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.0.join("a").join("b").join("leases.db");
    on_a_runtime(async {
        let store = open(&path);
        won(store.swap(&[swap(&"key".into(), &Version::Absent, &body("x"))]).await);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        for end in ["", "-wal", "-shm"] {
            assert_eq!(mode(Path::new(&format!("{}{end}", path.display()))), 0o600);
        }
        store.close().await;
        assert!(!path.with_extension("db-wal").exists(), "the last one takes the log over");
        let closed = store.read(&["key".into()]).await;
        assert!(matches!(closed, Err(StoreError::Unavailable { .. })), "{closed:?}");
        assert_eq!(
            see(&open(&path), &"key".into()).await.version,
            Version::Number(1),
            "it outlives the store"
        );
    });
}

#[test]
fn a_new_file_has_small_pages_and_one_with_larger_ones_keeps_them() {
    let folder = Folder::new();
    let pages = |path: &Path| {
        let page = Connection::open(path).unwrap().query_row("PRAGMA page_size", [], |row| row.get(0));
        page.map(|bytes: i64| bytes).unwrap()
    };
    let (small, large) = (folder.file(), folder.0.join("large.db"));
    on_a_runtime(async {
        for path in [&small, &large] {
            let store = open(path);
            won(store.swap(&[swap(&"key".into(), &Version::Absent, &body("x"))]).await);
            store.close().await;
            if path == &large {
                let connection = Connection::open(path).unwrap();
                let settings = "PRAGMA journal_mode = DELETE; PRAGMA page_size = 4096; VACUUM";
                connection.execute_batch(settings).unwrap();
            }
            let store = open(path);
            won(store.swap(&[swap(&"key".into(), &Version::Number(1), &body("y"))]).await);
            store.close().await;
        }
    });
    assert_eq!((pages(&small), pages(&large)), (1_024, 4_096));
}

#[test]
fn the_default_lies_in_the_users_state() {
    let path = super::default_path().expect("somebody runs this test");
    assert!(path.is_absolute() && path.ends_with("chainlock/leases.db"), "{}", path.display());
}

#[test]
fn rows_that_are_not_ours_spoil_no_list() {
    let folder = Folder::new();
    let path = folder.file();
    make(&path);
    for row in ["'a', -1, 1, 'wall', '{}'", "'b', 1, 1, 'wall', x'00ff'", "x'00ff', 1, 1, 'wall', '{}'"] {
        sql(
            &path,
            &format!(
                "INSERT INTO leases (namespace, key, version, at_ms, boot, body) VALUES ('chainlock', {row})"
            ),
        );
    }
    on_a_runtime(async {
        let store = open(&path);
        let before = listed(&store).await;
        won(store.swap(&[swap(&"c".into(), &Version::Absent, &body("c"))]).await);
        let after = listed(&store).await;
        assert!(after.contains(&"c".into()) && !after.contains(&"a".into()) && !after.contains(&"b".into()));
        assert_eq!(after.len(), before.len() + 1);
    });
}

#[test]
fn what_is_not_ours_is_refused_and_stays_as_it_is() {
    let folder = Folder::new();
    let path = folder.file();
    let spoilt: [(&str, Spoil); 6] = [
        ("no SQLite database", |path| {
            fs::write(path, "my shopping list, which is not short at all".repeat(9)).unwrap()
        }),
        ("something else", |path| sql(path, "CREATE TABLE users (name TEXT)")),
        ("something else", |path| sql(path, "PRAGMA application_id = 7; CREATE TABLE leases (key TEXT)")),
        ("its tables", |path| {
            make(path);
            sql(path, "CREATE TRIGGER t AFTER UPDATE ON leases BEGIN DELETE FROM leases; END");
        }),
        ("its tables", |path| {
            make(path);
            sql(path, "ALTER TABLE leases ADD COLUMN more TEXT");
        }),
        ("a row has what no lease has", |path| {
            make(path);
            sql(path, "INSERT INTO leases VALUES (9, 'chainlock', 'key', 1, 1, 'wall', x'00ff')");
        }),
    ];
    for (why, spoil) in spoilt {
        let _ = fs::remove_file(&path);
        spoil(&path);
        let before = fs::read(&path).unwrap();
        match first_read(&path) {
            Err(StoreError::Foreign(told)) => assert!(told.contains(why), "{told:?} is about {why:?}"),
            other => panic!("{why}: {other:?}"),
        }
        assert_eq!(fs::read(&path).unwrap(), before, "{why}: not a byte is touched");
    }
    fs::remove_file(&path).unwrap();
    make(&path);
    sql(&path, "PRAGMA user_version = 2");
    assert!(matches!(first_read(&path), Err(StoreError::Newer(_))));
    assert!(matches!(first_read(&folder.0), Err(StoreError::Foreign(_))), "a folder is no file");
    assert!(matches!(
        first_read(&path.join("below")),
        Err(StoreError::Foreign(_) | StoreError::Unavailable { .. })
    ));
    assert!(first_read(Path::new("/proc/leases.db")).is_err());
}

fn make(path: &Path) {
    first_read(path).unwrap();
}

fn sql(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn whoever_waits_too_long_for_another_process_is_told_and_nothing_happens_later() {
    let folder = Folder::new();
    let path = folder.file();
    make(&path);
    let other = Connection::open(&path).unwrap();
    on_a_runtime(async {
        let hasty = Setup { request_timeout: Duration::from_secs(1), ..setup(&path) };
        let store = super::open(&hasty).unwrap();
        let key: Key = "key".into();
        see(&store, &key).await;
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let refused = store.swap(&[swap(&key, &Version::Absent, &body("late"))]).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        assert_eq!(see(&store, &key).await.version, Version::Absent, "readers wait for nobody");
        // Somebody with more patience gets it when the other is done.
        let patient = open(&path);
        see(&patient, &key).await;
        let (key, task_key) = (key.clone(), key);
        let swaps = tokio::task::spawn_local(async move {
            patient.swap(&[swap(&task_key, &Version::Absent, &body("patient"))]).await
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(!swaps.is_finished());
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(won(swaps.await.unwrap()).version, Version::Number(1));
        assert!(see(&store, &key).await.body.contains("patient"));
    });
}

#[test]
fn rows_of_another_boot_are_old_and_those_of_another_clock_are_refused() {
    let folder = Folder::new();
    let path = folder.file();
    let key: Key = "key".into();
    let set = |boot: &str| sql(&path, &format!("UPDATE leases SET at_ms = 1099511627776, boot = '{boot}'"));
    on_a_runtime(async {
        let store = open(&path);
        let first = won(store.swap(&[swap(&key, &Version::Absent, &body("x"))]).await);
        set("00000000000000000000000000000001.4026531834");
        let seen = see(&store, &key).await;
        assert_eq!((seen.at, seen.now), (1 << 40, (1 << 40) + ANOTHER_BOOT), "every term in it is over");
        let own = BootClock::new();
        let namespaced = format!("{}.1", own.boot().split('.').next().unwrap());
        for strange in [namespaced.as_str(), "wall"] {
            set(strange);
            let read = store.read(std::slice::from_ref(&key)).await;
            assert!(matches!(read, Err(StoreError::Unsupported(_))), "{strange}: {read:?}");
        }
        set("00000000000000000000000000000001.4026531834");
        let next = won(store.swap(&[swap(&key, &first.version, &body("y"))]).await);
        assert_eq!(next.version, Version::Number(2), "the version goes on over a boot");
        assert!(next.at < 1 << 40, "the time begins anew");
    });
}

#[test]
fn time_never_runs_backwards_in_a_row() {
    let folder = Folder::new();
    let key: Key = "key".into();
    on_a_runtime(async {
        let store = open(&folder.file());
        let first = won(store.swap(&[swap(&key, &Version::Absent, &body("x"))]).await);
        sql(&folder.file(), "UPDATE leases SET at_ms = at_ms + 3600000");
        let seen = see(&store, &key).await;
        assert!(seen.now >= seen.at && seen.at == first.at + 3_600_000);
        assert!(won(store.swap(&[swap(&key, &first.version, &body("y"))]).await).at >= seen.at);
    });
}

#[test]
fn a_file_that_was_replaced_is_noticed() {
    let folder = Folder::new();
    let (path, key): (_, Key) = (folder.file(), "key".into());
    on_a_runtime(async {
        let store = open(&path);
        won(store.swap(&[swap(&key, &Version::Absent, &body("old"))]).await);
        for end in ["", "-wal", "-shm"] {
            fs::remove_file(format!("{}{end}", path.display())).unwrap();
        }
        let other = open(&path);
        won(other.swap(&[swap(&key, &Version::Absent, &body("new"))]).await);
        while !see(&store, &key).await.body.contains("new") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn a_write_that_fails_half_way_leaves_nothing() {
    let folder = Folder::new();
    let (path, keys) = (folder.file(), ["a", "b", "c"].map(Key::from));
    on_a_runtime(async {
        let store = open(&path);
        let make: Vec<_> = keys.iter().map(|key| swap(key, &Version::Absent, &body("first"))).collect();
        let Ok(Swapped::Won(was)) = store.swap(&make).await else { panic!("three new ones") };
        let trigger = "CREATE TRIGGER full BEFORE UPDATE ON leases WHEN new.key = 'b'
                       BEGIN SELECT RAISE(FAIL, 'no room'); END";
        sql(&path, trigger);
        let next: Vec<_> =
            keys.iter().zip(&was).map(|(key, was)| swap(key, &was.version, &body("next"))).collect();
        // Beside it another request, which goes into the same transaction.
        let others = [swap(&keys[2], &was[2].version, &body("beside"))];
        let (failed, _) = tokio::join!(store.swap(&next), store.swap(&others));
        assert!(matches!(failed, Err(StoreError::Unavailable { .. })), "{failed:?}");
        sql(&path, "DROP TRIGGER full");
        for seen in store.read(&keys[..2]).await.unwrap() {
            assert!(seen.body.contains("first"), "{}", seen.body);
        }
        let again = store.swap(&next[..2]).await;
        assert!(matches!(again, Ok(Swapped::Won(_))), "the file is free again: {again:?}");
    });
}

#[test]
fn namespaces_do_not_see_each_other() {
    let folder = Folder::new();
    let key: Key = "key".into();
    on_a_runtime(async {
        let store = open(&folder.file());
        let apart = Setup { namespace: "another".into(), ..setup(&folder.file()) };
        let other = super::open(&apart).unwrap();
        won(store.swap(&[swap(&key, &Version::Absent, &body("one"))]).await);
        assert_eq!(see(&other, &key).await.version, Version::Absent);
        assert!(other.list("", 10).await.unwrap().is_empty());
        won(other.swap(&[swap(&key, &Version::Absent, &body("other"))]).await);
        assert!(see(&store, &key).await.body.contains("one"));
    });
}

/// Four threads with stores of their own, as processes have them: each move counts once.
#[test]
fn nothing_is_lost_between_many_writers() {
    const MOVES: u64 = 100;
    let folder = Folder::new();
    let path = folder.file();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || on_a_runtime(count_up(path, MOVES)))
        })
        .collect();
    let races: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let seen = on_a_runtime(async { see(&open(&path), &"count".into()).await });
    assert_eq!(seen.version, Version::Number(4 * MOVES));
    println!("sqlite: {} moves by 4 writers, {races} lost races", 4 * MOVES);
}

async fn count_up(path: PathBuf, moves: u64) -> u64 {
    let (store, key): (_, Key) = (open(&path), "count".into());
    let (mut wins, mut races) = (0, 0);
    let mut expect = see(&store, &key).await.version;
    while wins < moves {
        match store.swap(&[swap(&key, &expect, &body("up"))]).await.unwrap() {
            Swapped::Won(written) => {
                wins += 1;
                expect = written[0].version.clone();
            }
            Swapped::Lost(seen) => {
                races += 1;
                expect = seen[0].version.clone();
            }
        }
    }
    races
}

#[test]
fn a_file_that_can_only_be_read_is_told_as_that() {
    use std::os::unix::fs::PermissionsExt;
    if crate::sys::process::user_id() == 0 {
        return println!("SKIPPED: root may write everything");
    }
    let folder = Folder::new();
    let path = folder.file();
    make(&path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let read = first_read(&path);
    assert!(matches!(read, Err(StoreError::ReadOnly(_))), "{read:?}");
}

#[test]
fn a_stale_write_of_a_record_that_is_gone_loses() {
    let folder = Folder::new();
    let key: Key = "key".into();
    on_a_runtime(async {
        let store = open(&folder.file());
        let written = won(store.swap(&[swap(&key, &Version::Absent, &body("x"))]).await);
        sql(&folder.file(), "DELETE FROM leases");
        let seen = lost(store.swap(&[swap(&key, &written.version, &body("y"))]).await);
        assert_eq!(seen[0].version, Version::Absent);
    });
}
