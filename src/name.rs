//! Names and other short texts from outside, cleaned once, where they enter.
//!
//! A layer id or a reason ends up in terminals, logs and other people's screens. What could move a
//! cursor, hide or reorder text, or forge a line becomes U+FFFD here, and nothing behind this door has to
//! think of it again.

use std::borrow::Cow;

/// The longest text kept, in UTF-8 bytes.
pub const MAX_BYTES: usize = 64;
const WORDS: usize = MAX_BYTES / 8;

/// Whether a character may not reach a screen: C0, DEL and C1 controls, bidirectional marks, embeddings
/// and isolates, zero-width and invisible characters, line and paragraph separators, interlinear
/// annotation, tags and the byte order mark.
fn is_unprintable(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Printable ASCII: what nearly every name is made of.
#[inline]
fn is_plain(byte: &u8) -> bool {
    (0x20..0x7f).contains(byte)
}

/// The text with every unprintable character replaced by U+FFFD.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unprintable) {
        Cow::Owned(text.chars().map(|c| if is_unprintable(c) { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// A cleaned text of at most [`MAX_BYTES`] bytes, as it lies in the lock table: a length and zero-padded
/// little-endian words, so that comparing and copying are a few word operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShortText {
    len: u64,
    words: [u64; WORDS],
}

impl ShortText {
    pub const EMPTY: Self = Self { len: 0, words: [0; WORDS] };

    /// Cleans and, where it must, cuts the text at a character boundary.
    pub fn cut(text: &str) -> Self {
        let clean = clean(text);
        let mut end = clean.len().min(MAX_BYTES);
        while !clean.is_char_boundary(end) {
            end -= 1;
        }
        Self::pack(&clean.as_bytes()[..end])
    }

    /// The text as a name: cleaned, but never cut, because two names must not become one. `None` when it
    /// is empty or longer than [`MAX_BYTES`].
    pub fn name(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_BYTES {
            return None;
        }
        if text.as_bytes().iter().all(is_plain) {
            return Some(Self::pack(text.as_bytes()));
        }
        let clean = clean(text);
        (clean.len() <= MAX_BYTES).then(|| Self::pack(clean.as_bytes()))
    }

    #[inline]
    fn pack(bytes: &[u8]) -> Self {
        let mut padded = [0u8; MAX_BYTES];
        padded[..bytes.len()].copy_from_slice(bytes);
        let mut words = [0u64; WORDS];
        for (word, chunk) in words.iter_mut().zip(padded.chunks_exact(8)) {
            *word = u64::from_le_bytes([
                chunk[0], chunk[1], chunk[2], chunk[3], chunk[4], chunk[5], chunk[6], chunk[7],
            ]);
        }
        Self { len: bytes.len() as u64, words }
    }

    /// From words that somebody else may have written: cut and cleaned again, never trusted.
    pub fn from_words(len: u64, words: [u64; WORDS]) -> Self {
        let mut bytes = [0; MAX_BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        let bytes = &bytes[..(len as usize).min(MAX_BYTES)];
        if bytes.iter().all(is_plain) {
            return Self::pack(bytes);
        }
        Self::cut(&String::from_utf8_lossy(bytes))
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Length in bytes, and the words that carry them.
    #[inline]
    pub fn parts(&self) -> (u64, &[u64]) {
        (self.len, &self.words[..(self.len as usize).div_ceil(8)])
    }

    pub fn to_text(&self) -> String {
        let mut bytes = Vec::with_capacity(MAX_BYTES);
        for word in self.words {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(self.len as usize);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_drive_a_terminal_is_replaced() {
        for bad in
            ["\x1b[2J", "\u{9b}2J", "a\rb", "a\x08b", "\u{202e}x", "\u{2066}x", "\u{feff}x", "a\nb", "\0"]
        {
            let text = ShortText::cut(bad).to_text();
            assert!(!text.chars().any(is_unprintable) && text.contains('\u{fffd}'), "{bad:?} -> {text:?}");
        }
        assert_eq!(ShortText::cut("Ünïcode 漢字 🔒").to_text(), "Ünïcode 漢字 🔒");
    }

    #[test]
    fn a_name_is_never_cut() {
        assert!(ShortText::name(&"a".repeat(64)).is_some());
        assert!(ShortText::name(&"a".repeat(65)).is_none());
        assert!(ShortText::name("").is_none());
        assert!(ShortText::name(&"\n".repeat(40)).is_none(), "cleaning made it longer than a name may be");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]
        #[test]
        fn no_string_gets_a_control_character_through(text in any::<String>()) {
            let short = ShortText::cut(&text);
            let shown = short.to_text();
            prop_assert!(shown.len() <= MAX_BYTES && !shown.chars().any(is_unprintable));
            let (len, words) = short.parts();
            let mut all = [0u64; WORDS];
            all[..words.len()].copy_from_slice(words);
            prop_assert_eq!(ShortText::from_words(len, all), short, "the table gives back what it was given");
        }

        #[test]
        fn foreign_words_never_panic(len in any::<u64>(), words in any::<[u64; WORDS]>()) {
            let text = ShortText::from_words(len, words).to_text();
            prop_assert!(text.len() <= MAX_BYTES && !text.chars().any(is_unprintable));
        }
    }
}
