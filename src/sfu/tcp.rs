//! Media over TCP, for peers whose network carries no UDP: ICE with passive TCP candidates (RFC
//! 6544) and datagrams framed as RFC 4571 says. A connection is one more path of a transport: what
//! arrives is given to the control half and to the workers as if it were datagrams, and what they
//! send to its address is written to it. So only this module knows that it is TCP. Clients of TURN
//! come by the same port, and by TLS at a port of their own; what they send through their
//! allocations is unwrapped here.
//!
//! A connection has an address of its own (`address_of`), made of the peer's address and the
//! number of the connection, so that it is never confused with UDP from the same address and port.

mod connections;
mod frames;
mod listener;
mod streams;

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

pub(super) use connections::{TcpConnections, TcpStats};
pub(super) use listener::{Door, Inbound, Listener, bind};
pub use streams::{FramingInvalid, StreamReader};

/// Marks addresses of connections. Addresses of UDP have 0 here, since the sockets do not ask for
/// flow labels.
const MARK: u32 = 0x000C_AB1D;

/// The address under which the connection with this number is known.
fn address_of(peer: SocketAddr, connection: u32) -> SocketAddr {
    let ip = match peer.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    SocketAddrV6::new(ip, peer.port(), MARK, connection).into()
}

/// Whether an address is one of a connection.
pub(super) fn is_by_tcp(address: SocketAddr) -> bool {
    connection_of(address).is_some()
}

/// The number of the connection that has this address; `None` for an address of UDP.
fn connection_of(address: SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V6(v6) if v6.flowinfo() == MARK => Some(v6.scope_id()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_connection_is_never_one_of_udp() {
        for text in ["192.0.2.7:4000", "[2001:db8::7]:4000", "[::ffff:192.0.2.7]:4000"] {
            let peer: SocketAddr = text.parse().expect("an address");
            assert_eq!(connection_of(peer), None);
            let (one, other) = (address_of(peer, 1), address_of(peer, 2));
            assert_eq!((connection_of(one), connection_of(other)), (Some(1), Some(2)));
            assert_ne!(one, other);
            assert_ne!(one, peer);
            assert_eq!(one.ip().to_canonical(), peer.ip().to_canonical());
            assert_eq!(one.port(), peer.port());
        }
    }
}
