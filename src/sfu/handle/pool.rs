//! The worker threads, as the control thread uses them.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio_util::sync::DropGuard;

use crate::domain::id::TrackId;
use crate::sfu::handle::driver::{Applied, Gone, Workers};
use crate::sfu::plane::{Command, Gate};
use crate::sfu::tcp::TcpConnections;
use crate::sfu::turn::{RelayTable, is_relayed};
use crate::sfu::worker::{ReplySocket, WorkerHandle};

pub(super) struct Pool {
    handles: Vec<WorkerHandle>,
    sockets: Vec<ReplySocket>,
    tcp: Arc<TcpConnections>,
    relay: Arc<RelayTable>,
    /// Ends the listener of TCP, if there is one.
    _listener: Option<DropGuard>,
}

impl Pool {
    pub(super) fn new(
        handles: Vec<WorkerHandle>,
        tcp: Arc<TcpConnections>,
        relay: Arc<RelayTable>,
        listener: Option<DropGuard>,
    ) -> Self {
        let sockets = handles.iter().map(WorkerHandle::reply_socket).collect();
        Self { handles, sockets, tcp, relay, _listener: listener }
    }
}

impl Workers for Pool {
    fn count(&self) -> usize {
        self.handles.len()
    }

    fn send(&self, worker: usize, command: Command) -> Result<(), Gone> {
        self.handles.get(worker).ok_or(Gone)?.send(command).map_err(|_| Gone)
    }

    fn set_gate(&self, worker: usize, track: TrackId, gate: Gate) -> Applied {
        let Some(handle) = self.handles.get(worker).cloned() else {
            return Box::pin(std::future::ready(Err(Gone)));
        };
        Box::pin(async move { handle.set_gate_and_wait(track, gate).await.map_err(|_| Gone) })
    }

    fn transmit(&self, worker: usize, to: SocketAddr, bytes: &[u8]) {
        if is_relayed(to) {
            if let Some(wrapped) = self.relay.wrap(to, bytes, bytes.len()) {
                self.transmit(worker, wrapped.to, &wrapped.contents);
            }
            return;
        }
        if self.tcp.send(to, bytes, bytes.len()) {
            return;
        }
        if let Some(socket) = self.sockets.get(worker) {
            // When the socket buffer is full the datagram is lost, as the network might lose it.
            socket.send_to(bytes, to).ok();
        }
    }

    fn hand_over(&self, worker: usize, from: SocketAddr, bytes: Vec<u8>) {
        if let Some(handle) = self.handles.get(worker) {
            // A worker that has ended is noticed at the next command to it.
            handle.hand_over(from, bytes).ok();
        }
    }

    fn close(&self, client: SocketAddr) {
        self.tcp.close(client);
    }

    fn shutdown(self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            for handle in &self.handles {
                // An error means that the worker has ended already.
                handle.shutdown().ok();
            }
            for handle in &self.handles {
                handle.ended().await;
            }
        })
    }
}
