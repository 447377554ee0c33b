#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The RTCP that the client writes and parses: reports (RFC 3550 §6.4), generic NACK (RFC 4585
//! §6.2.1), picture loss indication (§6.3.1) and full intra requests (RFC 5104 §4.3.1). Other
//! packets are ignored.

use std::collections::BTreeSet;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// Blocks that one report holds at most; further streams go into further reports.
const BLOCKS_MAX: usize = 31;

/// A request of the server to a sender.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Feedback {
    /// Resend these packets.
    Nack { ssrc: u32, sequences: Vec<u16> },
    /// Send a key frame.
    KeyFrame { ssrc: u32 },
}

/// The report about one received stream.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ReportBlock {
    pub(super) ssrc: u32,
    /// Share of packets lost, in 1/256.
    pub(super) fraction_lost: u8,
    pub(super) cumulative_lost: u32,
    pub(super) highest_sequence: u32,
    /// Jitter in ticks of the stream's clock.
    pub(super) jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report.
    pub(super) last_report: u32,
    /// Time since that report, in 1/65536 s.
    pub(super) delay: u32,
}

fn header(out: &mut Vec<u8>, count: u8, kind: u8, bytes: usize) {
    let words = u16::try_from(bytes / 4).unwrap_or(u16::MAX) - 1;
    out.extend_from_slice(&[0x80 | count & 0x1F, kind]);
    out.extend_from_slice(&words.to_be_bytes());
}

/// Writes a sender report without blocks.
pub(super) fn sender_report(
    ssrc: u32,
    ntp: u64,
    timestamp: u32,
    packets: u32,
    octets: u32,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(28);
    header(&mut out, 0, SENDER_REPORT, 28);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&ntp.to_be_bytes());
    for value in [timestamp, packets, octets] {
        out.extend_from_slice(&value.to_be_bytes());
    }
    out
}

/// Writes as many receiver reports as the blocks need.
pub(super) fn receiver_reports(own: u32, blocks: &[ReportBlock]) -> Vec<Vec<u8>> {
    let report = |blocks: &[ReportBlock]| {
        let mut out = Vec::with_capacity(8 + blocks.len() * 24);
        let count = u8::try_from(blocks.len()).unwrap_or(31);
        header(&mut out, count, RECEIVER_REPORT, 8 + blocks.len() * 24);
        out.extend_from_slice(&own.to_be_bytes());
        for block in blocks {
            out.extend_from_slice(&block.ssrc.to_be_bytes());
            let [_, lost @ ..] = block.cumulative_lost.min(0x7F_FFFF).to_be_bytes();
            out.push(block.fraction_lost);
            out.extend_from_slice(&lost);
            for value in [block.highest_sequence, block.jitter, block.last_report, block.delay] {
                out.extend_from_slice(&value.to_be_bytes());
            }
        }
        out
    };
    if blocks.is_empty() {
        return vec![report(&[])];
    }
    blocks.chunks(BLOCKS_MAX).map(report).collect()
}

/// Writes a request to resend packets.
pub(super) fn nack(own: u32, ssrc: u32, sequences: &BTreeSet<u16>) -> Vec<u8> {
    let mut pairs: Vec<(u16, u16)> = Vec::new();
    for &sequence in sequences {
        if let Some((first, mask)) = pairs.last_mut()
            && let distance @ 1..=16 = sequence.wrapping_sub(*first)
        {
            *mask |= 1 << (distance - 1);
        } else {
            pairs.push((sequence, 0));
        }
    }
    let mut out = Vec::with_capacity(12 + pairs.len() * 4);
    header(&mut out, 1, TRANSPORT_FEEDBACK, 12 + pairs.len() * 4);
    out.extend_from_slice(&own.to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
    for (first, mask) in pairs {
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&mask.to_be_bytes());
    }
    out
}

/// Writes a request for a key frame.
pub(super) fn picture_loss(own: u32, ssrc: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    header(&mut out, 1, PAYLOAD_FEEDBACK, 12);
    out.extend_from_slice(&own.to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
    out
}

/// Parses the requests in a compound packet; stops at the first malformed part.
pub(super) fn read(mut bytes: &[u8], feedback: &mut Vec<Feedback>, reports: &mut Vec<(u32, u32)>) {
    while let Some((&[first, kind, l0, l1], after)) = bytes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([l0, l1])) * 4;
        let Some(body) = after.get(..length).filter(|_| first >> 6 == 2) else { return };
        bytes = &after[length..];
        let word = |at: usize| {
            body.get(at..at + 4).and_then(|b| b.first_chunk::<4>()).map(|b| u32::from_be_bytes(*b))
        };
        match (kind, first & 0x1F) {
            (SENDER_REPORT, _) => {
                if let (Some(ssrc), Some(high), Some(low)) = (word(0), word(4), word(8)) {
                    reports.push((ssrc, high << 16 | low >> 16));
                }
            }
            (TRANSPORT_FEEDBACK, 1) => {
                if let Some(ssrc) = word(4) {
                    feedback.push(Feedback::Nack { ssrc, sequences: nacked(&body[8..]) });
                }
            }
            (PAYLOAD_FEEDBACK, 1) => {
                feedback.extend(word(4).map(|ssrc| Feedback::KeyFrame { ssrc }));
            }
            (PAYLOAD_FEEDBACK, 4) => {
                let entries = (8..body.len()).step_by(8);
                feedback.extend(entries.filter_map(word).map(|ssrc| Feedback::KeyFrame { ssrc }));
            }
            _ => {}
        }
    }
}

fn nacked(pairs: &[u8]) -> Vec<u16> {
    let mut sequences = Vec::new();
    for pair in pairs.chunks_exact(4) {
        let first = u16::from_be_bytes([pair[0], pair[1]]);
        let mask = u16::from_be_bytes([pair[2], pair[3]]);
        sequences.push(first);
        sequences.extend(
            (0..16).filter(|bit| mask >> bit & 1 == 1).map(|bit| first.wrapping_add(bit + 1)),
        );
    }
    sequences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feedback_of(bytes: &[u8]) -> Vec<Feedback> {
        let (mut feedback, mut reports) = (Vec::new(), Vec::new());
        read(bytes, &mut feedback, &mut reports);
        feedback
    }

    #[test]
    fn nacks_pack_runs_and_read_back() {
        let sequences = BTreeSet::from([10, 11, 26, 27, 400]);
        let bytes = nack(1, 2, &sequences);
        assert_eq!(bytes.len(), 12 + 3 * 4, "10 to 26, 27, 400");
        let expected = Feedback::Nack { ssrc: 2, sequences: sequences.into_iter().collect() };
        assert_eq!(feedback_of(&bytes), [expected]);
    }

    #[test]
    fn compounds_are_read_to_their_last_part() {
        let mut bytes = sender_report(5, 0x0102_0304_0506_0708, 9, 1, 2);
        bytes.extend(picture_loss(1, 77));
        bytes.extend([0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 78, 3, 0, 0, 0]);
        let (mut feedback, mut reports) = (Vec::new(), Vec::new());
        read(&bytes, &mut feedback, &mut reports);
        assert_eq!(feedback, [Feedback::KeyFrame { ssrc: 77 }, Feedback::KeyFrame { ssrc: 78 }]);
        assert_eq!(reports, [(5, 0x0304_0506)]);
    }

    #[test]
    fn many_streams_take_several_reports() {
        let blocks = vec![ReportBlock::default(); 40];
        let reports = receiver_reports(1, &blocks);
        assert_eq!(reports.iter().map(Vec::len).collect::<Vec<_>>(), [8 + 31 * 24, 8 + 9 * 24]);
        assert_eq!(reports[1][0] & 0x1F, 9);
    }

    #[test]
    fn no_cut_of_a_compound_panics() {
        let bytes = nack(1, 2, &BTreeSet::from([1, 2, 3]));
        for end in 0..bytes.len() {
            drop(feedback_of(&bytes[..end]));
        }
        drop(feedback_of(&[0x81, 205, 0, 0]));
        drop(feedback_of(&[0x81, 205, 0, 1, 0, 0, 0, 0]));
    }
}
