//! Counters of a worker, which only ever increase.

use crate::domain::id::TrackId;
use crate::sfu::plane::{SubscriptionId, TransportId};

/// Counters of a whole worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Media packets received, counted before authentication.
    pub packets_in: u64,
    /// Bytes of `packets_in`.
    pub bytes_in: u64,
    /// Copies of media packets sent to subscribers, retransmissions excluded.
    pub packets_forwarded: u64,
    /// Bytes of payload of `packets_forwarded`.
    pub payload_bytes_forwarded: u64,
    /// Packets resent to subscribers that missed them.
    pub packets_resent: u64,
    /// Missing packets that publishers sent again.
    pub packets_recovered: u64,
    /// Packets requested again from publishers.
    pub nacks_sent: u64,
    /// Packets that subscribers requested again.
    pub nacks_received: u64,
    /// Key-frame requests sent to publishers.
    pub key_frame_requests_sent: u64,
    /// Key-frame requests received from subscribers.
    pub key_frame_requests_received: u64,
    /// Of those, requests not followed because the subscriber had caused enough key frames.
    pub key_frame_requests_ignored: u64,
    /// Times that a stream changed its encoding or source.
    pub switches: u64,
    /// Packets that receivers told to have arrived.
    pub arrivals_told: u64,
    /// Packets that receivers told to be missing.
    pub losses_told: u64,
    /// Packets of which receivers told what can't be.
    pub feedback_implausible: u64,
    /// Feedbacks on arrivals that contradict themselves.
    pub feedback_unreadable: u64,
    /// Feedbacks on arrivals left out because too many came at once.
    pub feedback_flooded: u64,
    /// Probes of paths that showed what they were to show.
    pub probes_met: u64,
    /// Probes of paths that showed less, or nothing.
    pub probes_failed: u64,
    /// Packets of padding sent for probes.
    pub padding_sent: u64,
    /// Times that growing delay lowered an estimate.
    pub overuses: u64,
    /// Datagrams that are neither media nor a handshake.
    pub dropped_other: u64,
    /// Media datagrams from an address that no transport has.
    pub dropped_unknown_address: u64,
    /// Packets with a malformed header or payload.
    pub dropped_malformed: u64,
    /// Packets that failed authentication, and replays.
    pub dropped_unauthentic: u64,
    /// Packets whose source or payload type belongs to no publication.
    pub dropped_unknown_source: u64,
    /// Packets that came twice or too late.
    pub dropped_duplicate: u64,
    /// Packets of publications whose gate is closed.
    pub dropped_gate: u64,
    /// Copies dropped because the subscriber has no format for them.
    pub dropped_format: u64,
    /// Copies dropped because the outbox of the peer was full.
    pub dropped_full: u64,
    /// Commands refused because a table was full or keys did not fit their profile.
    pub commands_refused: u64,
    /// Events dropped because too many waited.
    pub events_lost: u64,
    /// Packets copied for taps.
    pub packets_tapped: u64,
    /// Packets not copied to a tap because its sink was full.
    pub tap_packets_lost: u64,
}

/// Counters of one transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransportStats {
    /// Datagrams of media received.
    pub packets_in: u64,
    /// Bytes of `packets_in`.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub packets_out: u64,
    /// Bytes of `packets_out`.
    pub bytes_out: u64,
    /// Packets that failed authentication, and replays.
    pub dropped_unauthentic: u64,
    /// Datagrams dropped because the outbox was full.
    pub dropped_full: u64,
}

/// Counters of one publication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublicationStats {
    /// Packets received, retransmissions included.
    pub packets_in: u64,
    /// Bytes of payload.
    pub payload_bytes_in: u64,
    /// Missing packets that the publisher sent again.
    pub packets_recovered: u64,
    /// Packets dropped because the gate was closed.
    pub dropped_gate: u64,
    /// Packets that came twice or too late.
    pub dropped_duplicate: u64,
    /// Packets requested again from the publisher.
    pub nacks_sent: u64,
    /// Key-frame requests sent to the publisher.
    pub key_frame_requests_sent: u64,
}

/// Counters of one subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscriptionStats {
    /// Packets sent, retransmissions excluded.
    pub packets_out: u64,
    /// Bytes of payload.
    pub payload_bytes_out: u64,
    /// Packets resent.
    pub packets_resent: u64,
    /// Packets that the receiver requested again.
    pub nacks_received: u64,
    /// Key-frame requests received from the receiver.
    pub key_frame_requests_received: u64,
    /// Changes of encoding or source.
    pub switches: u64,
    /// Packets dropped because the receiver has no format for them.
    pub dropped_format: u64,
    /// The encoding being sent; 0 is the lowest quality.
    pub layer: Option<u8>,
}

/// All counters at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// The worker as a whole.
    pub totals: Totals,
    /// Each transport.
    pub transports: Vec<(TransportId, TransportStats)>,
    /// Each publication.
    pub publications: Vec<(TrackId, PublicationStats)>,
    /// Each subscription.
    pub subscriptions: Vec<(SubscriptionId, SubscriptionStats)>,
}

/// How many entries the tables of a forwarder have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Transports.
    pub transports: usize,
    /// Known addresses of peers.
    pub addresses: usize,
    /// Publications.
    pub publications: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Rooms with audio tracks.
    pub rooms: usize,
}
