//! What says whose a hold is: made anew for every request, 128 random bits as 32 hexadecimal digits. As such it is kept
//! in 16 bytes; a text of others may be anything, and is kept as it is.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

const DIGITS: usize = 32;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Nonce(pub Text);

/// Equal texts are kept alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    Digits([u64; 2]),
    Other(Box<str>),
}

impl Nonce {
    pub fn new(high: u64, low: u64) -> Nonce {
        Nonce(Text::Digits([high, low]))
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::Other(Box::default())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        let is_digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = |half: &str| u64::from_str_radix(half, 16).ok();
        let halves = (is_digits && text.len() == DIGITS).then(|| text.split_at(DIGITS / 2));
        match halves.and_then(|(high, low)| Some([number(high)?, number(low)?])) {
            Some(halves) => Text::Digits(halves),
            None => Text::Other(text.into()),
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        text.as_str().into()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text::Digits([high, low]) => write!(f, "{high:016x}{low:016x}"),
            Text::Other(text) => f.write_str(text),
        }
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Text::Digits(_) => to.collect_str(self),
            Text::Other(text) => to.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        from.deserialize_str(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::{Nonce, Text};

    #[test]
    fn a_nonce_is_written_as_it_was_read() {
        let own = "00ff000000000000000000000000000a";
        let others =
            ["", "a", "00FF000000000000000000000000000A", "+0ff000000000000000000000000000a", "ü\"\n"];
        for text in others.into_iter().chain([own]) {
            let json = serde_json::to_string(text).unwrap();
            let nonce: Nonce = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&nonce).unwrap(), json);
            assert_eq!(nonce.0.to_string(), text);
            assert_eq!(nonce, Nonce(text.into()));
            assert_eq!(matches!(nonce.0, Text::Digits(_)), text == own);
        }
        assert_eq!(Nonce(own.into()), Nonce::new(0xff << 48, 10));
        assert!(serde_json::from_str::<Nonce>("7").is_err());
    }
}
