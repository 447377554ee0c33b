//! Rooms and the record: what rooms tell it, and what it reads of them.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::clock::Clock;
use crate::custody::policy_of;
use crate::domain::claim::Fence;
use crate::domain::id::{SessionId, TenantId, TrackId};
use crate::domain::participant::ParticipantKind;
use crate::domain::recording::RecordingState;
use crate::domain::session::Session;
use crate::evidence::media::{MediaEntry, Rest};
use crate::evidence::repository::{EvidenceRepository as _, EvidenceStoreError};
use crate::evidence::{
    Body, Entry, EventKind, Evidence, EvidenceError, RoomEvent, RoomEventSource,
};
use crate::recorder::{self, Recorder, RecorderLog, RecorderLogError};
use crate::room::journal::RoomJournal;
use crate::room::ports::{LostConnection, Refusal, RoomTrack, RoomWitness, TrackListener};
use crate::store::Store;

/// The journal of rooms, as the log reads it.
pub(super) struct JournalSource {
    store: Arc<Store>,
}

impl JournalSource {
    pub(super) const fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl RoomEventSource for JournalSource {
    async fn room_events(
        &self,
        tenant: TenantId,
        session: SessionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RoomEvent>, String> {
        let events = self.store.events_after(tenant, session, after, limit).await;
        let events = events.map_err(|error| error.to_string())?;
        Ok(events
            .into_iter()
            .map(|event| RoomEvent { seq: event.seq, text: event.payload })
            .collect())
    }
}

/// Entries looked through for a gap or rest that may have been logged. It is looked
/// for right after it was sent, so that it is among the last ones.
const GAP_LOOKED_FOR: u64 = 4_096;

/// What the recorder writes down goes into the log.
pub(super) struct MediaLog {
    evidence: Evidence,
    store: Store,
    clock: Clock,
}

impl MediaLog {
    pub(super) const fn new(evidence: Evidence, store: Store, clock: Clock) -> Self {
        Self { evidence, store, clock }
    }
}

/// Whether an entry of the log is the gap or rest that is looked for. The decision
/// that closed a gate is left out: the log knows it by another number.
fn is_wanted(body: &Body, wanted: &MediaEntry) -> bool {
    match (body, wanted) {
        (
            Body::Gap { track, from_ms, to_ms, reason },
            MediaEntry::Gap { track: its_track, from_ms: from, to_ms: to, reason: its_reason },
        ) => (track, from_ms, to_ms, reason) == (its_track, from, to, its_reason),
        (
            Body::Rest { track, from_ms, to_ms, gated, .. },
            MediaEntry::Rest { track: its_track, from_ms: from, to_ms: to, rest },
        ) => {
            let is_gated = matches!(rest, Rest::Gated { .. });
            (track, from_ms, to_ms, *gated) == (its_track, from, to, is_gated)
        }
        _ => false,
    }
}

#[async_trait]
impl RecorderLog for MediaLog {
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn RecorderLog> {
        let Self { evidence, store, clock } = &*self;
        Arc::new(Self::new(evidence.fenced(fence), store.clone(), clock.clone()))
    }

    async fn append(
        &self,
        tenant: TenantId,
        session: SessionId,
        entry: MediaEntry,
    ) -> Result<u64, RecorderLogError> {
        self.evidence.append_media(tenant, session, entry).await.map_err(|error| match error {
            EvidenceError::Unavailable(_) | EvidenceError::Stopping => {
                RecorderLogError::Unavailable(error.to_string())
            }
            EvidenceError::Fenced => RecorderLogError::Fenced,
            error => RecorderLogError::Refused(error.to_string()),
        })
    }

    /// Tracks and segments that the log has are recognised by it when they come
    /// again, so only gaps and rests are looked for.
    async fn find(
        &self,
        tenant: TenantId,
        session: SessionId,
        entry: &MediaEntry,
    ) -> Result<Option<u64>, RecorderLogError> {
        if matches!(entry, MediaEntry::Track { .. } | MediaEntry::Segment { .. }) {
            return Ok(None);
        }
        let unavailable =
            |error: EvidenceStoreError| RecorderLogError::Unavailable(error.to_string());
        let Some(log) = self.store.log(tenant, session).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let from = log.size.saturating_sub(GAP_LOOKED_FOR);
        let limit = u32::try_from(GAP_LOOKED_FOR).unwrap_or(u32::MAX);
        let entries =
            self.store.entries(tenant, session, from, limit).await.map_err(unavailable)?;
        let is_it = |bytes: &[u8]| Entry::read(bytes).is_some_and(|it| is_wanted(&it.body, entry));
        Ok(entries.iter().rev().find(|it| is_it(&it.bytes)).map(|it| it.seq))
    }

    async fn failed(&self, tenant: TenantId, session: SessionId, text: String) {
        let event =
            json!({"type": "recorder_failed", "at": self.clock.now().to_string(), "text": text});
        note(&self.evidence, tenant, session, EventKind::Failure, &event).await;
    }
}

async fn note(
    evidence: &Evidence,
    tenant: TenantId,
    session: SessionId,
    kind: EventKind,
    event: &serde_json::Value,
) {
    if let Err(error) = evidence.note(tenant, session, kind, event.to_string()).await {
        tracing::error!(%session, %kind, %error, "an event is not in the log");
    }
}

/// Records rooms.
pub(in crate::app) struct Recording {
    recorder: Recorder,
}

impl Recording {
    pub(in crate::app) const fn new(recorder: Recorder) -> Self {
        Self { recorder }
    }
}

#[async_trait]
impl TrackListener for Recording {
    fn kind(&self) -> ParticipantKind {
        ParticipantKind::Recorder
    }

    async fn recording_changed(&self, tenant: TenantId, session: SessionId, state: RecordingState) {
        self.recorder.set_state(tenant, session, state).await;
    }

    async fn gates_decided(&self, tenant: TenantId, session: SessionId, decision: u64) {
        self.recorder.gates_decided(tenant, session, decision).await;
    }

    async fn track_published(&self, tenant: TenantId, session: SessionId, track: RoomTrack) {
        let RoomTrack { track, user, name, source, codec } = track;
        let track = recorder::RoomTrack { track, user, name, source, codec };
        self.recorder.add_track(tenant, session, track).await;
    }

    async fn track_unpublished(&self, tenant: TenantId, session: SessionId, track: TrackId) {
        self.recorder.remove_track(tenant, session, track).await;
    }
}

/// Writes down what becomes of rooms.
pub(in crate::app) struct Witness {
    evidence: Evidence,
    clock: Clock,
}

impl Witness {
    pub(in crate::app) const fn new(evidence: Evidence, clock: Clock) -> Self {
        Self { evidence, clock }
    }
}

#[async_trait]
impl RoomWitness for Witness {
    async fn room_opened(&self, session: &Session) {
        let opened = self.evidence.open(session.tenant_id, session.id, &policy_of(session)).await;
        if let Err(error) = opened {
            tracing::error!(session = %session.id, %error, "the log is not open");
        }
    }

    fn events_kept(&self, tenant: TenantId, session: SessionId) {
        self.evidence.room_events_kept(tenant, session);
    }

    async fn refused(&self, tenant: TenantId, session: SessionId, refusal: Refusal) {
        let event = json!({
            "type": "join_refused",
            "at": self.clock.now().to_string(),
            "user_id": refusal.user.as_ref().map(crate::domain::id::UserId::as_str),
            "code": refusal.code.as_str(),
        });
        note(&self.evidence, tenant, session, EventKind::JoinRefused, &event).await;
    }

    fn connection_lost(&self, tenant: TenantId, session: SessionId, lost: LostConnection) {
        let event = json!({
            "type": "connection_lost",
            "at": self.clock.now().to_string(),
            "user_id": lost.user.as_str(),
            "part": lost.part.as_str(),
            "reason": lost.reason.as_str(),
        });
        let evidence = self.evidence.clone();
        tokio::spawn(async move {
            note(&evidence, tenant, session, EventKind::ConnectionLost, &event).await;
        });
    }
}
