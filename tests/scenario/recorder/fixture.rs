//! A recorder over a spool that outlives it, people who send to it in virtual
//! time, and an auditor who opens what it left.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cabildo::clock::Clock;
use cabildo::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId, TrackId};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::recording::RecordingState;
use cabildo::domain::secret::Secret;
use cabildo::domain::time::Timestamp;
use cabildo::evidence::media::{MediaEntry, Rest, TrackTail};
use cabildo::recorder::journal::{JournalReader, RecordKind, SideEvent};
use cabildo::recorder::repository::RecordedTrack;
use cabildo::recorder::{
    Recorder, RecorderError, RecorderOptions, RecorderParts, RecorderStats, RoomTrack,
};
use cabildo::sealing::{Context, Opener, TrackKey};
use cabildo::sfu::tap::{TapBatch, TapItem, TapKind};
use sha2::{Digest, Sha256};

use crate::claims::{MemoryClaims, of_a_new_process};

use super::disk::TestDisk;
use super::fakes::{Outside, held};

/// Where the stories begin, microseconds since 1970.
pub(crate) const BEGIN_US: u64 = 1_700_000_000_000_000;

pub(crate) struct Fixture {
    pub(crate) outside: Arc<Outside>,
    pub(crate) disk: Arc<TestDisk>,
    pub(crate) tenant: TenantId,
    pub(crate) session: SessionId,
    pub(crate) recorder: Option<Recorder>,
    claims: Arc<MemoryClaims>,
    now_us: Arc<AtomicI64>,
    spool: tempfile::TempDir,
    shutdown_ms_max: u64,
}

/// Batches that may wait for the recorder before a sender waits. Time in the
/// stories passes with what is sent: a recorder that is further behind would find
/// that its segments have lasted too long.
const BATCHES_AHEAD_MAX: u64 = 4;

/// A fixture that records these streams.
pub(crate) async fn recording(streams: &[&Stream]) -> Fixture {
    let fixture = Fixture::new().await;
    fixture.record(streams).await;
    fixture
}

/// Somebody's stream.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) track: TrackId,
    pub(crate) codec: Codec,
    pub(crate) ssrc: u32,
    pub(crate) layer: u8,
    pub(crate) sequence: u16,
    pub(crate) payload_bytes: usize,
    /// Every packet that a sink took, in order.
    pub(crate) sent: Vec<Vec<u8>>,
    /// When each was sent, milliseconds since 1970.
    pub(crate) sent_ms: Vec<u64>,
    said: Option<(u32, u8, Codec)>,
}

impl Stream {
    pub(crate) fn new(codec: Codec, ssrc: u32) -> Self {
        let (track, payload_bytes) = (TrackId::generate(), 100);
        Self {
            track,
            codec,
            ssrc,
            layer: 0,
            sequence: 65_400,
            payload_bytes,
            sent: Vec::new(),
            sent_ms: Vec::new(),
            said: None,
        }
    }

    /// Another tap says again where it comes from.
    pub(crate) fn tap_again(&mut self) {
        self.said = None;
    }

    fn packet(&mut self) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let [high, low] = self.sequence.to_be_bytes();
        let mut packet = vec![0x80, 96, high, low, 0, 0, high, low];
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.resize(12 + self.payload_bytes, low);
        packet
    }

    fn room_track(&self) -> RoomTrack {
        let source =
            if self.codec == Codec::Opus { TrackSource::Microphone } else { TrackSource::Camera };
        RoomTrack {
            track: self.track,
            user: "maria".parse().expect("valid"),
            name: "María".to_owned(),
            source,
            codec: self.codec,
        }
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with_shutdown_ms(60_000).await
    }

    /// A fixture whose recorder waits so long for its disk when it is shut down.
    pub(crate) async fn with_shutdown_ms(shutdown_ms_max: u64) -> Self {
        let disk = Arc::new(TestDisk::default());
        disk.free_bytes.store(1 << 40, Ordering::SeqCst);
        let now_us = i64::try_from(BEGIN_US).expect("fits");
        let mut fixture = Self {
            outside: Outside::new(),
            disk,
            tenant: TenantId::generate(),
            session: SessionId::generate(),
            recorder: None,
            claims: Arc::default(),
            now_us: Arc::new(AtomicI64::new(now_us)),
            spool: tempfile::tempdir().expect("a directory"),
            shutdown_ms_max,
        };
        fixture.start().await;
        fixture
    }

    /// Records these streams.
    pub(crate) async fn record(&self, streams: &[&Stream]) {
        let state = RecordingState::Recording;
        self.recorder().set_state(SessionKey::new(self.tenant, self.session), state).await;
        for stream in streams {
            self.publish(stream).await;
        }
    }

    /// A process begins.
    pub(crate) async fn start(&mut self) {
        let now_us = Arc::clone(&self.now_us);
        let outside = &self.outside;
        let parts = RecorderParts {
            media: Arc::clone(outside) as _,
            vault: Arc::clone(outside) as _,
            keys: Arc::clone(outside) as _,
            repository: Arc::clone(outside) as _,
            log: Arc::clone(outside) as _,
            claims: of_a_new_process(Arc::clone(&self.claims) as _),
            clock: Clock::from_fn(move || Timestamp::from_unix_us(now_us.load(Ordering::SeqCst))),
        };
        let options = RecorderOptions {
            retry_ms_min: 1,
            retry_ms_max: 4,
            shutdown_ms_max: self.shutdown_ms_max,
            disk: Arc::clone(&self.disk) as _,
            ..RecorderOptions::new(self.spool.path().to_owned())
        };
        loop {
            match Recorder::start(parts.clone(), options.clone()).await {
                Ok(recorder) => {
                    self.recorder = Some(recorder);
                    return;
                }
                // The last threads of the process before are still dying.
                Err(RecorderError::SpoolInUse) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The process is killed; its threads have ended when this returns.
    pub(crate) async fn kill(&mut self) {
        drop(self.recorder.take());
        let lock = std::fs::File::open(self.spool.path().join("lock")).expect("it is there");
        while lock.try_lock().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        held(&self.outside.sinks).clear();
        self.outside.revive();
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        self.recorder.as_ref().expect("it runs")
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.now_us.load(Ordering::SeqCst) / 1_000).expect("after 1970")
    }

    pub(crate) fn pass_ms(&self, ms: i64) {
        self.now_us.fetch_add(ms * 1_000, Ordering::SeqCst);
    }

    pub(crate) async fn publish(&self, stream: &Stream) {
        self.recorder()
            .add_track(SessionKey::new(self.tenant, self.session), stream.room_track())
            .await;
    }

    /// Offers items as a worker does, until there is room for them.
    pub(crate) async fn offer(&self, track: TrackId, kinds: &[TapKind<'_>]) -> bool {
        let Some(sink) = held(&self.outside.sinks).get(&track).cloned() else { return false };
        let at_us = self.now_ms() * 1_000;
        let items: Vec<TapItem<'_>> =
            kinds.iter().map(|kind| TapItem { track, at_us, kind: *kind }).collect();
        let mut batch = TapBatch::of(&items);
        while let Err(refused) = sink.offer(batch) {
            if self.outside.is_dead() {
                return false;
            }
            batch = refused;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        true
    }

    /// One packet, and 20 ms.
    pub(crate) async fn send(&self, stream: &mut Stream, starts: bool) {
        let packet = stream.packet();
        let said = (stream.ssrc, stream.layer, stream.codec);
        let mut kinds = Vec::new();
        if stream.said != Some(said) {
            kinds.push(TapKind::Source { ssrc: stream.ssrc, layer: stream.layer });
            kinds.push(TapKind::Codec { payload_type: 96, codec: stream.codec });
        }
        kinds.push(TapKind::Packet { bytes: &packet, key_frame_start: starts });
        if self.offer(stream.track, &kinds).await {
            stream.said = Some(said);
            stream.sent.push(packet);
            stream.sent_ms.push(self.now_ms());
        } else {
            stream.said = None;
        }
        self.until(|stats| stats.batches_waiting <= BATCHES_AHEAD_MAX).await;
        self.pass_ms(20);
    }

    /// Waits until the recorder has taken everything that was offered.
    pub(crate) async fn caught_up(&self) {
        self.until(|stats| stats.batches_waiting == 0).await;
    }

    pub(crate) async fn send_many(&self, stream: &mut Stream, packets: usize) {
        for number in 0..packets {
            self.send(stream, number % 50 == 0).await;
        }
    }

    /// A worker's tap ends.
    pub(crate) async fn end(&self, stream: &Stream) {
        self.offer(stream.track, &[TapKind::Ended]).await;
    }

    /// The session is over: taps end as they are taken off.
    pub(crate) async fn finish(&self) -> Vec<TrackTail> {
        // Not before everything was taken: its time would be over.
        self.caught_up().await;
        // Time passes while it waits for taps that say nothing.
        let now_us = Arc::clone(&self.now_us);
        let passing = tokio::spawn(async move {
            loop {
                now_us.fetch_add(100_000, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let tails = self
            .recorder()
            .finish(SessionKey::new(self.tenant, self.session))
            .await
            .expect("finished");
        passing.abort();
        tails
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, so: impl Fn(&RecorderStats) -> bool) {
        while !so(&self.recorder().stats()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn spool_path(&self) -> std::path::PathBuf {
        self.spool.path().to_owned()
    }

    pub(crate) fn spool_files(&self) -> Vec<String> {
        files(self.spool.path())
    }
}

/// The names of the files of a spool, as far as they stay while it is read. What
/// belongs to the whole spool and not to a track is left out.
pub(crate) fn files(spool: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![spool.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path.file_name().expect("named").to_string_lossy().into_owned());
            }
        }
    }
    files.retain(|name| !["lock", "instance"].contains(&name.as_str()));
    files
}

/// Checks that each packet of these streams is found once and in order, or was
/// sent in a time that the log declares as a gap, and that every track has ended.
pub(crate) fn check_accounts(fixture: &Fixture, streams: &[Stream], context: &str) {
    let audited = audit(fixture);
    let tracks = held(&fixture.outside.tracks).clone();
    assert!(tracks.iter().all(|track| track.ended_at.is_some()), "{context}");
    for stream in streams {
        let is_its = |id: &RecordedTrackId| {
            tracks.iter().any(|track| track.id == *id && track.track == stream.track)
        };
        let its: Vec<&Audited> =
            audited.iter().filter(|(id, _)| is_its(id)).map(|(_, it)| it).collect();
        let mut segments: Vec<&Found> = its.iter().flat_map(|it| &it.segments).collect();
        segments.sort_by_key(|segment| segment.ms);
        let mut found = segments.iter().flat_map(|segment| &segment.packets).peekable();
        let gaps: Vec<_> = its.iter().flat_map(|it| &it.gaps).collect();
        for (packet, at_ms) in stream.sent.iter().zip(&stream.sent_ms) {
            if found.next_if_eq(&packet).is_some() {
                continue;
            }
            let declared = gaps.iter().any(|(from, to, _)| from <= at_ms && at_ms <= to);
            assert!(declared, "{context}: lost at {at_ms}, gaps {gaps:?}");
        }
        assert_eq!(found.next(), None, "{context}: what was not sent, or in another order");
    }
    for audited in audited.values() {
        let mut told_ms = audited.spans.first().map_or(0, |span| span.0);
        for (from_ms, to_ms) in &audited.spans {
            assert!(
                *from_ms <= told_ms + 1_000,
                "{context}: nothing tells of {told_ms}..{from_ms} in {:?}",
                audited.spans
            );
            told_ms = told_ms.max(*to_ms);
        }
    }
}

/// A segment as the auditor found it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) index: u64,
    pub(crate) rtp: (u64, u64),
    pub(crate) ms: (u64, u64),
    pub(crate) flags: u32,
    pub(crate) packets: Vec<Vec<u8>>,
    pub(crate) sides: Vec<SideEvent>,
    pub(crate) raw_bytes: usize,
    pub(crate) size: u64,
}

/// What the log says of one track, checked against vault and repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audited {
    pub(crate) segments: Vec<Found>,
    pub(crate) gaps: Vec<(u64, u64, u32)>,
    pub(crate) rests: Vec<(u64, u64, Rest)>,
    /// Its segments, gaps and rests in the order of the log.
    pub(crate) spans: Vec<(u64, u64)>,
}

impl Audited {
    pub(crate) fn packets(&self) -> Vec<Vec<u8>> {
        self.segments.iter().flat_map(|segment| segment.packets.clone()).collect()
    }
}

/// Reads log and vault as a stranger does: every chain whole, nothing twice,
/// every object there, authentic, and what its entry says.
pub(crate) fn audit(fixture: &Fixture) -> BTreeMap<RecordedTrackId, Audited> {
    let outside = &fixture.outside;
    let entries = held(&outside.entries).clone();
    let objects = held(&outside.objects).clone();
    let tracks = held(&outside.tracks).clone();
    let kept = held(&outside.segments).clone();
    for (at, entry) in entries.iter().enumerate() {
        assert!(!entries[..at].contains(entry), "logged twice: {entry:?}");
    }
    let mut audited: BTreeMap<RecordedTrackId, Audited> = BTreeMap::new();
    let mut tails: BTreeMap<RecordedTrackId, [u8; 32]> = BTreeMap::new();
    let mut begun = Vec::new();
    for (seq, entry) in (0_u64..).zip(&entries) {
        match entry {
            MediaEntry::Track { track, subject, .. } => {
                assert!(subject.contains("María"));
                begun.push(*track);
            }
            MediaEntry::Gap { track, from_ms, to_ms, reason } => {
                assert!(from_ms <= to_ms);
                let of_it = audited.entry(*track).or_default();
                of_it.spans.push((*from_ms, *to_ms));
                of_it.gaps.push((*from_ms, *to_ms, *reason));
            }
            MediaEntry::Rest { track, from_ms, to_ms, rest } => {
                assert!(from_ms < to_ms);
                let of_it = audited.entry(*track).or_default();
                of_it.spans.push((*from_ms, *to_ms));
                of_it.rests.push((*from_ms, *to_ms, *rest));
            }
            MediaEntry::Segment {
                track,
                index,
                previous,
                size,
                sha256,
                key_commitment,
                rtp,
                ms,
                flags,
            } => {
                assert!(begun.contains(track), "a segment of a track that was not logged");
                let of_it = audited.entry(*track).or_default();
                assert_eq!(*index, of_it.segments.len() as u64, "indexes have no holes");
                assert_eq!(*previous, tails.insert(*track, *sha256), "the chain is whole");
                let name = format!("{}/{}/{track}/{index:08}", fixture.tenant, fixture.session);
                let object = objects.get(&name).expect("it is in the vault");
                let hash: [u8; 32] = Sha256::digest(object).into();
                assert_eq!((hash, object.len() as u64), (*sha256, *size));
                assert_eq!(object[24..56], *key_commitment);
                assert!(ms.1 - ms.0 <= 4_000, "longer than four seconds");
                assert!(
                    kept.iter().any(|it| (it.track, it.index, it.seq) == (*track, *index, seq)),
                    "the repository knows it"
                );
                let recorded = tracks.iter().find(|it| it.id == *track).expect("kept");
                let journal = opened(fixture, recorded, *index, object);
                let mut found = read(&journal, *rtp, *ms);
                found.index = *index;
                found.flags = *flags;
                found.size = *size;
                of_it.spans.push(*ms);
                of_it.segments.push(found);
            }
        }
    }
    assert_eq!(kept.len(), audited.values().map(|it| it.segments.len()).sum::<usize>());
    audited
}

/// The journal of a segment, opened with the key that was kept of its track.
fn opened(fixture: &Fixture, recorded: &RecordedTrack, index: u64, object: &[u8]) -> Vec<u8> {
    let wrapped = recorded.wrapped_key.clone().expect("its key is kept");
    let number = usize::from_be_bytes(wrapped.try_into().expect("eight bytes"));
    let key = TrackKey::new(Secret::new(held(&fixture.outside.keys)[number]));
    let context = Context::Segment {
        session: fixture.session,
        track: recorded.id,
        index,
        epoch: recorded.epoch,
    };
    Opener::open(&key.segment_key(index), &context, object).expect("it opens with its key")
}

fn read(journal: &[u8], rtp: (u64, u64), ms: (u64, u64)) -> Found {
    let mut found = Found {
        index: 0,
        rtp,
        ms,
        flags: 0,
        packets: Vec::new(),
        sides: Vec::new(),
        raw_bytes: 0,
        size: 0,
    };
    let reader = JournalReader::new(journal).expect("a journal");
    assert_eq!(reader.base_us() / 1_000, ms.0);
    let mut last_ms = ms.0;
    let mut sequences = Vec::new();
    for record in reader {
        let record = record.expect("well formed");
        last_ms = record.at_us / 1_000;
        match record.kind {
            RecordKind::Rtp(packet) => {
                found.raw_bytes += packet.len();
                sequences.push(u16::from_be_bytes([packet[2], packet[3]]));
                found.packets.push(packet.to_vec());
            }
            RecordKind::SenderReport(_) => {}
            RecordKind::Side(side) => found.sides.push(side),
        }
    }
    assert_eq!(last_ms, ms.1);
    let wire = |extended: u64| u16::try_from(extended % 65_536).expect("below");
    if let (Some(first), Some(last)) = (sequences.first(), sequences.last()) {
        assert_eq!(
            (wire(rtp.0), wire(rtp.1)),
            (*first, *last),
            "in these stories nothing reorders"
        );
    }
    found
}
