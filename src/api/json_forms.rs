//! The JSON forms of identifiers, moments and enumerations.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::time::Timestamp;
use crate::domain::{attendance, quorum, role, session};

/// The bytes of a file, in the description of the interface.
pub(super) struct BinaryBody;

impl PartialSchema for BinaryBody {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for BinaryBody {}

/// An identifier as a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id<T>(pub(super) T);

impl<T: fmt::Display> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A moment, in RFC 3339.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(pub(super) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse_rfc3339(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom("expected a moment in RFC 3339 format"))
    }
}

/// A member of a merge patch. Must be used with `#[serde(default)]`, which makes absent members.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Member<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// Defines the JSON form of an enumeration of the domain.
macro_rules! json_named_values {
    ($(#[$doc:meta])* $name:ident of $domain:path { $($value:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum $name { $($value),+ }

        impl From<$domain> for $name {
            fn from(word: $domain) -> Self {
                use $domain as Word;
                match word { $(Word::$value => Self::$value),+ }
            }
        }

        impl From<$name> for $domain {
            fn from(word: $name) -> Self {
                match word { $($name::$value => Self::$value),+ }
            }
        }
    };
}

json_named_values!(
    /// Where the people of a session are.
    Modality of session::Modality { Virtual, InPerson, Mixed }
);
json_named_values!(
    /// Who carries the media of a session.
    Provider of session::Provider { Webrtc, GoogleMeet, Zoom }
);
json_named_values!(
    /// The state of a session.
    SessionStatus of session::SessionStatus { Scheduled, Active, Completed, Cancelled }
);
json_named_values!(
    /// Whether the speaking list decides who is heard.
    ModerationMode of session::ModerationMode { Open, Moderated }
);
json_named_values!(
    /// Whose cameras and screens are shown.
    MediaPolicy of session::MediaPolicy { Floor, All }
);
json_named_values!(
    /// Where somebody is present.
    Place of attendance::Place { Hall, Remote }
);
json_named_values!(
    /// What makes somebody present who is connected to the room: being connected,
    /// or being connected and a proof that the identity service validated.
    Admission of quorum::Admission { Channel, Proof }
);
json_named_values!(
    /// Whether the share itself suffices, or it takes more than that.
    Comparison of quorum::Comparison { AtLeast, MoreThan }
);
json_named_values!(
    /// A role of a principal.
    Role of role::Role { Participant, Moderator, Observer, Hall, Operator, Auditor }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_the_field_use_the_same_texts() {
        for word in session::Modality::ALL {
            let json = serde_json::to_value(Modality::from(*word)).expect("a word");
            assert_eq!(json, word.as_str());
        }
        for word in session::Provider::ALL {
            let json = serde_json::to_value(Provider::from(*word)).expect("a word");
            assert_eq!(json, word.as_str());
        }
        for word in session::SessionStatus::ALL {
            let json = serde_json::to_value(SessionStatus::from(*word)).expect("a word");
            assert_eq!(json, word.as_str());
        }
        for word in session::ModerationMode::ALL {
            let json = serde_json::to_value(ModerationMode::from(*word)).expect("a word");
            assert_eq!(json, word.as_str());
        }
        for word in session::MediaPolicy::ALL {
            let json = serde_json::to_value(MediaPolicy::from(*word)).expect("a word");
            assert_eq!(json, word.as_str());
        }
        for word in quorum::Admission::ALL {
            let json = serde_json::to_value(Admission::from(*word)).expect("a word");
            assert_eq!(json, word.as_str());
        }
        for word in quorum::Comparison::ALL {
            let json = serde_json::to_value(Comparison::from(*word)).expect("a word");
            assert_eq!(json, word.as_str());
        }
        for word in role::Role::ALL {
            let json = serde_json::to_value(Role::from(*word)).expect("a word");
            assert_eq!(json, word.as_str());
        }
    }
}
