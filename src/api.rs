//! The REST door: sessions, WHIP and WHEP, health, metrics, the API's own
//! description, and the web client. `router` has every route on one screen.

mod body;
mod caller;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod dev;
mod error;
mod evidence;
mod health;
mod idempotency;
pub mod listener;
mod media;
mod metrics;
mod openapi;
mod ports;
mod precondition;
mod rate_limit;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod recordings;
mod refusals;
mod router;
mod session_body;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod sessions;
mod trace;
mod web;
mod words;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

pub use body::BODY_BYTES_MAX;
pub use caller::CallerIdentities;
pub use error::{ApiError, ErrorBody};
pub use media::{RESOURCES_MAX, RESOURCES_PER_USER_MAX};
pub use metrics::describe_metrics;
pub use openapi::document;
pub use ports::{MetricsSource, Readiness};
pub use rate_limit::RateLimitOptions;
pub use recordings::PlaybackKey;
pub use router::{Listener, router};

use crate::auth::Authenticator;
use crate::auth::client_cert::ServiceAllowList;
use crate::auth::dev_issuer::DevIssuer;
use crate::clock::Clock;
use crate::evidence::Evidence;
use crate::history::History;
use crate::playable::Library;
use crate::room::Rooms;
use crate::sessions::{IdempotencyStore, SessionDirectory, SessionService};

/// What the door is told about its surroundings.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Origins by which clients reach it, the first being the one it names
    /// itself by. Never empty; only development has several.
    pub public_origins: Vec<String>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: BTreeSet<IpAddr>,
    /// How often callers may knock.
    pub rate_limits: RateLimitOptions,
    /// Where people without a token are sent.
    pub login_url: Option<String>,
    /// Whether `/metrics` is served on this door.
    pub metrics: MetricsDoor,
}

/// Where `/metrics` is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsDoor {
    /// On the public listener.
    Public,
    /// On an address of its own.
    Elsewhere,
}

/// What the door opens on.
pub struct ApiParts {
    /// What the door is told about its surroundings.
    pub options: ApiOptions,
    /// The life of sessions.
    pub sessions: SessionService,
    /// Whose a session is, for services: they name none.
    pub directory: Arc<dyn SessionDirectory>,
    /// Answers that may be asked for twice.
    pub idempotency: Arc<dyn IdempotencyStore>,
    /// The time.
    pub clock: Clock,
    /// Who is calling, people.
    pub authenticator: Arc<Authenticator>,
    /// Who is calling, services.
    pub services: ServiceAllowList,
    /// Where WHIP and WHEP clients go.
    pub rooms: Rooms,
    /// The logs of sessions.
    pub evidence: Evidence,
    /// The playable files of recordings.
    pub library: Library,
    /// What happened when in a session.
    pub history: History,
    /// What addresses of recordings are signed with, and for how long.
    pub playback: PlaybackKey,
    /// What has to answer before this instance takes calls.
    pub readiness: Arc<dyn Readiness>,
    /// What is asked for its metrics when they are scraped.
    pub metrics: Arc<dyn MetricsSource>,
    /// The built-in issuer, in development only; brings the `/dev` routes.
    pub dev_issuer: Option<Arc<DevIssuer>>,
}

/// The door's state, shared by every request.
#[derive(Clone)]
pub struct Api(Arc<ApiState>);

/// What [`Api`] points to.
pub struct ApiState {
    parts: ApiParts,
    rate_limits: rate_limit::RateLimits,
    media: media::Resources,
    opened: recordings::Opened,
    asked_of: evidence::AskedOf,
}

impl Api {
    /// The door over its parts.
    #[must_use]
    pub fn new(parts: ApiParts) -> Self {
        let rate_limits = rate_limit::RateLimits::new(&parts.options.rate_limits);
        Self(Arc::new(ApiState {
            parts,
            rate_limits,
            media: media::Resources::default(),
            opened: recordings::Opened::default(),
            asked_of: evidence::AskedOf::default(),
        }))
    }

    fn is_dev(&self) -> bool {
        self.dev_issuer.is_some()
    }
}

impl std::ops::Deref for Api {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.0
    }
}

impl std::ops::Deref for ApiState {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.parts
    }
}
