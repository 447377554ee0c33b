//! Parses the public proof as JSON (docs/EVIDENCE.md, "The public proof"), its JWS, and held heads.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cose::Head;
use super::files::without_mark;
use super::keys::{KeyRing, b64, fixed_b64};
use super::report::{Code, Finding};
use super::tree::{Hash, sha256};

/// Largest proof accepted, in bytes; the proof of a clip contains every entry of the clip.
pub const PROOF_BYTES_MAX: u64 = 64 << 20;
/// Largest file of held heads accepted, in bytes: about 30,000 heads.
pub const HELD_HEADS_BYTES_MAX: u64 = 16 << 20;
/// Most held heads that are checked; a page that keeps one per minute for days has fewer.
pub const HELD_HEADS_MAX: usize = 50_000;

/// A decoded proof; nothing in it is verified yet.
#[derive(Debug, Clone)]
pub struct Proof {
    pub(super) kind: Option<Kind>,
    pub(super) session: [u8; 16],
    pub(super) log: [u8; 16],
    pub(super) status: Status,
    pub(super) issuer: String,
    pub(super) keys: KeyRing,
    pub(super) kids: Vec<Hash>,
    pub(super) head: ProofHead,
    pub(super) consistency: Vec<Vec<u8>>,
    pub(super) operator: Option<Operator>,
    pub(super) time_stamps: usize,
    pub(super) close: Option<ProofEntry>,
    pub(super) receipts: Vec<ProofEntry>,
}

/// The kind of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Full,
    Clip,
}

/// The state of the log according to the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Live,
    Closed,
    Interrupted,
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Closed => "closed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The newest head, as repeated in the proof.
#[derive(Debug, Clone)]
pub(super) struct ProofHead {
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) iat_s: u64,
    pub(super) cose: Vec<u8>,
    pub(super) jws: String,
}

/// An entry with the receipt of its inclusion.
#[derive(Debug, Clone)]
pub(super) struct ProofEntry {
    pub(super) seq: u64,
    pub(super) entry: Vec<u8>,
    pub(super) receipt: Vec<u8>,
}

/// The place of a head in the operator log.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    pub(super) head: Vec<u8>,
    pub(super) receipt: Vec<u8>,
    pub(super) checkpoint: String,
}

#[derive(Deserialize)]
struct ProofJson {
    v: u64,
    kind: Option<Kind>,
    session: String,
    log: String,
    status: Status,
    iss: String,
    keys: Vec<KeyJson>,
    head: HeadJson,
    consistency: Vec<String>,
    // Each member must be present, though it may be null.
    #[serde(deserialize_with = "Option::deserialize")]
    operator: Option<OperatorJson>,
    tst: Vec<serde_json::Value>,
    #[serde(deserialize_with = "Option::deserialize")]
    close: Option<EntryJson>,
    receipts: Vec<EntryJson>,
}

#[derive(Deserialize)]
struct KeyJson {
    kid: String,
    spki: String,
}

#[derive(Deserialize)]
struct HeadJson {
    tree_size: u64,
    root: String,
    iat: u64,
    cose: String,
    jws: String,
}

#[derive(Deserialize)]
struct OperatorJson {
    head: String,
    receipt: String,
    checkpoint: String,
}

#[derive(Deserialize)]
struct EntryJson {
    seq: u64,
    entry: String,
    receipt: String,
}

#[derive(Deserialize)]
struct HeldJson {
    v: u64,
    session: String,
    heads: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JwsHeader {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JwsClaims {
    iss: String,
    sub: String,
    iat: u64,
    tree_size: u64,
    root: String,
    prev_tree_size: u64,
    prev_root: String,
    cose_sha256: String,
}

fn malformed(why: impl std::fmt::Display) -> Finding {
    Finding::new(Code::Malformed, why.to_string())
}

fn json<T: DeserializeOwned>(what: &str, document: &[u8]) -> Result<T, Finding> {
    let document = without_mark(document);
    serde_json::from_slice(document).map_err(|error| malformed(format!("{what}: {error}")))
}

fn bytes(what: &str, text: &str) -> Result<Vec<u8>, Finding> {
    b64(text).ok_or_else(|| malformed(format!("{what} is not base64url without padding")))
}

fn fixed<const N: usize>(what: &str, text: &str) -> Result<[u8; N], Finding> {
    fixed_b64(text).ok_or_else(|| malformed(format!("{what} is not {N} bytes in base64url")))
}

impl Proof {
    /// Parses a proof of at most [`PROOF_BYTES_MAX`] bytes of JSON.
    pub fn parse(document: &[u8]) -> Result<Self, Finding> {
        let proof: ProofJson = json("the proof", document)?;
        if proof.v != 1 {
            return Err(malformed("the proof has another version"));
        }
        let mut keys = KeyRing::default();
        let mut kids = Vec::new();
        for key in &proof.keys {
            keys.add(&key.kid, &key.spki)?;
            kids.push(fixed("kid", &key.kid)?);
        }
        let head = ProofHead {
            size: proof.head.tree_size,
            root: fixed("root", &proof.head.root)?,
            iat_s: proof.head.iat,
            cose: bytes("the head", &proof.head.cose)?,
            jws: proof.head.jws,
        };
        let operator = match proof.operator {
            Some(operator) => Some(Operator {
                head: bytes("the head in the operator log", &operator.head)?,
                receipt: bytes("the receipt of the operator log", &operator.receipt)?,
                checkpoint: operator.checkpoint,
            }),
            None => None,
        };
        let receipts: Result<_, _> = proof.receipts.iter().map(ProofEntry::decode).collect();
        let consistency: Result<_, _> =
            proof.consistency.iter().map(|text| bytes("a consistency receipt", text)).collect();
        Ok(Self {
            kind: proof.kind,
            session: uuid(&proof.session).ok_or_else(|| malformed("session is not a UUID"))?,
            log: fixed("log", &proof.log)?,
            status: proof.status,
            issuer: proof.iss,
            keys,
            kids,
            head,
            consistency: consistency?,
            operator,
            time_stamps: proof.tst.len(),
            close: proof.close.as_ref().map(ProofEntry::decode).transpose()?,
            receipts: receipts?,
        })
    }

    /// The subject of heads and receipts of this session.
    pub(super) fn subject(&self) -> String {
        format!("urn:uuid:{}", hyphenated(&self.session))
    }
}

impl ProofEntry {
    fn decode(json: &EntryJson) -> Result<Self, Finding> {
        Ok(Self {
            seq: json.seq,
            entry: bytes("an entry", &json.entry)?,
            receipt: bytes("a receipt", &json.receipt)?,
        })
    }
}

/// Parses a file of held heads: its session, and the COSE bytes of the heads.
pub fn parse_held_heads(document: &[u8]) -> Result<([u8; 16], Vec<Vec<u8>>), Finding> {
    let held: HeldJson = json("held heads", document)?;
    if held.v != 1 {
        return Err(malformed("held heads have another version"));
    }
    if held.heads.len() > HELD_HEADS_MAX {
        return Err(Finding::new(Code::TooLarge, "too many held heads"));
    }
    let session = uuid(&held.session).ok_or_else(|| malformed("session is not a UUID"))?;
    let heads: Result<_, _> = held.heads.iter().map(|text| bytes("a held head", text)).collect();
    Ok((session, heads?))
}

/// Checks that a JWS repeats the head in `cose`, with the same issuer and subject (RFC 7515).
pub(super) fn check_jws(
    jws: &str,
    head: &Head<'_>,
    cose: &[u8],
    keys: &KeyRing,
    issuer_and_subject: (&str, &str),
) -> Result<(), Finding> {
    let no_jws = || malformed("the JWS is not in compact form");
    let (message, signature) = jws.rsplit_once('.').ok_or_else(no_jws)?;
    let (header, claims) = message.split_once('.').ok_or_else(no_jws)?;
    let header: JwsHeader = json("the JWS's header", &bytes("the JWS's header", header)?)?;
    let kid = fixed::<32>("the JWS's kid", &header.kid)?;
    if header.alg != "ES256" || header.typ != "cabildo-head+jwt" || kid != head.kid() {
        return Err(Finding::new(
            Code::HeaderInvalid,
            "the header of the JWS differs from the head",
        ));
    }
    keys.check(&kid, message.as_bytes(), &bytes("the JWS's signature", signature)?)?;
    let claims: JwsClaims = json("the JWS's claims", &bytes("the JWS's claims", claims)?)?;
    let repeats = (claims.iss.as_str(), claims.sub.as_str()) == issuer_and_subject
        && claims.iat == head.iat_s()
        && claims.tree_size == head.size
        && fixed_b64(&claims.root) == Some(head.root)
        && claims.prev_tree_size == head.previous_size
        && fixed_b64(&claims.prev_root) == Some(head.previous_root)
        && fixed_b64(&claims.cose_sha256) == Some(sha256(cose));
    if repeats {
        Ok(())
    } else {
        Err(Finding::new(Code::ForkedLog, "the JWS was signed for another head than the COSE one"))
    }
}

/// Parses a UUID in the only accepted form: hyphenated and lower case (RFC 9562 §4).
pub(super) fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok()?;
    let id = number.to_be_bytes();
    (hyphenated(&id) == text).then_some(id)
}

/// Writes a UUID in that form.
pub(super) fn hyphenated(id: &[u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(*id));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
