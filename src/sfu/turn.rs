#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! TURN (RFC 8656) for people whose network carries media only to a server that they name: over
//! UDP and TCP at the media port, and over TLS at an address of its own. The only peer that
//! anybody is relayed to is this media plane, so an allocation has no socket: what a client sends
//! through it enters the control half and the workers from an address that stands for the
//! allocation (`address_of`), and what they send to that address goes to the client. Nothing can
//! be sent to any other host, port or service by it.
//!
//! `server` is the engine that answers requests; `table` is what the threads that carry packets
//! look up. `docs/adr/0009-turn-inside-the-media-plane.md` gives the reasons.

mod access;
mod frames;
mod message;
mod nonce;
mod options;
mod server;
mod table;

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

pub use access::AccessKey;
pub(super) use frames::{TurnFrames, append};
pub(super) use message::is_request;
pub use options::{RelayServer, TlsSource, TurnAccess, TurnOptions, TurnTls};
pub use server::{Handled, Quotas, ServerOptions, TurnServer, TurnStats};
pub use table::{RelayTable, Routed};

/// Marks addresses of allocations. Addresses of UDP have 0 here, since the sockets do not ask for
/// flow labels, and connections of TCP have another mark.
const MARK: u32 = 0x000C_AB1E;

/// Announced addresses that can be reached through an allocation; further ones are refused as peers.
const PEERS_MAX: usize = 16;
/// Bits of the number of a peer in an address.
const PEER_BITS: u32 = 4;
/// Highest number of an allocation.
const NUMBER_MAX: u32 = u32::MAX >> PEER_BITS;

/// The address by which the media plane knows a client behind an allocation: the client's own IP
/// address, so that rate limits count its network, the relayed port, and in the scope the number of
/// the allocation and of the announced address that the client sends to.
fn address_of(client: IpAddr, port: u16, number: u32, peer: usize) -> SocketAddr {
    let ip = match client {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let peer = u32::try_from(peer).unwrap_or(0);
    SocketAddrV6::new(ip, port, MARK, number << PEER_BITS | peer).into()
}

/// The number of the allocation and of the peer; `None` for an address without an allocation.
fn allocation_of(address: SocketAddr) -> Option<(u32, usize)> {
    match address {
        SocketAddr::V6(v6) if v6.flowinfo() == MARK => {
            let scope = v6.scope_id();
            let peer = usize::try_from(scope & ((1 << PEER_BITS) - 1)).unwrap_or(0);
            Some((scope >> PEER_BITS, peer))
        }
        _ => None,
    }
}

/// Whether an address stands for an allocation.
pub(super) fn is_relayed(address: SocketAddr) -> bool {
    allocation_of(address).is_some()
}

/// The address that a client is told it was seen at (XOR-MAPPED-ADDRESS): for one behind an
/// allocation the relayed address, for any other the one that it came from.
pub(super) fn seen_at(from: SocketAddr, candidates: &[SocketAddr]) -> SocketAddr {
    let relayed = allocation_of(from)
        .and_then(|(_, peer)| candidates.get(peer))
        .and_then(|peer| relayed_ip(candidates, peer.is_ipv4()));
    SocketAddr::new(relayed.unwrap_or_else(|| from.ip().to_canonical()), from.port())
}

/// The IP address of relayed addresses of one family: that of the first announced address of it.
fn relayed_ip(candidates: &[SocketAddr], v4: bool) -> Option<IpAddr> {
    let peers = candidates.iter().take(PEERS_MAX);
    peers.map(|it| it.ip().to_canonical()).find(|ip| ip.is_ipv4() == v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_an_allocation_is_never_one_of_udp() {
        let candidates: Vec<SocketAddr> = ["203.0.113.7:3478", "[2001:db8::7]:3478"]
            .map(|text| text.parse().expect("an address"))
            .to_vec();
        for text in ["192.0.2.7", "2001:db8::9"] {
            let client: IpAddr = text.parse().expect("an address");
            assert_eq!(allocation_of(SocketAddr::new(client, 50_000)), None);
            for (number, peer) in [(1, 0), (NUMBER_MAX, PEERS_MAX - 1)] {
                let address = address_of(client, 50_000, number, peer);
                assert_eq!(allocation_of(address), Some((number, peer)));
                assert_eq!(address.ip().to_canonical(), client);
            }
            let told = seen_at(address_of(client, 50_000, 3, 1), &candidates);
            assert_eq!(told.to_string(), "[2001:db8::7]:50000");
            let direct = SocketAddr::new(client, 4_000);
            assert_eq!(seen_at(direct, &candidates), direct);
        }
    }
}
