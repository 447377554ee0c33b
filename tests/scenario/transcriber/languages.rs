//! Which language a piece of speech is in: that of its person, and from the next piece on when it
//! changes.

use cabildo::domain::language::LanguageTag;
use cabildo::transcriber::engine::{Expected, HeardTrack, Piece};

use super::fixture::{PACKET_US, Scene, microphone};
use crate::speech::{Sound, encode, samples, silence};

const PHRASE: &str = "es-pido-la-palabra-por-favor.wav";

fn tag(text: &str) -> LanguageTag {
    text.parse().expect("a language tag")
}

fn expected(language: Option<&str>) -> Expected {
    Expected { language: language.map(str::to_owned), words: Some("Areguá".into()) }
}

/// A phrase and a pause.
fn phrase() -> Vec<Sound> {
    encode(&[samples(PHRASE), silence(1)].concat())
}

fn languages(scene: &Scene) -> Vec<Option<&str>> {
    scene.pieces.iter().map(|piece: &Piece| piece.language.as_deref()).collect()
}

#[test]
fn a_piece_is_in_the_language_of_its_person_or_else_of_the_session() {
    let mut scene = Scene::new();
    let (key, track) = (scene.key, scene.track);
    let (first, more) = (phrase(), phrase());
    scene.say(&first);
    scene.engine.set_language(key, track, Some(tag("en")));
    scene.say(&more);
    // Another language of the session changes nothing for whoever said their own.
    assert!(scene.engine.open_session(key, expected(Some("pt"))));
    scene.say(&more);
    scene.engine.set_language(key, track, None);
    scene.say(&more);
    assert!(scene.engine.open_session(key, expected(None)));
    scene.say(&more);
    let expected = [Some("es"), Some("en"), Some("en"), Some("pt"), None];
    assert_eq!(languages(&scene), expected);
    let words: Vec<_> = scene.pieces.iter().map(|piece| piece.words.as_deref()).collect();
    assert_eq!(words[1], Some("Ñemby, Areguá"), "the words of the session stay");
    assert_eq!(words[2..], [Some("Areguá"); 3]);
}

#[test]
fn what_is_being_said_stays_in_the_language_in_which_it_was_begun() {
    let mut scene = Scene::new();
    let (key, track) = (scene.key, scene.track);
    let sounds = encode(&[samples(PHRASE), silence(1), samples(PHRASE), silence(1)].concat());
    let mut begun = Vec::new();
    let mut is_changed = false;
    for sound in &sounds {
        scene.say(std::slice::from_ref(sound));
        let pieces = scene.pieces.len();
        begun.extend(scene.engine.being_said().map(|speech| {
            (pieces, speech.id.expect("a name").1, speech.language.map(str::to_owned))
        }));
        let so_far = scene.engine.so_far(&[track]);
        if so_far.is_some() && !is_changed {
            is_changed = true;
            scene.engine.set_language(key, track, Some(tag("en")));
            assert!(scene.engine.open_session(key, expected(Some("pt"))));
            scene.engine.set_language(key, track, Some(tag("fr")));
        }
        begun.extend(so_far.map(|piece| (pieces, piece.from, piece.language)));
    }
    assert_eq!(languages(&scene), [Some("es"), Some("fr")]);
    // Engines that hear it while it is said, and words so far, have the same.
    for (pieces, from, language) in begun {
        assert_eq!(from, scene.pieces[pieces].from);
        assert_eq!(language, scene.pieces[pieces].language);
    }
}

#[test]
fn whoever_speaks_without_a_pause_has_the_new_language_in_the_next_piece() {
    let mut scene = Scene::new();
    let (key, track) = (scene.key, scene.track);
    // More than the longest piece, without a pause that would end one.
    let sound: Vec<i16> = std::iter::repeat_with(|| samples(PHRASE))
        .take(8)
        .flat_map(|mut phrase| {
            let end = phrase.iter().rposition(|sample| sample.abs() > 600).expect("a word");
            phrase.truncate(end);
            let begin = phrase.iter().position(|sample| sample.abs() > 600).expect("a word");
            phrase.split_off(begin)
        })
        .collect();
    let sounds = encode(&sound);
    scene.say(&sounds[..150]);
    assert!(scene.pieces.is_empty());
    scene.engine.set_language(key, track, Some(tag("en")));
    scene.say(&sounds[150..]);
    scene.say(&encode(&silence(1)));
    let told = languages(&scene);
    assert!(told.len() >= 2, "{:?}", scene.times());
    assert_eq!(told[0], Some("es"));
    assert!(told[1..].iter().all(|language| *language == Some("en")), "{told:?}");
}

#[test]
fn a_language_of_a_track_that_is_not_heard_is_of_no_effect() {
    let mut scene = Scene::new();
    let (key, other) = (scene.key, super::fixture::key());
    scene.engine.set_language(other, scene.track, Some(tag("en")));
    scene.engine.set_language(key, microphone("bea").track, Some(tag("en")));
    scene.say(&phrase());
    assert_eq!(languages(&scene), [Some("es")]);
}

#[test]
fn a_track_comes_with_the_language_of_its_person() {
    let mut scene = Scene::new();
    let (key, track) = (scene.key, scene.track);
    scene.engine.remove_track(track);
    // From the first look on, its last packets are waited for.
    scene.pass(PACKET_US);
    scene.pass(600_000);
    assert_eq!(scene.engine.tracks(), 0);
    let again = HeardTrack { track, language: Some(tag("pt-BR")), ..microphone("ana") };
    assert!(scene.engine.add_track(key, again));
    scene.begin();
    scene.say(&phrase());
    assert_eq!(languages(&scene), [Some("pt-BR")]);
}
