//! Linux: a handler for SIGBUS that knows the watched mappings and passes on every other fault.
//!
//! Whatever the handler touches is an atomic in a static; it allocates nothing, takes no lock and calls only
//! `mmap`, `sigaction` and `raise`, which do not, either.

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Mappings that can be watched at a time.
const PLACES: usize = 65_536;

struct Place {
    /// The mapping's address; 0 for a free place.
    start: AtomicUsize,
    length: AtomicUsize,
    hit: AtomicBool,
}

static WATCHED: [Place; PLACES] = [const {
    Place { start: AtomicUsize::new(0), length: AtomicUsize::new(0), hit: AtomicBool::new(false) }
}; PLACES];
/// No place behind this one was ever taken: what the handler has to look through.
static USED: AtomicUsize = AtomicUsize::new(0);
static INSTALL: Once = Once::new();
/// Who handled SIGBUS before us; never freed.
static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// A watched mapping.
#[derive(Debug)]
pub struct Watch(usize);

/// Watches a mapping, until [`Watch::end`], which comes before it is unmapped; `None` when there are too many.
pub fn watch(start: NonNull<u8>, length: usize) -> Option<Watch> {
    INSTALL.call_once(install);
    let address = start.as_ptr() as usize;
    let free = WATCHED.iter().position(|place| {
        // Relaxed: the place is only claimed; what the handler reads is published below.
        place.start.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    });
    let index = free?;
    let place = &WATCHED[index];
    place.hit.store(false, Ordering::Relaxed);
    place.length.store(length, Ordering::Relaxed);
    USED.fetch_max(index + 1, Ordering::Relaxed);
    // Release: pairs with the Acquire in `handle`.
    place.start.store(address, Ordering::Release);
    Some(Watch(index))
}

impl Watch {
    /// Whether the file was shorter than its mapping when somebody looked.
    #[inline]
    pub fn was_hit(&self) -> bool {
        // Relaxed: the handler ran in the thread that looks now, or its zeroes tell another the same.
        WATCHED[self.0].hit.load(Ordering::Relaxed)
    }

    pub fn end(&self) {
        WATCHED[self.0].start.store(0, Ordering::Relaxed);
    }
}

fn install() {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeroes are a valid `sigaction`: no handler, no flags, an empty mask.
    let action = unsafe { action.assume_init_mut() };
    let before = Box::into_raw(Box::new(*action));
    // SAFETY: asks only, into a place of ours of that type.
    unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), before) };
    // Release: pairs with the Acquire in `pass_on`.
    BEFORE.store(before, Ordering::Release);
    action.sa_sigaction = handle as *const () as usize;
    // On the stack that the thread has for signals, if it has one: V8's threads do.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for.
    unsafe { libc::sigaction(libc::SIGBUS, action, ptr::null_mut()) };
}

extern "C" fn handle(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes the record of this very signal.
    let info_of_fault = unsafe { &*info };
    // SAFETY: SIGBUS carries an address.
    let address = unsafe { info_of_fault.si_addr() } as usize;
    for place in &WATCHED[..USED.load(Ordering::Relaxed).min(PLACES)] {
        // Acquire: pairs with the Release in `watch`, which comes after the length.
        let start = place.start.load(Ordering::Acquire);
        let length = place.length.load(Ordering::Relaxed);
        if start > 1 && (start..start.saturating_add(length)).contains(&address) {
            place.hit.store(true, Ordering::Relaxed);
            if zeroes_at(start, length) {
                return;
            }
        }
    }
    pass_on(signal, info, context);
}

/// Puts zeroes of our own where the file's bytes were; the look that failed then succeeds.
fn zeroes_at(start: usize, length: usize) -> bool {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let start = ptr::with_exposed_provenance_mut(start);
    // SAFETY: the range is a mapping of ours that lives as long as its place is taken, and holds nothing but
    // words that are read by atomics.
    let mapped = unsafe { libc::mmap(start, length, access, flags, -1, 0) };
    mapped != libc::MAP_FAILED
}

/// What would have happened without us.
fn pass_on(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // Acquire: pairs with the Release in `install`, which comes before this handler is there.
    // SAFETY: set by then, and never freed.
    let before = unsafe { &*BEFORE.load(Ordering::Acquire) };
    match before.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: puts back what was there; the fault comes again when we return, and ends the process.
            unsafe { libc::sigaction(signal, before, ptr::null_mut()) };
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            type Full = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
            // SAFETY: whoever registered it with SA_SIGINFO has given a function of this type.
            let handler = unsafe { std::mem::transmute::<usize, Full>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: whoever registered it without SA_SIGINFO has given a function of this type.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(i32)>(handler) };
            handler(signal);
        }
    }
}
