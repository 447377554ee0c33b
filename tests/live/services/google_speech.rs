//! Google Speech-to-Text: what it is sent by real HTTP/2, what is made of its answers, and of
//! answers that break off, lie, never come or never end.

mod stub;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cabildo::clock::Clock;
use cabildo::domain::id::TrackId;
use cabildo::domain::language::LanguageTag;
use cabildo::domain::secret::Secret;
use cabildo::domain::time::Timestamp;
use cabildo::services::{GoogleAccountOptions, ServiceOptions};
use cabildo::transcriber::speech::fallback::Fallback;
use cabildo::transcriber::speech::google::{GOOGLE_SCOPE, GoogleOptions, GoogleSpeech};
use cabildo::transcriber::speech::{Heard, Recogniser, Speech, SpeechEngine, SpeechError};
use uuid::Uuid;

use self::stub::{Mood, Stub};
use super::fixture::options;
use crate::platform::providers::{AUDIENCE, SERVICE_ACCOUNT, private_key};

/// Bytes of a second of sound as it is sent.
const SECOND: usize = 32_000;

/// How long an answer may take that does come: the stub signs and checks keys without optimisation.
/// One that fails takes less, however busy the machine is.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one is waited for that never comes.
const HANGS: Duration = Duration::from_millis(1_500);

fn tag(text: &str) -> LanguageTag {
    text.parse().expect("a language tag")
}

fn google_options(url: &str, timeout: Duration) -> GoogleOptions {
    GoogleOptions {
        url: format!("{url}/base"),
        recognizer: "projects/city/locations/eu/recognizers/_".to_owned(),
        model: "long".to_owned(),
        languages: ["es-PY", "en-US", "pt-BR", "fr-FR", "zh-Hant-TW"].map(tag).to_vec(),
        recognises_language: true,
        account: GoogleAccountOptions {
            token: ServiceOptions {
                service_id: String::new(),
                ..options(&format!("{url}/token"), timeout)
            },
            client_email: SERVICE_ACCOUNT.to_owned(),
            key_id: Some("stub".to_owned()),
            private_key: Secret::new(private_key()),
            audience: AUDIENCE.to_owned(),
            subject: None,
            scope: GOOGLE_SCOPE,
        },
        timeout,
    }
}

fn engine_with(options: GoogleOptions) -> GoogleSpeech {
    GoogleSpeech::new(options, Clock::system(), tokio::runtime::Handle::current()).expect("valid")
}

fn engine(url: &str) -> GoogleSpeech {
    engine_with(google_options(url, PATIENCE))
}

fn name(number: u128) -> (TrackId, Timestamp) {
    let track = TrackId::from_uuid(Uuid::from_u128(number));
    (track, Timestamp::from_unix_us(1_700_000_000_000_000))
}

/// Asks as a worker does, from a thread of its own.
async fn ask_with(
    engine: &(impl SpeechEngine + Clone + 'static),
    (language, words): (Option<&'static str>, Option<&'static str>),
    id: Option<(TrackId, Timestamp)>,
) -> Result<Heard, SpeechError> {
    let engine = engine.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let samples = vec![0.25; 16_000];
        let mut recogniser = engine.recogniser().expect("always");
        recogniser.recognise(Speech { id, samples: &samples, language, words })
    });
    asked.await.expect("no panic")
}

async fn ask(engine: &GoogleSpeech, language: Option<&'static str>) -> Result<Heard, SpeechError> {
    ask_with(engine, (language, None), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_is_sent_as_a_stream_and_its_answer_is_read() {
    let (stub, url) = Stub::start(Mood::Final).await;
    let engine = engine(&url);
    let words = Some("Ñemby, Areguá");
    let heard = ask_with(&engine, (Some("es"), words), None).await.expect("an answer");
    assert_eq!((heard.text.as_str(), heard.language.as_str()), ("hay quórum", "es"));
    assert_eq!(heard.engine, "google long");
    assert!((0.69..0.71).contains(&heard.confidence), "{}", heard.confidence);
    let calls = stub.calls();
    let [call] = calls.as_slice() else { panic!("{} calls", calls.len()) };
    assert_eq!(call.headers["authorization"], "Bearer stub-token-1");
    assert_eq!(call.headers["te"], "trailers");
    assert_eq!(call.headers["content-type"], "application/grpc");
    let params = "recognizer=projects%2Fcity%2Flocations%2Feu%2Frecognizers%2F_";
    assert_eq!(call.headers["x-goog-request-params"], params);
    let first = &call.messages[0];
    assert_eq!(first.recognizer, "projects/city/locations/eu/recognizers/_");
    let config = first.config().expect("the first message has the configuration");
    assert_eq!((config.model.as_str(), config.language_codes.join(" ")), ("long", "es-PY".into()));
    assert_eq!(config.encoding(), (1, 16_000, 1), "16 bits, 16 kHz, one channel");
    assert_eq!(config.phrases(), ["Ñemby", "Areguá"]);
    assert!(call.messages[1..].iter().all(|message| message.config().is_none()));
    assert!(call.messages[1..].iter().all(|message| message.recognizer.is_empty()));
    assert!(call.messages[1..].iter().all(|message| message.audio().len() <= 3_200));
    let audio = call.audio();
    assert_eq!(audio.len(), SECOND);
    assert_eq!(audio[..2], 8_192_i16.to_le_bytes());
    let shown = format!("{engine:?}");
    assert!(!shown.contains("PRIVATE") && !shown.contains("stub-token"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_is_sent_while_it_is_spoken_and_once() {
    let (stub, url) = Stub::start(Mood::Final).await;
    let engine = engine(&url);
    let hearing = engine.hearing().expect("it hears");
    let samples = vec![0.25; 16_000];
    let said = |until: usize| Speech {
        id: Some(name(1)),
        samples: &samples[..until],
        language: Some("es"),
        words: None,
    };
    hearing.hear(said(4_000));
    stub.until(|calls| calls.len() == 1 && calls[0].audio().len() == 6_400).await;
    hearing.hear(said(8_100));
    stub.until(|calls| calls[0].audio().len() == 16_000).await;
    let heard = ask_with(&engine, (Some("es"), None), Some(name(1))).await.expect("an answer");
    assert_eq!(heard.text, "hay quórum");
    assert_eq!(stub.calls().len(), 1, "the piece is recognised by its stream");
    assert_eq!(stub.calls()[0].audio().len(), SECOND, "all of it, and nothing twice");
    ask_with(&engine, (Some("es"), None), Some(name(2))).await.expect("an answer");
    assert_eq!(stub.calls().len(), 2, "another piece has a stream of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_speakers_have_no_more_streams_than_the_limit() {
    let (stub, url) = Stub::start(Mood::Final).await;
    let engine = engine(&url);
    let hearing = engine.hearing().expect("it hears");
    let samples = vec![0.25; 4_000];
    for number in 0..200 {
        let id = Some(name(number));
        hearing.hear(Speech { id, samples: &samples, language: None, words: None });
    }
    stub.until(|calls| calls.len() == 64).await;
    let heard = ask_with(&engine, (None, None), Some(name(199))).await;
    assert!(heard.is_ok(), "one without a stream is sent once it is complete: {heard:?}");
    assert_eq!(stub.calls().len(), 65);
}

#[tokio::test(flavor = "multi_thread")]
async fn languages_are_sent_with_their_region_and_another_one_is_told() {
    let (stub, url) = Stub::start(Mood::OtherLanguage).await;
    let google = engine(&url);
    let sent = |stub: &Stub| {
        let calls = stub.calls();
        let config = calls.last().and_then(|call| call.messages[0].config()).expect("one");
        config.language_codes.join(" ")
    };
    for (wanted, codes, told) in [
        (Some("es"), "es-PY", "en"),
        (Some("es-AR"), "es-AR", "en"),
        (Some("gn"), "gn", "en"),
        (None, "es-PY en-US pt-BR", "en"),
        (Some("en-GB"), "en-GB", "en-GB"),
        (Some("FR"), "fr-FR", "en"),
        (Some("zh-Hant"), "zh-Hant-TW", "en"),
    ] {
        let heard = ask(&google, wanted).await.expect("an answer");
        assert_eq!((sent(&stub).as_str(), heard.language.as_str()), (codes, told), "{wanted:?}");
    }
    let told = google.languages();
    assert_eq!(told, ["es-PY", "en-US", "pt-BR", "fr-FR", "zh-Hant-TW"].map(tag));
    let alone = GoogleOptions { recognises_language: false, ..google_options(&url, PATIENCE) };
    ask(&engine_with(alone), None).await.expect("an answer");
    assert_eq!(sent(&stub), "es-PY");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_are_not_final_are_no_text() {
    let (_stub, url) = Stub::start(Mood::Partials).await;
    let heard = ask(&engine(&url), Some("es")).await.expect("an answer");
    assert_eq!(heard.text, "hay quórum");
    let (_stub, url) = Stub::start(Mood::Nothing).await;
    assert_eq!(ask(&engine(&url), Some("es")).await.expect("an answer").text, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_takes_no_glossary_is_asked_without_it_from_then_on() {
    let (stub, url) = Stub::start(Mood::Plain).await;
    let engine = engine(&url);
    let words = Some("Ñemby");
    for calls in [2, 3, 4] {
        let heard = ask_with(&engine, (Some("es"), words), None).await.expect("an answer");
        assert_eq!((heard.text.as_str(), stub.calls().len()), ("hay quórum", calls));
        assert_eq!(stub.calls().last().expect("a call").audio().len(), SECOND, "all of it");
    }
    // One session's language says nothing of the service.
    let (_stub, url) = Stub::start(Mood::Status(3)).await;
    let engine = self::engine(&url);
    for _ in 0..6 {
        assert!(matches!(ask(&engine, Some("xx")).await, Err(SpeechError::Failed(_))));
    }
    assert_eq!(engine.problem(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_asked_for_again() {
    let (stub, url) = Stub::start(Mood::Final).await;
    let engine = engine(&url);
    ask(&engine, None).await.expect("an answer");
    ask(&engine, None).await.expect("an answer");
    assert_eq!(stub.tokens_given(), 1, "a token is used until it expires");
    stub.revoke();
    ask(&engine, None).await.expect("an answer with another token");
    assert_eq!((stub.tokens_given(), stub.calls().len()), (2, 4));
    stub.refuse_accounts();
    let error = ask(&engine, None).await.expect_err("no token");
    assert!(matches!(error, SpeechError::Unavailable(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_closed_cost_no_text() {
    let (stub, url) = Stub::start(Mood::GoAway).await;
    let engine = engine(&url);
    for _ in 0..3 {
        ask(&engine, None).await.expect("what was begun is answered, what follows elsewhere");
    }
    assert_eq!((stub.connections(), stub.calls().len()), (3, 3));
    stub.set(Mood::Cut);
    ask(&engine, None).await.expect("the whole piece is sent again");
    assert_eq!(stub.calls().len(), 5);
    assert_eq!(engine.problem(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_hang_lie_break_off_or_never_end_are_failures_in_time() {
    for mood in [
        Mood::Hanging,
        Mood::HangingAnswer,
        Mood::Endless,
        Mood::Huge,
        Mood::Compressed,
        Mood::WrongTypes,
        Mood::HalfMessage,
        Mood::NoStatus,
        Mood::Html,
        Mood::Http(503),
        Mood::Status(7),
        Mood::Status(8),
        Mood::Status(13),
        Mood::Status(99),
        Mood::StatusAlone(14),
        Mood::Long,
        Mood::Repeating,
    ] {
        let (stub, url) = Stub::start(mood).await;
        let impatient = engine_with(google_options(&url, HANGS));
        let begun = Instant::now();
        let error = ask(&impatient, Some("es")).await.expect_err("no text");
        assert!(begun.elapsed() < PATIENCE, "{mood:?}");
        let text = error.to_string();
        for secret in ["stub-token", "127.0.0.1", "PRIVATE", "secret-detail"] {
            assert!(!text.contains(secret), "{mood:?}: {text}");
        }
        assert!(stub.calls().len() <= 2, "{mood:?}");
    }
}

/// An engine that always understands the same.
#[derive(Debug)]
struct Local;

impl SpeechEngine for Local {
    fn name(&self) -> String {
        "local".to_owned()
    }

    fn languages(&self) -> Vec<LanguageTag> {
        Vec::new()
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        Ok(Box::new(Self))
    }
}

impl Recogniser for Local {
    fn recognise(&mut self, _speech: Speech<'_>) -> Result<Heard, SpeechError> {
        let (text, language) = ("de aquí".to_owned(), "es".to_owned());
        Ok(Heard { text, confidence: 0.5, language, engine: self.name() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_quota_is_used_up_it_is_left_alone_and_another_engine_is_asked() {
    let (stub, url) = Stub::start(Mood::Status(8)).await;
    let google = engine(&url);
    let both = Arc::new(Fallback::new(Arc::new(google.clone()), Arc::new(Local)));
    let hearing = both.hearing().expect("as the first one");
    for _ in 0..5 {
        let heard = ask_with(&Pair(Arc::clone(&both)), (None, None), None).await.expect("local");
        assert_eq!((heard.text.as_str(), heard.engine.as_str()), ("de aquí", "local"));
    }
    assert!(google.problem().is_some(), "health says so");
    let calls = stub.calls().len();
    stub.set(Mood::Final);
    let samples = vec![0.25; 16_000];
    hearing.hear(Speech { id: Some(name(1)), samples: &samples, language: None, words: None });
    assert!(ask_with(&Pair(both), (None, None), Some(name(1))).await.is_ok());
    assert!(matches!(ask(&google, None).await, Err(SpeechError::Unavailable(_))));
    assert_eq!(stub.calls().len(), calls, "it is not asked");
}

/// A pair that is shared.
#[derive(Debug, Clone)]
struct Pair(Arc<Fallback>);

impl SpeechEngine for Pair {
    fn name(&self) -> String {
        self.0.name()
    }

    fn languages(&self) -> Vec<LanguageTag> {
        self.0.languages()
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        self.0.recogniser()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_or_a_key_that_can_not_be_used_is_refused() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let make = |options: GoogleOptions| {
        GoogleSpeech::new(options, Clock::system(), tokio::runtime::Handle::current()).is_ok()
    };
    let here = || google_options("http://127.0.0.1:1", PATIENCE);
    assert!(make(here()));
    for url in ["ftp://speech.example", "https://me:secret@speech.example", "nothing"] {
        assert!(!make(GoogleOptions { url: url.to_owned(), ..here() }), "{url}");
    }
    let mut options = here();
    options.account.private_key = Secret::new("no key".to_owned());
    assert!(!make(options));
}
