//! The tenancy service knows what tenants may use and whether they may.
//! `contracts/tenancy.json` describes it. When it is down, its last answer holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use serde::Deserialize;

use crate::clock::Clock;
use crate::domain::id::TenantId;
use crate::domain::named_values::named_values;
use crate::services::body::{invalid, read};
use crate::services::cache::Cache;
use crate::services::client::{
    Question, RemoteService, ServiceClient, ServiceOptions, ServiceState,
};
use crate::services::error::{ServiceError, ServiceSetupError};

/// How long an answer is used without asking again. Raising it makes a change of
/// limits, or a suspension, take effect later.
pub const TENANCY_FRESH_FOR: Duration = Duration::from_mins(1);
/// Longest wait for an answer about a tenant. Raising it delays starting sessions
/// and opening rooms while the service hangs.
pub const TENANCY_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long the service is not asked again about a tenant after it failed.
/// Raising it makes a recovery be noticed later.
pub const TENANCY_FAILED_FOR: Duration = Duration::from_secs(5);

named_values!(
    /// Whether a tenant may use the platform.
    TenantStatus {
        /// It may.
        Active => "active",
        /// Not at the moment.
        Suspended => "suspended",
        /// Not any more.
        Closed => "closed",
    }
);

/// What a tenant may use at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamingLimits {
    /// Active sessions.
    pub max_active_sessions: u32,
    /// People in one session.
    pub max_participants_per_session: u32,
    /// Bitrate of all its sessions together, in kbit/s.
    pub max_bitrate_kbps: u32,
    /// Camera streams.
    pub max_concurrent_streams: u32,
    /// Whether it may use camera streams at all.
    pub streaming_entitled: bool,
}

/// An answer, and where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenancyAnswer<T> {
    /// From the service, at most [`TENANCY_FRESH_FOR`] ago.
    Fresh(T),
    /// From the service, some time ago: it does not answer now.
    Old(T),
    /// The service never said anything of this tenant.
    Unknown,
}

impl<T> TenancyAnswer<T> {
    /// The answer, if there ever was one.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Fresh(value) | Self::Old(value) => Some(value),
            Self::Unknown => None,
        }
    }
}

/// A client of the tenancy service. Cheap to clone. It answers within
/// [`TENANCY_WAIT_MAX`], whatever the service does.
#[derive(Clone)]
pub struct TenancyClient(Arc<Inner>);

struct Inner {
    client: ServiceClient,
    limits: Answers<StreamingLimits>,
    statuses: Answers<TenantStatus>,
}

/// What is known of tenants, and who is being asked about.
struct Answers<T> {
    kept: Cache<TenantId, T>,
    failed: Cache<TenantId, ()>,
    asking: Mutex<BTreeMap<TenantId, Asking>>,
}

/// Ends when the service has been asked about one tenant, for everybody who
/// waits for it.
type Asking = Shared<BoxFuture<'static, ()>>;

impl<T: Copy> Answers<T> {
    const fn new() -> Self {
        Self { kept: Cache::new(), failed: Cache::new(), asking: Mutex::new(BTreeMap::new()) }
    }

    fn asking(&self) -> MutexGuard<'_, BTreeMap<TenantId, Asking>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the questions about a tenant.
struct Subject<T> {
    /// The last segment of its path.
    what: &'static str,
    answers: fn(&Inner) -> &Answers<T>,
    read: fn(TenantId, &[u8]) -> Result<T, ServiceError>,
}

const LIMITS: Subject<StreamingLimits> =
    Subject { what: "streaming-limits", answers: |inner| &inner.limits, read: limits_of };
const STATUS: Subject<TenantStatus> =
    Subject { what: "status", answers: |inner| &inner.statuses, read: status_of };

#[derive(Deserialize)]
struct LimitsAnswer {
    tenant_id: String,
    max_active_sessions: u32,
    max_participants_per_session: u32,
    max_bitrate_kbps: u32,
    max_concurrent_streams: u32,
    streaming_entitled: Option<bool>,
}

#[derive(Deserialize)]
struct StatusAnswer {
    tenant_id: String,
    status: String,
}

impl TenancyClient {
    /// A client. A rustls provider must be installed for the process.
    pub fn new(options: &ServiceOptions, clock: Clock) -> Result<Self, ServiceSetupError> {
        let client = ServiceClient::new(RemoteService::Tenancy, options, clock)?;
        Ok(Self(Arc::new(Inner { client, limits: Answers::new(), statuses: Answers::new() })))
    }

    /// How the service is doing.
    #[must_use]
    pub fn state(&self) -> ServiceState {
        self.0.client.state()
    }

    /// What a tenant may use. To be called within a runtime.
    pub async fn limits(&self, tenant: TenantId) -> TenancyAnswer<StreamingLimits> {
        self.answer(&LIMITS, tenant).await
    }

    /// Whether a tenant may use the platform. To be called within a runtime.
    pub async fn status(&self, tenant: TenantId) -> TenancyAnswer<TenantStatus> {
        self.answer(&STATUS, tenant).await
    }

    async fn answer<T: Copy + Send + Sync + 'static>(
        &self,
        subject: &'static Subject<T>,
        tenant: TenantId,
    ) -> TenancyAnswer<T> {
        let answers = (subject.answers)(&self.0);
        let fresh = || answers.kept.fresh(&tenant, TENANCY_FRESH_FOR, self.0.client.now());
        if let Some(value) = fresh() {
            return TenancyAnswer::Fresh(value);
        }
        let failed = answers.failed.fresh(&tenant, TENANCY_FAILED_FOR, self.0.client.now());
        if failed.is_none() {
            let asked = self.ask(subject, tenant);
            // Whoever does not wait any longer leaves the call to itself: its
            // outcome counts, and the next one may find its answer.
            if tokio::time::timeout(TENANCY_WAIT_MAX, asked).await.is_ok()
                && let Some(value) = fresh()
            {
                return TenancyAnswer::Fresh(value);
            }
        }
        answers.kept.last(&tenant).map_or(TenancyAnswer::Unknown, TenancyAnswer::Old)
    }

    /// Asks about a tenant, unless somebody does so already.
    fn ask<T: Copy + Send + Sync + 'static>(
        &self,
        subject: &'static Subject<T>,
        tenant: TenantId,
    ) -> Asking {
        let mut asking = (subject.answers)(&self.0).asking();
        if let Some(asked) = asking.get(&tenant) {
            return asked.clone();
        }
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            inner.refresh(subject, tenant).await;
            (subject.answers)(&inner).asking().remove(&tenant);
        });
        let asked = task.map(drop).boxed().shared();
        asking.insert(tenant, asked.clone());
        asked
    }
}

impl Inner {
    async fn refresh<T: Copy>(&self, subject: &Subject<T>, tenant: TenantId) {
        let id = tenant.to_string();
        let path = ["api", "v1", "tenants", &id, subject.what];
        let read = |answer: &[u8]| (subject.read)(tenant, answer);
        let answers = (subject.answers)(self);
        match self.client.ask(Question::get(&path, &[]), read).await {
            Ok(value) => answers.kept.keep(tenant, value, self.client.now()),
            Err(error) => {
                // Its sources may print addresses; the outermost text does not.
                tracing::warn!(%tenant, %error, "the tenancy service gives no answer");
                answers.failed.keep(tenant, (), self.client.now());
            }
        }
    }
}

fn limits_of(tenant: TenantId, answer: &[u8]) -> Result<StreamingLimits, ServiceError> {
    let read: LimitsAnswer = read(RemoteService::Tenancy, answer)?;
    check_tenant(tenant, &read.tenant_id)?;
    Ok(StreamingLimits {
        max_active_sessions: read.max_active_sessions,
        max_participants_per_session: read.max_participants_per_session,
        max_bitrate_kbps: read.max_bitrate_kbps,
        max_concurrent_streams: read.max_concurrent_streams,
        streaming_entitled: read.streaming_entitled.unwrap_or(true),
    })
}

fn status_of(tenant: TenantId, answer: &[u8]) -> Result<TenantStatus, ServiceError> {
    let read: StatusAnswer = read(RemoteService::Tenancy, answer)?;
    check_tenant(tenant, &read.tenant_id)?;
    TenantStatus::parse(&read.status).ok_or_else(|| invalid(RemoteService::Tenancy, "status"))
}

fn check_tenant(asked: TenantId, answered: &str) -> Result<(), ServiceError> {
    if answered == asked.to_string() {
        return Ok(());
    }
    let what = "it is about another tenant";
    Err(ServiceError::Contradicts { service: RemoteService::Tenancy, what })
}
