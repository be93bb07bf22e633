//! Readers and writers of one host lock, in processes that are killed at any moment: a writer is alone, readers are
//! together, and neither kind starves the other. More readers than a lock file can show hold all the same.

use super::host_apart::{Folder, Random, User, apart, fork, reap, shared, signal, spin};
use super::sized;
use crate::sync::{AtomicU64, Ordering::SeqCst};
use crate::sys::file_lock::KernelMode;
use crate::time::{self, Nanos};
use std::path::Path;

const CREW: usize = 20;
const READS: u64 = 1;
const WRITES: u64 = 2;

struct Scene {
    /// What each process does.
    doing: [AtomicU64; CREW],
    /// Whose process is about to be killed, and may be dead: what it was doing says nothing any more.
    doomed: [AtomicU64; CREW],
    readings: AtomicU64,
    writings: AtomicU64,
    /// Readings during which somebody else read, too.
    together: AtomicU64,
    overlaps: AtomicU64,
    faults: AtomicU64,
}

impl Scene {
    /// Whether somebody else does `what`. It is looked at twice: between the looks a doomed one may have been replaced.
    fn another(&self, me: usize, what: u64) -> bool {
        (0..CREW).any(|place| {
            let does = || self.doing[place].load(SeqCst) == what;
            place != me && does() && self.doomed[place].load(SeqCst) == 0 && does()
        })
    }
}

fn live(scene: &Scene, path: &Path, me: usize, seed: u64) {
    let mut random = Random(seed);
    let Ok(user) = User::open(path) else {
        scene.faults.fetch_add(1, SeqCst);
        return;
    };
    loop {
        let writes = random.below(100) < 15;
        let (mode, what) = if writes { (KernelMode::Exclusive, WRITES) } else { (KernelMode::Shared, READS) };
        let Ok(taken) = user.acquire(mode, || ()) else {
            scene.faults.fetch_add(1, SeqCst);
            return;
        };
        scene.doing[me].store(what, SeqCst);
        let count = if writes { &scene.writings } else { &scene.readings };
        count.fetch_add(1, SeqCst);
        scene.together.fetch_add(u64::from(!writes && scene.another(me, READS)), SeqCst);
        let end = time::now().plus(Nanos(random.below(200_000)));
        while time::now() < end {
            let is_wrong = scene.another(me, WRITES) || writes && scene.another(me, READS);
            scene.overlaps.fetch_add(u64::from(is_wrong), SeqCst);
        }
        scene.doing[me].store(0, SeqCst);
        user.release(&taken);
        spin(Nanos(random.below(50_000)));
    }
}

#[test]
fn readers_and_writers_that_are_killed_exclude_each_other() {
    apart("tests::host_mixed::readers_and_writers_that_are_killed_exclude_each_other", || {
        let folder = Folder::new("mixed");
        let path = folder.join("it.lock");
        let scene = shared::<Scene>();
        let mut random = Random(0x313d);
        let mut start = |me: usize| {
            let seed = random.below(u64::MAX);
            fork(|| live(scene, &path, me, seed))
        };
        let mut crew: Vec<i32> = (0..CREW).map(&mut start).collect();
        let (wanted, end) = (sized(500, 20_000), time::now().plus(Nanos(sized(5, 120) * 1_000_000_000)));
        let (mut killed, mut pick) = (0, Random(11));
        while killed < wanted && time::now() < end {
            let place = pick.below(CREW as u64) as usize;
            scene.doomed[place].store(1, SeqCst);
            signal(crew[place], libc::SIGKILL);
            reap(crew[place]);
            scene.doing[place].store(0, SeqCst);
            scene.doomed[place].store(0, SeqCst);
            crew[place] = start(place);
            killed += 1;
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        // All before the first: those who live on for a moment must not take the dead for holders.
        for doomed in &scene.doomed {
            doomed.store(1, SeqCst);
        }
        for pid in &crew {
            signal(*pid, libc::SIGKILL);
        }
        for pid in &crew {
            reap(*pid);
        }
        let count = |word: &AtomicU64| word.load(SeqCst);
        println!(
            "host mixed: {killed} kills, {} readings ({} together), {} writings, {} overlaps, {} faults",
            count(&scene.readings),
            count(&scene.together),
            count(&scene.writings),
            count(&scene.overlaps),
            count(&scene.faults)
        );
        assert_eq!((count(&scene.overlaps), count(&scene.faults)), (0, 0));
        assert!(count(&scene.together) > 0 && count(&scene.writings) > 0);
        let user = User::open(&path).unwrap();
        let taken = user.acquire(KernelMode::Exclusive, || panic!("the dead hold the lock")).unwrap();
        assert!(user.release(&taken));
    });
}
