//! Who presides, as members are told.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// Whoever presides. They may be away, or have left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ChairView {
    /// Who.
    pub user_id: String,
    /// Their name when they took the chair.
    pub name: String,
}

/// Somebody who presides from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct NewChairView {
    /// Who.
    #[serde(flatten)]
    pub chair: ChairView,
    /// The moderator who took the chair; null for the first who entered, whom nobody chose.
    pub by: Option<String>,
}
