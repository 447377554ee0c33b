//! Callers and participants: people, devices and services.

use crate::domain::id::{SessionId, TenantId, UserId};
use crate::domain::named_values::named_values;
use crate::domain::role::Roles;
use crate::domain::time::Timestamp;

/// A person or device whose access token and proof of possession were verified. Only `auth` makes
/// one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant whose data it may see.
    pub tenant_id: TenantId,
    /// Its id.
    pub user_id: UserId,
    /// Its roles.
    pub roles: Roles,
    /// Name shown to people, cleaned (`domain::shown_text`); the user id when the token has no name
    /// that can be shown.
    pub name: String,
    /// BCP 47 language the person prefers.
    pub locale: Option<String>,
    /// The only session that it may access, when its token is bound to one.
    pub session_id: Option<SessionId>,
    /// RFC 7638 thumbprint of the key its token is bound to (`cnf.jkt`).
    pub key_thumbprint: Option<String>,
    /// When its token expires, by the clock of the machine, which may be set.
    pub expires_at: Timestamp,
    /// When the token was judged, by the same clock: the time between both is what it has left.
    pub judged_at: Timestamp,
}

/// A service that presented a client certificate on the internal listener.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceName(pub String);

named_values!(
    /// The kind of a participant of a room. All kinds are listed and removed in the same way; the
    /// methods below state the differences.
    ParticipantKind {
        /// A person, or a person's device, with an access token.
        Person => "person",
        /// The recorder of this server.
        Recorder => "recorder",
        /// The transcriber of this server.
        Transcriber => "transcriber",
        /// A camera that this server calls.
        Camera => "camera",
    }
);

impl ParticipantKind {
    /// Whether it counts against the number of participants of the session.
    #[must_use]
    pub const fn takes_place(self) -> bool {
        matches!(self, Self::Person)
    }

    /// Whether it may send audio, which a moderator can mute.
    #[must_use]
    pub const fn is_heard(self) -> bool {
        matches!(self, Self::Person | Self::Camera)
    }

    /// Whether it is there by connections of its own. Others are there while they are listed.
    #[must_use]
    pub const fn has_connections(self) -> bool {
        matches!(self, Self::Person | Self::Camera)
    }

    /// Whether it may be on the speaking list.
    #[must_use]
    pub const fn may_hold_floor(self) -> bool {
        matches!(self, Self::Person)
    }
}
