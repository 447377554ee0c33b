//! The handle of one connection of a member to a room.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::attendance::{Attendance, Proof};
use crate::domain::arrival::Arrival;
use crate::domain::camera::StreamFault;
use crate::domain::eligible_list::ListRefused;
use crate::domain::id::{AssemblyId, ConnectionId, SessionId, TrackId, UserId};
use crate::domain::media::{Codec, TrackSource};
use crate::domain::participant::{ParticipantKind, Principal};
use crate::domain::quality::PersonQuality;
use crate::domain::time::Timestamp;
use crate::domain::transcript::{Transcribed, TranscriptChunk};
use crate::room::action::{Action, AttendanceAction, Made, Vote};
use crate::room::engine::{
    AttendeeAnswer, ConnectionKind, Goodbye, ProofCheck, ResumeHash, RoomView,
};
use crate::room::error::RoomError;
use crate::room::event::{EligibleListView, TranscriptChunkView, TranscriptionView};
use crate::room::ports::{EvidenceHead, LossReason};
use crate::sfu::plane::Demand;
use crate::sfu::{Feed, FeedSpec, PublishAnswer, TransportSide, WhepAnswer};

/// Longest time that a caller waits for a room. Raising it lets a room that does not answer hold
/// more callers.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the result of a request is waited for before the request is reported as pending.
/// Raising it leaves clients longer without an answer.
const PENDING_AFTER: Duration = Duration::from_secs(2);

/// A message of a room to one connection.
#[derive(Debug, Clone)]
pub enum Outbound {
    /// The events of one decision, each as the JSON text that every member gets.
    Told(Arc<[Arc<str>]>),
    /// An offer of the media plane for the subscribe transport.
    SubscriberOffer {
        /// Session description (RFC 8866).
        sdp: String,
        /// The track that each section carries.
        tracks: Vec<(String, TrackId)>,
    },
    /// The client refused to receive a track, as it was offered in this codec.
    TrackRefused(TrackId, Codec),
    /// The network does not carry the pictures of these tracks; of none when it carries all.
    LeftOut(Vec<TrackId>),
    /// Nobody wants these encodings of a track of the connection, so it need not send them.
    Unseen(TrackId, Vec<String>),
    /// A transport was connected.
    TransportConnected(TransportSide),
    /// A transport was lost.
    TransportLost(TransportSide),
    /// A head of the session's log was signed.
    EvidenceHead(Arc<EvidenceHead>),
    /// The text so far of what whoever has the floor is saying. It is no event: it is stored
    /// nowhere, and the next one or the event replaces it.
    SpokenSoFar(Arc<TranscriptChunkView>),
    /// How good the connections of these people are. It is no event: it is stored nowhere. Whoever does not moderate is
    /// told only of themselves.
    Quality(Arc<[PersonQuality]>),
    /// What of the eligible list does not hold. It is no event; moderators are told.
    EligibleList(Arc<EligibleListView>),
    /// The connection ends; nothing follows.
    Goodbye(Goodbye),
    /// A newer socket has resumed the connection; nothing follows.
    Replaced,
    /// The room closes in this process, but its session continues and the room can be opened again.
    /// Nothing follows.
    Closing,
}

/// The channel for messages to one connection. When it is full, the connection is lost and may be
/// resumed.
pub type Sink = mpsc::Sender<Outbound>;

/// A connection that was admitted or resumed.
#[derive(Debug)]
pub struct Entered {
    /// The connection.
    pub member: MemberHandle,
    /// The user to whom it belongs.
    pub user: UserId,
    /// When its access token expires, by the clock of the machine.
    pub expires_at: Timestamp,
    /// What the token has left, by the clock of meetings, which nobody sets.
    pub left: Duration,
    /// The room as it is now.
    pub view: RoomView,
    /// The newest head of the session's log that the room knows.
    pub evidence: Option<Arc<EvidenceHead>>,
    /// Whether what is said becomes text.
    pub transcription: TranscriptionView,
    /// If it was resumed: the events after the last one that the member received, as JSON.
    pub missed: Option<Vec<Arc<str>>>,
    /// Whether transports that the client may still rely on were lost, as after a restart of the
    /// server.
    pub media_gone: bool,
}

/// The handle of one socket of a connection.
#[derive(Debug)]
pub struct MemberHandle {
    /// The session.
    pub session: SessionId,
    /// The connection.
    pub connection: ConnectionId,
    /// Distinguishes this socket from earlier ones of the connection.
    pub(super) socket: u64,
    pub(super) room: RoomHandle,
}

/// A sender into the bounded queue of a room.
#[derive(Debug, Clone)]
pub(super) struct RoomHandle {
    pub(super) inputs: mpsc::Sender<Input>,
    /// The assembly that meets in it.
    pub(super) assembly: AssemblyId,
    /// Whether another provider carries its media.
    pub(super) is_without_media: bool,
}

/// A request of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The action.
    pub action: Action,
    /// The `seq` of the newest event that the member had seen.
    pub seen: Option<u64>,
    /// The client's id for the request: the same id again is the same request.
    pub id: Option<String>,
}

/// The result of a request so far.
#[derive(Debug)]
pub enum Acted {
    /// It was carried out, or was refused and will not be.
    Done(Result<Made, RoomError>),
    /// It was accepted, and is not decided yet.
    Pending(PendingAct),
}

/// A request whose result is not known yet.
#[derive(Debug)]
pub struct PendingAct {
    answer: oneshot::Receiver<Result<Made, RoomError>>,
}

impl PendingAct {
    /// Waits for the result.
    ///
    /// # Errors
    /// The refusal of the room; then nothing has changed and nothing will.
    pub async fn outcome(self) -> Result<Made, RoomError> {
        // A request that a closing room has left in its queue is not carried out.
        self.answer.await.unwrap_or(Err(RoomError::Unreachable))
    }
}

/// The channel for the answer to an input.
pub(super) type Reply<T> = oneshot::Sender<Result<T, RoomError>>;

/// A connection that asks to be admitted.
#[derive(Debug)]
pub(super) struct Entering {
    pub(super) participant: ParticipantKind,
    pub(super) principal: Principal,
    pub(super) kind: ConnectionKind,
    pub(super) sink: Option<Sink>,
    pub(super) resume: ResumeHash,
}

/// Whether a client that resumes still has its transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaAfterLoss {
    /// It has them, and they continue.
    Kept,
    /// It has not, so the server drops them too.
    Dropped,
}

/// A connection that asks to be resumed.
#[derive(Debug)]
pub(super) struct Resuming {
    pub(super) connection: ConnectionId,
    pub(super) secret: ResumeHash,
    pub(super) next: ResumeHash,
    pub(super) last_seq: u64,
    pub(super) media: MediaAfterLoss,
    pub(super) at: Timestamp,
    pub(super) sink: Sink,
}

/// The room's answer when it admits a connection; [`MemberHandle`] is made from it.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) connection: ConnectionId,
    pub(super) socket: u64,
    pub(super) user: UserId,
    pub(super) expires_at: Timestamp,
    pub(super) left: Duration,
    pub(super) view: RoomView,
    pub(super) evidence: Option<Arc<EvidenceHead>>,
    pub(super) transcription: TranscriptionView,
    pub(super) missed: Option<Vec<Arc<str>>>,
    pub(super) media_gone: bool,
}

/// A request of a connection to the media plane.
#[derive(Debug)]
pub(super) enum Signal {
    Publish {
        offer: String,
        sources: Vec<(String, TrackSource)>,
        reply: Reply<PublishAnswer>,
    },
    Feed {
        spec: FeedSpec,
        reply: Reply<Feed>,
    },
    EndFeed {
        track: TrackId,
        reply: Reply<()>,
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
        reply: Reply<WhepAnswer>,
    },
    RestartIce {
        side: TransportSide,
        ufrag: String,
        password: String,
        reply: Reply<(String, String)>,
    },
}

/// Every input of a room from its callers.
#[derive(Debug)]
pub(super) enum Input {
    Enter(Entering, Reply<Admitted>),
    Resume(Resuming, Reply<Admitted>),
    Act { connection: ConnectionId, request: Request, reply: Reply<Made> },
    Signal { connection: ConnectionId, signal: Signal },
    Renew { connection: ConnectionId, principal: Principal, next: ResumeHash, reply: Reply<()> },
    Presence { connection: ConnectionId, reply: Reply<bool> },
    Attend { action: AttendanceAction, reply: Reply<Arc<Attendance>> },
    AttendPerson { user: UserId, action: AttendanceAction, reply: Reply<AttendeeAnswer> },
    ListRefused(ListRefused),
    Vote { vote: Vote, arrival: Arrival, reply: Reply<()> },
    Transcribed { said: Transcribed, reply: Reply<()> },
    SpokenSoFar(TranscriptChunk),
    Correct { by: UserId, of: u64, text: String, reply: Reply<u64> },
    CheckProof { user: UserId, proof: Proof, reply: Reply<ProofCheck> },
    Attendance { reply: Reply<Arc<Attendance>> },
    Fault { connection: ConnectionId, fault: Option<StreamFault> },
    Lost { connection: ConnectionId, socket: u64, reason: LossReason },
    Leave { connection: ConnectionId, socket: u64 },
    EvidenceHead(Arc<EvidenceHead>),
    ClockAhead { ms: i64 },
    SessionChanged(Box<crate::domain::session::Session>),
    SessionEnding { told: oneshot::Sender<()> },
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
    /// Whether this server carries the media of the room.
    #[must_use]
    pub const fn has_media(&self) -> bool {
        !self.room.is_without_media
    }

    /// Makes a request. The result is waited for briefly; in a room that stores slowly the request
    /// is then pending.
    pub async fn begin(&self, request: Request) -> Acted {
        let (reply, mut answer) = oneshot::channel();
        let input = Input::Act { connection: self.connection, request, reply };
        // A request that does not get into the queue in time is not carried out.
        match tokio::time::timeout(PATIENCE, self.room.inputs.send(input)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Acted::Done(Err(RoomError::Unreachable)),
        }
        match tokio::time::timeout(PENDING_AFTER, &mut answer).await {
            // A request that a closing room has left in its queue is not carried out.
            Ok(outcome) => Acted::Done(outcome.unwrap_or(Err(RoomError::Unreachable))),
            Err(_) => Acted::Pending(PendingAct { answer }),
        }
    }

    /// Makes a request and waits for its result. Returns what it made.
    ///
    /// # Errors
    /// The refusal of the room; then nothing has changed and nothing will.
    pub async fn act(&self, action: impl Into<Action> + Send) -> Result<Made, RoomError> {
        let action = action.into();
        match self.begin(Request { action, seen: None, id: None }).await {
            Acted::Done(outcome) => outcome,
            Acted::Pending(pending) => pending.outcome().await,
        }
    }

    /// Offers the publish transport, or renegotiates it.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] and the errors of the media plane.
    pub async fn publish(
        &self,
        offer: String,
        sources: Vec<(String, TrackSource)>,
    ) -> Result<PublishAnswer, RoomError> {
        self.signal(|reply| Signal::Publish { offer, sources, reply }).await
    }

    /// Publishes a track whose packets come from this process.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] and the errors of the media plane.
    pub async fn feed(&self, spec: FeedSpec) -> Result<Feed, RoomError> {
        self.signal(|reply| Signal::Feed { spec, reply }).await
    }

    /// Ends a track whose packets come from this process.
    ///
    /// # Errors
    /// The errors of the media plane.
    pub async fn end_feed(&self, track: TrackId) -> Result<(), RoomError> {
        self.signal(|reply| Signal::EndFeed { track, reply }).await
    }

    /// Reports why nothing of a camera comes, or that it comes again.
    pub async fn report_fault(&self, fault: Option<StreamFault>) {
        let input = Input::Fault { connection: self.connection, fault };
        // A room that has closed need not be told.
        drop(self.room.inputs.send(input).await);
    }

    /// Answers the media plane's offer of the subscribe transport.
    ///
    /// # Errors
    /// The errors of the media plane.
    pub async fn answer(&self, sdp: String) -> Result<(), RoomError> {
        self.signal(|reply| Signal::Answer { sdp, reply }).await
    }

    /// Subscribes to a track, or changes what is wanted of it.
    ///
    /// # Errors
    /// The errors of the media plane.
    pub async fn subscribe(&self, track: TrackId, demand: Demand) -> Result<(), RoomError> {
        self.signal(|reply| Signal::Subscribe { track, demand, reply }).await
    }

    /// Unsubscribes from a track.
    ///
    /// # Errors
    /// The errors of the media plane.
    pub async fn unsubscribe(&self, track: TrackId) -> Result<(), RoomError> {
        self.signal(|reply| Signal::Unsubscribe { track, reply }).await
    }

    /// Requests new ICE credentials for the subscribe transport.
    ///
    /// # Errors
    /// The errors of the media plane.
    pub async fn restart_subscriber(&self) -> Result<(), RoomError> {
        self.signal(|reply| Signal::RestartSubscriber { reply }).await
    }

    /// Offers to receive the featured tracks of the room (WHEP).
    ///
    /// # Errors
    /// The errors of the media plane.
    pub async fn whep(&self, offer: String) -> Result<WhepAnswer, RoomError> {
        self.signal(|reply| Signal::Whep { offer, reply }).await
    }

    /// Restarts ICE of a transport without a session description; returns the server's new user
    /// fragment and password.
    ///
    /// # Errors
    /// The errors of the media plane.
    pub async fn restart_ice(
        &self,
        side: TransportSide,
        ufrag: String,
        password: String,
    ) -> Result<(String, String), RoomError> {
        self.signal(|reply| Signal::RestartIce { side, ufrag, password, reply }).await
    }

    /// Reports that the access token was renewed; `next` is the hash of the new resume secret.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] when the new token belongs to another person or does not allow
    /// being in the room, [`RoomError::Unreachable`].
    pub async fn renew(&self, principal: Principal, next: ResumeHash) -> Result<(), RoomError> {
        let connection = self.connection;
        self.room.ask(|reply| Input::Renew { connection, principal, next, reply }).await
    }

    /// Whether the connection has ended, for any reason. `false` when the room is too busy to
    /// answer.
    pub async fn is_gone(&self) -> bool {
        let connection = self.connection;
        match self.room.ask(|reply| Input::Presence { connection, reply }).await {
            Ok(is_here) => !is_here,
            Err(_) => self.room.inputs.is_closed(),
        }
    }

    /// Reports that the socket was lost; the connection may be resumed.
    pub async fn lost(&self, reason: LossReason) {
        let (connection, socket) = (self.connection, self.socket);
        let input = Input::Lost { connection, socket, reason };
        // A room that has closed need not be told.
        drop(self.room.inputs.send(input).await);
    }

    /// Ends the connection permanently.
    pub async fn leave(&self) {
        let input = Input::Leave { connection: self.connection, socket: self.socket };
        // A room that has closed need not be told.
        drop(self.room.inputs.send(input).await);
    }

    async fn signal<T>(&self, make: impl FnOnce(Reply<T>) -> Signal) -> Result<T, RoomError> {
        let connection = self.connection;
        self.room.ask(|reply| Input::Signal { connection, signal: make(reply) }).await
    }
}
