//! The layout, in bytes; `docs/formats/lease-page.md` describes it, and the asserts at the foot hold it still. All-zero
//! bytes are a valid, empty page, so that fresh memory needs no initialising, and what was never used is never touched.

use crate::metrics::timing::Timing;
use crate::raw::seqlock::SeqLock;
use crate::registry::text::TextField;
use crate::sync::Field;

/// "CHAINLS" and a zero, read as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"CHAINLS\0");
/// Changes with every change of the layout or of the meaning of a field.
pub const LAYOUT_VERSION: u64 = 1;

/// Stores that are shown at a time.
pub const STORES: usize = 32;
/// Leases and waiting requests that are shown at a time.
pub const LEASES: usize = 8_192;

/// The longest texts, in words of eight bytes.
pub const KEY: usize = 6;
pub const WORKER: usize = 3;
pub const ENGINE: usize = 2;
pub const SHOWN: usize = 16;
pub const ERROR: usize = 16;

#[repr(C)]
#[derive(Debug, Default)]
pub struct Header {
    pub magic: Field,
    pub layout_version: Field,
    pub pid: Field,
    pub size: Field,
    /// When the process started, in clock ticks since the boot; with the pid it names the process.
    pub start: Field,
    /// Rows of stores, and of leases, that were ever used.
    pub stores_end: Field,
    pub leases_end: Field,
    /// Stores, and leases and requests, for which there was no place.
    pub unshown_stores: Field,
    pub unshown_leases: Field,
}

/// What is counted of one store, for as long as its row is its own.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Counts {
    /// Grants; their ends are the releases and the losses.
    pub acquisitions: Field,
    pub releases: Field,
    /// Requests that ended without a grant: out of time, called off, somebody else has it, and anything else.
    pub timeouts: Field,
    pub aborts: Field,
    pub refused: Field,
    pub failed: Field,
    /// Requests that did not get their key at once.
    pub conflicts: Field,
    pub lost_expired: Field,
    pub lost_stolen: Field,
    pub lost_gone: Field,
    pub lost_session: Field,
    pub lost_max_hold: Field,
    pub lost_loop: Field,
    pub lost_closed: Field,
    pub renewals: Field,
    pub failed_renewals: Field,
}

impl Counts {
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let grants = [&self.acquisitions, &self.releases, &self.conflicts];
        let refusals = [&self.timeouts, &self.aborts, &self.refused, &self.failed];
        let renewals = [&self.renewals, &self.failed_renewals];
        grants.into_iter().chain(refusals).chain(self.losses()).chain(renewals)
    }

    /// The losses, in the order of the causes.
    pub fn losses(&self) -> [&Field; 7] {
        [
            &self.lost_expired,
            &self.lost_stolen,
            &self.lost_gone,
            &self.lost_session,
            &self.lost_max_hold,
            &self.lost_loop,
            &self.lost_closed,
        ]
    }
}

/// A store that the process uses.
#[repr(C)]
#[derive(Debug, Default)]
pub struct StoreRow {
    pub sequence: SeqLock,
    /// 0 free, 1 in use, 2 no longer in use.
    pub state: Field,
    /// 0 not asked yet, 1 it has answered, 2 it has not.
    pub reach: Field,
    /// Since when that is so.
    pub since: Field,
    pub last_answer: Field,
    /// Requests in a row that had no answer.
    pub failures: Field,
    /// The store's clock less this machine's, in nanoseconds, signed; how wrong that may be; and when it was seen, 0 for
    /// never.
    pub skew: Field,
    pub skew_error: Field,
    pub skew_at: Field,
    pub engine: TextField<ENGINE>,
    /// The address without secrets.
    pub shown: TextField<SHOWN>,
    /// Why the last request failed that did; stays until the next one.
    pub error: TextField<ERROR>,
    pub counts: Counts,
    /// From a renewal's request to its answer. Belongs to no sequence.
    pub renew: Timing,
}

/// A lease that is held or lost, one of the keys of such a lease, or a request that waits.
#[repr(C)]
#[derive(Debug, Default)]
pub struct LeaseRow {
    pub sequence: SeqLock,
    /// See [`crate::lease::page::sheet::What`].
    pub what: Field,
    /// Unique in the process; 0 for a request.
    pub lease: Field,
    /// Of a request: of the hold that is in its way.
    pub token: Field,
    pub ttl_ms: Field,
    /// Low half: who stood in line when the record was seen last; high half: permits.
    pub counts: Field,
    /// Of the grant, or of the request.
    pub since: Field,
    /// Until when it is held; when it was lost; when the request gives up.
    pub deadline: Field,
    /// When the last write left that renewed it.
    pub renewed: Field,
    pub key: TextField<KEY>,
    pub worker: TextField<WORKER>,
    /// Who has it now, as far as that is known: of what was lost, and of what is waited for.
    pub other: TextField<WORKER>,
}

#[repr(C)]
#[derive(Debug)]
pub struct LeasePage {
    pub header: Header,
    pub stores: [StoreRow; STORES],
    pub leases: [LeaseRow; LEASES],
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Header>() == 72);
    assert!(offset_of!(StoreRow, engine) == 72);
    assert!(offset_of!(StoreRow, counts) == 368);
    assert!(size_of::<StoreRow>() == 368 + 128 + 528);
    assert!(offset_of!(LeaseRow, key) == 72);
    assert!(size_of::<LeaseRow>() == 192);
    assert!(offset_of!(LeasePage, leases) == 72 + 1_024 * STORES);
};
