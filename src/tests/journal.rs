//! The journal's file: what goes in comes out; what is too much goes; a file that is not ours, too new or damaged is
//! told and left as it is. F12: every cut of database and log, and flipped bits, give rows that were written, or a
//! typed error.

use super::sized;
use crate::journal::fault::{DAMAGED, FOREIGN, Fault, IO, VERSION};
use crate::journal::reader::{Query, Reader};
use crate::journal::row::Row;
use crate::journal::schema::{SCHEMA, wal_of};
use crate::journal::{Journal, Settings};
use crate::recorder::Recorder;
use crate::recorder::event::{Event, Mode, Of, What};
use crate::recorder::texts::Text;
use crate::sync::Arc;
use crate::time::{self, Nanos};
use std::fs;
use std::path::{Path, PathBuf};

const SETTINGS: Settings = Settings {
    max_rows: 1_000_000,
    max_age: Nanos(7 * 86_400_000_000_000),
    kinds: u64::MAX,
    flush: Nanos(1_000_000),
};
const PATIENCE: Nanos = Nanos(60_000_000_000);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chainlock-journal-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("locks.journal")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(path: &Path, settings: Settings) -> (Journal, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::new(65_536));
    (Journal::start(path, settings, recorder.clone(), None).unwrap(), recorder)
}

fn note(recorder: &Recorder, lock: &str, label: &str, token: u64) {
    let lock = (Text::Plain(lock), None);
    recorder.note(&Event {
        token,
        mode: Some(Mode::Exclusive),
        thread_id: Some(0),
        label: Text::Plain(label),
        span: Some(Nanos(token)),
        ..Event::new(Of::Lock, What::Acquired, time::now(), lock)
    });
}

fn all(path: &Path) -> Result<Vec<Row>, Fault> {
    Reader::open(path)?.rows(&Query { after: Some(0), limit: 1_000_000, ..Query::default() })
}

#[test]
fn what_several_threads_note_is_in_the_file_once_and_in_order() {
    let folder = Folder::new("threads");
    let (journal, recorder) = start(&folder.file(), SETTINGS);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let recorder = &recorder;
            scope.spawn(move || {
                (1..=5_000).for_each(|token| note(recorder, &format!("lock:{thread}"), "x", token))
            });
        }
    });
    journal.flush(PATIENCE).unwrap();
    let rows = all(&folder.file()).unwrap();
    let stats = journal.stats();
    assert_eq!((rows.len(), stats.written, stats.dropped, stats.pending), (20_000, 20_000, 0, 0));
    for thread in 0..4 {
        let name = format!("lock:{thread}");
        let tokens = rows.iter().filter(|row| row.lock.as_deref() == Some(&name)).filter_map(|row| row.token);
        assert!(tokens.eq(1..=5_000), "{name}");
    }
    // Other tests of this process take numbers, too.
    assert!(rows.iter().map(|row| row.seq).is_sorted());
    journal.close(PATIENCE).unwrap();
    assert_eq!(
        fs::metadata(wal_of(&folder.file())).map_or(0, |facts| facts.len()),
        0,
        "all is in the database"
    );
    assert_eq!(all(&folder.file()).unwrap(), rows);
}

#[test]
fn a_journal_that_begins_while_the_last_one_ends_has_the_events_to_itself() {
    let folder = Folder::new("turns");
    let recorder = Arc::new(Recorder::new(65_536));
    let begin = || Journal::start(&folder.file(), SETTINGS, recorder.clone(), None).unwrap();
    let mut old = begin();
    for round in 1..=sized(40, 1_000) {
        let new = std::thread::scope(|scope| {
            scope.spawn(|| old.close(PATIENCE).unwrap());
            // Where the old one is, when the new one comes, is up to the scheduler.
            (0..round % 7).for_each(|_| std::thread::yield_now());
            begin()
        });
        note(&recorder, "turns", "x", round);
        new.flush(PATIENCE).unwrap();
        assert_eq!(new.stats().written, 1, "round {round}");
        old = new;
    }
    old.close(PATIENCE).unwrap();
    let late = old.order_flush();
    assert!(late.recv().is_err(), "nobody waits for a writer that has ended");
}

#[test]
fn what_does_not_fit_is_counted_and_told() {
    let folder = Folder::new("drops");
    let recorder = Arc::new(Recorder::new(64));
    let journal = Journal::start(&folder.file(), SETTINGS, recorder.clone(), None).unwrap();
    (1..=20_000).for_each(|token| note(&recorder, "busy", "x", token));
    journal.flush(PATIENCE).unwrap();
    let stats = journal.stats();
    journal.close(PATIENCE).unwrap();
    let rows = all(&folder.file()).unwrap();
    let (drops, events): (Vec<_>, Vec<_>) = rows.iter().partition(|row| &*row.kind == "dropped");
    let told: u64 = drops.iter().filter_map(|row| row.other.as_deref()?.parse::<u64>().ok()).sum();
    assert_eq!(told, stats.dropped);
    assert_eq!(events.len() as u64 + told, 20_000, "each is written or counted");
}

#[test]
fn old_and_surplus_rows_go_and_numbers_go_on() {
    let folder = Folder::new("trim");
    let (journal, recorder) = start(&folder.file(), Settings { max_rows: 500, ..SETTINGS });
    (1..=3_000).for_each(|token| note(&recorder, "many", "x", token));
    journal.close(PATIENCE).unwrap();
    let rows = all(&folder.file()).unwrap();
    let tokens = rows.iter().filter_map(|row| row.token);
    assert!(tokens.eq(2_501..=3_000), "the newest stay: {} rows", rows.len());
    // All are too old now but the newest, from which the numbers go on.
    let (journal, _recorder) = start(&folder.file(), Settings { max_age: Nanos(1), ..SETTINGS });
    journal.close(PATIENCE).unwrap();
    assert_eq!(all(&folder.file()).unwrap().len(), 1);
    let (journal, recorder) = start(&folder.file(), SETTINGS);
    note(&recorder, "many", "x", 1);
    journal.close(PATIENCE).unwrap();
    let ids: Vec<i64> = all(&folder.file()).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(ids, [3_000, 3_001]);
}

/// Makes a file with `sql` in it, opens it, and looks that nothing has become of it. The code of the fault.
fn refused(folder: &Folder, content: &dyn Fn(&Path)) -> &'static str {
    let path = folder.file();
    let _ = fs::remove_file(&path);
    content(&path);
    let before = fs::read(&path).ok();
    let recorder = Arc::new(Recorder::new(64));
    let fault = Journal::start(&path, SETTINGS, recorder, None).map(|_| ()).unwrap_err();
    assert_eq!(fs::read(&path).ok(), before, "it is as it was");
    assert_eq!(Reader::open(&path).map(|_| ()).unwrap_err().code, fault.code, "readers hear the same");
    fault.code
}

fn with_sql(sql: &str) -> impl Fn(&Path) {
    move |path| rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap()
}

#[test]
fn a_file_that_is_none_of_ours_stays_as_it_is() {
    let folder = Folder::new("foreign");
    let schema: String = SCHEMA.iter().map(|(_, sql)| format!("{sql};")).collect();
    let ours = format!("PRAGMA application_id = 0x43484c4a; PRAGMA user_version = 1; {schema}");
    assert_eq!(refused(&folder, &|path| fs::write(path, "some notes of somebody").unwrap()), FOREIGN);
    assert_eq!(refused(&folder, &|path| fs::write(path, vec![7; 10_000]).unwrap()), FOREIGN);
    assert_eq!(refused(&folder, &with_sql("CREATE TABLE mine (x)")), FOREIGN);
    assert_eq!(refused(&folder, &with_sql(&format!("{ours} PRAGMA user_version = 2"))), VERSION);
    assert_eq!(refused(&folder, &with_sql(&format!("{ours} DROP INDEX events_by_time"))), DAMAGED);
    let trigger = "CREATE TRIGGER evil AFTER INSERT ON events BEGIN DELETE FROM events; END";
    assert_eq!(refused(&folder, &with_sql(&format!("{ours} {trigger}"))), DAMAGED);
    assert_eq!(
        refused(&folder, &with_sql("PRAGMA application_id = 0x43484c4a; CREATE TABLE mine (x)")),
        DAMAGED
    );
    let missing = folder.0.join("nowhere").join("locks.journal");
    let fault =
        Journal::start(&missing, SETTINGS, Arc::new(Recorder::new(64)), None).map(|_| ()).unwrap_err();
    assert_eq!(fault.code, IO);
    assert!(fault.message.contains("nowhere"), "{fault}");
}

/// A journal part of which lies in the log beside it, as after a kill; and its rows.
fn torn_pair(folder: &Folder) -> ([Vec<u8>; 2], Vec<Row>) {
    let path = folder.file();
    let (journal, recorder) = start(&path, SETTINGS);
    (1..=150).for_each(|token| note(&recorder, &format!("early:{}", token % 7), "a label", token));
    journal.close(PATIENCE).unwrap();
    let (journal, recorder) = start(&path, SETTINGS);
    for round in 0..4 {
        (1..=20)
            .for_each(|token| note(&recorder, &format!("late:{}", token % 7), "another", round * 20 + token));
        journal.flush(PATIENCE).unwrap();
    }
    let files = [fs::read(&path).unwrap(), fs::read(wal_of(&path)).unwrap()];
    let rows = all(&path).unwrap();
    assert!(files.iter().all(|file| file.len() > 10_000), "{:?}", files.each_ref().map(Vec::len));
    (files, rows)
}

/// What a copy of the two files gives, read in every way: rows that were written, or a typed error.
fn look_at(path: &Path, files: [&[u8]; 2], written: &[Row]) -> Result<usize, Fault> {
    fs::write(path, files[0]).unwrap();
    fs::write(wal_of(path), files[1]).unwrap();
    let mut shm = path.as_os_str().to_owned();
    shm.push("-shm");
    let _ = fs::remove_file(shm);
    let reader = Reader::open(path)?;
    let ask = Query { limit: 10_000, ..Query::default() };
    let mut read = 0;
    for query in [
        Query { after: Some(0), ..ask.clone() },
        Query { since: Some(0), ..ask.clone() },
        Query { lock: Some("late:3".into()), ..ask },
    ] {
        let rows = reader.rows(&query)?;
        for row in &rows {
            assert!(written.contains(row), "a row that nobody wrote: {row:?}");
        }
        read += rows.len();
    }
    Ok(read)
}

#[test]
fn cuts_and_flipped_bits_give_rows_that_were_written_or_an_error() {
    let folder = Folder::new("cuts");
    let (files, written) = torn_pair(&folder);
    let path = folder.0.join("copy");
    let step = sized(16, 1) as usize;
    let (mut cuts, mut whole, mut faults) = (0, 0, 0);
    let mut judge = |files: [&[u8]; 2]| match look_at(&path, files, &written) {
        Ok(_) => whole += 1,
        Err(fault) => {
            assert!([DAMAGED, FOREIGN, IO, VERSION].contains(&fault.code), "{fault:?}");
            faults += 1;
        }
    };
    let [database, log] = &files;
    // Each file is cut at every 16th byte, near its end and at its beginning, with the other one whole and without.
    for end in (0..database.len()).step_by(step * 8).chain((0..2_048).step_by(step)) {
        judge([&database[..end], log]);
        judge([&database[..end], &[]]);
        cuts += 2;
    }
    for end in (0..log.len()).step_by(step) {
        judge([database, &log[..end]]);
        cuts += 1;
    }
    println!("journal cuts: {cuts}, of which {whole} gave rows and {faults} errors");
    let (mut seed, flips) = (0x2545_f491_4f6c_dd1d_u64, sized(300, 100_000));
    let (mut whole, mut faults) = (0, 0);
    for _ in 0..flips {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut copies = files.clone();
        let copy = &mut copies[(seed >> 60 & 1) as usize];
        let at = (seed >> 8) as usize % copy.len();
        copy[at] ^= 1 << (seed & 7);
        match look_at(&path, [&copies[0], &copies[1]], &written) {
            Ok(_) => whole += 1,
            Err(fault) => {
                assert!([DAMAGED, FOREIGN, IO, VERSION].contains(&fault.code), "{fault:?}");
                faults += 1;
            }
        }
    }
    println!("journal flips: {flips}, of which {whole} gave rows and {faults} errors");
}

#[test]
fn a_million_events_are_searched_quickly() {
    let folder = Folder::new("million");
    let path = folder.file();
    let (journal, recorder) = start(&path, SETTINGS);
    let names: Vec<String> = (0..100).map(|number| format!("lock:{number}")).collect();
    let million = sized(1_000_000, 1_000_000);
    for token in 1..=million {
        while recorder.pending() > 60_000 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        note(&recorder, &names[token as usize % names.len()], "worker", token);
    }
    journal.flush(PATIENCE).unwrap();
    assert_eq!(journal.stats().written, million);
    let reader = Reader::open(&path).unwrap();
    let count =
        reader.rows(&Query { after: Some(million as i64 - 1), limit: 2, ..Query::default() }).unwrap();
    let end = count[0].at;
    let query = Query {
        lock: Some("lock:42".into()),
        since: Some(end - 2_000_000_000),
        limit: 1_000,
        ..Query::default()
    };
    let mut times: Vec<u64> = Vec::new();
    for _ in 0..5 {
        let began = time::now();
        let found = reader.query(&query).unwrap();
        times.push(time::now().since(began).whole_ms());
        assert!(found.len() > 2);
    }
    times.sort_unstable();
    println!("journal query: {} ms of 1,000,000 events by lock and time (bar: 100 ms)", times[2]);
    assert!(times[2] < 1_000, "{times:?}");
    journal.close(PATIENCE).unwrap();
}
