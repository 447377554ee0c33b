//! Which packets of a source have been received (RFC 3711 §3.3.2).

use super::SrtpError;
use crate::formats::rtp::extend_sequence;

/// How far behind the newest packet one may be and still be accepted; a retransmission that comes
/// later is dropped. A multiple of 64.
const WINDOW_PACKETS: u64 = 1024;
const WORDS: usize = 16;

/// The packets received from one source.
#[derive(Debug, Clone)]
pub struct ReplayWindow {
    highest: u64,
    /// One bit per packet, at its index modulo the window.
    seen: [u64; WORDS],
}

const fn place(index: u64) -> (usize, u64) {
    (((index % WINDOW_PACKETS) / 64) as usize, 1 << (index % 64))
}

impl ReplayWindow {
    /// The window of a source whose first authentic packet has this index.
    #[must_use]
    pub const fn starting_at(index: u64) -> Self {
        let mut seen = [0; WORDS];
        let (word, bit) = place(index);
        seen[word] = bit;
        Self { highest: index, seen }
    }

    /// The index of the packet with this sequence number, unless it was received before or is too
    /// old to tell. Changes no state.
    pub fn check(&self, sequence: u16) -> Result<u64, SrtpError> {
        let index = extend_sequence(self.highest, sequence);
        let (word, bit) = place(index);
        let old = index + WINDOW_PACKETS <= self.highest;
        if old || (index <= self.highest && self.seen[word] & bit != 0) {
            return Err(SrtpError::Replayed);
        }
        Ok(index)
    }

    /// Marks a packet as received, after `check` accepted it and it was authenticated.
    pub fn accept(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= WINDOW_PACKETS {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.highest + 1..index {
                    let (word, bit) = place(skipped);
                    self.seen[word] &= !bit;
                }
            }
            self.highest = index;
        }
        let (word, bit) = place(index);
        self.seen[word] |= bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_passes_once_whatever_the_order() {
        let mut window = ReplayWindow::starting_at(65_530);
        for sequence in [65_532, 65_531, 3, 0, 1] {
            let index = window.check(sequence).expect("new");
            window.accept(index);
            assert_eq!(window.check(sequence), Err(SrtpError::Replayed), "{sequence}");
        }
        assert!(window.check(2).is_ok());
        assert!(window.check(65_533).is_ok());
    }

    #[test]
    fn what_is_older_than_the_window_is_taken_for_a_replay() {
        let mut window = ReplayWindow::starting_at(10);
        window.accept(2000);
        assert_eq!(window.check(976), Err(SrtpError::Replayed));
        assert_eq!(window.check(977), Ok(977));
        assert_eq!(window.check(10), Err(SrtpError::Replayed));
    }

    #[test]
    fn a_jump_forgets_the_bits_it_passes() {
        let mut window = ReplayWindow::starting_at(1);
        for index in 2..=1024 {
            window.accept(index);
        }
        window.accept(1500);
        assert_eq!(window.check(1400), Ok(1400));
        assert_eq!(window.check(1000), Err(SrtpError::Replayed));
    }
}
