//! Reads transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): which
//! of the numbered packets sent to a receiver have arrived there, and when.

/// Packets that one feedback may speak of; one that speaks of more is not read. It is as many as
/// the sender remembers, so nothing is lost by it.
const COVERED_MAX: u16 = 4096;
const DELTA_US: i64 = 250;
const REFERENCE_US: i64 = 64_000;
/// Times of reference are counted in 24 bits.
const REFERENCE_BITS: u32 = 24;

/// What a receiver says of the packets of one range.
#[derive(Debug, Clone)]
pub struct Arrivals<'packet> {
    reference: i32,
    base: u16,
    count: u16,
    chunks: &'packet [u8],
    deltas: &'packet [u8],
}

/// One packet of a range: its transport-wide number and, if it has arrived, when by the receiver's
/// clock, in microseconds after [`Arrivals::reference_us`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its transport-wide number.
    pub sequence: u16,
    /// `None` when it has not arrived.
    pub at_us: Option<i64>,
}

impl<'packet> Arrivals<'packet> {
    /// Reads the part of a feedback after the SSRC of the media. `None` when it contradicts itself,
    /// speaks of too many packets, or is cut.
    pub(super) fn parse(body: &'packet [u8]) -> Option<Self> {
        let (head, rest) = body.split_first_chunk::<8>()?;
        let base = u16::from_be_bytes([head[0], head[1]]);
        let count = u16::from_be_bytes([head[2], head[3]]);
        if count > COVERED_MAX {
            return None;
        }
        let reference = i32::from_be_bytes([head[4], head[5], head[6], 0]) >> 8;
        // The deltas begin after as many chunks as are needed for the count.
        let mut covered = 0;
        let mut length = 0;
        while covered < count {
            let chunk = Chunk::read(rest.get(length..)?)?;
            if chunk.left == 0 {
                return None;
            }
            covered = covered.saturating_add(chunk.left);
            length += 2;
        }
        let (chunks, deltas) = rest.split_at_checked(length)?;
        Some(Self { reference, base, count, chunks, deltas })
    }

    /// The time that arrivals are counted from, by the receiver's clock. The number in the packet
    /// wraps after twelve days; `before` is the time of the feedback before.
    #[must_use]
    pub fn reference_us(&self, before_us: Option<i64>) -> i64 {
        let reference = i64::from(self.reference);
        let Some(before_us) = before_us else { return reference * REFERENCE_US };
        let before = before_us.div_euclid(REFERENCE_US);
        let cycle = 1_i64 << REFERENCE_BITS;
        let ahead = (reference - before + cycle / 2).rem_euclid(cycle) - cycle / 2;
        (before + ahead) * REFERENCE_US
    }

    /// The packets in order of their numbers. It ends early when deltas are missing.
    pub fn packets(&self) -> impl Iterator<Item = Arrival> + use<'packet> {
        let mut reader = Reader {
            chunks: self.chunks,
            deltas: self.deltas,
            chunk: Chunk { left: 0, symbols: Symbols::Run(0) },
            at_us: 0,
        };
        let base = self.base;
        (0..self.count).map_while(move |offset| {
            Some(Arrival { sequence: base.wrapping_add(offset), at_us: reader.next()? })
        })
    }
}

/// Statuses of one chunk that are not read yet.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    left: u16,
    symbols: Symbols,
}

#[derive(Debug, Clone, Copy)]
enum Symbols {
    /// One symbol for all.
    Run(u16),
    /// One bit each, the next in the highest of fourteen bits.
    OneBit(u16),
    /// Two bits each, the next in the highest of fourteen bits.
    TwoBits(u16),
}

impl Chunk {
    fn read(bytes: &[u8]) -> Option<Self> {
        let chunk = u16::from_be_bytes(*bytes.first_chunk()?);
        Some(match chunk >> 14 {
            0b00 | 0b01 => Self { left: chunk & 0x1FFF, symbols: Symbols::Run(chunk >> 13 & 3) },
            0b10 => Self { left: 14, symbols: Symbols::OneBit(chunk & 0x3FFF) },
            _ => Self { left: 7, symbols: Symbols::TwoBits(chunk & 0x3FFF) },
        })
    }

    fn next(&mut self) -> u16 {
        self.left -= 1;
        match &mut self.symbols {
            Symbols::Run(symbol) => *symbol,
            Symbols::OneBit(bits) => {
                let symbol = *bits >> 13 & 1;
                *bits <<= 1;
                symbol
            }
            Symbols::TwoBits(bits) => {
                let symbol = *bits >> 12 & 3;
                *bits <<= 2;
                symbol
            }
        }
    }
}

struct Reader<'packet> {
    chunks: &'packet [u8],
    deltas: &'packet [u8],
    chunk: Chunk,
    at_us: i64,
}

impl Reader<'_> {
    /// The next status: `Some(None)` is a packet that has not arrived, `None` the end.
    #[expect(clippy::option_option, reason = "the end, and a packet that did not arrive")]
    fn next(&mut self) -> Option<Option<i64>> {
        while self.chunk.left == 0 {
            self.chunk = Chunk::read(self.chunks)?;
            self.chunks = self.chunks.get(2..)?;
        }
        let steps = match self.chunk.next() {
            0 => return Some(None),
            1 => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                i64::from(*delta)
            }
            2 => {
                let (delta, rest) = self.deltas.split_first_chunk()?;
                self.deltas = rest;
                i64::from(i16::from_be_bytes(*delta))
            }
            _ => return None,
        };
        self.at_us += steps * DELTA_US;
        Some(Some(self.at_us))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
        PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, StatusVectorChunk,
        SymbolSizeTypeTcc, SymbolTypeTcc, TransportLayerCc,
    };
    use rtc_shared::marshal::Marshal;

    use super::super::{ArrivalRecorder, Message, read};
    use super::*;

    fn told(compound: &[u8]) -> Vec<(u16, Option<i64>)> {
        let mut told = Vec::new();
        read(compound, |message| {
            if let Message::Arrivals(arrivals) = message {
                let reference = arrivals.reference_us(None);
                let packets = arrivals.packets();
                told.extend(packets.map(|it| (it.sequence, it.at_us.map(|at| reference + at))));
            }
        });
        told
    }

    fn delta(steps: i64) -> RecvDelta {
        let small = (0..256).contains(&steps);
        let type_tcc_packet = if small {
            SymbolTypeTcc::PacketReceivedSmallDelta
        } else {
            SymbolTypeTcc::PacketReceivedLargeDelta
        };
        RecvDelta { type_tcc_packet, delta: steps * DELTA_US }
    }

    #[test]
    fn what_another_library_writes_is_read_in_every_form() {
        use SymbolTypeTcc::{
            PacketNotReceived as Missing, PacketReceivedLargeDelta as Large,
            PacketReceivedSmallDelta as Small,
        };
        let vector = |size, symbols: &[SymbolTypeTcc]| {
            PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
                symbol_size: size,
                symbol_list: symbols.to_vec(),
            })
        };
        let mut one_bit = vec![Small, Missing, Small];
        one_bit.resize(14, Missing);
        let feedback = TransportLayerCc {
            sender_ssrc: 1,
            media_ssrc: 2,
            base_sequence_number: 65_530,
            packet_status_count: 3 + 14 + 7,
            reference_time: 10,
            fb_pkt_count: 0,
            packet_chunks: vec![
                PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                    type_tcc: StatusChunkTypeTcc::RunLengthChunk,
                    packet_status_symbol: Small,
                    run_length: 3,
                }),
                vector(SymbolSizeTypeTcc::OneBit, &one_bit),
                vector(
                    SymbolSizeTypeTcc::TwoBit,
                    &[Large, Small, Missing, Missing, Missing, Missing, Missing],
                ),
            ],
            recv_deltas: [0, 1, 2, 3, 4, -5, 6].map(delta).to_vec(),
        };
        let compound = feedback.marshal().expect("fits");
        let told = told(&compound);
        assert_eq!(told.len(), 24);
        let arrived: Vec<(u16, i64)> =
            told.iter().filter_map(|(number, at)| Some((*number, (*at)?))).collect();
        let at = |steps: i64| 640_000 + steps * DELTA_US;
        let expected = [
            (65_530, at(0)),
            (65_531, at(1)),
            (65_532, at(3)),
            (65_533, at(6)),
            (65_535, at(10)),
            (11, at(5)),
            (12, at(11)),
        ];
        assert_eq!(arrived, expected);
    }

    #[test]
    fn times_go_on_when_the_reference_wraps() {
        let at =
            |reference: i32| Arrivals { reference, base: 0, count: 0, chunks: &[], deltas: &[] };
        let last = at((1 << 23) - 1).reference_us(None);
        assert_eq!(at(-(1 << 23)).reference_us(Some(last)), last + REFERENCE_US);
        assert_eq!(at((1 << 23) - 1).reference_us(Some(last + REFERENCE_US)), last);
    }

    #[test]
    fn feedback_that_speaks_of_more_than_was_ever_sent_is_not_read() {
        let mut body = vec![0; 8];
        body[2..4].copy_from_slice(&(COVERED_MAX + 1).to_be_bytes());
        body.extend_from_slice(&[0x1F, 0xFF]);
        assert!(Arrivals::parse(&body).is_none());
        // Runs of nothing make no progress.
        let mut body = vec![0; 8];
        body[3] = 9;
        body.extend([0; 64]);
        assert!(Arrivals::parse(&body).is_none());
    }

    proptest! {
        #[test]
        fn our_own_feedback_is_read_back(
            came in proptest::collection::btree_map(0_u16..900, 0_u64..2_000_000, 1..200),
        ) {
            let mut recorder = ArrivalRecorder::default();
            let first = *came.keys().next().expect("one at least");
            for (sequence, at) in &came {
                recorder.record(sequence.wrapping_add(65_000), *at);
            }
            let mut bytes = Vec::new();
            recorder.write_feedback(&mut bytes, 1);
            let told = told(&bytes);
            prop_assert_eq!(told[0].0, first.wrapping_add(65_000));
            prop_assert_eq!(told.iter().filter(|it| it.1.is_some()).count(), came.len());
        }

        #[test]
        fn nothing_that_a_stranger_sends_takes_long(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            if let Some(arrivals) = Arrivals::parse(&bytes) {
                prop_assert!(arrivals.packets().count() <= usize::from(COVERED_MAX));
            }
        }
    }
}
