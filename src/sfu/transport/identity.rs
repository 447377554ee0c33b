//! The DTLS certificate of this process. It is used for all transports, made at start and never
//! stored. Session descriptions carry its fingerprint, so no certificate authority is needed.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rtc_crypto::providers::RingProvider;
use rtc_crypto::{HashAlgorithm, RTCCryptoProvider};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;

/// Largest DTLS datagram, in bytes: below the 1,200 bytes that any path carries, with space for an
/// encapsulation.
const MTU: usize = 1150;

/// A SHA-256 fingerprint of a certificate (RFC 8122 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Parses the colon-separated form; `None` unless it is 32 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2)?;
            *byte = u8::from_str_radix(part, 16).ok().filter(|_| !part.starts_with('+'))?;
        }
        parts.next().is_none().then_some(Self(bytes))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char(':')?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

/// The certificate can't be made.
#[derive(Debug, thiserror::Error)]
#[error("the certificate can't be made: {0}")]
pub struct IdentityError(String);

/// The certificate of this process and the DTLS configurations that use it.
pub struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    fingerprint: Fingerprint,
    gcm: Arc<HandshakeConfig>,
    cm: Arc<HandshakeConfig>,
}

impl Identity {
    /// Makes a new key and a self-signed certificate for it.
    ///
    /// # Errors
    /// When the system provides no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
        let failed = |error: rtc_shared::error::Error| IdentityError(error.to_string());
        let certificate =
            Certificate::generate_self_signed(vec!["media".to_owned()], provider.crypto())
                .map_err(failed)?;
        let der = certificate.certificate.first().ok_or_else(|| IdentityError("empty".into()))?;
        let fingerprint = hash(&*provider, der).ok_or_else(|| IdentityError("no hash".into()))?;
        let config = |profile| {
            ConfigBuilder::default()
                .with_crypto_provider(Arc::clone(&provider))
                .with_certificates(vec![certificate.clone()])
                .with_srtp_protection_profiles(vec![profile])
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                // Certificates are self-signed; the fingerprint in the session description
                // authenticates the peer, and is checked after the handshake.
                .with_insecure_skip_verify(true)
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                .with_flight_interval(Duration::from_millis(250))
                .with_mtu(MTU)
                .build(false, None)
                .map(Arc::new)
                .map_err(failed)
        };
        let gcm = config(SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm)?;
        let cm = config(SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80)?;
        Ok(Self { provider, fingerprint, gcm, cm })
    }

    /// The fingerprint that this server's session descriptions carry.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The fingerprint of a certificate in DER.
    pub(super) fn fingerprint_of(&self, der: &[u8]) -> Option<Fingerprint> {
        hash(&*self.provider, der)
    }

    pub(super) fn provider(&self) -> &dyn RTCCryptoProvider {
        &*self.provider
    }

    /// The configuration that offers only GCM: rtc-dtls follows the client's order of profiles, and
    /// browsers list the slower CM first.
    pub(super) fn gcm(&self) -> Arc<HandshakeConfig> {
        Arc::clone(&self.gcm)
    }

    /// The configuration for clients without GCM.
    pub(super) fn cm(&self) -> Arc<HandshakeConfig> {
        Arc::clone(&self.cm)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

fn hash(provider: &dyn RTCCryptoProvider, der: &[u8]) -> Option<Fingerprint> {
    let digest = provider.crypto().hash(HashAlgorithm::Sha256, der).ok()?;
    Some(Fingerprint(digest.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_from_its_text_and_nothing_else_is_one() {
        let fingerprint = Identity::generate().expect("identity").fingerprint();
        let text = fingerprint.to_string();
        assert_eq!(Fingerprint::parse(&text), Some(fingerprint));
        assert_eq!(Fingerprint::parse(&text.to_lowercase()), Some(fingerprint));
        for bad in ["", "AB", &text[3..], &format!("{text}:00"), &text.replace(':', "")] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
        assert_eq!(Fingerprint::parse(&format!("+1{}", &text[2..])), None);
    }
}
