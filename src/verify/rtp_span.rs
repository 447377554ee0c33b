//! The RTP sequence numbers of a segment, determined from its packets.

/// The low 16 bits of the first and last sequence number, in both meanings of "first" and "last":
/// in order of arrival, and in order of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpSpan {
    /// Sequence number of the packet that arrived first.
    pub arrived_first: u16,
    /// Sequence number of the packet that arrived last.
    pub arrived_last: u16,
    /// Sequence number of the earliest packet in the stream.
    pub lowest: u16,
    /// Sequence number of the latest packet in the stream.
    pub highest: u16,
}

impl RtpSpan {
    /// Whether an entry with these `first` and `last` numbers, extended to 64 bits, fits the
    /// packets.
    #[must_use]
    pub fn agrees(self, first: u64, last: u64) -> bool {
        let low = |number: u64| (number & 0xFFFF) as u16;
        [self.arrived_first, self.lowest].contains(&low(first))
            && [self.arrived_last, self.highest].contains(&low(last))
    }
}

/// Determines the span as packets are read.
#[derive(Debug, Default)]
pub(super) struct SpanCounter {
    span: Option<RtpSpan>,
    /// Extended sequence numbers relative to the first packet.
    newest: i64,
    lowest: i64,
    highest: i64,
    is_new_source: bool,
}

impl SpanCounter {
    pub(super) fn handle_source(&mut self) {
        self.is_new_source = true;
    }

    pub(super) fn handle_packet(&mut self, sequence: u16) {
        let Some(span) = &mut self.span else {
            let all = RtpSpan {
                arrived_first: sequence,
                arrived_last: sequence,
                lowest: sequence,
                highest: sequence,
            };
            self.span = Some(all);
            self.is_new_source = false;
            return;
        };
        let extended = if std::mem::take(&mut self.is_new_source) {
            // When the source changes, its numbers continue in a new cycle, above all earlier ones.
            self.highest + 0x1_0000
        } else {
            let step = sequence.wrapping_sub(span.arrived_last).cast_signed();
            self.newest + i64::from(step)
        };
        span.arrived_last = sequence;
        self.newest = extended;
        if extended < self.lowest {
            self.lowest = extended;
            span.lowest = sequence;
        }
        if extended > self.highest {
            self.highest = extended;
            span.highest = sequence;
        }
    }

    pub(super) const fn span(&self) -> Option<RtpSpan> {
        self.span
    }
}
