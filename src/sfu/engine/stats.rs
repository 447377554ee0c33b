//! Counters of a worker. They only grow.

use crate::domain::id::TrackId;
use crate::sfu::plane::{SubscriptionId, TransportId};

/// Counters of a whole worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Media packets received, before authentication.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Copies of media packets sent to subscribers, retransmissions excluded.
    pub packets_forwarded: u64,
    /// Their bytes of payload.
    pub payload_bytes_forwarded: u64,
    /// Packets sent again to a subscriber that missed them.
    pub packets_resent: u64,
    /// Packets of a publisher that a retransmission brought.
    pub packets_recovered: u64,
    /// Packets asked for again from publishers.
    pub nacks_sent: u64,
    /// Packets that subscribers asked for again.
    pub nacks_received: u64,
    /// Key frames asked for from publishers.
    pub key_frame_requests_sent: u64,
    /// Key frames that subscribers asked for.
    pub key_frame_requests_received: u64,
    /// Streams that changed their encoding or source.
    pub switches: u64,
    /// Datagrams that are neither media nor a handshake.
    pub dropped_other: u64,
    /// Media datagrams from an address that no transport has.
    pub dropped_unknown_address: u64,
    /// Packets with a malformed header or payload.
    pub dropped_malformed: u64,
    /// Packets that did not prove authentic, and replays.
    pub dropped_unauthentic: u64,
    /// Packets whose source or payload type belongs to no publication.
    pub dropped_unknown_source: u64,
    /// Packets that came twice or too late.
    pub dropped_duplicate: u64,
    /// Packets of publications that the floor has closed.
    pub dropped_gate: u64,
    /// Copies that a subscriber has no format for.
    pub dropped_format: u64,
    /// Copies that found the outbox of their peer full.
    pub dropped_full: u64,
    /// Commands refused: a table was full or keys did not fit.
    pub commands_refused: u64,
    /// Events lost because nobody took them.
    pub events_lost: u64,
    /// Packets copied for taps.
    pub packets_tapped: u64,
    /// Packets that a tap was to get and its sink had no room for.
    pub tap_packets_lost: u64,
}

/// Counters of one transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransportStats {
    /// Datagrams of media received.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Packets that did not prove authentic, and replays.
    pub dropped_unauthentic: u64,
    /// Datagrams that found the outbox full.
    pub dropped_full: u64,
}

/// Counters of one publication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublicationStats {
    /// Packets received, retransmissions included.
    pub packets_in: u64,
    /// Bytes of payload.
    pub payload_bytes_in: u64,
    /// Packets that a retransmission brought.
    pub packets_recovered: u64,
    /// Packets dropped because the floor has closed it.
    pub dropped_gate: u64,
    /// Packets that came twice or too late.
    pub dropped_duplicate: u64,
    /// Packets asked for again.
    pub nacks_sent: u64,
    /// Key frames asked for.
    pub key_frame_requests_sent: u64,
}

/// Counters of one subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscriptionStats {
    /// Packets sent, retransmissions excluded.
    pub packets_out: u64,
    /// Bytes of payload.
    pub payload_bytes_out: u64,
    /// Packets sent again.
    pub packets_resent: u64,
    /// Packets that the receiver asked for again.
    pub nacks_received: u64,
    /// Key frames that the receiver asked for.
    pub key_frame_requests_received: u64,
    /// Changes of encoding or source.
    pub switches: u64,
    /// Packets that the receiver has no format for.
    pub dropped_format: u64,
    /// The encoding being sent, 0 the lowest.
    pub layer: Option<u8>,
}

/// Everything counted at one instant.
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

/// How much a forwarder holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Transports.
    pub transports: usize,
    /// Addresses known.
    pub addresses: usize,
    /// Publications.
    pub publications: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Rooms with sound in them.
    pub rooms: usize,
}
