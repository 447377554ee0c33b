//! What is measured of the path of each transport, told to the control half once a second: what is
//! missing of what the peer sends, what is lost of what is sent to it, delay, jitter, and whether its
//! path carries all pictures.

use crate::domain::media::MediaKind;
use crate::sfu::plane::{Gate, MediaEvent, PathConditions, Shortage, Tally};
use crate::sfu::rtcp::ReportBlock;

use super::Forwarder;
use super::publication::Publication;
use super::slots::Slots;
use super::subscription::Subscription;
use super::transport::Transport;

/// Sender reports that are remembered to measure the delay by the reports that name them. They go out
/// once a second, so a longer delay than this many seconds is not measured.
const SENT_REPORTS: usize = 4;
/// Packets by which a report may be ahead of the one before. More is no report of this stream.
const REPORT_AHEAD_MAX: u32 = 1 << 16;

/// What was told of a transport since the last measurement.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// What reports said of what is sent to it.
    reported: Tally,
    round_trip_us: Option<u64>,
    jitter_ms: Option<u32>,
    /// Packets told to have arrived, and to be lost, at the last measurement.
    counted: [u64; 2],
}

/// What the receiver of a stream was told, and has reported.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reports {
    /// Middle bits of the NTP time of the latest sender reports, and when they were sent.
    sent: [(u32, u64); SENT_REPORTS],
    before: Option<Reported>,
}

#[derive(Debug, Clone, Copy)]
struct Reported {
    highest: u32,
    lost: u32,
    /// Numbers under which nothing had been sent.
    unsent: u64,
}

impl Reports {
    /// A sender report with this NTP time is sent.
    pub(super) fn note_sent(&mut self, ntp: u64, now_us: u64) {
        self.sent.rotate_right(1);
        self.sent[0] = (middle_bits(ntp), now_us);
    }

    /// How long the sender report that a block names, and the block, took together.
    fn round_trip_us(&self, block: &ReportBlock, now_us: u64) -> Option<u64> {
        let named = self.sent.iter().filter(|(_, sent_us)| *sent_us > 0);
        let (_, sent_us) = named.into_iter().find(|(ntp, _)| *ntp == block.last_report)?;
        let held_us = (u64::from(block.since_last_report) * 1_000_000) >> 16;
        Some(now_us.saturating_sub(*sent_us).saturating_sub(held_us))
    }

    /// What was to arrive since the block before, and what did. Numbers under which nothing was sent,
    /// because it did not come from the publisher, are no loss of this path.
    fn tally(&mut self, block: &ReportBlock, unsent: u64) -> Tally {
        let now = Reported { highest: block.highest_sequence, lost: block.lost_total, unsent };
        let Some(before) = self.before.replace(now) else { return Tally::default() };
        let numbers = now.highest.wrapping_sub(before.highest);
        if numbers > REPORT_AHEAD_MAX {
            return Tally::default();
        }
        // The count has 24 bits and may fall, when packets arrive twice.
        let lost = (now.lost.wrapping_sub(before.lost) << 8).cast_signed() >> 8;
        let lost = u32::try_from(lost).unwrap_or(0).min(numbers);
        let unsent = u32::try_from(now.unsent.saturating_sub(before.unsent)).unwrap_or(u32::MAX);
        Tally { expected: numbers.saturating_sub(unsent), arrived: numbers - lost }
    }
}

/// The part of an NTP time that reports repeat (RFC 3550 §6.4.1).
fn middle_bits(ntp: u64) -> u32 {
    let [_, _, a, b, c, d, ..] = ntp.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

impl Forwarder {
    /// Takes what a receiver reports of a stream that it gets.
    pub(super) fn handle_report(&mut self, slot: usize, block: &ReportBlock, now_us: u64) {
        let Some(at) = self.subscription_of(slot, block.ssrc) else { return };
        self.handle_loss(slot, block.fraction_lost, now_us);
        let Self { publications, subscriptions, transports, .. } = self;
        let Some(subscription) = subscriptions.at_mut(at) else { return };
        let Some(transport) = transports.at_mut(slot) else { return };
        let told = &mut transport.told;
        let unsent = subscription.numbers_unsent();
        told.reported.add(subscription.reports.tally(block, unsent));
        let trip_us = subscription.reports.round_trip_us(block, now_us);
        told.round_trip_us = least(told.round_trip_us, trip_us);
        if subscription.kind == MediaKind::Audio {
            told.jitter_ms = least(told.jitter_ms, added_jitter(subscription, publications, block));
        }
    }

    /// Reports what was measured of each transport since the last time.
    pub(super) fn tell_conditions(&mut self, now_us: u64) {
        let mut told = Vec::new();
        let Self { publications, subscriptions, transports, .. } = self;
        for slot in 0..transports.reach() {
            let Some(transport) = transports.at_mut(slot) else { continue };
            let mut conditions = transport.take_told();
            for &at in &transport.publications {
                let Some(publication) = publications.at_mut(at) else { continue };
                publication.add_to(&mut conditions);
            }
            if let Some(path) = &transport.path
                && path.congestion.was_limited()
            {
                let bps = path.congestion.estimate_bps(now_us);
                conditions.estimate_kbps =
                    bps.map(|bps| u32::try_from(bps / 1_000).unwrap_or(u32::MAX));
                let streams = transport.subscriptions.iter().filter_map(|&at| subscriptions.at(at));
                let shortages = streams.map(|stream| shortage(stream, publications));
                conditions.shortage = shortages.max().unwrap_or_default();
            }
            told.push((transport.id, conditions));
        }
        if !told.is_empty() {
            self.tell(MediaEvent::Conditions { transports: told });
        }
    }
}

fn least<T: Ord>(known: Option<T>, new: Option<T>) -> Option<T> {
    known.into_iter().chain(new).min()
}

/// By how much more the sound varies at its receiver than when it came here.
fn added_jitter(
    subscription: &Subscription,
    publications: &Slots<Publication>,
    block: &ReportBlock,
) -> Option<u32> {
    let segment = subscription.segment?;
    let publication = publications.at(segment.publication)?;
    let encoding = publication.encodings.get(usize::from(segment.encoding))?;
    let added = block.jitter.saturating_sub(encoding.jitter());
    Some(publication.milliseconds(added))
}

/// What a stream lacks that its receiver asks for and that is there.
fn shortage(subscription: &Subscription, publications: &Slots<Publication>) -> Shortage {
    let source = subscription.source.and_then(|at| publications.at(at));
    let Some(source) = source.filter(|it| it.gate == Gate::Open) else { return Shortage::Nothing };
    if subscription.kind != MediaKind::Video || subscription.demand.paused {
        return Shortage::Nothing;
    }
    let best = source.layers_up_to(subscription.demand.layer_max).map(|(layer, _)| layer).last();
    match best {
        Some(_) if subscription.is_left_out => Shortage::Pictures,
        Some(best) if subscription.layer_allowed < best => Shortage::Size,
        _ => Shortage::Nothing,
    }
}

impl Transport {
    /// What was told of this transport since the last time. Where arrivals are told, they count, and
    /// not the reports, which are fewer.
    fn take_told(&mut self) -> PathConditions {
        let Told { reported, round_trip_us, jitter_ms, counted } = std::mem::take(&mut self.told);
        let now = self.path.as_ref().map(|path| path.congestion.counted());
        let now = now.map_or(counted, |it| [it.arrived, it.lost]);
        self.told.counted = now;
        let [arrived, lost] = [0, 1].map(|at| count(now[at].saturating_sub(counted[at])));
        let told = Tally { expected: arrived.saturating_add(lost), arrived };
        PathConditions {
            to_peer: if told.expected > 0 { told } else { reported },
            to_peer_jitter_ms: jitter_ms,
            round_trip_ms: round_trip_us.map(|us| count(us / 1_000)),
            ..PathConditions::default()
        }
    }
}

impl Publication {
    /// Adds what came of it since the last time.
    fn add_to(&mut self, conditions: &mut PathConditions) {
        for encoding in &mut self.encodings {
            let tally = encoding.take_tally();
            match self.kind {
                MediaKind::Audio => conditions.sound_from_peer.add(tally),
                MediaKind::Video => conditions.pictures_from_peer.add(tally),
            }
        }
        let heard = self.encodings.first().filter(|it| self.kind == MediaKind::Audio && it.alive);
        if let Some(encoding) = heard {
            let jitter_ms = self.milliseconds(encoding.jitter());
            let known = conditions.from_peer_jitter_ms.unwrap_or(0);
            conditions.from_peer_jitter_ms = Some(known.max(jitter_ms));
        }
    }

    fn milliseconds(&self, ticks: u32) -> u32 {
        ticks / (self.clock_rate_hz() / 1_000).max(1)
    }
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(highest_sequence: u32, lost_total: u32) -> ReportBlock {
        ReportBlock { lost_total, highest_sequence, ..ReportBlock::default() }
    }

    #[test]
    fn loss_is_what_was_sent_and_did_not_arrive() {
        let mut reports = Reports::default();
        assert_eq!(
            reports.tally(&block(1_000, 7), 3),
            Tally::default(),
            "the first is a beginning"
        );
        let steps = [
            ("all arrive", block(1_100, 7), 3, Tally { expected: 100, arrived: 100 }),
            ("ten are lost", block(1_200, 17), 3, Tally { expected: 100, arrived: 90 }),
            ("ten were never sent", block(1_300, 27), 13, Tally { expected: 90, arrived: 90 }),
            ("some came twice", block(1_400, 25), 13, Tally { expected: 100, arrived: 100 }),
            ("the same again", block(1_400, 25), 13, Tally::default()),
            ("more than there were", block(1_410, 900), 13, Tally { expected: 10, arrived: 0 }),
            ("another stream", block(9_000_000, 0), 13, Tally::default()),
        ];
        for (what, block, unsent, tally) in steps {
            assert_eq!(reports.tally(&block, unsent), tally, "{what}");
        }
    }

    #[test]
    fn a_count_that_goes_round_or_below_zero_is_no_loss() {
        let mut reports = Reports::default();
        reports.tally(&block(u32::MAX - 49, 0xFF_FFFF), 0);
        let arrived = Tally { expected: 100, arrived: 99 };
        assert_eq!(reports.tally(&block(50, 0), 0), arrived, "from minus one to zero");
        let arrived = Tally { expected: 100, arrived: 100 };
        assert_eq!(reports.tally(&block(150, 0xFF_FFFE), 0), arrived);
    }

    #[test]
    fn the_delay_is_that_of_the_report_that_is_named() {
        let mut reports = Reports::default();
        let named = |ntp: u64, held_ms: u32| ReportBlock {
            last_report: middle_bits(ntp),
            since_last_report: held_ms * 65_536 / 1_000,
            ..ReportBlock::default()
        };
        let ntp = |second: u64| second << 32;
        assert_eq!(reports.round_trip_us(&named(0, 0), 9_000_000), None, "none was sent");
        for second in 1..=6 {
            reports.note_sent(ntp(second), second * 1_000_000);
        }
        let trip_ms = |second, held_ms, now_us| {
            reports.round_trip_us(&named(ntp(second), held_ms), now_us).map(|us| us.div_ceil(1_000))
        };
        assert_eq!(trip_ms(6, 0, 6_080_000), Some(80));
        assert_eq!(trip_ms(5, 700, 6_500_000), Some(801), "rounded up");
        assert_eq!(trip_ms(3, 0, 6_500_000), Some(3_500));
        assert_eq!(trip_ms(2, 0, 6_500_000), None, "too long ago");
        assert_eq!(trip_ms(6, 900, 6_080_000), Some(0), "held for longer than there was time");
    }
}
