//! Fetches the issuer's keys.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url, redirect};

use crate::auth::jwks::{KeySet, KeySetInvalid};
use crate::domain::network::is_loopback_host;

/// Longest time that a fetch may take, from connecting to the last byte of the body.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest document accepted, in bytes: 64 keys with their certificates.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Why the keys can't be fetched.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// The address is not an absolute https URL, nor an allowed http one.
    #[error("the address of the key set is not an https URL")]
    AddressInvalid,
    /// A configured request header is malformed.
    #[error("the request header {name} is not valid")]
    HeaderInvalid {
        /// Name of the header.
        name: String,
    },
    /// The issuer does not answer, or not in time.
    #[error("the issuer does not answer")]
    Unreachable(#[source] reqwest::Error),
    /// The issuer answers with something else than 200.
    #[error("the issuer answers with status {0}")]
    Status(u16),
    /// The document is longer than 256 KiB.
    #[error("the key set is longer than {DOCUMENT_BYTES_MAX} bytes")]
    DocumentTooLarge,
    /// The document is not a usable key set.
    #[error("the key set is invalid")]
    DocumentInvalid(#[from] KeySetInvalid),
}

/// A source of the issuer's keys. When to ask it is decided by its caller.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The keys that the issuer publishes now.
    async fn fetch(&self) -> Result<KeySet, KeySourceError>;
}

/// Whether keys may be fetched without TLS. An attacker on the path could then replace them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainHttp {
    /// From this machine only.
    #[default]
    LoopbackOnly,
    /// From anywhere, for networks that encrypt at a lower layer, such as a service mesh.
    Allowed,
}

/// How to reach the key set of the identity service.
#[derive(Debug, Clone)]
pub struct HttpKeySourceOptions {
    /// Absolute URL of the JWK set.
    pub url: String,
    /// Additional request headers that services of the installation require.
    pub headers: Vec<(String, String)>,
    /// Whether http URLs are accepted.
    pub plain_http: PlainHttp,
}

/// Fetches a JWK set over HTTP. It follows no redirect and uses no proxy, so that only the
/// configured address is trusted.
#[derive(Debug)]
pub struct HttpKeySource {
    client: reqwest::Client,
    url: Url,
}

impl HttpKeySource {
    /// Makes a source for the address in `options`. A rustls provider must be installed for the
    /// process.
    pub fn new(options: &HttpKeySourceOptions) -> Result<Self, KeySourceError> {
        let url = Url::parse(&options.url).map_err(|_| KeySourceError::AddressInvalid)?;
        if !is_allowed(&url, options.plain_http) {
            return Err(KeySourceError::AddressInvalid);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &options.headers {
            let invalid = || KeySourceError::HeaderInvalid { name: name.clone() };
            let header = HeaderName::try_from(name).map_err(|_| invalid())?;
            headers.insert(header, HeaderValue::try_from(value).map_err(|_| invalid())?);
        }
        let client = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .default_headers(headers)
            .build()
            .map_err(KeySourceError::Unreachable)?;
        Ok(Self { client, url })
    }
}

fn is_allowed(url: &Url, plain_http: PlainHttp) -> bool {
    let Some(host) = url.host_str() else { return false };
    let is_loopback = is_loopback_host(host);
    match url.scheme() {
        "https" => true,
        "http" => is_loopback || plain_http == PlainHttp::Allowed,
        _ => false,
    }
}

#[async_trait]
impl KeySource for HttpKeySource {
    async fn fetch(&self) -> Result<KeySet, KeySourceError> {
        let request = self.client.get(self.url.clone());
        let mut response = request.send().await.map_err(KeySourceError::Unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(KeySourceError::Status(response.status().as_u16()));
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(KeySourceError::Unreachable)? {
            if document.len() + chunk.len() > DOCUMENT_BYTES_MAX {
                return Err(KeySourceError::DocumentTooLarge);
            }
            document.extend_from_slice(&chunk);
        }
        Ok(KeySet::parse(&document)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_unless_they_stay_on_the_machine_or_it_is_said() {
        for (url, by_default, when_allowed) in [
            ("https://identity.example/jwks", true, true),
            ("http://127.0.0.1:8080/jwks", true, true),
            ("http://[::1]/jwks", true, true),
            ("http://localhost/jwks", true, true),
            ("http://identity.example/jwks", false, true),
            ("http://127.0.0.1.example/jwks", false, true),
            ("ftp://127.0.0.1/jwks", false, false),
            ("file:///etc/keys", false, false),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(is_allowed(&url, PlainHttp::LoopbackOnly), by_default, "{url}");
            assert_eq!(is_allowed(&url, PlainHttp::Allowed), when_allowed, "{url}");
        }
    }
}
