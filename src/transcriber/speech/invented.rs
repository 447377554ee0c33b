//! What engines write that nobody said: notes about sounds, lines of the subtitles that models
//! learned from, and the words that the engine itself was told to expect.

use super::{Heard, SpeechError};

/// Longest note about a sound, in characters; longer text in brackets is taken for speech.
const NOTE_CHARS_MAX: usize = 40;
/// A text that repeats the words to expect was said after all when the engine is surer than this.
const ECHO_CONFIDENCE_MAX: f32 = 0.5;
/// Lines of subtitles, in lower case. A whole text that holds one of them was not said.
const SUBTITLE_LINES: [&str; 16] = [
    "amara.org",
    "subtítulos realizados por",
    "subtítulos por la comunidad",
    "subtitulado por la comunidad",
    "suscríbete al canal",
    "gracias por ver el video",
    "gracias por ver el vídeo",
    "subtitles by the",
    "subtitles by:",
    "thanks for watching",
    "thank you for watching",
    "legendas pela comunidade",
    "legenda adriana zanotto",
    "obrigado por assistir",
    "inscreva-se no canal",
    "transcrição e legendas",
];
/// Words of a text that holds a line of subtitles at most; a longer one has more in it.
const SUBTITLE_WORDS_MAX: usize = 12;

/// What was heard, without what nobody said. `words` are those that the engine was told to expect,
/// with commas between them.
///
/// # Errors
/// When all of it was made up, although there was speech: the engine failed.
pub(in crate::transcriber) fn without_inventions(
    heard: Heard,
    words: Option<&str>,
) -> Result<Heard, SpeechError> {
    let text = without_notes(&heard.text);
    let failed = |what: &str| Err(SpeechError::Failed(what.to_owned()));
    if is_subtitle_line(&text) {
        return failed("the text is a line of subtitles");
    }
    let is_echo = words.is_some_and(|words| words.contains(',') && spoken(words) == spoken(&text));
    if is_echo && heard.confidence < ECHO_CONFIDENCE_MAX {
        return failed("the text is the words to expect");
    }
    Ok(Heard { text, ..heard })
}

/// The words of a text as they sound alike however they are written.
fn spoken(text: &str) -> Vec<String> {
    text.split(|it: char| !it.is_alphanumeric() && it != '\'' && it != '’')
        .map(str::to_lowercase)
        .filter(|word| !word.is_empty())
        .collect()
}

fn is_subtitle_line(text: &str) -> bool {
    let text = text.to_lowercase();
    text.split_whitespace().count() <= SUBTITLE_WORDS_MAX
        && SUBTITLE_LINES.iter().any(|line| text.contains(line))
}

/// A text without notes such as `[BLANK_AUDIO]`, `(música)`, `*aplausos*` and `♪`. A number in
/// brackets, as of an article, is no note.
fn without_notes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(['[', '(', '*', '♪', '♫', '♬']) {
        let (before, at) = rest.split_at(begin);
        kept.push_str(before);
        let open = at.chars().next().unwrap_or_default();
        let after = at.get(open.len_utf8()..).unwrap_or_default();
        let close = match open {
            '[' => ']',
            '(' => ')',
            '*' => '*',
            _ => {
                rest = after;
                continue;
            }
        };
        match after.split_once(close) {
            Some((note, further)) if is_note(note) => rest = further,
            _ => {
                kept.push(open);
                rest = after;
            }
        }
    }
    kept.push_str(rest);
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_note(text: &str) -> bool {
    let count = text.chars().count();
    let is_numeral = text.chars().all(|it| "ivxlcIVXLC".contains(it));
    (3..=NOTE_CHARS_MAX).contains(&count)
        && !is_numeral
        && text.chars().all(|it| it.is_alphabetic() || " _-.,'’♪♫".contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str, confidence: f32) -> Heard {
        let (language, engine) = ("es".to_owned(), "test".to_owned());
        Heard { text: text.to_owned(), confidence, language, engine }
    }

    fn said(text: &str, words: Option<&str>) -> Option<String> {
        without_inventions(heard(text, 0.0), words).ok().map(|heard| heard.text)
    }

    #[test]
    fn notes_about_sounds_are_no_words() {
        for text in ["[BLANK_AUDIO]", " (música) ", "♪", "♪♪ ♫", "*aplausos*", "[Risas] (tos)", ""]
        {
            assert_eq!(said(text, None).as_deref(), Some(""), "{text}");
        }
        for (text, kept) in [
            ("(Aplausos) Pido la palabra.", "Pido la palabra."),
            ("Pido [inaudible] la palabra", "Pido la palabra"),
            ("El artículo 3 (b) y el 7 (2) dicen", "El artículo 3 (b) y el 7 (2) dicen"),
            ("El inciso (iii) del artículo", "El inciso (iii) del artículo"),
            ("tres * cuatro", "tres * cuatro"),
            ("abierto ( sin cerrar", "abierto ( sin cerrar"),
            ("♪ himno nacional ♪", "himno nacional"),
        ] {
            assert_eq!(said(text, None).as_deref(), Some(kept), "{text}");
        }
    }

    #[test]
    fn lines_of_subtitles_are_a_failure_unless_they_stand_in_a_longer_text() {
        for text in [
            "Subtítulos realizados por la comunidad de Amara.org",
            "♪♪ Subtítulos realizados por la comunidad de Amara.org",
            "¡Gracias por ver el video!",
            "Thanks for watching!",
            "Legendas pela comunidade Amara.org",
        ] {
            assert_eq!(said(text, None), None, "{text}");
        }
        let long = "propongo que el video lleve al final la frase gracias por ver el video como \
                    en la asamblea de marzo";
        assert_eq!(said(long, None).as_deref(), Some(long));
    }

    #[test]
    fn the_words_to_expect_are_a_failure_unless_they_were_surely_said() {
        let words = Some("Calle Ñandutí, Dr. O'Brien");
        assert_eq!(said("Calle Ñandutí, Dr. O'Brien.", words), None);
        assert_eq!(said("calle ñandutí dr o'brien", words), None);
        let surely = without_inventions(heard("Calle Ñandutí, Dr. O'Brien", 0.9), words);
        assert!(surely.is_ok());
        assert!(said("Vive en la calle Ñandutí, doctor O'Brien", words).is_some());
        assert!(said("Calle Ñandutí", Some("Calle Ñandutí")).is_some());
    }
}
