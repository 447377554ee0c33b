//! The command line.

pub mod load_test;
