//! The operator log: one log for the installation with the heads of all sessions, published as C2SP
//! tlog-tiles. Monitors see every session's heads in it, so that a session's log can't be rewritten
//! unnoticed.

mod tiles;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::{Notify, OnceCell};

use crate::domain::id::SessionId;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::evidence::cose::{LogIdentity, issuer_of, read_own};
use crate::evidence::error::EvidenceError;
use crate::evidence::keys::EvidenceKey;
use crate::evidence::operator_key::OperatorKey;
use crate::evidence::receipt::inclusion_receipt;
use crate::evidence::repository::EvidenceRepository;
use crate::evidence::tree::{LEAVES_MAX, Tree, leaf_hash};

pub use tiles::TilePath;

/// How often the newest heads of sessions are added as leaves.
pub(super) const SEQUENCING_INTERVAL: Duration = Duration::from_secs(10);
/// Most issuers that the list of keys names. A proof of a log of a further one is not valid by the
/// published list, only by its bundle's.
const ISSUERS_MAX: usize = 256;
/// Leaves read from the store at once.
const PAGE: u32 = 512;
/// The `sub` claim of its receipts.
const SUBJECT: &str = "urn:cabildo:operator-log";

/// A head that waits to be added.
#[derive(Debug, Clone)]
struct Offered {
    tree_size: u64,
    cose: Vec<u8>,
}

/// The operator log. Its whole tree is kept in memory, 64 bytes per leaf, up to [`LEAVES_MAX`]
/// leaves; at the limit new heads are not added.
pub(super) struct OperatorLog {
    repository: Arc<dyn EvidenceRepository>,
    key: Arc<OperatorKey>,
    origin: String,
    tree: tokio::sync::Mutex<Tree>,
    /// The newest head of each session that has not been added yet.
    offered: Mutex<BTreeMap<SessionId, Offered>>,
    urgent: Notify,
    size: AtomicU64,
    /// The issuers of the heads that this process has seen.
    issuers: Mutex<BTreeSet<String>>,
    /// Set once the issuers of all leaves were read.
    has_read: OnceCell<()>,
}

/// The part of a public proof about the operator log.
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
            issuers: Mutex::default(),
            has_read: OnceCell::new(),
        }
    }

    /// Takes a head that was stored. The head of a closed log is added at once, others in the next
    /// round.
    pub(super) fn offer(&self, session: SessionId, tree_size: u64, cose: &[u8], closes: bool) {
        self.note_issuer(cose);
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if offered.get(&session).is_none_or(|newest| newest.tree_size < tree_size) {
            offered.insert(session, Offered { tree_size, cose: cose.to_vec() });
        }
        if closes {
            self.urgent.notify_one();
        }
    }

    /// Waits until a head is offered that must be added at once.
    pub(super) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    /// Adds the offered heads. A head that can't be stored is tried again in the next round, unless
    /// a newer one was offered.
    pub(super) async fn sequence(&self) {
        let offered =
            std::mem::take(&mut *self.offered.lock().unwrap_or_else(PoisonError::into_inner));
        for (session, head) in offered {
            let appending =
                self.repository.append_operator_leaf(session, head.tree_size, &head.cose);
            match tokio::time::timeout(SEQUENCING_INTERVAL, appending).await {
                Ok(Ok(_)) => {}
                failed => {
                    tracing::warn!(%session, ?failed, "a head could not be added to the operator log yet");
                    self.offer(session, head.tree_size, &head.cose, false);
                }
            }
        }
    }

    /// The issuers of all heads: of those in the log, and of those that this process has signed.
    pub(super) async fn issuers(&self) -> Result<BTreeSet<String>, EvidenceError> {
        self.has_read.get_or_try_init(|| async { self.grown().await.map(drop) }).await?;
        Ok(self.issuers.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Reads the leaves that other processes have added, if any were read before.
    pub(super) async fn refresh(&self) {
        if self.has_read.initialized()
            && let Err(error) = self.grown().await.map(drop)
        {
            tracing::warn!(%error, "the operator log can't be read");
        }
    }

    /// The issuer of the newest leaf.
    pub(super) async fn newest_issuer(&self) -> Result<Option<String>, StoreError> {
        let Some(newest) = self.repository.operator_size().await?.checked_sub(1) else {
            return Ok(None);
        };
        let leaves = self.repository.operator_leaves(newest, 1).await?;
        Ok(leaves.first().and_then(|leaf| issuer_in(leaf)))
    }

    /// Notes that logs are signed by the issuer of this head.
    pub(super) fn note_issuer(&self, head: &[u8]) {
        let Some(issuer) = issuer_in(head) else { return };
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        if issuers.len() < ISSUERS_MAX {
            issuers.insert(issuer);
        }
    }

    /// Number of leaves in memory.
    pub(super) fn known_size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// `<origin>+<id>+<key>`: the key with which verifiers of checkpoints are configured.
    pub(super) fn verifier_key(&self) -> String {
        self.key.verifier_key(&self.origin)
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The signed checkpoint (C2SP tlog-checkpoint) over all leaves.
    pub(super) async fn checkpoint(&self) -> Result<String, EvidenceError> {
        Ok(self.checkpoint_of(&*self.grown().await?))
    }

    fn checkpoint_of(&self, tree: &Tree) -> String {
        let root = tree.root(tree.size()).unwrap_or_default();
        let text = format!("{}\n{}\n{}\n", self.origin, tree.size(), STANDARD.encode(root));
        self.key.sign_note(&self.origin, &text)
    }

    /// The bytes of a tile; `None` when the log has fewer leaves.
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

    /// The place of a session's newest leaf in the log; `None` while the session has no leaf or the
    /// log has only this one.
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

    /// The tree, extended by every leaf in the store.
    async fn grown(&self) -> Result<tokio::sync::MutexGuard<'_, Tree>, EvidenceError> {
        let mut tree = self.tree.lock().await;
        while tree.size() < LEAVES_MAX {
            let leaves = self.read_page(tree.size()).await?;
            let is_last = leaves.len() < PAGE as usize;
            for leaf in leaves {
                tree.append(leaf_hash(&leaf));
                self.note_issuer(&leaf);
            }
            if is_last {
                break;
            }
        }
        self.size.store(tree.size(), Ordering::Relaxed);
        Ok(tree)
    }

    async fn read_page(&self, from: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let reading = self.repository.operator_leaves(from, PAGE);
        let unavailable = |_| StoreError::Unavailable("no answer in time".to_owned());
        tokio::time::timeout(SEQUENCING_INTERVAL, reading).await.map_err(unavailable)?
    }
}

/// The issuer that a head names.
fn issuer_in(head: &[u8]) -> Option<String> {
    let (message, ..) = read_own(head)?;
    issuer_of(&message).map(str::to_owned)
}
