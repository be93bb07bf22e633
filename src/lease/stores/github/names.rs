//! What refs are called. Any key becomes one part of a ref name that git and URLs take as it is, and no two keys become
//! the same: letters, digits, `-` and `_` stay, every other byte is `=` and two digits, and what is too long for GitHub
//! ends in a digest.

use crate::lease::store::Key;

/// Where locks lie: a namespace of their own, which nobody fetches by accident; or branches, where GitHub refuses that.
pub const OWN: &str = "refs/locks/";
pub const BRANCHES: &str = "refs/heads/locks/";

/// GitHub takes names of at most 244 bytes; these two and what stands around them are less.
const MOST_OF_NAMESPACE: usize = 72;
const MOST_OF_KEY: usize = 140;
/// `=h` and 32 digits: no encoded byte begins so.
const DIGEST: usize = 34;

#[derive(Clone, Debug)]
pub struct Names {
    namespace: String,
}

impl Names {
    pub fn new(namespace: &str) -> Names {
        Names { namespace: encoded(namespace, MOST_OF_NAMESPACE) }
    }

    pub fn of_key(&self, base: &str, key: &Key) -> String {
        format!("{base}{}/{}", self.namespace, encoded(key, MOST_OF_KEY))
    }

    /// What the refs of all keys begin with that begin with this text.
    pub fn of_prefix(&self, base: &str, prefix: &str) -> String {
        let plain: String = prefix.bytes().map(letter).collect();
        // The digest of a long key stands where the text would go on.
        let sure = plain.len().min(MOST_OF_KEY - DIGEST - 3);
        format!("{base}{}/{}", self.namespace, &plain[..sure])
    }

    /// A namespace never ends so: `=s` is no encoded byte.
    pub fn of_session(&self, base: &str, id: &str) -> String {
        format!("{}{id}", self.of_sessions(base))
    }

    pub fn of_sessions(&self, base: &str) -> String {
        format!("{base}{}=sessions/", self.namespace)
    }

    /// The mark that says where the locks of this namespace lie.
    pub fn of_home(&self, base: &str) -> String {
        format!("{base}{}=home", self.namespace)
    }
}

fn letter(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("={other:02X}"),
    }
}

fn encoded(text: &str, most: usize) -> String {
    let whole: String = text.bytes().map(letter).collect();
    if whole.len() <= most {
        return whole;
    }
    let mut kept = String::new();
    for part in text.bytes().map(letter) {
        if kept.len() + part.len() > most - DIGEST {
            break;
        }
        kept += &part;
    }
    format!("{kept}=h{:032x}", digest(text))
}

/// FNV-1a of 128 bits. It keeps apart what nobody made alike on purpose; the message says the whole key, so that two
/// keys with one digest are an error and never one lock.
fn digest(text: &str) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    text.bytes().fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_keys_are_read_as_they_are() {
        let names = Names::new("chainlock");
        assert_eq!(names.of_key(OWN, &"42".into()), "refs/locks/chainlock/42");
        assert_eq!(names.of_key(OWN, &"build/main.lock".into()), "refs/locks/chainlock/build=2Fmain=2Elock");
        assert_eq!(names.of_session(BRANCHES, "0a"), "refs/heads/locks/chainlock=sessions/0a");
    }

    #[test]
    fn the_digest_is_the_published_one() {
        assert_eq!(digest(""), 0x6c62272e07bb014262b821756295c58d);
        assert_eq!(digest("a"), 0xd228cb696f1a8caf78912b704e4a8964);
    }

    fn is_fit(name: &str) -> bool {
        name.len() <= 244
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=/".contains(&byte))
            && name.split('/').all(|part| !part.is_empty())
    }

    proptest! {
        #[test]
        fn every_key_is_a_name_of_its_own(one in "\\PC{1,200}", other in "\\PC{1,200}", space in "[A-Za-z0-9_.-]{1,64}") {
            let names = Names::new(&space);
            for base in [OWN, BRANCHES] {
                let (a, b) = (names.of_key(base, &one.as_str().into()), names.of_key(base, &other.as_str().into()));
                prop_assert!(is_fit(&a) && is_fit(&b), "{a} {b}");
                prop_assert_eq!(a == b, one == other);
                prop_assert!(!a.starts_with(&names.of_sessions(base)) && a != names.of_home(base));
                let cut = one.char_indices().nth(one.chars().count() / 2).map_or(0, |(at, _)| at);
                prop_assert!(a.starts_with(&names.of_prefix(base, &one[..cut])));
            }
        }
    }
}
