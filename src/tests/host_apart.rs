//! Processes for the tests of host locks: a test that runs in a process of its own, and forks of that one. A fork
//! is a process to the kernel and costs a hundredth of a start.

use crate::host::Fault;
use crate::host::directory::Place;
use crate::host::locks::{HostLocks, Requested};
use crate::host::threads::Outcome;
use crate::host::turns::{Ask, HostLock, Taken, Waiter};
use crate::local::departures::{Caller, RowId};
use crate::name::ShortText;
use crate::sync::{Arc, Mutex, Ordering, StaticU64};
use crate::sys::file_lock::KernelMode;
use crate::time::{self, Nanos};
use once_cell::sync::Lazy;
use std::path::{Path, PathBuf};
use std::process::Command;

const APART: &str = "CHAINLOCK_TEST_APART";

/// Runs a test's body in a process of its own, in which nothing has run before. Its figures are printed here.
pub fn apart(test: &str, body: fn()) {
    if std::env::var_os(APART).is_some() {
        return body();
    }
    let output = this_program(test).env(APART, "1").output().unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // The harness begins the first line itself.
    let first = format!("test {test} ... ");
    for line in told.lines().map(|line| line.strip_prefix(&first).unwrap_or(line)) {
        if line.starts_with("host ") {
            println!("{line}");
        }
    }
    assert!(output.status.success(), "{test}: {}\n{told}\n{errors}", output.status);
}

/// This test program, to run one of its tests.
pub fn this_program(test: &str) -> Command {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    program
}

/// A folder that goes when it is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(what: &str) -> Self {
        static COUNT: StaticU64 = StaticU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("chainlock-{what}-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Forks; the child runs `body` and ends. Answers its pid.
pub fn fork(body: impl FnOnce()) -> i32 {
    // SAFETY: this process has no other thread that matters: the test harness's own one only waits.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        body();
        // SAFETY: ends the process at once, without what its parent has left to do.
        unsafe { libc::_exit(0) };
    }
    pid
}

pub fn signal(pid: i32, number: i32) {
    // SAFETY: to a child of ours that has not been waited for, so the pid is still its own.
    unsafe { libc::kill(pid, number) };
}

pub fn die() -> ! {
    signal(i32::try_from(std::process::id()).unwrap(), libc::SIGKILL);
    loop {
        std::thread::park();
    }
}

/// Waits until the child has ended, or has stopped.
pub fn reap(pid: i32) {
    let mut status = 0;
    // SAFETY: a child of ours; `status` is a place for the answer.
    unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
}

/// Children that have ended by themselves.
pub fn reap_ended() -> Option<i32> {
    let mut status = 0;
    // SAFETY: as above.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some(pid)
}

/// Memory that a process shares with its forks: zeroes first, never given back.
pub fn shared<T>() -> &'static T {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping that nobody else has.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<T>(), access, flags, -1, 0) };
    assert!(start != libc::MAP_FAILED);
    // SAFETY: as large as it has to be, aligned to a page, and zeroes; callers share atomics only.
    unsafe { &*start.cast::<T>() }
}

/// Repeatable random numbers.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

pub fn spin(span: Nanos) {
    let end = time::now().plus(span);
    while time::now() < end {
        std::hint::spin_loop();
    }
}

/// The value below which that share of the values lies.
pub fn percentile(values: &mut [u64], share: f64) -> f64 {
    values.sort_unstable();
    let at = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(at).map_or(0.0, |ns| *ns as f64 / 1e6)
}

/// What the thread that waits for the kernel has told the one thread of this process.
static TOLD: Lazy<Mutex<Option<Result<Taken, Fault>>>> = Lazy::new(Mutex::default);
static ASKER: Lazy<std::thread::Thread> = Lazy::new(std::thread::current);

fn tell(_: &Waiter, outcome: Outcome) {
    *TOLD.lock() = Some(match outcome {
        Outcome::Granted(taken) => Ok(taken),
        Outcome::Failed(fault) => Err(fault),
    });
    ASKER.unpark();
}

/// A process as the storms see it: one thread, one lock.
pub struct User {
    locks: HostLocks,
    pub lock: Arc<HostLock>,
}

impl User {
    pub fn open(path: &Path) -> Result<Self, Fault> {
        Lazy::force(&ASKER);
        let locks = HostLocks::new(tell);
        let lock = locks.open(Place::of_path(path, false)?)?;
        Ok(Self { locks, lock })
    }

    pub fn ask(mode: KernelMode) -> Ask {
        let caller = Caller { row: RowId::here(0, 1), thread_id: 0, mailbox: 0 };
        Ask { caller, mode, label: ShortText::EMPTY }
    }

    /// Takes the lock; calls `waits` when it has to wait for it.
    pub fn acquire(&self, mode: KernelMode, waits: impl FnOnce()) -> Result<Taken, Fault> {
        let requested = self.locks.request(&self.lock, &Self::ask(mode), Nanos::FOREVER, time::now());
        let ticket = match requested {
            Requested::Taken(taken) => return Ok(taken),
            Requested::Fault(fault) => return Err(fault),
            Requested::Waits(ticket) => ticket,
        };
        waits();
        loop {
            if let Some(told) = TOLD.lock().take() {
                self.locks.settled(ticket);
                return told;
            }
            std::thread::park();
        }
    }

    pub fn release(&self, taken: &Taken) -> bool {
        self.locks.release(&self.lock, taken.hold)
    }

    /// Whom the grant found dead: pid and token.
    pub fn died(&self, taken: &Taken) -> Option<(u32, u64)> {
        self.lock.with(|state| {
            let hold = state.holds.iter().find(|hold| hold.id == taken.hold)?;
            hold.died.as_ref().map(|holder| (holder.who.pid, holder.token))
        })
    }
}

/// The kernel's lock with nothing of ours: what a storm of the same kind costs there.
pub struct Raw(i32);

impl Raw {
    pub fn open(path: &Path) -> Self {
        use std::os::fd::IntoRawFd;
        Self(std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap().into_raw_fd())
    }

    pub fn flock(&self, operation: i32) -> bool {
        // SAFETY: a descriptor of ours that stays open.
        unsafe { libc::flock(self.0, operation) == 0 }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: ours, and used nowhere else.
        unsafe { libc::close(self.0) };
    }
}
