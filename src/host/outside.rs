//! A lock file, looked at from outside: what its page tells, joined with what the kernel's list of locks says of the
//! same file, so that who holds it without chainlock (flock(1) in a shell) is seen, too. Only bytes that were read
//! are looked at, and nothing in them is trusted.

use crate::host::directory::name_of;
use crate::host::file::PAGE_BYTES;
use crate::host::memory::page_in;
use crate::host::page::{HELD, Holder, MAGIC, Page, Record, VERSION};
use crate::name::clean;
use crate::sync::{Field, Ordering};
use crate::sys::file_lock::{KernelMode, WAITING_BYTES};
use crate::sys::peek::{Key, Kind, Lock, Locks, Mounts, Refused, Seen, is_mapped_by, open, text_of_locks};
use crate::sys::process::{self, Life};
use crate::time::{Moment, Nanos};
use serde::Serialize;
use std::path::Path;

/// How often a page that is being written is read again.
const READINGS: usize = 4;
/// Waiting processes of one file that are told at most.
const MOST_WAITERS: usize = 10_000;

/// A lock file, or why it was not looked into.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    pub path: String,
    /// Of a lock that was opened by its name; `nameCut` when the file's name had no room for all of it.
    pub name: Option<String>,
    pub name_cut: bool,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<&'static str>,
    /// Of the last grant.
    pub token: u64,
    pub mode: Option<&'static str>,
    pub holders: Vec<HolderView>,
    pub waiters: Vec<WaiterView>,
    /// Those of other programs.
    pub foreign: Vec<ForeignView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HolderView {
    pub pid: u32,
    /// In ticks since the boot: with the pid it tells processes apart.
    pub start_time: u64,
    pub thread_id: u64,
    pub label: Option<String>,
    pub mode: &'static str,
    pub since_at_ms: Option<f64>,
    pub token: u64,
    pub command: String,
    pub alive: Option<bool>,
    /// The path of the lock file for which it waits meanwhile.
    pub waits_for: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaiterView {
    pub pid: u32,
    /// What it asks the kernel for, once it does.
    pub mode: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignView {
    /// `null` where it belongs to no process that we can see.
    pub pid: Option<u32>,
    pub command: Option<String>,
    pub mode: &'static str,
    pub waiting: bool,
}

/// The kernel's list of file locks, as it was read last.
#[derive(Debug)]
pub struct Kernel {
    /// `None` where it may not be read.
    pub locks: Option<Locks>,
    pub mounts: Mounts,
}

impl Kernel {
    pub fn read() -> Self {
        Self { locks: text_of_locks().map(|text| Locks::parse(&text)), mounts: Mounts::default() }
    }

    fn read_again(&mut self) {
        self.locks = text_of_locks().map(|text| Locks::parse(&text));
    }
}

/// Looks at the lock file of that path. List and page are read one after the other; where they do not fit together,
/// both are read again.
pub fn look(path: &Path, named: bool, kernel: &mut Kernel, moment: Moment) -> View {
    let (mut view, mut fits) = look_once(path, named, kernel, moment);
    for _ in 1..READINGS {
        if fits {
            break;
        }
        kernel.read_again();
        (view, fits) = look_once(path, named, kernel, moment);
    }
    view
}

fn look_once(path: &Path, named: bool, kernel: &mut Kernel, moment: Moment) -> (View, bool) {
    let mut view = View {
        path: clean(&path.display().to_string()).into_owned(),
        name: None,
        name_cut: false,
        kind: "host",
        skipped: None,
        token: 0,
        mode: None,
        holders: Vec::new(),
        waiters: Vec::new(),
        foreign: Vec::new(),
    };
    if named && let Some((name, is_cut)) = path.file_name().and_then(|file| name_of(file.to_str()?)) {
        (view.name, view.name_cut) = (Some(name), is_cut);
    }
    let seen = open(path).map_err(Refused::word);
    let (seen, pages) = match seen.and_then(|seen| pages(&seen).map(|pages| (seen, pages))) {
        Ok(found) => found,
        Err(reason) => {
            view.skipped = Some(reason);
            return (view, true);
        }
    };
    let key = seen.key(&mut kernel.mounts);
    let locks = kernel.locks.as_ref().map(|locks| locks.of(&key));
    let fits = tell(&mut view, &pages, locks, &key, moment);
    (view, fits)
}

/// Two readings of the page that were, if somebody let us, the same.
fn pages(seen: &Seen) -> Result<[Bytes; 2], &'static str> {
    if seen.size() == 0 {
        // Made, and not used yet.
        return Ok([Bytes::empty(), Bytes::empty()]);
    }
    if seen.size() != PAGE_BYTES as u64 {
        return Err("not_a_lock");
    }
    let read = || Bytes::read(seen).ok_or("gone");
    let mut before = read()?;
    for _ in 1..READINGS {
        let after = read()?;
        if before.0 == after.0 {
            return checked([before, after]);
        }
        before = after;
    }
    let after = read()?;
    checked([before, after])
}

fn checked(pages: [Bytes; 2]) -> Result<[Bytes; 2], &'static str> {
    match (pages[1].0[0], pages[1].0[1]) {
        (MAGIC, VERSION) => Ok(pages),
        (MAGIC, _) => Err("version"),
        _ if pages[1].0.iter().all(|word| *word == 0) => Ok(pages),
        _ => Err("not_a_lock"),
    }
}

/// The words of a page, as they were read.
#[derive(Debug)]
struct Bytes(Vec<u64>);

impl Bytes {
    fn empty() -> Self {
        Self(vec![0; PAGE_BYTES / 8])
    }

    fn read(seen: &Seen) -> Option<Self> {
        let mut bytes = vec![0; PAGE_BYTES];
        let word = |chunk: &[u8]| chunk.try_into().map_or(0, u64::from_ne_bytes);
        seen.read_at(&mut bytes, 0).then(|| Self(bytes.chunks_exact(8).map(word).collect()))
    }

    fn fields(&self) -> Vec<Field> {
        self.0.iter().map(|word| Field::new(*word)).collect()
    }
}

/// Fills the view; false when somebody is shown as a holder who is none by the kernel's list.
fn tell(view: &mut View, pages: &[Bytes; 2], listed: Option<&[Lock]>, key: &Key, moment: Moment) -> bool {
    let fields = [pages[0].fields(), pages[1].fields()];
    let (Some(before), Some(after)) = (page_in(&fields[0]), page_in(&fields[1])) else { return true };
    // Relaxed: a copy of our own.
    view.token = after.token.load(Ordering::Relaxed);
    for ((mode, one), (_, other)) in records(before).zip(records(after)) {
        // One that was written meanwhile may be half of this one and half of that one.
        if let (Some(holder), Some(again)) = (one, other)
            && holder == again
        {
            view.holders.push(holder_view(holder, mode, moment));
        }
    }
    let locks = listed.unwrap_or_default();
    let flocks = || locks.iter().filter(|lock| lock.kind == Kind::Flock);
    let told = view.holders.len();
    if listed.is_some() {
        // The kernel would know every holder that lives among the processes that we see.
        let is_known = |pid| flocks().any(|lock| !lock.waits && lock.pid == Some(pid));
        view.holders.retain(|holder| holder.alive != Some(true) || is_known(holder.pid));
    }
    let fits = view.holders.len() == told;
    let marked: Vec<u32> = waiting(locks).take(MOST_WAITERS).collect();
    let asks = |pid: u32| flocks().find(|lock| lock.waits && lock.pid == Some(pid));
    let waiter = |pid: &u32| WaiterView { pid: *pid, mode: asks(*pid).map(|lock| word(lock.mode)) };
    view.waiters = marked.iter().map(waiter).collect();
    let is_held_by = |pid: u32| view.holders.iter().any(|holder| holder.pid == pid);
    // Who has the page mapped is one of us, about to take the lock or to give it back.
    let is_stranger = |lock: &&Lock| match lock.pid {
        Some(pid) if lock.waits => !marked.contains(&pid) && !is_mapped_by(pid, key),
        Some(pid) => !is_held_by(pid) && !is_mapped_by(pid, key),
        None => true,
    };
    let strangers: Vec<&Lock> = flocks().filter(is_stranger).collect();
    let of_ours = flocks().filter(|lock| !lock.waits && lock.pid.is_some_and(is_held_by));
    let by_kernel = of_ours.chain(strangers.iter().copied().filter(|lock| !lock.waits)).next();
    let by_page = || view.holders.iter().find(|holder| holder.alive != Some(false)).map(|holder| holder.mode);
    view.mode = by_kernel.map(|lock| word(lock.mode)).or_else(by_page);
    view.foreign = strangers.into_iter().map(foreign_view).collect();
    fits
}

/// Everybody whom a page shows as a holder, place by place.
fn records(page: &Page) -> impl Iterator<Item = (&'static str, Option<Holder>)> {
    let told = |record: &Record| record.read().filter(|(state, _)| *state == HELD).map(|(_, holder)| holder);
    let exclusive = std::iter::once(("exclusive", told(&page.holder)));
    exclusive.chain(page.readers.iter().map(move |record| ("shared", told(record))))
}

/// The processes that have marked themselves as waiting.
fn waiting(locks: &[Lock]) -> impl Iterator<Item = u32> {
    let marks = locks.iter().filter(|lock| lock.kind == Kind::OpenFile && !lock.waits);
    // Marks that touch each other are one lock only if one file made them: never two processes.
    marks.filter_map(|lock| {
        u32::try_from(lock.start.checked_sub(WAITING_BYTES as u64)?).ok().filter(|pid| *pid > 0)
    })
}

fn word(mode: KernelMode) -> &'static str {
    match mode {
        KernelMode::Shared => "shared",
        KernelMode::Exclusive => "exclusive",
    }
}

fn holder_view(holder: Holder, mode: &'static str, moment: Moment) -> HolderView {
    let alive = match process::look(&holder.who) {
        Life::Alive => Some(true),
        Life::Dead => Some(false),
        Life::Unknown => None,
    };
    let since = Nanos::from_system(holder.since);
    // The clocks of two time namespaces, or of two boots, cannot be compared.
    let own = process::own();
    let is_ours =
        holder.who.time_namespace == own.time_namespace && holder.who.boot == own.boot && since <= moment.now;
    HolderView {
        pid: holder.who.pid,
        start_time: holder.who.start,
        thread_id: holder.thread,
        label: (!holder.label.is_empty()).then_some(holder.label),
        mode,
        since_at_ms: is_ours.then(|| moment.epoch_of(since)),
        token: holder.token,
        command: holder.command,
        alive,
        waits_for: holder.wants.map(|path| clean(&path).into_owned()),
    }
}

fn foreign_view(lock: &Lock) -> ForeignView {
    let command = lock.pid.and_then(process::command_of).map(|command| clean(&command).into_owned());
    ForeignView { pid: lock.pid, command, mode: word(lock.mode), waiting: lock.waits }
}
