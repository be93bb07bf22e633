//! Lock directories that a native thread keeps fresh, as `#[napi]` functions. What a JavaScript thread keeps is
//! given back when that thread ends, however it ends.

use crate::mtime_keeper::keeper::{self, KEEPER, Lost};
use crate::mtime_keeper::mark;
use crate::sys::process::Life;
use crate::time::Nanos;
use napi::bindgen_prelude::*;
use napi_derive::napi;
use std::cell::RefCell;
use std::panic::catch_unwind;

thread_local! {
    /// What this thread keeps; `None` before its first.
    static KEPT: RefCell<Option<Vec<u64>>> = const { RefCell::new(None) };
}

/// What became of a lock: 0 it is held, 1 gone, 2 taken by somebody else, and errors of the system as their
/// number from 1,000 on; −number where it was held and cannot be removed.
fn number_of(lost: Option<Lost>) -> i32 {
    match lost {
        None => 0,
        Some(Lost::Gone) => 1,
        Some(Lost::Taken) => 2,
        Some(Lost::Late(number)) => 1_000 + number,
        Some(Lost::Left(number)) => -number,
    }
}

/// Keeps a directory that the caller has just made. Its number, or an error of the system as −number.
#[napi(catch_unwind)]
pub fn keeper_keep(env: Env, path: String, every_ms: f64, stale_ms: f64) -> Result<f64> {
    let kept = keeper::keep(path, Nanos::from_ms(every_ms), Nanos::from_ms(stale_ms));
    let Ok(id) = kept else { return Ok(-f64::from(kept.err().unwrap_or_default())) };
    let is_first = KEPT.with_borrow(Option::is_none);
    if is_first {
        env.add_env_cleanup_hook((), |()| leave())?;
    }
    KEPT.with_borrow_mut(|kept| kept.get_or_insert_default().push(id));
    Ok(id as f64)
}

fn leave() {
    let _ = catch_unwind(|| {
        let kept = KEPT.try_with(|kept| kept.borrow_mut().take()).ok().flatten().unwrap_or_default();
        for id in kept {
            // Nobody is left who could be told.
            let _ = KEEPER.release(id);
        }
    });
}

/// What became of a lock; see `number_of`.
#[napi(catch_unwind)]
pub fn keeper_look(id: f64) -> i32 {
    number_of(KEEPER.lost(id as u64))
}

/// Keeps it no longer; whether it was still held (see `number_of`). The directory stays.
#[napi(catch_unwind)]
pub fn keeper_stop(id: f64) -> i32 {
    forget(id as u64);
    number_of(KEEPER.stop(id as u64).err())
}

/// Keeps it no longer, and removes it if it was still held (see `number_of`).
#[napi(catch_unwind)]
pub fn keeper_release(id: f64) -> i32 {
    forget(id as u64);
    number_of(KEEPER.release(id as u64).err())
}

fn forget(id: u64) {
    KEPT.with_borrow_mut(|kept| kept.iter_mut().for_each(|ids| ids.retain(|each| *each != id)));
}

/// Who made a lock directory: `alive`, `dead` or `unknown`; null for one that carries no mark of ours.
#[napi(catch_unwind)]
pub fn maker_of(path: String) -> Option<String> {
    mark::life_of_maker(&path).map(|life| word_of(life).to_owned())
}

/// Whether the living maker of a lock directory still keeps it.
#[napi(catch_unwind)]
pub fn is_kept_by_maker(path: String) -> bool {
    mark::is_kept_by_maker(&path)
}

pub(super) fn word_of(life: Life) -> &'static str {
    match life {
        Life::Alive => "alive",
        Life::Dead => "dead",
        Life::Unknown => "unknown",
    }
}
