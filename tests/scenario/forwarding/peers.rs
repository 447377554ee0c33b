//! Peers of a forwarder in virtual time, over a small lossy network. They
//! protect and read packets with `rtc_srtp` and `rtc_rtcp`, not with the code
//! under test.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cabildo::domain::id::{SessionId, TrackId};
use cabildo::domain::media::{Codec, MediaKind};
use cabildo::domain::secret::Secret;
use cabildo::formats::codec::Vp8Descriptor;
use cabildo::formats::rtp::Header;
use cabildo::sfu::engine::{Forwarder, Handled};
use cabildo::sfu::plane::{
    Command, Demand, EncodingSpec, ExtensionIds, Format, Gate, MasterKey, PublicationOrigin,
    PublicationSpec, SrtpKeys, SrtpProfile, SubscriptionId, SubscriptionSpec, TransportId,
};
use cabildo::sfu::rtcp::ArrivalRecorder;
use cabildo::sfu::srtp::GcmSession;
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

/// Bytes that wait in front of a bottleneck for this long at most.
const QUEUE_US_MAX: u64 = 400_000;
/// Time between two feedbacks of a receiver on arrivals.
const TOLD_EVERY_US: u64 = 80_000;

/// A narrow path to a receiver, which tells of arrivals as browsers do.
pub(crate) struct Bottleneck {
    pub(crate) capacity_bps: u64,
    pub(crate) delay_us: u64,
    /// Whether nothing gets through.
    pub(crate) is_cut: bool,
    free_us: u64,
    under_way: VecDeque<(u64, u16)>,
    recorder: ArrivalRecorder,
    told_us: u64,
    told: VecDeque<(u64, Vec<u8>)>,
    /// How long packets waited most, since this was last read.
    pub(crate) waited_us_max: u64,
}

impl Bottleneck {
    pub(crate) fn new(capacity_bps: u64) -> Self {
        Self {
            capacity_bps,
            delay_us: 30_000,
            is_cut: false,
            free_us: 0,
            under_way: VecDeque::new(),
            recorder: ArrivalRecorder::default(),
            told_us: 0,
            told: VecDeque::new(),
            waited_us_max: 0,
        }
    }

    /// Whether a datagram comes through.
    fn passes(&mut self, bytes: usize, now_us: u64) -> bool {
        let waits_us = self.free_us.saturating_sub(now_us);
        self.waited_us_max = self.waited_us_max.max(waits_us);
        if self.is_cut || waits_us > QUEUE_US_MAX {
            return false;
        }
        let bits = u64::try_from((bytes + 28) * 8).expect("small");
        self.free_us = self.free_us.max(now_us) + bits * 1_000_000 / self.capacity_bps;
        true
    }

    /// Feedback that has reached the server by now.
    fn feedback(&mut self, now_us: u64) -> Option<Vec<u8>> {
        while let Some((at_us, number)) = self.under_way.front().copied()
            && at_us <= now_us
        {
            self.under_way.pop_front();
            self.recorder.record(number, at_us + 7_000_000_000);
        }
        if now_us >= self.told_us + TOLD_EVERY_US {
            self.told_us = now_us;
            let mut compound = Vec::new();
            self.recorder.write_feedback(&mut compound, 1);
            if !compound.is_empty() {
                self.told.push_back((now_us + self.delay_us, compound));
            }
        }
        let is_here = self.told.front().is_some_and(|(at_us, _)| *at_us <= now_us);
        if is_here { self.told.pop_front().map(|(_, compound)| compound) } else { None }
    }
}

pub(crate) const MID: u8 = 1;
pub(crate) const RID: u8 = 2;
pub(crate) const REPAIRED_RID: u8 = 3;
pub(crate) const TRANSPORT_CC: u8 = 4;
pub(crate) const LEVEL: u8 = 5;

pub(crate) const EXTENSIONS: ExtensionIds = ExtensionIds {
    mid: Some(MID),
    rid: Some(RID),
    repaired_rid: Some(REPAIRED_RID),
    transport_cc: Some(TRANSPORT_CC),
    audio_level: Some(LEVEL),
};

/// A packet as a subscriber got it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) header: Header,
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

impl Received {
    fn transport_number(&self) -> Option<u16> {
        let (_, value) = self.extensions.iter().find(|(id, _)| *id == TRANSPORT_CC)?;
        Some(u16::from_be_bytes([value[0], value[1]]))
    }

    pub(crate) fn vp8(&self) -> Vp8Descriptor {
        Vp8Descriptor::parse(&self.payload).expect("a VP8 payload")
    }

    /// The text behind the descriptor that `vp8_payload` wrote.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload[6..]).into_owned()
    }
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    outbound: Context,
    inbound: Context,
    pub(crate) rtp: Vec<Received>,
    pub(crate) plis: Vec<(u32, Duration)>,
    pub(crate) nacks: Vec<(u32, Vec<u16>)>,
    pub(crate) arrivals: Vec<TransportLayerCc>,
    pub(crate) sender_reports: Vec<SenderReport>,
    pub(crate) receiver_reports: Vec<ReceiverReport>,
    /// What it sent, by source and sequence number, to answer NACKs from.
    sent: BTreeMap<(u32, u16), Vec<u8>>,
    rtx_of: BTreeMap<u32, (u32, u8, u16)>,
    transport_sequence: u16,
}

pub(crate) struct Fixture {
    pub(crate) forwarder: Forwarder,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) room: SessionId,
    pub(crate) peers: BTreeMap<u64, Peer>,
    pub(crate) bottlenecks: BTreeMap<u64, Bottleneck>,
    /// Packets in a thousand that are lost, each way.
    pub(crate) loss_per_mille: u64,
    seed: u64,
}

fn keys(id: u64) -> SrtpKeys {
    let master = |side: u8| MasterKey {
        key: Secret::new([side, id.to_be_bytes()[7], id.to_be_bytes()[6]].repeat(6)[..16].to_vec()),
        salt: Secret::new([id.to_be_bytes()[7], side, 7].repeat(4)),
    };
    SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, local: master(1), remote: master(2) }
}

fn context(master: &MasterKey) -> Context {
    let provider = rtc_crypto::default_provider().expect("ring is built in");
    let (key, salt) = (master.key.expose(), master.salt.expose());
    Context::new(key, salt, ProtectionProfile::AeadAes128Gcm, None, None, provider.crypto())
        .expect("keys fit")
}

pub(crate) fn address(id: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], u16::try_from(1000 + id).expect("few peers")))
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let provider = rtc_crypto::default_provider().expect("ring is built in");
        Self::with(Forwarder::new(provider, Instant::now()))
    }

    pub(crate) fn with(forwarder: Forwarder) -> Self {
        let now = Instant::now();
        Self {
            forwarder,
            start: now,
            now,
            room: SessionId::generate(),
            peers: BTreeMap::new(),
            bottlenecks: BTreeMap::new(),
            loss_per_mille: 0,
            seed: 0x9E37_79B9_7F4A_7C15,
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.forwarder.handle_command(command, self.now);
        self.exchange();
    }

    pub(crate) fn join(&mut self, id: u64) {
        self.join_room(id, self.room);
    }

    pub(crate) fn join_room(&mut self, id: u64, room: SessionId) {
        let keys = keys(id);
        let peer = Peer {
            address: address(id),
            outbound: context(&keys.remote),
            inbound: context(&keys.local),
            rtp: Vec::new(),
            plis: Vec::new(),
            nacks: Vec::new(),
            arrivals: Vec::new(),
            sender_reports: Vec::new(),
            receiver_reports: Vec::new(),
            sent: BTreeMap::new(),
            rtx_of: BTreeMap::new(),
            transport_sequence: 0,
        };
        self.peers.insert(id, peer);
        let (transport, remote) = (TransportId(id), address(id));
        self.command(Command::AddTransport { transport, room, keys, remote });
    }

    fn lost(&mut self) -> bool {
        // A linear congruential generator, so that every run is the same.
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.seed >> 33) % 1000 < self.loss_per_mille
    }

    fn now_us(&self) -> u64 {
        u64::try_from((self.now - self.start).as_micros()).expect("not that long")
    }

    /// Lets time pass, a millisecond at a time.
    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += Duration::from_millis(1);
            self.forwarder.handle_timeout(self.now);
            self.exchange();
            let now_us = self.now_us();
            let ids: Vec<u64> = self.bottlenecks.keys().copied().collect();
            for id in ids {
                while let Some(compound) =
                    self.bottlenecks.get_mut(&id).and_then(|it| it.feedback(now_us))
                {
                    self.send_rtcp(id, &compound);
                }
            }
        }
    }

    /// Delivers what the forwarder sends; publishers answer NACKs.
    pub(crate) fn exchange(&mut self) {
        loop {
            let mut datagrams = Vec::new();
            while let Some(run) = self.forwarder.poll_transmit(64, 60_000) {
                assert_eq!(run.contents.chunks(run.segment_bytes).count(), run.datagrams);
                for datagram in run.contents.chunks(run.segment_bytes) {
                    datagrams.push((run.destination, datagram.to_vec()));
                }
            }
            if datagrams.is_empty() {
                return;
            }
            let at = self.now - self.start;
            for (to, datagram) in datagrams {
                if self.lost() {
                    continue;
                }
                let to = self.peers.iter_mut().find(|(_, peer)| peer.address == to);
                let (&id, peer) = to.expect("nothing goes to strangers");
                let now_us = u64::try_from(at.as_micros()).expect("not that long");
                let bottleneck = self.bottlenecks.get_mut(&id);
                let is_media = !(192..=223).contains(&datagram[1]);
                if let Some(bottleneck) = bottleneck
                    && is_media
                {
                    if !bottleneck.passes(datagram.len(), now_us) {
                        continue;
                    }
                    peer.take(&datagram, at);
                    let number = peer.rtp.last().and_then(Received::transport_number);
                    let arrival_us = bottleneck.free_us + bottleneck.delay_us;
                    let number = number.expect("packets on this path are numbered");
                    bottleneck.under_way.push_back((arrival_us, number));
                    continue;
                }
                for (ssrc, sequence) in peer.take(&datagram, at) {
                    self.repair(id, ssrc, sequence);
                }
            }
        }
    }

    /// A publisher sends a packet again, as RFC 4588 says.
    fn repair(&mut self, id: u64, ssrc: u32, sequence: u16) {
        let peer = self.peers.get_mut(&id).expect("known");
        let Some(original) = peer.sent.get(&(ssrc, sequence)).cloned() else { return };
        let Some((rtx_ssrc, payload_type, next)) = peer.rtx_of.get_mut(&ssrc) else { return };
        *next = next.wrapping_add(1);
        let header = Header::parse(&original).expect("well formed");
        let mut packet = vec![0x80, *payload_type | if header.marker { 0x80 } else { 0 }];
        packet.extend_from_slice(&next.to_be_bytes());
        packet.extend_from_slice(&original[4..8]);
        packet.extend_from_slice(&rtx_ssrc.to_be_bytes());
        packet.extend_from_slice(&original[2..4]);
        packet.extend_from_slice(&original[header.length..]);
        self.protect_and_send(id, &packet);
    }

    pub(crate) fn protect_and_send(&mut self, id: u64, packet: &[u8]) {
        let lost = self.lost();
        let peer = self.peers.get_mut(&id).expect("known");
        let mut sealed = peer.outbound.encrypt_rtp(packet).expect("sealed").to_vec();
        if !lost {
            let from = peer.address;
            assert_eq!(self.forwarder.handle_datagram(from, &mut sealed, self.now), Handled::Media);
        }
    }

    /// Protects what no honest library would send.
    pub(crate) fn protect_a_lie(&mut self, id: u64, mut packet: Vec<u8>) {
        let provider = rtc_crypto::default_provider().expect("ring is built in");
        let mut session =
            GcmSession::derive(&keys(id).remote, provider.crypto()).expect("keys fit");
        let header = Header::parse(&packet).expect("its lengths fit");
        let index = u64::from(header.sequence);
        session.seal(&mut packet, 0, header.length, header.ssrc, index).expect("sealed");
        let before = self.forwarder.totals().dropped_unauthentic;
        self.forwarder.handle_datagram(address(id), &mut packet, self.now);
        assert_eq!(self.forwarder.totals().dropped_unauthentic, before, "it is authentic");
        self.exchange();
    }

    /// The next packet of a stream, protected and not sent.
    pub(crate) fn sealed(&mut self, id: u64, stream: &mut Stream, payload: &[u8]) -> Vec<u8> {
        let packet = stream.packet(payload, true, 0);
        let peer = self.peers.get_mut(&id).expect("known");
        peer.outbound.encrypt_rtp(&packet).expect("sealed").to_vec()
    }

    pub(crate) fn send(&mut self, id: u64, stream: &mut Stream, payload: &[u8], marker: bool) {
        let peer = self.peers.get_mut(&id).expect("known");
        peer.transport_sequence = peer.transport_sequence.wrapping_add(1);
        let packet = stream.packet(payload, marker, peer.transport_sequence);
        peer.sent.insert((stream.ssrc, stream.sequence), packet.clone());
        if let Some((rtx_ssrc, payload_type)) = stream.rtx {
            peer.rtx_of.entry(stream.ssrc).or_insert((rtx_ssrc, payload_type, 0));
        }
        self.protect_and_send(id, &packet);
        self.exchange();
    }

    pub(crate) fn send_rtcp(&mut self, id: u64, compound: &[u8]) {
        let lost = self.lost();
        let peer = self.peers.get_mut(&id).expect("known");
        let mut sealed = peer.protect_rtcp(compound);
        let from = peer.address;
        if !lost {
            self.forwarder.handle_datagram(from, &mut sealed, self.now);
        }
        self.exchange();
    }

    pub(crate) fn peer(&self, id: u64) -> &Peer {
        &self.peers[&id]
    }

    pub(crate) fn take_rtp(&mut self, id: u64) -> Vec<Received> {
        std::mem::take(&mut self.peers.get_mut(&id).expect("known").rtp)
    }
}

impl Peer {
    /// A control packet, protected and not sent.
    pub(crate) fn protect_rtcp(&mut self, compound: &[u8]) -> Vec<u8> {
        self.outbound.encrypt_rtcp(compound).expect("sealed").to_vec()
    }

    /// Takes a datagram in; returns the packets it is asked to repeat.
    fn take(&mut self, datagram: &[u8], at: Duration) -> Vec<(u32, u16)> {
        if (192..=223).contains(&datagram[1]) {
            let mut plain = self.inbound.decrypt_rtcp(datagram).expect("authentic").freeze();
            let packets = rtc_rtcp::packet::unmarshal(&mut plain).expect("well formed");
            return packets.iter().flat_map(|packet| self.take_rtcp(packet.as_any(), at)).collect();
        }
        let plain = self.inbound.decrypt_rtp(datagram).expect("authentic");
        let header = Header::parse(&plain).expect("well formed");
        let extensions = header.extensions(&plain).map(|(id, value)| (id, value.to_vec()));
        self.rtp.push(Received {
            header,
            extensions: extensions.collect(),
            payload: plain[header.length..].to_vec(),
        });
        Vec::new()
    }

    fn take_rtcp(&mut self, packet: &dyn std::any::Any, at: Duration) -> Vec<(u32, u16)> {
        if let Some(pli) = packet.downcast_ref::<PictureLossIndication>() {
            self.plis.push((pli.media_ssrc, at));
        } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
            let lost: Vec<u16> = nack.nacks.iter().flat_map(NackPair::packet_list).collect();
            self.nacks.push((nack.media_ssrc, lost.clone()));
            return lost.into_iter().map(|sequence| (nack.media_ssrc, sequence)).collect();
        } else if let Some(arrivals) = packet.downcast_ref::<TransportLayerCc>() {
            self.arrivals.push(arrivals.clone());
        } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
            self.sender_reports.push(report.clone());
        } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
            self.receiver_reports.push(report.clone());
        }
        Vec::new()
    }
}

/// What a publisher sends on one source.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) rtx: Option<(u32, u8)>,
    pub(crate) mid: &'static str,
    pub(crate) rid: Option<&'static str>,
    pub(crate) level: Option<u8>,
    pub(crate) picture: u16,
}

impl Stream {
    pub(crate) fn new(ssrc: u32, payload_type: u8, mid: &'static str) -> Self {
        Self {
            ssrc,
            payload_type,
            sequence: 65_500,
            timestamp: ssrc.wrapping_mul(77),
            rtx: None,
            mid,
            rid: None,
            level: None,
            picture: 100,
        }
    }

    pub(crate) fn packet(
        &mut self,
        payload: &[u8],
        marker: bool,
        transport_sequence: u16,
    ) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut elements = Vec::new();
        let mut push = |id: u8, value: &[u8]| {
            elements.push(id << 4 | (u8::try_from(value.len()).expect("short") - 1));
            elements.extend_from_slice(value);
        };
        if !self.mid.is_empty() {
            push(MID, self.mid.as_bytes());
        }
        push(TRANSPORT_CC, &transport_sequence.to_be_bytes());
        if let Some(rid) = self.rid {
            push(RID, rid.as_bytes());
        }
        if let Some(level) = self.level {
            push(LEVEL, &[level]);
        }
        elements.resize(elements.len().next_multiple_of(4), 0);
        let mut packet = vec![0x90, self.payload_type | if marker { 0x80 } else { 0 }];
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&self.timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend_from_slice(&[0xBE, 0xDE, 0]);
        packet.push(u8::try_from(elements.len() / 4).expect("short"));
        packet.extend_from_slice(&elements);
        packet.extend_from_slice(payload);
        packet
    }

    /// A one-packet picture, behind a descriptor with both numbers.
    pub(crate) fn vp8_payload(&mut self, key: bool, text: &str) -> Vec<u8> {
        self.picture = self.picture.wrapping_add(1) & 0x7FFF;
        let [high, low] = self.picture.to_be_bytes();
        let tl0 = low;
        let mut payload = vec![0x90, 0xC0, high | 0x80, low, tl0, u8::from(!key)];
        payload.extend_from_slice(text.as_bytes());
        payload
    }
}

const VP8: Format = Format { payload_type: 96, codec: Codec::Vp8, rtx_payload_type: Some(97) };
const OPUS: Format = Format { payload_type: 111, codec: Codec::Opus, rtx_payload_type: None };

pub(crate) fn publication(
    fixture: &Fixture,
    peer: u64,
    kind: MediaKind,
    mid: &str,
) -> PublicationSpec {
    PublicationSpec {
        track: TrackId::generate(),
        room: fixture.room,
        origin: PublicationOrigin::Transport(TransportId(peer)),
        kind,
        mid: mid.to_owned(),
        formats: vec![if kind == MediaKind::Video { VP8 } else { OPUS }],
        encodings: vec![EncodingSpec::default()],
        extensions: EXTENSIONS,
        gate: Gate::Open,
    }
}

pub(crate) fn subscription(peer: u64, number: u32, source: &PublicationSpec) -> SubscriptionSpec {
    let outgoing = |format: &Format| Format {
        payload_type: format.payload_type - 50,
        rtx_payload_type: format.rtx_payload_type.map(|it| it - 50),
        ..format.clone()
    };
    SubscriptionSpec {
        subscription: SubscriptionId(u64::from(number)),
        transport: TransportId(peer),
        kind: source.kind,
        source: Some(source.track),
        mid: "s".to_owned(),
        formats: source.formats.iter().map(outgoing).collect(),
        ssrc: 0xA000_0000 + number,
        rtx_ssrc: 0xB000_0000 + number,
        extensions: EXTENSIONS,
        demand: Demand::default(),
    }
}
