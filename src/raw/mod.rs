//! Pure state machines on words: no operating system, no names, no allocation. Each is proved by loom
//! (`src/tests/loom.rs`) together with the data that it publishes.

pub mod hold_word;
pub mod seqlock;
pub mod versions;
