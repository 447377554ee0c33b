//! Media formats as bytes: RTP headers, payload formats of the codecs, and the container files that
//! frames are written to. No I/O; used by every module that handles media. Input comes from
//! untrusted clients: every length is checked and nothing panics. Cryptography and RTCP are in
//! [`sfu`](crate::sfu).

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod bits;
pub mod codec;
mod ebml;
pub mod index;
pub mod mp4;
pub mod order;
mod reorder;
pub mod rtp;
pub mod sample;
pub mod webm;

/// Why a file can't be written, or its index can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// The file has no frame.
    #[error("the file has no frame")]
    Empty,
    /// A fragment, or a reference to one, is larger than the fields of its box allow.
    #[error("a fragment is too large for the container")]
    TooLarge,
    /// The H.264 stream never contained parameter sets.
    #[error("the H.264 stream has no parameter sets")]
    NoParameterSets,
    /// The file's header has no index in the form that this module writes.
    #[error("the file has no readable index")]
    NoIndex,
    /// A box can't be encoded.
    #[error("MP4: {0}")]
    Mp4(String),
}

impl From<mp4_atom::Error> for ContainerError {
    fn from(error: mp4_atom::Error) -> Self {
        Self::Mp4(error.to_string())
    }
}
