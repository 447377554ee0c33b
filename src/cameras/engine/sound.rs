//! The sound of a camera beside its pictures, as a track of the same files. Players stop where a
//! track has a hole, so it has none: what did not come, or not in time, is silence.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::cameras::engine::timeline::TICKS_PER_S;
use crate::formats::codec::{AacConfig, AacFrames, opus_duration_us};
use crate::formats::mp4::{self, Carries, Run, RunSample};

/// Number of the track.
const TRACK: u32 = 2;
/// How far sound may be behind the pictures, in ticks of theirs, before silence takes its place.
/// Raising it makes players wait longer for a camera whose sound stops.
const BEHIND_MAX: i64 = TICKS_PER_S / 2;
/// How far a frame may be from where the one before ended and still follow it, in frames.
const NEAR_FRAMES: i64 = 2;
/// How far the times of sound may be from those of its arrival on average, in milliseconds, until
/// it is moved there; and at once, as then the camera counts anew.
const DRIFT_MS_MAX: i64 = 300;
const JUMP_MS_MAX: i64 = 5_000;
/// How far before its arrival a frame may be that leaves a hole behind the one before, in milliseconds.
const AHEAD_MS_MAX: i64 = 100;
/// Of how many frames the distance from the arrival is averaged.
const AVERAGED: i64 = 32;
/// Frames that wait for pictures, and their bytes; at the limit the oldest go. Raising it uses
/// more memory for each camera.
const WAITING_MAX: usize = 2_048;
const WAITING_BYTES_MAX: usize = 1 << 20;
/// Ticks per second of Opus, and a frame of 20 ms of silence of it (RFC 6716 §3.1).
const OPUS_HZ: u32 = 48_000;
const OPUS_SILENCE: &[u8] = &[0xF8, 0xFF, 0xFE];
const OPUS_SILENCE_TICKS: i64 = 960;

/// The codec of a camera's sound, as files hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SoundFormat {
    /// AAC.
    Aac(AacConfig),
    /// Opus.
    Opus,
}

impl SoundFormat {
    /// Ticks per second.
    const fn rate_hz(&self) -> u32 {
        match self {
            Self::Aac(config) => config.rate_hz,
            Self::Opus => OPUS_HZ,
        }
    }

    /// The codec string (RFC 6381).
    pub(super) fn codecs(&self) -> String {
        match self {
            Self::Aac(config) => format!("mp4a.40.{}", config.object_type),
            Self::Opus => "opus".to_owned(),
        }
    }

    /// The track in the header of a file.
    pub(super) fn carries(&self) -> Carries {
        match self {
            Self::Aac(config) => Carries::Aac(config.clone()),
            Self::Opus => Carries::Opus,
        }
    }

    fn silence(&self) -> (&'static [u8], i64) {
        match self {
            Self::Aac(config) => (config.silence(), config.frame_samples.into()),
            Self::Opus => (OPUS_SILENCE, OPUS_SILENCE_TICKS),
        }
    }
}

#[derive(Debug)]
struct Frame {
    at: i64,
    ticks: i64,
    data: Bytes,
}

/// The sound of one camera, in ticks of its own.
#[derive(Debug)]
pub(super) struct SoundTrack {
    format: SoundFormat,
    frames: AacFrames,
    /// What is added to stamps so that they are times of the pictures' timeline.
    offset: Option<i64>,
    /// The stamp of a frame that follows the last one.
    following: Option<i64>,
    /// How far frames are from their arrival, times [`AVERAGED`].
    drift: i64,
    /// Where the next frame begins; nothing before the first picture.
    next: Option<i64>,
    waiting: VecDeque<Frame>,
    waiting_bytes: usize,
}

impl SoundTrack {
    pub(super) fn new(format: SoundFormat) -> Self {
        Self {
            format,
            frames: AacFrames::default(),
            offset: None,
            following: None,
            drift: 0,
            next: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    pub(super) const fn format(&self) -> &SoundFormat {
        &self.format
    }

    /// The camera was called anew: its stamps begin anew.
    pub(super) fn handle_new_source(&mut self) {
        self.offset = None;
        self.following = None;
        self.frames.handle_loss();
    }

    /// Pictures begin at `at`, in ticks of theirs: so does the sound.
    pub(super) fn handle_begin(&mut self, at: i64) {
        let at = self.own_ticks(at);
        self.next = Some(at);
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// Pictures end at `at`, in ticks of theirs, and so does the sound: what has not come by then is
    /// silence. Players don't come to the end of a stream whose tracks end apart.
    pub(super) fn handle_end(&mut self, at: i64) {
        let (_, ticks) = self.format.silence();
        // Up to a frame longer rather than shorter.
        self.fill(self.own_ticks(at).saturating_add(ticks - 1));
    }

    /// A packet that came at `now`, in ticks of the pictures' timeline.
    pub(super) fn handle(&mut self, stamp: i64, payload: &Bytes, lost: u64, now: i64) {
        if lost > 0 {
            self.frames.handle_loss();
        }
        let frames = match &self.format {
            SoundFormat::Aac(config) => {
                let samples = config.frame_samples;
                let frames = self.frames.handle(stamp, payload, samples).into_iter();
                frames.map(|(stamp, data)| (stamp, i64::from(samples), data)).collect()
            }
            SoundFormat::Opus => {
                let ticks = i64::from(opus_duration_us(payload)) * i64::from(OPUS_HZ) / 1_000_000;
                if ticks > 0 { vec![(stamp, ticks, payload.clone())] } else { Vec::new() }
            }
        };
        let now = self.own_ticks(now);
        let length: i64 = frames.iter().map(|(_, ticks, _)| ticks).sum();
        if lost > 0 {
            self.following = None;
        }
        for (stamp, ticks, data) in frames {
            let at = self.place((stamp, ticks), now.saturating_sub(length));
            self.append(Frame { at, ticks, data });
        }
    }

    /// The sound for a part that ends at `end`, in ticks of the pictures.
    pub(super) fn take(&mut self, end: i64) -> Option<Run> {
        self.fill(self.own_ticks(end.saturating_sub(BEHIND_MAX)));
        let end = self.own_ticks(end);
        let at = self.waiting.front().map(|frame| frame.at).filter(|at| *at < end)?;
        let mut samples = Vec::new();
        let ready = self.waiting.partition_point(|frame| frame.at < end);
        for frame in self.waiting.drain(..ready) {
            self.waiting_bytes -= frame.data.len();
            let ticks = u32::try_from(frame.ticks).unwrap_or(u32::MAX);
            samples.push(RunSample { ticks, offset: 0, key: true, data: frame.data.to_vec() });
        }
        Some(Run { track: TRACK, at: at.unsigned_abs(), samples })
    }

    /// Where a frame with this stamp is. Its time of arrival is not exact, and its stamp may be
    /// wrong: so stamps count as long as they keep near the arrival.
    fn place(&mut self, (stamp, ticks): (i64, i64), arrived: i64) -> i64 {
        let per_ms = i64::from(self.format.rate_hz()) / 1_000;
        let mut offset = *self.offset.get_or_insert_with(|| arrived.saturating_sub(stamp));
        let following = self.following.replace(stamp.saturating_add(ticks));
        // How much too early its stamp is to follow the frame before.
        let early = following.map_or(0, |following| following.saturating_sub(stamp));
        let ahead = stamp.saturating_add(offset).saturating_sub(arrived);
        let leaves_hole = early < -ticks / 4 && ahead > AHEAD_MS_MAX * per_ms;
        if early > ticks / 4 || leaves_hole {
            // Nothing was lost, and it does not begin before the other one ends, nor before it comes.
            offset = offset.saturating_add(early);
            self.offset = Some(offset);
        }
        let at = stamp.saturating_add(offset);
        let apart = at.saturating_sub(arrived);
        if apart.saturating_abs() > JUMP_MS_MAX * per_ms {
            self.offset = Some(arrived.saturating_sub(stamp));
            self.drift = 0;
            return arrived;
        }
        self.drift += apart - self.drift / AVERAGED;
        let drift = self.drift / AVERAGED;
        if drift.abs() > DRIFT_MS_MAX * per_ms {
            self.offset = Some(offset.saturating_sub(drift));
            self.drift = 0;
            return at - drift;
        }
        at
    }

    /// A frame follows the one before, or what is missing between them is silence. One for a
    /// time that there is sound for already is left out.
    fn append(&mut self, frame: Frame) {
        let Some(next) = self.next else { return };
        let near = frame.ticks.saturating_mul(NEAR_FRAMES);
        if frame.at > next.saturating_add(near) {
            self.fill(frame.at);
        } else if frame.at < next.saturating_sub(near) {
            return;
        }
        self.push(frame.ticks, frame.data);
    }

    /// Silence until `at`.
    fn fill(&mut self, at: i64) {
        let (silence, ticks) = self.format.silence();
        while let Some(next) = self.next
            && next.saturating_add(ticks) <= at
        {
            let missing = (at - next) / ticks;
            if usize::try_from(missing).is_ok_and(|missing| missing > WAITING_MAX) {
                // Nobody plays so long a silence: the pictures broke off too.
                self.next = Some(at);
                return;
            }
            self.push(ticks, Bytes::from_static(silence));
        }
    }

    fn push(&mut self, ticks: i64, data: Bytes) {
        let Some(at) = self.next else { return };
        self.next = Some(at.saturating_add(ticks));
        self.waiting_bytes += data.len();
        self.waiting.push_back(Frame { at, ticks, data });
        while self.waiting.len() > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX {
            let Some(gone) = self.waiting.pop_front() else { return };
            self.waiting_bytes -= gone.data.len();
        }
    }

    fn own_ticks(&self, ticks: i64) -> i64 {
        mp4::rescaled(ticks, TICKS_PER_S, self.format.rate_hz().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of 20 ms of Opus.
    const FRAME: &[u8] = &[0xFC, 1, 2, 3];

    fn track() -> SoundTrack {
        let mut track = SoundTrack::new(SoundFormat::Opus);
        track.handle_begin(0);
        track
    }

    /// `count` frames from number `from` on, which come `late_ms` after their end.
    fn send(track: &mut SoundTrack, from: i64, count: i64, late_ms: i64) {
        for n in from..from + count {
            let now = (n + 1) * 1_800 + late_ms * 90;
            track.handle(777 + n * 960, &Bytes::from_static(FRAME), 0, now);
        }
    }

    /// What a part that ends after so many frames of 20 ms has: where it begins, how many
    /// frames, and how many of them are silence. It has no hole.
    fn part(track: &mut SoundTrack, end: i64) -> (u64, usize, usize) {
        let run = track.take(end * 1_800).expect("sound");
        let silent = run.samples.iter().filter(|it| it.data == OPUS_SILENCE).count();
        assert!(run.samples.iter().all(|sample| sample.ticks == 960));
        (run.at / 960, run.samples.len(), silent)
    }

    #[test]
    fn sound_goes_on_from_part_to_part() {
        let mut track = track();
        send(&mut track, 0, 25, 0);
        assert_eq!(part(&mut track, 25), (0, 25, 0));
        send(&mut track, 25, 30, 0);
        assert_eq!(part(&mut track, 50), (25, 25, 0));
        assert_eq!(part(&mut track, 75), (50, 5, 0));
    }

    #[test]
    fn sound_that_comes_late_or_stops_is_silence_and_delays_no_picture() {
        let mut track = track();
        // Nothing for two seconds: silence until half a second before the end.
        assert_eq!(part(&mut track, 100), (0, 75, 75));
        send(&mut track, 100, 10, 0);
        assert_eq!(part(&mut track, 110), (75, 35, 25));
        // It stops for a second, and what comes for that time afterwards is not played.
        assert_eq!(part(&mut track, 160), (110, 25, 25));
        track.handle(777 + 120 * 960, &Bytes::from_static(FRAME), 0, 161 * 1_800);
        send(&mut track, 160, 10, 0);
        assert_eq!(part(&mut track, 170), (135, 35, 25));
    }

    #[test]
    fn sound_ends_with_the_pictures() {
        let mut track = track();
        send(&mut track, 0, 10, 0);
        track.handle_end(50 * 1_800);
        assert_eq!(part(&mut track, 50), (0, 50, 40));
        track.handle_end(51 * 1_800 + 900);
        assert_eq!(part(&mut track, 52), (50, 2, 2), "it ends before the pictures");
        assert!(track.take(52 * 1_800).is_none(), "sound goes on behind the end");
    }

    #[test]
    fn a_packet_that_is_missing_is_silence_for_as_long() {
        let mut track = track();
        send(&mut track, 0, 10, 0);
        send(&mut track, 15, 10, 0);
        assert_eq!(part(&mut track, 25), (0, 25, 5));
    }

    #[test]
    fn stamps_that_jump_or_drift_do_not_move_sound_away_from_the_pictures() {
        let mut track = track();
        send(&mut track, 0, 10, 0);
        for n in 10..20 {
            track.handle(-9_000_000_000 + n * 960, &Bytes::from_static(FRAME), 0, (n + 1) * 1_800);
        }
        assert_eq!(part(&mut track, 20), (0, 20, 0));
        // A clock that runs a tenth faster than that of the pictures.
        let mut track = self::track();
        for n in 0..1_000 {
            track.handle(n * 960, &Bytes::from_static(FRAME), 0, (n + 1) * 1_620);
            if n % 25 == 24 {
                track.take((n + 1) * 1_620);
            }
        }
        let behind = 1_000 * 1_620 / 90 - track.next.expect("sound") / 48;
        assert!(behind.abs() < 1_000, "{behind} ms from the pictures");
    }

    #[test]
    fn sound_whose_clock_is_grossly_wrong_is_whole_and_stays_with_the_pictures() {
        for permille in [0, 100, 700, 1_300, 10_000, -1_000] {
            let (mut track, mut silence) = (track(), 0);
            for n in 0..1_500 {
                let stamp = 777 + n * 960 * permille / 1_000;
                track.handle(stamp, &Bytes::from_static(FRAME), 0, (n + 1) * 1_800);
                if n % 50 == 49 {
                    let (_, frames, silent) = part(&mut track, n + 1);
                    assert!(frames >= 40, "{permille}: {frames} of a second");
                    silence += silent;
                }
            }
            assert!(silence <= 8, "{permille}: {silence} of 1,500");
            let behind = 1_500 * 20 - track.next.expect("sound") / 48;
            assert!(behind.abs() < 150, "{permille}: {behind} ms from the pictures");
        }
    }

    #[test]
    fn what_waits_for_pictures_is_bounded() {
        let mut track = track();
        send(&mut track, 0, 5_000, 0);
        assert_eq!(track.waiting.len(), WAITING_MAX);
        track.handle(i64::MAX, &Bytes::from_static(FRAME), 0, i64::MAX / 4);
        track.handle(i64::MIN, &Bytes::from_static(FRAME), 9, 0);
        assert!(track.waiting.len() <= WAITING_MAX);
        track.handle_begin(90_000);
        assert_eq!((track.waiting.len(), track.waiting_bytes), (0, 0));
    }
}
