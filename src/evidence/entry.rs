//! Entries of a log, as `docs/EVIDENCE.md` §Entries writes them down.

use ciborium::Value;

use crate::domain::id::RecordedTrackId;
use crate::domain::media::Codec;
use crate::evidence::cbor::Writer;
use crate::evidence::media::TrackTail;
use crate::evidence::repository::Hash;

/// First item of every entry.
const VERSION: u64 = 1;
/// The suite of every segment: `docs/EVIDENCE.md` §Sealed objects.
const SUITE: u64 = 1;

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The log begins.
    Genesis {
        /// Random.
        log_id: [u8; 16],
        /// Who signs from here on.
        kid: Hash,
        /// SHA-256 of the policy's text.
        policy_hash: Hash,
        /// How long an entry waits for a head at most, in milliseconds.
        head_interval_ms: u64,
        /// SHA-256 of the server's executable.
        build_hash: Hash,
    },
    /// A track is taken from here on.
    Track {
        /// Its identity.
        track: RecordedTrackId,
        /// What it carries.
        codec: Codec,
        /// Commitment to whose it is.
        subject_commitment: Hash,
    },
    /// A segment is in the vault.
    Segment {
        /// Its track.
        track: RecordedTrackId,
        /// From 0, without holes.
        index: u64,
        /// `sha256` of the track's segment before.
        previous: Option<Hash>,
        /// Bytes of the object.
        size: u64,
        /// SHA-256 of the object.
        sha256: Hash,
        /// Bytes 24 to 56 of the object.
        key_commitment: Hash,
        /// First and last extended RTP sequence number.
        rtp: (u64, u64),
        /// When the first and last record came, milliseconds since 1970.
        ms: (u64, u64),
        /// As in the format.
        flags: u32,
    },
    /// Something was decided or happened.
    Event {
        /// Its kind.
        etype: u32,
        /// Commitment to its text.
        commitment: Hash,
    },
    /// Nothing was taken of a track.
    Gap {
        /// The track.
        track: RecordedTrackId,
        /// From when, milliseconds since 1970.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
        /// As in the format.
        reason: u32,
    },
    /// A key was destroyed.
    Erasure {
        /// `seq` of the track entry, or 0 for `K_events`.
        target_seq: u64,
        /// As in the format.
        reason: u32,
        /// SHA-256 of the wrapped key.
        wrapped_key_hash: Hash,
    },
    /// Another key signs larger trees.
    Key {
        /// Its identifier.
        kid: Hash,
    },
    /// The log is closed.
    Close {
        /// Where each track ended.
        tails: Vec<TrackTail>,
        /// `seq` of the last event before.
        last_event_seq: u64,
        /// As in the format.
        reason: u32,
    },
}

impl Body {
    /// The number of its kind.
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
        }
    }

    /// The entry's bytes at its place.
    #[must_use]
    pub fn encode(&self, seq: u64, t_ms: u64) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(5).unsigned(VERSION).unsigned(self.kind()).unsigned(seq).unsigned(t_ms);
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
            Self::Event { etype, commitment } => {
                writer.array(2).unsigned((*etype).into()).bytes(commitment);
            }
            Self::Gap { track, from_ms, to_ms, reason } => {
                writer.array(4).bytes(track.as_uuid().as_bytes());
                writer.unsigned(*from_ms).unsigned(*to_ms).unsigned((*reason).into());
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

/// What a scribe that continues a log has to know of an entry in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remembered {
    Genesis { kid: Hash },
    Track { track: RecordedTrackId, subject_commitment: Hash },
    Segment { track: RecordedTrackId, index: u64, sha256: Hash },
    Event,
    Gap,
    Erasure { target_seq: u64 },
    Key { kid: Hash },
    Close,
}

/// Reads an entry back from the store; `None` when it is not the entry of that
/// `seq`. The store is ours, so this recognises what [`Body::encode`] writes
/// and leaves strictness to the verifier.
pub(super) fn recall(bytes: &[u8], seq: u64) -> Option<Remembered> {
    let entry: Value = ciborium::from_reader(bytes).ok()?;
    let [version, number, at, _, Value::Array(body)] = entry.as_array()?.as_slice() else {
        return None;
    };
    if unsigned(version)? != VERSION || unsigned(at)? != seq {
        return None;
    }
    Some(match (unsigned(number)?, body.as_slice()) {
        (0, [_, kid, ..]) => Remembered::Genesis { kid: fixed(kid)? },
        (1, [id, _, _, _, commitment]) => {
            Remembered::Track { track: track(id)?, subject_commitment: fixed(commitment)? }
        }
        (2, [id, index, _, _, _, sha256, ..]) => Remembered::Segment {
            track: track(id)?,
            index: unsigned(index)?,
            sha256: fixed(sha256)?,
        },
        (3, [_, _]) => Remembered::Event,
        (4, [_, _, _, _]) => Remembered::Gap,
        (5, [target, _, _]) => Remembered::Erasure { target_seq: unsigned(target)? },
        (6, [kid]) => Remembered::Key { kid: fixed(kid)? },
        (7, [_, _, _]) => Remembered::Close,
        _ => return None,
    })
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
            Body::Event { etype: 3, commitment: hash },
            Body::Gap { track: a_track(), from_ms: 1, to_ms: 2, reason: 1 },
            Body::Erasure { target_seq: 2, reason: 2, wrapped_key_hash: hash },
            Body::Key { kid: hash },
            Body::Close { tails: vec![tail], last_event_seq: 3, reason: 1 },
        ]
    }

    #[test]
    fn an_entry_is_the_bytes_of_the_format() {
        let event = Body::Event { etype: 64, commitment: [0xab; 32] };
        let mut expected = vec![0x85, 0x01, 0x03, 0x18, 0x20];
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
        let mut expected = vec![0x85, 0x01, 0x02, 0x02, 0x09, 0x8a, 0x50];
        expected.extend([7; 16]);
        expected.extend([0x00, 0xf6, 0x01, 0x18, 57, 0x58, 0x20]);
        expected.extend([1; 32]);
        expected.extend([0x58, 0x20]);
        expected.extend([2; 32]);
        expected.extend([0x82, 5, 6, 0x82, 7, 8, 1]);
        assert_eq!(first.encode(2, 9), expected);
    }

    #[test]
    fn a_scribe_recalls_what_it_wrote() {
        let hash = [9; 32];
        let recalled: Vec<_> = one_of_each()
            .iter()
            .map(|body| recall(&body.encode(40, 5), 40).expect("our own entry"))
            .collect();
        let expected = [
            Remembered::Genesis { kid: hash },
            Remembered::Track { track: a_track(), subject_commitment: hash },
            Remembered::Segment { track: a_track(), index: 1, sha256: hash },
            Remembered::Event,
            Remembered::Gap,
            Remembered::Erasure { target_seq: 2 },
            Remembered::Key { kid: hash },
            Remembered::Close,
        ];
        assert_eq!(recalled, expected);
    }

    #[test]
    fn what_is_not_the_entry_of_that_place_is_not_recalled() {
        for body in one_of_each() {
            let bytes = body.encode(40, 5);
            assert!(recall(&bytes, 41).is_none(), "{body:?} at another place");
            assert!(recall(&bytes[..bytes.len() - 1], 40).is_none(), "{body:?} cut off");
        }
        assert!(recall(&[], 0).is_none());
        assert!(recall(&[0x85, 2, 3, 0, 0, 0x82, 3, 0x40], 0).is_none(), "another version");
    }
}
