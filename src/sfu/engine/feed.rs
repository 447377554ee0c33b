//! Packets of publishers in this process (feeds).

use std::time::Instant;

use crate::domain::id::TrackId;
use crate::formats::rtp::{DatagramKind, Header, classify};
use crate::sfu::plane::PublicationOrigin;
use crate::sfu::rtcp::{self, Message};

use super::transport::Source;
use super::{Forwarder, Handled};

/// The number of the only encoding that a feed has.
const ENCODING: u8 = 0;

impl Forwarder {
    /// Takes an unencrypted RTP or RTCP packet of a feed. Any SSRC is accepted; when it changes,
    /// the track continues at the next key frame. Of RTCP, only sender reports are used.
    pub fn handle_fed_packet(&mut self, track: TrackId, packet: &[u8], now: Instant) -> Handled {
        let now_us = self.elapsed_us(now);
        let at = self.publication_slots.get(&track).copied();
        let is_feed = |at: &usize| {
            let publication = self.publications.at(*at);
            publication.is_some_and(|it| matches!(it.origin, PublicationOrigin::Process(_)))
        };
        let Some(at) = at.filter(is_feed) else {
            self.totals.dropped_unknown_source += 1;
            return Handled::Dropped;
        };
        match classify(packet) {
            DatagramKind::Rtp => self.handle_fed_rtp(at, packet, now_us),
            DatagramKind::Rtcp => self.handle_fed_rtcp(at, packet, now_us),
            DatagramKind::Handshake | DatagramKind::Relay | DatagramKind::Other => {
                self.totals.dropped_other += 1;
                return Handled::Dropped;
            }
        }
        Handled::Media
    }

    fn handle_fed_rtp(&mut self, at: usize, packet: &[u8], now_us: u64) {
        self.totals.packets_in += 1;
        self.totals.bytes_in += packet.len() as u64;
        let Some(header) = Header::parse(packet) else {
            self.totals.dropped_malformed += 1;
            return;
        };
        let ssrc = header.ssrc;
        self.follow_source(at, ssrc);
        let source = Source { ssrc, publication: at, encoding: ENCODING, repair: false };
        self.handle_media(source, packet, &header, now_us);
    }

    /// Stores the SSRC of a feed; when it changes, the sequence numbers start over.
    fn follow_source(&mut self, at: usize, ssrc: u32) {
        let Some(publication) = self.publications.at_mut(at) else { return };
        let Some(encoding) = publication.encodings.get_mut(usize::from(ENCODING)) else { return };
        if encoding.ssrc.replace(ssrc).is_some_and(|before| before != ssrc) {
            self.generations += 1;
            encoding.restart(self.generations);
            encoding.key_frames.want();
        }
    }

    fn handle_fed_rtcp(&mut self, at: usize, compound: &[u8], now_us: u64) {
        rtcp::read(compound, |message| {
            let Message::SenderReport(report) = message else { return };
            let publication = self.publications.at(at);
            let encoding = publication.and_then(|it| it.encodings.get(usize::from(ENCODING)));
            if encoding.is_some_and(|it| it.ssrc == Some(report.ssrc)) {
                self.note_clock(at, ENCODING, &report, now_us);
            }
        });
    }
}
