//! The table of which role may do what.

use crate::domain::named_values::named_values;

named_values!(
    /// A role of a principal, from its access token.
    Role {
        /// An owner or delegate.
        Participant => "participant",
        /// A chair or secretary.
        Moderator => "moderator",
        /// A person who watches and listens only.
        Observer => "observer",
        /// A device in the hall.
        Hall => "hall",
        /// The operator of the server.
        Operator => "operator",
        /// A person who checks recordings afterwards.
        Auditor => "auditor",
    }
);
named_values!(
    /// A permission. Every route and message asks [`Role::may`] for one of these.
    Action {
        /// Read sessions of the own tenant.
        ReadSession => "read_session",
        /// Patch, start or cancel a session.
        ManageSession => "manage_session",
        /// Be in the room.
        JoinRoom => "join_room",
        /// Send media into the room.
        PublishMedia => "publish_media",
        /// Be heard in a moderated session without having a turn.
        SpeakWithoutTurn => "speak_without_turn",
        /// Lend the microphone to a speaker who has no connection.
        LendMicrophone => "lend_microphone",
        /// Ask for the floor.
        RequestSpeech => "request_speech",
        /// Write to the chat.
        Chat => "chat",
        /// Run the speaking list and its turns.
        ModerateFloor => "moderate_floor",
        /// Mute, unmute, remove and admit people.
        ModeratePeople => "moderate_people",
        /// Watch what was recorded.
        WatchRecording => "watch_recording",
        /// Start, pause and stop the recording.
        ControlRecording => "control_recording",
        /// Provision cameras, start and stop their streams, and see how they are.
        ManageCameras => "manage_cameras",
        /// Read the events of all sessions of the own tenant.
        ReadEvents => "read_events",
        /// Be counted as present, and prove it.
        Attend => "attend",
        /// Register people, mark them as left and enter delegations.
        RegisterAttendance => "register_attendance",
        /// Read who could not take part, and why.
        ReadReport => "read_report",
        /// Read what was said in a session in which one took part.
        ReadTranscript => "read_transcript",
        /// Read what was said in every session of the own tenant.
        ReadEveryTranscript => "read_every_transcript",
        /// Correct what was said, and confirm the minutes.
        CorrectTranscript => "correct_transcript",
    }
);

impl Role {
    /// Whether this role may do `action`. A principal with several roles may do
    /// what any of them may.
    #[must_use]
    pub const fn may(self, action: Action) -> bool {
        use Action as A;
        match self {
            Self::Moderator => {
                !matches!(action, A::LendMicrophone | A::ManageCameras | A::ReadEvents)
            }
            Self::Participant => matches!(
                action,
                A::ReadSession
                    | A::JoinRoom
                    | A::PublishMedia
                    | A::RequestSpeech
                    | A::Chat
                    | A::Attend
                    | A::ReadTranscript
            ),
            Self::Hall => {
                matches!(action, A::ReadSession | A::JoinRoom | A::PublishMedia | A::LendMicrophone)
            }
            Self::Observer => {
                matches!(action, A::ReadSession | A::JoinRoom | A::ReadTranscript)
            }
            Self::Operator => {
                matches!(action, A::ReadSession | A::ManageCameras | A::ReadEvents)
            }
            Self::Auditor => {
                matches!(
                    action,
                    A::ReadSession
                        | A::WatchRecording
                        | A::ReadReport
                        | A::ReadTranscript
                        | A::ReadEveryTranscript
                )
            }
        }
    }
}

/// The roles of one principal: a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// The set of `roles`.
    #[must_use]
    pub fn of(roles: &[Role]) -> Self {
        Self(roles.iter().fold(0, |bits, role| bits | 1 << *role as u8))
    }

    /// Whether any of these roles may do `action`.
    #[must_use]
    pub fn may(self, action: Action) -> bool {
        self.iter().any(|role| role.may(action))
    }

    /// Whether `role` is among them.
    #[must_use]
    pub const fn contains(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// The roles, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.iter().copied().filter(move |role| self.contains(*role))
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table again in another form: one row per action, one column per role. Marked actions
    /// must be allowed and all others denied.
    const TABLE: &[(Action, &str)] = &[
        //                          participant moderator observer hall operator auditor
        (Action::ReadSession, "yes yes yes yes yes yes"),
        (Action::ManageSession, "no yes no no no no"),
        (Action::JoinRoom, "yes yes yes yes no no"),
        (Action::PublishMedia, "yes yes no yes no no"),
        (Action::SpeakWithoutTurn, "no yes no no no no"),
        (Action::LendMicrophone, "no no no yes no no"),
        (Action::RequestSpeech, "yes yes no no no no"),
        (Action::Chat, "yes yes no no no no"),
        (Action::ModerateFloor, "no yes no no no no"),
        (Action::ModeratePeople, "no yes no no no no"),
        (Action::WatchRecording, "no yes no no no yes"),
        (Action::ControlRecording, "no yes no no no no"),
        (Action::ManageCameras, "no no no no yes no"),
        (Action::ReadEvents, "no no no no yes no"),
        (Action::Attend, "yes yes no no no no"),
        (Action::RegisterAttendance, "no yes no no no no"),
        (Action::ReadReport, "no yes no no no yes"),
        (Action::ReadTranscript, "yes yes yes no no yes"),
        (Action::ReadEveryTranscript, "no yes no no no yes"),
        (Action::CorrectTranscript, "no yes no no no no"),
    ];

    #[test]
    fn every_cell_of_the_table_holds() {
        assert_eq!(TABLE.len(), Action::ALL.len(), "an action is missing from the table");
        for (action, row) in TABLE {
            for (role, cell) in Role::ALL.iter().zip(row.split(' ')) {
                assert_eq!(role.may(*action), cell == "yes", "{role} and {action}");
            }
        }
    }

    #[test]
    fn a_set_may_do_what_any_of_its_roles_may() {
        let both = Roles::of(&[Role::Observer, Role::Participant]);
        assert!(both.may(Action::RequestSpeech));
        assert!(!both.may(Action::ModerateFloor));
        assert!(!Roles::default().may(Action::ReadSession));
        assert_eq!(both.iter().collect::<Vec<_>>(), [Role::Participant, Role::Observer]);
    }
}
