//! Writes the part of deterministic CBOR (RFC 8949 §4.2.1) that entries need, directly as bytes,
//! since every entry of a session is written here.

/// The bytes written so far. To write an array, write its length and then as many items.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    const UNSIGNED: u8 = 0;
    const BYTES: u8 = 2;
    const TEXT: u8 = 3;
    const ARRAY: u8 = 4;
    const NULL: u8 = 0xf6;

    /// Writes the head of an array of `items`.
    pub(super) fn array(&mut self, items: usize) -> &mut Self {
        self.head(Self::ARRAY, items as u64)
    }

    /// Writes an unsigned integer in the shortest form.
    pub(super) fn unsigned(&mut self, value: u64) -> &mut Self {
        self.head(Self::UNSIGNED, value)
    }

    /// Writes a byte string.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.head(Self::BYTES, bytes.len() as u64).0.extend_from_slice(bytes);
        self
    }

    /// Writes a text string.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.head(Self::TEXT, text.len() as u64).0.extend_from_slice(text.as_bytes());
        self
    }

    /// Writes a byte string or `null`.
    pub(super) fn bytes_or_null(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        if let Some(bytes) = bytes {
            return self.bytes(bytes);
        }
        self.0.push(Self::NULL);
        self
    }

    pub(super) fn unsigned_or_null(&mut self, number: Option<u64>) -> &mut Self {
        if let Some(number) = number {
            return self.unsigned(number);
        }
        self.0.push(Self::NULL);
        self
    }

    /// The bytes written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Writes the head of an item: its major type and argument (RFC 8949 §3).
    fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        let major = major << 5;
        let bytes = argument.to_be_bytes();
        match argument {
            0..24 => self.0.push(major | bytes[7]),
            24..0x100 => self.0.extend([major | 0x18, bytes[7]]),
            0x100..0x1_0000 => {
                self.0.push(major | 0x19);
                self.0.extend_from_slice(&bytes[6..]);
            }
            0x1_0000..0x1_0000_0000 => {
                self.0.push(major | 0x1a);
                self.0.extend_from_slice(&bytes[4..]);
            }
            _ => {
                self.0.push(major | 0x1b);
                self.0.extend_from_slice(&bytes);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn integers_are_those_of_rfc_8949_appendix_a() {
        let examples: [(u64, &[u8]); 10] = [
            (0, &[0x00]),
            (1, &[0x01]),
            (23, &[0x17]),
            (24, &[0x18, 0x18]),
            (100, &[0x18, 0x64]),
            (1_000, &[0x19, 0x03, 0xe8]),
            (65_536, &[0x1a, 0, 1, 0, 0]),
            (1_000_000, &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (1_000_000_000_000, &[0x1b, 0x00, 0x00, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00]),
            (u64::MAX, &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ];
        for (value, expected) in examples {
            assert_eq!(
                written(|writer| {
                    writer.unsigned(value);
                }),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn strings_and_arrays_are_those_of_rfc_8949_appendix_a() {
        assert_eq!(
            written(|writer| {
                writer.bytes(&[1, 2, 3, 4]);
            }),
            [0x44, 1, 2, 3, 4]
        );
        assert_eq!(
            written(|writer| {
                writer.text("IETF");
            }),
            *b"\x64IETF"
        );
        assert_eq!(
            written(|writer| {
                writer.text("ü");
            }),
            [0x62, 0xc3, 0xbc]
        );
        assert_eq!(
            written(|writer| {
                writer.bytes_or_null(None);
            }),
            [0xf6]
        );
        let array = written(|writer| {
            writer.array(2).unsigned(1).array(0);
        });
        assert_eq!(array, [0x82, 0x01, 0x80]);
    }
}
