//! The life of a face: opened by JavaScript, given a mailbox when it first waits, closed by the end of its
//! environment or by the garbage collector, whichever comes first.

use crate::binding::calls::failed;
use crate::binding::face::Face;
use crate::binding::host_face::HostFace;
use crate::binding::lease_face::LeaseFace;
use crate::binding::locks_face::{ANCESTORS_AT, HANDED_INDEX, LocksFace, MOST_ANCESTORS};
use crate::binding::process::PROCESS;
use crate::binding::registry_face::RegistryFace;
use crate::binding::thread::{self, AnyFace, Seat};
use crate::binding::{host_hot, hot, lease_calls, locks_hot, log, registry_calls};
use crate::table::layout::SendPage;
use napi::bindgen_prelude::*;
use napi::{JsValue, sys};
use napi_derive::napi;
use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;
use std::rc::Rc;

/// The raw calls and their face. `holder`, where a call leaves it in the scratch array, is: token (0 for
/// nobody), layer row, thread id, age in ms.
#[napi(object)]
pub struct OpenedFace {
    /// The face's number, for the calls below.
    pub face: u32,
    #[napi(
        ts_type = "{ tryAcquire(layer: unknown, message?: string): number; layerNumber(layer: string): number; tryAcquireNumbered(number: number): number; releaseNumbered(number: number): number; request(layer: unknown, timeoutMs: number, message?: string): number; release(layer: unknown, token?: number): number; releaseToken(token: number, sent: number): number; join(token: number, layer: string, message?: string): number; forget(token: number, message: string): boolean; cancel(ticket: number): boolean; isLocked(): boolean; holds(token: number): boolean; fetch(): number; metrics(): number }"
    )]
    pub calls: Object<'static>,
}

fn checked(status: sys::napi_status, what: &str) -> Result<()> {
    if status == sys::Status::napi_ok { Ok(()) } else { Err(failed(what)) }
}

/// The raw calls of the named locks and their face.
#[napi(object)]
pub struct OpenedLocksFace {
    /// The face's number, for the calls below.
    pub face: u32,
    #[napi(
        ts_type = "{ tryAcquire(target: number | string, weight: number, label?: string): number; request(target: number | string, weight: number, timeoutMs: number, priority?: number, flags?: number, ancestors?: number, label?: string, className?: string): number; release(slot: number, token: number, failed: number): number; cancel(ticket: number): boolean; holds(slot: number, token: number): boolean; downgrade(slot: number, token: number): number; tryUpgrade(slot: number, token: number): boolean; upgrade(slot: number, token: number, timeoutMs: number, ancestors: number): number; state(target: number | string): number; fetch(): number; poll(ticket: number): number }"
    )]
    pub calls: Object<'static>,
}

/// Opens a face on the process's send lock, or on a new independent one. `scratch` is a `Float64Array` of
/// `scratchLength()` elements that the result keeps alive.
#[napi(catch_unwind)]
pub fn open_face(env: Env, thread_id: u32, independent: bool, scratch: Object) -> Result<OpenedFace> {
    log::start();
    let data = scratch_data(env, &scratch)?;
    let mut calls = Object::new(&env)?;
    calls.set("scratch", scratch)?;
    let lock = if independent { PROCESS.independent_lock() } else { PROCESS.send.clone() };
    let face = Rc::new(Face::new(lock, Seat::take(thread_id, data)));
    let installed = hot::install(env.raw(), calls.raw(), Rc::as_ptr(&face));
    let hint = if independent { INDEPENDENT } else { ptr::null_mut() };
    let number = move_in(env, &calls, AnyFace::Send(face), installed, hint)?;
    if independent {
        tell_memory(env.raw(), FOOTPRINT);
    }
    Ok(OpenedFace { face: number, calls: Object::from_raw(env.raw(), calls.raw()) })
}

/// Opens a face on the process's named locks. `scratch` is a `Float64Array` of `locksScratchLength()` elements
/// that the result keeps alive.
#[napi(catch_unwind)]
pub fn open_locks_face(env: Env, thread_id: u32, scratch: Object) -> Result<OpenedLocksFace> {
    let data = scratch_data(env, &scratch)?;
    let mut calls = Object::new(&env)?;
    calls.set("scratch", scratch)?;
    let face = Rc::new(LocksFace::new(Seat::take(thread_id, data)));
    let installed = locks_hot::install(env.raw(), calls.raw(), Rc::as_ptr(&face));
    let number = move_in(env, &calls, AnyFace::Locks(face), installed, ptr::null_mut())?;
    Ok(OpenedLocksFace { face: number, calls: Object::from_raw(env.raw(), calls.raw()) })
}

/// The raw calls of the host locks and their face.
#[napi(object)]
pub struct OpenedHostFace {
    /// The face's number, for the calls below.
    pub face: u32,
    #[napi(
        ts_type = "{ tryAcquire(target: number | string, file: number, weight: number, label?: string): number; take(file: number, weight: number, label?: string): number; wait(file: number, weight: number, timeoutMs: number, label?: string): number; wants(file: number): number; within(ticket: number, hold: number): boolean; release(hold: number, slot?: number, token?: number, failed?: number): boolean; refuse(hold: number): boolean; holds(hold: number): boolean; cancel(ticket: number): boolean; fetch(): number; poll(ticket: number): number }"
    )]
    pub calls: Object<'static>,
}

/// See [`crate::binding::host_calls::open_host_face`].
pub fn open_host(env: Env, thread_id: u32, scratch: Object) -> Result<OpenedHostFace> {
    let data = scratch_data(env, &scratch)?;
    let mut calls = Object::new(&env)?;
    calls.set("scratch", scratch)?;
    let face = Rc::new(HostFace::new(Seat::take(thread_id, data)));
    let installed = host_hot::install(env.raw(), calls.raw(), Rc::as_ptr(&face));
    let number = move_in(env, &calls, AnyFace::Host(face), installed, ptr::null_mut())?;
    Ok(OpenedHostFace { face: number, calls: Object::from_raw(env.raw(), calls.raw()) })
}

/// The raw call of the registry of processes and its face.
#[napi(object)]
pub struct OpenedRegistryFace {
    /// The face's number, for the other calls.
    pub face: u32,
    #[napi(ts_type = "{ status(id: string): number }")]
    pub calls: Object<'static>,
}

/// See [`crate::binding::registry_calls::open_registry_face`].
pub fn open_registry(env: Env, thread_id: u32, scratch: Object) -> Result<OpenedRegistryFace> {
    let data = scratch_data(env, &scratch)?;
    let mut calls = Object::new(&env)?;
    calls.set("scratch", scratch)?;
    let face = Rc::new(RegistryFace::new(Seat::take(thread_id, data)));
    let installed = registry_calls::install(env.raw(), calls.raw(), Rc::as_ptr(&face));
    let number = move_in(env, &calls, AnyFace::Registry(face), installed, ptr::null_mut())?;
    Ok(OpenedRegistryFace { face: number, calls: Object::from_raw(env.raw(), calls.raw()) })
}

/// The raw calls of the leases and their face.
#[napi(object)]
pub struct OpenedLeaseFace {
    /// The face's number, for the other calls.
    pub face: u32,
    #[napi(
        ts_type = "{ remaining(lease: number): number; isLost(lease: number): boolean; take(manager: number, ttlMs: number, key: string): boolean; give(lease: number): boolean; fetch(): number }"
    )]
    pub calls: Object<'static>,
}

/// See [`crate::binding::lease_calls::open_lease_face`].
pub fn open_lease(env: Env, thread_id: u32, scratch: Object) -> Result<OpenedLeaseFace> {
    let data = scratch_data(env, &scratch)?;
    let mut calls = Object::new(&env)?;
    calls.set("scratch", scratch)?;
    let face = Rc::new(LeaseFace::new(Seat::take(thread_id, data)));
    let installed = lease_calls::install(env.raw(), calls.raw(), Rc::as_ptr(&face));
    let number = move_in(env, &calls, AnyFace::Lease(face), installed, ptr::null_mut())?;
    Ok(OpenedLeaseFace { face: number, calls: Object::from_raw(env.raw(), calls.raw()) })
}

/// Numbers a face, ties it to the object that carries its raw calls, and watches the environment's end.
fn move_in(
    env: Env,
    calls: &Object,
    face: AnyFace,
    installed: sys::napi_status,
    hint: *mut c_void,
) -> Result<u32> {
    let kept = Box::into_raw(Box::new(face.clone())).cast::<c_void>();
    face.seat().hooked.set(kept);
    let number = thread::number(face);
    checked(installed, "cannot make the raw calls")?;
    // SAFETY: `calls` is a plain object of this call; `kept` is given back by `drop_face`, once.
    let wrapped =
        unsafe { sys::napi_wrap(env.raw(), calls.raw(), kept, Some(drop_face), hint, ptr::null_mut()) };
    checked(wrapped, "cannot tie the face to its object")?;
    // SAFETY: the hook is called at most once, and `drop_face` removes it when the face goes earlier.
    let hooked = unsafe { sys::napi_add_env_cleanup_hook(env.raw(), Some(leave), kept) };
    checked(hooked, "cannot watch the environment's end")?;
    Ok(number)
}

fn scratch_data(env: Env, scratch: &Object) -> Result<*mut f64> {
    let (mut kind, mut length, mut data) = (0, 0, ptr::null_mut());
    // SAFETY: `scratch` is a value of this call; what is not asked for is null.
    let status = unsafe {
        sys::napi_get_typedarray_info(
            env.raw(),
            scratch.raw(),
            &raw mut kind,
            &raw mut length,
            &raw mut data,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    checked(status, "the scratch array is not a typed array")?;
    if kind != sys::TypedarrayType::float64_array || length < thread::SCRATCH {
        return Err(failed("the scratch array is not a long enough Float64Array"));
    }
    Ok(data.cast())
}

/// The finalizer's hint for a face that has a lock of its own.
const INDEPENDENT: *mut c_void = ptr::without_provenance_mut(1);
/// What such a lock holds outside of the engine's sight, so that it knows what collecting one gives back.
const FOOTPRINT: i64 = size_of::<SendPage>() as i64;

fn tell_memory(env: sys::napi_env, change: i64) {
    let mut total = 0;
    // SAFETY: `env` is valid and `total` is writable. It is advice: a refusal changes nothing.
    unsafe { sys::napi_adjust_external_memory(env, change, &raw mut total) };
}

/// The environment's end: the thread's holds are given back, its waiters leave.
unsafe extern "C" fn leave(face: *mut c_void) {
    // SAFETY: the pointer is the one that `move_in` registered; `drop_face` has not run, or it would
    // have removed this hook.
    let face = unsafe { &*face.cast::<AnyFace>() };
    // The ThreadsafeFunction is taken down by the environment itself.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| face.close()));
}

/// The face's object is garbage, or the environment is gone.
unsafe extern "C" fn drop_face(env: sys::napi_env, face: *mut c_void, hint: *mut c_void) {
    if hint == INDEPENDENT {
        tell_memory(env, -FOOTPRINT);
    }
    // SAFETY: the pair that `move_in` registered; after the environment's end this finds nothing.
    unsafe { sys::napi_remove_env_cleanup_hook(env, Some(leave), face) };
    // SAFETY: `move_in` leaked exactly this box to this finalizer.
    let face = unsafe { Box::from_raw(face.cast::<AnyFace>()) };
    let closed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| face.close()));
    if let Ok(Some(function)) = closed {
        // SAFETY: out of its mailbox, nobody else can reach the function any more.
        unsafe {
            sys::napi_release_threadsafe_function(function, sys::ThreadsafeFunctionReleaseMode::release)
        };
    }
}

/// How many doubles the scratch array has.
#[napi(catch_unwind)]
pub fn scratch_length() -> u32 {
    thread::SCRATCH as u32
}

/// How many of them one fetched delivery takes.
#[napi(catch_unwind)]
pub fn told_length() -> u32 {
    thread::TOLD_SIZE as u32
}

/// What lies where in the scratch array of the named locks, in doubles.
#[napi(object)]
pub struct LocksLayout {
    pub scratch_length: u32,
    /// How many one fetched delivery takes.
    pub told_length: u32,
    /// Where a release leaves the one grant that it hands over.
    pub handed_at: u32,
    /// Where the tokens of the holds around a request lie, and how many are looked at.
    pub ancestors_at: u32,
    pub most_ancestors: u32,
}

#[napi(catch_unwind)]
pub fn locks_layout() -> LocksLayout {
    LocksLayout {
        scratch_length: thread::SCRATCH as u32,
        told_length: thread::TOLD_SIZE as u32,
        handed_at: (HANDED_INDEX * thread::TOLD_SIZE) as u32,
        ancestors_at: ANCESTORS_AT as u32,
        most_ancestors: MOST_ANCESTORS as u32,
    }
}

fn face(number: u32) -> Result<AnyFace> {
    thread::face(number).ok_or_else(|| failed("no such face"))
}

/// Opens the face's mailbox: `wake` is called on this thread's event loop when there is something to fetch.
/// Does not keep the loop alive until `keepAlive` says so.
#[napi(catch_unwind, ts_args_type = "face: number, wake: () => void")]
pub fn open_mailbox(env: Env, number: u32, wake: Function<'_, (), ()>) -> Result<()> {
    let face = face(number)?;
    let seat = face.seat();
    if seat.mailbox.function().is_some() {
        return Ok(());
    }
    let resource = env.create_string("chainlock")?;
    let mut function = ptr::null_mut();
    // SAFETY: all values are of this call; a queue without bound, one thread, no context and no callback
    // of our own: Node calls `wake` without arguments.
    let status = unsafe {
        sys::napi_create_threadsafe_function(
            env.raw(),
            wake.raw(),
            ptr::null_mut(),
            resource.raw(),
            0,
            1,
            ptr::null_mut(),
            None,
            ptr::null_mut(),
            None,
            &raw mut function,
        )
    };
    checked(status, "cannot make a wake-up function")?;
    // SAFETY: just made, on this thread.
    let status = unsafe { sys::napi_unref_threadsafe_function(env.raw(), function) };
    checked(status, "cannot unreference the wake-up function")?;
    // The face's own hook was added before the function's, and hooks run last in, first out: by then the
    // function would be gone. Added anew, it runs first.
    let kept = seat.hooked.get();
    // SAFETY: the pair that `move_in` registered.
    unsafe { sys::napi_remove_env_cleanup_hook(env.raw(), Some(leave), kept) };
    // SAFETY: as in `move_in`.
    let hooked = unsafe { sys::napi_add_env_cleanup_hook(env.raw(), Some(leave), kept) };
    checked(hooked, "cannot watch the environment's end")?;
    seat.mailbox.open(function);
    Ok(())
}

/// Whether the open mailbox keeps this thread's event loop alive.
#[napi(catch_unwind)]
pub fn keep_alive(env: Env, number: u32, wanted: bool) -> Result<()> {
    let Some(function) = face(number)?.seat().mailbox.function() else { return Ok(()) };
    let status = if wanted {
        // SAFETY: the function belongs to this thread's environment, which is alive: it is calling us.
        unsafe { sys::napi_ref_threadsafe_function(env.raw(), function) }
    } else {
        // SAFETY: as above.
        unsafe { sys::napi_unref_threadsafe_function(env.raw(), function) }
    };
    checked(status, "cannot reference the wake-up function")
}
