//! An installation: its keys, its store, and processes that
//! come and go; and the judge of what they leave behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use cabildo::clock::Clock;
use cabildo::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId};
use cabildo::domain::media::Codec;
use cabildo::domain::time::Timestamp;
use cabildo::evidence::media::MediaEntry;
use cabildo::evidence::repository::Hash;
use cabildo::evidence::{
    Evidence, EvidenceKeys, EvidenceOptions, EvidenceParts, OperatorKey, RoomEvent,
};
use ciborium::Value;
use sha2::{Digest as _, Sha256};

use crate::evidence::format::{Message, number};
use crate::evidence::merkle;
use crate::evidence::store::{Log, Process, Store};

pub(crate) const POLICY: &str = r#"{"recording":"required"}"#;

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) signing: Arc<EvidenceKeys>,
    operator: Arc<OperatorKey>,
    started: tokio::time::Instant,
    pub(crate) tenant: TenantId,
    pub(crate) session: SessionId,
    _directory: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            store: Store::default(),
            signing: Arc::new(EvidenceKeys::open(directory.path()).expect("keys")),
            operator: Arc::new(OperatorKey::open(directory.path()).expect("a key")),
            started: tokio::time::Instant::now(),
            tenant: TenantId::generate(),
            session: SessionId::generate(),
            _directory: directory,
        }
    }

    pub(crate) fn start(&self) -> (Evidence, Arc<Process>) {
        let process = Process::new(&self.store);
        (self.start_as(&process), process)
    }

    pub(crate) fn start_as(&self, process: &Arc<Process>) -> Evidence {
        self.start_with(process, "https://notary.test")
    }

    /// Starts a process that is configured with this issuer.
    pub(crate) fn start_with(&self, process: &Arc<Process>, issuer: &str) -> Evidence {
        let started = self.started;
        let clock = Clock::from_fn(move || {
            Timestamp::from_unix_us(1_800_000_000_000_000).after(started.elapsed())
        });
        let parts = EvidenceParts {
            repository: Arc::clone(process) as _,
            keys: Arc::clone(process) as _,
            signing: Arc::clone(&self.signing),
            operator: Arc::clone(&self.operator),
            source: Arc::clone(process) as _,
            clock,
        };
        let options = EvidenceOptions {
            issuer: issuer.to_owned(),
            origin: "notary.test/log".to_owned(),
            build_hash: [8; 32],
        };
        Evidence::start(parts, options)
    }

    /// The room decides something.
    pub(crate) fn decide(&self) {
        let mut disk = self.store.disk();
        let seq = disk.room.len() as u64 + 1;
        disk.room
            .push(RoomEvent { seq, text: format!(r#"{{"seq":{seq},"type":"turn_started"}}"#) });
    }

    pub(crate) fn log(&self) -> Log {
        self.store.log(SessionKey::new(self.tenant, self.session))
    }

    /// Checks everything that has to hold of the log whatever happened.
    pub(crate) fn judge(&self) -> Judged {
        let log = self.log();
        let leaves: Vec<Hash> =
            log.entries.iter().map(|entry| merkle::leaf(&entry.bytes)).collect();
        let mut judged = Judged { kinds: Vec::new(), segments: 0 };
        let mut signers: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut tracks = std::collections::BTreeMap::<Vec<u8>, (u64, Option<Vec<u8>>)>::new();
        for (seq, entry) in (0..).zip(&log.entries) {
            assert_eq!(entry.leaf, leaves[usize::try_from(seq).expect("small")]);
            let (kind, body) = read_entry(&entry.bytes, seq);
            judged.kinds.push(kind);
            match kind {
                0 => signers.push((0, bytes(&body[1]))),
                1 => drop(tracks.insert(bytes(&body[0]), (0, None))),
                2 => {
                    let known = tracks.get_mut(&bytes(&body[0])).expect("its track came before");
                    assert_eq!(number(&body[1]), known.0, "a hole or a repetition");
                    assert_eq!(body[2].clone().into_bytes().ok(), known.1, "the chain");
                    *known = (known.0 + 1, Some(bytes(&body[5])));
                    judged.segments += 1;
                }
                6 => signers.push((seq, bytes(&body[0]))),
                _ => {}
            }
        }
        self.judge_heads(&log, &leaves, &signers);
        self.judge_operator(&log);
        judged
    }

    fn judge_heads(&self, log: &Log, leaves: &[Hash], signers: &[(u64, Vec<u8>)]) {
        let mut previous = (0_u64, Hash::from(Sha256::digest(b"")));
        for head in &log.heads {
            let size = head.tree_size;
            assert!(size > previous.0 && size >= 2, "heads grow");
            let covered = &leaves[..usize::try_from(size).expect("small")];
            assert_eq!(head.root, merkle::root(covered), "the head of {size}");
            let message = Message::read(&head.cose);
            let payload = message.payload.clone().expect("not detached");
            let says: Value = ciborium::from_reader(payload.as_slice()).expect("CBOR");
            let says = says.into_array().expect("an array");
            assert_eq!((number(&says[1]), bytes(&says[2])), (size, head.root.to_vec()));
            assert_eq!((number(&says[3]), bytes(&says[4])), (previous.0, previous.1.to_vec()));
            // The head that covers a key entry is the old key's, larger ones
            // the new one's.
            let handed_over = signers.iter().rev().find(|(seq, _)| seq + 1 < size);
            let (_, kid) = handed_over.expect("the genesis");
            assert_eq!(message.kid(), *kid, "who signs {size}");
            let keys = self.signing.all();
            let key = keys.iter().find(|key| key.kid().as_slice() == kid).expect("published");
            assert!(message.is_signed(key.spki(), &payload), "the signature of {size}");
            previous = (size, head.root);
        }
        for (seq, _) in signers.iter().skip(1) {
            let sizes: BTreeSet<u64> = log.heads.iter().map(|head| head.tree_size).collect();
            let is_last = *seq + 1 >= previous.0;
            assert!(is_last || sizes.contains(&(seq + 1)), "nobody signed the change at {seq}");
        }
    }

    fn judge_operator(&self, log: &Log) {
        let disk = self.store.disk();
        for (_, leaf) in disk.leaves.iter().filter(|(session, _)| *session == self.session) {
            let is_stored = log.heads.iter().any(|head| head.cose == *leaf);
            assert!(is_stored, "a leaf is a head that was stored");
        }
    }
}

/// What was found in a log.
pub(crate) struct Judged {
    pub(crate) kinds: Vec<u64>,
    pub(crate) segments: usize,
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    value.as_bytes().expect("bytes").clone()
}

/// Takes an entry apart by hand.
pub(crate) fn read_entry(entry: &[u8], seq: u64) -> (u64, Vec<Value>) {
    let value: Value = ciborium::from_reader(entry).expect("CBOR");
    let mut again = Vec::new();
    ciborium::into_writer(&value, &mut again).expect("writable");
    assert_eq!(again, entry, "not the shortest form");
    let parts = value.into_array().expect("an array");
    assert_eq!(parts.len(), 5);
    assert_eq!((number(&parts[0]), number(&parts[2])), (2, seq));
    (number(&parts[1]), parts[4].as_array().expect("an array").clone())
}

pub(crate) fn a_track(track: RecordedTrackId) -> MediaEntry {
    let subject = r#"{"user_id":"maria","name":"María","source":"camera"}"#.to_owned();
    MediaEntry::Track { track, codec: Codec::Vp8, subject }
}

/// Segment `index` of a track; its hash is of track and index.
pub(crate) fn a_segment(track: RecordedTrackId, index: u64) -> MediaEntry {
    MediaEntry::Segment {
        track,
        index,
        previous: index.checked_sub(1).map(|before| segment_hash(track, before)),
        size: 60_000,
        sha256: segment_hash(track, index),
        key_commitment: [6; 32],
        rtp: (index * 100, index * 100 + 99),
        ms: (index * 4_000, index * 4_000 + 3_999),
        flags: 1,
    }
}

pub(crate) fn segment_hash(track: RecordedTrackId, index: u64) -> Hash {
    let bytes = [track.as_uuid().as_bytes().as_slice(), &index.to_be_bytes()].concat();
    Sha256::digest(bytes).into()
}
