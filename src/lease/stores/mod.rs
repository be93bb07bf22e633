//! The stores: one area each, which knows `store.rs`, the address and the record's text, and nothing else.

use crate::lease::address::Setup;
use crate::lease::store::{Store, StoreError};
use std::rc::Rc;

/// Opens the store of a setup, without reaching for it yet.
pub fn open(setup: &Setup) -> Result<Rc<dyn Store>, StoreError> {
    let address = &setup.address;
    Err(StoreError::Unsupported(format!("this build has no store for {}", address.shown())))
}
