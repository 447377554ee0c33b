//! Nonces without state (RFC 8489 §9.2): a MAC of the time and of the client's address, so strangers
//! take no memory, and a nonce that was overheard serves nobody at another address.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::secret::Secret;

/// How long a nonce is taken. RFC 8656 §4 wants at most an hour; a shorter time costs every client
/// one more exchange each time.
pub(super) const NONCE_LIFETIME: Duration = Duration::from_mins(10);
const TIME_BYTES: usize = 4;
const TAG_BYTES: usize = 12;

/// Makes and checks nonces.
#[derive(Debug)]
pub(super) struct Nonces {
    key: Secret<[u8; 32]>,
    start: Instant,
}

impl Nonces {
    pub(super) const fn new(key: [u8; 32], start: Instant) -> Self {
        Self { key: Secret::new(key), start }
    }

    /// A nonce for a client.
    pub(super) fn issue(&self, client: SocketAddr, now: Instant) -> String {
        let time = self.seconds(now).to_be_bytes();
        let mut nonce = [0; TIME_BYTES + TAG_BYTES];
        nonce[..TIME_BYTES].copy_from_slice(&time);
        nonce[TIME_BYTES..].copy_from_slice(&self.tag(time, client));
        URL_SAFE_NO_PAD.encode(nonce)
    }

    /// Whether a nonce was made for this client a short time ago.
    pub(super) fn is_fresh(&self, nonce: &[u8], client: SocketAddr, now: Instant) -> bool {
        let mut bytes = [0; TIME_BYTES + TAG_BYTES];
        if URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes) != Ok(bytes.len()) {
            return false;
        }
        let Some((time, tag)) = bytes.split_first_chunk::<TIME_BYTES>() else { return false };
        let age = self.seconds(now).checked_sub(u32::from_be_bytes(*time));
        let is_recent = age.is_some_and(|age| u64::from(age) < NONCE_LIFETIME.as_secs());
        is_recent && self.mac(*time, client).verify_truncated_left(tag).is_ok()
    }

    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.start).as_secs()).unwrap_or(u32::MAX)
    }

    fn tag(&self, time: [u8; TIME_BYTES], client: SocketAddr) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&self.mac(time, client).finalize().into_bytes()[..TAG_BYTES]);
        tag
    }

    fn mac(&self, time: [u8; TIME_BYTES], client: SocketAddr) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 §2)")]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.expose()).expect("a key of any length fits");
        mac.update(&time);
        match client.ip() {
            IpAddr::V4(v4) => mac.update(&v4.octets()),
            IpAddr::V6(v6) => mac.update(&v6.octets()),
        }
        mac.update(&client.port().to_be_bytes());
        if let SocketAddr::V6(v6) = client {
            mac.update(&v6.flowinfo().to_be_bytes());
            mac.update(&v6.scope_id().to_be_bytes());
        }
        mac
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test picks the instant it starts from")]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_serves_one_client_for_a_while() {
        let start = Instant::now();
        let nonces = Nonces::new([7; 32], start);
        let client: SocketAddr = "192.0.2.1:4000".parse().expect("an address");
        let nonce = nonces.issue(client, start + Duration::from_secs(5));
        let fresh = |client, at| nonces.is_fresh(nonce.as_bytes(), client, start + at);
        assert!(fresh(client, Duration::from_secs(5)));
        assert!(fresh(client, Duration::from_secs(604)));
        assert!(!fresh(client, Duration::from_secs(605)), "it is old");
        assert!(!fresh(client, Duration::from_secs(4)), "it is from the future");
        let other = "192.0.2.1:4001".parse().expect("an address");
        assert!(!fresh(other, Duration::from_secs(6)), "it is another client");
        let elsewhere = Nonces::new([8; 32], start).issue(client, start);
        assert!(!nonces.is_fresh(elsewhere.as_bytes(), client, start));
        for text in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", &"A".repeat(5_000)] {
            assert!(!nonces.is_fresh(text.as_bytes(), client, start), "{text:.30}");
        }
    }
}
