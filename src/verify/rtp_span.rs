//! Which RTP sequence numbers a segment holds, counted from its own packets.

/// The low 16 bits of sequence numbers, by two readings of "first" and "last":
/// in the order of arrival, and in the order of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpSpan {
    /// Of the packet that came first.
    pub arrived_first: u16,
    /// Of the packet that came last.
    pub arrived_last: u16,
    /// Of the earliest packet of the stream.
    pub lowest: u16,
    /// Of the latest packet of the stream.
    pub highest: u16,
}

impl RtpSpan {
    /// Whether an entry that names `first` and `last`, extended to 64 bits, can
    /// be of these packets.
    #[must_use]
    pub fn agrees(self, first: u64, last: u64) -> bool {
        let low = |number: u64| (number & 0xFFFF) as u16;
        [self.arrived_first, self.lowest].contains(&low(first))
            && [self.arrived_last, self.highest].contains(&low(last))
    }
}

/// Counts as packets come.
#[derive(Debug, Default)]
pub(super) struct SpanCounter {
    span: Option<RtpSpan>,
    /// Extended numbers relative to the first packet.
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
            // A source that changes starts a new cycle, above all before.
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
