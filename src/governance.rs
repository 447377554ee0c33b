//! The governance service is told when sessions start and end, and what it holds
//! about their assembly is bound into their logs. A reader of the outbox plans
//! the calls; each is made until it succeeds, by the instance that has the claim
//! on the session's governance. What governance tells in Kafka is acted on: sessions
//! start and end with their assembly, and votes are announced.

mod arrivals;
mod driver;
mod events;
mod incoming;
mod metrics;
pub mod payloads;
mod planning;
mod repository;

pub use arrivals::{ArrivalRepository, VoteHeard};
pub use driver::{
    CALLS_AT_ONCE, Governance, GovernanceParts, LOOK_EVERY, REFUSALS_MAX, RETRY_FIRST, RETRY_MAX,
};
pub use events::{DEAD_LETTERS, EventsParts, GovernanceEvents};
pub use incoming::{GovernanceEvent, MESSAGE_BYTES_MAX, NAME_BYTES_MAX, Told, Unusable};
pub use metrics::describe_metrics;
pub use planning::{READER, planned};
pub use repository::{CallRepository, Failure, GovernanceCall, Step};
