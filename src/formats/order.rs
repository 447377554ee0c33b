//! Puts packets of one source back into the order in which they were sent.

use std::collections::BTreeMap;

use bytes::Bytes;

/// How long a missing packet is waited for, in time of arrival: longer than any retransmission
/// takes. Files are made after the meeting, so waiting delays nobody.
const WAIT_US: u64 = 2_000_000;
/// Most packets held back. At the limit the missing packet is given up.
const HELD_MAX: usize = 4_096;
/// The same for packets that are shown at once, whose network delivered them in another order.
const LIVE_WAIT_US: u64 = 100_000;
const LIVE_HELD_MAX: usize = 512;
/// The same for packets that are kept while they come, and sent once more when they are missing.
/// Raising it delays what is kept.
const RETRANSMITTED_WAIT_US: u64 = 600_000;
/// The same for packets that are kept, and are sent again until they have come. Raising it delays
/// what is kept of a source that does not send again what is missing.
const KEPT_WAIT_US: u64 = 8_000_000;
/// A sequence number further away than this starts a new count (RFC 3550 §A.1).
const JUMP_MAX: i64 = 8_192;

/// A packet in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// RTP timestamp, extended by the wraps.
    pub ticks: i64,
    /// The marker bit.
    pub marker: bool,
    /// The payload without padding.
    pub payload: Bytes,
}

/// An item of the ordered stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InOrder<T = Ordered> {
    /// The next packet.
    Packet(T),
    /// One or more packets before the next one are lost.
    Lost,
}

/// The packets of one source.
#[derive(Debug)]
pub struct Order<T = Ordered> {
    wait_us: u64,
    held_max: usize,
    /// Extended sequence number of the packet to return next.
    next: Option<i64>,
    held: BTreeMap<i64, (u64, T)>,
    out: Vec<InOrder<T>>,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self::within(WAIT_US, HELD_MAX)
    }
}

impl<T> Order<T> {
    const fn within(wait_us: u64, held_max: usize) -> Self {
        Self { wait_us, held_max, next: None, held: BTreeMap::new(), out: Vec::new() }
    }

    /// The packets of a source that is shown at once.
    #[must_use]
    pub const fn live() -> Self {
        Self::within(LIVE_WAIT_US, LIVE_HELD_MAX)
    }

    /// The packets of a source that is kept while it sends, and sends what is missing once more.
    #[must_use]
    pub const fn retransmitted() -> Self {
        Self::within(RETRANSMITTED_WAIT_US, HELD_MAX)
    }

    /// The packets of a source that is kept, and sends what is missing again until it has come.
    #[must_use]
    pub const fn kept() -> Self {
        Self::within(KEPT_WAIT_US, HELD_MAX)
    }

    /// Takes a packet that arrived at `at_us`. A packet that came twice or too late is dropped.
    pub fn handle_packet(&mut self, at_us: u64, sequence: u16, packet: T) {
        let expected = *self.next.get_or_insert_with(|| i64::from(sequence));
        let distance = sequence.wrapping_sub(expected.to_le_bytes_low()).cast_signed();
        let distance = i64::from(distance);
        let number = expected + distance;
        if distance.abs() > JUMP_MAX {
            self.flush();
            self.out.push(InOrder::Lost);
            self.next = Some(number);
        } else if distance < 0 {
            return;
        }
        self.held.entry(number).or_insert((at_us, packet));
        self.let_through();
        self.give_up(at_us);
    }

    /// Takes the items that are ready, in order.
    pub fn poll(&mut self) -> Vec<InOrder<T>> {
        std::mem::take(&mut self.out)
    }

    /// Makes all held packets ready, because the source has ended.
    pub fn flush(&mut self) {
        while let Some(&first) = self.held.keys().next() {
            self.skip_to(first);
        }
    }

    fn let_through(&mut self) {
        while let Some(next) = self.next
            && let Some((_, packet)) = self.held.remove(&next)
        {
            self.out.push(InOrder::Packet(packet));
            self.next = Some(next + 1);
        }
    }

    fn give_up(&mut self, now_us: u64) {
        while let Some((&first, (came_us, _))) = self.held.first_key_value()
            && (self.held.len() > self.held_max || now_us.saturating_sub(*came_us) > self.wait_us)
        {
            self.skip_to(first);
        }
    }

    fn skip_to(&mut self, first: i64) {
        if self.next.is_some_and(|next| next < first) {
            self.out.push(InOrder::Lost);
        }
        self.next = Some(first);
        self.let_through();
    }
}

/// The lowest 16 bits of an extended number.
trait LowBits {
    fn to_le_bytes_low(self) -> u16;
}

impl LowBits for i64 {
    fn to_le_bytes_low(self) -> u16 {
        let [low, high, ..] = self.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(packets: &[(u64, u16)]) -> Vec<Option<u8>> {
        let mut order = Order::default();
        let mut seen = Vec::new();
        for &(at_ms, sequence) in packets {
            let [_, low] = sequence.to_be_bytes();
            let packet = Ordered { ticks: 0, marker: false, payload: Bytes::from(vec![low]) };
            order.handle_packet(at_ms * 1_000, sequence, packet);
            seen.extend(order.poll());
        }
        order.flush();
        seen.extend(order.poll());
        seen.into_iter()
            .map(|item| match item {
                InOrder::Packet(packet) => Some(packet.payload[0]),
                InOrder::Lost => None,
            })
            .collect()
    }

    #[test]
    fn late_packets_find_their_place_across_the_wrap() {
        let seen = run(&[(0, 65_534), (1, 0), (2, 65_535), (3, 0), (4, 2), (5, 1), (6, 65_535)]);
        assert_eq!(seen, [Some(254), Some(255), Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn a_packet_that_never_comes_is_a_loss_and_not_a_standstill() {
        assert_eq!(run(&[(0, 1), (10, 3), (2_500, 4)]), [Some(1), None, Some(3), Some(4)]);
        // The missing packet arrives just in time.
        assert_eq!(run(&[(0, 1), (10, 3), (1_900, 2)]), [Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn a_count_that_starts_anew_goes_on() {
        assert_eq!(run(&[(0, 5), (1, 40_000), (2, 40_001)]), [Some(5), None, Some(64), Some(65)]);
    }

    #[test]
    fn no_more_than_the_limit_is_held_back() {
        let mut order = Order::default();
        let packet = || Ordered { ticks: 0, marker: false, payload: Bytes::new() };
        order.handle_packet(0, 0, packet());
        for sequence in 2..6_000 {
            order.handle_packet(0, sequence, packet());
            assert!(order.held.len() <= HELD_MAX);
        }
        assert_eq!(order.poll().iter().filter(|item| **item == InOrder::Lost).count(), 1);
    }

    #[test]
    fn a_live_source_is_not_waited_for_as_long() {
        let mut order = Order::live();
        for (at_ms, sequence) in [(0, 1_u16), (10, 3), (20, 2), (30, 6), (131, 7)] {
            order.handle_packet(at_ms * 1_000, sequence, sequence);
        }
        let wanted = [1, 2, 3].map(InOrder::Packet).into_iter();
        let wanted = wanted.chain([InOrder::Lost, InOrder::Packet(6), InOrder::Packet(7)]);
        assert_eq!(order.poll(), wanted.collect::<Vec<_>>());
    }
}
