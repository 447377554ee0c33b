//! The server's interface for captures (`/store`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};
use tokio::time::Instant;
use url::Url;

use crate::clock::{EdgeClock, Reading};
use crate::credentials::Credentials;

/// How long a connection and an answer may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The same for a part of the buffer, whose network may be slow. A server waits as long.
const PART_MAX: Duration = Duration::from_secs(150);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 256 << 10;
const JSON: &str = "application/json";
const SDP: &str = "application/sdp";
const LATE: &str = "application/vnd.cabildo.late";

/// Why a call was not answered as wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The server can't be reached, or has no answer now.
    #[error("the server does not answer: {0}")]
    Away(String),
    /// Something in front of the server takes no such body.
    #[error("what is in front of the server takes no such long body")]
    TooLong,
    /// The server refuses.
    #[error("the server refuses ({status} {code}): {message}")]
    Refused {
        /// The status.
        status: u16,
        /// The stable code.
        code: String,
        /// Why.
        message: String,
    },
    /// The server issues no tokens of development.
    #[error(
        "the server does not run with --dev, so the box needs --cert and --key, or --token-file and \
         --dpop-key"
    )]
    NotDevelopment,
}

/// What no later call of the same capture changes: it is another one's, or it can't be what it says.
const FOR_GOOD: [&str; 2] = ["CAPTURE_SESSION_CONFLICT", "UNPROCESSABLE_REQUEST"];

impl CallError {
    /// Whether the same may be answered later. What has no stable code comes from something in front
    /// of the server, and most of what has one passes: tokens are renewed, tenants are paid for, and
    /// servers replaced.
    #[must_use]
    pub(crate) fn is_for_now(&self) -> bool {
        match self {
            Self::Away(_) | Self::TooLong => true,
            Self::NotDevelopment => false,
            Self::Refused { code, .. } => !FOR_GOOD.contains(&code.as_str()),
        }
    }

    /// Whether less may be taken.
    #[must_use]
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLong) || self.has_code("PAYLOAD_TOO_LARGE")
    }

    /// Whether it has this code.
    #[must_use]
    pub(crate) fn has_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

/// What the server tells of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Whether it is open.
    pub(crate) is_open: bool,
    /// Until when its media is kept, by the box's clock.
    pub(crate) kept_until_us: Option<i64>,
    /// How far the server's clock is ahead of the box's, in microseconds.
    pub(crate) ahead_us: i64,
}

#[derive(Deserialize)]
struct ShownBody {
    status: String,
    media_until: Option<String>,
}

struct Answer {
    headers: HeaderMap,
    body: Bytes,
}

struct Call {
    method: Method,
    url: Url,
    kind: Option<&'static str>,
    body: Bytes,
    patience: Duration,
}

/// The server.
pub(crate) struct Server {
    http: Client,
    base: Url,
    credentials: Credentials,
    nonce: Mutex<Option<String>>,
    /// The server's time, once a refusal or a nonce told it.
    clock: Mutex<Option<EdgeClock>>,
}

/// The capture that is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'opening> {
    /// How the box names it.
    pub(crate) session: &'opening str,
    /// The box.
    pub(crate) device: &'opening str,
    /// When it began, by the box's clock.
    pub(crate) began_us: i64,
}

impl Server {
    /// The server at an address, trusted by the authorities of `ca` only when there is one.
    ///
    /// # Errors
    /// When certificates can't be used.
    pub(crate) fn new(
        base: Url,
        credentials: Credentials,
        ca: Option<&[u8]>,
    ) -> Result<Self, String> {
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("cabildo-edge/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = ca {
            let all = reqwest::Certificate::from_pem_bundle(pem).map_err(|it| it.to_string())?;
            builder = builder.tls_certs_only(all);
        }
        if let Credentials::Service { identity, .. } = &credentials {
            let identity = reqwest::Identity::from_pem(identity).map_err(|it| it.to_string())?;
            builder = builder.identity(identity);
        }
        let http = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { http, base, credentials, nonce: Mutex::default(), clock: Mutex::default() })
    }

    /// Opens a capture, or tells about the one that is open already.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn open(
        &self,
        opening: Opening<'_>,
        now_us: impl Fn() -> i64,
    ) -> Result<Shown, CallError> {
        let Opening { session, device, began_us } = opening;
        let body = json!({
            "sessionId": session,
            "deviceId": device,
            "streamPath": format!("whip/{session}"),
            "edgeStartTs": moment(began_us),
        });
        let asked_us = now_us();
        let answer = self.json(Method::POST, &["store", "sessions"], &body).await?;
        let answered_us = now_us();
        let shown: ShownBody = serde_json::from_slice(&answer.body)
            .map_err(|_| CallError::Away("an answer that is not understood".to_owned()))?;
        let time = answer.headers.get("cabildo-time").and_then(|value| value.to_str().ok());
        let server_us = time
            .and_then(us_of)
            .ok_or_else(|| CallError::Away("an answer without a time".to_owned()))?;
        // It was made in the middle between question and answer.
        let ahead_us = server_us - (asked_us + (answered_us - asked_us) / 2);
        Ok(Shown {
            is_open: shown.status == "open",
            kept_until_us: shown.media_until.as_deref().and_then(us_of).map(|it| it - ahead_us),
            ahead_us,
        })
    }

    /// Closes a capture.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn close(&self, session: &str, ended_us: i64) -> Result<(), CallError> {
        let body = json!({ "edgeEndTs": moment(ended_us) });
        self.json(Method::POST, &["store", "sessions", session, "close"], &body).await?;
        Ok(())
    }

    /// Sends what could not be sent when it was made.
    ///
    /// # Errors
    /// Why it is not kept.
    pub(crate) async fn append(
        &self,
        session: &str,
        part: Vec<u8>,
        ahead_us: i64,
    ) -> Result<(), CallError> {
        let mut url = self.url(&["store", "sessions", session, "media"]);
        url.query_pairs_mut().append_pair("ahead_ms", &(ahead_us / 1_000).to_string());
        self.call(Method::POST, url, Some(LATE), part.into(), PART_MAX).await?;
        Ok(())
    }

    /// Offers to publish pictures whose stamps were 0 then, by the server's clock; the answer, and
    /// the address of the resource.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn publish(
        &self,
        session: &str,
        offer: String,
        stamps_from_us: i64,
    ) -> Result<(String, Url), CallError> {
        let mut url = self.url(&["store", "sessions", session, "whip"]);
        url.query_pairs_mut().append_pair("stamps_from_us", &stamps_from_us.to_string());
        let answer =
            self.call(Method::POST, url.clone(), Some(SDP), offer.into(), ANSWER_MAX).await?;
        let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.and_then(|location| url.join(location).ok());
        let location = location.filter(|it| it.origin() == url.origin());
        let text = String::from_utf8(answer.body.to_vec()).ok();
        let strange = || CallError::Away("an answer without a description or a place".to_owned());
        text.zip(location).ok_or_else(strange)
    }

    /// Ends a publication.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn unpublish(&self, resource: Url) -> Result<(), CallError> {
        self.call(Method::DELETE, resource, None, Bytes::new(), ANSWER_MAX).await?;
        Ok(())
    }

    /// Where the server is: the host and the port.
    #[must_use]
    pub(crate) fn place(&self) -> (String, u16) {
        let host = self.base.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        (host, self.base.port_or_known_default().unwrap_or(443))
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    async fn json(
        &self,
        method: Method,
        segments: &[&str],
        body: &Value,
    ) -> Result<Answer, CallError> {
        let body = body.to_string().into();
        self.call(method, self.url(segments), Some(JSON), body, ANSWER_MAX).await
    }

    async fn call(
        &self,
        method: Method,
        url: Url,
        kind: Option<&'static str>,
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer, CallError> {
        let call = Call { method, url, kind, body, patience };
        for _ in 0..2 {
            match self.once(&call).await {
                // The server has told the nonce, or the time, that the next proof needs.
                Err(error) if error.has_code("DPOP_NONCE_REQUIRED") => {}
                Err(error) if error.has_code("DPOP_PROOF_INVALID") => {}
                answered => return answered,
            }
        }
        self.once(&call).await
    }

    async fn once(&self, call: &Call) -> Result<Answer, CallError> {
        let until = Instant::now() + call.patience;
        let request =
            self.http.request(call.method.clone(), call.url.clone()).timeout(call.patience);
        let mut request = self.authorised(request, call).await?;
        if let Some(kind) = call.kind {
            request = request.header(CONTENT_TYPE, kind).body(call.body.clone());
        }
        let mut response = request.send().await.map_err(|error| away(&error))?;
        self.note(response.status(), response.headers());
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = tokio::time::timeout_at(until, response.chunk())
            .await
            .map_err(|_| CallError::Away("an answer that does not end".to_owned()))?
            .map_err(|error| away(&error))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(CallError::Away("an answer that is too long".to_owned()));
            }
        }
        if status.is_success() {
            return Ok(Answer { headers, body: body.into() });
        }
        Err(refusal(status, &body))
    }

    async fn authorised(
        &self,
        request: reqwest::RequestBuilder,
        call: &Call,
    ) -> Result<reqwest::RequestBuilder, CallError> {
        let (token, key) = match &self.credentials {
            Credentials::Service { tenant, .. } => {
                return Ok(match tenant {
                    Some(tenant) => request.header("x-tenant-id", tenant),
                    None => request,
                });
            }
            Credentials::Token { token, key } => {
                let token = token.read();
                (token.map_err(|error| CallError::Away(format!("no token: {error}")))?, key)
            }
            Credentials::Development { tenant, key } => {
                (self.development_token(tenant, key.thumbprint()).await?, key)
            }
        };
        let mut named = call.url.clone();
        named.set_query(None);
        let nonce = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let issued_us = clock.map_or_else(|| Reading::now().wall_us, |clock| clock.now_us());
        let issued_s = issued_us / 1_000_000;
        let (method, named) = (call.method.as_str(), named.as_str());
        let proof = key.proof(method, named, &token, nonce.as_deref(), issued_s);
        Ok(request.header(AUTHORIZATION, format!("DPoP {token}")).header("dpop", proof))
    }

    /// A token of development's issuer, which are short-lived and for nothing to get.
    async fn development_token(&self, tenant: &str, jkt: &str) -> Result<String, CallError> {
        let body = json!({
            "tenant_id": tenant, "user_id": "edge", "roles": ["operator"], "jkt": jkt,
        });
        let request = self.http.post(self.url(&["dev", "token"])).timeout(ANSWER_MAX);
        let request = request.header(CONTENT_TYPE, JSON).body(body.to_string());
        let response = request.send().await.map_err(|error| away(&error))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| away(&error))?;
        let refused = (!status.is_success()).then(|| refusal(status, &body));
        if refused.as_ref().is_some_and(|it| it.has_code("ROUTE_NOT_FOUND")) {
            return Err(CallError::NotDevelopment);
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let token = body.get("access_token").and_then(Value::as_str).map(str::to_owned);
        token.ok_or_else(|| CallError::Away("an answer without a token".to_owned()))
    }

    /// Takes what the next proof needs: the nonce, and the server's time, as the box's own clock may
    /// be wrong.
    fn note(&self, status: StatusCode, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let nonce = text("dpop-nonce");
        if nonce.is_none() && status != StatusCode::UNAUTHORIZED {
            return;
        }
        if let Some(nonce) = nonce {
            *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
        }
        let told_us =
            text("cabildo-time").and_then(us_of).or_else(|| text("date").and_then(us_of_date));
        if let Some(wall_us) = told_us {
            let clock = EdgeClock::begin(Reading { wall_us, ..Reading::now() });
            *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock);
        }
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> CallError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if !is_code(&text("code")) {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return CallError::TooLong;
        }
        return CallError::Away(format!("{status}, which is no answer of a server of Cabildo"));
    }
    CallError::Refused { status: status.as_u16(), code: text("code"), message: text("message") }
}

/// Whether it may be a stable code of the server.
fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_uppercase() || it == b'_')
}

/// The address is not told: it is known, and may have a token in it.
fn away(error: &reqwest::Error) -> CallError {
    use std::error::Error as _;
    let mut text =
        if error.is_timeout() { "it takes too long" } else { "no connection" }.to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    CallError::Away(text)
}

fn moment(us: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1_000).ok();
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
}

/// The moment of a header `Date`.
fn us_of_date(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    moment.unix_timestamp().checked_mul(1_000_000)
}

/// A moment in microseconds since 1970.
pub(crate) fn us_of(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos() / 1_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stand_in::{StandIn, refusal as refused_with};

    #[test]
    fn moments_are_read_as_they_are_written() {
        let us = 1_700_000_000_123_456;
        assert_eq!(us_of(&moment(us)), Some(us));
        assert_eq!(us_of("2023-11-14T22:13:20.5Z"), Some(1_700_000_000_500_000));
        assert_eq!(us_of("yesterday"), None);
        assert_eq!(us_of_date("Tue, 14 Nov 2023 22:13:20 GMT"), Some(1_700_000_000_000_000));
        assert_eq!(us_of_date("yesterday"), None);
    }

    #[test]
    fn what_may_be_answered_later_is_told_apart() {
        let refused = |status: u16, code: &str| {
            let status = StatusCode::from_u16(status).expect("a status");
            refusal(status, json!({"code": code, "message": "m"}).to_string().as_bytes())
        };
        assert!(refused(503, "DEPENDENCY_UNAVAILABLE").is_for_now());
        assert!(refused(401, "TOKEN_EXPIRED").is_for_now(), "whoever writes the token renews it");
        assert!(!refused(409, "CAPTURE_SESSION_CONFLICT").is_for_now());
        assert!(refused(404, "CAPTURE_SESSION_NOT_FOUND").is_for_now(), "it is opened again");
        assert!(refused(409, "X").has_code("X"));
        for status in [302, 400, 404, 405, 409, 411, 413, 422, 451, 502] {
            let status = StatusCode::from_u16(status).expect("a status");
            for body in [b"<html>".as_slice(), b"", br#"{"code":"Conflict"}"#, br#"{"code":409}"#] {
                assert!(refusal(status, body).is_for_now(), "{status} of a proxy");
            }
        }
    }

    #[tokio::test]
    async fn proofs_have_the_time_of_the_server_whatever_the_clock_of_the_box_says() {
        const AHEAD_S: i64 = 3 * 365 * 86_400;
        let stand_in = StandIn::start().await;
        let now_s = || Reading::now().wall_us / 1_000_000 + AHEAD_S;
        stand_in.set(move |asked| {
            let claims = asked.proof.as_ref()?;
            let date = OffsetDateTime::from_unix_timestamp(now_s()).expect("a moment");
            let date = date.format(&Rfc2822).expect("a date").replace("+0000", "GMT");
            let issued_s = claims["iat"].as_i64().expect("seconds");
            let mut refusal = if (issued_s - now_s()).abs() > 86_400 {
                refused_with(401, "DPOP_PROOF_INVALID")
            } else if claims["nonce"] != "n" {
                let mut refusal = refused_with(401, "DPOP_NONCE_REQUIRED");
                refusal.headers.push(("dpop-nonce", "n".to_owned()));
                refusal
            } else {
                return None;
            };
            refusal.headers.push(("date", date));
            Some(refusal)
        });
        let opening = Opening { session: "box-1", device: "box", began_us: 0 };
        let shown = stand_in.server().open(opening, || 0).await.expect("opened");
        assert!(shown.is_open);
    }
}
