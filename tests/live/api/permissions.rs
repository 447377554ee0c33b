//! Every route and every kind of caller: what is allowed is done, the rest is
//! denied with its code.

use cabildo::domain::id::TenantId;
use cabildo::domain::role::{Action, Role};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::api::person::{Person, token};
use crate::api::record::{proof_of, until};
use crate::api::server::{Answer, Server, send};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Public,
    Reader,
    /// A route about one session, which others do not see.
    ReaderOfOne,
    ManagerOrService,
    /// Whoever may be in the room, with a proof of possession.
    Member,
    /// Whoever may watch what was recorded, with a proof of possession.
    Watcher,
    /// Whoever may read who could not take part.
    Reporter,
    /// Whoever attends, with a proof of possession.
    Attendee,
    /// Whoever registers others, with a proof of possession.
    Registrar,
    Service,
    /// A service, or an operator with a proof of possession.
    OperatorOrService,
    /// A service, or an operator who may only read.
    OperatorReaderOrService,
}

impl Who {
    /// Whether a service with a certificate that the route's list names may call it.
    const fn may_be_service(self) -> bool {
        matches!(
            self,
            Self::Service
                | Self::ManagerOrService
                | Self::OperatorOrService
                | Self::OperatorReaderOrService
        )
    }
}

/// A route; `{id}` is a session that is ready for it.
struct Route {
    method: Method,
    path: &'static str,
    who: Who,
    /// Status when it is done.
    done: u16,
}

impl Route {
    /// The code of what is refused although the caller may.
    fn code(&self) -> &'static str {
        match self.done {
            // There is no identity service here, nor an eligible list.
            503 => "DEPENDENCY_UNAVAILABLE",
            404 if self.path.starts_with("/store") => "MEDIA_RESOURCE_NOT_FOUND",
            404 => "TRANSCRIPT_CHUNK_NOT_FOUND",
            409 if self.path.ends_with("mark-left") => "NOT_PRESENT",
            409 => "ELIGIBLE_LIST_UNKNOWN",
            415 => "UNSUPPORTED_MEDIA_TYPE",
            _ => "",
        }
    }
}

fn routes() -> Vec<Route> {
    let route = |method, path, who, done| Route { method, path, who, done };
    vec![
        route(Method::POST, "/api/v1/sessions", Who::Service, 201),
        route(Method::GET, "/api/v1/sessions", Who::Reader, 200),
        route(Method::GET, "/api/v1/sessions/{id}", Who::ReaderOfOne, 200),
        route(Method::PATCH, "/api/v1/sessions/{id}", Who::ManagerOrService, 200),
        route(Method::POST, "/api/v1/sessions/{id}/start", Who::ManagerOrService, 200),
        route(Method::POST, "/api/v1/sessions/{id}/cancel", Who::ManagerOrService, 200),
        route(Method::POST, "/api/v1/sessions/{id}/end", Who::Service, 200),
        route(Method::GET, "/api/v1/sessions/{id}/recording-url", Who::Watcher, 200),
        route(Method::GET, "/api/v1/sessions/{id}/bundle", Who::Watcher, 200),
        route(Method::GET, "/api/v1/sessions/{id}/media-tokens", Who::Member, 200),
        route(Method::POST, "/api/v1/sessions/{id}/media-tokens", Who::Member, 201),
        route(Method::POST, "/gateway/provision", Who::OperatorOrService, 201),
        route(Method::POST, "/gateway/deprovision", Who::OperatorOrService, 200),
        route(Method::POST, "/gateway/sessions", Who::OperatorOrService, 201),
        route(Method::POST, "/gateway/sessions/sweep", Who::OperatorOrService, 200),
        route(Method::POST, "/api/streams/start", Who::OperatorOrService, 201),
        route(Method::GET, "/gateway/sessions", Who::OperatorReaderOrService, 200),
        route(Method::GET, "/gateway/health", Who::OperatorReaderOrService, 200),
        route(Method::GET, "/gateway/metrics", Who::OperatorReaderOrService, 200),
        route(Method::POST, "/store/sessions", Who::OperatorOrService, 201),
        route(Method::GET, "/store/sessions", Who::OperatorReaderOrService, 200),
        route(Method::POST, "/store/sessions/none/whip", Who::OperatorOrService, 415),
        route(Method::POST, "/store/sessions/none/media", Who::OperatorOrService, 415),
        route(Method::PATCH, "/store/sessions/none/whip/none", Who::OperatorOrService, 404),
        route(Method::DELETE, "/store/sessions/none/whip/none", Who::OperatorOrService, 404),
        route(Method::POST, "/api/v1/sessions/{id}/attendance/validate-qr", Who::Attendee, 503),
        route(Method::POST, "/api/v1/sessions/{id}/attendance/validate-code", Who::Attendee, 503),
        route(Method::POST, "/api/v1/sessions/{id}/validate-biometric", Who::Attendee, 503),
        route(
            Method::POST,
            "/api/v1/sessions/{id}/attendance/register-attendee",
            Who::Registrar,
            409,
        ),
        route(Method::POST, "/api/v1/sessions/{id}/attendance/ana/mark-left", Who::Registrar, 409),
        route(Method::POST, "/api/v1/sessions/{id}/attendance/second-call", Who::Registrar, 200),
        route(Method::PUT, "/api/v1/sessions/{id}/attendance/eligible", Who::Registrar, 200),
        route(Method::GET, "/api/v1/sessions/{id}/attendance", Who::ReaderOfOne, 200),
        route(Method::GET, "/api/v1/sessions/{id}/attendance/quorum", Who::ReaderOfOne, 200),
        route(Method::GET, "/api/v1/sessions/{id}/attendance/eligible", Who::ReaderOfOne, 200),
        route(Method::GET, "/api/v1/sessions/{id}/report", Who::Reporter, 200),
        // Nobody here took part in the session, so only who reads every transcript reads it.
        route(Method::GET, "/api/v1/sessions/{id}/transcript", Who::Reporter, 200),
        route(Method::GET, "/api/v1/sessions/{id}/minutes", Who::Reporter, 200),
        route(Method::GET, "/api/v1/sessions/{id}/minutes/versions", Who::Reporter, 200),
        route(Method::PUT, "/api/v1/sessions/{id}/minutes", Who::Registrar, 200),
        route(Method::POST, "/api/v1/sessions/{id}/transcript/corrections", Who::Registrar, 404),
        route(Method::GET, "/.well-known/cabildo-evidence-keys.json", Who::Public, 200),
        route(Method::GET, "/api/v1/client-config", Who::Public, 200),
        route(Method::GET, "/health", Who::Public, 200),
        route(Method::GET, "/health/ready", Who::Public, 200),
        route(Method::GET, "/health/live", Who::Public, 200),
        route(Method::GET, "/metrics", Who::Public, 200),
        route(Method::GET, "/openapi.json", Who::Public, 200),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Nobody,
    /// On the internal listener, without a token.
    Governance,
    Stranger,
    /// With a token that is bound to no key.
    Bearer(Role),
    Dpop(Role),
    /// A moderator whose token is bound to a key, and who proves nothing.
    Bound,
    /// A moderator of another tenant.
    OtherBearer,
    OtherDpop,
    /// A moderator whose token is bound to another session.
    ElsewhereBearer,
    ElsewhereDpop,
}

fn callers() -> Vec<Caller> {
    let mut callers = vec![
        Caller::Nobody,
        Caller::Governance,
        Caller::Stranger,
        Caller::Bound,
        Caller::OtherBearer,
        Caller::OtherDpop,
        Caller::ElsewhereBearer,
        Caller::ElsewhereDpop,
    ];
    callers.extend(Role::ALL.iter().map(|role| Caller::Bearer(*role)));
    callers.extend(Role::ALL.iter().map(|role| Caller::Dpop(*role)));
    callers
}

/// What must come of it: a status, and a code unless it is done.
fn expected(route: &Route, caller: Caller) -> (u16, &'static str) {
    use Caller as C;
    let done = (route.done, route.code());
    let missing = (401, "CREDENTIALS_MISSING");
    let forbidden = (403, "FORBIDDEN");
    let hidden = (404, "SESSION_NOT_FOUND");
    let with_token = !matches!(caller, C::Nobody | C::Governance | C::Stranger);
    let with_proof = matches!(caller, C::Dpop(_) | C::OtherDpop | C::ElsewhereDpop);
    let outsider =
        matches!(caller, C::OtherBearer | C::OtherDpop | C::ElsewhereBearer | C::ElsewhereDpop);
    let role = match caller {
        C::Bearer(role) | C::Dpop(role) => role,
        _ => Role::Moderator,
    };
    let by_role = |action| if role.may(action) { done } else { forbidden };
    match (route.who, caller) {
        (Who::Public, _) => done,
        (who, C::Governance) if who.may_be_service() => done,
        (who, C::Stranger) if who.may_be_service() => forbidden,
        (Who::Service, _) => (401, "CLIENT_CERTIFICATE_REQUIRED"),
        (_, C::Bound) => (401, "TOKEN_BOUND"),
        (Who::Reader | Who::ReaderOfOne | Who::Reporter | Who::OperatorReaderOrService, _)
            if !with_token =>
        {
            missing
        }
        (
            Who::ManagerOrService
            | Who::OperatorOrService
            | Who::Member
            | Who::Watcher
            | Who::Attendee
            | Who::Registrar,
            _,
        ) if !with_proof => missing,
        (
            Who::ReaderOfOne
            | Who::ManagerOrService
            | Who::Member
            | Who::Watcher
            | Who::Reporter
            | Who::Attendee
            | Who::Registrar,
            _,
        ) if outsider => hidden,
        (Who::Member, _) => by_role(Action::JoinRoom),
        (Who::OperatorOrService | Who::OperatorReaderOrService, _) => {
            by_role(Action::ManageCameras)
        }
        (Who::Reporter, _) => by_role(Action::ReadReport),
        (Who::Attendee, _) => by_role(Action::Attend),
        (Who::Registrar, _) => by_role(Action::RegisterAttendance),
        (Who::Watcher, _) => by_role(Action::WatchRecording),
        (Who::Reader | Who::ReaderOfOne, _) => by_role(Action::ReadSession),
        (Who::ManagerOrService, _) => by_role(Action::ManageSession),
    }
}

/// A session that the route can be done to, by the governance service.
async fn prepared(server: &Server, route: &Route) -> String {
    if route.path == "/gateway/sessions" {
        let camera = json!({
            "tenantId": server.tenant.to_string(), "cameraId": "hall",
            "rtspUrl": "rtsp://127.0.0.1:9/live",
        });
        let answer = send(server.govern(Method::POST, "/gateway/provision").json(&camera)).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
    }
    let id = server.create().await;
    let has_log = route.path.ends_with("/bundle");
    let is_active = has_log || route.path.ends_with("/end");
    if is_active || matches!(route.who, Who::Attendee | Who::Registrar) {
        let start = format!("/api/v1/sessions/{id}/start");
        assert_eq!(send(server.govern(Method::POST, &start)).await.status, 200);
    }
    if has_log {
        until(server, &proof_of(&id), |answer| answer.status == 200).await;
    }
    id
}

/// A token that is bound to no key.
async fn bearer(server: &Server, tenant: TenantId, role: Role, session: Option<&str>) -> String {
    let user_id = format!("user-{}", uuid::Uuid::new_v4());
    token(server, tenant, (&user_id, role.as_str()), session, None).await
}

/// What a route takes.
fn body_for(server: &Server, route: &Route) -> Option<serde_json::Value> {
    match (route.method.as_str(), route.path) {
        ("PATCH", _) => Some(json!({"title": "Another title"})),
        ("POST", "/api/v1/sessions") => Some(server.new_session()),
        ("POST", path) if path.ends_with("/media-tokens") => {
            Some(json!({"kind": "whep", "ttl_s": 60}))
        }
        // Another camera each time: the route says whether it was new.
        ("POST", "/gateway/provision") => Some(json!({
            "tenantId": server.tenant.to_string(),
            "cameraId": format!("cam-{}", uuid::Uuid::new_v4()),
            "rtspUrl": "rtsp://127.0.0.1:9/live",
        })),
        ("POST", "/api/streams/start") => Some(json!({
            "camera_id": format!("cam-{}", uuid::Uuid::new_v4()),
            "source_url": "rtsp://127.0.0.1:9/live",
        })),
        ("POST", "/gateway/deprovision" | "/gateway/sessions") => {
            Some(json!({"tenantId": server.tenant.to_string(), "cameraId": "hall"}))
        }
        ("POST", "/store/sessions") => Some(json!({
            "sessionId": format!("sess-{}", uuid::Uuid::new_v4()), "deviceId": "box-1",
            "streamPath": "/live", "edgeStartTs": "2026-01-01T10:00:00Z",
        })),
        (_, path) if path.ends_with("-qr") => Some(json!({"token": "a"})),
        (_, path) if path.ends_with("-code") => Some(json!({"code": "1"})),
        (_, path) if path.ends_with("-biometric") => Some(json!({"sample": "YQ=="})),
        (_, path) if path.ends_with("-attendee") => Some(json!({"user_id": "ana"})),
        (_, path) if path.ends_with("/corrections") => Some(json!({"seq": 1, "text": "Sí."})),
        ("PUT", path) if path.ends_with("/minutes") => {
            Some(json!({"language": "es", "text": "# Acta"}))
        }
        ("PUT", _) => Some(json!({"members": []})),
        _ => None,
    }
}

async fn call(server: &Server, route: &Route, caller: Caller) -> Answer {
    let id = prepared(server, route).await;
    let path = route.path.replace("{id}", &id);
    let body = body_for(server, route);
    let tag = if path.ends_with("/minutes") { "\"0\"" } else { "\"1\"" };
    let adjust = |request: RequestBuilder| match &body {
        Some(body) => request.json(body).header("if-match", tag),
        None => request,
    };
    let method = route.method.clone();
    let elsewhere = "01890a5d-ac96-774b-bcce-b302099a8057";
    let person = match caller {
        Caller::Nobody => return send(adjust(server.request(method, &path))).await,
        Caller::Governance => return send(adjust(server.govern(method, &path))).await,
        Caller::Stranger => {
            let url = format!("{}{path}", server.internal);
            return send(adjust(server.stranger.request(method, url))).await;
        }
        Caller::Bearer(role) => {
            let token = bearer(server, server.tenant, role, None).await;
            return send(adjust(server.request(method, &path)).bearer_auth(token)).await;
        }
        Caller::OtherBearer => {
            let token = bearer(server, TenantId::generate(), Role::Moderator, None).await;
            return send(adjust(server.request(method, &path)).bearer_auth(token)).await;
        }
        Caller::ElsewhereBearer => {
            let token = bearer(server, server.tenant, Role::Moderator, Some(elsewhere)).await;
            return send(adjust(server.request(method, &path)).bearer_auth(token)).await;
        }
        Caller::Bound => {
            let person = Person::with_role(server, "moderator").await;
            return send(adjust(server.request(method, &path)).bearer_auth(&person.token)).await;
        }
        Caller::Dpop(role) => Person::with_role(server, role.as_str()).await,
        Caller::OtherDpop => Person::of(server, TenantId::generate(), "moderator", None).await,
        Caller::ElsewhereDpop => {
            Person::of(server, server.tenant, "moderator", Some(elsewhere)).await
        }
    };
    person.write(server, method, &path, adjust).await
}

#[tokio::test]
async fn every_route_admits_exactly_whom_it_names() {
    // Every call has its own session in the same tenant.
    let server = Server::start_with(&[("tenants.default.max_active_sessions", "1000")]).await;
    for route in &routes() {
        for caller in callers() {
            let answer = call(&server, route, caller).await;
            let (status, code) = expected(route, caller);
            let case = format!("{} {} by {caller:?}: {answer:?}", route.method, route.path);
            assert_eq!(answer.status, status, "{case}");
            assert_eq!(answer.code(), code, "{case}");
            assert_eq!(answer.header("x-trace-id").len(), 32, "{case}");
        }
    }
    server.app.stop().await;
}

#[tokio::test]
async fn the_internal_listener_takes_nobody_without_a_certificate() {
    let server = Server::start().await;
    let url = format!("{}/health", server.internal);
    assert!(server.bare.get(url).send().await.is_err());
    server.app.stop().await;
}

#[tokio::test]
async fn another_tenants_sessions_are_not_listed() {
    let server = Server::start().await;
    let id = server.create().await;
    let own = Person::with_role(&server, "participant").await;
    let other = Person::of(&server, TenantId::generate(), "moderator", None).await;
    let bound = Person::of(&server, server.tenant, "participant", Some(&id)).await;
    server.create().await;
    let count = |answer: Answer| answer.json()["items"].as_array().map(Vec::len);
    let list = "/api/v1/sessions";
    assert_eq!(count(own.read(&server, Method::GET, list).await), Some(2));
    assert_eq!(count(other.read(&server, Method::GET, list).await), Some(0));
    assert_eq!(count(bound.read(&server, Method::GET, list).await), Some(1));
    server.app.stop().await;
}
