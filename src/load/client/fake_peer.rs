//! A fake server peer for tests, made with the same libraries as the client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_shared::TransportProtocol;
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_SUCCESS, Message, Setter};

use super::dtls::Srtp;
use super::ice::Credentials;
use super::sdp::{self, Description, Direction, Section, Setup};
use super::{Identity, Profile};

/// One transport of the fake server, which answers checks and handshakes.
pub(in crate::load) struct Peer {
    pub(super) identity: Arc<Identity>,
    address: SocketAddr,
    certificate_fingerprint: String,
    endpoint: Endpoint,
    pub(super) credentials: Credentials,
    srtp: Option<Srtp>,
    pub(in crate::load) out: Vec<Vec<u8>>,
}

impl Peer {
    pub(in crate::load) fn new(
        identity: &Arc<Identity>,
        profile: Profile,
        address: SocketAddr,
        seed: u64,
    ) -> Self {
        let provider = identity.provider.clone();
        let certificate =
            Certificate::generate_self_signed(vec!["peer".to_owned()], provider.crypto()).unwrap();
        let hash = provider
            .crypto()
            .hash(rtc_crypto::HashAlgorithm::Sha256, &certificate.certificate[0])
            .unwrap();
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(vec![profile.offered()])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .build(false, None)
            .unwrap();
        Self {
            identity: identity.clone(),
            address,
            certificate_fingerprint: hash
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<Vec<_>>()
                .join(":"),
            endpoint: Endpoint::new(address, TransportProtocol::UDP, Some(Arc::new(config))),
            credentials: Credentials::random(&mut StdRng::seed_from_u64(seed)),
            srtp: None,
            out: Vec::new(),
        }
    }

    fn describe(&self, sections: &[Section], setup: Setup) -> String {
        let text =
            sdp::write(sections, &self.credentials, &self.certificate_fingerprint, setup, (7, 1));
        text.replace("setup:active", "setup:passive")
            + &format!(
                "a=candidate:1 1 udp 2130706431 {} {} typ host\r\n",
                self.address.ip(),
                self.address.port()
            )
    }

    /// Makes an offer of the streams that another offer sends.
    pub(in crate::load) fn offer(&self, other: &str) -> String {
        let sections = Description::parse(other).unwrap().sections;
        self.describe(&sections, Setup::Either)
    }

    /// Makes an answer that accepts every section.
    pub(in crate::load) fn answer(&self, offer: &str) -> String {
        let mut sections = Description::parse(offer).unwrap().sections;
        for section in &mut sections {
            section.direction = Direction::ReceiveOnly;
            section.ssrcs.clear();
            section.repair_pairs.clear();
        }
        self.describe(&sections, Setup::Active)
    }

    /// Takes a datagram of the client; returns decrypted media.
    pub(in crate::load) fn handle(
        &mut self,
        bytes: &[u8],
        now: Instant,
    ) -> Option<(bool, Vec<u8>)> {
        let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
        match bytes[0] {
            0..=3 => self.out.extend(self.check(bytes)),
            20..=63 => {
                let events = self.endpoint.read(now, peer, None, BytesMut::from(bytes));
                for event in events.unwrap_or_default() {
                    if matches!(event, EndpointEvent::HandshakeComplete) {
                        let state = self.endpoint.get_connection_state(peer).unwrap();
                        let provider = &*self.identity.provider;
                        self.srtp = Some(Srtp::derive(state, provider, false).unwrap());
                    }
                }
                while let Some(transmit) = self.endpoint.poll_transmit() {
                    self.out.push(transmit.message.to_vec());
                }
            }
            _ => {
                let srtp = self.srtp.as_mut()?;
                let control = (192..=223).contains(&bytes[1]);
                let plain = if control { srtp.open_control(bytes) } else { srtp.open(bytes) };
                return plain.map(|plain| (control, plain.to_vec()));
            }
        }
        None
    }

    fn check(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let crypto = self.identity.provider.crypto();
        let mut asked = Message::new();
        asked.unmarshal_binary(bytes).ok()?;
        FINGERPRINT.check(&asked).ok()?;
        let password = self.credentials.password.as_bytes();
        MessageIntegrity::check(&mut asked, password, crypto).ok()?;
        let mut message = Message::new();
        message.set_type(BINDING_SUCCESS);
        message.transaction_id = asked.transaction_id;
        message.write_header();
        MessageIntegrity::new_raw_integrity_with_provider(password, crypto)
            .add_to(&mut message)
            .ok()?;
        FINGERPRINT.add_to(&mut message).ok()?;
        Some(message.raw)
    }

    /// Encrypts media or RTCP and sends it to the client.
    pub(in crate::load) fn relay(&mut self, control: bool, plain: &[u8]) {
        if let Some(srtp) = &mut self.srtp {
            let sealed = if control { srtp.seal_control(plain) } else { srtp.seal(plain) };
            self.out.extend(sealed.map(|datagram| datagram.to_vec()));
        }
    }
}
