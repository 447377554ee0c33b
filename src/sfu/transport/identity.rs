//! The DTLS certificate of this process. It is used for all transports, made at start and never
//! stored. Session descriptions carry its fingerprint, so no certificate authority is needed.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::RingProvider;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// Largest DTLS datagram, in bytes: below the 1,200 bytes that any path carries, with space for an
/// encapsulation.
const MTU: usize = 1150;

/// A fingerprint of a certificate (RFC 8122 §5), by one of the hash functions that are accepted.
/// SHA-1 and MD5 are not: certificates that collide under them can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fingerprint {
    /// By SHA-256, which this server's descriptions use.
    Sha256([u8; 32]),
    /// By SHA-384.
    Sha384([u8; 48]),
    /// By SHA-512.
    Sha512([u8; 64]),
}

impl Fingerprint {
    /// Parses the value of `a=fingerprint`: the name of the hash function and the colon-separated
    /// bytes. `None` for another function, or another number of bytes than it has.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (function, bytes) = value.trim().split_once(' ')?;
        let bytes = bytes.trim();
        match function.to_ascii_lowercase().as_str() {
            "sha-256" => hexadecimal(bytes).map(Self::Sha256),
            "sha-384" => hexadecimal(bytes).map(Self::Sha384),
            "sha-512" => hexadecimal(bytes).map(Self::Sha512),
            _ => None,
        }
    }

    /// Whether it is the fingerprint of this certificate in DER.
    pub(super) fn is_of(&self, der: &[u8]) -> bool {
        match self {
            Self::Sha256(bytes) => Sha256::digest(der).as_slice() == bytes,
            Self::Sha384(bytes) => Sha384::digest(der).as_slice() == bytes,
            Self::Sha512(bytes) => Sha512::digest(der).as_slice() == bytes,
        }
    }
}

fn hexadecimal<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok().filter(|_| !part.starts_with('+'))?;
    }
    parts.next().is_none().then_some(bytes)
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (function, bytes) = match self {
            Self::Sha256(bytes) => ("sha-256", &bytes[..]),
            Self::Sha384(bytes) => ("sha-384", &bytes[..]),
            Self::Sha512(bytes) => ("sha-512", &bytes[..]),
        };
        write!(f, "{function} ")?;
        for (index, byte) in bytes.iter().enumerate() {
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
    client: Arc<HandshakeConfig>,
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
        let fingerprint = Fingerprint::Sha256(Sha256::digest(der).into());
        let config = |profiles: &[SrtpProtectionProfile], is_client| {
            ConfigBuilder::default()
                .with_crypto_provider(Arc::clone(&provider))
                .with_certificates(vec![certificate.clone()])
                .with_srtp_protection_profiles(profiles.to_vec())
                .with_server_name("media".to_owned())
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                // Certificates are self-signed; the fingerprint in the session description
                // authenticates the peer, and is checked after the handshake.
                .with_insecure_skip_verify(true)
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                .with_flight_interval(Duration::from_millis(250))
                .with_mtu(MTU)
                .build(is_client, None)
                .map(Arc::new)
                .map_err(failed)
        };
        let gcm_profile = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
        let cm_profile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
        let gcm = config(&[gcm_profile], false)?;
        let cm = config(&[cm_profile], false)?;
        let client = config(&[gcm_profile, cm_profile], true)?;
        Ok(Self { provider, fingerprint, gcm, cm, client })
    }

    /// The fingerprint that this server's session descriptions carry.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
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

    /// The configuration for peers that are DTLS servers; it prefers GCM.
    pub(super) fn client(&self) -> Arc<HandshakeConfig> {
        Arc::clone(&self.client)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
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
        for bad in [
            "",
            "AB",
            &text[8..],
            &format!("{text}:00"),
            &text.replace(':', ""),
            &text.replace("sha-256", "sha-512"),
            &text.replace("sha-256", "sha-1"),
            &format!("sha-256 +1{}", &text[10..]),
        ] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_certificate_is_recognised_by_each_hash_function() {
        let der = b"a certificate";
        let other = b"another one";
        for fingerprint in [
            Fingerprint::Sha256(Sha256::digest(der).into()),
            Fingerprint::Sha384(Sha384::digest(der).into()),
            Fingerprint::Sha512(Sha512::digest(der).into()),
        ] {
            assert!(fingerprint.is_of(der) && !fingerprint.is_of(other), "{fingerprint}");
            assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
        }
    }
}
