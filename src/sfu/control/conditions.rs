//! What is known of the paths of peers: what the workers measure, and what only this half knows.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Association, Control, Output};
use crate::domain::id::SessionId;
use crate::sfu::interface::{PathReport, RoomMediaEvent};
use crate::sfu::plane::{PathConditions, TransportId};
use crate::sfu::tcp::is_by_tcp;
use crate::sfu::turn::is_relayed;

impl Control {
    /// Tells each room of the paths of its peers.
    pub(super) fn handle_conditions(
        &mut self,
        transports: &[(TransportId, PathConditions)],
        now: Instant,
    ) {
        let mut rooms: BTreeMap<SessionId, Vec<PathReport>> = BTreeMap::new();
        for (id, conditions) in transports {
            // The transport may have ended since the worker measured it.
            let Some(association) = self.associations.get(id) else { continue };
            let report = PathReport {
                peer: association.owner.peer,
                side: association.owner.side,
                conditions: *conditions,
                silent_for: association.transport.silent_for(now),
                is_by_tcp: self.is_by_tcp(association),
            };
            rooms.entry(association.owner.room).or_default().push(report);
        }
        for (room, paths) in rooms {
            let event = RoomMediaEvent::Conditions { paths };
            self.outputs.push_back(Output::Event { room, event });
        }
    }

    fn is_by_tcp(&self, association: &Association) -> bool {
        let Some(remote) = association.transport.remote() else { return false };
        let client = || self.turn.as_ref()?.client_at(remote);
        is_by_tcp(if is_relayed(remote) { client().unwrap_or(remote) } else { remote })
    }
}
