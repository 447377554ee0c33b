//! What a door holds of a room: one connection of one member.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::domain::id::{ConnectionId, RequestId, SessionId, TrackId, UserId};
use crate::domain::media::TrackSource;
use crate::domain::participant::Principal;
use crate::domain::time::Timestamp;
use crate::room::action::Action;
use crate::room::engine::{ConnectionKind, Goodbye, ResumeHash, RoomView};
use crate::room::error::RoomError;
use crate::room::ports::{EvidenceHead, LossReason};
use crate::sfu::plane::Demand;
use crate::sfu::{PublishAnswer, TransportSide};

/// Longest that a door waits for a room. Raising it lets a stuck room hold
/// more callers.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the outcome of a request is waited for before it is told to be
/// pending. Raising it leaves clients longer without any answer.
const PENDING_AFTER: Duration = Duration::from_secs(2);

/// What a room sends to one connection.
#[derive(Debug, Clone)]
pub enum Outbound {
    /// An event, as the JSON that everybody gets.
    Told(Arc<str>),
    /// The media plane offers the subscribe transport.
    SubscriberOffer {
        /// RFC 8866.
        sdp: String,
        /// Which track each section carries.
        tracks: Vec<(String, TrackId)>,
    },
    /// A transport works.
    TransportConnected(TransportSide),
    /// A transport is gone.
    TransportLost(TransportSide),
    /// The session's log was signed.
    EvidenceHead(Arc<EvidenceHead>),
    /// The connection ends; nothing follows.
    Goodbye(Goodbye),
    /// A newer socket has taken the connection over; nothing follows.
    Replaced,
    /// The room closes here, but its session goes on: whoever comes again finds
    /// it as it is. Nothing follows.
    Closing,
}

/// Where a room sends what is for one connection. When it is full the
/// connection is lost, and may resume.
pub type Sink = mpsc::Sender<Outbound>;

/// A connection that a room let in, or took up again.
#[derive(Debug)]
pub struct Entered {
    /// The connection.
    pub member: MemberHandle,
    /// Whose it is.
    pub user: UserId,
    /// When its access token expires.
    pub expires_at: Timestamp,
    /// The room as it is now.
    pub view: RoomView,
    /// The newest head of the session's log that the room has heard of.
    pub evidence: Option<Arc<EvidenceHead>>,
    /// Events after the last one the member saw, as JSON, when it resumed.
    pub missed: Option<Vec<String>>,
    /// Whether transports that the client may still count on are gone, as after
    /// a restart of the server.
    pub media_gone: bool,
}

/// One socket's hold of one connection.
#[derive(Debug)]
pub struct MemberHandle {
    /// The session.
    pub session: SessionId,
    /// The connection.
    pub connection: ConnectionId,
    /// Distinguishes this socket from others that had the connection.
    pub(super) socket: u64,
    pub(super) room: RoomHandle,
}

/// A sender into the bounded queue of a room.
#[derive(Debug, Clone)]
pub(super) struct RoomHandle {
    pub(super) inputs: mpsc::Sender<Input>,
}

/// What a member asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub action: Action,
    /// The `seq` of the newest event that the member had been shown.
    pub seen: Option<u64>,
    /// The client's name for the request: the same again is the same request.
    pub id: Option<String>,
}

/// What became of a request so far.
#[derive(Debug)]
pub enum Acted {
    /// It was done, or was not and will not be.
    Done(Result<Option<RequestId>, RoomError>),
    /// It was taken, and is not decided yet.
    Pending(PendingAct),
}

/// A request whose outcome is not known yet.
#[derive(Debug)]
pub struct PendingAct {
    answer: oneshot::Receiver<Result<Option<RequestId>, RoomError>>,
}

impl PendingAct {
    /// Waits for the outcome.
    ///
    /// # Errors
    /// What the room says; nothing has changed then, and nothing will.
    pub async fn outcome(self) -> Result<Option<RequestId>, RoomError> {
        // What a room that closes left in its queue is not done.
        self.answer.await.unwrap_or(Err(RoomError::Unreachable))
    }
}

/// Where the answer to an input goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, RoomError>>;

/// A connection that wants in.
#[derive(Debug)]
pub(super) struct Entering {
    pub(super) principal: Principal,
    pub(super) kind: ConnectionKind,
    pub(super) sink: Option<Sink>,
    pub(super) resume: ResumeHash,
}

/// Whether a connection that comes back still has its end of its transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaAfterLoss {
    /// It has, and they live on.
    Kept,
    /// It has not, so this end is dropped too.
    Dropped,
}

/// A connection that wants to go on.
#[derive(Debug)]
pub(super) struct Resuming {
    pub(super) connection: ConnectionId,
    pub(super) secret: ResumeHash,
    pub(super) next: ResumeHash,
    pub(super) last_seq: u64,
    pub(super) media: MediaAfterLoss,
    pub(super) sink: Sink,
}

/// What a room needs to let somebody in; the room adds itself to make a
/// [`MemberHandle`].
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) connection: ConnectionId,
    pub(super) socket: u64,
    pub(super) user: UserId,
    pub(super) expires_at: Timestamp,
    pub(super) view: RoomView,
    pub(super) evidence: Option<Arc<EvidenceHead>>,
    pub(super) missed: Option<Vec<String>>,
    pub(super) media_gone: bool,
}

/// What a connection asks of the media plane.
#[derive(Debug)]
pub(super) enum Signal {
    Publish {
        offer: String,
        sources: Vec<(String, TrackSource)>,
        reply: Reply<PublishAnswer>,
    },
    Answer {
        sdp: String,
        reply: Reply<()>,
    },
    Subscribe {
        track: TrackId,
        demand: Demand,
        reply: Reply<()>,
    },
    Unsubscribe {
        track: TrackId,
        reply: Reply<()>,
    },
    RestartSubscriber {
        reply: Reply<()>,
    },
    Whep {
        offer: String,
        reply: Reply<String>,
    },
    RestartIce {
        side: TransportSide,
        ufrag: String,
        password: String,
        reply: Reply<(String, String)>,
    },
}

/// Everything that can come to a room from its doors.
#[derive(Debug)]
pub(super) enum Input {
    Enter(Entering, Reply<Admitted>),
    Resume(Resuming, Reply<Admitted>),
    Act { connection: ConnectionId, request: Request, reply: Reply<Option<RequestId>> },
    Signal { connection: ConnectionId, signal: Signal },
    Renew { connection: ConnectionId, principal: Principal, next: ResumeHash, reply: Reply<()> },
    Presence { connection: ConnectionId, reply: Reply<bool> },
    Lost { connection: ConnectionId, socket: u64, reason: LossReason },
    Leave { connection: ConnectionId, socket: u64 },
    EvidenceHead(Arc<EvidenceHead>),
    SessionChanged(Box<crate::domain::session::Session>),
    SessionOver { reason: &'static str, told: oneshot::Sender<()> },
    Stop(oneshot::Sender<()>),
}

impl RoomHandle {
    pub(super) async fn ask<T>(
        &self,
        make: impl FnOnce(Reply<T>) -> Input,
    ) -> Result<T, RoomError> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.inputs.send(make(reply)).await.map_err(|_| RoomError::Unreachable)?;
            answer.await.map_err(|_| RoomError::Unreachable)?
        };
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_| RoomError::Unreachable)?
    }
}

impl MemberHandle {
    /// Asks for something. The outcome is waited for shortly; a room that stores
    /// slowly leaves it pending.
    pub async fn begin(&self, request: Request) -> Acted {
        let (reply, mut answer) = oneshot::channel();
        let input = Input::Act { connection: self.connection, request, reply };
        // What does not get into the queue in time is not done.
        match tokio::time::timeout(PATIENCE, self.room.inputs.send(input)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Acted::Done(Err(RoomError::Unreachable)),
        }
        match tokio::time::timeout(PENDING_AFTER, &mut answer).await {
            // What a room that closes left in its queue is not done.
            Ok(outcome) => Acted::Done(outcome.unwrap_or(Err(RoomError::Unreachable))),
            Err(_) => Acted::Pending(PendingAct { answer }),
        }
    }

    /// Asks for something and waits for its outcome. Yields the speech request it
    /// made, if any.
    ///
    /// # Errors
    /// What the room says; nothing has changed then, and nothing will.
    pub async fn act(
        &self,
        action: impl Into<Action> + Send,
    ) -> Result<Option<RequestId>, RoomError> {
        let action = action.into();
        match self.begin(Request { action, seen: None, id: None }).await {
            Acted::Done(outcome) => outcome,
            Acted::Pending(pending) => pending.outcome().await,
        }
    }

    /// Offers the publish transport, or renegotiates it.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] and what the media plane says.
    pub async fn publish(
        &self,
        offer: String,
        sources: Vec<(String, TrackSource)>,
    ) -> Result<PublishAnswer, RoomError> {
        self.signal(|reply| Signal::Publish { offer, sources, reply }).await
    }

    /// Answers the media plane's offer of the subscribe transport.
    ///
    /// # Errors
    /// What the media plane says.
    pub async fn answer(&self, sdp: String) -> Result<(), RoomError> {
        self.signal(|reply| Signal::Answer { sdp, reply }).await
    }

    /// Wants a track, or something else of it.
    ///
    /// # Errors
    /// What the media plane says.
    pub async fn subscribe(&self, track: TrackId, demand: Demand) -> Result<(), RoomError> {
        self.signal(|reply| Signal::Subscribe { track, demand, reply }).await
    }

    /// No longer wants a track.
    ///
    /// # Errors
    /// What the media plane says.
    pub async fn unsubscribe(&self, track: TrackId) -> Result<(), RoomError> {
        self.signal(|reply| Signal::Unsubscribe { track, reply }).await
    }

    /// Wants new ICE credentials for the subscribe transport.
    ///
    /// # Errors
    /// What the media plane says.
    pub async fn restart_subscriber(&self) -> Result<(), RoomError> {
        self.signal(|reply| Signal::RestartSubscriber { reply }).await
    }

    /// Offers to receive what the room features (WHEP).
    ///
    /// # Errors
    /// What the media plane says.
    pub async fn whep(&self, offer: String) -> Result<String, RoomError> {
        self.signal(|reply| Signal::Whep { offer, reply }).await
    }

    /// Restarts ICE of a transport without a session description; yields this
    /// server's new username fragment and password.
    ///
    /// # Errors
    /// What the media plane says.
    pub async fn restart_ice(
        &self,
        side: TransportSide,
        ufrag: String,
        password: String,
    ) -> Result<(String, String), RoomError> {
        self.signal(|reply| Signal::RestartIce { side, ufrag, password, reply }).await
    }

    /// The access token was renewed; `next` is of the new resume secret.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] when the new token is somebody else's or allows
    /// less than being here, [`RoomError::Unreachable`].
    pub async fn renew(&self, principal: Principal, next: ResumeHash) -> Result<(), RoomError> {
        let connection = self.connection;
        self.room.ask(|reply| Input::Renew { connection, principal, next, reply }).await
    }

    /// Whether the connection has ended, for whatever reason. A room that is
    /// too busy to say has not ended it.
    pub async fn is_gone(&self) -> bool {
        let connection = self.connection;
        match self.room.ask(|reply| Input::Presence { connection, reply }).await {
            Ok(is_here) => !is_here,
            Err(_) => self.room.inputs.is_closed(),
        }
    }

    /// The socket is gone; the connection may be resumed.
    pub async fn lost(&self, reason: LossReason) {
        let (connection, socket) = (self.connection, self.socket);
        let input = Input::Lost { connection, socket, reason };
        // A room that has closed needs no telling.
        drop(self.room.inputs.send(input).await);
    }

    /// The connection ends for good.
    pub async fn leave(&self) {
        let input = Input::Leave { connection: self.connection, socket: self.socket };
        // A room that has closed needs no telling.
        drop(self.room.inputs.send(input).await);
    }

    async fn signal<T>(&self, make: impl FnOnce(Reply<T>) -> Signal) -> Result<T, RoomError> {
        let connection = self.connection;
        self.room.ask(|reply| Input::Signal { connection, signal: make(reply) }).await
    }
}
