//! Events for other services: the outbox, and who hands it on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::base::Base;
use super::foundation::{Foundation, public_origin};
use super::kafka::Kafka;
use crate::clock::Clock;
use crate::config::WebhookConfig;
use crate::delivery::{
    Destination, EventStreams, Feed, KafkaTopic, Origin, Payload, Pump, PumpOptions, PumpParts,
    Reach, RetryTimes, StreamTimes, Tail, Webhook, WebhookOptions,
};
use crate::events::{Beginning, Outbox as _, OutboxUpkeep, ReaderName, Scope};
use crate::kafka::Producer;

/// What names of readers that are webhooks begin with.
const WEBHOOK: &str = "webhook.";
/// How long after it happened an event is sent to a webhook again. Raising it
/// raises what is kept in the outbox for an endpoint that is gone.
const WEBHOOK_GIVEN_UP_AFTER: Duration = Duration::from_hours(3 * 24);
/// Events on their way to a webhook at once.
const WEBHOOK_IN_FLIGHT_MAX: usize = 8;
/// The reader that is Kafka.
const KAFKA: &str = "kafka";
/// Events on their way to Kafka at once, each of another session. Raising it makes
/// larger batches; the producer holds no more than a thousand.
const KAFKA_IN_FLIGHT_MAX: usize = 256;
/// How soon Kafka is tried again. A try itself takes up to half a minute.
const KAFKA_RETRY: RetryTimes = RetryTimes {
    first: Duration::from_millis(200),
    max: Duration::from_secs(10),
    pause: Duration::from_secs(5),
};

/// Time for an endpoint to answer: as Standard Webhooks advises.
const WEBHOOK_ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// Who hands on events.
pub(super) struct Delivery {
    pub(super) streams: EventStreams,
    tail: Tail,
    pumps: Vec<(ReaderName, Pump)>,
    kafka: Option<Arc<Producer>>,
    upkeep: OutboxUpkeep,
}

/// In how many sessions an event is not accepted, by reader.
pub(super) struct Refusals(Vec<(ReaderName, Arc<AtomicUsize>)>);

impl Refusals {
    /// What is wrong, in words for operators.
    pub(super) fn problem(&self) -> Option<String> {
        let counts = self.0.iter().map(|(name, count)| (name, count.load(Ordering::Relaxed)));
        let said = counts.filter(|(_, count)| *count > 0).map(|(name, count)| {
            format!("{name} does not accept an event of {count} sessions, whose later ones wait")
        });
        let said: Vec<String> = said.collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

impl Delivery {
    pub(super) async fn start(
        base: &Base,
        foundation: &Foundation,
        kafka: &Kafka,
    ) -> anyhow::Result<Self> {
        let outbox = Arc::new(base.store.clone());
        let tail = Tail::start(outbox.clone());
        let origin = Origin::new(public_origin(&base.config));
        let feed = Feed::new(outbox.clone(), origin, tail.clone());
        let webhooks = &base.config.events.webhooks;
        let names = webhooks.keys().map(|name| Ok(format!("{WEBHOOK}{name}").parse()?));
        let names: Vec<ReaderName> = names.collect::<anyhow::Result<_>>()?;
        outbox.forget_except(WEBHOOK, &names).await?;
        let mut pumps = Vec::new();
        let parts = |destination: Arc<dyn Destination>| PumpParts {
            outbox: outbox.clone(),
            feed: feed.clone(),
            claims: foundation.claims.clone(),
            clock: base.clock.clone(),
            destination,
        };
        for (name, (key, config)) in names.into_iter().zip(webhooks) {
            let context = || format!("events.webhooks.{key}");
            let webhook = webhook(base.wall.clone(), config).with_context(context)?;
            // Before the first event that a new endpoint must be told of.
            outbox.register(&name, Beginning::Newest).await?;
            let options = PumpOptions {
                name,
                scope: Scope::Tenant(config.tenant),
                kinds: config.types.clone(),
                given_up_after: Some(WEBHOOK_GIVEN_UP_AFTER),
                in_flight_max: WEBHOOK_IN_FLIGHT_MAX,
                retry: RetryTimes::default(),
            };
            pumps.push((options.name.clone(), Pump::start(parts(Arc::new(webhook)), options)));
        }
        match (&kafka.producer, &base.config.kafka) {
            (Some(producer), Some(config)) => {
                let name: ReaderName = KAFKA.parse()?;
                outbox.register(&name, Beginning::Newest).await?;
                let topic = KafkaTopic::new(producer.clone(), config.topic.clone());
                let options = PumpOptions {
                    name,
                    scope: Scope::Everyone,
                    kinds: BTreeSet::new(),
                    given_up_after: None,
                    in_flight_max: KAFKA_IN_FLIGHT_MAX,
                    retry: KAFKA_RETRY,
                };
                pumps.push((options.name.clone(), Pump::start(parts(Arc::new(topic)), options)));
            }
            // Nothing is kept for Kafka, and it is told nothing of this time later.
            _ => outbox.forget_except(KAFKA, &[]).await?,
        }
        let upkeep = OutboxUpkeep::start(outbox.clone(), base.clock.clone());
        let streams = EventStreams::new(feed.clone(), StreamTimes::default());
        let kafka = kafka.producer.clone();
        Ok(Self { streams, tail, pumps, kafka, upkeep })
    }

    /// The end of the outbox, for others who wait there.
    pub(super) const fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Whether Kafka has taken the last message; `None` without Kafka.
    pub(super) fn kafka_is_well(&self) -> Option<Box<dyn Fn() -> bool + Send + Sync>> {
        let producer = self.kafka.clone()?;
        Some(Box::new(move || producer.is_well()))
    }

    /// Who does not accept some events, for operators.
    pub(super) fn refusals(&self) -> Refusals {
        let pumps = self.pumps.iter().map(|(name, pump)| (name.clone(), pump.refused()));
        Refusals(pumps.collect())
    }

    /// Ends the streams, whose readers go on with another instance.
    pub(super) fn drain(&self) {
        self.streams.shutdown();
    }

    pub(super) async fn shutdown(self) {
        self.tail.shutdown();
        // Together, since each may take seconds for what is on its way.
        let pumps = self.pumps.into_iter().map(|(_, pump)| pump.shutdown());
        futures_util::future::join_all(pumps).await;
        self.upkeep.shutdown().await;
    }
}

/// An endpoint of the configuration. Receivers compare the time of `wall` with their own.
pub(super) fn webhook(wall: Clock, config: &WebhookConfig) -> anyhow::Result<Webhook> {
    for kind in &config.types {
        let is_known = Payload::KINDS.iter().any(|(known, _)| known == kind);
        ensure!(is_known, "types: {kind} is no type of event");
    }
    let reach = if config.allow_private_network { Reach::Anywhere } else { Reach::Public };
    let (url, secret) = (config.url.clone(), config.secret.clone());
    let answer_time_max = WEBHOOK_ANSWER_TIME_MAX;
    let options = WebhookOptions { url, secret, reach, answer_time_max };
    Ok(Webhook::new(options, wall)?)
}
