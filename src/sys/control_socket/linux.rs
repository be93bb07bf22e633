//! Linux: stream sockets of the file system. All descriptors are closed by `exec`, as std opens them.

use super::{Peer, Read};
use std::fs;
use std::io::{Error, ErrorKind, Read as _, Result, Write};
use std::mem::{MaybeUninit, size_of};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the system is left alone that will not wait.
const AGAIN: Duration = Duration::from_millis(100);

/// A listening socket, whose name is removed when the process exits in an orderly way.
#[derive(Debug)]
pub struct Door(UnixListener);

impl Door {
    /// Listens at `path`. It gets that name only when it listens, so that whoever finds it is answered; `draft` is
    /// its name until then.
    pub fn open(draft: &Path, path: &Path) -> Result<Self> {
        match fs::remove_file(draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(short(draft)?.path())?;
        let ready = listener
            .set_nonblocking(true)
            .and_then(|()| fs::set_permissions(draft, fs::Permissions::from_mode(0o600)))
            .and_then(|()| fs::rename(draft, path));
        if let Err(error) = ready {
            let _ = fs::remove_file(draft);
            return Err(error);
        }
        remove_at_exit(path);
        Ok(Self(listener))
    }

    /// The next connection, if there is one.
    pub fn accept(&self) -> Result<Option<Line>> {
        match self.0.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                Ok(Some(Line(stream)))
            }
            Err(error) if is_passing(error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// One connection; no call on it waits.
#[derive(Debug)]
pub struct Line(UnixStream);

impl Line {
    pub fn peer(&self) -> Option<Peer> {
        let mut found = MaybeUninit::<libc::ucred>::uninit();
        let mut length = size_of::<libc::ucred>() as libc::socklen_t;
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        let (into, fd) = (found.as_mut_ptr().cast(), self.0.as_raw_fd());
        // SAFETY: the descriptor is open; `found` is writable and as long as `length` says.
        let status = unsafe { libc::getsockopt(fd, level, name, into, &raw mut length) };
        if status != 0 || length as usize != size_of::<libc::ucred>() {
            return None;
        }
        // SAFETY: the call succeeded and has filled all of it.
        let found = unsafe { found.assume_init() };
        Some(Peer { user: found.uid, pid: u32::try_from(found.pid).unwrap_or(0) })
    }

    pub fn read(&mut self, into: &mut [u8]) -> Read {
        match self.0.read(into) {
            Ok(0) => Read::End,
            Ok(count) => Read::Bytes(count),
            Err(error) if is_passing(error.kind()) => Read::Nothing,
            Err(_) => Read::End,
        }
    }

    /// Sends all of it; false when the other end does not take it now.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        // Node ignores SIGPIPE, so a closed other end is an error and no signal.
        self.0.write_all(bytes).is_ok()
    }

    /// Nothing more is sent. What the other end sends may still come: it must not lose the answer to an error.
    pub fn finish(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

/// Waits until there is something at the door or on a line, at most so long: whether at the door, and on which.
pub fn wait(door: Option<&Door>, lines: &[&Line], most: Option<Duration>) -> (bool, Vec<bool>) {
    let watched = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // A negative descriptor is passed over.
    let mut all = vec![watched(door.map_or(-1, |door| door.0.as_raw_fd()))];
    all.extend(lines.iter().map(|line| watched(line.0.as_raw_fd())));
    // Rounded up, so that what is due then is due when it returns.
    let most = most.map_or(-1, |most| i32::try_from(most.as_millis() + 1).unwrap_or(i32::MAX));
    // SAFETY: `all` has as many entries as its length says.
    let count = unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, most) };
    if count < 0 && Error::last_os_error().kind() != ErrorKind::Interrupted {
        // Such as for a limit of descriptors that was lowered: then it will not wait the next time either.
        std::thread::sleep(AGAIN);
    }
    let is_ready = |entry: &libc::pollfd| count > 0 && entry.revents != 0;
    (is_ready(&all[0]), all[1..].iter().map(is_ready).collect())
}

/// Whether anybody listens at that socket; `None` when that cannot be told.
pub fn is_answered(path: &Path) -> Option<bool> {
    match UnixStream::connect(short(path).ok()?.path()) {
        Ok(_) => Some(true),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Some(false),
        Err(_) => None,
    }
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

/// A path by way of its open folder: a socket's address has room for 107 bytes only.
struct Short(PathBuf, #[expect(dead_code, reason = "keeps the folder open")] fs::File);

impl Short {
    fn path(&self) -> &Path {
        &self.0
    }
}

fn short(path: &Path) -> Result<Short> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let folder = fs::File::open(folder)?;
    let at = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok(Short(at, folder))
}

/// What `remove` takes away, and whose it is: a child that has not executed another program yet leaves it alone.
static AT_EXIT: once_cell::sync::OnceCell<(u32, PathBuf)> = once_cell::sync::OnceCell::new();

fn remove_at_exit(path: &Path) {
    extern "C" fn remove() {
        let _ = std::panic::catch_unwind(|| {
            if let Some((_, path)) = AT_EXIT.get().filter(|(pid, _)| *pid == std::process::id()) {
                let _ = fs::remove_file(path);
            }
        });
    }
    if AT_EXIT.set((std::process::id(), path.to_owned())).is_ok() {
        // SAFETY: the function stays: a library with threads of its own is never unloaded.
        unsafe { libc::atexit(remove) };
    }
}
