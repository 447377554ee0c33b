//! Meetings as both providers have them, and what both clients share.

use reqwest::Url;
use tokio::sync::Mutex;

use crate::domain::id::SessionId;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::services::client::{Question, RemoteService, ServiceClient, ServiceState};
use crate::services::error::ServiceError;

/// Longest address of a meeting, in bytes. Those with a password have about 150.
const ADDRESS_BYTES_MAX: usize = 2_048;
/// Longest token, in bytes. They have up to about 2,000.
const TOKEN_BYTES_MAX: usize = 8_192;
/// How long before it expires a token is not used any more.
const TOKEN_SPARE_S: i64 = 60;

/// A meeting to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedMeeting {
    /// The session that it is for.
    pub session: SessionId,
    /// Its title, for a provider that shows one.
    pub title: String,
    /// When it should start.
    pub start_at: Timestamp,
    /// How many minutes are planned for it.
    pub minutes: u32,
}

/// A meeting that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingAtProvider {
    /// The provider's name of it.
    pub external_id: String,
    /// Where people join it.
    pub join_url: String,
}

/// Whether people are in a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallState {
    /// Nobody is, as far as the provider says whether anybody was.
    Idle,
    /// Somebody is.
    Running,
    /// Everybody has left, at this moment.
    Over(Timestamp),
    /// The meeting does not exist any more.
    Gone,
}

/// A meeting was not made, as far as is known.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct CreateError {
    /// What happened.
    pub error: ServiceError,
    /// Whether the provider may have made it nevertheless.
    pub may_exist: bool,
}

impl CreateError {
    /// A failure before the call that makes the meeting.
    const fn before(error: ServiceError) -> Self {
        Self { error, may_exist: false }
    }

    /// A failure of that call.
    fn of_call(error: ServiceError) -> Self {
        Self { may_exist: !error.nothing_was_done(), error }
    }
}

/// An access token of a provider.
#[derive(Clone)]
pub(super) struct AccessToken {
    /// The whole value of `Authorization`.
    header: Secret<String>,
    expires_at: Timestamp,
}

impl AccessToken {
    pub(super) fn new(
        service: RemoteService,
        token: &str,
        expires_in_s: i64,
        now: Timestamp,
    ) -> Result<Self, ServiceError> {
        let is_token = (1..=TOKEN_BYTES_MAX).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token {
            return Err(super::body::invalid(service, "access_token"));
        }
        let valid_s = expires_in_s.saturating_sub(TOKEN_SPARE_S).clamp(0, 86_400);
        let valid_us = valid_s.saturating_mul(1_000_000);
        Ok(Self {
            header: Secret::new(format!("Bearer {token}")),
            expires_at: Timestamp::from_unix_us(now.unix_us().saturating_add(valid_us)),
        })
    }

    /// The whole value of `Authorization`.
    pub(super) fn into_header(self) -> Secret<String> {
        self.header
    }
}

/// The one token of this process. Its lock is held while it is asked for, so that
/// there are never two: providers end older tokens when there are too many.
#[derive(Default)]
pub(super) struct TokenCache(Mutex<Option<AccessToken>>);

impl TokenCache {
    /// The token, asked for by `ask` when there is none that is valid, or when it is
    /// the one that was `refused`.
    pub(super) async fn token(
        &self,
        now: Timestamp,
        refused: Option<&AccessToken>,
        ask: impl AsyncFnOnce() -> Result<AccessToken, ServiceError>,
    ) -> Result<AccessToken, ServiceError> {
        let mut cached = self.0.lock().await;
        if let Some(token) = &*cached
            && token.expires_at > now
            && refused.is_none_or(|refused| refused.header.expose() != token.header.expose())
        {
            return Ok(token.clone());
        }
        *cached = None;
        let token = ask().await?;
        *cached = Some(token.clone());
        Ok(token)
    }

    /// Forgets the token if it is the one that was refused.
    pub(super) async fn forget(&self, refused: &Secret<String>) {
        let mut cached = self.0.lock().await;
        if cached.as_ref().is_some_and(|token| token.header.expose() == refused.expose()) {
            *cached = None;
        }
    }
}

/// How a provider gives access tokens.
pub(super) trait TokenSource {
    /// The client of the provider's token service.
    fn client(&self) -> &ServiceClient;

    /// Asks for another token.
    async fn token(&self, now: Timestamp) -> Result<AccessToken, ServiceError>;
}

/// A provider's interface, whose calls carry an access token.
pub(super) struct ProviderClient<S> {
    api: ServiceClient,
    cache: TokenCache,
    source: S,
}

impl<S: TokenSource> ProviderClient<S> {
    pub(super) fn new(api: ServiceClient, source: S) -> Self {
        Self { api, cache: TokenCache::default(), source }
    }

    /// How the interface and the token service are doing.
    pub(super) fn states(&self) -> [ServiceState; 2] {
        [self.api.state(), self.source.client().state()]
    }

    /// Calls with a token, once more with another one when it is refused.
    pub(super) async fn call<T>(
        &self,
        question: &Question<'_>,
        read: impl Fn(&[u8]) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        self.create(question, read).await.map_err(|failed| failed.error)
    }

    /// As [`Self::call`], for a call that makes a meeting.
    pub(super) async fn create<T>(
        &self,
        question: &Question<'_>,
        read: impl Fn(&[u8]) -> Result<T, ServiceError>,
    ) -> Result<T, CreateError> {
        let token = self.token(None).await.map_err(CreateError::before)?;
        match self.call_with(question, &token, &read).await {
            // A refused token means that nothing was done.
            Err(error) if refuses_token(&error) => {
                let token = self.token(Some(&token)).await.map_err(CreateError::before)?;
                self.call_with(question, &token, &read).await.map_err(CreateError::of_call)
            }
            answered => answered.map_err(CreateError::of_call),
        }
    }

    async fn call_with<T>(
        &self,
        question: &Question<'_>,
        token: &AccessToken,
        read: impl Fn(&[u8]) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let question = Question { authorization: Some(&token.header), ..question.clone() };
        self.api.ask(question, read).await
    }

    async fn token(&self, refused: Option<&AccessToken>) -> Result<AccessToken, ServiceError> {
        let now = self.source.client().now();
        self.cache.token(now, refused, async || self.source.token(now).await).await
    }
}

/// Whether a refusal is of the token, so that another one may help.
const fn refuses_token(error: &ServiceError) -> bool {
    matches!(error, ServiceError::Refused { status: 401, .. })
}

/// An address that people can be sent to: https, without a login in it.
pub(super) fn join_url(
    service: RemoteService,
    member: &'static str,
    text: &str,
) -> Result<String, ServiceError> {
    let invalid = || super::body::invalid(service, member);
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(invalid());
    }
    let url = Url::parse(text).map_err(|_| invalid())?;
    let has_login = !url.username().is_empty() || url.password().is_some();
    if url.scheme() != "https" || url.host_str().is_none() || has_login {
        return Err(invalid());
    }
    Ok(url.into())
}
