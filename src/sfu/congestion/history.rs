//! The packets that were sent lately and of which the receiver may still tell.

/// Packets remembered; a power of two. At 10,000 packets a second it is 0.4 s, more than a round
/// trip. Raising it costs eight bytes for each, in each transport.
const PACKETS_MAX: u16 = 4096;

/// A packet that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at_us: u64,
    pub(super) bytes: u32,
    /// The probe that it belongs to; 0 for none.
    pub(super) probe: u8,
    /// Whether it was told to be missing before.
    pub(super) was_missing: bool,
}

/// What is known of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// It was sent, and has not been told to have arrived.
    UnderWay(Sent),
    /// It was told to have arrived, or was sent too long ago.
    Known,
    /// It was not sent.
    NeverSent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    UnderWay,
    Missing,
    Arrived,
}

/// Eight bytes, of which there are many.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The lower half of the time of sending, which is enough for an hour.
    at_us: u32,
    bytes: u16,
    probe: u8,
    state: State,
}

#[derive(Debug)]
pub(super) struct History {
    entries: Box<[Entry]>,
    /// The number that will be sent next; `None` before the first.
    next: Option<u16>,
}

impl History {
    pub(super) fn new() -> Self {
        let empty = Entry { at_us: 0, bytes: 0, probe: 0, state: State::Empty };
        Self { entries: vec![empty; usize::from(PACKETS_MAX)].into_boxed_slice(), next: None }
    }

    pub(super) fn record(&mut self, sequence: u16, bytes: usize, probe: u8, now_us: u64) {
        self.entries[usize::from(sequence % PACKETS_MAX)] = Entry {
            at_us: lower_half(now_us),
            bytes: u16::try_from(bytes).unwrap_or(u16::MAX),
            probe,
            state: State::UnderWay,
        };
        self.next = Some(sequence.wrapping_add(1));
    }

    fn entry(&mut self, sequence: u16) -> Option<&mut Entry> {
        let behind = self.next?.wrapping_sub(sequence);
        let entry = &mut self.entries[usize::from(sequence % PACKETS_MAX)];
        ((1..=PACKETS_MAX).contains(&behind) && entry.state != State::Empty).then_some(entry)
    }

    /// Whether a number was sent at all, as far as can be told: older numbers have been used.
    fn is_ahead(&self, sequence: u16) -> bool {
        self.next.is_none_or(|next| next.wrapping_sub(sequence).wrapping_sub(1) >= 1 << 15)
    }

    /// Notes that a packet has arrived; returns it the first time.
    pub(super) fn take(&mut self, sequence: u16, now_us: u64) -> Lookup {
        let is_ahead = self.is_ahead(sequence);
        let Some(entry) = self.entry(sequence) else {
            return if is_ahead { Lookup::NeverSent } else { Lookup::Known };
        };
        let was_missing = entry.state == State::Missing;
        if std::mem::replace(&mut entry.state, State::Arrived) == State::Arrived {
            return Lookup::Known;
        }
        let age_us = lower_half(now_us).wrapping_sub(entry.at_us);
        Lookup::UnderWay(Sent {
            at_us: now_us.saturating_sub(u64::from(age_us)),
            bytes: u32::from(entry.bytes),
            probe: entry.probe,
            was_missing,
        })
    }

    /// Notes that a packet has not arrived; returns its bytes the first time.
    pub(super) fn note_missing(&mut self, sequence: u16) -> Option<u32> {
        let entry = self.entry(sequence)?;
        (entry.state == State::UnderWay).then(|| {
            entry.state = State::Missing;
            u32::from(entry.bytes)
        })
    }
}

fn lower_half(us: u64) -> u32 {
    let [.., a, b, c, d] = us.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_known_once_across_the_wrap() {
        let mut history = History::new();
        assert_eq!(history.take(7, 0), Lookup::NeverSent);
        for step in 0..5000_u16 {
            let sequence = step.wrapping_add(63_000);
            history.record(sequence, 1000, 0, (1 << 32) - 1000 + u64::from(step));
        }
        let last = 4999_u16.wrapping_add(63_000);
        let now_us = (1 << 32) + 10_000;
        let Lookup::UnderWay(sent) = history.take(last, now_us) else { panic!("it is under way") };
        assert_eq!((sent.at_us, sent.bytes), ((1 << 32) + 3999, 1000));
        assert_eq!(history.take(last, now_us), Lookup::Known);
        assert_eq!(history.take(last.wrapping_add(1), now_us), Lookup::NeverSent);
        assert_eq!(history.take(63_000, now_us), Lookup::Known, "it was forgotten");
        assert_eq!(history.note_missing(last - 1), Some(1000));
        assert_eq!(history.note_missing(last - 1), None);
        let late = history.take(last - 1, now_us);
        assert!(matches!(late, Lookup::UnderWay(Sent { was_missing: true, .. })));
        assert_eq!(history.note_missing(last.wrapping_add(9)), None);
    }
}
