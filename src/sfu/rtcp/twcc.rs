//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): when each
//! packet of a transport arrived. Senders estimate their bandwidth from it; without it Chromium
//! does not send its best encoding.

use super::{FEEDBACK_SSRC, TRANSPORT_FEEDBACK};

/// Packets that one feedback message covers. When more came in one interval, only the newest are
/// covered.
const COVERED_MAX: u16 = 1024;
const DELTA_US: i64 = 250;
const REFERENCE_US: i64 = 64_000;
const SYMBOLS_PER_VECTOR: usize = 7;
const RUN_MAX: usize = 0x1FFF;

/// Arrival times for which no feedback was sent yet.
#[derive(Debug, Default)]
pub struct ArrivalRecorder {
    /// Arrival of packet `base + n`, in microseconds; negative when it did not arrive.
    arrivals_us: Vec<i64>,
    /// Sequence number of the first packet, once there is one.
    base: Option<u16>,
    feedback_count: u8,
}

const MISSING: i64 = -1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Missing = 0,
    SmallDelta = 1,
    LargeDelta = 2,
}

impl ArrivalRecorder {
    /// Stores that packet `sequence` arrived at `now_us`, counted from any fixed instant.
    pub fn record(&mut self, sequence: u16, now_us: u64) {
        if self.arrivals_us.capacity() == 0 {
            // Allocated at the first packet, since many transports only receive.
            self.arrivals_us.reserve_exact(usize::from(COVERED_MAX));
        }
        let base = *self.base.get_or_insert(sequence);
        let offset = sequence.wrapping_sub(base);
        if offset >= 0x8000 {
            // It was already reported as missing; too late to correct.
            return;
        }
        if offset >= COVERED_MAX {
            self.arrivals_us.clear();
            self.base = Some(sequence);
            self.arrivals_us.push(now_us.cast_signed());
            return;
        }
        let offset = usize::from(offset);
        if offset >= self.arrivals_us.len() {
            self.arrivals_us.resize(offset + 1, MISSING);
        }
        if self.arrivals_us[offset] == MISSING {
            self.arrivals_us[offset] = now_us.cast_signed();
        }
    }

    /// Appends feedback on every packet since the last time; nothing when no packet came.
    pub fn write_feedback(&mut self, out: &mut Vec<u8>, media_ssrc: u32) {
        let Some(base) = self.base else { return };
        let Some(&first_us) = self.arrivals_us.iter().find(|&&at| at != MISSING) else { return };
        let reference = first_us / REFERENCE_US;
        let (symbols, deltas) = self.encode(reference * REFERENCE_US);
        let start = out.len();
        out.extend_from_slice(&[0x80 | 15, TRANSPORT_FEEDBACK, 0, 0]);
        out.extend_from_slice(&FEEDBACK_SSRC.to_be_bytes());
        out.extend_from_slice(&media_ssrc.to_be_bytes());
        out.extend_from_slice(&base.to_be_bytes());
        let count = u16::try_from(symbols.len()).unwrap_or(COVERED_MAX);
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&reference.to_be_bytes()[5..]);
        out.push(self.feedback_count);
        write_chunks(out, &symbols);
        out.extend_from_slice(&deltas);
        let padding = (4 - (out.len() - start) % 4) % 4;
        if padding > 0 {
            out[start] |= 0x20;
            out.resize(out.len() + padding - 1, 0);
            out.push(u8::try_from(padding).unwrap_or(0));
        }
        let words = u16::try_from((out.len() - start) / 4 - 1).unwrap_or(u16::MAX);
        out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.base = Some(base.wrapping_add(count));
        self.arrivals_us.clear();
    }

    fn encode(&self, mut previous_us: i64) -> (Vec<Symbol>, Vec<u8>) {
        let mut symbols = Vec::with_capacity(self.arrivals_us.len());
        let mut deltas = Vec::with_capacity(self.arrivals_us.len());
        for &at_us in &self.arrivals_us {
            if at_us == MISSING {
                symbols.push(Symbol::Missing);
                continue;
            }
            let steps = (at_us - previous_us).div_euclid(DELTA_US);
            if let Ok(small) = u8::try_from(steps) {
                symbols.push(Symbol::SmallDelta);
                deltas.push(small);
                previous_us += steps * DELTA_US;
            } else {
                let large = i16::try_from(steps.clamp(-32_768, 32_767)).unwrap_or(0);
                symbols.push(Symbol::LargeDelta);
                deltas.extend_from_slice(&large.to_be_bytes());
                previous_us += i64::from(large) * DELTA_US;
            }
        }
        (symbols, deltas)
    }
}

/// Writes run-length chunks where they are shorter, and vectors of two-bit symbols otherwise.
fn write_chunks(out: &mut Vec<u8>, symbols: &[Symbol]) {
    let mut rest = symbols;
    while let Some(&symbol) = rest.first() {
        let run = rest.iter().take(RUN_MAX).take_while(|&&it| it == symbol).count();
        let (chunk, covered) = if run >= SYMBOLS_PER_VECTOR || run == rest.len() {
            (u16::try_from(run).unwrap_or(0) | (symbol as u16) << 13, run)
        } else {
            let covered = rest.len().min(SYMBOLS_PER_VECTOR);
            let vector = rest[..covered].iter().enumerate().fold(0xC000_u16, |chunk, (at, it)| {
                chunk | (*it as u16) << (2 * (SYMBOLS_PER_VECTOR - 1 - at))
            });
            (vector, covered)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        rest = &rest[covered..];
    }
}

#[cfg(test)]
mod tests {
    use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
        PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
    };
    use rtc_shared::marshal::Unmarshal;

    use super::*;

    fn decoded(bytes: &[u8]) -> (u16, Vec<Option<i64>>) {
        let feedback = TransportLayerCc::unmarshal(&mut &bytes[..]).expect("feedback");
        let mut symbols = Vec::new();
        for chunk in &feedback.packet_chunks {
            match chunk {
                PacketStatusChunk::RunLengthChunk(run) => symbols.extend(std::iter::repeat_n(
                    run.packet_status_symbol,
                    usize::from(run.run_length),
                )),
                PacketStatusChunk::StatusVectorChunk(vector) => {
                    symbols.extend_from_slice(&vector.symbol_list);
                }
            }
        }
        symbols.truncate(usize::from(feedback.packet_status_count));
        let mut at = i64::from(feedback.reference_time) * REFERENCE_US;
        let mut deltas = feedback.recv_deltas.iter();
        let arrivals = symbols
            .iter()
            .map(|symbol| {
                (*symbol != SymbolTypeTcc::PacketNotReceived).then(|| {
                    at += deltas.next().expect("a delta for each packet").delta;
                    at
                })
            })
            .collect();
        (feedback.base_sequence_number, arrivals)
    }

    #[test]
    fn an_independent_reader_finds_every_arrival_and_every_gap() {
        let mut recorder = ArrivalRecorder::default();
        let came = [
            (65_534_u16, 1_000_000_u64),
            (65_535, 1_000_250),
            (1, 1_200_000),
            (0, 1_300_000),
            (2, 1_300_000),
            (40, 1_301_000),
        ];
        for (sequence, at) in came {
            recorder.record(sequence, at);
        }
        let mut bytes = Vec::new();
        recorder.write_feedback(&mut bytes, 5);
        assert_eq!(bytes.len() % 4, 0);
        let (base, arrivals) = decoded(&bytes);
        assert_eq!((base, arrivals.len()), (65_534, 43));
        for (sequence, at) in came {
            let told = arrivals[usize::from(sequence.wrapping_sub(base))].expect("it came");
            assert!((told - i64::try_from(at).unwrap()).abs() < DELTA_US, "{sequence}: {told}");
        }
        assert_eq!(arrivals.iter().flatten().count(), came.len());
    }

    #[test]
    fn feedback_continues_where_it_ended_and_says_nothing_of_nothing() {
        let mut recorder = ArrivalRecorder::default();
        let mut bytes = Vec::new();
        recorder.write_feedback(&mut bytes, 5);
        assert!(bytes.is_empty());
        recorder.record(10, 500);
        recorder.write_feedback(&mut bytes, 5);
        recorder.record(9, 600);
        recorder.record(12, 700);
        bytes.clear();
        recorder.write_feedback(&mut bytes, 5);
        let (base, arrivals) = decoded(&bytes);
        assert_eq!((base, arrivals.len()), (11, 2));
        assert!(arrivals[0].is_none());
    }

    #[test]
    fn a_sender_that_jumps_costs_no_more_than_the_window() {
        let mut recorder = ArrivalRecorder::default();
        for step in 0..1000_u16 {
            recorder.record(step.wrapping_mul(30_000), u64::from(step));
        }
        assert!(recorder.arrivals_us.len() <= usize::from(COVERED_MAX));
    }
}
