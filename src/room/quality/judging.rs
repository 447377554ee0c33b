//! What is said of one path, by what was measured of it in the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::quality::{Quality, QualityCause, QualityLevel};
use crate::domain::time::Timestamp;
use crate::sfu::PathReport;
use crate::sfu::plane::{PathConditions, Shortage, Tally};

/// Measurements, about one a second, that are judged together. Receivers of sound alone report every
/// five seconds.
pub const MEASUREMENTS: usize = 6;
/// Fewer packets say nothing of loss: one of them would be too much.
pub const PACKETS_MIN: u32 = 100;
/// After how long without a packet or check nothing is taken to pass. Browsers send checks every five
/// seconds or more often, and control packets every second.
pub const LOST_AFTER: Duration = Duration::from_secs(8);

/// Above what a measure is no longer good, and above what it is poor.
#[derive(Debug, Clone, Copy)]
struct Limits {
    fair: u32,
    poor: u32,
}

/// Thousandths of packets. Speech with error correction holds to some 5 % of loss.
const LOSS: Limits = Limits { fair: 20, poor: 80 };
/// Milliseconds. People begin to talk over each other from some 600 ms.
const DELAY: Limits = Limits { fair: 250, poor: 600 };
/// Milliseconds. From here the buffers of receivers grow so long that it is a delay, or leave gaps.
const JITTER: Limits = Limits { fair: 60, poor: 120 };
/// To be better again, a measure has to fall below so many hundredths of its limit.
const LEAVES_BELOW_PERCENT: u32 = 75;

impl Limits {
    /// The level of a value that had the level `before`.
    fn level(self, value: u32, before: QualityLevel) -> QualityLevel {
        let limit = |limit: u32, level| {
            if before >= level { limit * LEAVES_BELOW_PERCENT / 100 } else { limit }
        };
        if value > limit(self.poor, QualityLevel::Poor) {
            QualityLevel::Poor
        } else if value > limit(self.fair, QualityLevel::Fair) {
            QualityLevel::Fair
        } else {
            QualityLevel::Good
        }
    }
}

/// A measure whose level depends on the one that it had.
#[derive(Debug, Clone, Copy)]
struct Graded {
    cause: QualityCause,
    limits: Limits,
    /// Reads the value; `None` when nothing is known.
    read: fn(&Path) -> Option<u32>,
    /// The number that is told for a value.
    told: fn(u32) -> u32,
}

const GRADED: [Graded; 5] = [
    Graded {
        cause: QualityCause::UplinkLoss,
        limits: LOSS,
        read: |path| {
            let sound = path.loss(|it| it.sound_from_peer);
            sound.max(path.loss(|it| it.pictures_from_peer))
        },
        told: percent,
    },
    Graded {
        cause: QualityCause::DownlinkLoss,
        limits: LOSS,
        read: |path| path.loss(|it| it.to_peer),
        told: percent,
    },
    Graded {
        cause: QualityCause::Delay,
        limits: DELAY,
        read: |path| path.median(|it| it.round_trip_ms),
        told: whole,
    },
    Graded {
        cause: QualityCause::UplinkJitter,
        limits: JITTER,
        read: |path| path.median(|it| it.from_peer_jitter_ms),
        told: whole,
    },
    Graded {
        cause: QualityCause::DownlinkJitter,
        limits: JITTER,
        read: |path| path.median(|it| it.to_peer_jitter_ms),
        told: whole,
    },
];

const fn percent(thousandths: u32) -> u32 {
    (thousandths + 5) / 10
}

const fn whole(value: u32) -> u32 {
    value
}

/// One transport.
#[derive(Debug)]
pub(super) struct Path {
    /// The newest last.
    measured: VecDeque<PathConditions>,
    is_silent: bool,
    is_by_tcp: bool,
    levels: [QualityLevel; GRADED.len()],
    /// When it was last measured.
    pub(super) seen_at: Timestamp,
}

impl Path {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            measured: VecDeque::with_capacity(MEASUREMENTS),
            is_silent: false,
            is_by_tcp: false,
            levels: [QualityLevel::Good; GRADED.len()],
            seen_at: now,
        }
    }

    /// Takes a measurement.
    pub(super) fn take(&mut self, report: &PathReport, now: Timestamp) {
        if self.measured.len() >= MEASUREMENTS {
            self.measured.pop_front();
        }
        self.measured.push_back(report.conditions);
        self.is_silent = report.silent_for >= LOST_AFTER;
        self.is_by_tcp = report.is_by_tcp;
        self.seen_at = now;
    }

    /// The worst that is known of it, by what was taken last.
    pub(super) fn judge(&mut self) -> Quality {
        let mut worst = Quality::GOOD;
        let mut find = |level: QualityLevel, cause, value| {
            let is_first = worst.cause.is_none_or(|known| cause < known);
            if level > worst.level || (level == worst.level && level.is_bad() && is_first) {
                worst = Quality { level, cause: Some(cause), value };
            }
        };
        for (at, graded) in GRADED.iter().enumerate() {
            let value = (graded.read)(self);
            let level = value
                .map_or(QualityLevel::Good, |value| graded.limits.level(value, self.levels[at]));
            self.levels[at] = level;
            find(level, graded.cause, value.map(graded.told));
        }
        if let Some(newest) = self.measured.back() {
            let level = match newest.shortage {
                Shortage::Nothing => QualityLevel::Good,
                Shortage::Size => QualityLevel::Fair,
                Shortage::Pictures => QualityLevel::Poor,
            };
            find(level, QualityCause::DownlinkBandwidth, newest.estimate_kbps);
        }
        if self.is_by_tcp {
            find(QualityLevel::Fair, QualityCause::RelayedByTcp, None);
        }
        if self.is_silent {
            find(QualityLevel::Lost, QualityCause::NoMedia, None);
        }
        worst
    }

    /// The share of packets that did not come, in thousandths.
    fn loss(&self, of: fn(&PathConditions) -> Tally) -> Option<u32> {
        let mut sum = Tally::default();
        self.measured.iter().for_each(|it| sum.add(of(it)));
        let lost = u64::from(sum.expected.saturating_sub(sum.arrived));
        let is_enough = sum.expected >= PACKETS_MIN;
        let share = lost * 1_000 / u64::from(sum.expected.max(1));
        is_enough.then(|| u32::try_from(share).unwrap_or(1_000))
    }

    fn median(&self, of: fn(&PathConditions) -> Option<u32>) -> Option<u32> {
        let mut known: Vec<u32> = self.measured.iter().filter_map(of).collect();
        known.sort_unstable();
        known.get(known.len() / 2).copied()
    }
}
