//! An address at which nobody listens.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port of this host that refuses every connection. No other process gets it while the socket
/// lives, which is bound to it and doesn't listen.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("binds");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}
