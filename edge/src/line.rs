//! What the line to the server carries, as an engine: how fast packets go out, which ones have to go
//! out again, and whether all have arrived. It learns that from the server's transport-wide feedback,
//! which tells of every packet whether and when it arrived.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use rtc::interceptor::{Pacer, PacketReport};
use rtc::rtp::Packet;

/// How fast packets may go out beside what the camera makes, in per cent: a key picture is many times
/// as large as others. Raising it fills queues on the way sooner.
const BURST_PERCENT: u64 = 250;
/// How fast they go out at first, likewise.
const FIRST_PERCENT: f64 = 125.0;
/// Bits that may go out at once. Raising it overflows short queues on the way.
const BURST_BITS: f64 = 8.0 * 12_000.0;
/// The largest share of what the line carries that is used for sending packets again.
const AGAIN_SHARE: f64 = 0.5;
/// Bits of packets that may be sent again at once.
const AGAIN_BITS: f64 = 8.0 * 6_000.0;
/// Bits a second that are tried at least.
const SLOWEST: f64 = 150_000.0;
/// Feedback is looked at in windows of at least so long, with so many packets.
const WINDOW: Duration = Duration::from_millis(500);
const WINDOW_PACKETS: usize = 10;
/// The line is full when so many of a hundred packets are lost, or packets wait on the way so much
/// longer than at best, or some of both.
const LOST_PERCENT: usize = 10;
const WAITS: Duration = Duration::from_millis(250);
const LOST_PERCENT_WAITING: usize = 2;
const WAITS_LOSING: Duration = Duration::from_millis(60);
/// What is tried on a line that was full, as a part of what came; and how much more after each
/// window in which it was not.
const BACK_OFF: f64 = 0.9;
/// What is tried then as a part of what was tried, when much less was sent: what came says little.
const BACK_OFF_BLIND: f64 = 0.85;
/// What must have been sent as a part of what is tried, to tell what the line carries.
const TELLING: f64 = 0.7;
const GROWTH: f64 = 1.05;
/// How long the shortest way is remembered, as clocks drift: this long to twice of it.
const BEST_FOR: Duration = Duration::from_mins(1);
/// Round trips without feedback about a packet after which it goes out again; and the least of it.
const SILENT_TRIPS: u32 = 3;
const SILENT_MIN: Duration = Duration::from_millis(300);
/// A round trip until one is known.
const TRIP_FIRST: Duration = Duration::from_millis(200);

type Key = (u32, u16);

/// A packet that is not known to have arrived.
#[derive(Debug)]
struct Flying {
    packet: Packet,
    first: Instant,
    last: Instant,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Next {
    /// The packet that was asked about goes out.
    Go,
    /// This one goes out again.
    Again(Packet),
    /// Nothing, until then or until there is feedback.
    Wait(Instant),
    /// Everything has arrived.
    Arrived,
}

/// Feedback of a while.
#[derive(Debug)]
struct Window {
    began: Instant,
    sent_bits: f64,
    arrived_bits: f64,
    lost: usize,
    packets: usize,
    trip: Duration,
    /// The shortest time on the way, by two clocks that began at different times, in microseconds.
    way_us: Option<i64>,
    /// When the first and the last of them arrived, by the server's clock.
    arrivals: Option<(Duration, Duration)>,
}

/// The line.
#[derive(Debug)]
pub(crate) struct Line {
    fastest: f64,
    pace: Pacer,
    again: Pacer,
    flying: BTreeMap<Key, Flying>,
    lost: VecDeque<Key>,
    window: Option<Window>,
    /// The last round trip.
    trip: Duration,
    /// When the line began, and the shortest ways of this while and the one before it.
    began: Instant,
    best_since: Instant,
    best_us: [Option<i64>; 2],
    /// When something was heard or sent again because nothing was.
    heard: Instant,
    /// When the last packet left that was told of.
    told: Option<Instant>,
    /// The longest time from the first sending of a packet to its arrival, since that was asked.
    longest: Duration,
    /// What came over the line when it was full last, in bits a second.
    carries: Option<f64>,
}

impl Line {
    /// Over which so much is to go, in bits a second.
    pub(crate) fn new(now: Instant, wanted: u64) -> Self {
        let fastest = as_rate(wanted) * as_rate(BURST_PERCENT) / 100.0;
        let mut line = Self {
            fastest,
            pace: Pacer::new(fastest).with_burst_bits(BURST_BITS),
            again: Pacer::new(fastest * AGAIN_SHARE).with_burst_bits(AGAIN_BITS),
            flying: BTreeMap::new(),
            lost: VecDeque::new(),
            window: None,
            trip: TRIP_FIRST,
            began: now,
            best_since: now,
            best_us: [None; 2],
            heard: now,
            told: None,
            longest: Duration::ZERO,
            carries: None,
        };
        line.set_pace(as_rate(wanted) * FIRST_PERCENT / 100.0);
        line.refill(now);
        line
    }

    /// What came over the line when it was full, in bits a second; nothing when it was not.
    pub(crate) const fn carries(&self) -> Option<f64> {
        self.carries
    }

    /// What goes out next: `own` when it may, or packets that were lost before.
    pub(crate) fn next(&mut self, own: Option<&Packet>, now: Instant) -> Next {
        self.refill(now);
        let mut wait = now + SILENT_MIN;
        while let Some(key) = self.lost.front() {
            let Some(flying) = self.flying.get_mut(key) else {
                self.lost.pop_front();
                continue;
            };
            let bits = bits_of(&flying.packet);
            if self.pace.can_release(bits) && self.again.can_release(bits) {
                self.pace.consume(bits);
                self.again.consume(bits);
                flying.last = now;
                self.lost.pop_front();
                return Next::Again(flying.packet.clone());
            }
            let both = [self.pace.releasable_at(bits), self.again.releasable_at(bits)];
            wait = both.into_iter().flatten().max().unwrap_or(wait);
            break;
        }
        if let Some(packet) = own {
            let bits = bits_of(packet);
            if self.pace.can_release(bits) {
                self.pace.consume(bits);
                let key = (packet.header.ssrc, packet.header.sequence_number);
                let flying = Flying { packet: packet.clone(), first: now, last: now };
                self.flying.insert(key, flying);
                return Next::Go;
            }
            return Next::Wait(self.pace.releasable_at(bits).unwrap_or(wait).max(now));
        }
        if self.flying.is_empty() {
            return Next::Arrived;
        }
        if self.lost.is_empty() {
            wait = self.handle_silence(now);
        }
        Next::Wait(wait.max(now))
    }

    /// Nothing tells of the last packets when all of them are lost: the oldest goes out again. When
    /// that is looked at next.
    fn handle_silence(&mut self, now: Instant) -> Instant {
        let patience = (self.trip * SILENT_TRIPS).max(SILENT_MIN);
        let sent = self.flying.values().map(|it| it.last).min().unwrap_or(now);
        if sent + patience > now {
            return sent + patience;
        }
        // Something later was told of: these never will be.
        let untold = self.flying.iter().filter(|(_, it)| {
            it.last + patience <= now && self.told.is_some_and(|told| it.last < told)
        });
        self.lost.extend(untold.map(|(key, _)| *key));
        if self.lost.is_empty() {
            if self.heard + patience > now {
                return self.heard + patience;
            }
            self.heard = now;
            let oldest = self.flying.iter().min_by_key(|(_, it)| it.last).map(|(key, _)| *key);
            self.lost.extend(oldest);
        }
        now
    }

    /// The server's feedback: what became of packets, in the order in which they were sent.
    pub(crate) fn handle_reports(&mut self, reports: &[PacketReport], now: Instant) {
        for report in reports {
            self.heard = self.heard.max(now);
            self.told = self.told.max(Some(report.departure));
            let key = (report.ssrc, report.rtp_sequence_number);
            if report.arrived {
                if let Some(flying) = self.flying.remove(&key) {
                    self.longest = self.longest.max(now.saturating_duration_since(flying.first));
                }
            } else if self.flying.contains_key(&key) && !self.lost.contains(&key) {
                self.lost.push_back(key);
            }
            self.count(report, now);
        }
    }

    fn count(&mut self, report: &PacketReport, now: Instant) {
        let trip = now.saturating_duration_since(report.departure);
        let began = report.departure;
        let window = self.window.get_or_insert(Window {
            began,
            sent_bits: 0.0,
            arrived_bits: 0.0,
            lost: 0,
            packets: 0,
            trip: Duration::MAX,
            way_us: None,
            arrivals: None,
        });
        let bits = 8.0 * as_rate(report.size as u64);
        window.packets += 1;
        window.sent_bits += bits;
        if report.arrived {
            window.arrived_bits += bits;
            window.trip = window.trip.min(trip);
            if let Some(at) = report.arrival {
                let (first, last) = window.arrivals.unwrap_or((at, at));
                window.arrivals = Some((first.min(at), last.max(at)));
                let left = report.departure.saturating_duration_since(self.began);
                let way_us = micros(at) - micros(left);
                window.way_us = Some(window.way_us.map_or(way_us, |before| before.min(way_us)));
            }
        } else {
            window.lost += 1;
        }
        let lasted = report.departure.saturating_duration_since(window.began);
        if lasted >= WINDOW && window.packets >= WINDOW_PACKETS {
            self.judge(lasted, now);
        }
    }

    fn judge(&mut self, lasted: Duration, now: Instant) {
        let Some(window) = self.window.take() else { return };
        if window.trip < Duration::MAX {
            self.trip = window.trip;
        }
        let waits = window.way_us.map_or(Duration::ZERO, |way_us| self.waits(way_us, now));
        let loses = |percent| window.lost * 100 > window.packets * percent;
        let is_full = loses(LOST_PERCENT)
            || waits > WAITS
            || (loses(LOST_PERCENT_WAITING) && waits > WAITS_LOSING);
        if is_full {
            // What waits on the way comes over a longer time than it was sent.
            let (first, last) = window.arrivals.unwrap_or_default();
            let came = window.arrived_bits / lasted.max(last.saturating_sub(first)).as_secs_f64();
            let pace = self.pace.target_bitrate();
            if window.sent_bits / lasted.as_secs_f64() >= pace * TELLING {
                self.carries = Some(came);
                self.set_pace(came * BACK_OFF);
            } else {
                self.set_pace(pace * BACK_OFF_BLIND);
            }
        } else {
            let pace = self.pace.target_bitrate() * GROWTH;
            if pace >= self.fastest {
                self.carries = None;
            }
            self.set_pace(pace);
        }
    }

    /// How much longer than at best packets are on the way now. Round trips do not tell it, as the
    /// server's feedback comes less often when little is sent.
    fn waits(&mut self, way_us: i64, now: Instant) -> Duration {
        if now.saturating_duration_since(self.best_since) > BEST_FOR {
            self.best_since = now;
            self.best_us = [None, self.best_us[0]];
        }
        let best = self.best_us[0].map_or(way_us, |best| best.min(way_us));
        self.best_us[0] = Some(best);
        let best = self.best_us[1].map_or(best, |before| best.min(before));
        Duration::from_micros(u64::try_from(way_us - best).unwrap_or(0))
    }

    /// The longest time that a packet needed to arrive since this was asked before.
    pub(crate) fn take_longest(&mut self) -> Duration {
        std::mem::take(&mut self.longest)
    }

    fn set_pace(&mut self, bits: f64) {
        let bits = bits.min(self.fastest).max(SLOWEST);
        self.pace.set_target_bitrate(bits);
        self.again.set_target_bitrate(bits * AGAIN_SHARE);
    }

    fn refill(&mut self, now: Instant) {
        self.pace.refill(now);
        self.again.refill(now);
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "rates and sizes have fewer than 53 bits")]
const fn as_rate(number: u64) -> f64 {
    number as f64
}

/// Bits of a packet with the heads below it.
fn bits_of(packet: &Packet) -> f64 {
    /// Bytes of the heads of IP, UDP, SRTP and RTP with its extension.
    const HEADS: usize = 20 + 8 + 16 + 24;
    8.0 * as_rate((packet.payload.len() + HEADS) as u64)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn;
    use rtc::rtp::Header;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const PACKET_BYTES: usize = 1_188;

    /// A line of so many bytes a second, whose queue drops what does not fit, and a server that tells
    /// every 100 ms what has arrived.
    struct Way {
        bytes_per_s: f64,
        queue: f64,
        waiting: f64,
        at: Instant,
        /// What was sent: the number, when it left, when it arrives.
        sent: Vec<(u16, Instant, Option<Instant>)>,
        told: usize,
    }

    impl Way {
        fn new(kbps: f64, queue: f64, now: Instant) -> Self {
            let bytes_per_s = kbps * 125.0;
            Self { bytes_per_s, queue, waiting: 0.0, at: now, sent: Vec::new(), told: 0 }
        }

        fn send(&mut self, packet: &Packet, now: Instant) {
            let passed = now.saturating_duration_since(self.at).as_secs_f64();
            self.waiting = (self.waiting - passed * self.bytes_per_s).max(0.0);
            self.at = now;
            let bytes = bits_of(packet) / 8.0;
            let fits = self.waiting + bytes <= self.queue;
            if fits {
                self.waiting += bytes;
            }
            let arrives = now + 20 * MS + Duration::from_secs_f64(self.waiting / self.bytes_per_s);
            let arrives = fits.then_some(arrives);
            self.sent.push((packet.header.sequence_number, now, arrives));
        }

        fn told(&mut self, began: Instant, now: Instant) -> Vec<PacketReport> {
            let here = |it: &(u16, Instant, Option<Instant>)| it.2.is_some_and(|at| at <= now);
            let Some(last) = self.sent.iter().rposition(here).filter(|it| *it >= self.told) else {
                return Vec::new();
            };
            let news = self.sent.iter().enumerate().take(last + 1).skip(self.told);
            let news = news.map(|(id, (number, left, arrives))| PacketReport {
                ssrc: 1,
                id: id as u64,
                rtp_sequence_number: *number,
                is_twcc: true,
                twcc_sequence_number: *number,
                size: PACKET_BYTES,
                arrived: arrives.is_some(),
                departure: *left,
                arrival: arrives.map(|at| at.saturating_duration_since(began)),
                ecn: Ecn::NotEct,
            });
            let news = news.collect();
            self.told = last + 1;
            news
        }
    }

    /// What became of a film.
    struct Sent {
        way: Way,
        began: Instant,
        /// When each group was made, and when all of it had arrived.
        groups: Vec<(Duration, Duration)>,
    }

    impl Sent {
        /// The most packets that went out in a second, and how many of them again.
        fn most(&self) -> (usize, usize) {
            let mut seen = std::collections::BTreeSet::new();
            let mut seconds: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
            for (number, left, _) in &self.way.sent {
                let second = left.saturating_duration_since(self.began).as_secs();
                let (all, again) = seconds.entry(second).or_default();
                *all += 1;
                *again += usize::from(!seen.insert(*number));
            }
            let most =
                |of: fn(&(usize, usize)) -> usize| seconds.values().map(of).max().unwrap_or(0);
            (most(|it| it.0), most(|it| it.1))
        }
    }

    /// Sends groups of two seconds of pictures of so many kilobits a second over a line.
    fn film(made_kbps: usize, mut way: Way, groups: usize) -> Sent {
        let began = way.at;
        let mut line = Line::new(began, made_kbps as u64 * 1_000);
        let of_group = made_kbps * 250 / PACKET_BYTES;
        // A key picture is ten times as large as the fifty others.
        let key = of_group / 6;
        let (mut now, mut number, mut told_at) = (began, 0_u16, began);
        let mut arrived = Vec::new();
        for group in 0..groups {
            let made = began + 2_000 * MS * u32::try_from(group).expect("few");
            let mut own = 0_usize;
            loop {
                if now >= told_at {
                    told_at = now + 100 * MS;
                    line.handle_reports(&way.told(began, now), now);
                }
                let later = own.saturating_sub(key) * 2_000 / (of_group - key);
                let is_there = made + MS * u32::try_from(later).expect("short") <= now;
                let header = Header { ssrc: 1, sequence_number: number, ..Header::default() };
                let packet = Packet { header, payload: Bytes::from(vec![0; PACKET_BYTES]) };
                let next = match (own < of_group, is_there) {
                    (true, false) => Next::Wait(now + MS),
                    (true, true) => line.next(Some(&packet), now),
                    (false, _) => line.next(None, now),
                };
                match next {
                    Next::Go => {
                        way.send(&packet, now);
                        (number, own) = (number.wrapping_add(1), own + 1);
                    }
                    Next::Again(packet) => way.send(&packet, now),
                    Next::Wait(_) => now += MS,
                    Next::Arrived => break,
                }
                assert!(now < began + Duration::from_mins(10), "it stands still");
            }
            arrived.push((made - began, now - began));
        }
        Sent { way, began, groups: arrived }
    }

    fn began() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn over_a_free_line_each_group_arrives_at_once_and_nothing_goes_out_again() {
        let sent = film(2_000, Way::new(100_000.0, 1e6, began()), 30);
        let (most, again) = sent.most();
        assert!(again == 0 && most < 600, "{most} packets, {again} again");
        for (made, arrived) in &sent.groups {
            assert!(*arrived < *made + 2_500 * MS, "{made:?} {arrived:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_slow_is_not_flooded_and_nothing_is_lost() {
        for (kbps, queue) in
            [(1_600.0, 40_000.0), (900.0, 40_000.0), (900.0, 1e6), (400.0, 10_000.0)]
        {
            let sent = film(2_000, Way::new(kbps, queue, began()), 20);
            // What goes out once the line is known, beside what it carries.
            let known = |it: &&(u16, Instant, Option<Instant>)| it.1 >= sent.began + 5_000 * MS;
            let after: Vec<_> = sent.way.sent.iter().filter(known).collect();
            let lasted = (sent.way.at - sent.began).as_secs_f64() - 5.0;
            let out = as_rate((after.len() * PACKET_BYTES) as u64) / 125.0 / lasted;
            assert!(out < kbps * 1.15, "{out} kbit/s are sent over {kbps}");
            let came = sent.way.sent.iter().filter(|it| it.2.is_some());
            let came: std::collections::BTreeSet<u16> = came.map(|it| it.0).collect();
            assert_eq!(came.len(), 20 * (2_000 * 250 / PACKET_BYTES), "of {kbps}");
            // It takes little longer than the line needs for it.
            let needed = 40.0 * 2_000.0 / kbps;
            let took = sent.groups.last().expect("groups").1.as_secs_f64();
            assert!(took < needed * 1.35, "{took} s over {kbps}, of which {needed} are needed");
        }
    }

    #[test]
    fn what_goes_out_again_is_bounded_and_never_twice_within_a_round_trip() {
        let sent = film(2_000, Way::new(1_600.0, 40_000.0, began()), 20);
        let (most, again) = sent.most();
        // Two and a half megabits a second until the line is known, of which half.
        assert!(
            most < 560 && again * 8 * PACKET_BYTES < 1_350_000,
            "{most} packets, {again} again"
        );
        let mut last: BTreeMap<u16, Instant> = BTreeMap::new();
        for (number, left, _) in &sent.way.sent {
            if let Some(before) = last.insert(*number, *left) {
                let trip = left.saturating_duration_since(before);
                assert!(trip >= 40 * MS, "{number} after {trip:?}");
            }
        }
    }

    #[test]
    fn half_of_what_the_line_carries_is_used_for_what_is_lost() {
        let began = began();
        // Half a megabit a second may go out.
        let mut line = Line::new(began, 400_000);
        let mut now = began;
        let mut reports = Vec::new();
        for number in 0..60 {
            let header = Header { ssrc: 1, sequence_number: number, ..Header::default() };
            let packet = Packet { header, payload: Bytes::from(vec![0; PACKET_BYTES]) };
            while !matches!(line.next(Some(&packet), now), Next::Go) {
                now += MS;
            }
            reports.push(PacketReport {
                ssrc: 1,
                id: u64::from(number),
                rtp_sequence_number: number,
                is_twcc: true,
                twcc_sequence_number: number,
                size: PACKET_BYTES,
                arrived: false,
                departure: began,
                arrival: None,
                ecn: Ecn::NotEct,
            });
        }
        line.handle_reports(&reports, now);
        let mut again = 0;
        for _ in 0..1_000 {
            again += usize::from(matches!(line.next(None, now), Next::Again(_)));
            now += MS;
        }
        assert!((20..=31).contains(&again), "{again} of 60");
    }

    #[test]
    fn feedback_that_comes_seldom_is_no_wait_on_the_way() {
        let began = began();
        let mut line = Line::new(began, 1_000_000);
        let first = line.pace.target_bitrate();
        for second in 0..20_u64 {
            // At first it is told at once, and later every second.
            let told = if second < 5 { 620 } else { 1_500 };
            let reports: Vec<PacketReport> = (0..12)
                .map(|number| {
                    let left = second * 1_000 + number * 50;
                    PacketReport {
                        ssrc: 1,
                        id: second * 12 + number,
                        rtp_sequence_number: 0,
                        is_twcc: true,
                        twcc_sequence_number: 0,
                        size: PACKET_BYTES,
                        arrived: true,
                        departure: began + Duration::from_millis(left),
                        arrival: Some(Duration::from_millis(left + 7_020)),
                        ecn: Ecn::NotEct,
                    }
                })
                .collect();
            line.handle_reports(&reports, began + Duration::from_millis(second * 1_000 + told));
        }
        assert!(line.carries().is_none() && line.pace.target_bitrate() > first * 1.5);
    }

    #[test]
    fn losses_while_little_is_sent_do_not_stop_the_line() {
        let began = began();
        let mut line = Line::new(began, 1_000_000);
        // Of twelve packets in a second two are lost, ten times.
        for second in 0..10_u64 {
            let reports: Vec<PacketReport> = (0..12)
                .map(|number| PacketReport {
                    ssrc: 1,
                    id: second * 12 + number,
                    rtp_sequence_number: 0,
                    is_twcc: true,
                    twcc_sequence_number: 0,
                    size: PACKET_BYTES,
                    arrived: number % 6 != 0,
                    departure: began + Duration::from_millis(second * 1_000 + number * 80),
                    arrival: None,
                    ecn: Ecn::NotEct,
                })
                .collect();
            line.handle_reports(&reports, began + Duration::from_millis(second * 1_000 + 950));
        }
        let pace = line.pace.target_bitrate();
        assert!((200_000.0..1_250_000.0).contains(&pace), "{pace}");
    }

    #[test]
    fn packets_that_are_never_told_of_go_out_again_together() {
        let now = began();
        let mut line = Line::new(now, 8_000_000);
        for number in 0..7 {
            let header = Header { ssrc: 1, sequence_number: number, ..Header::default() };
            let packet = Packet { header, payload: Bytes::from(vec![0; PACKET_BYTES]) };
            let at = now + MS * u32::from(number);
            assert!(matches!(line.next(Some(&packet), at), Next::Go));
        }
        let last = PacketReport {
            ssrc: 1,
            id: 6,
            rtp_sequence_number: 6,
            is_twcc: true,
            twcc_sequence_number: 6,
            size: PACKET_BYTES,
            arrived: true,
            departure: now + 6 * MS,
            arrival: None,
            ecn: Ecn::NotEct,
        };
        line.handle_reports(&[last], now + 50 * MS);
        let mut again = 0;
        for ms in 50..900 {
            again += usize::from(matches!(line.next(None, now + MS * ms), Next::Again(_)));
        }
        assert_eq!(again, 6, "each of them once");
    }

    #[test]
    fn packets_of_which_all_that_follow_are_lost_go_out_again() {
        let now = began();
        let mut line = Line::new(now, 1_000_000);
        let packet = Packet {
            header: Header { ssrc: 1, ..Header::default() },
            payload: Bytes::from_static(b"p"),
        };
        assert!(matches!(line.next(Some(&packet), now), Next::Go));
        let Next::Wait(until) = line.next(None, now) else { panic!("it has not arrived") };
        assert!(until >= now + SILENT_MIN);
        let again = std::iter::repeat_with(|| line.next(None, until)).take(2);
        assert!(again.into_iter().any(|it| matches!(it, Next::Again(_))));
    }
}
