//! An installation with a recorded session.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cabildo::claims::Claims;
use cabildo::claims::repository::ClaimRepository as _;
use cabildo::clock::Clock;
use cabildo::custody::{Custody, CustodyLog, CustodyParts};
use cabildo::domain::id::{
    AssemblyId, InstanceId, PlayableId, RecordedTrackId, SessionId, SessionKey, TenantId, TrackId,
};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::recording::{Container, PlayableState};
use cabildo::domain::secret::Secret;
use cabildo::domain::session::Modality;
use cabildo::domain::time::Timestamp;
use cabildo::evidence::media::TrackTail;
use cabildo::evidence::repository::{Append, EvidenceRepository, StoredEntry, StoredEvent};
use cabildo::evidence::{
    Body, EventKind, EvidenceKeys, event_commitment, leaf_hash, subject_commitment, subject_text,
};
use cabildo::recorder::journal::JournalWriter;
use cabildo::recorder::repository::{
    Playable, PlayableOf, RecordedSegment, RecordedTrack, RecordingRepository,
};
use cabildo::sealing::{ContentKey, Context, EventsKey, Sealer, TrackKey, random_key, random_salt};
use cabildo::sessions::{FixedLimits, NewSession, SessionService};
use cabildo::store::{Store, StoreOptions};
use cabildo::vault::{
    Contents, DamagedObjects, Directory, KeyPurpose, KeyVault, LocalKeyVault, ObjectName, Vault,
    VaultError,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::claims::of_a_new_process;
use crate::custody::faulty::{Faulty, Life, faulty_vault};
use crate::custody::log::PlainLog;

/// When the recording began, milliseconds since 1970.
pub(crate) const BEGAN_MS: u64 = 1_800_000_000_000;
/// Segments of each track.
pub(crate) const SEGMENTS: u64 = 3;
/// How long each of them is.
pub(crate) const SEGMENT_MS: u64 = 4_000;

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) keys: Arc<dyn KeyVault>,
    pub(crate) log: Arc<PlainLog>,
    pub(crate) damaged: DamagedObjects,
    pub(crate) directory: TempDir,
    /// Segments that tracks get.
    pub(crate) segments: u64,
    /// The processes there were.
    instances: Mutex<Vec<InstanceId>>,
    now_us: Arc<AtomicI64>,
}

/// A session that was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) tenant: TenantId,
    pub(crate) id: SessionId,
    pub(crate) tracks: Vec<RecordedTrackId>,
    pub(crate) files: Vec<PlayableId>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        // Not in memory: a task that ends within a transaction closes its connection, and a
        // database in memory would be lost with it.
        let url = format!("sqlite:{}?mode=rwc", at("cabildo.sqlite").display());
        let store = Store::connect(&StoreOptions::new(Secret::new(url))).await.expect("connected");
        let vault = Directory::open(at("vault")).expect("a vault");
        let keys: Arc<dyn KeyVault> = Arc::new(LocalKeyVault::open(at("keys")).expect("keys"));
        let now_us = i64::try_from(BEGAN_MS * 1_000 + 60_000_000).expect("a time");
        let log = PlainLog {
            store: store.clone(),
            keys: Arc::clone(&keys),
            signing: EvidenceKeys::open(&at("signing")).expect("a key"),
            now: Timestamp::from_unix_us(now_us),
        };
        Self {
            store,
            vault: Arc::new(vault),
            keys,
            log: Arc::new(log),
            damaged: DamagedObjects::default(),
            directory,
            segments: SEGMENTS,
            instances: Mutex::default(),
            now_us: Arc::new(AtomicI64::new(now_us)),
        }
    }

    /// Custody by a process that lives for ever.
    pub(crate) fn custody(&self) -> Custody {
        self.mortal_custody(Life::of(u64::MAX))
    }

    /// Custody by a process that dies after so many steps.
    pub(crate) fn mortal_custody(&self, life: Life) -> Custody {
        let log: Arc<dyn CustodyLog> = self.log.clone();
        Custody::new(CustodyParts {
            evidence: Arc::new(Faulty { inner: self.store.clone(), life: life.clone() }),
            recordings: Arc::new(Faulty { inner: self.store.clone(), life: life.clone() }),
            claims: self.claims(life.clone()),
            sessions: Arc::new(Faulty { inner: self.store.clone(), life: life.clone() }),
            vault: faulty_vault(Arc::clone(&self.vault), life.clone()),
            keys: Arc::new(Faulty { inner: Arc::clone(&self.keys), life: life.clone() }),
            log: Arc::new(Faulty { inner: log, life }),
            clock: self.clock(),
            ages: self.clock(),
            damaged: self.damaged.clone(),
        })
    }

    /// The claims of a process that dies after so many steps.
    pub(crate) fn claims(&self, life: Life) -> Claims {
        let claims = of_a_new_process(Arc::new(Faulty { inner: self.store.clone(), life }));
        self.instances.lock().expect("sound").push(claims.instance());
        claims
    }

    /// The leases of every process until now run out.
    pub(crate) async fn leases_run_out(&self) {
        let instances = std::mem::take(&mut *self.instances.lock().expect("sound"));
        for instance in instances {
            self.store.end_instance(instance).await.expect("ended");
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        let now_us = Arc::clone(&self.now_us);
        Clock::from_fn(move || Timestamp::from_unix_us(now_us.load(Ordering::SeqCst)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        let us = i64::try_from(time.as_micros()).expect("short");
        self.now_us.fetch_add(us, Ordering::SeqCst);
    }

    /// Where a bundle may be written.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn sessions(&self) -> SessionService {
        let limits = Arc::new(FixedLimits::default());
        SessionService::new(Arc::new(self.store.clone()), limits, Vec::new())
    }

    pub(crate) async fn session(&self, tenant: TenantId) -> SessionId {
        let new_session =
            NewSession::new(tenant, AssemblyId::generate(), "Asamblea", Modality::Virtual);
        self.sessions().create(new_session, self.now()).await.expect("created").id
    }

    /// A session that was cancelled before it began.
    pub(crate) async fn cancelled(&self, tenant: TenantId) -> SessionId {
        let id = self.session(tenant).await;
        let key = SessionKey::new(tenant, id);
        self.sessions().cancel(key, None, self.now()).await.expect("cancelled");
        id
    }

    /// A session with two tracks, a decision, and playable files; closed.
    pub(crate) async fn recorded(&self, tenant: TenantId) -> Recorded {
        let mut recorded = self.recording(tenant).await;
        let mut tails = Vec::new();
        for track in &recorded.tracks {
            let last = self
                .store
                .last_segment(SessionKey::new(tenant, recorded.id), *track)
                .await
                .expect("read");
            let last = last.expect("a segment");
            self.store
                .end_track(SessionKey::new(tenant, recorded.id), *track, self.now())
                .await
                .expect("ended");
            tails.push(TrackTail { track: *track, last_index: last.index, tail: last.sha256 });
        }
        tails.sort_by_key(|tail| *tail.track.as_uuid().as_bytes());
        let log = self
            .store
            .log(SessionKey::new(tenant, recorded.id))
            .await
            .expect("read")
            .expect("a log");
        let close = Body::Close { tails, last_event_seq: log.last_event_seq, reason: 1 };
        self.log.append(SessionKey::new(tenant, recorded.id), &close, None).await;
        let first = recorded.tracks[0];
        for of in [PlayableOf::Combined, PlayableOf::Track(first)] {
            recorded.files.push(self.playable(&recorded, of).await);
        }
        recorded
    }

    /// The same, while it is still going on.
    pub(crate) async fn recording(&self, tenant: TenantId) -> Recorded {
        let id = self.session(tenant).await;
        let events_key = self.begin_log(SessionKey::new(tenant, id)).await;
        let mut tracks = Vec::new();
        for (name, codec) in [("María", Codec::Opus), ("Jordi", Codec::Vp8)] {
            let track = self.add_track(SessionKey::new(tenant, id), &events_key, name, codec).await;
            tracks.push(track);
        }
        self.log
            .note(
                SessionKey::new(tenant, id),
                EventKind::RoomEvent,
                r#"{"type":"turn_started"}"#.to_owned(),
            )
            .await
            .expect("noted");
        Recorded { tenant, id, tracks, files: vec![] }
    }

    async fn begin_log(&self, session_key: SessionKey) -> EventsKey {
        let SessionKey { tenant, session: id } = session_key;
        let key = random_key();
        let purpose = KeyPurpose::Events(id);
        let wrapped = self.keys.wrap(tenant, purpose, &key).await.expect("wrapped");
        let events_key = EventsKey::new(key);
        let policy = r#"{"recorded":true}"#.to_owned();
        let genesis = Body::Genesis {
            log_id: [9; 16],
            kid: *self.log.signing.active().kid(),
            policy_hash: Sha256::digest(&policy).into(),
            head_interval_ms: 2_000,
            build_hash: [1; 32],
        };
        let commitment = event_commitment(&events_key.event_salt(1), &policy);
        let bodies = [genesis, Body::Event { kind: EventKind::Policy, commitment }];
        let entries = bodies.iter().zip(0..).map(|(body, seq)| {
            let bytes = body.encode(seq, BEGAN_MS);
            StoredEntry { seq, leaf: leaf_hash(&bytes), bytes }
        });
        let append = Append {
            expected_size: 0,
            entries: entries.collect(),
            events: vec![StoredEvent { seq: 1, kind: EventKind::Policy, text: policy }],
            room_seq: 0,
            last_event_seq: 1,
            closed_seq: None,
        };
        self.store.create(session_key, [9; 16], wrapped, append).await.expect("begun");
        events_key
    }

    async fn add_track(
        &self,
        session_key: SessionKey,
        events_key: &EventsKey,
        name: &str,
        codec: Codec,
    ) -> RecordedTrackId {
        let id = RecordedTrackId::random();
        let source =
            if codec == Codec::Opus { TrackSource::Microphone } else { TrackSource::Camera };
        let user = name.to_ascii_lowercase().replace('í', "i").parse().expect("a user id");
        let subject = subject_text(&user, name, source);
        let subject_commitment = subject_commitment(&events_key.subject_salt(&id), &subject);
        let body = Body::Track { track: id, codec, subject_commitment };
        let seq = self.log.append(session_key, &body, None).await;
        let key = random_key();
        let wrapped = self.keys.wrap(session_key.tenant, KeyPurpose::Track(id, 1), &key).await;
        let track = RecordedTrack {
            id,
            track: TrackId::generate(),
            user,
            name: name.to_owned(),
            source,
            codec,
            epoch: 1,
            wrapped_key: Some(wrapped.expect("wrapped")),
            seq,
            started_at: self.now(),
            ended_at: None,
        };
        self.store.add_track(session_key, &track).await.expect("added");
        let key = TrackKey::new(key);
        let mut previous = None;
        for index in 0..self.segments {
            let sha256 = self.add_segment(session_key, (id, &key), index, previous).await;
            previous = Some(sha256);
        }
        id
    }

    async fn add_segment(
        &self,
        session_key: SessionKey,
        (track, key): (RecordedTrackId, &TrackKey),
        index: u64,
        previous: Option<[u8; 32]>,
    ) -> [u8; 32] {
        let from_ms = BEGAN_MS + index * SEGMENT_MS;
        let to_ms = from_ms + SEGMENT_MS - 20;
        let low = u8::try_from(index).expect("small");
        let mut packet = vec![0x80, 111, 0, low, 0, 0, 0, 0, 0, 0, 0, 7];
        packet.extend([low; 900]);
        let mut journal = Vec::new();
        let mut writer = JournalWriter::begin(from_ms * 1_000, &mut journal);
        for at_ms in [from_ms, to_ms] {
            writer.rtp(at_ms * 1_000, &packet, &mut journal).expect("a packet");
        }
        let context = Context::Segment { session: session_key.session, track, index, epoch: 1 };
        let mut object = Vec::new();
        let content_key = key.segment_key(index);
        let mut sealer = Sealer::new(&content_key, &context, random_salt(), &mut object);
        sealer.write(&journal, &mut object);
        let done = sealer.finish(&mut object);
        let name = ObjectName::segment(session_key, track, index);
        self.put(&name, &object).await;
        let body = Body::Segment {
            track,
            index,
            previous,
            size: done.size,
            sha256: done.sha256,
            key_commitment: done.commitment,
            rtp: (index, index),
            ms: (from_ms, to_ms),
            flags: if index + 1 == self.segments { 3 } else { 1 },
        };
        let seq = self.log.append(session_key, &body, None).await;
        let segment = RecordedSegment {
            track,
            index,
            size: done.size,
            sha256: done.sha256,
            from_ms,
            to_ms,
            flags: if index + 1 == self.segments { 3 } else { 1 },
            seq,
        };
        self.store.add_segment(session_key, &segment).await.expect("added");
        done.sha256
    }

    async fn playable(&self, recorded: &Recorded, of: PlayableOf) -> PlayableId {
        let (tenant, session, id) = (recorded.tenant, recorded.id, PlayableId::generate());
        let key = random_key();
        let wrapped = self.keys.wrap(tenant, KeyPurpose::File(id), &key).await.expect("wrapped");
        let content_key = ContentKey::new(key);
        for part in 0..2 {
            let context = Context::Part { session, file: id, part };
            let mut object = Vec::new();
            let mut sealer = Sealer::new(&content_key, &context, random_salt(), &mut object);
            sealer.write(b"webm", &mut object);
            sealer.finish(&mut object);
            self.put(&ObjectName::part(SessionKey::new(tenant, session), id, part), &object).await;
        }
        let playable = Playable {
            id,
            of,
            container: Container::Webm,
            media_type: "video/webm".to_owned(),
            state: PlayableState::Ready,
            progress_permille: 1_000,
            wrapped_key: Some(wrapped),
            from_ms: BEGAN_MS,
            duration_ms: SEGMENTS * SEGMENT_MS,
            parts: vec![4, 4],
            failure: None,
            lacks: Vec::new(),
            resume_at: None,
            updated_at: self.now(),
        };
        self.store.put_playable(SessionKey::new(tenant, session), &playable).await.expect("put");
        id
    }

    async fn put(&self, name: &ObjectName, object: &[u8]) {
        let sha256 = Sha256::digest(object).into();
        self.vault.put(name, Contents::Bytes(object), sha256).await.expect("put");
    }

    /// Which of a session's objects are in the vault.
    pub(crate) async fn objects(&self, recorded: &Recorded) -> Vec<ObjectName> {
        let (tenant, session) = (recorded.tenant, recorded.id);
        let segments = recorded.tracks.iter().flat_map(|track| {
            (0..self.segments).map(move |index| {
                ObjectName::segment(SessionKey::new(tenant, session), *track, index)
            })
        });
        let parts = recorded.files.iter().flat_map(|file| {
            (0..2).map(|part| ObjectName::part(SessionKey::new(tenant, session), *file, part))
        });
        let mut there = Vec::new();
        for name in segments.chain(parts) {
            match self.vault.read(&name, Some(0..1)).await {
                Ok(_) => there.push(name),
                Err(VaultError::NotFound) => {}
                Err(error) => panic!("{error}"),
            }
        }
        there
    }
}
