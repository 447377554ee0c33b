//! Identifiers. Each kind has its own type, so that one can't be passed for another.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use uuid::Uuid;

use crate::domain::shown_text::imitates;

/// A text that is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {expected}")]
pub struct InvalidId {
    /// The expected kind, as a noun ("session id").
    pub expected: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known to name this kind of thing.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Makes a new time-ordered identifier (`UUIDv7`, RFC 9562 §5.7).
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The UUID itself.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts only the hyphenated form, so that each id has one text.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId { expected: $noun };
                if text.len() != 36 {
                    return Err(invalid);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| invalid)
            }
        }
    };
}

uuid_id!(
    /// A decision that can be taken back.
    ActionId, "action id"
);
uuid_id!(
    /// One database with the vault and the keys that belong to it.
    InstallationId, "installation id"
);
uuid_id!(
    /// An organisation whose data no other organisation can see.
    TenantId, "tenant id"
);
uuid_id!(
    /// A governed meeting.
    SessionId, "session id"
);

/// Names a session together with the tenant that it belongs to, so that nothing is looked up, stored
/// or told by the session alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// The tenant of the session.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
}

impl SessionKey {
    /// The session of the tenant.
    #[must_use]
    pub const fn new(tenant: TenantId, session: SessionId) -> Self {
        Self { tenant, session }
    }
}
uuid_id!(
    /// The assembly a session belongs to, as the governance service names it.
    AssemblyId, "assembly id"
);
uuid_id!(
    /// One request to speak.
    RequestId, "request id"
);
uuid_id!(
    /// One turn: the floor, given to one speaker.
    TurnId, "turn id"
);
uuid_id!(
    /// One source of media in a room. Random, so that it reveals nothing about a person.
    TrackId, "track id"
);
uuid_id!(
    /// One track in a recording: a source with one codec, from the beginning of its recording until
    /// its end. Made by [`Self::random`], so that it reveals nothing about a person or a time.
    RecordedTrackId, "recorded track id"
);
uuid_id!(
    /// A playable file made from a recording.
    PlayableId, "playable file id"
);
uuid_id!(
    /// One connection of a person or device to a room.
    ConnectionId, "connection id"
);

uuid_id!(
    /// One viewer's right to watch a camera.
    StreamSessionId, "stream session id"
);
uuid_id!(
    /// A stream of a camera that a client started.
    StreamId, "stream id"
);
uuid_id!(
    /// The sealed address of a camera: another one each time it is sealed.
    CameraSecretId, "camera secret id"
);
uuid_id!(
    /// What one connection of an edge device published into a capture.
    PublicationId, "publication id"
);
uuid_id!(
    /// One run of a server or command, from its start to its end.
    InstanceId, "instance id"
);

impl RecordedTrackId {
    /// Makes a new random identifier without a time (`UUIDv4`, RFC 9562 §5.4).
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

/// An identifier that clients choose and that stands in paths.
macro_rules! chosen_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Longest identifier taken, in bytes. Raising it widens database indexes.
            pub const LENGTH_MAX: usize = 128;

            /// The identifier itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Letters, digits, `-`, `_`, `.` and `:`, not beginning with a dot,
            /// so that it is one plain segment of any path.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
                let fits = (1..=Self::LENGTH_MAX).contains(&text.len());
                if fits && text.bytes().all(plain) && !text.starts_with('.') {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { expected: $noun })
                }
            }
        }
    };
}

chosen_id!(
    /// A camera, as its tenant names it.
    CameraId, "camera id"
);
chosen_id!(
    /// One publication of an edge device, as the device names it.
    CaptureId, "capture session id"
);
chosen_id!(
    /// An edge device, as its tenant names it.
    DeviceId, "device id"
);

/// A person or device as the identity service names it (the `sub` of its access token): 1 to 255
/// characters of any script, without control characters. `OpenID` Connect Core §2 has ASCII only, which
/// not every provider keeps to. Compared as it is written. Printed shortened.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

impl UserId {
    /// Longest identifier accepted, in characters. Raising it makes database indexes larger.
    pub const LENGTH_MAX: usize = 255;
    /// The prefix of the ids of parts of the server that are in rooms as participants. No person
    /// has such an id.
    pub const RESERVED_PREFIX: &str = "cabildo:";

    /// The whole identifier, for stores and messages; logs use `Display`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the id of a part of the server, or can be taken for one by people: where
    /// somebody has no name, their id is shown.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        imitates(&self.0, Self::RESERVED_PREFIX)
    }
}

impl FromStr for UserId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let length = text.chars().take(Self::LENGTH_MAX + 1).count();
        if (1..=Self::LENGTH_MAX).contains(&length) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId { expected: "user id" })
        }
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().take(4).flat_map(char::escape_debug).try_for_each(|it| f.write_char(it))?;
        f.write_char('…')
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_id_has_one_text() {
        let id = SessionId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.as_uuid().simple().to_string().parse::<SessionId>().is_err());
        assert!("".parse::<SessionId>().is_err());
    }

    #[test]
    fn a_chosen_id_is_one_plain_segment_of_a_path() {
        for good in ["cam-1", "Hall_2.left", "urn:cam:7", &"x".repeat(128)] {
            assert!(good.parse::<CameraId>().is_ok(), "{good:?} was refused");
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a%2fb", "a b", "é", &"x".repeat(129)] {
            assert!(bad.parse::<CameraId>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_user_id_is_text_without_control_characters_and_prints_shortened() {
        let user: UserId = "maria.gomez@example".parse().expect("valid");
        assert_eq!(format!("{user:?}"), "UserId(mari…)");
        let user: UserId = "马丽é😀@example".parse().expect("valid");
        assert_eq!(format!("{user:?}"), "UserId(马丽é😀…)");
        let user: UserId = "\u{202e}ana".parse().expect("valid");
        assert_eq!(user.to_string(), "\\u{202e}ana…");
        for good in ["auth0|5f7c", "josé@x.example", "a b", &"x".repeat(255), &"😀".repeat(255)]
        {
            assert!(good.parse::<UserId>().is_ok(), "{good:?} was refused");
        }
        for bad in ["", "a\n", "a\0", "a\u{9b}", &"x".repeat(256), &"😀".repeat(256)] {
            assert!(bad.parse::<UserId>().is_err(), "{bad:?} was taken");
        }
        assert!("cabildo:recorder".parse::<UserId>().expect("valid").is_reserved());
        for posing in
            ["Cabildo:Recorder", "c\u{200b}abildo:x", "сabildo:x", "ｃａｂｉｌｄｏ：x", "cabi1do:x"]
        {
            assert!(posing.parse::<UserId>().expect("valid").is_reserved(), "{posing:?}");
        }
        assert!(!"cabildotes:7".parse::<UserId>().expect("valid").is_reserved());
        assert!(!"cabildo".parse::<UserId>().expect("valid").is_reserved());
    }
}
