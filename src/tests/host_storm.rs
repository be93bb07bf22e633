//! F7 and F8: processes that hold and wait for one host lock are killed and stopped at any moment. What they share
//! besides the lock is memory without any protection: two holders at a time would see each other there.

use super::host_apart::{
    Folder, Random, Raw, User, apart, die, fork, percentile, reap, reap_ended, shared, signal, spin,
};
use super::sized;
use crate::host::turns::Taken;
use crate::sync::{AtomicU64, Ordering::SeqCst};
use crate::sys::file_lock::KernelMode;
use crate::time::{self, Nanos};
use std::path::Path;

const MS: Nanos = Nanos(1_000_000);

/// What all processes of a storm see.
struct Scene {
    /// Who is inside: pid and token in one word. The dead do not wipe it out.
    inside: AtomicU64,
    grants: AtomicU64,
    granted_at: AtomicU64,
    /// Somebody else was inside at the same time.
    overlaps: AtomicU64,
    /// A holder died, and the next one was not told; or was told of another one.
    untold: AtomicU64,
    wrong: AtomicU64,
    told: AtomicU64,
    /// A token that was not larger than the one before.
    stale: AtomicU64,
    faults: AtomicU64,
    /// A process that waits now, by its pid; for the storm of pauses.
    waits: AtomicU64,
}

fn mark(pid: u64, token: u64) -> u64 {
    pid << 32 | token & 0xffff_ffff
}

fn own_pid() -> u64 {
    u64::from(std::process::id())
}

/// The life of one process: takes the lock and gives it back, and dies at `point`, of those who reach it.
fn live(scene: &Scene, path: &Path, seed: u64, point: Option<u64>) {
    let mut random = Random(seed);
    let rounds_left = random.below(20);
    let mut rounds = 0;
    let at = |here: u64, rounds: u64| {
        if point == Some(here) && rounds >= rounds_left {
            die();
        }
    };
    let Ok(user) = User::open(path) else {
        scene.faults.fetch_add(1, SeqCst);
        return;
    };
    loop {
        at(0, rounds);
        let waits = || {
            scene.waits.store(own_pid(), SeqCst);
            at(1, rounds);
            if point == Some(2) && rounds >= rounds_left {
                std::thread::sleep(std::time::Duration::from_micros(200));
                die();
            }
        };
        let Ok(taken) = user.acquire(KernelMode::Exclusive, waits) else {
            scene.faults.fetch_add(1, SeqCst);
            return;
        };
        at(3, rounds);
        enter(scene, &user, &taken);
        at(4, rounds);
        stay(scene, mark(own_pid(), taken.token), random.below(300));
        at(5, rounds);
        leave(scene, mark(own_pid(), taken.token));
        at(6, rounds);
        user.release(&taken);
        at(7, rounds);
        rounds += 1;
    }
}

const POINTS: u64 = 8;

fn enter(scene: &Scene, user: &User, taken: &Taken) {
    let before = scene.inside.swap(mark(own_pid(), taken.token), SeqCst);
    scene.granted_at.store(time::now().system(), SeqCst);
    scene.grants.fetch_add(1, SeqCst);
    let (pid, token) = (before >> 32, before & 0xffff_ffff);
    match user.died(taken) {
        None if before != 0 => scene.untold.fetch_add(1, SeqCst),
        None => 0,
        Some((dead, of)) => {
            // Somebody may have got the lock after the one who left the mark, and died before its own mark.
            let fits = before == 0 || (of == token && u64::from(dead) == pid) || of > token;
            scene.wrong.fetch_add(u64::from(!fits), SeqCst);
            scene.told.fetch_add(1, SeqCst)
        }
    };
    scene.stale.fetch_add(u64::from(taken.token <= token), SeqCst);
}

fn stay(scene: &Scene, mine: u64, microseconds: u64) {
    let end = time::now().plus(Nanos(microseconds * 1_000));
    while time::now() < end {
        if scene.inside.load(SeqCst) != mine {
            scene.overlaps.fetch_add(1, SeqCst);
            return;
        }
    }
}

fn leave(scene: &Scene, mine: u64) {
    let is_mine = scene.inside.compare_exchange(mine, 0, SeqCst, SeqCst).is_ok();
    scene.overlaps.fetch_add(u64::from(!is_mine), SeqCst);
}

/// The same life with nothing but `flock`.
fn live_raw(scene: &Scene, path: &Path, seed: u64) {
    let (mut random, raw) = (Random(seed), Raw::open(path));
    loop {
        raw.flock(libc::LOCK_EX);
        scene.inside.store(mark(own_pid(), 0), SeqCst);
        scene.granted_at.store(time::now().system(), SeqCst);
        scene.grants.fetch_add(1, SeqCst);
        stay(scene, mark(own_pid(), 0), random.below(300));
        scene.inside.store(0, SeqCst);
        raw.flock(libc::LOCK_UN);
    }
}

struct Storm<'a> {
    scene: &'static Scene,
    random: Random,
    crew: Vec<i32>,
    /// How many have ended by themselves.
    ended: u64,
    start: &'a dyn Fn(u64) -> i32,
}

impl<'a> Storm<'a> {
    fn new(scene: &'static Scene, size: usize, start: &'a dyn Fn(u64) -> i32) -> Self {
        let mut storm = Self { scene, random: Random(0x5704), crew: Vec::new(), ended: 0, start };
        (0..size).for_each(|_| storm.hire());
        storm
    }

    fn hire(&mut self) {
        let seed = self.random.below(u64::MAX);
        let pid = (self.start)(seed);
        self.crew.push(pid);
    }

    /// Puts others in the place of those who have ended by themselves.
    fn replace_ended(&mut self) {
        while let Some(pid) = reap_ended() {
            self.crew.retain(|other| *other != pid);
            self.hire();
            self.ended += 1;
        }
    }

    fn holder(&self) -> Option<i32> {
        let pid = i32::try_from(self.scene.inside.load(SeqCst) >> 32).ok()?;
        self.crew.contains(&pid).then_some(pid)
    }

    /// The holder, as soon as there is one.
    fn somebody_inside(&self) -> Option<i32> {
        let end = time::now().plus(Nanos(1_000 * MS.0));
        while self.holder().is_none() && time::now() < end {
            std::hint::spin_loop();
        }
        self.holder()
    }

    fn waiter(&self) -> Option<i32> {
        i32::try_from(self.scene.waits.load(SeqCst)).ok()
    }

    /// Kills somebody. How long the next one has waited for the lock, when it was the holder's.
    fn kill(&mut self) -> Option<u64> {
        let anybody = self.crew[self.random.below(self.crew.len() as u64) as usize];
        let victim = self.holder().filter(|_| self.random.below(10) < 7).unwrap_or(anybody);
        let grants = self.scene.grants.load(SeqCst);
        let killed_at = time::now().system();
        signal(victim, libc::SIGKILL);
        reap(victim);
        let held = self.scene.inside.load(SeqCst) >> 32 == victim as u64;
        self.crew.retain(|pid| *pid != victim);
        let latency = held.then(|| self.next_grant(grants).saturating_sub(killed_at));
        self.hire();
        latency
    }

    fn next_grant(&mut self, grants: u64) -> u64 {
        let begun = time::now();
        let end = begun.plus(Nanos(10_000 * MS.0));
        while self.scene.grants.load(SeqCst) == grants {
            assert!(time::now() < end, "nobody has got the lock in 10 s after its holder was killed");
            // All who are left may be among those who die by themselves.
            if time::now().since(begun) > Nanos(100 * MS.0) {
                self.replace_ended();
            }
            std::thread::yield_now();
        }
        self.scene.granted_at.load(SeqCst)
    }

    fn end(self) {
        for pid in &self.crew {
            signal(*pid, libc::SIGKILL);
        }
        for pid in &self.crew {
            reap(*pid);
        }
    }
}

/// Kills until there were so many, or the time is over. How many, and the times of the takeovers.
fn kills(storm: &mut Storm<'_>, wanted: u64, limit: Nanos) -> (u64, Vec<u64>) {
    let end = time::now().plus(limit);
    let (mut killed, mut latencies) = (0, Vec::new());
    while killed + storm.ended < wanted && time::now() < end {
        spin(Nanos(storm.random.below(100_000)));
        latencies.extend(storm.kill());
        killed += 1;
        storm.replace_ended();
    }
    (killed + storm.ended, latencies)
}

#[test]
fn a_storm_of_kills_leaves_no_orphan_and_no_second_holder() {
    apart("tests::host_storm::a_storm_of_kills_leaves_no_orphan_and_no_second_holder", || {
        let folder = Folder::new("storm");
        let path = folder.join("it.lock");
        let scene = shared::<Scene>();
        let start = |seed: u64| {
            // One in three dies by itself, at one of the named points.
            let point = seed.is_multiple_of(3).then_some(seed / 3 % POINTS);
            fork(|| live(scene, &path, seed, point))
        };
        let mut storm = Storm::new(scene, 4, &start);
        // The time is for a machine that hangs: a loaded one is to reach the number, too.
        let (killed, mut latencies) =
            kills(&mut storm, sized(3_000, 100_000), Nanos(sized(120_000, 400_000) * MS.0));
        // Whoever is left gets on.
        let grants = scene.grants.load(SeqCst);
        storm.next_grant(grants);
        storm.end();
        let user = User::open(&path).unwrap();
        let taken = user.acquire(KernelMode::Exclusive, || panic!("the dead hold the lock")).unwrap();
        assert!(user.release(&taken));

        let count = |word: &AtomicU64| word.load(SeqCst);
        let ((p50, p99), takeovers) =
            ((percentile(&mut latencies, 0.5), percentile(&mut latencies, 0.99)), latencies.len());
        let (raw50, raw99) = raw_takeover(&path);
        println!(
            "host storm: {killed} kills, {takeovers} of the holder; {} grants, {} told of a death, {} overlaps, {} \
             untold, {} wrong, {} stale tokens, {} faults; takeover p50 {p50:.3} ms, p99 {p99:.3} ms (raw flock: \
             {raw50:.3} ms, {raw99:.3} ms)",
            count(&scene.grants),
            count(&scene.told),
            count(&scene.overlaps),
            count(&scene.untold),
            count(&scene.wrong),
            count(&scene.stale),
            count(&scene.faults),
        );
        for never in [&scene.overlaps, &scene.untold, &scene.wrong, &scene.stale, &scene.faults] {
            assert_eq!(count(never), 0);
        }
        assert!(count(&scene.told) > 0 && takeovers > 0);
    });
}

/// The takeovers of waiters that use the kernel's lock alone, in the same minute on the same machine.
fn raw_takeover(path: &Path) -> (f64, f64) {
    let scene = shared::<Scene>();
    let start = |seed: u64| fork(|| live_raw(scene, path, seed));
    let mut storm = Storm::new(scene, 4, &start);
    let (_, mut latencies) = kills(&mut storm, 1_000, Nanos(5_000 * MS.0));
    storm.end();
    (percentile(&mut latencies, 0.5), percentile(&mut latencies, 0.99))
}

#[test]
fn a_storm_of_pauses_never_lets_two_in_and_holds_up_nobody() {
    apart("tests::host_storm::a_storm_of_pauses_never_lets_two_in_and_holds_up_nobody", || {
        let folder = Folder::new("pauses");
        let path = folder.join("it.lock");
        let scene = shared::<Scene>();
        let start = |seed: u64| fork(|| live(scene, &path, seed, None));
        let mut storm = Storm::new(scene, 4, &start);
        let (mut of_holders, mut per_grant) = (0, Vec::new());
        let pauses = sized(200, 5_000);
        for pause in 0..pauses {
            spin(Nanos(storm.random.below(300_000)));
            // Who waits may have the lock the next moment; then it is the pause of a holder.
            let wanted = if pause % 2 == 0 { storm.somebody_inside() } else { storm.waiter() };
            let victim = wanted.filter(|pid| storm.crew.contains(pid)).unwrap_or(storm.crew[0]);
            signal(victim, libc::SIGSTOP);
            reap(victim);
            let grants = scene.grants.load(SeqCst);
            if storm.holder() == Some(victim) {
                std::thread::sleep(std::time::Duration::from_micros(storm.random.below(15_000)));
                assert_eq!(scene.grants.load(SeqCst), grants, "a stopped holder keeps its lock");
                assert_eq!(storm.holder(), Some(victim));
                of_holders += 1;
            } else {
                per_grant.extend(grants_without(&storm, victim, grants));
            }
            signal(victim, libc::SIGCONT);
        }
        let grants = scene.grants.load(SeqCst);
        storm.next_grant(grants);
        storm.end();
        println!(
            "host pauses: {pauses} pauses, {of_holders} of the holder; {} grants, {} overlaps; beside a stopped waiter a \
             grant takes p50 {:.3} ms, p99 {:.3} ms",
            scene.grants.load(SeqCst),
            scene.overlaps.load(SeqCst),
            percentile(&mut per_grant, 0.5),
            percentile(&mut per_grant, 0.99),
        );
        for never in [&scene.overlaps, &scene.untold, &scene.wrong, &scene.stale, &scene.faults] {
            assert_eq!(never.load(SeqCst), 0);
        }
        assert!(of_holders > 0 && !per_grant.is_empty());
    });
}

/// Sees the others get the lock ten times while one is stopped; how long each grant takes. Nothing when the stopped
/// one was given the lock after all.
fn grants_without(storm: &Storm<'_>, stopped: i32, before: u64) -> Option<u64> {
    const WANTED: u64 = 10;
    let began = time::now();
    let end = began.plus(Nanos(10_000 * MS.0));
    while storm.scene.grants.load(SeqCst) < before + WANTED {
        // Stopped between its grant and its mark it holds the lock unseen.
        if time::now().since(began) > Nanos(200 * MS.0) && holds_unseen(stopped) {
            return None;
        }
        assert!(time::now() < end, "a stopped waiter holds up the line");
        std::thread::yield_now();
    }
    Some(time::now().since(began).0 / WANTED)
}

/// Whether the kernel says that this process has a whole-file lock.
fn holds_unseen(pid: i32) -> bool {
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let pid = pid.to_string();
    let is_theirs = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1) == Some(&"FLOCK") && words.get(4) == Some(&pid.as_str())
    };
    locks.lines().any(|line| is_theirs(&line))
}
