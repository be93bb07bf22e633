//! Linux: `/proc/PID`.

use super::{Facts, State};
use crate::sys::process::{namespace_of, own, proc_is_ours};
use once_cell::sync::Lazy;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// More of a command line, and more words of it, are not read.
const MOST_BYTES: u64 = 4_096;
const MOST_WORDS: usize = 64;

/// Ticks in a second, of the times in `/proc`.
static TICKS: Lazy<u64> = Lazy::new(|| {
    // SAFETY: asks for a number.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
});

/// `None` when nobody has that pid, or `/proc` counts otherwise.
pub fn facts_of(pid: u32) -> Option<Facts> {
    if !proc_is_ours() {
        return None;
    }
    let place = format!("/proc/{pid}");
    let (name, state, threads, start_ticks) = parse(&fs::read(format!("{place}/stat")).ok()?)?;
    let namespace = namespace_of(&pid.to_string(), "pid");
    Some(Facts {
        state,
        start_ticks,
        started_after_boot: Duration::from_millis(start_ticks.saturating_mul(1_000) / *TICKS),
        name,
        arguments: arguments(&place),
        folder: fs::read_link(format!("{place}/cwd")).ok().map(|path| path.display().to_string()),
        user: fs::metadata(&place).ok().map(|facts| facts.uid()),
        in_our_namespace: (namespace != 0).then(|| namespace == own().pid_namespace),
        threads,
    })
}

fn arguments(place: &str) -> Vec<String> {
    let mut bytes = Vec::new();
    let opened = File::open(format!("{place}/cmdline"));
    if opened.and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)).is_err() {
        return Vec::new();
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Vec::new();
    }
    let words = bytes.split(|byte| *byte == 0).take(MOST_WORDS);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Name, state, threads and start of a line of `/proc/PID/stat`; its fields are counted from 1, and the name may
/// itself hold spaces and parentheses.
fn parse(text: &[u8]) -> Option<(String, State, u64, u64)> {
    let begin = text.iter().position(|byte| *byte == b'(')? + 1;
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let name = String::from_utf8_lossy(text.get(begin..end)?).into_owned();
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let threads: u64 = field(20)?.parse().ok()?;
    let state = match field(3)? {
        "R" => State::Running,
        "S" | "D" | "I" => State::Sleeping,
        "T" | "t" => State::Stopped,
        // Its first thread alone has ended.
        "Z" if threads > 1 => State::Unknown,
        "Z" | "X" | "x" => State::Zombie,
        _ => State::Unknown,
    };
    Some((name, state, threads, field(22)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &[u8] = b"77 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 3 0 4242 99\n";

    #[test]
    fn this_process_is_told_of() {
        let facts = facts_of(std::process::id()).unwrap();
        assert!(facts.start_ticks > 0 && facts.threads > 0 && !facts.arguments.is_empty());
        assert_eq!(facts.in_our_namespace, Some(true));
        assert_eq!(facts.folder.as_deref(), std::env::current_dir().unwrap().to_str());
        assert_eq!(facts_of(u32::MAX), None);
        assert_eq!(parse(LINE), Some(("a) b".into(), State::Sleeping, 3, 4242)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn garbage_is_passed_over(bytes in any::<Vec<u8>>()) {
            parse(&bytes);
        }

        #[test]
        fn a_garbled_line_never_panics(
            changes in proptest::collection::vec((0..LINE.len(), any::<u8>()), 1..5), cut in 0..LINE.len(),
        ) {
            let mut bytes = LINE.to_vec();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            parse(&bytes[..cut]);
        }
    }
}
