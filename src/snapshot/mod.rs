//! Looking at the lock tables of this process and of others, as plain data.
//!
//! * [`outside`] which processes there are, and why one cannot be looked at
//! * [`named`] the named locks of a table, [`rows`] those who hold and wait in crowds, [`send`] its send lock, [`process`] all of it
//! * [`views`] what comes of it, as JSON
//!
//! A table is read in one way, whoever's it is. Nothing in it is trusted: numbers are checked before they lead
//! anywhere, texts are cut and read as what they may be. Reading changes nothing: not the table, and not what
//! its process pays.

pub mod named;
pub mod outside;
pub mod process;
pub mod rows;
pub mod send;
pub mod views;
