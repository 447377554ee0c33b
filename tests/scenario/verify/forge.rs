//! A small writer of bundles for tests: a third reading of docs/EVIDENCE.md,
//! with its CBOR encoded by hand, its tree by the recursive definition of
//! RFC 9162, and its own sealing. It writes lies as willingly as truths.

use std::collections::BTreeMap;

use aes_gcm::aead::Aead as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cabildo::verify::files::InMemory;
use ed25519_dalek::Signer as _;
use hmac::{Hmac, Mac as _};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

pub(crate) type Hash = [u8; 32];

pub(crate) const ISSUER: &str = "https://record.example";
pub(crate) const SESSION: [u8; 16] = [0x51; 16];
pub(crate) const LOG: [u8; 16] = [0x10; 16];
pub(crate) const START_MS: u64 = 1_780_000_000_000;
pub(crate) const POLICY: &str = r#"{"recording":"everything"}"#;
pub(crate) const ORIGIN: &str = "record.example/evidence/log";
const HEAD_TYPE: &str = "application/vnd.cabildo.head+cose";
const RECEIPT_TYPE: &str = "application/vnd.cabildo.receipt+cose";

pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

pub(crate) fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

// CBOR, each function one item.

fn head(major: u8, number: u64) -> Vec<u8> {
    let major = major << 5;
    let wide = number.to_be_bytes();
    match number {
        0..=23 => vec![major | wide[7]],
        24..=255 => vec![major | 0x18, wide[7]],
        256..=65_535 => [&[major | 0x19], &wide[6..]].concat(),
        65_536..=4_294_967_295 => [&[major | 0x1A], &wide[4..]].concat(),
        _ => [&[major | 0x1B], &wide[..]].concat(),
    }
}

pub(crate) fn uint(number: u64) -> Vec<u8> {
    head(0, number)
}

/// The negative integer −`number`.
pub(crate) fn minus(number: u64) -> Vec<u8> {
    head(1, number - 1)
}

pub(crate) fn bytes(bytes: &[u8]) -> Vec<u8> {
    [head(2, bytes.len() as u64), bytes.to_vec()].concat()
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [head(3, text.len() as u64), text.as_bytes().to_vec()].concat()
}

pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

/// Pairs in the order given.
pub(crate) fn map(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = head(5, pairs.len() as u64);
    for (key, value) in pairs {
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
    out
}

pub(crate) fn null() -> Vec<u8> {
    vec![0xF6]
}

// The tree, as RFC 9162 §2.1 defines it.

fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

fn node(left: Hash, right: Hash) -> Hash {
    sha256(&[&[1][..], &left, &right].concat())
}

pub(crate) fn root(entries: &[Vec<u8>]) -> Hash {
    match entries {
        [] => sha256(&[]),
        [one] => sha256(&[&[0][..], one].concat()),
        _ => {
            let (left, right) = entries.split_at(split(entries.len()));
            node(root(left), root(right))
        }
    }
}

pub(crate) fn inclusion_path(index: usize, entries: &[Vec<u8>]) -> Vec<Hash> {
    if entries.len() < 2 {
        return Vec::new();
    }
    let (left, right) = entries.split_at(split(entries.len()));
    if index < left.len() {
        [inclusion_path(index, left), vec![root(right)]].concat()
    } else {
        [inclusion_path(index - left.len(), right), vec![root(left)]].concat()
    }
}

pub(crate) fn consistency_path(first: usize, entries: &[Vec<u8>]) -> Vec<Hash> {
    subproof(first, entries, true)
}

fn subproof(first: usize, entries: &[Vec<u8>], is_whole: bool) -> Vec<Hash> {
    if first == entries.len() {
        return if is_whole { Vec::new() } else { vec![root(entries)] };
    }
    let (left, right) = entries.split_at(split(entries.len()));
    if first <= left.len() {
        [subproof(first, left, is_whole), vec![root(right)]].concat()
    } else {
        [subproof(first - left.len(), right, false), vec![root(left)]].concat()
    }
}

// Keys and signatures.

/// An evidence key.
#[derive(Clone)]
pub(crate) struct Key(pub(crate) SigningKey);

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).expect("below the order"))
    }

    fn point(&self) -> Vec<u8> {
        self.0.verifying_key().to_sec1_point(false).as_bytes().to_vec()
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        let prefix: [u8; 26] = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06,
            0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        [&prefix[..], &self.point()].concat()
    }

    pub(crate) fn kid(&self) -> Hash {
        sha256(&self.spki())
    }

    /// ES256 with low S.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(message);
        signature.normalize_s().to_bytes().to_vec()
    }

    fn json(&self) -> Value {
        let point = self.point();
        json!({"kid": b64(&self.kid()), "spki": b64(&self.spki()), "kty": "EC", "crv": "P-256",
            "x": b64(&point[1..33]), "y": b64(&point[33..]), "alg": "ES256", "use": "sig"})
    }
}

/// What a `COSE_Sign1` is made of, so that tests can make it wrongly.
#[derive(Clone)]
pub(crate) struct Cose {
    pub(crate) protected: Vec<u8>,
    pub(crate) unprotected: Vec<u8>,
    pub(crate) payload: Option<Vec<u8>>,
    /// What is signed when the payload is detached.
    pub(crate) detached: Vec<u8>,
}

impl Cose {
    fn to_be_signed(&self) -> Vec<u8> {
        let payload = self.payload.as_ref().unwrap_or(&self.detached);
        array(&[text("Signature1"), bytes(&self.protected), bytes(&[]), bytes(payload)])
    }

    pub(crate) fn with_signature(&self, signature: &[u8]) -> Vec<u8> {
        let payload = self.payload.as_ref().map_or_else(null, |payload| bytes(payload));
        let parts = [bytes(&self.protected), self.unprotected.clone(), payload, bytes(signature)];
        [vec![0xD2], array(&parts)].concat()
    }

    pub(crate) fn sign(&self, key: &Key) -> Vec<u8> {
        self.with_signature(&key.sign(&self.to_be_signed()))
    }

    /// The other signature that ECDSA has for each.
    pub(crate) fn sign_high(&self, key: &Key) -> Vec<u8> {
        let low = Signature::from_slice(&key.sign(&self.to_be_signed())).expect("a signature");
        let (r, s) = low.split_scalars();
        let high = Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).expect("a signature");
        self.with_signature(&high.to_bytes())
    }
}

pub(crate) fn claims(subject: &str, size: u64) -> Vec<u8> {
    map(&[
        (uint(1), text(ISSUER)),
        (uint(2), text(subject)),
        (uint(6), uint(START_MS / 1_000 + 5)),
        (text("tree_size"), uint(size)),
    ])
}

pub(crate) fn protected(kid: Hash, subject: &str, size: u64, is_receipt: bool) -> Vec<u8> {
    let mut pairs = vec![
        (uint(1), minus(7)),
        (uint(4), bytes(&kid)),
        (uint(15), claims(subject, size)),
        (uint(16), text(if is_receipt { RECEIPT_TYPE } else { HEAD_TYPE })),
    ];
    if is_receipt {
        pairs.push((uint(395), uint(1)));
    }
    map(&pairs)
}

fn proof_header(label: u64, numbers: [u64; 2], path: &[Hash]) -> Vec<u8> {
    let path: Vec<Vec<u8>> = path.iter().map(|hash| bytes(hash)).collect();
    let proof = array(&[uint(numbers[0]), uint(numbers[1]), array(&path)]);
    map(&[(uint(396), map(&[(minus(label), array(&[bytes(&proof)]))]))])
}

/// A head of `entries[..size]` after one of `previous`.
pub(crate) fn head_cose(kid: Hash, subject: &str, entries: &[Vec<u8>], previous: usize) -> Cose {
    let payload = array(&[
        uint(1),
        uint(entries.len() as u64),
        bytes(&root(entries)),
        uint(previous as u64),
        bytes(&root(&entries[..previous])),
    ]);
    Cose {
        protected: protected(kid, subject, entries.len() as u64, false),
        unprotected: map(&[]),
        payload: Some(payload),
        detached: Vec::new(),
    }
}

pub(crate) fn inclusion_cose(kid: Hash, subject: &str, entries: &[Vec<u8>], index: usize) -> Cose {
    let size = entries.len() as u64;
    Cose {
        protected: protected(kid, subject, size, true),
        unprotected: proof_header(1, [size, index as u64], &inclusion_path(index, entries)),
        payload: None,
        detached: root(entries).to_vec(),
    }
}

pub(crate) fn consistency_cose(
    kid: Hash,
    subject: &str,
    entries: &[Vec<u8>],
    first: usize,
) -> Cose {
    let size = entries.len() as u64;
    Cose {
        protected: protected(kid, subject, size, true),
        unprotected: proof_header(2, [first as u64, size], &consistency_path(first, entries)),
        payload: None,
        detached: root(entries).to_vec(),
    }
}

// Sealed objects and what is in them.

pub(crate) fn uuid(id: &[u8; 16]) -> String {
    uuid::Uuid::from_bytes(*id).to_string()
}

fn expand(key: Hash, info: &[u8], length: usize) -> Vec<u8> {
    // RFC 5869 §2.3, with the key padded with zeros to the hash's length.
    let mut out: Vec<u8> = Vec::new();
    let mut block: Vec<u8> = Vec::new();
    for counter in 1.. {
        let mut mac = Hmac::<Sha512>::new_from_slice(&[key, [0; 32]].concat()).expect("any key");
        mac.update(&[&block[..], info, &[counter]].concat());
        block = mac.finalize().into_bytes().to_vec();
        out.extend_from_slice(&block);
        if out.len() >= length {
            break;
        }
    }
    out.truncate(length);
    out
}

pub(crate) fn segment_key(track_key: Hash, index: u64) -> Hash {
    let info = [&b"seg"[..], &index.to_be_bytes()].concat();
    expand(track_key, &info, 32).try_into().expect("32 bytes")
}

pub(crate) fn context(session: [u8; 16], track: [u8; 16], index: u64, epoch: u64) -> Vec<u8> {
    array(&[uint(1), bytes(&session), bytes(&track), uint(index), uint(epoch)])
}

/// The key, base nonce and commitment of an object.
pub(crate) fn object_keys(key: Hash, salt: [u8; 24], context: &[u8]) -> (Hash, [u8; 12], Hash) {
    let label = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
    let all = expand(key, &[&label[..], &salt, context].concat(), 76);
    let part = |range: std::ops::Range<usize>| all[range].to_vec();
    (
        part(0..32).try_into().expect("32"),
        part(32..44).try_into().expect("12"),
        part(44..76).try_into().expect("32"),
    )
}

pub(crate) fn seal(key: Hash, salt: [u8; 24], context: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let (key, base, commitment) = object_keys(key, salt, context);
    let cipher = Aes256Gcm::new_from_slice(&key).expect("32 bytes");
    let mut object = [&salt[..], &commitment].concat();
    for number in 0..=plaintext.len() / 16_384 {
        let start = number * 16_384;
        let end = plaintext.len().min(start + 16_384);
        let mut nonce = base;
        for (byte, counter) in nonce[4..].iter_mut().zip((number as u64).to_be_bytes()) {
            *byte ^= counter;
        }
        let chunk = cipher.encrypt(&nonce.into(), &plaintext[start..end]).expect("sealed");
        object.extend(chunk);
    }
    object
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).expect("seven bits"));
    out
}

pub(crate) fn record(kind: u64, after_ms: u64, body: &[u8]) -> Vec<u8> {
    [varint((body.len() as u64) << 2 | kind), varint(after_ms), body.to_vec()].concat()
}

pub(crate) fn rtp(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 1, 0, 0xAA, 0xBB, 0xCC, 0xDD]);
    packet.extend_from_slice(payload);
    packet
}

/// A piece of a journal: a layer, a key frame's request and some packets, 10 ms
/// apart.
pub(crate) fn journal(base_ms: u64, first: u16, packets: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    out.extend((base_ms * 1_000 + 7).to_be_bytes());
    out.extend(record(2, 0, &[1, 0xAA, 0xBB, 0xCC, 0xDD, 0]));
    for number in 0..packets {
        let after = if number == 0 { 0 } else { 10 };
        out.extend(record(0, after, &rtp(first.wrapping_add(number), payload)));
    }
    out
}

// A log and its bundle.

/// A recorded track of a forged log.
#[derive(Clone)]
pub(crate) struct Track {
    pub(crate) id: [u8; 16],
    pub(crate) key: Hash,
    pub(crate) seq: u64,
    pub(crate) objects: Vec<Vec<u8>>,
    pub(crate) packets: u64,
}

/// How a log is forged.
#[derive(Clone)]
pub(crate) struct Forge {
    pub(crate) session: [u8; 16],
    pub(crate) key: Key,
    pub(crate) events_key: Hash,
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) tracks: Vec<Track>,
    pub(crate) heads: Vec<Vec<u8>>,
    pub(crate) head_sizes: Vec<usize>,
    pub(crate) keys: Vec<Key>,
    pub(crate) events: BTreeMap<u64, String>,
    pub(crate) close: Option<usize>,
    /// Of the format of its entries.
    pub(crate) version: u64,
    now_ms: u64,
}

pub(crate) fn track_id(number: u8) -> [u8; 16] {
    [0xA0 + number; 16]
}

impl Forge {
    /// A log of version 1 with its genesis and policy.
    pub(crate) fn new(session: [u8; 16], key: Key) -> Self {
        Self::of_version(1, session, key)
    }

    /// A log with its genesis and policy.
    pub(crate) fn of_version(version: u64, session: [u8; 16], key: Key) -> Self {
        let mut forge = Self {
            session,
            events_key: sha256(&[&b"events"[..], &session].concat()),
            entries: Vec::new(),
            tracks: Vec::new(),
            heads: Vec::new(),
            head_sizes: Vec::new(),
            keys: vec![key.clone()],
            events: BTreeMap::new(),
            close: None,
            version,
            now_ms: START_MS,
            key,
        };
        let genesis = array(&[
            bytes(&LOG),
            bytes(&forge.key.kid()),
            bytes(&sha256(POLICY.as_bytes())),
            uint(2_000),
            bytes(&sha256(b"the executable")),
        ]);
        forge.append(0, genesis);
        forge.event(1, POLICY);
        forge
    }

    pub(crate) fn subject(&self) -> String {
        format!("urn:uuid:{}", uuid(&self.session))
    }

    pub(crate) fn entry(&self, kind: u64, body: Vec<u8>) -> Vec<u8> {
        let seq = self.entries.len() as u64;
        array(&[uint(self.version), uint(kind), uint(seq), uint(self.now_ms), body])
    }

    pub(crate) fn append(&mut self, kind: u64, body: Vec<u8>) -> u64 {
        let entry = self.entry(kind, body);
        self.entries.push(entry);
        self.entries.len() as u64 - 1
    }

    pub(crate) fn event_salt(&self, seq: u64) -> Hash {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.events_key).expect("any key");
        mac.update(&[&b"event"[..], &seq.to_be_bytes()].concat());
        mac.finalize().into_bytes().into()
    }

    pub(crate) fn subject_salt(&self, track: &[u8; 16]) -> Hash {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.events_key).expect("any key");
        mac.update(&[&b"subject"[..], track].concat());
        mac.finalize().into_bytes().into()
    }

    pub(crate) fn event(&mut self, etype: u64, event: &str) -> u64 {
        let seq = self.entries.len() as u64;
        let salt = self.event_salt(seq);
        let commit = sha256(&array(&[text("ev1"), bytes(&salt), text(event)]));
        self.events.insert(seq, event.to_owned());
        self.append(3, array(&[uint(etype), bytes(&commit)]))
    }

    pub(crate) fn subject_text(number: u8) -> String {
        format!(r#"{{"user_id":"u{number}","name":"Name {number}","source":"camera"}}"#)
    }

    pub(crate) fn track(&mut self, number: u8) -> u64 {
        let id = track_id(number);
        let salt = self.subject_salt(&id);
        let subject = Self::subject_text(number);
        let commit = sha256(&array(&[text("sub1"), bytes(&salt), text(&subject)]));
        let (media, codec, rate) =
            if number == 0 { ("audio", "opus", 48_000) } else { ("video", "vp8", 90_000) };
        let body = array(&[bytes(&id), text(media), text(codec), uint(rate), bytes(&commit)]);
        let seq = self.append(1, body);
        let key = sha256(&[&b"track"[..], &id].concat());
        self.tracks.push(Track { id, key, seq, objects: Vec::new(), packets: 65_534 });
        seq
    }

    /// Seals and logs the next segment of a track, with packets of `payload`.
    pub(crate) fn segment(&mut self, number: usize, payload: &[u8], flags: u64) -> u64 {
        let session = self.session;
        let track = &mut self.tracks[number];
        let index = track.objects.len() as u64;
        let first = track.packets;
        track.packets += 3;
        let base_ms = START_MS + index * 4_000;
        let plaintext = journal(base_ms, (first & 0xFFFF) as u16, 3, payload);
        let mut salt = [0x77; 24];
        salt[0] = track.id[0];
        salt[1] = index.to_le_bytes()[0];
        let context = context(session, track.id, index, 1);
        let object = seal(segment_key(track.key, index), salt, &context, &plaintext);
        let previous = track.objects.last().map_or_else(null, |object| bytes(&sha256(object)));
        let body = segment_body(
            track.id,
            index,
            previous,
            &object,
            [first, first + 2],
            [base_ms, base_ms + 20],
            flags,
        );
        track.objects.push(object);
        self.append(2, body)
    }

    pub(crate) fn gap(&mut self, number: u8, from_ms: u64, to_ms: u64, reason: u64) -> u64 {
        let id = track_id(number);
        self.append(4, array(&[bytes(&id), uint(from_ms), uint(to_ms), uint(reason)]))
    }

    /// State 1 is a gate that the decision `event` closed, 2 silence.
    pub(crate) fn rest(&mut self, number: u8, ms: [u64; 2], state: u64, event: Option<u64>) -> u64 {
        let event = event.map_or_else(null, uint);
        let id = bytes(&track_id(number));
        self.append(8, array(&[id, uint(ms[0]), uint(ms[1]), uint(state), event]))
    }

    pub(crate) fn erase(&mut self, target: u64) -> u64 {
        let wrapped = sha256(b"the wrapped key");
        self.append(5, array(&[uint(target), uint(2), bytes(&wrapped)]))
    }

    pub(crate) fn close_body(&self) -> Vec<u8> {
        let mut tails: Vec<_> = self
            .tracks
            .iter()
            .filter_map(|track| {
                let last = track.objects.last()?;
                let index = track.objects.len() as u64 - 1;
                Some((track.id, array(&[bytes(&track.id), uint(index), bytes(&sha256(last))])))
            })
            .collect();
        tails.sort();
        let tails: Vec<_> = tails.into_iter().map(|(_, tail)| tail).collect();
        let last_event = *self.events.keys().last().expect("the policy");
        array(&[array(&tails), uint(last_event), uint(1)])
    }

    pub(crate) fn close(&mut self) -> u64 {
        let body = self.close_body();
        self.close = Some(self.entries.len());
        self.append(7, body)
    }

    /// Signs a head over all entries.
    pub(crate) fn sign_head(&mut self) {
        let previous = self.head_sizes.last().copied().unwrap_or(0);
        let cose = head_cose(self.key.kid(), &self.subject(), &self.entries, previous);
        self.heads.push(cose.sign(&self.key));
        self.head_sizes.push(self.entries.len());
        self.now_ms += 2_000;
    }

    /// Names a new key; heads after the next one are signed with it.
    pub(crate) fn rotate(&mut self, next: Key) {
        self.append(6, array(&[bytes(&next.kid())]));
        self.sign_head();
        self.keys.push(next.clone());
        self.key = next;
    }

    pub(crate) fn receipt(&self, index: usize) -> Vec<u8> {
        let covered = *self.head_sizes.last().expect("a head");
        let entries = &self.entries[..covered];
        inclusion_cose(self.key.kid(), &self.subject(), entries, index).sign(&self.key)
    }

    pub(crate) fn consistency(&self, first: usize) -> Vec<u8> {
        let covered = *self.head_sizes.last().expect("a head");
        let entries = &self.entries[..covered];
        consistency_cose(self.key.kid(), &self.subject(), entries, first).sign(&self.key)
    }

    pub(crate) fn jws_claims(&self) -> Value {
        let size = *self.head_sizes.last().expect("a head");
        let previous = self.head_sizes.iter().rev().nth(1).copied().unwrap_or(0);
        json!({"iss": ISSUER, "sub": self.subject(), "iat": START_MS / 1_000 + 5,
            "tree_size": size, "root": b64(&root(&self.entries[..size])),
            "prev_tree_size": previous, "prev_root": b64(&root(&self.entries[..previous])),
            "cose_sha256": b64(&sha256(self.heads.last().expect("a head")))})
    }

    /// The key that signed the last head.
    pub(crate) fn head_key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn jws(&self, claims: &Value) -> String {
        let key = self.head_key();
        let header = json!({"alg": "ES256", "typ": "cabildo-head+jwt", "kid": b64(&key.kid())});
        let message = format!(
            "{}.{}",
            b64(header.to_string().as_bytes()),
            b64(claims.to_string().as_bytes())
        );
        format!("{message}.{}", b64(&key.sign(message.as_bytes())))
    }

    fn proof_entry(&self, seq: usize) -> Value {
        json!({"seq": seq, "entry": b64(&self.entries[seq]), "receipt": b64(&self.receipt(seq))})
    }

    pub(crate) fn operator(&self) -> Value {
        // The log of the installation has heads of others around this one.
        let mine = self.heads.last().expect("a head").clone();
        let heads = vec![b"another head".to_vec(), mine.clone(), b"and another".to_vec()];
        let receipt = inclusion_cose(self.key.kid(), "urn:cabildo:operator-log", &heads, 1);
        json!({"head": b64(&mine), "receipt": b64(&receipt.sign(&self.key)),
            "checkpoint": checkpoint(3, root(&heads), &operator_key())})
    }

    /// Receipts of consistency from the heads before the newest.
    fn earlier(&self, wanted: fn(usize) -> bool) -> Vec<String> {
        let sizes = self.head_sizes.iter().rev().skip(1).filter(|size| wanted(**size));
        sizes.map(|size| b64(&self.consistency(*size))).collect()
    }

    /// The public proof for somebody who holds every head.
    pub(crate) fn proof_to_holder(&self, seqs: &[usize]) -> Value {
        let mut proof = self.proof(seqs);
        proof["consistency"] = json!(self.earlier(|_| true));
        proof
    }

    /// The public proof with receipts of `seqs`.
    pub(crate) fn proof(&self, seqs: &[usize]) -> Value {
        let size = *self.head_sizes.last().expect("a head");
        // From a power of two only who holds the smaller root can follow.
        let consistency: Vec<String> = self.earlier(|size| !size.is_power_of_two());
        let keys: Vec<Value> = self
            .keys
            .iter()
            .map(|key| json!({"kid": b64(&key.kid()), "spki": b64(&key.spki())}))
            .collect();
        json!({"v": 1, "session": uuid(&self.session), "log": b64(&LOG),
            "status": if self.close.is_some() { "closed" } else { "live" }, "iss": ISSUER,
            "keys": keys,
            "head": {"tree_size": size, "root": b64(&root(&self.entries[..size])),
                "iat": START_MS / 1_000 + 5, "cose": b64(self.heads.last().expect("a head")),
                "jws": self.jws(&self.jws_claims())},
            "consistency": consistency, "operator": self.operator(), "tst": [],
            "close": self.close.map(|seq| self.proof_entry(seq)),
            "receipts": seqs.iter().map(|seq| self.proof_entry(*seq)).collect::<Vec<_>>()})
    }

    pub(crate) fn keys_json(&self) -> Value {
        let keys: Vec<Value> = self.keys.iter().map(Key::json).collect();
        json!({"v": 1, "iss": ISSUER, "keys": keys,
            "operator": {"origin": ORIGIN, "vkey": vkey(&operator_key())}})
    }

    pub(crate) fn held(&self, heads: &[Vec<u8>]) -> Vec<u8> {
        let heads: Vec<String> = heads.iter().map(|head| b64(head)).collect();
        json!({"v": 1, "session": uuid(&self.session), "heads": heads}).to_string().into_bytes()
    }

    /// A full bundle, with nothing disclosed.
    pub(crate) fn full(&self) -> InMemory {
        let mut files = BTreeMap::new();
        let mut proof = self.proof(&[]);
        proof["kind"] = json!("full");
        files.insert("bundle.json".to_owned(), proof.to_string().into_bytes());
        files.insert("keys.json".to_owned(), self.keys_json().to_string().into_bytes());
        files.insert("entries.cborseq".to_owned(), self.entries.concat());
        files.insert("heads.cborseq".to_owned(), self.heads.concat());
        for track in &self.tracks {
            for (index, object) in track.objects.iter().enumerate() {
                files.insert(format!("objects/{}/{index}", uuid(&track.id)), object.clone());
            }
        }
        InMemory { files }
    }

    /// A clip of some segments of a track, with their keys and nothing else.
    pub(crate) fn clip(&self, number: usize, indices: std::ops::Range<u64>) -> InMemory {
        let track = &self.tracks[number];
        let seqs: Vec<usize> = std::iter::once(track.seq)
            .chain(indices.clone().map(|index| self.segment_seq(number, index)))
            .map(|seq| usize::try_from(seq).expect("fits"))
            .collect();
        let mut proof = self.proof(&seqs);
        proof["kind"] = json!("clip");
        let mut files = BTreeMap::new();
        files.insert("bundle.json".to_owned(), proof.to_string().into_bytes());
        files.insert("keys.json".to_owned(), self.keys_json().to_string().into_bytes());
        files.insert("heads.cborseq".to_owned(), self.heads.last().expect("a head").clone());
        for index in indices.clone() {
            let at = usize::try_from(index).expect("fits");
            let name = format!("objects/{}/{index}", uuid(&track.id));
            files.insert(name, track.objects[at].clone());
        }
        let segments: Vec<Value> =
            indices.map(|index| self.segment_disclosure(number, index)).collect();
        let disclosed = json!({"v": 1, "events": [], "subjects": [], "segments": segments});
        files.insert("disclosures.json".to_owned(), disclosed.to_string().into_bytes());
        InMemory { files }
    }

    /// The entry of a segment.
    pub(crate) fn segment_seq(&self, number: usize, index: u64) -> u64 {
        let start = array(&[]).len() + 1;
        let id = bytes(&self.tracks[number].id);
        let found = self.entries.iter().position(|entry| {
            let kind_is_segment = entry.get(start) == Some(&2);
            let needle = [vec![0x8A], id.clone(), uint(index)].concat();
            kind_is_segment && entry.windows(needle.len()).any(|window| window == needle)
        });
        found.expect("a segment") as u64
    }

    pub(crate) fn segment_disclosure(&self, number: usize, index: u64) -> Value {
        let track = &self.tracks[number];
        json!({"track": uuid(&track.id), "index": index, "epoch": 1,
            "key": b64(&segment_key(track.key, index))})
    }

    pub(crate) fn event_disclosure(&self, seq: u64) -> Value {
        json!({"seq": seq, "salt": b64(&self.event_salt(seq)), "event": self.events[&seq]})
    }
}

pub(crate) fn segment_body(
    track: [u8; 16],
    index: u64,
    previous: Vec<u8>,
    object: &[u8],
    rtp: [u64; 2],
    time_ms: [u64; 2],
    flags: u64,
) -> Vec<u8> {
    array(&[
        bytes(&track),
        uint(index),
        previous,
        uint(1),
        uint(object.len() as u64),
        bytes(&sha256(object)),
        bytes(&object[24..56]),
        array(&rtp.map(uint)),
        array(&time_ms.map(uint)),
        uint(flags),
    ])
}

pub(crate) fn operator_key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[9; 32])
}

fn note_key(key: &ed25519_dalek::SigningKey) -> (Vec<u8>, Vec<u8>) {
    let encoded = [&[1][..], key.verifying_key().as_bytes()].concat();
    let hash = sha256(&[ORIGIN.as_bytes(), b"\n", &encoded].concat());
    (hash[..4].to_vec(), encoded)
}

fn vkey(key: &ed25519_dalek::SigningKey) -> String {
    let (hash, encoded) = note_key(key);
    let hex = u32::from_be_bytes(hash[..4].try_into().expect("four bytes"));
    format!("{ORIGIN}+{hex:08x}+{}", STANDARD.encode(encoded))
}

pub(crate) fn checkpoint(size: u64, root: Hash, key: &ed25519_dalek::SigningKey) -> String {
    let text = format!("{ORIGIN}\n{size}\n{}\n", STANDARD.encode(root));
    let signature = key.sign(text.as_bytes()).to_bytes();
    let (hash, _) = note_key(key);
    format!("{text}\n\u{2014} {ORIGIN} {}\n", STANDARD.encode([hash, signature.to_vec()].concat()))
}

/// The small log of most tests: three tracks of three segments, events, a gap,
/// heads in between, closed.
pub(crate) fn small() -> Forge {
    small_of(SESSION, Key::new(3), "the motion is carried")
}

/// The same with another session, key or decision.
pub(crate) fn small_of(session: [u8; 16], key: Key, decision: &str) -> Forge {
    let mut forge = Forge::new(session, key);
    forge.sign_head();
    for number in 0..3 {
        forge.track(number);
    }
    forge.event(2, r#"{"state":"started"}"#);
    forge.sign_head();
    for index in 0..3 {
        for number in 0..3 {
            forge.segment(number, b"media", if index == 2 { 2 } else { 1 });
        }
        if index == 0 {
            forge.event(3, decision);
            forge.gap(1, START_MS + 20, START_MS + 4_000, 1);
        }
        forge.sign_head();
    }
    forge.event(2, r#"{"state":"ended"}"#);
    forge.close();
    forge.sign_head();
    forge
}
