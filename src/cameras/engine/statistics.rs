//! What the packets of a camera tell about it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::camera::{CameraHealth, StreamFault, StreamStatus};
use crate::domain::time::Timestamp;

/// Seconds over which rates are measured. Raising it makes them steadier and
/// later.
const WINDOW_S: usize = 5;
/// Share of packets that may be lost before a camera is degraded, in permille.
const LOSS_PERMILLE_MAX: u64 = 20;
/// Longest time between two key frames before a camera is degraded: whoever
/// begins to watch waits as long.
const KEY_FRAMES_APART_MAX: Duration = Duration::from_secs(12);

/// What is known of the times of a camera's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// Time stamps that could not be, or were not followed.
    pub faults: u64,
    /// Why the camera's clock is not followed; nothing when it is.
    pub clock_fault: Option<StreamFault>,
    /// By how many millionths the camera's clock is faster than this server's, once that is known.
    pub clock_drift_ppm: Option<i64>,
    /// Whether pictures are sent in another order than they are shown.
    pub has_b_frames: bool,
}

/// What came within a second.
#[derive(Debug, Clone, Copy, Default)]
struct Second {
    at: u64,
    packets: u64,
    lost: u64,
    bytes: u64,
    pictures: u64,
}

/// What is known of a camera's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Bits per second.
    pub bitrate_bps: u64,
    /// Pictures per second, in thousandths.
    pub frame_rate_milli: u64,
    /// Pictures from one key frame to the next.
    pub gop_pictures: Option<u64>,
    /// When the last key frame came.
    pub key_frame_at: Option<Timestamp>,
    /// Packets that came.
    pub packets: u64,
    /// Packets that were sent and did not come.
    pub packets_lost: u64,
    /// Share of packets that was lost lately, in permille.
    pub loss_permille: u64,
    /// The times of its pictures.
    pub times: Times,
    /// How long ago the last key frame came, and the one before it came earlier.
    key_frames_apart: Option<Duration>,
}

/// The packets of one camera.
#[derive(Debug)]
pub struct Statistics {
    start: Instant,
    seconds: VecDeque<Second>,
    report: Report,
    pictures_since_key: u64,
    key_at: Option<Instant>,
}

impl Statistics {
    /// Nothing came yet.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            start: now,
            seconds: VecDeque::new(),
            report: Report {
                bitrate_bps: 0,
                frame_rate_milli: 0,
                gop_pictures: None,
                key_frame_at: None,
                packets: 0,
                packets_lost: 0,
                loss_permille: 0,
                times: Times {
                    faults: 0,
                    clock_fault: None,
                    clock_drift_ppm: None,
                    has_b_frames: false,
                },
                key_frames_apart: None,
            },
            pictures_since_key: 0,
            key_at: None,
        }
    }

    /// A packet of `bytes` came, and `lost` before it did not.
    pub fn handle_packet(&mut self, bytes: usize, lost: u64, now: Instant) {
        self.report.packets += 1;
        self.report.packets_lost += lost;
        let second = self.second(now);
        second.packets += 1;
        second.lost += lost;
        second.bytes += bytes as u64;
    }

    /// A picture is whole.
    pub fn handle_picture(&mut self, is_key: bool, now: Instant, at: Timestamp) {
        self.second(now).pictures += 1;
        if is_key {
            if self.key_at.is_some() {
                self.report.gop_pictures = Some(self.pictures_since_key);
            }
            self.key_at = Some(now);
            self.report.key_frame_at = Some(at);
            self.pictures_since_key = 0;
        }
        self.pictures_since_key += 1;
    }

    /// How times of its pictures are.
    pub const fn handle_times(&mut self, times: Times) {
        self.report.times = times;
    }

    /// What is known at `now`.
    #[must_use]
    pub fn report(&self, now: Instant) -> Report {
        let current = self.number(now);
        // The second that runs is not over and would count too little.
        let begin = current.saturating_sub(WINDOW_S as u64);
        // Seconds before the first packet say nothing about rates.
        let begin = self.seconds.front().map_or(begin, |first| begin.max(first.at));
        let recent = self.seconds.iter().filter(|it| it.at >= begin && it.at < current);
        let sum = recent.fold(Second::default(), |sum, it| Second {
            at: 0,
            packets: sum.packets + it.packets,
            lost: sum.lost + it.lost,
            bytes: sum.bytes + it.bytes,
            pictures: sum.pictures + it.pictures,
        });
        let span = current.saturating_sub(begin).max(1);
        Report {
            bitrate_bps: sum.bytes.saturating_mul(8) / span,
            frame_rate_milli: sum.pictures.saturating_mul(1_000) / span,
            loss_permille: (sum.lost * 1_000).checked_div(sum.lost + sum.packets).unwrap_or(0),
            key_frames_apart: self.key_at.map(|at| now.saturating_duration_since(at)),
            ..self.report
        }
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs()
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let at = self.number(now);
        if self.seconds.back().is_none_or(|last| last.at < at) {
            self.seconds.push_back(Second { at, ..Second::default() });
            while self.seconds.len() > WINDOW_S + 1 {
                self.seconds.pop_front();
            }
        }
        let last = self.seconds.len() - 1;
        &mut self.seconds[last]
    }
}

/// How well a camera does.
#[must_use]
pub fn health(status: StreamStatus, report: &Report) -> CameraHealth {
    if status != StreamStatus::Running {
        return CameraHealth::Offline;
    }
    let has_pictures = report.key_frames_apart.is_some_and(|apart| apart <= KEY_FRAMES_APART_MAX);
    let has_clock = report.times.clock_fault.is_none();
    if has_pictures && has_clock && report.loss_permille <= LOSS_PERMILLE_MAX {
        CameraHealth::Online
    } else {
        CameraHealth::Degraded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::testing::clock;

    const WALL: Timestamp = Timestamp::from_unix_us(1_000_000);

    /// A camera with 25 pictures a second of 4 packets of 1,000 bytes, a key frame
    /// each second, from `from_s` to `to_s`. Of each `lost_each` packets one is lost.
    fn send(statistics: &mut Statistics, at: &impl Fn(u64) -> Instant, s: std::ops::Range<u64>) {
        for picture in s.start * 25..s.end * 25 {
            let now = at(picture * 40);
            for _ in 0..4 {
                statistics.handle_packet(1_000, 0, now);
            }
            statistics.handle_picture(picture % 25 == 0, now, WALL);
        }
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let at = clock();
        let mut statistics = Statistics::new(at(0));
        assert_eq!(statistics.report(at(0)), Report::default());
        send(&mut statistics, &at, 0..10);
        let report = statistics.report(at(10_000));
        assert_eq!((report.bitrate_bps, report.frame_rate_milli), (800_000, 25_000));
        assert_eq!((report.gop_pictures, report.key_frame_at), (Some(25), Some(WALL)));
        assert_eq!((report.packets, report.packets_lost), (1_000, 0));
        assert_eq!(health(StreamStatus::Running, &report), CameraHealth::Online);
        let silent = statistics.report(at(16_000));
        assert_eq!((silent.bitrate_bps, silent.frame_rate_milli), (0, 0));
        // After a silence of days there is no more to remember than before.
        send(&mut statistics, &at, 100_000..100_020);
        assert!(statistics.seconds.len() <= WINDOW_S + 1);
    }

    #[test]
    fn a_camera_is_degraded_by_losses_and_without_key_frames_and_offline_without_packets() {
        let at = clock();
        let mut statistics = Statistics::new(at(0));
        for n in 0..500 {
            statistics.handle_packet(1_000, 0, at(n * 10));
        }
        let blind = statistics.report(at(5_000));
        assert_eq!(health(StreamStatus::Running, &blind), CameraHealth::Degraded);
        send(&mut statistics, &at, 5..10);
        let seen = statistics.report(at(10_000));
        assert_eq!(health(StreamStatus::Running, &seen), CameraHealth::Online);
        let fault = Some(StreamFault::ClockDrifts);
        statistics.handle_times(Times { clock_fault: fault, ..Times::default() });
        let odd = statistics.report(at(10_000));
        assert_eq!(health(StreamStatus::Running, &odd), CameraHealth::Degraded);
        statistics.handle_times(Times::default());
        for status in [StreamStatus::Stopped, StreamStatus::Starting, StreamStatus::Error] {
            assert_eq!(health(status, &seen), CameraHealth::Offline, "{status}");
        }
        statistics.handle_packet(1_000, 50, at(10_000));
        let torn = statistics.report(at(11_000));
        assert!(torn.loss_permille > LOSS_PERMILLE_MAX, "{torn:?}");
        assert_eq!(health(StreamStatus::Running, &torn), CameraHealth::Degraded);
        let long_ago = statistics.report(at(23_000));
        assert_eq!(health(StreamStatus::Running, &long_ago), CameraHealth::Degraded);
    }
}
