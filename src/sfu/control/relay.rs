//! The part of TURN in the control half: requests, and the end of allocations.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Control, Output};
use crate::domain::time::Timestamp;
use crate::sfu::turn::{self, TurnServer, TurnStats};

impl Control {
    /// Serves TURN from now on.
    pub(crate) fn with_turn(mut self, turn: TurnServer) -> Self {
        self.turn = Some(turn);
        self
    }

    /// Takes the time of day.
    pub(crate) fn handle_wall_clock(&mut self, wall: Timestamp, now: Instant) {
        if let Some(turn) = &mut self.turn {
            turn.handle_wall_clock(wall, now);
        }
    }

    /// Takes a request that is no connectivity check; returns whether it was one of STUN or TURN.
    pub(super) fn handle_turn_request(
        &mut self,
        worker: usize,
        from: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> bool {
        let Some(turn) = &mut self.turn else { return false };
        // A client behind an allocation makes no allocation through it.
        if turn::is_relayed(from) || !turn::is_request(bytes) {
            return false;
        }
        // Over TCP nothing is reflected, and connections have limits of their own.
        let is_limited = from.is_ipv4() || is_unmarked(from);
        let known = turn.knows(from);
        if is_limited && !known && !self.challenges.admits_check(from.ip(), now) {
            self.stats.datagrams_limited += 1;
            return true;
        }
        let rooms = &self.rooms;
        let is_member =
            |room, peer| rooms.get(&room).is_some_and(|room| room.peers.contains_key(&peer));
        let handled = turn.handle_request(from, bytes, is_member, now);
        if is_limited && !handled.is_authentic {
            self.challenges.charge_check(from.ip(), now);
        }
        if let Some(bytes) = handled.reply {
            self.outputs.push_back(Output::Transmit { worker, to: from, bytes });
        }
        self.poll_turn();
        true
    }

    /// The connection of a client has ended, and with it the allocation that it made: nobody can use
    /// that any more (RFC 8656 §3.1), and it would count against its person for ten minutes.
    pub(crate) fn handle_ended(&mut self, client: SocketAddr) {
        if let Some(turn) = &mut self.turn {
            turn.handle_gone(client);
        }
        self.poll_turn();
    }

    /// Closes the connections of clients whose allocations have ended.
    pub(super) fn poll_turn(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        while let Some(client) = turn.poll_ended() {
            self.outputs.push_back(Output::Close { client });
        }
    }

    /// The counters of TURN; zero when it is not served.
    pub(crate) fn turn_stats(&self) -> TurnStats {
        self.turn.as_ref().map(TurnServer::stats).unwrap_or_default()
    }
}

/// Whether an address of IPv6 is one of UDP.
fn is_unmarked(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.flowinfo() == 0)
}
