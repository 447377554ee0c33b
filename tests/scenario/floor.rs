//! The speaking list in virtual time: stories, one per rule, and properties over
//! arbitrary sequences of commands.

mod fixture;
mod legality;
mod model;
mod properties;
mod snapshots;
mod stories;
mod time_stories;
