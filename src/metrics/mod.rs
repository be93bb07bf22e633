//! How long things took: histograms that live in the lock table and can be read from outside.

pub mod histogram;
pub mod timing;
