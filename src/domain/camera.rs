//! Words about cameras and their viewers.

use crate::domain::words::words;

words!(
    /// Where a viewer's right to watch a camera stands.
    StreamSessionStatus {
        /// Asked for; no token was handed out yet.
        Requested => "requested",
        /// A token was handed out; nothing was watched yet.
        Issued => "issued",
        /// Being watched.
        Active => "active",
        /// Ended by whoever may.
        Ended => "ended",
        /// Ended because nothing was watched for too long.
        Expired => "expired",
    }
);
impl StreamSessionStatus {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Expired)
    }
}
