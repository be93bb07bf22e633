//! What the lock tables of this and of other processes say, as JSON.

use crate::binding::process::PROCESS;
use crate::snapshot::named::Wanted;
use crate::snapshot::outside;
use crate::snapshot::process;
use crate::snapshot::views::to_json;
use napi_derive::napi;

/// One process, or without a pid all that this user has; with `all`, also locks that nobody holds or waits
/// for, and every bucket of their times.
#[napi(catch_unwind)]
pub fn look_at(pid: Option<u32>, all: bool) -> String {
    let wanted = Wanted { all };
    let look = outside::look(
        pid,
        |wanted, moment| process::view(PROCESS.table, std::process::id(), wanted, moment),
        wanted,
    );
    to_json(&look)
}
