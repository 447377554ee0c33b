//! Meetings at other providers: the accounts of the configuration, what makes the
//! meetings of sessions, and what keeps both in step.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use tokio::sync::Notify;

use super::base::Base;
use super::foundation::Foundation;
use super::sessions::Sessions;
use crate::api::MetricsSource;
use crate::clock::Clock;
use crate::config::{GoogleMeetConfig, ZoomConfig};
use crate::domain::session::Provider;
use crate::meetings::{
    KeeperParts, MeetingEnds, MeetingKeeper, Meetings, VideoProvider, VideoProviders, WebhookKey,
    ZoomWebhook,
};
use crate::services::{
    GOOGLE_MEET_SCOPE, GoogleAccountOptions, GoogleMeetAccess, GoogleMeetClient, GoogleMeetOptions,
    PlainHttp, ServiceOptions, ServiceState, ZoomClient, ZoomOptions,
};
use crate::sessions::SessionObserver;

/// The clients of the providers that are configured.
#[derive(Clone, Default)]
pub(super) struct ProviderClients {
    google_meet: Option<Arc<GoogleMeetClient>>,
    zoom: Option<Arc<ZoomClient>>,
}

/// What makes meetings.
pub(super) struct ProviderMeetings {
    pub(super) meetings: Meetings,
    pub(super) clients: ProviderClients,
    wake: Arc<Notify>,
}

/// The running keeper of meetings; none without a provider.
pub(super) struct Keeping(Option<MeetingKeeper>);

impl ProviderMeetings {
    pub(super) fn start(base: &Base, foundation: &Foundation) -> anyhow::Result<Self> {
        let config = &base.config.providers;
        let google_meet =
            config.google_meet.as_ref().map(|config| google_meet(base.wall.clone(), config));
        let zoom = config.zoom.as_ref().map(|config| zoom(base.wall.clone(), config));
        let google_meet = google_meet.transpose().context("providers.google_meet")?;
        let zoom = zoom.transpose().context("providers.zoom")?;
        let clients =
            ProviderClients { google_meet: google_meet.map(Arc::new), zoom: zoom.map(Arc::new) };
        let mut providers = VideoProviders::new();
        if let Some(client) = clients.google_meet.clone() {
            providers.insert(Provider::GoogleMeet, client as Arc<dyn VideoProvider>);
        }
        if let Some(client) = clients.zoom.clone() {
            providers.insert(Provider::Zoom, client as Arc<dyn VideoProvider>);
        }
        let store = Arc::new(base.store.clone());
        let meetings = Meetings::new(providers, store, foundation.claims.clone());
        Ok(Self { meetings, clients, wake: Arc::new(Notify::new()) })
    }

    pub(super) fn observer(&self, base: &Base) -> Arc<dyn SessionObserver> {
        self.meetings.observer(base.clock.clone(), Arc::clone(&self.wake))
    }

    /// Keeps meetings and sessions in step.
    pub(super) fn keep(&self, base: &Base, sessions: &Sessions) -> Keeping {
        if self.clients.states().is_empty() {
            return Keeping(None);
        }
        let ends = match base.config.providers.end_after_s {
            0 => MeetingEnds::Nothing,
            after_s => MeetingEnds::EndSessionAfter(Duration::from_secs(after_s.into())),
        };
        Keeping(Some(MeetingKeeper::start(KeeperParts {
            meetings: self.meetings.clone(),
            sessions: sessions.service.clone(),
            ends,
            clock: base.clock.clone(),
            wake: Arc::clone(&self.wake),
        })))
    }

    /// What takes the webhooks of Zoom, when their secret is known.
    pub(super) fn zoom_webhook(&self, base: &Base) -> Option<ZoomWebhook> {
        let zoom = base.config.providers.zoom.as_ref()?;
        let secret = zoom.webhook_secret.clone()?;
        let key = WebhookKey { secret, account_id: zoom.account_id.clone() };
        let store = Arc::new(base.store.clone());
        Some(ZoomWebhook::new(key, store, Arc::clone(&self.wake), base.wall.clone()))
    }
}

impl Keeping {
    pub(super) async fn shutdown(self) {
        if let Some(keeper) = self.0 {
            keeper.shutdown().await;
        }
    }
}

impl ProviderClients {
    /// How those that are configured are doing.
    pub(super) fn states(&self) -> Vec<ServiceState> {
        let google_meet = self.google_meet.iter().flat_map(|client| client.states());
        let zoom = self.zoom.iter().flat_map(|client| client.states());
        google_meet.chain(zoom).collect()
    }

    pub(super) fn readings(&self) -> Arc<dyn MetricsSource> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl MetricsSource for ProviderClients {
    async fn report(&self) {
        for state in self.states() {
            state.report_metrics();
        }
    }
}

/// Google compares the times of requests for tokens with its own clock, and so with `wall`.
pub(super) fn google_meet(
    wall: Clock,
    config: &GoogleMeetConfig,
) -> anyhow::Result<GoogleMeetClient> {
    let access = GoogleMeetAccess::parse(&config.access).context("access")?;
    let options = GoogleMeetOptions {
        api: options_of(&config.api_url),
        account: GoogleAccountOptions {
            token: options_of(&config.token_url),
            client_email: config.client_email.clone(),
            key_id: config.key_id.clone(),
            private_key: config.private_key.clone(),
            audience: config.audience.clone(),
            subject: Some(config.subject.clone()),
            scope: GOOGLE_MEET_SCOPE,
        },
        access,
    };
    Ok(GoogleMeetClient::new(options, wall)?)
}

pub(super) fn zoom(wall: Clock, config: &ZoomConfig) -> anyhow::Result<ZoomClient> {
    let options = ZoomOptions {
        api: options_of(&config.api_url),
        token: options_of(&config.token_url),
        account_id: config.account_id.clone(),
        client_id: config.client_id.clone(),
        client_secret: config.client_secret.clone(),
        host_user: config.host_user.clone(),
    };
    Ok(ZoomClient::new(options, wall)?)
}

pub(super) fn options_of(url: &str) -> ServiceOptions {
    ServiceOptions {
        url: url.to_owned(),
        service_id: String::new(),
        plain_http: PlainHttp::LoopbackOnly,
        tls: None,
        timeout: None,
    }
}
