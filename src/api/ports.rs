//! What the door needs of the rest of the house; `app` plugs it in.

use async_trait::async_trait;

/// What has to answer before this instance takes calls.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Each dependency and whether it answers.
    async fn check(&self) -> Vec<(&'static str, bool)>;
}

/// What counts without the metrics recorder, and is asked when it is scraped.
#[async_trait]
pub trait MetricsSource: Send + Sync {
    /// Brings the metrics recorder up to date.
    async fn report(&self);
}
