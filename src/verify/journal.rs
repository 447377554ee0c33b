//! Parses the plaintext of a segment, a part of a track's journal (docs/EVIDENCE.md, "Sealed
//! objects"), in pieces of any size and with constant memory.

use super::rtp_span::{RtpSpan, SpanCounter};

/// Longest body of a record, in bytes: more than any datagram contains.
pub const RECORD_BYTES_MAX: u64 = 65_535;
/// Ten years in milliseconds: more than any segment lasts, and too little to overflow.
const LASTS_MS_MAX: u64 = 315_360_000_000;
/// Longest varint of the format: ten bytes hold 64 bits.
const VARINT_BYTES_MAX: usize = 10;

/// What the plaintext of a segment contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalFacts {
    /// Time of the first record, in microseconds since 1970.
    pub base_us: u64,
    /// Time of the last record, in milliseconds since 1970.
    pub last_ms: u64,
    /// Number of RTP packets.
    pub packets: u64,
    /// Number of sender reports.
    pub reports: u64,
    /// Number of side events.
    pub side_events: u64,
    /// The RTP sequence numbers of the packets.
    pub rtp: Option<RtpSpan>,
}

/// Why a plaintext is not a valid part of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The first byte is not 1.
    #[error("the journal has another version")]
    Version,
    /// The header or a record ends too early.
    #[error("the journal ends inside a record, at byte {0}")]
    Ends(u64),
    /// A number is not in its shortest form, or larger than 64 bits.
    #[error("a number of the journal is malformed at byte {0}")]
    Number(u64),
    /// A record has an unknown kind.
    #[error("a record of the journal is malformed at byte {0}")]
    Record(u64),
}

/// Parses a plaintext as it arrives.
#[derive(Debug, Default)]
pub struct JournalReader {
    /// Bytes not parsed yet; never longer than the longest record.
    carry: Vec<u8>,
    /// Number of bytes parsed.
    at: u64,
    is_started: bool,
    since_base_ms: u64,
    facts: JournalFacts,
    span: SpanCounter,
}

impl JournalReader {
    /// Takes the next bytes of the plaintext.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        self.carry.extend_from_slice(bytes);
        let carry = std::mem::take(&mut self.carry);
        let mut rest = carry.as_slice();
        if !self.is_started {
            let Some((header, after)) = rest.split_first_chunk::<9>() else {
                self.carry = carry;
                return Ok(());
            };
            self.start(*header)?;
            rest = after;
        }
        while let Some(record) = Record::read(rest, self.at)? {
            self.handle_record(&record)?;
            self.at += record.length as u64;
            rest = &rest[record.length..];
        }
        self.carry = rest.to_vec();
        Ok(())
    }

    /// Ends the plaintext; returns what it contained.
    pub fn finish(mut self) -> Result<JournalFacts, JournalError> {
        if !self.is_started || !self.carry.is_empty() {
            return Err(JournalError::Ends(self.at + self.carry.len() as u64));
        }
        self.facts.last_ms = self.facts.base_us / 1_000 + self.since_base_ms;
        self.facts.rtp = self.span.span();
        Ok(self.facts)
    }

    fn start(&mut self, header: [u8; 9]) -> Result<(), JournalError> {
        let [version, base @ ..] = header;
        if version != 1 {
            return Err(JournalError::Version);
        }
        self.facts.base_us = u64::from_be_bytes(base);
        self.is_started = true;
        self.at = 9;
        Ok(())
    }

    fn handle_record(&mut self, record: &Record<'_>) -> Result<(), JournalError> {
        let malformed = JournalError::Record(self.at);
        self.since_base_ms = self
            .since_base_ms
            .checked_add(record.delta_ms)
            .filter(|sum| *sum <= LASTS_MS_MAX)
            .ok_or(malformed)?;
        match record.kind {
            0 => {
                let sequence = rtp_sequence(record.body).ok_or(malformed)?;
                self.facts.packets += 1;
                self.span.handle_packet(sequence);
            }
            1 => {
                if !is_sender_report(record.body) {
                    return Err(malformed);
                }
                self.facts.reports += 1;
            }
            2 => {
                let starts_source = side_event(record.body).ok_or(malformed)?;
                self.facts.side_events += 1;
                if starts_source {
                    self.span.handle_source();
                }
            }
            _ => return Err(malformed),
        }
        Ok(())
    }
}

struct Record<'a> {
    kind: u8,
    delta_ms: u64,
    body: &'a [u8],
    /// Length of the whole record in bytes.
    length: usize,
}

impl<'a> Record<'a> {
    /// The record at the start of `bytes`, or `None` when more is needed.
    fn read(bytes: &'a [u8], at: u64) -> Result<Option<Self>, JournalError> {
        let Some((head, after_head)) = varint(bytes, at)? else { return Ok(None) };
        let (length, kind) = (head >> 2, (head & 3) as u8);
        if length > RECORD_BYTES_MAX || kind > 2 {
            return Err(JournalError::Record(at));
        }
        let Some((delta_ms, after_delta)) = varint(&bytes[after_head..], at)? else {
            return Ok(None);
        };
        let start = after_head + after_delta;
        let length = start + usize::try_from(length).map_err(|_| JournalError::Record(at))?;
        let Some(body) = bytes.get(start..length) else { return Ok(None) };
        Ok(Some(Self { kind, delta_ms, body, length }))
    }
}

/// An unsigned LEB128 number in its shortest form and its length, or `None`
/// when more bytes are needed.
fn varint(bytes: &[u8], at: u64) -> Result<Option<(u64, usize)>, JournalError> {
    let mut number = 0_u64;
    for (place, (byte, shift)) in bytes.iter().zip((0..64).step_by(7)).enumerate() {
        let bits = u64::from(byte & 0x7F);
        if place == VARINT_BYTES_MAX - 1 && *byte > 1 {
            return Err(JournalError::Number(at));
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            let is_shortest = *byte != 0 || place == 0;
            return if is_shortest {
                Ok(Some((number, place + 1)))
            } else {
                Err(JournalError::Number(at))
            };
        }
    }
    if bytes.len() >= VARINT_BYTES_MAX { Err(JournalError::Number(at)) } else { Ok(None) }
}

/// The sequence number of an RTP packet with a complete header (RFC 3550 §5.1).
fn rtp_sequence(packet: &[u8]) -> Option<u16> {
    let [first, _, high, low, ..] = *packet else { return None };
    if first >> 6 != 2 {
        return None;
    }
    let mut header = 12 + 4 * usize::from(first & 0x0F);
    if first & 0x10 != 0 {
        let length = packet.get(header + 2..header + 4)?;
        header += 4 + 4 * usize::from(u16::from_be_bytes([length[0], length[1]]));
    }
    (packet.len() >= header).then(|| u16::from_be_bytes([high, low]))
}

/// Whether a body is a sender report without report blocks (RFC 3550 §6.4.1).
fn is_sender_report(body: &[u8]) -> bool {
    body.len() == 28 && body[0] >> 6 == 2 && body[1] == 200
}

/// Whether a side event starts a source; `None` when its kind is unknown.
fn side_event(body: &[u8]) -> Option<bool> {
    match *body {
        [1, _, _, _, _, _] => Some(true),
        [2..=4] | [5, _, _, _, _] => Some(false),
        [6, payload_type, 1..=9] if payload_type < 128 => Some(false),
        _ => None,
    }
}
