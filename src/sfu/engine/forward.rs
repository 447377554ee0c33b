//! The path of a packet: decrypt it, find its encoding, put it in order, store it for
//! retransmission, and copy it to every subscriber.

use crate::domain::media::{Codec, MediaKind};
use crate::formats::codec::{Vp8Descriptor, is_key_frame_start, picture_size};
use crate::formats::rtp::{Header, undo_retransmission};
use crate::sfu::plane::{Gate, MediaEvent, PublicationOrigin};
use crate::sfu::rtcp::{self, Message, SenderReport};

use super::Forwarder;
use super::encoding::{ClockReport, Refusal};
use super::publication::{Alone, PayloadMeaning, Publication};
use super::ring::Packet;
use super::slots::Slots;
use super::subscription::{Origin, Segment};
use super::tap::Passed;
use super::transport::{Source, Transport};

impl Forwarder {
    pub(super) fn handle_rtp(&mut self, slot: usize, datagram: &mut [u8], now_us: u64) {
        self.totals.packets_in += 1;
        self.totals.bytes_in += datagram.len() as u64;
        let Some(transport) = self.transports.at_mut(slot) else { return };
        transport.stats.packets_in += 1;
        transport.stats.bytes_in += datagram.len() as u64;
        let Some(header) = Header::parse(datagram) else {
            self.totals.dropped_malformed += 1;
            return;
        };
        let Ok(end) = transport.srtp.open_rtp(datagram, &header) else {
            self.totals.dropped_unauthentic += 1;
            transport.stats.dropped_unauthentic += 1;
            return;
        };
        transport.heard = true;
        let packet = &datagram[..end];
        let transport_cc = transport.numbers_extension;
        let source = transport.source(header.ssrc);
        if transport_cc.is_some() {
            let number = header.extensions(packet).find(|(id, _)| Some(*id) == transport_cc);
            if let Some((_, &[high, low])) = number {
                transport.arrivals.record(u16::from_be_bytes([high, low]), now_us);
            }
        }
        let Some(source) = source.or_else(|| self.learn(slot, packet, &header, now_us)) else {
            self.totals.dropped_unknown_source += 1;
            return;
        };
        self.handle_media(source, packet, &header, now_us);
    }

    /// Finds the publication and encoding of an authenticated packet whose SSRC is unknown.
    fn learn(
        &mut self,
        slot: usize,
        packet: &[u8],
        header: &Header,
        now_us: u64,
    ) -> Option<Source> {
        let transport = self.transports.at(slot)?;
        let knows = |publication: &usize| {
            let publication = self.publications.at(*publication);
            publication.is_some_and(|it| it.meaning(header.payload_type).is_some())
        };
        let claimants = transport.publications.iter().filter(|it| knows(it)).count();
        let alone = if claimants == 1 { Alone::Yes } else { Alone::No };
        let (publication, encoding) = transport.publications.iter().find_map(|&at| {
            let encoding = self.publications.at(at)?.encoding_of(packet, header, alone)?;
            Some((at, encoding))
        })?;
        let repair = self.publications.at(publication)?.meaning(header.payload_type)?.repair;
        let current = self.publications.at(publication)?.encodings.get(usize::from(encoding))?;
        // A second source beside the first would stop pictures, and double the sound.
        if !repair && current.ssrc.is_some() && current.is_heard(now_us) {
            return None;
        }
        let source = Source { ssrc: header.ssrc, publication, encoding, repair };
        let transport = self.transports.at_mut(slot)?;
        if !transport.add_source(source) {
            return None;
        }
        self.generations += 1;
        let generation = self.generations;
        let encoding =
            self.publications.at_mut(publication)?.encodings.get_mut(usize::from(encoding))?;
        let place = if repair { &mut encoding.rtx_ssrc } else { &mut encoding.ssrc };
        let before = place.replace(header.ssrc);
        if let Some(before) = before {
            transport.remove_source(before);
            if !repair {
                encoding.restart(generation);
                encoding.key_frames.want();
            }
        }
        Some(source)
    }

    /// Takes a decrypted packet whose source is known. From here on, packets of peers and of feeds
    /// are treated alike.
    pub(super) fn handle_media(
        &mut self,
        source: Source,
        packet: &[u8],
        header: &Header,
        now_us: u64,
    ) {
        let Some(publication) = self.publications.at_mut(source.publication) else { return };
        let Some(meaning) = publication.meaning(header.payload_type) else {
            self.totals.dropped_unknown_source += 1;
            return;
        };
        let Some(payload) = header.payload(packet) else {
            self.totals.dropped_malformed += 1;
            return;
        };
        publication.stats.packets_in += 1;
        publication.stats.payload_bytes_in += payload.len() as u64;
        let (sequence, payload) = if meaning.repair {
            let Some(original) = undo_retransmission(payload) else { return };
            original
        } else {
            (header.sequence, payload)
        };
        let gate = publication.gate;
        let Some(encoding) = publication.encodings.get_mut(usize::from(source.encoding)) else {
            return;
        };
        let extended = match encoding.place(sequence, gate, meaning.repair, now_us) {
            Ok(extended) => extended,
            Err(Refusal::Premature) => return,
            Err(Refusal::Duplicate) => {
                publication.stats.dropped_duplicate += 1;
                self.totals.dropped_duplicate += 1;
                return;
            }
        };
        encoding.rate.bytes += payload.len() as u64;
        encoding.flow.note(payload.len());
        if !meaning.repair {
            encoding.note_arrival(header.timestamp, now_us, meaning.codec.clock_rate_hz());
        }
        let has_begun = encoding.alive && publication.started;
        let is_ranked_anew = publication.encodings.len() > 1
            && is_key_frame_start(meaning.codec, payload)
            && picture_size(meaning.codec, payload)
                .is_some_and(|size| publication.note_size(source.encoding, size));
        if is_ranked_anew && has_begun {
            self.retarget_all(source.publication, now_us);
        }
        if !has_begun {
            self.begin(source, (meaning.codec, payload), (extended, header.timestamp), now_us);
        }
        let Some(publication) = self.publications.at_mut(source.publication) else { return };
        if publication.gate == Gate::Closed {
            publication.stats.dropped_gate += 1;
            self.totals.dropped_gate += 1;
            return;
        }
        if meaning.repair {
            publication.stats.packets_recovered += 1;
            self.totals.packets_recovered += 1;
        }
        let described = describe(publication, meaning, header, packet, payload, extended);
        if !publication.taps.is_empty() {
            let key_frame_start = described.key_frame_start;
            let passed =
                Passed { source, meaning, header, packet, payload, sequence, key_frame_start };
            publication.tap(&mut self.taps, &mut self.totals, &passed, now_us);
        }
        self.fan_out(source, &described, now_us);
    }

    /// Handles the beginning of an encoding, or its beginning anew.
    fn begin(
        &mut self,
        source: Source,
        (codec, payload): (Codec, &[u8]),
        (extended, timestamp): (u64, u32),
        now_us: u64,
    ) {
        let Some(publication) = self.publications.at_mut(source.publication) else { return };
        // A feed is asked in any case: its signal costs no bandwidth.
        let is_sent = publication.kind == MediaKind::Video && publication.transport.is_some();
        let passes = is_sent && publication.gate == Gate::Open;
        if let Some(encoding) = publication.encodings.get_mut(usize::from(source.encoding)) {
            encoding.alive = true;
            if passes && is_key_frame_start(codec, payload) {
                // What begins with a key frame need not be asked for one.
                encoding.key_frames.note_start((extended, timestamp), now_us);
            }
        }
        let started = std::mem::replace(&mut publication.started, true);
        let (room, track) = (publication.room, publication.track);
        if !started {
            self.tell(MediaEvent::TrackStarted { room, track, codec });
        }
        self.retarget_all(source.publication, now_us);
    }

    /// Stores a packet and copies it to every subscriber that should get it.
    fn fan_out(&mut self, source: Source, packet: &Packet<'_>, now_us: u64) {
        let Self { publications, subscriptions, transports, outbound, totals, .. } = self;
        let Some(publication) = publications.at_mut(source.publication) else { return };
        let Some(encoding) = publication.encodings.get_mut(usize::from(source.encoding)) else {
            return;
        };
        encoding.ring.store(packet);
        let wants_another =
            publication.kind == MediaKind::Video && encoding.key_frames.note(packet, now_us);
        let origin = Origin {
            publication: source.publication,
            encoding: source.encoding,
            generation: encoding.generation,
            clock: encoding.clock,
        };
        let publication = &*publication;
        let aligned = |before: &Segment| aligned_timestamp(publication, before, origin, packet);
        for &at in &publication.subscribers {
            let Some(subscription) = subscriptions.at_mut(at) else { continue };
            let Some(slot) = subscription.transport else { continue };
            let Some(transport) = transports.at_mut(slot) else { continue };
            if !subscription.understands(packet.codec) {
                // When packets follow in a codec that the receiver understands, they begin a new
                // segment. Its sequence numbers must not have a gap for the packets left out here,
                // since nobody could resend them.
                if subscription.segment.is_some_and(|it| it.generation == origin.generation) {
                    subscription.end_segment();
                }
                subscription.stats.dropped_format += 1;
                totals.dropped_format += 1;
                continue;
            }
            let switches = subscription.stats.switches;
            let Some(index) = subscription.number(origin, packet, aligned, now_us) else {
                continue;
            };
            totals.switches += subscription.stats.switches - switches;
            if subscription.forward(transport, packet, index, now_us) {
                totals.packets_forwarded += 1;
                totals.payload_bytes_forwarded += packet.payload.len() as u64;
            } else {
                totals.dropped_full += 1;
            }
            outbound.queue(slot, transport);
        }
        if wants_another {
            self.send_key_frame_requests(source.publication, now_us);
        }
    }

    pub(super) fn handle_rtcp(&mut self, slot: usize, datagram: &[u8], now_us: u64) {
        let Some(transport) = self.transports.at_mut(slot) else { return };
        transport.stats.packets_in += 1;
        transport.stats.bytes_in += datagram.len() as u64;
        let Ok(compound) = transport.srtp.open_rtcp(datagram) else {
            self.totals.dropped_unauthentic += 1;
            transport.stats.dropped_unauthentic += 1;
            return;
        };
        transport.heard = true;
        transport.control_source = rtcp::sender(&compound);
        rtcp::read(&compound, |message| match message {
            Message::SenderReport(report) => self.note_clock_of_peer(slot, &report, now_us),
            Message::Nack { ssrc, lost } => self.resend(slot, ssrc, lost, now_us),
            Message::KeyFrameRequest { ssrc } => self.request_key_frame_for(slot, ssrc, now_us),
            Message::Arrivals(arrivals) => self.handle_arrivals(slot, &arrivals, now_us),
            Message::ArrivalsUnreadable => self.totals.feedback_unreadable += 1,
            Message::ReceiverEstimate { bps } => self.handle_receiver_estimate(slot, bps),
            Message::Report(block) => self.handle_report(slot, &block, now_us),
        });
        let Self { transports, outbound, .. } = self;
        if let Some(transport) = transports.at_mut(slot) {
            outbound.queue(slot, transport);
        }
    }

    fn note_clock_of_peer(&mut self, slot: usize, report: &SenderReport, now_us: u64) {
        let source = self.transports.at(slot).and_then(|transport| transport.source(report.ssrc));
        if let Some(source) = source.filter(|source| !source.repair) {
            self.note_clock(source.publication, source.encoding, report, now_us);
        }
    }

    /// Stores how the timestamps of an encoding relate to its sender's clock.
    pub(super) fn note_clock(
        &mut self,
        at: usize,
        encoding: u8,
        report: &SenderReport,
        now_us: u64,
    ) {
        let Some(publication) = self.publications.at_mut(at) else { return };
        if let Some(encoding) = publication.encodings.get_mut(usize::from(encoding)) {
            let SenderReport { ntp, timestamp, .. } = *report;
            encoding.report = Some(ClockReport { ntp, timestamp, heard_us: now_us });
        }
        publication.tap_report(&mut self.taps, encoding, report, now_us);
    }

    pub(super) fn subscription_of(&self, slot: usize, ssrc: u32) -> Option<usize> {
        let transport = self.transports.at(slot)?;
        let of_source = |at: &usize| self.subscriptions.at(*at).is_some_and(|it| it.ssrc == ssrc);
        transport.subscriptions.iter().copied().find(of_source)
    }

    fn resend(&mut self, slot: usize, ssrc: u32, lost: impl Iterator<Item = u16>, now_us: u64) {
        let Some(at) = self.subscription_of(slot, ssrc) else { return };
        let Self { publications, subscriptions, transports, totals, schedule, .. } = self;
        let Some(subscription) = subscriptions.at_mut(at) else { return };
        let Some(transport) = transports.at_mut(slot) else { return };
        for sequence in lost {
            subscription.stats.nacks_received += 1;
            totals.nacks_received += 1;
            let Some((segment, index, extended)) = subscription.find_sent(sequence, schedule.count)
            else {
                continue;
            };
            let packet = kept_packet(publications, &segment, extended);
            if let Some(packet) = packet
                && subscription.resend(transport, &segment, &packet, (index, now_us))
            {
                totals.packets_resent += 1;
            }
        }
    }

    fn request_key_frame_for(&mut self, slot: usize, ssrc: u32, now_us: u64) {
        let Some(at) = self.subscription_of(slot, ssrc) else { return };
        let Some(subscription) = self.subscriptions.at_mut(at) else { return };
        subscription.stats.key_frame_requests_received += 1;
        self.totals.key_frame_requests_received += 1;
        let Some(source) = subscription.source else { return };
        let layer = subscription.segment.map_or(subscription.target, |segment| segment.encoding);
        if let Some(publication) = self.publications.at_mut(source)
            && publication.kind == MediaKind::Video
            && let Some(encoding) = publication.encodings.get_mut(usize::from(layer))
            && !encoding.key_frames.is_wanted()
        {
            // The next key frame serves it; it is charged only when it alone causes one.
            if !subscription.requests.take(now_us) {
                self.totals.key_frame_requests_ignored += 1;
                return;
            }
            encoding.key_frames.want_repair();
        }
        self.send_key_frame_requests(source, now_us);
    }

    /// Sends the key-frame requests of a publication that are wanted and allowed now.
    pub(super) fn send_key_frame_requests(&mut self, at: usize, now_us: u64) {
        let Self { publications, transports, outbound, totals, scratch, taps, .. } = self;
        let Some(publication) = publications.at_mut(at) else { return };
        if publication.gate == Gate::Closed || !publication.is_complete() {
            return;
        }
        let slot = publication.transport;
        let mut transport = slot.and_then(|slot| transports.at_mut(slot));
        for number in 0..publication.encodings.len() {
            if let Some(ssrc) = publication.encodings[number].take_key_frame_request(now_us) {
                publication.tap_key_frame_request(taps, number, now_us);
                if let PublicationOrigin::Process(wanted) = &publication.origin {
                    wanted.raise();
                } else if let Some(transport) = &mut transport {
                    scratch.compound.clear();
                    rtcp::write_pli(&mut scratch.compound, ssrc);
                    transport.send_rtcp(&scratch.compound);
                }
                publication.stats.key_frame_requests_sent += 1;
                totals.key_frame_requests_sent += 1;
            }
        }
        if let (Some(slot), Some(transport)) = (slot, transport) {
            outbound.queue(slot, transport);
        }
    }
}

/// A packet of a segment, if its publication still has it.
fn kept_packet<'ring>(
    publications: &'ring Slots<Publication>,
    segment: &Segment,
    extended: u64,
) -> Option<Packet<'ring>> {
    let publication = publications.at(segment.publication)?;
    let encoding = publication.encodings.get(usize::from(segment.encoding))?;
    let current = encoding.generation == segment.generation && publication.gate == Gate::Open;
    current.then(|| encoding.ring.packet(extended)).flatten()
}

fn describe<'packet>(
    publication: &mut Publication,
    meaning: PayloadMeaning,
    header: &Header,
    packet: &[u8],
    payload: &'packet [u8],
    extended: u64,
) -> Packet<'packet> {
    let codec = meaning.codec;
    let mut level = None;
    if publication.kind == MediaKind::Audio && publication.extensions.audio_level.is_some() {
        let id = publication.extensions.audio_level;
        let found = header.extensions(packet).find(|(it, _)| Some(*it) == id);
        level = found.and_then(|(_, value)| value.first().copied());
        if let Some(level) = level {
            publication.level.note(level);
        }
    }
    let vp8 = if codec == Codec::Vp8 { Vp8Descriptor::parse(payload) } else { None };
    let key_frame_start =
        vp8.map_or_else(|| is_key_frame_start(codec, payload), |vp8| vp8.key_frame_start);
    Packet {
        extended,
        timestamp: header.timestamp,
        marker: header.marker,
        codec,
        key_frame_start,
        level,
        vp8,
        payload,
    }
}

/// The timestamp of `packet` on the clock of the encoding forwarded before. `None` unless both
/// belong to one publication and both have sent a sender report.
fn aligned_timestamp(
    publication: &Publication,
    before: &Segment,
    origin: Origin,
    packet: &Packet<'_>,
) -> Option<u32> {
    let rate_hz = packet.codec.clock_rate_hz();
    if before.publication != origin.publication {
        return None;
    }
    let old = publication.encodings.get(usize::from(before.encoding))?;
    let new = publication.encodings.get(usize::from(origin.encoding))?;
    if old.generation != before.generation {
        return None;
    }
    let wall = new.report?.wall_clock_of(packet.timestamp, rate_hz);
    Some(old.report?.timestamp_at(wall, rate_hz))
}

impl Transport {
    /// Whether the peer of this transport publishes anything.
    pub(super) fn publishes(&self) -> bool {
        !self.publications.is_empty()
    }
}
