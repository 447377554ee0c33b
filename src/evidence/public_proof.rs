//! What a request for a proof or a disclosure names, and what it is answered.

use serde::Serialize;

/// Most entries one proof is asked for.
pub const PROOF_SEQS_MAX: usize = 64;

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
