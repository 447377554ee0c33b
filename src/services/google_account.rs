//! A service account of Google, whose signed requests are answered with tokens (RFC 7523).

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::clock::Clock;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::services::body::read;
use crate::services::client::{Question, RemoteService, ServiceClient, ServiceOptions};
use crate::services::error::{ServiceError, ServiceSetupError};
use crate::services::meeting::{AccessToken, TokenCache, TokenSource};

/// How a token is asked for (RFC 7523).
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long a request for a token is valid, in seconds. More than an hour is refused.
const ASSERTION_VALID_S: i64 = 600;

/// A service account.
#[derive(Debug, Clone)]
pub struct GoogleAccountOptions {
    /// Where tokens are given.
    pub token: ServiceOptions,
    /// The address of the service account.
    pub client_email: String,
    /// The id of its key.
    pub key_id: Option<String>,
    /// Its RSA key, as PEM.
    pub private_key: Secret<String>,
    /// What its requests for tokens are for: `token_uri` of the key file.
    pub audience: String,
    /// The user in whose name it acts, if it does.
    pub subject: Option<String>,
    /// What the tokens are for.
    pub scope: &'static str,
}

/// A service account with its token.
pub struct GoogleAccount {
    account: ServiceAccount,
    cache: TokenCache,
}

impl GoogleAccount {
    /// An account. A rustls provider must be installed for the process.
    ///
    /// # Errors
    /// [`ServiceSetupError`].
    pub fn new(options: GoogleAccountOptions, clock: Clock) -> Result<Self, ServiceSetupError> {
        let account = ServiceAccount::new(options, clock)?;
        Ok(Self { account, cache: TokenCache::default() })
    }

    /// The value of `Authorization`, with a token that is valid.
    ///
    /// # Errors
    /// [`ServiceError`] when there is none and none is given.
    pub async fn authorization(&self) -> Result<Secret<String>, ServiceError> {
        let now = self.account.client.now();
        let token = self.cache.token(now, None, async || self.account.token(now).await).await?;
        Ok(token.into_header())
    }

    /// The token in this value of `Authorization` was refused: another one is asked for.
    pub async fn forget(&self, refused: &Secret<String>) {
        self.cache.forget(refused).await;
    }
}

/// What asks for the tokens of an account.
pub(super) struct ServiceAccount {
    client: ServiceClient,
    key: EncodingKey,
    options: GoogleAccountOptions,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: i64,
}

impl ServiceAccount {
    pub(super) fn new(
        options: GoogleAccountOptions,
        clock: Clock,
    ) -> Result<Self, ServiceSetupError> {
        let pem = options.private_key.expose().as_bytes();
        let key = EncodingKey::from_rsa_pem(pem).map_err(|_| ServiceSetupError::KeyInvalid)?;
        // Whether it is a whole key shows when it signs.
        let header = Header::new(Algorithm::RS256);
        jsonwebtoken::encode(&header, &json!({}), &key)
            .map_err(|_| ServiceSetupError::KeyInvalid)?;
        let client = ServiceClient::new(RemoteService::GoogleToken, &options.token, clock)?;
        Ok(Self { client, key, options })
    }

    /// The request for a token, signed by the service account.
    fn assertion(&self, now: Timestamp) -> Result<Secret<String>, ServiceError> {
        let GoogleAccountOptions { client_email, subject, audience, key_id, scope, .. } =
            &self.options;
        let mut claims = json!({
            "iss": client_email, "scope": scope, "aud": audience,
            "iat": now.unix_s(), "exp": now.unix_s().saturating_add(ASSERTION_VALID_S),
        });
        if let Some(subject) = subject {
            claims["sub"] = json!(subject);
        }
        let mut header = Header::new(Algorithm::RS256);
        header.kid.clone_from(key_id);
        let signed = jsonwebtoken::encode(&header, &claims, &self.key);
        let service = RemoteService::GoogleToken;
        let what = "its key can't sign";
        Ok(Secret::new(signed.map_err(|_| ServiceError::Contradicts { service, what })?))
    }
}

impl TokenSource for ServiceAccount {
    fn client(&self) -> &ServiceClient {
        &self.client
    }

    async fn token(&self, now: Timestamp) -> Result<AccessToken, ServiceError> {
        let assertion = self.assertion(now)?;
        let form = [("grant_type", GRANT), ("assertion", assertion.expose().as_str())];
        // Asking twice harms nothing.
        let mut question = Question::get(&[], &[]);
        question.method = Method::POST;
        question.form = Some(&form);
        self.client.ask(question, |answer| token_of(answer, now)).await
    }
}

fn token_of(answer: &[u8], now: Timestamp) -> Result<AccessToken, ServiceError> {
    let service = RemoteService::GoogleToken;
    let answer: TokenAnswer = read(service, answer)?;
    AccessToken::new(service, &answer.access_token, answer.expires_in, now)
}
