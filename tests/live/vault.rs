//! Vaults and key vaults, embedded and remote.

pub(crate) mod bucket;
mod directory;
mod faulty_disk;
mod full_disk;
mod keys;
mod s3;
mod suite;
