//! Implements custody's access to the logs with the evidence module.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::custody::{CustodyLog, CustodyLogError};
use crate::domain::claim::Fence;
use crate::domain::id::SessionKey;
use crate::domain::store_error::StoreError;
use crate::evidence::repository::{EvidenceRepository, Hash};
use crate::evidence::{EventKind, Evidence, EvidenceError, LogStatus, ProofQuery};

/// Interval at which the store is checked for a head that another process may sign.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long to wait for a head: several times as long as signing one may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// Writes and proves logs of sessions for custody.
#[derive(Clone)]
pub struct EvidenceLog {
    evidence: Evidence,
    repository: Arc<dyn EvidenceRepository>,
}

impl EvidenceLog {
    /// Makes the access to logs of `evidence` that are stored in `repository`.
    #[must_use]
    pub fn new(evidence: Evidence, repository: Arc<dyn EvidenceRepository>) -> Self {
        Self { evidence, repository }
    }

    /// Waits until a head covers every entry that the log has now. Another process may sign it, so
    /// the store is checked too.
    async fn covered(&self, key: SessionKey) -> Result<(), CustodyLogError> {
        let unavailable = |error: StoreError| CustodyLogError::Unavailable(error.to_string());
        let log = self.repository.log(key).await.map_err(unavailable)?;
        let size = log.map_or(0, |log| log.size);
        let seen = async {
            loop {
                let head = self.repository.latest_head(key).await.map_err(unavailable)?;
                if head.is_some_and(|head| head.tree_size >= size) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let late = || CustodyLogError::Unavailable("no head covers the log yet".to_owned());
        tokio::time::timeout(HEAD_PATIENCE, seen).await.map_err(|_| late())?
    }
}

impl fmt::Debug for EvidenceLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EvidenceLog")
    }
}

impl From<EvidenceError> for CustodyLogError {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Unavailable(_) | EvidenceError::Stopping => {
                Self::Unavailable(error.to_string())
            }
            EvidenceError::Fenced => Self::Fenced,
            error => Self::Refused(error.to_string()),
        }
    }
}

#[async_trait]
impl CustodyLog for EvidenceLog {
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn CustodyLog> {
        Arc::new(Self::new(self.evidence.fenced(fence), Arc::clone(&self.repository)))
    }

    async fn erase(
        &self,
        key: SessionKey,
        target_seq: u64,
        reason: u32,
        wrapped_key_hash: Hash,
    ) -> Result<u64, CustodyLogError> {
        let erased = self.evidence.erase(key, target_seq, reason, wrapped_key_hash).await;
        Ok(erased?)
    }

    async fn note(
        &self,
        key: SessionKey,
        kind: EventKind,
        text: String,
    ) -> Result<u64, CustodyLogError> {
        Ok(self.evidence.note(key, kind, text).await?)
    }

    async fn proof(&self, key: SessionKey, seqs: &[u64]) -> Result<Value, CustodyLogError> {
        self.covered(key).await?;
        let query = ProofQuery { seqs: seqs.to_vec(), from_size: None };
        let proof = self.evidence.proof(key, LogStatus::Interrupted, &query).await?;
        serde_json::to_value(proof).map_err(|error| CustodyLogError::Refused(error.to_string()))
    }

    async fn published_keys(&self, issuer: &str) -> Result<Value, CustodyLogError> {
        Ok(self.evidence.published_keys(Some(issuer)).await?)
    }
}
