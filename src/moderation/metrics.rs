//! The Prometheus metrics of the moderation channel.

const CONNECTIONS: &str = "cabildo_channel_connections";

/// Describes every metric of the moderation channel.
pub fn describe_metrics() {
    metrics::describe_gauge!(CONNECTIONS, "Authenticated sockets of the moderation channel.");
}

/// Counts a socket for as long as this value exists.
pub(super) struct Connected(());

impl Connected {
    pub(super) fn new() -> Self {
        metrics::gauge!(CONNECTIONS).increment(1);
        Self(())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        metrics::gauge!(CONNECTIONS).decrement(1);
    }
}
