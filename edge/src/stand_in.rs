//! A small server in place of the real one, for tests: it takes captures and late media, and answers
//! as a test wants it to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::credentials::{Credentials, Given};
use crate::server::Server;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    /// What the proof of possession says, if there is one.
    pub(crate) proof: Option<Value>,
}

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// An answer of something in front of the server.
pub(crate) fn html(status: u16) -> Answer {
    let headers = vec![("location", "https://portal.example/".to_owned())];
    Answer { status, headers, body: "<html>nginx</html>".to_owned() }
}

/// A refusal of the server.
pub(crate) fn refusal(status: u16, code: &str) -> Answer {
    let body = json!({"code": code, "message": "no"}).to_string();
    Answer { status, headers: Vec::new(), body }
}

/// A capture at the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) is_closed: bool,
    pub(crate) began: String,
    pub(crate) parts: Vec<Vec<u8>>,
}

type Mood = Box<dyn Fn(&Asked) -> Option<Answer> + Send>;

struct Inner {
    mood: Mutex<Mood>,
    asked: Mutex<Vec<Asked>>,
    captures: Mutex<BTreeMap<String, Kept>>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct StandIn {
    inner: Arc<Inner>,
    url: Url,
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = Url::parse(&format!("http://{address}")).expect("an address");
        let inner = Arc::new(Inner {
            mood: Mutex::new(Box::new(|_| None)),
            asked: Mutex::default(),
            captures: Mutex::default(),
        });
        let serving = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { inner, url }
    }

    /// Answers so where `mood` says something, and takes everything else.
    pub(crate) fn set(&self, mood: impl Fn(&Asked) -> Option<Answer> + Send + 'static) {
        *self.inner.mood.lock().expect("the mood") = Box::new(mood);
    }

    /// The server as a box sees it.
    pub(crate) fn server(&self) -> Server {
        // Another test may have done it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let credentials = Credentials::new(Given::default(), true).expect("none are needed");
        Server::new(self.url.clone(), credentials, None).expect("a server")
    }

    pub(crate) fn captures(&self) -> BTreeMap<String, Kept> {
        self.inner.captures.lock().expect("captures").clone()
    }

    /// As if they had been closed.
    pub(crate) fn close_all(&self) {
        for kept in self.inner.captures.lock().expect("captures").values_mut() {
            kept.is_closed = true;
        }
    }

    pub(crate) fn asked(&self, end: &str) -> Vec<Asked> {
        let asked = self.inner.asked.lock().expect("what was asked");
        asked.iter().filter(|it| it.path.ends_with(end)).cloned().collect()
    }
}

async fn serve(stream: TcpStream, inner: Arc<Inner>) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(&mut stream).await {
        let told = inner.mood.lock().expect("the mood")(&asked);
        let answer = told.unwrap_or_else(|| inner.take(&asked));
        inner.asked.lock().expect("what was asked").push(asked);
        let mut head = format!("HTTP/1.1 {} It\r\n", answer.status);
        for (name, value) in &answer.headers {
            head += &[*name, ": ", value.as_str(), "\r\n"].concat();
        }
        head += &["content-length: ", &answer.body.len().to_string(), "\r\n\r\n", &answer.body]
            .concat();
        if stream.get_mut().write_all(head.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let path = words.nth(1)?.split('?').next()?.to_owned();
    let (mut length, mut proof) = (0, None);
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
        if name.eq_ignore_ascii_case("dpop") {
            let claims = URL_SAFE_NO_PAD.decode(value.trim().split('.').nth(1)?).ok()?;
            proof = serde_json::from_slice(&claims).ok();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { path, body, proof })
}

impl Inner {
    fn take(&self, asked: &Asked) -> Answer {
        let time = OffsetDateTime::from(SystemTime::now()).format(&Rfc3339).expect("a time");
        let done = |body: Value| {
            let headers = vec![("cabildo-time", time.clone())];
            Answer { status: 200, headers, body: body.to_string() }
        };
        let words: Vec<&str> = asked.path.split('/').skip(1).collect();
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let mut captures = self.captures.lock().expect("captures");
        match words.as_slice() {
            ["dev", "token"] => done(json!({"access_token": "t"})),
            ["store", "sessions"] => {
                let session = body["sessionId"].as_str().expect("a name");
                let kept = captures.entry(session.to_owned()).or_default();
                kept.began = body["edgeStartTs"].as_str().expect("a time").to_owned();
                done(json!({"status": if kept.is_closed { "closed" } else { "open" }}))
            }
            ["store", "sessions", session, "media"] => {
                let kept = captures.get_mut(*session).expect("it was opened");
                assert!(!kept.is_closed, "media of a capture that is closed");
                kept.parts.push(asked.body.clone());
                done(json!({}))
            }
            ["store", "sessions", session, "close"] => {
                captures.get_mut(*session).expect("it was opened").is_closed = true;
                done(json!({}))
            }
            // It has no media plane.
            _ => refusal(503, "DEPENDENCY_UNAVAILABLE"),
        }
    }
}
