//! The moderation channel from the participant's side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{ANSWER_TIMEOUT, Access, Server, Who};
use crate::load::LoadError;
use crate::load::client::{ClientEvent, ClientOptions, MediaClient, Recorded, TrackOptions};
use crate::load::driver::{ClientHandle, Driver, Timed};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Events and media events that wait to be read; further ones are dropped.
const WAITING_MAX: usize = 4096;
/// Requests that wait to be sent.
const REQUESTS_MAX: usize = 256;

/// How often a request is repeated that the server refuses because of a rate limit.
const TRIES_MAX: u32 = 20;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Time between two pings, which show the server that the client is alive.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// One of the two transports of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one over which the participant sends.
    Publish,
    /// The one over which the participant receives.
    Subscribe,
}

/// A request, where its answer goes, and the messages that arrive before its `ack`.
struct Asked {
    message: Value,
    answer: oneshot::Sender<Result<(Value, Option<Value>), LoadError>>,
}

/// A person in a room.
pub struct Participant {
    /// The server's `welcome` message.
    pub welcome: Value,
    /// The time just before the socket was opened.
    pub opened_at: Instant,
    requests: mpsc::Sender<Asked>,
    events: mpsc::Receiver<Value>,
    media: mpsc::Receiver<(Side, Timed)>,
    media_sender: mpsc::Sender<(Side, Timed)>,
    subscriber: Arc<ClientHandle>,
    publisher: Option<Arc<ClientHandle>>,
    options: ClientOptions,
}

impl Participant {
    /// Requests a development token, opens the channel and enters the room.
    pub async fn join(
        server: &Server,
        driver: &Driver,
        who: &Who,
        options: ClientOptions,
    ) -> Result<Self, LoadError> {
        let access = server.dev_token(who).await?;
        Self::join_with(server, driver, who, access, options).await
    }

    /// Enters the room with an existing token. When it expires, the built-in identity service
    /// issues the next one.
    async fn join_with(
        server: &Server,
        driver: &Driver,
        who: &Who,
        access: Access,
        options: ClientOptions,
    ) -> Result<Self, LoadError> {
        let opened_at = Instant::now();
        let (socket, welcome) =
            tokio::time::timeout(ANSWER_TIMEOUT, enter(server, &who.session_id, &access))
                .await
                .map_err(|_| LoadError::Contract("the welcome did not come in time"))??;
        let (media_sender, media) = mpsc::channel(WAITING_MAX);
        let subscriber = MediaClient::subscriber(options.clone());
        let subscriber = add(driver, subscriber, Side::Subscribe, &media_sender);
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let (outbox, events) = mpsc::channel(WAITING_MAX);
        let renewal = Renewal { server: server.clone(), who: who.clone(), access };
        tokio::spawn(serve(socket, inbox, outbox, subscriber.clone(), renewal));
        let publisher = None;
        Ok(Self {
            welcome,
            opened_at,
            requests,
            events,
            media,
            media_sender,
            subscriber,
            publisher,
            options,
        })
    }

    /// Sends a request, waits for its `ack` and returns it.
    pub async fn request(&self, kind: &str, fields: Value) -> Result<Value, LoadError> {
        Ok(self.ask(kind, fields).await?.0)
    }

    async fn ask(
        &self,
        kind: &str,
        mut fields: Value,
    ) -> Result<(Value, Option<Value>), LoadError> {
        const CLOSED: LoadError = LoadError::Contract("the channel is closed");
        if fields.is_null() {
            fields = json!({});
        }
        fields["type"] = kind.into();
        let (answer, result) = oneshot::channel();
        let asked = Asked { message: fields, answer };
        self.requests.send(asked).await.map_err(|_| CLOSED)?;
        match tokio::time::timeout(ANSWER_TIMEOUT, result).await {
            Ok(result) => result.map_err(|_| CLOSED)?,
            Err(_) => Err(LoadError::Contract("a request was not answered in time")),
        }
    }

    /// Publishes these tracks on a new transport; returns the `tracks` of the answer.
    pub async fn publish(
        &mut self,
        driver: &Driver,
        tracks: &[TrackOptions],
    ) -> Result<Value, LoadError> {
        let client = MediaClient::publisher(self.publish_options(), tracks);
        self.publish_client(driver, client).await
    }

    /// Publishes a microphone that sends these packets over and over.
    pub async fn speak(
        &mut self,
        driver: &Driver,
        packets: Vec<Recorded>,
    ) -> Result<Value, LoadError> {
        let mut client =
            MediaClient::publisher(self.publish_options(), &[TrackOptions::microphone()]);
        let microphone = client.sources().first().map(|(mid, _)| mid.clone());
        client.speak(&microphone.unwrap_or_default(), packets);
        self.publish_client(driver, client).await
    }

    fn publish_options(&self) -> ClientOptions {
        let mut options = self.options.clone();
        options.seed = options.seed.wrapping_add(1);
        options
    }

    async fn publish_client(
        &mut self,
        driver: &Driver,
        mut client: MediaClient,
    ) -> Result<Value, LoadError> {
        let sources: Vec<Value> = client
            .sources()
            .into_iter()
            .map(|(mid, source)| json!({"mid": mid, "source": source.as_str()}))
            .collect();
        let offer = json!({"transport": "publish", "sdp": client.offer(), "tracks": sources});
        let publisher = add(driver, client, Side::Publish, &self.media_sender);
        let (_, answer) = self.ask("offer", offer).await?;
        let answer = answer.ok_or(LoadError::Contract("no answer came before the ack"))?;
        let sdp = answer["sdp"].as_str().unwrap_or_default().to_owned();
        publisher
            .call(move |client, now| client.handle_answer(&sdp, now))
            .await
            .ok_or(LoadError::Contract("the load driver has stopped"))??;
        self.publisher = Some(publisher);
        Ok(answer["tracks"].clone())
    }

    /// Subscribes to one track; repeats the request when the server answers that it came too fast.
    pub async fn subscribe(&self, track: &str) -> Result<(), LoadError> {
        let mut tries = 1;
        loop {
            match self.request("subscribe", json!({"track": track})).await {
                Err(LoadError::Refused { code, .. })
                    if code == "RATE_LIMITED" && tries < TRIES_MAX =>
                {
                    tries += 1;
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
                result => return result.map(drop),
            }
        }
    }

    /// Subscribes to every track that others published before this client entered; returns their
    /// number.
    pub async fn subscribe_all(&self) -> Result<usize, LoadError> {
        let own = &self.welcome["you"]["user_id"];
        let tracks = self.welcome["tracks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut count = 0;
        for track in tracks.iter().filter(|track| track["user_id"] != *own) {
            let id = track["track"].as_str().ok_or(LoadError::Contract("a track has no id"))?;
            self.subscribe(id).await?;
            count += 1;
        }
        Ok(count)
    }

    /// Waits for an event of this type; skips other events.
    pub async fn wait_for(&mut self, kind: &str, within: Duration) -> Result<Value, LoadError> {
        let found = async {
            while let Some(event) = self.events.recv().await {
                if event["type"] == kind {
                    return Ok(event);
                }
            }
            Err(LoadError::Contract("the channel closed before the event"))
        };
        let late = Err(LoadError::Contract("the event did not come in time"));
        tokio::time::timeout(within, found).await.unwrap_or(late)
    }

    /// Waits for the first complete key frame; `None` when a transport fails.
    pub async fn first_key_frame(&mut self) -> Option<Instant> {
        while let Some((_, (at, event))) = self.media.recv().await {
            match event {
                ClientEvent::KeyFrame { .. } => return Some(at),
                ClientEvent::Failed { .. } | ClientEvent::Closed => return None,
                _ => {}
            }
        }
        None
    }

    /// The next event of the channel; `None` once it is closed.
    pub async fn next_event(&mut self) -> Option<Value> {
        self.events.recv().await
    }

    /// Waits for the end of the next recorded phrase; `None` when the transport fails.
    pub async fn phrase_ended(&mut self) -> Option<Instant> {
        while let Some((side, (at, event))) = self.media.recv().await {
            match event {
                ClientEvent::PhraseEnded { .. } => return Some(at),
                ClientEvent::Failed { .. } | ClientEvent::Closed if side == Side::Publish => {
                    return None;
                }
                _ => {}
            }
        }
        None
    }

    /// The receiving transport.
    #[must_use]
    pub fn subscriber(&self) -> &ClientHandle {
        &self.subscriber
    }

    /// The sending transport, once something was published.
    #[must_use]
    pub fn publisher(&self) -> Option<&ClientHandle> {
        self.publisher.as_deref()
    }
}

fn add(
    driver: &Driver,
    client: MediaClient,
    side: Side,
    media: &mpsc::Sender<(Side, Timed)>,
) -> Arc<ClientHandle> {
    let (handle, mut events) = driver.add(client);
    let media = media.clone();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if media.try_send((side, event)).is_err() && media.is_closed() {
                return;
            }
        }
    });
    Arc::new(handle)
}

fn failed(error: &tokio_tungstenite::tungstenite::Error) -> LoadError {
    LoadError::Unreachable(error.to_string())
}

async fn enter(
    server: &Server,
    session_id: &str,
    access: &Access,
) -> Result<(Socket, Value), LoadError> {
    let authority = server.url.strip_prefix("http://");
    let authority = authority.ok_or(LoadError::Contract("the channel needs an http:// address"))?;
    let mut request = format!("ws://{authority}/moderation?session_id={session_id}")
        .into_client_request()
        .map_err(|error| failed(&error))?;
    let protocol = HeaderValue::from_static("cabildo.v1");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) =
        tokio_tungstenite::connect_async(request).await.map_err(|error| failed(&error))?;
    let hello = read(&mut socket).await?;
    let nonce = hello["nonce"].as_str().filter(|_| hello["type"] == "hello");
    let nonce = nonce.ok_or(LoadError::Contract("the channel did not begin with hello"))?;
    let url = format!("{}/moderation", server.url);
    let proof = access.key.proof("GET", &url, &access.token, Some(nonce));
    let authenticate = json!({"type": "authenticate", "token": access.token, "dpop": proof});
    let message = Message::text(authenticate.to_string());
    socket.send(message).await.map_err(|error| failed(&error))?;
    loop {
        let message = read(&mut socket).await?;
        match message["type"].as_str() {
            Some("welcome") => return Ok((socket, message)),
            Some("error") => return Err(refused(&message)),
            _ => {}
        }
    }
}

fn refused(message: &Value) -> LoadError {
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    LoadError::Refused { code: text("code"), message: text("message") }
}

async fn read(socket: &mut Socket) -> Result<Value, LoadError> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return serde_json::from_str(&text)
                    .map_err(|_| LoadError::Contract("a message is not JSON"));
            }
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or(0, |frame| u16::from(frame.code));
                return Err(LoadError::Closed { code });
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(failed(&error)),
            None => return Err(LoadError::Closed { code: 0 }),
        }
    }
}

/// What is needed to renew the token when it expires.
struct Renewal {
    server: Server,
    who: Who,
    access: Access,
}

impl Renewal {
    /// Makes the answer to `token_expiring`.
    async fn renew(&mut self, expiring: &Value) -> Result<Value, LoadError> {
        self.access.token = self.server.token_for(&self.who, &self.access.key).await?;
        let Access { token, key } = &self.access;
        let url = format!("{}/moderation", self.server.url);
        let proof = key.proof("GET", &url, token, expiring["nonce"].as_str());
        Ok(json!({"type": "renew_token", "token": token, "dpop": proof}))
    }
}

/// A request that waits for its `ack`.
struct Waiting {
    answer: oneshot::Sender<Result<(Value, Option<Value>), LoadError>>,
    before: Option<Value>,
}

/// The task of the socket, which ends when the participant is dropped or the server closes.
async fn serve(
    mut socket: Socket,
    mut inbox: mpsc::Receiver<Asked>,
    outbox: mpsc::Sender<Value>,
    subscriber: Arc<ClientHandle>,
    renewal: Renewal,
) {
    let mut alive = tokio::time::interval(PING_INTERVAL);
    let mut desk = Desk {
        waiting: BTreeMap::new(),
        own: BTreeSet::new(),
        next: 1,
        outbox,
        subscriber,
        renewal,
    };
    loop {
        let say = tokio::select! {
            _ = alive.tick() => Some(json!({"type": "ping"})),
            asked = inbox.recv() => {
                let Some(asked) = asked else {
                    // The server's answer to the close frame does not matter.
                    drop(socket.close(None).await);
                    return;
                };
                Some(desk.ask(asked))
            }
            message = read(&mut socket) => match message {
                Ok(message) => desk.hear(message).await,
                Err(error) => {
                    let code = if let LoadError::Closed { code } = error { code } else { 0 };
                    drop(desk.outbox.send(json!({"type": "closed", "code": code})).await);
                    return;
                }
            },
        };
        if let Some(say) = say
            && socket.send(Message::text(say.to_string())).await.is_err()
        {
            return;
        }
    }
}

/// The requests that wait for answers, and the messages that are answered automatically.
struct Desk {
    waiting: BTreeMap<u64, Waiting>,
    /// Requests that the channel itself has sent.
    own: BTreeSet<u64>,
    next: u64,
    outbox: mpsc::Sender<Value>,
    subscriber: Arc<ClientHandle>,
    renewal: Renewal,
}

impl Desk {
    fn ask(&mut self, Asked { mut message, answer }: Asked) -> Value {
        message["id"] = self.next.into();
        self.waiting.insert(self.next, Waiting { answer, before: None });
        self.next += 1;
        message
    }

    fn ask_for_itself(&mut self, mut message: Value) -> Value {
        message["id"] = self.next.into();
        self.own.insert(self.next);
        self.next += 1;
        message
    }

    /// Takes a message of the server; returns the message to send, if any.
    async fn hear(&mut self, message: Value) -> Option<Value> {
        let reference = message["ref"].as_u64();
        match message["type"].as_str() {
            Some("offer") => {
                let answer = answer(&message, &self.subscriber).await?;
                return Some(self.ask_for_itself(answer));
            }
            Some("token_expiring") => match self.renewal.renew(&message).await {
                Ok(renew) => return Some(self.ask_for_itself(renew)),
                Err(error) => tracing::error!(%error, "the token can't be renewed"),
            },
            Some("answer") => {
                if let Some(waiting) = reference.and_then(|id| self.waiting.get_mut(&id)) {
                    waiting.before = Some(message);
                }
            }
            Some("ack" | "error") if reference.is_some_and(|id| self.own.remove(&id)) => {
                if message["type"] == "error" {
                    tracing::error!(code = %message["code"], "the server refused an answer");
                }
            }
            Some("ack" | "error") if reference.is_some() => {
                complete(reference.and_then(|id| self.waiting.remove(&id)), message);
            }
            Some("pong") => {}
            _ => {
                if self.outbox.try_send(message).is_err() {
                    tracing::debug!("an event that nobody reads is dropped");
                }
            }
        }
        None
    }
}

fn complete(asked: Option<Waiting>, message: Value) {
    if let Some(Waiting { answer, before }) = asked {
        let is_error = message["type"] == "error";
        let result = if is_error { Err(refused(&message)) } else { Ok((message, before)) };
        drop(answer.send(result));
    }
}

async fn answer(offer: &Value, subscriber: &ClientHandle) -> Option<Value> {
    let sdp = offer["sdp"].as_str()?.to_owned();
    let answered = subscriber.call(move |client, now| client.handle_offer(&sdp, now)).await?;
    match answered {
        Ok(sdp) => Some(json!({"type": "answer", "transport": "subscribe", "sdp": sdp})),
        Err(error) => {
            tracing::error!(%error, "the server's offer can't be used");
            None
        }
    }
}
