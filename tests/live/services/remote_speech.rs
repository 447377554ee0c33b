//! A server with OpenAI's interface for speech: what it is sent, what each kind of server answers,
//! and servers that hang, lie or answer without end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use cabildo::clock::Clock;
use cabildo::domain::secret::Secret;
use cabildo::transcriber::speech::openai::{OpenAi, OpenAiOptions};
use cabildo::transcriber::speech::{Heard, Speech, SpeechEngine as _, SpeechError};

/// Longest that anything takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_mins(1);

/// How the stub answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Verbose,
    /// Only the newest models' format, with the probabilities of tokens.
    Tokens,
    /// Only plain JSON, and nothing else in the request.
    Plain,
    Silent,
    Endless,
    NotJson,
    WrongTypes,
    Failing(u16),
    Redirecting,
    OtherLanguage,
    EnglishOnly,
    Wordless,
    Repeating,
}

/// A request: its headers and its body.
type Received = (HeaderMap, Bytes);

#[derive(Clone)]
struct Stub(Arc<Mutex<(Mood, Vec<Received>)>>);

impl Stub {
    async fn start(mood: Mood) -> (Self, String) {
        drop(rustls::crypto::ring::default_provider().install_default());
        let stub = Self(Arc::new(Mutex::new((mood, Vec::new()))));
        let routes = Router::new()
            .route("/base/v1/audio/transcriptions", post(answer))
            .with_state(stub.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/base", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
        (stub, url)
    }

    fn set(&self, mood: Mood) {
        self.0.lock().expect("no panic").0 = mood;
    }

    fn calls(&self) -> Vec<(HeaderMap, Bytes)> {
        self.0.lock().expect("no panic").1.clone()
    }
}

fn field(body: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, after) = text.split_once(&format!("name=\"{name}\"\r\n\r\n"))?;
    after.split_once("\r\n").map(|(value, _)| value.to_owned())
}

async fn answer(State(stub): State<Stub>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mood = {
        let mut held = stub.0.lock().expect("no panic");
        held.1.push((headers, body.clone()));
        held.0
    };
    let say = |status: u16, text: &str| {
        Response::builder()
            .status(StatusCode::from_u16(status).expect("a status"))
            .header("location", "http://127.0.0.1:1/")
            .body(Body::from(text.to_owned()))
            .expect("a response")
    };
    let format = field(&body, "response_format").unwrap_or_default();
    let has_more = field(&body, "include[]").is_some();
    match mood {
        Mood::Verbose => say(
            200,
            r#"{"language":"spanish","duration":"2.1","text":" hay quórum",
                "segments":[{"text":" hay quórum","avg_logprob":-0.105,"no_speech_prob":0.01}]}"#,
        ),
        Mood::EnglishOnly if field(&body, "language").is_some() => say(400, "unknown language"),
        Mood::Wordless if field(&body, "prompt").is_some() => say(400, "no prompt"),
        Mood::OtherLanguage | Mood::EnglishOnly => {
            say(200, r#"{"language":"english","text":"good morning"}"#)
        }
        Mood::Repeating => say(200, r#"{"text":"no no no no no no no no no no"}"#),
        Mood::Tokens if format == "verbose_json" => say(400, r#"{"error":"response_format"}"#),
        Mood::Tokens => say(200, r#"{"text":"hay quórum","logprobs":[{"logprob":-0.105}]}"#),
        Mood::Plain if format == "verbose_json" || has_more => say(422, "no"),
        Mood::Plain | Mood::Wordless => say(200, r#"{"text":"hay quórum"}"#),
        Mood::Silent => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            say(200, "{}")
        }
        Mood::Endless => {
            let piece = Bytes::from(vec![b' '; 64 * 1024]);
            let pieces =
                futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
            Response::new(Body::from_stream(pieces))
        }
        Mood::NotJson => say(200, "<html>hay quórum</html>"),
        Mood::WrongTypes => say(200, r#"{"text":["hay","quórum"],"segments":7}"#),
        Mood::Failing(status) => say(status, r#"{"error":"no"}"#),
        Mood::Redirecting => say(307, ""),
    }
}

fn engine(url: &str) -> OpenAi {
    let options = OpenAiOptions {
        url: url.to_owned(),
        model: "whisper-large".to_owned(),
        key: Some(Secret::new("sk-hunter2".to_owned())),
        languages: vec!["es".parse().expect("a language tag")],
        timeout: Duration::from_millis(500),
    };
    OpenAi::new(&options, Clock::system(), tokio::runtime::Handle::current()).expect("a client")
}

/// Asks as a worker does, from a thread of its own.
async fn ask(engine: &OpenAi, language: Option<&'static str>) -> Result<Heard, SpeechError> {
    ask_with(engine, language, None).await
}

/// As [`ask`], with words that are likely to be said.
async fn ask_with(
    engine: &OpenAi,
    language: Option<&'static str>,
    words: Option<&'static str>,
) -> Result<Heard, SpeechError> {
    let engine = engine.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let samples = vec![0.25; 16_000];
        let mut recogniser = engine.recogniser().expect("always");
        recogniser.recognise(Speech { id: None, samples: &samples, language, words })
    });
    asked.await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_sent_a_wav_and_its_answer_is_read() {
    let (stub, url) = Stub::start(Mood::Verbose).await;
    let heard = ask(&engine(&url), Some("es-PY")).await.expect("an answer");
    assert_eq!((heard.text.as_str(), heard.language.as_str()), ("hay quórum", "es-PY"));
    assert_eq!(heard.engine, "openai whisper-large");
    assert!((0.89..0.91).contains(&heard.confidence), "{}", heard.confidence);
    let calls = stub.calls();
    let (headers, body) = &calls[0];
    assert_eq!(calls.len(), 1);
    assert_eq!(headers["authorization"], "Bearer sk-hunter2");
    assert!(headers["content-type"].to_str().expect("ascii").starts_with("multipart/form-data"));
    assert_eq!(field(body, "model").as_deref(), Some("whisper-large"));
    assert_eq!(field(body, "language").as_deref(), Some("es"));
    assert_eq!(field(body, "response_format").as_deref(), Some("verbose_json"));
    let text = String::from_utf8_lossy(body);
    assert!(text.contains("name=\"file\"; filename=\"speech.wav\""), "a name with an extension");
    let wav = body.windows(4).position(|it| it == b"RIFF").expect("a WAV");
    assert_eq!(body[wav + 24..wav + 28], 16_000_u32.to_le_bytes());
    assert_eq!(body[wav + 40..wav + 44], 32_000_u32.to_le_bytes());
    assert!(!format!("{:?}", engine(&url)).contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_know_less_are_asked_for_less_from_then_on() {
    for (mood, tries, confidence) in [(Mood::Tokens, 2, 0.9), (Mood::Plain, 3, 0.0)] {
        let (stub, url) = Stub::start(mood).await;
        let engine = engine(&format!("{url}/v1/"));
        let heard = ask(&engine, None).await.expect("an answer");
        assert_eq!((heard.text.as_str(), heard.language.as_str()), ("hay quórum", "und"));
        assert!((heard.confidence - confidence).abs() < 0.01, "{}", heard.confidence);
        assert_eq!(stub.calls().len(), tries, "{mood:?}");
        ask(&engine, None).await.expect("an answer");
        assert_eq!(stub.calls().len(), tries + 1, "{mood:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_language_is_told_as_what_it_is() {
    let (_stub, url) = Stub::start(Mood::OtherLanguage).await;
    assert_eq!(ask(&engine(&url), Some("es")).await.expect("an answer").language, "en");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_that_a_server_does_not_know_is_recognised_by_it() {
    let (stub, url) = Stub::start(Mood::EnglishOnly).await;
    let engine = engine(&url);
    let asked = async |language| {
        let before = stub.calls().len();
        assert_eq!(ask(&engine, Some(language)).await.expect("an answer").language, "en");
        stub.calls().len() - before
    };
    // Each form with the language, and then without it.
    assert_eq!(asked("gn").await, 4);
    assert_eq!(asked("gn").await, 4, "one piece may have met a server that was starting");
    for _ in 0..6 {
        assert_eq!(asked("gn").await, 1, "a refused language is not named again");
    }
    assert_eq!(asked("gn-PY").await, 1, "it is sent as the same language");
    assert_eq!(asked("pt").await, 4, "another language may be known");
    assert_eq!(asked("gn").await, 1, "and nothing is forgotten meanwhile");
    assert_eq!(engine.problem(), None, "one session's language says nothing of the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_are_likely_are_sent_unless_the_server_refuses_them() {
    let (stub, url) = Stub::start(Mood::Verbose).await;
    let words = Some("Ñemby, Areguá");
    ask_with(&engine(&url), Some("es"), words).await.expect("an answer");
    let sent = |call: usize, name: &str| field(&stub.calls()[call].1, name);
    assert_eq!(sent(0, "prompt").as_deref(), words);
    ask(&engine(&url), Some("es")).await.expect("an answer");
    assert_eq!(sent(1, "prompt"), None);
    let (stub, url) = Stub::start(Mood::Wordless).await;
    let engine = engine(&url);
    // The first piece may have met a server that was starting.
    for calls in [4, 8, 9, 10] {
        let heard = ask_with(&engine, Some("es"), words).await.expect("an answer");
        assert_eq!((heard.text.as_str(), stub.calls().len()), ("hay quórum", calls));
        let (_, last) = stub.calls().pop().expect("a call");
        assert_eq!(
            (field(&last, "language").as_deref(), field(&last, "prompt")),
            (Some("es"), None)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_repeats_itself_says_nothing_of_the_server() {
    let (stub, url) = Stub::start(Mood::Repeating).await;
    let engine = engine(&url);
    for _ in 0..6 {
        assert!(matches!(ask(&engine, None).await, Err(SpeechError::Failed(_))));
    }
    assert_eq!(engine.problem(), None);
    stub.set(Mood::Verbose);
    assert!(ask(&engine, None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_lies_or_never_ends_is_a_failure_in_time() {
    for mood in [
        Mood::Silent,
        Mood::Endless,
        Mood::NotJson,
        Mood::WrongTypes,
        Mood::Failing(401),
        Mood::Failing(404),
        Mood::Failing(500),
        Mood::Redirecting,
    ] {
        let (_stub, url) = Stub::start(mood).await;
        let begun = Instant::now();
        let error = ask(&engine(&url), Some("es")).await.expect_err("no text");
        assert!(begun.elapsed() < PATIENCE, "{mood:?}");
        let text = error.to_string();
        assert!(!text.contains("hunter2") && !text.contains("127.0.0.1"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_again_and_again_is_left_alone() {
    let (stub, url) = Stub::start(Mood::Failing(500)).await;
    let engine = engine(&url);
    for _ in 0..5 {
        assert!(matches!(ask(&engine, None).await, Err(SpeechError::Failed(_))));
    }
    assert!(engine.problem().is_some(), "health says so");
    let calls = stub.calls().len();
    stub.set(Mood::Verbose);
    assert!(matches!(ask(&engine, None).await, Err(SpeechError::Unavailable(_))));
    assert_eq!(stub.calls().len(), calls, "it is not asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_or_a_key_that_can_not_be_used_is_refused() {
    let make = |url: &str, key: &str| {
        let options = OpenAiOptions {
            url: url.to_owned(),
            model: "m".to_owned(),
            key: Some(Secret::new(key.to_owned())),
            languages: Vec::new(),
            timeout: Duration::from_secs(1),
        };
        OpenAi::new(&options, Clock::system(), tokio::runtime::Handle::current())
    };
    drop(rustls::crypto::ring::default_provider().install_default());
    assert!(make("https://speech.example", "sk").is_ok());
    assert!(make("ftp://speech.example", "sk").is_err());
    assert!(make("https://me:secret@speech.example", "sk").is_err());
    assert!(make("https://speech.example", "a\nb").is_err());
}
