//! The messages of `proto/cabildo/events/v1`: protobuf, and JSON with the same
//! fields. A test compares them with the schema, field by field.

/// `session.created.v1`: a session was created and is scheduled.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct SessionCreated {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// The assembly that it belongs to.
    #[prost(string, tag = "3")]
    pub assembly_id: String,
    /// Its title, for people.
    #[prost(string, tag = "4")]
    pub title: String,
    /// `virtual`, `in_person` or `mixed`.
    #[prost(string, tag = "5")]
    pub modality: String,
    /// `webrtc`, `google_meet` or `zoom`.
    #[prost(string, tag = "6")]
    pub provider: String,
    /// When it is to start, if that was said.
    #[prost(string, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_start_at: Option<String>,
    /// When it is to end, if that was said.
    #[prost(string, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_end_at: Option<String>,
    /// Most people in it at once.
    #[prost(uint32, tag = "9")]
    pub max_participants: u32,
    /// `open` or `moderated`.
    #[prost(string, tag = "10")]
    pub moderation: String,
    /// Counts the changes of the session, from 1.
    #[prost(uint64, tag = "11")]
    pub version: u64,
    /// When it was created.
    #[prost(string, tag = "12")]
    pub created_at: String,
}

/// `session.started.v1`: a session became active.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct SessionStarted {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// The assembly that it belongs to.
    #[prost(string, tag = "3")]
    pub assembly_id: String,
    /// `virtual`, `in_person` or `mixed`.
    #[prost(string, tag = "4")]
    pub modality: String,
    /// `webrtc`, `google_meet` or `zoom`.
    #[prost(string, tag = "5")]
    pub provider: String,
    /// Counts the changes of the session.
    #[prost(uint64, tag = "6")]
    pub version: u64,
    /// When it started.
    #[prost(string, tag = "7")]
    pub started_at: String,
}

/// `session.ended.v1`: a session is over, because it was completed or cancelled.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct SessionEnded {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// The assembly that it belongs to.
    #[prost(string, tag = "3")]
    pub assembly_id: String,
    /// `completed` or `cancelled`.
    #[prost(string, tag = "4")]
    pub status: String,
    /// Counts the changes of the session.
    #[prost(uint64, tag = "5")]
    pub version: u64,
    /// When it started, if it ever did.
    #[prost(string, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[prost(string, tag = "7")]
    pub ended_at: String,
}

/// `attendance.validated.v1`: a person has proved that they are present, or was
/// registered by a moderator.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct AttendanceValidated {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// Who.
    #[prost(string, tag = "3")]
    pub user_id: String,
    /// `qr`, `biometric`, `code` or `manual`.
    #[prost(string, tag = "4")]
    pub method: String,
    /// `hall` or `remote`.
    #[prost(string, tag = "5")]
    pub place: String,
    /// Whether they are present now: who is remote is once they are connected.
    #[prost(bool, tag = "6")]
    pub present: bool,
    /// Weight of their own units, a decimal number.
    #[prost(string, tag = "7")]
    pub weight: String,
    /// The moderator who registered them.
    #[prost(string, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_by: Option<String>,
    /// When.
    #[prost(string, tag = "9")]
    pub validated_at: String,
}

/// `attendee.left.v1`: a person's last connection to the session is gone, or they
/// are no longer present although it is not.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct AttendeeLeft {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// Who.
    #[prost(string, tag = "3")]
    pub user_id: String,
    /// `left`, `disconnected` or `removed`; `marked_left`, `taken_back` or
    /// `proof_required` of somebody who is no longer present.
    #[prost(string, tag = "4")]
    pub reason: String,
    /// When.
    #[prost(string, tag = "5")]
    pub left_at: String,
}

/// `speech.requested.v1`: somebody asked for the floor.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct SpeechRequested {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// The request.
    #[prost(string, tag = "3")]
    pub request_id: String,
    /// Whose.
    #[prost(string, tag = "4")]
    pub user_id: String,
    /// `normal`, `point_of_order`, `interposed_question` or `intervention`.
    #[prost(string, tag = "5")]
    pub kind: String,
    /// `pro`, `contra` or `neutral`, if they said so.
    #[prost(string, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stance: Option<String>,
    /// Whether a moderator entered it for a person in the hall.
    #[prost(bool, tag = "7")]
    pub in_hall: bool,
    /// When they asked.
    #[prost(string, tag = "8")]
    pub requested_at: String,
}

/// `speech.approved.v1`: a moderator took a request into the speaking list.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct SpeechApproved {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// The request.
    #[prost(string, tag = "3")]
    pub request_id: String,
    /// Whose.
    #[prost(string, tag = "4")]
    pub user_id: String,
    /// When.
    #[prost(string, tag = "5")]
    pub approved_at: String,
}

/// `speech.denied.v1`: a moderator refused a request.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct SpeechDenied {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// The request.
    #[prost(string, tag = "3")]
    pub request_id: String,
    /// Whose.
    #[prost(string, tag = "4")]
    pub user_id: String,
    /// Why, if the moderator said so.
    #[prost(string, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    #[prost(string, tag = "6")]
    pub denied_at: String,
}

/// `transcript.chunk.v1`: somebody said something, and this is the text of it. A correction of it
/// is not told; the session's transcript has both.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct TranscriptChunk {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// The number of the event in the session, by which a correction names it.
    #[prost(uint64, tag = "3")]
    pub seq: u64,
    /// Who spoke: the owner of the microphone, or whoever had the hall's turn.
    #[prost(string, tag = "4")]
    pub participant: String,
    /// In which turn, when it was in one of theirs.
    #[prost(string, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// What they said.
    #[prost(string, tag = "6")]
    pub text: String,
    /// How sure the engine is of it, from 0 to 1.
    #[prost(float, tag = "7")]
    pub confidence: f32,
    /// When they began.
    #[prost(string, tag = "8")]
    pub from: String,
    /// When they stopped.
    #[prost(string, tag = "9")]
    pub to: String,
    /// Whether the text stays; always true here.
    #[prost(bool, tag = "10")]
    pub r#final: bool,
    /// What recognised it.
    #[prost(string, tag = "11")]
    pub engine: String,
    /// The language, a BCP 47 tag.
    #[prost(string, tag = "12")]
    pub language: String,
}

/// `recording.sealed.v1`: everything that was recorded of a session is stored and in
/// its log, which is closed. Whoever wants to check it asks for the session's proof.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct RecordingSealed {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// How many tracks were recorded.
    #[prost(uint32, tag = "3")]
    pub tracks: u32,
    /// Of how many sealed segments.
    #[prost(uint64, tag = "4")]
    pub segments: u64,
    /// Their size.
    #[prost(uint64, tag = "5")]
    pub bytes: u64,
    /// How many entries the log has, the one that closes it included.
    #[prost(uint64, tag = "6")]
    pub log_entries: u64,
    /// When.
    #[prost(string, tag = "7")]
    pub sealed_at: String,
}

/// `stream.status.v1`: somebody's sound or picture can be received in the room of a
/// session, or no longer. Cameras and hall devices are participants like people.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct StreamStatus {
    /// Whose session.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The session.
    #[prost(string, tag = "2")]
    pub session_id: String,
    /// The stream.
    #[prost(string, tag = "3")]
    pub stream_id: String,
    /// Whose it is.
    #[prost(string, tag = "4")]
    pub user_id: String,
    /// `live` or `ended`.
    #[prost(string, tag = "5")]
    pub status: String,
    /// `audio` or `video`, of one that is live.
    #[prost(string, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `microphone`, `camera`, `screen` or `screen_audio`, of one that is live.
    #[prost(string, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `opus`, `vp8`, `h264`, `vp9` or `av1`, of one that is live.
    #[prost(string, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// When.
    #[prost(string, tag = "9")]
    pub changed_at: String,
}
