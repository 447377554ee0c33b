//! Sound as a WAV file, which every remote engine reads.

/// Bytes of the header.
const HEADER_BYTES: u32 = 44;
/// Bytes of a sample.
const SAMPLE_BYTES: u32 = 2;

/// The samples, one channel of 16 bits at 16 kHz.
pub(super) fn wav(samples: &[f32]) -> Vec<u8> {
    let rate: u32 = 16_000;
    let bytes = u32::try_from(samples.len()).unwrap_or(u32::MAX).saturating_mul(SAMPLE_BYTES);
    let mut file = Vec::with_capacity((HEADER_BYTES.saturating_add(bytes)) as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(HEADER_BYTES - 8).saturating_add(bytes).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    // Uncompressed, one channel.
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&(rate * SAMPLE_BYTES).to_le_bytes());
    file.extend_from_slice(&2_u16.to_le_bytes());
    file.extend_from_slice(&16_u16.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&bytes.to_le_bytes());
    for sample in samples {
        file.extend_from_slice(&sixteen_bits(*sample).to_le_bytes());
    }
    file
}

#[expect(clippy::cast_possible_truncation, reason = "the value is between the limits of i16")]
pub(super) fn sixteen_bits(sample: f32) -> i16 {
    (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16
}

#[cfg(test)]
mod tests {
    use super::wav;

    #[test]
    fn the_header_says_what_follows() {
        let file = wav(&[0.0, 1.0, -2.0]);
        assert_eq!(file.len(), 50);
        assert_eq!(file[4..8], 42_u32.to_le_bytes());
        assert_eq!(file[40..44], 6_u32.to_le_bytes());
        assert_eq!(file[44..], [0, 0, 0xFF, 0x7F, 0x01, 0x80]);
    }
}
