//! What one forwarded packet costs: one publisher, fifty subscribers, packets
//! of 1,200 bytes, AES-GCM on both sides, with retransmission ring, transport
//! feedback and header rewriting on. First the forwarder alone, then a worker
//! over UDP loopback. Compare ratios within one run; machines differ.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cabildo::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId, TrackId};
use cabildo::domain::media::{Codec, MediaKind, TrackSource};
use cabildo::domain::recording::RecordingState;
use cabildo::domain::secret::Secret;
use cabildo::recorder::RoomTrack;
use cabildo::recorder::engine::{Engine, Randomness};
use cabildo::sealing::{SALT_BYTES, TrackKey, random_key, random_salt};
use cabildo::sfu::congestion::Limits;
use cabildo::sfu::engine::Forwarder;
use cabildo::sfu::feed::KeyFrameSignal;
use cabildo::sfu::plane::{
    Command, Demand, EncodingSpec, ExtensionIds, Format, Gate, MasterKey, PublicationOrigin,
    PublicationSpec, SrtpKeys, SrtpProfile, SubscriptionId, SubscriptionSpec, TransportId,
};
use cabildo::sfu::rtcp::ArrivalRecorder;
use cabildo::sfu::tap::TapSink;
use cabildo::sfu::worker::{WorkerOptions, WorkerStats, start_workers};
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

const SUBSCRIBERS: u64 = 50;
const PACKET_BYTES: usize = 1200;
/// Packets that come together, like those of one picture.
const BURST: usize = 8;
const BURST_INTERVAL: Duration = Duration::from_millis(4);
/// Bursts between two rounds of feedback: 60 ms.
const BURSTS_PER_FEEDBACK: usize = 15;
const LOOPBACK_FOR: Duration = Duration::from_secs(5);
const WARM_UP_PACKETS: usize = 2_000;
const MEASURED_PACKETS: usize = 20_000;
const SSRC: u32 = 1000;
const EXTENSIONS: ExtensionIds = ExtensionIds {
    mid: Some(1),
    rid: None,
    repaired_rid: None,
    transport_cc: Some(3),
    audio_level: None,
};

fn keys(peer: u64) -> SrtpKeys {
    let seed = u8::try_from(peer).expect("few peers");
    let master = |side: u8| MasterKey {
        key: Secret::new(vec![side ^ seed; 16]),
        salt: Secret::new(vec![seed; 12]),
    };
    SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, local: master(0), remote: master(128) }
}

/// A publisher that seals with `rtc_srtp`.
struct Publisher {
    context: Context,
    number: u32,
}

impl Publisher {
    fn new() -> Self {
        let master = keys(0).remote;
        let provider = rtc_crypto::default_provider().expect("ring is built in");
        let profile = ProtectionProfile::AeadAes128Gcm;
        let (key, salt) = (master.key.expose(), master.salt.expose());
        let context = Context::new(key, salt, profile, None, None, provider.crypto());
        Self { context: context.expect("keys fit"), number: 0 }
    }

    fn packet(&mut self) -> Vec<u8> {
        let packet = self.plain_packet();
        self.context.encrypt_rtp(&packet).expect("sealed").to_vec()
    }

    fn plain_packet(&mut self) -> Vec<u8> {
        self.number += 1;
        let [.., high, low] = self.number.to_be_bytes();
        let mut packet = vec![0x90, 96, high, low];
        packet.extend_from_slice(&(self.number / 8 * 3000).to_be_bytes());
        packet.extend_from_slice(&SSRC.to_be_bytes());
        packet.extend_from_slice(&[0xBE, 0xDE, 0, 1, 0x31, high, low, 0]);
        // A descriptor with both numbers; every 3,000th packet starts a key frame.
        let inter = u8::from(self.number % 3000 != 1);
        packet.extend_from_slice(&[0x90, 0xC0, high | 0x80, low, low, inter]);
        packet.resize(PACKET_BYTES, 0x5A);
        packet
    }
}

/// Who publishes what to whom; transport 0 publishes, or `feed` does.
fn scene(addresses: &[SocketAddr], feed: Option<KeyFrameSignal>) -> Vec<Command> {
    let (room, track) = (SessionId::generate(), TrackId::generate());
    let formats = vec![Format { payload_type: 96, codec: Codec::Vp8, rtx_payload_type: Some(97) }];
    let mut commands: Vec<Command> = (0_u64..)
        .zip(addresses)
        .map(|(peer, remote)| Command::AddTransport {
            transport: TransportId(peer),
            room,
            keys: keys(peer),
            remote: *remote,
        })
        .collect();
    commands.push(Command::AddPublication(PublicationSpec {
        track,
        room,
        origin: feed
            .map_or(PublicationOrigin::Transport(TransportId(0)), PublicationOrigin::Process),
        kind: MediaKind::Video,
        mid: "0".to_owned(),
        formats: formats.clone(),
        encodings: vec![EncodingSpec { ssrc: Some(SSRC), ..EncodingSpec::default() }],
        extensions: EXTENSIONS,
        gate: Gate::Open,
    }));
    commands.extend((1..=SUBSCRIBERS).map(|peer| {
        let number = u32::try_from(peer).expect("few peers");
        Command::AddSubscription(SubscriptionSpec {
            subscription: SubscriptionId(peer),
            transport: TransportId(peer),
            kind: MediaKind::Video,
            source: Some(track),
            mid: "0".to_owned(),
            formats: formats.clone(),
            ssrc: 2_000_000 + number,
            rtx_ssrc: 3_000_000 + number,
            extensions: EXTENSIONS,
            demand: Demand::default(),
        })
    }));
    commands
}

/// What one way of forwarding cost.
struct Measured {
    us_per_packet: f64,
    packets: u64,
    allocations_per_packet: Option<f64>,
    packets_per_run: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Processor time of this thread: a busy machine does not lengthen it.
fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("not negative");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("below a second"))
}

/// Where what is tapped goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tap {
    Absent,
    /// It is copied and thrown away.
    Copied,
    /// It is journalled, sealed and hashed.
    Recorded,
}

struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn track_id(&mut self) -> RecordedTrackId {
        RecordedTrackId::random()
    }

    fn key(&mut self) -> TrackKey {
        TrackKey::new(random_key())
    }

    fn salt(&mut self) -> [u8; SALT_BYTES] {
        random_salt()
    }
}

/// A recorder of the one track, without its disk.
fn recorder(track: TrackId) -> Engine {
    let (tenant, session) = (TenantId::generate(), SessionId::generate());
    let mut engine = Engine::new();
    engine.set_state(SessionKey::new(tenant, session), RecordingState::Recording, 0);
    let (user, source) = ("u".parse().expect("valid"), TrackSource::Camera);
    let codec = Codec::Vp8;
    let track = RoomTrack { track, user, name: "U".to_owned(), source, codec };
    engine.add_track(SessionKey::new(tenant, session), track);
    engine
}

/// What subscribers tell of what they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// When each packet has arrived, every 60 ms.
    Arrivals,
}

/// The feedback of all subscribers, one round after the other, as datagrams with the place they come
/// from. Their packets are numbered from zero, and each packet takes ten milliseconds.
fn feedback(told: Told, packets: usize) -> VecDeque<Vec<(SocketAddr, Vec<u8>)>> {
    let provider = rtc_crypto::default_provider().expect("ring is built in");
    let mut rounds = VecDeque::new();
    if told == Told::Nothing {
        return rounds;
    }
    let profile = ProtectionProfile::AeadAes128Gcm;
    let mut peers: Vec<(SocketAddr, Context, ArrivalRecorder)> = (1..=SUBSCRIBERS)
        .map(|peer| {
            let master = keys(peer).remote;
            let (key, salt) = (master.key.expose(), master.salt.expose());
            let context = Context::new(key, salt, profile, None, None, provider.crypto());
            let context = context.expect("keys fit");
            (subscriber_address(peer), context, ArrivalRecorder::default())
        })
        .collect();
    let burst_us = u64::try_from(BURST_INTERVAL.as_micros()).expect("short");
    for round in 0..packets / BURST / BURSTS_PER_FEEDBACK {
        let bursts = round * BURSTS_PER_FEEDBACK..(round + 1) * BURSTS_PER_FEEDBACK;
        let told = peers.iter_mut().map(|(from, context, recorder)| {
            for burst in bursts.clone() {
                let at_us = (burst as u64 + 1) * burst_us + 10_000;
                for packet in 0..BURST {
                    let number = (burst * BURST + packet) % (1 << 16);
                    recorder.record(u16::try_from(number).expect("it wraps"), at_us);
                }
            }
            let mut compound = Vec::new();
            recorder.write_feedback(&mut compound, SSRC);
            (*from, context.encrypt_rtcp(&compound).expect("sealed").to_vec())
        });
        rounds.push_back(told.collect());
    }
    rounds
}

fn subscriber_address(peer: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 1000 + u16::try_from(peer).expect("few")))
}

/// Where the packets come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A peer: each is opened first.
    Peer,
    /// This process.
    Feed,
}

#[expect(clippy::too_many_lines, reason = "one measurement, read from top to bottom")]
fn in_process(from: Origin, tap: Tap, told: Told) -> Measured {
    let addresses: Vec<SocketAddr> = (0..=SUBSCRIBERS).map(subscriber_address).collect();
    let mut publisher = Publisher::new();
    let packets: Vec<Vec<u8>> = (0..WARM_UP_PACKETS + MEASURED_PACKETS)
        .map(|_| match from {
            Origin::Peer => publisher.packet(),
            Origin::Feed => publisher.plain_packet(),
        })
        .collect();
    let signal = (from == Origin::Feed).then(KeyFrameSignal::default);
    let start = Instant::now();
    let provider = rtc_crypto::default_provider().expect("ring is built in");
    let mut forwarder = Forwarder::new(provider, start);
    let mut engine = None;
    let mut published = None;
    for command in scene(&addresses, signal) {
        let track = match &command {
            Command::AddPublication(spec) => Some(spec.track),
            _ => None,
        };
        published = published.or(track);
        forwarder.handle_command(command, start);
        if let Some(track) = track.filter(|_| tap != Tap::Absent) {
            let sink = TapSink::new(Err);
            forwarder.handle_command(Command::AddTap { track, sink }, start);
            engine = (tap == Tap::Recorded).then(|| recorder(track));
        }
    }
    let published = published.expect("the scene has a track");
    let mut buffer = [0; 1500];
    let (mut sent_bytes, mut runs) = (0, 0);
    let (mut now, mut bursts) = (start, 0_usize);
    let mut feedback = feedback(told, packets.len());
    let mut forward = |packets: &[Vec<u8>]| {
        for burst in packets.chunks(BURST) {
            if told == Told::Arrivals {
                now += BURST_INTERVAL;
                bursts += 1;
                forwarder.handle_timeout(now);
                let due = bursts.is_multiple_of(BURSTS_PER_FEEDBACK);
                let round = if due { feedback.pop_front() } else { None };
                for (from, mut datagram) in round.into_iter().flatten() {
                    forwarder.handle_datagram(from, &mut datagram, now);
                }
            }
            for packet in burst {
                let datagram = &mut buffer[..packet.len()];
                datagram.copy_from_slice(packet);
                match from {
                    Origin::Peer => forwarder.handle_datagram(addresses[0], datagram, now),
                    Origin::Feed => forwarder.handle_fed_packet(published, datagram, now),
                };
            }
            while let Some(run) = forwarder.poll_transmit(64, 60_000) {
                sent_bytes += run.contents.len();
                runs += 1;
            }
            while let Some((_, batch)) = forwarder.poll_tap() {
                let Some(engine) = &mut engine else { continue };
                for item in batch.items() {
                    engine.handle_item(&item, &mut SystemRandomness);
                }
                while let Some(output) = engine.poll_output() {
                    std::hint::black_box(output);
                }
            }
        }
        forwarder.totals().packets_forwarded
    };
    let (warm_up, measured) = packets.split_at(WARM_UP_PACKETS);
    let before = forward(warm_up);
    let mut after = 0;
    let mut took = Duration::ZERO;
    let allocations = allocation_counter::measure(|| {
        let begun = thread_cpu_time();
        after = forward(measured);
        took = thread_cpu_time().saturating_sub(begun);
    });
    std::hint::black_box(sent_bytes);
    let packets = after - before;
    assert_eq!(packets, MEASURED_PACKETS as u64 * SUBSCRIBERS, "not everything was forwarded");
    Measured {
        us_per_packet: took.as_secs_f64() * 1e6 / ratio(packets, 1),
        packets,
        allocations_per_packet: Some(ratio(allocations.count_total, packets)),
        packets_per_run: ratio(after, runs),
    }
}

/// Reads and discards on `socket`, counting, until told to stop.
fn drain(sockets: &[UdpSocket], stop: &AtomicBool, count: &AtomicU64) {
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let mut idle = true;
        for socket in sockets {
            while socket.recv(&mut buffer).is_ok() {
                idle = false;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        if idle {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

fn forwarded(stats: &WorkerStats) -> u64 {
    stats.forwarder.totals.packets_forwarded
}

fn over_loopback(runtime: &tokio::runtime::Runtime) -> (Measured, u64) {
    let options = WorkerOptions {
        bitrate: Limits::default(),
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        count: 1,
        socket_buffer_bytes: 4 << 20,
        clock: cabildo::clock::Clock::system(),
    };
    let workers = start_workers(&options, &Arc::default(), &Arc::default()).expect("started");
    let worker = &workers.handles[0];
    let sockets: Vec<UdpSocket> = (0..=SUBSCRIBERS)
        .map(|_| {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("bound");
            socket.set_nonblocking(true).expect("set");
            socket
        })
        .collect();
    let addresses: Vec<SocketAddr> =
        sockets.iter().map(|socket| socket.local_addr().expect("bound")).collect();
    for command in scene(&addresses, None) {
        worker.send(command).expect("it lives");
    }
    let publisher_socket = sockets[0].try_clone().expect("cloned");
    let (stop, received) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let drainer = {
        let (stop, received) = (Arc::clone(&stop), Arc::clone(&received));
        std::thread::spawn(move || drain(&sockets, &stop, &received))
    };
    let mut publisher = Publisher::new();
    let mut send_for = |span: Duration| {
        let begun = Instant::now();
        let mut bursts = 0;
        while begun.elapsed() < span {
            for _ in 0..BURST {
                let packet = publisher.packet();
                publisher_socket.send_to(&packet, workers.local_address).expect("sent");
            }
            bursts += 1;
            let next = begun + BURST_INTERVAL * bursts;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        std::thread::sleep(Duration::from_millis(50));
        runtime.block_on(worker.stats()).expect("it lives")
    };
    let before = send_for(Duration::from_millis(500));
    let after = send_for(LOOPBACK_FOR);
    worker.shutdown().expect("it lives");
    stop.store(true, Ordering::Relaxed);
    drainer.join().expect("it ends");
    let packets = forwarded(&after) - forwarded(&before);
    let cpu = after.cpu_time.saturating_sub(before.cpu_time);
    let runs = after.runs_sent - before.runs_sent;
    let measured = Measured {
        us_per_packet: cpu.as_secs_f64() * 1e6 / ratio(packets, 1),
        packets,
        allocations_per_packet: None,
        packets_per_run: ratio(packets, runs),
    };
    (measured, received.load(Ordering::Relaxed))
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("built");
    let engine = in_process(Origin::Peer, Tap::Absent, Told::Nothing);
    let told = in_process(Origin::Peer, Tap::Absent, Told::Arrivals);
    let fed = in_process(Origin::Feed, Tap::Absent, Told::Nothing);
    let copied = in_process(Origin::Peer, Tap::Copied, Told::Nothing);
    let recorded = in_process(Origin::Peer, Tap::Recorded, Told::Nothing);
    let (loopback, received) = over_loopback(&runtime);
    println!("1 publisher, {SUBSCRIBERS} subscribers, {PACKET_BYTES} bytes, AES-GCM");
    println!(
        "{:<22} {:>17} {:>12} {:>12} {:>14}",
        "path", "CPU µs per packet", "packets", "per run", "allocations"
    );
    let rows = [
        ("forwarder alone", &engine),
        ("with feedback", &told),
        ("from a feed", &fed),
        ("with a tap", &copied),
        ("with a recorder", &recorded),
        ("worker over loopback", &loopback),
    ];
    for (name, it) in rows {
        let allocations =
            it.allocations_per_packet.map_or_else(|| "–".to_owned(), |count| format!("{count:.4}"));
        println!(
            "{name:<22} {:>17.3} {:>12} {:>12.1} {allocations:>14}",
            it.us_per_packet, it.packets, it.packets_per_run
        );
    }
    println!(
        "{{\"engine_cpu_us_per_forwarded_packet\":{:.3},\"engine_allocations_per_packet\":{:.4},\
         \"loopback_cpu_us_per_forwarded_packet\":{:.3},\"loopback_packets_forwarded\":{},\
         \"loopback_packets_received\":{received},\"loopback_packets_per_send\":{:.1}}}",
        engine.us_per_packet,
        engine.allocations_per_packet.unwrap_or_default(),
        loopback.us_per_packet,
        loopback.packets,
        loopback.packets_per_run,
    );
    println!(
        "{{\"feed_cpu_us_per_forwarded_packet\":{:.3},\"feed_allocations_per_packet\":{:.4}}}",
        fed.us_per_packet,
        fed.allocations_per_packet.unwrap_or_default(),
    );
    println!(
        "{{\"feedback_share_of_forwarding\":{:.4},\"tap_share_of_forwarding\":{:.4},\
         \"recorder_share_of_forwarding\":{:.4}}}",
        told.us_per_packet / engine.us_per_packet - 1.0,
        copied.us_per_packet / engine.us_per_packet - 1.0,
        recorded.us_per_packet / engine.us_per_packet - 1.0,
    );
    assert_eq!(engine.allocations_per_packet, Some(0.0), "the path of a packet allocates");
    assert_eq!(fed.allocations_per_packet, Some(0.0), "the path of a fed packet allocates");
    assert_eq!(copied.allocations_per_packet, Some(0.0), "a tap allocates for each packet");
}
