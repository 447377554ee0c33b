//! What is handled together of what waits for a room.
//!
//! When everybody comes back at once, one decision and one transaction for each would keep the last
//! ones waiting, and telling everybody of each would take the square of their number. So losses are
//! taken together, then those who come or come back, and after them what others ask for.

use std::vec::Drain;

use tokio::sync::oneshot;

use crate::domain::id::ConnectionId;
use crate::room::actor::RoomActor;
use crate::room::actor::admitting::Admission;
use crate::room::member::Input;
use crate::room::ports::{ConnectionPart, LossReason};

/// A lost socket.
struct Loss {
    connection: ConnectionId,
    socket: u64,
    reason: LossReason,
}

/// Inputs that may be handled in another order than they came in.
#[derive(Default)]
struct Round {
    losses: Vec<Loss>,
    admissions: Vec<Admission>,
    /// In the order in which they came.
    rest: Vec<Input>,
}

impl Round {
    /// Takes an input in. Yields one that nothing behind it may overtake, such as somebody's leaving,
    /// which frees a place.
    fn take(&mut self, input: Input) -> Option<Input> {
        match input {
            Input::Lost { connection, socket, reason } => {
                self.losses.push(Loss { connection, socket, reason });
            }
            Input::Enter(entering, reply) => {
                self.admissions.push(Admission::Enter(Box::new(entering), reply));
            }
            Input::Resume(resuming, reply) => {
                self.admissions.push(Admission::Resume(resuming, reply));
            }
            alone @ (Input::Leave { .. }
            | Input::SessionChanged(_)
            | Input::SessionEnding { .. }
            | Input::SessionOver { .. }
            | Input::Stop(_)) => return Some(alone),
            other => self.rest.push(other),
        }
        None
    }
}

impl RoomActor {
    /// Handles what waited. Yields the sender of the request to stop, after which nothing is handled.
    pub(super) async fn handle_inputs(
        &mut self,
        waiting: Drain<'_, Input>,
    ) -> Option<oneshot::Sender<()>> {
        let mut round = Round::default();
        for input in waiting {
            let Some(input) = self.refuse_at_end(input) else { continue };
            // Whoever is admitted with this round is shown the newest head.
            if let Input::EvidenceHead(head) = input {
                self.handle_evidence_head(head);
                continue;
            }
            let Some(alone) = round.take(input) else { continue };
            self.handle_round(std::mem::take(&mut round)).await;
            if self.over {
                return None;
            }
            match alone {
                Input::Stop(stopped) => return Some(stopped),
                alone => self.handle_input(alone).await,
            }
        }
        self.handle_round(round).await;
        None
    }

    async fn handle_round(&mut self, round: Round) {
        self.handle_losses(round.losses).await;
        self.admit(round.admissions).await;
        for input in round.rest {
            if self.over {
                return;
            }
            self.handle_input(input).await;
        }
    }

    async fn handle_losses(&mut self, losses: Vec<Loss>) {
        let mut lost = Vec::new();
        for Loss { connection, socket, reason } in losses {
            if self.forget_sink(connection, socket) {
                self.connection_lost(connection, ConnectionPart::Channel, reason);
                lost.push(connection);
            }
        }
        if !lost.is_empty() {
            self.decide_surely(|engine, now| {
                for lost in lost {
                    engine.handle_lost(lost, now);
                }
            })
            .await;
        }
    }
}
