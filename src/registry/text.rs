//! Texts of bounded length: by themselves, and as they lie in shared memory. A length and little-endian words;
//! what lies behind the length is left over from a longer text, and is not looked at.

use crate::name::clean;
use crate::sync::Field;
use std::borrow::Cow;

/// Stands where a text was cut.
const MARK: &str = "…";
/// Ends each argument of a command line, as in `/proc/PID/cmdline`; a cleaned text never has one.
const ARG_END: char = '\0';

#[derive(Clone, Copy, Debug)]
pub struct Text<const WORDS: usize> {
    len: u64,
    words: [u64; WORDS],
}

impl<const WORDS: usize> Default for Text<WORDS> {
    fn default() -> Self {
        Self { len: 0, words: [0; WORDS] }
    }
}

impl<const WORDS: usize> Text<WORDS> {
    pub const MOST: usize = WORDS * 8;

    fn pack(bytes: &[u8]) -> Self {
        let mut text = Self { len: bytes.len() as u64, ..Self::default() };
        for (word, chunk) in text.words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(padded);
        }
        text
    }

    /// The text, cleaned and never cut; `None` when it is too long.
    pub fn whole(text: &str) -> Option<Self> {
        let clean = clean(text);
        (clean.len() <= Self::MOST).then(|| Self::pack(clean.as_bytes()))
    }

    /// The text, cleaned; what is too long ends in a mark.
    pub fn cut(text: &str) -> Self {
        Self::pack(cut(&clean(text), Self::MOST).as_bytes())
    }

    /// The arguments of a command, each cleaned; where they are too long together, the last one has a mark.
    pub fn of_args<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Self {
        let args: Vec<String> = args.into_iter().map(|arg| clean(arg.as_ref()).into_owned()).collect();
        let fits = args.iter().map(|arg| arg.len() + 1).sum::<usize>() <= Self::MOST;
        let mut all = String::new();
        for arg in args {
            // Room for its end, and for the mark that stands for all that do not fit.
            let room = Self::MOST - all.len() - 1;
            if !fits && arg.len() + MARK.len() + 1 > room {
                all.push_str(&cut(&format!("{arg}{MARK}"), room));
                all.push(ARG_END);
                break;
            }
            all.push_str(&arg);
            all.push(ARG_END);
        }
        Self::pack(all.as_bytes())
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Length in bytes, and the words that carry them.
    #[inline]
    pub fn parts(&self) -> (u64, &[u64]) {
        (self.len, &self.words[..self.words_used()])
    }

    #[inline]
    fn words_used(&self) -> usize {
        words_of::<WORDS>(self.len)
    }

    /// As somebody else may have written it: cleaned again.
    pub fn to_text(&self) -> String {
        clean(&self.raw()).into_owned()
    }

    /// As [`Text::to_text`], of what [`Text::of_args`] has made.
    pub fn to_args(&self) -> Vec<String> {
        let raw = self.raw();
        let args = raw.strip_suffix(ARG_END).map(|all| all.split(ARG_END));
        args.into_iter().flatten().map(|arg| clean(arg).into_owned()).collect()
    }

    /// Appends its bytes.
    #[inline]
    pub fn push_to(&self, bytes: &mut Vec<u8>) {
        let end = bytes.len() + self.len as usize;
        for word in self.parts().1 {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(end);
    }

    /// Whether it is the same text; what lies behind the length does not count.
    pub fn is_same(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }

    fn raw(&self) -> String {
        let mut bytes = Vec::new();
        self.push_to(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Words that carry so many bytes; never more than there are, whatever the length says.
#[inline]
fn words_of<const WORDS: usize>(len: u64) -> usize {
    (len as usize).div_ceil(8).min(WORDS)
}

fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let end = (0..=most.saturating_sub(MARK.len())).rfind(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let mark = if most < MARK.len() { "" } else { MARK };
    Cow::Owned(format!("{}{mark}", &text[..end]))
}

/// A [`Text`] in shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct TextField<const WORDS: usize> {
    len: Field,
    words: [Field; WORDS],
}

impl<const WORDS: usize> TextField<WORDS> {
    #[inline]
    pub fn set(&self, text: &Text<WORDS>) {
        self.len.set(text.len);
        for (field, word) in self.words.iter().zip(text.parts().1) {
            field.set(*word);
        }
    }

    /// Copies what is there, which may be half of another text by now: the caller looks again.
    #[inline]
    pub fn get(&self, text: &mut Text<WORDS>) {
        text.len = self.len.get().min(Text::<WORDS>::MOST as u64);
        let used = text.words_used();
        for (word, field) in text.words[..used].iter_mut().zip(&self.words) {
            *word = field.get();
        }
    }

    #[inline]
    pub fn copy_from(&self, other: &Self) {
        let len = other.len.get();
        self.len.set(len);
        for (field, from) in self.words[..words_of::<WORDS>(len)].iter().zip(&other.words) {
            field.set(from.get());
        }
    }

    /// Whether it is a text of that length and these words.
    #[inline]
    pub fn is(&self, len: u64, words: &[u64]) -> bool {
        self.len.get() == len && words.iter().zip(&self.words).all(|(word, field)| field.get() == *word)
    }
}

impl<const WORDS: usize> Default for TextField<WORDS> {
    fn default() -> Self {
        Self { len: Field::default(), words: std::array::from_fn(|_| Field::default()) }
    }
}

#[cfg(all(test, not(any(feature = "loom", feature = "shuttle"))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_too_long_says_so() {
        assert!(Text::<2>::whole("sixteen bytes it").is_some());
        assert!(Text::<2>::whole("seventeen bytes..").is_none());
        assert_eq!(Text::<2>::cut("seventeen bytes..").to_text(), "seventeen byt…");
        assert_eq!(Text::<2>::cut("ééééééééé").to_text(), "éééééé…", "no character is cut in half");
        assert_eq!(Text::<2>::cut("a\nb\x1b[2J").to_text(), "a\u{fffd}b\u{fffd}[2J");
    }

    #[test]
    fn arguments_come_back_as_they_were_given() {
        let args = |given: &[&str]| Text::<3>::of_args(given).to_args();
        for given in [
            &[][..],
            &[""],
            &["", ""],
            &["-e", "x y", ""],
            &["12345678901234567890123"],
            &["12345678901234567890", "22"],
        ] {
            assert_eq!(args(given), given);
        }
        assert_eq!(args(&["-e", "1234567890123456789012"]), ["-e", "12345678901234567…"]);
        assert_eq!(args(&["1234567890123456789", "2", "33"]), ["1234567890123456789", "…"]);
        assert_eq!(args(&["a\0b"]), ["a\u{fffd}b"]);
    }

    proptest! {
        #[test]
        fn no_text_is_longer_than_its_field_or_unprintable(texts in prop::collection::vec(any::<String>(), 0..6)) {
            let plain = |text: &str| clean(text) == text;
            for text in &texts {
                prop_assert!(plain(&Text::<4>::cut(text).to_text()));
            }
            let args = Text::<4>::of_args(&texts);
            prop_assert!(args.len <= 32);
            let back = args.to_args();
            prop_assert!(back.len() <= texts.len() && back.iter().all(|arg| plain(arg)));
        }

        #[test]
        fn foreign_words_never_panic(len in any::<u64>(), words in any::<[u64; 4]>()) {
            let field = TextField::<4>::default();
            field.len.set(len);
            field.words.iter().zip(words).for_each(|(field, word)| field.set(word));
            let mut text = Text::default();
            field.get(&mut text);
            prop_assert!(clean(&text.to_text()) == text.to_text() && text.to_args().len() <= 33);
        }
    }
}
