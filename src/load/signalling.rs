//! A participant as a client of the contract: development token, proof of possession, moderation
//! channel, media signalling. It has its own JSON handling, written from the contract, so that it
//! checks the server's types.

mod channel;
mod key;
mod whip;

pub use channel::{Participant, Side};
pub use key::Key;
pub use whip::WebResource;

use std::time::Duration;

use serde_json::{Value, json};

use super::LoadError;

/// Time to wait for an answer of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// A server under test.
#[derive(Clone)]
pub struct Server {
    /// Base address of the public listener, without a slash at the end.
    pub url: String,
    /// Client for its routes.
    pub http: reqwest::Client,
}

/// A person and the session that they join.
#[derive(Debug, Clone)]
pub struct Who {
    /// Tenant of the session.
    pub tenant_id: String,
    /// The session.
    pub session_id: String,
    /// User id of the person.
    pub user_id: String,
    /// Name shown to people.
    pub name: String,
    /// `participant`, `moderator`, ….
    pub roles: Vec<String>,
}

/// An access token and the key it is bound to.
#[derive(Clone)]
pub struct Access {
    /// The token.
    pub token: String,
    /// Its key.
    pub key: Key,
}

/// The error for an HTTP response that was not successful.
pub(crate) async fn refusal(response: reqwest::Response) -> LoadError {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    LoadError::Refused { code: text("code"), message: format!("{status} {}", text("message")) }
}

impl Server {
    /// Makes a client of the server at this base address.
    pub fn new(url: &str) -> Result<Self, LoadError> {
        let is_address = reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "http");
        if !is_address {
            // The channel speaks no TLS.
            let expected =
                "expected the address of a public listener, such as http://127.0.0.1:3014";
            return Err(LoadError::Address(format!("--url: {expected}")));
        }
        install_tls();
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .build()
            .map_err(|error| LoadError::Unreachable(error.to_string()))?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http })
    }

    /// Posts JSON; returns the answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, LoadError> {
        let request = self.http.post(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let text = response.text().await.map_err(unreachable)?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// The text of a public route.
    pub async fn text(&self, path: &str) -> Result<String, LoadError> {
        let request = self.http.get(format!("{}{path}", self.url));
        let response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        response.text().await.map_err(unreachable)
    }

    /// Requests a token from the built-in identity service, bound to a new key.
    pub async fn dev_token(&self, who: &Who) -> Result<Access, LoadError> {
        let key = Key::generate()?;
        Ok(Access { token: self.token_for(who, &key).await?, key })
    }

    /// Requests a token from the built-in identity service, bound to this key.
    pub async fn token_for(&self, who: &Who, key: &Key) -> Result<String, LoadError> {
        let body = json!({
            "tenant_id": who.tenant_id,
            "user_id": who.user_id,
            "name": who.name,
            "roles": who.roles,
            "session_id": who.session_id,
            "jkt": key.thumbprint(),
        });
        let answer = self.post("/dev/token", &body).await?;
        let token =
            answer["access_token"].as_str().ok_or(LoadError::Contract("no access_token"))?;
        Ok(token.to_owned())
    }
}

pub(crate) fn unreachable(error: reqwest::Error) -> LoadError {
    // The error may contain the address, and the address may contain credentials.
    LoadError::Unreachable(error.without_url().to_string())
}

/// Installs the TLS implementation of the process, unless one is installed.
pub(crate) fn install_tls() {
    drop(rustls::crypto::ring::default_provider().install_default());
}
