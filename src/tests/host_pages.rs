//! S3: whatever lies in a lock file of the right size, those who read it answer: no panic, no end that does not
//! come, and no character in what people are shown that could lead a terminal.

use super::host_apart::{Folder, Random, User};
use super::sized;
use crate::host::file::{HostFile, PAGE_BYTES};
use crate::host::outside::{self, Kernel};
use crate::host::page::{MAGIC, Page, Record, VERSION};
use crate::host::{deadlock, report};
use crate::name;
use crate::sys::file_lock::KernelMode;
use crate::sys::peek::{Locks, Mounts};
use crate::sys::process;
use crate::time::Moment;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the words lie that lead the reader, in bytes.
const HOLDER: usize = offset_of!(Page, holder);
const RECORD: usize = size_of::<Record>();
const LABEL: usize = HOLDER + offset_of!(Record, label);
const COMMAND: usize = HOLDER + offset_of!(Record, command);
const WANTS_SINCE: usize = HOLDER + offset_of!(Record, wants_since);
const WANTS: usize = HOLDER + offset_of!(Record, wants);

/// A page with the two words in front that make it one of ours.
fn ours(mut bytes: Vec<u8>) -> Vec<u8> {
    put(&mut bytes, 0, MAGIC);
    put(&mut bytes, 8, VERSION);
    bytes
}

fn put(bytes: &mut [u8], at: usize, word: u64) {
    bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
}

fn put_text(bytes: &mut [u8], at: usize, text: &[u8]) {
    put(bytes, at, text.len() as u64);
    bytes[at + 8..at + 8 + text.len()].copy_from_slice(text);
}

/// The page of a lock that somebody holds, who waits for another one meanwhile.
fn true_page(wants: &[u8]) -> Vec<u8> {
    let folder = Folder::new("true-page");
    let user = User::open(&folder.join("it.lock")).unwrap();
    let taken = user.acquire(KernelMode::Exclusive, || ()).unwrap();
    let mut bytes = std::fs::read(folder.join("it.lock")).unwrap();
    user.release(&taken);
    put(&mut bytes, WANTS_SINCE, 1);
    put_text(&mut bytes, WANTS, wants);
    bytes
}

/// Everything that reads a page, once.
fn read_all(user: &User, path: &Path) {
    let mut kernel = Kernel { locks: Some(Locks::default()), mounts: Mounts::default() };
    let seen = outside::look(path, false, &mut kernel, Moment::read());
    assert!(seen.skipped.is_none() || seen.skipped == Some("not_a_lock"), "{:?}", seen.skipped);
    assert_shown(&seen);
    let page = HostFile::look(path);
    if let Some(file) = &page {
        for holder in deadlock::holders(file.page()) {
            let _ = process::look(&holder.who);
            assert_shown(&report::view(holder));
        }
    }
    for mine in [&[][..], &[path.to_owned()], &[path.with_extension("other")]] {
        for step in deadlock::find(path, mine, 1, None).map(|cycle| cycle.0).unwrap_or_default() {
            assert_shown(&step);
        }
    }
    if let Ok(status) = report::status(&user.lock) {
        assert_shown(&status);
    }
}

/// JSON escapes no C1 controls and no bidirectional marks, and terminals obey both.
fn assert_shown(what: &impl serde::Serialize) {
    fn walk(value: &serde_json::Value) {
        match value {
            serde_json::Value::String(text) => assert_eq!(name::clean(text), text.as_str(), "{text:?}"),
            serde_json::Value::Array(values) => values.iter().for_each(walk),
            serde_json::Value::Object(entries) => entries.values().for_each(walk),
            _ => {}
        }
    }
    walk(&serde_json::to_value(what).unwrap());
}

/// How a page came about: one of ours of which some bits were turned, noise in the right shape, noise.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Turned,
    Shaped,
    Noise,
}

fn pages() -> impl Strategy<Value = (Kind, u64)> {
    let kind = prop_oneof![6 => Just(Kind::Turned), 6 => Just(Kind::Shaped), 1 => Just(Kind::Noise)];
    (kind, any::<u64>())
}

fn page(kind: Kind, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut noise =
        || -> Vec<u8> { (0..PAGE_BYTES / 8).flat_map(|_| random.below(u64::MAX).to_le_bytes()).collect() };
    match kind {
        Kind::Noise => noise(),
        Kind::Shaped => shaped(noise(), seed),
        Kind::Turned => {
            let mut bytes = true_page_once();
            for _ in 0..1 + random.below(40) {
                let at = random.below((HOLDER + 17 * RECORD) as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
            ours(bytes)
        }
    }
}

/// States and lengths that are taken for true lead on to the texts behind them.
fn shaped(mut bytes: Vec<u8>, seed: u64) -> Vec<u8> {
    let mut random = Random(!seed);
    for record in 0..17 {
        let at = HOLDER + record * RECORD;
        put(&mut bytes, at, random.below(5));
        put(&mut bytes, at + offset_of!(Record, pid), random.below(70_000));
        for (text, most) in [(LABEL, 80), (COMMAND, 80), (WANTS, 520)] {
            put(&mut bytes, at + text - HOLDER, random.below(most));
        }
        // Noise is seldom text; a path has to be.
        for byte in &mut bytes[at + WANTS - HOLDER + 8..at + RECORD] {
            *byte &= 0x7f;
        }
    }
    ours(bytes)
}

fn true_page_once() -> Vec<u8> {
    use once_cell::sync::Lazy;
    static TRUE: Lazy<Vec<u8>> = Lazy::new(|| true_page(b"/tmp/another.lock"));
    TRUE.clone()
}

#[test]
fn no_page_makes_a_reader_stumble() {
    let folder = Folder::new("pages");
    let path = folder.join("it.lock");
    let user = User::open(&path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let cases = u32::try_from(sized(15_000, 1_000_000)).unwrap();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&pages(), |(kind, seed)| {
        file.write_all_at(&page(kind, seed), 0).unwrap();
        read_all(&user, &path);
        Ok(())
    });
    outcome.unwrap();
    println!("host pages: {cases} pages, 0 panics, 0 unprintable");
}

#[test]
fn paths_in_a_page_are_shown_without_control_characters() {
    let folder = Folder::new("shown");
    let path = folder.join("it.lock");
    let user = User::open(&path).unwrap();
    for evil in ["/tmp/\x1b[2J.lock", "/tmp/\u{9b}2J", "/tmp/\u{202e}kcol", "/tmp/a\nb"] {
        std::fs::write(&path, true_page(evil.as_bytes())).unwrap();
        read_all(&user, &path);
    }
}

#[test]
fn files_that_lead_in_a_circle_or_nowhere_end_the_search() {
    let folder = Folder::new("circles");
    let path = |number: usize| folder.join(&format!("{number}.lock"));
    for number in 0..300 {
        let next = path((number + 1) % 300);
        std::fs::write(path(number), ours(true_page(next.as_os_str().as_encoded_bytes()))).unwrap();
    }
    let itself = path(0);
    assert_eq!(deadlock::find(&itself, &[], 1, None), None);
    assert_eq!(deadlock::find(&itself, &[path(299)], 1, None), None, "further than anybody looks");
    let found = deadlock::find(&itself, &[path(3)], 1, None).unwrap();
    assert_eq!(found.0.len(), 4);
    // What the names lead to is not a lock file: nobody opens it, nobody waits for it.
    for odd in ["/dev/zero", "/proc/self/mem", "/tmp", "", "relative", "/no/such", "\0"] {
        std::fs::write(&itself, ours(true_page(odd.as_bytes()))).unwrap();
        assert_eq!(deadlock::find(&itself, &[path(3)], 1, None), None, "{odd:?}");
    }
}

/// Who held before wrote its death down itself, if it was killed while it wrote.
#[test]
fn a_holder_that_died_while_it_wrote_its_record_is_told_of() {
    let folder = Folder::new("half-written");
    let path = folder.join("it.lock");
    let mut bytes = true_page(b"");
    put(&mut bytes, HOLDER, 3);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let user = User::open(&path).unwrap();
    let taken = user.acquire(KernelMode::Exclusive, || ()).unwrap();
    assert!(taken.died, "the one before it, or that one, left the data half-done");
    user.release(&taken);
}
