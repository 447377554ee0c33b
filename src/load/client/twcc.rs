#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Transport-wide feedback of a receiver (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Time between two reports.
const INTERVAL: Duration = Duration::from_millis(100);
/// Packets between two reports that are kept; at the limit the oldest are not reported.
const ARRIVALS_MAX: usize = 4096;
/// Unit of the reference time, microseconds.
const REFERENCE_US: u64 = 64_000;
/// Unit of the differences between arrivals, microseconds.
const DELTA_US: u64 = 250;
const NOT_RECEIVED: u16 = 0;
const SMALL_DELTA: u16 = 1;
const LARGE_DELTA: u16 = 2;

/// Arrival times since the last report.
#[derive(Default)]
pub(super) struct Arrivals {
    /// By extended sequence number; microseconds since the epoch of the client.
    at_us: BTreeMap<u64, u64>,
    highest: Option<u64>,
    reported_below: u64,
    due: Option<Instant>,
    count: u8,
}

impl Arrivals {
    pub(super) fn note(&mut self, sequence: u16, now: Instant, now_us: u64) {
        let index = match self.highest {
            None => u64::from(sequence) + (1 << 32),
            Some(highest) => {
                let ahead = sequence.wrapping_sub(low(highest));
                if ahead < 0x8000 {
                    highest + u64::from(ahead)
                } else {
                    highest.saturating_sub(u64::from(ahead.wrapping_neg()))
                }
            }
        };
        self.highest = self.highest.max(Some(index));
        if index < self.reported_below {
            return;
        }
        if self.at_us.len() == ARRIVALS_MAX {
            self.at_us.pop_first();
        }
        self.at_us.entry(index).or_insert(now_us);
        self.due.get_or_insert(now + INTERVAL);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The report, if one is due.
    pub(super) fn handle_timeout(&mut self, now: Instant, own: u32, media: u32) -> Option<Vec<u8>> {
        self.due.filter(|due| *due <= now)?;
        self.due = None;
        let (&first, &first_us) = self.at_us.first_key_value()?;
        let (&last, _) = self.at_us.last_key_value()?;
        // A wider jump is a new start, of which only the new part is reported.
        let base = if last - first > 0x3FFF { last } else { first };
        let reference = self.at_us.get(&base).copied().unwrap_or(first_us) / REFERENCE_US;
        let (statuses, deltas) = self.statuses(base, last, reference * REFERENCE_US);
        self.reported_below = last + 1;
        self.at_us.clear();
        let count = u16::try_from(statuses.len()).ok()?;
        let mut out = vec![0x8F, 205, 0, 0];
        out.extend_from_slice(&own.to_be_bytes());
        out.extend_from_slice(&media.to_be_bytes());
        out.extend_from_slice(&low(base).to_be_bytes());
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&reference.to_be_bytes()[5..]);
        out.push(self.count);
        self.count = self.count.wrapping_add(1);
        for chunk in statuses.chunks(7) {
            let vector = chunk
                .iter()
                .zip(0_u16..)
                .fold(0xC000, |vector, (status, position)| vector | status << (12 - 2 * position));
            out.extend_from_slice(&vector.to_be_bytes());
        }
        out.extend_from_slice(&deltas);
        while !out.len().is_multiple_of(4) {
            out.push(0);
        }
        let words = u16::try_from(out.len() / 4 - 1).ok()?;
        out[2..4].copy_from_slice(&words.to_be_bytes());
        Some(out)
    }

    fn statuses(&self, base: u64, last: u64, reference_us: u64) -> (Vec<u16>, Vec<u8>) {
        let (mut statuses, mut deltas) = (Vec::new(), Vec::new());
        // Differences of whole units, so that rounding errors do not add up.
        let mut before = reference_us / DELTA_US;
        for index in base..=last {
            let Some(at) = self.at_us.get(&index).map(|at| at / DELTA_US) else {
                statuses.push(NOT_RECEIVED);
                continue;
            };
            if let Some(small) = at.checked_sub(before).and_then(|d| u8::try_from(d).ok()) {
                statuses.push(SMALL_DELTA);
                deltas.push(small);
                before = at;
            } else {
                let large = i16::try_from(at.cast_signed() - before.cast_signed());
                let large = large.unwrap_or(if at < before { i16::MIN } else { i16::MAX });
                statuses.push(LARGE_DELTA);
                deltas.extend_from_slice(&large.to_be_bytes());
                before = before.saturating_add_signed(i64::from(large));
            }
        }
        (statuses, deltas)
    }
}

fn low(index: u64) -> u16 {
    u16::try_from(index & 0xFFFF).unwrap_or(0)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test picks the instant it starts from")]
mod tests {
    use bytes::Bytes;
    use rtc_rtcp::packet::unmarshal;
    use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
        PacketStatusChunk, StatusChunkTypeTcc, TransportLayerCc,
    };

    use super::*;

    #[test]
    fn an_independent_reader_understands_the_report() {
        let now = Instant::now();
        let mut arrivals = Arrivals::default();
        // 65534, 65535, (0 is missing), 1 late by a second, 2 before 1.
        for (sequence, at_us) in
            [(65_534, 1_000_000), (65_535, 1_000_500), (2, 1_010_000), (1, 2_010_000)]
        {
            arrivals.note(sequence, now, at_us);
        }
        assert_eq!(arrivals.handle_timeout(now, 1, 2), None);
        let report = arrivals.handle_timeout(now + INTERVAL, 1, 2).unwrap();
        let packets = unmarshal(&mut Bytes::from(report)).unwrap();
        let read = packets[0].as_any().downcast_ref::<TransportLayerCc>().unwrap();
        assert_eq!((read.base_sequence_number, read.packet_status_count), (65_534, 5));
        assert_eq!(read.reference_time, 15);
        // 15 × 64 ms = 960 ms.
        let deltas: Vec<i64> = read.recv_deltas.iter().map(|delta| delta.delta).collect();
        assert_eq!(deltas, [40_000, 500, 1_009_500, -1_000_000]);
        let PacketStatusChunk::StatusVectorChunk(chunk) = &read.packet_chunks[0] else {
            panic!("a vector of statuses");
        };
        assert_eq!(chunk.type_tcc, StatusChunkTypeTcc::StatusVectorChunk);
        assert_eq!(arrivals.poll_timeout(), None);
    }

    #[test]
    fn what_was_reported_is_not_reported_again() {
        let now = Instant::now();
        let mut arrivals = Arrivals::default();
        arrivals.note(10, now, 0);
        assert!(arrivals.handle_timeout(now + INTERVAL, 1, 2).is_some());
        arrivals.note(9, now, 10);
        assert_eq!(arrivals.poll_timeout(), None);
    }

    #[test]
    fn a_report_of_any_arrivals_is_well_formed() {
        use rand::rngs::StdRng;
        use rand::{Rng, SeedableRng};
        let mut random = StdRng::seed_from_u64(1);
        let now = Instant::now();
        for _ in 0..200 {
            let mut arrivals = Arrivals::default();
            for _ in 0..random.random_range(1..300) {
                arrivals.note(random.random(), now, random.random_range(0..10_000_000));
            }
            if let Some(report) = arrivals.handle_timeout(now + INTERVAL, 1, 2) {
                assert!(report.len().is_multiple_of(4) && report.len() < 0x40_000);
                assert!(unmarshal(&mut Bytes::from(report)).is_ok());
            }
        }
    }
}
