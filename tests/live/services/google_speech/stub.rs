//! Google Speech-to-Text as the stand-in plays it: gRPC by HTTP/2, without a library of either side.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use http_body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use prost::Message;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::platform::providers::{AUDIENCE, SERVICE_ACCOUNT};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How the stand-in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Final,
    /// With results before that are not final.
    Partials,
    /// No result.
    Nothing,
    OtherLanguage,
    /// Refuses a glossary.
    Plain,
    /// Says after the beginning of each stream that the connection takes no more.
    GoAway,
    /// Cuts the connection of the next stream, and is well afterwards.
    Cut,
    /// Never answers.
    Hanging,
    /// Begins an answer and never ends it.
    HangingAnswer,
    /// Sends results without end.
    Endless,
    /// Announces a message of 4 GiB.
    Huge,
    Compressed,
    /// Sends fields of other types.
    WrongTypes,
    /// Ends within a message.
    HalfMessage,
    /// Ends without an outcome.
    NoStatus,
    Html,
    Http(u16),
    /// This outcome, in the trailers.
    Status(u16),
    /// This outcome, without a body.
    StatusAlone(u16),
    /// More text than anybody says.
    Long,
    Repeating,
}

/// `StreamingRecognizeRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(string, tag = "3")]
    pub(super) recognizer: String,
    #[prost(bytes, optional, tag = "5")]
    sound: Option<Vec<u8>>,
    #[prost(message, optional, tag = "6")]
    streaming_config: Option<StreamingConfig>,
}

impl Request {
    pub(super) fn config(&self) -> Option<&Config> {
        self.streaming_config.as_ref()?.config.as_ref()
    }

    pub(super) fn audio(&self) -> &[u8] {
        self.sound.as_deref().unwrap_or_default()
    }
}

#[derive(Clone, PartialEq, Message)]
struct StreamingConfig {
    #[prost(message, optional, tag = "1")]
    config: Option<Config>,
}

/// `RecognitionConfig`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Config {
    #[prost(message, optional, tag = "6")]
    adaptation: Option<Adaptation>,
    #[prost(message, optional, tag = "8")]
    explicit: Option<Decoding>,
    #[prost(string, tag = "9")]
    pub(super) model: String,
    #[prost(string, repeated, tag = "10")]
    pub(super) language_codes: Vec<String>,
}

impl Config {
    pub(super) fn encoding(&self) -> (i32, i32, i32) {
        let decoding = self.explicit.clone().unwrap_or_default();
        (decoding.encoding, decoding.rate, decoding.channels)
    }

    pub(super) fn phrases(&self) -> Vec<String> {
        let sets = self.adaptation.iter().flat_map(|it| &it.phrase_sets);
        let phrases = sets.flat_map(|set| set.inline.iter().flat_map(|it| &it.phrases));
        phrases.map(|phrase| phrase.value.clone()).collect()
    }
}

#[derive(Clone, PartialEq, Message)]
struct Decoding {
    #[prost(int32, tag = "1")]
    encoding: i32,
    #[prost(int32, tag = "2")]
    rate: i32,
    #[prost(int32, tag = "3")]
    channels: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Adaptation {
    #[prost(message, repeated, tag = "1")]
    phrase_sets: Vec<AdaptationSet>,
}

#[derive(Clone, PartialEq, Message)]
struct AdaptationSet {
    #[prost(message, optional, tag = "2")]
    inline: Option<PhraseSet>,
}

#[derive(Clone, PartialEq, Message)]
struct PhraseSet {
    #[prost(message, repeated, tag = "3")]
    phrases: Vec<Phrase>,
}

#[derive(Clone, PartialEq, Message)]
struct Phrase {
    #[prost(string, tag = "1")]
    value: String,
}

/// `StreamingRecognizeResponse`.
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, repeated, tag = "6")]
    results: Vec<SpeechResult>,
    /// `metadata`, of which nothing is read.
    #[prost(bytes, tag = "5")]
    metadata: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SpeechResult {
    #[prost(message, repeated, tag = "1")]
    alternatives: Vec<Alternative>,
    #[prost(bool, tag = "2")]
    is_final: bool,
    #[prost(float, tag = "3")]
    stability: f32,
    #[prost(string, tag = "6")]
    language_code: String,
}

#[derive(Clone, PartialEq, Message)]
struct Alternative {
    #[prost(string, tag = "1")]
    transcript: String,
    #[prost(float, tag = "2")]
    confidence: f32,
    #[prost(message, repeated, tag = "3")]
    words: Vec<Word>,
}

#[derive(Clone, PartialEq, Message)]
struct Word {
    #[prost(string, tag = "3")]
    word: String,
    #[prost(float, tag = "4")]
    confidence: f32,
}

/// An answer whose results are a number.
#[derive(Clone, PartialEq, Message)]
struct OtherTypes {
    #[prost(int32, tag = "6")]
    results: i32,
}

/// A stream as it was received.
#[derive(Clone, Default)]
pub(super) struct Call {
    pub(super) headers: HeaderMap,
    pub(super) messages: Vec<Request>,
}

impl Call {
    pub(super) fn audio(&self) -> Vec<u8> {
        self.messages.iter().flat_map(|message| message.audio().to_vec()).collect()
    }
}

struct Held {
    mood: Mood,
    calls: Vec<Call>,
    connections: usize,
    tokens_given: usize,
    /// The token that is valid.
    token: Option<String>,
    takes_accounts: bool,
}

#[derive(Clone)]
pub(super) struct Stub {
    held: Arc<Mutex<Held>>,
    received: Arc<Notify>,
}

/// Ends of a connection.
#[derive(Clone, Default)]
struct Ends {
    away: Arc<Notify>,
    /// The end was announced: what is sent from now on reaches the client after it.
    announced: Arc<Notify>,
    cut: Arc<Notify>,
    /// Whether it had a stream.
    is_used: Arc<AtomicBool>,
}

/// The frames of an answer.
struct Frames(futures_util::stream::BoxStream<'static, Frame<Bytes>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_next_unpin(context).map(|frame| frame.map(Ok))
    }
}

impl Stub {
    pub(super) async fn start(mood: Mood) -> (Self, String) {
        drop(rustls::crypto::ring::default_provider().install_default());
        let held = Held {
            mood,
            calls: Vec::new(),
            connections: 0,
            tokens_given: 0,
            token: None,
            takes_accounts: true,
        };
        let stub = Self { held: Arc::new(Mutex::new(held)), received: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = stub.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        (stub, url)
    }

    async fn serve(self, stream: TcpStream) {
        let (stream, mut rest) = twice(stream).expect("a socket");
        let ends = Ends::default();
        let method = "/base/google.cloud.speech.v2.Speech/StreamingRecognize";
        let router = Router::new()
            .route(method, post(recognize))
            .with_state((self.clone(), ends.clone()))
            .route("/token", post(token))
            .with_state(self);
        let service = TowerToHyperService::new(router);
        let builder = Builder::new(TokioExecutor::new());
        let mut connection =
            std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        loop {
            tokio::select! {
                _ = &mut connection => break,
                () = ends.away.notified() => {
                    connection.as_mut().graceful_shutdown();
                    if futures_util::poll!(connection.as_mut()).is_ready() {
                        break;
                    }
                    ends.announced.notify_one();
                }
                () = ends.cut.notified() => return,
            }
        }
        // A socket that is closed with something unread takes back the answer that is on its way.
        drop(tokio::io::copy(&mut rest, &mut tokio::io::sink()).await);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().expect("no panic")
    }

    pub(super) fn set(&self, mood: Mood) {
        self.held().mood = mood;
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.held().calls.clone()
    }

    /// Connections on which there was a stream.
    pub(super) fn connections(&self) -> usize {
        self.held().connections
    }

    pub(super) fn tokens_given(&self) -> usize {
        self.held().tokens_given
    }

    /// Ends the token that was given.
    pub(super) fn revoke(&self) {
        self.held().token = None;
    }

    /// Gives no more tokens, and ends the one that was given.
    pub(super) fn refuse_accounts(&self) {
        let mut held = self.held();
        held.token = None;
        held.takes_accounts = false;
    }

    /// Waits until something is true of the calls.
    pub(super) async fn until(&self, is_true: impl Fn(&[Call]) -> bool) {
        let waiting = async {
            loop {
                let received = self.received.notified();
                if is_true(&self.calls()) {
                    return;
                }
                received.await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_mins(1), waiting).await;
        waited.expect("it never became true");
    }
}

/// Two handles of a socket.
fn twice(stream: TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let other = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, TcpStream::from_std(other)?))
}

async fn token(State(stub): State<Stub>, body: Bytes) -> Response<Body> {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let assertion = form.get("assertion").cloned().unwrap_or_default();
    let claims = assertion.split('.').nth(1).expect("a JWT");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!((&claims["iss"], &claims["scope"]), (&SERVICE_ACCOUNT.into(), &SCOPE.into()));
    assert_eq!((&claims["aud"], claims.get("sub")), (&AUDIENCE.into(), None));
    let mut held = stub.held();
    if !held.takes_accounts {
        let mut refused = Response::new(Body::from(r#"{"error":"invalid_grant"}"#));
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return refused;
    }
    held.tokens_given += 1;
    let token = format!("stub-token-{}", held.tokens_given);
    let answer = serde_json::json!({ "access_token": token, "expires_in": 3_600 });
    held.token = Some(token);
    Response::new(Body::from(answer.to_string()))
}

/// Takes the messages of a stream while they come.
async fn receive(stub: &Stub, headers: HeaderMap, body: Body) -> usize {
    let place = {
        let mut held = stub.held();
        held.calls.push(Call { headers, messages: Vec::new() });
        held.calls.len() - 1
    };
    stub.received.notify_waiters();
    let (mut frames, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(Ok(data)) = frames.next().await {
        bytes.extend_from_slice(&data);
        while bytes.len() >= 5 {
            assert_eq!(bytes[0], 0, "not compressed");
            let length = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
            if bytes.len() < 5 + length {
                break;
            }
            let message = Request::decode(&bytes[5..5 + length]).expect("a request");
            bytes.drain(..5 + length);
            stub.held().calls[place].messages.push(message);
        }
        stub.received.notify_waiters();
    }
    assert!(bytes.is_empty(), "no half message");
    place
}

async fn recognize(
    State((stub, ends)): State<(Stub, Ends)>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let (mood, is_allowed) = {
        let mut held = stub.held();
        let token = held.token.as_ref().map(|token| format!("Bearer {token}"));
        let authorization = headers.get("authorization").and_then(|it| it.to_str().ok());
        held.connections += usize::from(!ends.is_used.swap(true, Ordering::SeqCst));
        (held.mood, token.as_deref() == authorization)
    };
    match mood {
        Mood::GoAway => {
            ends.away.notify_one();
            ends.announced.notified().await;
        }
        Mood::Cut => {
            receive(&stub, headers, body).await;
            stub.set(Mood::Final);
            ends.cut.notify_one();
            return std::future::pending().await;
        }
        _ => {}
    }
    let place = receive(&stub, headers, body).await;
    if !is_allowed {
        return answer(Vec::new(), Some(16));
    }
    let calls = stub.calls();
    let has_words = calls[place]
        .messages
        .iter()
        .any(|message| message.config().is_some_and(|config| !config.phrases().is_empty()));
    if mood == Mood::Plain && has_words {
        return answer(Vec::new(), Some(3));
    }
    answered(mood).await
}

async fn answered(mood: Mood) -> Response<Body> {
    let quorum = || vec![text("hay quórum", "es-py")];
    match mood {
        Mood::Final | Mood::Plain | Mood::GoAway | Mood::Cut => answer(quorum(), Some(0)),
        Mood::Partials => {
            let mut partial = said("hay quorum mal", "es-py", &[]);
            partial.results[0].is_final = false;
            partial.results[0].stability = 0.9;
            let empty = Answer { results: Vec::new(), metadata: vec![8, 1] };
            let messages = [framed(&partial), framed(&empty), text("hay quórum", "es-py")];
            // As the network may cut them.
            let bytes: Vec<Bytes> =
                messages.concat().chunks(3).map(Bytes::copy_from_slice).collect();
            answer(bytes, Some(0))
        }
        Mood::Nothing => answer(Vec::new(), Some(0)),
        Mood::OtherLanguage => answer(vec![text("good morning", "en-us")], Some(0)),
        Mood::Hanging => std::future::pending().await,
        Mood::HangingAnswer => {
            let first = futures_util::stream::iter(vec![Frame::data(text("hay", "es"))]);
            grpc(first.chain(futures_util::stream::pending()).boxed())
        }
        Mood::Endless => grpc(
            futures_util::stream::repeat_with(|| {
                Frame::data(framed(&Answer { results: Vec::new(), metadata: vec![8, 1] }))
            })
            .boxed(),
        ),
        Mood::Huge => answer(vec![Bytes::from_static(&[0, 0xFF, 0xFF, 0xFF, 0xFF, 1])], Some(0)),
        Mood::Compressed => {
            let mut message = text("hay quórum", "es").to_vec();
            message[0] = 1;
            answer(vec![message.into()], Some(0))
        }
        Mood::WrongTypes => answer(vec![framed(&OtherTypes { results: 7 })], Some(0)),
        Mood::HalfMessage => answer(vec![text("hay quórum", "es").slice(..9)], Some(0)),
        Mood::NoStatus => answer(quorum(), None),
        Mood::Html => Response::new(Body::from("<html>hay quórum</html>")),
        Mood::Http(status) => {
            let mut response = Response::new(Body::from("secret-detail"));
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            response
        }
        Mood::Status(status) => answer(Vec::new(), Some(status)),
        Mood::StatusAlone(status) => {
            let mut response = grpc(futures_util::stream::empty().boxed());
            response.headers_mut().extend(outcome(status));
            response
        }
        Mood::Long => {
            let long = text(&"palabra distinta ".repeat(200), "es");
            answer(vec![long], Some(0))
        }
        Mood::Repeating => answer(vec![text("no no no no no no no no no no", "es")], Some(0)),
    }
}

fn said(transcript: &str, language: &str, confidences: &[f32]) -> Answer {
    let words = confidences.iter().map(|it| Word { word: "w".to_owned(), confidence: *it });
    let first =
        Alternative { transcript: transcript.to_owned(), confidence: 0.0, words: words.collect() };
    let result = SpeechResult {
        alternatives: vec![first],
        is_final: true,
        stability: 0.0,
        language_code: language.to_owned(),
    };
    Answer { results: vec![result], metadata: Vec::new() }
}

/// A message with a final result.
fn text(transcript: &str, language: &str) -> Bytes {
    framed(&said(transcript, language, &[0.6, 0.8]))
}

fn framed(message: &impl Message) -> Bytes {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).expect("short");
    [&[0], &length.to_be_bytes()[..], &body].concat().into()
}

fn outcome(status: u16) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    trailers.insert("grpc-message", HeaderValue::from_static("secret-detail"));
    trailers
}

/// These bytes, and an outcome in the trailers.
fn answer(messages: Vec<Bytes>, status: Option<u16>) -> Response<Body> {
    let trailers = status.map(|status| Frame::trailers(outcome(status)));
    let frames = messages.into_iter().map(Frame::data).chain(trailers);
    grpc(futures_util::stream::iter(frames.collect::<Vec<_>>()).boxed())
}

fn grpc(frames: futures_util::stream::BoxStream<'static, Frame<Bytes>>) -> Response<Body> {
    let mut response = Response::new(Body::new(Frames(frames)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
