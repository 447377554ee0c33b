//! Which events are told outside, and as what. An event of the server becomes a
//! public one here and nowhere else; to tell another one, add its message to
//! `proto/`, a line to `payloads!` and an arm to [`Payload::of`].

use super::payloads as p;
use crate::domain::session::SessionStatus;
use crate::domain::time::Timestamp;
use crate::events::{EventSource, OutboxEvent};
use crate::room::event::{Event, Told};
use crate::sessions::{SessionEvent, SessionEventKind};

/// What ids of participants that are no people begin with.
const NOT_A_PERSON: &str = "cabildo:";

macro_rules! payloads {
    ($($variant:ident => $kind:literal,)+) => {
        /// What is told of an event: a message of `proto/cabildo/events/v1`.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Payload {
            $(#[doc = concat!("`", $kind, "`")] $variant(p::$variant),)+
        }

        impl Payload {
            /// Every type of event that is told, with the name of its message.
            pub const KINDS: &'static [(&'static str, &'static str)] =
                &[$(($kind, stringify!($variant)),)+];

            /// The type of the event.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)+ }
            }

            /// The payload in JSON.
            #[must_use]
            pub fn to_json(&self) -> serde_json::Value {
                let json = match self { $(Self::$variant(message) => serde_json::to_value(message),)+ };
                json.unwrap_or_default()
            }

            /// The payload in protobuf.
            #[must_use]
            pub fn to_protobuf(&self) -> Vec<u8> {
                match self { $(Self::$variant(message) => prost::Message::encode_to_vec(message),)+ }
            }
        }
    };
}

payloads! {
    SessionCreated => "session.created.v1",
    SessionStarted => "session.started.v1",
    SessionEnded => "session.ended.v1",
    AttendeeLeft => "attendee.left.v1",
    SpeechRequested => "speech.requested.v1",
    SpeechApproved => "speech.approved.v1",
    SpeechDenied => "speech.denied.v1",
}

impl Payload {
    /// What is told of an event; `None` for one that is not told outside.
    pub(super) fn of(event: &OutboxEvent) -> Option<Self> {
        let payload = match event.source {
            EventSource::Session => of_session(event),
            EventSource::Room => of_room(event),
        };
        payload.unwrap_or_else(|Unreadable| {
            let OutboxEvent { session, source, seq, .. } = event;
            tracing::error!(%session, %source, seq, "an event can't be read and is not told");
            None
        })
    }
}

/// What was kept of an event is not what this version reads.
struct Unreadable;

fn of_session(event: &OutboxEvent) -> Result<Option<Payload>, Unreadable> {
    let read = SessionEvent::read(&event.kind, event.at, &event.payload).ok_or(Unreadable)?;
    let SessionEvent { kind, at, session } = read;
    let (tenant_id, session_id) = (session.tenant_id.to_string(), session.id.to_string());
    let assembly_id = session.assembly_id.to_string();
    let text = |moment: Option<Timestamp>| moment.map(|moment| moment.to_string());
    Ok(Some(match kind {
        SessionEventKind::Created => Payload::SessionCreated(p::SessionCreated {
            tenant_id,
            session_id,
            assembly_id,
            title: session.title,
            modality: session.modality.as_str().to_owned(),
            provider: session.provider.as_str().to_owned(),
            scheduled_start_at: text(session.scheduled_start_at),
            scheduled_end_at: text(session.scheduled_end_at),
            max_participants: session.max_participants,
            moderation: session.moderation.as_str().to_owned(),
            version: session.version,
            created_at: session.created_at.to_string(),
        }),
        SessionEventKind::Started => Payload::SessionStarted(p::SessionStarted {
            tenant_id,
            session_id,
            assembly_id,
            modality: session.modality.as_str().to_owned(),
            provider: session.provider.as_str().to_owned(),
            version: session.version,
            started_at: session.started_at.unwrap_or(at).to_string(),
        }),
        SessionEventKind::Ended | SessionEventKind::Cancelled => {
            let status = match kind {
                SessionEventKind::Ended => SessionStatus::Completed,
                _ => SessionStatus::Cancelled,
            };
            Payload::SessionEnded(p::SessionEnded {
                tenant_id,
                session_id,
                assembly_id,
                status: status.as_str().to_owned(),
                version: session.version,
                started_at: text(session.started_at),
                ended_at: session.ended_at.unwrap_or(at).to_string(),
            })
        }
        SessionEventKind::Changed => return Ok(None),
    }))
}

fn of_room(event: &OutboxEvent) -> Result<Option<Payload>, Unreadable> {
    let told = ["participant_left", "speech_request_received", "speech_approved", "speech_denied"];
    if !told.contains(&event.kind.as_str()) {
        return Ok(None);
    }
    let (tenant_id, session_id) = (event.tenant.to_string(), event.session.to_string());
    let Told { at, event, .. } = serde_json::from_str(&event.payload).map_err(|_| Unreadable)?;
    Ok(match event {
        Event::ParticipantLeft { user_id, .. } if user_id.starts_with(NOT_A_PERSON) => None,
        Event::ParticipantLeft { user_id, reason } => {
            Some(Payload::AttendeeLeft(p::AttendeeLeft {
                tenant_id,
                session_id,
                user_id,
                reason,
                left_at: at,
            }))
        }
        Event::SpeechRequestReceived(request) => {
            Some(Payload::SpeechRequested(p::SpeechRequested {
                tenant_id,
                session_id,
                request_id: request.request_id,
                user_id: request.user_id,
                kind: request.kind,
                stance: request.stance,
                in_hall: request.in_hall,
                requested_at: request.requested_at,
            }))
        }
        Event::SpeechApproved { request_id, user_id } => {
            Some(Payload::SpeechApproved(p::SpeechApproved {
                tenant_id,
                session_id,
                request_id,
                user_id,
                approved_at: at,
            }))
        }
        Event::SpeechDenied { request_id, user_id, reason } => {
            Some(Payload::SpeechDenied(p::SpeechDenied {
                tenant_id,
                session_id,
                request_id,
                user_id,
                reason,
                denied_at: at,
            }))
        }
        _ => None,
    })
}
