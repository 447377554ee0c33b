//! The governance service is told when sessions start and end, and what it holds
//! about their assembly is bound into their logs. A reader of the outbox plans
//! the calls; each is made until it succeeds, by the instance that has the claim
//! on the session's governance.

mod driver;
mod metrics;
mod planning;
mod repository;

pub use driver::{
    CALLS_AT_ONCE, Governance, GovernanceParts, LOOK_EVERY, REFUSALS_MAX, RETRY_FIRST, RETRY_MAX,
};
pub use metrics::describe_metrics;
pub use planning::{READER, planned};
pub use repository::{CallRepository, CallStoreError, Failure, GovernanceCall, Step};
