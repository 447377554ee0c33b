//! What all clients share: one HTTP client for one service, with its time-out,
//! its repetitions and its breaker.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Identity, Method, Url, redirect};
use serde_json::Value;
use url::form_urlencoded;

use crate::clock::Clock;
use crate::domain::backoff::Backoff;
use crate::domain::network::is_loopback_host;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::services::breaker::{Admission, Breaker, BreakerState};
use crate::services::error::{ServiceError, ServiceSetupError};
use crate::services::metrics;
use crate::services::refusal::{refusal_code, retry_after_of};

/// Most times that one call is tried. Raising it makes callers wait longer for a
/// service that is down.
pub const TRIES_MAX: u32 = 3;
/// Longest pause before the second try; it doubles before the next. Raising it
/// makes callers wait longer.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Longest answer read, in bytes: an eligible list of 20,000 members.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest answer of a provider of meetings, in bytes: 300 meetings in a list.
const OUTSIDE_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How much of a refusal is read, in bytes, to find its code.
const REFUSAL_BYTES_MAX: usize = 16 * 1024;
/// Longest time to connect. Connecting within a data centre takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A service of the platform, or a provider of meetings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemoteService {
    /// Validates what people present.
    Identity,
    /// Holds assemblies and their votes.
    Governance,
    /// Knows what tenants may use.
    Tenancy,
    /// Knows who is eligible.
    UserProfiles,
    /// Gives tokens for Google Meet.
    GoogleToken,
    /// Carries meetings.
    GoogleMeet,
    /// Gives tokens for Zoom.
    ZoomToken,
    /// Carries meetings.
    Zoom,
}

impl RemoteService {
    /// Its name in configuration, health and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Governance => "governance",
            Self::Tenancy => "tenancy",
            Self::UserProfiles => "user_profiles",
            Self::GoogleToken => "google_token",
            Self::GoogleMeet => "google_meet",
            Self::ZoomToken => "zoom_token",
            Self::Zoom => "zoom",
        }
    }

    /// How long one try may take, from connecting to the last byte.
    const fn timeout(self) -> Duration {
        match self {
            Self::Identity
            | Self::Tenancy
            | Self::GoogleToken
            | Self::GoogleMeet
            | Self::ZoomToken
            | Self::Zoom => Duration::from_secs(5),
            Self::Governance | Self::UserProfiles => Duration::from_secs(3),
        }
    }

    /// Whether it is outside the platform: it is not told what we call ourselves, its
    /// answers are short, and the codes of its refusals say what to do.
    const fn is_outside(self) -> bool {
        matches!(self, Self::GoogleToken | Self::GoogleMeet | Self::ZoomToken | Self::Zoom)
    }

    /// Longest answer read, in bytes.
    const fn answer_bytes_max(self) -> usize {
        if self.is_outside() { OUTSIDE_ANSWER_BYTES_MAX } else { ANSWER_BYTES_MAX }
    }
}

impl fmt::Display for RemoteService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a service may be called without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainHttp {
    /// On this machine only.
    #[default]
    LoopbackOnly,
    /// Anywhere: for networks that encrypt underneath, as a mesh does.
    Allowed,
}

/// Certificates for a service that knows its callers by them.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// PEM of the only authorities whose server certificates are taken.
    pub authorities: Vec<u8>,
    /// PEM of our certificate chain and its key.
    pub identity: Secret<Vec<u8>>,
}

/// How to reach a service.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Base URL; the paths of the contract are below it.
    pub url: String,
    /// What this server calls itself in `X-Service-ID`.
    pub service_id: String,
    /// Whether http URLs are taken.
    pub plain_http: PlainHttp,
    /// Certificates, when the service asks for one.
    pub tls: Option<ClientTls>,
    /// How long one try may take; what the contract says when `None`.
    pub timeout: Option<Duration>,
}

/// How a service is doing, for health and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// Which service.
    pub service: RemoteService,
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// When it last answered usably.
    pub answered_at: Option<Timestamp>,
    /// When it last failed.
    pub failed_at: Option<Timestamp>,
    /// What keeps it from being of use although it answers: it refuses us, or something that it said
    /// lately is refused.
    pub problem: Option<String>,
}

impl ServiceState {
    /// Whether it answered the last time, or was never asked, and nothing is refused.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let answers = self.breaker == BreakerState::Closed && self.failed_at <= self.answered_at;
        answers && self.problem.is_none()
    }

    /// Tells Prometheus the state of its breaker.
    pub fn report_metrics(&self) {
        metrics::breaker_is(self.service, self.breaker);
    }
}

/// Whether a call may be made a second time when nobody knows whether the first
/// arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It may.
    Safe,
    /// It may not, as it uses something up.
    Unsafe,
}

/// One question.
#[derive(Clone)]
pub(super) struct Question<'a> {
    pub(super) method: Method,
    /// Segments of the path; each is escaped.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a Value>,
    /// A body in the form of HTML forms.
    pub(super) form: Option<&'a [(&'a str, &'a str)]>,
    /// The whole value of `Authorization`.
    pub(super) authorization: Option<&'a Secret<String>>,
    /// Makes a write safe to repeat.
    pub(super) idempotency_key: Option<&'a str>,
    pub(super) repeat: Repeat,
}

impl<'a> Question<'a> {
    pub(super) const fn get(path: &'a [&'a str], query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            method: Method::GET,
            path,
            query,
            body: None,
            form: None,
            authorization: None,
            idempotency_key: None,
            repeat: Repeat::Safe,
        }
    }

    /// A write, which is not repeated.
    pub(super) fn write(method: Method, path: &'a [&'a str]) -> Self {
        let mut question = Self::get(path, &[]);
        question.method = method;
        question.repeat = Repeat::Unsafe;
        question
    }
}

/// A client of one service.
pub(super) struct ServiceClient {
    pub(super) service: RemoteService,
    client: reqwest::Client,
    base: Url,
    clock: Clock,
    status: Mutex<Status>,
}

#[derive(Default)]
struct Status {
    breaker: Breaker,
    answered_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
    /// Why it refuses us.
    refusal: Option<String>,
}

impl ServiceClient {
    /// A client. A rustls provider must be installed for the process.
    pub(super) fn new(
        service: RemoteService,
        options: &ServiceOptions,
        clock: Clock,
    ) -> Result<Self, ServiceSetupError> {
        let invalid = || ServiceSetupError::AddressInvalid(service);
        let mut base = Url::parse(&options.url).map_err(|_| invalid())?;
        if !is_allowed(&base, options.plain_http) {
            return Err(invalid());
        }
        base.path_segments_mut().map_err(|()| invalid())?.pop_if_empty();
        let id = HeaderValue::try_from(&options.service_id)
            .map_err(|_| ServiceSetupError::ServiceIdInvalid)?;
        let mut headers = HeaderMap::new();
        if !service.is_outside() {
            headers.insert("x-service-id", id);
            headers.insert("x-internal-service", HeaderValue::from_static("true"));
        }
        let timeout = options.timeout.unwrap_or(service.timeout());
        let mut builder = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .default_headers(headers);
        if let Some(tls) = &options.tls {
            let unusable = |error| ServiceSetupError::CertificatesInvalid(service, error);
            let authorities = Certificate::from_pem_bundle(&tls.authorities).map_err(unusable)?;
            let identity = Identity::from_pem(tls.identity.expose()).map_err(unusable)?;
            builder = builder.tls_certs_only(authorities).identity(identity);
        }
        let client = builder.build().map_err(ServiceSetupError::Client)?;
        Ok(Self { service, client, base, clock, status: Mutex::default() })
    }

    /// How the service is doing.
    pub(super) fn state(&self) -> ServiceState {
        let status = self.status();
        ServiceState {
            service: self.service,
            breaker: status.breaker.state(),
            answered_at: status.answered_at,
            failed_at: status.failed_at,
            problem: status.refusal.clone(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Asks, and has `read` make sense of the answer. An answer that makes none
    /// counts against the service as much as no answer.
    pub(super) async fn ask<T>(
        &self,
        question: Question<'_>,
        read: impl Fn(&[u8]) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MAX);
        for _ in 1..TRIES_MAX {
            match self.try_once(&question, &read).await {
                Err(error) if may_repeat(&error, question.repeat) => {
                    tokio::time::sleep(backoff.next(rand::random())).await;
                }
                outcome => return outcome,
            }
        }
        self.try_once(&question, &read).await
    }

    async fn try_once<T>(
        &self,
        question: &Question<'_>,
        read: impl Fn(&[u8]) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let permit = match self.status().breaker.admit(self.now()) {
            Admission::Allowed(permit) => permit,
            Admission::Refused(retry_after) => {
                let error = ServiceError::LeftAlone { service: self.service, retry_after };
                metrics::called(self.service, error.kind());
                return Err(error);
            }
        };
        let outcome = match self.exchange(question).await {
            Ok(answer) => read(&answer),
            Err(error) => Err(error),
        };
        let succeeded = outcome.as_ref().err().is_none_or(|error| !error.blames_service());
        let now = self.now();
        let mut status = self.status();
        status.breaker.handle_outcome(permit, succeeded, now);
        if succeeded {
            status.answered_at = Some(now);
        } else {
            status.failed_at = Some(now);
        }
        match &outcome {
            Ok(_) => status.refusal = None,
            Err(error) if error.refuses_us() => status.refusal = Some(error.to_string()),
            Err(_) => {}
        }
        let breaker = status.breaker.state();
        drop(status);
        metrics::called(
            self.service,
            outcome.as_ref().err().map_or("answered", ServiceError::kind),
        );
        metrics::breaker_is(self.service, breaker);
        outcome
    }

    async fn exchange(&self, question: &Question<'_>) -> Result<Vec<u8>, ServiceError> {
        let service = self.service;
        let broken = |source: reqwest::Error| {
            if source.is_timeout() {
                ServiceError::TimedOut { service }
            } else {
                ServiceError::Unreachable { service, source }
            }
        };
        let mut request = self.client.request(question.method.clone(), self.address(question));
        if let Some(body) = question.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        if let Some(form) = question.form {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        }
        if let Some(authorization) = question.authorization {
            let mut value = HeaderValue::from_str(authorization.expose()).map_err(|_| {
                let what = "the token is not the value of a header".to_owned();
                ServiceError::NotByContract { service, what }
            })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(key) = question.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        if !response.status().is_success() {
            if service.is_outside() {
                return Err(self.refusal(response).await);
            }
            return Err(ServiceError::Status { service, status });
        }
        let bytes_max = service.answer_bytes_max();
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if answer.len() + chunk.len() > bytes_max {
                return Err(ServiceError::TooLong { service });
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    /// What a provider refuses, by the code in its answer as far as there is one.
    async fn refusal(&self, mut response: reqwest::Response) -> ServiceError {
        let status = response.status().as_u16();
        let said = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = said.and_then(|text| retry_after_of(text, self.now()));
        let mut body = Vec::new();
        // A refusal that breaks off or is long is known by its status.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > REFUSAL_BYTES_MAX {
                body.clear();
                break;
            }
        }
        ServiceError::Refused {
            service: self.service,
            status,
            code: refusal_code(&body),
            retry_after,
        }
    }

    fn address(&self, question: &Question<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(question.path);
        }
        if !question.query.is_empty() {
            url.query_pairs_mut().extend_pairs(question.query);
        }
        url
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a failure may go away, and asking again does no harm.
fn may_repeat(error: &ServiceError, repeat: Repeat) -> bool {
    match error {
        // Nothing was sent.
        ServiceError::Unreachable { source, .. } if source.is_connect() => true,
        ServiceError::Unreachable { .. } | ServiceError::TimedOut { .. } => repeat == Repeat::Safe,
        ServiceError::Status { status, .. } => *status >= 500 && repeat == Repeat::Safe,
        // A provider that says when to come again is not asked before.
        ServiceError::Refused { status, retry_after, .. } => {
            *status >= 500 && retry_after.is_none() && repeat == Repeat::Safe
        }
        ServiceError::LeftAlone { .. }
        | ServiceError::TooLong { .. }
        | ServiceError::NotByContract { .. }
        | ServiceError::Contradicts { .. }
        | ServiceError::ListRefused(_) => false,
    }
}

fn is_allowed(url: &Url, plain_http: PlainHttp) -> bool {
    let Some(host) = url.host_str() else { return false };
    let is_loopback = is_loopback_host(host);
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let scheme_fits = match url.scheme() {
        "https" => true,
        "http" => is_loopback || plain_http == PlainHttp::Allowed,
        _ => false,
    };
    scheme_fits && !has_credentials && url.query().is_none() && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_called_over_tls_unless_they_are_on_this_machine_or_it_is_said() {
        for (url, by_default, when_allowed) in [
            ("https://identity.example", true, true),
            ("https://identity.example/base/", true, true),
            ("http://127.0.0.1:8080", true, true),
            ("http://[::1]", true, true),
            ("http://localhost", true, true),
            ("http://identity.example", false, true),
            ("http://127.0.0.1.example", false, true),
            ("https://user:secret@identity.example", false, false),
            ("https://identity.example/?a=b", false, false),
            ("ftp://127.0.0.1", false, false),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(is_allowed(&url, PlainHttp::LoopbackOnly), by_default, "{url}");
            assert_eq!(is_allowed(&url, PlainHttp::Allowed), when_allowed, "{url}");
        }
    }
}
