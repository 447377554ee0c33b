//! What is done to recordings that are over: they are erased when their time
//! has come or somebody may ask for it, their keys are rewrapped when the
//! tenant's key is rotated, and whoever needs proof gets a bundle.

pub mod repository;
