//! Attendance as doors reach it: through the room of the session, which is opened
//! if need be, or from what is stored when the session is over.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::attendance::ports::{EligibleSource, EligibleUnavailable};
use crate::attendance::{Attendance, Proof};
use crate::domain::arrival::Arrival;
use crate::domain::attendance::{AttendanceFailure, AttendanceMethod};
use crate::domain::id::{AssemblyId, SessionKey, UserId};
use crate::domain::session::SessionStatus;
use crate::domain::shown_text::ShownText;
use crate::room::Rooms;
use crate::room::action::{AttendanceAction, Vote};
use crate::room::engine::{AttendeeAnswer, ProofCheck, attendance_of};
use crate::room::error::RoomError;
use crate::room::member::{Input, Reply, RoomHandle};
use crate::room::metrics;
use crate::room::ports::AttendanceNote;

/// First wait before the eligible list is asked for again.
const LIST_RETRY: Duration = Duration::from_secs(5);
/// Longest wait. Raising it leaves an assembly longer without a quorum after the
/// service has come back.
const LIST_RETRY_MAX: Duration = Duration::from_mins(1);

impl Rooms {
    /// Does something about the attendance of an active session. The answer is the attendance that
    /// this made, before anything else is done about it.
    ///
    /// # Errors
    /// The session's state as [`Self::enter`], and what attendance refuses.
    pub async fn attend(
        &self,
        key: SessionKey,
        action: AttendanceAction,
    ) -> Result<Arc<Attendance>, RoomError> {
        let room = Box::pin(self.room_unless_elsewhere(key)).await?;
        room.ask(|reply| Input::Attend { action, reply }).await
    }

    /// As [`Self::attend`]; the answer is what the attendance that this made knows of somebody.
    ///
    /// # Errors
    /// As [`Self::attend`].
    pub async fn attend_person(
        &self,
        key: SessionKey,
        user: UserId,
        action: AttendanceAction,
    ) -> Result<AttendeeAnswer, RoomError> {
        let room = Box::pin(self.room_unless_elsewhere(key)).await?;
        room.ask(|reply| Input::AttendPerson { user, action, reply }).await
    }

    /// Tells everybody in the room of an active session that a vote has started,
    /// once for each event that says so.
    ///
    /// # Errors
    /// The session's state as [`Self::enter`], and what the room refuses.
    pub async fn announce_vote(
        &self,
        key: SessionKey,
        vote: Vote,
        arrival: Arrival,
    ) -> Result<(), RoomError> {
        // Before it is handed to another instance, whose refusal would not be heard.
        if ShownText::Title.cleaned(&vote.title).is_none() {
            return Err(RoomError::Unprocessable("the title of a vote shows nothing"));
        }
        let room = Box::pin(self.room_unless_elsewhere(key)).await?;
        room.ask(|reply| Input::Vote { vote, arrival, reply }).await
    }

    /// The assembly that meets in an active session.
    ///
    /// # Errors
    /// The session's state as [`Self::enter`].
    pub async fn assembly(&self, key: SessionKey) -> Result<AssemblyId, RoomError> {
        Ok(Box::pin(self.room_unless_elsewhere(key)).await?.assembly)
    }

    /// Whether what somebody presents in an active session has to be validated.
    ///
    /// # Errors
    /// The session's state as [`Self::enter`], and what attendance refuses.
    pub async fn check_proof(
        &self,
        key: SessionKey,
        user: UserId,
        proof: Proof,
    ) -> Result<ProofCheck, RoomError> {
        let room = Box::pin(self.room_unless_elsewhere(key)).await?;
        room.ask(|reply| Input::CheckProof { user, proof, reply }).await
    }

    /// Who attends an active session or attended one that is over. Nobody attends
    /// one that has not begun.
    ///
    /// # Errors
    /// [`RoomError::SessionNotFound`] and what the room or its repository says.
    pub async fn attendance(&self, key: SessionKey) -> Result<Arc<Attendance>, RoomError> {
        let ask = |reply: Reply<Arc<Attendance>>| Input::Attendance { reply };
        match Box::pin(self.room_unless_elsewhere(key)).await {
            Ok(room) => room.ask(ask).await,
            Err(
                RoomError::SessionOver
                | RoomError::SessionNotActive
                | RoomError::ProviderUnsupported
                // The room stores it before it tells it.
                | RoomError::Elsewhere,
            ) => self.stored_attendance(key).await,
            Err(error) => Err(error),
        }
    }

    async fn stored_attendance(&self, key: SessionKey) -> Result<Arc<Attendance>, RoomError> {
        let SessionKey { session, .. } = key;
        let unreadable = |error: &dyn std::fmt::Display| {
            tracing::error!(%session, %error, "an attendance could not be read");
            RoomError::StoreUnavailable
        };
        let found = self.parts.sessions.find(key).await;
        let found = found.map_err(|error| unreadable(&error))?.ok_or(RoomError::SessionNotFound)?;
        let nobody = || Attendance::new(found.attendance, found.created_at);
        if found.status == SessionStatus::Scheduled {
            return Ok(Arc::new(nobody()));
        }
        let loaded = self.parts.repository.load(key).await;
        let stored = match loaded.map_err(|error| unreadable(&error))? {
            Some(stored) => {
                attendance_of(&stored, found.attendance).map_err(|error| unreadable(&error))?
            }
            None => None,
        };
        Ok(Arc::new(stored.unwrap_or_else(nobody)))
    }

    /// What somebody presented in an active session was not taken: counted, and
    /// written down once in a while.
    pub async fn proof_refused(
        &self,
        key: SessionKey,
        (user, method): (UserId, AttendanceMethod),
        failure: AttendanceFailure,
    ) {
        metrics::attendance_refused(failure);
        let Some(log) = &self.parts.ports.log else { return };
        let (code, now) = (failure.code(), self.parts.clock.now());
        let is_new = {
            let refusals = self.parts.refusals.lock();
            // A panic of another holder can't leave the table half changed.
            let mut refusals = refusals.unwrap_or_else(PoisonError::into_inner);
            refusals.admit(key.session, &user, code, now)
        };
        if is_new {
            let note = AttendanceNote::Refused { user, method, failure };
            log.attendance(key, note).await;
        }
    }

    /// Whether a service gives the eligible lists.
    #[must_use]
    pub fn has_eligible_source(&self) -> bool {
        self.parts.ports.eligible.is_some()
    }
}

/// Gives a room the eligible list as soon as the service has it, unless the room
/// closes before.
pub(super) async fn take_list(source: Arc<dyn EligibleSource>, key: SessionKey, room: RoomHandle) {
    let SessionKey { tenant, session } = key;
    let mut wait = LIST_RETRY;
    loop {
        match source.eligible(tenant, room.assembly).await {
            Ok(list) => {
                let action = AttendanceAction::TakeList(Box::new(list));
                match room.ask(|reply| Input::Attend { action, reply }).await {
                    Ok(taken) => return warn_of_left_out(key, room.assembly, &taken),
                    Err(error) => {
                        tracing::warn!(%tenant, %session, %error, "an eligible list was not taken");
                    }
                }
            }
            Err(EligibleUnavailable::Refused(refused)) => {
                let (reason, row) = (refused.fault.as_str(), refused.row);
                tracing::warn!(%tenant, %session, assembly = %room.assembly, reason, row, "an eligible list is refused");
                // A room that has closed need not be told.
                drop(room.inputs.send(Input::ListRefused(refused)).await);
            }
            Err(error) => tracing::warn!(%tenant, %session, %error, "no eligible list yet"),
        }
        tokio::select! {
            () = room.inputs.closed() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = LIST_RETRY_MAX.min(wait.saturating_mul(2));
    }
}

/// Says in the log how many delegations of a list do not hold.
fn warn_of_left_out(key: SessionKey, assembly: AssemblyId, attendance: &Attendance) {
    let SessionKey { tenant, session } = key;
    let count = attendance.left_out().count();
    if count > 0 {
        tracing::warn!(%tenant, %session, %assembly, count, "delegations of an eligible list were left out");
    }
}
