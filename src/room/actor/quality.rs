//! What members are told of how good connections are: moderators of everybody, others of themselves.
//! Only changes are told, those of one moment in one message.

use std::sync::Arc;

use crate::domain::id::ConnectionId;
use crate::domain::quality::PersonQuality;
use crate::room::actor::RoomActor;
use crate::room::member::Outbound;
use crate::sfu::{LostReason, PathReport, TransportSide};

impl RoomActor {
    /// Takes what was measured of the paths of the room.
    pub(super) fn handle_paths(&mut self, paths: &[PathReport]) {
        let (now, engine) = (self.parts.clock.now(), &self.engine);
        let holder = |connection| engine.holder(connection).map(|(user, _)| user);
        let changes = self.quality.handle_paths(paths, holder, now);
        self.tell_quality(changes);
        self.note_spells();
    }

    pub(super) fn handle_path_lost(
        &mut self,
        connection: ConnectionId,
        side: TransportSide,
        reason: LostReason,
    ) {
        let now = self.parts.clock.now();
        let user = self.engine.holder(connection).map(|(user, _)| user);
        let path = (connection, side);
        let changes = self.quality.handle_transport_lost(path, reason, user.as_ref(), now);
        self.tell_quality(changes);
    }

    /// A connection has ended.
    pub(super) fn forget_quality(&mut self, connection: ConnectionId) {
        self.quality.forget(connection, self.parts.clock.now());
        self.counted.set(self.quality.counts());
        self.note_spells();
    }

    /// Has the log told of bad spells that are over, without waiting for it.
    fn note_spells(&mut self) {
        let spells = self.quality.take_spells();
        if let Some(log) = self.parts.ports.log.clone().filter(|_| !spells.is_empty()) {
            let key = self.parts.key;
            tokio::spawn(async move { log.bad_spells(key, spells).await });
        }
    }

    /// Ends the bad spells that are not over, and waits until the log has them: it is about to be
    /// closed, or the process ends.
    pub(super) async fn end_spells(&mut self) {
        self.quality.end_spells(self.parts.clock.now());
        let spells = self.quality.take_spells();
        if let Some(log) = self.parts.ports.log.clone().filter(|_| !spells.is_empty()) {
            log.bad_spells(self.parts.key, spells).await;
        }
    }

    /// Tells whoever has just come, or begun to moderate, of everything that is not good now.
    pub(super) fn show_quality(&mut self, connection: ConnectionId) {
        let told: Arc<[PersonQuality]> = if self.engine.sees_connections(connection) {
            self.quality.not_good().collect()
        } else {
            let holder = self.engine.holder(connection);
            let own = holder.and_then(|(user, _)| self.quality.not_good_of(&user));
            own.into_iter().collect()
        };
        if !told.is_empty() {
            self.offer(connection, Outbound::Quality(told));
        }
    }

    fn tell_quality(&mut self, changes: Vec<PersonQuality>) {
        self.counted.set(self.quality.counts());
        if changes.is_empty() {
            return;
        }
        for change in &changes {
            let own: Arc<[PersonQuality]> = Arc::from([change.clone()]);
            for connection in self.engine.connections_of(&change.user) {
                if !self.engine.sees_connections(connection) {
                    self.offer(connection, Outbound::Quality(own.clone()));
                }
            }
        }
        let changes: Arc<[PersonQuality]> = changes.into();
        let connections: Vec<ConnectionId> = self.sinks.keys().copied().collect();
        for connection in connections {
            if self.engine.sees_connections(connection) {
                self.offer(connection, Outbound::Quality(changes.clone()));
            }
        }
    }
}
