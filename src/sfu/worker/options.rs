//! The options with which workers are started.

use std::net::SocketAddr;

use crate::clock::Clock;
use crate::sfu::congestion::Limits;

/// The options with which workers are started.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The address at which all of them listen.
    pub bind: SocketAddr,
    /// Number of workers; one per core.
    pub count: usize,
    /// Bytes that the kernel buffers for each socket, in each direction; it may allow less. Too
    /// little loses bursts of key frames.
    pub socket_buffer_bytes: usize,
    /// What the path to a receiver is first taken to carry, and at least and at most.
    pub bitrate: Limits,
    /// The clock from which what is recorded gets its times.
    pub clock: Clock,
}
