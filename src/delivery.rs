//! What happens in sessions, as other services of the platform are told it:
//! the public form of events, and those who hand them on from the one outbox.
//! Nothing here decides about a session; a reader that is away misses nothing,
//! since it goes on from the cursor that it kept.

mod cursor;
mod engine;
mod event;
mod feed;
mod kafka;
mod mapping;
mod metrics;
pub mod payloads;
mod pump;
mod streams;
mod tail;
mod webhook;

pub use cursor::{Cursor, InvalidCursor};
pub use engine::RetryTimes;
pub use event::{Origin, PublicEvent};
pub use feed::{Feed, FeedError, Page, Placed};
pub use kafka::KafkaTopic;
pub use mapping::Payload;
pub use metrics::describe_metrics;
pub use pump::{Destination, Pump, PumpOptions, PumpParts, Undelivered};
pub use streams::{
    EventStream, EventStreams, STREAMS_MAX, STREAMS_PER_TENANT_MAX, Start, StreamError, StreamItem,
    StreamTimes, StreamsFull, TooSlow,
};
pub use tail::{Stopped, Tail, TailWaiter};
pub use webhook::{Reach, Webhook, WebhookError, WebhookOptions};
