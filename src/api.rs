//! The REST interface: sessions, WHIP and WHEP, health, metrics, the OpenAPI description, and the
//! web client. `router` lists every route.

#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod attendance;
mod attendance_body;
mod attendance_export;
mod attendance_rules;
mod body;
mod bundles;
mod caller;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod captures;
mod conditions;
mod cross_origin;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod dev;
mod documents;
mod error;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod events;
mod evidence;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod gateway;
mod health;
mod idempotency;
mod json_forms;
pub mod listener;
mod media;
mod media_tokens;
mod metrics;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod minutes;
mod openapi;
mod ports;
mod precondition;
mod provider_webhook;
mod range;
mod rate_limit;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod recordings;
mod refusals;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod report;
mod room_cameras;
mod router;
mod session_body;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod sessions;
mod trace;
#[expect(unused_qualifications, reason = "written by the macro that describes routes")]
mod transcript;
mod web;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

pub use body::BODY_BYTES_MAX;
pub use caller::CallerIdentities;
pub use error::{ApiError, ErrorBody};
pub use media::{RESOURCES_MAX, RESOURCES_PER_USER_MAX};
pub use metrics::describe_metrics;
pub use openapi::document;
pub use ports::{MetricsSource, Part, Readiness};
pub use rate_limit::RateLimitOptions;
pub use recordings::PlaybackKey;
pub use router::{Listener, router};
pub use web::SignIn;

use crate::auth::client_cert::ServiceAllowList;
use crate::auth::dev_issuer::DevIssuer;
use crate::auth::{Authenticator, MediaTokens};
use crate::bridges::Bridges;
use crate::cameras::{
    CaptureStore, Gateway, Intake, Playback, Probes, Recordings, Replay, StreamControl,
};
use crate::clock::Clock;
use crate::custody::Custody;
use crate::delivery::EventStreams;
use crate::domain::id::TenantId;
use crate::evidence::Evidence;
use crate::history::History;
use crate::meetings::ZoomWebhook;
use crate::playable::Library;
use crate::room::{Desk, Rooms};
use crate::sessions::{IdempotencyStore, SessionDirectory, SessionService};
use crate::sfu::turn::TurnAccess;
use crate::uplinks::Uplinks;

/// The options of the interface.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Origins at which clients reach the server. The first one is used in addresses that the
    /// server returns. Never empty; only development has several.
    pub public_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: BTreeSet<IpAddr>,
    /// Rate limits of callers.
    pub rate_limits: RateLimitOptions,
    /// Page to which people without a token are sent.
    pub login_url: Option<String>,
    /// How the web client signs people in itself.
    pub sign_in: Option<SignIn>,
    /// Where `/metrics` is served.
    pub metrics: MetricsDoor,
}

/// Where `/metrics` is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsDoor {
    /// On the public listener.
    Public,
    /// On a listener of its own.
    Elsewhere,
}

/// The other parts that the interface uses.
pub struct ApiParts {
    /// The options of the interface.
    pub options: ApiOptions,
    /// Sessions.
    pub sessions: SessionService,
    /// The tenants of sessions, for services, which do not name them.
    pub directory: Arc<dyn SessionDirectory>,
    /// Stored answers of requests that may be repeated.
    pub idempotency: Arc<dyn IdempotencyStore>,
    /// The clock of meetings.
    pub clock: Clock,
    /// The clock of the machine, by which tokens and proofs are judged.
    pub wall: Clock,
    /// Authenticates people.
    pub authenticator: Arc<Authenticator>,
    /// The media tokens, by which encoders and players without a key are known.
    pub media_tokens: MediaTokens,
    /// What makes credentials of TURN, if TURN is served.
    pub turn: Option<TurnAccess>,
    /// Which services may call which routes.
    pub services: ServiceAllowList,
    /// The rooms, for WHIP and WHEP clients.
    pub rooms: Rooms,
    /// Where people prove that they are present.
    pub desk: Desk,
    /// The logs of sessions.
    pub evidence: Evidence,
    /// The playable files of recordings.
    pub library: Library,
    /// Makes bundles of what was recorded.
    pub custody: Custody,
    /// What happened in a session.
    pub history: History,
    /// What Zoom tells; `None` when it is not configured.
    pub zoom_webhook: Option<ZoomWebhook>,
    /// The cameras of tenants, and who may watch them.
    pub cameras: Gateway,
    /// Looks after cameras.
    pub camera_probes: Probes,
    /// Cameras in rooms.
    pub bridges: Bridges,
    /// Streams of cameras that are started and stopped by call.
    pub streams: StreamControl,
    /// Plays cameras to viewers with a token.
    pub camera_playback: Playback,
    /// The recordings of cameras.
    pub camera_recordings: Recordings,
    /// The captures of edge devices.
    pub captures: CaptureStore,
    /// Plays captures.
    pub capture_playback: Replay,
    /// Takes what devices publish.
    pub intake: Intake,
    /// Devices that publish into captures by WHIP.
    pub uplinks: Uplinks,
    /// Whose captures services mean that name no tenant.
    pub service_tenant: Option<TenantId>,
    /// The events of tenants, while they happen.
    pub events: EventStreams,
    /// The key that signs playback addresses, and how long they are valid.
    pub playback: PlaybackKey,
    /// The dependencies that must answer before this instance accepts requests.
    pub readiness: Arc<dyn Readiness>,
    /// Updates metrics when they are scraped.
    pub metrics: Arc<dyn MetricsSource>,
    /// The built-in issuer, only in development; adds the `/dev` routes.
    pub dev_issuer: Option<Arc<DevIssuer>>,
}

/// The state of the interface, shared by all requests.
#[derive(Clone)]
pub struct Api(Arc<ApiState>);

/// What [`Api`] points to.
pub struct ApiState {
    parts: ApiParts,
    rate_limits: rate_limit::RateLimits,
    media: media::Resources,
    opened: recordings::Opened,
    asked_of: evidence::AskedOf,
    press: documents::Press,
    running: idempotency::Running,
    bundles: Arc<bundles::Bundles>,
}

impl Api {
    /// Makes the interface with these parts.
    #[must_use]
    pub fn new(parts: ApiParts) -> Self {
        let rate_limits = rate_limit::RateLimits::new(&parts.options.rate_limits);
        Self(Arc::new(ApiState {
            parts,
            rate_limits,
            media: media::Resources::default(),
            opened: recordings::Opened::default(),
            asked_of: evidence::AskedOf::default(),
            press: documents::Press::default(),
            running: idempotency::Running::default(),
            bundles: Arc::default(),
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
