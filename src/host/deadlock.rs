//! Deadlocks between processes, from what the lock files tell. Each holder that waits for another host lock, in
//! the work for which it holds this one, says so beside its hold; from file to file that is a path, and one that
//! comes back is a deadlock: everybody on it waits for somebody on it.
//!
//! What is read may be old or wrong: a circle counts when two looks, some time apart, find the very same one.

use crate::host::file::HostFile;
use crate::host::page::{Holder, Page};
use crate::host::shown::own;
use crate::name::clean;
use crate::sys::process::{self, Life};
use crate::time::Nanos;
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Files that one look reads at most.
const MOST_FILES: usize = 256;

/// Who waits in a circle: each holds what the one before it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    pub pid: u32,
    pub label: Option<String>,
    /// What it holds, and what it waits for: paths, cleaned for people.
    pub holds: String,
    pub wants: String,
    pub waited_ms: u64,
    #[serde(skip)]
    since: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle(pub Vec<Link>);

impl Cycle {
    /// With how long everybody has waited by now; it has no part in whether two circles are the same.
    pub fn aged(mut self, now: Nanos) -> Self {
        for link in &mut self.0 {
            link.waited_ms = now.since(Nanos::from_system(link.since)).whole_ms();
        }
        self
    }

    /// Whether this process began to wait last. Everybody in the circle comes to the same answer.
    pub fn is_ours_to_end(&self) -> bool {
        let last = self.0.iter().max_by_key(|link| (link.since, link.pid));
        // Ours is the first link.
        last.is_some_and(|last| self.0.first() == Some(last))
    }
}

/// The circle of a wait for `wanted` that is made while `mine` are held; it began at `since`.
pub fn find(wanted: &Path, mine: &[PathBuf], since: u64, label: Option<String>) -> Option<Cycle> {
    let mut search = Search { mine, read: HashSet::new(), path: Vec::new() };
    let back = search.follow(wanted)?;
    let (pid, wants) = (own().pid, shown(wanted));
    let first = Link { pid, label, holds: shown(&back), wants, waited_ms: 0, since };
    let mut links = vec![first];
    links.append(&mut search.path);
    Some(Cycle(links))
}

struct Search<'a> {
    mine: &'a [PathBuf],
    read: HashSet<PathBuf>,
    path: Vec<Link>,
}

impl Search<'_> {
    /// Follows the holders of that lock; answers the one of ours at which a circle closes.
    fn follow(&mut self, held: &Path) -> Option<PathBuf> {
        if let Some(closing) = self.mine.iter().find(|mine| *mine == held) {
            // Who waits for one of ours is on the path already, unless it is we who do.
            return (!self.path.is_empty()).then(|| closing.clone());
        }
        if self.read.len() >= MOST_FILES || !self.read.insert(held.to_owned()) {
            return None;
        }
        let file = HostFile::look(held)?;
        for holder in holders(file.page()) {
            let Some(wants) = holder.wants.clone() else { continue };
            // What the dead have waited for keeps nobody.
            if process::look(&holder.who) == Life::Dead {
                continue;
            }
            let label = (!holder.label.is_empty()).then_some(holder.label);
            let holds = shown(held);
            self.path.push(Link {
                pid: holder.who.pid,
                label,
                holds,
                wants: shown(Path::new(&wants)),
                waited_ms: 0,
                since: holder.wants_since,
            });
            if let Some(closing) = self.follow(Path::new(&wants)) {
                return Some(closing);
            }
            self.path.pop();
        }
        None
    }
}

/// A path, as people may be shown it.
fn shown(path: &Path) -> String {
    clean(&path.display().to_string()).into_owned()
}

/// Everybody whom the page shows as a holder.
pub fn holders(page: &Page) -> impl Iterator<Item = Holder> {
    let records = std::iter::once(&page.holder).chain(&page.readers);
    records
        .filter_map(|record| record.read())
        .filter(|(state, _)| *state == super::page::HELD)
        .map(|(_, holder)| holder)
}
