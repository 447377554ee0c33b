//! The live gathering of a session: the patchbay between the speaking list,
//! the media plane and the people connected.

pub mod event;
pub mod journal;
