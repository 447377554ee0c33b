#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What was said, as text: whose it is and in which turn it was said. Text comes seconds after the
//! speech, when turns have ended and people have left, so the room remembers for a while who could
//! be heard and who had the floor. Text of somebody who could not be heard is not taken, whoever
//! made it.

use std::collections::VecDeque;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::id::{ConnectionId, TrackId, TurnId, UserId};
use crate::domain::role;
use crate::domain::shown_text::ShownText;
use crate::domain::time::Timestamp;
use crate::domain::transcript::{GapCause, Transcribed, TranscriptChunk, TranscriptGap};
use crate::floor::Microphone;
use crate::room::action::TranscriptAction;
use crate::room::engine::RoomEngine;
use crate::room::error::RoomError;
use crate::room::event::{Event, TranscriptChunkView};
use crate::sfu::plane::Gate;
use crate::tracked::{Tracked, TrackedMap};

/// How long after the end of speech its text is taken. Raising it lets slower engines be used, and
/// makes the room remember more.
pub const LATE_MAX: Duration = Duration::from_mins(2);
/// Longest piece of speech that is taken as one. Raising it makes attribution to turns coarser.
pub const SPEECH_MAX: Duration = Duration::from_mins(1);
/// By how much the time of speech may differ from that of the decision that opened or closed its
/// microphone: a decision is stored before it is applied, and sound is dated when it arrives.
const SLACK: Duration = Duration::from_millis(500);
/// How long it is remembered who could be heard.
const REMEMBERED: Duration = Duration::from_mins(4);
/// Most spans of turns that are remembered, the newest. A pause ends one. Raising it makes every
/// change of a turn a little dearer.
const TURN_SPANS_MAX: usize = 64;
/// Most spans in which a microphone was open that are remembered, the newest. At it, the text of
/// whoever was closed longest ago is refused.
const VOICE_SPANS_MAX: usize = 4_096;
/// Most pieces that are remembered so that none is told twice, the newest.
const TAKEN_MAX: usize = 128;
/// Most characters of the name of an engine.
const ENGINE_LENGTH_MAX: usize = 64;
/// Most characters of a language tag.
const LANGUAGE_LENGTH_MAX: usize = 35;
/// What stands for a language that is not known (ISO 639-2).
const UNKNOWN_LANGUAGE: &str = "und";

/// A span in which a turn ran.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TurnSpan {
    turn: TurnId,
    user: UserId,
    microphone: Microphone,
    from: Timestamp,
    /// `None` while it runs.
    to: Option<Timestamp>,
}

/// A microphone that could be heard until the moment that is its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PastVoice {
    user: UserId,
    from: Timestamp,
    in_hall: bool,
}

/// See the module. It lasts as long as the process: a restart ends all tracks.
#[derive(Debug, Default)]
pub(super) struct Voices {
    turns: Tracked<VecDeque<TurnSpan>>,
    /// Since when connections can be heard.
    open: TrackedMap<ConnectionId, Timestamp>,
    /// Until when connections could be heard.
    past: TrackedMap<(Timestamp, ConnectionId), PastVoice>,
    /// The pieces that were taken last, by track and beginning.
    taken: Tracked<VecDeque<(TrackId, Timestamp)>>,
}

impl Voices {
    pub(super) fn undo(&mut self) {
        self.turns.undo();
        self.open.undo();
        self.past.undo();
        self.taken.undo();
    }

    pub(super) fn stored(&mut self) {
        self.turns.stored();
        self.open.stored();
        self.past.stored();
        self.taken.stored();
    }

    pub(super) fn clear(&mut self) {
        self.turns.edit().clear();
        self.open.clear();
        self.past.clear();
        self.taken.edit().clear();
    }

    fn forget_old(&mut self, now: Timestamp) {
        let oldest = now.before(REMEMBERED);
        while let Some((key, _)) = self.past.first()
            && (key.0 < oldest || self.past.len() > VOICE_SPANS_MAX)
        {
            let key = *key;
            self.past.remove(&key);
        }
    }
}

/// A span of time.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Timestamp,
    to: Timestamp,
}

impl Span {
    /// For how long both last.
    fn overlap(self, from: Timestamp, to: Option<Timestamp>) -> Duration {
        let to = to.map_or(self.to, |to| to.min(self.to));
        to.since(self.from.max(from))
    }

    fn widened(self) -> Self {
        Self { from: self.from.before(SLACK), to: self.to.after(SLACK) }
    }
}

/// Who said something, and in which of their turns.
struct Attribution {
    participant: UserId,
    turn: Option<TurnId>,
}

impl RoomEngine {
    /// Speech on a track has become text, or can't. Yields whether a text was told.
    ///
    /// # Errors
    /// [`RoomError::NotHeard`] when the person could not be heard at that time,
    /// [`RoomError::TooMuch`], and [`RoomError::Unprocessable`] when the session is not
    /// transcribed, the text is not final or shows nothing, or its time can't be true.
    pub fn handle_transcribed(
        &mut self,
        said: Transcribed,
        now: Timestamp,
    ) -> Result<bool, RoomError> {
        if !self.info.transcription.enabled {
            return Err(RoomError::Unprocessable("the session is not transcribed"));
        }
        let (user, track, span) = match &said {
            Transcribed::Chunk(chunk) => (&chunk.user, chunk.track, (chunk.from, chunk.to)),
            Transcribed::Gap(gap) => (&gap.user, gap.track, (gap.from, gap.to)),
        };
        let span = checked_span(span, now)?;
        let whose = self.attribute(user, span).ok_or(RoomError::NotHeard)?;
        if self.voices.taken.contains(&(track, span.from)) {
            return Ok(false);
        }
        let event = match said {
            Transcribed::Chunk(chunk) => self.chunk_event(&chunk, &whose, span, now)?,
            Transcribed::Gap(TranscriptGap { user, cause, .. }) => {
                self.budget.speak(&user, 0, now)?;
                gap_event(&whose, span, cause)
            }
        };
        let taken = self.voices.taken.edit();
        if taken.len() >= TAKEN_MAX {
            taken.pop_front();
        }
        taken.push_back((track, span.from));
        let is_text = matches!(event, Event::TranscriptChunk(_));
        self.tell(event, now);
        Ok(is_text)
    }

    /// The event of a text. When more is said than may be written down, that is told instead.
    fn chunk_event(
        &mut self,
        chunk: &TranscriptChunk,
        whose: &Attribution,
        span: Span,
        now: Timestamp,
    ) -> Result<Event, RoomError> {
        if !chunk.is_final {
            return Err(RoomError::Unprocessable("only text that stays is taken"));
        }
        let text = ShownText::Speech.cleaned(&chunk.text);
        let text = text.ok_or(RoomError::Unprocessable("the text shows nothing"))?;
        if self.budget.speak(&chunk.user, text.len(), now).is_err() {
            self.budget.speak(&chunk.user, 0, now)?;
            return Ok(gap_event(whose, span, GapCause::Overload));
        }
        Ok(Event::TranscriptChunk(chunk_view(chunk, whose, span, text)))
    }

    /// The text so far of what is being said, as members are shown it. `None` unless whoever says
    /// it is heard now and has the turn that runs, and the text of the whole is not told yet.
    #[must_use]
    pub fn spoken_so_far(
        &self,
        chunk: &TranscriptChunk,
        now: Timestamp,
    ) -> Option<TranscriptChunkView> {
        if !self.info.transcription.enabled || chunk.is_final {
            return None;
        }
        let span = checked_span((chunk.from, chunk.to), now).ok()?;
        // Whoever was muted meanwhile and is heard again has not said this since.
        let since = self.index.connections_of(&chunk.user).into_iter().filter_map(|connection| {
            self.voices.open.get(&connection).filter(|since| **since <= span.to)
        });
        let whose = self.attribute(&chunk.user, span).filter(|_| since.count() > 0)?;
        let running = self.voices.turns.back().filter(|turn| turn.to.is_none())?;
        let is_told = self.voices.taken.contains(&(chunk.track, span.from));
        if whose.turn != Some(running.turn) || is_told {
            return None;
        }
        let text = ShownText::Speech.cleaned(&chunk.text)?;
        Some(chunk_view(chunk, &whose, span, text))
    }

    /// A moderator who need not be in the room corrects a text. Yields the `seq` of the correction.
    ///
    /// # Errors
    /// [`RoomError::ChunkNotFound`], [`RoomError::TooMuch`], and [`RoomError::Unprocessable`] when
    /// the text shows nothing.
    pub fn handle_correction(
        &mut self,
        by: &UserId,
        of: u64,
        text: &str,
        now: Timestamp,
    ) -> Result<u64, RoomError> {
        let action = TranscriptAction::Correct { of, text: text.to_owned() };
        self.budget.spend(by, &action.into(), 0, now)?;
        self.correct(by, of, text, now)?;
        Ok(self.seq)
    }

    /// A moderator says what was really said. That there is such a text was checked.
    pub(super) fn correct(
        &mut self,
        by: &UserId,
        of: u64,
        text: &str,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        if of > self.seq {
            return Err(RoomError::ChunkNotFound);
        }
        let text = ShownText::Speech.cleaned(text);
        let text = text.ok_or(RoomError::Unprocessable("the text shows nothing"))?;
        self.tell(Event::TranscriptCorrected { of, text, by: by.as_str().to_owned() }, now);
        Ok(())
    }

    /// Who spoke on the microphone of `user`: they themselves, or whoever had the turn of the hall
    /// while most of it was said. `None` when nobody could have heard it.
    fn attribute(&self, user: &UserId, span: Span) -> Option<Attribution> {
        let wide = span.widened();
        let (exact, in_hall) = self.heard(user, span)?;
        // What lies within the slack alone is no longer than it, and belongs to what is nearest.
        if exact.is_zero() && span.to.since(span.from) > SLACK {
            return None;
        }
        let span = if exact.is_zero() { wide } else { span };
        let heard = if exact.is_zero() { self.heard(user, wide)?.0 } else { exact };
        let is_theirs = |turn: &&TurnSpan| {
            turn.user == *user || (in_hall && turn.microphone == Microphone::Hall)
        };
        let mut outside = heard;
        let mut turns: Vec<(TurnId, &UserId, Duration)> = Vec::new();
        for turn in self.voices.turns.iter().filter(is_theirs) {
            let overlap = span.overlap(turn.from, turn.to);
            outside = outside.saturating_sub(overlap);
            match turns.iter_mut().find(|(id, ..)| *id == turn.turn) {
                Some((.., length)) => *length += overlap,
                None => turns.push((turn.turn, &turn.user, overlap)),
            }
        }
        let longest = turns.into_iter().max_by_key(|(.., length)| *length);
        Some(match longest {
            Some((turn, holder, length)) if !length.is_zero() && length >= outside => {
                Attribution { participant: holder.clone(), turn: Some(turn) }
            }
            _ => Attribution { participant: user.clone(), turn: None },
        })
    }

    /// For how long somebody could be heard within a span, and whether by a microphone of the hall.
    /// `None` when they could not be, not even close to it.
    fn heard(&self, user: &UserId, span: Span) -> Option<(Duration, bool)> {
        let wide = span.widened();
        let (mut longest, mut in_hall, mut is_near) = (Duration::ZERO, false, false);
        let mut add = |from: Timestamp, to: Option<Timestamp>, hall: bool| {
            if wide.overlap(from, to).is_zero() {
                return;
            }
            is_near = true;
            in_hall |= hall;
            longest = longest.max(span.overlap(from, to));
        };
        for connection in self.index.connections_of(user) {
            if let Some(since) = self.voices.open.get(&connection) {
                add(*since, None, self.is_of_hall(connection));
            }
        }
        let from_on = (wide.from, ConnectionId::from_uuid(Uuid::nil()));
        for ((to, _), past) in self.voices.past.range(from_on..) {
            if past.user == *user {
                add(past.from, Some(*to), past.in_hall);
            }
        }
        is_near.then_some((longest, in_hall))
    }

    fn is_of_hall(&self, connection: ConnectionId) -> bool {
        let found = self.connections.get(&connection);
        found.is_some_and(|found| found.roles.may(role::Action::LendMicrophone))
    }

    /// The gate of a microphone changes, or its connection ends.
    pub(super) fn follow_voice(&mut self, connection: ConnectionId, gate: Gate, now: Timestamp) {
        if gate == Gate::Open {
            if !self.voices.open.contains_key(&connection) {
                self.voices.open.insert(connection, now);
            }
            return;
        }
        let Some(from) = self.voices.open.remove(&connection) else { return };
        let Some(found) = self.connections.get(&connection) else { return };
        let user = found.user.clone();
        let in_hall = self.is_of_hall(connection);
        self.voices.past.insert((now, connection), PastVoice { user, from, in_hall });
        self.voices.forget_old(now);
    }

    /// Notes which turn runs.
    pub(super) fn follow_turn(&mut self, now: Timestamp) {
        let running = self.floor.current_turn(now).filter(|turn| turn.running);
        let noted = self.voices.turns.back().filter(|span| span.to.is_none());
        if noted.map(|span| span.turn) == running.as_ref().map(|turn| turn.turn_id) {
            return;
        }
        let turns = self.voices.turns.edit();
        if let Some(span) = turns.back_mut().filter(|span| span.to.is_none()) {
            span.to = Some(now);
        }
        let Some(turn) = running else { return };
        if turns.len() >= TURN_SPANS_MAX {
            turns.pop_front();
        }
        turns.push_back(TurnSpan {
            turn: turn.turn_id,
            user: turn.user_id,
            microphone: turn.microphone,
            from: now,
            to: None,
        });
    }
}

fn chunk_view(
    chunk: &TranscriptChunk,
    whose: &Attribution,
    span: Span,
    text: String,
) -> TranscriptChunkView {
    TranscriptChunkView {
        participant: whose.participant.as_str().to_owned(),
        turn: whose.turn.map(|turn| turn.to_string()),
        text,
        confidence: shown_confidence(chunk.confidence),
        from: span.from.to_string(),
        to: span.to.to_string(),
        r#final: chunk.is_final,
        engine: shown_engine(&chunk.engine),
        language: shown_language(&chunk.language),
    }
}

fn gap_event(whose: &Attribution, span: Span, cause: GapCause) -> Event {
    Event::TranscriptGap {
        participant: whose.participant.as_str().to_owned(),
        turn: whose.turn.map(|turn| turn.to_string()),
        from: span.from.to_string(),
        to: span.to.to_string(),
        cause: cause.as_str().to_owned(),
    }
}

fn checked_span((from, to): (Timestamp, Timestamp), now: Timestamp) -> Result<Span, RoomError> {
    if to < from || to.since(from) > SPEECH_MAX {
        return Err(RoomError::Unprocessable("the speech has no length or is too long"));
    }
    if to > now.after(SLACK) || now.since(to) > LATE_MAX {
        return Err(RoomError::Unprocessable("the speech was too long ago or has not been yet"));
    }
    Ok(Span { from, to })
}

/// Thousandths from 0 to 1; what is no number is no confidence.
fn shown_confidence(confidence: f32) -> f32 {
    if confidence.is_nan() { 0.0 } else { (confidence.clamp(0.0, 1.0) * 1_000.0).round() / 1_000.0 }
}

fn shown_engine(engine: &str) -> String {
    let is_shown = |c: &char| c.is_ascii_graphic() || *c == ' ';
    let shown: String = engine.chars().filter(is_shown).take(ENGINE_LENGTH_MAX).collect();
    let shown = shown.trim();
    if shown.is_empty() { "unknown".to_owned() } else { shown.to_owned() }
}

fn shown_language(language: &str) -> String {
    let is_tag = (2..=LANGUAGE_LENGTH_MAX).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && language.starts_with(|first: char| first.is_ascii_alphabetic());
    if is_tag { language.to_owned() } else { UNKNOWN_LANGUAGE.to_owned() }
}
