//! Crash-safe files: a whole write is one call, either on libuv's pool, or at once. Nothing here waits for
//! another process; the caller asks again when a file is busy.

use crate::atomic_file::append::{append, settle};
use crate::atomic_file::doors::System;
use crate::atomic_file::temp::beside;
use crate::atomic_file::writer::{Writer, write};
use crate::atomic_file::{How, Links, Owner, Trouble, What};
use crate::binding::calls::failed;
use crate::sync::{Arc, Mutex};
use crate::sys::replace::{Kind, path_of};
use napi::bindgen_prelude::*;
use napi::{Env, Task};
use napi_derive::napi;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

type Done = std::result::Result<(), Trouble>;

/// How to write, checked by the caller.
#[napi(object)]
pub struct FileHow {
    pub durable: bool,
    /// 0 follow, 1 refuse, 2 replace.
    pub links: u32,
    /// 0 try, 1 require, 2 ignore.
    pub owner: u32,
    pub mode: Option<u32>,
}

/// Why a file was not written.
#[napi(object)]
pub struct FileTrouble {
    pub what: String,
    /// The system call that failed, and its error, by name.
    pub step: String,
    pub errno: String,
    /// The new content is in place all the same.
    pub done: bool,
}

fn how(given: FileHow) -> How {
    let links = match given.links {
        0 => Links::Follow,
        1 => Links::Refuse,
        _ => Links::Replace,
    };
    let owner = match given.owner {
        0 => Owner::Try,
        1 => Owner::Require,
        _ => Owner::Ignore,
    };
    How { durable: given.durable, links, owner, mode: given.mode }
}

fn told(done: Done) -> Option<FileTrouble> {
    let Trouble { what, step, errno, done } = done.err()?;
    let what = match what {
        What::Refused => "refused",
        What::NotAFile(Kind::Directory) => "directory",
        What::NotAFile(Kind::Fifo) => "FIFO",
        What::NotAFile(Kind::Socket) => "socket",
        What::NotAFile(_) => "device",
        What::IsLink => "link",
        What::LinkToNothing => "link to nothing",
        What::LinkLoop => "link loop",
        What::OwnerNotKept => "owner",
        What::Busy => "busy",
        What::Unsupported => "unsupported",
    };
    Some(FileTrouble { what: what.into(), step: step.into(), errno: errno.0.into(), done })
}

/// What is to be done with a file.
#[derive(Debug, Clone, Copy)]
enum Order {
    Write,
    Append,
    Settle,
}

fn carry_out(order: Order, path: &Path, data: &[u8], how: How) -> Done {
    match order {
        Order::Write => write(System, path, data, how),
        Order::Append => append(&System, path, data, how),
        Order::Settle => settle(&System, path, how.links),
    }
}

/// A new file that grows piece by piece; dropped before its last piece, it never was.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    how: How,
    writer: Option<Writer<System>>,
}

impl Growing {
    fn feed(&mut self, piece: &[u8], is_last: bool) -> Done {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::begin(System, &self.path, self.how)?,
        };
        writer.feed(piece)?;
        if is_last {
            return writer.commit();
        }
        self.writer = Some(writer);
        Ok(())
    }
}

/// Work for libuv's pool.
type Work = Box<dyn FnOnce() -> Done + Send>;

pub struct FileTask(Option<Work>);

impl Task for FileTask {
    type Output = Done;
    type JsValue = Option<FileTrouble>;

    fn compute(&mut self) -> Result<Done> {
        let Some(work) = self.0.take() else { return Err(failed("a file's work was done twice")) };
        // A panic on the pool would end the process.
        catch_unwind(AssertUnwindSafe(work)).map_err(|_| failed("a bug in writing a file"))
    }

    fn resolve(&mut self, _env: Env, done: Done) -> Result<Option<FileTrouble>> {
        Ok(told(done))
    }
}

fn later(work: impl FnOnce() -> Done + Send + 'static) -> AsyncTask<FileTask> {
    AsyncTask::new(FileTask(Some(Box::new(work))))
}

fn ordered(order: Order, path: Buffer, data: Buffer, given: FileHow) -> AsyncTask<FileTask> {
    let (path, how) = (path_of(path.to_vec()), how(given));
    later(move || carry_out(order, &path, &data, how))
}

fn at_once(order: Order, path: Buffer, data: &[u8], given: FileHow) -> Option<FileTrouble> {
    told(carry_out(order, &path_of(path.to_vec()), data, how(given)))
}

/// Replaces a file's content. Null when it is done.
#[napi(catch_unwind, ts_return_type = "Promise<FileTrouble | null>")]
pub fn write_file(path: Buffer, data: Buffer, how: FileHow) -> AsyncTask<FileTask> {
    ordered(Order::Write, path, data, how)
}

#[napi(catch_unwind)]
pub fn write_file_sync(path: Buffer, data: Buffer, how: FileHow) -> Option<FileTrouble> {
    at_once(Order::Write, path, &data, how)
}

/// Adds to a file. Null when it is done; `busy` when nothing was done because somebody else does so.
#[napi(catch_unwind, ts_return_type = "Promise<FileTrouble | null>")]
pub fn append_file(path: Buffer, data: Buffer, how: FileHow) -> AsyncTask<FileTask> {
    ordered(Order::Append, path, data, how)
}

#[napi(catch_unwind)]
pub fn append_file_sync(path: Buffer, data: Buffer, how: FileHow) -> Option<FileTrouble> {
    at_once(Order::Append, path, &data, how)
}

/// Undoes what a dead process left of an addition to the file.
#[napi(catch_unwind, ts_return_type = "Promise<FileTrouble | null>")]
pub fn settle_file(path: Buffer, how: FileHow) -> AsyncTask<FileTask> {
    let (path, how) = (path_of(path.to_vec()), self::how(how));
    later(move || carry_out(Order::Settle, &path, &[], how))
}

#[napi(catch_unwind)]
pub fn settle_file_sync(path: Buffer, how: FileHow) -> Option<FileTrouble> {
    at_once(Order::Settle, path, &[], how)
}

/// A relative path as it is at this moment, byte by byte; null when the process's directory is gone.
#[napi(catch_unwind)]
pub fn absolute_path(path: Buffer) -> Option<Buffer> {
    let whole = std::env::current_dir().ok()?.join(path_of(path.to_vec()));
    Some(whole.into_os_string().into_encoded_bytes().into())
}

/// The name of the file beside a file of that name that is locked while the content is made from what it was.
#[napi(catch_unwind)]
pub fn update_lock_name(name: Buffer) -> String {
    beside(path_of(name.to_vec()).as_os_str(), "chainlock-lock").to_string_lossy().into_owned()
}

type Shared = Arc<Mutex<Growing>>;

/// A new file that is written in pieces. Nothing is done yet.
#[napi(catch_unwind, ts_return_type = "ExternalObject<unknown>")]
pub fn grow_file(path: Buffer, how: FileHow) -> External<Shared> {
    let growing = Growing { path: path_of(path.to_vec()), how: self::how(how), writer: None };
    External::new(Arc::new(Mutex::new(growing)))
}

/// The next piece of such a file; the last one puts it into place. After trouble there is nothing of it.
#[napi(
    catch_unwind,
    ts_args_type = "file: ExternalObject<unknown>, piece: Buffer, isLast: boolean",
    ts_return_type = "Promise<FileTrouble | null>"
)]
pub fn feed_file(file: &External<Shared>, piece: Buffer, is_last: bool) -> AsyncTask<FileTask> {
    let file = Arc::clone(file);
    later(move || file.lock().feed(&piece, is_last))
}

#[napi(catch_unwind, ts_args_type = "file: ExternalObject<unknown>, piece: Buffer, isLast: boolean")]
pub fn feed_file_sync(file: &External<Shared>, piece: Buffer, is_last: bool) -> Option<FileTrouble> {
    told(file.lock().feed(&piece, is_last))
}

/// Removes what has grown. Called when no piece is on its way.
#[napi(catch_unwind, ts_args_type = "file: ExternalObject<unknown>")]
pub fn drop_file(file: &External<Shared>) {
    file.lock().writer.take();
}
