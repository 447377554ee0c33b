//! The state that all logs of a process share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::domain::id::{SessionId, SessionKey};
use crate::evidence::cose::LogIdentity;
use crate::evidence::keys::{EvidenceKey, EvidenceKeys};
use crate::evidence::operator::OperatorLog;
use crate::evidence::ports::{EvidenceOptions, HeadNotice, RoomEventSource};
use crate::evidence::readers::Readers;
use crate::evidence::repository::{Append, EvidenceRepository, Hash};
use crate::evidence::requests::ScribeHandle;
use crate::vault::KeyVault;

/// Most logs that are remembered because their last write was refused; health says the same for one
/// as for many.
const REFUSED_MAX: usize = 1_024;

/// The parts and the state of [`crate::evidence::Evidence`].
pub(super) struct Shared {
    pub(super) repository: Arc<dyn EvidenceRepository>,
    pub(super) keys: Arc<dyn KeyVault>,
    pub(super) signing: Arc<EvidenceKeys>,
    pub(super) source: Arc<dyn RoomEventSource>,
    pub(super) clock: Clock,
    pub(super) options: EvidenceOptions,
    pub(super) heads: broadcast::Sender<HeadNotice>,
    pub(super) operator: OperatorLog,
    pub(super) readers: Readers,
    pub(super) counters: Counters,
    /// Logs whose last write the store refused for good.
    pub(super) refused: Mutex<BTreeSet<SessionId>>,
    pub(super) scribes: Mutex<BTreeMap<SessionKey, ScribeHandle>>,
    pub(super) stopping: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// Cancelled after the last scribe has ended.
    pub(super) sequencing_ends: CancellationToken,
    pub(super) sequencing: TaskTracker,
}

impl Shared {
    /// The issuer and subject of heads and receipts of a session's log that has no signed head
    /// yet.
    pub(super) fn identity(&self, session: SessionId) -> LogIdentity {
        identity_of(session, self.options.issuer.clone())
    }

    /// The store refused for good what was to be written to a log.
    pub(super) fn write_refused(&self, session: SessionId) {
        self.counters.refusals.fetch_add(1, Ordering::Relaxed);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < REFUSED_MAX {
            refused.insert(session);
        }
    }

    /// A log was written to.
    pub(super) fn written(&self, session: SessionId) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }

    /// Number of logs whose last write was refused for good.
    pub(super) fn refused_logs(&self) -> usize {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Starts no further scribes, and tells the running ones to end.
    pub(super) fn stop_scribes(&self) {
        let mut scribes = self.scribes.lock().unwrap_or_else(PoisonError::into_inner);
        self.stopping.cancel();
        self.tasks.close();
        scribes.clear();
    }

    /// Removes a scribe if it `is_quiet`; it must end then.
    pub(super) fn forget(&self, key: SessionKey, is_quiet: impl FnOnce() -> bool) -> bool {
        let mut scribes = self.scribes.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = is_quiet();
        if forgotten {
            scribes.remove(&key);
        }
        forgotten
    }

    /// The evidence key with this identifier, even if another process has just made it.
    pub(super) fn signing_key(&self, kid: &Hash) -> Option<Arc<EvidenceKey>> {
        self.signing.find(kid).or_else(|| {
            self.refresh_keys();
            self.signing.find(kid)
        })
    }

    /// Reads keys that other processes have made; returns whether that succeeded.
    pub(super) fn refresh_keys(&self) -> bool {
        let refreshed = self.signing.refresh();
        if let Err(error) = &refreshed {
            tracing::error!(%error, "the evidence keys can't be read");
        }
        refreshed.is_ok()
    }
}

/// The issuer and subject of heads and receipts of a session's log.
pub(super) fn identity_of(session: SessionId, issuer: String) -> LogIdentity {
    LogIdentity { issuer, subject: format!("urn:uuid:{session}") }
}

/// Names of the kinds of entries, by their number.
pub(super) const KINDS: [&str; 9] =
    ["genesis", "track", "segment", "event", "gap", "erasure", "key", "close", "rest"];

/// The counters of all logs.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Writes that the store refused for good.
    pub(super) refusals: AtomicU64,
    heads: AtomicU64,
    entries: [AtomicU64; KINDS.len()],
}

impl Counters {
    pub(super) fn head_signed(&self) {
        self.heads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn appended(&self, append: &Append) {
        for entry in &append.entries {
            // The kind is the third byte of every entry: a small integer after the head of the
            // array and the version.
            let kind = entry.bytes.get(2).copied().unwrap_or_default();
            if let Some(counter) = self.entries.get(usize::from(kind)) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        KINDS.into_iter().zip(self.entries.iter().map(count))
    }
}
