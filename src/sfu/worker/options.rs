//! How workers are started.

use std::net::SocketAddr;

/// How workers are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerOptions {
    /// Where all of them listen.
    pub bind: SocketAddr,
    /// How many; one a core.
    pub count: usize,
    /// Bytes that the kernel keeps for each socket, each way; it may give
    /// less. Too little loses bursts of key frames.
    pub socket_buffer_bytes: usize,
}
