#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Whether the room is recorded, who decided it, and the recorder as everybody
//! sees it.

use crate::domain::id::UserId;
use crate::domain::participant::ParticipantKind;
use crate::domain::recording::RecordingState;
use crate::domain::time::Timestamp;
use crate::room::action::RecordingAction;
use crate::room::engine::{Goodbye, Member, RoomEngine};
use crate::room::error::RoomError;
use crate::room::event::{Event, RecordingView};

/// The user id under which everybody sees the recorder.
pub const RECORDER_USER_ID: &str = "cabildo:recorder";
/// Most people whose acknowledgement is remembered. At it, one who is no longer
/// in the room is forgotten and asked again when they return. Raising it makes
/// the stored room larger.
pub const ACKNOWLEDGED_MAX: usize = 10_000;

pub(super) const RECORDER_NAME: &str = "Recorder";

/// Whether the server has a recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorder {
    /// Nothing can be recorded, whatever the policy is.
    Absent,
    /// Rooms can be recorded.
    Present,
}

/// The recording of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recording {
    pub(super) recorder: Recorder,
    pub(super) state: RecordingState,
    /// Who decided it; `None` for the policy.
    pub(super) by: Option<UserId>,
    /// What the policy was when it was last followed, so that only its changes
    /// undo what a moderator decided.
    pub(super) followed: bool,
}

impl Recording {
    pub(super) const fn none(recorder: Recorder) -> Self {
        Self { recorder, state: RecordingState::Stopped, by: None, followed: false }
    }
}

impl RoomEngine {
    /// Starts what the policy wants and stops what it no longer wants. What a
    /// moderator paused or stopped stays so until they start it.
    pub(super) fn follow_recording_policy(&mut self, now: Timestamp) {
        let present = self.recording.recorder == Recorder::Present;
        let wanted = self.info.recording.enabled && present;
        let changed = self.recording.followed != wanted;
        self.recording.edit().followed = wanted;
        let is_stopped = self.recording.state == RecordingState::Stopped;
        if !present && !is_stopped {
            self.set_recording(RecordingState::Stopped, None, now);
        } else if changed && wanted && is_stopped && self.recording.by.is_none() {
            self.set_recording(RecordingState::Recording, None, now);
        } else if changed && !wanted && !is_stopped {
            self.set_recording(RecordingState::Stopped, None, now);
        }
    }

    /// Carries out what `user` asks for, whose roles allow it.
    pub(super) fn act_on_recording(
        &mut self,
        user: &UserId,
        action: RecordingAction,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let wanted = match action {
            RecordingAction::Acknowledge => {
                self.acknowledge_recording(user, now);
                return Ok(());
            }
            RecordingAction::Start => RecordingState::Recording,
            RecordingAction::Pause => RecordingState::Paused,
            RecordingAction::Stop => RecordingState::Stopped,
        };
        self.control_recording(wanted, user, now)
    }

    /// A moderator decides about the recording.
    fn control_recording(
        &mut self,
        wanted: RecordingState,
        by: &UserId,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let from = self.recording.state;
        let may_follow = match wanted {
            RecordingState::Recording => from != RecordingState::Recording,
            RecordingState::Paused => from == RecordingState::Recording,
            RecordingState::Stopped => from != RecordingState::Stopped,
        };
        if wanted == RecordingState::Recording && self.recording.recorder == Recorder::Absent {
            return Err(RoomError::RecorderAbsent);
        }
        if !may_follow {
            return Err(RoomError::RecordingStateConflict);
        }
        self.set_recording(wanted, Some(by), now);
        Ok(())
    }

    /// The session is over.
    pub(super) fn end_recording(&mut self, now: Timestamp) {
        if self.recording.state != RecordingState::Stopped {
            self.stop_recording(None, Goodbye::SessionOver, now);
        }
    }

    /// Somebody knows of the recording; told once of each person.
    fn acknowledge_recording(&mut self, user: &UserId, now: Timestamp) {
        if self.acknowledged.contains_key(user) {
            return;
        }
        if self.acknowledged.len() >= ACKNOWLEDGED_MAX {
            let has_left = |other: &&UserId| !self.members.contains_key(*other);
            let forgotten = self.acknowledged.keys().find(has_left).cloned();
            if let Some(forgotten) = forgotten {
                self.acknowledged.remove(&forgotten);
            }
        }
        self.acknowledged.insert(user.clone(), ());
        self.tell(Event::RecordingAcknowledged { user_id: user.as_str().to_owned() }, now);
    }

    /// Whoever is recorded hears when it is kept for longer or shorter.
    pub(super) fn follow_retention(&mut self, before_days: u32, now: Timestamp) {
        let changed = self.info.recording.retention_days != before_days;
        if changed && self.recording.state != RecordingState::Stopped {
            self.tell_recording(now);
        }
    }

    fn set_recording(&mut self, state: RecordingState, by: Option<&UserId>, now: Timestamp) {
        if state == RecordingState::Stopped {
            self.stop_recording(by, Goodbye::Left, now);
            return;
        }
        let comes = self.recording.state == RecordingState::Stopped;
        let recording = self.recording.edit();
        recording.state = state;
        recording.by = by.cloned();
        self.passing.edit().recording_changed = true;
        if comes {
            self.recorder_enters(now);
        }
        self.tell_recording(now);
    }

    pub(super) fn stop_recording(&mut self, by: Option<&UserId>, goodbye: Goodbye, now: Timestamp) {
        let recording = self.recording.edit();
        recording.state = RecordingState::Stopped;
        recording.by = by.cloned();
        self.passing.edit().recording_changed = true;
        self.tell_recording(now);
        if let Some(recorder) = self.recorder() {
            self.end_member(&recorder, goodbye, now);
        }
    }

    fn tell_recording(&mut self, now: Timestamp) {
        let event = Event::RecordingState {
            state: self.recording.state.as_str().to_owned(),
            by: self.recording.by.as_ref().map(|by| by.as_str().to_owned()),
            retention_days: self.info.recording.retention_days,
        };
        self.tell(event, now);
    }

    /// The user id of the recorder, while it is in the room.
    pub(super) fn recorder(&self) -> Option<UserId> {
        let user = RECORDER_USER_ID.parse().ok()?;
        self.members.contains_key(&user).then_some(user)
    }

    /// The recorder comes in.
    fn recorder_enters(&mut self, now: Timestamp) {
        // The id is a constant, which parses.
        let Ok(user) = RECORDER_USER_ID.parse::<UserId>() else { return };
        let (kind, name) = (ParticipantKind::Recorder, RECORDER_NAME.to_owned());
        self.add_member(user.clone(), Member::new(kind, name, now));
        self.tell(Event::ParticipantJoined(self.participant_view(&user)), now);
    }

    pub(super) fn recording_view(&self, user: &UserId) -> RecordingView {
        RecordingView {
            state: self.recording.state.as_str().to_owned(),
            enabled: self.info.recording.enabled,
            retention_days: self.info.recording.retention_days,
            acknowledged: self.acknowledged.contains_key(user),
        }
    }
}
