//! The log of the installation: heads of all sessions, as C2SP tlog-tiles has
//! them read. Monitors see every session's heads in it, so that a session's log
//! can't be rewritten unnoticed.

mod tiles;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Notify;

use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::evidence::cose::LogIdentity;
use crate::evidence::error::EvidenceError;
use crate::evidence::keys::EvidenceKey;
use crate::evidence::operator_key::OperatorKey;
use crate::evidence::receipt::inclusion_receipt;
use crate::evidence::repository::{EvidenceRepository, EvidenceStoreError};
use crate::evidence::tree::{LEAVES_MAX, Tree, leaf_hash};

pub use tiles::TilePath;

/// How often the newest heads of sessions become leaves.
pub(super) const SEQUENCING_INTERVAL: Duration = Duration::from_secs(10);
/// Leaves read from the store at once.
const PAGE: u32 = 512;
/// The `sub` of its receipts.
const SUBJECT: &str = "urn:cabildo:operator-log";

/// A head that waits to become a leaf.
#[derive(Debug, Clone)]
struct Offered {
    tree_size: u64,
    cose: Vec<u8>,
}

/// The operator log. Its tree is kept whole in memory, 64 bytes a leaf, up to
/// [`LEAVES_MAX`] leaves; beyond, new heads wait outside.
pub(super) struct OperatorLog {
    repository: Arc<dyn EvidenceRepository>,
    key: Arc<OperatorKey>,
    origin: String,
    tree: tokio::sync::Mutex<Tree>,
    /// Newest head of each session that is no leaf yet.
    offered: Mutex<BTreeMap<SessionId, Offered>>,
    urgent: Notify,
    size: AtomicU64,
}

/// What the public proof says of a session in the operator log.
pub(super) struct OperatorProof {
    pub(super) head: Vec<u8>,
    pub(super) receipt: Vec<u8>,
    pub(super) checkpoint: String,
}

impl OperatorLog {
    pub(super) fn new(
        repository: Arc<dyn EvidenceRepository>,
        key: Arc<OperatorKey>,
        origin: String,
    ) -> Self {
        Self {
            repository,
            key,
            origin,
            tree: tokio::sync::Mutex::default(),
            offered: Mutex::default(),
            urgent: Notify::new(),
            size: AtomicU64::new(0),
        }
    }

    /// Takes a head that was stored: a closing one at once, others with the
    /// next round.
    pub(super) fn offer(&self, session: SessionId, tree_size: u64, cose: &[u8], closes: bool) {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if offered.get(&session).is_none_or(|newest| newest.tree_size < tree_size) {
            offered.insert(session, Offered { tree_size, cose: cose.to_vec() });
        }
        if closes {
            self.urgent.notify_one();
        }
    }

    /// Waits until a head is offered that should not wait for the next round.
    pub(super) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    /// Makes leaves of what was offered. What can't be stored waits for the
    /// next round, unless a newer head has come by then.
    pub(super) async fn sequence(&self) {
        let offered =
            std::mem::take(&mut *self.offered.lock().unwrap_or_else(PoisonError::into_inner));
        for (session, head) in offered {
            let appending =
                self.repository.append_operator_leaf(session, head.tree_size, &head.cose);
            match tokio::time::timeout(SEQUENCING_INTERVAL, appending).await {
                Ok(Ok(_)) => {}
                failed => {
                    tracing::warn!(%session, ?failed, "a head is not in the operator log yet");
                    self.offer(session, head.tree_size, &head.cose, false);
                }
            }
        }
    }

    /// Leaves known of.
    pub(super) fn known_size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// `<origin>+<id>+<key>`: what verifiers of checkpoints are configured with.
    pub(super) fn verifier_key(&self) -> String {
        self.key.verifier_key(&self.origin)
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The signed checkpoint (C2SP tlog-checkpoint) of all leaves.
    pub(super) async fn checkpoint(&self) -> Result<String, EvidenceError> {
        Ok(self.checkpoint_of(&*self.grown().await?))
    }

    fn checkpoint_of(&self, tree: &Tree) -> String {
        let root = tree.root(tree.size()).unwrap_or_default();
        let text = format!("{}\n{}\n{}\n", self.origin, tree.size(), STANDARD.encode(root));
        self.key.sign_note(&self.origin, &text)
    }

    /// The bytes of a tile; `None` when the log is not that large.
    pub(super) async fn tile(&self, path: TilePath) -> Result<Option<Vec<u8>>, EvidenceError> {
        let tree = self.grown().await?;
        let first = path.index.checked_mul(tiles::WIDTH);
        let Some(first) = first else { return Ok(None) };
        let Some(level) = path.level else {
            let covered =
                first.checked_add(path.width.into()).is_some_and(|end| end <= tree.size());
            drop(tree);
            return if covered { self.entry_tile(first, path.width).await } else { Ok(None) };
        };
        let level = usize::from(level) * 8;
        let nodes = (0..u64::from(path.width)).map(|node| tree.node(level, first + node));
        Ok(nodes.collect::<Option<Vec<_>>>().map(|nodes| nodes.concat()))
    }

    async fn entry_tile(&self, first: u64, width: u16) -> Result<Option<Vec<u8>>, EvidenceError> {
        let leaves = self.repository.operator_leaves(first, width.into()).await?;
        if leaves.len() != usize::from(width) {
            return Ok(None);
        }
        let mut tile = Vec::new();
        for leaf in leaves {
            let length = u16::try_from(leaf.len())
                .map_err(|_| EvidenceError::Integrity("a leaf is too long for a tile"))?;
            tile.extend(length.to_be_bytes());
            tile.extend(leaf);
        }
        Ok(Some(tile))
    }

    /// Where a session's newest leaf is in the log; `None` while it has none,
    /// or is the only one.
    pub(super) async fn prove(
        &self,
        session: SessionId,
        issuer: &str,
        at: Timestamp,
        key: &EvidenceKey,
    ) -> Result<Option<OperatorProof>, EvidenceError> {
        let Some((index, head)) = self.repository.operator_leaf_of(session).await? else {
            return Ok(None);
        };
        let tree = self.grown().await?;
        if tree.leaf(index).is_some_and(|leaf| leaf != leaf_hash(&head)) {
            return Err(EvidenceError::Integrity("the operator log has another leaf there"));
        }
        let identity = LogIdentity { issuer: issuer.to_owned(), subject: SUBJECT.to_owned() };
        let receipt = inclusion_receipt(&tree, index, tree.size(), (&identity, at), key);
        Ok(receipt.map(|receipt| OperatorProof {
            head,
            receipt,
            checkpoint: self.checkpoint_of(&tree),
        }))
    }

    /// The tree with every leaf that is stored.
    async fn grown(&self) -> Result<tokio::sync::MutexGuard<'_, Tree>, EvidenceError> {
        let mut tree = self.tree.lock().await;
        while tree.size() < LEAVES_MAX {
            let leaves = self.read_page(tree.size()).await?;
            let is_last = leaves.len() < PAGE as usize;
            for leaf in leaves {
                tree.append(leaf_hash(&leaf));
            }
            if is_last {
                break;
            }
        }
        self.size.store(tree.size(), Ordering::Relaxed);
        Ok(tree)
    }

    async fn read_page(&self, from: u64) -> Result<Vec<Vec<u8>>, EvidenceStoreError> {
        let reading = self.repository.operator_leaves(from, PAGE);
        let unavailable = |_| EvidenceStoreError::Unavailable("no answer in time".to_owned());
        tokio::time::timeout(SEQUENCING_INTERVAL, reading).await.map_err(unavailable)?
    }
}
