//! The tracks that a scene is made without, and what the file says of them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{GRID_MS, Mixer, Progress, is_frame, push_input};
use crate::domain::id::RecordedTrackId;
use crate::domain::recording::LackReason;
use crate::playable::PlayableError;
use crate::playable::ffmpeg::Feed;
use crate::playable::scenes::Scene;
use crate::recorder::repository::{Lack, PlayableOf};

/// Intervals that are told of one track. At the limit the last one is lengthened over what was
/// shown in between, so that a track that keeps changing can't fill the list.
const INTERVALS_MAX: usize = 16;

/// A track that a scene is made without, by its place among the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) place: usize,
    /// `None` when there was nothing of it to decode, as while somebody is silent.
    reason: Option<LackReason>,
}

/// As [`Lack`], kept for a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptLack {
    track: uuid::Uuid,
    from_ms: u64,
    to_ms: u64,
    reason: String,
}

impl KeptLack {
    pub(super) fn lack(&self) -> Result<Lack, PlayableError> {
        Ok(Lack {
            track: RecordedTrackId::from_uuid(self.track),
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            reason: LackReason::parse(&self.reason).ok_or(PlayableError::Moved)?,
        })
    }
}

impl Mixer<'_> {
    /// Whether a run that failed so is repeated without the tracks that can't be decoded. What may
    /// pass is tried again with all of them, until the last attempt.
    pub(super) const fn leaves_out_after(&self, failed: &PlayableError) -> bool {
        match failed {
            PlayableError::Mixing(_) => true,
            PlayableError::Interrupted(_) => self.is_last,
            _ => false,
        }
    }

    /// Those of the tracks from which nothing can be decoded in a range of milliseconds after the
    /// beginning of the meeting.
    pub(super) async fn undecodable(
        &self,
        places: &[usize],
        ms: &Range<u64>,
    ) -> Result<Vec<LeftOut>, PlayableError> {
        let mut left_out = Vec::new();
        for &place in places {
            let Some((feed, format, offset_ms)) = self.feed(place, ms) else { continue };
            let mut arguments = Vec::new();
            push_input(&mut arguments, format, offset_ms, 0);
            // A line for each frame.
            let output = ["-frames:v", "1", "-frames:a", "1", "-f", "framecrc", "pipe:1"];
            arguments.extend(output.map(str::to_owned));
            let is_empty = matches!(&feed, Feed::Piece { range, .. } if range.is_empty());
            let reason = match self.run(arguments, vec![feed], String::new()).said().await {
                Ok(said) if said.output.split(|byte| *byte == b'\n').any(is_frame) => continue,
                Ok(said) if !said.complained => None,
                Ok(_) | Err(PlayableError::Mixing(_)) if is_empty => None,
                Ok(_) | Err(PlayableError::Mixing(_)) => Some(LackReason::Undecodable),
                Err(PlayableError::Interrupted(_)) if self.is_last => Some(LackReason::Interrupted),
                Err(error) => return Err(error),
            };
            let track = &self.sources[place].playable.id;
            tracing::info!(
                %track,
                from_ms = ms.start,
                reason = reason.map(LackReason::as_str),
                "a track is left out of the combined file"
            );
            left_out.push(LeftOut { place, reason });
        }
        Ok(left_out)
    }

    /// Notes the tracks that a scene is made without.
    pub(super) fn note(&self, scene: &Scene, left_out: &[LeftOut], progress: &mut Progress) {
        let (from, to) = (scene.from * GRID_MS, scene.to * GRID_MS);
        for LeftOut { place, reason } in left_out {
            let (Some(source), Some(reason)) = (self.sources.get(*place), reason) else { continue };
            let PlayableOf::Track(track) = source.playable.of else { continue };
            let (from_ms, to_ms) = (self.zero_ms + from, self.zero_ms + to);
            let present = source.scene.present.iter();
            let overlaps = present.filter(|(begin, end)| *begin < to_ms && *end > from_ms);
            let overlaps: Vec<_> = overlaps.collect();
            let (Some(first), Some(last)) = (overlaps.first(), overlaps.last()) else { continue };
            progress.add_lack(KeptLack {
                track: track.as_uuid(),
                from_ms: first.0.max(from_ms),
                to_ms: last.1.min(to_ms),
                reason: reason.as_str().to_owned(),
            });
        }
    }
}

impl Progress {
    /// Adds what a scene lacks, which follows what the scenes before lack.
    fn add_lack(&mut self, lack: KeptLack) {
        let mut own: Vec<_> = self.lacks.iter_mut().filter(|it| it.track == lack.track).collect();
        let is_full = own.len() >= INTERVALS_MAX;
        match own.pop() {
            Some(last) if is_full || (last.reason == lack.reason && last.to_ms >= lack.from_ms) => {
                last.to_ms = last.to_ms.max(lack.to_ms);
            }
            _ => self.lacks.push(lack),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(track: u128, from_ms: u64, to_ms: u64) -> KeptLack {
        let track = uuid::Uuid::from_u128(track);
        KeptLack { track, from_ms, to_ms, reason: "undecodable".to_owned() }
    }

    #[test]
    fn scenes_one_after_the_other_lack_one_interval() {
        let mut progress = Progress::default();
        for at in 0..4 {
            progress.add_lack(lack(1, at * 10, at * 10 + 10));
            progress.add_lack(lack(2, at * 10, at * 10 + 5));
        }
        let of_first: Vec<_> = progress.lacks.iter().filter(|it| it.track.as_u128() == 1).collect();
        assert_eq!(of_first, [&lack(1, 0, 40)]);
        assert_eq!(progress.lacks.len(), 1 + 4, "the second comes back in between");
        progress.add_lack(KeptLack { reason: "interrupted".to_owned(), ..lack(1, 40, 50) });
        assert_eq!(progress.lacks.len(), 1 + 4 + 1, "another reason");
    }

    #[test]
    fn a_track_that_keeps_changing_fills_no_list() {
        let mut progress = Progress::default();
        for at in 0..1_000 {
            progress.add_lack(lack(1, at * 10, at * 10 + 5));
        }
        assert_eq!(progress.lacks.len(), INTERVALS_MAX);
        assert_eq!(progress.lacks.last().map(|it| it.to_ms), Some(9_995));
    }
}
