//! The requests of the handle to the control thread.

use tokio::sync::{mpsc, oneshot};

use crate::domain::id::{ConnectionId, SessionId, TrackId};
use crate::domain::media::{MediaKind, TrackSource};
use crate::sfu::feed::KeyFrameSignal;
use crate::sfu::interface::{
    BitrateBudget, FeedSpec, PublishAnswer, RoomMediaEvent, SfuError, SfuStats, TransportSide,
    WhepAnswer,
};
use crate::sfu::plane::{Demand, Gate, Gates};
use crate::sfu::tap::TapSink;

/// Requests that may wait for the control thread; at the limit callers wait.
pub(crate) const REQUESTS_MAX: usize = 1024;

/// The channel for the answer to a request.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, SfuError>>;

/// One request to the control thread.
pub(crate) enum Request {
    OpenRoom {
        room: SessionId,
        budget: BitrateBudget,
        events: mpsc::Sender<RoomMediaEvent>,
        reply: Reply<()>,
    },
    CloseRoom {
        room: SessionId,
        reply: Reply<()>,
    },
    Join {
        room: SessionId,
        peer: ConnectionId,
        gates: Gates,
        reply: Reply<()>,
    },
    Leave {
        room: SessionId,
        peer: ConnectionId,
        reply: Reply<()>,
    },
    SetGate {
        room: SessionId,
        peer: ConnectionId,
        kind: MediaKind,
        gate: Gate,
        reply: Reply<()>,
    },
    Publish {
        room: SessionId,
        peer: ConnectionId,
        offer: String,
        sources: Vec<(String, TrackSource)>,
        reply: Reply<PublishAnswer>,
    },
    Unpublish {
        room: SessionId,
        peer: ConnectionId,
        reply: Reply<()>,
    },
    Feed {
        room: SessionId,
        peer: ConnectionId,
        spec: FeedSpec,
        wanted: KeyFrameSignal,
        reply: Reply<(TrackId, usize)>,
    },
    EndFeed {
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
        reply: Reply<()>,
    },
    Subscribe {
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
        demand: Demand,
        reply: Reply<()>,
    },
    Unsubscribe {
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
        reply: Reply<()>,
    },
    Answer {
        room: SessionId,
        peer: ConnectionId,
        sdp: String,
        reply: Reply<()>,
    },
    RestartSubscriberIce {
        room: SessionId,
        peer: ConnectionId,
        reply: Reply<()>,
    },
    Whep {
        room: SessionId,
        peer: ConnectionId,
        offer: String,
        reply: Reply<WhepAnswer>,
    },
    Feature {
        room: SessionId,
        audio: Option<TrackId>,
        video: Option<TrackId>,
        reply: Reply<()>,
    },
    RestartIce {
        room: SessionId,
        peer: ConnectionId,
        side: TransportSide,
        remote_ufrag: String,
        remote_pwd: String,
        reply: Reply<(String, String)>,
    },
    Tap {
        room: SessionId,
        track: TrackId,
        sink: TapSink,
        reply: Reply<()>,
    },
    Untap {
        room: SessionId,
        track: TrackId,
        sink: TapSink,
        reply: Reply<()>,
    },
    Stats {
        reply: Reply<SfuStats>,
    },
    Shutdown {
        reply: Reply<()>,
    },
}
