//! One connection of the channel: the handshake, then messages in both directions until one side
//! ends it. Every reason for which it can end has a close code.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::SinkExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::auth::{AuthError, SocketCredentials};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::SessionId;
use crate::domain::network::ClientNetwork;
use crate::domain::participant::Principal;
use crate::moderation::door::{Channel, SUBPROTOCOL};
use crate::moderation::member::{Member, Refusal};
use crate::moderation::metrics::Connected;
use crate::moderation::parse::{Command, Malformed, Parsed, parse};
use crate::moderation::rate::MessageRate;
use crate::moderation::resume_token::{ResumeSecret, ResumeToken};
use crate::moderation::welcome::welcome;
use crate::moderation::wire::{Reference, ServerMessage, TransportName};
use crate::room::engine::Goodbye;
use crate::room::error::RoomError;
use crate::room::ports::LossReason;
use crate::room::{Entered, MediaAfterLoss, Outbound, ResumeRequest};

/// Why a connection ends, with its close code and a short text (`docs/MODERATION.md`; RFC 6455
/// §7.4.1 for codes below 4000).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// The client closed the socket or disconnected; nothing is sent.
    Gone,
    /// The server stops; the client should connect again.
    GoingAway,
    /// The client left permanently, and said so.
    Left,
    /// A text is not UTF-8.
    NotUtf8,
    /// A message is larger than allowed.
    TooLarge,
    /// The token is invalid or has expired.
    Unauthenticated,
    /// The caller is not allowed in this session.
    Forbidden,
    /// There is no such session.
    NoSession,
    /// The client reads too slowly, sends nothing, or sends too much.
    SlowOrSilent,
    /// A newer connection has replaced this one.
    Replaced,
    /// The session has ended.
    SessionOver,
}

impl Close {
    const fn frame(self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::Gone | Self::Left => return None,
            Self::GoingAway => (1001, "server stops"),
            Self::NotUtf8 => (1007, "not UTF-8"),
            Self::TooLarge => (1009, "message too large"),
            Self::Unauthenticated => (4401, "token expired or invalid"),
            Self::Forbidden => (4403, "not allowed"),
            Self::NoSession => (4404, "no such session"),
            Self::SlowOrSilent => (4408, "slow or silent"),
            Self::Replaced => (4409, "replaced by a newer connection"),
            Self::SessionOver => (4410, "session over"),
        })
    }

    /// The reason for the loss that the room is given.
    const fn loss(self) -> LossReason {
        match self {
            Self::SlowOrSilent => LossReason::SlowOrSilent,
            Self::TooLarge => LossReason::MessageTooLarge,
            Self::GoingAway => LossReason::ServerFault,
            _ => LossReason::SocketClosed,
        }
    }

    /// Interprets a failure of the socket. The error type of the WebSocket library is not
    /// accessible through `axum`, so its texts are compared.
    fn of_socket(error: &axum::Error) -> Self {
        let text = error.to_string();
        if text.contains("UTF-8") {
            Self::NotUtf8
        } else if text.contains("too long") || text.contains("too large") {
            Self::TooLarge
        } else {
            Self::Gone
        }
    }

    const fn of_room(error: &RoomError) -> Self {
        match error {
            RoomError::SessionNotFound => Self::NoSession,
            RoomError::SessionOver => Self::SessionOver,
            RoomError::NothingToResume => Self::Unauthenticated,
            RoomError::StoreUnavailable | RoomError::Unreachable | RoomError::Media { .. } => {
                Self::GoingAway
            }
            RoomError::TooMuch => Self::SlowOrSilent,
            _ => Self::Forbidden,
        }
    }

    const fn of_auth(error: &AuthError) -> Self {
        match error.code() {
            ErrorCode::Forbidden => Self::Forbidden,
            ErrorCode::DependencyUnavailable => Self::GoingAway,
            _ => Self::Unauthenticated,
        }
    }
}

/// One connection.
pub(super) struct Connection {
    channel: Arc<Channel>,
    socket: WebSocket,
    network: ClientNetwork,
}

/// A connection whose client was authenticated.
struct Welcomed {
    member: Member,
    outbound: mpsc::Receiver<Outbound>,
}

/// The events that wake a connection.
enum Wake {
    Outbound(Option<Outbound>),
    Frame(Option<Result<Message, axum::Error>>),
    /// The result of a request that was pending.
    Outcome(ServerMessage),
    Timer,
}

impl Connection {
    pub(super) const fn new(
        channel: Arc<Channel>,
        socket: WebSocket,
        network: ClientNetwork,
    ) -> Self {
        Self { channel, socket, network }
    }

    /// Serves the connection until it ends.
    pub(super) async fn serve(mut self, session: Option<SessionId>) {
        let close = match self.handshake(session).await {
            Ok(welcomed) => {
                let _connected = Connected::new();
                self.converse(welcomed).await
            }
            Err(close) => close,
        };
        if let Some((code, reason)) = close.frame() {
            let frame = CloseFrame { code, reason: reason.into() };
            // The peer may have disconnected; then the frame is not read.
            let _gone = self.write(Message::Close(Some(frame))).await;
            self.linger().await;
        }
    }

    /// Waits briefly for the peer to close the connection, so that it reads the close frame before
    /// the socket is reset.
    async fn linger(&mut self) {
        let closed = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        // A peer that does not close in time is disconnected.
        let _late = timeout(Duration::from_secs(1), closed).await;
    }

    async fn handshake(&mut self, session: Option<SessionId>) -> Result<Welcomed, Close> {
        let channel = self.channel.clone();
        let options = &channel.options;
        let Some((place, gave_way)) = channel.places.take(self.network) else {
            return Err(Close::GoingAway);
        };
        let nonce = options.authenticator.socket_nonce();
        let version = SUBPROTOCOL.to_owned();
        // Proofs are dated by it, and the end of the token is counted by it.
        let server_time = options.wall.now().to_string();
        self.send(&ServerMessage::Hello { nonce: nonce.clone(), version, server_time }).await?;
        let deadline = Instant::now() + options.limits.handshake;
        let first = timeout_at(deadline, self.first_message());
        let Parsed { reference, command, .. } = tokio::select! {
            first = first => first.map_err(|_| Close::SlowOrSilent)??,
            _ = gave_way => return Err(Close::SlowOrSilent),
        };
        if !place.speak() {
            return Err(Close::SlowOrSilent);
        }
        let session = session.ok_or(Close::NoSession);
        match command {
            Command::Authenticate { token, proof } => {
                let principal =
                    self.authenticate(&token, &proof, &nonce, reference.as_ref()).await?;
                self.enter(principal, session?, nonce, reference.as_ref()).await
            }
            Command::Resume { token, last_seq, media } => {
                let wanted = (token.as_str(), last_seq, media);
                self.resume(wanted, session?, nonce, reference.as_ref()).await
            }
            _ => {
                let refusal =
                    Refusal::new(ErrorCode::CredentialsMissing, "authenticate or resume first");
                self.send(&refusal.message(reference)).await?;
                Err(Close::Unauthenticated)
            }
        }
    }

    async fn first_message(&mut self) -> Result<Parsed, Close> {
        loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) if self.is_too_large(&text) => {
                    return Err(Close::TooLarge);
                }
                Some(Ok(Message::Text(text))) => match parse(&text) {
                    Ok(parsed) => return Ok(parsed),
                    Err(malformed) => {
                        self.refuse_malformed(malformed).await?;
                        return Err(Close::Unauthenticated);
                    }
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_))) => return Err(Close::Unauthenticated),
                Some(Ok(Message::Close(_))) | None => return Err(Close::Gone),
                Some(Err(error)) => return Err(Close::of_socket(&error)),
            }
        }
    }

    async fn authenticate(
        &mut self,
        token: &str,
        proof: &str,
        nonce: &str,
        reference: Option<&Reference>,
    ) -> Result<Principal, Close> {
        let verified = verify(&self.channel, token, proof, nonce).await;
        match verified {
            Ok(principal) => Ok(principal),
            Err(error) => {
                let refusal = Refusal::from(&error);
                self.send(&refusal.message(reference.cloned())).await?;
                Err(Close::of_auth(&error))
            }
        }
    }

    async fn enter(
        &mut self,
        principal: Principal,
        session: SessionId,
        nonce: String,
        reference: Option<&Reference>,
    ) -> Result<Welcomed, Close> {
        let (sink, outbound) = mpsc::channel(self.channel.options.limits.queue_max);
        let secret = ResumeSecret::draw();
        let tenant = principal.tenant_id;
        let rooms = self.channel.options.rooms.clone();
        let entered = rooms.enter(principal, session, secret.hash(), sink).await;
        let entered = self.check(entered, reference).await?;
        let token = secret.token(tenant, entered.member.connection);
        self.welcome(entered, token, tenant, nonce, outbound, reference.cloned()).await
    }

    async fn resume(
        &mut self,
        (token, last_seq, media): (&str, u64, MediaAfterLoss),
        session: SessionId,
        nonce: String,
        reference: Option<&Reference>,
    ) -> Result<Welcomed, Close> {
        let (sink, outbound) = mpsc::channel(self.channel.options.limits.queue_max);
        let secret = ResumeSecret::draw();
        let Some(shown) = ResumeToken::parse(token) else {
            let refused = Err(RoomError::NothingToResume);
            return self.check(refused, reference).await.and(Err(Close::Unauthenticated));
        };
        let rooms = self.channel.options.rooms.clone();
        let request = ResumeRequest {
            connection: shown.connection,
            secret: shown.hash,
            next: secret.hash(),
            last_seq,
            media,
            at: self.channel.options.wall.now(),
        };
        let entered = rooms.resume(session, shown.tenant, request, sink).await;
        let entered = self.check(entered, reference).await?;
        let token = secret.token(shown.tenant, shown.connection);
        self.welcome(entered, token, shown.tenant, nonce, outbound, reference.cloned()).await
    }

    async fn check(
        &mut self,
        entered: Result<Entered, RoomError>,
        reference: Option<&Reference>,
    ) -> Result<Entered, Close> {
        match entered {
            Ok(entered) => Ok(entered),
            Err(error) => {
                self.send(&Refusal::from(&error).message(reference.cloned())).await?;
                Err(Close::of_room(&error))
            }
        }
    }

    async fn welcome(
        &mut self,
        entered: Entered,
        resume_token: String,
        tenant: crate::domain::id::TenantId,
        nonce: String,
        outbound: mpsc::Receiver<Outbound>,
        reference: Option<Reference>,
    ) -> Result<Welcomed, Close> {
        let Entered { member, user, expires_at, left, view, evidence, transcription, .. } = entered;
        let Entered { missed, media_gone, .. } = entered;
        let ice_servers = self.channel.ice_servers(&member, tenant, &user);
        let resumed = missed.is_some();
        let head = evidence.as_deref();
        let greeting =
            welcome(view, head, transcription, &member, ice_servers, resume_token, resumed);
        let mut member = Member::new(self.channel.clone(), member, user, tenant, nonce);
        member.set_expiry(expires_at, left);
        let greeted = self.greet(greeting, missed, media_gone, reference).await;
        if let Err(close) = greeted {
            member.handle.lost(close.loss()).await;
            return Err(close);
        }
        Ok(Welcomed { member, outbound })
    }

    async fn greet(
        &mut self,
        greeting: ServerMessage,
        missed: Option<Vec<Arc<str>>>,
        media_gone: bool,
        reference: Option<Reference>,
    ) -> Result<(), Close> {
        self.send(&greeting).await?;
        if let Some(reference) = reference {
            self.send(&ServerMessage::ack(reference)).await?;
        }
        self.write_all(&missed.unwrap_or_default()).await?;
        if media_gone {
            for transport in [TransportName::Publish, TransportName::Subscribe] {
                let state = "lost".to_owned();
                self.send(&ServerMessage::TransportState { transport, state }).await?;
            }
        }
        Ok(())
    }

    async fn converse(&mut self, welcomed: Welcomed) -> Close {
        let Welcomed { mut member, mut outbound } = welcomed;
        let close = self.exchange(&mut member, &mut outbound).await;
        match close {
            // A client that leaves, and a token that was not renewed, end the connection
            // permanently.
            Close::Left | Close::Unauthenticated => member.handle.leave().await,
            _ => member.handle.lost(close.loss()).await,
        }
        close
    }

    async fn exchange(
        &mut self,
        member: &mut Member,
        outbound: &mut mpsc::Receiver<Outbound>,
    ) -> Close {
        let limits = self.channel.options.limits;
        let mut rate = MessageRate::new(limits, Instant::now());
        let mut heard_at = Instant::now();
        let mut pinged = false;
        loop {
            let silent_at = heard_at + if pinged { limits.silence_max } else { limits.ping_after };
            let timer = silent_at.min(member.next_notice());
            let wake = tokio::select! {
                out = outbound.recv() => Wake::Outbound(out),
                frame = self.socket.recv() => Wake::Frame(frame),
                Some(outcome) = member.next_outcome() => Wake::Outcome(outcome),
                () = tokio::time::sleep_until(timer) => Wake::Timer,
            };
            let done = match wake {
                Wake::Outbound(Some(out)) => self.handle_outbound(out).await,
                Wake::Outcome(answer) => self.send(&answer).await,
                // The room has removed a connection that read too slowly.
                Wake::Outbound(None) => Err(Close::SlowOrSilent),
                Wake::Frame(frame) => {
                    (heard_at, pinged) = (Instant::now(), false);
                    self.handle_frame(frame, member, &mut rate).await
                }
                Wake::Timer => {
                    let now = Instant::now();
                    let silence = self.handle_silence(now, heard_at, &mut pinged).await;
                    match silence {
                        Ok(()) => self.handle_notice(member).await,
                        over => over,
                    }
                }
            };
            if let Err(close) = done {
                return close;
            }
        }
    }

    async fn handle_silence(
        &mut self,
        now: Instant,
        heard_at: Instant,
        pinged: &mut bool,
    ) -> Result<(), Close> {
        let limits = self.channel.options.limits;
        if now >= heard_at + limits.silence_max {
            return Err(Close::SlowOrSilent);
        }
        if !*pinged && now >= heard_at + limits.ping_after {
            *pinged = true;
            self.write(Message::Ping(axum::body::Bytes::new())).await?;
        }
        Ok(())
    }

    /// Tells the client that its token is about to expire; ends the connection when it has expired.
    async fn handle_notice(&mut self, member: &mut Member) -> Result<(), Close> {
        match member.poll_notice() {
            Some(notice) => self.send(&notice?).await,
            None => Ok(()),
        }
    }

    async fn handle_outbound(&mut self, out: Outbound) -> Result<(), Close> {
        match out {
            Outbound::Told(texts) => self.write_all(&texts).await,
            Outbound::Goodbye(Goodbye::SessionOver) => Err(Close::SessionOver),
            Outbound::Goodbye(Goodbye::Removed) => Err(Close::Forbidden),
            Outbound::Replaced | Outbound::Goodbye(Goodbye::Replaced) => Err(Close::Replaced),
            Outbound::Closing | Outbound::Goodbye(Goodbye::Left | Goodbye::Disconnected) => {
                Err(Close::GoingAway)
            }
            other => match Member::unnumbered_message(other) {
                Some(message) => self.send(&message).await,
                None => Ok(()),
            },
        }
    }

    async fn handle_frame(
        &mut self,
        frame: Option<Result<Message, axum::Error>>,
        member: &mut Member,
        rate: &mut MessageRate,
    ) -> Result<(), Close> {
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            // The socket answers these frames by itself; they count against the rate limit.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                let admitted = rate.admit(Instant::now()) || !rate.is_hopeless();
                return if admitted { Ok(()) } else { Err(Close::SlowOrSilent) };
            }
            // RFC 6455 §7.4.1: a normal closure means that the purpose is fulfilled; browsers send
            // other codes when a page is left.
            Some(Ok(Message::Close(Some(frame)))) if frame.code == close_code::NORMAL => {
                return Err(Close::Left);
            }
            Some(Ok(Message::Close(_))) | None => return Err(Close::Gone),
            Some(Err(error)) => return Err(Close::of_socket(&error)),
            Some(Ok(Message::Binary(_))) => {
                let problem = "the channel accepts only text messages".to_owned();
                let malformed = Malformed { reference: None, problem };
                return self.refuse_malformed(malformed).await;
            }
        };
        if self.is_too_large(&text) {
            return Err(Close::TooLarge);
        }
        if !rate.admit(Instant::now()) {
            let reference = parse(&text).map_or_else(|bad| bad.reference, |good| good.reference);
            let refusal = Refusal::new(ErrorCode::RateLimited, "too many messages");
            self.send(&refusal.message(reference)).await?;
            return if rate.is_hopeless() { Err(Close::SlowOrSilent) } else { Ok(()) };
        }
        match parse(&text) {
            Ok(Parsed { reference, seen, command }) => {
                let answers = member.handle_command(command, seen, reference).await?;
                for answer in answers {
                    self.send(&answer).await?;
                }
                Ok(())
            }
            Err(malformed) => self.refuse_malformed(malformed).await,
        }
    }

    fn is_too_large(&self, text: &str) -> bool {
        text.len() > self.channel.options.limits.message_bytes_max
    }

    async fn refuse_malformed(&mut self, malformed: Malformed) -> Result<(), Close> {
        let refusal = Refusal::new(ErrorCode::MalformedRequest, malformed.problem);
        self.send(&refusal.message(malformed.reference)).await
    }

    async fn send(&mut self, message: &ServerMessage) -> Result<(), Close> {
        let text = serde_json::to_string(message).unwrap_or_default();
        self.write(Message::Text(text.into())).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Close> {
        let limit = self.channel.options.limits.write;
        match timeout(limit, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Close::Gone),
            Err(_) => Err(Close::SlowOrSilent),
        }
    }

    /// Writes texts together, so that many of them cost few writes of the socket.
    async fn write_all(&mut self, texts: &[Arc<str>]) -> Result<(), Close> {
        let limit = self.channel.options.limits.write;
        let written = async {
            for text in texts {
                self.socket.feed(Message::Text(text.as_ref().into())).await?;
            }
            self.socket.flush().await
        };
        match timeout(limit, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Close::Gone),
            Err(_) => Err(Close::SlowOrSilent),
        }
    }
}

/// Verifies a token and its proof. The proof may name any of the URLs of the channel.
pub(super) async fn verify(
    channel: &Channel,
    token: &str,
    proof: &str,
    nonce: &str,
) -> Result<Principal, AuthError> {
    let options = &channel.options;
    let mut refused = AuthError::ProofInvalid;
    for url in &options.urls {
        let credentials = SocketCredentials { token, proof, nonce, url };
        match options.authenticator.socket(credentials, options.wall.now()).await {
            Err(AuthError::ProofInvalid) => refused = AuthError::ProofInvalid,
            verdict => return verdict,
        }
    }
    Err(refused)
}
