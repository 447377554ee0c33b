//! Votes of the assembly, as the room tells of them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// A vote of the assembly that has started. Votes are cast elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct VoteView {
    /// The vote, as governance names it.
    pub vote_id: String,
    /// What is voted on.
    pub title: String,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// Until when votes can be cast, if governance said so.
    pub ends_at: Option<String>,
}
