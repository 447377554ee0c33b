//! The route of the moderation channel, its options and its limits.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::domain::id::{SessionId, TenantId, UserId};
use crate::domain::network::ClientNetwork;
use crate::moderation::connection::Connection;
use crate::moderation::places::{PlaceLimits, Places};
use crate::moderation::wire::IceServer;
use crate::room::{MemberHandle, Rooms};
use crate::sfu::turn::{RelayServer, TurnAccess};

/// The name of the channel and its version, as a WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "cabildo.v1";

/// How many times the size of the longest message is read before the connection is closed without
/// waiting for the rest. Raising it lets each connection use more memory.
const READ_BEYOND_LIMIT: usize = 4;
/// Bytes that are read of a socket at once. All frames in them are taken before any other task has
/// its turn, so raising it lets a flood of empty frames delay others.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// Limits of one connection. `docs/MODERATION.md` describes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelLimits {
    /// Time for authentication. A connection that takes longer is closed.
    pub handshake: Duration,
    /// Longest message accepted, in bytes. Must be enough for a session description.
    pub message_bytes_max: usize,
    /// Messages per second in the long run; further ones are refused one by one.
    pub messages_per_s: u32,
    /// Messages at once in addition to that rate.
    pub messages_burst: u32,
    /// How many more messages may be refused than let through before the connection is closed.
    pub refusals_max: u32,
    /// Messages that may wait for a slow reader before its connection is closed.
    pub queue_max: usize,
    /// Time that writing one message may take.
    pub write: Duration,
    /// Time without a message after which the server sends a ping.
    pub ping_after: Duration,
    /// Time without a message after which the connection is closed.
    pub silence_max: Duration,
    /// How long before its token expires a client is told.
    pub expiry_notice: Duration,
    /// Connections in total that may be in their handshake at once. At the limit the oldest one
    /// that has sent nothing is closed. Raising it costs one socket per connection.
    pub handshakes_max: usize,
    /// Connections of one network that may be in their handshake at once; all people of a hall
    /// behind one address may reconnect together.
    pub handshakes_per_network_max: usize,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            message_bytes_max: 96 * 1024,
            messages_per_s: 30,
            messages_burst: 120,
            refusals_max: 200,
            queue_max: 512,
            write: Duration::from_secs(10),
            ping_after: Duration::from_secs(15),
            silence_max: Duration::from_secs(45),
            expiry_notice: Duration::from_mins(1),
            handshakes_max: 1_024,
            handshakes_per_network_max: 256,
        }
    }
}

/// The other parts that the channel uses.
pub struct ChannelOptions {
    /// The rooms.
    pub rooms: Rooms,
    /// Verifies tokens and proofs.
    pub authenticator: Arc<Authenticator>,
    /// The clock of meetings.
    pub clock: Clock,
    /// The clock of the machine, by which tokens are judged.
    pub wall: Clock,
    /// The http and https URLs of the channel that proofs may name, without a query (RFC 9449 §4.2,
    /// `htu`).
    pub urls: Vec<String>,
    /// What makes credentials of TURN for the transports of clients, if TURN is served.
    pub turn: Option<TurnAccess>,
    /// Limits of each connection.
    pub limits: ChannelLimits,
}

pub(super) struct Channel {
    pub(super) options: ChannelOptions,
    pub(super) places: Places,
}

impl Channel {
    /// The servers for the transports of a member, with new credentials.
    pub(super) fn ice_servers(
        &self,
        member: &MemberHandle,
        tenant: TenantId,
        user: &UserId,
    ) -> Vec<IceServer> {
        let turn = self.options.turn.iter().filter(|_| member.has_media());
        turn.map(|turn| {
            let RelayServer { urls, username, credential } =
                turn.issue(member.session, member.connection, tenant, user);
            let credential = Some(credential.expose().clone());
            IceServer { urls, username: Some(username), credential }
        })
        .collect()
    }
}

#[derive(Deserialize)]
struct ChannelQuery {
    session_id: Option<String>,
}

/// The route `GET /moderation`.
pub fn routes(options: ChannelOptions) -> Router {
    let ChannelLimits { handshakes_max, handshakes_per_network_max, .. } = options.limits;
    let (per_network, total) = (handshakes_per_network_max, handshakes_max);
    let places = Places::new(PlaceLimits { per_network, total });
    let channel = Arc::new(Channel { options, places });
    Router::new().route("/moderation", get(upgrade)).with_state(channel)
}

/// The answer must not reveal whether the session exists before the caller is authenticated, so
/// every well-formed upgrade is accepted.
async fn upgrade(
    upgrade: WebSocketUpgrade,
    Query(query): Query<ChannelQuery>,
    State(channel): State<Arc<Channel>>,
    network: Option<Extension<ClientNetwork>>,
) -> Response {
    let session = query.session_id.and_then(|text| text.parse::<SessionId>().ok());
    // Without a socket, as in a test of the router, all callers count as one network.
    let nowhere = || ClientNetwork::of(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let network = network.map_or_else(nowhere, |Extension(network)| network);
    // A message somewhat above the limit is still read, so that its sender can be told: if a socket
    // is closed with unread bytes it is reset, and the reason is lost.
    let bytes_max = channel.options.limits.message_bytes_max * READ_BEYOND_LIMIT;
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(bytes_max)
        .max_frame_size(bytes_max)
        .on_upgrade(move |socket| async move {
            Box::pin(Connection::new(channel, socket, network).serve(session)).await;
        })
}
