//! Which instance does which background work. An instance takes a piece of work
//! for a limited time, its lease, and renews the lease while it works; others
//! may take the work over once the lease has run out. Taking work hands out an
//! epoch (a fencing token), which every write of the owner names: whoever was
//! replaced while it was paused or cut off can write nothing any more.

mod keeper;
mod lease;
pub mod repository;

pub use keeper::{Claim, Claims, ClaimsParts};
pub use lease::{BootClock, Lease, LeaseTimes};

/// Why work was not taken or not continued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Another instance, or another task of this one, does the work.
    #[error("another instance does this work")]
    Taken,
    /// The lease could not be renewed in time, or another instance took over.
    #[error("the lease of this work ran out")]
    Lost,
    /// The database does not answer or refuses.
    #[error("the claims are unavailable: {0}")]
    Unavailable(String),
}
