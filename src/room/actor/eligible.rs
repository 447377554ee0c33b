//! What moderators are told of the eligible list: why it is refused, or what of it does not hold.

use std::sync::Arc;

use crate::attendance::AttendanceError;
use crate::domain::eligible_list::ListRefused;
use crate::domain::id::ConnectionId;
use crate::room::action::AttendanceAction;
use crate::room::actor::RoomActor;
use crate::room::error::RoomError;
use crate::room::event::{EligibleListView, ListRefusedView};
use crate::room::member::Outbound;

impl From<&ListRefused> for ListRefusedView {
    fn from(refused: &ListRefused) -> Self {
        Self {
            reason: refused.fault.as_str().to_owned(),
            row: refused.row.and_then(|row| u32::try_from(row).ok()),
            user_id: refused.user.as_ref().map(|user| user.as_str().to_owned()),
            unit: refused.unit.as_ref().map(ToString::to_string),
            message: refused.to_string(),
        }
    }
}

impl RoomActor {
    /// Does something about attendance. While no list is known because the one that came is
    /// refused, that is said.
    pub(super) async fn handle_attendance(
        &mut self,
        action: AttendanceAction,
    ) -> Result<(), RoomError> {
        let result = self.decide(|engine, now| engine.handle_attendance(action, now)).await;
        if self.engine.attendance().roll().is_some() {
            self.list_refused = None;
        }
        self.tell_eligible_list();
        match (result, &self.list_refused) {
            (Err(RoomError::Attendance(AttendanceError::RollUnknown)), Some(refused)) => {
                Err(RoomError::ListRefused(refused.clone()))
            }
            (result, _) => result,
        }
    }

    /// The service gave an eligible list that is not taken.
    pub(super) fn handle_list_refused(&mut self, refused: ListRefused) {
        if self.engine.attendance().roll().is_none() {
            self.list_refused = Some(refused);
            self.tell_eligible_list();
        }
    }

    /// Tells moderators what of the eligible list does not hold, when it is not what they were
    /// told.
    fn tell_eligible_list(&mut self) {
        let refused = self.list_refused.as_ref().map(ListRefusedView::from);
        let now = Arc::new(EligibleListView { refused, ..self.engine.eligible_list_view() });
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
