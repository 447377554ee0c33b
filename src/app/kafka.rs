//! Kafka: the producer of events and dead letters, and acting on what governance
//! tells.

use std::sync::Arc;

use anyhow::Context as _;

use super::base::Base;
use super::rooms::LiveRooms;
use super::sessions::Sessions;
use crate::config::KafkaConfig;
use crate::governance::{EventsParts, GovernanceEvents};
use crate::kafka::{Connection, Consumer, Login, Producer, TlsFiles};

/// Kafka; nothing without brokers.
pub(super) struct Kafka {
    pub(super) producer: Option<Arc<Producer>>,
    events: Option<GovernanceEvents>,
}

impl Kafka {
    pub(super) fn start(
        base: &Base,
        rooms: &LiveRooms,
        sessions: &Sessions,
    ) -> anyhow::Result<Self> {
        let Some(config) = &base.config.kafka else {
            return Ok(Self { producer: None, events: None });
        };
        let connection = connection(config);
        let producer = Arc::new(Producer::new(connection.clone()).context("kafka")?);
        let consumer = config.governance_topic.as_ref().map(|topic| {
            Consumer::new(&connection, &config.group, topic).context("kafka.governance_topic")
        });
        let events = consumer.transpose()?.map(|consumer| {
            GovernanceEvents::start(EventsParts {
                consumer,
                producer: producer.clone(),
                arrivals: Arc::new(base.store.clone()),
                sessions: sessions.service.clone(),
                rooms: rooms.rooms.clone(),
                clock: base.clock.clone(),
            })
        });
        Ok(Self { producer: Some(producer), events })
    }

    /// Acts on nothing more that governance tells. The producer is let go by the
    /// delivery of events, which uses it until it has ended.
    pub(super) async fn shutdown(self) {
        if let Some(events) = self.events {
            events.shutdown().await;
        }
    }
}

fn connection(config: &KafkaConfig) -> Connection {
    let login = config.login.clone();
    Connection {
        brokers: config.brokers.clone(),
        security: config.security,
        tls: TlsFiles { ca: config.ca.clone(), identity: config.identity.clone() },
        login: login.map(|(mechanism, username, password)| Login { mechanism, username, password }),
    }
}
