//! What a room is told by the server itself, and not by its members.

use super::{RoomActor, answer};
use crate::domain::arrival::Arrival;
use crate::room::action::Vote;
use crate::room::error::RoomError;
use crate::room::member::Input;

impl RoomActor {
    /// Announces a vote; the name of the event that told of it is stored with the announcement.
    pub(super) async fn handle_vote(
        &mut self,
        vote: Vote,
        arrival: Arrival,
    ) -> Result<(), RoomError> {
        self.arrival = Some(arrival);
        let result = self.decide(|engine, now| engine.handle_vote(vote, now)).await;
        self.arrival = None;
        result
    }

    /// Refuses what members and services ask of a room whose session has ended, while it waits for
    /// the text of what was said. Yields what is to be handled.
    pub(super) fn refuse_at_end(&self, input: Input) -> Option<Input> {
        if !self.engine.is_ending() {
            return Some(input);
        }
        match input {
            Input::Enter(_, reply) | Input::Resume(_, reply) => {
                answer(reply, Err(RoomError::SessionOver));
            }
            Input::Act { reply, .. } => answer(reply, Err(RoomError::SessionOver)),
            Input::Attend { reply, .. } => answer(reply, Err(RoomError::SessionOver)),
            Input::AttendPerson { reply, .. } => answer(reply, Err(RoomError::SessionOver)),
            Input::Vote { reply, .. } => answer(reply, Err(RoomError::SessionOver)),
            other => return Some(other),
        }
        None
    }

    /// The session is over, and the room with it.
    pub(super) async fn handle_session_over(&mut self, reason: &'static str) {
        self.decide_surely(|engine, now| engine.handle_session_over(reason, now)).await;
        self.over = true;
    }
}
