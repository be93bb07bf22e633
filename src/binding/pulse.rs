//! Whether a thread's event loop turns, for who looks at the table: two libuv handles that note in the thread's row
//! when the loop goes to poll and when it has come back. They keep no loop alive and make no system call.
//!
//! The callbacks of sockets, files and messages run inside of the poll, before any handle of ours hears of it. So
//! the row tells by when a timer would have ended the poll; and the first call of chainlock in such a callback
//! tells that the loop is awake.
//!
//! libuv is Node's: its functions are looked up in the program. Where one is missing, nothing is known of the loop.

use crate::binding::calls::failed;
use crate::sys::images::of_program;
use crate::table::layout::Row;
use crate::time::{self, Nanos};
use napi::bindgen_prelude::*;
use napi::sys;
use napi_derive::napi;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;

type Loop = *mut c_void;
type Handle = *mut c_void;
type OnTurn = unsafe extern "C" fn(Handle);

/// libuv's numbers of its kinds of handles, the same in all its versions (`UV_HANDLE_TYPE_MAP` in uv.h).
const CHECK: c_int = 2;
const PREPARE: c_int = 9;

/// What is called of libuv; all of it is in every version since 1.0.
#[derive(Clone, Copy, Debug)]
struct Uv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    prepare_init: unsafe extern "C" fn(Loop, Handle) -> c_int,
    prepare_start: unsafe extern "C" fn(Handle, OnTurn) -> c_int,
    prepare_stop: unsafe extern "C" fn(Handle) -> c_int,
    check_init: unsafe extern "C" fn(Loop, Handle) -> c_int,
    check_start: unsafe extern "C" fn(Handle, OnTurn) -> c_int,
    check_stop: unsafe extern "C" fn(Handle) -> c_int,
    unref: unsafe extern "C" fn(Handle),
    close: unsafe extern "C" fn(Handle, OnTurn),
    /// The loop's own time, in milliseconds of `hrtime`: when it last came back from its poll.
    now: unsafe extern "C" fn(Loop) -> u64,
    hrtime: unsafe extern "C" fn() -> u64,
    backend_timeout: unsafe extern "C" fn(Loop) -> c_int,
}

/// A function of the program, as a pointer of the type `F`, which has to be that of the function.
fn function<F: Copy>(name: &CStr) -> Option<F> {
    let address = of_program(name);
    if size_of::<F>() != size_of::<*const c_void>() {
        return None;
    }
    // SAFETY: the address of the function of that name; `Uv` gives each name the type that libuv's header gives it.
    (!address.is_null()).then(|| unsafe { std::mem::transmute_copy::<*const c_void, F>(&address) })
}

impl Uv {
    fn find() -> Option<Self> {
        Some(Self {
            handle_size: function(c"uv_handle_size")?,
            prepare_init: function(c"uv_prepare_init")?,
            prepare_start: function(c"uv_prepare_start")?,
            prepare_stop: function(c"uv_prepare_stop")?,
            check_init: function(c"uv_check_init")?,
            check_start: function(c"uv_check_start")?,
            check_stop: function(c"uv_check_stop")?,
            unref: function(c"uv_unref")?,
            close: function(c"uv_close")?,
            now: function(c"uv_now")?,
            hrtime: function(c"uv_hrtime")?,
            backend_timeout: function(c"uv_backend_timeout")?,
        })
    }
}

thread_local! {
    static PULSE: RefCell<Option<Rc<Pulse>>> = const { RefCell::new(None) };
}

/// What a thread's loop tells of itself.
#[derive(Debug)]
pub struct Pulse {
    uv: Uv,
    of: Loop,
    prepare: Room,
    check: Room,
    /// The thread's row, while it has one that is shown.
    row: Cell<Option<&'static Row>>,
    /// Whether the loop was last seen on its way into the poll.
    polls: Cell<bool>,
    /// What makes an instant of ours of a time of libuv's, in nanoseconds.
    lead: u64,
    /// Handles that are not closed yet, and what Node waits for until they are.
    open: Cell<u32>,
    ending: Cell<sys::napi_async_cleanup_hook_handle>,
}

/// The memory of one handle, which libuv links into lists of its own.
#[derive(Debug)]
struct Room(Box<[Cell<u64>]>);

impl Room {
    fn new(bytes: usize) -> Self {
        Self((0..bytes.div_ceil(size_of::<u64>())).map(|_| Cell::new(0)).collect())
    }

    fn handle(&self) -> Handle {
        self.0.as_ptr().cast_mut().cast()
    }
}

/// Follows the event loop of this thread from now on. Only for Node itself, whose loop is libuv's and runs as such.
#[napi(catch_unwind)]
pub fn follow_loop(env: Env) -> Result<()> {
    let has_one = PULSE.with_borrow(Option::is_some);
    let Some(uv) = Uv::find().filter(|_| !has_one) else { return Ok(()) };
    let mut of: *mut sys::uv_loop_s = ptr::null_mut();
    // SAFETY: `env` is valid and `of` is writable.
    let status = unsafe { sys::napi_get_uv_event_loop(env.raw(), &raw mut of) };
    if status != sys::Status::napi_ok || of.is_null() {
        return Ok(());
    }
    let pulse = Pulse::new(uv, of.cast());
    let kept = Rc::into_raw(pulse.clone()).cast_mut().cast::<c_void>();
    let mut ending = ptr::null_mut();
    // SAFETY: `end` is called once, before the environment's loop ends; `kept` stays until the handles are closed.
    let hooked = unsafe { sys::napi_add_async_cleanup_hook(env.raw(), Some(end), kept, &raw mut ending) };
    if hooked != sys::Status::napi_ok {
        // SAFETY: the pointer of `into_raw` above, which nobody has taken.
        drop(unsafe { Rc::from_raw(kept.cast_const().cast::<Pulse>()) });
        return Err(failed("cannot watch the environment's end"));
    }
    pulse.begin(kept);
    PULSE.set(Some(pulse));
    Ok(())
}

/// Gives the thread's row to its pulse, if its loop is followed.
pub fn arrive(row: Option<&'static Row>) -> Option<Rc<Pulse>> {
    let pulse = PULSE.with_borrow(Clone::clone)?;
    pulse.arrive(row);
    Some(pulse)
}

impl Pulse {
    fn new(uv: Uv, of: Loop) -> Rc<Self> {
        let room = |kind| {
            // SAFETY: takes a kind that every libuv has.
            Room::new(unsafe { (uv.handle_size)(kind) })
        };
        // SAFETY: takes nothing.
        let theirs = unsafe { (uv.hrtime)() };
        Rc::new(Self {
            uv,
            of,
            prepare: room(PREPARE),
            check: room(CHECK),
            row: Cell::new(None),
            polls: Cell::new(false),
            lead: time::now().0.wrapping_sub(theirs),
            open: Cell::new(0),
            ending: Cell::new(ptr::null_mut()),
        })
    }

    /// Makes the handles; what is called back finds the pulse through `kept`.
    fn begin(&self, kept: *mut c_void) {
        let Self { uv, of, .. } = self;
        let (prepare, check) = (self.prepare.handle(), self.check.handle());
        // SAFETY: the thread's own live loop; a room of the size that libuv asks for, which stays until it is closed.
        unsafe { (uv.prepare_init)(*of, prepare) };
        // SAFETY: as above.
        unsafe { (uv.check_init)(*of, check) };
        for handle in [prepare, check] {
            // SAFETY: made above; a handle's first word is its `data`, which is its user's, in every version of libuv.
            unsafe { handle.cast::<*mut c_void>().write(kept) };
            // SAFETY: made above.
            unsafe { (uv.unref)(handle) };
        }
        self.open.set(2);
    }

    /// The thread has a row from now on: the loop is busy, it is calling us.
    fn arrive(&self, row: Option<&'static Row>) {
        if self.open.get() == 0 {
            return;
        }
        self.row.set(row);
        self.awake();
        // SAFETY: an open handle of this thread's loop; the callback has libuv's signature.
        unsafe { (self.uv.prepare_start)(self.prepare.handle(), on_prepare) };
        // SAFETY: as above.
        unsafe { (self.uv.check_start)(self.check.handle(), on_check) };
    }

    /// The thread gives its row up: nothing may be written there any more.
    pub fn leave(&self) {
        self.row.set(None);
        self.polls.set(false);
        if self.open.get() == 0 {
            return;
        }
        // SAFETY: an open handle of this thread's loop.
        unsafe { (self.uv.prepare_stop)(self.prepare.handle()) };
        // SAFETY: as above.
        unsafe { (self.uv.check_stop)(self.check.handle()) };
    }

    /// Somebody calls: if the loop was on its way into the poll, it is in a callback there.
    #[inline]
    pub fn felt(&self) {
        if self.polls.get() {
            self.awake();
        }
    }

    #[cold]
    fn awake(&self) {
        self.polls.set(false);
        self.note(time::now());
    }

    fn note(&self, since: Nanos) {
        if let Some(row) = self.row.get() {
            row.busy_since.set(since.0);
        }
    }

    /// Before the poll.
    fn polls(&self) {
        // SAFETY: the thread's own loop, which is calling us.
        let timeout = unsafe { (self.uv.backend_timeout)(self.of) };
        // 0 also stands for "not known yet": libuv says so when files were added to the poll.
        let timeout = u64::try_from(timeout).unwrap_or(0) * 1_000_000;
        self.note(if timeout == 0 { Nanos::NEVER } else { time::now().plus(Nanos(timeout)) });
        self.polls.set(true);
    }

    /// After the poll and all that was called back in it: busy since the poll ended, which libuv knows.
    fn woke(&self) {
        self.polls.set(false);
        // SAFETY: as in `polls`.
        let since = unsafe { (self.uv.now)(self.of) } * 1_000_000;
        self.note(Nanos(self.lead.wrapping_add(since)));
    }

    /// The environment ends: closes both handles.
    fn close(&self, ending: sys::napi_async_cleanup_hook_handle) {
        self.leave();
        self.ending.set(ending);
        for handle in [self.prepare.handle(), self.check.handle()] {
            // SAFETY: an open handle of this thread's loop, closed once: the hook is called once.
            unsafe { (self.uv.close)(handle, on_closed) };
        }
    }
}

/// What libuv or Node calls, with the pulse that `kept` points to.
fn with(kept: *mut c_void, call: impl FnOnce(&Pulse)) {
    // SAFETY: the pointer of `into_raw` in `follow_loop`; `on_closed` takes it only after the last call.
    let pulse = unsafe { &*kept.cast_const().cast::<Pulse>() };
    call(pulse);
}

/// The pulse of a handle.
fn kept_of(handle: Handle) -> *mut c_void {
    // SAFETY: the word that `begin` has written.
    unsafe { handle.cast::<*mut c_void>().read() }
}

unsafe extern "C" fn on_prepare(handle: Handle) {
    let _ = catch_unwind(AssertUnwindSafe(|| with(kept_of(handle), Pulse::polls)));
}

unsafe extern "C" fn on_check(handle: Handle) {
    let _ = catch_unwind(AssertUnwindSafe(|| with(kept_of(handle), Pulse::woke)));
}

unsafe extern "C" fn end(ending: sys::napi_async_cleanup_hook_handle, kept: *mut c_void) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let _ = PULSE.try_with(RefCell::take);
        with(kept, |pulse| pulse.close(ending));
    }));
}

unsafe extern "C" fn on_closed(handle: Handle) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let kept = kept_of(handle);
        let mut ending = None;
        with(kept, |pulse| {
            pulse.open.set(pulse.open.get() - 1);
            ending = (pulse.open.get() == 0).then(|| pulse.ending.get());
        });
        if let Some(ending) = ending {
            // SAFETY: the handle that `end` was given; Node may go on with the end of the environment.
            unsafe { sys::napi_remove_async_cleanup_hook(ending) };
            // SAFETY: the pointer of `into_raw` in `follow_loop`; no handle is left that could bring it back.
            drop(unsafe { Rc::from_raw(kept.cast_const().cast::<Pulse>()) });
        }
    }));
}
