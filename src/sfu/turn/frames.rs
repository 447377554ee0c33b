//! The framing of TURN in a stream (RFC 8656 §3.7, §12.5): STUN messages state their length, and
//! channel data is padded to a multiple of four bytes.

/// Longest message that is taken: a datagram of an Ethernet with the attributes around it.
const MESSAGE_BYTES_MAX: usize = 2_048;
const STUN_HEADER_BYTES: usize = 20;
const CHANNEL_HEADER_BYTES: usize = 4;

/// The stream is not TURN, so the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream is not TURN")]
pub(in crate::sfu) struct NotTurn;

/// Takes messages of TURN out of a stream.
#[derive(Debug, Default)]
pub(in crate::sfu) struct TurnFrames {
    partial: Vec<u8>,
}

impl TurnFrames {
    /// Takes the next bytes of the stream and gives each message that is complete to `take`, without
    /// its padding.
    ///
    /// Fails where the stream is not TURN; the messages before were given.
    pub(in crate::sfu) fn handle_bytes(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), NotTurn> {
        while !bytes.is_empty() {
            // Both kinds have their length in the first four bytes, so at most these are taken before.
            let wanted = match extent_of(&self.partial)? {
                Some((_, padded)) => padded,
                None => CHANNEL_HEADER_BYTES,
            };
            let missing = wanted - self.partial.len();
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(part);
            bytes = rest;
            if let Some((length, padded)) = extent_of(&self.partial)?
                && self.partial.len() == padded
            {
                take(&self.partial[..length]);
                self.partial.clear();
            }
        }
        Ok(())
    }

    /// Whether more of a message must come.
    pub(in crate::sfu) const fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }
}

/// The bytes of the message and those with its padding, once they are known.
fn extent_of(partial: &[u8]) -> Result<Option<(usize, usize)>, NotTurn> {
    let Some([first, _, high, low]) = partial.first_chunk::<CHANNEL_HEADER_BYTES>() else {
        return Ok(None);
    };
    let stated = usize::from(u16::from_be_bytes([*high, *low]));
    let length = match first {
        0..=63 if stated.is_multiple_of(4) => STUN_HEADER_BYTES + stated,
        64..=79 => CHANNEL_HEADER_BYTES + stated,
        _ => return Err(NotTurn),
    };
    if length > MESSAGE_BYTES_MAX {
        return Err(NotTurn);
    }
    Ok(Some((length, length.next_multiple_of(4))))
}

/// Appends a message as it stands in a stream.
pub(in crate::sfu) fn append(message: &[u8], stream: &mut Vec<u8>) {
    stream.extend_from_slice(message);
    let padding = message.len().next_multiple_of(4) - message.len();
    stream.extend_from_slice(&[0; 3][..padding]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: bool, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("short").to_be_bytes();
        if kind {
            [&[0x40, 1], &length[..], body].concat()
        } else {
            let body = &body[..body.len() / 4 * 4];
            let length = u16::try_from(body.len()).expect("short").to_be_bytes();
            [&[0, 1], &length[..], &[0x21, 0x12, 0xa4, 0x42], &[7; 12], body].concat()
        }
    }

    #[test]
    fn what_is_not_turn_ends_the_stream() {
        for start in [
            &[0x50, 0, 0, 4][..],
            &[0x80, 0, 0, 4],
            &[0, 1, 0, 3],
            &[0, 1, 0x7f, 0xfc],
            &[0x40, 0, 0xff, 0xff],
            b"GET / HTTP/1.1",
        ] {
            let mut frames = TurnFrames::default();
            assert_eq!(frames.handle_bytes(start, |_| ()), Err(NotTurn), "{start:?}");
        }
    }

    proptest! {
        #[test]
        fn messages_come_out_however_the_stream_is_cut(
            messages in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..20),
            cuts in prop::collection::vec(1_usize..40, 1..60),
        ) {
            let sent: Vec<_> = messages.iter().map(|(kind, body)| message(*kind, body)).collect();
            let mut stream = Vec::new();
            for message in &sent {
                append(message, &mut stream);
            }
            let (mut frames, mut taken, mut cuts) = (TurnFrames::default(), Vec::new(), cuts.iter().cycle());
            let mut rest = stream.as_slice();
            while !rest.is_empty() {
                let (part, later) = rest.split_at(cuts.next().map_or(1, |it| *it).min(rest.len()));
                prop_assert!(frames.handle_bytes(part, |it| taken.push(it.to_vec())).is_ok());
                rest = later;
            }
            prop_assert!(!frames.is_partial());
            prop_assert_eq!(taken, sent);
        }
    }
}
