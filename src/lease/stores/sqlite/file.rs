//! The file: how it is made, opened and looked at before anything in it is touched. It may take long: not on the I/O
//! thread.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::lease::store::StoreError;
use crate::sys::file_lock::Directory;

/// "CHLL", in the header of the file: says what it is.
const APPLICATION_ID: i32 = 0x4348_4c4c;
/// Changes with every change of the table or of the meaning of a column.
const SCHEMA_VERSION: i32 = 1;
const SCHEMA: &str = "CREATE TABLE leases (
  id INTEGER PRIMARY KEY,
  namespace TEXT NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  boot TEXT NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (namespace, key)
)";
/// Of a new file. A record is some hundred bytes, and what changes in it is written as a whole page, with a checksum.
const PAGE_BYTES: &str = "1024";
/// What SQLite keeps of the file in memory: less than nothing are KiB, not pages.
const CACHE: &str = "-64";
/// What is kept of the write-ahead log after it was taken over into the database.
const WAL_KEPT: &str = "4194304";
/// A log that is smaller need not be taken over; and for one that is larger the writers must wait, because as long as
/// they do not pause it never begins anew. What is kept is the larger one: to make a file longer takes time.
const WAL_SMALL: u64 = 1024 * 1024;
const WAL_LARGE: u64 = 4 * WAL_SMALL;
/// How long it is tried to make them wait.
const WAL_PATIENCE: Duration = Duration::from_millis(100);
/// Who begins the log anew syncs its header: that shall be nobody who is in a hurry.
const BEGIN_LOG: &str = "UPDATE leases SET at_ms = at_ms WHERE id = (SELECT max(id) FROM leases)";

/// An open file.
#[derive(Debug)]
pub struct Opened {
    pub connection: Connection,
    place: Place,
}

/// Where the file lies, and which one it was.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    name: String,
    /// Device and inode, where the system tells.
    file: Option<(u64, u64)>,
}

/// Opens the file, and makes it where nothing is.
pub fn open(path: &Path, patience: Duration) -> Result<Opened, StoreError> {
    let place = make_ready(path)?;
    let path = place.folder.join(&place.name);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection =
        Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(of_sqlite)?;
    settle(&connection, patience)?;
    let place = Place { file: place.look(), ..place };
    Ok(Opened { connection, place })
}

fn settle(connection: &Connection, patience: Duration) -> Result<(), StoreError> {
    let pragma = |name, value| connection.pragma_update(None, name, value).map_err(of_sqlite);
    let config = |flag, on| connection.set_db_config(flag, on).map(drop).map_err(of_sqlite);
    connection.busy_timeout(patience).map_err(of_sqlite)?;
    // Nothing that lies in the file is run; and nobody who leaves changes a file that is not ours.
    config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    pragma("cell_size_check", "ON")?;
    pragma("mmap_size", "0")?;
    // Thousands of leases that are only held shall not lie here a second time: the system has read their pages anyway.
    // What a write changes may be more than that, and stays until its end.
    pragma("cache_size", CACHE)?;
    pragma("cache_spill", "OFF")?;
    if is_blank(connection)? {
        is_writable(connection)?;
        pragma("page_size", PAGE_BYTES)?;
        make(connection)?;
    }
    check(connection)?;
    is_writable(connection)?;
    config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    pragma("synchronous", "NORMAL")?;
    // Beside the I/O thread (`tidy_up`), and by whoever is the last to leave.
    pragma("wal_autocheckpoint", "0")?;
    pragma("journal_size_limit", WAL_KEPT)?;
    // From now on nobody waits inside of SQLite.
    connection.busy_timeout(Duration::ZERO).map_err(of_sqlite)
}

fn is_writable(connection: &Connection) -> Result<(), StoreError> {
    match connection.is_readonly("main").map_err(of_sqlite)? {
        true => Err(StoreError::ReadOnly("the file can be read only".into())),
        false => Ok(()),
    }
}

/// An SQLite database in which nothing is: nobody's.
fn is_blank(connection: &Connection) -> Result<bool, StoreError> {
    Ok(marks(connection)? == (0, 0) && objects(connection)?.is_empty())
}

fn marks(connection: &Connection) -> Result<(i32, i32), StoreError> {
    let mark = |name| connection.pragma_query_value(None, name, |row| row.get(0)).map_err(of_sqlite);
    Ok((mark("application_id")?, mark("user_version")?))
}

/// The texts of what the database consists of.
fn objects(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = connection.prepare(sql).map_err(of_sqlite)?;
    let found = statement.query_map([], |row| row.get(0)).map_err(of_sqlite)?;
    found.collect::<Result<_, _>>().map_err(of_sqlite)
}

/// Makes the table where nothing is; several processes may do so at once.
fn make(connection: &Connection) -> Result<(), StoreError> {
    let work = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate);
    let work = work.map_err(of_sqlite)?;
    if is_blank(&work)? {
        work.execute_batch(SCHEMA).map_err(of_sqlite)?;
        work.pragma_update(None, "application_id", APPLICATION_ID).map_err(of_sqlite)?;
        work.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(of_sqlite)?;
    }
    work.commit().map_err(of_sqlite)
}

/// Whether it is a file of leases that this code can read, and has nothing in it but that.
fn check(connection: &Connection) -> Result<(), StoreError> {
    let (id, version) = marks(connection)?;
    if id != APPLICATION_ID {
        return Err(StoreError::Foreign("it is a database of something else".into()));
    }
    if version > SCHEMA_VERSION {
        return Err(StoreError::Newer(format!(
            "it has schema {version}; this chainlock knows {SCHEMA_VERSION}"
        )));
    }
    if version != SCHEMA_VERSION || objects(connection)? != [SCHEMA] {
        return Err(StoreError::Foreign("its tables are not those of leases".into()));
    }
    switch_to_wal(connection)
}

/// Writers and readers do not wait for each other. SQLite's own waiting does not hold for this step, so that it is
/// tried again: whoever is in the way makes the same switch.
fn switch_to_wal(connection: &Connection) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        let switched =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match switched {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                let why =
                    format!("SQLite keeps to journal mode '{mode}' here; is it a file system without mmap?");
                return Err(StoreError::Unsupported(why));
            }
            Err(error) if is_busy(&error) && tries < 1_000 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(of_sqlite(error)),
        }
    }
}

pub fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

impl Opened {
    /// Whether the path still names this file: what lies there later may be another's.
    pub fn is_still_there(&self) -> bool {
        self.place.file.is_none() || self.place.look() == self.place.file
    }

    /// Takes the write-ahead log over into the file when it has grown; syncs.
    pub fn tidy_up(&self) {
        let wal = self.place.folder.join(format!("{}-wal", self.place.name));
        let length = std::fs::metadata(wal).map_or(0, |facts| facts.len());
        if length < WAL_SMALL {
            return;
        }
        // All best effort: the log only stays longer.
        let how = if length < WAL_LARGE { "PASSIVE" } else { "RESTART" };
        let _ = self.connection.busy_timeout(WAL_PATIENCE);
        let _ = self.connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()));
        let _ = self.connection.execute(BEGIN_LOG, []);
        let _ = self.connection.busy_timeout(Duration::ZERO);
    }
}

impl Place {
    fn look(&self) -> Option<(u64, u64)> {
        let facts = Directory::open(&self.folder).and_then(|folder| folder.look_at(&self.name)).ok()?;
        Some((facts.device, facts.inode))
    }
}

/// Makes the folders and the file, only for their user, where they are not there; refuses where locks do not hold.
fn make_ready(path: &Path) -> Result<Place, StoreError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(StoreError::Unsupported("this path names no file".into()));
    };
    make_folders(folder).map_err(|error| of_system("make the folder", &error))?;
    // A link leads to one place, whoever follows it later.
    let path = match std::fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder =
                std::fs::canonicalize(folder).map_err(|error| of_system("find the folder", &error))?;
            folder.join(name)
        }
        Err(error) => return Err(of_system("look at it", &error)),
    };
    let (folder, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or(name));
    let name = name.to_str().ok_or_else(|| StoreError::Unsupported("its name is not Unicode".into()))?;
    let place = Place { folder: folder.to_owned(), name: name.to_owned(), file: None };
    let opened = match Directory::open(folder) {
        Ok(opened) => opened,
        // Where folders cannot be held, SQLite makes the file, and nobody knows the kind of the file system.
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(place),
        Err(error) => return Err(of_system("open its folder", &error)),
    };
    if let Ok(Some(kind)) = opened.network_kind() {
        return Err(StoreError::Unsupported(format!(
            "it lies on a {kind} file system, where locks do not hold between machines; name a file on a disk of \
             this machine, or use a server"
        )));
    }
    match std::fs::metadata(&path) {
        Ok(facts) if facts.is_file() => Ok(place),
        Ok(_) => Err(StoreError::Foreign("it is no file".into())),
        Err(error) if error.kind() == ErrorKind::NotFound => match opened.make_file(name) {
            Ok(_) => Ok(place),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(place),
            Err(error) => Err(of_system("make the file", &error)),
        },
        Err(error) => Err(of_system("look at it", &error)),
    }
}

fn make_folders(folder: &Path) -> std::io::Result<()> {
    let is_missing = |folder: &&Path| !folder.exists();
    let mut missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    while let Some(folder) = missing.pop().filter(|folder| !folder.as_os_str().is_empty()) {
        match Directory::make(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == ErrorKind::Unsupported => std::fs::create_dir(folder)?,
            made => made?,
        }
    }
    Ok(())
}

fn of_system(step: &str, error: &std::io::Error) -> StoreError {
    let why = format!("{step}: {error}");
    match error.kind() {
        ErrorKind::PermissionDenied => StoreError::Denied(why),
        ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly(why),
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => StoreError::Foreign(why),
        _ => StoreError::Unavailable { why, retry_after: None },
    }
}

/// What has certainly not happened.
pub fn of_sqlite(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    let code = match &error {
        InvalidColumnType(..)
        | FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | Utf8Error(..) => {
            return StoreError::Foreign("a row has what no lease has".into());
        }
        other => other.sqlite_error_code(),
    };
    let why = format!("SQLite says: {error}");
    match code {
        Some(ErrorCode::NotADatabase) => StoreError::Foreign("it is no SQLite database".into()),
        Some(ErrorCode::DatabaseCorrupt) => {
            StoreError::Foreign("SQLite cannot read it: it is damaged".into())
        }
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly(why),
        Some(ErrorCode::PermissionDenied) => StoreError::Denied(why),
        _ => StoreError::Unavailable { why, retry_after: None },
    }
}
