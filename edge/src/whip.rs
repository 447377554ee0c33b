//! Publishes by WHIP (RFC 9725): one connection of WebRTC that sends pictures and sound.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rtc::interceptor::{BandwidthEstimator, CongestionControlBuilder, PacketReport, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_rtcp_reports, configure_simulcast_extension_headers, configure_twcc_sender_only,
};
use rtc::rtp::codec::h264::H264Payloader;
use rtc::rtp::packetizer::Payloader as _;
use rtc::rtp::{Header, Packet};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, Registry,
    SettingEngineBuilder,
};
use webrtc::runtime::default_runtime;

use crate::captures::lock;
use crate::line::{Line, Next};
use crate::media::{Made, PICTURE_HZ, SOUND_HZ, ticks};
use crate::server::{CallError, Server};

/// How long it may take until media flows.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// After so long without an answer to its checks the connection is taken for broken. Raising it
/// notices later that the network is gone.
const BROKEN_AFTER: Duration = Duration::from_secs(4);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Bytes of a payload: with the heads of RTP, UDP and IP it fits every path.
const PAYLOAD_BYTES_MAX: usize = 1_188;
/// How long it may take until all packets of a group have arrived, and how long of it a single one may
/// take. A server waits a little longer for one that is missing before it goes on without it.
const ARRIVE_MAX: Duration = Duration::from_secs(15);
const PACKET_MAX: Duration = Duration::from_secs(6);
/// How long packets are known that the server has not told of. Raising it uses more memory when it
/// tells nothing.
const UNTOLD_MAX: Duration = Duration::from_secs(10);
/// Stamps of a publication begin from here to twice of it, so that none is less than 0 and the
/// count does not begin anew within hours.
const STAMP_FIRST: u32 = 1 << 30;
/// A delimiter (H.264 §7.3.2.4): the picture before it is whole.
const DELIMITER: &[u8] = &[0x09, 0xF0];

const H264_TYPE: u8 = 102;
const OPUS_TYPE: u8 = 111;

/// Why nothing is published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The server does not take the offer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The connection could not be made, or is broken.
    #[error("the media connection failed: {0}")]
    Broken(String),
    /// What was sent does not arrive, or too late.
    #[error("the line carries less than the pictures: what is sent does not arrive in time")]
    TooSlow,
}

fn failed<E: ToString>(error: E) -> PublishError {
    let text = error.to_string();
    drop(error);
    PublishError::Broken(text)
}

/// Hears what becomes of the connection.
struct Ears {
    state: watch::Sender<RTCPeerConnectionState>,
    gathered: watch::Sender<bool>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Ears {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.send_replace(true);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }
}

/// The line, and who waits for feedback about it.
struct Shared {
    line: Mutex<Line>,
    news: Notify,
}

/// Tells what the line carries.
#[derive(Clone)]
pub(crate) struct Carried(Arc<Shared>);

impl Carried {
    /// What came over it when it was full, in bits a second, if that is known.
    pub(crate) fn bits(&self) -> Option<f64> {
        lock(&self.0.line).carries()
    }
}

/// Hears the server's feedback.
struct Feedback(Arc<Shared>);

impl BandwidthEstimator for Feedback {
    fn on_reports(&mut self, now: std::time::Instant, reports: &[PacketReport]) {
        lock(&self.0.line).handle_reports(reports, now);
        self.0.news.notify_one();
    }

    // The line has its own pace.
    fn target_bitrate(&self) -> f64 {
        0.0
    }
}

/// How far the box is in time when it publishes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// What its clock shows.
    pub(crate) now_us: i64,
    /// How far the server's clock is ahead of it.
    pub(crate) ahead_us: i64,
}

/// A track that sends.
struct Track {
    local: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    payload_type: u8,
    hz: i64,
    sequence: u16,
    offset: u32,
}

/// One publication.
pub(crate) struct Publisher {
    peer: Box<dyn PeerConnection>,
    state: watch::Receiver<RTCPeerConnectionState>,
    pictures: Track,
    sounds: Option<Track>,
    payloader: H264Payloader,
    shared: Arc<Shared>,
    /// When the last picture was made.
    last_us: Option<i64>,
    resource: Option<Url>,
}

impl Publisher {
    /// Connects, to send so many bits a second; when this returns, media may be sent.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn connect(
        server: &Server,
        session: &str,
        (has_sound, wanted): (bool, u64),
        moment: Moment,
    ) -> Result<Self, PublishError> {
        let until = Instant::now() + CONNECT_MAX;
        let line = Line::new(Instant::now().into_std(), wanted);
        let shared = Arc::new(Shared { line: Mutex::new(line), news: Notify::new() });
        let own = own_address(server).await?;
        let made = Self::make(own, (has_sound, moment.now_us), shared, until);
        let mut publisher = Box::pin(made).await?;
        let offer = publisher.peer.local_description().await;
        let offer = offer.ok_or_else(|| failed("there is no offer"))?;
        let stamps_from_us = publisher.pictures.stamps_from_us(moment);
        let (answer, resource) = server.publish(session, offer.sdp, stamps_from_us).await?;
        publisher.resource = Some(resource);
        if let Err(error) = publisher.begin(answer, until).await {
            publisher.end(server).await;
            return Err(error);
        }
        Ok(publisher)
    }

    async fn make(
        own: IpAddr,
        (has_sound, now_us): (bool, i64),
        shared: Arc<Shared>,
        until: Instant,
    ) -> Result<Self, PublishError> {
        let (state_to, state) = watch::channel(RTCPeerConnectionState::New);
        let (gathered_to, mut gathered) = watch::channel(false);
        let mut engine = MediaEngine::default();
        engine.register_codec(h264(), RtpCodecKind::Video).map_err(failed)?;
        engine.register_codec(opus(), RtpCodecKind::Audio).map_err(failed)?;
        let registry = interceptors(&mut engine, &shared)?;
        let times = (Some(BROKEN_AFTER), Some(BROKEN_AFTER), Some(CHECK_EVERY));
        let settings = SettingEngineBuilder::new().with_ice_timeouts(times.0, times.1, times.2);
        let settings = settings.with_include_loopback_candidate(own.is_loopback()).build();
        let runtime = default_runtime().ok_or_else(|| failed("there is no runtime"))?;
        let building = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings)
            .with_handler(Arc::new(Ears { state: state_to, gathered: gathered_to }))
            .with_runtime(runtime)
            .with_udp_addrs(vec![SocketAddr::new(own, 0)])
            .build();
        let peer = Box::pin(building).await.map_err(failed)?;
        let peer: Box<dyn PeerConnection> = Box::new(peer);
        let pictures = add(&*peer, RtpCodecKind::Video, h264(), (PICTURE_HZ, now_us)).await?;
        let sounds = if has_sound {
            Some(add(&*peer, RtpCodecKind::Audio, opus(), (SOUND_HZ, now_us)).await?)
        } else {
            None
        };
        let offer = peer.create_offer(None).await.map_err(failed)?;
        peer.set_local_description(offer).await.map_err(failed)?;
        let all = timeout_at(until, gathered.wait_for(|it| *it)).await;
        all.map_err(|_| failed("no address of this machine was found"))?.map_err(failed)?;
        Ok(Self {
            peer,
            state,
            pictures,
            sounds,
            payloader: H264Payloader::default(),
            shared,
            last_us: None,
            resource: None,
        })
    }

    async fn begin(&mut self, answer: String, until: Instant) -> Result<(), PublishError> {
        let answer = RTCSessionDescription::answer(answer).map_err(failed)?;
        self.peer.set_remote_description(answer).await.map_err(failed)?;
        let connected =
            self.state.wait_for(|it| *it == RTCPeerConnectionState::Connected || is_over(*it));
        let state = timeout_at(until, connected).await;
        let state = *state.map_err(|_| failed("it takes too long"))?.map_err(failed)?;
        if is_over(state) { Err(failed(state)) } else { Ok(()) }
    }

    /// What becomes of the connection.
    pub(crate) fn state(&self) -> watch::Receiver<RTCPeerConnectionState> {
        self.state.clone()
    }

    /// Sends what the camera made.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) async fn send(&mut self, made: &Made) -> Result<(), PublishError> {
        match made {
            Made::Picture { at_us, units, .. } => {
                let mut payloads = Vec::new();
                for unit in units {
                    let of_unit =
                        self.payloader.payload(PAYLOAD_BYTES_MAX, unit).map_err(failed)?;
                    payloads.extend(of_unit);
                }
                let last = payloads.len().saturating_sub(1);
                for (number, payload) in payloads.into_iter().enumerate() {
                    let packet = self.pictures.packet(*at_us, number == last, payload);
                    self.pass(Some(packet)).await?;
                }
                self.last_us = Some(*at_us);
                Ok(())
            }
            Made::Sound { at_us, data } => {
                let packet = self.sounds.as_mut().map(|it| it.packet(*at_us, false, data.clone()));
                match packet {
                    Some(packet) => self.pass(Some(packet)).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// Sends again what is lost until everything that was sent has arrived.
    ///
    /// # Errors
    /// When it does not arrive, or too late, or the connection is broken.
    pub(crate) async fn settle(&self) -> Result<(), PublishError> {
        let passed = timeout(ARRIVE_MAX, self.pass(None)).await;
        passed.map_err(|_| PublishError::TooSlow)??;
        let is_late = lock(&self.shared.line).take_longest() > PACKET_MAX;
        if is_late { Err(PublishError::TooSlow) } else { Ok(()) }
    }

    /// What the line carries.
    pub(crate) fn carried(&self) -> Carried {
        Carried(Arc::clone(&self.shared))
    }

    /// Nothing follows the last picture, which is whole.
    ///
    /// # Errors
    /// As of [`Self::settle`].
    pub(crate) async fn finish(&mut self) -> Result<(), PublishError> {
        if let Some(last_us) = self.last_us.take() {
            // It is of a later picture, of which nothing more comes.
            let end = self.pictures.packet(last_us + 1_000, true, Bytes::from_static(DELIMITER));
            self.pass(Some(end)).await?;
        }
        self.settle().await
    }

    /// Sends this packet once the line takes it, and what was lost before it; without one until
    /// everything has arrived.
    async fn pass(&self, own: Option<Packet>) -> Result<(), PublishError> {
        loop {
            let next = lock(&self.shared.line).next(own.as_ref(), Instant::now().into_std());
            match (next, &own) {
                (Next::Again(packet), _) => self.write(packet).await?,
                (Next::Go, Some(packet)) => return self.write(packet.clone()).await,
                (Next::Go, None) | (Next::Arrived, _) => return Ok(()),
                (Next::Wait(until), _) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(until.into()) => {}
                        () = self.shared.news.notified() => {}
                    }
                }
            }
        }
    }

    async fn write(&self, packet: Packet) -> Result<(), PublishError> {
        let sounds = self.sounds.as_ref().filter(|it| it.ssrc == packet.header.ssrc);
        sounds.unwrap_or(&self.pictures).local.write_rtp(packet).await.map_err(failed)
    }

    /// Ends the connection, and tells the server so, if it can be told.
    pub(crate) async fn end(mut self, server: &Server) {
        if let Some(resource) = self.resource.take() {
            // A server that can't be told finds it silent.
            if let Err(error) = server.unpublish(resource).await {
                tracing::debug!(%error, "the server was not told that the publication ends");
            }
        }
        drop(self.peer.close().await);
    }
}

impl Track {
    fn stamp(&self, at_us: i64) -> u32 {
        // Stamps wrap.
        let ticks = ticks(at_us, self.hz).rem_euclid(1 << 32);
        u32::try_from(ticks).unwrap_or(0).wrapping_add(self.offset)
    }

    /// When its stamps were 0, by the server's clock.
    fn stamps_from_us(&self, Moment { now_us, ahead_us }: Moment) -> i64 {
        let since = i64::from(self.stamp(now_us)).saturating_mul(1_000_000) / self.hz;
        now_us.saturating_add(ahead_us).saturating_sub(since)
    }

    fn packet(&mut self, at_us: i64, marker: bool, payload: Bytes) -> Packet {
        let timestamp = self.stamp(at_us);
        self.sequence = self.sequence.wrapping_add(1);
        let header = Header {
            version: 2,
            marker,
            payload_type: self.payload_type,
            sequence_number: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            ..Header::default()
        };
        Packet { header, payload }
    }
}

/// What goes through the connection is numbered, and the server tells what of it has arrived. Nothing
/// is sent again because the server asks for it: that is the line's to decide, which knows what else
/// is sent.
fn interceptors(engine: &mut MediaEngine, shared: &Arc<Shared>) -> Result<Registry, PublishError> {
    configure_simulcast_extension_headers(engine).map_err(failed)?;
    let registry = configure_twcc_sender_only(Registry::new(), engine).map_err(failed)?;
    let feedback = CongestionControlBuilder::new(Feedback(Arc::clone(shared)));
    let feedback = feedback.with_prune_horizon(UNTOLD_MAX).build();
    Ok(configure_rtcp_reports(registry).with(Slot::CongestionControl, feedback))
}

/// Whether a connection in this state carries nothing any more.
pub(crate) const fn is_over(state: RTCPeerConnectionState) -> bool {
    matches!(
        state,
        RTCPeerConnectionState::Disconnected
            | RTCPeerConnectionState::Failed
            | RTCPeerConnectionState::Closed
    )
}

/// Until the connection is broken.
pub(crate) async fn broken(
    state: &mut watch::Receiver<RTCPeerConnectionState>,
) -> RTCPeerConnectionState {
    let found = state.wait_for(|it| is_over(*it)).await;
    found.map_or(RTCPeerConnectionState::Closed, |state| *state)
}

/// The address of this machine from which the server is reached.
async fn own_address(server: &Server) -> Result<IpAddr, PublishError> {
    let (host, port) = server.place();
    let mut places = lookup_host((host.as_str(), port)).await.map_err(failed)?;
    // The media address of a server that has both is most likely the older one.
    let place = {
        let all: Vec<SocketAddr> = places.by_ref().collect();
        all.iter().find(|it| it.is_ipv4()).or(all.first()).copied()
    };
    let place = place.ok_or_else(|| failed("the server's name leads nowhere"))?;
    let any: SocketAddr =
        if place.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    // No packet is sent by this.
    socket.connect(place).await.map_err(failed)?;
    Ok(socket.local_addr().map_err(failed)?.ip())
}

fn h264() -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: "video/H264".to_owned(),
            clock_rate: 90_000,
            sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d401f"
                .to_owned(),
            ..RTCRtpCodec::default()
        },
        payload_type: H264_TYPE,
    }
}

fn opus() -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: "audio/opus".to_owned(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
            ..RTCRtpCodec::default()
        },
        payload_type: OPUS_TYPE,
    }
}

async fn add(
    peer: &dyn PeerConnection,
    kind: RtpCodecKind,
    codec: RTCRtpCodecParameters,
    (hz, now_us): (i64, i64),
) -> Result<Track, PublishError> {
    let ssrc = rand::random::<u32>();
    let payload_type = codec.payload_type;
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(ssrc),
            ..RTCRtpCodingParameters::default()
        },
        codec: codec.rtp_codec,
        ..RTCRtpEncodingParameters::default()
    };
    let name = format!("edge-{kind}");
    let track = MediaStreamTrack::new("edge".to_owned(), name.clone(), name, kind, vec![coding]);
    let track = Arc::new(TrackLocalStaticRTP::new(track));
    peer.add_track(Arc::clone(&track) as Arc<dyn TrackLocal>).await.map_err(failed)?;
    let mut track =
        Track { local: track, ssrc, payload_type, hz, sequence: rand::random(), offset: 0 };
    let first = STAMP_FIRST + rand::random_range(0..STAMP_FIRST);
    track.offset = first.wrapping_sub(track.stamp(now_us));
    Ok(track)
}
