//! The calls of the leases. What is read in a loop is a raw N-API function; the rest are `#[napi]` functions. None
//! waits: each request has a number, and its answer comes through the face's mailbox.

use crate::binding::args::Args;
use crate::binding::calls::failed;
use crate::binding::entry::{self, Answer, Call, put};
use crate::binding::lease_face::{Ears, Grant, Kind, LeaseFace, LeaseTold, tell, tell_refusal};
use crate::binding::lease_texts::{self, Ask, SendCall, Settings};
use crate::binding::mailbox::Told;
use crate::binding::opening::{self, OpenedLeaseFace};
use crate::binding::thread::{self, AnyFace, MOST_TOLD};
use crate::lease::fault::Fault;
use crate::lease::manager::cell::CAUSES;
use crate::lease::manager::{LeaseId, Manager, Request};
use crate::lease::page::outside::{self, PageView};
use crate::lease::record::MAX_KEY;
use crate::sync::Arc;
use crate::time;
use napi::bindgen_prelude::*;
use napi::sys;
use napi_derive::napi;
use std::rc::Rc;

/// `remaining(lease)`: milliseconds to the deadline; 0 when it is not held.
struct Remaining;
impl Call for Remaining {
    type Face = LeaseFace;
    const NAME: &'static str = "remaining";
    const ARGS: usize = 1;
    #[inline]
    fn run(face: &LeaseFace, args: &Args) -> Answer {
        let lease = args.count(0).unwrap_or(0);
        let left = face.with_cell(lease, |cell| cell.remaining(time::boot_now()).as_ms());
        Answer::Number(left.unwrap_or(0.0))
    }
}

/// `isLost(lease)`: whether it was granted and is not held any more. One that is not known is.
struct IsLost;
impl Call for IsLost {
    type Face = LeaseFace;
    const NAME: &'static str = "isLost";
    const ARGS: usize = 1;
    #[inline]
    fn run(face: &LeaseFace, args: &Args) -> Answer {
        let lease = args.count(0).unwrap_or(0);
        Answer::Bool(face.with_cell(lease, |cell| cell.is_lost(time::boot_now())).unwrap_or(true))
    }
}

/// `fetch()`: moves deliveries into the scratch array; how many. Fewer than fit: the mailbox is empty.
struct Fetch;
impl Call for Fetch {
    type Face = LeaseFace;
    const NAME: &'static str = "fetch";
    const ARGS: usize = 0;
    fn run(face: &LeaseFace, _args: &Args) -> Answer {
        let mut told = Vec::new();
        let count = face.seat.mailbox.take(MOST_TOLD, |_, one| told.push(one));
        for (index, one) in told.into_iter().enumerate() {
            if let Told::Lease(one) = one {
                face.put_told(index, one);
            }
        }
        Answer::Number(count as f64)
    }
}

/// `take(manager, ttl, key)`: asks for one key as somebody does who says nothing more; whether it is granted already,
/// and lies in the scratch array. Else nothing has happened: `leaseAcquire` asks in earnest.
struct Take;
impl Call for Take {
    type Face = LeaseFace;
    const NAME: &'static str = "take";
    const ARGS: usize = 3;
    fn run(face: &LeaseFace, args: &Args) -> Answer {
        Answer::Bool(take(face, args).is_some())
    }
}

fn take(face: &LeaseFace, args: &Args) -> Option<()> {
    let mut room = [0; MAX_KEY + 8];
    let (manager, ttl_ms) = (face.manager(args.index(0) as u32)?, args.count(1)?);
    let request = Request { ttl_ms: Some(ttl_ms), ..Request::new(vec![args.utf8(2, &mut room)?.to_owned()]) };
    let granted = manager.acquire_at_once(&request)?;
    face.put_granted(manager, granted);
    Some(())
}

/// `give(lease)`: whether it is given back already; its number names nothing then. Else nothing has happened:
/// `leaseRelease` does it.
struct Give;
impl Call for Give {
    type Face = LeaseFace;
    const NAME: &'static str = "give";
    const ARGS: usize = 1;
    fn run(face: &LeaseFace, args: &Args) -> Answer {
        let lease = args.count(0).unwrap_or(0);
        let is_given = face.manager_of(lease).is_some_and(|manager| manager.release_at_once(LeaseId(lease)));
        if is_given {
            face.forget(lease);
        }
        Answer::Bool(is_given)
    }
}

/// Puts every raw call onto `target`, with `face` as its data. The face must outlive the functions.
pub fn install(env: sys::napi_env, target: sys::napi_value, face: *const LeaseFace) -> sys::napi_status {
    entry::install(
        env,
        target,
        face,
        &[put::<Remaining>, put::<IsLost>, put::<Take>, put::<Give>, put::<Fetch>],
    )
}

fn face(number: u32) -> Result<Rc<LeaseFace>> {
    match thread::face(number) {
        Some(AnyFace::Lease(face)) => Ok(face),
        _ => Err(failed("no such face on the leases")),
    }
}

fn manager(face: &Rc<LeaseFace>, number: u32) -> Result<Manager> {
    face.manager(number).ok_or_else(|| failed("no such manager of leases"))
}

/// Opens a face on the process's leases. `scratch` is a `Float64Array` of `leaseLayout().scratchLength` elements that
/// the result keeps alive.
#[napi(catch_unwind)]
pub fn open_lease_face(env: Env, thread_id: u32, scratch: Object) -> Result<OpenedLeaseFace> {
    opening::open_lease(env, thread_id, scratch)
}

/// What lies where in the scratch array of the leases, in doubles.
#[napi(object)]
pub struct LeaseLayout {
    pub scratch_length: u32,
    /// How many one fetched delivery takes.
    pub told_length: u32,
    pub kinds: LeaseKinds,
    /// Why leases are lost, in the order in which their page counts them.
    pub causes: Vec<String>,
}

/// The kinds of a delivery.
#[napi(object)]
pub struct LeaseKinds {
    pub granted: u32,
    pub failed: u32,
    pub number: u32,
    pub released: u32,
    pub text: u32,
    pub lost: u32,
    pub risk: u32,
}

#[napi(catch_unwind)]
pub fn lease_layout() -> LeaseLayout {
    let kinds = LeaseKinds {
        granted: Kind::Granted as u32,
        failed: Kind::Failed as u32,
        number: Kind::Number as u32,
        released: Kind::Released as u32,
        text: Kind::Text as u32,
        lost: Kind::Lost as u32,
        risk: Kind::Risk as u32,
    };
    LeaseLayout {
        scratch_length: thread::SCRATCH as u32,
        told_length: thread::TOLD_SIZE as u32,
        kinds,
        causes: CAUSES.map(String::from).to_vec(),
    }
}

/// What an opening led to: a number and the store without secrets, or why there is none (JSON).
#[napi(object)]
pub struct OpenedManager {
    pub manager: Option<u32>,
    pub shown: Option<String>,
    pub fault: Option<String>,
}

/// Opens a manager; nothing is connected. `settings` are those of `lib/leases/options.js`, in JSON.
#[napi(catch_unwind)]
pub fn lease_open(number: u32, settings: String) -> Result<OpenedManager> {
    let face = face(number)?;
    let settings: Settings = parsed(&settings)?;
    let ears = Arc::new(Ears { mailbox: face.seat.mailbox.id });
    let opened = settings.opening().and_then(|opening| {
        let shown = opening.setup.address.shown();
        Ok((Manager::open(opening, ears)?, shown))
    });
    Ok(match opened {
        Ok((manager, shown)) => {
            OpenedManager { manager: Some(face.opened(manager)), shown: Some(shown), fault: None }
        }
        Err(fault) => OpenedManager { manager: None, shown: None, fault: Some(lease_texts::fault(&fault)) },
    })
}

/// Asks for leases; the number of the request. 0: it is granted, and lies in the scratch array; only where this thread
/// may take the time for it.
#[napi(catch_unwind)]
pub fn lease_acquire(number: u32, of: u32, ask: String, may_do_it: bool) -> Result<f64> {
    let face = face(number)?;
    let manager = manager(&face, of)?;
    let ask = parsed::<Ask>(&ask)?.request();
    if may_do_it && let Some(granted) = manager.acquire_at_once(&ask) {
        face.put_granted(manager, granted);
        return Ok(0.0);
    }
    let (request, mailbox) = (face.next_request(), face.seat.mailbox.id);
    let granting = manager.clone();
    let asked = manager.acquire(
        ask,
        Box::new(move |answer| {
            tell(mailbox, request, answer, |granted| LeaseTold::Granted {
                request,
                grant: Grant::new(granting, granted),
            });
        }),
    );
    tell_refusal(mailbox, request, asked.map(|id| face.asked(request, manager, id)));
    Ok(request as f64)
}

/// Gives a request up. Its answer comes all the same.
#[napi(catch_unwind)]
pub fn lease_abort(number: u32, request: f64) -> Result<()> {
    face(number)?.abort(request as u64);
    Ok(())
}

/// Renews a lease now; the number of the request, whose answer is a number.
#[napi(catch_unwind)]
pub fn lease_renew(number: u32, lease: f64) -> Result<f64> {
    let face = face(number)?;
    let (request, mailbox) = (face.next_request(), face.seat.mailbox.id);
    let say = move |left: u64| LeaseTold::Number { request, value: left as f64 };
    let asked = match face.manager_of(lease as u64) {
        Some(manager) => {
            manager.renew(LeaseId(lease as u64), Box::new(move |answer| tell(mailbox, request, answer, say)))
        }
        None => Err(gone()),
    };
    tell_refusal(mailbox, request, asked);
    Ok(request as f64)
}

/// Gives a lease back; the number of the request. The lease's number names nothing from now on. `unsent` says of the
/// send lock's that its message was not sent.
#[napi(catch_unwind)]
pub fn lease_release(number: u32, lease: f64, unsent: Option<bool>) -> Result<f64> {
    let face = face(number)?;
    let (request, mailbox) = (face.next_request(), face.seat.mailbox.id);
    let say = move |released| LeaseTold::Released { request, released };
    let asked = match face.forget(lease as u64) {
        Some(manager) => {
            let reply = Box::new(move |answer| tell(mailbox, request, answer, say));
            match unsent {
                Some(true) => manager.release_unsent(LeaseId(lease as u64), reply),
                _ => manager.release(LeaseId(lease as u64), reply),
            }
        }
        None => Err(gone()),
    };
    tell_refusal(mailbox, request, asked);
    Ok(request as f64)
}

fn gone() -> Fault {
    Fault::new("ERR_LOCK_LEASE_LOST", "this lease is not held any more")
}

/// Forgets a lease that is lost: its holder has let go of it.
#[napi(catch_unwind)]
pub fn lease_forget(number: u32, lease: f64) -> Result<()> {
    if let Some(manager) = face(number)?.forget(lease as u64) {
        manager.let_go(LeaseId(lease as u64));
    }
    Ok(())
}

/// Looks at a send lock, or changes what is everybody's in it; the number of the request, whose answer is a text.
#[napi(catch_unwind)]
pub fn lease_send(number: u32, of: u32, call: String) -> Result<f64> {
    let face = face(number)?;
    let (request, mailbox) = (face.next_request(), face.seat.mailbox.id);
    let call: SendCall = parsed(&call)?;
    let asked = manager(&face, of)?.send(
        call.call(),
        Box::new(move |answer| {
            tell(mailbox, request, answer, |text| LeaseTold::Text { request, text });
        }),
    );
    tell_refusal(mailbox, request, asked);
    Ok(request as f64)
}

/// What the store says of a key; the number of the request, whose answer is a text.
#[napi(catch_unwind)]
pub fn lease_inspect(number: u32, of: u32, key: String) -> Result<f64> {
    let face = face(number)?;
    let (request, mailbox) = (face.next_request(), face.seat.mailbox.id);
    let asked = manager(&face, of)?.inspect(
        key,
        Box::new(move |answer| {
            tell(mailbox, request, answer, |status| LeaseTold::Text {
                request,
                text: lease_texts::status(&status).to_string(),
            });
        }),
    );
    tell_refusal(mailbox, request, asked);
    Ok(request as f64)
}

/// The keys that begin so; the number of the request, whose answer is a text.
#[napi(catch_unwind)]
pub fn lease_list(number: u32, of: u32, prefix: String, most: u32) -> Result<f64> {
    let face = face(number)?;
    let (request, mailbox) = (face.next_request(), face.seat.mailbox.id);
    let asked = manager(&face, of)?.list(
        prefix,
        most as usize,
        Box::new(move |answer| {
            tell(mailbox, request, answer, |all| LeaseTold::Text { request, text: lease_texts::list(&all) });
        }),
    );
    tell_refusal(mailbox, request, asked);
    Ok(request as f64)
}

/// Ends a manager, with or without giving back what it holds; the number of the request, whose answer is a number.
#[napi(catch_unwind)]
pub fn lease_close(number: u32, of: u32, release: bool) -> Result<f64> {
    let face = face(number)?;
    let (request, mailbox) = (face.next_request(), face.seat.mailbox.id);
    let asked = manager(&face, of)?.close(
        release,
        Box::new(move |answer| {
            tell(mailbox, request, answer, |()| LeaseTold::Number { request, value: 0.0 });
        }),
    );
    tell_refusal(mailbox, request, asked);
    Ok(request as f64)
}

/// The manager's number names nothing from now on.
#[napi(catch_unwind)]
pub fn lease_drop(number: u32, of: u32) -> Result<()> {
    face(number)?.forget_manager(of);
    Ok(())
}

/// What a manager has done, in JSON.
#[napi(catch_unwind)]
pub fn lease_statistics(number: u32, of: u32) -> Result<String> {
    Ok(lease_texts::statistics(&manager(&face(number)?, of)?.statistics()))
}

/// What the engine promises, or why that cannot be said, in JSON.
#[napi(catch_unwind)]
pub fn lease_caps(number: u32, of: u32) -> Result<String> {
    Ok(match manager(&face(number)?, of)?.caps() {
        Ok(caps) => lease_texts::caps(&caps),
        Err(fault) => lease_texts::fault(&fault),
    })
}

/// The event loop turns.
#[napi(catch_unwind)]
pub fn lease_beat(number: u32, of: u32) -> Result<()> {
    if let Some(manager) = face(number)?.manager(of) {
        manager.beat();
    }
    Ok(())
}

/// A text that the native side keeps until it is taken, once; empty when it is not there any more.
#[napi(catch_unwind)]
pub fn lease_text(number: u32, text: f64) -> Result<String> {
    Ok(face(number)?.take_text(text as u64).unwrap_or_default())
}

/// What processes, given by a list of pids in JSON, hold and wait for in stores, and how the stores are; with `all`
/// also every bucket of their times. Those of which nothing is to be seen are left out.
#[napi(catch_unwind)]
pub fn look_at_leases(pids_json: String, all: bool) -> Result<String> {
    let pids: Vec<u32> = parsed(&pids_json)?;
    let pages: Vec<PageView> = pids.into_iter().filter_map(|pid| outside::of(pid, all)).collect();
    serde_json::to_string(&pages).map_err(|error| failed(&error.to_string()))
}

fn parsed<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| failed(&error.to_string()))
}
