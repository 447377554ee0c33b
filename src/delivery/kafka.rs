//! Events in a topic of Kafka: the binary mode of `CloudEvents` 1.0, so that each
//! attribute is a header and the value is the payload in protobuf. The key is the
//! session, whose events are therefore in one partition.

use std::sync::Arc;

use async_trait::async_trait;

use super::event::PublicEvent;
use super::pump::{Destination, Undelivered};
use crate::kafka::{Outgoing, Producer};

/// A topic that gets events.
#[derive(Debug)]
pub struct KafkaTopic {
    producer: Arc<Producer>,
    topic: String,
}

impl KafkaTopic {
    /// The topic of this name.
    #[must_use]
    pub const fn new(producer: Arc<Producer>, topic: String) -> Self {
        Self { producer, topic }
    }
}

#[async_trait]
impl Destination for KafkaTopic {
    async fn deliver(&self, event: &PublicEvent) -> Result<(), Undelivered> {
        let (session, tenant) = (event.session.to_string(), event.tenant.to_string());
        let time = event.at.to_string();
        let headers: [(&str, &[u8]); 9] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", event.id.as_bytes()),
            ("ce_source", event.origin.as_str().as_bytes()),
            ("ce_type", event.kind().as_bytes()),
            ("ce_subject", session.as_bytes()),
            ("ce_time", time.as_bytes()),
            ("ce_partitionkey", session.as_bytes()),
            ("ce_tenantid", tenant.as_bytes()),
            ("content-type", b"application/protobuf"),
        ];
        let message = Outgoing {
            topic: &self.topic,
            key: session.as_bytes(),
            value: &event.payload.to_protobuf(),
            headers: &headers,
            at_ms: Some(event.at.unix_ms()),
        };
        let sent = self.producer.send(message).await;
        sent.map_err(|error| Undelivered {
            reason: error.to_string(),
            retry_after: None,
            is_refused: error.is_refused,
        })
    }

    async fn stopped(&self) {
        self.producer.abandon().await;
    }
}
