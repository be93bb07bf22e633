//! The lease page: what this process holds, waits for and has lost in stores, and how the stores are, in memory that
//! other processes may look at while this one stands still.
//!
//! * Use: rows that the I/O thread writes when something changes, and whoever likes reads, from outside as well.
//! * One writer: the I/O thread. Every row has a sequence of its own; a reader's copy is whole or it is thrown away.
//! * Not promised: that rows are of one moment with each other; that every lease has one (beyond the places they are
//!   only counted). Nothing decides by what lies here.
//!
//! [`layout`] what lies where; [`memory`] where the bytes are; [`book`] which places are free; [`sheet`] what a desk
//! writes; [`observed`] a store that is watched; [`outside`] what can be read, of this process and of others.

pub mod book;
pub mod layout;
pub mod memory;
pub mod observed;
pub mod outside;
pub mod sheet;
