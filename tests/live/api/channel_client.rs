//! A client of the moderation channel that does exactly what a test says.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use crate::api::person::Person;
use crate::api::server::Server;

/// Longest that a test waits for the server to say something.
const PATIENCE: Duration = Duration::from_secs(30);

/// One socket.
pub(crate) struct Channel {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    url: String,
    /// As `hello` gave it.
    pub(crate) nonce: String,
    /// As `hello` told it.
    pub(crate) server_time: String,
    /// As `welcome` or `token_renewed` gave it.
    pub(crate) resume_token: String,
    /// Events heard so far, in order.
    pub(crate) events: Vec<Value>,
}

/// What the server did next.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Message(Value),
    Closed(u16),
}

impl Channel {
    /// Connects and hears `hello`.
    pub(crate) async fn open(server: &Server, session: &str) -> Self {
        let url = format!("{}/moderation", server.http);
        let address = format!("{}?session_id={session}", url.replacen("http", "ws", 1));
        let mut request = address.into_client_request().expect("a request");
        let protocol = "cabildo.v1".parse().expect("a header");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (socket, answer) = connect_async(request).await.expect("connected");
        let chosen = answer.headers().get("sec-websocket-protocol").expect("chosen");
        assert_eq!(chosen, "cabildo.v1");
        let mut channel = Self {
            socket,
            url,
            nonce: String::new(),
            server_time: String::new(),
            resume_token: String::new(),
            events: Vec::new(),
        };
        let Heard::Message(hello) = channel.hear().await else { panic!("closed at once") };
        assert_eq!((&hello["type"], &hello["version"]), (&json!("hello"), &json!("cabildo.v1")));
        hello["nonce"].as_str().expect("a nonce").clone_into(&mut channel.nonce);
        hello["server_time"].as_str().expect("a time").clone_into(&mut channel.server_time);
        channel
    }

    /// A socket from another address of this machine that says nothing.
    pub(crate) async fn silent_from(
        server: &Server,
        session: &str,
        from: Ipv4Addr,
    ) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        let local = TcpSocket::new_v4().expect("a socket");
        local.bind(SocketAddr::from((from, 0))).expect("an address of loopback");
        let stream = local.connect(server.app.addresses().http).await.expect("connected");
        let url = format!("{}/moderation?session_id={session}", server.http);
        let request = url.replacen("http", "ws", 1).into_client_request().expect("a request");
        let (socket, _) =
            client_async(request, MaybeTlsStream::Plain(stream)).await.expect("upgraded");
        socket
    }

    /// Connects and enters.
    pub(crate) async fn enter(server: &Server, session: &str, person: &Person) -> (Self, Value) {
        let mut channel = Self::open(server, session).await;
        let credentials = channel.credentials(person);
        channel.say(&credentials).await;
        let welcome = channel.welcome().await;
        (channel, welcome)
    }

    /// The first message of somebody who enters.
    pub(crate) fn credentials(&self, person: &Person) -> Value {
        let proof = person.proof(&Method::GET, &self.url, Some(&self.nonce));
        json!({"type": "authenticate", "token": person.token, "dpop": proof})
    }

    /// As [`Self::credentials`] when the server's clock is ahead.
    pub(crate) fn credentials_ahead(&self, person: &Person, ahead_s: u64) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        self.credentials_at(person, now + ahead_s)
    }

    /// As [`Self::credentials`], dated so many seconds after 1970.
    pub(crate) fn credentials_at(&self, person: &Person, iat: u64) -> Value {
        let nonce = Some(self.nonce.as_str());
        let proof = person.proof_at(iat, &Method::GET, &self.url, nonce);
        json!({"type": "authenticate", "token": person.token, "dpop": proof})
    }

    /// Hears a welcome, and nothing before it.
    pub(crate) async fn welcome(&mut self) -> Value {
        let Heard::Message(welcome) = self.hear().await else { panic!("closed") };
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        welcome["resume_token"].as_str().expect("a token").clone_into(&mut self.resume_token);
        welcome
    }

    /// The first message of somebody who comes back.
    pub(crate) fn resumption(token: &str, last_seq: u64) -> Value {
        json!({"type": "resume", "resume_token": token, "last_seq": last_seq})
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.say_raw(Message::text(message.to_string())).await;
    }

    pub(crate) async fn say_raw(&mut self, message: Message) {
        // A server that has closed meanwhile is heard to have.
        drop(self.socket.send(message).await);
    }

    /// Sends a message many times, without waiting for the socket in between.
    pub(crate) async fn flood(&mut self, message: &Message, times: usize) {
        for _ in 0..times {
            // A server that has closed meanwhile is heard to have.
            if self.socket.feed(message.clone()).await.is_err() {
                return;
            }
        }
        drop(self.socket.flush().await);
    }

    /// The next message or the close; pings are answered by the socket itself.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match next.expect("the server says nothing") {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    if message.get("seq").is_some() && message["type"] != "welcome" {
                        self.events.push(message.clone());
                    }
                    return Heard::Message(message);
                }
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Closed(1006),
            }
        }
    }

    /// Hears until a message of this type.
    pub(crate) async fn hear_type(&mut self, kind: &str) -> Value {
        loop {
            match self.hear().await {
                Heard::Message(message) if message["type"] == kind => return message,
                Heard::Message(_) => {}
                Heard::Closed(code) => panic!("closed with {code} before {kind}"),
            }
        }
    }

    /// Hears until the close; the codes of the errors before it and its own.
    pub(crate) async fn hear_close(&mut self) -> (Vec<String>, u16) {
        let mut errors = Vec::new();
        loop {
            match self.hear().await {
                Heard::Message(message) if message["type"] == "error" => {
                    errors.push(message["code"].as_str().expect("a code").to_owned());
                }
                Heard::Message(_) => {}
                Heard::Closed(code) => return (errors, code),
            }
        }
    }

    /// Sends a request; its `ack` or `error`.
    pub(crate) async fn ask(&mut self, mut message: Value) -> Value {
        let id = uuid::Uuid::new_v4().to_string();
        message["id"] = json!(id);
        self.say(&message).await;
        loop {
            let Heard::Message(answer) = self.hear().await else { panic!("closed: {message}") };
            if answer["ref"] == id && matches!(answer["type"].as_str(), Some("ack" | "error")) {
                return answer;
            }
        }
    }

    /// Sends a request that is refused; the code.
    pub(crate) async fn refused(&mut self, message: Value) -> String {
        let answer = self.ask(message).await;
        answer["code"].as_str().unwrap_or_else(|| panic!("not refused: {answer}")).to_owned()
    }

    /// Sends a request that is carried out.
    pub(crate) async fn done(&mut self, message: Value) -> Value {
        let answer = self.ask(message.clone()).await;
        assert_eq!(answer["type"], "ack", "{message}: {answer}");
        answer
    }
}

/// Asks for something and hears its answer; events are kept.
pub(crate) async fn ask(channel: &mut Channel, mut message: Value, id: u32) -> Value {
    message["id"] = json!(id);
    channel.say(&message).await;
    loop {
        let Heard::Message(answer) = channel.hear().await else { panic!("closed") };
        if answer["ref"] == id && answer["type"] != "pending" {
            return answer;
        }
    }
}

/// Hears until an event of this kind.
pub(crate) async fn event(channel: &mut Channel, kind: &str) -> Value {
    loop {
        if let Some(found) = channel.events.iter().find(|event| event["type"] == kind) {
            return found.clone();
        }
        let Heard::Message(_) = channel.hear().await else { panic!("closed before {kind}") };
    }
}
