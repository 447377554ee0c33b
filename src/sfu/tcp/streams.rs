//! Which framing a stream has. A client of ICE frames datagrams (RFC 4571), so its first two bytes
//! are the length of a connectivity check, which has 20 bytes at least. A client of TURN sends bare
//! STUN messages, so its first two bytes are the type of a request, which is less than 20. So the
//! first two bytes decide.

use super::frames::{self, Frames};
use crate::sfu::turn::{self, TurnFrames};

/// The shortest datagram that a client of ICE begins with: a STUN header.
const FIRST_DATAGRAM_BYTES_MIN: u16 = 20;

/// How datagrams stand in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each has its length before it.
    Ice,
    /// They are messages of TURN.
    Turn,
}

impl Framing {
    /// Appends a datagram as it stands in a stream.
    pub(super) fn append(self, datagram: &[u8], stream: &mut Vec<u8>) {
        match self {
            Self::Ice => frames::append(datagram, stream),
            Self::Turn => turn::append(datagram, stream),
        }
    }
}

/// The stream is not framed as it should be, so the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream is not framed as it should be")]
pub struct FramingInvalid;

/// Takes datagrams out of a stream, whose first bytes decide how it is framed.
#[derive(Debug, Default)]
pub struct StreamReader(State);

#[derive(Debug)]
enum State {
    /// Fewer than two bytes have come.
    Undecided(Vec<u8>),
    /// A client of ICE.
    Ice(Frames),
    /// A client of TURN.
    Turn(TurnFrames),
}

impl Default for State {
    fn default() -> Self {
        Self::Undecided(Vec::new())
    }
}

impl StreamReader {
    /// Reads a stream of TURN.
    pub(super) fn of_turn() -> Self {
        Self(State::Turn(TurnFrames::default()))
    }

    /// The framing, once it is known.
    pub(super) const fn framing(&self) -> Option<Framing> {
        match self.0 {
            State::Undecided(_) => None,
            State::Ice(_) => Some(Framing::Ice),
            State::Turn(_) => Some(Framing::Turn),
        }
    }

    /// Takes the next bytes of the stream and gives each datagram that is complete to `take`.
    ///
    /// # Errors
    /// [`FramingInvalid`]; the datagrams before were given.
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        take: impl FnMut(&[u8]),
    ) -> Result<(), FramingInvalid> {
        match &mut self.0 {
            State::Undecided(begun) => {
                begun.extend_from_slice(bytes);
                let Some(first) = begun.first_chunk::<2>() else { return Ok(()) };
                let is_ice = u16::from_be_bytes(*first) >= FIRST_DATAGRAM_BYTES_MIN;
                let begun = std::mem::take(begun);
                self.0 = if is_ice {
                    State::Ice(Frames::default())
                } else {
                    State::Turn(TurnFrames::default())
                };
                self.handle_bytes(&begun, take)
            }
            State::Ice(frames) => frames.handle_bytes(bytes, take).map_err(|_| FramingInvalid),
            State::Turn(frames) => frames.handle_bytes(bytes, take).map_err(|_| FramingInvalid),
        }
    }

    /// Whether more of a datagram must come.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        match &self.0 {
            State::Undecided(begun) => !begun.is_empty(),
            State::Ice(frames) => frames.is_partial(),
            State::Turn(frames) => frames.is_partial(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing_of(stream: &[u8]) -> Option<Framing> {
        let mut reader = StreamReader::default();
        for byte in stream {
            reader.handle_bytes(&[*byte], |_| ()).ok();
        }
        reader.framing()
    }

    #[test]
    fn the_first_two_bytes_decide() {
        for kind in [0x0001_u16, 0x0003, 0x0004, 0x0008, 0x0009] {
            assert_eq!(framing_of(&kind.to_be_bytes()), Some(Framing::Turn));
        }
        for length in [20_u16, 100, 548, 2_048] {
            assert_eq!(framing_of(&length.to_be_bytes()), Some(Framing::Ice));
        }
        assert_eq!(framing_of(&[0]), None);
    }
}
