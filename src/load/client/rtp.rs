#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! RTP packets (RFC 3550 §5.1), their header extensions (RFC 8285), the VP8 payload descriptor (RFC
//! 7741 §4.2) and the time stamp in the synthetic media, as views of bytes.

const ONE_BYTE_PROFILE: u16 = 0xBEDE;
/// Marks the time stamp of this client's synthetic media.
const STAMP_MARK: [u8; 4] = *b"cbld";
/// Length of a stamp: the mark and eight bytes of time.
pub(super) const STAMP_BYTES: usize = 12;

/// A parsed packet.
pub(super) struct Packet<'a> {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    profile: u16,
    extensions: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Parses a decrypted packet; `None` when it is malformed.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3], rest) =
            bytes.split_first_chunk::<12>()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut rest = rest.get(usize::from(first & 0x0F) * 4..)?;
        let (mut profile, mut extensions) = (0, &[][..]);
        if first & 0x10 != 0 {
            let (&[p0, p1, l0, l1], after) = rest.split_first_chunk::<4>()?;
            let length = usize::from(u16::from_be_bytes([l0, l1])) * 4;
            profile = u16::from_be_bytes([p0, p1]);
            extensions = after.get(..length)?;
            rest = after.get(length..)?;
        }
        if first & 0x20 != 0 {
            let padding = usize::from(*rest.last()?);
            rest = rest.get(..rest.len().checked_sub(padding)?)?;
        }
        Some(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            profile,
            extensions,
            payload: rest,
        })
    }

    /// The value of a header extension, in the one-byte or the two-byte form.
    pub(super) fn extension(&self, id: u8) -> Option<&'a [u8]> {
        let two_bytes = self.profile & 0xFFF0 == 0x1000;
        if !two_bytes && self.profile != ONE_BYTE_PROFILE {
            return None;
        }
        let mut rest = self.extensions;
        while let Some((&head, after)) = rest.split_first() {
            if head == 0 {
                rest = after;
                continue;
            }
            let (found, length, value) = if two_bytes {
                let (&length, value) = after.split_first()?;
                (head, usize::from(length), value)
            } else {
                if head >> 4 == 15 {
                    return None;
                }
                (head >> 4, usize::from(head & 0x0F) + 1, after)
            };
            if found == id {
                return value.get(..length);
            }
            rest = value.get(length..)?;
        }
        None
    }
}

/// The header fields of a packet to write.
pub(super) struct Head {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
}

/// Writes a packet with one-byte extensions; those longer than 16 bytes are left out.
pub(super) fn write(head: &Head, extensions: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 48);
    out.push(if extensions.is_empty() { 0x80 } else { 0x90 });
    out.push(head.payload_type & 0x7F | if head.marker { 0x80 } else { 0 });
    out.extend_from_slice(&head.sequence.to_be_bytes());
    out.extend_from_slice(&head.timestamp.to_be_bytes());
    out.extend_from_slice(&head.ssrc.to_be_bytes());
    if !extensions.is_empty() {
        out.extend_from_slice(&ONE_BYTE_PROFILE.to_be_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0, 0]);
        for &(id, value) in extensions {
            if let Some(length) = value.len().checked_sub(1).and_then(|n| u8::try_from(n).ok())
                && length < 16
            {
                out.push(id << 4 | length);
                out.extend_from_slice(value);
            }
        }
        while !(out.len() - length_at - 2).is_multiple_of(4) {
            out.push(0);
        }
        let words = u16::try_from((out.len() - length_at - 2) / 4).unwrap_or(0);
        out[length_at..length_at + 2].copy_from_slice(&words.to_be_bytes());
    }
    out.extend_from_slice(payload);
    out
}

/// The position of a VP8 packet in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vp8 {
    /// Whether the frame begins in this packet.
    pub(super) starts_frame: bool,
    /// Whether it is a key frame; known only where the frame begins.
    pub(super) key_frame: bool,
    /// `PictureID`, when present.
    pub(super) picture_id: Option<u16>,
    /// Bytes before the coded picture data: payload descriptor and frame header.
    pub(super) head_bytes: usize,
}

impl Vp8 {
    /// Parses payload descriptor and frame tag; `None` when truncated.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let &first = payload.first()?;
        let mut at = 1;
        let mut picture_id = None;
        if first & 0x80 != 0 {
            let &present = payload.get(at)?;
            at += 1;
            if present & 0x80 != 0 {
                let &high = payload.get(at)?;
                if high & 0x80 == 0 {
                    picture_id = Some(u16::from(high));
                    at += 1;
                } else {
                    picture_id = Some(u16::from_be_bytes([high & 0x7F, *payload.get(at + 1)?]));
                    at += 2;
                }
            }
            at += usize::from(present & 0x40 != 0) + usize::from(present & 0x30 != 0);
        }
        let starts_frame = matches!(first & 0x17, 0x10);
        let key_frame = starts_frame && *payload.get(at)? & 1 == 0;
        if starts_frame {
            at += if key_frame { 10 } else { 3 };
        }
        Some(Self { starts_frame, key_frame, picture_id, head_bytes: at })
    }
}

/// Writes a descriptor with 15 bits of `PictureID`, `TL0PICIDX` and the base temporal layer.
pub(super) fn write_vp8_descriptor(
    out: &mut Vec<u8>,
    starts_frame: bool,
    picture_id: u16,
    tl0: u8,
) {
    let [high, low] = (picture_id & 0x7FFF).to_be_bytes();
    out.extend_from_slice(&[0x80 | if starts_frame { 0x10 } else { 0 }, 0xE0, high | 0x80, low]);
    out.extend_from_slice(&[tl0, 0x20]);
}

/// Writes a frame tag and, for a key frame, start code and dimensions (RFC 6386 §9.1).
pub(super) fn write_vp8_frame_header(
    out: &mut Vec<u8>,
    key_frame: bool,
    (width, height): (u16, u16),
) {
    out.extend_from_slice(&[if key_frame { 0x10 } else { 0x11 }, 0x01, 0x00]);
    if key_frame {
        out.extend_from_slice(&[0x9D, 0x01, 0x2A]);
        out.extend_from_slice(&(width & 0x3FFF).to_le_bytes());
        out.extend_from_slice(&(height & 0x3FFF).to_le_bytes());
    }
}

/// Writes the time of sending, in nanoseconds since the epoch of the process.
pub(super) fn write_stamp(out: &mut Vec<u8>, sent_ns: u64) {
    out.extend_from_slice(&STAMP_MARK);
    out.extend_from_slice(&sent_ns.to_be_bytes());
}

/// Reads a stamp; `None` when the media has none.
pub(super) fn read_stamp(bytes: &[u8]) -> Option<u64> {
    let (mark, rest) = bytes.split_first_chunk::<4>()?;
    (*mark == STAMP_MARK).then(|| rest.first_chunk::<8>().map(|time| u64::from_be_bytes(*time)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_packet_reads_back() {
        let head = Head { marker: true, payload_type: 96, sequence: 65_535, timestamp: 7, ssrc: 9 };
        let bytes = write(&head, &[(4, b"12"), (1, &[0x85])], b"payload");
        let packet = Packet::parse(&bytes).unwrap();
        assert!(packet.marker);
        assert_eq!((packet.payload_type, packet.sequence), (96, 65_535));
        assert_eq!((packet.timestamp, packet.ssrc), (7, 9));
        assert_eq!(packet.extension(4), Some(&b"12"[..]));
        assert_eq!(packet.extension(1), Some(&[0x85][..]));
        assert_eq!(packet.extension(2), None);
        assert_eq!(packet.payload, b"payload");
    }

    #[test]
    fn no_cut_of_a_packet_panics() {
        let head = Head { marker: false, payload_type: 96, sequence: 1, timestamp: 2, ssrc: 3 };
        let mut payload = Vec::new();
        write_vp8_descriptor(&mut payload, true, 300, 1);
        write_vp8_frame_header(&mut payload, true, (640, 360));
        let bytes = write(&head, &[(4, b"video")], &payload);
        for end in 0..bytes.len() {
            if let Some(packet) = Packet::parse(&bytes[..end]) {
                assert!(Vp8::parse(packet.payload).is_none_or(|vp8| vp8.head_bytes <= 16));
                assert!(packet.extension(9).is_none());
            }
        }
    }

    #[test]
    fn the_two_byte_form_of_extensions_is_read() {
        let mut bytes = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x00, 0, 2];
        bytes.extend_from_slice(&[20, 3, b'm', b'i', b'd', 0, 21, 0]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.extension(20), Some(&b"mid"[..]));
        assert_eq!(packet.extension(21), Some(&[][..]));
    }

    #[test]
    fn descriptors_and_stamps_read_back() {
        for (starts, key, head) in [(true, true, 16), (true, false, 9), (false, false, 6)] {
            let mut payload = Vec::new();
            write_vp8_descriptor(&mut payload, starts, 0x7FFF, 3);
            if starts {
                write_vp8_frame_header(&mut payload, key, (1280, 720));
            }
            write_stamp(&mut payload, 42);
            let vp8 = Vp8::parse(&payload).unwrap();
            assert_eq!((vp8.starts_frame, vp8.key_frame), (starts, key));
            assert_eq!((vp8.picture_id, vp8.head_bytes), (Some(0x7FFF), head));
            assert_eq!(read_stamp(&payload[head..]), Some(42));
        }
        assert_eq!(read_stamp(b"cbldshort"), None);
    }
}
