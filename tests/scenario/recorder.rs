//! Stories of the recorder: what is recorded, and that nothing of it is lost
//! whatever fails.

mod crashes;
mod engine;
mod fakes;
mod fixture;
mod stories;
