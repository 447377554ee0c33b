#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! One transport of a WebRTC peer, without sockets or clock: its inputs are descriptions, datagrams
//! and time; its outputs are datagrams, events and counters.

mod dtls;
#[cfg(test)]
pub(in crate::load) mod fake_peer;
mod ice;
mod receive;
mod rtcp;
mod rtp;
mod sdp;
mod sections;
mod send;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test picks the instant it starts from")]
mod tests;
mod twcc;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub use dtls::{Identity, Profile};
pub use receive::Received;
pub use send::{Recorded, TrackOptions};

use crate::domain::media::{MediaKind, TrackSource};
use crate::load::LoadError;
use dtls::{Dtls, DtlsEvent, Srtp};
use ice::{Ice, IceState};
use receive::{Arrival, Receiver};
use rtcp::Feedback;
use sdp::{Description, Direction, Section, Setup};
use sections::{answering_section, blank_section, negotiate, sending_section};
use send::{Outgoing, Sender};

/// Time between two RTCP reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Events kept until they are polled; at the limit key-frame events are only counted.
const EVENTS_MAX: usize = 4096;

/// An event of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// ICE and DTLS are complete and media flows.
    Connected {
        /// The agreed protection profile.
        profile: Profile,
    },
    /// The first packet of a stream was decrypted.
    Packet {
        /// The section (`mid`) to which it belongs.
        mid: String,
    },
    /// The last packet of a recorded phrase was sent.
    PhraseEnded {
        /// The section (`mid`) that says it.
        mid: String,
    },
    /// All packets of a key frame have arrived.
    KeyFrame {
        /// The section (`mid`) to which it belongs.
        mid: String,
    },
    /// The server closed the transport.
    Closed,
    /// The transport can't be established, or the peer no longer answers.
    Failed {
        /// The reason, as a text.
        reason: String,
    },
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Its destination.
    pub to: SocketAddr,
    /// Its contents.
    pub payload: Bytes,
}

/// Counters since the transport was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientCounts {
    /// Totals of all received streams.
    pub received: Received,
    /// Packets sent, without retransmissions.
    pub packets_sent: u64,
    /// Bytes of these packets before encryption.
    pub bytes_sent: u64,
    /// Packets resent because the server requested them.
    pub repeats_sent: u64,
    /// Key-frame requests from the server.
    pub key_frames_asked: u64,
    /// Datagrams that could not be decrypted, or that belong to no section.
    pub strange: u64,
}

/// The options of a client.
#[derive(Clone)]
pub struct ClientOptions {
    /// Certificate; any number of clients can share it.
    pub identity: Arc<Identity>,
    /// Seed of the client's random numbers.
    pub seed: u64,
    /// Time zero of the time stamps in the media; the same for all clients of a process.
    pub epoch: Instant,
    /// The same moment as a time since 1970, for sender reports.
    pub epoch_unix: Duration,
}

/// One transport of a client.
pub struct MediaClient {
    options: ClientOptions,
    random: StdRng,
    ice: Ice,
    dtls: Dtls,
    srtp: Option<Box<Srtp>>,
    peer_fingerprint: Option<String>,
    senders: Vec<Sender>,
    /// Kinds of media that an offer of this client asks to receive.
    wanted: Vec<MediaKind>,
    receiver: Receiver,
    description: (u32, u32),
    next_report: Option<Instant>,
    transport_sequence: u16,
    counts: ClientCounts,
    transmits: VecDeque<Transmit>,
    events: VecDeque<ClientEvent>,
    over: bool,
}

impl MediaClient {
    /// Makes a transport that sends these tracks after the server has answered its offer.
    #[must_use]
    pub fn publisher(options: ClientOptions, tracks: &[TrackOptions]) -> Self {
        let mut client = Self::new(options);
        for (mid, &track) in tracks.iter().enumerate() {
            client.senders.push(Sender::new(mid.to_string(), track, &mut client.random));
        }
        client
    }

    /// Makes a transport that answers the server's offers and receives what they describe.
    #[must_use]
    pub fn subscriber(options: ClientOptions) -> Self {
        Self::new(options)
    }

    /// Makes a transport that offers to receive one section of each kind (WHEP).
    #[must_use]
    pub fn viewer(options: ClientOptions, kinds: &[MediaKind]) -> Self {
        let mut client = Self::new(options);
        client.wanted = kinds.to_vec();
        client
    }

    fn new(options: ClientOptions) -> Self {
        let mut random = StdRng::seed_from_u64(options.seed);
        Self {
            ice: Ice::new(&mut random),
            dtls: Dtls::new(options.identity.clone()),
            srtp: None,
            peer_fingerprint: None,
            senders: Vec::new(),
            wanted: Vec::new(),
            receiver: Receiver::new(random.random_range(1..u32::MAX)),
            description: (random.random_range(1..u32::MAX), 0),
            next_report: None,
            transport_sequence: 0,
            counts: ClientCounts::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            over: false,
            random,
            options,
        }
    }

    /// The sections (`mid`) of the offer and their sources, for `offer.tracks`.
    #[must_use]
    pub fn sources(&self) -> Vec<(String, TrackSource)> {
        self.senders.iter().map(|sender| (sender.mid.clone(), sender.options.source)).collect()
    }

    /// Makes the offer of a publisher or viewer.
    pub fn offer(&mut self) -> String {
        let mut sections: Vec<Section> = self.senders.iter().map(sending_section).collect();
        for (mid, &kind) in self.wanted.iter().enumerate() {
            sections.push(blank_section(mid.to_string(), kind, Direction::ReceiveOnly));
        }
        self.describe(&sections, Setup::Either)
    }

    /// Draws new ICE credentials (RFC 8445 §9), which the next `offer` contains; DTLS continues.
    pub fn restart_ice(&mut self) {
        self.ice.restart(&mut self.random);
    }

    /// Takes the server's answer to `offer`.
    pub fn handle_answer(&mut self, text: &str, now: Instant) -> Result<(), LoadError> {
        let answer = Description::parse(text)?;
        for sender in &mut self.senders {
            let negotiated =
                answer.section(&sender.mid).and_then(|section| negotiate(sender.kind(), section));
            sender.negotiate(negotiated);
        }
        self.receiver.describe(&answer.sections);
        self.connect(answer, now)
    }

    /// Takes an offer of the server; returns the answer.
    pub fn handle_offer(&mut self, text: &str, now: Instant) -> Result<String, LoadError> {
        let offer = Description::parse(text)?;
        if self.ice.is_restart(&offer.credentials) {
            self.restart_ice();
        }
        let sections: Vec<Section> = offer.sections.iter().map(answering_section).collect();
        self.receiver.describe(&offer.sections);
        self.connect(offer, now)?;
        Ok(self.describe(&sections, Setup::Active))
    }

    fn describe(&mut self, sections: &[Section], setup: Setup) -> String {
        self.description.1 += 1;
        let fingerprint = &self.options.identity.fingerprint;
        sdp::write(sections, &self.ice.local, fingerprint, setup, self.description)
    }

    fn connect(&mut self, description: Description, now: Instant) -> Result<(), LoadError> {
        if description.candidates.is_empty() && self.ice.candidates().is_empty() {
            return Err(LoadError::Description("the description has no UDP candidate"));
        }
        self.peer_fingerprint.get_or_insert(description.fingerprint);
        self.ice.start(description.credentials, description.candidates, now);
        Ok(())
    }

    /// The addresses at which the server may be reached; the driver binds a socket of that address
    /// family.
    #[must_use]
    pub fn remote_candidates(&self) -> &[SocketAddr] {
        self.ice.candidates()
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, bytes: &[u8], now: Instant) {
        match bytes.first() {
            Some(0..=3) => {
                let crypto = self.options.identity.provider.crypto();
                self.ice.handle_datagram(bytes, now, &mut self.random, crypto);
                self.start_dtls(now);
            }
            Some(20..=63) => {
                let mut out = Vec::new();
                let event = self.dtls.handle_datagram(bytes, now, &mut out);
                self.send_all(out);
                self.handle_dtls_event(event, now);
            }
            Some(128..=191) => self.handle_media(bytes, now),
            _ => self.counts.strange += 1,
        }
    }

    fn start_dtls(&mut self, now: Instant) {
        if let (IceState::Connected(_), Some(fingerprint)) =
            (self.ice.state(), &self.peer_fingerprint)
        {
            let mut out = Vec::new();
            let event = self.dtls.start(fingerprint, now, &mut out);
            self.send_all(out);
            self.handle_dtls_event(event, now);
        }
    }

    fn handle_dtls_event(&mut self, event: Option<DtlsEvent>, now: Instant) {
        match event {
            Some(DtlsEvent::Complete(srtp)) => {
                self.events.push_back(ClientEvent::Connected { profile: srtp.profile });
                self.srtp = Some(srtp);
                self.next_report = Some(now + REPORT_INTERVAL);
                for sender in &mut self.senders {
                    sender.start(now);
                }
            }
            Some(DtlsEvent::Closed) => {
                self.over = true;
                self.events.push_back(ClientEvent::Closed);
            }
            Some(DtlsEvent::Failed(reason)) => self.fail(reason),
            None => {}
        }
    }

    fn fail(&mut self, reason: String) {
        if !self.over {
            self.over = true;
            self.events.push_back(ClientEvent::Failed { reason });
        }
    }

    fn handle_media(&mut self, bytes: &[u8], now: Instant) {
        let Some(srtp) = &mut self.srtp else { return };
        // Under RFC 5761 §4 RTCP packet types use the values of payload types 64 to 95.
        let is_control = bytes.get(1).is_some_and(|byte| (192..=223).contains(byte));
        let opened = if is_control { srtp.open_control(bytes) } else { srtp.open(bytes) };
        let Some(plain) = opened else {
            self.counts.strange += 1;
            return;
        };
        if is_control {
            self.handle_control(&plain, now);
            return;
        }
        let now_ns = self.nanoseconds(now);
        let mut arrivals = Vec::new();
        self.receiver.handle_packet(&plain, now, now_ns, &mut arrivals);
        let room = EVENTS_MAX.saturating_sub(self.events.len());
        self.events.extend(arrivals.into_iter().take(room).map(|arrival| match arrival {
            Arrival::First { mid } => ClientEvent::Packet { mid },
            Arrival::KeyFrame { mid } => ClientEvent::KeyFrame { mid },
        }));
    }

    fn handle_control(&mut self, plain: &[u8], now: Instant) {
        let (mut feedback, mut reports) = (Vec::new(), Vec::new());
        rtcp::read(plain, &mut feedback, &mut reports);
        for (ssrc, middle) in reports {
            self.receiver.handle_sender_report(ssrc, middle, now);
        }
        let mut out = Vec::new();
        for message in feedback {
            match message {
                Feedback::Nack { ssrc, sequences } => {
                    for sender in &mut self.senders {
                        sender.repeat(ssrc, &sequences, &mut out);
                    }
                }
                Feedback::KeyFrame { ssrc } => {
                    let asked =
                        self.senders.iter_mut().any(|sender| sender.request_key_frame(ssrc));
                    self.counts.key_frames_asked += u64::from(asked);
                }
            }
        }
        self.send_packets(out);
    }

    /// Does what is due at this time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        let crypto = self.options.identity.provider.crypto();
        if let Some((to, check)) = self.ice.handle_timeout(now, &mut self.random, crypto) {
            self.transmits.push_back(Transmit { to, payload: check.into() });
        }
        if self.ice.state() == IceState::Lost {
            self.fail("the server does not answer connectivity checks".to_owned());
            return;
        }
        let mut out = Vec::new();
        let event = self.dtls.handle_timeout(now, &mut out);
        self.send_all(out);
        self.handle_dtls_event(event, now);
        if self.srtp.is_some() {
            self.handle_media_timeout(now);
        }
    }

    fn handle_media_timeout(&mut self, now: Instant) {
        let now_ns = self.nanoseconds(now);
        let mut packets = Vec::new();
        for sender in &mut self.senders {
            sender.handle_timeout(now, now_ns, &mut packets);
            for _ in 0..std::mem::take(&mut sender.phrases_ended) {
                self.events.push_back(ClientEvent::PhraseEnded { mid: sender.mid.clone() });
            }
        }
        self.send_packets(packets);
        let mut control = Vec::new();
        self.receiver.handle_timeout(now, &mut control);
        if self.next_report.is_some_and(|due| due <= now) {
            self.next_report = Some(now + REPORT_INTERVAL);
            let unix = self.options.epoch_unix + now.saturating_duration_since(self.options.epoch);
            control.extend(self.senders.iter().flat_map(|sender| sender.reports(unix)));
            self.receiver.reports(now, &mut control);
        }
        self.send_control(&control);
    }

    /// When `handle_timeout` must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let connecting = [self.ice.poll_timeout(), self.dtls.poll_timeout()];
        let mut due = connecting.into_iter().flatten().min();
        if self.srtp.is_some() {
            let senders = self.senders.iter().filter_map(Sender::poll_timeout);
            let others = [self.receiver.poll_timeout(), self.next_report, due];
            due = senders.chain(others.into_iter().flatten()).min();
        }
        due
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Transit times, in nanoseconds, of the stamped packets that arrived since the last call.
    pub fn take_delays_ns(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.receiver.delays_ns)
    }

    /// All counters.
    #[must_use]
    pub fn counts(&self) -> ClientCounts {
        let mut counts = self.counts;
        for (_, received) in self.receiver.counts().values() {
            counts.received.add(received);
        }
        counts.strange += self.receiver.strange;
        counts
    }

    /// The counters of each section.
    #[must_use]
    pub fn counts_by_section(&self) -> BTreeMap<String, (MediaKind, Received)> {
        self.receiver.counts()
    }

    /// Whether the transport is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.srtp.is_some() && !self.over
    }

    /// Requests a key frame of a section from the server.
    pub fn request_key_frame(&mut self, mid: &str) {
        let mut control = Vec::new();
        self.receiver.request_key_frame(mid, &mut control);
        self.send_control(&control);
    }

    /// Pauses or resumes the media of a section.
    pub fn set_paused(&mut self, mid: &str, paused: bool, now: Instant) {
        for sender in self.senders.iter_mut().filter(|sender| sender.mid == mid) {
            sender.paused = paused;
            sender.resume(now);
        }
    }

    /// Sets the audio level in a section's packets (RFC 6464): 0 is the loudest, 127 silence.
    pub fn set_level(&mut self, mid: &str, level_dbov: u8) {
        for sender in self.senders.iter_mut().filter(|sender| sender.mid == mid) {
            sender.level_dbov = level_dbov;
        }
    }

    /// Has a section of audio send these Opus packets of 20 ms, one after the other and once, and
    /// synthetic ones behind them. They have no time stamps, so their delay is not measured.
    pub fn say(&mut self, mid: &str, packets: &[Vec<u8>]) {
        for sender in self.senders.iter_mut().filter(|sender| sender.mid == mid) {
            let level_dbov = sender.level_dbov;
            let once = |payload: &Vec<u8>| Recorded {
                payload: payload.clone(),
                level_dbov,
                ends_phrase: false,
            };
            sender.recorded = packets.iter().map(once).collect();
            sender.repeats = false;
        }
    }

    /// Has a section of audio send these Opus packets over and over, and tell of the end of each
    /// phrase.
    pub fn speak(&mut self, mid: &str, packets: Vec<Recorded>) {
        if let Some(sender) = self.senders.iter_mut().find(|sender| sender.mid == mid) {
            sender.recorded = packets.into();
            sender.repeats = true;
        }
    }

    /// Closes the transport (DTLS `close_notify`); nothing is sent afterwards.
    pub fn close(&mut self, now: Instant) {
        let mut out = Vec::new();
        self.dtls.close(now, &mut out);
        self.send_all(out);
        self.over = true;
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.options.epoch).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    fn send_all(&mut self, datagrams: Vec<BytesMut>) {
        if let IceState::Connected(to) = self.ice.state() {
            let transmits = datagrams.into_iter().map(|d| Transmit { to, payload: d.freeze() });
            self.transmits.extend(transmits);
        }
    }

    fn send_packets(&mut self, packets: Vec<Outgoing>) {
        let Some(srtp) = &mut self.srtp else { return };
        let mut sealed = Vec::with_capacity(packets.len());
        for mut packet in packets {
            if let Some(at) = packet.transport_sequence_at
                && let Some(place) = packet.bytes.get_mut(at..at + 2)
            {
                place.copy_from_slice(&self.transport_sequence.to_be_bytes());
                self.transport_sequence = self.transport_sequence.wrapping_add(1);
            }
            if let Some(datagram) = srtp.seal(&packet.bytes) {
                sealed.push(datagram);
                if packet.is_repeat {
                    self.counts.repeats_sent += 1;
                } else {
                    self.counts.packets_sent += 1;
                    self.counts.bytes_sent += packet.bytes.len() as u64;
                }
            }
        }
        self.send_all(sealed);
    }

    fn send_control(&mut self, packets: &[Vec<u8>]) {
        if let Some(srtp) = &mut self.srtp {
            let sealed = packets.iter().filter_map(|packet| srtp.seal_control(packet)).collect();
            self.send_all(sealed);
        }
    }
}
