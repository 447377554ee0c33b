//! Whoever acts: people, devices and services.

use crate::domain::id::{SessionId, TenantId, UserId};
use crate::domain::role::Roles;
use crate::domain::time::Timestamp;
use crate::domain::words::words;

/// A person or device whose access token and proof of possession have been
/// checked. Only `auth` makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose data it may see.
    pub tenant_id: TenantId,
    /// Who it is.
    pub user_id: UserId,
    /// What it is.
    pub roles: Roles,
    /// Name for people, cleaned (`domain::shown_text`); the user id when the token
    /// has none that can be shown.
    pub name: String,
    /// BCP 47 language the person prefers.
    pub locale: Option<String>,
    /// The only session it may touch, when its token is bound to one.
    pub session_id: Option<SessionId>,
    /// RFC 7638 thumbprint of the key its token is bound to (`cnf.jkt`).
    pub key_thumbprint: Option<String>,
    /// When its token expires.
    pub expires_at: Timestamp,
}

/// A service that showed a client certificate on the internal listener.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceName(pub String);

words!(
    /// What a participant of a room is. All are listed and removed alike; this is
    /// the table of what differs.
    ParticipantKind {
        /// Somebody who came with an access token: a person, or a device of one.
        Person => "person",
        /// The recorder of this server.
        Recorder => "recorder",
    }
);

impl ParticipantKind {
    /// Whether it takes one of the places that a session has.
    #[must_use]
    pub const fn takes_place(self) -> bool {
        matches!(self, Self::Person)
    }

    /// Whether it may send sound, which a moderator can then mute.
    #[must_use]
    pub const fn is_heard(self) -> bool {
        matches!(self, Self::Person)
    }

    /// Whether it may stand in the speaking list.
    #[must_use]
    pub const fn may_hold_floor(self) -> bool {
        matches!(self, Self::Person)
    }
}
