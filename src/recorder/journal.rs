//! The plaintext of a sealed segment: what came of one track, and when
//! (`docs/EVIDENCE.md` §Sealed objects). The writer appends to a buffer that
//! its caller seals and drains; the reader takes nothing that is not exactly
//! what the writer would have written.

use crate::domain::media::Codec;

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 9;
/// Bytes of a sender report without report blocks (RFC 3550 §6.4.1).
pub const SENDER_REPORT_BYTES: usize = 28;
/// Shortest RTP packet: its fixed header (RFC 3550 §5.1).
pub const RTP_BYTES_MIN: usize = 12;
/// Longest RTP packet: what fits in a datagram.
pub const RTP_BYTES_MAX: usize = 65_535;

const VERSION: u8 = 1;
/// Version 2, no padding, no report blocks; type 200; six words follow.
const SENDER_REPORT_HEAD: [u8; 4] = [0x80, 200, 0, 6];
/// Bytes that 64 bits take at most, seven at a time.
const VARINT_BYTES_MAX: usize = 10;
/// Longest side event.
const SIDE_BYTES_MAX: usize = 6;

/// What happened to the source of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideEvent {
    /// Packets come from this source from here on.
    Source {
        /// Its synchronisation source.
        ssrc: u32,
        /// Its encoding, 0 the lowest quality.
        layer: u8,
    },
    /// The floor closed the gate.
    GateClosed,
    /// The floor opened the gate.
    GateOpened,
    /// The publisher was asked for a key frame.
    KeyFrameRequested,
    /// So many packets were taken and lost before the disk.
    Lost(u32),
    /// Packets of this payload type carry this codec.
    Codec {
        /// 0 to 127.
        payload_type: u8,
        /// What they carry.
        codec: Codec,
    },
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind<'journal> {
    /// A packet as it came out of SRTP.
    Rtp(&'journal [u8]),
    /// A sender report without report blocks.
    SenderReport(&'journal [u8; SENDER_REPORT_BYTES]),
    /// What happened to the source.
    Side(SideEvent),
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'journal> {
    /// When it came: microseconds since 1970, to the millisecond after the
    /// first record.
    pub at_us: u64,
    /// What came.
    pub kind: RecordKind<'journal>,
}

/// It is no journal, or nothing that goes into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// It ends before it should.
    #[error("the journal ends in the middle")]
    Truncated,
    /// It has another version.
    #[error("not a journal of version 1")]
    Version,
    /// A number is not in its shortest form, or too large.
    #[error("a number is not as it should be written")]
    Number,
    /// A record's length does not fit its kind.
    #[error("a record has a length that its kind can't have")]
    Length,
    /// A record, side event or codec of a kind that is not known.
    #[error("a record of an unknown kind")]
    Kind,
    /// A record says that it is something that it is not.
    #[error("a record does not hold what it says")]
    Contents,
    /// Time leaves the range of microseconds since 1970.
    #[error("time out of range")]
    Time,
}

/// The number of a codec in journals.
#[must_use]
const fn codec_number(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => 1,
        Codec::Vp8 => 2,
        Codec::H264 => 3,
        Codec::Vp9 => 4,
        Codec::Av1 => 5,
        Codec::Pcmu => 7,
        Codec::Pcma => 8,
    }
}

/// The codec of a number in journals, if it is one that this server takes.
#[must_use]
fn codec_of(number: u8) -> Option<Codec> {
    Codec::ALL.iter().copied().find(|codec| codec_number(*codec) == number)
}

/// Writes the journal of one segment.
#[derive(Debug, Clone, Copy)]
pub struct JournalWriter {
    base_us: u64,
    /// When the last record came, after the first.
    last_ms: u64,
}

impl JournalWriter {
    /// Begins a journal whose first record comes at `at_us`, microseconds
    /// since 1970.
    #[must_use]
    pub fn begin(at_us: u64, into: &mut Vec<u8>) -> Self {
        into.push(VERSION);
        into.extend_from_slice(&at_us.to_be_bytes());
        Self { base_us: at_us, last_ms: 0 }
    }

    /// When the first record came, microseconds since 1970.
    #[must_use]
    pub const fn base_us(&self) -> u64 {
        self.base_us
    }

    /// When the last record came, as it was written: microseconds since 1970.
    #[must_use]
    pub const fn last_us(&self) -> u64 {
        self.base_us.saturating_add(self.last_ms.saturating_mul(1_000))
    }

    /// Appends a packet that came at `at_us`. A clock that runs back stands
    /// still here.
    ///
    /// # Errors
    /// [`JournalError::Length`] and [`JournalError::Contents`] for what is no
    /// RTP packet; nothing is appended then.
    pub fn rtp(
        &mut self,
        at_us: u64,
        packet: &[u8],
        into: &mut Vec<u8>,
    ) -> Result<(), JournalError> {
        check_rtp(packet)?;
        self.record(0, at_us, packet, into);
        Ok(())
    }

    /// Appends a sender report; its report blocks, if it has any, are left out.
    ///
    /// # Errors
    /// [`JournalError::Length`] and [`JournalError::Contents`] for what is no
    /// sender report; nothing is appended then.
    pub fn sender_report(
        &mut self,
        at_us: u64,
        report: &[u8],
        into: &mut Vec<u8>,
    ) -> Result<(), JournalError> {
        let first: &[u8; SENDER_REPORT_BYTES] = report.first_chunk().ok_or(JournalError::Length)?;
        if first[0] >> 6 != 2 || first[1] != SENDER_REPORT_HEAD[1] {
            return Err(JournalError::Contents);
        }
        let mut body = *first;
        body[..4].copy_from_slice(&SENDER_REPORT_HEAD);
        self.record(1, at_us, &body, into);
        Ok(())
    }

    /// Appends a side event.
    pub fn side(&mut self, at_us: u64, event: SideEvent, into: &mut Vec<u8>) {
        let mut body = [0; SIDE_BYTES_MAX];
        let length = event.write(&mut body);
        self.record(2, at_us, body.get(..length).unwrap_or_default(), into);
    }

    fn record(&mut self, kind: u64, at_us: u64, body: &[u8], into: &mut Vec<u8>) {
        let now_ms = (at_us.saturating_sub(self.base_us) / 1_000).max(self.last_ms);
        write_varint((body.len() as u64) << 2 | kind, into);
        write_varint(now_ms - self.last_ms, into);
        into.extend_from_slice(body);
        self.last_ms = now_ms;
    }
}

/// Reads the journal of one segment, record after record. After an error it
/// yields nothing more.
#[derive(Debug, Clone)]
pub struct JournalReader<'journal> {
    base_us: u64,
    at_us: u64,
    rest: &'journal [u8],
}

impl<'journal> JournalReader<'journal> {
    /// Begins to read.
    ///
    /// # Errors
    /// [`JournalError::Truncated`] and [`JournalError::Version`].
    pub fn new(journal: &'journal [u8]) -> Result<Self, JournalError> {
        let (&version, rest) = journal.split_first().ok_or(JournalError::Truncated)?;
        if version != VERSION {
            return Err(JournalError::Version);
        }
        let (base, rest) = rest.split_first_chunk().ok_or(JournalError::Truncated)?;
        let base_us = u64::from_be_bytes(*base);
        Ok(Self { base_us, at_us: base_us, rest })
    }

    /// When the first record came, microseconds since 1970.
    #[must_use]
    pub const fn base_us(&self) -> u64 {
        self.base_us
    }

    fn record(&mut self) -> Result<Record<'journal>, JournalError> {
        let (word, rest) = read_varint(self.rest)?;
        let (since_ms, rest) = read_varint(rest)?;
        let length = usize::try_from(word >> 2).map_err(|_| JournalError::Length)?;
        if length > RTP_BYTES_MAX {
            return Err(JournalError::Length);
        }
        let (body, rest) = rest.split_at_checked(length).ok_or(JournalError::Truncated)?;
        let kind = match word & 3 {
            0 => {
                check_rtp(body)?;
                RecordKind::Rtp(body)
            }
            1 => RecordKind::SenderReport(check_sender_report(body)?),
            2 => RecordKind::Side(SideEvent::read(body)?),
            _ => return Err(JournalError::Kind),
        };
        let elapsed_us = since_ms.checked_mul(1_000).ok_or(JournalError::Time)?;
        self.at_us = self.at_us.checked_add(elapsed_us).ok_or(JournalError::Time)?;
        self.rest = rest;
        Ok(Record { at_us: self.at_us, kind })
    }
}

impl<'journal> Iterator for JournalReader<'journal> {
    type Item = Result<Record<'journal>, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

impl SideEvent {
    fn write(self, body: &mut [u8; SIDE_BYTES_MAX]) -> usize {
        match self {
            Self::Source { ssrc, layer } => {
                let [a, b, c, d] = ssrc.to_be_bytes();
                *body = [1, a, b, c, d, layer];
                6
            }
            Self::GateClosed => {
                body[0] = 2;
                1
            }
            Self::GateOpened => {
                body[0] = 3;
                1
            }
            Self::KeyFrameRequested => {
                body[0] = 4;
                1
            }
            Self::Lost(packets) => {
                let [a, b, c, d] = packets.to_be_bytes();
                *body = [5, a, b, c, d, 0];
                5
            }
            Self::Codec { payload_type, codec } => {
                *body = [6, payload_type & 0x7F, codec_number(codec), 0, 0, 0];
                3
            }
        }
    }

    fn read(body: &[u8]) -> Result<Self, JournalError> {
        match *body {
            [1, a, b, c, d, layer] => {
                Ok(Self::Source { ssrc: u32::from_be_bytes([a, b, c, d]), layer })
            }
            [2] => Ok(Self::GateClosed),
            [3] => Ok(Self::GateOpened),
            [4] => Ok(Self::KeyFrameRequested),
            [5, a, b, c, d] => Ok(Self::Lost(u32::from_be_bytes([a, b, c, d]))),
            [6, payload_type, codec] => {
                if payload_type > 0x7F {
                    return Err(JournalError::Contents);
                }
                let codec = codec_of(codec).ok_or(JournalError::Kind)?;
                Ok(Self::Codec { payload_type, codec })
            }
            [1..=6, ..] | [] => Err(JournalError::Length),
            _ => Err(JournalError::Kind),
        }
    }
}

fn check_rtp(packet: &[u8]) -> Result<(), JournalError> {
    if !(RTP_BYTES_MIN..=RTP_BYTES_MAX).contains(&packet.len()) {
        return Err(JournalError::Length);
    }
    if packet[0] >> 6 == 2 { Ok(()) } else { Err(JournalError::Contents) }
}

fn check_sender_report(body: &[u8]) -> Result<&[u8; SENDER_REPORT_BYTES], JournalError> {
    let report = body.try_into().map_err(|_| JournalError::Length)?;
    if body.starts_with(&SENDER_REPORT_HEAD) { Ok(report) } else { Err(JournalError::Contents) }
}

fn write_varint(mut number: u64, into: &mut Vec<u8>) {
    loop {
        let [.., low] = number.to_be_bytes();
        number >>= 7;
        if number == 0 {
            into.push(low & 0x7F);
            return;
        }
        into.push(low | 0x80);
    }
}

fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), JournalError> {
    let mut number = 0_u64;
    for (place, &byte) in bytes.iter().enumerate().take(VARINT_BYTES_MAX) {
        let bits = u64::from(byte & 0x7F);
        // The tenth byte holds the last of 64 bits.
        if place == VARINT_BYTES_MAX - 1 && byte > 1 {
            return Err(JournalError::Number);
        }
        number |= bits << (7 * place);
        if byte & 0x80 == 0 {
            let shortest = byte != 0 || place == 0;
            let rest = bytes.get(place + 1..).unwrap_or_default();
            return if shortest { Ok((number, rest)) } else { Err(JournalError::Number) };
        }
    }
    Err(JournalError::Truncated)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE_US: u64 = 1_700_000_000_123_456;

    fn packet(sequence: u16, payload: usize) -> Vec<u8> {
        let [high, low] = sequence.to_be_bytes();
        let mut packet = vec![0x80, 96, high, low, 0, 0, 0, 9, 1, 2, 3, 4];
        packet.resize(RTP_BYTES_MIN + payload, low);
        packet
    }

    fn read(journal: &[u8]) -> Result<Vec<Record<'_>>, JournalError> {
        JournalReader::new(journal)?.collect()
    }

    #[test]
    fn a_journal_is_these_bytes() {
        let mut journal = Vec::new();
        let mut writer = JournalWriter::begin(BASE_US, &mut journal);
        let source = SideEvent::Source { ssrc: 0xAABB_CCDD, layer: 2 };
        writer.side(BASE_US, source, &mut journal);
        writer.rtp(BASE_US + 300_999, &packet(7, 0), &mut journal).expect("a packet");
        let mut expected = vec![1];
        expected.extend_from_slice(&BASE_US.to_be_bytes());
        expected.extend_from_slice(&[6 << 2 | 2, 0, 1, 0xAA, 0xBB, 0xCC, 0xDD, 2]);
        expected.extend_from_slice(&[12 << 2, 0xAC, 0x02]);
        expected.extend_from_slice(&packet(7, 0));
        assert_eq!(journal, expected);
    }

    #[test]
    fn every_kind_of_record_comes_back_with_its_time() {
        let events = [
            SideEvent::Source { ssrc: 1, layer: 0 },
            SideEvent::GateClosed,
            SideEvent::GateOpened,
            SideEvent::KeyFrameRequested,
            SideEvent::Lost(70_000),
            SideEvent::Codec { payload_type: 127, codec: Codec::Av1 },
        ];
        let mut journal = Vec::new();
        let mut writer = JournalWriter::begin(BASE_US, &mut journal);
        for event in events {
            writer.side(BASE_US + 1_999, event, &mut journal);
        }
        // A report with a block, of which only the sender's part is kept.
        let mut report = vec![0x81, 200, 0, 12];
        report.resize(52, 7);
        writer.sender_report(BASE_US + 5_000, &report, &mut journal).expect("a report");
        writer.rtp(BASE_US, &packet(1, 1_200), &mut journal).expect("the clock ran back");
        let records = read(&journal).expect("what was written");
        assert_eq!(records.len(), 8);
        for (record, event) in records.iter().zip(events) {
            assert_eq!(*record, Record { at_us: BASE_US + 1_000, kind: RecordKind::Side(event) });
        }
        let mut kept = report[..SENDER_REPORT_BYTES].to_vec();
        kept[..4].copy_from_slice(&SENDER_REPORT_HEAD);
        let kept: [u8; SENDER_REPORT_BYTES] = kept.try_into().expect("its length");
        assert_eq!(records[6].kind, RecordKind::SenderReport(&kept));
        assert_eq!(records[7].at_us, BASE_US + 5_000);
        assert_eq!(writer.last_us(), BASE_US + 5_000);
    }

    #[test]
    fn what_is_no_packet_is_not_written() {
        let mut journal = Vec::new();
        let mut writer = JournalWriter::begin(0, &mut journal);
        assert_eq!(writer.rtp(0, &[0x80; 11], &mut journal), Err(JournalError::Length));
        assert_eq!(writer.rtp(0, &[0; 12], &mut journal), Err(JournalError::Contents));
        assert_eq!(writer.rtp(0, &vec![0x80; 65_536], &mut journal), Err(JournalError::Length));
        assert_eq!(writer.sender_report(0, &[0x80; 27], &mut journal), Err(JournalError::Length));
        assert_eq!(writer.sender_report(0, &[0x80; 28], &mut journal), Err(JournalError::Contents));
        assert_eq!(journal.len(), HEADER_BYTES);
    }

    #[test]
    fn whatever_is_not_exactly_a_journal_is_refused() {
        let header = || {
            let mut journal = Vec::new();
            let _writer = JournalWriter::begin(BASE_US, &mut journal);
            journal
        };
        assert_eq!(read(&[]), Err(JournalError::Truncated));
        assert_eq!(read(&[1, 0, 0]), Err(JournalError::Truncated));
        assert_eq!(read(&[2; HEADER_BYTES]), Err(JournalError::Version));
        assert_eq!(read(&header()), Ok(Vec::new()));
        let cases: [(&[u8], JournalError); 14] = [
            (&[6], JournalError::Truncated),
            (&[6, 0], JournalError::Truncated),
            (&[6, 0x80], JournalError::Truncated),
            (&[0x86, 0, 0], JournalError::Number),
            (&[6, 0x80, 0, 2], JournalError::Number),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2], JournalError::Number),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0], JournalError::Length),
            (&[7, 0, 1], JournalError::Kind),
            (&[6, 0, 9], JournalError::Kind),
            (&[6, 0, 1], JournalError::Length),
            (&[2, 0], JournalError::Length),
            (&[14, 0, 6, 96, 77], JournalError::Kind),
            (&[14, 0, 6, 200, 1], JournalError::Contents),
            (&[6, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2], JournalError::Time),
        ];
        for (bytes, error) in cases {
            let mut journal = header();
            journal.extend_from_slice(bytes);
            assert_eq!(read(&journal), Err(error), "{bytes:?}");
            let reader = JournalReader::new(&journal).expect("its header is right");
            assert_eq!(reader.count(), 1, "an error ends it");
        }
    }

    #[test]
    fn codec_numbers_are_those_of_the_format() {
        let numbers: Vec<u8> = Codec::ALL.iter().map(|codec| codec_number(*codec)).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 7, 8]);
        assert!(Codec::ALL.iter().all(|codec| codec_of(codec_number(*codec)) == Some(*codec)));
        assert_eq!([0, 6, 9].map(codec_of), [None; 3]);
    }

    #[test]
    fn a_journal_costs_less_than_three_hundredths_of_its_packets() {
        // Opus at 40 kbit/s in packets of 20 ms; pictures at 2 Mbit/s.
        for (payload, every_us) in [(100, 20_000), (1_188, 4_752)] {
            let mut journal = Vec::new();
            let mut writer = JournalWriter::begin(BASE_US, &mut journal);
            let mut raw = 0;
            for sequence in 0..200 {
                let packet = packet(sequence, payload);
                raw += packet.len();
                let at_us = BASE_US + u64::from(sequence) * every_us;
                writer.rtp(at_us, &packet, &mut journal).expect("a packet");
            }
            let overhead = journal.len() - raw;
            assert!(overhead * 1_000 <= raw * 30, "{overhead} bytes over {raw}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_read_writes_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            valid_header in any::<bool>(),
        ) {
            let mut journal = bytes;
            if valid_header && journal.len() >= HEADER_BYTES {
                journal[..2].copy_from_slice(&[1, 0]);
            }
            if let Ok(records) = read(&journal) {
                let base_us = JournalReader::new(&journal).expect("it was read").base_us();
                let mut again = Vec::new();
                let mut writer = JournalWriter::begin(base_us, &mut again);
                for record in records {
                    match record.kind {
                        RecordKind::Rtp(packet) => {
                            writer.rtp(record.at_us, packet, &mut again).expect("it was one");
                        }
                        RecordKind::SenderReport(report) => {
                            writer.sender_report(record.at_us, report, &mut again).expect("it was");
                        }
                        RecordKind::Side(event) => writer.side(record.at_us, event, &mut again),
                    }
                }
                prop_assert_eq!(again, journal);
            }
        }

        #[test]
        fn packets_come_back_as_they_went_in(
            packets in proptest::collection::vec((0_u64..5_000_000, 0_usize..1_500), 0..40),
        ) {
            let mut journal = Vec::new();
            let mut writer = JournalWriter::begin(BASE_US, &mut journal);
            let mut written = Vec::new();
            let mut at_us = BASE_US;
            for (sequence, (elapsed_us, payload)) in (0..).zip(packets) {
                at_us += elapsed_us;
                written.push((at_us, packet(sequence, payload)));
                let (at_us, packet) = written.last().expect("pushed");
                writer.rtp(*at_us, packet, &mut journal).expect("a packet");
            }
            let records = read(&journal).expect("what was written");
            prop_assert_eq!(records.len(), written.len());
            for (record, (at_us, packet)) in records.iter().zip(&written) {
                prop_assert_eq!(record.kind, RecordKind::Rtp(packet));
                prop_assert!(*at_us - record.at_us < 1_000);
            }
        }
    }
}
