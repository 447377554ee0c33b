//! The peer of a transport, in the role of a browser: a controlling ICE agent that checks
//! one path, and a DTLS client, or as some encoders a DTLS server. Shares no code with the server, and does no I/O.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::providers::RingProvider;
use rtc_crypto::{HashAlgorithm, RTCCryptoProvider};
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::config::{Config as SrtpConfig, LABEL_EXTRACTOR_DTLS_SRTP, SessionKeys};
use rtc_srtp::protection_profile::ProtectionProfile;
use rtc_stun::attributes::{ATTR_ICE_CONTROLLED, ATTR_USE_CANDIDATE, ATTR_USERNAME, RawAttribute};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};
use rtc_stun::textattrs::TextAttribute;

const SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 7);

/// Content type of a handshake record.
const HANDSHAKE: u8 = 22;
/// Time after which a flight is resent when the server does not answer.
const REPEAT_AFTER: Duration = Duration::from_millis(700);

/// Which SRTP profiles a client offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Profiles {
    /// As Chromium does: the slow one first.
    CmThenGcm,
    /// Without GCM.
    CmOnly,
}

/// A certificate and its DTLS configuration; shared by tests, since making it is slow.
#[derive(Clone)]
pub(crate) struct PeerIdentity {
    provider: Arc<dyn RTCCryptoProvider>,
    config: Arc<HandshakeConfig>,
    server: Arc<HandshakeConfig>,
    /// The certificate in DER.
    pub(crate) certificate: Vec<u8>,
    /// SHA-256 of the certificate, in the form of session descriptions.
    pub(crate) fingerprint: String,
}

impl PeerIdentity {
    pub(crate) fn generate(profiles: Profiles) -> Self {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
        let certificate =
            Certificate::generate_self_signed(vec!["peer".to_owned()], provider.crypto())
                .expect("certificate");
        let der = certificate.certificate[0].to_vec();
        let digest = provider
            .crypto()
            .hash(HashAlgorithm::Sha256, &certificate.certificate[0])
            .expect("digest");
        let fingerprint: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let cm = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
        let gcm = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
        let offered = match profiles {
            Profiles::CmThenGcm => vec![cm, gcm],
            Profiles::CmOnly => vec![cm],
        };
        let config = |is_client| {
            ConfigBuilder::default()
                .with_crypto_provider(Arc::clone(&provider))
                .with_certificates(vec![certificate.clone()])
                .with_srtp_protection_profiles(offered.clone())
                .with_insecure_skip_verify(true)
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                .build(is_client, Some(SERVER))
                .expect("configuration")
        };
        let (config, server) = (Arc::new(config(true)), Arc::new(config(false)));
        Self { provider, config, server, certificate: der, fingerprint: fingerprint.join(":") }
    }
}

/// How a check is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Check {
    Plain,
    Nominating,
    Controlled,
}

pub(crate) struct MediaPeer {
    identity: PeerIdentity,
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    endpoint: Endpoint,
    is_dtls_client: bool,
    /// The last flight. The DTLS library stops its timer when the server repeats its messages;
    /// a browser does not.
    flight: Vec<Vec<u8>>,
    repeats: VecDeque<Vec<u8>>,
    repeat_at: Option<Instant>,
    pub(crate) connected: bool,
    pub(crate) closed: bool,
}

impl MediaPeer {
    pub(crate) fn new(identity: &PeerIdentity, ufrag: &str) -> Self {
        Self {
            identity: identity.clone(),
            ufrag: ufrag.to_owned(),
            pwd: "0123456789abcdefghijklmn".to_owned(),
            endpoint: Endpoint::new(SERVER, TransportProtocol::UDP, None),
            is_dtls_client: true,
            flight: Vec::new(),
            repeats: VecDeque::new(),
            repeat_at: None,
            connected: false,
            closed: false,
        }
    }

    /// As [`Self::new`], but it waits for the other side to begin the handshake.
    pub(crate) fn passive(identity: &PeerIdentity, ufrag: &str) -> Self {
        let server = Some(Arc::clone(&identity.server));
        Self {
            endpoint: Endpoint::new(SERVER, TransportProtocol::UDP, server),
            is_dtls_client: false,
            ..Self::new(identity, ufrag)
        }
    }

    /// A connectivity check by the server's credentials.
    pub(crate) fn check(&self, server_ufrag: &str, server_pwd: &str, check: Check) -> Vec<u8> {
        self.check_as(&format!("{server_ufrag}:{}", self.ufrag), server_pwd, check)
    }

    /// A connectivity check by any user name.
    pub(crate) fn check_as(&self, user: &str, pwd: &str, check: Check) -> Vec<u8> {
        let crypto = self.identity.provider.crypto();
        let user = TextAttribute::new(ATTR_USERNAME, user.to_owned());
        let mut setters: Vec<Box<dyn Setter>> =
            vec![Box::new(BINDING_REQUEST), Box::new(TransactionId::new()), Box::new(user)];
        let flag = |typ| Flag(RawAttribute { typ, ..RawAttribute::default() });
        match check {
            Check::Plain => {}
            Check::Nominating => setters.push(Box::new(flag(ATTR_USE_CANDIDATE))),
            Check::Controlled => setters.push(Box::new(flag(ATTR_ICE_CONTROLLED))),
        }
        let mut message = Message::new();
        let integrity = MessageIntegrity::new_raw_integrity_with_provider(pwd.as_bytes(), crypto);
        message.build(&setters).expect("a check");
        integrity.add_to(&mut message).expect("integrity");
        FINGERPRINT.add_to(&mut message).expect("fingerprint");
        message.raw
    }

    /// Begins the handshake.
    pub(crate) fn connect(&mut self, now: Instant) {
        let config = Arc::clone(&self.identity.config);
        self.endpoint.connect(now, SERVER, config, None).expect("a first flight");
    }

    pub(crate) fn handle(&mut self, bytes: &[u8], now: Instant) {
        // A client that repeats its last flight has not got the server's (RFC 6347 §4.2.4).
        if self.connected && !self.is_dtls_client && bytes.first() == Some(&HANDSHAKE) {
            self.repeats.extend(self.flight.iter().cloned());
        }
        for event in
            self.endpoint.read(now, SERVER, None, BytesMut::from(bytes)).unwrap_or_default()
        {
            match event {
                EndpointEvent::HandshakeComplete => self.connected = true,
                EndpointEvent::PeerClosed => self.closed = true,
                _ => {}
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.endpoint.poll_timeout(&SERVER).is_some_and(|at| at <= now) {
            // The engine gives up after its own number of repeats; tests see
            // that as a handshake that never completes.
            drop(self.endpoint.handle_timeout(SERVER, now));
        }
        if self.repeat_at.is_some_and(|at| at <= now) && !self.connected {
            self.repeat_at = Some(now + REPEAT_AFTER);
            self.repeats.extend(self.flight.iter().cloned());
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let repeat_at = self.repeat_at.filter(|_| !self.connected);
        [self.endpoint.poll_timeout(&SERVER), repeat_at].into_iter().flatten().min()
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        if let Some(bytes) = self.repeats.pop_front() {
            return Some(bytes);
        }
        let transmit = self.endpoint.poll_transmit()?;
        let bytes = transmit.message.to_vec();
        let at = transmit.now + REPEAT_AFTER;
        if self.repeat_at != Some(at) {
            self.repeat_at = Some(at);
            self.flight.clear();
        }
        self.flight.push(bytes.clone());
        Some(bytes)
    }

    pub(crate) fn close(&mut self, now: Instant) {
        drop(self.endpoint.close(now));
    }

    /// The profile and keys of the completed handshake, this side's local.
    pub(crate) fn keys(&self) -> (ProtectionProfile, SessionKeys) {
        let state = self.endpoint.get_connection_state(SERVER).expect("a handshake");
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            _ => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        let mut config = SrtpConfig { profile, ..SrtpConfig::default() };
        let length = config.keying_material_len();
        let material =
            state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], length).expect("keys");
        config
            .set_session_keys_from_keying_material(material.as_ref(), self.is_dtls_client)
            .expect("keys");
        (profile, config.keys)
    }
}

struct Flag(RawAttribute);

impl Setter for Flag {
    fn add_to(&self, message: &mut Message) -> rtc_shared::error::Result<()> {
        let value: &[u8] = if self.0.typ == ATTR_ICE_CONTROLLED { &[7; 8] } else { &[] };
        message.add(self.0.typ, value);
        Ok(())
    }
}
