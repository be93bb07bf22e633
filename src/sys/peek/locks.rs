//! The kernel's list of file locks, `/proc/locks`, taken apart. It is foreign text: a line that is not as it should
//! be is passed over.

use super::Key;
use crate::sys::file_lock::KernelMode;
use std::collections::HashMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of the whole file: `flock`.
    Flock,
    /// Of some bytes, by an open file (`F_OFD_SETLK`): the kernel names no process.
    OpenFile,
    /// Of some bytes, by a process (`F_SETLK`).
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    pub kind: Kind,
    pub mode: KernelMode,
    /// Asked for, and not given yet.
    pub waits: bool,
    pub pid: Option<u32>,
    pub start: u64,
    /// The last byte; `u64::MAX` is the end of the file.
    pub end: u64,
}

/// All locks of the list, by their files.
#[derive(Debug, Default)]
pub struct Locks(HashMap<Key, Vec<Lock>>);

impl Locks {
    pub fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for (key, lock) in text.lines().filter_map(line) {
            all.0.entry(key).or_default().push(lock);
        }
        all
    }

    pub fn of(&self, key: &Key) -> &[Lock] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }
}

/// `1: -> FLOCK  ADVISORY  WRITE 806 fe:00:10470201 0 EOF`; the arrow is before those who wait.
fn line(line: &str) -> Option<(Key, Lock)> {
    let mut words = line.split_ascii_whitespace().peekable();
    words.next()?.strip_suffix(':')?;
    let waits = words.next_if_eq(&"->").is_some();
    let kind = match words.next()? {
        "FLOCK" => Kind::Flock,
        "OFDLCK" => Kind::OpenFile,
        "POSIX" => Kind::Bytes,
        _ => return None,
    };
    words.next()?;
    let mode = match words.next()? {
        "READ" => KernelMode::Shared,
        "WRITE" => KernelMode::Exclusive,
        _ => return None,
    };
    // −1 for an open file's lock, 0 for one of a process that we cannot see.
    let pid: i64 = words.next()?.parse().ok()?;
    let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0);
    let mut place = words.next()?.split(':');
    let (major, minor) = (place.next()?, place.next()?);
    let device = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let inode = place.next()?.parse().ok()?;
    let start = words.next()?.parse().ok()?;
    let end = match words.next()? {
        "EOF" => u64::MAX,
        end => end.parse().ok()?,
    };
    Some((Key { device, inode }, Lock { kind, mode, waits, pid, start, end }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: &str = "\
1: FLOCK  ADVISORY  WRITE 807 fe:00:10470201 0 EOF
1: -> FLOCK  ADVISORY  READ 806 fe:00:10470201 0 EOF
1:  -> FLOCK  ADVISORY  WRITE 805 fe:00:10470201 0 EOF
2: OFDLCK ADVISORY  READ -1 fe:00:10470201 1099511628582 1099511628583
3: POSIX  ADVISORY  WRITE 0 00:1b:7 10 20
4: LEASE  ACTIVE    READ 5 fe:00:10470201 0 EOF
5: FLOCK  ADVISORY  WRITE 9 <none>:0 0 EOF
";

    #[test]
    fn the_list_is_read_by_file() {
        let locks = Locks::parse(LIST);
        let file = locks.of(&Key { device: (0xfe, 0), inode: 10_470_201 });
        let told: Vec<_> = file.iter().map(|lock| (lock.kind, lock.mode, lock.waits, lock.pid)).collect();
        use KernelMode::{Exclusive, Shared};
        assert_eq!(
            told,
            [
                (Kind::Flock, Exclusive, false, Some(807)),
                (Kind::Flock, Shared, true, Some(806)),
                (Kind::Flock, Exclusive, true, Some(805)),
                (Kind::OpenFile, Shared, false, None),
            ]
        );
        assert_eq!((file[3].start, file[3].end), (1_099_511_628_582, 1_099_511_628_583));
        let [posix] = locks.of(&Key { device: (0, 0x1b), inode: 7 }) else { panic!("one lock") };
        assert_eq!((posix.pid, posix.start, posix.end), (None, 10, 20));
        assert_eq!(locks.of(&Key { device: (0, 0), inode: 0 }), []);
        assert_eq!(locks.0.len(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn garbage_is_passed_over(text in any::<String>()) {
            Locks::parse(&text);
        }

        #[test]
        fn a_garbled_list_is_read_as_far_as_it_goes(
            changes in proptest::collection::vec((0..LIST.len(), any::<u8>()), 1..8), cut in 0..LIST.len(),
        ) {
            let mut bytes = LIST.as_bytes().to_vec();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(cut);
            let locks = Locks::parse(&String::from_utf8_lossy(&bytes));
            prop_assert!(locks.0.values().map(Vec::len).sum::<usize>() <= LIST.lines().count() + 8);
        }
    }
}
