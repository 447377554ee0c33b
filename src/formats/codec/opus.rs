//! Opus (RFC 7587): one packet is one frame of a file.

/// Playing time of a packet in microseconds (RFC 6716 §3.1 and §3.2); 0 for an empty or malformed
/// one.
#[must_use]
pub fn duration_us(packet: &[u8]) -> u32 {
    let Some(&toc) = packet.first() else { return 0 };
    let config = toc >> 3;
    let frame_us = match (config, config % 4) {
        (0..=11, 0) | (12..=15, 0 | 2) | (16..=31, 2) => 10_000,
        (0..=11, 1) | (12..=15, _) | (16..=31, 3) => 20_000,
        (0..=11, 2) => 40_000,
        (0..=11, _) => 60_000,
        (_, 0) => 2_500,
        _ => 5_000,
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u32::from(count & 0x3F)),
    };
    (frames * frame_us).min(120_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_play_as_long_as_they_say() {
        // Configuration, count code: SILK, hybrid and CELT (RFC 6716 table 2).
        assert_eq!(duration_us(&[0x00]), 10_000);
        assert_eq!(duration_us(&[0x18]), 60_000);
        assert_eq!(duration_us(&[12 << 3]), 10_000);
        assert_eq!(duration_us(&[13 << 3]), 20_000);
        assert_eq!(duration_us(&[14 << 3]), 10_000);
        assert_eq!(duration_us(&[16 << 3]), 2_500);
        assert_eq!(duration_us(&[0xFC]), 20_000);
        assert_eq!(duration_us(&[0xFD]), 40_000);
        assert_eq!(duration_us(&[0xFF, 3]), 60_000);
        assert_eq!(duration_us(&[0xFF, 63]), 120_000);
        assert_eq!(duration_us(&[0xFF]), 0);
        assert_eq!(duration_us(&[]), 0);
    }
}
