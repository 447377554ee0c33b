//! Puts the packets of one source in order. Behind a packet that is missing one other packet is
//! held: when a second one comes, or some time has passed, the missing one is given up.

use std::collections::{BTreeMap, VecDeque};

use crate::formats::rtp::extend_sequence;

/// Packets that are held behind a missing one. Raising it gives packets that overtook each other
/// more time, and makes every text after a loss later by a packet.
const HELD_MAX: usize = 1;
/// How long a packet is held at most, in microseconds: when it is the last before a silence,
/// nothing comes behind it.
const HELD_US_MAX: u64 = 60_000;
/// A sequence number further away than this starts a new count (RFC 3550 §A.1).
const JUMP_MAX: u64 = 3_000;
/// Where counting begins, so that an early packet has room below.
const FIRST_CYCLE: u64 = 1 << 16;

/// A packet with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrived {
    /// When it came, in microseconds.
    pub(super) at_us: u64,
    /// RTP timestamp, extended by its wraps.
    pub(super) ticks: i64,
    /// Whether its sender says that it is silent.
    pub(super) quiet: bool,
    /// The packet of sound.
    pub(super) payload: Vec<u8>,
}

/// The next packet, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    /// Packets before it that never came.
    pub(super) lost: u64,
    /// Whether its number has nothing to do with the one before.
    pub(super) restarted: bool,
    /// The packet.
    pub(super) packet: Arrived,
}

/// What is known of the order of one source.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The extended number of the packet that comes next.
    next: Option<u64>,
    held: BTreeMap<u64, Arrived>,
    ready: VecDeque<Next>,
    restarted: bool,
}

impl Order {
    /// Takes a packet; `false` when it came twice or too late.
    pub(super) fn take(&mut self, sequence: u16, packet: Arrived) -> bool {
        let expected = *self.next.get_or_insert_with(|| FIRST_CYCLE + u64::from(sequence));
        let mut number = extend_sequence(expected, sequence);
        if number.abs_diff(expected) > JUMP_MAX {
            self.flush();
            self.restarted = true;
            number = FIRST_CYCLE + u64::from(sequence);
            self.next = Some(number);
        } else if number < expected || self.held.contains_key(&number) {
            return false;
        }
        self.held.insert(number, packet);
        self.let_through();
        while self.held.len() > HELD_MAX {
            self.give_up();
        }
        true
    }

    /// The next packet that is in order.
    pub(super) fn poll(&mut self) -> Option<Next> {
        self.ready.pop_front()
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now_us: u64) {
        let waits = |held: &Arrived| now_us.saturating_sub(held.at_us) < HELD_US_MAX;
        while self.held.first_key_value().is_some_and(|(_, held)| !waits(held)) {
            self.give_up();
        }
    }

    /// Gives out what is held.
    pub(super) fn flush(&mut self) {
        while !self.held.is_empty() {
            self.give_up();
        }
    }

    /// Whether a packet is held.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the packets before the first one that is held as lost.
    fn give_up(&mut self) {
        let Some((number, packet)) = self.held.pop_first() else { return };
        let lost = self.next.map_or(0, |next| number.saturating_sub(next));
        let restarted = std::mem::take(&mut self.restarted);
        self.ready.push_back(Next { lost, restarted, packet });
        self.next = Some(number + 1);
        self.let_through();
    }

    fn let_through(&mut self) {
        while let Some(next) = self.next
            && self.held.contains_key(&next)
        {
            self.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sequences: &[u16]) -> Vec<(u64, u64)> {
        let mut order = Order::default();
        let mut seen = Vec::new();
        for (at, sequence) in sequences.iter().enumerate() {
            let at_us = at as u64 * 20_000;
            let packet =
                Arrived { at_us, ticks: i64::from(*sequence), quiet: false, payload: Vec::new() };
            order.take(*sequence, packet);
            while let Some(next) = order.poll() {
                seen.push((next.lost, next.packet.ticks.cast_unsigned()));
            }
        }
        order.flush();
        while let Some(next) = order.poll() {
            seen.push((next.lost, next.packet.ticks.cast_unsigned()));
        }
        seen
    }

    #[test]
    fn packets_that_overtook_each_other_are_put_in_order() {
        assert_eq!(run(&[1, 3, 2, 4]), [(0, 1), (0, 2), (0, 3), (0, 4)]);
        assert_eq!(run(&[65_535, 1, 0, 2]), [(0, 65_535), (0, 0), (0, 1), (0, 2)]);
    }

    #[test]
    fn a_missing_packet_is_waited_for_by_one_other() {
        assert_eq!(run(&[1, 3, 4, 5]), [(0, 1), (1, 3), (0, 4), (0, 5)]);
        assert_eq!(run(&[1, 5, 3, 6]), [(0, 1), (1, 3), (1, 5), (0, 6)]);
        // Too late, and twice.
        assert_eq!(run(&[1, 3, 4, 2, 4, 5]), [(0, 1), (1, 3), (0, 4), (0, 5)]);
    }

    #[test]
    fn a_held_packet_does_not_wait_for_ever() {
        let mut order = Order::default();
        let packet = |at_us| Arrived { at_us, ticks: 0, quiet: false, payload: Vec::new() };
        assert!(order.take(7, packet(0)));
        assert!(order.take(9, packet(40_000)));
        order.handle_timeout(90_000);
        assert!(order.is_holding());
        order.handle_timeout(100_000);
        assert!(!order.is_holding());
        assert_eq!((order.poll().expect("7").lost, order.poll().expect("9").lost), (0, 1));
    }

    #[test]
    fn a_jump_starts_a_new_count() {
        let mut order = Order::default();
        let packet = || Arrived { at_us: 0, ticks: 0, quiet: false, payload: Vec::new() };
        assert!(order.take(7, packet()));
        assert!(order.take(40_007, packet()));
        let (first, second) = (order.poll().expect("7"), order.poll().expect("the other"));
        assert_eq!((first.restarted, second.restarted, second.lost), (false, true, 0));
    }
}
