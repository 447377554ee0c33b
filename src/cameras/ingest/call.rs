//! One call of a camera by RTSP (RFC 2326): from its address to its packets. Only
//! this module knows the client.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use retina::client::{
    Described, InitialTimestampPolicy, PacketItem, PlayOptions, Playing, Session, SessionIdPolicy,
    SessionOptions, SetupOptions, TeardownPolicy, Transport,
};
use retina::codec::ParametersRef;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use url::Url;

use super::connection::Connection;
use super::stream::Stream;
use super::{IngestParts, Key};
use crate::cameras::engine::pictures::VideoPacket;
use crate::cameras::engine::sound::SoundFormat;
use crate::cameras::engine::source::Source;
use crate::cameras::error::CameraError;
use crate::clock::Clock;
use crate::domain::camera::{CameraCodec, CameraTransport, StreamFault};
use crate::formats::codec::AacConfig;

/// How often a camera that plays is looked up again: another instance may have
/// changed or removed it. Raising it lets a removed one run on for longer.
const LOOK_UP_EVERY: Duration = Duration::from_secs(5);
/// Longest wait until an earlier call is over. Some cameras send what is left of it to the next
/// one.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// Streams of a camera's description that are looked at.
const STREAMS_MAX: usize = 16;
/// Largest parameter sets that are taken from a description, in bytes together.
const SETS_BYTES_MAX: usize = 4_096;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Something went wrong.
    Fault(StreamFault),
    /// There is no such camera any more.
    Gone,
    /// The camera was provisioned in another way.
    Changed,
}

impl From<StreamFault> for Ended {
    fn from(fault: StreamFault) -> Self {
        Self::Fault(fault)
    }
}

/// The calls of one camera.
pub(super) struct Call<'ingest> {
    parts: &'ingest IngestParts,
    key: Key,
    stream: &'ingest Stream,
    /// The connections of the calls.
    connections: TaskTracker,
}

/// A camera as it is to be called.
struct Called {
    source: Source,
    transport: CameraTransport,
    revision: u64,
}

/// What was set up: which of the camera's streams are its pictures and sound.
pub(super) struct Opened {
    session: Session<Playing>,
    video: usize,
}

/// What becomes of sound that files can't hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// The pictures are taken without it.
    LeftOut,
    /// Nothing is taken.
    Refused,
}

impl<'ingest> Call<'ingest> {
    pub(super) fn new(parts: &'ingest IngestParts, key: Key, stream: &'ingest Stream) -> Self {
        Self { parts, key, stream, connections: TaskTracker::new() }
    }

    /// Calls the camera and takes what it sends, until that ends.
    pub(super) async fn carry_out(&self) -> Ended {
        // The client has been seen to fail on what a camera sent; that is this camera's fault.
        let call = AssertUnwindSafe(Box::pin(self.call())).catch_unwind();
        call.await.unwrap_or(Ended::Fault(StreamFault::ProtocolViolated))
    }

    async fn call(&self) -> Ended {
        let called = match self.look_up().await {
            Ok(found) => found,
            Err(ended) => return ended,
        };
        self.goodbye().await;
        let connection = match self.connect(&called).await {
            Ok(connection) => connection,
            Err(fault) => return fault.into(),
        };
        let played = async {
            match open(connection.url(), self.stream, Unusable::LeftOut).await {
                Ok(opened) => play(opened, self.stream, &self.parts.clock).await,
                Err(fault) => fault,
            }
        };
        tokio::select! {
            // The connection knows why it was ended. Only that it was closed says less than what
            // the client found: a camera may answer with a refusal and close at once.
            fault = played => {
                let of_connection = connection.fault();
                of_connection.filter(|it| *it != StreamFault::ConnectionClosed).unwrap_or(fault).into()
            }
            ended = self.changed(called.revision) => ended,
        }
    }

    /// The camera as it is provisioned.
    async fn look_up(&self) -> Result<Called, Ended> {
        let (tenant, camera) = &self.key;
        match self.parts.cameras.camera(*tenant, camera).await {
            Ok(Some(camera)) => match self.parts.secrets.open(*tenant, &camera.source).await {
                Ok(source) => {
                    Ok(Called { source, transport: camera.transport, revision: camera.revision })
                }
                Err(CameraError::SecretLost) => Err(StreamFault::SecretLost.into()),
                Err(_) => Err(StreamFault::Unreachable.into()),
            },
            Ok(None) => Err(Ended::Gone),
            Err(error) => {
                tracing::warn!(%error, "a camera could not be looked up");
                Err(StreamFault::Unreachable.into())
            }
        }
    }

    /// Until the camera is gone, or another revision than this one.
    async fn changed(&self, revision: u64) -> Ended {
        let (tenant, camera) = &self.key;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_UP_EVERY) => {}
                () = self.stream.renewed() => {}
            }
            match self.parts.cameras.camera(*tenant, camera).await {
                Ok(None) => return Ended::Gone,
                Ok(Some(camera)) if camera.revision != revision => return Ended::Changed,
                // Whoever watches goes on watching while the database is away.
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }

    /// Waits until the camera was told that the last call is over, or for a short while.
    pub(super) async fn goodbye(&self) {
        self.connections.close();
        // Whether the camera took it does not matter here.
        drop(tokio::time::timeout(GOODBYE_MAX, self.connections.wait()).await);
        self.connections.reopen();
    }

    /// Connects to the address that was judged, not to a name that may lead elsewhere by now.
    async fn connect(&self, called: &Called) -> Result<Connection, StreamFault> {
        let place = self.parts.addresses.resolve(&called.source).await;
        let place = place.map_err(|error| match error {
            CameraError::SourceRefused => StreamFault::SourceRefused,
            _ => StreamFault::HostNotFound,
        })?;
        Connection::open(place, &called.source, called.transport, &self.connections).await
    }
}

/// Has the camera play. The client follows no redirects, and goodbye is said by the connection.
pub(super) async fn open(
    url: &Url,
    stream: &Stream,
    unusable: Unusable,
) -> Result<Opened, StreamFault> {
    let options = SessionOptions::default()
        .user_agent("cabildo".to_owned())
        .session_id(SessionIdPolicy::UseFirst)
        .teardown(TeardownPolicy::Never);
    let mut session =
        Session::describe(url.clone(), options).await.map_err(|error| fault_of(&error))?;
    let (video, codec) = find(&session, true).ok_or_else(|| unusable_pictures(&session))?;
    let mut audio = find(&session, false);
    let sets = announced_sets(&session, video, codec);
    let mut sound = audio.and_then(|sound| announced_sound(&session, sound));
    let has_sound = session.streams().iter().any(|stream| stream.media() == "audio");
    if has_sound && sound.is_none() && unusable == Unusable::Refused {
        return Err(StreamFault::CodecUnsupported);
    }
    let tcp = || SetupOptions::default().transport(Transport::default());
    session.setup(video, tcp()).await.map_err(|error| later_fault_of(&error))?;
    if let Some((number, _)) = audio
        && let Err(error) = session.setup(number, tcp()).await
    {
        // A camera that refuses its sound still shows its pictures.
        if !matches!(error.status_code(), Some(400..=599)) {
            return Err(later_fault_of(&error));
        }
        audio = None;
        sound = None;
    }
    let permissive = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
    let session = session.play(permissive).await.map_err(|error| later_fault_of(&error))?;
    stream.handle_playing(codec, audio.map(|(_, codec)| codec), (sets, sound));
    Ok(Opened { session, video })
}

/// Takes what the camera sends, until that ends.
pub(super) async fn play(opened: Opened, stream: &Stream, clock: &Clock) -> StreamFault {
    let Opened { mut session, video } = opened;
    while let Some(item) = session.next().await {
        let packet = match item {
            Ok(PacketItem::Rtp(packet)) => packet,
            Ok(_) => continue,
            Err(error) => return fault_of(&error),
        };
        let (now, lost) = (Instant::now().into_std(), u64::from(packet.loss()));
        if packet.stream_id() == video {
            let (ticks, marker) = (packet.timestamp().timestamp(), packet.mark());
            let payload = packet.into_payload_bytes();
            let packet = VideoPacket { ticks, marker, lost, payload };
            stream.handle_video(packet, now, clock.now());
        } else {
            let ticks = packet.timestamp().timestamp();
            stream.handle_audio((ticks, packet.into_payload_bytes()), lost, now);
        }
    }
    StreamFault::ConnectionClosed
}

/// The first of a camera's streams in a codec that can be used.
fn find(session: &Session<Described>, video: bool) -> Option<(usize, CameraCodec)> {
    let kind = if video { "video" } else { "audio" };
    let streams = session.streams().iter().take(STREAMS_MAX).enumerate();
    streams.filter(|(_, stream)| stream.media() == kind).find_map(|(number, stream)| {
        let codec = CameraCodec::of_encoding(stream.encoding_name())?;
        (codec.is_video() == video).then_some((number, codec))
    })
}

/// Why a description has no pictures that can be used.
fn unusable_pictures(session: &Session<Described>) -> StreamFault {
    if session.streams().iter().any(|stream| stream.media() == "video") {
        StreamFault::CodecUnsupported
    } else {
        StreamFault::PicturesMissing
    }
}

/// The parameter sets that a description announces; none when it has none that can be
/// read, since those that are sent count.
fn announced_sets(session: &Session<Described>, video: usize, codec: CameraCodec) -> Vec<Bytes> {
    let parameters = session.streams().get(video).and_then(retina::client::Stream::parameters);
    let Some(ParametersRef::Video(parameters)) = parameters else { return Vec::new() };
    let record = parameters.extra_data();
    if record.len() > SETS_BYTES_MAX {
        return Vec::new();
    }
    let sets = match codec {
        CameraCodec::H265 => hevc_sets_of(record),
        _ => avc_sets_of(record),
    };
    sets.unwrap_or_default()
}

/// The form of a camera's sound, when files can hold it: Opus always, AAC with a configuration
/// that players know.
fn announced_sound(
    session: &Session<Described>,
    (number, codec): (usize, CameraCodec),
) -> Option<SoundFormat> {
    match codec {
        CameraCodec::Opus => Some(SoundFormat::Opus),
        CameraCodec::Aac => {
            let parameters = session.streams().get(number)?.parameters();
            let Some(ParametersRef::Audio(parameters)) = parameters else { return None };
            // Stamps that count other than the samples of a frame are not followed.
            AacConfig::read(parameters.extra_data())
                .filter(|config| config.rate_hz == parameters.clock_rate())
                .map(SoundFormat::Aac)
        }
        _ => None,
    }
}

/// The sets in an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1).
fn avc_sets_of(record: &[u8]) -> Option<Vec<Bytes>> {
    let (head, mut rest) = record.split_at_checked(5)?;
    if head.first() != Some(&1) {
        return None;
    }
    let mut sets = Vec::new();
    for mask in [0x1F, 0xFF] {
        let (count, after) = rest.split_first()?;
        rest = take_sets(usize::from(count & mask), after, &mut sets)?;
    }
    Some(sets)
}

/// The sets in an `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §8.3.3.1).
fn hevc_sets_of(record: &[u8]) -> Option<Vec<Bytes>> {
    let (head, rest) = record.split_at_checked(22)?;
    if head.first() != Some(&1) {
        return None;
    }
    let (arrays, mut rest) = rest.split_first()?;
    let mut sets = Vec::new();
    for _ in 0..*arrays {
        let (_, after) = rest.split_first()?;
        let (count, after) = after.split_first_chunk()?;
        rest = take_sets(u16::from_be_bytes(*count).into(), after, &mut sets)?;
    }
    Some(sets)
}

/// Takes so many sets, each after its length, and returns what follows them.
fn take_sets<'record>(
    count: usize,
    mut rest: &'record [u8],
    sets: &mut Vec<Bytes>,
) -> Option<&'record [u8]> {
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk()?;
        let (set, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        sets.push(Bytes::copy_from_slice(set));
        rest = after;
    }
    Some(rest)
}

/// What went wrong after the camera had taken the credentials once: one that refuses
/// them then wants a new proof of them, which the next call has.
fn later_fault_of(error: &retina::Error) -> StreamFault {
    match fault_of(error) {
        StreamFault::CredentialsRefused => StreamFault::RequestRefused,
        fault => fault,
    }
}

/// What went wrong. The text of the error is not kept: it has addresses in it.
fn fault_of(error: &retina::Error) -> StreamFault {
    match error.status_code() {
        Some(401 | 403) => StreamFault::CredentialsRefused,
        Some(404) => StreamFault::StreamNotFound,
        Some(461) => StreamFault::TransportRefused,
        // An answer that can't be read has the status of success.
        Some(200..=299) => StreamFault::ProtocolViolated,
        Some(_) => StreamFault::RequestRefused,
        None => {
            let text = error.to_string();
            let is = |beginning: &str| text.starts_with(beginning);
            if is("Unable to connect") {
                StreamFault::Unreachable
            } else if is("Error reading") || is("Error writing") {
                StreamFault::ConnectionClosed
            } else {
                StreamFault::ProtocolViolated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_are_read_and_lengths_that_lie_are_not_followed() {
        type Read = fn(&[u8]) -> Option<Vec<Bytes>>;
        let avc = vec![1, 100, 0, 31, 0xFF, 0xE1, 0, 3, 0x67, 1, 2, 1, 0, 2, 0x68, 9];
        let mut hevc = vec![0; 22];
        hevc[0] = 1;
        hevc.extend([2, 0xA1, 0, 1, 0, 3, 0x67, 1, 2, 0xA2, 0, 1, 0, 2, 0x68, 9]);
        for (record, read) in [(avc, avc_sets_of as Read), (hevc, hevc_sets_of as Read)] {
            let sets = read(&record).expect("well formed");
            assert_eq!(sets, [Bytes::from_static(&[0x67, 1, 2]), Bytes::from_static(&[0x68, 9])]);
            for end in 0..record.len() {
                assert_eq!(read(&record[..end]), None, "{end} bytes");
            }
            assert_eq!(read(&[0; 40]), None);
        }
    }
}
