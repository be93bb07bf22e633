//! The file: where its parts lie, and how a state gets into it and out of it. `docs/formats/send-state.md`.
//!
//! Two slots take turns: state n lies in slot n mod 2. A state's bytes are written first, then the slot's head
//! with their sum; who dies in between leaves the old state. A head that makes no sense is a death in the middle
//! only when the page says that somebody was in the middle; else it is damage, and nothing is decided by it.

use super::codec::{Reader, Writer, checksum};
use super::fault::Fault;
use crate::send::dedup::{MessageKey, News};
use crate::sys::host_file::{HostFile, Mapped};
use crate::table::layout::HostPage;
use crate::time::Nanos;
use std::mem::size_of;

pub const MAGIC: [u8; 8] = *b"CHNLSEND";
pub const VERSION: u64 = 1;
const HEAD: usize = 64;
const SLOT_HEAD: usize = 32;
const SLOT_HEADS_AT: u64 = 64;
pub const PAGE_AT: u64 = 4096;
pub const PAGE_SIZE: usize = size_of::<HostPage>().next_multiple_of(4096);
const LOG_AT: u64 = PAGE_AT + PAGE_SIZE as u64;
/// Records of the log: what is remembered, as much forgotten, and what was forgotten of before; and room for those of
/// an operation that died.
pub const LOG: u64 = 3 * crate::send::dedup::REMEMBERED as u64 + 64;
/// How far back the log is read.
pub const LOG_KEPT: u64 = LOG - 64;
const RECORD: usize = 32;
pub const SLOTS_AT: u64 = (LOG_AT + LOG * RECORD as u64).next_multiple_of(4096);
/// The largest state: the longest line and a message for everybody in it.
pub const SLOT_SIZE: u64 = 8 << 20;
/// The bytes by whose locks the members are known to live: beyond everything that is ever written.
pub const LIVES_AT: u64 = 1 << 40;
/// The most processes that can share one lock.
pub const MOST_MEMBERS: u32 = 256;

#[derive(Debug)]
pub struct Store {
    pub file: HostFile,
}

/// Which state lies in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub sequence: u64,
    length: u64,
    sum: u64,
}

/// Where an operation may die; for the tests, which die there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    BeforeLog,
    BeforePayload,
    HalfPayload,
    BeforeHead,
    HalfHead,
    AfterHead,
}

impl Slot {
    fn bytes(&self) -> [u8; SLOT_HEAD] {
        let mut out = Writer::default();
        [self.sequence, self.length, self.sum].into_iter().for_each(|word| out.word(word));
        out.word(checksum(&out.0));
        let mut bytes = [0; SLOT_HEAD];
        bytes.copy_from_slice(&out.0);
        bytes
    }

    /// `Err` for bytes that are no head, `Ok(None)` for a slot that was never written.
    fn read(bytes: [u8; SLOT_HEAD], parity: u64) -> Result<Option<Slot>, ()> {
        if bytes == [0; SLOT_HEAD] {
            return Ok(None);
        }
        let mut from = Reader(&bytes);
        let mut word = || from.word().ok_or(());
        let slot = Slot { sequence: word()?, length: word()?, sum: word()? };
        let is_one = slot.bytes() == bytes && slot.length <= SLOT_SIZE && slot.sequence % 2 == parity;
        if is_one { Ok(Some(slot)) } else { Err(()) }
    }
}

impl Store {
    /// The bytes of the newest state, read by somebody who has not the lock: what was being written meanwhile is no
    /// state, and then the one before it may be.
    pub fn newest_of(read: &impl Fn(&mut [u8], u64) -> bool) -> Result<Vec<u8>, &'static str> {
        let mut head = [0; HEAD];
        if !read(&mut head, 0) || head[..8] != MAGIC {
            return Err("not_a_lock");
        }
        if head != Self::head() {
            return Err("version");
        }
        let mut heads = [[0; SLOT_HEAD]; 2];
        if !read(heads.as_flattened_mut(), SLOT_HEADS_AT) {
            return Err("torn");
        }
        let mut slots: Vec<Slot> = [Slot::read(heads[0], 0), Slot::read(heads[1], 1)]
            .into_iter()
            .filter_map(|slot| slot.ok().flatten())
            .collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.sequence));
        let whole = slots.into_iter().find_map(|slot| {
            let mut bytes = vec![0; slot.length as usize];
            let is_read = read(&mut bytes, SLOTS_AT + slot.sequence % 2 * SLOT_SIZE);
            (is_read && checksum(&bytes) == slot.sum).then_some(bytes)
        });
        whole.ok_or("torn")
    }

    /// Whether the file is one of ours; false for one that is still empty.
    pub fn is_made(&self) -> Result<bool, Fault> {
        if self.file.facts()?.size < HEAD as u64 {
            return Ok(false);
        }
        let mut head = [0; HEAD];
        self.file.read_at(&mut head, 0)?;
        if head == [0; HEAD] {
            return Ok(false);
        }
        if head[..8] != MAGIC {
            return Err(Fault::foreign("it is not a state of the send lock"));
        }
        if head != Self::head() {
            return Err(Fault::foreign("another version of chainlock made it; give the lock another name"));
        }
        self.check().map(|()| true)
    }

    fn head() -> [u8; HEAD] {
        let mut out = Writer(MAGIC.to_vec());
        [VERSION, PAGE_SIZE as u64, LOG, SLOT_SIZE].into_iter().for_each(|word| out.word(word));
        out.word(checksum(&out.0));
        let mut head = [0; HEAD];
        head[..out.0.len()].copy_from_slice(&out.0);
        head
    }

    /// Room for all that is mapped or written in place.
    pub fn make_room(&self) -> Result<(), Fault> {
        Ok(self.file.reserve(SLOTS_AT)?)
    }

    /// Forgets everything on the page and in the log.
    pub fn wipe(&self) -> Result<(), Fault> {
        let zeroes = vec![0; (SLOTS_AT - PAGE_AT) as usize];
        Ok(self.file.write_at(&zeroes, PAGE_AT)?)
    }

    /// Says that the file is whole: last.
    pub fn finish(&self) -> Result<(), Fault> {
        Ok(self.file.write_at(&Self::head(), 0)?)
    }

    pub fn map(&self) -> Result<Mapped, Fault> {
        Ok(self.file.map(PAGE_AT, PAGE_SIZE)?)
    }

    /// The mapped part is still there, and the file still has its name.
    pub fn check(&self) -> Result<(), Fault> {
        let facts = self.file.facts()?;
        if facts.links == 0 {
            return Err(Fault::deleted());
        }
        if facts.size < SLOTS_AT { Err(Fault::damaged("it was cut off")) } else { Ok(()) }
    }

    /// The newest state's slot. `in_the_middle`: the last operation did not come to its end.
    pub fn newest(&self, in_the_middle: bool) -> Result<Option<Slot>, Fault> {
        let mut heads = [[0; SLOT_HEAD]; 2];
        self.file.read_at(heads.as_flattened_mut(), SLOT_HEADS_AT)?;
        match [Slot::read(heads[0], 0), Slot::read(heads[1], 1)] {
            [Ok(Some(even)), Ok(Some(odd))] if even.sequence.abs_diff(odd.sequence) == 1 => {
                Ok(Some(if even.sequence > odd.sequence { even } else { odd }))
            }
            [Ok(only), Ok(None)] => Ok(only),
            [Ok(whole), Err(())] | [Err(()), Ok(whole)] if in_the_middle => Ok(whole),
            _ => Err(Fault::damaged("its bytes were changed")),
        }
    }

    /// The bytes of a slot's state.
    pub fn payload(&self, slot: Slot) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; slot.length as usize];
        let at = SLOTS_AT + slot.sequence % 2 * SLOT_SIZE;
        self.file.read_at(&mut bytes, at).map_err(|_| Fault::damaged("it was cut off"))?;
        if checksum(&bytes) == slot.sum { Ok(bytes) } else { Err(Fault::damaged("its bytes were changed")) }
    }

    /// Puts state `sequence` into its slot. `at` is told each point that is passed, and stops there by an error.
    pub fn commit(
        &self,
        sequence: u64,
        bytes: &[u8],
        at: impl Fn(Point) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if bytes.len() as u64 > SLOT_SIZE {
            return Err(Fault::full());
        }
        let payload_at = SLOTS_AT + sequence % 2 * SLOT_SIZE;
        at(Point::BeforePayload)?;
        if cfg!(test) {
            self.file.write_at(&bytes[..bytes.len() / 2], payload_at)?;
            at(Point::HalfPayload)?;
        }
        self.file.write_at(bytes, payload_at)?;
        at(Point::BeforeHead)?;
        let head = Slot { sequence, length: bytes.len() as u64, sum: checksum(bytes) }.bytes();
        let head_at = SLOT_HEADS_AT + sequence % 2 * SLOT_HEAD as u64;
        if cfg!(test) {
            self.file.write_at(&head[..12], head_at)?;
            at(Point::HalfHead)?;
        }
        self.file.write_at(&head, head_at)?;
        at(Point::AfterHead)
    }

    /// Appends to the log, after record `from`.
    pub fn log(&self, from: u64, news: &[News]) -> Result<(), Fault> {
        for (number, (key, at)) in (from..).zip(news) {
            self.file.write_at(&record(number, *key, *at), LOG_AT + number % LOG * RECORD as u64)?;
        }
        Ok(())
    }

    /// The records after `from`, up to `to`, as far as they are kept.
    pub fn logged(&self, from: u64, to: u64) -> Result<Vec<News>, Fault> {
        let from = from.max(to.saturating_sub(LOG_KEPT));
        let mut news = Vec::with_capacity((to - from.min(to)) as usize);
        let mut bytes = [0; RECORD];
        for number in from..to {
            self.file.read_at(&mut bytes, LOG_AT + number % LOG * RECORD as u64)?;
            let mut from = Reader(&bytes);
            let (Some(key), Some(at)) = (from.wide(), from.word()) else { break };
            let (key, at) = (MessageKey(key), (at != 0).then_some(Nanos(at)));
            if record(number, key, at) != bytes {
                return Err(Fault::damaged("its bytes were changed"));
            }
            news.push((key, at));
        }
        Ok(news)
    }

    /// Takes the first slot of a life that nobody has.
    pub fn begin_life(&self) -> Result<Option<u32>, Fault> {
        for slot in 0..MOST_MEMBERS {
            if self.file.lock_byte(LIVES_AT + u64::from(slot))? {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// Whether the process that has this slot lives. One that cannot be asked about does.
    pub fn lives(&self, slot: u32) -> bool {
        self.file.is_byte_locked(LIVES_AT + u64::from(slot)).unwrap_or(true)
    }
}

fn record(number: u64, key: MessageKey, at: Option<Nanos>) -> [u8; RECORD] {
    let mut out = Writer::default();
    out.wide(key.0);
    out.word(at.map_or(0, |at| at.0.max(1)));
    let sum = checksum(&[&out.0[..], &number.to_le_bytes()[..]].concat());
    out.word(sum);
    let mut bytes = [0; RECORD];
    bytes.copy_from_slice(&out.0);
    bytes
}
