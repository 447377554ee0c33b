//! Webhooks: events sent to an address of a tenant, signed as Standard Webhooks
//! have it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url, redirect};
use sha2::Sha256;

use super::event::PublicEvent;
use super::pump::{Destination, Undelivered};
use crate::clock::Clock;
use crate::domain::network::is_public;
use crate::domain::secret::Secret;

/// Time for the connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Answers that are about the event that was sent (RFC 9110 §15.5). Others are about the endpoint, or
/// will pass.
const REFUSALS: [StatusCode; 7] = [
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::CONFLICT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
];

/// Which addresses may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of the internet, by https.
    Public,
    /// Those of the operator's own network as well, and by http.
    Anywhere,
}

/// One endpoint.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// Where it is.
    pub url: String,
    /// What signatures are made with; the endpoint has it too.
    pub secret: Secret<Vec<u8>>,
    /// Which addresses it may have.
    pub reach: Reach,
    /// Time for an answer, the connection included.
    pub answer_time_max: Duration,
}

/// Why there can't be such an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Its address can't be read.
    #[error("the address of the endpoint is no http or https URL without credentials")]
    Url,
    /// Its address is not one that may be sent to.
    #[error("the endpoint is not reached by https, or is inside the operator's network")]
    OutOfReach,
    /// No client can be made.
    #[error("the HTTP client can't be made: {0}")]
    Client(reqwest::Error),
}

/// Sends events to one endpoint.
pub struct Webhook {
    client: Client,
    url: Url,
    secret: Secret<Vec<u8>>,
    clock: Clock,
}

impl Webhook {
    /// An endpoint that may be sent to.
    ///
    /// # Errors
    /// When it may not, or its address can't be read.
    pub fn new(options: WebhookOptions, clock: Clock) -> Result<Self, WebhookError> {
        let WebhookOptions { url, secret, reach, answer_time_max } = options;
        let url = Url::parse(&url).map_err(|_| WebhookError::Url)?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        if !is_plain || !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(WebhookError::Url);
        }
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(answer_time_max);
        if reach == Reach::Public {
            let host = url.host_str().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let is_inside = host.parse::<IpAddr>().is_ok_and(|address| !is_public(address));
            if url.scheme() != "https" || is_inside {
                return Err(WebhookError::OutOfReach);
            }
            builder = builder.dns_resolver(Arc::new(PublicNames));
        }
        let client = builder.build().map_err(WebhookError::Client)?;
        Ok(Self { client, url, secret, clock })
    }

    /// The signature of a body, as the header `webhook-signature` has it.
    fn signature(&self, id: &str, sent_at_s: i64, body: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.expose()).expect("a key of any length fits");
        mac.update(format!("{id}.{sent_at_s}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[async_trait]
impl Destination for Webhook {
    async fn deliver(&self, event: &PublicEvent) -> Result<(), Undelivered> {
        let body = event.to_json();
        let sent_at_s = self.clock.now().unix_ms().div_euclid(1_000);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/cloudevents+json")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", sent_at_s)
            .header("webhook-signature", self.signature(&event.id, sent_at_s, &body))
            .body(body);
        // What the answer says beyond its status is not read.
        let answer = request.send().await.map_err(|error| Undelivered {
            reason: reason_of(&error).to_owned(),
            retry_after: None,
            is_refused: false,
        })?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(Undelivered {
            reason: format!("the endpoint answered {}", answer.status().as_u16()),
            retry_after: retry_after(answer.headers()),
            is_refused: REFUSALS.contains(&answer.status()),
        })
    }
}

/// Why a request failed, without the address that is part of the error's text.
fn reason_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "the endpoint did not answer in time"
    } else if error.is_connect() {
        "the endpoint can't be reached"
    } else {
        "the request to the endpoint failed"
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

/// Finds the addresses of a name, of which none inside the operator's network is
/// taken. Asked for each connection, so that a name can't be pointed elsewhere
/// after it was looked at.
struct PublicNames;

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("the name has no address outside the operator's network".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let options = WebhookOptions {
            url: "https://hooks.example/x".to_owned(),
            secret: Secret::new(secret),
            reach: Reach::Public,
            answer_time_max: Duration::from_secs(1),
        };
        let webhook = Webhook::new(options, Clock::system()).expect("an endpoint");
        let signature = webhook.signature(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn addresses_inside_the_operators_network_are_refused() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let webhook = |url: &str, reach| {
            let (url, secret) = (url.to_owned(), Secret::new(vec![7; 32]));
            let answer_time_max = Duration::from_secs(1);
            let options = WebhookOptions { url, secret, reach, answer_time_max };
            Webhook::new(options, Clock::system()).map(drop)
        };
        for url in [
            "https://127.0.0.1/x",
            "https://10.1.2.3/x",
            "https://[::1]/x",
            "https://[::ffff:192.168.1.1]/x",
            "https://169.254.169.254/latest",
            "http://hooks.example/x",
        ] {
            let refused = webhook(url, Reach::Public);
            assert!(matches!(refused, Err(WebhookError::OutOfReach)), "{url}");
        }
        for url in ["", "hooks.example", "ftp://hooks.example/", "https://u:p@hooks.example/"] {
            assert!(matches!(webhook(url, Reach::Anywhere), Err(WebhookError::Url)), "{url}");
        }
        webhook("https://93.184.216.34/x", Reach::Public).expect("an address of the internet");
        webhook("http://127.0.0.1:1/x", Reach::Anywhere).expect("allowed");
    }

    #[tokio::test]
    async fn a_name_that_points_inside_is_not_followed() {
        let name = "localhost".parse::<Name>().expect("a name");
        assert!(PublicNames.resolve(name).await.is_err());
    }
}
