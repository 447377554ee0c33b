#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The client side of DTLS-SRTP (RFC 5764) and the resulting SRTP. In some states the handshake
//! library does not resend a lost flight, so the last flight is kept and resent here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::{HashAlgorithm, RTCCryptoProvider};
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use crate::load::LoadError;

/// The library identifies connections by address; since ICE may change the address, it is always
/// given this one.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);
/// Time until a flight is first resent; doubles up to `REPEAT_MAX`.
const REPEAT_MIN: Duration = Duration::from_millis(150);
const REPEAT_MAX: Duration = Duration::from_secs(1);
/// Time after which an incomplete handshake has failed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// How far behind the newest packet one may be and still be accepted.
const REPLAY_WINDOW: usize = 1024;

/// The protection profile of media (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// `SRTP_AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`.
    Aes128CmHmacSha1_80,
}

impl Profile {
    pub(super) fn offered(self) -> SrtpProtectionProfile {
        match self {
            Self::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            Self::Aes128CmHmacSha1_80 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        }
    }

    fn used(self) -> ProtectionProfile {
        match self {
            Self::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Self::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        }
    }
}

/// A certificate and settings that any number of clients share, since making them costs more than a
/// handshake.
pub struct Identity {
    pub(super) provider: Arc<dyn RTCCryptoProvider>,
    pub(super) fingerprint: String,
    config: Arc<HandshakeConfig>,
}

impl Identity {
    /// Makes a self-signed certificate; `profiles` are offered in this order. Browsers offer CM
    /// first.
    pub fn generate(profiles: &[Profile]) -> Result<Arc<Self>, LoadError> {
        let failed = |error: &dyn std::fmt::Display| LoadError::Cryptography(error.to_string());
        let provider = rtc_crypto::default_provider().map_err(|error| failed(&error))?;
        let certificate =
            Certificate::generate_self_signed(vec!["load".to_owned()], provider.crypto())
                .map_err(|error| failed(&error))?;
        let fingerprint = fingerprint(&*provider, certificate.certificate.first())
            .ok_or_else(|| failed(&"no certificate"))?;
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider.clone())
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(profiles.iter().map(|p| p.offered()).collect())
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_mtu(1150)
            .build(true, Some(PEER))
            .map_err(|error| failed(&error))?;
        Ok(Arc::new(Self { provider, fingerprint, config: Arc::new(config) }))
    }
}

fn fingerprint(
    provider: &dyn RTCCryptoProvider,
    certificate: Option<&impl AsRef<[u8]>>,
) -> Option<String> {
    let hash = provider.crypto().hash(HashAlgorithm::Sha256, certificate?.as_ref()).ok()?;
    Some(hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

/// The result of a handshake.
pub(super) enum DtlsEvent {
    Complete(Box<Srtp>),
    Closed,
    Failed(String),
}

/// The client side of one association.
pub(super) struct Dtls {
    identity: Arc<Identity>,
    endpoint: Endpoint,
    peer_fingerprint: String,
    started: Option<Instant>,
    complete: bool,
    over: bool,
    flight: Vec<BytesMut>,
    repeat_at: Option<Instant>,
    repeat_after: Duration,
}

impl Dtls {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            endpoint: Endpoint::new(PEER, TransportProtocol::UDP, None),
            peer_fingerprint: String::new(),
            started: None,
            complete: false,
            over: false,
            flight: Vec::new(),
            repeat_at: None,
            repeat_after: REPEAT_MIN,
        }
    }

    /// Sends the first flight, once.
    pub(super) fn start(
        &mut self,
        peer_fingerprint: &str,
        now: Instant,
        out: &mut Vec<BytesMut>,
    ) -> Option<DtlsEvent> {
        if self.started.is_some() {
            return None;
        }
        self.started = Some(now);
        peer_fingerprint.clone_into(&mut self.peer_fingerprint);
        if let Err(error) = self.endpoint.connect(now, PEER, self.identity.config.clone(), None) {
            return Some(self.fail(error.to_string()));
        }
        self.drain(now, out);
        None
    }

    pub(super) fn handle_datagram(
        &mut self,
        bytes: &[u8],
        now: Instant,
        out: &mut Vec<BytesMut>,
    ) -> Option<DtlsEvent> {
        if self.started.is_none() || self.over {
            return None;
        }
        let result = self.endpoint.read(now, PEER, None, BytesMut::from(bytes));
        self.drain(now, out);
        match result {
            Ok(events) => events.into_iter().find_map(|event| match event {
                EndpointEvent::HandshakeComplete if !self.complete => {
                    self.complete = true;
                    self.repeat_at = None;
                    Some(match self.export() {
                        Ok(srtp) => DtlsEvent::Complete(Box::new(srtp)),
                        Err(reason) => self.fail(reason),
                    })
                }
                EndpointEvent::PeerClosed => {
                    self.over = true;
                    Some(DtlsEvent::Closed)
                }
                _ => None,
            }),
            // After completion no unauthenticated record may end the association.
            Err(_) if self.complete => None,
            Err(error) => Some(self.fail(error.to_string())),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.over || self.complete {
            return None;
        }
        let own = self.endpoint.poll_timeout(&PEER);
        [own, self.repeat_at].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        out: &mut Vec<BytesMut>,
    ) -> Option<DtlsEvent> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return None;
        }
        if self.started.is_some_and(|started| now.duration_since(started) > HANDSHAKE_TIMEOUT) {
            return Some(self.fail("the handshake timed out".to_owned()));
        }
        let before = out.len();
        if self.endpoint.poll_timeout(&PEER).is_some_and(|due| due <= now) {
            // The library may give up; the flight kept here is still resent.
            drop(self.endpoint.handle_timeout(PEER, now));
            self.drain(now, out);
        }
        if out.len() == before && self.repeat_at.is_some_and(|due| due <= now) {
            out.extend(self.flight.iter().cloned());
            self.repeat_after = (self.repeat_after * 2).min(REPEAT_MAX);
            self.repeat_at = Some(now + self.repeat_after);
        }
        None
    }

    /// Sends `close_notify`.
    pub(super) fn close(&mut self, now: Instant, out: &mut Vec<BytesMut>) {
        if self.started.is_some() && !self.over {
            self.over = true;
            drop(self.endpoint.close(now));
            while let Some(transmit) = self.endpoint.poll_transmit() {
                out.push(transmit.message);
            }
        }
    }

    fn drain(&mut self, now: Instant, out: &mut Vec<BytesMut>) {
        let before = out.len();
        while let Some(transmit) = self.endpoint.poll_transmit() {
            out.push(transmit.message);
        }
        if out.len() > before && !self.complete {
            self.flight = out[before..].to_vec();
            self.repeat_after = REPEAT_MIN;
            self.repeat_at = Some(now + self.repeat_after);
        }
    }

    fn fail(&mut self, reason: String) -> DtlsEvent {
        self.over = true;
        DtlsEvent::Failed(reason)
    }

    fn export(&self) -> Result<Srtp, String> {
        let state = self.endpoint.get_connection_state(PEER).ok_or("no connection state")?;
        let provider = &*self.identity.provider;
        let found = fingerprint(provider, state.peer_certificates.first()).unwrap_or_default();
        if !found.eq_ignore_ascii_case(&self.peer_fingerprint) {
            return Err("the peer's certificate is not the one in its description".to_owned());
        }
        Srtp::derive(state, provider, true)
    }
}

/// SRTP in both directions (RFC 3711).
pub(super) struct Srtp {
    pub(super) profile: Profile,
    outbound: Context,
    inbound: Context,
}

impl Srtp {
    /// Derives the keys from the handshake (RFC 5764 §4.2).
    pub(super) fn derive(
        state: &State,
        provider: &dyn RTCCryptoProvider,
        is_client: bool,
    ) -> Result<Self, String> {
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Profile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Profile::Aes128CmHmacSha1_80,
            _ => return Err("no protection profile was agreed".to_owned()),
        };
        let mut config = Config { profile: profile.used(), ..Config::default() };
        let material = state
            .export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], config.keying_material_len())
            .map_err(|error| error.to_string())?;
        config
            .set_session_keys_from_keying_material(material.as_ref(), is_client)
            .map_err(|error| error.to_string())?;
        let keys = &config.keys;
        let crypto = provider.crypto();
        let used = profile.used();
        let outbound =
            Context::new(&keys.local_master_key, &keys.local_master_salt, used, None, None, crypto);
        let inbound = Context::new(
            &keys.remote_master_key,
            &keys.remote_master_salt,
            used,
            Some(srtp_replay_protection(REPLAY_WINDOW)),
            Some(srtcp_replay_protection(REPLAY_WINDOW)),
            crypto,
        );
        Ok(Self {
            profile,
            outbound: outbound.map_err(|error| error.to_string())?,
            inbound: inbound.map_err(|error| error.to_string())?,
        })
    }

    pub(super) fn seal(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.outbound.encrypt_rtp(packet).ok()
    }

    pub(super) fn seal_control(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.outbound.encrypt_rtcp(packet).ok()
    }

    pub(super) fn open(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.inbound.decrypt_rtp(packet).ok()
    }

    pub(super) fn open_control(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.inbound.decrypt_rtcp(packet).ok()
    }
}
