//! What stands beside a file while it is being extended: 64 bytes, little-endian words.
//!
//! | at | what |
//! |---|---|
//! | 0 | `CHNLAPN1` |
//! | 8 | the inode of the file |
//! | 16 | its size before |
//! | 24 | its size afterwards |
//! | 32 | hash of the last bytes before the new ones, at most 4,096 |
//! | 40 | hash of the new bytes |
//! | 48 | zero |
//! | 56 | hash of all of the above |

use super::temp::{HASH_START, hash};

pub const SIZE: usize = 64;
/// How many bytes before the new ones tell that the file is still the same.
pub const BEFORE: u64 = 4_096;

const MAGIC: u64 = u64::from_le_bytes(*b"CHNLAPN1");
const WORDS: usize = SIZE / 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub inode: u64,
    pub old_size: u64,
    pub new_size: u64,
    pub before: u64,
    pub added: u64,
}

impl Record {
    pub fn to_bytes(self) -> [u8; SIZE] {
        let words = [MAGIC, self.inode, self.old_size, self.new_size, self.before, self.added, 0];
        let mut bytes = [0; SIZE];
        for (room, word) in bytes.chunks_exact_mut(8).zip(words) {
            room.copy_from_slice(&word.to_le_bytes());
        }
        let sum = hash(HASH_START, &bytes[..SIZE - 8]);
        bytes[SIZE - 8..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` for what is not wholly a record: then the writer died before it began with the file itself.
    pub fn from_bytes(bytes: &[u8; SIZE]) -> Option<Self> {
        let mut words = [0; WORDS];
        for (word, eight) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(eight.try_into().ok()?);
        }
        let [magic, inode, old_size, new_size, before, added, zero, sum] = words;
        let is_whole = magic == MAGIC && zero == 0 && sum == hash(HASH_START, &bytes[..SIZE - 8]);
        (is_whole && old_size < new_size).then_some(Self { inode, old_size, new_size, before, added })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record { inode: 7, old_size: 100, new_size: 160, before: 0x11, added: 0x22 };

    #[test]
    fn the_bytes_are_these() {
        let bytes = RECORD.to_bytes();
        let expected = "43484e4c41504e310700000000000000640000000000000\
                        0a00000000000000011000000000000002200000000000000\
                        0000000000000000";
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex[..112], expected[..112]);
        assert_eq!(Record::from_bytes(&bytes), Some(RECORD));
    }

    #[test]
    fn what_is_cut_or_flipped_is_no_record() {
        let bytes = RECORD.to_bytes();
        for bit in 0..SIZE * 8 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::from_bytes(&wrong), None, "bit {bit}");
        }
        for cut in 0..SIZE {
            let mut short = [0; SIZE];
            short[..cut].copy_from_slice(&bytes[..cut]);
            assert_eq!(Record::from_bytes(&short), None, "cut at {cut}");
        }
        let backwards = Record { new_size: 100, ..RECORD };
        assert_eq!(Record::from_bytes(&backwards.to_bytes()), None);
    }
}
