//! The file: how it is opened, looked at before anything in it is touched, and made. `docs/formats/journal.md` is
//! this in words.

use crate::journal::fault::{DAMAGED, FOREIGN, Fault, IO, VERSION};
use crate::time::{self, Nanos};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "CHLJ", in the header of the file: says what it is.
pub const APPLICATION_ID: i32 = 0x4348_4c4a;
/// Changes with every change of the tables or of the meaning of a column.
pub const SCHEMA_VERSION: i32 = 1;

/// Everything that is in the file, by name.
pub const SCHEMA: [(&str, &str); 3] = [
    (
        "events",
        "CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  at_ns INTEGER NOT NULL,
  mono_ns INTEGER NOT NULL,
  pid INTEGER NOT NULL,
  started INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  thread INTEGER,
  lock_kind TEXT NOT NULL,
  lock TEXT,
  kind TEXT NOT NULL,
  layer TEXT,
  label TEXT,
  mode TEXT,
  token INTEGER,
  span_ns INTEGER,
  other TEXT,
  sum INTEGER NOT NULL
)",
    ),
    ("events_by_lock", "CREATE INDEX events_by_lock ON events (lock, at_ns)"),
    ("events_by_time", "CREATE INDEX events_by_time ON events (at_ns)"),
];

/// How long SQLite waits for another process's transaction.
const BUSY: Duration = Duration::from_millis(10_000);
/// How long the first ones of a new file wait for each other.
const PATIENCE: Nanos = Nanos(10_000_000_000);
/// Pages kept in memory while something is done: 64 MB at most.
const CACHE: &str = "-64000";
/// What is kept of the write-ahead log after it was taken over into the database.
const WAL_KEPT: &str = "16777216";

/// The file beside the database in which SQLite keeps what is newest.
pub fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Opens a journal to write: looks first, and makes it where nothing is.
pub fn open_to_write(path: &Path) -> Result<Connection, Fault> {
    if size(path)? > 0 {
        // Without the right to write: whatever is wrong with it, it stays as it is.
        drop(open_to_read(path)?);
    } else if size(&wal_of(path))? > 0 {
        // SQLite would remove that log.
        return Err(Fault::new(DAMAGED, "it is empty, but its write-ahead log is not"));
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    make(&connection)?;
    // Checkpoints are made beside the writer (`upkeep`), and never because somebody leaves.
    for (name, value) in
        [("synchronous", "NORMAL"), ("wal_autocheckpoint", "0"), ("journal_size_limit", WAL_KEPT)]
    {
        connection.pragma_update(None, name, value)?;
    }
    Ok(connection)
}

/// Opens a journal that is there.
pub fn open_to_read(path: &Path) -> Result<Connection, Fault> {
    if size(path)? == 0 {
        let nothing = if path.exists() { "it is empty" } else { "there is none" };
        return Err(Fault::new(if path.exists() { FOREIGN } else { IO }, nothing));
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // A new one that somebody is about to make has nothing in it yet.
    if !is_blank(&connection)? {
        check(&connection)?;
    }
    Ok(connection)
}

fn size(path: &Path) -> Result<u64, Fault> {
    match std::fs::metadata(path) {
        Ok(facts) if facts.is_file() => Ok(facts.len()),
        Ok(_) => Err(Fault::new(FOREIGN, "it is no file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Fault::io("look at it", &error)),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    // Nothing that lies in the file is run, and nobody who leaves changes it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    for (name, value) in [("cell_size_check", "ON"), ("mmap_size", "0"), ("cache_size", CACHE)] {
        connection.pragma_update(None, name, value)?;
    }
    Ok(connection)
}

/// An SQLite database in which nothing is: nobody's.
fn is_blank(connection: &Connection) -> Result<bool, Fault> {
    let (id, version) = marks(connection)?;
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(id == 0 && version == 0 && objects == 0)
}

fn marks(connection: &Connection) -> Result<(i32, i32), Fault> {
    let mark = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((mark("application_id")?, mark("user_version")?))
}

/// Whether it is a journal that this code can read, and has nothing in it but that.
fn check(connection: &Connection) -> Result<(), Fault> {
    let (id, version) = marks(connection)?;
    if id != APPLICATION_ID {
        return Err(Fault::new(FOREIGN, "it is a database of something else"));
    }
    if version > SCHEMA_VERSION {
        let message = format!(
            "a newer chainlock has written it (schema {version}; this one knows {SCHEMA_VERSION}): update chainlock"
        );
        return Err(Fault::new(VERSION, message));
    }
    let mut statement = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name")?;
    let found =
        statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
    let found: Vec<_> = found.collect::<Result<_, _>>()?;
    let is_ours = found.len() == SCHEMA.len()
        && found
            .iter()
            .zip(SCHEMA)
            .all(|((name, sql), ours)| (name.as_str(), sql.as_deref()) == (ours.0, Some(ours.1)));
    if is_ours && version == SCHEMA_VERSION {
        return Ok(());
    }
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let message = format!("its tables are not those of a journal: {}", crate::name::clean(&names.join(", ")));
    Err(Fault::new(DAMAGED, message))
}

/// Makes the tables where nothing is; several processes may do so at once.
fn make(connection: &Connection) -> Result<(), Fault> {
    if is_blank(connection)? {
        switch_to_wal(connection)?;
        let work = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        if is_blank(&work)? {
            for (_, sql) in SCHEMA {
                work.execute_batch(sql)?;
            }
            work.pragma_update(None, "application_id", APPLICATION_ID)?;
            work.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        work.commit()?;
    }
    check(connection)
}

/// SQLite does not wait for others with this one.
fn switch_to_wal(connection: &Connection) -> Result<(), Fault> {
    let until = time::now().plus(PATIENCE);
    loop {
        let switched =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match switched {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                let message = format!(
                    "SQLite keeps to journal mode '{mode}' here, in which writers and readers wait for each other"
                );
                return Err(Fault::new(IO, message));
            }
            Err(error) if is_busy(&error) && time::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
