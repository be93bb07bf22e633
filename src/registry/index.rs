//! Finding a process by its id: open addressing, within a window that never grows. A place is filled by a swap
//! and emptied by whoever removed the entry; nothing is ever moved, so that a reader needs no second look.
//!
//! The index only says where an id may lie: whoever finds a place looks at the entry itself.

use crate::registry::layout::{GROUP, ID, INDEX, Registry, WINDOW};
use crate::registry::text::Text;
use crate::sync::{AtomicU64, Ordering, fence};

/// An id, ready to be looked for.
#[derive(Clone, Copy, Debug)]
pub struct Key<'t> {
    pub len: u64,
    pub words: &'t [u64],
    hash: u64,
}

const HALF: u32 = 32;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Both halves of a product: every bit of the result hangs on every bit given (as wyhash does it, which takes two
/// words at a time, too).
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl<'t> Key<'t> {
    /// Of a text's length and words.
    #[inline]
    pub fn new((len, words): (u64, &'t [u64]), seed: u64) -> Self {
        let mut hash = seed ^ len;
        for pair in words.chunks(2) {
            hash = fold(hash ^ pair[0], FACTOR ^ pair.get(1).copied().unwrap_or(0));
        }
        Self { len, words, hash }
    }

    #[inline]
    fn home(&self) -> usize {
        self.hash as usize % (INDEX / GROUP) * GROUP
    }

    #[inline]
    fn fingerprint(&self) -> u64 {
        self.hash >> HALF << HALF
    }
}

impl Registry {
    #[inline]
    pub fn key<'t>(&self, id: &'t Text<ID>) -> Key<'t> {
        Key::new(id.parts(), self.header.seed.get())
    }

    #[inline]
    fn window(&self, key: &Key) -> impl Iterator<Item = &AtomicU64> {
        let home = key.home();
        (home..home + WINDOW).map(|at| &self.index[at % INDEX])
    }

    /// Entries that may have the id, in the order of the index.
    #[inline]
    pub fn candidates(&self, key: &Key) -> impl Iterator<Item = usize> {
        let fingerprint = key.fingerprint();
        self.window(key).filter_map(move |slot| {
            // Acquire: pairs with the Release in `enter`: who finds the place finds the entry.
            let word = slot.load(Ordering::Acquire);
            let is_it = word >> HALF << HALF == fingerprint;
            if is_it { (word as u32).checked_sub(1).map(|place| place as usize) } else { None }
        })
    }

    /// Writes an entry down under its id; false when there is no room near its place.
    pub fn enter(&self, key: &Key, place: usize) -> bool {
        let word = key.fingerprint() | (place as u64 + 1);
        let entered = self.window(key).any(|slot| {
            // Release: pairs with the Acquire in `candidates`.
            slot.compare_exchange(0, word, Ordering::Release, Ordering::Relaxed).is_ok()
        });
        // Pairs with the same fence of whoever enters the same id at the same time: at least one of the two sees
        // the other's word when it looks through the window after this.
        fence(Ordering::SeqCst);
        entered
    }

    /// Takes the entry's word out again; only who has removed the entry does.
    pub fn strike(&self, key: &Key, place: usize) {
        let word = key.fingerprint() | (place as u64 + 1);
        if let Some(slot) = self.window(key).find(|slot| slot.load(Ordering::Relaxed) == word) {
            // Release: pairs with the Acquire in `candidates`: who no longer finds it here comes after the removal.
            slot.store(0, Ordering::Release);
        }
    }
}
