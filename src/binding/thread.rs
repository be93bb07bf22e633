//! The thread that calls: its row, the faces that stand on it, by their numbers, and what every face has.

use crate::binding::control;
use crate::binding::face::Face;
use crate::binding::host_face::HostFace;
use crate::binding::lease_face::LeaseFace;
use crate::binding::locks_face::LocksFace;
use crate::binding::mailbox::Mailbox;
use crate::binding::process::PROCESS;
use crate::binding::pulse::{self, Pulse};
use crate::binding::registry_face::RegistryFace;
use crate::local::departures::{Caller, RowId};
use crate::sync::Arc;
use crate::time;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::rc::Rc;

/// Doubles in a face's scratch array.
pub const SCRATCH: usize = 8 * 64;
/// How many of them a fetched delivery takes.
pub const TOLD_SIZE: usize = 8;
/// How many deliveries one fetch brings.
pub const MOST_TOLD: usize = SCRATCH / TOLD_SIZE;

thread_local! {
    /// This thread's row, and how many faces stand on it.
    static THREAD: RefCell<Option<Standing>> = const { RefCell::new(None) };
    static FACES: RefCell<Vec<Option<AnyFace>>> = const { RefCell::new(Vec::new()) };
}

#[derive(Clone, Debug)]
struct Standing {
    row: RowId,
    faces: usize,
    pulse: Option<Rc<Pulse>>,
}

impl Standing {
    fn arrive(thread_id: u64) -> Self {
        let row = PROCESS.rows.arrive(thread_id, time::now());
        Self { row, faces: 0, pulse: pulse::arrive(PROCESS.rows.shown(row)) }
    }
}

/// A face on the send lock, on the named locks, on the host locks, on the registry of processes or on the leases.
#[derive(Clone, Debug)]
pub enum AnyFace {
    Send(Rc<Face>),
    Locks(Rc<LocksFace>),
    Host(Rc<HostFace>),
    Registry(Rc<RegistryFace>),
    Lease(Rc<LeaseFace>),
}

impl AnyFace {
    pub fn seat(&self) -> &Seat {
        match self {
            AnyFace::Send(face) => &face.seat,
            AnyFace::Locks(face) => &face.seat,
            AnyFace::Host(face) => &face.seat,
            AnyFace::Registry(face) => &face.seat,
            AnyFace::Lease(face) => &face.seat,
        }
    }

    /// Closes the face, once. Answers its mailbox's function, if that was open.
    pub fn close(&self) -> Option<napi::sys::napi_threadsafe_function> {
        match self {
            AnyFace::Locks(face) => face.close_resources(),
            AnyFace::Registry(face) => face.listen(false),
            AnyFace::Lease(face) => face.close(),
            AnyFace::Send(_) | AnyFace::Host(_) => {}
        }
        self.seat().leave()
    }
}

/// What every face has: who calls through it, where it is told things, and the scratch array through which
/// more than one number comes back from a raw call.
#[derive(Debug)]
pub struct Seat {
    pub caller: Caller,
    pub mailbox: Arc<Mailbox>,
    scratch: *mut f64,
    pulse: Option<Rc<Pulse>>,
    /// What the hook on the environment's end was registered with.
    pub hooked: Cell<*mut c_void>,
    left: Cell<bool>,
}

impl Seat {
    /// Takes a seat in this thread. `scratch` is the array's data, at least [`SCRATCH`] doubles, kept alive
    /// by the caller.
    pub fn take(thread_id: u32, scratch: *mut f64) -> Self {
        control::start();
        let thread_id = u64::from(thread_id);
        let Standing { row, pulse, .. } = THREAD.with_borrow_mut(|thread| {
            let standing = thread.get_or_insert_with(|| Standing::arrive(thread_id));
            standing.faces += 1;
            standing.clone()
        });
        let mailbox = Mailbox::register();
        let caller = Caller { row, thread_id, mailbox: mailbox.id };
        let hooked = Cell::new(std::ptr::null_mut());
        Self { caller, mailbox, scratch, pulse, hooked, left: Cell::new(false) }
    }

    /// A raw call is made through it: its thread is awake.
    #[inline]
    pub fn felt(&self) {
        if let Some(pulse) = &self.pulse {
            pulse.felt();
        }
    }

    /// Leaves, once; with its last face the thread itself departs.
    fn leave(&self) -> Option<napi::sys::napi_threadsafe_function> {
        if self.left.replace(true) {
            return None;
        }
        let function = self.mailbox.close();
        // The thread-locals may be gone already when a thread is torn down; then nobody asks them again.
        let _ = FACES.try_with(|faces| {
            for place in faces.borrow_mut().iter_mut() {
                if place.as_ref().is_some_and(|face| std::ptr::eq(face.seat(), self)) {
                    *place = None;
                }
            }
        });
        let _ = THREAD.try_with(|thread| {
            let mut thread = thread.borrow_mut();
            let Some(standing) = thread.as_mut() else { return };
            standing.faces -= 1;
            let last = if standing.faces == 0 { thread.take() } else { None };
            drop(thread);
            match last {
                Some(Standing { row, pulse, .. }) => {
                    // First: the row may be another thread's a moment later.
                    pulse.iter().for_each(|pulse| pulse.leave());
                    PROCESS.depart(row);
                }
                None => PROCESS.depart_face(self.caller.mailbox),
            }
        });
        function
    }

    #[inline]
    pub fn put(&self, place: usize, value: f64) {
        debug_assert!(place < SCRATCH);
        // SAFETY: `scratch` points to SCRATCH doubles of an array that this face's creator keeps alive.
        let at = unsafe { self.scratch.add(place) };
        // SAFETY: inside that array, which only this thread touches.
        unsafe { at.write(value) };
    }

    #[inline]
    pub fn get(&self, place: usize) -> f64 {
        debug_assert!(place < SCRATCH);
        // SAFETY: as in `put`.
        let at = unsafe { self.scratch.add(place) };
        // SAFETY: inside that array, which only this thread touches.
        unsafe { at.read() }
    }
}

/// Gives a face its number.
pub fn number(face: AnyFace) -> u32 {
    FACES.with_borrow_mut(|faces| {
        let number = faces.iter().position(Option::is_none).unwrap_or_else(|| {
            faces.push(None);
            faces.len() - 1
        });
        faces[number] = Some(face);
        number as u32
    })
}

/// The face of that number.
pub fn face(number: u32) -> Option<AnyFace> {
    FACES.with_borrow(|faces| faces.get(number as usize)?.clone())
}
