//! A WebRTC client for load and for tests. It shares no media code with the
//! server, so that each checks the other: its own ICE, its own use of DTLS and
//! SRTP, its own session descriptions, its own reading of the contract.

pub mod client;
pub mod driver;
pub mod metrics;
pub mod report;
pub mod scenario;
pub mod signalling;

/// Why the client can't go on.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A session description that can't be used.
    #[error("session description: {0}")]
    Description(&'static str),
    /// Certificates, keys or their use.
    #[error("cryptography: {0}")]
    Cryptography(String),
    /// Nobody answers at the address given.
    #[error("the server can't be reached: {0}")]
    Unreachable(String),
    /// The server refused.
    #[error("refused: {code} {message}")]
    Refused {
        /// As the contract lists them.
        code: String,
        /// For people.
        message: String,
    },
    /// The server closed the channel.
    #[error("the channel was closed with {code}")]
    Closed {
        /// Of the close frame, 0 without one.
        code: u16,
    },
    /// The server does not do what the contract says.
    #[error("against the contract: {0}")]
    Contract(&'static str),
    /// Whoever started the test has stopped it.
    #[error("interrupted")]
    Interrupted,
    /// Sockets or threads.
    #[error(transparent)]
    System(#[from] std::io::Error),
}
