//! The card that viewers of a session see while nobody can be seen: a second of pictures in H.264,
//! again and again. `scripts/live-card` makes it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cameras::engine::pictures::VideoPacket;

/// The pictures, as RFC 6184 calls them in a byte stream (H.264 Annex B).
static FILE: &[u8] = include_bytes!("card.h264");
/// How far apart they are, and in ticks of 90 kHz.
const EVERY: Duration = Duration::from_millis(100);
const EVERY_TICKS: i64 = 9_000;
/// What begins each unit of the file, behind a zero or not.
const START: [u8; 3] = [0, 0, 1];
/// Types of units that have a picture (H.264 table 7-1).
const WITH_PICTURE: [u8; 2] = [1, 5];

/// Its pictures, each with the units before it.
static PICTURES: LazyLock<Vec<Vec<Bytes>>> = LazyLock::new(|| {
    let mut pictures = Vec::new();
    let mut units = Vec::new();
    for unit in units_of(FILE) {
        let is_picture = unit.first().is_some_and(|it| WITH_PICTURE.contains(&(it & 0x1F)));
        units.push(Bytes::from_static(unit));
        if is_picture {
            pictures.push(std::mem::take(&mut units));
        }
    }
    pictures
});

/// The units of a byte stream.
fn units_of(file: &'static [u8]) -> impl Iterator<Item = &'static [u8]> {
    let starts = file.windows(START.len()).enumerate();
    let starts: Vec<usize> = starts.filter(|(_, it)| *it == START).map(|(at, _)| at).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([file.len()]).collect();
    starts.into_iter().zip(ends).map(move |(start, end)| {
        let unit = file.get(start + START.len()..end).unwrap_or_default();
        // A unit never ends with a zero, so what is there belongs to the next beginning.
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        unit.get(..length).unwrap_or_default()
    })
}

/// The card, since it is shown.
#[derive(Debug)]
pub(super) struct Card {
    shown: u64,
    due_at: Instant,
}

impl Card {
    pub(super) const fn new(now: Instant) -> Self {
        Self { shown: 0, due_at: now }
    }

    /// When its next picture is due.
    pub(super) const fn due_at(&self) -> Instant {
        self.due_at
    }

    /// The packets of the pictures that are due. After a longer time the rest is left out.
    pub(super) fn take(&mut self, now: Instant, pictures_max: u32) -> Vec<VideoPacket> {
        let mut packets = Vec::new();
        for _ in 0..pictures_max {
            if self.due_at > now {
                return packets;
            }
            let count = u64::try_from(PICTURES.len()).unwrap_or(u64::MAX).max(1);
            let number = usize::try_from(self.shown % count).unwrap_or(0);
            let units = PICTURES.get(number).map(Vec::as_slice).unwrap_or_default();
            let ticks = i64::try_from(self.shown).unwrap_or(i64::MAX).saturating_mul(EVERY_TICKS);
            packets.extend(units.iter().enumerate().map(|(at, unit)| VideoPacket {
                ticks,
                marker: at + 1 == units.len(),
                lost: 0,
                payload: unit.clone(),
            }));
            self.shown += 1;
            self.due_at += EVERY;
        }
        self.due_at = self.due_at.max(now);
        packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_is_a_second_of_pictures_that_begins_with_a_key_picture() {
        let kinds: Vec<Vec<u8>> =
            PICTURES.iter().map(|it| it.iter().map(|unit| unit[0] & 0x1F).collect()).collect();
        assert_eq!(kinds.len(), 10);
        assert_eq!(kinds[0], [7, 8, 5], "parameter sets and a key picture");
        assert!(kinds[1..].iter().all(|it| *it == [1]), "{kinds:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a moment from which this story is told")]
    fn pictures_come_when_they_are_due_and_a_long_pause_is_not_caught_up_with() {
        let now = Instant::now();
        let mut card = Card::new(now);
        assert_eq!(card.take(now, 5).len(), 3);
        assert_eq!(card.take(now, 5).len(), 0);
        assert_eq!(card.due_at(), now + EVERY);
        let ticks: Vec<i64> = card.take(now + EVERY * 3, 5).iter().map(|it| it.ticks).collect();
        assert_eq!(ticks, [9_000, 18_000, 27_000]);
        let much_later = now + EVERY * 600;
        assert_eq!(card.take(much_later, 5).len(), 5);
        assert_eq!(card.due_at(), much_later);
    }
}
