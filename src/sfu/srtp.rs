//! SRTP of one transport (RFC 3711, RFC 7714). AES-GCM packets are decrypted and encrypted in
//! place, without an allocation; the older profile and all control packets go through `rtc_srtp`.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod gcm;
mod guarded;
mod replay;

pub use gcm::GcmSession;
pub use replay::ReplayWindow;

use guarded::GuardedContext;
use rtc_crypto::RTCCrypto;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

use super::plane::{MasterKey, SrtpKeys, SrtpProfile};
use super::rtcp;
use crate::formats::rtp::Header;

/// Bytes that sealing adds to a packet at most.
pub const SEAL_BYTES_MAX: usize = 16;
/// SSRCs that one peer may send from while its transport exists: enough to turn a camera with three
/// encodings on and off eighty times. A higher limit lets a peer use more memory for replay windows
/// (160 bytes each). Packets of further SSRCs are dropped.
pub const SOURCES_MAX: usize = 512;

/// Why a packet was not decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// It is shorter than its header and tag.
    #[error("malformed packet")]
    Malformed,
    /// It was received before, or it is too old to tell.
    #[error("replayed packet")]
    Replayed,
    /// Its tag is wrong.
    #[error("not authentic")]
    NotAuthentic,
    /// Its source is one more than a peer may have.
    #[error("too many sources")]
    TooManySources,
    /// The keys have the wrong length for their profile.
    #[error("keys do not fit their profile")]
    WrongKeys,
}

/// The keys and replay state of one transport, in both directions.
pub struct Srtp {
    rtp: RtpProtection,
    rtcp_in: GuardedContext,
    rtcp_out: Context,
}

enum RtpProtection {
    Gcm { inbound: GcmInbound, outbound: GcmSession },
    Cm { inbound: Box<GuardedContext>, outbound: Box<Context> },
}

struct GcmInbound {
    session: GcmSession,
    /// Sorted by SSRC, for binary search.
    sources: Vec<(u32, ReplayWindow)>,
}

impl Srtp {
    /// Derives the session keys of both directions.
    pub fn new(keys: &SrtpKeys, crypto: &dyn RTCCrypto) -> Result<Self, SrtpError> {
        let rtp = match keys.profile {
            SrtpProfile::AeadAes128Gcm => RtpProtection::Gcm {
                inbound: GcmInbound {
                    session: GcmSession::derive(&keys.remote, crypto)?,
                    sources: Vec::new(),
                },
                outbound: GcmSession::derive(&keys.local, crypto)?,
            },
            SrtpProfile::Aes128CmHmacSha1_80 => RtpProtection::Cm {
                inbound: Box::new(GuardedContext::new(keys.profile, &keys.remote)?),
                outbound: Box::new(outbound_context(keys.profile, &keys.local, crypto)?),
            },
        };
        Ok(Self {
            rtp,
            rtcp_in: GuardedContext::new(keys.profile, &keys.remote)?,
            rtcp_out: outbound_context(keys.profile, &keys.local, crypto)?,
        })
    }

    /// Authenticates and decrypts `packet` in place, whose header was parsed into `header`; returns
    /// the length of the decrypted packet. A packet that is not authentic changes no state.
    pub fn open_rtp(&mut self, packet: &mut [u8], header: &Header) -> Result<usize, SrtpError> {
        match &mut self.rtp {
            RtpProtection::Gcm { inbound, .. } => inbound.open(packet, header),
            RtpProtection::Cm { inbound, .. } => {
                let plain =
                    inbound.open(header.ssrc, |context| context.decrypt_rtp(packet).ok())?;
                let room = packet.get_mut(..plain.len()).ok_or(SrtpError::Malformed)?;
                room.copy_from_slice(&plain);
                Ok(plain.len())
            }
        }
    }

    /// Encrypts in place the packet that starts at `start` in `buffer`, and appends its tag.
    /// `index` is its sequence number extended by the wraps; the caller must not use one twice for
    /// different bytes (RFC 7714 §8.3).
    pub fn seal_rtp(
        &mut self,
        buffer: &mut Vec<u8>,
        start: usize,
        header_bytes: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<(), SrtpError> {
        match &mut self.rtp {
            RtpProtection::Gcm { outbound, .. } => {
                outbound.seal(buffer, start, header_bytes, ssrc, index)
            }
            RtpProtection::Cm { outbound, .. } => {
                let plain = buffer.get(start..).ok_or(SrtpError::Malformed)?;
                let sealed = outbound.encrypt_rtp(plain).map_err(|_| SrtpError::Malformed)?;
                buffer.truncate(start);
                buffer.extend_from_slice(&sealed);
                Ok(())
            }
        }
    }

    /// Authenticates and decrypts a control packet.
    pub fn open_rtcp(&mut self, packet: &[u8]) -> Result<bytes::BytesMut, SrtpError> {
        let ssrc = rtcp::sender(packet).ok_or(SrtpError::Malformed)?;
        self.rtcp_in.open(ssrc, |context| context.decrypt_rtcp(packet).ok())
    }

    /// Encrypts a control packet.
    pub fn seal_rtcp(&mut self, packet: &[u8]) -> Result<bytes::BytesMut, SrtpError> {
        self.rtcp_out.encrypt_rtcp(packet).map_err(|_| SrtpError::Malformed)
    }
}

impl GcmInbound {
    fn open(&mut self, packet: &mut [u8], header: &Header) -> Result<usize, SrtpError> {
        let found = self.sources.binary_search_by_key(&header.ssrc, |(ssrc, _)| *ssrc);
        let index = match found {
            Ok(at) => self.sources[at].1.check(header.sequence)?,
            Err(_) if self.sources.len() >= SOURCES_MAX => return Err(SrtpError::TooManySources),
            Err(_) => u64::from(header.sequence),
        };
        let end = self.session.open(packet, header.length, header.ssrc, index)?;
        match found {
            Ok(at) => self.sources[at].1.accept(index),
            Err(at) => self.sources.insert(at, (header.ssrc, ReplayWindow::starting_at(index))),
        }
        Ok(end)
    }
}

fn outbound_context(
    profile: SrtpProfile,
    master: &MasterKey,
    crypto: &dyn RTCCrypto,
) -> Result<Context, SrtpError> {
    let (key, salt) = (master.key.expose(), master.salt.expose());
    Context::new(key, salt, protection_profile(profile), None, None, crypto)
        .map_err(|_| SrtpError::WrongKeys)
}

const fn protection_profile(profile: SrtpProfile) -> ProtectionProfile {
    match profile {
        SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProfile::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    }
}

#[cfg(test)]
mod tests {
    use rtc_crypto::RTCCryptoProvider;

    use super::*;
    use crate::domain::secret::Secret;

    const SSRC: u32 = 0x5501_A0B2;

    fn master(seed: u8, profile: SrtpProfile) -> MasterKey {
        let salt = match profile {
            SrtpProfile::AeadAes128Gcm => 12,
            SrtpProfile::Aes128CmHmacSha1_80 => 14,
        };
        MasterKey { key: Secret::new(vec![seed; 16]), salt: Secret::new(vec![seed ^ 0x5A; salt]) }
    }

    fn provider() -> std::sync::Arc<dyn RTCCryptoProvider> {
        rtc_crypto::default_provider().expect("ring is built in")
    }

    fn ours(profile: SrtpProfile) -> Srtp {
        let keys = SrtpKeys { profile, local: master(1, profile), remote: master(2, profile) };
        Srtp::new(&keys, provider().crypto()).expect("keys fit")
    }

    fn theirs(seed: u8, profile: SrtpProfile) -> Context {
        outbound_context(profile, &master(seed, profile), provider().crypto()).expect("keys fit")
    }

    fn plain(sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x90, 96];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 9]);
        packet.extend_from_slice(&SSRC.to_be_bytes());
        packet.extend_from_slice(&[0xBE, 0xDE, 0, 1, 0x10, b'a', 0, 0]);
        packet.extend_from_slice(b"what was said");
        packet
    }

    fn open(srtp: &mut Srtp, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
        let mut copy = packet.to_vec();
        let header = Header::parse(&copy).ok_or(SrtpError::Malformed)?;
        let end = srtp.open_rtp(&mut copy, &header)?;
        copy.truncate(end);
        Ok(copy)
    }

    #[test]
    fn an_independent_path_opens_what_this_one_seals_across_the_wrap() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
            let (mut ours, mut theirs) = (ours(profile), theirs(1, profile));
            for index in 65_500_u64..65_600 {
                let packet = plain(crate::formats::rtp::wire_sequence(index));
                let mut buffer = b"before".to_vec();
                buffer.extend_from_slice(&packet);
                ours.seal_rtp(&mut buffer, 6, 20, SSRC, index).expect("sealed");
                assert_eq!(&buffer[..6], b"before");
                assert_ne!(&buffer[26..39], b"what was said");
                let opened = theirs.decrypt_rtp(&buffer[6..]).expect("authentic");
                assert_eq!(&opened[..], &packet[..]);
            }
        }
    }

    #[test]
    fn this_path_opens_what_an_independent_one_seals_and_only_once() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
            let (mut ours, mut theirs) = (ours(profile), theirs(2, profile));
            for index in 65_500_u64..65_600 {
                let packet = plain(crate::formats::rtp::wire_sequence(index));
                let sealed = theirs.encrypt_rtp(&packet).expect("sealed");
                assert_eq!(open(&mut ours, &sealed).expect("authentic"), packet);
                assert!(open(&mut ours, &sealed).is_err(), "a replay was accepted");
            }
        }
    }

    #[test]
    fn a_forgery_changes_nothing() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
            let (mut ours, mut theirs) = (ours(profile), theirs(2, profile));
            let sealed = theirs.encrypt_rtp(&plain(7)).expect("sealed");
            let mut forged = sealed.to_vec();
            for at in 0..forged.len() {
                forged[at] ^= 0x40;
                assert!(open(&mut ours, &forged).is_err(), "byte {at} is not authenticated");
                forged[at] ^= 0x40;
            }
            assert!(open(&mut ours, &sealed).is_ok());
        }
    }

    #[test]
    fn sources_are_bounded_and_forged_ones_take_no_place() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
            let (mut ours, mut theirs) = (ours(profile), theirs(2, profile));
            let from = |source: u32| {
                let mut packet = plain(1);
                packet[8..12].copy_from_slice(&source.to_be_bytes());
                packet
            };
            for source in 1000..3000 {
                let mut forged = from(source);
                forged.extend_from_slice(&[0; 16]);
                assert!(open(&mut ours, &forged).is_err());
            }
            for source in 0..600 {
                let sealed = theirs.encrypt_rtp(&from(source)).expect("sealed");
                let taken = open(&mut ours, &sealed).is_ok();
                assert_eq!(taken, source < u32::try_from(SOURCES_MAX).unwrap(), "{source}");
            }
        }
    }

    #[test]
    fn control_packets_pass_both_ways_and_replays_do_not() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
            let mut ours = ours(profile);
            let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
            let sealed = theirs(2, profile).encrypt_rtcp(&report).expect("sealed");
            assert_eq!(ours.open_rtcp(&sealed).expect("authentic")[..], report);
            assert_eq!(ours.open_rtcp(&sealed), Err(SrtpError::NotAuthentic));
            let sealed = ours.seal_rtcp(&report).expect("sealed");
            let opened = theirs(1, profile).decrypt_rtcp(&sealed).expect("authentic");
            assert_eq!(opened[..], report);
            for length in 0..sealed.len() {
                assert!(ours.open_rtcp(&sealed[..length]).is_err());
            }
        }
    }

    #[test]
    fn keys_of_the_wrong_length_are_refused() {
        let profile = SrtpProfile::AeadAes128Gcm;
        let mut keys = SrtpKeys { profile, local: master(1, profile), remote: master(2, profile) };
        keys.remote.salt = Secret::new(vec![0; 11]);
        assert!(Srtp::new(&keys, provider().crypto()).is_err());
    }
}
