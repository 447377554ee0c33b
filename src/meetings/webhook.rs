//! What Zoom tells by itself. A webhook only says that a call began or ended; it can't
//! end a session, which the keeper does after it has asked Zoom.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::domain::error_code::ErrorCode;
use crate::domain::hex::hex;
use crate::domain::json::mended;
use crate::domain::secret::Secret;
use crate::domain::session::Provider;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::meetings::metrics;
use crate::meetings::repository::{Call, MeetingRepository, MeetingState};

/// How far the signature of a webhook may lie from now. Raising it lets what somebody has
/// overheard be sent again for longer.
pub const SIGNED_AT_MOST: Duration = Duration::from_mins(5);
/// Longest challenge that is answered, in bytes. Zoom sends about 22.
const CHALLENGE_BYTES_MAX: usize = 256;
/// Version of the signature.
const VERSION: &str = "v0";

/// How webhooks of Zoom are known.
#[derive(Debug, Clone)]
pub struct WebhookKey {
    /// The secret token of the application.
    pub secret: Secret<String>,
    /// The account that they must be about.
    pub account_id: String,
}

/// What a webhook wants for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Taken,
    /// Proof that this server has the secret.
    Challenge {
        /// What was sent.
        plain_token: String,
        /// Its HMAC, in hexadecimal digits.
        encrypted_token: String,
    },
}

/// Why a webhook is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// Its signature is missing or wrong, or it is about another account.
    #[error("the signature is missing or wrong, or the webhook is about another account")]
    Unsigned,
    /// It was signed too long ago, or by a clock that is wrong.
    #[error("the webhook was signed more than {} minutes ago", SIGNED_AT_MOST.as_secs() / 60)]
    Expired,
    /// It is not what Zoom sends.
    #[error("the webhook is not JSON of the shape that Zoom describes")]
    Malformed,
    /// It could not be stored. Zoom sends it again.
    #[error("the webhook can't be stored")]
    Store(#[from] StoreError),
}

impl WebhookRefusal {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unsigned => ErrorCode::WebhookSignatureInvalid,
            Self::Expired => ErrorCode::WebhookExpired,
            Self::Malformed => ErrorCode::MalformedRequest,
            Self::Store(_) => ErrorCode::DependencyUnavailable,
        }
    }

    const fn outcome(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::Store(_) => "not_stored",
        }
    }
}

/// Takes webhooks of Zoom.
pub struct ZoomWebhook {
    key: WebhookKey,
    repository: Arc<dyn MeetingRepository>,
    wake: Arc<Notify>,
    /// The clock of the machine, by which Zoom's is compared.
    wall: Clock,
}

impl ZoomWebhook {
    /// Takes webhooks that are signed with `key`; `wake` wakes the keeper.
    #[must_use]
    pub fn new(
        key: WebhookKey,
        repository: Arc<dyn MeetingRepository>,
        wake: Arc<Notify>,
        wall: Clock,
    ) -> Self {
        Self { key, repository, wake, wall }
    }

    /// Takes one webhook by its headers `x-zm-request-timestamp` and `x-zm-signature` and
    /// its body as it came.
    pub async fn handle(
        &self,
        timestamp: Option<&str>,
        signature: Option<&str>,
        body: &[u8],
    ) -> Result<Heard, WebhookRefusal> {
        let heard = self.hear(timestamp, signature, body).await;
        if let Err(refusal) = &heard {
            metrics::webhook(refusal.outcome());
        }
        heard
    }

    async fn hear(
        &self,
        timestamp: Option<&str>,
        signature: Option<&str>,
        body: &[u8],
    ) -> Result<Heard, WebhookRefusal> {
        let (Some(timestamp), Some(signature)) = (timestamp, signature) else {
            return Err(WebhookRefusal::Unsigned);
        };
        self.check(timestamp, signature, body)?;
        let event: Value =
            serde_json::from_str(&mended(body)).map_err(|_| WebhookRefusal::Malformed)?;
        let text = |path: &str| event.pointer(path).and_then(Value::as_str);
        let kind = text("/event").ok_or(WebhookRefusal::Malformed)?;
        if kind == "endpoint.url_validation" {
            let plain = text("/payload/plainToken").ok_or(WebhookRefusal::Malformed)?;
            if plain.len() > CHALLENGE_BYTES_MAX {
                return Err(WebhookRefusal::Malformed);
            }
            let mac = self.mac(&[plain.as_bytes()]).finalize().into_bytes();
            metrics::webhook("challenge");
            return Ok(Heard::Challenge {
                plain_token: plain.to_owned(),
                encrypted_token: hex(&mac),
            });
        }
        if text("/payload/account_id") != Some(self.key.account_id.as_str()) {
            return Err(WebhookRefusal::Unsigned);
        }
        let call = match kind {
            "meeting.started" => Call::Running,
            "meeting.ended" => Call::Ended,
            _ => {
                metrics::webhook("not_needed");
                return Ok(Heard::Taken);
            }
        };
        let at_ms = event.pointer("/event_ts").and_then(Value::as_i64);
        let at_ms = at_ms.ok_or(WebhookRefusal::Malformed)?;
        // A moment to come would keep out everything that is told later.
        let at = Timestamp::from_unix_us(at_ms.saturating_mul(1_000)).min(self.wall.now());
        let id = match event.pointer("/payload/object/id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(WebhookRefusal::Malformed),
        };
        metrics::webhook(self.note(&id, call, at).await?);
        Ok(Heard::Taken)
    }

    /// Notes that a call began or ended, and returns what became of it.
    async fn note(&self, id: &str, call: Call, at: Timestamp) -> Result<&'static str, StoreError> {
        let Some(meeting) = self.repository.named(Provider::Zoom, id).await? else {
            // The account has other meetings than ours.
            return Ok("unknown_meeting");
        };
        if meeting.state != MeetingState::Made {
            return Ok("over");
        }
        if !self.repository.call_is(&meeting, call, at).await? {
            return Ok("known");
        }
        metrics::call("webhook", call.as_str());
        self.wake.notify_one();
        Ok("taken")
    }

    /// Checks the signature over the bytes as they came, in constant time.
    fn check(&self, timestamp: &str, signature: &str, body: &[u8]) -> Result<(), WebhookRefusal> {
        let signed_s: i64 = timestamp.parse().map_err(|_| WebhookRefusal::Unsigned)?;
        let mac = self.mac(&[VERSION.as_bytes(), b":", timestamp.as_bytes(), b":", body]);
        let sent = signature.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('='));
        let sent = sent.and_then(bytes_of_hex).ok_or(WebhookRefusal::Unsigned)?;
        mac.verify_slice(&sent).map_err(|_| WebhookRefusal::Unsigned)?;
        let off_by_s = self.wall.now().unix_s().abs_diff(signed_s);
        if off_by_s > SIGNED_AT_MOST.as_secs() {
            return Err(WebhookRefusal::Expired);
        }
        Ok(())
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // HMAC takes keys of every length.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.secret.expose().as_bytes())
            .unwrap_or_else(|_| Hmac::<Sha256>::new(&<_>::default()));
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

/// The bytes that hexadecimal digits stand for.
fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(text.get(at..at.saturating_add(2))?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}
