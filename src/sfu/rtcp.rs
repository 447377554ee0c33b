//! RTCP as bytes (RFC 3550 §6, RFC 4585, RFC 5104). Compound and reduced-size packets are read with
//! bounded work; the packets that this server sends are written without intermediate structures.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod arrivals;
mod twcc;

pub use arrivals::{Arrival, Arrivals};
pub use twcc::ArrivalRecorder;

/// Packets read from one compound; one datagram with more is an attack.
const PACKETS_MAX: usize = 32;
/// Pairs read from one NACK; each names up to 17 packets.
const NACK_PAIRS_MAX: usize = 64;
/// Requests read from one FIR.
const FIR_ENTRIES_MAX: usize = 16;
/// The SSRC that this server's feedback gives as its sender.
pub const FEEDBACK_SSRC: u32 = 1;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// Format of transport-wide feedback.
const ARRIVALS: u8 = 15;
/// Format of feedback that applications define, such as REMB.
const APPLICATION: u8 = 15;

/// The SSRC of the sender of a compound packet, encrypted or not.
#[must_use]
pub fn sender(packet: &[u8]) -> Option<u32> {
    packet.get(4..)?.first_chunk().map(|ssrc| u32::from_be_bytes(*ssrc))
}

/// A part of a compound packet that this server handles.
#[derive(Debug, Clone)]
pub enum Message<'packet> {
    /// A sender's NTP time and RTP timestamp at one instant (RFC 3550 §6.4.1).
    SenderReport(SenderReport),
    /// Packets that a receiver is missing (RFC 4585 §6.2.1).
    Nack {
        /// SSRC of the packets.
        ssrc: u32,
        /// The sequence numbers of the missing packets.
        lost: LostSequences<'packet>,
    },
    /// A receiver needs a key frame (RFC 4585 §6.3.1, RFC 5104 §4.3.1).
    KeyFrameRequest {
        /// SSRC that should send the key frame.
        ssrc: u32,
    },
    /// What a receiver says of one source (RFC 3550 §6.4.2).
    Report(ReportBlock),
    /// When the numbered packets of a transport have arrived.
    Arrivals(Arrivals<'packet>),
    /// Feedback on arrivals that contradicts itself.
    ArrivalsUnreadable,
    /// The bitrate that a receiver believes it can receive
    /// (draft-alvestrand-rmcat-remb-03 §2.2).
    ReceiverEstimate {
        /// Bits per second, over all streams.
        bps: u64,
    },
}

/// The sequence numbers of a NACK.
#[derive(Debug, Clone)]
pub struct LostSequences<'packet> {
    pairs: &'packet [[u8; 4]],
    first: u16,
    mask: u16,
    pending: bool,
}

impl Iterator for LostSequences<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if !self.pending && self.mask == 0 {
            let (pair, rest) = self.pairs.split_first()?;
            self.pairs = rest;
            self.first = u16::from_be_bytes([pair[0], pair[1]]);
            self.mask = u16::from_be_bytes([pair[2], pair[3]]);
            self.pending = true;
        }
        if self.pending {
            self.pending = false;
            return Some(self.first);
        }
        let bit = self.mask.trailing_zeros();
        self.mask &= self.mask - 1;
        let step = u16::try_from(bit + 1).unwrap_or(u16::MAX);
        Some(self.first.wrapping_add(step))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// Calls `act` for every message in `compound`; stops at the first part whose stated length is
/// wrong.
pub fn read<'packet>(compound: &'packet [u8], mut act: impl FnMut(Message<'packet>)) {
    let mut rest = compound;
    for _ in 0..PACKETS_MAX {
        let Some(header) = rest.first_chunk::<4>() else { return };
        let length = 4 + 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[0] >> 6 != 2 {
            return;
        }
        let Some((packet, after)) = rest.split_at_checked(length) else { return };
        rest = after;
        read_one(header[1], header[0] & 0x1F, &packet[4..], &mut act);
    }
}

fn read_one<'packet>(
    packet_type: u8,
    format: u8,
    body: &'packet [u8],
    act: &mut impl FnMut(Message<'packet>),
) {
    match (packet_type, format) {
        (SENDER_REPORT, _) => {
            let fields = (word(body, 0), word(body, 4), word(body, 8), word(body, 12));
            if let (Some(ssrc), Some(seconds), Some(fraction), Some(timestamp)) = fields {
                let ntp = u64::from(seconds) << 32 | u64::from(fraction);
                let (packets, payload_bytes) = (word(body, 16), word(body, 20));
                act(Message::SenderReport(SenderReport {
                    ssrc,
                    ntp,
                    timestamp,
                    packets: packets.unwrap_or(0),
                    payload_bytes: payload_bytes.unwrap_or(0),
                }));
            }
            read_report_blocks(body.get(24..).unwrap_or_default(), format, act);
        }
        (RECEIVER_REPORT, _) => {
            read_report_blocks(body.get(4..).unwrap_or_default(), format, act);
        }
        (TRANSPORT_FEEDBACK, 1) => {
            if let (Some(ssrc), Some(pairs)) = (word(body, 4), body.get(8..)) {
                let (pairs, _) = pairs.as_chunks();
                let pairs = &pairs[..pairs.len().min(NACK_PAIRS_MAX)];
                let lost = LostSequences { pairs, first: 0, mask: 0, pending: false };
                act(Message::Nack { ssrc, lost });
            }
        }
        (TRANSPORT_FEEDBACK, ARRIVALS) => {
            let arrivals = body.get(8..).and_then(Arrivals::parse);
            act(arrivals.map_or(Message::ArrivalsUnreadable, Message::Arrivals));
        }
        (PAYLOAD_FEEDBACK, APPLICATION) => {
            if let Some(bps) = body.get(8..).and_then(read_receiver_estimate) {
                act(Message::ReceiverEstimate { bps });
            }
        }
        (PAYLOAD_FEEDBACK, 1) => {
            if let Some(ssrc) = word(body, 4) {
                act(Message::KeyFrameRequest { ssrc });
            }
        }
        (PAYLOAD_FEEDBACK, 4) => {
            let (entries, _) = body.get(8..).unwrap_or_default().as_chunks::<8>();
            for entry in entries.iter().take(FIR_ENTRIES_MAX) {
                let ssrc = u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]);
                act(Message::KeyFrameRequest { ssrc });
            }
        }
        _ => {}
    }
}

/// Reads the blocks of a report; `count` says how many there are.
fn read_report_blocks<'packet>(blocks: &[u8], count: u8, act: &mut impl FnMut(Message<'packet>)) {
    let (blocks, _) = blocks.as_chunks::<24>();
    for block in blocks.iter().take(usize::from(count)) {
        let field = |at| word(block, at).unwrap_or(0);
        act(Message::Report(ReportBlock {
            ssrc: field(0),
            fraction_lost: block[4],
            lost_total: field(4) & 0x00FF_FFFF,
            highest_sequence: field(8),
            jitter: field(12),
            last_report: field(16),
            since_last_report: field(20),
        }));
    }
}

/// Reads the bitrate of a message that begins with `REMB`; one beyond all measure is the highest
/// that there is.
fn read_receiver_estimate(body: &[u8]) -> Option<u64> {
    let rest = body.strip_prefix(b"REMB")?;
    let [_, first, second, third] = *rest.first_chunk()?;
    let mantissa = u64::from(u32::from_be_bytes([0, first & 3, second, third]));
    let exponent = u32::from(first >> 2);
    Some(if exponent > mantissa.leading_zeros() { u64::MAX } else { mantissa << exponent })
}

fn write_header(out: &mut Vec<u8>, format: u8, packet_type: u8, words_after: u16) {
    out.extend_from_slice(&[0x80 | format, packet_type]);
    out.extend_from_slice(&words_after.to_be_bytes());
}

/// Writes a request to the sender of `ssrc` for a key frame.
pub fn write_pli(out: &mut Vec<u8>, ssrc: u32) {
    write_header(out, 1, PAYLOAD_FEEDBACK, 2);
    out.extend_from_slice(&FEEDBACK_SSRC.to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
}

/// Writes a request to the sender of `ssrc` for the packets in `lost`, which must ascend; at most
/// `NACK_PAIRS_MAX` pairs are written.
pub fn write_nack(out: &mut Vec<u8>, ssrc: u32, lost: impl IntoIterator<Item = u16>) {
    let start = out.len();
    write_header(out, 1, TRANSPORT_FEEDBACK, 2);
    out.extend_from_slice(&FEEDBACK_SSRC.to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
    let mut pair: Option<(u16, u16)> = None;
    let mut pairs: u16 = 0;
    for sequence in lost {
        if let Some((first, mask)) = &mut pair {
            let distance = sequence.wrapping_sub(*first);
            if (1..=16).contains(&distance) {
                *mask |= 1 << (distance - 1);
                continue;
            }
            write_pair(out, (*first, *mask));
            pairs += 1;
            if usize::from(pairs) == NACK_PAIRS_MAX {
                pair = None;
                break;
            }
        }
        pair = Some((sequence, 0));
    }
    if let Some(last) = pair {
        write_pair(out, last);
        pairs += 1;
    }
    if pairs == 0 {
        out.truncate(start);
    } else {
        out[start + 2..start + 4].copy_from_slice(&(2 + pairs).to_be_bytes());
    }
}

fn write_pair(out: &mut Vec<u8>, (first, mask): (u16, u16)) {
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&mask.to_be_bytes());
}

/// The part of a receiver report about one source (RFC 3550 §6.4.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// SSRC of the source.
    pub ssrc: u32,
    /// Loss since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the beginning.
    pub lost_total: u32,
    /// Highest sequence number, extended by the number of wraps.
    pub highest_sequence: u32,
    /// Jitter between arrivals, in ticks of the codec's clock.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time; zero without one.
    pub last_report: u32,
    /// Time since that report came, in 65,536ths of a second.
    pub since_last_report: u32,
}

/// Blocks that one report holds at most; the count field has five bits.
pub const REPORT_BLOCKS_MAX: usize = 31;

/// Writes a receiver report about at most `REPORT_BLOCKS_MAX` sources.
pub fn write_receiver_report(out: &mut Vec<u8>, blocks: &[ReportBlock]) {
    let blocks = &blocks[..blocks.len().min(REPORT_BLOCKS_MAX)];
    let count = u8::try_from(blocks.len()).unwrap_or(0);
    write_header(out, count, RECEIVER_REPORT, 1 + 6 * u16::from(count));
    out.extend_from_slice(&FEEDBACK_SSRC.to_be_bytes());
    for block in blocks {
        out.extend_from_slice(&block.ssrc.to_be_bytes());
        let lost = block.lost_total.min(0x7F_FFFF) | u32::from(block.fraction_lost) << 24;
        out.extend_from_slice(&lost.to_be_bytes());
        out.extend_from_slice(&block.highest_sequence.to_be_bytes());
        out.extend_from_slice(&block.jitter.to_be_bytes());
        out.extend_from_slice(&block.last_report.to_be_bytes());
        out.extend_from_slice(&block.since_last_report.to_be_bytes());
    }
}

/// The contents of a sender report (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderReport {
    /// SSRC of the source.
    pub ssrc: u32,
    /// Wall-clock time in NTP format, 32.32 fixed point.
    pub ntp: u64,
    /// The same instant in ticks of the codec's clock.
    pub timestamp: u32,
    /// Packets sent; wraps.
    pub packets: u32,
    /// Bytes of payload sent; wraps.
    pub payload_bytes: u32,
}

/// Writes a sender report. It tells a receiver how the timestamps of a stream relate to its
/// sender's wall clock, so that the receiver can synchronise audio and video.
pub fn write_sender_report(out: &mut Vec<u8>, report: &SenderReport) {
    write_header(out, 0, SENDER_REPORT, 6);
    out.extend_from_slice(&report.ssrc.to_be_bytes());
    out.extend_from_slice(&report.ntp.to_be_bytes());
    out.extend_from_slice(&report.timestamp.to_be_bytes());
    out.extend_from_slice(&report.packets.to_be_bytes());
    out.extend_from_slice(&report.payload_bytes.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
    use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
    use rtc_rtcp::receiver_report::ReceiverReport;
    use rtc_rtcp::sender_report::SenderReport as TheirSenderReport;
    use rtc_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
    use rtc_shared::marshal::{Marshal, Unmarshal};

    use super::*;

    fn described(compound: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        read(compound, |message| {
            seen.push(match message {
                Message::SenderReport(SenderReport { ssrc, ntp, timestamp, .. }) => {
                    format!("report {ssrc} {ntp} {timestamp}")
                }
                Message::Nack { ssrc, lost } => {
                    format!("nack {ssrc} {:?}", lost.collect::<Vec<_>>())
                }
                Message::KeyFrameRequest { ssrc } => format!("key {ssrc}"),
                Message::Report(block) => format!("lost {} {}", block.ssrc, block.fraction_lost),
                Message::Arrivals(arrivals) => format!("arrivals {}", arrivals.packets().count()),
                Message::ArrivalsUnreadable => "unreadable".to_owned(),
                Message::ReceiverEstimate { bps } => format!("estimate {bps}"),
            });
        });
        seen
    }

    #[test]
    fn an_independent_reader_understands_what_is_written() {
        let mut bytes = Vec::new();
        write_nack(&mut bytes, 7, [65_534, 65_535, 1, 40]);
        let nack = TransportLayerNack::unmarshal(&mut &bytes[..]).expect("a NACK");
        let lost: Vec<u16> = nack
            .nacks
            .iter()
            .flat_map(rtc_rtcp::transport_feedbacks::transport_layer_nack::NackPair::packet_list)
            .collect();
        assert_eq!((nack.media_ssrc, lost), (7, vec![65_534, 65_535, 1, 40]));

        bytes.clear();
        write_pli(&mut bytes, 8);
        let pli = PictureLossIndication::unmarshal(&mut &bytes[..]).expect("a PLI");
        assert_eq!(pli.media_ssrc, 8);

        bytes.clear();
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 3,
            lost_total: 70_000,
            highest_sequence: 0x1_0005,
            jitter: 12,
            last_report: 13,
            since_last_report: 14,
        };
        write_receiver_report(&mut bytes, &[block]);
        let report = ReceiverReport::unmarshal(&mut &bytes[..]).expect("a report");
        let theirs = &report.reports[0];
        assert_eq!((theirs.ssrc, theirs.fraction_lost, theirs.total_lost), (9, 3, 70_000));
        assert_eq!((theirs.last_sequence_number, theirs.jitter), (0x1_0005, 12));
        assert_eq!((theirs.last_sender_report, theirs.delay), (13, 14));

        bytes.clear();
        let report = SenderReport { ssrc: 1, ntp: 2, timestamp: 3, packets: 4, payload_bytes: 5 };
        write_sender_report(&mut bytes, &report);
        let theirs = TheirSenderReport::unmarshal(&mut &bytes[..]).expect("a report");
        assert_eq!((theirs.ssrc, theirs.ntp_time, theirs.rtp_time), (1, 2, 3));
        assert_eq!((theirs.packet_count, theirs.octet_count), (4, 5));
    }

    #[test]
    fn compounds_written_elsewhere_are_read() {
        let report = TheirSenderReport { ssrc: 5, ntp_time: 6, rtp_time: 7, ..Default::default() };
        let pli = PictureLossIndication { sender_ssrc: 1, media_ssrc: 8 };
        let mut compound = report.marshal().expect("fits").to_vec();
        compound.extend_from_slice(&pli.marshal().expect("fits"));
        write_nack(&mut compound, 9, [4, 6, 20, 21]);
        assert_eq!(described(&compound), ["report 5 6 7", "key 8", "nack 9 [4, 6, 20, 21]"]);
    }

    #[test]
    fn estimates_of_receivers_are_read_and_absurd_ones_are_bounded() {
        let told = ReceiverEstimatedMaximumBitrate {
            sender_ssrc: 1,
            bitrate: 1_500_000.0,
            ssrcs: vec![2, 3],
        };
        assert_eq!(described(&told.marshal().expect("fits")), ["estimate 1500000"]);
        let mut absurd = vec![0x8F, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0];
        absurd.extend_from_slice(b"REMB");
        absurd.extend_from_slice(&[0, 0xFF, 0xFF, 0xFF]);
        assert_eq!(described(&absurd), [format!("estimate {}", u64::MAX)]);
    }

    #[test]
    fn reports_of_receivers_are_read_as_many_as_there_are() {
        let mut bytes = Vec::new();
        let block = |ssrc| ReportBlock { ssrc, fraction_lost: 20, ..ReportBlock::default() };
        write_receiver_report(&mut bytes, &[block(5), block(6)]);
        assert_eq!(described(&bytes), ["lost 5 20", "lost 6 20"]);
        // It says that there are more than it holds.
        bytes[0] = 0x80 | 31;
        assert_eq!(described(&bytes), ["lost 5 20", "lost 6 20"]);
    }

    #[test]
    fn a_full_intra_request_names_its_sources() {
        let mut fir = vec![0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0];
        fir.extend_from_slice(&[0, 0, 0, 42, 1, 0, 0, 0]);
        assert_eq!(described(&fir), ["key 42"]);
    }

    #[test]
    fn an_empty_nack_is_not_written() {
        let mut bytes = vec![1];
        write_nack(&mut bytes, 7, []);
        assert_eq!(bytes, [1]);
    }

    proptest! {
        #[test]
        fn work_is_bounded_whatever_a_stranger_sends(
            bytes in proptest::collection::vec(any::<u8>(), 0..1500),
        ) {
            let mut work = 0;
            read(&bytes, |message| {
                work += match message {
                    Message::Nack { lost, .. } => lost.count(),
                    Message::Arrivals(arrivals) => arrivals.packets().count(),
                    _ => 1,
                }
            });
            prop_assert!(work <= PACKETS_MAX * 4096);
        }

        #[test]
        fn a_nack_reads_back_as_it_was_written(
            lost in proptest::collection::btree_set(any::<u16>(), 1..60),
        ) {
            let mut bytes = Vec::new();
            write_nack(&mut bytes, 7, lost.iter().copied());
            let expected: Vec<u16> = lost.into_iter().collect();
            prop_assert_eq!(described(&bytes), [format!("nack 7 {expected:?}")]);
        }
    }
}
