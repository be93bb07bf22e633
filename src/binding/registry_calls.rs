//! The calls of the registry of processes. `status` is asked in a loop and is a raw N-API function; the rest are
//! `#[napi]` functions. A face is named by its number; a refusal is an answer, not an exception: no text, and the
//! reason in the scratch array.

use crate::binding::args::Args;
use crate::binding::calls::failed;
use crate::binding::entry::{self, Answer, Call, put};
use crate::binding::mailbox::Told;
use crate::binding::opening::{self, OpenedRegistryFace};
use crate::binding::registry_face::{
    NUMBERS, RegistryFace, TEXTS, What, numbers_of, push_texts, telling, text_of,
};
use crate::binding::thread::{self, AnyFace, SCRATCH};
use crate::name::MAX_BYTES;
use crate::registry::entry::{Entry, Patch};
use crate::registry::index::Key;
use crate::registry::layout::ID;
use crate::registry::memory::registry;
use crate::registry::outside;
use crate::registry::status::{Refused, Status};
use crate::registry::text::Text;
use crate::time::{self, Moment};
use napi::bindgen_prelude::*;
use napi::sys;
use napi_derive::napi;
use std::rc::Rc;

/// `status(id)`: the number of its status, 0 for an unknown id, −1 for what cannot be one.
struct StatusOf;
impl Call for StatusOf {
    type Face = RegistryFace;
    const NAME: &'static str = "status";
    const ARGS: usize = 1;
    #[inline]
    fn run(_face: &RegistryFace, args: &Args) -> Answer {
        let registry = registry();
        let mut room = [0; MAX_BYTES / 8 + 1];
        if let Some(len) = args.words(0, &mut room) {
            let words = &room[..len.div_ceil(8) as usize];
            if let Some(status) = registry.status(&Key::new((len, words), registry.header.seed.get())) {
                return Answer::Small(status as i32);
            }
        }
        // Only a text that has to be cleaned first can still be the id of anything.
        let Some(id) = args.name(0) else { return Answer::Small(-1) };
        let status = registry.status(&Key::new(id.parts(), registry.header.seed.get()));
        Answer::Small(status.map_or(0, |status| status as i32))
    }
}

/// Puts the raw call onto `target`, with `face` as its data. The face must outlive the function.
pub fn install(env: sys::napi_env, target: sys::napi_value, face: *const RegistryFace) -> sys::napi_status {
    entry::install(env, target, face, &[put::<StatusOf>])
}

fn face(number: u32) -> Result<Rc<RegistryFace>> {
    match thread::face(number) {
        Some(AnyFace::Registry(face)) => Ok(face),
        _ => Err(failed("no such face on the registry")),
    }
}

/// Opens a face on the process's registry. `scratch` is a `Float64Array` of `registryLayout().scratchLength`
/// elements that the result keeps alive.
#[napi(catch_unwind)]
pub fn open_registry_face(env: Env, thread_id: u32, scratch: Object) -> Result<OpenedRegistryFace> {
    opening::open_registry(env, thread_id, scratch)
}

/// What lies where, how long texts may be, and the words of the statuses, the first of which has number 1.
#[napi(object)]
pub struct RegistryLayout {
    pub scratch_length: u32,
    /// Numbers and texts of one state.
    pub numbers: u32,
    pub texts: u32,
    /// Bytes.
    pub id_bytes: u32,
    pub name_bytes: u32,
    pub kind_bytes: u32,
    pub signal_bytes: u32,
    pub statuses: Vec<String>,
}

#[napi(catch_unwind)]
pub fn registry_layout() -> RegistryLayout {
    use crate::registry::layout::{KIND, NAME, SIGNAL};
    RegistryLayout {
        scratch_length: SCRATCH as u32,
        numbers: NUMBERS as u32,
        texts: TEXTS as u32,
        id_bytes: Text::<ID>::MOST as u32,
        name_bytes: Text::<NAME>::MOST as u32,
        kind_bytes: Text::<KIND>::MOST as u32,
        signal_bytes: Text::<SIGNAL>::MOST as u32,
        statuses: Status::ALL.map(|status| status.word().to_owned()).to_vec(),
    }
}

/// What is known or wanted of a process; the caller has checked the lengths of id, name, kind and signal.
#[napi(object)]
pub struct ProcessFacts {
    pub name: Option<String>,
    pub kind: Option<String>,
    pub command: Option<String>,
    pub args: Option<Vec<String>>,
    pub dir: Option<String>,
    pub pid: Option<f64>,
    /// The number of a status.
    pub status: Option<u32>,
    pub exit_code: Option<f64>,
    pub signal: Option<String>,
    pub reason: Option<String>,
}

/// What a longer text than allowed becomes, which the caller has seen to: the cut one.
fn cut<const WORDS: usize>(text: Option<String>) -> Option<Text<WORDS>> {
    text.map(|text| Text::cut(&text))
}

fn id_of(id: &str) -> Result<Text<ID>> {
    Text::whole(id).ok_or_else(|| failed("the id of a process is too long"))
}

/// Registers a process; the texts of its state, whose numbers are in the scratch array. An empty text is a
/// refusal.
#[napi(catch_unwind)]
pub fn registry_register(number: u32, id: String, given: ProcessFacts) -> Result<String> {
    let face = face(number)?;
    let mut new = Entry {
        id: id_of(&id)?,
        name: cut(given.name).unwrap_or_default(),
        kind: cut(given.kind).unwrap_or_default(),
        command: cut(given.command).unwrap_or_default(),
        dir: cut(given.dir).unwrap_or_default(),
        args: Text::of_args(given.args.unwrap_or_default()),
        pid: given.pid.unwrap_or(0.0) as u64,
        owner: face.seat.caller.row.to_word(),
        thread_id: face.seat.caller.thread_id,
        ..Entry::default()
    };
    let done = telling(|tell| {
        let registered = registry().register(&mut new, time::now(), |gone| tell(What::Removed, gone));
        registered.inspect(|()| tell(What::Registered, &new))
    });
    Ok(answer(&face, done, &new))
}

/// Changes a process; as `registryRegister`.
#[napi(catch_unwind)]
pub fn registry_change(number: u32, id: String, given: ProcessFacts) -> Result<String> {
    let face = face(number)?;
    let patch = Patch {
        status: given.status.and_then(|status| Status::from_code(u64::from(status))),
        pid: given.pid.map(|pid| pid as u64),
        exit_code: given.exit_code.map(|code| code as i64),
        name: cut(given.name),
        kind: cut(given.kind),
        signal: cut(given.signal),
        reason: cut(given.reason),
        command: cut(given.command),
        dir: cut(given.dir),
        args: given.args.map(Text::of_args),
    };
    let id = id_of(&id)?;
    let mut entry = Entry::default();
    let done = telling(|tell| {
        let changed = registry().change(&id, &patch, time::now(), &mut entry);
        changed.inspect(|()| tell(What::Changed, &entry))
    });
    Ok(answer(&face, done, &entry))
}

fn answer(face: &RegistryFace, done: std::result::Result<(), Refused>, entry: &Entry) -> String {
    match done {
        Ok(()) => face.put_entry(entry, &Moment::read()),
        Err(refused) => {
            face.put_refusal(refused);
            String::new()
        }
    }
}

/// The texts of a process's state, whose numbers are in the scratch array; empty for an unknown id.
#[napi(catch_unwind)]
pub fn registry_get(number: u32, id: String) -> Result<String> {
    let face = face(number)?;
    let mut entry = Entry::default();
    let is_there = registry().get(&id_of(&id)?, &mut entry);
    Ok(if is_there { face.put_entry(&entry, &Moment::read()) } else { String::new() })
}

/// Many states.
#[napi(object)]
pub struct ProcessStates {
    pub numbers: Float64Array,
    pub texts: String,
}

/// Every process of that status (by its number) and kind and name, in the order of registration.
#[napi(catch_unwind)]
pub fn registry_list(status: Option<u32>, kind: Option<String>, name: Option<String>) -> ProcessStates {
    let registry = registry();
    let moment = Moment::read();
    let (kind, name) = (kind.map(|kind| Text::cut(&kind)), name.map(|name| Text::cut(&name)));
    let mut entry = Entry::default();
    let mut found: Vec<(u64, [f64; NUMBERS], std::ops::Range<usize>)> = Vec::new();
    let mut texts = Vec::new();
    for place in registry.places() {
        if !registry.read(place, &mut entry) {
            continue;
        }
        let shown_name = if entry.name.is_empty() { &entry.id } else { &entry.name };
        let is_wanted = status.is_none_or(|wanted| entry.status.map(|status| status as u32) == Some(wanted))
            && kind.as_ref().is_none_or(|kind| entry.kind.is_same(kind))
            && name.as_ref().is_none_or(|name| shown_name.is_same(name));
        if is_wanted {
            let begin = texts.len();
            push_texts(&entry, &mut texts);
            found.push((entry.registered_as, numbers_of(&entry, &moment), begin..texts.len()));
        }
    }
    let in_order = found.is_sorted_by_key(|(registered_as, ..)| *registered_as);
    if !in_order {
        found.sort_by_key(|(registered_as, ..)| *registered_as);
        texts = found.iter().flat_map(|(.., range)| &texts[range.clone()]).copied().collect();
    }
    let numbers: Vec<f64> = found.into_iter().flat_map(|(_, numbers, _)| numbers).collect();
    ProcessStates { numbers: Float64Array::new(numbers), texts: text_of(texts) }
}

/// Removes a process; whether there was one.
#[napi(catch_unwind)]
pub fn registry_remove(id: String) -> Result<bool> {
    let id = id_of(&id)?;
    Ok(telling(|tell| registry().remove(&id).inspect(|last| tell(What::Removed, last)).is_some()))
}

/// Removes every finished process; how many there were.
#[napi(catch_unwind)]
pub fn registry_clear_finished() -> u32 {
    telling(|tell| registry().clear_finished(|last| tell(What::Removed, last))) as u32
}

/// Whether changes are told to this face's mailbox.
#[napi(catch_unwind)]
pub fn registry_listen(number: u32, wanted: bool) -> Result<()> {
    face(number)?.listen(wanted);
    Ok(())
}

/// Changes that were told and not yet fetched, in their order.
#[napi(object)]
pub struct ProcessChanges {
    /// For each: 1 registered, 2 changed, 3 removed; how many were missed before it; the numbers of its state.
    pub numbers: Float64Array,
    pub texts: String,
}

/// Fetches what a mailbox holds, up to so many.
#[napi(catch_unwind)]
pub fn registry_fetch(number: u32, most: u32) -> Result<ProcessChanges> {
    let face = face(number)?;
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    face.seat.mailbox.take(most as usize, |_, told| {
        if let Told::Registry { change, missed } = told {
            numbers.extend([change.what as u32 as f64, missed as f64]);
            numbers.extend(change.numbers);
            texts.extend_from_slice(&change.texts);
        }
    });
    Ok(ProcessChanges { numbers: Float64Array::new(numbers), texts: text_of(texts) })
}

/// The registry of a process, its own or another's, as a JSON array; empty where there is none to be seen.
#[napi(catch_unwind)]
pub fn registry_of(pid: u32) -> String {
    serde_json::Value::Array(outside::of(pid).unwrap_or_default()).to_string()
}
