//! What receivers tell of the packets sent to them, and what follows for how much is sent.

use crate::domain::media::MediaKind;
use crate::sfu::congestion::{Congestion, Limits};
use crate::sfu::rtcp::Arrivals;

use super::Forwarder;
use super::allocation::Allocated;
use super::subscription::Subscription;
use super::transport::Transport;

/// Time over which what is sent to a receiver is measured.
const SENT_OVER_US: u64 = 500_000;
/// Time between two portions of the padding of a probe.
const PORTION_US: u64 = 5_000;

/// What is sent to one receiver, and how much its path carries.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) congestion: Congestion,
    pub(super) allocated: Allocated,
    /// Bits per second sent lately.
    pub(super) sent_bps: u64,
    sent_bytes: u64,
    measured_us: u64,
}

impl Path {
    fn new(limits: Limits, sent_bytes: u64, now_us: u64) -> Self {
        let congestion = Congestion::new(limits, now_us);
        let allocated = Allocated::default();
        Self { congestion, allocated, sent_bps: 0, sent_bytes, measured_us: now_us }
    }

    fn measure(&mut self, sent_bytes: u64, now_us: u64) {
        let elapsed_us = now_us.saturating_sub(self.measured_us);
        if elapsed_us >= SENT_OVER_US {
            let bytes = sent_bytes.saturating_sub(self.sent_bytes);
            self.sent_bps = bytes.saturating_mul(8_000_000) / elapsed_us;
            (self.sent_bytes, self.measured_us) = (sent_bytes, now_us);
        }
    }
}

impl Transport {
    /// Begins to estimate what the path carries. Only done where pictures are sent, since nothing else can
    /// be adapted.
    pub(super) fn begin_estimate(&mut self, kind: MediaKind, limits: Limits, now_us: u64) {
        if kind == MediaKind::Video && self.path.is_none() {
            self.path = Some(Box::new(Path::new(limits, self.stats.bytes_out, now_us)));
        }
    }
}

impl Forwarder {
    /// Sets what the estimates of receivers begin with and stay between, for those to come.
    #[must_use]
    pub const fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(super) fn handle_arrivals(&mut self, slot: usize, arrivals: &Arrivals<'_>, now_us: u64) {
        let Self { transports, totals, .. } = self;
        let path = transports.at_mut(slot).and_then(|transport| transport.path.as_mut());
        let Some(path) = path else { return };
        let before = *path.congestion.counted();
        path.congestion.handle_arrivals(arrivals, now_us);
        let counted = path.congestion.counted();
        totals.arrivals_told += counted.arrived - before.arrived;
        totals.losses_told += counted.lost - before.lost;
        totals.feedback_implausible += counted.implausible - before.implausible;
        totals.feedback_flooded += counted.flooded - before.flooded;
        totals.probes_met += counted.probes_met - before.probes_met;
        totals.probes_failed += counted.probes_failed - before.probes_failed;
        totals.overuses += counted.overuses - before.overuses;
    }

    pub(super) fn handle_receiver_estimate(&mut self, slot: usize, bps: u64) {
        if let Some(transport) = self.transports.at_mut(slot)
            && let Some(path) = &mut transport.path
        {
            path.congestion.handle_receiver_estimate(bps);
        }
    }

    /// Takes the loss that a receiver reports of a stream that it gets.
    pub(super) fn handle_loss(&mut self, slot: usize, fraction: u8, now_us: u64) {
        if let Some(transport) = self.transports.at_mut(slot)
            && let Some(path) = &mut transport.path
        {
            path.congestion.handle_loss(fraction, path.sent_bps, now_us);
        }
    }

    /// Sends what is due of the padding of probes.
    pub(super) fn send_probes(&mut self, now_us: u64) {
        let Self { transports, subscriptions, outbound, totals, .. } = self;
        let mut is_probing = false;
        for slot in 0..transports.reach() {
            let Some(transport) = transports.at_mut(slot) else { continue };
            let Some(path) = &mut transport.path else { continue };
            path.congestion.handle_time(now_us);
            let due = path.congestion.padding_due(now_us);
            is_probing |= path.congestion.is_probing();
            if due == 0 {
                continue;
            }
            let carries = |at: &usize| subscriptions.at(*at).is_some_and(Subscription::may_pad);
            let Some(at) = transport.subscriptions.iter().copied().find(carries) else { continue };
            let Some(subscription) = subscriptions.at_mut(at) else { continue };
            totals.padding_sent += subscription.pad(transport, due, now_us);
            outbound.queue(slot, transport);
        }
        self.probes_due_us = is_probing.then_some(now_us + PORTION_US);
    }

    /// Lets the estimates notice the time.
    pub(super) fn look_after_path(&mut self, slot: usize, now_us: u64) {
        if let Some(transport) = self.transports.at_mut(slot)
            && let Some(path) = &mut transport.path
        {
            path.measure(transport.stats.bytes_out, now_us);
            path.congestion.handle_tick(now_us);
        }
    }
}
