//! The recorder: takes every track that it is told to, seals it in segments
//! while the meeting runs, and brings them to the vault and into the log.

pub mod journal;
pub mod repository;
