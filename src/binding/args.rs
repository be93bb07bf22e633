//! The arguments of a raw call, read without throwing: what is not of the kind is not there.

use crate::name::{MAX_BYTES, ShortText};
use crate::send::dedup::MessageKey;
use napi::sys;
use std::ptr;

/// The most that any call takes.
pub const MOST_ARGS: usize = 3;

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

    /// A message, by its UTF-16 units, so that no two texts become one.
    pub fn message(&self, at: usize) -> Option<MessageKey> {
        let value = self.value(at)?;
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
        let bytes: Vec<u8> = units[..length].iter().flat_map(|unit| unit.to_le_bytes()).collect();
        Some(MessageKey::of(&bytes))
    }
}
