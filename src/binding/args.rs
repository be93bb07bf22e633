//! The arguments of a raw call, read without throwing: what is not of the kind is not there.

use crate::local::names::{Ref, Target};
use crate::name::{MAX_BYTES, ShortText, clean};
use crate::send::dedup::MessageKey;
use napi::sys;
use std::borrow::Cow;
use std::ptr;

/// The most that any call takes.
pub const MOST_ARGS: usize = 8;

/// The longest name, in UTF-16 units, that is read without an allocation.
const SHORT: usize = 128;

/// Where a name is read into.
#[derive(Default)]
pub struct NameRoom {
    /// One more than a short name has, so that a longer one is seen, and the zero behind it.
    short: Option<[u16; SHORT + 2]>,
    long: Vec<u16>,
}

/// Where a label is read into: more than a label may have, because it is cleaned before it is cut.
#[derive(Default)]
pub struct LabelRoom(Option<[u8; 4 * MAX_BYTES]>);

/// The arguments of one call.
pub struct Args {
    pub env: sys::napi_env,
    pub count: usize,
    pub values: [sys::napi_value; MOST_ARGS],
}

impl Args {
    #[inline]
    pub fn value(&self, at: usize) -> Option<sys::napi_value> {
        (at < self.count.min(MOST_ARGS)).then(|| self.values[at])
    }

    /// A layer id; `None` when it is not a string or not a possible name.
    #[inline]
    pub fn name(&self, at: usize) -> Option<ShortText> {
        // Room for one character more than a name may have, so that a longer one is seen to be longer.
        let mut bytes = [0u8; MAX_BYTES + 8];
        let mut length = 0;
        // SAFETY: the value is of this call; the buffer has as many bytes as it says.
        let status = unsafe {
            sys::napi_get_value_string_utf8(
                self.env,
                self.value(at)?,
                bytes.as_mut_ptr().cast(),
                bytes.len(),
                &raw mut length,
            )
        };
        if status != sys::Status::napi_ok {
            return None;
        }
        ShortText::name(std::str::from_utf8(&bytes[..length]).ok()?)
    }

    /// A short text as it is, in little-endian words with zeroes behind it, and its length in bytes; `None` for what
    /// is empty, too long or no string.
    #[inline]
    pub fn words(&self, at: usize, room: &mut [u64; MAX_BYTES / 8 + 1]) -> Option<u64> {
        let mut length = 0;
        let bytes = room.as_mut_ptr().cast();
        // SAFETY: the value is of this call; the room has as many bytes as is said.
        let status = unsafe {
            sys::napi_get_value_string_utf8(self.env, self.value(at)?, bytes, MAX_BYTES + 8, &raw mut length)
        };
        // Words on a machine that has them the other way round.
        *room = room.map(u64::from_le);
        (status == sys::Status::napi_ok && (1..=MAX_BYTES).contains(&length)).then_some(length as u64)
    }

    /// A text as it is; `None` for no string, and for what leaves less of the room free than a character takes: it may
    /// be cut.
    #[inline]
    pub fn utf8<'r>(&self, at: usize, room: &'r mut [u8]) -> Option<&'r str> {
        let mut length = 0;
        let bytes = room.as_mut_ptr().cast();
        // SAFETY: the value is of this call; the room has as many bytes as it says.
        let status = unsafe {
            sys::napi_get_value_string_utf8(self.env, self.value(at)?, bytes, room.len(), &raw mut length)
        };
        if status != sys::Status::napi_ok || length + 4 >= room.len() {
            return None;
        }
        std::str::from_utf8(room.get(..length)?).ok()
    }

    /// A small whole number; what is none is one that nothing has.
    #[inline]
    pub fn index(&self, at: usize) -> usize {
        let mut index = u32::MAX;
        if let Some(value) = self.value(at) {
            // SAFETY: the value is of this call and `index` is writable; it stays as it is for a non-number.
            unsafe { sys::napi_get_value_uint32(self.env, value, &raw mut index) };
        }
        index as usize
    }

    #[inline]
    pub fn number(&self, at: usize) -> Option<f64> {
        let mut number = 0.0;
        // SAFETY: the value is of this call and `number` is writable.
        let status = unsafe { sys::napi_get_value_double(self.env, self.value(at)?, &raw mut number) };
        (status == sys::Status::napi_ok).then_some(number)
    }

    /// A whole number that is not negative.
    #[inline]
    pub fn count(&self, at: usize) -> Option<u64> {
        self.number(at).map(|number| number as u64)
    }

    /// A whole number; 0 for what is none.
    #[inline]
    pub fn whole(&self, at: usize) -> i32 {
        let mut number = 0;
        if let Some(value) = self.value(at) {
            // SAFETY: the value is of this call and `number` is writable; it stays as it is for a non-number.
            unsafe { sys::napi_get_value_int32(self.env, value, &raw mut number) };
        }
        number
    }

    /// Which named lock is meant: its number, or a name.
    #[inline]
    pub fn target<'r>(&self, at: usize, room: &'r mut NameRoom) -> Option<Target<'r>> {
        let value = self.value(at)?;
        let mut number = 0;
        // SAFETY: the value is of this call and `number` is writable.
        let status = unsafe { sys::napi_get_value_uint32(self.env, value, &raw mut number) };
        if status == sys::Status::napi_ok {
            return Some(Target::Ref(Ref(number)));
        }
        self.units(value, room).map(Target::Name)
    }

    fn units<'r>(&self, value: sys::napi_value, room: &'r mut NameRoom) -> Option<&'r [u16]> {
        let short = room.short.insert([0; SHORT + 2]);
        let mut length = 0;
        // SAFETY: the value is of this call; the buffer has as many units as it says.
        let status = unsafe {
            sys::napi_get_value_string_utf16(
                self.env,
                value,
                short.as_mut_ptr(),
                short.len(),
                &raw mut length,
            )
        };
        if status != sys::Status::napi_ok {
            return None;
        }
        if length > SHORT {
            room.long = self.text(value)?;
            return Some(&room.long);
        }
        Some(&short[..length])
    }

    /// A whole text, by its UTF-16 units.
    fn text(&self, value: sys::napi_value) -> Option<Vec<u16>> {
        let mut length = 0;
        // SAFETY: the value is of this call; without a buffer only the length is written.
        let status =
            unsafe { sys::napi_get_value_string_utf16(self.env, value, ptr::null_mut(), 0, &raw mut length) };
        if status != sys::Status::napi_ok {
            return None;
        }
        let mut units = vec![0u16; length + 1];
        // SAFETY: the buffer has as many units as it says.
        unsafe {
            sys::napi_get_value_string_utf16(
                self.env,
                value,
                units.as_mut_ptr(),
                units.len(),
                &raw mut length,
            )
        };
        units.truncate(length);
        Some(units)
    }

    /// A label: cleaned and, where it must, cut; `None` when it is empty or no string.
    pub fn label<'r>(&self, at: usize, room: &'r mut LabelRoom) -> Option<Cow<'r, str>> {
        let value = self.value(at)?;
        let room = room.0.insert([0; 4 * MAX_BYTES]);
        let mut length = 0;
        // SAFETY: the value is of this call; the buffer has as many bytes as it says.
        let status = unsafe {
            sys::napi_get_value_string_utf8(
                self.env,
                value,
                room.as_mut_ptr().cast(),
                room.len(),
                &raw mut length,
            )
        };
        if status != sys::Status::napi_ok || length == 0 {
            return None;
        }
        Some(short(std::str::from_utf8(&room[..length]).ok()?))
    }

    /// A message, by its UTF-16 units, so that no two texts become one.
    pub fn message(&self, at: usize) -> Option<MessageKey> {
        let units = self.text(self.value(at)?)?;
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        Some(MessageKey::of(&bytes))
    }
}

/// A text of others, cleaned and cut to [`MAX_BYTES`] at a character's boundary.
pub fn short(text: &str) -> Cow<'_, str> {
    let end =
        |text: &str| (0..=text.len().min(MAX_BYTES)).rfind(|at| text.is_char_boundary(*at)).unwrap_or(0);
    match clean(text) {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end(text)]),
        Cow::Owned(mut text) => {
            text.truncate(end(&text));
            Cow::Owned(text)
        }
    }
}
