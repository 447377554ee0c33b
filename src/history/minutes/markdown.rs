//! Minutes as Markdown.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::evidence::repository::StoredHead;
use crate::history::minutes::language::Language;
use crate::history::minutes::{Fact, Minutes, Timed};

/// What minutes say of their session beside what happened in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The id of the session.
    pub session: String,
    /// The assembly that met.
    pub assembly: String,
    /// Its title.
    pub title: String,
    /// Its modality, as text.
    pub modality: &'static str,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether what was said became text.
    pub is_transcribed: bool,
    /// The newest head of its log.
    pub head: Option<SignedHead>,
    /// Where its log can be checked.
    pub verify_at: String,
}

impl About {
    /// What minutes and lists say of a session.
    #[must_use]
    pub fn new(session: &Session, head: Option<SignedHead>, verify_at: String) -> Self {
        Self {
            session: session.id.to_string(),
            assembly: session.assembly_id.to_string(),
            title: session.title.clone(),
            modality: session.modality.as_str(),
            started_at: session.started_at,
            ended_at: session.ended_at,
            is_transcribed: session.transcription.enabled,
            head,
            verify_at,
        }
    }
}

impl SignedHead {
    /// What documents say of a head.
    #[must_use]
    pub fn new(head: &StoredHead) -> Self {
        let root = URL_SAFE_NO_PAD.encode(head.root);
        Self { tree_size: head.tree_size, root, at: head.at }
    }
}

/// A head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// Number of entries.
    pub tree_size: u64,
    /// Root over them, base64url.
    pub root: String,
    /// When it was signed.
    pub at: Timestamp,
}

impl Minutes {
    /// The draft as Markdown.
    #[must_use]
    pub fn markdown(&self, about: &About, language: Language) -> String {
        let labels = language.headings();
        let mut out = String::new();
        let moment = |at: Option<Timestamp>| at.map_or(labels.not_yet.to_owned(), shown_moment);
        let title = shown(&about.title);
        add(&mut out, &format!("# {}: {title}\n\n> {}\n", labels.title, labels.draft));
        for (name, value) in [
            (labels.session, format!("`{}`", about.session)),
            (labels.assembly, format!("`{}`", about.assembly)),
            (labels.modality, language.modality(about.modality).to_owned()),
            (labels.started, moment(about.started_at)),
            (labels.ended, moment(about.ended_at)),
        ] {
            add(&mut out, &format!("- {name}: {value}"));
        }
        add(&mut out, &format!("\n{}\n", labels.times));
        for (heading, facts) in [
            (labels.presiding, &self.presiding),
            (labels.attendance, &self.attendance),
            (labels.quorum, &self.quorum),
        ] {
            section(&mut out, language, heading, facts);
        }
        section(&mut out, language, labels.proceedings, &self.proceedings);
        let note = if about.is_transcribed { labels.recognised } else { labels.not_transcribed };
        add(&mut out, &format!("*{note}*\n"));
        section(&mut out, language, labels.incidents, &self.incidents);
        add(&mut out, &format!("## {}\n", labels.signatures));
        for office in [labels.chair, labels.secretary] {
            add(&mut out, &format!("{office}: ______________________________\n"));
        }
        add(&mut out, &format!("---\n\n## {}\n", labels.record));
        match &about.head {
            Some(head) => {
                add(&mut out, &format!("- {}: `{}`", labels.root, head.root));
                add(&mut out, &format!("- {}: {}", labels.entries, head.tree_size));
                add(&mut out, &format!("- {}: {}", labels.signed_at, shown_moment(head.at)));
                add(&mut out, &format!("- {} <{}>", labels.verify, about.verify_at));
            }
            None => add(&mut out, labels.no_head),
        }
        out
    }
}

fn add(out: &mut String, line: &str) {
    // Writing to a text can't fail.
    let _written = writeln!(out, "{line}");
}

fn section(out: &mut String, language: Language, heading: &str, facts: &[Timed]) {
    add(out, &format!("## {heading}\n"));
    if facts.is_empty() {
        add(out, &format!("{}\n", language.headings().nothing));
        return;
    }
    for Timed { at, fact } in facts {
        // What is said in a turn stands under it.
        let indent = if matches!(fact, Fact::Spoke { .. } | Fact::NotTranscribed { .. }) {
            "  "
        } else {
            ""
        };
        let sentence = language.sentence(fact, shown);
        add(out, &format!("{indent}- {} — {sentence}", shown_moment(*at)));
    }
    add(out, "");
}

/// A moment, to the second.
pub(super) fn shown_moment(at: Timestamp) -> String {
    let text = at.to_string();
    let (seconds, _) = text.split_once('.').unwrap_or((text.as_str(), ""));
    format!("{}Z", seconds.replace('T', " "))
}

/// Text of people within a line of Markdown: it stays text, whatever it contains.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            c if c.is_ascii_punctuation()
                && !matches!(c, '.' | ',' | ';' | ':' | '?' | '\'' | '"' | '/' | '%') =>
            {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::EventKind;
    use crate::history::event::LogEvent;
    use crate::room::event::{
        AttendanceView, ChairView, Event, NewChairView, QuorumState, Told, TranscriptChunkView,
        TurnView, VoteView,
    };

    fn text_at(second: u32) -> String {
        format!("2026-03-01T10:00:{second:02}.000Z")
    }

    fn at(second: u32) -> Timestamp {
        Timestamp::parse_rfc3339(&text_at(second)).expect("a moment")
    }

    fn told(seq: u64, second: u32, event: Event) -> LogEvent {
        let told = Told { seq, at: text_at(second), action_id: None, event };
        LogEvent::read(EventKind::RoomEvent, &told.to_json()).expect("what the room told")
    }

    fn about() -> About {
        About {
            session: "018f".to_owned(),
            assembly: "edificio-norte".to_owned(),
            title: "Junta *anual*".to_owned(),
            modality: "mixed",
            started_at: Some(at(0)),
            ended_at: None,
            is_transcribed: true,
            head: Some(SignedHead { tree_size: 42, root: "abc_-".to_owned(), at: at(50) }),
            verify_at: "https://cabildo.example/verify".to_owned(),
        }
    }

    fn turn(name: &str) -> TurnView {
        TurnView {
            turn_id: "t".to_owned(),
            request_id: "r".to_owned(),
            user_id: "julio".to_owned(),
            name: name.to_owned(),
            kind: "point_of_order".to_owned(),
            limit_s: 180,
            used_ms: 7_400,
            running: true,
            in_hall: true,
        }
    }

    fn quorum(reached: bool, turned: bool, heads: u32) -> Event {
        Event::QuorumChanged(QuorumState {
            call: "first".to_owned(),
            heads_present: heads,
            heads_total: 10,
            weight_present: "60".to_owned(),
            weight_total: "100".to_owned(),
            heads_needed: None,
            weight_needed: Some("1/2".to_owned()),
            comparison: "more_than".to_owned(),
            reached,
            since: None,
            roll_known: true,
            turned,
        })
    }

    fn events() -> Vec<LogEvent> {
        let ended = Event::TurnEnded { turn: turn("Don Julio"), reason: "stopped".to_owned() };
        let chunk = Event::TranscriptChunk(TranscriptChunkView {
            participant: "julio".to_owned(),
            turn: Some("t".to_owned()),
            text: "boto <b>no</b>".to_owned(),
            confidence: 0.9,
            from: text_at(6),
            to: text_at(8),
            r#final: true,
            engine: "whisper".to_owned(),
            language: "es".to_owned(),
        });
        let vote = Event::VoteAnnounced(VoteView {
            vote_id: "v".to_owned(),
            title: "Presupuesto".to_owned(),
            started_at: text_at(14),
            ends_at: None,
        });
        vec![
            told(1, 1, quorum(false, false, 2)),
            told(2, 3, quorum(true, true, 6)),
            told(3, 5, Event::TurnStarted(turn("Don Julio"))),
            told(4, 10, chunk),
            told(5, 12, ended),
            told(6, 14, vote),
            told(
                7,
                20,
                Event::TranscriptCorrected {
                    of: 4,
                    text: "Voto [no](http://x).".to_owned(),
                    by: "chair".to_owned(),
                },
            ),
        ]
    }

    #[test]
    fn minutes_say_what_the_log_says_each_with_its_moment() {
        let text = Minutes::of(&events()).markdown(&about(), Language::Spanish);
        for line in [
            "# Acta: Junta \\*anual\\*",
            "- 2026-03-01 10:00:01Z — 2 de 10 miembros presentes o representados, con 60 de 100 de peso.",
            "- 2026-03-01 10:00:03Z — Se alcanzó el quórum: 6 de 10 miembros presentes o representados, con 60 de 100 de peso.",
            "- 2026-03-01 10:00:05Z — **Don Julio** tiene la palabra (cuestión de orden).",
            "  - 2026-03-01 10:00:06Z — Don Julio: Voto \\[no\\]\\(http://x\\). *(corregido)*",
            "- 2026-03-01 10:00:12Z — Terminó el turno de Don Julio, que usó 7 s.",
            "- 2026-03-01 10:00:14Z — Se anunció la votación: Presupuesto.",
            "- Raíz del registro: `abc_-`",
            "- Terminó: aún no",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\nin\n{text}");
        }
        assert!(!text.contains("boto"), "the correction stands for the original");
    }

    #[test]
    fn every_language_has_every_sentence_and_every_fact_has_its_moment() {
        let minutes = Minutes::of(&events());
        let counts = Language::ALL.iter().map(|language| {
            let text = minutes.markdown(&about(), *language);
            let timed =
                text.lines().filter(|line| line.trim_start().starts_with("- 2026-03-01 10"));
            assert!(!text.contains('{'), "{text}");
            (timed.count(), text.lines().count())
        });
        let counts: Vec<(usize, usize)> = counts.collect();
        let facts = minutes.quorum.len() + minutes.proceedings.len();
        assert_eq!(counts[0].0, facts);
        assert!(counts.iter().all(|it| it == &counts[0]), "{counts:?}");
    }

    #[test]
    fn a_corrected_list_is_told_as_one_and_not_as_an_arrival() {
        let seen = |change: &str, (name, weight): (&str, &str), present| {
            Event::AttendanceChanged(AttendanceView {
                change: change.to_owned(),
                user_id: "ana".to_owned(),
                name: name.to_owned(),
                present,
                method: "manual".to_owned(),
                place: "hall".to_owned(),
                cause: None,
                by: None,
                weight: weight.to_owned(),
            })
        };
        let events = [
            told(1, 1, seen("entered", ("Ana Rúiz", "60"), true)),
            told(2, 2, seen("corrected", ("Ana Rúiz", "40"), true)),
            told(3, 3, seen("left", ("Ana Rúiz", "40"), false)),
            told(4, 4, seen("corrected", ("Ana *Ruíz*", "41"), false)),
            told(5, 5, seen("entered", ("Ana *Ruíz*", "41"), true)),
        ];
        let minutes = Minutes::of(&events);
        for (language, lines) in [
            (
                Language::Spanish,
                [
                    "Ana Rúiz está presente en la sala (registro manual), con un peso de 60.",
                    "Se corrigió la lista de quienes pueden asistir: Ana Rúiz, con un peso de 40.",
                    "Ana Rúiz ya no está presente.",
                    "Se corrigió la lista de quienes pueden asistir: Ana \\*Ruíz\\* (antes Ana Rúiz), con un peso de 41.",
                    "Ana \\*Ruíz\\* está presente en la sala (registro manual), con un peso de 41.",
                ],
            ),
            (
                Language::English,
                [
                    "Ana Rúiz is present in the hall (manual registration), with a weight of 60.",
                    "The list of those who may attend was corrected: Ana Rúiz, with a weight of 40.",
                    "Ana Rúiz is no longer present.",
                    "The list of those who may attend was corrected: Ana \\*Ruíz\\* (formerly Ana Rúiz), with a weight of 41.",
                    "Ana \\*Ruíz\\* is present in the hall (manual registration), with a weight of 41.",
                ],
            ),
            (
                Language::Portuguese,
                [
                    "Ana Rúiz está presente na sala (registro manual), com peso de 60.",
                    "A lista de quem pode participar foi corrigida: Ana Rúiz, com peso de 40.",
                    "Ana Rúiz já não está presente.",
                    "A lista de quem pode participar foi corrigida: Ana \\*Ruíz\\* (antes Ana Rúiz), com peso de 41.",
                    "Ana \\*Ruíz\\* está presente na sala (registro manual), com peso de 41.",
                ],
            ),
        ] {
            let text = minutes.markdown(&about(), language);
            let told: Vec<&str> = text.lines().filter(|line| line.contains("Ana")).collect();
            let expected: Vec<String> = (1..)
                .zip(lines)
                .map(|(second, line)| format!("- 2026-03-01 10:00:{second:02}Z — {line}"))
                .collect();
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn minutes_say_who_represented_which_unit_by_their_name() {
        let delegation = |represented| Event::DelegationChanged {
            unit: "A *107*".to_owned(),
            delegate: "julio".to_owned(),
            represented,
            by: Some("chair".to_owned()),
        };
        // They are registered, and named, after the unit was delegated to them.
        let events = [
            told(1, 2, delegation(true)),
            told(2, 3, Event::TurnStarted(turn("Don Julio"))),
            told(3, 9, delegation(false)),
        ];
        let text = Minutes::of(&events).markdown(&about(), Language::English);
        for line in [
            "- 2026-03-01 10:00:02Z — Don Julio represents the unit A \\*107\\*.",
            "- 2026-03-01 10:00:09Z — Don Julio no longer represents the unit A \\*107\\*.",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\nin\n{text}");
        }
    }

    #[test]
    fn minutes_say_who_presided_from_when_to_when() {
        let chair = |user_id: &str, name: &str, by: Option<&str>| {
            let chair = ChairView { user_id: user_id.to_owned(), name: name.to_owned() };
            Event::ChairChanged(NewChairView { chair, by: by.map(str::to_owned) })
        };
        let mut events = vec![
            told(1, 2, chair("ana", "Ana *A*", None)),
            told(2, 30, chair("bo", "Bo", Some("bo"))),
        ];
        let lines = |events: &[LogEvent], language| {
            let text = Minutes::of(events).markdown(&about(), language);
            assert!(!text.contains('{'), "{text}");
            let lines = text.lines().filter(|line| line.starts_with("- 2026-03-01 10:00"));
            lines.map(str::to_owned).collect::<Vec<String>>()
        };
        assert_eq!(
            lines(&events, Language::Spanish),
            [
                "- 2026-03-01 10:00:02Z — Ana \\*A\\* presidió hasta 2026-03-01 10:00:30Z.",
                "- 2026-03-01 10:00:30Z — Bo preside."
            ]
        );
        events.push(told(3, 50, Event::SessionEnded { reason: "completed".to_owned() }));
        for (language, last) in [
            (Language::Spanish, "Bo presidió hasta 2026-03-01 10:00:50Z."),
            (Language::English, "Bo presided until 2026-03-01 10:00:50Z."),
            (Language::Portuguese, "Bo presidiu até 2026-03-01 10:00:50Z."),
        ] {
            let expected = format!("- 2026-03-01 10:00:30Z — {last}");
            assert_eq!(lines(&events, language).last(), Some(&expected));
        }
    }

    #[test]
    fn minutes_of_nothing_say_so() {
        let about = About { is_transcribed: false, head: None, ..about() };
        let text = Minutes::default().markdown(&about, Language::English);
        assert_eq!(text.matches("Nothing is on record.").count(), 5);
        assert!(text.contains("was not transcribed") && text.contains("no signed root yet"));
    }
}
