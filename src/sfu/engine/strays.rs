//! Media from an address that no transport has. Some clients send no checks once they are connected;
//! when a router gives their flow another port, only their media tells where they are now. So a
//! transport of which nothing comes any more is searched for by the SSRCs from which its peer sends,
//! and what authenticates with its keys is reported. The control half decides what follows.
//!
//! While something comes from its address a transport is not searched for. A copy of its packets
//! from elsewhere, made on the way, is then not taken before the original.

use std::net::SocketAddr;

use crate::formats::rtp::{DatagramKind, Header};
use crate::sfu::plane::{MediaEvent, TransportId};
use crate::sfu::rtcp;
use crate::sfu::transport::SILENT_AFTER;

use super::transport::Transport;
use super::{Forwarder, Handled};

/// SSRCs by which one silent transport is searched for: all that a page with camera and screen sends
/// from. Raising it lets peers that send from many SSRCs and fall silent take more memory.
const SOUGHT_BY_MAX: usize = 32;
/// Silent transports with the same SSRC whose keys are tried. SSRCs are random and known to nobody
/// else, so there is one, except for receivers of browsers, which share a fixed one and send checks.
/// Raising it lets strangers cause more decryptions with one datagram.
const TRIED_MAX: usize = 8;
/// Time between two reports of media of one transport from other addresses.
const FOUND_INTERVAL_US: u64 = 100_000;

impl Forwarder {
    /// Searches for a transport from now on when nothing has come of it for long; returns it then,
    /// with the SSRCs by which it is searched for.
    pub(super) fn search_if_silent(
        &mut self,
        slot: usize,
        now_us: u64,
    ) -> Option<(TransportId, Vec<u32>)> {
        let transport = self.transports.at_mut(slot)?;
        let silent_us = u128::from(now_us.saturating_sub(transport.heard_us));
        if transport.sought_by.is_some() || silent_us < SILENT_AFTER.as_micros() {
            return None;
        }
        let sources: Vec<u32> = transport.peer_sources().take(SOUGHT_BY_MAX).collect();
        transport.sought_by = Some(sources.clone());
        self.sought.extend(sources.iter().map(|&ssrc| (ssrc, slot)));
        Some((transport.id, sources))
    }

    /// Searches for a transport no more.
    pub(super) fn end_search(&mut self, slot: usize) {
        let sought_by = self.transports.at_mut(slot).and_then(|it| it.sought_by.take());
        for ssrc in sought_by.into_iter().flatten() {
            self.sought.remove(&(ssrc, slot));
        }
    }

    /// Takes media from an address that no transport has. The packet itself goes no further.
    pub(super) fn handle_stray(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        kind: DatagramKind,
        now_us: u64,
    ) -> Handled {
        let Self { sought, transports, scratch, .. } = self;
        let found = source_of(datagram, kind).and_then(|ssrc| {
            let claimants = sought.range((ssrc, 0)..=(ssrc, usize::MAX)).take(TRIED_MAX);
            claimants.map(|(_, slot)| *slot).find(|slot| {
                scratch.stray.clear();
                scratch.stray.extend_from_slice(datagram);
                transports.at_mut(*slot).is_some_and(|it| it.opens(&mut scratch.stray, kind))
            })
        });
        let Some(transport) = found.and_then(|slot| self.transports.at_mut(slot)) else {
            self.totals.dropped_unknown_address += 1;
            return Handled::UnknownAddress;
        };
        if now_us.saturating_sub(transport.found_us) >= FOUND_INTERVAL_US {
            transport.found_us = now_us;
            let transport = transport.id;
            self.tell(MediaEvent::HeardFrom { transport, from });
        }
        Handled::Media
    }
}

impl Transport {
    /// Whether a packet was protected with the keys of this transport and did not come before.
    fn opens(&mut self, packet: &mut [u8], kind: DatagramKind) -> bool {
        match Header::parse(packet) {
            _ if kind == DatagramKind::Rtcp => self.srtp.open_rtcp(packet).is_ok(),
            Some(header) => self.srtp.open_rtp(packet, &header).is_ok(),
            None => false,
        }
    }
}

/// The SSRC of the sender, which is not encrypted.
pub(in crate::sfu) fn source_of(datagram: &[u8], kind: DatagramKind) -> Option<u32> {
    match kind {
        DatagramKind::Rtp => Header::parse(datagram).map(|header| header.ssrc),
        DatagramKind::Rtcp => rtcp::sender(datagram),
        DatagramKind::Handshake | DatagramKind::Relay | DatagramKind::Other => None,
    }
}
