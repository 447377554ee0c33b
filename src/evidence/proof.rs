//! Makes public proofs of logs, and disclosures of single events and subjects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId};
use crate::evidence::commitment::{event_commitment, subject_commitment};
use crate::evidence::entry::{Body, Entry};
use crate::evidence::error::EvidenceError;
use crate::evidence::head::{NotOwn, read_own_head};
use crate::evidence::keys::EvidenceKey;
use crate::evidence::public_proof::{
    EventDisclosure, LogStatus, PROOF_SEQS_MAX, ProofEntry, ProofHead, ProofKey, ProofOperator,
    ProofQuery, PublicProof, SubjectDisclosure,
};
use crate::evidence::readers::{Basis, Reader};
use crate::evidence::receipt::{consistency_receipt, inclusion_receipt};
use crate::evidence::repository::{StoredEntry, StoredHead};
use crate::evidence::shared::{Shared, identity_of};
use crate::evidence::tree::leaf_hash;
use crate::sealing::EventsKey;
use crate::vault::KeyPurpose;

/// Receipts of inclusion that are cached for one head, and as many receipts of consistency. Raising
/// it raises memory, about 1 KiB each.
const RECEIPTS_MAX: usize = 128;
/// How long a proof uses the head that was read before, unless this process has signed a newer one.
/// Raising it delays heads of other processes, and leaves of the operator log.
const BASIS_AGE_MAX: Duration = Duration::from_secs(1);
/// The same for callers that name entries or sizes beyond that head, since another process may have
/// signed a newer one. Lowering it lets strangers make the server read and sign more often.
const BASIS_AGE_BEYOND: Duration = Duration::from_millis(100);

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One request for a proof.
struct Proving<'a> {
    shared: &'a Shared,
    tenant: TenantId,
    session: SessionId,
    basis: Arc<Basis>,
}

impl Shared {
    /// Makes the public proof of a log.
    pub(super) async fn prove(
        &self,
        key: SessionKey,
        status: LogStatus,
        query: &ProofQuery,
    ) -> Result<PublicProof, EvidenceError> {
        let SessionKey { tenant, session } = key;
        if query.seqs.len() > PROOF_SEQS_MAX {
            return Err(EvidenceError::TooMany);
        }
        let (reader, generation) = self.readers.reader(key);
        let mut reader = reader.lock().await;
        let basis = reader.basis.clone().filter(|basis| {
            let size = basis.head.tree_size;
            let covers = query.seqs.iter().all(|seq| *seq < size)
                && query.from_size.is_none_or(|from| from <= size);
            let age_max = if covers { BASIS_AGE_MAX } else { BASIS_AGE_BEYOND };
            basis.generation >= generation && basis.read_at.elapsed() < age_max
        });
        let basis = match basis {
            Some(basis) => basis,
            None => match self.read_basis(&mut reader, key, generation).await {
                Ok(basis) => basis,
                Err(error) => {
                    self.readers.forget(key);
                    return Err(error);
                }
            },
        };
        let proving = Proving { shared: self, tenant, session, basis };
        proving.prove(&mut reader, status, query).await
    }

    /// Reads the state of a log and the leaves that its newest head covers, and checks that the
    /// head fits them.
    async fn read_basis(
        &self,
        reader: &mut Reader,
        session_key: SessionKey,
        generation: u64,
    ) -> Result<Arc<Basis>, EvidenceError> {
        let read_at = Instant::now();
        let record = self.repository.log(session_key).await?.ok_or(EvidenceError::NoLog)?;
        let head = self.repository.latest_head(session_key).await?;
        let head = head.ok_or(EvidenceError::NoHead)?;
        let (key, issuer) = self.signer_of(&head)?;
        let size = head.tree_size;
        if reader.tree.size() < size {
            let from = reader.tree.size();
            for leaf in self.repository.leaves(session_key, from).await? {
                reader.tree.append(leaf);
            }
            self.readers.grown(session_key, reader.tree.size());
        }
        if reader.tree.root(size) != Some(head.root) {
            return Err(EvidenceError::Integrity(
                "the newest head does not fit the stored entries",
            ));
        }
        if reader.size != size {
            reader.size = size;
            reader.entries.clear();
            reader.consistency.clear();
        }
        let is_closed = record.closed_seq.is_some_and(|seq| seq < size);
        self.operator.note_issuer(&head.cose);
        let session = session_key.session;
        let operator = self.operator_proof(session, &head, &issuer, is_closed).await?;
        let identity = identity_of(session, issuer);
        let basis = Basis { read_at, generation, record, head, identity, key, operator };
        let basis = Arc::new(basis);
        reader.basis = Some(Arc::clone(&basis));
        Ok(basis)
    }

    /// The place of a session's newest leaf in the operator log.
    async fn operator_proof(
        &self,
        session: SessionId,
        head: &StoredHead,
        issuer: &str,
        is_closed: bool,
    ) -> Result<Option<ProofOperator>, EvidenceError> {
        let (at, key) = (self.clock.now(), self.signing.active());
        let proof = self.operator.prove(session, issuer, at, &key).await?;
        // If the process that closed the log ended before it added the last head to the operator
        // log, this process adds it.
        if is_closed && proof.as_ref().is_none_or(|proof| proof.head != head.cose) {
            self.operator.offer(session, head.tree_size, &head.cose, true);
        }
        Ok(proof.map(|proof| ProofOperator {
            head: b64(&proof.head),
            receipt: b64(&proof.receipt),
            checkpoint: proof.checkpoint,
        }))
    }

    /// The key that signed a head, which also signs receipts for its size, and the issuer that the
    /// head names.
    fn signer_of(&self, head: &StoredHead) -> Result<(Arc<EvidenceKey>, String), EvidenceError> {
        let own = match read_own_head(head, &self.signing) {
            Err(NotOwn::KeyMissing) if self.refresh_keys() => read_own_head(head, &self.signing),
            own => own,
        };
        let own = own.map_err(|not_own| match not_own {
            NotOwn::KeyMissing => EvidenceError::KeyMissing,
            NotOwn::Malformed | NotOwn::Forged => {
                EvidenceError::Integrity("the newest head was not signed by this installation")
            }
        })?;
        let key = self.signing.find(&own.kid).ok_or(EvidenceError::KeyMissing)?;
        Ok((key, own.issuer))
    }

    /// Discloses an event.
    pub(super) async fn disclose_event(
        &self,
        session_key: SessionKey,
        seq: u64,
    ) -> Result<EventDisclosure, EvidenceError> {
        let (key, entry) = self.committed(session_key, seq).await?;
        let mut events = self.repository.events(session_key, &[], seq, 1).await?;
        let event = events.pop().filter(|event| event.seq == seq);
        let event = event.ok_or(EvidenceError::EntryNotFound(seq))?;
        let salt = key.event_salt(seq);
        // The commitment is the last item of an event entry.
        if !entry.bytes.ends_with(&event_commitment(&salt, &event.text)) {
            return Err(EvidenceError::Integrity("an event's text does not match its commitment"));
        }
        Ok(EventDisclosure { seq, salt: b64(salt), event: event.text })
    }

    /// Discloses the subject of a track; `subject` is the text to which its entry commits.
    pub(super) async fn disclose_subject(
        &self,
        session_key: SessionKey,
        seq: u64,
        subject: String,
    ) -> Result<SubjectDisclosure, EvidenceError> {
        let (key, entry) = self.committed(session_key, seq).await?;
        let track: RecordedTrackId = match Entry::read(&entry.bytes).map(|it| it.body) {
            Some(Body::Track { track, .. }) => track,
            _ => return Err(EvidenceError::EntryNotFound(seq)),
        };
        let salt = key.subject_salt(&track);
        if !entry.bytes.ends_with(&subject_commitment(&salt, &subject)) {
            return Err(EvidenceError::Integrity("a subject does not match its commitment"));
        }
        Ok(SubjectDisclosure { seq, salt: b64(salt), subject })
    }

    async fn committed(
        &self,
        session_key: SessionKey,
        seq: u64,
    ) -> Result<(EventsKey, StoredEntry), EvidenceError> {
        let SessionKey { tenant, session } = session_key;
        let record = self.repository.log(session_key).await?.ok_or(EvidenceError::NoLog)?;
        let wrapped = record.events_key.ok_or(EvidenceError::Erased)?;
        let purpose = KeyPurpose::Events(session);
        let key = EventsKey::new(self.keys.unwrap(tenant, purpose, &wrapped).await?);
        Ok((key, self.entry(session_key, seq).await?))
    }

    async fn entry(&self, key: SessionKey, seq: u64) -> Result<StoredEntry, EvidenceError> {
        let mut entries = self.repository.entries(key, seq, 1).await?;
        let entry = entries.pop().filter(|entry| entry.seq == seq);
        entry.ok_or(EvidenceError::EntryNotFound(seq))
    }
}

impl Proving<'_> {
    async fn prove(
        &self,
        reader: &mut Reader,
        status: LogStatus,
        query: &ProofQuery,
    ) -> Result<PublicProof, EvidenceError> {
        let Basis { record, head, operator, .. } = &*self.basis;
        let size = head.tree_size;
        let consistency = self.consistency(reader, query.from_size)?;
        let mut receipts = Vec::new();
        for seq in &query.seqs {
            receipts.push(self.proven(reader, *seq).await?);
        }
        let close = match record.closed_seq.filter(|seq| *seq < size) {
            Some(seq) => Some(self.proven(reader, seq).await?),
            None => None,
        };
        Ok(PublicProof {
            v: 1,
            session: self.session.to_string(),
            log: b64(record.log_id),
            status: if close.is_some() { LogStatus::Closed } else { status },
            iss: self.basis.identity.issuer.clone(),
            keys: self.keys(),
            head: ProofHead {
                tree_size: size,
                root: b64(head.root),
                iat: head.at.unix_s(),
                cose: b64(&head.cose),
                jws: head.jws.clone(),
            },
            consistency,
            operator: operator.clone(),
            tst: Vec::new(),
            close,
            receipts,
        })
    }

    fn consistency(
        &self,
        reader: &mut Reader,
        from_size: Option<u64>,
    ) -> Result<Vec<String>, EvidenceError> {
        let size = self.basis.head.tree_size;
        let Some(from) = from_size.filter(|from| *from != size) else { return Ok(Vec::new()) };
        if let Some(receipt) = reader.consistency.get(&from) {
            return Ok(vec![receipt.clone()]);
        }
        let about = (&self.basis.identity, self.shared.clock.now());
        let receipt = consistency_receipt(&reader.tree, from, size, about, &self.basis.key);
        let receipt = b64(receipt.ok_or(EvidenceError::NotCovered(from))?);
        keep(&mut reader.consistency, from, receipt.clone());
        Ok(vec![receipt])
    }

    async fn proven(&self, reader: &mut Reader, seq: u64) -> Result<ProofEntry, EvidenceError> {
        let size = self.basis.head.tree_size;
        if seq >= size {
            return Err(EvidenceError::NotCovered(seq));
        }
        if let Some(proven) = reader.entries.get(&seq) {
            return Ok(proven.clone());
        }
        let entry = self.shared.entry(SessionKey::new(self.tenant, self.session), seq).await?;
        if reader.tree.leaf(seq) != Some(leaf_hash(&entry.bytes)) {
            return Err(EvidenceError::Integrity("an entry differs from the signed one"));
        }
        let about = (&self.basis.identity, self.shared.clock.now());
        let receipt = inclusion_receipt(&reader.tree, seq, size, about, &self.basis.key);
        let receipt = b64(receipt.ok_or(EvidenceError::NotCovered(seq))?);
        let proven = ProofEntry { seq, entry: b64(&entry.bytes), receipt };
        keep(&mut reader.entries, seq, proven.clone());
        Ok(proven)
    }

    fn keys(&self) -> Vec<ProofKey> {
        let keys = self.shared.signing.all();
        keys.iter().map(|key| ProofKey { kid: b64(key.kid()), spki: b64(key.spki()) }).collect()
    }
}

/// Adds a value to a cache for one head; when it is full, all of it is dropped.
fn keep<T>(made: &mut BTreeMap<u64, T>, at: u64, value: T) {
    if made.len() >= RECEIPTS_MAX {
        made.clear();
    }
    made.insert(at, value);
}
