//! WHIP and WHEP: what the door promises its clients (RFC 9725), with a room
//! that records what it was asked. Real media goes through `tests/live/*.test.mjs`.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use cabildo::api::{
    Api, ApiOptions, ApiParts, Gauges, Listener, MediaMember, MediaRefused, MetricsDoor,
    PlaybackKey, RESOURCES_PER_USER_MAX, RateLimitOptions, Readiness, WhipRoom, router,
};
use cabildo::auth::client_cert::ServiceAllowList;
use cabildo::auth::dev_issuer::{DevIssuer, TokenRequest};
use cabildo::auth::{AuthOptions, Authenticator, InMemoryReplayCache, NonceKey};
use cabildo::clock::Clock;
use cabildo::domain::error_code::ErrorCode;
use cabildo::domain::id::{AssemblyId, SessionId, TenantId};
use cabildo::domain::participant::Principal;
use cabildo::domain::role::{Role, Roles};
use cabildo::domain::session::Modality;
use cabildo::sessions::{
    FixedLimits, NewSession, RecordingPatch, SessionService, SpeakingPatch, TranscriptionPatch,
};
use cabildo::store::{Store, StoreOptions};
use cabildo::telemetry::metrics::Reading;
use tokio::sync::Notify;
use tower::ServiceExt as _;

/// What rooms were asked, in order.
type Asked = Arc<Mutex<Vec<String>>>;

struct TestRoom(Asked, Arc<Notify>);

struct TestMember {
    /// What slow answers wait for.
    patience: Arc<Notify>,
    asked: Asked,
    gone: AtomicBool,
}

impl TestMember {
    fn note(&self, what: String) {
        self.asked.lock().expect("whole").push(what);
    }
}

#[async_trait]
impl WhipRoom for TestRoom {
    async fn join(
        &self,
        principal: &Principal,
        _session: SessionId,
    ) -> Result<Arc<dyn MediaMember>, MediaRefused> {
        self.0.lock().expect("whole").push(format!("join {}", principal.user_id.as_str()));
        let (asked, patience) = (self.0.clone(), self.1.clone());
        Ok(Arc::new(TestMember { asked, patience, gone: AtomicBool::new(false) }))
    }
}

#[async_trait]
impl MediaMember for TestMember {
    async fn publish(&self, offer: String) -> Result<String, MediaRefused> {
        self.note(format!("publish {offer}"));
        if offer == "unusable" {
            let message = "nothing usable is offered".to_owned();
            return Err(MediaRefused { code: ErrorCode::SdpInvalid, message });
        }
        if offer == "slow" {
            self.patience.notified().await;
            self.note("answered slow".to_owned());
        }
        Ok(format!("answer to {offer}"))
    }

    async fn play(&self, offer: String) -> Result<String, MediaRefused> {
        self.note(format!("play {offer}"));
        Ok(format!("answer to {offer}"))
    }

    async fn restart_ice(
        &self,
        ufrag: String,
        password: String,
    ) -> Result<(String, String), MediaRefused> {
        self.note(format!("restart {ufrag} {password}"));
        Ok(("theirs".to_owned(), "secret".to_owned()))
    }

    async fn leave(&self) {
        self.note("leave".to_owned());
        self.gone.store(true, Ordering::Relaxed);
    }

    async fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

struct Nothing;

#[async_trait]
impl Readiness for Nothing {
    async fn check(&self) -> Vec<(&'static str, bool)> {
        Vec::new()
    }
}

#[async_trait]
impl Gauges for Nothing {
    async fn read(&self) -> Vec<Reading> {
        Vec::new()
    }
}

struct Kit {
    routes: Router,
    issuer: Arc<DevIssuer>,
    sessions: SessionService,
    tenant: TenantId,
    session: SessionId,
    asked: Asked,
    patience: Arc<Notify>,
    _data: tempfile::TempDir,
}

impl Kit {
    async fn new() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let clock = Clock::system();
        let options = StoreOptions::sqlite_file(&data.path().join("test.sqlite"));
        let store = Arc::new(Store::connect(&options).await.expect("a store"));
        let sessions =
            SessionService::new(store.clone(), Arc::new(FixedLimits::default()), Vec::new());
        let issuer = DevIssuer::open(data.path(), "https://issuer.test", "cabildo");
        let issuer = Arc::new(issuer.expect("an issuer"));
        let auth = AuthOptions {
            issuer: "https://issuer.test".to_owned(),
            audience: "cabildo".to_owned(),
            nonce_key: NonceKey::random(),
        };
        let replay = Arc::new(InMemoryReplayCache::default());
        let many = NonZeroU32::new(10_000).expect("not zero");
        let (asked, patience) = (Asked::default(), Arc::new(Notify::new()));
        let api = Api::new(ApiParts {
            options: ApiOptions {
                public_origins: vec!["https://cabildo.test".to_owned()],
                trusted_proxies: std::collections::BTreeSet::new(),
                rate_limits: RateLimitOptions {
                    requests_per_address_per_s: many,
                    writes_per_user_per_min: many,
                    writes_per_tenant_per_min: many,
                },
                login_url: None,
                metrics: MetricsDoor::Public,
            },
            sessions: sessions.clone(),
            directory: store.clone(),
            idempotency: store,
            clock: clock.clone(),
            authenticator: Arc::new(Authenticator::new(auth, issuer.clone(), replay)),
            services: ServiceAllowList::new(),
            whip: Some(Arc::new(TestRoom(asked.clone(), patience.clone()))),
            proofs: None,
            recordings: None,
            playback: PlaybackKey::random(Duration::from_mins(15)),
            readiness: Arc::new(Nothing),
            gauges: Arc::new(Nothing),
            dev_issuer: None,
        });
        let tenant = TenantId::generate();
        let session = new_session(&sessions, tenant).await;
        sessions.start(tenant, session, None, clock.now()).await.expect("started");
        let routes = router(&api, Listener::Public, Router::new());
        Self { routes, issuer, sessions, tenant, session, asked, patience, _data: data }
    }

    fn token(&self, tenant: TenantId, user: &str, role: Role) -> String {
        let request = TokenRequest {
            tenant_id: tenant,
            user_id: user.parse().expect("an id"),
            name: None,
            roles: Roles::of(&[role]),
            session_id: None,
            jkt: "A".repeat(43),
        };
        self.issuer.issue(&request, Clock::system().now()).expect("a token").access_token
    }

    async fn send(
        &self,
        (method, path): (&str, &str),
        token: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (Response<()>, String) {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let answer = self.routes.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        (Response::from_parts(parts, ()), text)
    }

    fn path(&self, kind: &str) -> String {
        format!("/api/v1/sessions/{}/{kind}", self.session)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("whole"))
    }
}

/// Lets others work until a room was asked for `what`.
async fn until_asked(asked: &Asked, what: &str) {
    while !asked.lock().expect("whole").iter().any(|asked| asked == what) {
        tokio::task::yield_now().await;
    }
}

async fn new_session(sessions: &SessionService, tenant: TenantId) -> SessionId {
    let wanted = NewSession {
        tenant_id: tenant,
        assembly_id: AssemblyId::generate(),
        title: "Assembly".to_owned(),
        modality: Modality::Mixed,
        provider: None,
        scheduled_start_at: None,
        scheduled_end_at: None,
        max_participants: None,
        moderation: None,
        recording: RecordingPatch::default(),
        transcription: TranscriptionPatch::default(),
        speaking: SpeakingPatch::default(),
    };
    sessions.create(wanted, Clock::system().now()).await.expect("created").id
}

fn header<'a>(answer: &'a Response<()>, name: &str) -> &'a str {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

const SDP: &[(&str, &str)] = &[("content-type", "application/sdp")];
const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");

#[tokio::test]
async fn a_client_publishes_trickles_restarts_and_leaves() {
    let kit = Kit::new().await;
    let token = kit.token(kit.tenant, "camera-1", Role::Hall);
    let (answer, text) = kit.send(("POST", &kit.path("whip")), &token, SDP, "offer").await;
    assert_eq!(answer.status(), 201, "{text}");
    assert_eq!(text, "answer to offer");
    assert_eq!(header(&answer, "content-type"), "application/sdp");
    let (location, tag) = (header(&answer, "location"), header(&answer, "etag"));
    assert!(location.starts_with(&format!("{}/", kit.path("whip"))), "{location}");

    let candidate = "a=mid:0\r\na=candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host\r\n";
    let (trickled, _) =
        kit.send(("PATCH", location), &token, &[FRAGMENT, ("if-match", tag)], candidate).await;
    assert_eq!(trickled.status(), 204);
    let restart = "a=ice-ufrag:mine\r\na=ice-pwd:mypassword\r\n";
    let (restarted, fragment) =
        kit.send(("PATCH", location), &token, &[FRAGMENT, ("if-match", "\"*\"")], restart).await;
    assert_eq!(restarted.status(), 200);
    assert!(fragment.contains("a=ice-ufrag:theirs") && fragment.contains("a=ice-pwd:secret"));
    assert_ne!(header(&restarted, "etag"), tag);
    let (stale, _) =
        kit.send(("PATCH", location), &token, &[FRAGMENT, ("if-match", tag)], candidate).await;
    assert_eq!(stale.status(), 412);

    let (gone, _) = kit.send(("DELETE", location), &token, &[], "").await;
    assert_eq!(gone.status(), 200);
    let (twice, text) = kit.send(("DELETE", location), &token, &[], "").await;
    assert_eq!(twice.status(), 404);
    assert!(text.contains("MEDIA_RESOURCE_NOT_FOUND"), "{text}");
    let asked = ["join camera-1", "publish offer", "restart mine mypassword", "leave"];
    assert_eq!(kit.asked(), asked);
}

#[tokio::test]
async fn a_resource_exists_for_its_maker_only() {
    let kit = Kit::new().await;
    let token = kit.token(kit.tenant, "one", Role::Participant);
    let (answer, _) = kit.send(("POST", &kit.path("whep")), &token, SDP, "offer").await;
    let location = header(&answer, "location").to_owned();
    kit.asked();
    let same_name_elsewhere = kit.token(TenantId::generate(), "one", Role::Participant);
    let another = kit.token(kit.tenant, "two", Role::Moderator);
    let as_whip = location.replace("/whep/", "/whip/");
    for (path, token, status) in [
        (&location, &another, 404),
        (&location, &same_name_elsewhere, 404),
        (&as_whip, &token, 404),
        (&location, &String::new(), 401),
    ] {
        let (refused, text) = kit.send(("DELETE", path), token, &[], "").await;
        assert_eq!(refused.status(), status, "{text}");
    }
    assert_eq!(kit.asked(), Vec::<String>::new());
    assert_eq!(kit.send(("DELETE", &location), &token, &[], "").await.0.status(), 200);
}

#[tokio::test]
async fn roles_decide_who_publishes_and_who_plays() {
    let kit = Kit::new().await;
    for role in Role::ALL {
        use cabildo::domain::role::Action;
        let token = kit.token(kit.tenant, "somebody", *role);
        for (kind, action) in [("whip", Action::PublishMedia), ("whep", Action::JoinRoom)] {
            let (answer, text) = kit.send(("POST", &kit.path(kind)), &token, SDP, "offer").await;
            let expected = if role.may(action) { 201 } else { 403 };
            assert_eq!(answer.status(), expected, "{role} {kind}: {text}");
        }
    }
    let outsider = kit.token(TenantId::generate(), "somebody", Role::Moderator);
    let (answer, text) = kit.send(("POST", &kit.path("whip")), &outsider, SDP, "offer").await;
    assert_eq!(answer.status(), 404, "{text}");
}

#[tokio::test]
async fn what_cannot_be_taken_leaves_nobody_behind() {
    let kit = Kit::new().await;
    let token = kit.token(kit.tenant, "one", Role::Participant);
    let path = kit.path("whip");
    let json = &[("content-type", "application/json")][..];
    for (headers, body, status, code) in [
        (json, "offer", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (SDP, "", 422, "SDP_INVALID"),
        (SDP, "unusable", 422, "SDP_INVALID"),
    ] {
        let (answer, text) = kit.send(("POST", &path), &token, headers, body).await;
        assert_eq!(answer.status(), status, "{text}");
        assert!(text.contains(code), "{text}");
    }
    assert_eq!(kit.asked(), ["join one", "publish unusable", "leave"]);
    let (options, _) = kit.send(("OPTIONS", &path), "", &[], "").await;
    assert_eq!(options.status(), 204);
    assert_eq!(header(&options, "accept-post"), "application/sdp");

    let scheduled = new_session(&kit.sessions, kit.tenant).await;
    let early = format!("/api/v1/sessions/{scheduled}/whip");
    let (answer, text) = kit.send(("POST", &early), &token, SDP, "offer").await;
    assert_eq!(answer.status(), 409, "{text}");
    let now = Clock::system().now();
    kit.sessions.cancel(kit.tenant, scheduled, None, now).await.expect("cancelled");
    let (answer, text) = kit.send(("POST", &early), &token, SDP, "offer").await;
    assert_eq!(answer.status(), 410, "{text}");
}

#[tokio::test]
async fn one_person_has_a_few_clients_and_gone_ones_do_not_count() {
    let kit = Kit::new().await;
    let token = kit.token(kit.tenant, "one", Role::Participant);
    let path = kit.path("whip");
    let mut locations = Vec::new();
    for _ in 0..RESOURCES_PER_USER_MAX {
        let (answer, text) = kit.send(("POST", &path), &token, SDP, "offer").await;
        assert_eq!(answer.status(), 201, "{text}");
        locations.push(header(&answer, "location").to_owned());
    }
    let (full, text) = kit.send(("POST", &path), &token, SDP, "offer").await;
    assert_eq!(full.status(), 409);
    assert!(text.contains("PARTICIPANT_LIMIT_REACHED"), "{text}");
    let other = kit.token(kit.tenant, "two", Role::Participant);
    assert_eq!(kit.send(("POST", &path), &other, SDP, "offer").await.0.status(), 201);
    assert_eq!(kit.send(("DELETE", &locations[0]), &token, &[], "").await.0.status(), 200);
    assert_eq!(kit.send(("POST", &path), &token, SDP, "offer").await.0.status(), 201);
}

#[tokio::test]
async fn a_request_is_carried_out_to_its_end_when_its_caller_goes_away() {
    let kit = Kit::new().await;
    let token = kit.token(kit.tenant, "one", Role::Participant);
    let path = kit.path("whip");
    tokio::select! {
        answer = kit.send(("POST", &path), &token, SDP, "slow") => panic!("{answer:?}"),
        () = until_asked(&kit.asked, "publish slow") => {}
    }
    kit.patience.notify_one();
    until_asked(&kit.asked, "answered slow").await;
}
