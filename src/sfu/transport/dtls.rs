//! DTLS 1.2 of one transport (RFC 5764), using the engine of rtc-dtls. This side is the server,
//! except towards peers whose description says that they are. The engine identifies associations by address; since ICE may change the address of a peer, it is always
//! given the same constant.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;
use rtc_srtp::config::{Config as SrtpConfig, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc_srtp::protection_profile::ProtectionProfile;

use crate::domain::secret::Secret;
use crate::sfu::plane::{MasterKey, SrtpKeys, SrtpProfile};
use crate::sfu::transport::guard::Guard;
use crate::sfu::transport::identity::{Fingerprint, Identity};

/// The address under which the engine knows the peer (RFC 5737 documentation block).
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);
/// First wait before the last flight is resent; doubles up to [`RESEND_AFTER_MAX`]. RFC 6347
/// §4.2.4.1 says one second for unknown paths; here ICE has shown that the path works.
const RESEND_AFTER: Duration = Duration::from_millis(100);
const RESEND_AFTER_MAX: Duration = Duration::from_secs(1);
/// A repeated client message that arrives within this time of our flight was sent before the flight
/// arrived.
const REPEAT_AFTER: Duration = Duration::from_millis(30);
/// How often the last flight is resent, by timers and repeated messages together. Bounds how much
/// can be sent to an address that DTLS has not authenticated.
const RESENDS_MAX: u32 = 24;
/// Client datagrams kept until the SRTP profile is chosen.
const EARLY_MAX: usize = 8;
/// Content type of an alert record.
const ALERT: u8 = 21;
const HELLO_VERIFY_REQUEST: u8 = 3;
/// Offset of the type of a datagram's first handshake message.
const MESSAGE_TYPE_AT: usize = 13;

/// How an association has ended or completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DtlsOutcome {
    Pending,
    Completed,
    ClosedByPeer,
    Failed,
}

/// Why a completed handshake gives no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeysRefused {
    #[error("the certificate is not the one in the session description")]
    Certificate,
    #[error("the keys can't be exported")]
    Export,
}

/// Which side begins the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Waiting,
    Answered,
    Complete,
    Closed,
}

pub(super) struct Dtls {
    identity: Arc<Identity>,
    role: Role,
    endpoint: Endpoint,
    fallback: bool,
    /// The datagrams of the client before our first answer, given to the fallback endpoint.
    early: Vec<Vec<u8>>,
    stage: Stage,
    guard: Guard,
    /// Our last flight. rtc-dtls stops its own timer at any repeated client message without
    /// resending, and the handshake would hang.
    flight: Vec<BytesMut>,
    sent_at: Option<Instant>,
    resend_after: Duration,
    resends: u32,
    transmits: VecDeque<BytesMut>,
}

impl Dtls {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        Self {
            role: Role::Server,
            endpoint: Endpoint::new(PEER, TransportProtocol::UDP, Some(identity.gcm())),
            identity,
            fallback: false,
            early: Vec::new(),
            stage: Stage::Waiting,
            guard: Guard::default(),
            flight: Vec::new(),
            sent_at: None,
            resend_after: RESEND_AFTER,
            resends: 0,
            transmits: VecDeque::new(),
        }
    }

    /// Makes this side the client. Does nothing once a handshake has begun.
    pub(super) fn become_client(&mut self) {
        if !self.has_begun() {
            self.role = Role::Client;
            self.endpoint = Endpoint::new(PEER, TransportProtocol::UDP, None);
        }
    }

    pub(super) fn is_client(&self) -> bool {
        self.role == Role::Client
    }

    /// Begins the handshake as the client. Returns `Failed` when the engine can't.
    pub(super) fn begin(&mut self, now: Instant) -> DtlsOutcome {
        if self.endpoint.connect(now, PEER, self.identity.client(), None).is_err() {
            return DtlsOutcome::Failed;
        }
        self.flight = self.drain();
        self.sent_at = Some(now);
        self.transmits.extend(self.flight.iter().cloned());
        DtlsOutcome::Pending
    }

    pub(super) fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    /// Whether the peer has sent anything yet.
    pub(super) fn has_begun(&self) -> bool {
        self.stage > Stage::Waiting || !self.early.is_empty()
    }

    pub(super) fn handle_datagram(&mut self, bytes: &[u8], now: Instant) -> DtlsOutcome {
        let complete = self.stage == Stage::Complete;
        if self.stage == Stage::Closed || !self.guard.admits(bytes, complete) {
            return DtlsOutcome::Pending;
        }
        // A server that speaks first says nothing that a handshake could begin with.
        if self.is_client() && self.stage == Stage::Waiting {
            return DtlsOutcome::Pending;
        }
        if self.stage == Stage::Waiting && self.early.len() < EARLY_MAX {
            self.early.push(bytes.to_vec());
        }
        let result = self.read(bytes, now);
        let sent = self.drain();
        let Ok(events) = result else {
            // A damaged or forged record must not end the association (RFC 6347 §4.1.2.7). When the
            // engine has sent a fatal alert, the handshake has failed.
            let fatal = !complete && sent.iter().any(|it| it.first() == Some(&ALERT));
            self.transmits.extend(sent);
            return if fatal { DtlsOutcome::Failed } else { DtlsOutcome::Pending };
        };
        if sent.is_empty() {
            // After completion too: a client that repeats its last flight has not received ours. A
            // server's flight comes in several datagrams, which are no repetition; there the timer
            // resends.
            if !self.is_client() && (!complete || is_unprotected(bytes)) {
                self.repeat(now);
            }
        } else if !complete {
            self.flight.clone_from(&sent);
            self.sent_at = Some(now);
            self.resend_after = RESEND_AFTER;
        }
        self.transmits.extend(sent);
        self.conclude(events)
    }

    fn conclude(&mut self, events: Vec<EndpointEvent>) -> DtlsOutcome {
        let mut outcome = DtlsOutcome::Pending;
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => {
                    self.stage = Stage::Complete;
                    outcome = DtlsOutcome::Completed;
                }
                EndpointEvent::PeerClosed => {
                    self.stage = Stage::Closed;
                    return DtlsOutcome::ClosedByPeer;
                }
                // Application data: this server uses none over DTLS.
                _ => {}
            }
        }
        outcome
    }

    /// Resends the last flight when it is time.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.resend(now);
            self.resend_after = (self.resend_after * 2).min(RESEND_AFTER_MAX);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let first = self.flight.first()?;
        // A server keeps no state for HelloVerifyRequest (RFC 6347 §4.2.1); the client asks again.
        let armed = self.stage == Stage::Answered
            && self.resends < RESENDS_MAX
            && first.get(MESSAGE_TYPE_AT) != Some(&HELLO_VERIFY_REQUEST);
        self.sent_at.filter(|_| armed).map(|at| at + self.resend_after)
    }

    pub(super) fn poll_transmit(&mut self) -> Option<BytesMut> {
        self.transmits.pop_front()
    }

    /// Tells the peer that the association ends.
    pub(super) fn close(&mut self, now: Instant) {
        if self.stage == Stage::Complete && self.endpoint.close(now).is_ok() {
            let sent = self.drain();
            self.transmits.extend(sent);
        }
        self.stage = Stage::Closed;
    }

    /// The keys of a completed handshake, if the peer's certificate has one of these fingerprints.
    pub(super) fn keys(&self, fingerprints: &[Fingerprint]) -> Result<SrtpKeys, KeysRefused> {
        let state = self.endpoint.get_connection_state(PEER).ok_or(KeysRefused::Export)?;
        let presented = state.peer_certificates.first().ok_or(KeysRefused::Certificate)?;
        if !fingerprints.iter().any(|fingerprint| fingerprint.is_of(presented)) {
            return Err(KeysRefused::Certificate);
        }
        let (profile, inner) = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => {
                (SrtpProfile::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm)
            }
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => {
                (SrtpProfile::Aes128CmHmacSha1_80, ProtectionProfile::Aes128CmHmacSha1_80)
            }
            _ => return Err(KeysRefused::Export),
        };
        let mut config = SrtpConfig { profile: inner, ..SrtpConfig::default() };
        let material = state
            .export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], config.keying_material_len())
            .map_err(|_| KeysRefused::Export)?;
        config
            .set_session_keys_from_keying_material(material.as_ref(), self.is_client())
            .map_err(|_| KeysRefused::Export)?;
        let keys = config.keys;
        let master = |key, salt| MasterKey { key: Secret::new(key), salt: Secret::new(salt) };
        Ok(SrtpKeys {
            profile,
            local: master(keys.local_master_key, keys.local_master_salt),
            remote: master(keys.remote_master_key, keys.remote_master_salt),
        })
    }

    fn read(&mut self, bytes: &[u8], now: Instant) -> Result<Vec<EndpointEvent>, Error> {
        let result = self.endpoint.read(now, PEER, None, BytesMut::from(bytes));
        if self.fallback || !matches!(result, Err(Error::ErrServerNoMatchingSrtpProfile)) {
            return result;
        }
        // The queued alert of the first engine is dropped together with that engine.
        self.fallback = true;
        self.endpoint = Endpoint::new(PEER, TransportProtocol::UDP, Some(self.identity.cm()));
        let mut result = Ok(Vec::new());
        for datagram in std::mem::take(&mut self.early) {
            result = self.endpoint.read(now, PEER, None, BytesMut::from(&datagram[..]));
        }
        result
    }

    fn drain(&mut self) -> Vec<BytesMut> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit() {
            sent.push(transmit.message);
        }
        if !sent.is_empty() {
            self.stage = self.stage.max(Stage::Answered);
            self.early = Vec::new();
        }
        sent
    }

    /// Resends our flight: the client repeats its messages, so ours was lost.
    fn repeat(&mut self, now: Instant) {
        if self.sent_at.is_some_and(|at| now.saturating_duration_since(at) > REPEAT_AFTER) {
            self.resend(now);
        }
    }

    fn resend(&mut self, now: Instant) {
        if self.resends < RESENDS_MAX {
            self.resends += 1;
            self.sent_at = Some(now);
            self.transmits.extend(self.flight.iter().cloned());
        }
    }
}

/// Whether a datagram begins with a record of epoch 0, which is not encrypted.
fn is_unprotected(datagram: &[u8]) -> bool {
    datagram.get(3..5) == Some(&[0, 0])
}

impl std::fmt::Debug for Dtls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dtls").field("stage", &self.stage).finish_non_exhaustive()
    }
}
