//! What the door needs of the rest of the house; `app` plugs it in.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::domain::error_code::ErrorCode;
use crate::domain::id::{PlayableId, SessionId, TenantId, UserId};
use crate::domain::participant::Principal;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::recorder::repository::{Playable, RecordedTrack};
use crate::telemetry::metrics::Reading;

/// Why the room refused a WHIP or WHEP client.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct MediaRefused {
    /// Stable code.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
}

/// A WHIP or WHEP client as a member of a room.
#[async_trait]
pub trait MediaMember: Send + Sync {
    /// Takes its first offer to publish; the answer.
    async fn publish(&self, offer: String) -> Result<String, MediaRefused>;

    /// Takes its first offer to receive; the answer.
    async fn play(&self, offer: String) -> Result<String, MediaRefused>;

    /// Takes new ICE credentials of the client (fragment, password); returns
    /// the server's.
    async fn restart_ice(
        &self,
        ufrag: String,
        password: String,
    ) -> Result<(String, String), MediaRefused>;

    /// Takes it out of the room. Nothing happens when it is out already.
    async fn leave(&self);

    /// Whether it is out of the room, for whatever reason.
    async fn is_gone(&self) -> bool;
}

/// Lets WHIP and WHEP clients into rooms, as participants like any other. The
/// door has checked the role and that the session is of the caller's tenant.
#[async_trait]
pub trait WhipRoom: Send + Sync {
    /// Lets somebody in.
    async fn join(
        &self,
        principal: &Principal,
        session: SessionId,
    ) -> Result<Arc<dyn MediaMember>, MediaRefused>;
}

/// What has to answer before this instance takes calls.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Each dependency and whether it answers.
    async fn check(&self) -> Vec<(&'static str, bool)>;
}

/// What is read at the moment of a scrape.
#[async_trait]
pub trait Gauges: Send + Sync {
    /// The readings, those of one name together.
    async fn read(&self) -> Vec<Reading>;
}

/// The record could not be reached, or what was asked of it is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordRefused {
    /// The session has no log, or the log has no such file.
    #[error("there is no such record")]
    NotFound,
    /// It was erased.
    #[error("the recording was erased")]
    Erased,
    /// What was asked for is not in the log, or not yet covered by a head.
    #[error("{0}")]
    OutOfRange(String),
    /// Not now.
    #[error("the record is unavailable: {0}")]
    Unavailable(String),
}

/// What a public proof is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProofWanted {
    /// Entries to prove, by `seq`.
    pub seqs: Vec<u64>,
    /// The size of a head that somebody holds.
    pub from_size: Option<u64>,
}

/// The public side of the log.
#[async_trait]
pub trait Proofs: Send + Sync {
    /// The public proof of a session, as `docs/EVIDENCE.md` has it.
    async fn proof(
        &self,
        session: &Session,
        wanted: ProofWanted,
    ) -> Result<serde_json::Value, RecordRefused>;

    /// The list of public keys.
    fn keys(&self) -> serde_json::Value;

    /// A file of the operator log by its path below `/evidence/log/`, as C2SP
    /// tlog-tiles names them, and whether it never changes.
    async fn log_file(&self, path: &str) -> Result<(Vec<u8>, bool), RecordRefused>;
}

/// A recording as people watch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingView {
    /// `none`, `recording`, `sealing`, `making`, `ready` or `erased`.
    pub state: &'static str,
    /// Tracks of which something is not in the vault and the log yet.
    pub pending_tracks: usize,
    /// Its playable files, the combined one first.
    pub files: Vec<RecordingFile>,
}

/// A playable file as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFile {
    /// The file.
    pub file: Playable,
    /// Whose track it is; `None` for the combined one.
    pub track: Option<RecordedTrack>,
}

/// A recording that is read.
#[async_trait]
pub trait Recordings: Send + Sync {
    /// What there is of a session's recording.
    async fn view(&self, session: &Session) -> Result<RecordingView, RecordRefused>;

    /// A playable file that is ready.
    async fn file(
        &self,
        tenant: TenantId,
        session: SessionId,
        file: PlayableId,
    ) -> Result<Playable, RecordRefused>;

    /// The bytes of a file in `range`, decrypted on the way, in constant memory.
    async fn read(
        &self,
        tenant: TenantId,
        session: SessionId,
        file: &Playable,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RecordRefused>;

    /// What happened when.
    async fn timeline(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<serde_json::Value, RecordRefused>;

    /// Enters into the log that somebody got or opened a recording; when it
    /// can't be entered, nobody gets anything.
    async fn enter_access(
        &self,
        tenant: TenantId,
        session: SessionId,
        access: Access<'_>,
    ) -> Result<(), RecordRefused>;
}

/// Somebody reaches for a recording.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Who.
    pub user: &'a UserId,
    /// What they did: `addresses_given` or `file_opened`.
    pub what: &'static str,
    /// Which file; `None` for all.
    pub file: Option<PlayableId>,
    /// When.
    pub at: Timestamp,
}
