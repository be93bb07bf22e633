//! Linux: `/proc` and `kill(pid, 0)`. The kernel's answer to `kill` counts in our own pid namespace; `/proc`
//! may have been mounted in another one, and then says nothing about a pid of ours.

use super::{Identity, Life};
use once_cell::sync::Lazy;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;

/// What is kept of a command line, in bytes.
const SHORT: u64 = 256;

/// This process; read once.
pub fn own() -> Identity {
    static OWN: Lazy<Identity> = Lazy::new(|| Identity {
        pid: std::process::id(),
        start: stat("self").map_or(0, |stat| stat.start),
        boot: boot_id().unwrap_or_default(),
        pid_namespace: namespace_of("self", "pid"),
        time_namespace: namespace_of("self", "time"),
    });
    *OWN
}

/// The user with whose rights this process acts.
pub fn user_id() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// What the machine calls itself.
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim_end().to_owned()).filter(|name| !name.is_empty())
}

/// The processes of this user, this one among them, as far as `/proc` tells of them in our numbers.
pub fn own_processes() -> Vec<u32> {
    let user = user_id();
    let entries = if proc_is_ours() { fs::read_dir("/proc").ok() } else { None };
    let pids = entries.into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        (entry.metadata().ok()?.uid() == user).then_some(pid)
    });
    pids.collect()
}

/// The system's number of the calling thread, as `/proc/PID/task` has it.
pub fn thread_number() -> u64 {
    // SAFETY: takes nothing and cannot fail.
    u64::try_from(unsafe { libc::gettid() }).unwrap_or(0)
}

/// When the process started, in clock ticks since the boot; `None` for no such process and where that cannot
/// be read.
pub fn start_of(pid: u32) -> Option<u64> {
    stat_of(pid).map(|stat| stat.start)
}

/// The command line, cut short, as the process wrote it: for people, after cleaning.
pub fn command_of(pid: u32) -> Option<String> {
    if !proc_is_ours() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/cmdline")).ok()?.take(SHORT).read_to_end(&mut bytes).ok()?;
    let joined = String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned();
    if !joined.is_empty() {
        return Some(joined);
    }
    // Kernel threads and processes that have ended have no arguments any more.
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("[{}]", String::from_utf8_lossy(&name).trim_end()))
}

/// Whether the process that was once noted down still lives. Stopped and traced processes live; what has
/// ended and was not yet waited for does not.
pub fn look(who: &Identity) -> Life {
    let own = own();
    let boot_is_known = who.boot != [0; 2] && own.boot != [0; 2];
    if boot_is_known && who.boot != own.boot {
        return Life::Dead;
    }
    if who.pid_namespace == 0 || who.pid_namespace != own.pid_namespace {
        return Life::Unknown;
    }
    match find(who.pid) {
        Found::Nobody => Life::Dead,
        Found::Somebody(None) => Life::Unknown,
        Found::Somebody(Some(stat)) if stat.has_ended => Life::Dead,
        // Start times are counted by time namespace: two of them cannot be compared.
        Found::Somebody(_) if who.start == 0 || who.time_namespace != own.time_namespace => Life::Unknown,
        Found::Somebody(Some(stat)) if stat.start != who.start => Life::Dead,
        Found::Somebody(_) if boot_is_known => Life::Alive,
        Found::Somebody(_) => Life::Unknown,
        Found::NotAPid => Life::Unknown,
    }
}

enum Found {
    Nobody,
    /// With what `/proc` says, where it says something.
    Somebody(Option<Stat>),
    NotAPid,
}

fn find(pid: u32) -> Found {
    match exists(pid) {
        None => Found::NotAPid,
        Some(false) => Found::Nobody,
        Some(true) => match stat_of(pid) {
            Some(stat) => Found::Somebody(Some(stat)),
            // It may have ended between the two looks; or `/proc` hides it.
            None if exists(pid) == Some(false) => Found::Nobody,
            None => Found::Somebody(None),
        },
    }
}

/// Whether a process has that pid in our pid namespace; `None` for what cannot be a pid.
fn exists(pid: u32) -> Option<bool> {
    let pid = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0)?;
    // SAFETY: signal 0 is sent to nobody: the call only looks.
    let found = unsafe { libc::kill(pid, 0) } == 0;
    // EPERM: it is there, and somebody else's.
    Some(found || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH))
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    has_ended: bool,
    start: u64,
}

fn stat_of(pid: u32) -> Option<Stat> {
    if proc_is_ours() { stat(&pid.to_string()) } else { None }
}

fn stat(who: &str) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{who}/stat")).ok()?)
}

/// The fields of `/proc/PID/stat` are counted from 1; the second is the name in parentheses, which may itself
/// hold spaces and parentheses.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(name_end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let threads: u64 = field(20)?.parse().ok()?;
    // A first thread that has ended is a zombie while others of its process still run.
    let has_ended = match field(3)? {
        "Z" => threads <= 1,
        state => matches!(state, "X" | "x"),
    };
    Some(Stat { has_ended, start: field(22)?.parse().ok()? })
}

/// Whether `/proc` counts pids as this process does.
pub(in crate::sys) fn proc_is_ours() -> bool {
    static OURS: Lazy<bool> = Lazy::new(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        // Our pid in each namespace from that of `/proc` inwards: one number, if it is the same.
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        numbers.is_some_and(|numbers| numbers.trim() == std::process::id().to_string())
    });
    *OURS
}

fn boot_id() -> Option<[u64; 2]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let number = u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()?;
    Some([(number >> 64) as u64, number as u64])
}

/// The inode of a namespace of `who`, a pid or `self`; 0 for unknown.
pub(in crate::sys) fn namespace_of(who: &str, kind: &str) -> u64 {
    fs::metadata(format!("/proc/{who}/ns/{kind}")).map_or(0, |found| found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    /// A process that waits until it is killed.
    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> Self {
            Self(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap())
        }

        fn identity(&self) -> Identity {
            Identity { pid: self.0.id(), start: start_of(self.0.id()).unwrap(), ..own() }
        }

        fn signal(&self, signal: i32) {
            // SAFETY: the child is ours and not yet waited for, so the pid is its own.
            assert_eq!(unsafe { libc::kill(self.0.id() as i32, signal) }, 0);
        }

        fn wait_until(&self, state: char) {
            let path = format!("/proc/{}/stat", self.0.id());
            while !fs::read_to_string(&path).unwrap().contains(&format!(") {state} ")) {
                std::thread::yield_now();
            }
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn this_process_is_alive_and_somebody_with_its_pid_before_it_is_not() {
        let own = own();
        assert!(own.pid == std::process::id() && own.start > 0 && own.boot != [0; 2]);
        assert!(own.pid_namespace != 0);
        assert_eq!(start_of(own.pid), Some(own.start));
        assert_eq!(look(&own), Life::Alive);
        assert_eq!(look(&Identity { start: own.start - 1, ..own }), Life::Dead, "the pid was given again");
    }

    #[test]
    fn another_boot_is_dead_and_another_namespace_unknown() {
        let own = own();
        assert_eq!(look(&Identity { boot: [1, 2], ..own }), Life::Dead);
        assert_eq!(look(&Identity { boot: [1, 2], pid_namespace: 7, ..own }), Life::Dead);
        assert_eq!(look(&Identity { pid_namespace: 7, ..own }), Life::Unknown);
        assert_eq!(look(&Identity { time_namespace: 7, ..own }), Life::Unknown);
    }

    #[test]
    fn what_is_not_known_is_never_taken_for_life() {
        let own = own();
        for unsure in [
            Identity { start: 0, ..own },
            Identity { boot: [0; 2], ..own },
            Identity { pid_namespace: 0, ..own },
            Identity { pid: 0, ..own },
            Identity { pid: u32::MAX, ..own },
        ] {
            assert_eq!(look(&unsure), Life::Unknown, "{unsure:?}");
        }
    }

    #[test]
    fn stopped_lives_and_a_zombie_does_not() {
        let sleeper = Sleeper::start();
        let who = sleeper.identity();
        assert_eq!(look(&who), Life::Alive);
        sleeper.signal(libc::SIGSTOP);
        sleeper.wait_until('T');
        assert_eq!(look(&who), Life::Alive, "a stopped process holds what it holds");
        sleeper.signal(libc::SIGKILL);
        sleeper.wait_until('Z');
        assert_eq!(look(&who), Life::Dead, "a zombie holds nothing");
        assert_eq!(look(&Identity { time_namespace: 7, ..who }), Life::Dead);
        drop(sleeper);
        assert_eq!(look(&who), Life::Dead);
        assert_eq!(look(&Identity { start: 0, ..who }), Life::Dead, "nobody has that pid");
        assert_eq!(start_of(who.pid), None);
    }

    #[test]
    fn a_command_is_read_for_people() {
        let sleeper = Sleeper::start();
        // Until `exec`, the child is a copy of this process.
        while command_of(sleeper.0.id()).as_deref() != Some("sleep 1000") {
            std::thread::yield_now();
        }
        sleeper.signal(libc::SIGKILL);
        sleeper.wait_until('Z');
        assert_eq!(command_of(sleeper.0.id()).as_deref(), Some("[sleep]"));
        assert_eq!(command_of(u32::MAX), None);
    }

    #[test]
    fn the_name_in_a_stat_line_is_not_taken_for_fields() {
        let line = |name: &str, state: &str, threads: u32| {
            format!("77 ({name}) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 {threads} 0 4242 99\n")
        };
        for name in ["node", ") Z 1 (", "a b", "((", "\n"] {
            let stat = parse_stat(line(name, "S", 1).as_bytes());
            assert_eq!(stat, Some(Stat { has_ended: false, start: 4242 }), "{name:?}");
        }
        assert!(parse_stat(line("x", "Z", 1).as_bytes()).unwrap().has_ended);
        assert!(!parse_stat(line("x", "Z", 3).as_bytes()).unwrap().has_ended, "its other threads go on");
        assert!(parse_stat(line("x", "X", 0).as_bytes()).unwrap().has_ended);
        for wrong in [
            "",
            "77",
            "77 (x",
            "77 (x)",
            "77 (x) S 1 2",
            "77 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 x 0 y",
        ] {
            assert_eq!(parse_stat(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
