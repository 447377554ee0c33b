//! What the recorder writes down goes into the session's log.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::clock::Clock;
use crate::domain::claim::Fence;
use crate::domain::id::SessionKey;
use crate::domain::store_error::StoreError;
use crate::evidence::media::{MediaEntry, Rest};
use crate::evidence::repository::EvidenceRepository;
use crate::evidence::{Body, Entry, EventKind, Evidence, EvidenceError};
use crate::recorder::{RecorderLog, RecorderLogError};

/// Entries looked through for a gap or rest that may have been logged. It is looked
/// for right after it was sent, so that it is among the last ones.
const GAP_LOOKED_FOR: u64 = 4_096;

/// What the recorder writes down goes into the log.
#[derive(Clone)]
pub struct EvidenceLog {
    evidence: Evidence,
    repository: Arc<dyn EvidenceRepository>,
    clock: Clock,
}

impl EvidenceLog {
    /// The logs of `evidence`, which are kept in `repository`.
    #[must_use]
    pub fn new(evidence: Evidence, repository: Arc<dyn EvidenceRepository>, clock: Clock) -> Self {
        Self { evidence, repository, clock }
    }
}

impl fmt::Debug for EvidenceLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EvidenceLog")
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
impl RecorderLog for EvidenceLog {
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn RecorderLog> {
        let Self { evidence, repository, clock } = &*self;
        Arc::new(Self::new(evidence.fenced(fence), Arc::clone(repository), clock.clone()))
    }

    async fn append(&self, key: SessionKey, entry: MediaEntry) -> Result<u64, RecorderLogError> {
        self.evidence.append_media(key, entry).await.map_err(|error| match error {
            // A key that is missing may be put back, and without it the log can't be closed either.
            EvidenceError::Unavailable(_) | EvidenceError::Stopping | EvidenceError::KeyMissing => {
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
        key: SessionKey,
        entry: &MediaEntry,
    ) -> Result<Option<u64>, RecorderLogError> {
        if matches!(entry, MediaEntry::Track { .. } | MediaEntry::Segment { .. }) {
            return Ok(None);
        }
        let unavailable = |error: StoreError| RecorderLogError::Unavailable(error.to_string());
        let Some(log) = self.repository.log(key).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let from = log.size.saturating_sub(GAP_LOOKED_FOR);
        let limit = u32::try_from(GAP_LOOKED_FOR).unwrap_or(u32::MAX);
        let entries = self.repository.entries(key, from, limit).await.map_err(unavailable)?;
        let is_it = |bytes: &[u8]| Entry::read(bytes).is_some_and(|it| is_wanted(&it.body, entry));
        Ok(entries.iter().rev().find(|it| is_it(&it.bytes)).map(|it| it.seq))
    }

    async fn failed(&self, key: SessionKey, text: String) {
        let event =
            json!({"type": "recorder_failed", "at": self.clock.now().to_string(), "text": text});
        let noted = self.evidence.note(key, EventKind::Failure, event.to_string()).await;
        if let Err(error) = noted {
            tracing::error!(session = %key.session, %error, "a failure of the recorder is not in the log");
        }
    }
}
