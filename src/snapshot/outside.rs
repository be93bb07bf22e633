//! Which processes there are to look at, and why one cannot be.

use crate::name;
use crate::snapshot::named::Wanted;
use crate::snapshot::process;
use crate::snapshot::views::{Look, ProcessView, UnseenView};
use crate::sys::map::{self, Unseen};
use crate::sys::process::{command_of, own_processes};
use crate::table::memory::{TABLE_NAME, foreign_table};
use crate::time::Moment;

/// What the names of programs begin with that run Node, for processes of which nothing else can be known.
const NODE: [&str; 3] = ["node", "MainThread", "electron"];

/// One process, or all that this user has; `own` shows this one, without a way round through the system.
pub fn look(pid: Option<u32>, own: impl Fn(Wanted, Moment) -> ProcessView, wanted: Wanted) -> Look {
    let moment = Moment::read();
    let mut found = Look::default();
    let pids = match pid {
        Some(pid) => vec![pid],
        None => own_processes(),
    };
    for each in pids {
        if each == std::process::id() {
            found.processes.push(own(wanted, moment));
            continue;
        }
        match look_at(each, wanted, moment) {
            Ok(process) => found.processes.push(process),
            Err(unseen) if pid.is_some() || unseen.is_worth_telling() => {
                found.unseen.push(unseen.into_view(each))
            }
            Err(_) => {}
        }
    }
    if pid.is_none() && !found.processes.iter().any(|process| process.is_own) {
        found.processes.push(own(wanted, moment));
    }
    found
}

struct Reason {
    word: &'static str,
    layout_version: Option<u64>,
    command: Option<String>,
}

impl Reason {
    fn new(pid: u32, word: &'static str) -> Self {
        let command = command_of(pid).map(|command| name::clean(&command).into_owned());
        Self { word, layout_version: None, command }
    }

    /// Nearly all processes have no table, and end when they like.
    fn is_worth_telling(&self) -> bool {
        let program = self.command.as_deref().and_then(|command| command.split(' ').next());
        let program = program.and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        match self.word {
            "no_table" | "gone" => false,
            "permission" => NODE.iter().any(|node| program.starts_with(node)),
            _ => true,
        }
    }

    fn into_view(self, pid: u32) -> UnseenView {
        UnseenView { pid, command: self.command, reason: self.word, layout_version: self.layout_version }
    }
}

fn look_at(pid: u32, wanted: Wanted, moment: Moment) -> Result<ProcessView, Reason> {
    let view = map::open_shared(pid, TABLE_NAME).map_err(|unseen| {
        let word = match unseen {
            Unseen::Nothing => "no_table",
            Unseen::Gone => "gone",
            Unseen::Permission => "permission",
        };
        Reason::new(pid, word)
    })?;
    let table = foreign_table(&view).map_err(|layout_version| {
        let word = if layout_version.is_some() { "version" } else { "no_table" };
        Reason { layout_version, ..Reason::new(pid, word) }
    })?;
    if table.header.pid.get() != u64::from(pid) {
        return Err(Reason::new(pid, "other_pid_namespace"));
    }
    Ok(process::view(table, pid, wanted, moment))
}
