//! Events for other services: the outbox, and who hands it on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::base::Base;
use super::foundation::{Foundation, public_origin};
use crate::config::WebhookConfig;
use crate::delivery::{
    EventStreams, Feed, Origin, Payload, Pump, PumpOptions, PumpParts, Reach, RetryTimes,
    StreamTimes, Tail, Webhook, WebhookOptions,
};
use crate::events::{Beginning, Outbox as _, OutboxUpkeep, ReaderName, Scope};

/// What names of readers that are webhooks begin with.
const WEBHOOK: &str = "webhook.";
/// How long after it happened an event is sent to a webhook again. Raising it
/// raises what is kept in the outbox for an endpoint that is gone.
const WEBHOOK_GIVEN_UP_AFTER: Duration = Duration::from_hours(3 * 24);

/// Time for an endpoint to answer: as Standard Webhooks advises.
const WEBHOOK_ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// Who hands on events.
pub(super) struct Delivery {
    pub(super) streams: EventStreams,
    tail: Tail,
    pumps: Vec<Pump>,
    upkeep: OutboxUpkeep,
}

impl Delivery {
    pub(super) async fn start(base: &Base, foundation: &Foundation) -> anyhow::Result<Self> {
        let outbox = Arc::new(base.store.clone());
        let tail = Tail::start(outbox.clone());
        let origin = Origin::new(public_origin(&base.config));
        let feed = Feed::new(outbox.clone(), origin, tail.clone());
        let webhooks = &base.config.events.webhooks;
        let names = webhooks.keys().map(|name| Ok(format!("{WEBHOOK}{name}").parse()?));
        let names: Vec<ReaderName> = names.collect::<anyhow::Result<_>>()?;
        outbox.forget_except(WEBHOOK, &names).await?;
        let mut pumps = Vec::new();
        for (name, (key, config)) in names.into_iter().zip(webhooks) {
            let context = || format!("events.webhooks.{key}");
            let webhook = webhook(base, config).with_context(context)?;
            // Before the first event that a new endpoint must be told of.
            outbox.register(&name, Beginning::Newest).await?;
            let parts = PumpParts {
                outbox: outbox.clone(),
                feed: feed.clone(),
                claims: foundation.claims.clone(),
                clock: base.clock.clone(),
                destination: Arc::new(webhook),
            };
            let options = PumpOptions {
                name,
                scope: Scope::Tenant(config.tenant),
                kinds: config.types.clone(),
                given_up_after: Some(WEBHOOK_GIVEN_UP_AFTER),
                retry: RetryTimes::default(),
            };
            pumps.push(Pump::start(parts, options));
        }
        let upkeep = OutboxUpkeep::start(outbox, base.clock.clone());
        let streams = EventStreams::new(feed, StreamTimes::default());
        Ok(Self { streams, tail, pumps, upkeep })
    }

    /// Ends the streams, whose readers go on with another instance.
    pub(super) fn drain(&self) {
        self.streams.shutdown();
    }

    pub(super) async fn shutdown(self) {
        self.tail.shutdown();
        for pump in self.pumps {
            pump.shutdown().await;
        }
        self.upkeep.shutdown().await;
    }
}

fn webhook(base: &Base, config: &WebhookConfig) -> anyhow::Result<Webhook> {
    for kind in &config.types {
        let is_known = Payload::KINDS.iter().any(|(known, _)| known == kind);
        ensure!(is_known, "types: {kind} is no type of event");
    }
    let reach = if config.allow_private_network { Reach::Anywhere } else { Reach::Public };
    let (url, secret) = (config.url.clone(), config.secret.clone());
    let answer_time_max = WEBHOOK_ANSWER_TIME_MAX;
    let options = WebhookOptions { url, secret, reach, answer_time_max };
    Ok(Webhook::new(options, base.clock.clone())?)
}
