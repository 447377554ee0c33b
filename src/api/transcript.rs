//! `/api/v1/sessions/{id}/transcript`: what was said.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::body::{WholeBody, json, query};
use super::caller::{Credentials, permit, see};
use super::error::ApiError;
use super::idempotency::once_of;
use super::json_forms::{Id, Moment};
use super::refusals::{BODY, READER, REPEATABLE, WRITER, refusals};
use super::sessions::session_id;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, SessionKey};
use crate::domain::participant::Principal;
use crate::domain::role::Action;
use crate::domain::shown_text::ShownText;
use crate::domain::time::Timestamp;
use crate::evidence::EventKind;
use crate::history::{Correction, Piece, Said, Transcript, TurnText};
use crate::room::error::RoomError;

/// Most pieces or turns of a page. Raising it makes answers larger.
const PAGE_MAX: usize = 500;
/// Most corrections of a text that are taken after its session. Those during the session are bounded by
/// the budget of whoever writes. Raising it makes pages larger.
const CORRECTIONS_MAX: usize = 100;
/// Pieces or turns of a page when nobody says how many.
const PAGE_DEFAULT: usize = 100;

/// The form of a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// Page by page.
    #[default]
    Json,
    /// The whole transcript as `WebVTT`; times count from the start of the session.
    Vtt,
    /// The whole transcript as lines of text.
    Txt,
}

/// What belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum By {
    /// Each piece of speech stands alone.
    #[default]
    Piece,
    /// What was said in one turn stands together.
    Turn,
}

/// What of a transcript is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TranscriptParameters {
    /// `json`, page by page; `vtt` or `txt`, the whole. `json` when absent.
    format: Option<Format>,
    /// `piece`, or `turn`: what was said in one turn together. `piece` when absent. `WebVTT` is by
    /// piece.
    by: Option<By>,
    /// How many, 1 to 500; 100 when absent. Only with `json`.
    limit: Option<usize>,
    /// The `next_cursor` of the page before. Only with `json`.
    cursor: Option<String>,
}

/// A page of pieces of speech, by their number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transcript)]
struct TranscriptBody {
    #[schema(value_type = String, format = Uuid)]
    session_id: Id<SessionId>,
    items: Vec<PieceBody>,
    /// Null on the last page. A session that goes on has more later.
    next_cursor: Option<String>,
}

/// A page of turns, by the time of their first piece.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TranscriptByTurn)]
struct TurnsBody {
    #[schema(value_type = String, format = Uuid)]
    session_id: Id<SessionId>,
    turns: Vec<TurnBody>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// What was said in one turn, or in a row without one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TranscriptTurn)]
struct TurnBody {
    turn: Option<String>,
    participant: String,
    /// Empty when nobody said it.
    name: String,
    #[schema(value_type = String, format = DateTime)]
    from: Moment,
    #[schema(value_type = String, format = DateTime)]
    to: Moment,
    /// As corrected, `[…]` where there is no text.
    text: String,
    pieces: Vec<PieceBody>,
}

/// A piece of speech.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TranscriptPiece)]
struct PieceBody {
    /// The number of its event in the session.
    seq: u64,
    /// The user id of the speaker.
    participant: String,
    /// Empty when nobody said it.
    name: String,
    turn: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    from: Moment,
    #[schema(value_type = String, format = DateTime)]
    to: Moment,
    /// As corrected; null when there is no text.
    text: Option<String>,
    /// As the engine recognised it; null when there is no text.
    original: Option<String>,
    /// How sure the engine was of it, from 0 to 1; null when there is no text.
    confidence: Option<f32>,
    engine: Option<String>,
    /// A BCP 47 tag.
    language: Option<String>,
    /// What moderators said was said, in the order in which they did.
    corrections: Vec<CorrectionBody>,
    /// Why there is no text: `overload`, `engine_failed`, `engine_unavailable` or `bad_audio`.
    gap: Option<String>,
}

/// A correction of a text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TranscriptCorrection)]
struct CorrectionBody {
    /// The number of its event in the session; null for one that was made after it.
    seq: Option<u64>,
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
    /// The user id of the moderator.
    by: String,
    text: String,
}

impl From<&Correction> for CorrectionBody {
    fn from(correction: &Correction) -> Self {
        let Correction { seq, at, by, text } = correction.clone();
        Self { seq, at: Moment(at), by, text }
    }
}

impl From<&Piece> for PieceBody {
    fn from(piece: &Piece) -> Self {
        let text = piece.text().map(str::to_owned);
        let Piece { seq, participant, name, turn, from, to, said } = piece.clone();
        let (from, to) = (Moment(from), Moment(to));
        let bare = Self {
            seq,
            participant,
            name,
            turn,
            from,
            to,
            text,
            original: None,
            confidence: None,
            engine: None,
            language: None,
            corrections: Vec::new(),
            gap: None,
        };
        match said {
            Said::Text { original, confidence, engine, language, corrections } => Self {
                original: Some(original),
                confidence: Some(confidence),
                engine: Some(engine),
                language: Some(language),
                corrections: corrections.iter().map(Into::into).collect(),
                ..bare
            },
            Said::Gap { cause } => Self { gap: Some(cause), ..bare },
        }
    }
}

impl From<&TurnText> for TurnBody {
    fn from(turn: &TurnText) -> Self {
        Self {
            turn: turn.turn.clone(),
            participant: turn.participant.clone(),
            name: turn.name.clone(),
            from: Moment(turn.from),
            to: Moment(turn.to),
            text: turn.text(),
            pieces: turn.pieces.iter().map(Into::into).collect(),
        }
    }
}

refusals!(TranscriptRefusals: READER, &[ErrorCode::SessionNotFound, ErrorCode::RecordingErased, ErrorCode::UnprocessableRequest]);

/// Reads what was said, as it was corrected, with the originals beside it. Moderators and auditors
/// read every transcript of their tenant, others that of a session in which they took part.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/transcript", tag = "transcript",
    operation_id = "readTranscript", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), TranscriptParameters),
    responses(
        (status = 200, description = "A page; by turn, a page of turns", content(
            (TranscriptBody = "application/json"),
            (String = "text/vtt"),
            (String = "text/plain"),
        )),
        TranscriptRefusals
    )
)]
pub(super) async fn read(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let person = credentials.reader(&api, Action::ReadTranscript).await?;
    let id = session_id(&id)?;
    let key = see(&person, id)?;
    let TranscriptParameters { format, by, limit, cursor } = query(&parts)?;
    let session = api.sessions.find(key).await?;
    let transcript = api.history.transcript(key).await?;
    permit_reader(&person, &transcript)?;
    let (format, by) = (format.unwrap_or_default(), by.unwrap_or_default());
    if format != Format::Json && (limit.is_some() || cursor.is_some()) {
        let message = "limit and cursor: only JSON comes page by page";
        return Err(ApiError::new(ErrorCode::UnprocessableRequest, message));
    }
    let page = Page::of(limit, cursor.as_deref())?;
    Ok(match (format, by) {
        (Format::Json, By::Piece) => {
            let (items, next_cursor) =
                page.cut(&transcript.pieces, |piece| piece.seq, PieceBody::from);
            private(Json(TranscriptBody { session_id: Id(id), items, next_cursor }))
        }
        (Format::Json, By::Turn) => {
            let turns: Vec<(u64, TurnText)> = (1..).zip(transcript.by_turn()).collect();
            let (turns, next_cursor) =
                page.cut(&turns, |(number, _)| *number, |(_, turn)| TurnBody::from(turn));
            private(Json(TurnsBody { session_id: Id(id), turns, next_cursor }))
        }
        (Format::Vtt, _) => {
            let start = session.started_at.unwrap_or(session.created_at);
            let cues = transcript.by_time().into_iter().filter_map(move |it| cue(&it, start));
            let head = std::iter::once(format!("WEBVTT\n\nNOTE times count from {start}\n\n"));
            streamed("text/vtt; charset=utf-8", head.chain(cues))
        }
        (Format::Txt, By::Piece) => {
            let lines = transcript.by_time().into_iter().map(|piece| line(&piece));
            streamed("text/plain; charset=utf-8", lines)
        }
        (Format::Txt, By::Turn) => {
            let lines = transcript.by_turn().into_iter().map(|turn| {
                format!(
                    "[{}] {}: {}\n\n",
                    turn.from,
                    named(&turn.name, &turn.participant),
                    turn.text()
                )
            });
            streamed("text/plain; charset=utf-8", lines)
        }
    })
}

/// Whoever may not read every transcript reads that of a session in which they took part.
pub(super) fn permit_reader(person: &Principal, transcript: &Transcript) -> Result<(), ApiError> {
    if transcript.took_part(person.user_id.as_str()) {
        return Ok(());
    }
    permit(person, Action::ReadEveryTranscript)
}

/// Which part of a list is wanted.
struct Page {
    limit: usize,
    after: u64,
}

impl Page {
    fn of(limit: Option<usize>, cursor: Option<&str>) -> Result<Self, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            let message = format!("limit: must be between 1 and {PAGE_MAX}");
            return Err(ApiError::new(ErrorCode::UnprocessableRequest, message));
        }
        let after = match cursor {
            None => 0,
            Some(cursor) => cursor
                .parse()
                .map_err(|_| ApiError::malformed_field("cursor", "is not one of this list"))?,
        };
        Ok(Self { limit, after })
    }

    /// What is on the page, and the cursor of the next one. `number` rises from item to item.
    fn cut<'a, T, B>(
        &self,
        items: &'a [T],
        number: impl Fn(&T) -> u64,
        shown: impl Fn(&'a T) -> B,
    ) -> (Vec<B>, Option<String>) {
        let from = items.partition_point(|item| number(item) <= self.after);
        let rest = items.get(from..).unwrap_or_default();
        let page = rest.iter().take(self.limit).map(shown).collect();
        let last = rest.get(self.limit.saturating_sub(1)).map(|item| number(item).to_string());
        (page, last.filter(|_| rest.len() > self.limit))
    }
}

fn private(body: impl IntoResponse) -> Response {
    ([(CACHE_CONTROL, "private, no-store")], body).into_response()
}

/// Texts as they are sent: made as the client takes them.
fn streamed(kind: &'static str, texts: impl Iterator<Item = String> + Send + 'static) -> Response {
    let texts = texts.map(|text| Ok::<_, Infallible>(Bytes::from(text)));
    let body = Body::from_stream(futures_util::stream::iter(texts));
    private(([(CONTENT_TYPE, HeaderValue::from_static(kind))], body))
}

fn named<'a>(name: &'a str, participant: &'a str) -> &'a str {
    if name.is_empty() { participant } else { name }
}

/// A piece as lines of text: what was corrected is followed by what the engine wrote.
fn line(piece: &Piece) -> String {
    let who = named(&piece.name, &piece.participant);
    let mut line = format!("[{}] {who}: ", piece.from);
    match (&piece.said, piece.text()) {
        (Said::Text { original, corrections, .. }, Some(text)) => {
            line.push_str(text);
            if !corrections.is_empty() {
                // Writing to a text can't fail.
                let _written = write!(line, "\n    original: {original}");
            }
        }
        (Said::Gap { cause }, _) | (Said::Text { original: cause, .. }, None) => {
            let _written = write!(line, "[… {cause}]");
        }
    }
    line.push('\n');
    line
}

/// A piece as a cue of `WebVTT`; `None` when there is no text.
fn cue(piece: &Piece, start: Timestamp) -> Option<String> {
    let text = piece.text()?;
    let who = named(&piece.name, &piece.participant);
    let (from, to) = (offset(piece.from, start), offset(piece.to, start));
    Some(format!("{}\n{from} --> {to}\n<v {}>{}\n\n", piece.seq, escaped(who), escaped(text)))
}

/// Time since `start` as `WebVTT` has it.
fn offset(at: Timestamp, start: Timestamp) -> String {
    let ms = at.since(start).as_millis();
    let (s, ms) = (ms / 1_000, ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)
}

/// Text within a cue: no tag, no arrow and no line of its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(['\n', '\r'], " ")
}

/// What was really said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTranscriptCorrection)]
pub(super) struct NewCorrectionBody {
    /// The number of the text: its `seq`.
    seq: u64,
    /// Shown without what hides or reorders, cut after 1,500 characters.
    text: String,
}

/// A correction that was taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TakenTranscriptCorrection)]
struct TakenBody {
    /// The number of its event in the session; null when the session is over.
    seq: Option<u64>,
}

refusals!(CorrectRefusals: WRITER, BODY, REPEATABLE, &[
    ErrorCode::SessionNotFound,
    ErrorCode::SessionStateConflict,
    ErrorCode::RoomElsewhere,
    ErrorCode::RecordingErased,
    ErrorCode::TranscriptChunkNotFound,
    ErrorCode::UnprocessableRequest,
]);

/// Corrects a text. The original stays beside it. While the session is active, everybody in the
/// room is told.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/transcript/corrections", tag = "transcript",
    operation_id = "correctTranscript", security(("dpop" = [])),
    params(
        ("id" = String, Path, format = Uuid),
        ("Idempotency-Key" = Option<String>, Header, description = "names the request, so that it may come twice")
    ),
    request_body = NewCorrectionBody,
    responses((status = 201, description = "Taken", body = TakenBody), CorrectRefusals)
)]
pub(super) async fn correct(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let person = credentials.writer(&api, Action::CorrectTranscript).await?;
    let key = see(&person, session_id(&id)?)?;
    let work = Box::pin(async {
        let NewCorrectionBody { seq: of, text } =
            json(&credentials.headers, &body, &["application/json"])?;
        let by = person.user_id.clone();
        let corrected = api.rooms.correct_transcript(key, (by, of, text.clone())).await;
        let seq = match corrected {
            Ok(seq) => Some(seq),
            Err(RoomError::SessionOver) => {
                correct_after(&api, &person, key, (of, &text)).await?;
                None
            }
            Err(refused) => return Err(refused.into()),
        };
        Ok((StatusCode::CREATED, Json(TakenBody { seq })).into_response())
    });
    once_of(&api, &credentials, &person, &body, work).await
}

/// Corrects a text of a session that is over, whose log is closed to events of the room.
async fn correct_after(
    api: &Api,
    person: &Principal,
    key: SessionKey,
    (of, text): (u64, &str),
) -> Result<(), ApiError> {
    let transcript = api.history.transcript(key).await?;
    let piece = transcript.pieces.iter().find(|piece| piece.seq == of);
    let Some(Said::Text { corrections, .. }) = piece.map(|piece| &piece.said) else {
        return Err(RoomError::ChunkNotFound.into());
    };
    if corrections.len() >= CORRECTIONS_MAX {
        return Err(RoomError::Unprocessable("the text was corrected too often").into());
    }
    let text = ShownText::Speech.cleaned(text);
    let text = text.ok_or(RoomError::Unprocessable("the text shows nothing"))?;
    let event = serde_json::json!({
        "type": "transcript_corrected",
        "at": api.clock.now().to_string(),
        "of": of,
        "text": text,
        "by": person.user_id.as_str(),
    });
    api.evidence.note(key, EventKind::Correction, event.to_string()).await?;
    Ok(())
}
