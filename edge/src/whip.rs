//! Publishes by WHIP (RFC 9725): one connection of WebRTC that sends pictures and sound.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp::codec::h264::H264Payloader;
use rtc::rtp::packetizer::Payloader as _;
use rtc::rtp::{Header, Packet};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use url::Url;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, Registry,
    SettingEngineBuilder, register_default_interceptors,
};
use webrtc::runtime::default_runtime;

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
/// Packets that are sent at once, and the wait between two such bursts. More overflow sockets when a
/// whole group is sent at once.
const BURST_PACKETS: u32 = 24;
const BURST_EVERY: Duration = Duration::from_millis(4);

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
}

fn broken<E: ToString>(error: E) -> PublishError {
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
    burst: u32,
    resource: Option<Url>,
}

impl Publisher {
    /// Connects; when this returns, media may be sent.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn connect(
        server: &Server,
        session: &str,
        has_sound: bool,
    ) -> Result<Self, PublishError> {
        let until = Instant::now() + CONNECT_MAX;
        let made = Self::make(own_address(server).await?, has_sound, until);
        let mut publisher = Box::pin(made).await?;
        let offer = publisher.peer.local_description().await;
        let offer = offer.ok_or_else(|| broken("there is no offer"))?;
        let (answer, resource) = server.publish(session, offer.sdp).await?;
        publisher.resource = Some(resource);
        if let Err(error) = publisher.begin(answer, until).await {
            publisher.end(server).await;
            return Err(error);
        }
        Ok(publisher)
    }

    async fn make(own: IpAddr, has_sound: bool, until: Instant) -> Result<Self, PublishError> {
        let (state_to, state) = watch::channel(RTCPeerConnectionState::New);
        let (gathered_to, mut gathered) = watch::channel(false);
        let mut engine = MediaEngine::default();
        engine.register_codec(h264(), RtpCodecKind::Video).map_err(broken)?;
        engine.register_codec(opus(), RtpCodecKind::Audio).map_err(broken)?;
        let registry = register_default_interceptors(Registry::new(), &mut engine);
        let times = (Some(BROKEN_AFTER), Some(BROKEN_AFTER), Some(CHECK_EVERY));
        let settings = SettingEngineBuilder::new().with_ice_timeouts(times.0, times.1, times.2);
        let settings = settings.with_include_loopback_candidate(own.is_loopback()).build();
        let runtime = default_runtime().ok_or_else(|| broken("there is no runtime"))?;
        let building = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry.map_err(broken)?)
            .with_setting_engine(settings)
            .with_handler(Arc::new(Ears { state: state_to, gathered: gathered_to }))
            .with_runtime(runtime)
            .with_udp_addrs(vec![SocketAddr::new(own, 0)])
            .build();
        let peer = Box::pin(building).await.map_err(broken)?;
        let peer: Box<dyn PeerConnection> = Box::new(peer);
        let pictures = add(&*peer, RtpCodecKind::Video, h264(), PICTURE_HZ).await?;
        let sounds = if has_sound {
            Some(add(&*peer, RtpCodecKind::Audio, opus(), SOUND_HZ).await?)
        } else {
            None
        };
        let offer = peer.create_offer(None).await.map_err(broken)?;
        peer.set_local_description(offer).await.map_err(broken)?;
        let all = timeout_at(until, gathered.wait_for(|it| *it)).await;
        all.map_err(|_| broken("no address of this machine was found"))?.map_err(broken)?;
        Ok(Self {
            peer,
            state,
            pictures,
            sounds,
            payloader: H264Payloader::default(),
            burst: 0,
            resource: None,
        })
    }

    async fn begin(&mut self, answer: String, until: Instant) -> Result<(), PublishError> {
        let answer = RTCSessionDescription::answer(answer).map_err(broken)?;
        self.peer.set_remote_description(answer).await.map_err(broken)?;
        let connected =
            self.state.wait_for(|it| *it == RTCPeerConnectionState::Connected || is_over(*it));
        let state = timeout_at(until, connected).await;
        let state = *state.map_err(|_| broken("it takes too long"))?.map_err(broken)?;
        if is_over(state) { Err(broken(state)) } else { Ok(()) }
    }

    /// Until the connection is broken.
    pub(crate) async fn broken(&self) -> RTCPeerConnectionState {
        let mut state = self.state.clone();
        let found = state.wait_for(|it| is_over(*it)).await;
        found.map_or(RTCPeerConnectionState::Closed, |state| *state)
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
                        self.payloader.payload(PAYLOAD_BYTES_MAX, unit).map_err(broken)?;
                    payloads.extend(of_unit);
                }
                let last = payloads.len().saturating_sub(1);
                for (number, payload) in payloads.into_iter().enumerate() {
                    self.burst += 1;
                    if self.burst.is_multiple_of(BURST_PACKETS) {
                        tokio::time::sleep(BURST_EVERY).await;
                    }
                    self.pictures.send(*at_us, number == last, payload).await?;
                }
                Ok(())
            }
            Made::Sound { at_us, data } => match &mut self.sounds {
                Some(sounds) => sounds.send(*at_us, false, data.clone()).await,
                None => Ok(()),
            },
        }
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
    async fn send(&mut self, at_us: i64, marker: bool, payload: Bytes) -> Result<(), PublishError> {
        // Stamps wrap.
        let ticks = ticks(at_us, self.hz).rem_euclid(1 << 32);
        let timestamp = u32::try_from(ticks).unwrap_or(0).wrapping_add(self.offset);
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
        self.local.write_rtp(Packet { header, payload }).await.map_err(broken)
    }
}

/// Whether a connection in this state carries nothing any more.
const fn is_over(state: RTCPeerConnectionState) -> bool {
    matches!(
        state,
        RTCPeerConnectionState::Disconnected
            | RTCPeerConnectionState::Failed
            | RTCPeerConnectionState::Closed
    )
}

/// The address of this machine from which the server is reached.
async fn own_address(server: &Server) -> Result<IpAddr, PublishError> {
    let (host, port) = server.place();
    let mut places = lookup_host((host.as_str(), port)).await.map_err(broken)?;
    // The media address of a server that has both is most likely the older one.
    let place = {
        let all: Vec<SocketAddr> = places.by_ref().collect();
        all.iter().find(|it| it.is_ipv4()).or(all.first()).copied()
    };
    let place = place.ok_or_else(|| broken("the server's name leads nowhere"))?;
    let any: SocketAddr =
        if place.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(broken)?;
    // No packet is sent by this.
    socket.connect(place).await.map_err(broken)?;
    Ok(socket.local_addr().map_err(broken)?.ip())
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
    hz: i64,
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
    peer.add_track(Arc::clone(&track) as Arc<dyn TrackLocal>).await.map_err(broken)?;
    let (sequence, offset) = (rand::random(), rand::random());
    Ok(Track { local: track, ssrc, payload_type, hz, sequence, offset })
}
