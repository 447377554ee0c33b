//! Claims: which instance does which background work. An instance takes a piece of work for a
//! limited time (a lease), and renews the lease while it works; other instances may take the work
//! once the lease has run out. Taking work returns an epoch (a fencing token) that every write of
//! the owner names: an instance that was paused or disconnected, and replaced meanwhile, can't
//! write any more.

mod keeper;
mod lease;
pub mod repository;

pub use keeper::{Claim, Claims, ClaimsParts, Holder};
pub use lease::{Lease, LeaseTimes};

use crate::domain::store_error::StoreError;

/// Why work could not be taken or continued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Another instance, or another task of this one, does the work.
    #[error("another instance does this work")]
    Taken,
    /// The lease could not be renewed in time, or another instance took over.
    #[error("the lease of this work ran out")]
    Lost,
    /// The store of claims failed.
    #[error("the claims are unavailable: {0}")]
    Store(#[from] StoreError),
}
