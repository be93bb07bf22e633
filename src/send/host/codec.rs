//! Numbers and texts as bytes, and back. Reading is total: what is not there, or is not of the kind, is `None`,
//! and no count that is read makes anybody allocate more than the bytes can hold.

use crate::name::ShortText;

/// A sum of words in which every change of one word changes the result.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = 0x9e37_79b9_7f4a_7c15 ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x2545_f491_4f6c_dd1d);
        sum ^= sum >> 32;
    }
    sum
}

#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn flag(&mut self, value: bool) {
        self.byte(u8::from(value));
    }

    pub fn half(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn word(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn wide(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn text(&mut self, text: &ShortText) {
        let (len, words) = text.parts();
        self.byte(len as u8);
        let from = self.0.len();
        words.iter().for_each(|word| self.word(*word));
        self.0.truncate(from + len as usize);
    }

    pub fn maybe<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    /// A list, after the number of its items.
    pub fn list<T>(&mut self, items: impl Iterator<Item = T>, mut put: impl FnMut(&mut Self, T)) {
        let count_at = self.0.len();
        self.half(0);
        let mut count = 0u32;
        for item in items {
            put(self, item);
            count += 1;
        }
        self.0[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    }
}

#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub fn half(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub fn word(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub fn wide(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }

    /// A text that is clean already: another is none of ours.
    pub fn text(&mut self) -> Option<ShortText> {
        let len = usize::from(self.byte()?);
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        if len == 0 {
            return Some(ShortText::EMPTY);
        }
        let written = std::str::from_utf8(head).ok()?;
        ShortText::name(written).filter(|text| text.parts().0 == len as u64)
    }

    pub fn maybe<T>(&mut self, take: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { take(self).map(Some) } else { Some(None) }
    }

    pub fn list<T>(&mut self, mut take: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.half()?;
        (0..count).map(|_| take(self)).collect()
    }
}
