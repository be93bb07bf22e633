//! The page of a lock file, mapped or copied, as a reference.

use crate::host::file::PAGE_BYTES;
use crate::host::page::Page;
use crate::sync::Field;
use crate::sys::file_lock::LockFile;
use once_cell::sync::Lazy;

/// Stands for the page of a file that is not mapped, which `HostFile` never is: nobody reads anything there.
static EMPTY: Lazy<Box<[u64; PAGE_BYTES / 8]>> = Lazy::new(|| Box::new([0; PAGE_BYTES / 8]));

#[inline]
pub fn page_of(file: &LockFile) -> &Page {
    let start = match file.mapped(PAGE_BYTES) {
        Some(start) => start.as_ptr().cast_const(),
        None => EMPTY.as_ptr().cast(),
    };
    // SAFETY: PAGE_BYTES bytes, aligned to a memory page or to words, that stay as long as `file`; a `Page` is
    // smaller, made of atomic words only, and any bytes are one. What a truncation takes away is replaced by
    // zeroes before anybody reads it (`sys::fault`).
    unsafe { &*start.cast::<Page>() }
}

/// The page that was copied into those words; `None` when they are too few.
pub fn page_in(words: &[Field]) -> Option<&Page> {
    if words.len() < size_of::<Page>() / size_of::<Field>() {
        return None;
    }
    // SAFETY: enough words, aligned as such, that live as long as the reference; a `Page` is made of atomic words
    // only, which is what a `Field` is, and any words are one.
    Some(unsafe { &*words.as_ptr().cast::<Page>() })
}
