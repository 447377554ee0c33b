//! RTP packets as bytes (RFC 3550 §5.1, RFC 8285). Every length is checked against
//! the packet; malformed input gives `None`.

/// Bytes of the fixed part of a header.
pub const FIXED_HEADER_BYTES: usize = 12;
/// Profile of the one-byte form of header extensions (RFC 8285 §4.2).
pub const ONE_BYTE_PROFILE: u16 = 0xBEDE;
/// Profile of the two-byte form of header extensions (RFC 8285 §4.3).
pub const TWO_BYTE_PROFILE: u16 = 0x1000;

/// The kind of a datagram, by its first bytes (RFC 7983 §7, RFC 5761 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramKind {
    /// STUN or DTLS, not media.
    Handshake,
    /// A packet in a message of TURN: channel data or a Send indication (RFC 8656 §§11, 12).
    Relay,
    /// SRTP.
    Rtp,
    /// SRTCP.
    Rtcp,
    /// A protocol that this server does not speak.
    Other,
}

/// Determines the kind of a datagram.
#[must_use]
pub fn classify(datagram: &[u8]) -> DatagramKind {
    match (datagram.first(), datagram.get(1)) {
        (Some(0), Some(0x16)) | (Some(64..=79), _) => DatagramKind::Relay,
        (Some(0..=3 | 20..=63), _) => DatagramKind::Handshake,
        (Some(128..=191), Some(192..=223)) => DatagramKind::Rtcp,
        (Some(128..=191), Some(_)) => DatagramKind::Rtp,
        _ => DatagramKind::Other,
    }
}

/// The header of an RTP packet, with lengths that were checked against the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// Whether the payload ends in padding.
    pub padding: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in ticks of the codec's clock.
    pub timestamp: u32,
    /// Synchronisation source (SSRC).
    pub ssrc: u32,
    /// Profile of the extension block, when there is one.
    pub extension_profile: Option<u16>,
    /// Offset at which the elements of the extension block begin.
    extension_start: usize,
    /// Bytes of the whole header, with contributing sources and extensions.
    pub length: usize,
}

impl Header {
    /// Parses the header of `packet`; `None` when it is not RTP version 2 or shorter than its
    /// fields say.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; FIXED_HEADER_BYTES] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut length = FIXED_HEADER_BYTES + 4 * usize::from(fixed[0] & 0x0F);
        let mut extension_profile = None;
        let mut extension_start = length;
        if fixed[0] & 0x10 != 0 {
            let word: &[u8; 4] = packet.get(length..)?.first_chunk()?;
            extension_profile = Some(u16::from_be_bytes([word[0], word[1]]));
            extension_start = length + 4;
            length = extension_start + 4 * usize::from(u16::from_be_bytes([word[2], word[3]]));
        }
        (length <= packet.len()).then_some(Self {
            marker: fixed[1] & 0x80 != 0,
            padding: fixed[0] & 0x20 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            extension_profile,
            extension_start,
            length,
        })
    }

    /// The extension elements of `packet`, which must be the packet that was parsed.
    #[must_use]
    pub fn extensions<'packet>(&self, packet: &'packet [u8]) -> Extensions<'packet> {
        let two_byte = match self.extension_profile {
            Some(ONE_BYTE_PROFILE) => false,
            Some(profile) if profile & 0xFFF0 == TWO_BYTE_PROFILE => true,
            _ => return Extensions { rest: &[], two_byte: false },
        };
        let rest = packet.get(self.extension_start..self.length).unwrap_or_default();
        Extensions { rest, two_byte }
    }

    /// The payload of the decrypted `packet` without its padding; `None` when
    /// the padding is longer than the payload (RFC 3550 §5.1).
    #[must_use]
    pub fn payload<'packet>(&self, packet: &'packet [u8]) -> Option<&'packet [u8]> {
        let payload = packet.get(self.length..)?;
        if !self.padding {
            return Some(payload);
        }
        let padding = usize::from(*payload.last()?);
        if padding == 0 {
            return None;
        }
        payload.len().checked_sub(padding).map(|end| &payload[..end])
    }
}

/// A decrypted packet: its header and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'packet> {
    /// Its header.
    pub header: Header,
    /// The payload without padding; may be empty.
    pub payload: &'packet [u8],
}

impl<'packet> Packet<'packet> {
    /// Parses a packet; `None` when the header or the padding is longer than the packet.
    #[must_use]
    pub fn parse(packet: &'packet [u8]) -> Option<Self> {
        let header = Header::parse(packet)?;
        Some(Self { header, payload: header.payload(packet)? })
    }
}

/// The elements of a header extension block, in either form of RFC 8285. Iteration ends at the
/// first element that does not fit.
#[derive(Debug, Clone)]
pub struct Extensions<'packet> {
    rest: &'packet [u8],
    two_byte: bool,
}

impl<'packet> Iterator for Extensions<'packet> {
    type Item = (u8, &'packet [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&first, after) = self.rest.split_first()?;
            if first == 0 {
                self.rest = after;
                continue;
            }
            let (id, length, body) = if self.two_byte {
                let (&length, body) = after.split_first()?;
                (first, usize::from(length), body)
            } else {
                // Identifier 15 ends the one-byte form (RFC 8285 §4.2).
                if first >> 4 == 15 {
                    self.rest = &[];
                    return None;
                }
                (first >> 4, usize::from(first & 0x0F) + 1, after)
            };
            let Some((value, rest)) = body.split_at_checked(length) else {
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            return Some((id, value));
        }
    }
}

/// Splits the payload of a retransmission (RFC 4588 §4) into the sequence number of the original
/// packet and its payload. `None` for the padding that senders use to probe bandwidth.
#[must_use]
pub fn undo_retransmission(payload: &[u8]) -> Option<(u16, &[u8])> {
    let (sequence, original) = payload.split_first_chunk()?;
    (!original.is_empty()).then(|| (u16::from_be_bytes(*sequence), original))
}

/// Extends a sequence number by its wraps. Correct as long as two successive packets are less than
/// 32,768 apart.
#[must_use]
pub const fn extend_sequence(highest: u64, sequence: u16) -> u64 {
    let [.., high, low] = highest.to_be_bytes();
    let step = sequence.wrapping_sub(u16::from_be_bytes([high, low])).cast_signed();
    highest.saturating_add_signed(step as i64)
}

/// The low 16 bits, as they appear in a header.
#[must_use]
pub const fn wire_sequence(extended: u64) -> u16 {
    let [.., high, low] = extended.to_be_bytes();
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(extension: &[u8], profile: u16) -> Vec<u8> {
        let mut bytes = vec![0x90, 0xE0, 0x12, 0x34, 0, 0, 0, 9, 0xAA, 0xBB, 0xCC, 0xDD];
        bytes.extend_from_slice(&profile.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(extension.len() / 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(extension);
        bytes.extend_from_slice(&[1, 2, 3]);
        bytes
    }

    #[test]
    fn a_header_is_read_with_its_extensions_in_both_forms() {
        let one = packet(&[0x10, b'a', 0x00, 0x31, 7, 8, 0, 0], ONE_BYTE_PROFILE);
        let header = Header::parse(&one).expect("well formed");
        assert!(header.marker);
        assert_eq!((header.payload_type, header.sequence, header.ssrc), (96, 0x1234, 0xAABB_CCDD));
        let seen: Vec<_> = header.extensions(&one).collect();
        assert_eq!(seen, [(1, &b"a"[..]), (3, &[7, 8][..])]);
        assert_eq!(header.payload(&one), Some(&[1, 2, 3][..]));

        let two = packet(&[20, 0, 0, 21, 3, 1, 2, 3], TWO_BYTE_PROFILE);
        let header = Header::parse(&two).expect("well formed");
        let seen: Vec<_> = header.extensions(&two).collect();
        assert_eq!(seen, [(20, &[][..]), (21, &[1, 2, 3][..])]);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let mut lying = packet(&[0x1F, 1, 2, 3], ONE_BYTE_PROFILE);
        let header = Header::parse(&lying).expect("the block itself fits");
        assert_eq!(
            header.extensions(&lying).count(),
            0,
            "an element longer than its block was accepted"
        );
        lying[15] = 200;
        assert_eq!(Header::parse(&lying), None);
        lying[0] = 0x8F;
        assert_eq!(Header::parse(&lying), None, "fifteen sources do not fit");
    }

    #[test]
    fn padding_is_taken_off_and_never_reaches_the_header() {
        let mut padded = packet(&[], ONE_BYTE_PROFILE);
        padded[0] |= 0x20;
        let header = Header::parse(&padded).expect("well formed");
        assert_eq!(header.payload(&padded), Some(&[][..]));
        *padded.last_mut().unwrap() = 4;
        assert_eq!(header.payload(&padded), None);
        *padded.last_mut().unwrap() = 0;
        assert_eq!(header.payload(&padded), None);
    }

    #[test]
    fn extensions_and_padding_are_no_payload() {
        let mut packet = vec![0xB1, 0xE0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5];
        packet.extend([0; 4]);
        packet.extend([0xBE, 0xDE, 0, 1, 1, 2, 3, 4]);
        packet.extend([42, 43, 0, 0, 3]);
        let read = Packet::parse(&packet).expect("valid");
        assert_eq!(read.payload, [42, 43]);
        for cut in 0..packet.len() - 3 {
            assert!(Packet::parse(&packet[..cut]).is_none_or(|p| p.payload.len() < 3), "{cut}");
        }
        let only_padding = [0xA0, 96, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 3];
        assert_eq!(Packet::parse(&only_padding).expect("valid").payload, b"");
    }

    #[test]
    fn datagrams_are_told_apart() {
        assert_eq!(classify(&[0, 1]), DatagramKind::Handshake);
        assert_eq!(classify(&[22, 254]), DatagramKind::Handshake);
        assert_eq!(classify(&[0x80, 200]), DatagramKind::Rtcp);
        assert_eq!(classify(&[0x80, 111]), DatagramKind::Rtp);
        assert_eq!(classify(&[0x80]), DatagramKind::Other);
        assert_eq!(classify(&[255, 1]), DatagramKind::Other);
        assert_eq!(classify(&[]), DatagramKind::Other);
    }

    #[test]
    fn sequence_numbers_extend_over_their_wrap_in_both_directions() {
        assert_eq!(extend_sequence(0x1_FFFF, 0), 0x2_0000);
        assert_eq!(extend_sequence(0x2_0000, 0xFFFF), 0x1_FFFF);
        assert_eq!(wire_sequence(0x2_0001), 1);
    }

    #[test]
    fn a_retransmission_gives_back_what_it_repairs() {
        assert_eq!(undo_retransmission(&[1, 2, 9]), Some((0x0102, &[9][..])));
        assert_eq!(undo_retransmission(&[1, 2]), None);
        assert_eq!(undo_retransmission(&[1]), None);
    }

    proptest! {
        #[test]
        fn nothing_a_stranger_sends_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            std::hint::black_box(classify(&bytes));
            if let Some(header) = Header::parse(&bytes) {
                prop_assert!(header.length <= bytes.len());
                prop_assert!(header.extensions(&bytes).count() <= bytes.len());
                prop_assert!(header.payload(&bytes).is_none_or(|it| it.len() <= bytes.len()));
            }
        }
    }
}
