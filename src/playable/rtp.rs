//! The header of an RTP packet (RFC 3550 §5.1), as far as a file needs it.

/// Bytes of the fixed part of a header.
const FIXED_BYTES: usize = 12;

/// A packet's header and where its payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'packet> {
    /// Last of its frame, or first after silence.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// In ticks of the codec's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Without padding; empty when there is nothing else.
    pub payload: &'packet [u8],
}

impl<'packet> Packet<'packet> {
    /// Reads a packet; `None` when it says that it is longer than it is.
    pub(super) fn parse(packet: &'packet [u8]) -> Option<Self> {
        let fixed: &[u8; FIXED_BYTES] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut length = FIXED_BYTES + 4 * usize::from(fixed[0] & 0x0F);
        if fixed[0] & 0x10 != 0 {
            let word: &[u8; 4] = packet.get(length..)?.first_chunk()?;
            length += 4 + 4 * usize::from(u16::from_be_bytes([word[2], word[3]]));
        }
        let mut payload = packet.get(length..)?;
        if fixed[0] & 0x20 != 0 {
            let padding = usize::from(*payload.last()?);
            let end = payload.len().checked_sub(padding).filter(|_| padding > 0)?;
            payload = &payload[..end];
        }
        Some(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_and_padding_are_no_payload() {
        let mut packet = vec![0xB1, 0xE0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5];
        packet.extend([0; 4]);
        packet.extend([0xBE, 0xDE, 0, 1, 1, 2, 3, 4]);
        packet.extend([42, 43, 0, 0, 3]);
        let read = Packet::parse(&packet).expect("valid");
        assert_eq!(read.payload, [42, 43]);
        assert_eq!((read.marker, read.payload_type, read.sequence), (true, 96, 7));
        assert_eq!((read.timestamp, read.ssrc), (9, 5));
        for cut in 0..packet.len() - 3 {
            assert!(Packet::parse(&packet[..cut]).is_none_or(|p| p.payload.len() < 3), "{cut}");
        }
    }

    #[test]
    fn a_packet_of_padding_has_no_payload() {
        let packet = [0xA0, 96, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 3];
        assert_eq!(Packet::parse(&packet).expect("valid").payload, b"");
        let lying = [0xA0, 96, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 4];
        assert_eq!(Packet::parse(&lying), None);
    }
}
