//! Meetings at other providers that carry the media of sessions. `maker` makes the
//! meeting of a session, once, before the session is stored; `keeper` keeps both in
//! step by asking the provider, and `webhook` takes what Zoom tells by itself.

mod keeper;
mod maker;
mod metrics;
mod provider;
mod repository;
mod webhook;

pub use keeper::{
    GONE_TRIES_MAX, KeeperParts, LOOK_EVERY, MeetingEnds, MeetingKeeper, ORPHAN_AFTER, POLL_EVERY,
    RETRY_MAX,
};
pub use maker::Meetings;
pub use metrics::describe_metrics;
pub use provider::{VideoProvider, VideoProviders};
pub use repository::{Call, Intent, MeetingRepository, MeetingRow, MeetingState};
pub use webhook::{Heard, SIGNED_AT_MOST, WebhookKey, WebhookRefusal, ZoomWebhook};
