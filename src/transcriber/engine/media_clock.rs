//! The time at which sound was said, from its RTP timestamps. A packet that was on its way for the
//! shortest time says best when it was sent; the others are late by what the network delayed them.

/// Ticks in a millisecond: Opus counts 48,000 a second (RFC 7587 §4.1), and what counts otherwise
/// is given in these.
const TICKS_PER_MS: i64 = 48;
/// A source whose clock and ours differ by more than this, in microseconds, has restarted, or does
/// not count as it should.
const JUMP_US: i64 = 2_000_000;
/// How fast the estimate follows a source whose clock is slow: a packet moves it by this part of
/// what it is late. At 50 packets a second this follows 0.1 percent; a larger part follows delays
/// of the network too.
const FOLLOW: i64 = 512;

/// What is known of the clock of one source.
#[derive(Debug, Default)]
pub(super) struct MediaClock {
    /// The last timestamp, and how often it has wrapped, in one number.
    ticks: Option<i64>,
    /// Wall clock minus media clock, in microseconds.
    offset_us: Option<i64>,
}

impl MediaClock {
    /// The timestamp of a packet, extended by its wraps.
    pub(super) fn extend(&mut self, timestamp: u32) -> i64 {
        let before = *self.ticks.get_or_insert_with(|| i64::from(timestamp));
        let [b0, b1, b2, b3, ..] = before.to_le_bytes();
        let step = timestamp.wrapping_sub(u32::from_le_bytes([b0, b1, b2, b3])).cast_signed();
        let ticks = before.saturating_add(i64::from(step));
        self.ticks = Some(ticks);
        ticks
    }

    /// When the sound with this timestamp was made, whose packet arrived at `at_us`.
    pub(super) fn time_us(&mut self, ticks: i64, at_us: u64) -> u64 {
        let media_us = ticks.saturating_mul(1_000) / TICKS_PER_MS;
        let arrived_us = i64::try_from(at_us).unwrap_or(i64::MAX);
        let seen = arrived_us.saturating_sub(media_us);
        let offset = match self.offset_us {
            Some(known) if seen.saturating_sub(known).abs() <= JUMP_US => {
                let late = seen.saturating_sub(known);
                if late <= 0 { seen } else { known.saturating_add(late / FOLLOW) }
            }
            _ => seen,
        };
        self.offset_us = Some(offset);
        u64::try_from(media_us.saturating_add(offset)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_packet_says_when_sound_was_made() {
        let mut clock = MediaClock::default();
        assert_eq!(clock.time_us(48_000, 10_080_000), 10_080_000);
        // The next was not delayed.
        assert_eq!(clock.time_us(48_960, 10_020_000), 10_020_000);
        let late = clock.time_us(49_920, 10_240_000);
        assert!((10_040_000..10_042_000).contains(&late), "{late}");
    }

    #[test]
    fn timestamps_wrap_and_step_back() {
        let mut clock = MediaClock::default();
        assert_eq!(clock.extend(u32::MAX - 959), i64::from(u32::MAX) - 959);
        assert_eq!(clock.extend(0), i64::from(u32::MAX) + 1);
        assert_eq!(clock.extend(u32::MAX - 959), i64::from(u32::MAX) - 959);
    }

    #[test]
    fn a_source_that_counts_wrongly_stays_within_two_seconds() {
        let mut clock = MediaClock::default();
        let mut worst = 0;
        for packet in 0..10_000_u64 {
            let at_us = 1_000_000_000 + packet * 20_000;
            // 160 ticks for 20 ms, as a telephone counts.
            let ticks = i64::try_from(packet * 160).expect("small");
            worst = worst.max(at_us.abs_diff(clock.time_us(ticks, at_us)));
        }
        assert!(worst <= 2_100_000, "{worst}");
    }
}
