//! Peers whose flow has another port: the worker of a silent transport searches for it by the SSRCs
//! of its peer (`engine::strays`). Media may arrive at the socket of another worker, which knows
//! nothing of the transport; then it is handed to the one that does.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use super::{Control, Output};
use crate::formats::rtp::classify;
use crate::sfu::engine::source_of;
use crate::sfu::plane::TransportId;

/// Silent transports with the same SSRC that are considered, as a worker tries no more.
const CLAIMANTS_MAX: usize = 8;

impl Control {
    /// Takes media that arrived at a worker to which its address is unknown.
    pub(super) fn handle_stray(&mut self, worker: usize, from: SocketAddr, bytes: Vec<u8>) {
        let mut workers = self.workers_of(from, &bytes);
        workers.remove(&worker);
        let Some(last) = workers.pop_last() else {
            // Media before the handshake has completed, or of nobody.
            self.stats.datagrams_unroutable += 1;
            return;
        };
        for worker in workers {
            self.outputs.push_back(Output::HandOver { worker, from, bytes: bytes.clone() });
        }
        self.outputs.push_back(Output::HandOver { worker: last, from, bytes });
    }

    /// The workers that may have the transport of a datagram.
    fn workers_of(&self, from: SocketAddr, bytes: &[u8]) -> BTreeSet<usize> {
        let worker_of = |id: &TransportId| self.associations.get(id).map(|it| it.worker);
        if let Some(worker) = self.by_address.get(&from).and_then(worker_of) {
            return BTreeSet::from([worker]);
        }
        let Some(ssrc) = source_of(bytes, classify(bytes)) else { return BTreeSet::new() };
        let claimants = (ssrc, TransportId(0))..=(ssrc, TransportId(u64::MAX));
        let claimants = self.silent.range(claimants).take(CLAIMANTS_MAX);
        claimants.filter_map(|(_, id)| worker_of(id)).collect()
    }

    /// A worker searches for transports of which nothing comes any more.
    pub(super) fn handle_silent(&mut self, transports: Vec<(TransportId, Vec<u32>)>) {
        for (id, sources) in transports {
            // The transport may have ended since the worker reported it.
            if let Some(association) = self.associations.get_mut(&id) {
                self.silent.extend(sources.iter().map(|&ssrc| (ssrc, id)));
                association.sought_by = sources;
            }
        }
    }

    /// A worker searches for a transport no more.
    pub(super) fn end_search(&mut self, id: TransportId, sought_by: &[u32]) {
        for &ssrc in sought_by {
            self.silent.remove(&(ssrc, id));
        }
    }

    /// A worker has found media of a silent transport.
    pub(super) fn handle_heard_from(&mut self, id: TransportId, from: SocketAddr, now: Instant) {
        if let Some(association) = self.associations.get_mut(&id) {
            association.transport.handle_media_from(from, now);
            if association.transport.knows(from) {
                self.by_address.insert(from, id);
            }
            self.poll_transport(id, now);
        }
    }
}
