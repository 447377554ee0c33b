//! A WebRTC client for load and for tests. It shares no media code with the
//! server, so that each checks the other: its own ICE, its own use of DTLS and
//! SRTP, its own session descriptions, its own reading of the contract.

pub mod client;

/// Why the client can't go on.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A session description that can't be used.
    #[error("session description: {0}")]
    Description(&'static str),
    /// Certificates, keys or their use.
    #[error("cryptography: {0}")]
    Cryptography(String),
}
