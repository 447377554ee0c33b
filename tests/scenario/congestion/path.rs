//! A path in virtual time, and flows over it.

use std::collections::VecDeque;

use cabildo::sfu::congestion::{Congestion, Limits};
use cabildo::sfu::rtcp::{ArrivalRecorder, Message, read};

pub(crate) const LIMITS: Limits =
    Limits { start_bps: 600_000, floor_bps: 60_000, ceiling_bps: 8_000_000 };
const STEP_US: u64 = 1_000;
const PACKET_BYTES: usize = 1_200;
/// How often receivers tell of arrivals.
const FEEDBACK_US: u64 = 80_000;
/// What the queue holds at most.
const QUEUE_MS_MAX: f64 = 400.0;
/// The receivers' clocks are ahead of the sender's.
const AHEAD_US: u64 = 5_000_000_000;

/// A bottleneck.
pub(crate) struct Path {
    pub(crate) capacity_bps: f64,
    /// Each way.
    pub(crate) delay_ms: u64,
    pub(crate) jitter_ms: u64,
    pub(crate) loss: f64,
    pub(crate) now_us: u64,
    /// When the last packet leaves the queue.
    free_us: f64,
    seed: u64,
}

/// What a flow was like for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seconds {
    pub(crate) estimate_bps: f64,
    pub(crate) arrived_bps: f64,
    pub(crate) queue_ms_mean: f64,
    pub(crate) queue_ms_p95: f64,
}

/// A sender that sends what it is allowed to, up to what it wants, and its receiver.
pub(crate) struct Flow {
    pub(crate) congestion: Congestion,
    /// Tells that packets arrived as soon as they were sent, and sooner all the time.
    pub(crate) lies: bool,
    wanted_bps: f64,
    sequence: u16,
    owed_bytes: f64,
    arriving: VecDeque<(u64, u16)>,
    recorder: ArrivalRecorder,
    told: VecDeque<(u64, Vec<u8>)>,
    told_us: u64,
    last_arrival_us: u64,
    estimates: Vec<f64>,
    arrived_bytes: usize,
    seen_us: u64,
    queues_ms: Vec<f64>,
}

impl Flow {
    pub(crate) fn new(wanted_bps: f64) -> Self {
        Self {
            congestion: Congestion::new(LIMITS, 0),
            lies: false,
            wanted_bps,
            sequence: 65_000,
            owed_bytes: 0.0,
            arriving: VecDeque::new(),
            recorder: ArrivalRecorder::default(),
            told: VecDeque::new(),
            told_us: 0,
            last_arrival_us: 0,
            estimates: Vec::new(),
            arrived_bytes: 0,
            seen_us: 0,
            queues_ms: Vec::new(),
        }
    }

    pub(crate) fn estimate_bps(&self, now_us: u64) -> Option<u64> {
        self.congestion.estimate_bps(now_us)
    }

    /// Forgets what was seen so far.
    pub(crate) fn forget(&mut self) {
        self.estimates.clear();
        self.arrived_bytes = 0;
        self.seen_us = 0;
        self.queues_ms.clear();
    }

    pub(crate) fn seen(&self) -> Seconds {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / float(values.len().max(1));
        let mut queues = self.queues_ms.clone();
        queues.sort_by(f64::total_cmp);
        Seconds {
            estimate_bps: mean(&self.estimates),
            arrived_bps: float(self.arrived_bytes * 8) * 1e6 / float(self.seen_us.max(1)),
            queue_ms_mean: mean(&queues),
            queue_ms_p95: queues.get(queues.len() * 95 / 100).copied().unwrap_or(0.0),
        }
    }

    fn send(&mut self, path: &mut Path) {
        let now_us = path.now_us;
        let allowed = self.congestion.estimate_bps(now_us);
        let rate = allowed.map_or(self.wanted_bps, float).min(self.wanted_bps);
        let more = self.wanted_bps > rate;
        self.congestion.want(more.then_some(self.wanted_bps).map(whole));
        self.owed_bytes += rate / 8e6 * float(STEP_US);
        while self.owed_bytes >= float(PACKET_BYTES) {
            self.owed_bytes -= float(PACKET_BYTES);
            self.transmit(PACKET_BYTES, path);
        }
        if now_us.is_multiple_of(5_000) {
            self.congestion.handle_time(now_us);
            let mut padding = self.congestion.padding_due(now_us);
            while padding > 0 {
                let bytes = padding.clamp(60, 280);
                self.transmit(bytes, path);
                padding = padding.saturating_sub(bytes);
            }
        }
    }

    fn transmit(&mut self, bytes: usize, path: &mut Path) {
        self.congestion.handle_sent(self.sequence, bytes, path.now_us);
        let number = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        if self.lies {
            self.recorder.record(number, path.now_us - path.now_us / 10 + AHEAD_US);
        }
        if path.chance() < path.loss {
            return;
        }
        let now = float(path.now_us);
        let queue_ms = (path.free_us - now).max(0.0) / 1e3;
        self.queues_ms.push(queue_ms);
        if queue_ms > QUEUE_MS_MAX {
            return;
        }
        path.free_us = path.free_us.max(now) + float(bytes * 8) * 1e6 / path.capacity_bps;
        let jitter_us = path.chance() * float(path.jitter_ms * 1_000);
        let arrival_us = whole(path.free_us + jitter_us) + path.delay_ms * 1_000;
        // A path delays packets and does not let one pass another.
        self.last_arrival_us = self.last_arrival_us.max(arrival_us);
        self.arriving.push_back((self.last_arrival_us, number));
        self.arrived_bytes += bytes;
    }

    fn receive(&mut self, path: &Path) {
        let now_us = path.now_us;
        while let Some((at_us, number)) = self.arriving.front().copied()
            && at_us <= now_us
        {
            self.arriving.pop_front();
            if !self.lies {
                self.recorder.record(number, at_us + AHEAD_US);
            }
        }
        if now_us >= self.told_us + FEEDBACK_US {
            self.told_us = now_us;
            let mut compound = Vec::new();
            self.recorder.write_feedback(&mut compound, 1);
            if !compound.is_empty() {
                self.told.push_back((now_us + path.delay_ms * 1_000, compound));
            }
        }
        while self.told.front().is_some_and(|(at_us, _)| *at_us <= now_us)
            && let Some((_, compound)) = self.told.pop_front()
        {
            read(&compound, |message| {
                if let Message::Arrivals(arrivals) = message {
                    self.congestion.handle_arrivals(&arrivals, now_us);
                }
            });
        }
        self.congestion.handle_tick(now_us);
        self.seen_us += STEP_US;
        if now_us.is_multiple_of(50_000) {
            self.estimates.push(self.congestion.estimate_bps(now_us).map_or(0.0, float));
        }
    }
}

impl Path {
    pub(crate) fn new(capacity_bps: f64, delay_ms: u64) -> Self {
        Self {
            capacity_bps,
            delay_ms,
            jitter_ms: 0,
            loss: 0.0,
            now_us: 1_000_000,
            free_us: 0.0,
            seed: 0x9E37_79B9_7F4A_7C15,
        }
    }

    /// A number between 0 and 1 that looks random and is the same in every run.
    fn chance(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        f64::from(u32::try_from(self.seed >> 33).expect("31 bits")) / f64::from(1_u32 << 31)
    }

    pub(crate) fn run(&mut self, flows: &mut [Flow], seconds: u64) {
        for _ in 0..seconds * 1_000_000 / STEP_US {
            self.now_us += STEP_US;
            for flow in &mut *flows {
                flow.send(self);
                flow.receive(self);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of a test are small")]
fn float(value: impl TryInto<u64>) -> f64 {
    value.try_into().ok().expect("not negative") as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of a test are small and positive"
)]
const fn whole(value: f64) -> u64 {
    value as u64
}
