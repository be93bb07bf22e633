//! F11: every system call by which a lock file is opened, locked and given back fails once with every error, and
//! is once the last one of its process. The answer is a fault with a code or a lock that holds; afterwards the
//! lock is free, and the next one gets it. `strace` makes the errors.

use super::host_apart::{Folder, Raw, User, this_program};
use super::sized;
use crate::host::{FOREIGN, IO, UNSAFE};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::file_lock::KernelMode;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the traced process finds: nothing, a lock file, one that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    New,
    There,
    Held,
}

const VICTIM: &str = "CHAINLOCK_TEST_VICTIM";
const TEST: &str = "tests::host_faults::every_call_may_fail_and_may_be_the_last";
const ERRORS: [&str; 7] = ["EIO", "ENOSPC", "EINTR", "EMFILE", "EACCES", "EDQUOT", "ESTALE"];

/// What the traced process does: one of each, and says what became of it.
fn victim(path: &Path) {
    let outcome = User::open(path).map(|user| {
        let released = user.acquire(KernelMode::Exclusive, || ()).map(|taken| user.release(&taken));
        (user, released)
    });
    let word = match &outcome {
        Ok((_, Ok(released))) => {
            if *released {
                "ok"
            } else {
                "lost"
            }
        }
        Ok((_, Err(fault))) | Err(fault) => fault.code,
    };
    println!("\nvictim {word}");
    // Lives on until somebody has looked whether the lock is free.
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// The traced run: of the calls that have to do with this file and its folder only.
fn traced(path: &Path, inject: &[String]) -> Command {
    let program = this_program(TEST);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(path.with_extension("trace"));
    for place in [path, path.parent().unwrap(), Path::new(path.file_name().unwrap())] {
        command.arg("-P").arg(place);
    }
    for what in inject {
        command.args(["-e", what]);
    }
    command.arg(program.get_program()).args(program.get_args()).env(VICTIM, path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Its own words, or nothing when it was killed. Where it is `contended` another process holds the lock until the
/// traced one waits for it.
fn said(path: &Path, inject: &[String], contended: bool) -> Option<String> {
    let holder = contended.then(|| Raw::open(path)).filter(|raw| raw.flock(libc::LOCK_EX));
    let mut child = traced(path, inject).spawn().unwrap();
    let mut told = std::io::BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let is_over = AtomicU64::new(0);
    let mut word = std::thread::scope(|scope| {
        scope.spawn(|| {
            while holder.is_some() && !somebody_waits(path) && is_over.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(holder);
        });
        let word = told.find_map(|line| line.strip_prefix("victim ").map(str::to_owned));
        is_over.store(1, Ordering::Relaxed);
        word
    });
    if let Some(word) = word.as_mut().filter(|_| stays_locked(path)) {
        word.push_str(", and leaked");
    }
    drop(child.stdin.take());
    child.wait().unwrap();
    word
}

/// Whether the lock does not become free. Where the system refuses to unlock, closing the file does it, and the
/// thread that waited has it open for a moment longer.
fn stays_locked(path: &Path) -> bool {
    let is_locked = || path.exists() && !Raw::open(path).flock(libc::LOCK_EX | libc::LOCK_NB);
    let end = Instant::now() + Duration::from_secs(10);
    while is_locked() {
        if Instant::now() > end {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Whether the kernel knows of somebody who waits for that file.
fn somebody_waits(path: &Path) -> bool {
    let inode = format!(":{} ", std::fs::metadata(path).unwrap().ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode))
}

/// How often each call is made, up to the release.
fn calls(path: &Path, contended: bool) -> BTreeMap<String, usize> {
    assert_eq!(said(path, &[], contended).as_deref(), Some("ok"));
    let trace = std::fs::read_to_string(path.with_extension("trace")).unwrap();
    let mut counts = BTreeMap::new();
    for line in trace.lines() {
        let Some((head, _)) = line.split_once('(') else { continue };
        let name = head.split_whitespace().last().unwrap_or_default();
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

/// After whatever has happened, another process gets the lock. Whether it is told of a death.
fn next_one_gets_it(path: &Path, after: &str) {
    let user = User::open(path).unwrap_or_else(|fault| panic!("{after}: {fault:?}"));
    let taken = user.acquire(KernelMode::Exclusive, || panic!("{after}: it is still locked")).unwrap();
    assert!(user.release(&taken));
}

#[test]
fn every_call_may_fail_and_may_be_the_last() {
    if let Some(path) = std::env::var_os(VICTIM) {
        return victim(Path::new(&path));
    }
    let can_trace = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !can_trace.is_ok_and(|output| output.status.success()) {
        return println!(
            "host faults: SKIPPED, strace is not installed or may not trace (apt-get install strace)"
        );
    }
    let folder = Folder::new("faults");
    let (mut tried, mut typed, mut untouched, mut killed) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for scene in [Scene::New, Scene::There, Scene::Held] {
        let path = |what: &str| folder.join(&format!("{what}-{scene:?}.lock"));
        let make = |path: &Path| {
            if scene != Scene::New {
                drop(User::open(path).unwrap());
            }
        };
        let contended = scene == Scene::Held;
        make(&path("counted"));
        for (call, count) in calls(&path("counted"), contended) {
            let few = usize::try_from(sized(4, 100)).unwrap();
            for nth in 1..=count.min(few) {
                let ways = ERRORS.map(|error| format!("error={error}"));
                for way in ways.iter().map(String::as_str).chain(["signal=SIGKILL"]) {
                    let case = format!("{call}:{way}:when={nth}");
                    let path = path(&case.replace([':', '='], "-"));
                    make(&path);
                    let told = said(&path, &[format!("inject={case}")], contended);
                    tried += 1;
                    match told.as_deref() {
                        None if way == "signal=SIGKILL" => killed += 1,
                        Some("ok") => untouched += 1,
                        Some(fault) if [IO, UNSAFE, FOREIGN].contains(&fault) => typed += 1,
                        other => wrong.push(format!("{case}, {scene:?}: {other:?}")),
                    }
                    next_one_gets_it(&path, &case);
                }
            }
        }
    }
    println!(
        "host faults: {tried} injected, {typed} typed errors, {untouched} without harm, {killed} killed, {} wrong",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(typed > 0 && killed > 0);
}
