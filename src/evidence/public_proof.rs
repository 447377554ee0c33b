//! Requests for proofs and disclosures, and their answers.

use serde::Serialize;

/// Most entries of one proof.
pub const PROOF_SEQS_MAX: usize = 64;

/// What a proof should contain besides the newest head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProofQuery {
    /// Entries whose inclusion is proved, at most [`PROOF_SEQS_MAX`].
    pub seqs: Vec<u64>,
    /// Size of an earlier tree; the proof shows that the newest tree continues it.
    pub from_size: Option<u64>,
}

/// The state of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStatus {
    /// The session has not ended.
    Live,
    /// The log is closed.
    Closed,
    /// The session is over and its log is not closed.
    Interrupted,
}

/// The public proof, as JSON. It contains no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicProof {
    /// Version of the document: 1.
    pub v: u32,
    /// The session's id.
    pub session: String,
    /// Identifier of the log, base64url.
    pub log: String,
    /// State of the log.
    pub status: LogStatus,
    /// The issuer of its heads and receipts.
    pub iss: String,
    /// Public keys of the installation. A verifier should trust a list of its own instead.
    pub keys: Vec<ProofKey>,
    /// The newest head.
    pub head: ProofHead,
    /// Receipts of consistency, base64url.
    pub consistency: Vec<String>,
    /// The place of the session in the operator log.
    pub operator: Option<ProofOperator>,
    /// Timestamps of authorities (RFC 3161).
    pub tst: Vec<String>,
    /// The closing entry.
    pub close: Option<ProofEntry>,
    /// The requested entries.
    pub receipts: Vec<ProofEntry>,
}

/// A key in a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofKey {
    /// Key identifier, base64url.
    pub kid: String,
    /// Public key (`SubjectPublicKeyInfo`), base64url.
    pub spki: String,
}

/// A head in a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofHead {
    /// Number of entries.
    pub tree_size: u64,
    /// Root hash, base64url.
    pub root: String,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// The `COSE_Sign1` message, base64url.
    pub cose: String,
    /// The compact JWS.
    pub jws: String,
}

/// The place of a session in the operator log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofOperator {
    /// The session's newest head in the operator log, base64url.
    pub head: String,
    /// Receipt that this head is a leaf, base64url.
    pub receipt: String,
    /// The signed checkpoint for the size of the receipt.
    pub checkpoint: String,
}

/// An entry with its receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofEntry {
    /// Its `seq`.
    pub seq: u64,
    /// Its bytes, base64url.
    pub entry: String,
    /// Receipt that it is in the tree of the head, base64url.
    pub receipt: String,
}

/// A disclosed event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventDisclosure {
    /// `seq` of its entry.
    pub seq: u64,
    /// Salt of its commitment, base64url.
    pub salt: String,
    /// Its text.
    pub event: String,
}

/// The disclosed subject of a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubjectDisclosure {
    /// `seq` of the track's entry.
    pub seq: u64,
    /// Salt of its commitment, base64url.
    pub salt: String,
    /// JSON with `user_id`, `name`, `source`.
    pub subject: String,
}
