//! Regular reports: feedback on arrivals and losses to publishers, sender reports to subscribers,
//! events to the control half.

use crate::domain::id::SessionId;
use crate::domain::media::MediaKind;
use crate::sfu::plane::{Gate, MediaEvent};
use crate::sfu::rtcp::{self, REPORT_BLOCKS_MAX, SenderReport};

use super::{Forwarder, TICK_US, allocation, flow, loudness};

/// Time between two feedbacks on arrivals; the interval that Chromium's bandwidth
/// estimator expects.
const ARRIVALS_INTERVAL_US: u64 = 60_000;
/// Time between two receiver reports to a publisher, and between two sender reports to a
/// subscriber.
const REPORT_INTERVAL_US: u64 = 1_000_000;

/// When each regular task is due, in microseconds of engine time.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    tick: Option<u64>,
    arrivals: u64,
    reports: u64,
    levels: u64,
    flows: u64,
    allocations: u64,
    /// Number of ticks so far.
    pub(super) count: u64,
}

impl Schedule {
    pub(super) const fn due_us(&self) -> Option<u64> {
        self.tick
    }

    /// Starts the ticks, or stops them when `busy` is false.
    pub(super) fn start(&mut self, now_us: u64, busy: bool) {
        match self.tick {
            _ if !busy => self.tick = None,
            Some(due_us) if due_us > now_us => {}
            _ => self.tick = Some(now_us + TICK_US),
        }
    }
}

/// Whether an interval has passed; if so, starts the next one.
fn passed(due_us: &mut u64, now_us: u64, interval_us: u64) -> bool {
    let passed = *due_us <= now_us;
    if passed {
        *due_us = now_us + interval_us;
    }
    passed
}

impl Forwarder {
    pub(super) fn tick(&mut self, now_us: u64) {
        self.schedule.count += 1;
        let arrivals = passed(&mut self.schedule.arrivals, now_us, ARRIVALS_INTERVAL_US);
        let reports = passed(&mut self.schedule.reports, now_us, REPORT_INTERVAL_US);
        if passed(&mut self.schedule.levels, now_us, loudness::INTERVAL_US) {
            self.look_at_levels(now_us);
        }
        if passed(&mut self.schedule.flows, now_us, flow::INTERVAL_US) {
            self.measure_flows();
        }
        for at in 0..self.publications.reach() {
            self.look_after_publication(at, now_us);
            if reports && self.publications.at_mut(at).is_some_and(|it| it.measure_rates(now_us)) {
                self.retarget_all(at, now_us);
            }
        }
        self.flush_taps(now_us);
        if reports {
            self.measure_incoming(now_us);
            self.tell_heard(now_us);
        }
        for slot in 0..self.transports.reach() {
            self.look_after_path(slot, now_us);
            if arrivals {
                self.send_arrivals(slot);
            }
            if reports {
                self.send_receiver_report(slot, now_us);
                self.send_sender_reports(slot, now_us);
            }
        }
        if reports {
            self.tell_conditions(now_us);
        }
        if passed(&mut self.schedule.allocations, now_us, allocation::INTERVAL_US) {
            self.allocate(now_us);
            self.look_for_unseen(now_us);
        }
        self.send_probes(now_us);
    }

    fn measure_flows(&mut self) {
        for at in 0..self.publications.reach() {
            let Some(publication) = self.publications.at_mut(at) else { continue };
            publication.encodings.iter_mut().for_each(|encoding| encoding.flow.measure());
        }
    }

    fn look_after_publication(&mut self, at: usize, now_us: u64) {
        let Some(publication) = self.publications.at_mut(at) else { return };
        if !publication.is_complete() {
            return;
        }
        let mut changed = false;
        for encoding in &mut publication.encodings {
            changed |= encoding.update_alive(now_us);
        }
        self.request_missing(at, now_us);
        if changed {
            self.retarget_all(at, now_us);
        }
        self.serve_newcomers(at, now_us);
        self.send_key_frame_requests(at, now_us);
    }

    /// Asks a publisher for the packets that are missing. A feed can't be asked; its missing
    /// packets are given up.
    fn request_missing(&mut self, at: usize, now_us: u64) {
        let Self { publications, transports, outbound, totals, scratch, .. } = self;
        let Some(publication) = publications.at_mut(at) else { return };
        if !publication.repairable {
            return;
        }
        let slot = publication.transport;
        let mut transport = slot.and_then(|slot| transports.at_mut(slot));
        for encoding in &mut publication.encodings {
            if !encoding.has_requests() {
                continue;
            }
            scratch.sequences.clear();
            encoding.take_requests(now_us, &mut scratch.sequences);
            // Receivers send key-frame requests themselves; taps do not.
            if std::mem::take(&mut encoding.given_up)
                && !publication.taps.is_empty()
                && publication.kind == MediaKind::Video
            {
                encoding.key_frames.want();
            }
            if let Some(transport) = &mut transport
                && let (Some(ssrc), false) = (encoding.ssrc, scratch.sequences.is_empty())
            {
                scratch.compound.clear();
                let lost = scratch.sequences.iter().copied();
                rtcp::write_nack(&mut scratch.compound, ssrc, lost);
                transport.send_rtcp(&scratch.compound);
                let requested = scratch.sequences.len() as u64;
                publication.stats.nacks_sent += requested;
                totals.nacks_sent += requested;
            }
        }
        if let (Some(slot), Some(transport)) = (slot, transport) {
            outbound.queue(slot, transport);
        }
    }

    /// Tells the control half which peers sent media, since it sees only their connectivity checks,
    /// and begins to search for those that have fallen silent.
    fn tell_heard(&mut self, now_us: u64) {
        let (mut heard, mut silent) = (Vec::new(), Vec::new());
        for slot in 0..self.transports.reach() {
            let Some(transport) = self.transports.at_mut(slot) else { continue };
            if std::mem::take(&mut transport.heard) {
                transport.heard_us = now_us;
                heard.push(transport.id);
                self.end_search(slot);
            } else {
                silent.extend(self.search_if_silent(slot, now_us));
            }
        }
        if !heard.is_empty() {
            self.tell(MediaEvent::Heard { transports: heard });
        }
        if !silent.is_empty() {
            self.tell(MediaEvent::Silent { transports: silent });
        }
    }

    fn send_arrivals(&mut self, slot: usize) {
        let Self { publications, transports, outbound, scratch, .. } = self;
        let Some(transport) = transports.at_mut(slot) else { return };
        let ssrc = transport
            .publications
            .iter()
            .filter_map(|&at| publications.at(at))
            .flat_map(|publication| &publication.encodings)
            .find_map(|encoding| encoding.ssrc);
        scratch.compound.clear();
        transport.arrivals.write_feedback(&mut scratch.compound, ssrc.unwrap_or(0));
        if !scratch.compound.is_empty() {
            transport.send_rtcp(&scratch.compound);
            outbound.queue(slot, transport);
        }
    }

    fn send_receiver_report(&mut self, slot: usize, now_us: u64) {
        let Self { publications, transports, outbound, scratch, .. } = self;
        let Some(transport) = transports.at_mut(slot) else { return };
        if !transport.publishes() {
            return;
        }
        let mut blocks = Vec::new();
        for &at in &transport.publications {
            let Some(publication) = publications.at_mut(at) else { continue };
            let encodings = publication.encodings.iter_mut();
            blocks.extend(encodings.filter_map(|encoding| encoding.report_block(now_us)));
        }
        for blocks in blocks.chunks(REPORT_BLOCKS_MAX) {
            scratch.compound.clear();
            rtcp::write_receiver_report(&mut scratch.compound, blocks);
            transport.send_rtcp(&scratch.compound);
        }
        outbound.queue(slot, transport);
    }

    /// Tells each receiver how the timestamps of its streams relate to the publisher's wall clock,
    /// so that it can synchronise audio and video.
    fn send_sender_reports(&mut self, slot: usize, now_us: u64) {
        let Self { publications, subscriptions, transports, outbound, scratch, .. } = self;
        let Some(transport) = transports.at_mut(slot) else { return };
        for position in 0..transport.subscriptions.len() {
            let at = transport.subscriptions[position];
            let Some(subscription) = subscriptions.at_mut(at) else { continue };
            let Some(segment) = subscription.segment else { continue };
            let Some(publication) = publications.at(segment.publication) else { continue };
            let encoding = publication.encodings.get(usize::from(segment.encoding));
            let Some(report) = encoding.and_then(|encoding| encoding.report) else { continue };
            let (ntp, timestamp) = report.at(now_us, publication.clock_rate_hz());
            let timestamp = subscription.outgoing_timestamp(segment.generation, timestamp);
            let Some(timestamp) = timestamp else { continue };
            let wrapping = |count: u64| {
                let [.., a, b, c, d] = count.to_be_bytes();
                u32::from_be_bytes([a, b, c, d])
            };
            subscription.reports.note_sent(ntp, now_us);
            let report = SenderReport {
                ssrc: subscription.ssrc,
                ntp,
                timestamp,
                packets: wrapping(subscription.stats.packets_out),
                payload_bytes: wrapping(subscription.stats.payload_bytes_out),
            };
            scratch.compound.clear();
            rtcp::write_sender_report(&mut scratch.compound, &report);
            transport.send_rtcp(&scratch.compound);
        }
        outbound.queue(slot, transport);
    }

    fn look_at_levels(&mut self, now_us: u64) {
        let ids: Vec<SessionId> = self.rooms.keys().copied().collect();
        for id in ids {
            let Some(mut room) = self.rooms.remove(&id) else { continue };
            let mut tracks = std::mem::take(&mut room.tracks);
            tracks.sort_unstable();
            let mut heard = Vec::new();
            for &at in &tracks {
                if let Some(publication) = self.publications.at_mut(at)
                    && publication.gate == Gate::Open
                {
                    heard.push((publication.track, publication.level));
                }
            }
            let told = room.look(heard.iter_mut().map(|(track, meter)| (*track, meter)), now_us);
            for (track, meter) in heard {
                let at = self.publication_slots.get(&track).copied();
                if let Some(publication) = at.and_then(|at| self.publications.at_mut(at)) {
                    publication.level = meter;
                }
            }
            room.tracks = tracks;
            if !room.is_quiet() {
                self.rooms.insert(id, room);
            }
            if let Some(speakers) = told {
                self.tell(MediaEvent::ActiveSpeakers { room: id, speakers });
            }
        }
    }
}
