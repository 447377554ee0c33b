//! What was said in a session: every text of its log once, with its corrections beside it, and every
//! gap.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::time::Timestamp;
use crate::evidence::EventKind;
use crate::history::event::{LogEvent, TextCorrected};
use crate::room::event::{Event, TranscriptChunkView};

/// Kinds of events that a transcript is made of.
pub(super) const KINDS: &[EventKind] = &[EventKind::RoomEvent, EventKind::Correction];

/// A piece of speech.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The number of its event in the session.
    pub seq: u64,
    /// Who spoke.
    pub participant: String,
    /// Their name when they entered or got the floor last; empty when nobody said it.
    pub name: String,
    /// The turn in which they spoke.
    pub turn: Option<String>,
    /// When they began.
    pub from: Timestamp,
    /// When they stopped.
    pub to: Timestamp,
    /// What they said.
    pub said: Said,
}

/// What somebody said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It became text.
    Text {
        /// As the engine recognised it.
        original: String,
        /// How sure the engine was of it.
        confidence: f32,
        /// The engine.
        engine: String,
        /// The language, a BCP 47 tag.
        language: String,
        /// What moderators said about it, in the order in which they did.
        corrections: Vec<Correction>,
    },
    /// There is no text.
    Gap {
        /// Why.
        cause: String,
    },
}

/// What a moderator says was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The number of its event in the session; `None` for one that was made after it.
    pub seq: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// The moderator.
    pub by: String,
    /// The text.
    pub text: String,
}

impl Piece {
    /// The text as it was corrected last; `None` when there is none.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.said {
            Said::Text { original, corrections, .. } => {
                Some(corrections.last().map_or(original, |correction| &correction.text))
            }
            Said::Gap { .. } => None,
        }
    }
}

/// What somebody said in one turn, or in a row without one.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnText {
    /// The turn.
    pub turn: Option<String>,
    /// Who spoke.
    pub participant: String,
    /// Their name.
    pub name: String,
    /// When their first piece began.
    pub from: Timestamp,
    /// When their last one ended.
    pub to: Timestamp,
    /// The pieces, by the time of their beginning.
    pub pieces: Vec<Piece>,
}

impl TurnText {
    fn of(piece: Piece) -> Self {
        Self {
            turn: piece.turn.clone(),
            participant: piece.participant.clone(),
            name: piece.name.clone(),
            from: piece.from,
            to: piece.to,
            pieces: vec![piece],
        }
    }

    fn add(&mut self, piece: Piece) {
        self.from = self.from.min(piece.from);
        self.to = self.to.max(piece.to);
        self.pieces.push(piece);
    }

    /// The text of all pieces, with a mark where there is none.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.pieces.iter().map(|piece| piece.text().unwrap_or("[…]"));
        texts.collect::<Vec<&str>>().join(" ")
    }
}

/// The transcript of a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcript {
    /// By the number of their events.
    pub pieces: Vec<Piece>,
    /// Whoever entered the room, or had a turn in it.
    people: BTreeSet<String>,
}

impl Transcript {
    /// Whether a transcript needs this event.
    pub(super) const fn uses(event: &LogEvent) -> bool {
        matches!(
            event,
            LogEvent::Room {
                event: Event::TranscriptChunk(_)
                    | Event::TranscriptGap { .. }
                    | Event::TranscriptCorrected { .. }
                    | Event::ParticipantJoined(_)
                    | Event::TurnStarted(_),
                ..
            } | LogEvent::Corrected(_)
        )
    }

    /// The transcript of these events, in the order of the log.
    #[must_use]
    pub fn of(events: &[LogEvent]) -> Self {
        let mut pieces: BTreeMap<u64, Piece> = BTreeMap::new();
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        for event in events {
            if let LogEvent::Corrected(TextCorrected { at, of, text, by }) = event
                && let Some(at) = Timestamp::parse_rfc3339(at)
            {
                let (by, text) = (by.clone(), text.clone());
                correct(&mut pieces, *of, Correction { seq: None, at, by, text });
            }
            let LogEvent::Room { seq, at, event, .. } = event else { continue };
            match event {
                Event::ParticipantJoined(person) => {
                    names.insert(&person.user_id, &person.name);
                }
                Event::TurnStarted(turn) => {
                    names.insert(&turn.user_id, &turn.name);
                }
                Event::TranscriptCorrected { of, text, by } => {
                    let (by, text) = (by.clone(), text.clone());
                    correct(&mut pieces, *of, Correction { seq: Some(*seq), at: *at, by, text });
                }
                other => pieces.extend(piece_of(*seq, other).map(|piece| (*seq, piece))),
            }
        }
        let mut pieces: Vec<Piece> = pieces.into_values().collect();
        for piece in &mut pieces {
            let name = names.get(piece.participant.as_str());
            piece.name = name.map(|name| (*name).to_owned()).unwrap_or_default();
        }
        Self { pieces, people: names.into_keys().map(str::to_owned).collect() }
    }

    /// Whether somebody took part in the session.
    #[must_use]
    pub fn took_part(&self, user: &str) -> bool {
        self.people.contains(user)
    }

    /// The pieces by the time at which they began.
    #[must_use]
    pub fn by_time(mut self) -> Vec<Piece> {
        self.pieces.sort_by_key(|piece| (piece.from, piece.seq));
        self.pieces
    }

    /// The pieces by turn: of each turn together, and of whoever had none in a row. In the order of
    /// the first piece of each.
    #[must_use]
    pub fn by_turn(self) -> Vec<TurnText> {
        let mut turns: Vec<TurnText> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for piece in self.by_time() {
            let place = match &piece.turn {
                Some(turn) => places.get(turn).copied(),
                None => turns.len().checked_sub(1).filter(|last| {
                    turns[*last].turn.is_none() && turns[*last].participant == piece.participant
                }),
            };
            if let Some(place) = place {
                turns[place].add(piece);
            } else {
                if let Some(turn) = &piece.turn {
                    places.insert(turn.clone(), turns.len());
                }
                turns.push(TurnText::of(piece));
            }
        }
        turns
    }
}

fn correct(pieces: &mut BTreeMap<u64, Piece>, of: u64, correction: Correction) {
    if let Some(Said::Text { corrections, .. }) = pieces.get_mut(&of).map(|piece| &mut piece.said) {
        corrections.push(correction);
    }
}

fn piece_of(seq: u64, event: &Event) -> Option<Piece> {
    let moment = |text: &str| Timestamp::parse_rfc3339(text);
    Some(match event {
        Event::TranscriptChunk(chunk) => {
            let TranscriptChunkView { text, confidence, engine, language, .. } = chunk.clone();
            let corrections = Vec::new();
            Piece {
                seq,
                participant: chunk.participant.clone(),
                name: String::new(),
                turn: chunk.turn.clone(),
                from: moment(&chunk.from)?,
                to: moment(&chunk.to)?,
                said: Said::Text { original: text, confidence, engine, language, corrections },
            }
        }
        Event::TranscriptGap { participant, turn, from, to, cause } => Piece {
            seq,
            participant: participant.clone(),
            name: String::new(),
            turn: turn.clone(),
            from: moment(from)?,
            to: moment(to)?,
            said: Said::Gap { cause: cause.clone() },
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::room::event::{Told, TurnView};

    fn text_at(second: u64) -> String {
        format!("2026-03-01T10:{:02}:{:02}.000Z", second / 60, second % 60)
    }

    fn told(seq: u64, event: Event) -> LogEvent {
        let told = Told { seq, at: text_at(seq), action_id: None, event };
        LogEvent::read(EventKind::RoomEvent, &told.to_json()).expect("what the room told")
    }

    fn chunk(user: &str, turn: Option<&str>, second: u64, text: &str) -> Event {
        Event::TranscriptChunk(TranscriptChunkView {
            participant: user.to_owned(),
            turn: turn.map(str::to_owned),
            text: text.to_owned(),
            confidence: 0.913,
            from: text_at(second),
            to: text_at(second + 1),
            r#final: true,
            engine: "whisper".to_owned(),
            language: "es".to_owned(),
        })
    }

    fn turn(id: &str, user: &str, name: &str) -> Event {
        Event::TurnStarted(TurnView {
            turn_id: id.to_owned(),
            request_id: "r".to_owned(),
            user_id: user.to_owned(),
            name: name.to_owned(),
            kind: "normal".to_owned(),
            limit_s: 180,
            used_ms: 0,
            running: true,
            in_hall: true,
        })
    }

    fn corrected(of: u64, text: &str) -> Event {
        Event::TranscriptCorrected { of, text: text.to_owned(), by: "chair".to_owned() }
    }

    #[test]
    fn a_correction_stands_beside_what_the_engine_wrote() {
        let events = [
            told(1, turn("t", "julio", "Don Julio")),
            told(2, chunk("julio", Some("t"), 2, "boto a favor")),
            told(3, corrected(2, "voto a favor")),
            told(4, corrected(2, "Voto a favor.")),
            told(5, corrected(9, "nobody said this")),
            LogEvent::read(
                EventKind::Correction,
                r#"{"type":"transcript_corrected","at":"2026-03-02T10:00:00.000Z","of":2,"text":"Voto sí.","by":"auditor"}"#,
            )
            .expect("a correction after the session"),
        ];
        let transcript = Transcript::of(&events);
        assert_eq!(transcript.pieces.len(), 1);
        let piece = &transcript.pieces[0];
        assert_eq!((piece.name.as_str(), piece.text()), ("Don Julio", Some("Voto sí.")));
        let Said::Text { original, corrections, confidence, .. } = &piece.said else {
            panic!("a text");
        };
        assert_eq!(original, "boto a favor");
        let by: Vec<(Option<u64>, &str)> =
            corrections.iter().map(|it| (it.seq, it.by.as_str())).collect();
        assert_eq!(by, [(Some(3), "chair"), (Some(4), "chair"), (None, "auditor")]);
        assert!((confidence - 0.913).abs() < f32::EPSILON, "{confidence}");
        assert!(transcript.took_part("julio") && !transcript.took_part("ana"));
    }

    #[test]
    fn what_was_said_in_one_turn_stands_together() {
        let gap = Event::TranscriptGap {
            participant: "ana".to_owned(),
            turn: Some("a".to_owned()),
            from: text_at(7),
            to: text_at(8),
            cause: "overload".to_owned(),
        };
        let events = [
            told(1, chunk("ana", Some("a"), 1, "uno")),
            told(2, chunk("chair", None, 3, "silencio")),
            told(3, chunk("chair", None, 4, "por favor")),
            // The engine was slower with this one.
            told(4, chunk("ana", Some("a"), 2, "dos")),
            told(5, gap),
            told(6, chunk("bea", None, 9, "bien")),
        ];
        let turns = Transcript::of(&events).by_turn();
        let shown: Vec<(&str, String)> =
            turns.iter().map(|turn| (turn.participant.as_str(), turn.text())).collect();
        assert_eq!(
            shown,
            [
                ("ana", "uno dos […]".to_owned()),
                ("chair", "silencio por favor".to_owned()),
                ("bea", "bien".to_owned()),
            ]
        );
    }

    proptest! {
        /// Whatever the order of events is, every stored text is in the transcript exactly once,
        /// and once in the transcript by turn.
        #[test]
        fn every_stored_text_is_in_the_transcript_exactly_once(
            steps in prop::collection::vec((0_u8..5, 0_u8..3, 0_u64..600), 0..120),
        ) {
            let mut expected = Vec::new();
            let events = steps.iter().zip(1_u64..).map(|((step, who, second), seq)| {
                let user = ["ana", "bea", "chair"][usize::from(*who)];
                let turn_id = (*step == 1).then_some(["a", "b", "c"][usize::from(*who)]);
                told(seq, match step {
                    0 | 1 => {
                        expected.push(seq);
                        chunk(user, turn_id, *second, "palabras")
                    }
                    2 => corrected(*second, "otras"),
                    3 => turn("x", user, user),
                    _ => Event::SessionEnded { reason: "completed".to_owned() },
                })
            });
            let events: Vec<LogEvent> = events.collect();
            let kept: Vec<LogEvent> =
                events.iter().filter(|event| Transcript::uses(event)).cloned().collect();
            let transcript = Transcript::of(&kept);
            prop_assert_eq!(&transcript, &Transcript::of(&events));
            let seqs: Vec<u64> = transcript.pieces.iter().map(|piece| piece.seq).collect();
            prop_assert_eq!(&seqs, &expected);
            let turns = transcript.by_turn();
            let pieces = turns.iter().flat_map(|turn| &turn.pieces);
            let mut again: Vec<u64> = pieces.map(|piece| piece.seq).collect();
            again.sort_unstable();
            prop_assert_eq!(again, expected);
        }
    }
}
