//! Opens one of several sockets on the same port, and sends by them.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

/// Largest datagram that every path over IPv6 takes, in bytes: its smallest MTU without headers
/// (RFC 8200 §5). Longer ones may have to be fragmented, which the kernel does with single datagrams only.
const UNFRAGMENTED_BYTES_MAX: usize = 1_280 - 40 - 8;

/// A non-blocking socket that shares its port with other sockets of this process.
pub(super) fn bind(address: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // The kernel may allow less than requested; that is slower but works.
    socket.set_recv_buffer_size(buffer_bytes).ok();
    socket.set_send_buffer_size(buffer_bytes).ok();
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The state for sending runs of datagrams and reading several at once. Datagrams may be fragmented:
/// what a hall's encoder has put in packets can't be made smaller here, and many paths take less than
/// 1,500 bytes (mobile networks, tunnels of all kinds).
pub(super) fn udp_state(socket: &UdpSocket) -> io::Result<UdpSocketState> {
    // It forbids fragments, as QUIC needs.
    let state = UdpSocketState::new(UdpSockRef::from(socket))?;
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};

        // Routers fragment, whether their answers arrive here or not.
        rustix::net::sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT)?;
        if socket.local_addr()?.is_ipv6() {
            // Over IPv6 only senders fragment, by what routers answer.
            rustix::net::sockopt::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?;
            setsockopt(socket, sockopt::Ipv6DontFrag, &false)?;
        }
    }
    Ok(state)
}

/// Sends datagrams of one receiver, by one system call where that is possible.
pub(super) fn send(
    (state, socket): (&UdpSocketState, &UdpSocket),
    run: &Transmit<'_>,
) -> io::Result<()> {
    let single = |datagram| {
        let one = Transmit { contents: datagram, segment_size: None, ..*run };
        state.try_send(UdpSockRef::from(socket), &one)
    };
    let Some(segment_bytes) = run.segment_size else { return single(run.contents) };
    let may_be_fragmented = run.destination.is_ipv6() && segment_bytes > UNFRAGMENTED_BYTES_MAX;
    if !may_be_fragmented {
        match state.try_send(UdpSockRef::from(socket), run) {
            // Longer than the interface takes in one call, or the interface can't do it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            sent => return sent,
        }
    }
    run.contents.chunks(segment_bytes).try_for_each(single)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn datagrams_may_be_fragmented_on_their_way() {
        use nix::sys::socket::{getsockopt, sockopt};
        use rustix::net::sockopt::{
            Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu_discover, ipv6_mtu_discover,
        };

        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let address: SocketAddr = address.parse().expect("an address");
            let socket = bind(address, 1 << 16).expect("a socket");
            let _state = udp_state(&socket).expect("a state");
            assert_eq!(ip_mtu_discover(&socket).expect("set"), Ipv4PathMtuDiscovery::DONT);
            if address.is_ipv6() {
                assert_eq!(ipv6_mtu_discover(&socket).expect("set"), Ipv6PathMtuDiscovery::WANT);
                assert!(!getsockopt(&socket, sockopt::Ipv6DontFrag).expect("set"));
            }
        }
    }

    #[test]
    fn a_run_arrives_whole_however_long_its_datagrams_are() {
        let here = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        let receiver = UdpSocket::bind(here).expect("a socket");
        let sender = bind(here, 1 << 20).expect("a socket");
        let state = udp_state(&sender).expect("a state");
        for segment_bytes in [200, UNFRAGMENTED_BYTES_MAX, 1_400] {
            let contents: Vec<u8> =
                (0..segment_bytes * 2 + 100).map(|at| at.to_le_bytes()[0]).collect();
            let run = Transmit {
                destination: receiver.local_addr().expect("bound"),
                ecn: None,
                contents: &contents,
                segment_size: Some(segment_bytes),
                src_ip: None,
            };
            send((&state, &sender), &run).expect("sent");
            let mut arrived = Vec::new();
            let mut buffer = [0; 2_000];
            for _ in 0..3 {
                let length = receiver.recv(&mut buffer).expect("a datagram");
                arrived.extend_from_slice(&buffer[..length]);
            }
            assert_eq!(arrived, contents, "{segment_bytes}");
        }
    }
}
