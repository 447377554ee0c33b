//! Traits that the interface needs; `app` implements them.

use async_trait::async_trait;

/// The dependencies that must answer before this instance accepts requests.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Each dependency and whether it answers.
    async fn check(&self) -> Vec<(&'static str, bool)>;

    /// Each of the platform's other services, and whether it answered the last
    /// time. Calls are taken without them.
    fn services(&self) -> Vec<(&'static str, bool)>;
}

/// Parts that count without the metrics recorder; they are asked when metrics are scraped.
#[async_trait]
pub trait MetricsSource: Send + Sync {
    /// Copies the counters to the metrics recorder.
    async fn report(&self);
}
