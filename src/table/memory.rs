//! Where a table's bytes lie: a sealed memory file that others may map read-only where the system has
//! such a thing, ordinary memory elsewhere.

use crate::name::ShortText;
use crate::sync::{Field, Ordering, fence};
use crate::sys::host_file::Mapped;
use crate::sys::map::{self, View};
use crate::table::layout::{Header, HostPage, LAYOUT_VERSION, MAGIC, Table};
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::mem::size_of;

/// What the memory file is called among a process's descriptors.
pub const TABLE_NAME: &str = "chainlock-table";

/// The process's table: made once, never freed.
pub fn process_table() -> &'static Table {
    let table = match map::shared_zeroed(size_of::<Table>(), TABLE_NAME) {
        Some(start) => {
            // SAFETY: `start` is page-aligned memory of at least `size_of::<Table>()` zero bytes, which
            // are a valid `Table` (all fields are words), mapped for the life of the process.
            unsafe { &*start.cast::<Table>().as_ptr() }
        }
        None => ordinary_table(),
    };
    table.header.layout_version.set(LAYOUT_VERSION);
    table.header.pid.set(u64::from(std::process::id()));
    table.header.size.set(size_of::<Table>() as u64);
    table.header.version.set(&ShortText::cut(env!("CHAINLOCK_VERSION")));
    // The magic comes last. Pairs with the acquire fence that a reader puts after reading it: who finds the
    // magic finds the rest.
    fence(Ordering::Release);
    table.header.magic.set(MAGIC);
    table
}

/// A table in ordinary memory, of which the system gives only what is touched.
pub fn ordinary_table() -> &'static Table {
    let layout = Layout::new::<Table>();
    // SAFETY: a `Table` has a size.
    let start = unsafe { alloc_zeroed(layout) }.cast::<Table>();
    if start.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: fresh memory of that layout, never given back; zero bytes are a valid `Table` (all fields are
    // words).
    unsafe { &*start }
}

/// Another process's table. Where there is none of this layout, the version of the one that there is.
pub fn foreign_table(view: &View) -> Result<&Table, Option<u64>> {
    let (start, size) = view.parts();
    if size < size_of::<Header>() {
        return Err(None);
    }
    // SAFETY: page-aligned, readable memory of enough bytes, mapped as long as the view lives. Any bytes are a
    // valid header: all fields are words.
    let header = unsafe { &*start.cast::<Header>().as_ptr() };
    if header.magic.get() != MAGIC {
        return Err(None);
    }
    // Pairs with the release fence in `process_table`: behind the magic lies the rest.
    fence(Ordering::Acquire);
    if header.layout_version.get() != LAYOUT_VERSION {
        return Err(Some(header.layout_version.get()));
    }
    if size < size_of::<Table>() {
        return Err(None);
    }
    // SAFETY: as above, of enough bytes for a whole table; only read, by atomic loads.
    Ok(unsafe { &*start.cast::<Table>().as_ptr() })
}

/// The page that processes share; `None` when the mapping is too short for one.
pub fn host_page(mapped: &Mapped) -> Option<&'static HostPage> {
    let (start, size) = mapped.parts();
    if size < size_of::<HostPage>() {
        return None;
    }
    // SAFETY: page-aligned, writable memory of enough bytes, mapped for the life of the process. Any bytes are
    // a valid page: all fields are words.
    Some(unsafe { &*start.cast::<HostPage>().as_ptr() })
}

/// The page that was copied into those words; `None` when they are too few.
pub fn host_page_in(words: &[Field]) -> Option<&HostPage> {
    if words.len() < size_of::<HostPage>() / size_of::<Field>() {
        return None;
    }
    // SAFETY: enough words, aligned as such, that live as long as the reference; a `HostPage` is made of atomic words
    // only, which is what a `Field` is, and any words are one.
    Some(unsafe { &*words.as_ptr().cast::<HostPage>() })
}

#[cfg(all(test, target_os = "linux", not(feature = "portable")))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;

    #[test]
    fn golden_bytes_and_seals() {
        let table = process_table();
        table.send.held_since.set(0x1122_3344_5566_7788);
        let path = fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:chainlock-table"))
            })
            .expect("the table's file is among our descriptors");
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() % 4096, 0);
        assert_eq!(&bytes[0..8], b"CHAINLK\0");
        assert_eq!(&bytes[8..16], &LAYOUT_VERSION.to_le_bytes());
        assert_eq!(&bytes[16..24], &u64::from(std::process::id()).to_le_bytes());
        let at = std::mem::offset_of!(Table, send)
            + std::mem::offset_of!(crate::table::layout::SendPage, held_since);
        assert_eq!(&bytes[at..at + 8], &[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
        // Whoever may open it at all may open it for writing; nothing can be written.
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert!(file.write_all_at(b"x", 0).is_err(), "written");
        assert!(fs::write(&path, b"x").is_err(), "written anew");
        assert!(file.set_len(0).is_err(), "shortened");
        assert!(file.set_len(1 << 30).is_err(), "lengthened");
        let (protection, size) = (libc::PROT_READ | libc::PROT_WRITE, 4_096);
        // SAFETY: a mapping at an address the kernel chooses; it fails, or nobody uses it.
        let mapped = unsafe {
            libc::mmap(std::ptr::null_mut(), size, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_eq!(mapped, libc::MAP_FAILED, "mapped for writing");
        let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: an open descriptor; the call touches no memory of ours.
        assert_ne!(unsafe { libc::fallocate(file.as_raw_fd(), hole, 0, 4_096) }, 0, "a hole in it");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}
