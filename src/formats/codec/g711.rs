//! G.711 (ITU-T), the sound of telephones and of many cameras.

use crate::domain::media::Codec;

/// The samples of a packet of A-law, or else of µ-law.
#[must_use]
pub fn g711_samples(codec: Codec, packet: &[u8]) -> Vec<i16> {
    let expand = if codec == Codec::Pcma { a_law } else { u_law };
    packet.iter().map(|byte| expand(*byte)).collect()
}

/// G.711 table 2: all bits are inverted; a sign, three bits of exponent, four of mantissa.
fn u_law(byte: u8) -> i16 {
    const BIAS: i16 = 0x84;
    let byte = !byte;
    let (exponent, mantissa) = (byte >> 4 & 7, i16::from(byte & 0x0F));
    let magnitude = (((mantissa << 3) + BIAS) << exponent) - BIAS;
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// G.711 table 1: every other bit is inverted; the sign bit is set for positive values.
fn a_law(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = (byte >> 4 & 7, i16::from(byte & 0x0F) << 4);
    let magnitude = match exponent {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (exponent - 1),
    };
    if byte & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_middle_of_both_tables_are_those_of_the_recommendation() {
        // Values of G.711 tables 1 and 2, in 16 bits.
        for (codec, byte, sample) in [
            (Codec::Pcmu, 0xFF, 0),
            (Codec::Pcmu, 0x7F, 0),
            (Codec::Pcmu, 0x80, 32_124),
            (Codec::Pcmu, 0x00, -32_124),
            (Codec::Pcmu, 0xF0, 120),
            (Codec::Pcma, 0xD5, 8),
            (Codec::Pcma, 0x55, -8),
            (Codec::Pcma, 0xAA, 32_256),
            (Codec::Pcma, 0x2A, -32_256),
        ] {
            assert_eq!(g711_samples(codec, &[byte]), [sample], "{codec} {byte:#x}");
        }
    }

    #[test]
    fn louder_is_louder_in_both() {
        let of_u = |byte: u8| u_law(!byte);
        let of_a = |byte: u8| a_law(byte ^ 0xD5);
        for byte in 0..0x7F {
            assert!(of_u(byte) < of_u(byte + 1) && of_a(byte) < of_a(byte + 1), "{byte}");
            assert_eq!(of_u(byte), -of_u(byte | 0x80));
        }
    }
}
