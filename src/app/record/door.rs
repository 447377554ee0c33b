//! The record as the REST door shows it.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};

use crate::api::{
    Access, ProofWanted, Proofs, RecordRefused, RecordingFile, RecordingView, Recordings,
};
use crate::domain::id::{PlayableId, SessionId, TenantId, UserId};
use crate::domain::recording::PlayableState;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::evidence::repository::{EvidenceRepository, EvidenceStoreError};
use crate::evidence::{EventKind, Evidence, EvidenceError, LogStatus, ProofQuery, TilePath};
use crate::history::{History, HistoryError, Item, ItemKind, Timeline};
use crate::playable::{self, FloorTurn, MeetingTimeline, PlayableReader, TimelineSource};
use crate::recorder::Recorder;
use crate::recorder::repository::{
    Playable, PlayableOf, RecordedTrack, RecordingRepository, RecordingStoreError,
};
use crate::store::Store;
use crate::vault::{KeyVault, Vault};

fn unavailable(error: impl std::fmt::Display) -> RecordRefused {
    RecordRefused::Unavailable(error.to_string())
}

impl From<EvidenceError> for RecordRefused {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::NoLog => Self::NotFound,
            EvidenceError::Erased => Self::Erased,
            EvidenceError::EntryNotFound(_)
            | EvidenceError::NotCovered(_)
            | EvidenceError::TooMany => Self::OutOfRange(error.to_string()),
            error => unavailable(error),
        }
    }
}

impl From<EvidenceStoreError> for RecordRefused {
    fn from(error: EvidenceStoreError) -> Self {
        unavailable(error)
    }
}

impl From<HistoryError> for RecordRefused {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::NoLog => Self::NotFound,
            HistoryError::Erased => Self::Erased,
            HistoryError::Log(error) => unavailable(error),
            HistoryError::Recording(error) => unavailable(error),
        }
    }
}

impl From<RecordingStoreError> for RecordRefused {
    fn from(error: RecordingStoreError) -> Self {
        unavailable(error)
    }
}

/// The public side of the log.
pub(in crate::app) struct ProofDoor {
    evidence: Evidence,
}

impl ProofDoor {
    pub(in crate::app) const fn new(evidence: Evidence) -> Self {
        Self { evidence }
    }
}

#[async_trait]
impl Proofs for ProofDoor {
    async fn proof(&self, session: &Session, wanted: ProofWanted) -> Result<Value, RecordRefused> {
        let query = ProofQuery { seqs: wanted.seqs, from_size: wanted.from_size };
        let over = session.status.is_over();
        let status = if over { LogStatus::Interrupted } else { LogStatus::Live };
        let proof = self.evidence.proof(session.tenant_id, session.id, status, &query).await?;
        serde_json::to_value(proof).map_err(unavailable)
    }

    fn keys(&self) -> Value {
        self.evidence.published_keys()
    }

    async fn log_file(&self, path: &str) -> Result<(Vec<u8>, bool), RecordRefused> {
        if path == "checkpoint" {
            return Ok((self.evidence.checkpoint().await?.into_bytes(), false));
        }
        let tile = path.strip_prefix("tile/").and_then(TilePath::parse);
        let tile = self.evidence.tile(tile.ok_or(RecordRefused::NotFound)?).await?;
        // What is in a log stays as it is, in partial tiles too.
        tile.map(|bytes| (bytes, true)).ok_or(RecordRefused::NotFound)
    }
}

/// Recordings.
pub(in crate::app) struct RecordingDoor {
    pub(in crate::app) store: Arc<Store>,
    pub(in crate::app) evidence: Evidence,
    pub(in crate::app) recorder: Recorder,
    pub(in crate::app) vault: Arc<dyn Vault>,
    pub(in crate::app) keys: Arc<dyn KeyVault>,
}

#[async_trait]
impl Recordings for RecordingDoor {
    async fn view(&self, session: &Session) -> Result<RecordingView, RecordRefused> {
        let (tenant, id) = (session.tenant_id, session.id);
        let tracks = self.store.tracks(tenant, id).await?;
        let playables = self.store.playables(tenant, id).await?;
        let log = EvidenceRepository::log(&*self.store, tenant, id).await?;
        let closed = log.is_some_and(|log| log.closed_seq.is_some());
        let state =
            if closed && playables.is_empty() && !self.anything_taken(tenant, id, &tracks).await? {
                "none"
            } else {
                state_of(session, &tracks, &playables, closed)
            };
        let pending_tracks = self.recorder.pending_tracks(tenant, id);
        let files = playables.into_iter().map(|file| with_track(file, &tracks)).collect();
        Ok(RecordingView { state, pending_tracks, files })
    }

    async fn file(
        &self,
        tenant: TenantId,
        session: SessionId,
        file: PlayableId,
    ) -> Result<Playable, RecordRefused> {
        let playables = self.store.playables(tenant, session).await?;
        let found = playables.into_iter().find(|found| found.id == file);
        let found = found.ok_or(RecordRefused::NotFound)?;
        match found.state {
            PlayableState::Ready => Ok(found),
            PlayableState::Erased => Err(RecordRefused::Erased),
            PlayableState::Waiting | PlayableState::Building | PlayableState::Failed => {
                Err(RecordRefused::NotFound)
            }
        }
    }

    async fn read(
        &self,
        tenant: TenantId,
        session: SessionId,
        file: &Playable,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RecordRefused> {
        let (vault, keys) = (self.vault.clone(), &*self.keys);
        let reader = PlayableReader::open(vault, keys, tenant, session, file).await;
        let reader = reader.map_err(unavailable)?;
        Ok(reader.read(range).map(|bytes| bytes.map_err(std::io::Error::other)).boxed())
    }

    async fn timeline(&self, tenant: TenantId, session: SessionId) -> Result<Value, RecordRefused> {
        let history = History::new(self.store.clone(), self.store.clone());
        let line = history.timeline(tenant, session).await?;
        let first = line.items.iter().map(|item| item.from).min();
        let last = line.items.iter().map(|item| item.to.unwrap_or(item.from)).max();
        let text = |moment: Timestamp| moment.to_string();
        let items: Vec<Value> = line.items.iter().map(item_json).collect();
        Ok(json!({"from": first.map(text), "to": last.map(text), "items": items}))
    }

    async fn enter_access(
        &self,
        tenant: TenantId,
        session: SessionId,
        access: Access<'_>,
    ) -> Result<(), RecordRefused> {
        let event = json!({
            "type": access.what,
            "at": access.at.to_string(),
            "user_id": access.user.as_str(),
            "file": access.file.map(|file| file.to_string()),
        });
        self.evidence.note(tenant, session, EventKind::RecordingAccess, event.to_string()).await?;
        Ok(())
    }
}

impl RecordingDoor {
    /// Whether there is anything of these tracks: on a full disk there is not.
    async fn anything_taken(
        &self,
        tenant: TenantId,
        session: SessionId,
        tracks: &[RecordedTrack],
    ) -> Result<bool, RecordRefused> {
        for track in tracks {
            if self.store.last_segment(tenant, session, track.id).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn item_json(item: &Item) -> Value {
    json!({
        "kind": item.kind.as_str(),
        "from": item.from.to_string(),
        "to": item.to.map(|moment| moment.to_string()),
        "user_id": item.user.as_ref().map(UserId::as_str),
        "name": item.name,
        "text": item.text,
        "track": item.track.map(|track| track.to_string()),
    })
}

/// What a combined picture is drawn by.
pub(super) struct StoredTimeline {
    history: History,
}

impl StoredTimeline {
    pub(super) const fn new(history: History) -> Self {
        Self { history }
    }
}

#[async_trait]
impl TimelineSource for StoredTimeline {
    async fn timeline(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<MeetingTimeline, String> {
        let line = match self.history.timeline(tenant, session).await {
            Ok(line) => line,
            // The picture is then drawn by who has a camera.
            Err(HistoryError::NoLog | HistoryError::Erased) => Timeline::default(),
            Err(error) => return Err(error.to_string()),
        };
        let ms = |moment: Timestamp| u64::try_from(moment.unix_ms()).unwrap_or(0);
        let turns = line.items.iter().filter(|item| item.kind == ItemKind::Turn);
        let turns = turns.filter_map(|item| {
            Some(FloorTurn {
                user: item.user.clone()?,
                name: item.name.clone().unwrap_or_default(),
                from_ms: ms(item.from),
                // A turn that nobody ended lasts as long as there is a picture.
                to_ms: item.to.map_or(u64::MAX, ms),
            })
        });
        let speakers = line
            .heard
            .iter()
            .map(|heard| playable::Heard { at_ms: ms(heard.at), users: heard.users.clone() });
        Ok(MeetingTimeline { turns: turns.collect(), speakers: speakers.collect() })
    }
}

fn with_track(file: Playable, tracks: &[RecordedTrack]) -> RecordingFile {
    let track = match file.of {
        PlayableOf::Combined => None,
        PlayableOf::Track(id) => tracks.iter().find(|track| track.id == id).cloned(),
    };
    RecordingFile { file, track }
}

fn state_of(
    session: &Session,
    tracks: &[RecordedTrack],
    playables: &[Playable],
    closed: bool,
) -> &'static str {
    if tracks.is_empty() {
        return "none";
    }
    if tracks.iter().all(|track| track.wrapped_key.is_none()) {
        return "erased";
    }
    if !session.status.is_over() {
        return "recording";
    }
    let unfinished =
        |file: &Playable| matches!(file.state, PlayableState::Waiting | PlayableState::Building);
    match closed {
        false => "sealing",
        true if playables.is_empty() || playables.iter().any(unfinished) => "making",
        true => "ready",
    }
}
