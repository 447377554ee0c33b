//! Which events are told outside, and as what. An event of the server becomes a
//! public one here and nowhere else; to tell another one, add its message to
//! `proto/`, a line to `payloads!` and an arm to [`Payload::of`].

use super::payloads as p;
use crate::domain::session::SessionStatus;
use crate::domain::time::Timestamp;
use crate::events::{EventSource, OutboxEvent, SealedRecording};
use crate::room::event::{Event, Told, TranscriptChunkView};
use crate::sessions::{SessionEvent, SessionEventKind};

/// What ids of participants that are no people begin with.
const NOT_A_PERSON: &str = "cabildo:";
/// Why attendance ended of somebody whose connections are gone.
const DISCONNECTED: &str = "disconnected";

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
    AttendanceValidated => "attendance.validated.v1",
    AttendeeLeft => "attendee.left.v1",
    SpeechRequested => "speech.requested.v1",
    SpeechApproved => "speech.approved.v1",
    SpeechDenied => "speech.denied.v1",
    TranscriptChunk => "transcript.chunk.v1",
    RecordingSealed => "recording.sealed.v1",
    StreamStatus => "stream.status.v1",
}

impl Payload {
    /// Whether the event stays when the recording of its session is erased: it is one of the session
    /// or of its recording, and names nobody.
    pub(super) const fn outlives_erasure(&self) -> bool {
        matches!(
            self,
            Self::SessionCreated(_)
                | Self::SessionStarted(_)
                | Self::SessionEnded(_)
                | Self::RecordingSealed(_)
        )
    }

    /// What is told of an event; `None` for one that is not told outside.
    pub(super) fn of(event: &OutboxEvent) -> Option<Self> {
        let payload = match event.source {
            EventSource::Session => of_session(event),
            EventSource::Room => of_room(event),
            EventSource::Recording => of_recording(event),
            // Its outcome is an event of the room.
            EventSource::Governance => Ok(None),
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

fn of_recording(event: &OutboxEvent) -> Result<Option<Payload>, Unreadable> {
    let sealed: SealedRecording = serde_json::from_str(&event.payload).map_err(|_| Unreadable)?;
    Ok(Some(Payload::RecordingSealed(p::RecordingSealed {
        tenant_id: event.tenant.to_string(),
        session_id: event.session.to_string(),
        tracks: sealed.tracks,
        segments: sealed.segments,
        bytes: sealed.bytes,
        log_entries: sealed.log_entries,
        sealed_at: event.at.to_string(),
    })))
}

fn of_room(event: &OutboxEvent) -> Result<Option<Payload>, Unreadable> {
    let told = [
        "participant_left",
        "attendance_changed",
        "speech_request_received",
        "speech_approved",
        "speech_denied",
        "transcript_chunk",
        "track_published",
        "track_unpublished",
    ];
    if !told.contains(&event.kind.as_str()) {
        return Ok(None);
    }
    let ids = (event.tenant.to_string(), event.session.to_string());
    let Told { seq, at, event, .. } =
        serde_json::from_str(&event.payload).map_err(|_| Unreadable)?;
    Ok(match event {
        Event::SpeechRequestReceived(_)
        | Event::SpeechApproved { .. }
        | Event::SpeechDenied { .. } => of_speech(ids, at, event),
        Event::TrackPublished(_) | Event::TrackUnpublished { .. } => of_stream(ids, at, event),
        Event::TranscriptChunk(chunk) => Some(of_transcript(ids, seq, chunk)),
        event => of_presence(ids, at, event),
    })
}

/// What is told of who is in the room and who is present.
fn of_presence(
    (tenant_id, session_id): (String, String),
    at: String,
    event: Event,
) -> Option<Payload> {
    match event {
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
        Event::AttendanceChanged(view) if view.change == "validated" => {
            Some(Payload::AttendanceValidated(p::AttendanceValidated {
                tenant_id,
                session_id,
                user_id: view.user_id,
                method: view.method,
                place: view.place,
                present: view.present,
                weight: view.weight,
                registered_by: view.by,
                validated_at: at,
            }))
        }
        // Who is disconnected is told of when the participant has left.
        Event::AttendanceChanged(view)
            if view.change == "left" && view.cause.as_deref() != Some(DISCONNECTED) =>
        {
            Some(Payload::AttendeeLeft(p::AttendeeLeft {
                tenant_id,
                session_id,
                user_id: view.user_id,
                reason: view.cause.unwrap_or_default(),
                left_at: at,
            }))
        }
        _ => None,
    }
}

/// What is told of somebody's sound or picture.
fn of_stream(
    (tenant_id, session_id): (String, String),
    at: String,
    event: Event,
) -> Option<Payload> {
    match event {
        Event::TrackPublished(track) => Some(Payload::StreamStatus(p::StreamStatus {
            tenant_id,
            session_id,
            stream_id: track.track,
            user_id: track.user_id,
            status: "live".to_owned(),
            kind: Some(track.kind),
            source: Some(track.source),
            codec: Some(track.codec),
            changed_at: at,
        })),
        Event::TrackUnpublished { track, user_id } => {
            Some(Payload::StreamStatus(p::StreamStatus {
                tenant_id,
                session_id,
                stream_id: track,
                user_id,
                status: "ended".to_owned(),
                changed_at: at,
                ..p::StreamStatus::default()
            }))
        }
        _ => None,
    }
}

/// What is told of what was said.
fn of_transcript(
    (tenant_id, session_id): (String, String),
    seq: u64,
    chunk: TranscriptChunkView,
) -> Payload {
    Payload::TranscriptChunk(p::TranscriptChunk {
        tenant_id,
        session_id,
        seq,
        participant: chunk.participant,
        turn: chunk.turn,
        text: chunk.text,
        confidence: chunk.confidence,
        from: chunk.from,
        to: chunk.to,
        r#final: chunk.r#final,
        engine: chunk.engine,
        language: chunk.language,
    })
}

/// What is told of requests to speak.
fn of_speech(
    (tenant_id, session_id): (String, String),
    at: String,
    event: Event,
) -> Option<Payload> {
    match event {
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
    }
}
