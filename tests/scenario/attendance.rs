//! Attendance in virtual time: stories, one per rule, and properties over
//! arbitrary sequences of commands, held against an independent model.

mod fixture;
mod model;
mod properties;
mod snapshots;
mod stories;
