//! One person of the test: joins, loses the connection and comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rand::Rng;
use serde::Deserialize;
use serde_json::json;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::load::LoadError;
use crate::load::signalling::{Access, Server, Who};

/// The number of the person who moderates.
pub(super) const MODERATOR: u32 = 0;

/// Time for one attempt to connect, as in the web client.
const ATTEMPT_MAX: Duration = Duration::from_secs(8);
/// First attempts after a loss are spread over this time, as in the web client.
const SPREAD_MS: f64 = 500.0;
/// Time between two attempts, of which half is random.
const RETRY_MS: f64 = 250.0;
/// People of one network of 256 addresses, when the server is on this machine: everybody has an
/// address of their own, as people at home have.
const ADDRESSES_PER_NETWORK: u32 = 200;

type Socket = WebSocketStream<TcpStream>;

/// What everybody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// They join, and stay.
    Gathering,
    /// Everybody loses the connection.
    Cut,
    /// Everybody leaves.
    Over,
}

/// What a person tells the test.
pub(super) enum News {
    Joined,
    NotJoined(LoadError),
    /// An attempt to come back failed.
    Failed(&'static str, LoadError),
    /// They were welcomed again, for the first time.
    Back {
        number: u32,
        at: Instant,
    },
}

/// What a person received after the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) bytes: u64,
    pub(super) events: u64,
    /// Events that were left out.
    pub(super) missing: u64,
}

impl Tally {
    pub(super) const fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.events += other.events;
        self.missing += other.missing;
    }
}

/// Where everybody goes.
pub(super) struct Meeting {
    server: Server,
    address: SocketAddr,
    tenant_id: String,
    session_id: String,
}

impl Meeting {
    pub(super) async fn new(
        server: Server,
        tenant_id: String,
        session_id: String,
    ) -> Result<Self, LoadError> {
        let authority = server.url.strip_prefix("http://");
        let authority =
            authority.ok_or(LoadError::Contract("the channel needs an http:// address"))?;
        let host =
            if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        let mut found: Vec<SocketAddr> = lookup_host(host).await?.collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        let address = found.first().copied();
        let address = address.ok_or_else(|| LoadError::Unreachable("no address".to_owned()))?;
        Ok(Self { server, address, tenant_id, session_id })
    }
}

/// The parts of a message that matter here.
#[derive(Deserialize)]
struct Brief {
    r#type: String,
    seq: Option<u64>,
    nonce: Option<String>,
    resume_token: Option<String>,
    resumed: Option<bool>,
    code: Option<String>,
    message: Option<String>,
}

/// One person.
pub(super) struct Person {
    number: u32,
    meeting: Arc<Meeting>,
    phase: watch::Receiver<Phase>,
    news: mpsc::Sender<News>,
    access: Option<Access>,
    resume_token: Option<String>,
    last_seq: u64,
    is_counting: bool,
    tally: Tally,
}

impl Person {
    pub(super) const fn new(
        number: u32,
        meeting: Arc<Meeting>,
        phase: watch::Receiver<Phase>,
        news: mpsc::Sender<News>,
    ) -> Self {
        let (access, resume_token) = (None, None);
        let tally = Tally { bytes: 0, events: 0, missing: 0 };
        let (last_seq, is_counting) = (0, false);
        Self { number, meeting, phase, news, access, resume_token, last_seq, is_counting, tally }
    }

    /// Joins and stays until the test is over.
    pub(super) async fn attend(mut self, joins: Arc<Semaphore>) -> Tally {
        let joined = {
            let _turn = joins.acquire().await;
            self.join().await
        };
        let mut socket = match joined {
            Ok(socket) => socket,
            Err(error) => {
                self.tell(News::NotJoined(error)).await;
                return self.tally;
            }
        };
        self.tell(News::Joined).await;
        let mut was_told = false;
        while self.listen(&mut socket).await {
            // A socket without a linger time is reset: the server gets no close frame.
            drop(SockRef::from(socket.get_ref()).set_linger(Some(Duration::ZERO)));
            drop(socket);
            self.is_counting = true;
            let Some((returned, at)) = self.come_back().await else { return self.tally };
            socket = returned;
            if !was_told {
                was_told = true;
                self.tell(News::Back { number: self.number, at }).await;
            }
        }
        // The server's answer to the close frame does not matter.
        drop(timeout(Duration::from_secs(1), socket.close(None)).await);
        self.tally
    }

    async fn tell(&self, news: News) {
        // The test may have stopped listening.
        drop(self.news.send(news).await);
    }

    async fn join(&mut self) -> Result<Socket, LoadError> {
        let role = if self.number == MODERATOR { "moderator" } else { "participant" };
        let who = Who {
            tenant_id: self.meeting.tenant_id.clone(),
            session_id: self.meeting.session_id.clone(),
            user_id: format!("load-{}", self.number),
            name: format!("Load person {}", self.number),
            roles: vec![role.to_owned()],
        };
        self.access = Some(self.meeting.server.dev_token(&who).await?);
        let (socket, _) = timeout(ATTEMPT_MAX, self.enter())
            .await
            .map_err(|_| LoadError::Contract("the welcome did not come in time"))??;
        Ok(socket)
    }

    /// Reads until the connection is lost (`true`) or the test is over (`false`).
    async fn listen(&mut self, socket: &mut Socket) -> bool {
        let mut phase = self.phase.clone();
        // A phase that had come before this connection does not end it.
        phase.mark_unchanged();
        if *phase.borrow() == Phase::Over {
            return false;
        }
        loop {
            tokio::select! {
                frame = socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => {
                        if let Err(error) = self.hear(&text) {
                            self.tell(News::Failed("listening", error)).await;
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return true,
                    Some(Ok(_)) => {}
                },
                changed = phase.changed() => {
                    return changed.is_ok() && *phase.borrow() == Phase::Cut;
                }
            }
        }
    }

    /// Counts a message of the server.
    fn hear(&mut self, text: &str) -> Result<Brief, LoadError> {
        let brief: Brief =
            serde_json::from_str(text).map_err(|_| LoadError::Contract("a message is not JSON"))?;
        if self.is_counting {
            self.tally.bytes += text.len() as u64;
        }
        match (brief.r#type.as_str(), brief.seq) {
            ("welcome", Some(seq)) if brief.resumed != Some(true) => self.last_seq = seq,
            ("welcome", _) | (_, None) => {}
            (_, Some(seq)) => {
                if self.is_counting {
                    self.tally.events += 1;
                    self.tally.missing += seq.saturating_sub(self.last_seq + 1);
                }
                self.last_seq = seq;
            }
        }
        if brief.resume_token.is_some() {
            self.resume_token.clone_from(&brief.resume_token);
        }
        Ok(brief)
    }

    /// Connects until it is welcomed; `None` when the test is over before.
    async fn come_back(&mut self) -> Option<(Socket, Instant)> {
        let share = |of_ms: f64| of_ms * rand::rng().random::<f64>();
        // Whoever moderates does not wait.
        let mut wait_ms = if self.number == MODERATOR { 0.0 } else { share(SPREAD_MS) };
        loop {
            sleep(Duration::from_secs_f64(wait_ms / 1_000.0)).await;
            if *self.phase.borrow() == Phase::Over {
                return None;
            }
            match timeout(ATTEMPT_MAX, self.enter()).await {
                Ok(Ok(welcomed)) => return Some(welcomed),
                // Nothing listens while a server starts.
                Ok(Err(LoadError::System(_))) => {}
                Ok(Err(error)) => self.tell(News::Failed("coming back", error)).await,
                Err(_) => {
                    let late = LoadError::Contract("the welcome did not come in time");
                    self.tell(News::Failed("coming back", late)).await;
                }
            }
            wait_ms = RETRY_MS / 2.0 + share(RETRY_MS / 2.0);
        }
    }

    /// Opens the channel, resumes or authenticates; returns when the welcome arrived.
    async fn enter(&mut self) -> Result<(Socket, Instant), LoadError> {
        let mut socket = self.connect().await?;
        let (hello, _) = self.read(&mut socket).await?;
        let nonce = hello.nonce.filter(|_| hello.r#type == "hello");
        let nonce = nonce.ok_or(LoadError::Contract("the channel did not begin with hello"))?;
        let access = self.access.as_ref().ok_or(LoadError::Contract("nobody has a token"))?;
        let first = if let Some(resume_token) = &self.resume_token {
            let last_seq = self.last_seq;
            json!({"type": "resume", "resume_token": resume_token, "last_seq": last_seq})
        } else {
            let url = format!("{}/moderation", self.meeting.server.url);
            let proof = access.key.proof("GET", &url, &access.token, Some(&nonce));
            json!({"type": "authenticate", "token": access.token, "dpop": proof})
        };
        socket.send(Message::text(first.to_string())).await.map_err(failed)?;
        loop {
            let (message, at) = self.read(&mut socket).await?;
            match message.r#type.as_str() {
                "welcome" => return Ok((socket, at)),
                "error" => {
                    let code = message.code.unwrap_or_default();
                    if code == "RESUME_TOKEN_INVALID" || code == "TOKEN_INVALID" {
                        self.resume_token = None;
                    }
                    let message = message.message.unwrap_or_default();
                    return Err(LoadError::Refused { code, message });
                }
                _ => {}
            }
        }
    }

    async fn connect(&self) -> Result<Socket, LoadError> {
        let Meeting { server, address, session_id, .. } = &*self.meeting;
        let tcp = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if address.ip() == Ipv4Addr::LOCALHOST {
            tcp.bind(SocketAddr::from((own_address(self.number), 0)))?;
        }
        let stream = tcp.connect(*address).await?;
        let base = server.url.trim_start_matches("http");
        let mut request = format!("ws{base}/moderation?session_id={session_id}")
            .into_client_request()
            .map_err(failed)?;
        let protocol = HeaderValue::from_static("cabildo.v1");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(failed)?;
        Ok(socket)
    }

    /// The next message and when it arrived.
    async fn read(&mut self, socket: &mut Socket) -> Result<(Brief, Instant), LoadError> {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let at = Instant::now();
                    return Ok((self.hear(&text)?, at));
                }
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(0, |frame| u16::from(frame.code));
                    return Err(LoadError::Closed { code });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(failed(error)),
                None => return Err(LoadError::Closed { code: 0 }),
            }
        }
    }
}

/// The loopback address of a person.
fn own_address(number: u32) -> Ipv4Addr {
    // Network 0 holds 127.0.0.1.
    let (network, host) = (number / ADDRESSES_PER_NETWORK + 1, number % ADDRESSES_PER_NETWORK + 1);
    let [.., high, middle] = network.to_be_bytes();
    let [.., low] = host.to_be_bytes();
    Ipv4Addr::new(127, high, middle, low)
}

fn failed(error: tokio_tungstenite::tungstenite::Error) -> LoadError {
    match error {
        tokio_tungstenite::tungstenite::Error::Io(error) => LoadError::System(error),
        other => LoadError::Unreachable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_has_a_loopback_address_of_their_own() {
        let addresses: BTreeSet<Ipv4Addr> = (0..10_000).map(own_address).collect();
        assert_eq!(addresses.len(), 10_000);
        assert!(addresses.iter().all(Ipv4Addr::is_loopback));
        let ends: BTreeSet<u8> = addresses.iter().map(|address| address.octets()[3]).collect();
        assert!(!ends.contains(&0) && !ends.contains(&255), "{ends:?}");
    }
}
