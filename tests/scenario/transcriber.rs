//! Stories of the transcriber: what is heard, what is let go, and what becomes text.

mod fixture;
mod hearing;
mod languages;
mod queue;
mod shared;
mod stories;
#[cfg(feature = "whisper")]
mod words;
