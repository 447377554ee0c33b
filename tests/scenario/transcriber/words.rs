//! Recorded phrases in three languages, as packets with losses, through the real model to text.

use cabildo::transcriber::speech::whisper::Whisper;
use cabildo::transcriber::speech::{Speech, SpeechEngine as _, SpeechError};

use super::fixture::{Scene, loses};
use crate::speech::{encode, model, phrases, samples, silence};

#[test]
fn recorded_phrases_become_exactly_their_words_with_five_percent_loss() {
    let whisper = Whisper::load(&model()).expect("the model");
    let mut recogniser = whisper.recogniser().expect("a state");
    for percent in [0, 5] {
        let mut wrong = Vec::new();
        for phrase in phrases() {
            let mut scene = Scene::new();
            let sounds = encode(&[samples(&phrase.file), silence(1)].concat());
            scene.say_but(&sounds, loses(percent));
            let heard: Vec<String> = scene
                .pieces
                .iter()
                .map(|piece| {
                    let language = Some(phrase.language.as_str());
                    let speech =
                        Speech { id: None, samples: &piece.samples, language, words: None };
                    let heard = recogniser.recognise(speech).expect("an answer");
                    assert!((0.0..=1.0).contains(&heard.confidence), "{}", heard.confidence);
                    assert_eq!(heard.language, phrase.language);
                    heard.text
                })
                .filter(|text| !text.is_empty())
                .collect();
            if heard.join(" ") != phrase.text {
                wrong.push((phrase.file, heard));
            }
        }
        assert!(wrong.is_empty(), "{percent} %: {wrong:?}");
    }
}

fn speech<'a>(samples: &'a [f32], language: Option<&'a str>) -> Speech<'a> {
    Speech { id: None, samples, language, words: None }
}

#[test]
fn words_that_are_expected_are_taken_whatever_their_number() {
    let whisper = Whisper::load(&model()).expect("the model");
    let mut recogniser = whisper.recogniser().expect("a state");
    let mut scene = Scene::new();
    scene.say(&encode(&[samples("es-hay-quorum.wav"), silence(1)].concat()));
    let sound = &scene.pieces[0].samples;
    let long = ["avenida Mariscal López"; 200].join(", ");
    for words in [
        "Ñemby, Areguá",
        "",
        &long,
        &"Ñ".repeat(10_000),
        ", , ,",
        "a\0b",
        "<|endoftext|>",
        "[_EOT_]",
    ] {
        let speech = Speech { words: Some(words), ..speech(sound, Some("es")) };
        // The model of the tests was not trained with words before the speech.
        let heard = recogniser.recognise(speech);
        assert!(matches!(heard, Ok(_) | Err(SpeechError::Failed(_))), "{heard:?}");
    }
    // What one piece was told is not told with the next.
    let heard = recogniser.recognise(speech(sound, Some("es"))).expect("an answer");
    assert_eq!(heard.text, "hay quórum");
}

#[test]
fn the_language_is_recognised_when_nobody_says_it() {
    let whisper = Whisper::load(&model()).expect("the model");
    let mut recogniser = whisper.recogniser().expect("a state");
    let mut scene = Scene::new();
    scene.say(&encode(&[samples("en-point-of-order.wav"), silence(1)].concat()));
    let piece = &scene.pieces[0];
    let heard = recogniser.recognise(speech(&piece.samples, None));
    let heard = heard.expect("an answer");
    assert_eq!((heard.text.as_str(), heard.language.as_str()), ("point of order", "en"));
    // A tag that whisper.cpp does not know is no reason to fail.
    let odd = recogniser.recognise(speech(&piece.samples, Some("x-\0y")));
    assert_eq!(odd.expect("an answer").text, "point of order");
    let regional = speech(&piece.samples, Some("en-GB"));
    assert_eq!(recogniser.recognise(regional).expect("an answer").language, "en-GB");
}

#[test]
fn sound_of_any_length_and_kind_is_taken() {
    let whisper = Whisper::load(&model()).expect("the model");
    let mut recogniser = whisper.recogniser().expect("a state");
    for samples in [vec![], vec![0.0; 1], vec![1.0; 256], vec![-1.0; 8 * 16_000 + 256]] {
        let heard = recogniser.recognise(speech(&samples, Some("es")));
        assert!(heard.is_ok(), "{} samples: {heard:?}", samples.len());
    }
}

#[test]
fn files_that_are_no_model_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let whole = std::fs::read(model()).expect("the model");
    let file = directory.path().join("model.bin");
    let mut trailing = whole.clone();
    trailing.extend_from_slice(b"more");
    let cases: [(&str, &[u8]); 4] = [
        ("not a ggml model", b"GGUF and more"),
        ("ends too early", &whole[..whole.len() / 2]),
        ("ends too early", &whole[..whole.len() - 1]),
        ("", &trailing),
    ];
    for (why, bytes) in cases {
        std::fs::write(&file, bytes).expect("a file");
        let error = Whisper::load(&file).expect_err("no model").to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(Whisper::load(directory.path()).is_err(), "a directory");
    assert!(Whisper::load(&directory.path().join("none")).is_err(), "nothing");
    // A model that is replaced while it is used stays what it was.
    std::fs::write(&file, &whole).expect("a file");
    let whisper = Whisper::load(&file).expect("the model");
    std::fs::write(&file, b"GGUF").expect("a file");
    let mut recogniser = whisper.recogniser().expect("a state");
    let silence = vec![0.0; 32_000];
    let silence = speech(&silence, Some("es"));
    assert_eq!(recogniser.recognise(silence).expect("an answer").text, "");
}
