//! The mark on a lock directory: which process made it. It lets another process of ours see at once that the
//! holder is dead, and that a holder who is merely stopped is not.

use crate::sys::entry;
use crate::sys::process::{self, Identity, Life};

const WORD: &str = "chainlock";
const FORM: &str = "1";

/// The mark of this process.
pub fn own() -> String {
    let Identity { pid, start, boot, pid_namespace, time_namespace } = process::own();
    format!("{WORD} {FORM} {pid} {start} {} {} {pid_namespace} {time_namespace}", boot[0], boot[1])
}

/// What the mark on a directory says of its maker; `None` for a directory without one.
pub fn life_of_maker(path: &str) -> Option<Life> {
    let who = read(&entry::mark_of(path)?)?;
    // Another boot may be another machine, on a shared file system: nothing is known about it here.
    Some(if who.boot == process::own().boot { process::look(&who) } else { Life::Unknown })
}

/// Whether the maker still keeps the directory, which it has open for just as long: also while it is stopped or
/// frozen and touches nothing. False where its descriptors cannot be seen, as those of another user.
pub fn is_kept_by_maker(path: &str) -> bool {
    let maker = entry::mark_of(path).and_then(|bytes| read(&bytes));
    maker.is_some_and(|who| process::look(&who) == Life::Alive && entry::is_open_in(who.pid, path))
}

fn read(bytes: &[u8]) -> Option<Identity> {
    let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
    if words.next()? != WORD || words.next()? != FORM {
        return None;
    }
    let pid = words.next()?.parse().ok()?;
    let mut number = || words.next()?.parse::<u64>().ok();
    let start = number()?;
    let boot = [number()?, number()?];
    Some(Identity { pid, start, boot, pid_namespace: number()?, time_namespace: number()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is() {
        assert_eq!(read(own().as_bytes()), Some(process::own()));
        for wrong in [
            "",
            "chainlock",
            "chainlock 2 1 2 3 4 5 6",
            "chainlock 1 1 2 3 4 5",
            "chainlock 1 -1 2 3 4 5 6",
            "other 1 1 2 3 4 5 6",
        ] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong:?}");
        }
        assert_eq!(read(&[0xff, 0xfe]), None);
    }
}
