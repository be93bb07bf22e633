//! The bytes of the state: golden, cut, changed; and what was planted in its place.

use super::{Process, Scratch, layer};
use crate::name::ShortText;
use crate::send::book::Book;
use crate::send::config::Change;
use crate::send::dedup::MessageKey;
use crate::send::host::codec::checksum;
use crate::send::host::image::{self, Era};
use crate::send::host::outside;
use crate::send::host::store::{PAGE_AT, SLOT_SIZE, SLOTS_AT};
use crate::send::rules::Refusal;
use crate::sys::peek::Mounts;
use crate::time::{Moment, Nanos};
use std::fs;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

const ERA: Era = Era { boot: 7, time_namespace: 3 };

/// A book with something in every part.
fn full_book() -> Book {
    let scratch = Scratch::new(&format!("full-{:?}", std::thread::current().id()));
    let (one, two) = (Process::join(&scratch, 1).unwrap(), Process::join(&scratch, 2).unwrap());
    let key = Some(MessageKey::of(b"hello"));
    let change = Change { dedup_window: Some(Nanos(1_000)), ..Change::default() };
    one.lock.configure(&change, Nanos(20));
    one.lock.try_acquire(one.caller(), Some(&layer()), key, Nanos(30));
    one.lock.force_release(ShortText::cut("test"), Nanos(31));
    one.try_acquire(32).unwrap();
    two.lock.request(two.caller(), Some(&layer()), key, Nanos(40), Nanos(33));
    two.lock.request(two.caller(), Some(&layer()), key, Nanos::FOREVER, Nanos(34));
    two.lock.request(two.caller(), Some(&layer()), None, Nanos::FOREVER, Nanos(34));
    // Its deliveries lie in the outbox: a place in line that came too late, a duplicate, a grant, a loss.
    one.lock.tick(Nanos(41));
    let Some(token) = one.holder() else { panic!("held") };
    assert!(one.release(token, 42));
    one.lock.force_release(ShortText::cut("again"), Nanos(43));
    let book = std::mem::replace(&mut *one.lock.book.lock(), Book::new());
    assert_eq!((book.outbox.len(), book.evicted.len(), book.processes.len()), (4, 2, 2));
    book
}

#[test]
fn a_book_comes_back_as_it_went() {
    let book = full_book();
    let bytes = image::encode(ERA, &book, 5);
    let back = image::decode(&bytes).unwrap();
    assert_eq!((back.era, back.logged), (ERA, 5));
    assert_eq!(image::encode(ERA, &back.book, 5), bytes);
}

#[test]
fn every_prefix_is_refused_and_no_byte_makes_it_panic() {
    let bytes = image::encode(ERA, &full_book(), 5);
    for length in 0..bytes.len() {
        assert!(image::decode(&bytes[..length]).is_none(), "{length} of {} bytes", bytes.len());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(image::decode(&longer).is_none());
    for at in 0..bytes.len() {
        for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let _ = image::decode(&changed);
        }
    }
}

#[test]
fn golden_bytes() {
    let scratch = Scratch::new("golden");
    let book = Book { last_token: 0x1122, latest: Nanos(0x33), ..Book::new() };
    let bytes = image::encode(ERA, &book, 0);
    let hex: String = bytes[..73].iter().map(|byte| format!("{byte:02x}")).collect();
    let spans = "00943577000000000038e4c14500000000b864d945000000"; // 2 s, 300 s, 600 s follow below
    assert_eq!(&hex[..48], "07000000000000000000000000000000".to_owned() + "0300000000000000");
    assert_eq!(&hex[48..64], "0000000000000000", "records of the log");
    assert_eq!(&hex[64..80], &spans[..16], "a cooldown of two seconds");
    assert_eq!(bytes.len(), 234, "a change of the format is a change of its version");
    let process = Process::join(&scratch, 1).unwrap();
    assert_eq!(process.try_acquire(100), Ok(1));
    let file = fs::read(scratch.file()).unwrap();
    assert_eq!(&file[..8], b"CHNLSEND");
    assert_eq!(&file[8..16], &1u64.to_le_bytes());
    // States 2, 3 and so on: each in the slot of its parity.
    assert_eq!((file[64] % 2, file[96] % 2), (0, 1));
}

#[test]
fn a_changed_byte_is_damage_and_never_another_holder() {
    let scratch = Scratch::new("flips");
    let process = Process::join(&scratch, 1).unwrap();
    assert_eq!(process.try_acquire(100), Ok(1));
    let newest = scratch.store().newest(false).unwrap().unwrap();
    let length = scratch.store().payload(newest).unwrap().len() as u64;
    let payload_at = fs::metadata(scratch.file()).unwrap().len();
    let file = fs::OpenOptions::new().read(true).write(true).open(scratch.file()).unwrap();
    let slot_at = (0..payload_at / 4096).map(|page| page * 4096).find(|at| {
        let mut bytes = vec![0; length as usize];
        *at > 4096 && file.read_exact_at(&mut bytes, *at).is_ok() && checksum(&bytes) == sum(&scratch)
    });
    let slot_at = slot_at.expect("the newest state lies in the file");
    let places = (0..128).chain(slot_at..slot_at + length);
    for place in places {
        for bit in 0..8 {
            let mut byte = [0];
            file.read_exact_at(&mut byte, place).unwrap();
            file.write_all_at(&[byte[0] ^ 1 << bit], place).unwrap();
            match Process::join(&scratch, 2) {
                Err(fault) => assert!(fault.code.starts_with("ERR_LOCK_FILE_"), "{place}: {fault:?}"),
                Ok(other) => panic!("byte {place}, bit {bit}: {:?}", other.holder()),
            }
            file.write_all_at(&byte, place).unwrap();
        }
    }
    assert_eq!(Process::join(&scratch, 2).unwrap().holder(), Some(1), "mended, it is as before");
}

/// The sum of the newest state, as its slot's head has it.
fn sum(scratch: &Scratch) -> u64 {
    let store = scratch.store();
    let newest = store.newest(false).unwrap().unwrap();
    checksum(&store.payload(newest).unwrap())
}

#[test]
fn what_was_planted_is_refused_and_left_alone() {
    let scratch = Scratch::new("planted");
    let refused = |plant: &dyn Fn(&Path)| {
        let _ = fs::remove_dir_all(scratch.file());
        let _ = fs::remove_file(scratch.file());
        plant(&scratch.file());
        Process::join(&scratch, 1).map(|_| ()).unwrap_err().code
    };
    let victim = scratch.0.join("victim");
    fs::write(&victim, "precious").unwrap();
    assert_eq!(refused(&|at| symlink(&victim, at).unwrap()), "ERR_LOCK_FILE_UNSAFE");
    assert_eq!(refused(&|at| symlink(scratch.0.join("nowhere"), at).unwrap()), "ERR_LOCK_FILE_UNSAFE");
    assert_eq!(refused(&|at| fs::create_dir(at).unwrap()), "ERR_LOCK_FILE_UNSAFE");
    assert_eq!(refused(&|at| fs::hard_link(&victim, at).unwrap()), "ERR_LOCK_FILE_UNSAFE");
    let open = |mode: u32, text: &'static str| {
        move |at: &Path| {
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(mode).open(at).unwrap();
            file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
            file.write_all_at(text.as_bytes(), 0).unwrap();
        }
    };
    assert_eq!(refused(&open(0o666, "")), "ERR_LOCK_FILE_UNSAFE");
    assert_eq!(refused(&open(0o600, FOREIGN)), "ERR_LOCK_FILE_FOREIGN");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let _ = fs::remove_file(scratch.file());
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o770)).unwrap();
    assert_eq!(Process::join(&scratch, 1).map(|_| ()).unwrap_err().code, "ERR_LOCK_FILE_UNSAFE");
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o700)).unwrap();
}

const FOREIGN: &str = "a text of somebody else's, longer than the first part of a state would be, and none";

#[test]
fn a_file_that_is_cut_off_or_deleted_is_an_error_not_a_crash() {
    let scratch = Scratch::new("cut");
    let one = Process::join(&scratch, 1).unwrap();
    one.try_acquire(100).unwrap();
    let whole = fs::read(scratch.file()).unwrap();
    for length in [0u64, 63, 64, 100, 4096, 100_000] {
        fs::OpenOptions::new().write(true).open(scratch.file()).unwrap().set_len(length).unwrap();
        let done = one.lock.try_acquire(one.caller(), Some(&layer()), None, Nanos(101));
        assert!(done.unavailable, "cut at {length}");
        assert_eq!(one.lock.fault().unwrap().1.unwrap().code, "ERR_LOCK_FILE_FOREIGN");
        fs::OpenOptions::new().write(true).open(scratch.file()).unwrap().write_all_at(&whole, 0).unwrap();
        assert_eq!(one.try_acquire(102), Err(Refusal::Held), "mended, it goes on");
    }
    fs::remove_file(scratch.file()).unwrap();
    assert!(one.lock.try_acquire(one.caller(), Some(&layer()), None, Nanos(103)).unavailable);
    assert_eq!(one.lock.fault().unwrap().1.unwrap().code, "ERR_LOCK_FILE_IO");
}

/// From outside the file is only read: whatever lies in it, that ends, and shows nothing that leads a terminal.
#[test]
fn a_garbled_state_makes_no_onlooker_stumble() {
    let scratch = Scratch::new("onlooker");
    let (one, two) = (Process::join(&scratch, 1).unwrap(), Process::join(&scratch, 2).unwrap());
    one.try_acquire(32).unwrap();
    two.lock.request(two.caller(), Some(&layer()), None, Nanos::FOREVER, Nanos(33));
    let look = || outside::look(&scratch.file(), None, &mut Mounts::default(), Moment::read());
    let whole = look();
    assert_eq!((whole.skipped, whole.state, whole.holder_count, whole.waiter_count), (None, "held", 1, 1));
    let file = fs::OpenOptions::new().read(true).write(true).open(scratch.file()).unwrap();
    let mut numbers = (0u64..).map(|number| checksum(&number.to_le_bytes()));
    let mut next = |below: u64| numbers.next().unwrap_or_default() % below;
    // Heads, the page's begin and its rings, the state.
    let parts = [(0, 128), (PAGE_AT, 16_384), (PAGE_AT + 220_000, 4_096), (whole_state_at(&file), 512)];
    let mut skipped = 0;
    for _ in 0..1_500 {
        let changes: Vec<(u64, [u8; 8], [u8; 8])> = (0..1 + next(6))
            .map(|_| {
                let (begin, length) = parts[next(parts.len() as u64) as usize];
                let at = begin + next(length / 8) * 8;
                let mut before = [0; 8];
                file.read_exact_at(&mut before, at).unwrap();
                let word = [next(u64::MAX), next(80), u64::MAX, 0][next(4) as usize];
                (at, before, word.to_le_bytes())
            })
            .collect();
        changes.iter().for_each(|(at, _, after)| file.write_all_at(after, *at).unwrap());
        let view = look();
        skipped += u32::from(view.skipped.is_some());
        let text = serde_json::to_string(&view).unwrap();
        assert_eq!(crate::name::clean(&text), text, "nothing that a terminal obeys");
        changes.iter().rev().for_each(|(at, before, _)| file.write_all_at(before, *at).unwrap());
    }
    assert!(skipped > 100 && skipped < 1_400, "{skipped} states were seen to be none");
    assert_eq!(look().skipped, None);
}

/// Where the newest state lies.
fn whole_state_at(file: &fs::File) -> u64 {
    let word = |at| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).unwrap();
        u64::from_le_bytes(bytes)
    };
    let newest = word(64).max(word(96));
    SLOTS_AT + newest % 2 * SLOT_SIZE
}
