//! The signed, append-only log of a session: every decision and every sealed
//! segment, as `docs/EVIDENCE.md` writes it down. What is stored comes and goes
//! through traits.

pub mod media;
pub mod repository;
