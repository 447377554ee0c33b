//! What is told of connections.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

use crate::domain::quality::{PersonQuality, QualityCause};

/// How good the connection of a person is, as this server measures it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct PersonQualityView {
    /// The person.
    pub user_id: String,
    /// `good`, `fair`, `poor`, or `lost` when nothing comes any more.
    pub level: String,
    /// What it is due to, when it is not good: `no_media`, `uplink_loss`, `downlink_loss`,
    /// `downlink_bandwidth`, `delay`, `uplink_jitter`, `downlink_jitter` or `relayed_by_tcp`.
    pub cause: Option<String>,
    /// The number of the cause: percent of packets, kilobits per second or milliseconds; `null` for
    /// `no_media` and `relayed_by_tcp`.
    pub value: Option<u32>,
    /// Since when it has this level, RFC 3339.
    pub since: String,
}

impl From<&PersonQuality> for PersonQualityView {
    fn from(person: &PersonQuality) -> Self {
        let quality = person.quality;
        Self {
            user_id: person.user.as_str().to_owned(),
            level: quality.level.as_str().to_owned(),
            cause: quality.cause.map(QualityCause::as_str).map(str::to_owned),
            value: quality.value,
            since: person.since.to_string(),
        }
    }
}
