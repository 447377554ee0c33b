//! Stories of the recorder: what is recorded, and that nothing of it is lost
//! whatever fails.

mod crashes;
mod disk;
mod engine;
mod fakes;
mod faults;
mod fixture;
mod stories;
