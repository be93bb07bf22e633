//! Where no shared file is ever mapped there is nothing to watch.

use std::ptr::NonNull;

/// A mapping that is watched elsewhere.
#[derive(Debug)]
pub struct Watch(());

pub fn watch(_start: NonNull<u8>, _length: usize) -> Option<Watch> {
    Some(Watch(()))
}

impl Watch {
    pub fn was_hit(&self) -> bool {
        false
    }

    pub fn end(&self) {}
}
