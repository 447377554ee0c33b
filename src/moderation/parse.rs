//! Parses the text of a frame into a command. Everything is checked here, so that the rest of the
//! server gets only valid values.

use std::time::Duration;

use serde_json::Value;

use crate::domain::floor::{SpeechKind, Stance};
use crate::domain::id::{RequestId, TrackId, UserId};
use crate::domain::json;
use crate::domain::language::LanguageTag;
use crate::domain::media::TrackSource;
use crate::domain::session::ModerationMode;
use crate::moderation::wire::{ClientMessage, Reference, TransportName};
use crate::room::MediaAfterLoss;
use crate::room::action::{
    Action, ChatAction, FloorAction, MediaFlags, PeopleAction, RecordingAction, TranscriptAction,
};
use crate::sfu::plane::Demand;

/// Longest `id` of a request, in characters.
const REFERENCE_LENGTH_MAX: usize = 64;
/// Most sections of an offer whose source may be given.
const SECTIONS_MAX: usize = 32;

/// A frame that is not a message of the channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Malformed {
    /// The `id` of the message, if that could be read.
    pub reference: Option<Reference>,
    /// The error, as a text for people.
    pub problem: String,
}

/// A message, and the `id` under which it is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The `id`.
    pub reference: Option<Reference>,
    /// The `seq` of the newest event that its sender had seen.
    pub seen: Option<u64>,
    /// The command.
    pub command: Command,
}

/// A message of a client, after all checks.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Authenticate a new connection.
    Authenticate {
        /// Access token.
        token: String,
        /// Proof of possession.
        proof: String,
    },
    /// Resume a lost connection.
    Resume {
        /// The resume token.
        token: String,
        /// `seq` of the last event that the client received.
        last_seq: u64,
        /// Whether the client has lost its transports.
        media: MediaAfterLoss,
    },
    /// Renew the token.
    Renew {
        /// Access token.
        token: String,
        /// Proof of possession.
        proof: String,
    },
    /// Check that the server is alive.
    Ping,
    /// Do something in the room.
    Act(Action),
    /// Publish media.
    Offer {
        /// Session description (RFC 8866).
        sdp: String,
        /// Sections and their sources.
        sources: Vec<(String, TrackSource)>,
    },
    /// Answer an offer of the server.
    Answer {
        /// Session description (RFC 8866).
        sdp: String,
    },
    /// Announce an ICE candidate.
    Candidate,
    /// Restart ICE.
    RestartIce(TransportName),
    /// Subscribe to a track.
    Subscribe {
        /// The track.
        track: TrackId,
        /// The wanted layer, and whether the track is paused.
        demand: Demand,
    },
    /// Unsubscribe from a track.
    Unsubscribe {
        /// The track.
        track: TrackId,
    },
}

/// Parses one frame.
///
/// # Errors
/// [`Malformed`] for anything that is not exactly one message of the channel.
pub fn parse(text: &str) -> Result<Parsed, Malformed> {
    let malformed = |reference: &Option<Reference>, problem: String| Malformed {
        reference: reference.clone(),
        problem,
    };
    let value =
        json::parse(&json::mended(text.as_bytes())).map_err(|problem| malformed(&None, problem))?;
    let Value::Object(mut fields) = value else {
        return Err(malformed(&None, "not a JSON object".to_owned()));
    };
    let reference = fields.remove("id").map(reference).transpose()?;
    let seen = match fields.remove("seen") {
        None => None,
        Some(seen) => Some(seen.as_u64().ok_or_else(|| {
            malformed(&reference, "`seen` must be the number of an event".to_owned())
        })?),
    };
    let message: ClientMessage = json::objects(Value::Object(fields))
        .map_err(|error| malformed(&reference, error.to_string()))?;
    let command = command(message).map_err(|problem| malformed(&reference, problem.to_owned()))?;
    if seen.is_some() && !matches!(command, Command::Act(_)) {
        return Err(malformed(
            &reference,
            "`seen` is allowed only in messages that decide something".to_owned(),
        ));
    }
    Ok(Parsed { reference, seen, command })
}

fn reference(value: Value) -> Result<Reference, Malformed> {
    let bad = || Malformed {
        reference: None,
        problem: "`id` is neither a string of 1 to 64 characters nor an integer".to_owned(),
    };
    let reference: Reference = serde_json::from_value(value).map_err(|_| bad())?;
    match &reference {
        Reference::Text(text) if text.is_empty() || text.chars().count() > REFERENCE_LENGTH_MAX => {
            Err(bad())
        }
        Reference::Text(_) | Reference::Number(_) => Ok(reference),
    }
}

type Problem = &'static str;

/// What a moderator does about a person.
fn about(user_id: &str, action: fn(UserId) -> PeopleAction) -> Result<Command, Problem> {
    Ok(Command::Act(action(user(user_id)?).into()))
}

fn command(message: ClientMessage) -> Result<Command, Problem> {
    use ClientMessage as M;
    Ok(match message {
        M::Authenticate { token, dpop } => Command::Authenticate { token, proof: dpop },
        M::Resume { resume_token, last_seq, media_lost } => Command::Resume {
            token: resume_token,
            last_seq,
            media: if media_lost == Some(true) {
                MediaAfterLoss::Dropped
            } else {
                MediaAfterLoss::Kept
            },
        },
        M::RenewToken { token, dpop } => Command::Renew { token, proof: dpop },
        M::Ping {} => Command::Ping,
        M::Offer { transport, sdp, tracks } => {
            expect(transport, TransportName::Publish)?;
            Command::Offer { sdp, sources: sources(tracks.unwrap_or_default())? }
        }
        M::Answer { transport, sdp } => {
            expect(transport, TransportName::Subscribe)?;
            Command::Answer { sdp }
        }
        M::Candidate { .. } => Command::Candidate,
        M::RestartIce { transport } => Command::RestartIce(transport),
        M::Subscribe { track, max_layer, paused } => {
            let best = Demand::default();
            Command::Subscribe {
                track: track_id(&track)?,
                demand: Demand {
                    layer_max: max_layer.unwrap_or(best.layer_max),
                    paused: paused.unwrap_or(best.paused),
                },
            }
        }
        M::Unsubscribe { track } => Command::Unsubscribe { track: track_id(&track)? },
        M::SetMedia { audio, video, screen } => {
            Command::Act(PeopleAction::SetMedia(MediaFlags { audio, video, screen }).into())
        }
        M::SetLanguage { language, user_id } => {
            let user = user_id.as_deref().map(user).transpose()?;
            let language = language.as_deref().map(language_of).transpose()?;
            Command::Act(PeopleAction::SetLanguage { user, language }.into())
        }
        M::Chat { text } => Command::Act(ChatAction::Say { text }.into()),
        M::CorrectTranscript { seq: of, text } => {
            Command::Act(TranscriptAction::Correct { of, text }.into())
        }
        M::MuteUser { user_id } => about(&user_id, PeopleAction::Mute)?,
        M::UnmuteUser { user_id } => about(&user_id, PeopleAction::Unmute)?,
        M::StopPictures { user_id } => about(&user_id, PeopleAction::StopPictures)?,
        M::AllowPictures { user_id } => about(&user_id, PeopleAction::AllowPictures)?,
        M::RemoveParticipant { user_id } => about(&user_id, PeopleAction::Remove)?,
        M::Admit { user_id } => about(&user_id, PeopleAction::Admit)?,
        M::Undo { action_id } => {
            let id = action_id.parse().map_err(|_| "an action id is a hyphenated UUID")?;
            Command::Act(Action::Undo(id))
        }
        M::StartRecording {} => Command::Act(RecordingAction::Start.into()),
        M::TakeChair {} => Command::Act(PeopleAction::TakeChair.into()),
        M::PauseRecording {} => Command::Act(RecordingAction::Pause.into()),
        M::StopRecording {} => Command::Act(RecordingAction::Stop.into()),
        M::AcknowledgeRecording {} => Command::Act(RecordingAction::Acknowledge.into()),
        floor => Command::Act(floor_action(floor)?.into()),
    })
}

fn floor_action(message: ClientMessage) -> Result<FloorAction, Problem> {
    use ClientMessage as M;
    Ok(match message {
        M::SetModeration { moderation } => {
            let mode = ModerationMode::parse(&moderation);
            FloorAction::SetModeration(mode.ok_or("`moderation` must be open or moderated")?)
        }
        M::RequestSpeech { kind, stance, note } => FloorAction::RequestSpeech {
            kind: kind_of(&kind)?,
            stance: stance.as_deref().map(stance_of).transpose()?,
            note: note.filter(|note| !note.is_empty()),
        },
        M::CancelSpeech { request_id } => {
            FloorAction::CancelSpeech { request: request_id.as_deref().map(request).transpose()? }
        }
        M::EndSpeech {} => FloorAction::EndSpeech,
        M::ApproveSpeech { request_id } => FloorAction::ApproveSpeech(request(&request_id)?),
        M::DenySpeech { request_id, reason } => {
            FloorAction::DenySpeech { request: request(&request_id)?, reason }
        }
        M::StartTurn { request_id, limit_s } => FloorAction::StartTurn {
            request: request_id.as_deref().map(request).transpose()?,
            limit: limit_s.map(|seconds| Duration::from_secs(seconds.into())),
        },
        M::PauseTurn {} => FloorAction::PauseTurn,
        M::ResumeTurn {} => FloorAction::ResumeTurn,
        M::ExtendTurn { seconds } => FloorAction::ExtendTurn(Duration::from_secs(seconds.into())),
        M::StopTurn {} => FloorAction::StopTurn,
        M::ReorderQueue { order } => FloorAction::ReorderQueue(
            order.iter().map(|id| request(id)).collect::<Result<_, Problem>>()?,
        ),
        M::OpenQueue {} => FloorAction::OpenQueue,
        M::CloseQueue {} => FloorAction::CloseQueue,
        M::AddSpeaker { user_id, name, kind } => FloorAction::AddSpeaker {
            user: user(&user_id)?,
            name,
            kind: kind.as_deref().map_or(Ok(SpeechKind::Normal), kind_of)?,
        },
        _ => return Err("no message of the floor"),
    })
}

fn expect(found: TransportName, wanted: TransportName) -> Result<(), Problem> {
    if found == wanted {
        return Ok(());
    }
    Err(match wanted {
        TransportName::Publish => "a client may offer only the publish transport",
        TransportName::Subscribe => "a client may answer only the subscribe transport",
    })
}

fn sources(
    sections: Vec<crate::moderation::wire::SectionSource>,
) -> Result<Vec<(String, TrackSource)>, Problem> {
    if sections.len() > SECTIONS_MAX {
        return Err("`tracks` names more than 32 sections");
    }
    sections
        .into_iter()
        .map(|section| {
            let source = TrackSource::parse(&section.source);
            let source =
                source.ok_or("`source` must be microphone, camera, screen or screen_audio")?;
            Ok((section.mid, source))
        })
        .collect()
}

fn request(text: &str) -> Result<RequestId, Problem> {
    text.parse().map_err(|_| "a request id must be a hyphenated UUID")
}

fn track_id(text: &str) -> Result<TrackId, Problem> {
    text.parse().map_err(|_| "`track` must be a hyphenated UUID")
}

fn user(text: &str) -> Result<UserId, Problem> {
    text.parse().map_err(|_| "`user_id` must have 1 to 255 characters and no control characters")
}

fn language_of(text: &str) -> Result<LanguageTag, Problem> {
    text.parse().map_err(|_| "`language` must be null or a BCP 47 language tag")
}

fn kind_of(text: &str) -> Result<SpeechKind, Problem> {
    SpeechKind::parse(text)
        .ok_or("`kind` must be normal, point_of_order, interposed_question or intervention")
}

fn stance_of(text: &str) -> Result<Stance, Problem> {
    Stance::parse(text).ok_or("`stance` must be pro, contra or neutral")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Malformed {
        parse(text).expect_err(text)
    }

    #[test]
    fn a_message_is_read_with_its_reference() {
        let parsed = parse(r#"{"type":"end_speech","id":7}"#).expect("valid");
        assert_eq!(parsed.reference, Some(Reference::Number(7)));
        assert_eq!(parsed.command, Command::Act(FloorAction::EndSpeech.into()));
        let parsed = parse(r#"{"type":"extend_turn","seconds":30,"id":"a"}"#).expect("valid");
        assert_eq!(parsed.reference, Some(Reference::Text("a".to_owned())));
        assert_eq!(
            parsed.command,
            Command::Act(FloorAction::ExtendTurn(Duration::from_secs(30)).into())
        );
    }

    #[test]
    fn a_section_is_an_object() {
        let offer = |tracks: &str| {
            format!(r#"{{"type":"offer","transport":"publish","sdp":"v=0","tracks":{tracks}}}"#)
        };
        for taken in [r#"[{"mid":"0","source":"camera"}]"#, "[]", "null"] {
            assert!(parse(&offer(taken)).is_ok(), "{taken}");
        }
        assert!(parse(r#"{"type":"offer","transport":"publish","sdp":"v=0"}"#).is_ok());
        for bad in [r#"[["0","camera"]]"#, r#"[{"mid":"1","source":"camera"},["0","screen"]]"#] {
            let problem = refused(&offer(bad)).problem;
            assert!(problem.contains("expected struct SectionSource"), "{problem}");
        }
    }

    #[test]
    fn what_its_sender_had_seen_belongs_to_a_decision() {
        let parsed = parse(r#"{"type":"stop_turn","id":7,"seen":41}"#).expect("valid");
        assert_eq!(
            (parsed.seen, parsed.command),
            (Some(41), Command::Act(FloorAction::StopTurn.into()))
        );
        for text in [
            r#"{"type":"stop_turn","seen":-1}"#,
            r#"{"type":"stop_turn","seen":"41"}"#,
            r#"{"type":"stop_turn","seen":1.5}"#,
            r#"{"type":"ping","seen":41}"#,
            r#"{"type":"stop_turn","seen":41,"seen":42}"#,
        ] {
            refused(text);
        }
    }

    #[test]
    fn what_controls_the_recording_is_read() {
        for (kind, action) in [
            ("start_recording", RecordingAction::Start),
            ("pause_recording", RecordingAction::Pause),
            ("stop_recording", RecordingAction::Stop),
            ("acknowledge_recording", RecordingAction::Acknowledge),
        ] {
            let action = Action::from(action);
            assert_eq!(action.name(), kind);
            let parsed = parse(&format!(r#"{{"type":"{kind}","id":1}}"#)).expect(kind);
            assert_eq!(parsed.command, Command::Act(action));
        }
    }

    #[test]
    fn a_correction_names_a_text() {
        let text = r#"{"type":"correct_transcript","id":1,"seq":12,"text":"Voto a favor."}"#;
        let correct = TranscriptAction::Correct { of: 12, text: "Voto a favor.".to_owned() };
        assert_eq!(parse(text).expect("valid").command, Command::Act(correct.into()));
    }

    #[test]
    fn a_language_is_that_of_the_caller_or_of_somebody_and_null_is_that_of_the_session() {
        for (text, user, language) in [
            (r#"{"type":"set_language","language":"ES-py"}"#, None, Some("es-PY")),
            (r#"{"type":"set_language","language":null,"user_id":null}"#, None, None),
            (r#"{"type":"set_language","language":"en","user_id":"ana"}"#, Some("ana"), Some("en")),
        ] {
            let user = user.map(|user| user.parse().expect("a user id"));
            let language = language.map(|language| language.parse().expect("a language tag"));
            let set = PeopleAction::SetLanguage { user, language };
            assert_eq!(parse(text).expect("valid").command, Command::Act(set.into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [
            "",
            "[]",
            "null",
            "{",
            r#"{"type":"dance"}"#,
            r#"{"id":1}"#,
            r#"{"type":"ping","extra":1}"#,
            r#"{"type":"end_speech","extra":1}"#,
            r#"{"type":"chat"}"#,
            r#"{"type":"chat","text":7}"#,
            r#"{"type":"correct_transcript","seq":-1,"text":"x"}"#,
            r#"{"type":"correct_transcript","seq":1}"#,
            r#"{"type":"extend_turn","seconds":-1}"#,
            r#"{"type":"request_speech","kind":"song"}"#,
            r#"{"type":"approve_speech","request_id":"7"}"#,
            r#"{"type":"mute_user","user_id":"\u0007"}"#,
            r#"{"type":"stop_pictures"}"#,
            r#"{"type":"set_language"}"#,
            r#"{"type":"set_language","language":"es_PY"}"#,
            r#"{"type":"set_language","language":"","user_id":"ana"}"#,
            r#"{"type":"set_language","language":"es","user_id":""}"#,
            r#"{"type":"allow_pictures","user_id":"\u0007"}"#,
            r#"{"type":"offer","transport":"subscribe","sdp":""}"#,
            r#"{"type":"answer","transport":"publish","sdp":""}"#,
            r#"{"type":"set_moderation","moderation":"wild"}"#,
            r#"{"type":"take_chair","user_id":"u"}"#,
            r#"{"type":"undo"}"#,
            r#"{"type":"undo","action_id":"7"}"#,
            r#"{"type":"start_recording","by":"u"}"#,
            r#"{"type":"pause_recording","seconds":9}"#,
            r#"{"type":"stop_recording","user_id":"u"}"#,
            r#"{"type":"acknowledge_recording","user_id":"u"}"#,
            r#"{"type":"recording_state","state":"stopped"}"#,
            r#"{"type":"evidence_head","tree_size":1,"root":"","cose":""}"#,
        ] {
            refused(text);
        }
    }

    #[test]
    fn a_bad_reference_is_refused_and_a_good_one_survives_a_bad_message() {
        let long = format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(65));
        for text in [&long, r#"{"type":"ping","id":""}"#, r#"{"type":"ping","id":1.5}"#] {
            assert_eq!(refused(text).reference, None);
        }
        let reference = refused(r#"{"type":"dance","id":9}"#).reference;
        assert_eq!(reference, Some(Reference::Number(9)));
    }
}
