//! A recording from the start of its session to the files that people watch.
//! Every step can be repeated: what a crash leaves undone, the next start does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::base64_text;
use crate::api::SessionObserver;
use crate::clock::Clock;
use crate::domain::recording::RecordingState;
use crate::domain::session::{Session, SessionStatus};
use crate::domain::time::Timestamp;
use crate::evidence::Evidence;
use crate::evidence::repository::EvidenceRepository as _;
use crate::playable::Playables;
use crate::recorder::Recorder;
use crate::recorder::repository::RecordingRepository as _;
use crate::room::Rooms;
use crate::room::ports::EvidenceHead;
use crate::sessions::SessionRepository as _;
use crate::store::Store;

/// Kind of events about the state of a session (`docs/EVIDENCE.md` §Entries).
const SESSION_STATE: u32 = 2;
/// Why a log is closed, likewise.
const ENDED: u32 = 1;
const CANCELLED: u32 = 2;
const INTERRUPTED: u32 = 3;
/// Between two attempts to settle a recording; doubles up to the longest.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(5);
const DAY: Duration = Duration::from_hours(24);

/// What the record does around sessions. Clones share it.
#[derive(Clone)]
pub(in crate::app) struct Records {
    parts: Arc<Parts>,
}

struct Parts {
    store: Store,
    evidence: Evidence,
    recorder: Recorder,
    /// `None` once it was shut down.
    playables: RwLock<Option<Playables>>,
    clock: Clock,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// How a session came to its end here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// This process saw it end.
    Seen,
    /// It was over when this process started.
    Found,
}

impl Records {
    pub(in crate::app) fn new(
        store: Store,
        evidence: Evidence,
        recorder: Recorder,
        playables: Playables,
        clock: Clock,
    ) -> Self {
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let playables = RwLock::new(Some(playables));
        let parts = Parts { store, evidence, recorder, playables, clock, tasks, stopping };
        Self { parts: Arc::new(parts) }
    }

    /// Begins a session's log.
    async fn started(&self, session: &Session) {
        let Parts { evidence, .. } = &*self.parts;
        if let Err(error) = evidence.open(session.tenant_id, session.id, &policy_of(session)).await
        {
            tracing::error!(session = %session.id, %error, "the log is not open");
            return;
        }
        self.note_state(session, "session_started").await;
    }

    async fn note_state(&self, session: &Session, what: &str) {
        let at = self.parts.clock.now().to_string();
        let event = json!({"type": what, "at": at, "version": session.version});
        let (tenant, id) = (session.tenant_id, session.id);
        let noted = self.parts.evidence.note(tenant, id, SESSION_STATE, event.to_string()).await;
        if let Err(error) = noted {
            tracing::error!(session = %id, %error, "the state of the session is not in the log");
        }
    }

    /// Brings the record of a session that is over to its end, however long
    /// the vault is away.
    fn settle(&self, session: Session, ending: Ending) {
        let records = self.clone();
        let stopping = self.parts.stopping.clone();
        self.parts.tasks.spawn(async move {
            let id = session.id;
            tokio::select! {
                () = stopping.cancelled() => tracing::info!(session = %id, "settled later"),
                () = records.settle_surely(session, ending) => {}
            }
        });
    }

    async fn settle_surely(&self, session: Session, ending: Ending) {
        let mut pause = RETRY_MIN;
        while let Err(error) = self.try_settle(&session, ending).await {
            tracing::warn!(session = %session.id, %error, "the recording is not settled yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    async fn try_settle(&self, session: &Session, ending: Ending) -> anyhow::Result<()> {
        let Parts { store, evidence, recorder, playables, clock, .. } = &*self.parts;
        let (tenant, id) = (session.tenant_id, session.id);
        recorder.set_state(tenant, id, RecordingState::Stopped).await;
        let tails = recorder.finish(tenant, id).await?;
        let Some(log) = store.log(tenant, id).await? else { return Ok(()) };
        if log.closed_seq.is_none() {
            let cancelled = session.status == SessionStatus::Cancelled;
            let reason = match ending {
                Ending::Found => INTERRUPTED,
                Ending::Seen if cancelled => CANCELLED,
                Ending::Seen => ENDED,
            };
            evidence.close(tenant, id, tails.clone(), reason).await?;
        }
        let ended_at = session.ended_at.unwrap_or_else(|| clock.now());
        store.put_retention(tenant, id, erased_after(session, ended_at)).await?;
        if let Some(playables) = &*playables.read().await
            && !tails.is_empty()
        {
            playables.request(tenant, id).await?;
        }
        Ok(())
    }

    /// Takes up what an earlier process left.
    pub(in crate::app) async fn recover(&self) -> anyhow::Result<()> {
        let unclosed = self.parts.store.unclosed().await?;
        for (tenant, id) in unclosed {
            let Some(session) = self.parts.store.find(tenant, id).await? else { continue };
            if session.status.is_over() {
                self.settle(session, Ending::Found);
            }
        }
        Ok(())
    }

    /// Tells rooms of every head that is signed.
    pub(in crate::app) fn tell_heads(&self, rooms: Rooms) {
        let (evidence, stopping) = (self.parts.evidence.clone(), self.parts.stopping.clone());
        let mut heads = evidence.heads();
        self.parts.tasks.spawn(async move {
            loop {
                let notice = tokio::select! {
                    () = stopping.cancelled() => return,
                    notice = heads.recv() => notice,
                };
                match notice {
                    Ok(notice) => {
                        let head = EvidenceHead {
                            tree_size: notice.head.tree_size,
                            root: base64_text(&notice.head.root),
                            cose: base64_text(&notice.head.cose),
                            at: notice.head.at,
                        };
                        rooms.evidence_head(notice.session, head).await;
                    }
                    // A later head covers what the missed ones did.
                    Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                }
            }
        });
    }

    /// Seals what is open and lets go of what waits.
    pub(in crate::app) async fn shutdown(&self) {
        let Parts { recorder, playables, tasks, stopping, .. } = &*self.parts;
        stopping.cancel();
        tasks.close();
        let playables = playables.write().await.take();
        if let Some(playables) = playables {
            playables.shutdown().await;
        }
        recorder.shutdown().await;
        tasks.wait().await;
    }
}

/// When a session's recording is to be erased.
fn erased_after(session: &Session, ended_at: Timestamp) -> Timestamp {
    ended_at.after(DAY.saturating_mul(session.recording.retention_days))
}

/// The policy a log begins with: what is recorded and for how long it is kept,
/// and nothing personal.
pub(super) fn policy_of(session: &Session) -> String {
    json!({
        "v": 1,
        "modality": session.modality.as_str(),
        "moderation": session.moderation.as_str(),
        "recording": {
            "enabled": session.recording.enabled,
            "retention_days": session.recording.retention_days,
        },
        "transcription": {"enabled": session.transcription.enabled},
    })
    .to_string()
}

/// Tells the record what becomes of sessions.
pub(in crate::app) struct RecordsObserver {
    records: Records,
}

impl RecordsObserver {
    pub(in crate::app) const fn new(records: Records) -> Self {
        Self { records }
    }
}

#[async_trait]
impl SessionObserver for RecordsObserver {
    async fn session_started(&self, session: &Session) {
        self.records.started(session).await;
    }

    async fn session_changed(&self, session: &Session) {
        // A log begins when its session does.
        if session.status == SessionStatus::Active {
            self.records.note_state(session, "session_changed").await;
        }
    }

    /// Called after the room has told its members, so that what it told is in
    /// its journal.
    async fn session_ended(&self, session: &Session) {
        let what = match session.status {
            SessionStatus::Cancelled => "session_cancelled",
            _ => "session_ended",
        };
        // One that was cancelled before it started has no log.
        if session.started_at.is_some() {
            self.records.note_state(session, what).await;
            self.records.settle(session.clone(), Ending::Seen);
        }
    }
}
