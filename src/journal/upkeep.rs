//! What keeps the file small, on a thread of its own: a checkpoint waits for the disk, and the writer must not.

use crate::journal::Settings;
use crate::journal::fault::Fault;
use crate::journal::schema::{open_to_write, wal_of};
use crate::time::Moment;
use rusqlite::{Connection, TransactionBehavior, params};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// From this size on the write-ahead log is taken over into the database.
const WAL_LARGE: u64 = 4 << 20;
/// From this size on readers and writers are asked to wait until that is done, and the log is cut.
const WAL_TOO_LARGE: u64 = 64 << 20;
/// So many rows go in one transaction: others want to write.
const AT_ONCE: usize = 2_000;

/// The thread, and how it is told that there is something to do. It ends when the sender is gone.
pub type Upkeep = (SyncSender<()>, JoinHandle<()>);

pub fn start(path: &Path, settings: Settings) -> Option<Upkeep> {
    let (sender, receiver) = sync_channel(1);
    let path = path.to_owned();
    let thread = std::thread::Builder::new().name("chainlock-upkeep".into());
    thread.spawn(move || run(&path, settings, &receiver)).ok().map(|thread| (sender, thread))
}

fn run(path: &Path, settings: Settings, orders: &Receiver<()>) {
    let Ok(connection) = open_to_write(path) else { return };
    while orders.recv().is_ok() {
        // What could not be done now is done the next time.
        let _ = trim(&connection, &settings).and_then(|()| checkpoint(&connection, path));
        let _ = connection.execute_batch("PRAGMA shrink_memory");
    }
}

/// Removes what is too many or too old; never the newest row, from which the numbers go on.
pub fn trim(connection: &Connection, settings: &Settings) -> Result<(), Fault> {
    let newest: i64 =
        connection.query_row("SELECT coalesce(max(id), 0) FROM events", [], |row| row.get(0))?;
    let moment = Moment::read();
    let oldest = moment.epoch_ns_of(moment.now).saturating_sub_unsigned(settings.max_age.0);
    let by_number = newest.saturating_sub_unsigned(settings.max_rows);
    let old = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at_ns < ?1 AND id < ?2 LIMIT ?3)";
    let many = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id <= ?1 AND id < ?2 LIMIT ?3)";
    for (sql, limit) in [(many, by_number), (old, oldest)] {
        loop {
            let work = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            let removed = work.execute(sql, params![limit, newest, AT_ONCE as i64])?;
            work.commit()?;
            if removed < AT_ONCE {
                break;
            }
        }
    }
    Ok(())
}

fn checkpoint(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let size = std::fs::metadata(wal_of(path)).map_or(0, |facts| facts.len());
    if size >= WAL_TOO_LARGE {
        take_over(connection, "TRUNCATE")
    } else if size >= WAL_LARGE {
        take_over(connection, "PASSIVE")
    } else {
        Ok(())
    }
}

/// Takes the write-ahead log over into the database, as far as that can be done now.
pub fn take_over(connection: &Connection, how: &str) -> Result<(), Fault> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()))?;
    Ok(())
}
