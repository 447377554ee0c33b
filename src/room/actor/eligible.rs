//! What moderators are told of the eligible list.

use std::sync::Arc;

use crate::domain::id::ConnectionId;
use crate::room::actor::RoomActor;
use crate::room::event::EligibleListView;
use crate::room::member::Outbound;

impl RoomActor {
    /// Tells moderators what of the eligible list does not hold, when it is not what they were
    /// told.
    pub(super) fn tell_eligible_list(&mut self) {
        let now = Arc::new(self.engine.eligible_list_view());
        if now == self.eligible_told {
            return;
        }
        self.eligible_told = now;
        let connections: Vec<ConnectionId> = self.sinks.keys().copied().collect();
        for connection in connections {
            if self.engine.registers(connection) {
                self.offer(connection, Outbound::EligibleList(self.eligible_told.clone()));
            }
        }
    }

    /// Tells a moderator who has just come, or anybody who has just become one, when there is
    /// something to tell.
    pub(super) fn show_eligible_list(&mut self, connection: ConnectionId) {
        let nothing = EligibleListView::default();
        if self.engine.registers(connection) && *self.eligible_told != nothing {
            self.offer(connection, Outbound::EligibleList(self.eligible_told.clone()));
        }
    }
}
