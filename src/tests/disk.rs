//! A disk that loses things: the doors of `atomic_file` on a model of one directory. It keeps a log of all that
//! was asked of it, from which every state is made in which a crash can leave it: after each step, whatever
//! was not synced may be there, missing, zero or short, and each name that was not synced old or new.

use crate::atomic_file::doors::{Answer, Doors};
use crate::sys::replace::{Errno, Facts, Kind};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

pub type Inode = u64;

/// So that a few steps tell all: each one multiplies the states.
const MUCH: usize = 32;

/// Names, and what each inode has in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub names: BTreeMap<OsString, Inode>,
    pub inodes: BTreeMap<Inode, Vec<u8>>,
}

impl State {
    pub fn with(name: &str, content: &[u8]) -> Self {
        let mut state = Self::default();
        state.names.insert(name.into(), 1);
        state.inodes.insert(1, content.to_vec());
        state
    }

    pub fn content(&self, name: &str) -> Option<&[u8]> {
        self.inodes.get(self.names.get(OsStr::new(name))?).map(Vec::as_slice)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Link(OsString, Inode),
    Rename(OsString, OsString),
    Unlink(OsString),
    Write(Inode, u64, Vec<u8>),
    Truncate(Inode, u64),
    Sync(Inode),
    SyncDir,
}

/// How a step that was not synced comes out of a crash.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    There,
    Missing,
    Zero,
    Short,
}

/// What this disk only claims to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lies {
    pub sync: bool,
    pub sync_dir: bool,
}

#[derive(Debug)]
pub struct Disk {
    start: State,
    now: RefCell<State>,
    log: RefCell<Vec<Step>>,
    lies: Lies,
    /// At which request the system refuses, with which error.
    refusal: Option<(usize, Errno)>,
    asked: Cell<usize>,
}

impl Disk {
    pub fn new(start: State) -> Self {
        let (now, log) = (RefCell::new(start.clone()), RefCell::default());
        Self { start, now, log, lies: Lies::default(), refusal: None, asked: Cell::new(0) }
    }

    pub fn that_lies(start: State, lies: Lies) -> Self {
        Self { lies, ..Self::new(start) }
    }

    pub fn that_refuses(start: State, at: usize, errno: Errno) -> Self {
        Self { refusal: Some((at, errno)), ..Self::new(start) }
    }

    pub fn state(&self) -> State {
        self.now.borrow().clone()
    }

    /// How many requests there were that the system could have refused.
    pub fn asked(&self) -> usize {
        self.asked.get()
    }

    pub fn steps(&self) -> usize {
        self.log.borrow().len()
    }

    /// Every state in which a process can leave the disk that is killed before its step number `length`: the
    /// system goes on, so nothing is lost, but the last write may have got half of its way.
    pub fn after_kill(&self, length: usize) -> Vec<State> {
        let log = self.log.borrow();
        let begun: Vec<Step> = log[..length].to_vec();
        let mut half = begun.clone();
        if let Some(Step::Write(_, _, bytes)) = half.last_mut() {
            bytes.truncate(bytes.len() / 2);
        }
        [begun, half]
            .map(|steps| self.played(&steps.iter().map(|step| (step, Fate::There)).collect::<Vec<_>>()))
            .into()
    }

    /// Every state after a loss of power before step number `length`.
    pub fn after_power_loss(&self, length: usize) -> Vec<State> {
        let log = self.log.borrow();
        let steps = &log[..length];
        let mut all: Vec<Vec<(&Step, Fate)>> = vec![Vec::new()];
        for (index, step) in steps.iter().enumerate() {
            let fates = fates_of(step, &steps[index..]);
            all = all
                .iter()
                .flat_map(|before| fates.iter().map(|fate| [&before[..], &[(step, *fate)]].concat()))
                .collect();
        }
        all.iter().map(|fated| self.played(fated)).collect()
    }

    fn played(&self, fated: &[(&Step, Fate)]) -> State {
        // What an inode's name is at the moment of the step: a rename that survives the loss of the link before
        // it still leads to the inode.
        let (mut names, mut state) = (self.start.names.clone(), self.start.clone());
        for (step, fate) in fated {
            play(step, *fate, &mut names, &mut state);
        }
        state
    }

    fn ask(&self) -> Answer<()> {
        let turn = self.asked.replace(self.asked.get() + 1);
        match self.refusal {
            Some((at, errno)) if at == turn => Err(errno),
            _ => Ok(()),
        }
    }

    fn does(&self, step: Step) {
        let mut now = self.now.borrow_mut();
        let mut names = now.names.clone();
        play(&step, Fate::There, &mut names, &mut now);
        self.log.borrow_mut().push(step);
    }

    fn inode_of(&self, name: &OsStr) -> Answer<Inode> {
        self.now.borrow().names.get(name).copied().ok_or(Errno("ENOENT"))
    }

    fn facts_of(&self, inode: Inode) -> Facts {
        let now = self.now.borrow();
        let links = now.names.values().filter(|one| **one == inode).count() as u64;
        let size = now.inodes.get(&inode).map_or(0, |content| content.len() as u64);
        Facts { kind: Kind::File, inode, links, size, mode: 0o644, user: 0, group: 0 }
    }
}

fn fates_of(step: &Step, later: &[Step]) -> &'static [Fate] {
    let synced = |inode: &Inode| later.iter().any(|step| matches!(step, Step::Sync(one) if one == inode));
    match step {
        Step::Write(inode, ..) if !synced(inode) => &[Fate::There, Fate::Missing, Fate::Zero, Fate::Short],
        Step::Truncate(inode, _) if !synced(inode) => &[Fate::There, Fate::Missing],
        Step::Link(..) | Step::Rename(..) | Step::Unlink(_)
            if !later.iter().any(|step| matches!(step, Step::SyncDir)) =>
        {
            &[Fate::There, Fate::Missing]
        }
        _ => &[Fate::There],
    }
}

fn play(step: &Step, fate: Fate, names: &mut BTreeMap<OsString, Inode>, state: &mut State) {
    match step {
        Step::Link(name, inode) => {
            names.insert(name.clone(), *inode);
            state.inodes.entry(*inode).or_default();
            if fate == Fate::There {
                state.names.insert(name.clone(), *inode);
            }
        }
        Step::Rename(from, to) => {
            let Some(inode) = names.remove(from) else { return };
            names.insert(to.clone(), inode);
            if fate == Fate::There {
                state.names.remove(from);
                state.names.insert(to.clone(), inode);
            }
        }
        Step::Unlink(name) => {
            names.remove(name);
            if fate == Fate::There {
                state.names.remove(name);
            }
        }
        Step::Write(inode, at, bytes) => {
            let content = state.inodes.entry(*inode).or_default();
            let lost = match fate {
                Fate::There => bytes.clone(),
                Fate::Missing => return,
                Fate::Zero => vec![0; bytes.len()],
                Fate::Short => bytes[..bytes.len() / 2].to_vec(),
            };
            let end = *at as usize + lost.len();
            content.resize(content.len().max(end), 0);
            content[*at as usize..end].copy_from_slice(&lost);
        }
        Step::Truncate(inode, size) => {
            if fate == Fate::There {
                state.inodes.entry(*inode).or_default().truncate(*size as usize);
            }
        }
        Step::Sync(_) | Step::SyncDir => {}
    }
}

impl Doors for &Disk {
    type Dir = ();
    /// The inode, and where the next write goes: at the place, or at the end.
    type File = (Inode, Option<Cell<u64>>);

    fn open_dir(&self, _path: &Path) -> Answer<()> {
        self.ask()
    }

    fn look(&self, (): &(), name: &OsStr) -> Answer<Facts> {
        self.ask()?;
        self.inode_of(name).map(|inode| self.facts_of(inode))
    }

    fn read_link(&self, (): &(), _name: &OsStr) -> Answer<PathBuf> {
        Err(Errno("EINVAL"))
    }

    fn create(&self, (): &(), name: &OsStr, _mode: u32) -> Answer<Self::File> {
        self.ask()?;
        if self.inode_of(name).is_ok() {
            return Err(Errno("EEXIST"));
        }
        let inode = self.now.borrow().inodes.keys().next_back().map_or(1, |last| last + 1);
        self.does(Step::Link(name.to_owned(), inode));
        Ok((inode, Some(Cell::new(0))))
    }

    fn open(&self, (): &(), name: &OsStr) -> Answer<Self::File> {
        self.ask()?;
        Ok((self.inode_of(name)?, None))
    }

    fn open_any(&self, dir: &(), name: &OsStr) -> Answer<Self::File> {
        self.open(dir, name)
    }

    fn facts(&self, file: &Self::File) -> Answer<Facts> {
        self.ask()?;
        Ok(self.facts_of(file.0))
    }

    fn try_lock(&self, _file: &Self::File) -> Answer<bool> {
        self.ask()?;
        Ok(true)
    }

    fn unlock(&self, _file: &Self::File) {}

    /// Half of what there is where it is much, as the system may.
    fn write(&self, (inode, at): &Self::File, bytes: &[u8]) -> Answer<usize> {
        self.ask()?;
        let end = self.facts_of(*inode).size;
        let count = if bytes.len() > MUCH { bytes.len() / 2 } else { bytes.len() };
        let from = at.as_ref().map_or(end, |at| at.replace(at.get() + count as u64));
        self.does(Step::Write(*inode, from, bytes[..count].to_vec()));
        Ok(count)
    }

    fn read_at(&self, file: &Self::File, room: &mut [u8], at: u64) -> Answer<usize> {
        self.ask()?;
        let now = self.now.borrow();
        let content = now.inodes.get(&file.0).and_then(|all| all.get(at as usize..)).unwrap_or_default();
        let count = room.len().min(content.len());
        room[..count].copy_from_slice(&content[..count]);
        Ok(count)
    }

    fn truncate(&self, file: &Self::File, size: u64) -> Answer<()> {
        self.ask()?;
        self.does(Step::Truncate(file.0, size));
        Ok(())
    }

    fn sync(&self, file: &Self::File) -> Answer<()> {
        self.ask()?;
        if !self.lies.sync {
            self.does(Step::Sync(file.0));
        }
        Ok(())
    }

    fn sync_dir(&self, (): &()) -> Answer<()> {
        self.ask()?;
        if !self.lies.sync_dir {
            self.does(Step::SyncDir);
        }
        Ok(())
    }

    fn flush(&self, _file: &Self::File) -> Answer<()> {
        self.ask()
    }

    fn set_owner(&self, _file: &Self::File, _user: Option<u32>, _group: Option<u32>) -> Answer<()> {
        self.ask()
    }

    fn set_mode(&self, _file: &Self::File, _mode: u32) -> Answer<()> {
        self.ask()
    }

    fn rename(&self, (): &(), from: &OsStr, to: &OsStr) -> Answer<()> {
        self.ask()?;
        self.inode_of(from)?;
        self.does(Step::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn unlink(&self, (): &(), name: &OsStr) -> Answer<()> {
        self.ask()?;
        self.inode_of(name)?;
        self.does(Step::Unlink(name.to_owned()));
        Ok(())
    }
}
