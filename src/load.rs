//! A WebRTC client for load tests and other tests. It shares no media code with the server, so that
//! each checks the other: it has its own ICE, DTLS and SRTP setup, session descriptions and
//! interpretation of the contract.

pub mod client;
pub mod driver;
pub mod metrics;
pub mod reconnect;
pub mod report;
pub mod scenario;
pub mod signalling;
pub mod speech_report;

/// Why the client stopped.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A session description can't be used.
    #[error("session description: {0}")]
    Description(&'static str),
    /// A certificate or key can't be made or used.
    #[error("cryptography: {0}")]
    Cryptography(String),
    /// Something other than an address was given.
    #[error("{0}")]
    Address(String),
    /// Nothing answers at the given address.
    #[error("the server can't be reached: {0}")]
    Unreachable(String),
    /// The server refused a request.
    #[error("refused: {code} {message}")]
    Refused {
        /// Stable error code of the contract.
        code: String,
        /// Message for people.
        message: String,
    },
    /// The server closed the channel.
    #[error("the channel was closed with {code}")]
    Closed {
        /// Code of the close frame; 0 without one.
        code: u16,
    },
    /// Recorded speech can't be used.
    #[error("recorded speech: {0}")]
    Recording(String),
    /// The server does not do what is to be measured.
    #[error("the server is not set up for this: {0}")]
    Unsuitable(&'static str),
    /// The server did something that the contract does not allow.
    #[error("against the contract: {0}")]
    Contract(&'static str),
    /// The user has stopped the test.
    #[error("interrupted")]
    Interrupted,
    /// A socket or thread failed.
    #[error(transparent)]
    System(#[from] std::io::Error),
}
