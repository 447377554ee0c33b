//! `rtc_srtp` keeps state for every SSRC that it is given, authentic or not, so packets with forged
//! SSRCs would make it grow without limit. Packets of unknown SSRCs are tried on a second context,
//! which is replaced regularly.

use bytes::BytesMut;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};

use super::{SOURCES_MAX, SrtpError, protection_profile};
use crate::sfu::plane::{MasterKey, SrtpProfile};

/// Packets of unknown SSRCs that may fail on a context before it is replaced. Lowering it costs
/// more key derivations under attack; raising it costs memory (about 300 bytes per packet).
const STRANGERS_MAX: usize = 64;
/// How far behind the newest packet one may be and still be accepted.
const WINDOW_PACKETS: usize = 1024;

/// An inbound context that holds a bounded number of SSRCs.
pub(super) struct GuardedContext {
    profile: SrtpProfile,
    master: MasterKey,
    known: Context,
    /// Sorted.
    known_sources: Vec<u32>,
    probation: Context,
    strangers: usize,
}

impl GuardedContext {
    pub(super) fn new(profile: SrtpProfile, master: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Self {
            profile,
            master: master.clone(),
            known: inbound_context(profile, master)?,
            known_sources: Vec::new(),
            probation: inbound_context(profile, master)?,
            strangers: 0,
        })
    }

    /// Decrypts a packet of `ssrc`, with the second context when the SSRC is unknown.
    pub(super) fn open(
        &mut self,
        ssrc: u32,
        mut decrypt: impl FnMut(&mut Context) -> Option<BytesMut>,
    ) -> Result<BytesMut, SrtpError> {
        let Err(at) = self.known_sources.binary_search(&ssrc) else {
            return decrypt(&mut self.known).ok_or(SrtpError::NotAuthentic);
        };
        if self.known_sources.len() >= SOURCES_MAX {
            return Err(SrtpError::TooManySources);
        }
        if self.strangers >= STRANGERS_MAX {
            self.probation = inbound_context(self.profile, &self.master)?;
            self.strangers = 0;
        }
        self.strangers += 1;
        decrypt(&mut self.probation).ok_or(SrtpError::NotAuthentic)?;
        self.known_sources.insert(at, ssrc);
        decrypt(&mut self.known).ok_or(SrtpError::NotAuthentic)
    }
}

fn inbound_context(profile: SrtpProfile, master: &MasterKey) -> Result<Context, SrtpError> {
    let provider = rtc_crypto::default_provider().map_err(|_| SrtpError::WrongKeys)?;
    Context::new(
        master.key.expose(),
        master.salt.expose(),
        protection_profile(profile),
        Some(srtp_replay_protection(WINDOW_PACKETS)),
        Some(srtcp_replay_protection(WINDOW_PACKETS)),
        provider.crypto(),
    )
    .map_err(|_| SrtpError::WrongKeys)
}
