//! Settles the recording of a session that is over: its last segments are stored in the vault and
//! entered in the log, the log is closed, the time of its erasure is stored, and its playable files
//! are made.
//!
//! The instance with the claim on the recording does this. Recordings left by an instance that no
//! longer runs are found and settled by another one.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::RwLock;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::claims::{Claim, ClaimError, Claims, LeaseTimes};
use crate::clock::Clock;
use crate::domain::backoff::Backoff;
use crate::domain::claim::Work;
use crate::domain::id::SessionId;
use crate::domain::quorum::{AttendanceRules, QuorumRule};
use crate::domain::recording::RecordingState;
use crate::domain::session::{Session, SessionStatus};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::evidence::repository::EvidenceRepository;
use crate::evidence::{EventKind, Evidence, EvidenceError};
use crate::playable::{PlayableError, Playables};
use crate::recorder::repository::RecordingRepository;
use crate::recorder::{Recorder, RecorderError};
use crate::sessions::{ChangeId, NotTold, SessionRepository};

/// The reason for closing a log: the session ended (`docs/EVIDENCE.md` §Entries).
const ENDED: u32 = 1;
const CANCELLED: u32 = 2;
const INTERRUPTED: u32 = 3;
/// Time between two attempts to settle a recording; doubles up to `RETRY_MAX`.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(5);
/// How often recordings that another instance has left are looked for. Raising it makes the
/// recordings of an instance that was killed wait longer.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Session states in one log that are searched for a state that was entered before. A session has
/// more only after as many changes of its policy.
const STATES_MAX: u32 = 10_000;
const DAY: Duration = Duration::from_hours(24);

/// The other parts that settling uses.
pub struct SettlementParts {
    /// The sessions and their ends.
    pub sessions: Arc<dyn SessionRepository>,
    /// Logs of sessions.
    pub logs: Arc<dyn EvidenceRepository>,
    /// Tracks, segments and files of sessions.
    pub recordings: Arc<dyn RecordingRepository>,
    /// Writes logs.
    pub evidence: Evidence,
    /// Records tracks.
    pub recorder: Recorder,
    /// Makes playable files.
    pub playables: Playables,
    /// The claims by which this process owns recordings.
    pub claims: Claims,
    /// The wall clock.
    pub clock: Clock,
}

/// Why a recording is not settled yet.
#[derive(Debug, thiserror::Error)]
pub enum SettlementError {
    /// Another instance has the claim, or the claim could not be read or taken.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Sessions, logs or recordings could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log could not be closed.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The recorder could not finish.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    /// Files could not be planned.
    #[error(transparent)]
    Playables(#[from] PlayableError),
}

/// Settles recordings. Clones share the same state.
#[derive(Clone)]
pub struct Settlement(Arc<Inner>);

struct Inner {
    sessions: Arc<dyn SessionRepository>,
    logs: Arc<dyn EvidenceRepository>,
    recordings: Arc<dyn RecordingRepository>,
    evidence: Evidence,
    recorder: Recorder,
    /// `None` after shutdown.
    playables: RwLock<Option<Playables>>,
    claims: Claims,
    clock: Clock,
    /// Sessions that are being settled.
    going_on: Mutex<BTreeSet<SessionId>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// How the end of a session was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// This process was told that it ended, or recorded it until it ended.
    Seen,
    /// The instance that recorded it no longer runs.
    Found,
}

impl Settlement {
    /// Makes a settlement that uses these parts.
    #[must_use]
    pub fn new(parts: SettlementParts) -> Self {
        Self(Arc::new(Inner {
            sessions: parts.sessions,
            logs: parts.logs,
            recordings: parts.recordings,
            evidence: parts.evidence,
            recorder: parts.recorder,
            playables: RwLock::new(Some(parts.playables)),
            claims: parts.claims,
            clock: parts.clock,
            going_on: Mutex::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }))
    }

    /// Begins the log of a session that has started.
    ///
    /// # Errors
    /// When the call must be repeated later.
    pub async fn session_started(&self, session: &Session) -> Result<(), NotTold> {
        let opened = self.0.evidence.open(session.key(), &policy_of(session)).await;
        opened.map_err(not_told)?;
        self.note_state(session, "session_started").await
    }

    /// Enters in the log that the terms of a running session were changed.
    ///
    /// # Errors
    /// When the call must be repeated later.
    pub async fn session_changed(&self, session: &Session) -> Result<(), NotTold> {
        // The log begins when the session starts.
        if session.status == SessionStatus::Active {
            self.note_state(session, "session_changed").await?;
        }
        Ok(())
    }

    /// Enters in the log that a session has ended, and settles its recording in the background.
    /// Must be called after the room has told its members, so that its last events are
    /// stored.
    ///
    /// # Errors
    /// When the call must be repeated later.
    pub async fn session_ended(&self, session: &Session) -> Result<(), NotTold> {
        let what = match session.status {
            SessionStatus::Cancelled => "session_cancelled",
            _ => "session_ended",
        };
        // A session that was cancelled before it started has no log.
        if session.started_at.is_some() {
            self.note_state(session, what).await?;
            self.settle(session.clone(), Ending::Seen);
        }
        Ok(())
    }

    /// Settles recordings that earlier processes and other instances have left, now and at regular
    /// intervals. Must be called once.
    ///
    /// # Errors
    /// When the store can't be read now.
    pub async fn start(&self) -> Result<(), SettlementError> {
        self.look(Duration::ZERO).await?;
        let (settlement, stopping) = (self.clone(), self.0.stopping.clone());
        self.0.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
                // The instance that ended a session has this long to claim it.
                if let Err(error) = settlement.look(LeaseTimes::default().length).await {
                    tracing::warn!(%error, "unsettled recordings could not be looked for");
                }
            }
        });
        Ok(())
    }

    /// Stops. Recordings that are not settled are settled after the next start. Also shuts down the
    /// recorder and the maker of playable files.
    pub async fn shutdown(&self) {
        let Inner { recorder, playables, tasks, stopping, .. } = &*self.0;
        stopping.cancel();
        tasks.close();
        let playables = playables.write().await.take();
        if let Some(playables) = playables {
            playables.shutdown().await;
        }
        recorder.shutdown().await;
        tasks.wait().await;
    }

    /// Settles tracks and logs on which no other instance has a claim. A session that ended less
    /// than `grace` ago is left to the instance that ended it.
    async fn look(&self, grace: Duration) -> Result<(), SettlementError> {
        let Inner { sessions, logs, recorder, claims, clock, .. } = &*self.0;
        recorder.take_over().await?;
        let unclosed = logs.unclosed().await?;
        if unclosed.is_empty() {
            return Ok(());
        }
        let others = claims.taken_by_others(Work::Recording).await?;
        for key in unclosed.into_iter().filter(|key| !others.contains(&key.session)) {
            let Some(session) = sessions.find(key).await? else { continue };
            if !session.status.is_over() {
                continue;
            }
            // Its room has to store its last events before the log is closed.
            let change =
                ChangeId { tenant: key.tenant, session: key.session, version: session.version };
            if sessions.untold_event(change).await?.is_some() {
                continue;
            }
            if recorder.records(key).await {
                self.settle(session, Ending::Seen);
            } else if session.ended_at.is_none_or(|ended| clock.now().since(ended) >= grace) {
                self.settle(session, Ending::Found);
            }
        }
        Ok(())
    }

    /// Enters a state of a session in its log, once for each version.
    async fn note_state(&self, session: &Session, what: &str) -> Result<(), NotTold> {
        let Inner { logs, evidence, clock, .. } = &*self.0;
        let (key, kind) = (session.key(), EventKind::SessionState);
        let noted = logs.events(key, &[kind], 0, STATES_MAX).await.map_err(not_told)?;
        if noted.iter().any(|event| version_of(&event.text) == Some(session.version)) {
            return Ok(());
        }
        let at = clock.now().to_string();
        let event = json!({"type": what, "at": at, "version": session.version});
        match evidence.note(key, kind, event.to_string()).await {
            Ok(_) => Ok(()),
            // Such a log accepts no session states any more.
            Err(error @ (EvidenceError::Closed | EvidenceError::Erased | EvidenceError::NoLog)) => {
                tracing::error!(session = %session.id, %error, "a state of the session can't be entered in its log");
                Ok(())
            }
            Err(error) => Err(not_told(error)),
        }
    }

    /// Settles a recording in the background, and tries again for as long as it takes.
    fn settle(&self, session: Session, ending: Ending) {
        let id = session.id;
        if !self.going_on().insert(id) {
            return;
        }
        let (settlement, stopping) = (self.clone(), self.0.stopping.clone());
        self.0.tasks.spawn(async move {
            let settled = settlement.settle_surely(&session, ending);
            if stopping.run_until_cancelled(settled).await.is_none() {
                tracing::info!(session = %id, "the recording is settled at the next start");
            }
            settlement.going_on().remove(&id);
        });
    }

    fn going_on(&self) -> std::sync::MutexGuard<'_, BTreeSet<SessionId>> {
        self.0.going_on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn settle_surely(&self, session: &Session, ending: Ending) {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        while let Err(error) = self.try_settle(session, ending).await {
            if matches!(error, SettlementError::Claim(ClaimError::Taken)) {
                // The instance that has the claim finds that the session is over and
                // settles it, or its lease runs out and `look` finds the session here.
                tracing::info!(session = %session.id, "another instance settles this recording");
                return;
            }
            tracing::warn!(session = %session.id, %error, "the recording is not settled yet");
            tokio::time::sleep(backoff.next(rand::random())).await;
        }
    }

    async fn try_settle(&self, session: &Session, ending: Ending) -> Result<(), SettlementError> {
        let key = session.key();
        let claim = self.0.claims.share(key, Work::Recording).await?;
        let outcome = self.settle_claimed(session, ending, &claim).await;
        claim.release().await;
        outcome
    }

    /// Every step can be repeated. Except for making files, closing the log is the last step, since
    /// closed logs are not looked for.
    async fn settle_claimed(
        &self,
        session: &Session,
        ending: Ending,
        claim: &Claim,
    ) -> Result<(), SettlementError> {
        let Inner { logs, recordings, evidence, recorder, playables, clock, .. } = &*self.0;
        let (key, fence) = (session.key(), claim.fence());
        recorder.take_over().await?;
        recorder.set_state(key, RecordingState::Stopped).await;
        let tails = recorder.finish(key).await?;
        let Some(log) = logs.log(key).await? else { return Ok(()) };
        let ended_at = session.ended_at.unwrap_or_else(|| clock.now());
        let recordings = Arc::clone(recordings).fenced(fence);
        recordings.put_retention(key, erased_after(session, ended_at)).await?;
        let playables = playables.read().await;
        let playables = playables.as_ref().filter(|_| !tails.is_empty());
        if let Some(playables) = playables {
            playables.plan(key, fence).await?;
        }
        if log.closed_seq.is_none() {
            let reason = match ending {
                Ending::Found => INTERRUPTED,
                Ending::Seen if session.status == SessionStatus::Cancelled => CANCELLED,
                Ending::Seen => ENDED,
            };
            evidence.fenced(fence).close(key, tails, reason).await?;
        }
        if let Some(playables) = playables {
            playables.make(key);
        }
        Ok(())
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settlement")
    }
}

fn not_told(error: impl fmt::Display) -> NotTold {
    NotTold(error.to_string())
}

/// The version of the session in the text of an entered state.
fn version_of(text: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(text).ok()?.get("version")?.as_u64()
}

/// When a session's recording must be erased.
fn erased_after(session: &Session, ended_at: Timestamp) -> Timestamp {
    ended_at.after(DAY.saturating_mul(session.recording.retention_days))
}

/// The policy with which a log begins: what is recorded and how long it is kept, without personal
/// data.
#[must_use]
pub fn policy_of(session: &Session) -> String {
    json!({
        "v": 1,
        "modality": session.modality.as_str(),
        "moderation": session.moderation.as_str(),
        "recording": {
            "enabled": session.recording.enabled,
            "retention_days": session.recording.retention_days,
        },
        "transcription": {"enabled": session.transcription.enabled},
        "attendance": attendance_policy(&session.attendance),
    })
    .to_string()
}

fn attendance_policy(rules: &AttendanceRules) -> serde_json::Value {
    let rule = |rule: &QuorumRule| {
        json!({
            "heads": rule.heads.map(|share| share.to_string()),
            "weight": rule.weight.map(|share| share.to_string()),
            "comparison": rule.comparison.as_str(),
        })
    };
    json!({
        "admission": rules.admission.as_str(),
        "delegated_units_max": rules.delegated_units_max,
        "first_call": rule(&rules.quorum.first),
        "second_call": rules.quorum.second.as_ref().map(rule),
    })
}
