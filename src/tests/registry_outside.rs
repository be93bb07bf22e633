//! The registry of another process, read while that process changes it and after it was killed in the middle:
//! whoever has it mapped sees whole states only, and that what was not finished has failed.

use super::host_apart::this_program;
use super::registry::{assert_rest_is_whole, assert_whole, telling};
use crate::registry::entry::Entry;
use crate::registry::memory::registry;
use crate::registry::outside::{Outside, PROCESS_EXIT, Unseen, of};
use crate::registry::status::Status;
use crate::registry::text::Text;
use crate::time::Nanos;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

const WRITES: &str = "CHAINLOCK_TEST_WRITES";
const WRITERS: usize = 3;

/// Run by the test below, in a process of its own, until it is killed.
#[test]
fn writes_until_it_is_killed() {
    if std::env::var_os(WRITES).is_none() {
        return;
    }
    let registry = registry();
    let enter = |id: &str| {
        registry.register(&mut Entry { id: Text::cut(id), ..Entry::default() }, Nanos(1), |_| {}).unwrap();
        Text::cut(id)
    };
    let change = |id: &Text<8>, number: u64| {
        registry.change(id, &telling(number), Nanos(number), &mut Entry::default()).unwrap();
    };
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let id = enter(&format!("writer {writer}"));
            change(&id, 2);
            scope.spawn(move || (3..u64::MAX).for_each(|number| change(&id, number)));
        }
        // Places that come and go.
        (0..u64::MAX).for_each(|number| {
            let id = enter(&format!("guest {}", number % 7));
            change(&id, number + 2);
            registry.remove(&id).unwrap();
        });
    });
}

struct Killed(Child);

impl Killed {
    fn start() -> Self {
        let mut program = this_program("tests::registry_outside::writes_until_it_is_killed");
        Self(program.env(WRITES, "1").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Its registry, once every writer has begun.
    fn registry(&self) -> Outside {
        loop {
            if let Ok(outside) = Outside::open(self.0.id())
                && outside
                    .entries()
                    .is_ok_and(|entries| entries.iter().filter(|one| one.pid > 2).count() >= WRITERS)
            {
                return outside;
            }
            thread::yield_now();
        }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_begun(entry: &&Entry) -> bool {
    entry.pid != 0
}

#[test]
fn what_a_killed_process_leaves_is_whole() {
    let mut reads = 0;
    let kills = super::sized(30, 1_000);
    for turn in 0..kills {
        let writing = Killed::start();
        let outside = writing.registry();
        for _ in 0..turn * 7 % 50 {
            let entries = outside.entries().unwrap();
            entries.iter().filter(is_begun).for_each(assert_whole);
            reads += entries.len();
        }
        thread::sleep(Duration::from_micros(turn * 37 % 1_000));
        drop(writing);
        let left = outside.entries().unwrap();
        assert!(left.len() >= WRITERS);
        for entry in &left {
            assert_eq!((entry.status, entry.reason.to_text().as_str()), (Some(Status::Failed), PROCESS_EXIT));
        }
        let begun = left.into_iter().filter(|one| is_begun(&one));
        begun.map(|one| Entry { reason: Text::default(), ..one }).for_each(|one| assert_rest_is_whole(&one));
    }
    println!("registry outside: {kills} kills, {reads} states read before, 0 torn");
}

#[test]
fn nothing_is_to_be_seen_of_a_process_without_a_registry() {
    let sleeper = Killed(std::process::Command::new("sleep").arg("100").spawn().unwrap());
    assert_eq!(of(sleeper.0.id()), Err(Unseen::Nothing));
    assert_eq!(of(u32::MAX), Err(Unseen::Nothing));
}
