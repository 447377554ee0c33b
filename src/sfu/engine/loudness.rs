//! Active speakers: the audio levels of RFC 6464, smoothed and ranked with hysteresis.

use crate::domain::id::TrackId;
use crate::sfu::plane::Loudness;

/// Time between two evaluations of the levels.
pub(super) const INTERVAL_US: u64 = 300_000;
/// Speakers reported at most.
const SPEAKERS_MAX: usize = 5;
/// Loudness (127 minus the level) from which a track counts as speaking: 50 dB below overload.
const HEARD_FROM: u32 = 77;
/// Loudness below which it no longer does: 65 dB below overload.
const HEARD_UNTIL: u32 = 62;
/// How many dB louder a track must be to move up in the order.
const OVERTAKE_BY: u32 = 6;
/// Time between two reports in which only the levels have changed.
const LEVELS_INTERVAL_US: u64 = 1_000_000;

/// The levels of one track since the last evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LevelMeter {
    sum: u32,
    packets: u32,
    smoothed: u32,
}

impl LevelMeter {
    /// Takes the byte of the header extension: the level in the lower seven bits, voice activity in
    /// the highest bit.
    pub(super) fn note(&mut self, level: u8) {
        self.sum = self.sum.saturating_add(u32::from(127 - (level & 0x7F)));
        self.packets = self.packets.saturating_add(1);
    }

    /// Ends an interval; returns the smoothed loudness, from 0 (silence) to 127 (loudest).
    fn end_interval(&mut self) -> u32 {
        let fresh = self.sum.checked_div(self.packets).unwrap_or(0);
        // Rises twice as fast as it falls, so that pauses between words do not take a speaker off
        // the list.
        self.smoothed = if fresh > self.smoothed {
            self.smoothed.midpoint(fresh).max(fresh.saturating_sub(OVERTAKE_BY))
        } else {
            (self.smoothed * 3 + fresh) / 4
        };
        (self.sum, self.packets) = (0, 0);
        self.smoothed
    }

    /// Resets the meter, because the gate of the track was closed.
    pub(super) fn silence(&mut self) {
        *self = Self::default();
    }
}

/// The audio of one room.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Slots of its audio publications.
    pub(super) tracks: Vec<usize>,
    speakers: Vec<(TrackId, u32)>,
    told: Vec<Loudness>,
    told_us: u64,
}

impl Room {
    /// Whether there is nothing to report: the room has no audio track and the last report was
    /// empty.
    pub(super) fn is_quiet(&self) -> bool {
        self.tracks.is_empty() && self.told.is_empty()
    }

    /// Ends an interval. `heard` are the tracks with an open gate and their meters. Returns the
    /// speakers when there is something to report.
    pub(super) fn look<'meter>(
        &mut self,
        heard: impl Iterator<Item = (TrackId, &'meter mut LevelMeter)>,
        now_us: u64,
    ) -> Option<Vec<Loudness>> {
        let mut next: Vec<(TrackId, u32)> = Vec::new();
        let mut fresh = Vec::new();
        for (track, meter) in heard {
            let loudness = meter.end_interval();
            let was_heard = self.speakers.iter().any(|(it, _)| *it == track);
            if loudness >= if was_heard { HEARD_UNTIL } else { HEARD_FROM } {
                fresh.push((track, loudness));
            }
        }
        // Speakers keep their order, with new levels; new speakers are appended.
        for (track, _) in &self.speakers {
            if let Some(at) = fresh.iter().position(|(it, _)| it == track) {
                next.push(fresh.swap_remove(at));
            }
        }
        fresh.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(&right.0)));
        next.extend(fresh);
        // A speaker moves up only when clearly louder than the one before.
        for end in 1..next.len() {
            let mut at = end;
            while at > 0 && next[at].1 >= next[at - 1].1 + OVERTAKE_BY {
                next.swap(at, at - 1);
                at -= 1;
            }
        }
        next.truncate(SPEAKERS_MAX);
        self.speakers = next;
        self.tell(now_us)
    }

    fn tell(&mut self, now_us: u64) -> Option<Vec<Loudness>> {
        let now: Vec<Loudness> = self
            .speakers
            .iter()
            .map(|(track, loudness)| {
                let level = 127 - u8::try_from(*loudness).unwrap_or(127).min(127);
                Loudness { track: *track, level_dbov: level }
            })
            .collect();
        let same_order = now.iter().map(|it| it.track).eq(self.told.iter().map(|it| it.track));
        let soon = now_us < self.told_us + LEVELS_INTERVAL_US;
        if same_order && (soon || now == self.told) {
            return None;
        }
        self.told_us = now_us;
        self.told.clone_from(&now);
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        room: Room,
        tracks: Vec<(TrackId, LevelMeter)>,
        now_us: u64,
    }

    impl Scene {
        fn new(tracks: usize) -> Self {
            let tracks = (0..tracks).map(|_| (TrackId::generate(), LevelMeter::default()));
            Self { room: Room::default(), tracks: tracks.collect(), now_us: 10_000_000 }
        }

        /// One interval in which each track speaks at its level.
        fn interval(&mut self, levels: &[u8]) -> Option<Vec<usize>> {
            for ((_, meter), level) in self.tracks.iter_mut().zip(levels) {
                for _ in 0..15 {
                    meter.note(*level);
                }
            }
            self.now_us += INTERVAL_US;
            let heard = self.tracks.iter_mut().map(|(track, meter)| (*track, meter));
            let told = self.room.look(heard, self.now_us)?;
            let position = |it: &Loudness| self.tracks.iter().position(|(id, _)| *id == it.track);
            Some(told.iter().filter_map(position).collect())
        }
    }

    #[test]
    fn a_speaker_is_heard_at_once_and_forgotten_after_a_pause() {
        let mut scene = Scene::new(2);
        assert_eq!(scene.interval(&[127, 127]), None, "silence is not reported");
        assert_eq!(scene.interval(&[30, 127]), Some(vec![0]));
        assert_eq!(scene.interval(&[127, 127]), None, "a pause between words");
        let forgotten = (0..6).any(|_| scene.interval(&[127, 127]) == Some(vec![]));
        assert!(forgotten);
    }

    #[test]
    fn the_order_changes_only_when_somebody_is_clearly_louder() {
        let mut scene = Scene::new(2);
        assert_eq!(scene.interval(&[30, 32]), Some(vec![0, 1]));
        for _ in 0..2 {
            assert_ne!(scene.interval(&[32, 30]), Some(vec![1, 0]));
        }
        let turned = (0..4).any(|_| scene.interval(&[50, 20]) == Some(vec![1, 0]));
        assert!(turned);
    }

    #[test]
    fn levels_alone_are_told_once_a_second_at_most() {
        let mut scene = Scene::new(1);
        assert!(scene.interval(&[40]).is_some());
        let told = (0..20_u8).filter(|step| scene.interval(&[20 + step % 7]).is_some()).count();
        assert!((1..=5).contains(&told), "{told} reports in six seconds");
    }

    #[test]
    fn at_most_five_are_told() {
        let mut scene = Scene::new(8);
        assert_eq!(scene.interval(&[30; 8]).map(|told| told.len()), Some(5));
    }
}
