//! The stand-in on loopback, clients of it, and a clock that tests set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cabildo::clock::Clock;
use cabildo::domain::id::{AssemblyId, SessionId, TenantId, UserId};
use cabildo::domain::secret::Secret;
use cabildo::domain::time::Timestamp;
use cabildo::services::{
    GovernanceClient, IdentityClient, PlainHttp, ProofContext, ServiceOptions, TenancyClient,
    UserProfilesClient,
};
use tokio::net::TcpSocket;
use uuid::Uuid;

use crate::nobody::nobody;
use crate::platform::{Mood, Platform, code_of, qr_of};

pub(crate) struct World {
    pub(crate) platform: Platform,
    pub(crate) identity: IdentityClient,
    pub(crate) governance: GovernanceClient,
    pub(crate) tenancy: TenancyClient,
    pub(crate) profiles: UserProfilesClient,
    now_us: Arc<AtomicI64>,
    _nobody: Option<TcpSocket>,
}

/// How clients of the stand-in at `url` are made; a try may take `timeout`.
pub(crate) fn options(url: &str, timeout: Duration) -> ServiceOptions {
    ServiceOptions {
        url: url.to_owned(),
        service_id: "cabildo".to_owned(),
        plain_http: PlainHttp::LoopbackOnly,
        tls: None,
        timeout: Some(timeout),
    }
}

impl World {
    /// A platform that is well.
    pub(crate) async fn new() -> Self {
        Self::with_timeout(Duration::from_secs(30)).await
    }

    pub(crate) async fn with_timeout(timeout: Duration) -> Self {
        let platform = Platform::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = platform.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self::at(platform, &url, timeout)
    }

    /// A platform of which nobody listens at its address.
    pub(crate) fn gone() -> Self {
        let (nobody, address) = nobody();
        let url = format!("http://{address}");
        let world = Self::at(Platform::default(), &url, Duration::from_secs(30));
        Self { _nobody: Some(nobody), ..world }
    }

    fn at(platform: Platform, url: &str, timeout: Duration) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let now_us = Arc::new(AtomicI64::new(1_700_000_000_000_000));
        let read = Arc::clone(&now_us);
        let clock = Clock::from_fn(move || Timestamp::from_unix_us(read.load(Ordering::SeqCst)));
        let options = options(url, timeout);
        Self {
            platform,
            identity: IdentityClient::new(&options, clock.clone()).expect("a client"),
            governance: GovernanceClient::new(&options, clock.clone()).expect("a client"),
            tenancy: TenancyClient::new(&options, clock.clone()).expect("a client"),
            profiles: UserProfilesClient::new(&options, clock).expect("a client"),
            now_us,
            _nobody: None,
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, span: Duration) {
        let us = i64::try_from(span.as_micros()).expect("a short span");
        self.now_us.fetch_add(us, Ordering::SeqCst);
    }

    pub(crate) fn is(&self, service: &str, mood: Mood) {
        self.platform.set_mood(service, mood);
    }

    pub(crate) fn calls(&self) -> usize {
        self.platform.calls().len()
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(1))
}

pub(crate) fn session() -> SessionId {
    SessionId::from_uuid(Uuid::from_u128(2))
}

pub(crate) fn assembly() -> AssemblyId {
    AssemblyId::from_uuid(Uuid::from_u128(3))
}

pub(crate) fn owner() -> UserId {
    "owner-1".parse().expect("a user id")
}

pub(crate) fn context() -> ProofContext {
    ProofContext {
        tenant_id: tenant(),
        session_id: session(),
        assembly_id: assembly(),
        user_id: Some(owner()),
    }
}

pub(crate) fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// A QR code for the session and the owner.
pub(crate) fn token(number: u32) -> Secret<String> {
    Secret::new(qr_of(&session().to_string(), owner().as_str(), number))
}

/// The code that the owner was sent for the session.
pub(crate) fn code() -> Secret<String> {
    Secret::new(code_of(&session().to_string(), owner().as_str()))
}
