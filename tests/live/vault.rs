//! Vaults and key vaults, embedded and remote.

mod bucket;
mod directory;
mod full_disk;
mod keys;
mod s3;
mod suite;
