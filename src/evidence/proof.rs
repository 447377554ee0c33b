//! What anybody may ask of a log: the public proof, and with the right to it
//! the disclosure of one event or subject.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::domain::id::{RecordedTrackId, SessionId, TenantId};
use crate::evidence::commitment::{event_commitment, subject_commitment};
use crate::evidence::cose::LogIdentity;
use crate::evidence::entry::{Body, Entry};
use crate::evidence::error::EvidenceError;
use crate::evidence::head::{NotOwn, read_own_head};
use crate::evidence::keys::EvidenceKey;
use crate::evidence::readers::Reader;
use crate::evidence::receipt::{consistency_receipt, inclusion_receipt};
use crate::evidence::repository::{LogRecord, StoredEntry, StoredHead};
use crate::evidence::shared::Shared;
use crate::evidence::tree::leaf_hash;
use crate::sealing::EventsKey;
use crate::vault::KeyPurpose;

/// Most entries one proof is asked for.
pub const PROOF_SEQS_MAX: usize = 64;
/// Receipts kept of one head. Raising it raises memory, about 600 bytes each.
const RECEIPTS_MAX: usize = 256;

/// What a proof is asked to show beside the newest head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProofQuery {
    /// Entries to prove, at most [`PROOF_SEQS_MAX`].
    pub seqs: Vec<u64>,
    /// A size whose tree the newest one has to continue.
    pub from_size: Option<u64>,
}

/// How the session of a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStatus {
    /// It goes on.
    Live,
    /// The log is closed.
    Closed,
    /// The session is over and its log is not closed.
    Interrupted,
}

/// The public proof, as JSON. It holds nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicProof {
    /// 1.
    pub v: u32,
    /// The session.
    pub session: String,
    /// The log's identifier, b64.
    pub log: String,
    /// How it stands.
    pub status: LogStatus,
    /// Who issues.
    pub iss: String,
    /// Keys of the installation. Who verifies trusts a list of their own.
    pub keys: Vec<ProofKey>,
    /// The newest head.
    pub head: ProofHead,
    /// Receipts of consistency, b64.
    pub consistency: Vec<String>,
    /// The session in the operator log.
    pub operator: Option<ProofOperator>,
    /// Timestamps of authorities (RFC 3161).
    pub tst: Vec<String>,
    /// The closing entry.
    pub close: Option<ProofEntry>,
    /// The entries asked for.
    pub receipts: Vec<ProofEntry>,
}

/// A key in a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofKey {
    /// b64.
    pub kid: String,
    /// b64.
    pub spki: String,
}

/// A head in a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofHead {
    /// Entries.
    pub tree_size: u64,
    /// b64.
    pub root: String,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// b64.
    pub cose: String,
    /// Compact.
    pub jws: String,
}

/// A session in the operator log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofOperator {
    /// The session's newest head that is a leaf, b64.
    pub head: String,
    /// That it is one, b64.
    pub receipt: String,
    /// The signed checkpoint of the receipt's size.
    pub checkpoint: String,
}

/// An entry with its receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofEntry {
    /// Which.
    pub seq: u64,
    /// Its bytes, b64.
    pub entry: String,
    /// That it is in the head's tree, b64.
    pub receipt: String,
}

/// An event, revealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventDisclosure {
    /// Its entry.
    pub seq: u64,
    /// b64.
    pub salt: String,
    /// Its text.
    pub event: String,
}

/// Whose track it is, revealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubjectDisclosure {
    /// The track's entry.
    pub seq: u64,
    /// b64.
    pub salt: String,
    /// JSON with `user_id`, `name`, `source`.
    pub subject: String,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One request for a proof.
struct Proving<'a> {
    shared: &'a Shared,
    tenant: TenantId,
    session: SessionId,
    identity: LogIdentity,
    head: StoredHead,
    key: Arc<EvidenceKey>,
}

impl Shared {
    /// The public proof of a log.
    pub(super) async fn prove(
        &self,
        tenant: TenantId,
        session: SessionId,
        status: LogStatus,
        query: &ProofQuery,
    ) -> Result<PublicProof, EvidenceError> {
        if query.seqs.len() > PROOF_SEQS_MAX {
            return Err(EvidenceError::TooMany);
        }
        let record = self.repository.log(tenant, session).await?.ok_or(EvidenceError::NoLog)?;
        let head = self.repository.latest_head(tenant, session).await?;
        let head =
            head.ok_or_else(|| EvidenceError::Unavailable("there is no head yet".to_owned()))?;
        let key = self.key_of(&head)?;
        let identity = self.identity(session);
        let proving = Proving { shared: self, tenant, session, identity, head, key };
        proving.prove(&record, status, query).await
    }

    /// The key that signed a head; receipts of its size are signed by it too.
    fn key_of(&self, head: &StoredHead) -> Result<Arc<EvidenceKey>, EvidenceError> {
        let own = match read_own_head(head, &self.signing) {
            Err(NotOwn::KeyMissing) if self.refresh_keys() => read_own_head(head, &self.signing),
            own => own,
        };
        let own = own.map_err(|not_own| match not_own {
            NotOwn::KeyMissing => EvidenceError::KeyMissing,
            NotOwn::Malformed | NotOwn::Forged => {
                EvidenceError::Integrity("the newest head is not one of ours")
            }
        })?;
        self.signing.find(&own.kid).ok_or(EvidenceError::KeyMissing)
    }

    /// Reveals an event.
    pub(super) async fn disclose_event(
        &self,
        tenant: TenantId,
        session: SessionId,
        seq: u64,
    ) -> Result<EventDisclosure, EvidenceError> {
        let (key, entry) = self.committed(tenant, session, seq).await?;
        let mut events = self.repository.events(tenant, session, &[], seq, 1).await?;
        let event = events.pop().filter(|event| event.seq == seq);
        let event = event.ok_or(EvidenceError::EntryNotFound(seq))?;
        let salt = key.event_salt(seq);
        // The commitment is the last item of an event entry.
        if !entry.bytes.ends_with(&event_commitment(&salt, &event.text)) {
            return Err(EvidenceError::Integrity("an event's text is not what was committed to"));
        }
        Ok(EventDisclosure { seq, salt: b64(salt), event: event.text })
    }

    /// Reveals whose track it is; `subject` is what was committed to.
    pub(super) async fn disclose_subject(
        &self,
        tenant: TenantId,
        session: SessionId,
        seq: u64,
        subject: String,
    ) -> Result<SubjectDisclosure, EvidenceError> {
        let (key, entry) = self.committed(tenant, session, seq).await?;
        let track: RecordedTrackId = match Entry::read(&entry.bytes).map(|it| it.body) {
            Some(Body::Track { track, .. }) => track,
            _ => return Err(EvidenceError::EntryNotFound(seq)),
        };
        let salt = key.subject_salt(&track);
        if !entry.bytes.ends_with(&subject_commitment(&salt, &subject)) {
            return Err(EvidenceError::Integrity("a subject is not what was committed to"));
        }
        Ok(SubjectDisclosure { seq, salt: b64(salt), subject })
    }

    async fn committed(
        &self,
        tenant: TenantId,
        session: SessionId,
        seq: u64,
    ) -> Result<(EventsKey, StoredEntry), EvidenceError> {
        let record = self.repository.log(tenant, session).await?.ok_or(EvidenceError::NoLog)?;
        let wrapped = record.events_key.ok_or(EvidenceError::Erased)?;
        let purpose = KeyPurpose::Events(session);
        let key = EventsKey::new(self.keys.unwrap(tenant, purpose, &wrapped).await?);
        Ok((key, self.entry(tenant, session, seq).await?))
    }

    async fn entry(
        &self,
        tenant: TenantId,
        session: SessionId,
        seq: u64,
    ) -> Result<StoredEntry, EvidenceError> {
        let mut entries = self.repository.entries(tenant, session, seq, 1).await?;
        let entry = entries.pop().filter(|entry| entry.seq == seq);
        entry.ok_or(EvidenceError::EntryNotFound(seq))
    }
}

impl Proving<'_> {
    async fn prove(
        &self,
        record: &LogRecord,
        status: LogStatus,
        query: &ProofQuery,
    ) -> Result<PublicProof, EvidenceError> {
        let size = self.head.tree_size;
        let key = (self.tenant, self.session);
        let reader = self.shared.readers.reader(key, size);
        let mut reader = reader.lock().await;
        if let Err(error) = self.catch_up(&mut reader).await {
            self.shared.readers.forget(key);
            return Err(error);
        }
        let consistency = self.consistency(&reader, query.from_size)?;
        let mut receipts = Vec::new();
        for seq in &query.seqs {
            receipts.push(self.proven(&mut reader, *seq).await?);
        }
        let close = match record.closed_seq.filter(|seq| *seq < size) {
            Some(seq) => Some(self.proven(&mut reader, seq).await?),
            None => None,
        };
        drop(reader);
        let operator = self.operator(close.is_some()).await?;
        Ok(PublicProof {
            v: 1,
            session: self.session.to_string(),
            log: b64(record.log_id),
            status: if close.is_some() { LogStatus::Closed } else { status },
            iss: self.identity.issuer.clone(),
            keys: self.keys(),
            head: ProofHead {
                tree_size: size,
                root: b64(self.head.root),
                iat: self.head.at.unix_s(),
                cose: b64(&self.head.cose),
                jws: self.head.jws.clone(),
            },
            consistency,
            operator,
            tst: Vec::new(),
            close,
            receipts,
        })
    }

    /// Reads leaves that the head covers, and checks that it covers them.
    async fn catch_up(&self, reader: &mut Reader) -> Result<(), EvidenceError> {
        let size = self.head.tree_size;
        if reader.tree.size() < size {
            let from = reader.tree.size();
            let leaves = self.shared.repository.leaves(self.tenant, self.session, from).await?;
            for leaf in leaves {
                reader.tree.append(leaf);
            }
        }
        if reader.tree.root(size) != Some(self.head.root) {
            return Err(EvidenceError::Integrity("the newest head is not of these entries"));
        }
        if reader.size != size {
            reader.size = size;
            reader.receipts.clear();
        }
        Ok(())
    }

    fn consistency(
        &self,
        reader: &Reader,
        from_size: Option<u64>,
    ) -> Result<Vec<String>, EvidenceError> {
        let size = self.head.tree_size;
        let Some(from) = from_size.filter(|from| *from != size) else { return Ok(Vec::new()) };
        let about = (&self.identity, self.shared.clock.now());
        let receipt = consistency_receipt(&reader.tree, from, size, about, &self.key);
        Ok(vec![b64(receipt.ok_or(EvidenceError::NotCovered(from))?)])
    }

    async fn proven(&self, reader: &mut Reader, seq: u64) -> Result<ProofEntry, EvidenceError> {
        let size = self.head.tree_size;
        if seq >= size {
            return Err(EvidenceError::NotCovered(seq));
        }
        let entry = self.shared.entry(self.tenant, self.session, seq).await?;
        if reader.tree.leaf(seq) != Some(leaf_hash(&entry.bytes)) {
            return Err(EvidenceError::Integrity("an entry is not what was signed"));
        }
        if !reader.receipts.contains_key(&seq) {
            let about = (&self.identity, self.shared.clock.now());
            let receipt = inclusion_receipt(&reader.tree, seq, size, about, &self.key);
            if reader.receipts.len() >= RECEIPTS_MAX {
                reader.receipts.clear();
            }
            reader.receipts.insert(seq, receipt.ok_or(EvidenceError::NotCovered(seq))?);
        }
        let receipt = reader.receipts.get(&seq).map(b64).unwrap_or_default();
        Ok(ProofEntry { seq, entry: b64(&entry.bytes), receipt })
    }

    async fn operator(&self, is_closed: bool) -> Result<Option<ProofOperator>, EvidenceError> {
        let at = self.shared.clock.now();
        let issuer = &self.identity.issuer;
        let operator = &self.shared.operator;
        let key = self.shared.signing.active();
        let proof = operator.prove(self.session, issuer, at, &key).await?;
        // A process that ended before it could make a leaf of the closing head
        // left that to the next request.
        if is_closed && proof.as_ref().is_none_or(|proof| proof.head != self.head.cose) {
            operator.offer(self.session, self.head.tree_size, &self.head.cose, true);
        }
        Ok(proof.map(|proof| ProofOperator {
            head: b64(&proof.head),
            receipt: b64(&proof.receipt),
            checkpoint: proof.checkpoint,
        }))
    }

    fn keys(&self) -> Vec<ProofKey> {
        let keys = self.shared.signing.all();
        keys.iter().map(|key| ProofKey { kid: b64(key.kid()), spki: b64(key.spki()) }).collect()
    }
}
