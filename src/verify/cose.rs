//! Heads and receipts: `COSE_Sign1` with exactly the headers that the format defines
//! (docs/EVIDENCE.md, "Tree, heads, receipts"; RFC 9052, 9597, 9942).

use super::cbor::{self, CborError, Value};
use super::keys::KeyRing;
use super::report::{Code, Finding};
use super::tree::{self, Hash, sha256};

/// Longest head or receipt accepted, in bytes. A receipt for a tree of 2^64 entries has at most 65
/// hashes and a few names.
pub const COSE_BYTES_MAX: usize = 16_384;
/// Longest path of a proof, in hashes: one per level, and one at the start.
const PATH_MAX: usize = 65;
/// The subject of receipts of the operator log.
pub(super) const OPERATOR_SUBJECT: &str = "urn:cabildo:operator-log";

const HEAD_TYPE: &str = "application/vnd.cabildo.head+cose";
const RECEIPT_TYPE: &str = "application/vnd.cabildo.receipt+cose";

/// The parts that heads and receipts have in common.
#[derive(Debug, Clone)]
struct Signed<'a> {
    protected: &'a [u8],
    unprotected: Vec<(Value<'a>, Value<'a>)>,
    payload: Option<&'a [u8]>,
    signature: &'a [u8],
    kid: Hash,
    issuer: &'a str,
    subject: &'a str,
    iat_s: u64,
    size: u64,
}

/// A parsed tree head, whose signature is not checked yet.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    signed: Signed<'a>,
    /// Number of entries in the tree.
    pub size: u64,
    /// The root hash at that size.
    pub root: Hash,
    /// Size of the head before; 0 when there is none.
    pub previous_size: u64,
    /// Root hash of the head before.
    pub previous_root: Hash,
}

/// The statement that a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// An entry is in the tree.
    Inclusion {
        /// Index of the leaf.
        index: u64,
        /// The hashes on the path to the root.
        path: Vec<Hash>,
    },
    /// A smaller tree is a prefix of the tree.
    Consistency {
        /// Size of the smaller tree.
        first: u64,
        /// The hashes on the path to both roots.
        path: Vec<Hash>,
    },
}

/// A parsed receipt, whose signature is checked once its root is known.
#[derive(Debug, Clone)]
pub struct Receipt<'a> {
    signed: Signed<'a>,
    /// Size of the tree.
    pub size: u64,
    /// The statement that it proves.
    pub proof: Proof,
}

fn header(why: impl Into<String>) -> Finding {
    Finding::new(Code::HeaderInvalid, why)
}

pub(super) fn of_cbor(error: CborError) -> Finding {
    let code = match error {
        CborError::NotCanonical(_) => Code::NotCanonical,
        CborError::TooDeep(_) => Code::TooLarge,
        CborError::Ends(_) | CborError::Trailing(_) | CborError::Malformed(_) => Code::Malformed,
    };
    Finding::new(code, error.to_string())
}

impl<'a> Signed<'a> {
    /// Heads and receipts are distinguished by `type_name` and by header 395.
    fn parse(bytes: &'a [u8], type_name: &str, is_receipt: bool) -> Result<Self, Finding> {
        if bytes.len() > COSE_BYTES_MAX {
            return Err(Finding::new(Code::TooLarge, "the signed structure has too many bytes"));
        }
        let Value::Sign1(inner) = cbor::read(bytes).map_err(of_cbor)? else {
            return Err(header("tag 18 of COSE_Sign1 is missing"));
        };
        let Value::Array(parts) = *inner else { return Err(header("it is not an array")) };
        let [protected, unprotected, payload, signature]: [Value<'a>; 4] =
            parts.try_into().map_err(|_| header("it does not have four parts"))?;
        let protected = protected.bytes().ok_or_else(|| header("protected headers"))?;
        let Value::Map(unprotected) = unprotected else {
            return Err(header("unprotected headers"));
        };
        let payload = match payload {
            Value::Null => None,
            Value::Bytes(bytes) => Some(bytes),
            _ => return Err(header("the payload is not a byte string")),
        };
        let signature = signature.bytes().ok_or_else(|| header("the signature"))?;
        let map = cbor::read(protected).map_err(of_cbor)?;
        let (kid, claims) = protected_headers(&map, type_name, is_receipt)?;
        let [issuer, subject, iat, size] = claim_values(claims)?;
        let issuer = issuer.text().ok_or_else(|| header("iss is not a text"))?;
        let subject = subject.text().ok_or_else(|| header("sub is not a text"))?;
        let iat_s = iat.uint().ok_or_else(|| header("iat is not a time"))?;
        let size = size.uint().ok_or_else(|| header("tree_size is not a size"))?;
        Ok(Self { protected, unprotected, payload, signature, kid, issuer, subject, iat_s, size })
    }

    /// Checks the signature over `payload` (RFC 9052 §4.4).
    fn check(&self, keys: &KeyRing, payload: &[u8]) -> Result<(), Finding> {
        let mut message = vec![0x84, 0x6A];
        message.extend_from_slice(b"Signature1");
        push_bytes(&mut message, self.protected);
        message.push(0x40);
        push_bytes(&mut message, payload);
        keys.check(&self.kid, &message, self.signature)
    }

    fn check_claims(&self, issuer: &str, subject: &str) -> Result<(), Finding> {
        if self.subject != subject {
            let text = format!("it belongs to another log: {}", shortened(self.subject));
            return Err(Finding::new(Code::WrongSession, text));
        }
        if self.issuer == issuer { Ok(()) } else { Err(header("iss is another issuer")) }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).filter(|letter| !letter.is_control()).collect()
}

/// The key identifier and the claims, if the headers are exactly those of the format.
fn protected_headers<'v, 'a>(
    map: &'v Value<'a>,
    type_name: &str,
    is_receipt: bool,
) -> Result<(Hash, &'v Value<'a>), Finding> {
    let labels: &[u64] = if is_receipt { &[1, 4, 15, 16, 395] } else { &[1, 4, 15, 16] };
    let pairs = map.map().ok_or_else(|| header("the protected headers are not a map"))?;
    let found: Vec<Option<u64>> = pairs.iter().map(|(label, _)| label.uint()).collect();
    let expected: Vec<Option<u64>> = labels.iter().copied().map(Some).collect();
    if found != expected {
        return Err(header(format!("the protected headers are not exactly {labels:?}")));
    }
    if pairs[0].1 != Value::Nint(6) {
        return Err(header("the algorithm is not ES256"));
    }
    let kid = pairs[1].1.fixed().ok_or_else(|| header("kid is not 32 bytes"))?;
    if pairs[3].1.text() != Some(type_name) {
        return Err(header("it has another content type"));
    }
    if is_receipt && pairs[4].1 != Value::Uint(1) {
        return Err(header("the tree is not RFC9162_SHA256"));
    }
    Ok((kid, &pairs[2].1))
}

fn claim_values<'v, 'a>(claims: &'v Value<'a>) -> Result<[&'v Value<'a>; 4], Finding> {
    let pairs = claims.map().ok_or_else(|| header("the claims are not a map"))?;
    let labels = [Value::Uint(1), Value::Uint(2), Value::Uint(6), Value::Text("tree_size")];
    if !pairs.iter().map(|(label, _)| label).eq(&labels) {
        return Err(header("the claims are not exactly iss, sub, iat and tree_size"));
    }
    Ok([&pairs[0].1, &pairs[1].1, &pairs[2].1, &pairs[3].1])
}

/// Appends a byte string in deterministic CBOR, at most 64 KiB.
fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let [.., high, low] = bytes.len().to_be_bytes();
    match bytes.len() {
        0..=0x17 => out.push(0x40 | low),
        0x18..=0xFF => out.extend([0x58, low]),
        _ => out.extend([0x59, high, low]),
    }
    out.extend_from_slice(bytes);
}

impl<'a> Head<'a> {
    /// Parses a head without checking its signature.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Finding> {
        let signed = Signed::parse(bytes, HEAD_TYPE, false)?;
        if !signed.unprotected.is_empty() {
            return Err(header("a head has no unprotected header"));
        }
        let payload = signed.payload.ok_or_else(|| header("a head has a payload"))?;
        let malformed =
            || Finding::new(Code::Malformed, "the payload is not the payload of a head");
        let value = cbor::read(payload).map_err(of_cbor)?;
        let [version, size, root, previous_size, previous_root] =
            value.tuple().ok_or_else(malformed)?;
        let (Some(1), Some(size), Some(root), Some(previous_size), Some(previous_root)) = (
            version.uint(),
            size.uint(),
            root.fixed(),
            previous_size.uint(),
            previous_root.fixed(),
        ) else {
            return Err(malformed());
        };
        if size != signed.size {
            return Err(header("tree_size in the claims is not the size in the payload"));
        }
        // RFC 9942 can't express proofs for a tree with one leaf.
        if size < 2 || previous_size >= size || previous_size == 1 {
            return Err(Finding::new(Code::SequenceInvalid, "a head can't have these sizes"));
        }
        if previous_size == 0 && previous_root != sha256(&[]) {
            return Err(Finding::new(Code::ChainBroken, "the first head names a root before it"));
        }
        Ok(Self { signed, size, root, previous_size, previous_root })
    }

    /// Checks the issuer, the subject and the signature.
    pub(super) fn check(&self, keys: &KeyRing, issuer: &str, subject: &str) -> Result<(), Finding> {
        self.signed.check_claims(issuer, subject)?;
        self.signed.check(keys, self.signed.payload.unwrap_or_default())
    }

    /// The id of the key that signed it.
    #[must_use]
    pub const fn kid(&self) -> Hash {
        self.signed.kid
    }

    /// When it was signed, in seconds since 1970.
    #[must_use]
    pub const fn iat_s(&self) -> u64 {
        self.signed.iat_s
    }
}

impl<'a> Receipt<'a> {
    /// Parses a receipt and checks only its form.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Finding> {
        let signed = Signed::parse(bytes, RECEIPT_TYPE, true)?;
        if signed.payload.is_some() {
            return Err(header("the payload of a receipt must be detached"));
        }
        let (proof, size) = proof_of(&signed.unprotected)?;
        if size != signed.size {
            return Err(header("tree_size in the claims is not the size in the proof"));
        }
        Ok(Self { signed, size, proof })
    }

    /// Checks the issuer, the subject, and the signature over `root`.
    pub(super) fn check(
        &self,
        keys: &KeyRing,
        issuer: &str,
        subject: &str,
        root: &Hash,
    ) -> Result<(), Finding> {
        self.signed.check_claims(issuer, subject)?;
        self.signed.check(keys, root)
    }

    /// The id of the key that signed it.
    #[must_use]
    pub const fn kid(&self) -> Hash {
        self.signed.kid
    }

    /// The root that the inclusion path gives for `entry` at `seq`.
    pub(super) fn root_over(&self, entry: &[u8], seq: u64) -> Result<Hash, Finding> {
        let invalid = |why: &str| Finding::new(Code::ReceiptInvalid, why);
        let Proof::Inclusion { index, path } = &self.proof else {
            return Err(invalid("it is not a receipt of inclusion"));
        };
        if *index != seq {
            return Err(invalid("the receipt belongs to another entry"));
        }
        tree::root_of_inclusion(tree::leaf(entry), *index, self.size, path)
            .ok_or_else(|| invalid("its path does not fit this index and tree size"))
    }
}

fn proof_of(unprotected: &[(Value<'_>, Value<'_>)]) -> Result<(Proof, u64), Finding> {
    let wrong = || header("a receipt's unprotected header must be exactly one proof");
    let [(Value::Uint(396), proofs)] = unprotected else { return Err(wrong()) };
    let Some([(kind, proofs)]) = proofs.map() else { return Err(wrong()) };
    let Some([proof]) = proofs.array() else { return Err(wrong()) };
    let value = cbor::read(proof.bytes().ok_or_else(wrong)?).map_err(of_cbor)?;
    let [first, second, path] = value.tuple().ok_or_else(wrong)?;
    let (Some(first), Some(second), Some(path)) = (first.uint(), second.uint(), path.array())
    else {
        return Err(wrong());
    };
    let path: Option<Vec<Hash>> = path.iter().take(PATH_MAX + 1).map(Value::fixed).collect();
    let path = path.filter(|path| !path.is_empty() && path.len() <= PATH_MAX).ok_or_else(wrong)?;
    match kind {
        Value::Nint(0) if second < first => Ok((Proof::Inclusion { index: second, path }, first)),
        Value::Nint(1) if first >= 1 && first < second => {
            Ok((Proof::Consistency { first, path }, second))
        }
        Value::Nint(0 | 1) => {
            Err(Finding::new(Code::ReceiptInvalid, "a receipt can't have these sizes"))
        }
        _ => Err(wrong()),
    }
}
