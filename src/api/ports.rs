//! Traits that the interface needs; `app` implements them.

use async_trait::async_trait;

/// The dependencies that must answer before this instance accepts requests.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Each dependency and whether it answers.
    async fn check(&self) -> Vec<(&'static str, bool)>;

    /// Each part without which meetings still take place.
    fn parts(&self) -> Vec<Part>;

    /// Each of the platform's other services, and whether it answered the last
    /// time. Calls are taken without them.
    fn services(&self) -> Vec<(&'static str, bool)>;
}

/// A part without which meetings still take place, but not everything is done for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in answers about health.
    pub name: &'static str,
    /// What is wrong with it, in words for operators; `None` when it works.
    pub problem: Option<String>,
}

/// Parts that count without the metrics recorder; they are asked when metrics are scraped.
#[async_trait]
pub trait MetricsSource: Send + Sync {
    /// Copies the counters to the metrics recorder.
    async fn report(&self);
}
