//! The Prometheus metrics of the media plane. Workers count without locks; their counters are
//! copied when metrics are scraped.

use crate::domain::id::TenantId;
use crate::sfu::engine::Totals;
use crate::sfu::tcp::TcpStats;
use crate::sfu::turn::TurnStats;
use crate::sfu::worker::WorkerStats;
use crate::sfu::{Sfu, SfuStats};
use crate::telemetry::metrics::{number, tenant_label, tenants_are_named};

const ROOMS: &str = "cabildo_sfu_rooms";
const PEERS: &str = "cabildo_sfu_peers";
const TRANSPORTS: &str = "cabildo_sfu_transports";
const TRACKS: &str = "cabildo_sfu_tracks";
const SUBSCRIPTIONS: &str = "cabildo_sfu_subscriptions";
const HANDSHAKES_COMPLETED: &str = "cabildo_sfu_handshakes_completed_total";
const HANDSHAKES_FAILED: &str = "cabildo_sfu_handshakes_failed_total";
const DATAGRAMS_LIMITED: &str = "cabildo_sfu_datagrams_limited_total";
const DATAGRAMS_UNROUTABLE: &str = "cabildo_sfu_datagrams_unroutable_total";
const EVENTS_DROPPED: &str = "cabildo_sfu_events_dropped_total";
const DROPPED_PACKETS: &str = "cabildo_sfu_dropped_packets_total";
const FEEDBACK_IGNORED: &str = "cabildo_sfu_feedback_ignored_total";
const MEDIA_BITRATE: &str = "cabildo_media_bitrate_kbps";
const PUBLICATIONS_REFUSED: &str = "cabildo_media_publications_refused_total";
const WORKER_CPU: &str = "cabildo_sfu_worker_cpu_seconds_total";

const TCP_CONNECTIONS: &str = "cabildo_sfu_tcp_connections";
const TCP_REFUSED: &str = "cabildo_sfu_tcp_connections_refused_total";
const TCP_DROPPED: &str = "cabildo_sfu_tcp_runs_dropped_total";

const TURN_ALLOCATIONS: &str = "cabildo_turn_allocations";
const TURN_ALLOCATED: &str = "cabildo_turn_allocations_total";
const TURN_REFUSED: &str = "cabildo_turn_requests_refused_total";
const TURN_PACKETS: &str = "cabildo_turn_packets_total";

type Count = fn(&Totals) -> u64;

/// Counters of each worker: metric name, description, and how to read the value.
const WORKER_COUNTERS: &[(&str, &str, Count)] = &[
    ("cabildo_sfu_received_packets_total", "Media packets received.", |it| it.packets_in),
    ("cabildo_sfu_received_bytes_total", "Bytes of media received.", |it| it.bytes_in),
    (
        "cabildo_sfu_forwarded_packets_total",
        "Copies of packets sent to subscribers, retransmissions excluded.",
        |it| it.packets_forwarded,
    ),
    ("cabildo_sfu_forwarded_bytes_total", "Bytes of payload of those copies.", |it| {
        it.payload_bytes_forwarded
    }),
    ("cabildo_sfu_resent_packets_total", "Packets sent again to subscribers.", |it| {
        it.packets_resent
    }),
    ("cabildo_sfu_recovered_packets_total", "Lost packets that publishers sent again.", |it| {
        it.packets_recovered
    }),
    ("cabildo_sfu_nacks_sent_total", "Lost packets asked for from publishers.", |it| it.nacks_sent),
    ("cabildo_sfu_nacks_received_total", "Lost packets that subscribers asked for.", |it| {
        it.nacks_received
    }),
    ("cabildo_sfu_plis_sent_total", "Key frames asked for from publishers.", |it| {
        it.key_frame_requests_sent
    }),
    ("cabildo_sfu_plis_received_total", "Key frames that subscribers asked for.", |it| {
        it.key_frame_requests_received
    }),
    (
        "cabildo_sfu_plis_ignored_total",
        "Key frames not asked for because one subscriber had caused enough of them.",
        |it| it.key_frame_requests_ignored,
    ),
    ("cabildo_sfu_arrivals_told_total", "Packets that receivers told to have arrived.", |it| {
        it.arrivals_told
    }),
    ("cabildo_sfu_losses_told_total", "Packets that receivers told to be missing.", |it| {
        it.losses_told
    }),
    ("cabildo_sfu_overuses_total", "Times that growing delay lowered an estimate.", |it| {
        it.overuses
    }),
    ("cabildo_sfu_probes_met_total", "Probes that showed room for more.", |it| it.probes_met),
    ("cabildo_sfu_padding_packets_total", "Packets of padding sent for probes.", |it| {
        it.padding_sent
    }),
    ("cabildo_sfu_probes_failed_total", "Probes that showed no room for more.", |it| {
        it.probes_failed
    }),
];

/// Why what receivers tell of arrivals counts for nothing: value of the label `reason`, and how to
/// read the count.
const FEEDBACK_REASONS: &[(&str, Count)] = &[
    ("implausible", |it| it.feedback_implausible),
    ("unreadable", |it| it.feedback_unreadable),
    ("flooded", |it| it.feedback_flooded),
];

/// Why packets are dropped: value of the label `reason`, and how to read the count.
const DROP_REASONS: &[(&str, Count)] = &[
    ("other", |it| it.dropped_other),
    ("unknown_address", |it| it.dropped_unknown_address),
    ("malformed", |it| it.dropped_malformed),
    ("unauthentic", |it| it.dropped_unauthentic),
    ("unknown_source", |it| it.dropped_unknown_source),
    ("duplicate", |it| it.dropped_duplicate),
    ("gate", |it| it.dropped_gate),
    ("format", |it| it.dropped_format),
    ("full", |it| it.dropped_full),
];

/// Describes every metric of the media plane.
pub fn describe_metrics() {
    metrics::describe_gauge!(ROOMS, "Rooms that carry media.");
    metrics::describe_gauge!(PEERS, "Peers in rooms.");
    metrics::describe_gauge!(TRANSPORTS, "Transports that exist, connected or not.");
    metrics::describe_gauge!(TRACKS, "Tracks published.");
    metrics::describe_gauge!(SUBSCRIPTIONS, "Streams towards receivers.");
    metrics::describe_counter!(HANDSHAKES_COMPLETED, "DTLS handshakes completed.");
    metrics::describe_counter!(
        HANDSHAKES_FAILED,
        "Transports lost before their handshake completed."
    );
    metrics::describe_counter!(DATAGRAMS_LIMITED, "Datagrams refused by rate limits.");
    metrics::describe_counter!(DATAGRAMS_UNROUTABLE, "Datagrams that belong to no transport.");
    metrics::describe_counter!(EVENTS_DROPPED, "Room events dropped because a room was slow.");
    metrics::describe_counter!(DROPPED_PACKETS, "Packets that were not forwarded, by reason.");
    metrics::describe_counter!(
        FEEDBACK_IGNORED,
        "Feedback of receivers that counts for nothing, by reason."
    );
    metrics::describe_gauge!(MEDIA_BITRATE, "Media received for a tenant, in kbit/s.");
    metrics::describe_counter!(
        PUBLICATIONS_REFUSED,
        "Tracks refused because their tenant receives as much as it may."
    );
    metrics::describe_gauge!(TCP_CONNECTIONS, "Connections for media over TCP.");
    metrics::describe_counter!(
        TCP_REFUSED,
        "Connections for media over TCP that were closed because there were too many."
    );
    metrics::describe_counter!(
        TCP_DROPPED,
        "Runs of packets that were dropped because a peer connected by TCP read too slowly."
    );
    metrics::describe_gauge!(TURN_ALLOCATIONS, "Allocations of TURN that exist.");
    metrics::describe_counter!(TURN_ALLOCATED, "Allocations of TURN made.");
    metrics::describe_counter!(
        TURN_REFUSED,
        "Requests of TURN refused: no or wrong credentials, a quota, or another peer than media."
    );
    metrics::describe_counter!(
        TURN_PACKETS,
        "Packets through allocations of TURN, from clients, to clients, and dropped."
    );
    metrics::describe_gauge!(WORKER_CPU, "Processor time of each worker since it started.");
    for (name, description, _) in WORKER_COUNTERS {
        metrics::describe_counter!(*name, *description);
    }
}

/// Sets the bitrate that the rooms of a tenant receive. Shown only when metrics have a label for
/// tenants.
pub(super) fn media_bitrate(tenant: TenantId, kbps: u32) {
    if tenants_are_named() {
        metrics::gauge!(MEDIA_BITRATE, "tenant" => tenant_label(tenant)).set(kbps);
    }
}

/// Counts a track that was refused because its tenant receives as much as it may.
pub(super) fn publication_refused() {
    metrics::counter!(PUBLICATIONS_REFUSED).increment(1);
}

impl Sfu {
    /// Copies the counters of the control half and of the workers to the metrics recorder. The
    /// counters of a part that does not answer keep their last value.
    pub async fn report_metrics(&self) {
        if let Ok(stats) = self.stats().await {
            report_control(&stats);
        }
        report_workers(&self.worker_stats().await);
        let TcpStats { connections, refused, dropped } = self.tcp_stats();
        metrics::gauge!(TCP_CONNECTIONS).set(number(connections));
        metrics::counter!(TCP_REFUSED).absolute(refused);
        metrics::counter!(TCP_DROPPED).absolute(dropped);
    }
}

fn report_control(stats: &SfuStats) {
    let SfuStats {
        rooms,
        peers,
        transports,
        tracks,
        subscriptions,
        handshakes_completed,
        handshakes_failed,
        datagrams_limited,
        datagrams_unroutable,
        events_dropped,
        turn,
    } = *stats;
    report_turn(&turn);
    metrics::gauge!(ROOMS).set(number(rooms));
    metrics::gauge!(PEERS).set(number(peers));
    metrics::gauge!(TRANSPORTS).set(number(transports));
    metrics::gauge!(TRACKS).set(number(tracks));
    metrics::gauge!(SUBSCRIPTIONS).set(number(subscriptions));
    metrics::counter!(HANDSHAKES_COMPLETED).absolute(handshakes_completed);
    metrics::counter!(HANDSHAKES_FAILED).absolute(handshakes_failed);
    metrics::counter!(DATAGRAMS_LIMITED).absolute(datagrams_limited);
    metrics::counter!(DATAGRAMS_UNROUTABLE).absolute(datagrams_unroutable);
    metrics::counter!(EVENTS_DROPPED).absolute(events_dropped);
}

fn report_turn(stats: &TurnStats) {
    metrics::gauge!(TURN_ALLOCATIONS).set(number(stats.allocations));
    metrics::counter!(TURN_ALLOCATED).absolute(stats.allocated);
    let refused = [
        ("quota", stats.quota_refused),
        ("credentials", stats.unauthenticated),
        ("peer", stats.peers_refused),
    ];
    for (reason, count) in refused {
        metrics::counter!(TURN_REFUSED, "reason" => reason).absolute(count);
    }
    let packets = [
        ("in", stats.packets_from_clients),
        ("out", stats.packets_to_clients),
        ("dropped", stats.packets_refused),
    ];
    for (direction, count) in packets {
        metrics::counter!(TURN_PACKETS, "direction" => direction).absolute(count);
    }
}

fn report_workers(workers: &[(usize, WorkerStats)]) {
    for (index, stats) in workers {
        let worker = index.to_string();
        for (name, _, count) in WORKER_COUNTERS {
            let value = count(&stats.forwarder.totals);
            metrics::counter!(*name, "worker" => worker.clone()).absolute(value);
        }
        metrics::gauge!(WORKER_CPU, "worker" => worker).set(stats.cpu_time);
    }
    for (reason, count) in DROP_REASONS {
        let dropped = workers.iter().map(|(_, stats)| count(&stats.forwarder.totals)).sum();
        metrics::counter!(DROPPED_PACKETS, "reason" => *reason).absolute(dropped);
    }
    for (reason, count) in FEEDBACK_REASONS {
        let ignored = workers.iter().map(|(_, stats)| count(&stats.forwarder.totals)).sum();
        metrics::counter!(FEEDBACK_IGNORED, "reason" => *reason).absolute(ignored);
    }
}
