//! Entries of a log, in the format of `docs/EVIDENCE.md` §Entries.

use ciborium::Value;

use crate::domain::id::RecordedTrackId;
use crate::domain::media::Codec;
use crate::evidence::EventKind;
use crate::evidence::cbor::Writer;
use crate::evidence::media::TrackTail;
use crate::evidence::repository::Hash;

/// First item of every entry of a log that begins now. Logs of version 1 have no [`Body::Rest`] and
/// need not account for every moment of a track; they are continued in version 1.
pub(super) const VERSION: u64 = 2;
/// Versions of logs that are continued.
const VERSIONS: std::ops::RangeInclusive<u64> = 1..=VERSION;
/// Number of the cipher suite of every segment: `docs/EVIDENCE.md` §Sealed objects.
const SUITE: u64 = 1;

/// The contents of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The log begins.
    Genesis {
        /// Random identifier of the log.
        log_id: [u8; 16],
        /// Identifier of the first signing key.
        kid: Hash,
        /// SHA-256 of the text of the policy.
        policy_hash: Hash,
        /// Longest time that an entry waits for a head, in milliseconds.
        head_interval_ms: u64,
        /// SHA-256 of the server's executable.
        build_hash: Hash,
    },
    /// The recording of a track begins.
    Track {
        /// Id of the track.
        track: RecordedTrackId,
        /// Codec of the track.
        codec: Codec,
        /// Commitment to the subject of the track.
        subject_commitment: Hash,
    },
    /// A segment was stored in the vault.
    Segment {
        /// Id of its track.
        track: RecordedTrackId,
        /// Number of the segment in the track, from 0, without gaps.
        index: u64,
        /// SHA-256 of the segment before it in the track.
        previous: Option<Hash>,
        /// Size of the object in bytes.
        size: u64,
        /// SHA-256 of the object.
        sha256: Hash,
        /// The key commitment of the object: its bytes 24 to 56.
        key_commitment: Hash,
        /// First and last extended RTP sequence number.
        rtp: (u64, u64),
        /// Times of the first and last record, in milliseconds since 1970.
        ms: (u64, u64),
        /// Flag bits of the format.
        flags: u32,
    },
    /// A decision was made or something happened.
    Event {
        /// Kind of the event.
        kind: EventKind,
        /// Commitment to the text of the event.
        commitment: Hash,
    },
    /// For a span of time nothing of a track was recorded.
    Gap {
        /// The track.
        track: RecordedTrackId,
        /// Begin, in milliseconds since 1970.
        from_ms: u64,
        /// End, in milliseconds since 1970.
        to_ms: u64,
        /// Number of the reason in the format.
        reason: u32,
    },
    /// For a span of time a recorded track had no packets.
    Rest {
        /// The track.
        track: RecordedTrackId,
        /// Begin, in milliseconds since 1970.
        from_ms: u64,
        /// End, in milliseconds since 1970.
        to_ms: u64,
        /// Whether its gate was closed by the floor or a mute; otherwise its source sent nothing.
        gated: bool,
        /// `seq` of the decision that closed the gate, if it is known.
        event: Option<u64>,
    },
    /// A key was destroyed.
    Erasure {
        /// `seq` of the track entry, or 0 for `K_events`.
        target_seq: u64,
        /// Number of the reason in the format.
        reason: u32,
        /// SHA-256 of the wrapped key.
        wrapped_key_hash: Hash,
    },
    /// From now on another key signs heads.
    Key {
        /// Identifier of the new key.
        kid: Hash,
    },
    /// The log is closed.
    Close {
        /// The last segment of each track.
        tails: Vec<TrackTail>,
        /// `seq` of the last event before the close.
        last_event_seq: u64,
        /// Number of the reason in the format.
        reason: u32,
    },
}

impl Body {
    /// The number of its kind in the format.
    #[must_use]
    pub const fn kind(&self) -> u64 {
        match self {
            Self::Genesis { .. } => 0,
            Self::Track { .. } => 1,
            Self::Segment { .. } => 2,
            Self::Event { .. } => 3,
            Self::Gap { .. } => 4,
            Self::Erasure { .. } => 5,
            Self::Key { .. } => 6,
            Self::Close { .. } => 7,
            Self::Rest { .. } => 8,
        }
    }

    /// Encodes the entry at its position in a log that begins now.
    #[must_use]
    pub fn encode(&self, seq: u64, t_ms: u64) -> Vec<u8> {
        self.encode_as(VERSION, seq, t_ms)
    }

    /// Encodes the entry at its position in a log of this version.
    pub(super) fn encode_as(&self, version: u64, seq: u64, t_ms: u64) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(5).unsigned(version).unsigned(self.kind()).unsigned(seq).unsigned(t_ms);
        match self {
            Self::Genesis { log_id, kid, policy_hash, head_interval_ms, build_hash } => {
                writer.array(5).bytes(log_id).bytes(kid).bytes(policy_hash);
                writer.unsigned(*head_interval_ms).bytes(build_hash);
            }
            Self::Track { track, codec, subject_commitment } => {
                writer.array(5).bytes(track.as_uuid().as_bytes());
                writer.text(codec.kind().as_str()).text(codec.as_str());
                writer.unsigned(codec.clock_rate_hz().into()).bytes(subject_commitment);
            }
            Self::Segment { .. } => self.encode_segment(&mut writer),
            Self::Event { kind, commitment } => {
                writer.array(2).unsigned(kind.number().into()).bytes(commitment);
            }
            Self::Gap { track, from_ms, to_ms, reason } => {
                writer.array(4).bytes(track.as_uuid().as_bytes());
                writer.unsigned(*from_ms).unsigned(*to_ms).unsigned((*reason).into());
            }
            Self::Rest { track, from_ms, to_ms, gated, event } => {
                writer.array(5).bytes(track.as_uuid().as_bytes());
                writer.unsigned(*from_ms).unsigned(*to_ms);
                writer.unsigned(if *gated { 1 } else { 2 }).unsigned_or_null(*event);
            }
            Self::Erasure { target_seq, reason, wrapped_key_hash } => {
                writer.array(3).unsigned(*target_seq).unsigned((*reason).into());
                writer.bytes(wrapped_key_hash);
            }
            Self::Key { kid } => {
                writer.array(1).bytes(kid);
            }
            Self::Close { tails, last_event_seq, reason } => {
                writer.array(3).array(tails.len());
                for tail in tails {
                    writer.array(3).bytes(tail.track.as_uuid().as_bytes());
                    writer.unsigned(tail.last_index).bytes(&tail.tail);
                }
                writer.unsigned(*last_event_seq).unsigned((*reason).into());
            }
        }
        writer.into_bytes()
    }

    fn encode_segment(&self, writer: &mut Writer) {
        let Self::Segment { track, index, previous, size, sha256, key_commitment, rtp, ms, flags } =
            self
        else {
            return;
        };
        writer.array(10).bytes(track.as_uuid().as_bytes()).unsigned(*index);
        writer.bytes_or_null(previous.as_ref().map(<[u8; 32]>::as_slice));
        writer.unsigned(SUITE).unsigned(*size).bytes(sha256).bytes(key_commitment);
        writer.array(2).unsigned(rtp.0).unsigned(rtp.1);
        writer.array(2).unsigned(ms.0).unsigned(ms.1).unsigned((*flags).into());
    }
}

/// An entry at its position in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Version of the format of its log.
    pub version: u64,
    /// Its index in the log, from 0, which is its leaf index.
    pub seq: u64,
    /// When it was appended, in milliseconds since 1970.
    pub t_ms: u64,
    /// Its contents.
    pub body: Body,
}

impl Entry {
    /// Parses an entry that [`Body::encode`] has written; `None` when the bytes are no entry. Meant
    /// for the server's own logs; whether an entry of another writer follows the format is checked
    /// by the verifier.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let entry: Value = ciborium::from_reader(bytes).ok()?;
        let [version, kind, seq, t_ms, Value::Array(body)] = entry.as_array()?.as_slice() else {
            return None;
        };
        let version = unsigned(version).filter(|version| VERSIONS.contains(version))?;
        let body = match (unsigned(kind)?, body.as_slice()) {
            (8, body) if version >= 2 => read_rest(body)?,
            (kind, body) => read_body(kind, body)?,
        };
        Some(Self { version, seq: unsigned(seq)?, t_ms: unsigned(t_ms)?, body })
    }
}

/// The number of an entry's kind, read without parsing the rest: the third byte, a small integer
/// after the head of the array and the version.
#[must_use]
pub fn kind_number(bytes: &[u8]) -> Option<u64> {
    bytes.get(2).copied().map(u64::from)
}

fn read_body(kind: u64, body: &[Value]) -> Option<Body> {
    Some(match (kind, body) {
        (0, [log_id, kid, policy_hash, head_interval_ms, build_hash]) => Body::Genesis {
            log_id: fixed(log_id)?,
            kid: fixed(kid)?,
            policy_hash: fixed(policy_hash)?,
            head_interval_ms: unsigned(head_interval_ms)?,
            build_hash: fixed(build_hash)?,
        },
        (1, [id, _, codec, _, commitment]) => Body::Track {
            track: track(id)?,
            codec: Codec::parse(codec.as_text()?)?,
            subject_commitment: fixed(commitment)?,
        },
        (2, fields) => read_segment(fields)?,
        (3, [etype, commitment]) => Body::Event {
            kind: EventKind::from_number(small(etype)?)?,
            commitment: fixed(commitment)?,
        },
        (4, [id, from_ms, to_ms, reason]) => Body::Gap {
            track: track(id)?,
            from_ms: unsigned(from_ms)?,
            to_ms: unsigned(to_ms)?,
            reason: small(reason)?,
        },
        (5, [target, reason, hash]) => Body::Erasure {
            target_seq: unsigned(target)?,
            reason: small(reason)?,
            wrapped_key_hash: fixed(hash)?,
        },
        (6, [kid]) => Body::Key { kid: fixed(kid)? },
        (7, [Value::Array(tails), last_event_seq, reason]) => Body::Close {
            tails: tails.iter().map(read_tail).collect::<Option<_>>()?,
            last_event_seq: unsigned(last_event_seq)?,
            reason: small(reason)?,
        },
        _ => return None,
    })
}

fn read_rest(body: &[Value]) -> Option<Body> {
    let [id, from_ms, to_ms, state, event] = body else { return None };
    let gated = match unsigned(state)? {
        1 => true,
        2 => false,
        _ => return None,
    };
    let event = if event.is_null() { None } else { Some(unsigned(event)?) };
    let (from_ms, to_ms) = (unsigned(from_ms)?, unsigned(to_ms)?);
    Some(Body::Rest { track: track(id)?, from_ms, to_ms, gated, event })
}

fn read_segment(fields: &[Value]) -> Option<Body> {
    let [id, index, previous, suite, size, sha256, key_commitment, rtp, ms, flags] = fields else {
        return None;
    };
    if unsigned(suite)? != SUITE {
        return None;
    }
    let previous = if previous.is_null() { None } else { Some(fixed(previous)?) };
    Some(Body::Segment {
        track: track(id)?,
        index: unsigned(index)?,
        previous,
        size: unsigned(size)?,
        sha256: fixed(sha256)?,
        key_commitment: fixed(key_commitment)?,
        rtp: pair(rtp)?,
        ms: pair(ms)?,
        flags: small(flags)?,
    })
}

fn read_tail(value: &Value) -> Option<TrackTail> {
    let [id, last_index, tail] = value.as_array()?.as_slice() else { return None };
    Some(TrackTail { track: track(id)?, last_index: unsigned(last_index)?, tail: fixed(tail)? })
}

fn small(value: &Value) -> Option<u32> {
    u32::try_from(value.as_integer()?).ok()
}

fn pair(value: &Value) -> Option<(u64, u64)> {
    let [first, last] = value.as_array()?.as_slice() else { return None };
    Some((unsigned(first)?, unsigned(last)?))
}

fn unsigned(value: &Value) -> Option<u64> {
    u64::try_from(value.as_integer()?).ok()
}

fn fixed<const N: usize>(value: &Value) -> Option<[u8; N]> {
    value.as_bytes()?.as_slice().try_into().ok()
}

fn track(value: &Value) -> Option<RecordedTrackId> {
    Some(RecordedTrackId::from_uuid(uuid::Uuid::from_bytes(fixed(value)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_track() -> RecordedTrackId {
        RecordedTrackId::from_uuid(uuid::Uuid::from_bytes([7; 16]))
    }

    fn one_of_each() -> Vec<Body> {
        let hash = [9; 32];
        let tail = TrackTail { track: a_track(), last_index: 3, tail: hash };
        vec![
            Body::Genesis {
                log_id: [1; 16],
                kid: hash,
                policy_hash: hash,
                head_interval_ms: 2_000,
                build_hash: hash,
            },
            Body::Track { track: a_track(), codec: Codec::Vp8, subject_commitment: hash },
            Body::Segment {
                track: a_track(),
                index: 1,
                previous: Some(hash),
                size: 70_000,
                sha256: hash,
                key_commitment: hash,
                rtp: (65_535, 65_536),
                ms: (1, 4_001),
                flags: 3,
            },
            Body::Event { kind: EventKind::RoomEvent, commitment: hash },
            Body::Gap { track: a_track(), from_ms: 1, to_ms: 2, reason: 1 },
            Body::Erasure { target_seq: 2, reason: 2, wrapped_key_hash: hash },
            Body::Key { kid: hash },
            Body::Close { tails: vec![tail], last_event_seq: 3, reason: 1 },
            Body::Rest { track: a_track(), from_ms: 1, to_ms: 2, gated: true, event: Some(3) },
            Body::Rest { track: a_track(), from_ms: 2, to_ms: 3, gated: false, event: None },
        ]
    }

    #[test]
    fn an_entry_is_the_bytes_of_the_format() {
        let event = Body::Event { kind: EventKind::RecordingAccess, commitment: [0xab; 32] };
        let mut expected = vec![0x85, 0x02, 0x03, 0x18, 0x20];
        expected.extend([0x1b, 0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b]);
        expected.extend([0x82, 0x18, 0x40, 0x58, 0x20]);
        expected.extend([0xab; 32]);
        assert_eq!(event.encode(32, 1_700_000_000_123), expected);

        let first = Body::Segment {
            track: a_track(),
            index: 0,
            previous: None,
            size: 57,
            sha256: [1; 32],
            key_commitment: [2; 32],
            rtp: (5, 6),
            ms: (7, 8),
            flags: 1,
        };
        let mut expected = vec![0x85, 0x02, 0x02, 0x02, 0x09, 0x8a, 0x50];
        expected.extend([7; 16]);
        expected.extend([0x00, 0xf6, 0x01, 0x18, 57, 0x58, 0x20]);
        expected.extend([1; 32]);
        expected.extend([0x58, 0x20]);
        expected.extend([2; 32]);
        expected.extend([0x82, 5, 6, 0x82, 7, 8, 1]);
        assert_eq!(first.encode(2, 9), expected);
    }

    #[test]
    fn what_was_written_reads_back() {
        for body in one_of_each() {
            let bytes = body.encode(40, 5);
            assert_eq!(kind_number(&bytes), Some(body.kind()), "{body:?}");
            let old = body.encode_as(1, 40, 5);
            let is_new = matches!(body, Body::Rest { .. });
            let entry = Entry { version: 2, seq: 40, t_ms: 5, body };
            assert_eq!(Entry::read(&bytes).as_ref(), Some(&entry));
            let old_entry = (!is_new).then_some(Entry { version: 1, ..entry });
            assert_eq!(Entry::read(&old), old_entry, "in a log of version 1");
        }
    }

    #[test]
    fn what_is_no_entry_is_not_read() {
        for body in one_of_each() {
            let bytes = body.encode(40, 5);
            assert!(Entry::read(&bytes[..bytes.len() - 1]).is_none(), "{body:?} cut off");
        }
        assert!(Entry::read(&[]).is_none());
        assert!(Entry::read(&[0x85, 3, 3, 0, 0, 0x82, 3, 0x40]).is_none(), "another version");
        assert!(Entry::read(&[0x85, 1, 9, 0, 0, 0x80]).is_none(), "another kind");
    }
}
