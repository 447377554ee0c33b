//! A log that is written and proven at once, without a scribe.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cabildo::custody::{CustodyLog, CustodyLogError};
use cabildo::domain::claim::Fence;
use cabildo::domain::id::{SessionId, SessionKey};
use cabildo::domain::time::Timestamp;
use cabildo::evidence::repository::{
    Append, EvidenceRepository, Hash, LogRecord, StoredEntry, StoredEvent,
};
use cabildo::evidence::{
    Body, EventKind, EvidenceKeys, LogIdentity, PROOF_SEQS_MAX, Point, Tree, event_commitment,
    inclusion_receipt, leaf_hash, sign_head,
};
use cabildo::sealing::EventsKey;
use cabildo::store::Store;
use cabildo::vault::{KeyPurpose, KeyVault};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://cabildo.example";

/// Writes through the repository, signs with keys of its own.
pub(crate) struct PlainLog {
    pub(crate) store: Store,
    pub(crate) keys: Arc<dyn KeyVault>,
    pub(crate) signing: EvidenceKeys,
    pub(crate) now: Timestamp,
}

fn refused(error: impl std::fmt::Display) -> CustodyLogError {
    CustodyLogError::Refused(error.to_string())
}

impl PlainLog {
    /// Appends one entry; an event with its text.
    pub(crate) async fn append(
        &self,
        key: SessionKey,
        body: &Body,
        event: Option<(EventKind, String)>,
    ) -> u64 {
        let log = self.store.log(key).await.expect("read").expect("a log");
        let t_ms = u64::try_from(self.now.unix_ms()).expect("after 1970");
        let bytes = body.encode(log.size, t_ms);
        let leaf = leaf_hash(&bytes);
        let is_event = matches!(body, Body::Event { .. });
        let closes = matches!(body, Body::Close { .. });
        let append = Append {
            expected_size: log.size,
            entries: vec![StoredEntry { seq: log.size, bytes, leaf }],
            events: event
                .map(|(kind, text)| StoredEvent { seq: log.size, kind, text })
                .into_iter()
                .collect(),
            room_seq: log.room_seq,
            last_event_seq: if is_event { log.size } else { log.last_event_seq },
            closed_seq: if closes { Some(log.size) } else { log.closed_seq },
        };
        EvidenceRepository::append(&self.store, key, append).await.expect("appended");
        log.size
    }

    pub(crate) async fn events_key(&self, key: SessionKey) -> EventsKey {
        let SessionKey { tenant, session } = key;
        let log = self.store.log(key).await.expect("read").expect("a log");
        let wrapped = log.events_key.expect("a key");
        let purpose = KeyPurpose::Events(session);
        EventsKey::new(self.keys.unwrap(tenant, purpose, &wrapped).await.expect("unwrapped"))
    }

    fn identity(session: SessionId) -> LogIdentity {
        LogIdentity { issuer: ISSUER.to_owned(), subject: format!("urn:uuid:{session}") }
    }

    /// Signs a head of what there is, unless there is one.
    async fn sign(&self, session_key: SessionKey, tree: &Tree) {
        let latest = self.store.latest_head(session_key).await.expect("read");
        let previous =
            latest.map_or_else(Point::none, |head| Point { size: head.tree_size, root: head.root });
        if previous.size == tree.size() {
            return;
        }
        let root = tree.root(tree.size()).expect("a root");
        let point = Point { size: tree.size(), root };
        let key = self.signing.active();
        let head = sign_head(&Self::identity(session_key.session), point, previous, self.now, &key);
        self.store.put_head(session_key, previous.size, &head).await.expect("put");
    }

    async fn proven(
        &self,
        session_key: SessionKey,
        (tree, log): (&Tree, &LogRecord),
        seqs: &[u64],
    ) -> Value {
        let head = self.store.latest_head(session_key).await.expect("read").expect("a head");
        let key = self.signing.active();
        let mut receipts = Vec::new();
        for seq in seqs.iter().copied().chain(log.closed_seq) {
            let entry = self.store.entries(session_key, seq, 1).await.expect("read").remove(0);
            let about = (&Self::identity(session_key.session), self.now);
            let receipt = inclusion_receipt(tree, seq, tree.size(), about, &key).expect("covered");
            receipts.push(json!({
                "seq": seq,
                "entry": URL_SAFE_NO_PAD.encode(entry.bytes),
                "receipt": URL_SAFE_NO_PAD.encode(receipt),
            }));
        }
        let close = log.closed_seq.and_then(|_| receipts.pop());
        json!({
            "v": 1,
            "session": session_key.session.to_string(),
            "log": URL_SAFE_NO_PAD.encode(log.log_id),
            "status": if close.is_some() { "closed" } else { "live" },
            "iss": ISSUER,
            "keys": [{
                "kid": URL_SAFE_NO_PAD.encode(key.kid()),
                "spki": URL_SAFE_NO_PAD.encode(key.spki()),
            }],
            "head": {
                "tree_size": head.tree_size,
                "root": URL_SAFE_NO_PAD.encode(head.root),
                "iat": head.at.unix_s(),
                "cose": URL_SAFE_NO_PAD.encode(&head.cose),
                "jws": head.jws,
            },
            "consistency": [],
            "operator": null,
            "tst": [],
            "close": close,
            "receipts": receipts,
        })
    }
}

#[async_trait]
impl CustodyLog for PlainLog {
    fn fenced(self: Arc<Self>, _: Fence) -> Arc<dyn CustodyLog> {
        self
    }

    async fn erase(
        &self,
        key: SessionKey,
        target_seq: u64,
        reason: u32,
        wrapped_key_hash: Hash,
    ) -> Result<u64, CustodyLogError> {
        let body = Body::Erasure { target_seq, reason, wrapped_key_hash };
        Ok(self.append(key, &body, None).await)
    }

    async fn note(
        &self,
        key: SessionKey,
        kind: EventKind,
        text: String,
    ) -> Result<u64, CustodyLogError> {
        let log = self.store.log(key).await.map_err(refused)?;
        let log = log.ok_or_else(|| refused("no log"))?;
        let salt = self.events_key(key).await.event_salt(log.size);
        let body = Body::Event { kind, commitment: event_commitment(&salt, &text) };
        Ok(self.append(key, &body, Some((kind, text))).await)
    }

    async fn proof(&self, key: SessionKey, seqs: &[u64]) -> Result<Value, CustodyLogError> {
        if seqs.len() > PROOF_SEQS_MAX {
            return Err(refused("too many"));
        }
        let log = self.store.log(key).await.map_err(refused)?;
        let log = log.ok_or_else(|| refused("no log"))?;
        let leaves = self.store.leaves(key, 0).await.map_err(refused)?;
        let tree = Tree::from_leaves(&leaves);
        self.sign(key, &tree).await;
        Ok(self.proven(key, (&tree, &log), seqs).await)
    }

    async fn published_keys(&self, issuer: &str) -> Result<Value, CustodyLogError> {
        Ok(json!({
            "v": 1,
            "iss": issuer,
            "keys": self.signing.published(),
            "operator": null,
        }))
    }
}
