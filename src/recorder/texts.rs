//! Names and labels by number, so that a record carries numbers and no text is copied per event.
//!
//! A text keeps its number as long as its generation lives. When there are many texts, a new generation begins; the
//! old one goes when everything was read that was reserved before. A number of the old generation cannot come later:
//! numbers are looked up after a place in the ring is reserved (`Ring::reserved_now`).

use crate::name::{ShortText, clean};
use crate::sync::{Arc, Field, Mutex, Ordering, StaticU64};
use std::collections::HashMap;

/// So many texts make a generation.
pub const MOST: usize = 16_384;
/// The longest text, in bytes.
pub const LONGEST: usize = 1_024;

/// A text as somebody has it.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    None,
    Plain(&'a str),
    Short(&'a ShortText),
    /// UTF-16, in which half a surrogate pair may stand alone.
    Wide(&'a [u16]),
}

/// The number that a text was given, kept beside it: the generation above the number.
#[derive(Debug, Default)]
pub struct Kept(Field);

#[derive(Debug)]
pub struct Texts {
    /// The number of the present generation.
    generation: StaticU64,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    present: Generation,
    old: Option<Generation>,
}

#[derive(Debug)]
struct Generation {
    number: u64,
    first: u32,
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Generation {
    fn new(number: u64, first: u32) -> Self {
        let mut made = Self { number, first, texts: Vec::new(), numbers: HashMap::new() };
        // Number 0 of all is the empty text, which is none.
        made.number_of("");
        made
    }

    fn number_of(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let text: Arc<str> = text.into();
        let number = self.first.wrapping_add(self.texts.len() as u32);
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    fn text(&self, number: u32) -> Option<&Arc<str>> {
        self.texts.get(number.wrapping_sub(self.first) as usize)
    }
}

impl Default for Texts {
    fn default() -> Self {
        let inside = Inside { present: Generation::new(1, 0), old: None };
        Self { generation: StaticU64::new(1), inside: Mutex::new(inside) }
    }
}

/// A text as it is written down: clean, and not too long.
pub fn written(text: &str) -> String {
    let mut text = clean(text).into_owned();
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

impl Texts {
    /// The number of a text; 0 for none.
    #[inline(always)]
    pub fn number(&self, text: Text<'_>, kept: Option<&Kept>) -> u32 {
        if matches!(text, Text::None) {
            return 0;
        }
        let Some(Kept(kept)) = kept else { return self.look_up(text).1 };
        // Relaxed: the place in the ring that was reserved before orders it.
        let (generation, known) = (self.generation.load(Ordering::Relaxed), kept.get());
        if known >> 32 == generation {
            return known as u32;
        }
        let (generation, number) = self.look_up(text);
        kept.set(generation << 32 | u64::from(number));
        number
    }

    #[cold]
    fn look_up(&self, text: Text<'_>) -> (u64, u32) {
        let text = match text {
            Text::None => return (0, 0),
            Text::Plain(text) => written(text),
            Text::Short(text) => text.to_text(),
            Text::Wide(text) => written(&String::from_utf16_lossy(text)),
        };
        let mut inside = self.inside.lock();
        let number = inside.present.number_of(&text);
        (inside.present.number, number)
    }

    /// The text of a number, for the reader.
    pub fn text(&self, number: u32) -> Option<Arc<str>> {
        let inside = self.inside.lock();
        let old = inside.old.as_ref();
        inside.present.text(number).or_else(|| old?.text(number)).filter(|text| !text.is_empty()).cloned()
    }

    pub fn is_crowded(&self) -> bool {
        let inside = self.inside.lock();
        inside.present.texts.len() >= MOST && inside.old.is_none()
    }

    /// Begins a new generation.
    pub fn turn_over(&self) {
        let mut inside = self.inside.lock();
        let Generation { number, first, ref texts, .. } = inside.present;
        let next = Generation::new(number + 1, first.wrapping_add(texts.len() as u32));
        inside.old = Some(std::mem::replace(&mut inside.present, next));
        self.generation.store(number + 1, Ordering::Relaxed);
    }

    /// Nobody has a number of the old generation any more.
    pub fn drop_old(&self) {
        self.inside.lock().old = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number_and_outlives_its_generation_until_that_is_dropped() {
        let (texts, kept) = (Texts::default(), Kept::default());
        let first = texts.number(Text::Plain("deploy"), Some(&kept));
        assert_eq!(first, texts.number(Text::Wide(&"deploy".encode_utf16().collect::<Vec<_>>()), None));
        assert_eq!(first, texts.number(Text::Plain("deploy"), Some(&kept)));
        texts.turn_over();
        let second = texts.number(Text::Plain("deploy"), Some(&kept));
        assert_ne!(first, second);
        let shown = |number| texts.text(number).map(|text| text.to_string());
        assert_eq!([shown(first), shown(second)], [Some("deploy".into()), Some("deploy".into())]);
        texts.drop_old();
        assert_eq!([shown(first), shown(second)], [None, Some("deploy".into())]);
    }

    #[test]
    fn a_text_is_clean_and_not_too_long() {
        let texts = Texts::default();
        let number = texts.number(Text::Plain(&format!("a\x1b[2J{}", "ü".repeat(1_000))), None);
        let text = texts.text(number).unwrap();
        assert!(text.starts_with("a\u{fffd}[2Jüüü") && text.len() <= LONGEST, "{}", text.len());
        assert_eq!(texts.number(Text::None, None), 0);
        assert_eq!(texts.text(0), None);
    }
}
