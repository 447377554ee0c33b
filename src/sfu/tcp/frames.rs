//! The framing of datagrams in a stream (RFC 4571 §2): each has its length in two bytes before it.

/// Longest datagram that is taken. Peers send at most what an Ethernet carries; a longer one shows
/// that the stream is not framed, or means harm.
const DATAGRAM_BYTES_MAX: usize = 2_048;
const LENGTH_BYTES: usize = 2;

/// The stream is not framed as it should be, so the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a datagram of {0} bytes, more than are taken")]
pub(super) struct FrameTooLong(usize);

/// Takes datagrams out of a stream.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The beginning of a datagram of which more is to come, with its length before it.
    partial: Vec<u8>,
}

impl Frames {
    /// Takes the next bytes of the stream and gives each datagram that is complete to `take`. Empty
    /// datagrams are left out.
    ///
    /// Fails at a datagram that is too long; those before it were given.
    pub(super) fn handle_bytes(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), FrameTooLong> {
        while !bytes.is_empty() {
            // The length is known once two bytes are there, so at most these are taken before.
            let wanted = match length_of(&self.partial) {
                Some(length) => LENGTH_BYTES + length,
                None => LENGTH_BYTES,
            };
            let missing = wanted - self.partial.len();
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(part);
            bytes = rest;
            let Some(length) = length_of(&self.partial) else { continue };
            if length > DATAGRAM_BYTES_MAX {
                return Err(FrameTooLong(length));
            }
            if self.partial.len() == LENGTH_BYTES + length {
                if length > 0 {
                    take(&self.partial[LENGTH_BYTES..]);
                }
                self.partial.clear();
            }
        }
        Ok(())
    }

    /// Whether more of a datagram must come.
    pub(super) const fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }
}

fn length_of(partial: &[u8]) -> Option<usize> {
    partial.first_chunk::<LENGTH_BYTES>().map(|length| usize::from(u16::from_be_bytes(*length)))
}

/// Appends a datagram with its length before it. One that is too long for its length is left out.
pub(super) fn append(datagram: &[u8], stream: &mut Vec<u8>) {
    let Ok(length) = u16::try_from(datagram.len()) else { return };
    stream.extend_from_slice(&length.to_be_bytes());
    stream.extend_from_slice(datagram);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn too_long_a_datagram_ends_the_stream_after_those_before_it() {
        let mut stream = Vec::new();
        append(b"first", &mut stream);
        append(&[7; DATAGRAM_BYTES_MAX + 1], &mut stream);
        let mut taken = Vec::new();
        let ended = Frames::default().handle_bytes(&stream, |it| taken.push(it.to_vec()));
        assert_eq!(ended, Err(FrameTooLong(DATAGRAM_BYTES_MAX + 1)));
        assert_eq!(taken, [b"first".to_vec()]);
    }

    proptest! {
        #[test]
        fn datagrams_come_out_however_the_stream_is_cut(
            datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
            cuts in prop::collection::vec(1_usize..40, 1..60),
        ) {
            let mut stream = Vec::new();
            for datagram in &datagrams {
                append(datagram, &mut stream);
            }
            let (mut frames, mut taken, mut cuts) = (Frames::default(), Vec::new(), cuts.iter().cycle());
            let mut rest = stream.as_slice();
            while !rest.is_empty() {
                let (part, later) = rest.split_at(cuts.next().map_or(1, |it| *it).min(rest.len()));
                prop_assert!(frames.handle_bytes(part, |it| taken.push(it.to_vec())).is_ok());
                rest = later;
            }
            prop_assert!(!frames.is_partial());
            let sent: Vec<_> = datagrams.into_iter().filter(|it| !it.is_empty()).collect();
            prop_assert_eq!(taken, sent);
        }
    }
}
