//! The control socket's one thread: it listens, reads, has requests obeyed, answers, and lets go of the idle.

use crate::control::protocol::{Error, Me, Refusal, Request};
use crate::control::session::{Session, Step};
use crate::private_folder;
use crate::sys::control_socket::{Door, Line, Peer, Read, is_answered, wait};
use crate::sys::process::{self, Identity, Life, user_id};
use crate::time::{self, Nanos};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Connections at a time.
pub const MOST_LINES: usize = 16;
/// How many more are told that they are too many, and may read that in peace.
const MOST_ENDING: usize = 16;
/// How long a connection may be without a whole frame.
pub const IDLE: Nanos = Nanos(10_000_000_000);
/// How long one that is ended may still send, so that it reads its answer.
const FAREWELL: Nanos = Nanos(1_000_000_000);
/// How long the door stays shut after it could not be opened to somebody: without descriptors it cannot be.
const SHUT: Duration = Duration::from_millis(100);
/// The bytes of one read.
const CHUNK: usize = 16 * 1024;

/// The folder of the sockets, which need not be there.
pub fn folder() -> PathBuf {
    private_folder::path().join("control")
}

/// One connection, and until when it may stay as it is.
#[derive(Debug)]
struct Visitor {
    line: Line,
    peer: Peer,
    session: Session,
    until: Nanos,
    /// It has its last answer; what it sends is thrown away.
    is_ending: bool,
    is_gone: bool,
}

/// Listens, and obeys as long as the process lives; comes back only when it cannot listen.
pub fn serve(me: &Me, mut obey: impl FnMut(&Request, Peer) -> String) {
    let Some(door) = open(me.pid) else { return };
    let mut visitors: Vec<Visitor> = Vec::new();
    let mut chunk = vec![0; CHUNK];
    let mut is_shut = false;
    loop {
        let next = visitors.iter().map(|visitor| visitor.until).min();
        let most = next.map(|next| next.since(time::now()).duration());
        let most = if is_shut { Some(most.map_or(SHUT, |most| most.min(SHUT))) } else { most };
        let lines: Vec<&Line> = visitors.iter().map(|visitor| &visitor.line).collect();
        let (knocks, speaks) = wait(Some(&door).filter(|_| !is_shut), &lines, most);
        let now = time::now();
        for (visitor, _) in visitors.iter_mut().zip(speaks).filter(|(_, speaks)| *speaks) {
            visitor.hear(&mut chunk, me, now, &mut obey);
        }
        visitors.retain(|visitor| !visitor.is_gone && now < visitor.until);
        is_shut = knocks && !admit(&door, &mut visitors, now);
    }
}

/// Lets in who knocks; false when the door must stay shut for a while.
fn admit(door: &Door, visitors: &mut Vec<Visitor>, now: Nanos) -> bool {
    loop {
        let line = match door.accept() {
            Ok(Some(line)) => line,
            Ok(None) => return true,
            Err(_) => return false,
        };
        let allowed = line.peer().filter(|peer| peer.user == user_id() || peer.user == 0);
        let refusal = match allowed {
            None => Some(Refusal::new(Error::Permission, "only the user of the process and root may ask")),
            Some(_) if visitors.iter().filter(|visitor| !visitor.is_ending).count() >= MOST_LINES => {
                Some(Refusal::new(Error::Busy, format!("there are {MOST_LINES} connections already")))
            }
            Some(_) => None,
        };
        let peer = allowed.unwrap_or(Peer { user: u32::MAX, pid: 0 });
        let session = Session::default();
        let mut visitor =
            Visitor { line, peer, session, until: now.plus(IDLE), is_ending: false, is_gone: false };
        if let Some(refusal) = refusal {
            visitor.answer(&Step::refused(&refusal), now);
        }
        if visitors.len() < MOST_LINES + MOST_ENDING {
            visitors.push(visitor);
        }
    }
}

impl Visitor {
    fn hear(
        &mut self,
        chunk: &mut [u8],
        me: &Me,
        now: Nanos,
        obey: &mut impl FnMut(&Request, Peer) -> String,
    ) {
        match self.line.read(chunk) {
            Read::End => self.is_gone = true,
            Read::Bytes(count) if !self.is_ending => {
                let peer = self.peer;
                let step = self.session.feed(&chunk[..count], me, |request| obey(request, peer));
                self.answer(&step, now);
            }
            Read::Bytes(_) | Read::Nothing => {}
        }
    }

    fn answer(&mut self, step: &Step, now: Nanos) {
        if !step.answers.is_empty() && !self.line.send(step.answers.as_bytes()) {
            self.is_gone = true;
        }
        if step.frames > 0 {
            self.until = now.plus(IDLE);
        }
        if step.ends {
            self.is_ending = true;
            self.until = now.plus(FAREWELL);
            self.line.finish();
        }
    }
}

/// Listens under this process's name, after taking away what the dead have left.
fn open(pid: u32) -> Option<Door> {
    private_folder::ready(&private_folder::path()).ok()?;
    let folder = private_folder::ready(&folder()).ok()?;
    let name = format!("{pid}.sock");
    sweep(&folder);
    let path = folder.join(&name);
    // A process of another pid namespace may have our pid; the name stays its.
    if is_answered(&path) == Some(true) {
        return None;
    }
    Door::open(&folder.join(format!(".{name}")), &path).ok()
}

/// Takes away the sockets of the dead: nobody has that pid, in our namespace, and nobody listens, in any.
fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".sock"));
        // Names that are not yet, or no more, ready begin with a dot.
        let Some(pid) = stem.and_then(|stem| stem.trim_start_matches('.').parse().ok()) else { continue };
        let of_old = Identity { pid, start: 0, ..process::own() };
        if process::look(&of_old) == Life::Dead && is_answered(&entry.path()) == Some(false) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
