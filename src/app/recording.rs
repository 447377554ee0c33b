//! Recording: the recorder, playable files, settling and custody.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;

use super::base::Base;
use super::foundation::{Foundation, custody_of};
use super::media::Media;
use crate::api::MetricsSource;
use crate::custody::{CustodyTask, Settlement, SettlementParts};
use crate::domain::id::{SessionKey, TrackId};
use crate::domain::participant::ParticipantKind;
use crate::domain::recording::RecordingState;
use crate::domain::session::Session;
use crate::history::History;
use crate::playable::{
    Library, LibraryParts, PART_BYTES, Playables, PlayablesOptions, PlayablesParts,
};
use crate::recorder::{self, EvidenceLog, Recorder, RecorderOptions, RecorderParts};
use crate::room::ports::{RoomTrack, TrackListener};
use crate::sessions::{NotTold, SessionObserver};
use crate::vault::{VaultState, VaultWatch};

/// Bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;

/// The running parts that record sessions.
pub(super) struct Recording {
    recorder: Recorder,
    settlement: Settlement,
    custody: CustodyTask,
    vault: VaultWatch,
    pub(super) history: History,
    pub(super) library: Library,
}

impl Recording {
    /// Starts all parts, and continues what an earlier process left unfinished.
    pub(super) async fn start(
        base: &Base,
        foundation: &Foundation,
        media: &Media,
    ) -> anyhow::Result<Self> {
        let vault =
            VaultWatch::start(foundation.vault.clone(), foundation.put_failures.clone()).await;
        let store = Arc::new(base.store.clone());
        let history = History::new(store.clone(), store.clone());
        let recorder = start_recorder(base, foundation, media).await?;
        let playables = start_playables(base, foundation, history.clone())?;
        let library = Library::new(LibraryParts {
            repository: store.clone(),
            recorder: recorder.clone(),
            reading: playables.reading(),
        });
        let settlement = Settlement::new(SettlementParts {
            sessions: store.clone(),
            logs: store.clone(),
            recordings: store,
            evidence: foundation.evidence.clone(),
            recorder: recorder.clone(),
            playables,
            claims: foundation.claims.clone(),
            clock: base.clock.clone(),
        });
        settlement.start().await?;
        let interval = base.config.recording.recorder.retention_interval_s;
        let custody = custody_of(&base.store, foundation, (&base.clock, base.ages.clock()));
        let custody = custody.start(Duration::from_secs(interval.into()));
        Ok(Self { recorder, settlement, custody, vault, history, library })
    }

    /// The recorder as a listener to the tracks of rooms.
    pub(super) fn listener(&self) -> Arc<dyn TrackListener> {
        Arc::new(RecorderListener { recorder: self.recorder.clone() })
    }

    pub(super) fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    pub(super) fn observer(&self) -> Arc<dyn SessionObserver> {
        Arc::new(SettlementObserver { settlement: self.settlement.clone() })
    }

    /// Whether recordings can be stored.
    pub(super) fn vault(&self) -> VaultState {
        self.vault.state()
    }

    pub(super) fn readings(&self) -> Arc<dyn MetricsSource> {
        Arc::new(self.recorder.clone())
    }

    /// Stops all parts; segments in progress are sealed.
    pub(super) async fn shutdown(self) {
        self.vault.shutdown().await;
        self.custody.shutdown().await;
        self.settlement.shutdown().await;
    }
}

#[async_trait]
impl MetricsSource for Recorder {
    async fn report(&self) {
        self.report_metrics();
    }
}

/// Starts the recorder.
async fn start_recorder(
    base: &Base,
    foundation: &Foundation,
    media: &Media,
) -> anyhow::Result<Recorder> {
    let recorder = &base.config.recording.recorder;
    let mut options = RecorderOptions::new(recorder.spool.clone());
    options.spool_free_bytes_min = u64::from(recorder.spool_free_mib_min) * MIB;
    options.spool_free_bytes_warn = u64::from(recorder.spool_free_mib_warn) * MIB;
    let (store, clock) = (Arc::new(base.store.clone()), base.clock.clone());
    let log = EvidenceLog::new(foundation.evidence.clone(), store.clone(), clock.clone());
    let parts = RecorderParts {
        media: Arc::new(media.sfu.clone()),
        vault: foundation.vault.clone(),
        keys: foundation.keys.clone(),
        repository: store,
        log: Arc::new(log),
        claims: foundation.claims.clone(),
        clock,
    };
    Recorder::start(parts, options).await.context("recorder.spool")
}

/// Starts making playable files.
///
/// # Errors
/// The working directory can't be read.
fn start_playables(
    base: &Base,
    foundation: &Foundation,
    history: History,
) -> anyhow::Result<Playables> {
    let recorder = &base.config.recording.recorder;
    let ffmpeg = recorder.ffmpeg.clone().or_else(|| on_path("ffmpeg"));
    // It is started in another directory. A name without one is searched in PATH.
    let is_name = |program: &PathBuf| program.components().count() == 1;
    let ffmpeg = match ffmpeg {
        Some(program) if !is_name(&program) => Some(std::path::absolute(program)?),
        named => named,
    };
    if ffmpeg.is_none() {
        tracing::warn!(
            "ffmpeg was not found, so no combined recordings are made, only files of single tracks"
        );
    }
    let parts = PlayablesParts {
        vault: foundation.vault.clone(),
        keys: foundation.keys.clone(),
        repository: Arc::new(base.store.clone()),
        timeline: Arc::new(history),
        claims: foundation.claims.clone(),
        clock: base.clock.clone(),
        damaged: foundation.damaged.clone(),
    };
    let scratch = recorder.spool.join("scratch");
    Ok(Playables::start(parts, PlayablesOptions { ffmpeg, scratch, part_bytes: PART_BYTES }))
}

/// Finds a program in PATH.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Passes the tracks and states of rooms to the recorder.
struct RecorderListener {
    recorder: Recorder,
}

#[async_trait]
impl TrackListener for RecorderListener {
    fn kind(&self) -> Option<ParticipantKind> {
        Some(ParticipantKind::Recorder)
    }

    async fn recording_changed(&self, key: SessionKey, state: RecordingState) {
        self.recorder.set_state(key, state).await;
    }

    async fn gates_decided(&self, key: SessionKey, decision: u64) {
        self.recorder.gates_decided(key, decision).await;
    }

    async fn track_published(&self, key: SessionKey, track: RoomTrack) {
        let RoomTrack { track, user, name, source, codec, .. } = track;
        let track = recorder::RoomTrack { track, user, name, source, codec };
        self.recorder.add_track(key, track).await;
    }

    async fn track_unpublished(&self, key: SessionKey, track: TrackId) {
        self.recorder.remove_track(key, track).await;
    }
}

/// Passes changes of sessions to the settling of recordings.
struct SettlementObserver {
    settlement: Settlement,
}

#[async_trait]
impl SessionObserver for SettlementObserver {
    async fn session_started(&self, session: &Session) -> Result<(), NotTold> {
        self.settlement.session_started(session).await
    }

    async fn session_changed(&self, session: &Session) -> Result<(), NotTold> {
        self.settlement.session_changed(session).await
    }

    async fn session_ended(&self, session: &Session) -> Result<(), NotTold> {
        self.settlement.session_ended(session).await
    }
}
