//! Authenticates and authorises the caller. Every handler begins with this.

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;

use super::Api;
use super::error::{ApiError, DPOP_NONCE};
use crate::auth::client_cert::ServiceIdentity;
use crate::auth::{AuthError, DpopRequest, Freshness, Scheme};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, SessionKey};
use crate::domain::participant::{Principal, ServiceName};
use crate::domain::role::Action;
use crate::domain::service_route::ServiceRoute;
use crate::sessions::Caller;

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The identities in the client certificate of a connection; only the internal listener adds them
/// to requests.
#[derive(Debug, Clone, Default)]
pub struct CallerIdentities(pub BTreeSet<ServiceIdentity>);

/// The credentials of a request.
#[derive(Debug, Clone)]
pub(super) struct Credentials {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    identities: BTreeSet<ServiceIdentity>,
}

/// A person or a service that is allowed to make the request.
#[derive(Debug, Clone)]
pub(super) enum PersonOrService {
    Person(Principal),
    Service(ServiceName),
}

impl PersonOrService {
    /// The caller in the form of the idempotency store.
    pub(super) fn as_caller(&self) -> Caller {
        match self {
            Self::Person(person) => Caller::User(person.user_id.clone()),
            Self::Service(service) => Caller::Service(service.clone()),
        }
    }

    /// Refuses a person whose token is for one session what is of a whole tenant.
    pub(super) fn of_tenant(self) -> Result<Self, ApiError> {
        match &self {
            Self::Person(person) if person.session_id.is_some() => {
                let message = "the token is for one session, and this is of a whole tenant";
                Err(ApiError::new(ErrorCode::Forbidden, message))
            }
            Self::Person(_) | Self::Service(_) => Ok(self),
        }
    }

    /// An answer, with the nonce for the next proof when it is for a person.
    pub(super) fn answer(&self, api: &Api, response: Response) -> Response {
        match self {
            Self::Person(_) => with_nonce(response, api),
            Self::Service(_) => response,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Credentials {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let identities = parts
            .extensions
            .get::<CallerIdentities>()
            .map(|CallerIdentities(identities)| identities.clone())
            .unwrap_or_default();
        Ok(Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            identities,
        })
    }
}

impl Credentials {
    /// A person who may do `action`: with an unbound bearer token, or with a token that is bound to
    /// a key and a proof of possession.
    pub(super) async fn reader(&self, api: &Api, action: Action) -> Result<Principal, ApiError> {
        let person = if self.headers.contains_key(DPOP) || self.has_scheme(Scheme::Dpop) {
            self.prove(api, Freshness::NonceOrTime).await?
        } else {
            let authorization = self.single(&AUTHORIZATION).map_err(|()| {
                ApiError::unauthenticated(&AuthError::CredentialsMissing, Scheme::Bearer)
            })?;
            api.authenticator
                .bearer(authorization, api.wall.now())
                .await
                .map_err(|error| Self::refused(api, &error, Scheme::Bearer))?
        };
        permit(&person, action)?;
        Ok(person)
    }

    /// A person who may do `action`, with a proof of possession, within the rate limit for writes.
    pub(super) async fn writer(&self, api: &Api, action: Action) -> Result<Principal, ApiError> {
        let person = self.prove(api, Freshness::Nonce).await?;
        permit(&person, action)?;
        api.rate_limits.write(person.tenant_id, &person.user_id)?;
        Ok(person)
    }

    /// A person who may do `action`, with a proof of possession that is fresh
    /// enough for a read.
    pub(super) async fn prover(&self, api: &Api, action: Action) -> Result<Principal, ApiError> {
        let person = self.prove(api, Freshness::NonceOrTime).await?;
        permit(&person, action)?;
        Ok(person)
    }

    /// As [`Self::writer`] for routes that count by themselves how often somebody
    /// may call them.
    pub(super) async fn counted_writer(
        &self,
        api: &Api,
        action: Action,
    ) -> Result<Principal, ApiError> {
        let person = self.prove(api, Freshness::Nonce).await?;
        permit(&person, action)?;
        Ok(person)
    }

    /// The text of a bearer token, if one was sent.
    pub(super) fn bearer_text(&self) -> Option<&str> {
        let value = self.single(&AUTHORIZATION).ok().flatten()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case(Scheme::Bearer.as_str()).then(|| token.trim_matches(' '))
    }

    /// As [`Self::writer`] for whoever registers people at a door, one after the
    /// other.
    pub(super) async fn desk_writer(
        &self,
        api: &Api,
        action: Action,
    ) -> Result<Principal, ApiError> {
        let person = self.counted_writer(api, action).await?;
        api.rate_limits.register(person.tenant_id, &person.user_id)?;
        Ok(person)
    }

    /// A service that may call `route`.
    pub(super) fn service(&self, api: &Api, route: ServiceRoute) -> Result<ServiceName, ApiError> {
        api.services
            .authorise(route.key(), &self.identities)
            .map_err(|error| ApiError::unauthenticated(&error, Scheme::Dpop))
    }

    /// The service that calls, if it is one: with a client certificate and no token.
    fn service_if_any(
        &self,
        api: &Api,
        route: ServiceRoute,
    ) -> Result<Option<ServiceName>, ApiError> {
        if self.identities.is_empty() || self.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        self.service(api, route).map(Some)
    }

    /// A person or a service that may change something.
    pub(super) async fn writer_or_service(
        &self,
        api: &Api,
        action: Action,
        route: ServiceRoute,
    ) -> Result<PersonOrService, ApiError> {
        match self.service_if_any(api, route)? {
            Some(service) => Ok(PersonOrService::Service(service)),
            None => self.writer(api, action).await.map(PersonOrService::Person),
        }
    }

    /// As [`Self::writer_or_service`] for people who may do either of these.
    pub(super) async fn either_writer_or_service(
        &self,
        api: &Api,
        [one, other]: [Action; 2],
        route: ServiceRoute,
    ) -> Result<PersonOrService, ApiError> {
        if let Some(service) = self.service_if_any(api, route)? {
            return Ok(PersonOrService::Service(service));
        }
        let person = self.prove(api, Freshness::Nonce).await?;
        permit(&person, one).or_else(|_| permit(&person, other))?;
        api.rate_limits.write(person.tenant_id, &person.user_id)?;
        Ok(PersonOrService::Person(person))
    }

    /// As [`Self::writer_or_service`], of a request that changes nothing.
    pub(super) async fn reader_or_service(
        &self,
        api: &Api,
        action: Action,
        route: ServiceRoute,
    ) -> Result<PersonOrService, ApiError> {
        match self.service_if_any(api, route)? {
            Some(service) => Ok(PersonOrService::Service(service)),
            None => self.reader(api, action).await.map(PersonOrService::Person),
        }
    }

    /// Whether the `Authorization` header has this scheme.
    fn has_scheme(&self, scheme: Scheme) -> bool {
        let value = self.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let name = value.and_then(|value| value.split(' ').next());
        name.is_some_and(|name| name.eq_ignore_ascii_case(scheme.as_str()))
    }

    /// A refusal with a nonce for the next proof, whatever its reason.
    fn refused(api: &Api, error: &AuthError, scheme: Scheme) -> ApiError {
        let refusal = ApiError::unauthenticated(error, scheme);
        let wants_proof = scheme == Scheme::Dpop || *error == AuthError::TokenBound;
        if error.nonce().is_some() || !wants_proof {
            refusal
        } else {
            refusal.with_header(DPOP_NONCE, &api.authenticator.fresh_nonce(api.wall.now()))
        }
    }

    async fn prove(&self, api: &Api, freshness: Freshness) -> Result<Principal, ApiError> {
        let refuse = |error: AuthError| Self::refused(api, &error, Scheme::Dpop);
        let authorization =
            self.single(&AUTHORIZATION).map_err(|()| refuse(AuthError::CredentialsMissing))?;
        let proof = self.single(&DPOP).map_err(|()| refuse(AuthError::ProofInvalid))?;
        let url = format!("{}{}", self.origin(api), self.uri.path());
        let request = DpopRequest { authorization, proof, method: self.method.as_str(), url: &url };
        api.authenticator.dpop(request, freshness, api.wall.now()).await.map_err(refuse)
    }

    /// The value of a header that may occur once; an error when it occurs twice or is not text.
    fn single(&self, name: &HeaderName) -> Result<Option<&str>, ()> {
        let mut values = self.headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(());
        }
        value.to_str().map(Some).map_err(|_| ())
    }

    /// The origin to which this request was sent: of the configured ones, the one that the client
    /// names, or else the first. An origin that is not configured is never used.
    pub(super) fn origin<'a>(&self, api: &'a Api) -> &'a str {
        let named = self
            .uri
            .authority()
            .map(http::uri::Authority::as_str)
            .or_else(|| self.headers.get(HOST)?.to_str().ok());
        let origins = &api.options.public_origins;
        origins
            .iter()
            .find(|origin| origin.split_once("://").map(|(_, authority)| authority) == named)
            .or_else(|| origins.first())
            .map_or("", String::as_str)
    }
}

/// Refuses a person whose roles do not allow `action`.
pub(super) fn permit(person: &Principal, action: Action) -> Result<(), ApiError> {
    if person.roles.may(action) {
        Ok(())
    } else {
        Err(ApiError::new(ErrorCode::Forbidden, "the caller's roles do not allow this"))
    }
}

/// Refuses access to any other session to a person whose token is bound to one.
pub(super) fn see(person: &Principal, session: SessionId) -> Result<SessionKey, ApiError> {
    if person.session_id.is_none_or(|bound| bound == session) {
        Ok(SessionKey::new(person.tenant_id, session))
    } else {
        Err(ApiError::new(ErrorCode::SessionNotFound, "there is no such session"))
    }
}

/// Adds the nonce for the next proof to an answer to a person.
pub(super) fn with_nonce(mut response: Response, api: &Api) -> Response {
    if let Ok(nonce) = HeaderValue::from_str(&api.authenticator.fresh_nonce(api.wall.now())) {
        response.headers_mut().entry(DPOP_NONCE).or_insert(nonce);
    }
    response
}
