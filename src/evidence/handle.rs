//! The handle by which other modules use the logs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::domain::claim::Fence;
use crate::domain::id::SessionKey;
use crate::evidence::EventKind;
use crate::evidence::engine::TEXT_BYTES_MAX;
use crate::evidence::error::EvidenceError;
use crate::evidence::keys::EvidenceKeys;
use crate::evidence::media::{MediaEntry, TrackTail};
use crate::evidence::operator::{OperatorLog, SEQUENCING_INTERVAL, TilePath};
use crate::evidence::operator_key::OperatorKey;
use crate::evidence::ports::{EvidenceOptions, HeadNotice, RoomEventSource};
use crate::evidence::public_proof::{
    EventDisclosure, LogStatus, ProofQuery, PublicProof, SubjectDisclosure,
};
use crate::evidence::readers::Readers;
use crate::evidence::repository::{EvidenceRepository, Hash, StoredHead};
use crate::evidence::requests::{Command, Request};
use crate::evidence::shared::{Counters, Shared};
use crate::vault::KeyVault;

/// Heads by which a listener may lag behind before it misses some.
const HEADS_LAG_MAX: usize = 1_024;
/// The other parts that evidence uses.
pub struct EvidenceParts {
    /// Where logs are stored.
    pub repository: Arc<dyn EvidenceRepository>,
    /// Wraps the keys from which salts are derived.
    pub keys: Arc<dyn KeyVault>,
    /// The keys that sign heads and receipts.
    pub signing: Arc<EvidenceKeys>,
    /// The key that signs checkpoints of the operator log.
    pub operator: Arc<OperatorKey>,
    /// The stored events of rooms.
    pub source: Arc<dyn RoomEventSource>,
    /// The wall clock.
    pub clock: Clock,
}

/// The logs of an installation. Clones share the same state. The second field is the claim that
/// every request of this handle names, when the caller is background work.
#[derive(Clone)]
pub struct Evidence(pub(super) Arc<Shared>, Option<Fence>);

impl Evidence {
    /// Starts the background tasks. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(parts: EvidenceParts, options: EvidenceOptions) -> Self {
        let operator =
            OperatorLog::new(Arc::clone(&parts.repository), parts.operator, options.origin.clone());
        let shared = Arc::new(Shared {
            repository: parts.repository,
            keys: parts.keys,
            signing: parts.signing,
            source: parts.source,
            clock: parts.clock,
            options,
            heads: broadcast::channel(HEADS_LAG_MAX).0,
            operator,
            readers: Readers::default(),
            counters: Counters::default(),
            refused: Mutex::default(),
            scribes: Mutex::new(BTreeMap::new()),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            sequencing_ends: CancellationToken::new(),
            sequencing: TaskTracker::new(),
        });
        shared.sequencing.spawn(sequence(Arc::clone(&shared)));
        Self(shared, None)
    }

    /// The same logs for the owner of a claim: a request through the returned handle fails with
    /// [`EvidenceError::Fenced`] once the work has another owner.
    #[must_use]
    pub fn fenced(&self, fence: Fence) -> Self {
        Self(Arc::clone(&self.0), Some(fence))
    }

    /// Begins the log of a session, unless it has one; an existing log keeps its policy.
    pub async fn open(&self, key: SessionKey, policy: &str) -> Result<(), EvidenceError> {
        is_short(policy)?;
        let request = Request::Open { policy: policy.to_owned() };
        self.ask(key, request).await.map(drop)?;
        self.room_events_kept(key);
        Ok(())
    }

    /// Reports that the room has stored new events. Its new events are added to the log soon, in
    /// order. Never waits.
    pub fn room_events_kept(&self, key: SessionKey) {
        self.0.nudge(key);
    }

    /// Adds an event that is not a decision of the room; returns its `seq`. The event is stored
    /// when this returns. A closed log accepts kinds from number 64 on.
    pub async fn note(
        &self,
        key: SessionKey,
        kind: EventKind,
        text: String,
    ) -> Result<u64, EvidenceError> {
        is_short(&text)?;
        self.ask(key, Request::Note { kind, text }).await
    }

    /// The texts of the first `limit` events of one kind, in order; none without a log.
    pub async fn texts(
        &self,
        key: SessionKey,
        kind: EventKind,
        limit: u32,
    ) -> Result<Vec<String>, EvidenceError> {
        let events = self.0.repository.events(key, &[kind], 0, limit).await?;
        Ok(events.into_iter().map(|event| event.text).collect())
    }

    /// Adds an entry of the recorder; returns its `seq`. The entry is stored when this returns. A
    /// repetition of the last entry of a track returns the same `seq`.
    pub async fn append_media(
        &self,
        key: SessionKey,
        entry: MediaEntry,
    ) -> Result<u64, EvidenceError> {
        self.ask(key, Request::Media(entry)).await
    }

    /// Closes a log: adds the remaining decisions of the room and the close entry, and signs a
    /// head, which is stored when this returns. `tails` are segments that must be in the log
    /// before. Closing a closed log does nothing.
    pub async fn close(
        &self,
        key: SessionKey,
        tails: Vec<TrackTail>,
        reason: u32,
    ) -> Result<(), EvidenceError> {
        self.ask(key, Request::Close { tails, reason }).await.map(drop)
    }

    /// Enters in the log that a track's wrapped key will be destroyed; returns the `seq` of the
    /// entry. Must be called before the key is destroyed. Each target is entered once.
    pub async fn erase(
        &self,
        key: SessionKey,
        target_seq: u64,
        reason: u32,
        wrapped_key_hash: Hash,
    ) -> Result<u64, EvidenceError> {
        if target_seq == 0 {
            return self.erase_events(key, reason).await;
        }
        self.ask(key, Request::Erase { target_seq, reason, wrapped_key_hash }).await
    }

    /// Enters in the log that `K_events` is destroyed, and destroys it with the texts of all
    /// events; returns the `seq` of the entry. From then on the log accepts nothing that needs a
    /// salt.
    pub async fn erase_events(&self, key: SessionKey, reason: u32) -> Result<u64, EvidenceError> {
        let record = self.0.repository.log(key).await?;
        let wrapped = record.ok_or(EvidenceError::NoLog)?.events_key.unwrap_or_default();
        let wrapped_key_hash = Sha256::digest(wrapped).into();
        self.ask(key, Request::Erase { target_seq: 0, reason, wrapped_key_hash }).await
    }

    /// Whether every log takes what is to be written to it, as far as this process has tried.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.0.refused_logs() == 0
    }

    /// Receives every head after it was stored.
    #[must_use]
    pub fn heads(&self) -> broadcast::Receiver<HeadNotice> {
        self.0.heads.subscribe()
    }

    /// The newest head of a log.
    pub async fn latest_head(&self, key: SessionKey) -> Result<Option<StoredHead>, EvidenceError> {
        Ok(self.0.repository.latest_head(key).await?)
    }

    /// Whether a log is closed; `false` for a session that has none.
    pub async fn is_closed(&self, key: SessionKey) -> Result<bool, EvidenceError> {
        let log = self.0.repository.log(key).await?;
        Ok(log.is_some_and(|log| log.closed_seq.is_some()))
    }

    /// The public proof of a log. `status` is the state of the log unless the proof shows that it
    /// is closed.
    pub async fn proof(
        &self,
        key: SessionKey,
        status: LogStatus,
        query: &ProofQuery,
    ) -> Result<PublicProof, EvidenceError> {
        self.0.prove(key, status, query).await
    }

    /// Discloses the event of an entry.
    pub async fn event_disclosure(
        &self,
        key: SessionKey,
        seq: u64,
    ) -> Result<EventDisclosure, EvidenceError> {
        self.0.disclose_event(key, seq).await
    }

    /// Discloses the subject of a track entry; `subject` is the text to which the entry commits
    /// ([`crate::evidence::subject_text`]).
    pub async fn subject_disclosure(
        &self,
        key: SessionKey,
        seq: u64,
        subject: String,
    ) -> Result<SubjectDisclosure, EvidenceError> {
        self.0.disclose_subject(key, seq, subject).await
    }

    /// The list of public keys, as published, and as contained in the bundle of a log with this
    /// issuer.
    pub async fn published_keys(&self, of_log: Option<&str>) -> Result<Value, EvidenceError> {
        let Shared { options, signing, operator, .. } = &*self.0;
        let issuer = of_log.unwrap_or(&options.issuer);
        let mut issuers = operator.issuers().await?;
        issuers.extend([options.issuer.clone(), issuer.to_owned()]);
        Ok(json!({
            "v": 1,
            "iss": issuer,
            "issuers": issuers,
            "keys": signing.published(),
            "operator": { "origin": operator.origin(), "vkey": operator.verifier_key() },
        }))
    }

    /// The signed checkpoint of the operator log.
    pub async fn checkpoint(&self) -> Result<String, EvidenceError> {
        self.0.operator.checkpoint().await
    }

    /// A tile of the operator log; `None` when the log has fewer leaves.
    pub async fn tile(&self, path: TilePath) -> Result<Option<Vec<u8>>, EvidenceError> {
        self.0.operator.tile(path).await
    }

    /// Stops: accepted requests are stored, and last heads are signed and added to the operator
    /// log. Takes at most [`SHUTDOWN_MAX`](super::SHUTDOWN_MAX) and the time of one answer of the
    /// store.
    pub async fn shutdown(&self) {
        self.0.stop_scribes();
        self.0.tasks.wait().await;
        self.0.sequencing_ends.cancel();
        self.0.sequencing.close();
        self.0.sequencing.wait().await;
    }

    async fn ask(&self, key: SessionKey, request: Request) -> Result<u64, EvidenceError> {
        let (answer, answered) = oneshot::channel();
        let mut command = Command { request, fence: self.1, answer };
        loop {
            let scribe = self.0.scribe(key).ok_or(EvidenceError::Stopping)?;
            match scribe.commands.try_send(command) {
                Ok(()) => return answered.await.unwrap_or(Err(EvidenceError::Stopping)),
                // The scribe has just ended because its log was idle; another one is started.
                Err(TrySendError::Closed(unsent)) => command = unsent,
                Err(TrySendError::Full(_)) => {
                    return Err(EvidenceError::Unavailable(
                        "too many requests wait for this log".to_owned(),
                    ));
                }
            }
        }
    }
}

/// Adds heads to the operator log until the server stops, and once more afterwards.
async fn sequence(shared: Arc<Shared>) {
    compare_issuers(&shared).await;
    let log = &shared.operator;
    let mut round = tokio::time::interval(SEQUENCING_INTERVAL);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shared.sequencing_ends.cancelled() => break,
            () = log.urgent() => {}
            _ = round.tick() => {
                shared.refresh_keys();
                log.refresh().await;
            }
        }
        log.sequence().await;
    }
    log.sequence().await;
}

fn is_short(text: &str) -> Result<(), EvidenceError> {
    if text.len() > TEXT_BYTES_MAX { Err(EvidenceError::TooLarge) } else { Ok(()) }
}

/// Says so when logs were begun with another issuer than the configured one.
async fn compare_issuers(shared: &Shared) {
    let reading = shared.operator.newest_issuer();
    match tokio::time::timeout(SEQUENCING_INTERVAL, reading).await {
        Ok(Ok(Some(existing))) if existing != shared.options.issuer => {
            tracing::warn!(
                %existing,
                configured = %shared.options.issuer,
                operator_log = %shared.operator.origin(),
                "logs were begun with another issuer than the configured one: each keeps its issuer to its end, new logs get the configured one, and the operator log keeps its name"
            );
        }
        Ok(Ok(_)) => {}
        failed => tracing::warn!(?failed, "the issuer of existing logs can't be read"),
    }
}
