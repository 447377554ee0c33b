//! Reading what governance tells: `CloudEvents` 1.0 in Kafka, in binary mode with a
//! payload in protobuf or JSON, or in structured mode in JSON.

use std::str::FromStr;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::payloads::{AssemblyActivated, AssemblyCompleted, VoteStarted};
use crate::domain::arrival::Arrival;
use crate::domain::id::{AssemblyId, SessionId, TenantId};
use crate::domain::json::{mended, objects, read_objects};
use crate::domain::named_values::named_values;
use crate::domain::time::Timestamp;
use crate::kafka::Incoming;
use crate::room::action::Vote;

/// Largest message that is read, in bytes: far more than these events need.
pub const MESSAGE_BYTES_MAX: usize = 65_536;
/// Longest `id`, `source` and name of a vote, in bytes: they are keys in a database.
pub const NAME_BYTES_MAX: usize = 256;

named_values!(
    /// Why a message is not an event that can be acted on.
    Unusable {
        /// It is larger than [`MESSAGE_BYTES_MAX`].
        TooLarge => "MESSAGE_TOO_LARGE",
        /// An attribute that every event has is missing, too long or no text.
        Attribute => "ATTRIBUTE_INVALID",
        /// Its content is of a type that is not read.
        ContentType => "CONTENT_TYPE_UNKNOWN",
        /// It is an event of a type that is not acted on.
        Type => "EVENT_TYPE_UNKNOWN",
        /// Its content is not what its type says.
        Content => "CONTENT_UNREADABLE",
        /// An id or a time in it is not one.
        Field => "FIELD_INVALID",
    }
);

/// An event of governance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GovernanceEvent {
    /// What names it.
    pub arrival: Arrival,
    /// Whose assembly.
    pub tenant: TenantId,
    /// The assembly.
    pub assembly: AssemblyId,
    /// The one session that is meant; all of the assembly when `None`.
    pub session: Option<SessionId>,
    /// What happened.
    pub what: Told,
}

/// What governance tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// `assembly.activated.v1`.
    Activated,
    /// `assembly.completed.v1`.
    Completed,
    /// `vote.started.v1`.
    VoteStarted(Vote),
}

impl Told {
    /// The type of the event.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Activated => ACTIVATED,
            Self::Completed => COMPLETED,
            Self::VoteStarted(_) => VOTE_STARTED,
        }
    }
}

const ACTIVATED: &str = "assembly.activated.v1";
const COMPLETED: &str = "assembly.completed.v1";
const VOTE_STARTED: &str = "vote.started.v1";

/// How the content of an event is written.
enum Content {
    Protobuf(Vec<u8>),
    Json(Value),
}

/// The structured mode in JSON.
#[derive(Deserialize)]
struct Structured {
    specversion: String,
    id: String,
    source: String,
    r#type: String,
    data: Value,
}

impl GovernanceEvent {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is not an event that can be acted on.
    pub fn read(message: &Incoming) -> Result<Self, Unusable> {
        if message.size() > MESSAGE_BYTES_MAX {
            return Err(Unusable::TooLarge);
        }
        let content_type = message.header("content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let (version, id, source, kind, content) = match media_type {
            "application/cloudevents+json" => {
                let text = mended(&message.value);
                let read: Structured = read_objects(&text).map_err(|_| Unusable::Content)?;
                (read.specversion, read.id, read.source, read.r#type, Content::Json(read.data))
            }
            "application/protobuf" | "application/x-protobuf" => {
                let [version, id, source, kind] = attributes(message)?;
                (version, id, source, kind, Content::Protobuf(message.value.clone()))
            }
            "application/json" => {
                let [version, id, source, kind] = attributes(message)?;
                let data = serde_json::from_str(&mended(&message.value));
                let data = data.map_err(|_| Unusable::Content)?;
                (version, id, source, kind, Content::Json(data))
            }
            _ => return Err(Unusable::ContentType),
        };
        let is_named = |text: &str| (1..=NAME_BYTES_MAX).contains(&text.len());
        // PostgreSQL stores no text with a zero in it.
        if version != "1.0" || ![&id, &source].iter().all(|it| is_named(it) && !it.contains('\0')) {
            return Err(Unusable::Attribute);
        }
        let arrival = Arrival { source, id };
        match kind.as_str() {
            ACTIVATED => {
                let AssemblyActivated { tenant_id, assembly_id, session_id, .. } =
                    content.read()?;
                Self::new(arrival, (&tenant_id, &assembly_id, session_id), Told::Activated)
            }
            COMPLETED => {
                let AssemblyCompleted { tenant_id, assembly_id, session_id, .. } =
                    content.read()?;
                Self::new(arrival, (&tenant_id, &assembly_id, session_id), Told::Completed)
            }
            VOTE_STARTED => {
                let told: VoteStarted = content.read()?;
                let vote = vote_of(&told)?;
                let ids = (told.tenant_id.as_str(), told.assembly_id.as_str(), told.session_id);
                Self::new(arrival, ids, Told::VoteStarted(vote))
            }
            _ => Err(Unusable::Type),
        }
    }

    fn new(
        arrival: Arrival,
        (tenant, assembly, session): (&str, &str, Option<String>),
        what: Told,
    ) -> Result<Self, Unusable> {
        let session = session.as_deref().filter(|text| !text.is_empty());
        Ok(Self {
            arrival,
            tenant: parsed(tenant)?,
            assembly: parsed(assembly)?,
            session: session.map(parsed).transpose()?,
            what,
        })
    }
}

impl Content {
    fn read<T: prost::Message + Default + DeserializeOwned>(self) -> Result<T, Unusable> {
        match self {
            Self::Protobuf(bytes) => T::decode(bytes.as_slice()).map_err(|_| Unusable::Content),
            Self::Json(value) => objects(value).map_err(|_| Unusable::Content),
        }
    }
}

/// `specversion`, `id`, `source` and `type` of the binary mode.
fn attributes(message: &Incoming) -> Result<[String; 4], Unusable> {
    let attribute = |name: &str| message.header(name).map(str::to_owned).ok_or(Unusable::Attribute);
    Ok([
        attribute("ce_specversion")?,
        attribute("ce_id")?,
        attribute("ce_source")?,
        attribute("ce_type")?,
    ])
}

fn vote_of(told: &VoteStarted) -> Result<Vote, Unusable> {
    let is_named = (1..=NAME_BYTES_MAX).contains(&told.vote_id.len());
    let is_plain = told.vote_id.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_named || !is_plain {
        return Err(Unusable::Field);
    }
    let moment = |text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        text.map(|text| Timestamp::parse_rfc3339(text).ok_or(Unusable::Field)).transpose()
    };
    Ok(Vote {
        id: told.vote_id.clone(),
        title: told.title.clone(),
        started_at: moment(&told.started_at)?,
        ends_at: moment(&told.ends_at)?,
    })
}

fn parsed<T: FromStr>(text: &str) -> Result<T, Unusable> {
    text.parse().map_err(|_| Unusable::Field)
}
