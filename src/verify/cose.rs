//! Heads and receipts: `COSE_Sign1` with exactly the headers of the format
//! (docs/EVIDENCE.md, "Tree, heads, receipts"; RFC 9052, 9597, 9942).

use super::cbor::{self, CborError, Value};
use super::keys::KeyRing;
use super::report::{Code, Finding};
use super::tree::{self, Hash, sha256};

/// Longest head or receipt, in bytes. A receipt of a tree of 2^64 has 64 hashes
/// twice over; the rest are names.
pub const COSE_BYTES_MAX: usize = 16_384;
/// Longest path of a proof, in hashes: one a level, and one to start.
const PATH_MAX: usize = 65;
/// What the receipts of the operator's log are about.
pub(super) const OPERATOR_SUBJECT: &str = "urn:cabildo:operator-log";

const HEAD_TYPE: &str = "application/vnd.cabildo.head+cose";
const RECEIPT_TYPE: &str = "application/vnd.cabildo.receipt+cose";

/// What both kinds have in common.
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

/// A tree head, parsed; its signature is not checked yet.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    signed: Signed<'a>,
    /// Entries under it.
    pub size: u64,
    /// The root at that size.
    pub root: Hash,
    /// Size of the head before; 0 for none.
    pub previous_size: u64,
    /// Root of the head before.
    pub previous_root: Hash,
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A leaf is in the tree.
    Inclusion {
        /// Its place.
        index: u64,
        /// The way to the root.
        path: Vec<Hash>,
    },
    /// A smaller tree is the start of the tree.
    Consistency {
        /// The smaller tree's size.
        first: u64,
        /// The way to both roots.
        path: Vec<Hash>,
    },
}

/// A receipt, parsed; its signature is checked once its root is known.
#[derive(Debug, Clone)]
pub struct Receipt<'a> {
    signed: Signed<'a>,
    /// The tree's size.
    pub size: u64,
    /// What it proves.
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
    /// `type_name` and whether there is header 395 tell heads from receipts.
    fn parse(bytes: &'a [u8], type_name: &str, is_receipt: bool) -> Result<Self, Finding> {
        if bytes.len() > COSE_BYTES_MAX {
            return Err(Finding::new(Code::TooLarge, "a signed structure of too many bytes"));
        }
        let Value::Sign1(inner) = cbor::read(bytes).map_err(of_cbor)? else {
            return Err(header("tag 18 of COSE_Sign1 is missing"));
        };
        let Value::Array(parts) = *inner else { return Err(header("it is no array")) };
        let [protected, unprotected, payload, signature]: [Value<'a>; 4] =
            parts.try_into().map_err(|_| header("it has not four parts"))?;
        let protected = protected.bytes().ok_or_else(|| header("protected headers"))?;
        let Value::Map(unprotected) = unprotected else {
            return Err(header("unprotected headers"));
        };
        let payload = match payload {
            Value::Null => None,
            Value::Bytes(bytes) => Some(bytes),
            _ => return Err(header("the payload is no byte string")),
        };
        let signature = signature.bytes().ok_or_else(|| header("the signature"))?;
        let map = cbor::read(protected).map_err(of_cbor)?;
        let (kid, claims) = protected_headers(&map, type_name, is_receipt)?;
        let [issuer, subject, iat, size] = claim_values(claims)?;
        let issuer = issuer.text().ok_or_else(|| header("iss is no text"))?;
        let subject = subject.text().ok_or_else(|| header("sub is no text"))?;
        let iat_s = iat.uint().ok_or_else(|| header("iat is no time"))?;
        let size = size.uint().ok_or_else(|| header("tree_size is no size"))?;
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
            let text = format!("it is about another log: {}", shortened(self.subject));
            return Err(Finding::new(Code::WrongSession, text));
        }
        if self.issuer == issuer { Ok(()) } else { Err(header("iss is another issuer")) }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).filter(|letter| !letter.is_control()).collect()
}

/// The key identifier and the claims of exactly the headers of the format.
fn protected_headers<'v, 'a>(
    map: &'v Value<'a>,
    type_name: &str,
    is_receipt: bool,
) -> Result<(Hash, &'v Value<'a>), Finding> {
    let labels: &[u64] = if is_receipt { &[1, 4, 15, 16, 395] } else { &[1, 4, 15, 16] };
    let pairs = map.map().ok_or_else(|| header("the protected headers are no map"))?;
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
        return Err(header("it is of another type"));
    }
    if is_receipt && pairs[4].1 != Value::Uint(1) {
        return Err(header("the tree is not RFC9162_SHA256"));
    }
    Ok((kid, &pairs[2].1))
}

fn claim_values<'v, 'a>(claims: &'v Value<'a>) -> Result<[&'v Value<'a>; 4], Finding> {
    let pairs = claims.map().ok_or_else(|| header("the claims are no map"))?;
    let labels = [Value::Uint(1), Value::Uint(2), Value::Uint(6), Value::Text("tree_size")];
    if !pairs.iter().map(|(label, _)| label).eq(&labels) {
        return Err(header("the claims are not exactly iss, sub, iat and tree_size"));
    }
    Ok([&pairs[0].1, &pairs[1].1, &pairs[2].1, &pairs[3].1])
}

/// A byte string of deterministic CBOR, at most 64 KiB.
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
    /// Reads a head; nothing of its signature is checked.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Finding> {
        let signed = Signed::parse(bytes, HEAD_TYPE, false)?;
        if !signed.unprotected.is_empty() {
            return Err(header("a head has no unprotected header"));
        }
        let payload = signed.payload.ok_or_else(|| header("a head has a payload"))?;
        let malformed = || Finding::new(Code::Malformed, "the payload is not that of a head");
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
        // RFC 9942 can't express proofs in a tree of one leaf.
        if size < 2 || previous_size >= size || previous_size == 1 {
            return Err(Finding::new(Code::SequenceInvalid, "sizes that no head has"));
        }
        if previous_size == 0 && previous_root != sha256(&[]) {
            return Err(Finding::new(Code::ChainBroken, "a first head follows another root"));
        }
        Ok(Self { signed, size, root, previous_size, previous_root })
    }

    /// Checks who signed it, for whom, and that the signature holds.
    pub(super) fn check(&self, keys: &KeyRing, issuer: &str, subject: &str) -> Result<(), Finding> {
        self.signed.check_claims(issuer, subject)?;
        self.signed.check(keys, self.signed.payload.unwrap_or_default())
    }

    /// The key that signed it.
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
    /// Reads a receipt; nothing of it is checked but its form.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Finding> {
        let signed = Signed::parse(bytes, RECEIPT_TYPE, true)?;
        if signed.payload.is_some() {
            return Err(header("the payload of a receipt is detached"));
        }
        let (proof, size) = proof_of(&signed.unprotected)?;
        if size != signed.size {
            return Err(header("tree_size in the claims is not the size in the proof"));
        }
        Ok(Self { signed, size, proof })
    }

    /// Checks who signed it, about what, and that the signature is over `root`.
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

    /// The key that signed it.
    #[must_use]
    pub const fn kid(&self) -> Hash {
        self.signed.kid
    }

    /// The root that an inclusion of `entry` at `seq` leads to.
    pub(super) fn root_over(&self, entry: &[u8], seq: u64) -> Result<Hash, Finding> {
        let invalid = |why: &str| Finding::new(Code::ReceiptInvalid, why);
        let Proof::Inclusion { index, path } = &self.proof else {
            return Err(invalid("it is not a receipt of inclusion"));
        };
        if *index != seq {
            return Err(invalid("it is the receipt of another entry"));
        }
        tree::root_of_inclusion(tree::leaf(entry), *index, self.size, path)
            .ok_or_else(|| invalid("its path is not one for this place"))
    }
}

fn proof_of(unprotected: &[(Value<'_>, Value<'_>)]) -> Result<(Proof, u64), Finding> {
    let wrong = || header("a receipt's unprotected header is exactly one proof");
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
        Value::Nint(0 | 1) => Err(Finding::new(Code::ReceiptInvalid, "sizes that no receipt has")),
        _ => Err(wrong()),
    }
}
