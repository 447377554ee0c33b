//! A reader that accepts only deterministic CBOR (RFC 8949 §4.2.1): shortest integers, definite
//! lengths, sorted and unique keys, no floats, no tag but 18, no simple value but `null`. It
//! borrows from its input, and never allocates by a length that the input declares.

use std::str;

/// Deepest nesting accepted; the format needs seven levels (a proof in a receipt).
pub const DEPTH_MAX: usize = 8;

/// A data item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// An unsigned integer.
    Uint(u64),
    /// The negative integer −1 − n.
    Nint(u64),
    /// A byte string.
    Bytes(&'a [u8]),
    /// A text string.
    Text(&'a str),
    /// An array.
    Array(Vec<Value<'a>>),
    /// A map, sorted bytewise by its encoded keys.
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// An item with tag 18, a `COSE_Sign1`.
    Sign1(Box<Value<'a>>),
    /// `null`.
    Null,
}

/// Why bytes are not one item of deterministic CBOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// The input ends inside the item.
    #[error("ends inside a data item, at byte {0}")]
    Ends(usize),
    /// Bytes follow the item.
    #[error("bytes follow the data item, from byte {0}")]
    Trailing(usize),
    /// The bytes are not CBOR.
    #[error("is not CBOR at byte {0}")]
    Malformed(usize),
    /// The item is nested deeper than [`DEPTH_MAX`].
    #[error("is nested too deep at byte {0}")]
    TooDeep(usize),
    /// The item is CBOR, but not in the only accepted form.
    #[error("is not deterministic CBOR at byte {0}")]
    NotCanonical(usize),
}

/// Reads one item that consists of all of `bytes`.
pub fn read(bytes: &[u8]) -> Result<Value<'_>, CborError> {
    let (value, length) = read_first(bytes)?;
    if length == bytes.len() { Ok(value) } else { Err(CborError::Trailing(length)) }
}

/// Reads the first item of `bytes`; returns it and its length. [`CborError::Ends`] means that more
/// bytes could complete it.
pub fn read_first(bytes: &[u8]) -> Result<(Value<'_>, usize), CborError> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.item(0)?;
    Ok((value, reader.at))
}

impl<'a> Value<'a> {
    /// The integer, if it is one and is not negative.
    #[must_use]
    pub const fn uint(&self) -> Option<u64> {
        if let Self::Uint(number) = self { Some(*number) } else { None }
    }

    /// The byte string, if it is one.
    #[must_use]
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The byte string of `N` bytes, if it is one.
    #[must_use]
    pub fn fixed<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes()?.try_into().ok()
    }

    /// The text, if it is one.
    #[must_use]
    pub const fn text(&self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The elements, if it is an array.
    #[must_use]
    pub fn array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The elements, if it is an array of `N`.
    #[must_use]
    pub fn tuple<const N: usize>(&self) -> Option<&[Self; N]> {
        self.array()?.try_into().ok()
    }

    /// The pairs, if it is a map.
    #[must_use]
    pub fn map(&self) -> Option<&[(Self, Self)]> {
        if let Self::Map(pairs) = self { Some(pairs) } else { None }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn item(&mut self, depth: usize) -> Result<Value<'a>, CborError> {
        let start = self.at;
        if depth > DEPTH_MAX {
            return Err(CborError::TooDeep(start));
        }
        let (major, argument) = self.head()?;
        Ok(match major {
            0 => Value::Uint(argument),
            1 => Value::Nint(argument),
            2 => Value::Bytes(self.take(argument)?),
            3 => {
                let at = self.at;
                let text = str::from_utf8(self.take(argument)?);
                Value::Text(text.map_err(|_| CborError::Malformed(at))?)
            }
            4 => Value::Array(self.array(argument, depth)?),
            5 => Value::Map(self.map(argument, depth)?),
            6 if argument == 18 => Value::Sign1(Box::new(self.item(depth + 1)?)),
            7 if argument == 22 => Value::Null,
            _ => return Err(CborError::NotCanonical(start)),
        })
    }

    fn array(&mut self, count: u64, depth: usize) -> Result<Vec<Value<'a>>, CborError> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.item(depth + 1)?);
        }
        Ok(items)
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<Vec<(Value<'a>, Value<'a>)>, CborError> {
        let mut pairs = Vec::new();
        let mut before: &[u8] = &[];
        for _ in 0..count {
            let start = self.at;
            let key = self.item(depth + 1)?;
            let encoded = &self.bytes[start..self.at];
            // No encoding is empty, so the first key is always greater.
            if encoded <= before {
                return Err(CborError::NotCanonical(start));
            }
            before = encoded;
            pairs.push((key, self.item(depth + 1)?));
        }
        Ok(pairs)
    }

    /// The major type and the argument in its shortest form (RFC 8949 §3).
    fn head(&mut self) -> Result<(u8, u64), CborError> {
        let start = self.at;
        let first = self.take(1)?[0];
        let (major, low) = (first >> 5, first & 0x1F);
        let width = match low {
            0..=23 => return Ok((major, u64::from(low))),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            // Indefinite lengths are CBOR; the other values are reserved.
            31 if (2..=5).contains(&major) || major == 7 => {
                return Err(CborError::NotCanonical(start));
            }
            _ => return Err(CborError::Malformed(start)),
        };
        let bytes = self.take(width)?;
        let argument = bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let least = match width {
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        // Floats, and simple values of two bytes, are never accepted.
        if argument < least || major == 7 {
            return Err(CborError::NotCanonical(start));
        }
        Ok((major, argument))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let rest = &self.bytes[self.at..];
        let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
        let Some(length) = length else { return Err(CborError::Ends(self.bytes.len())) };
        self.at += length;
        Ok(&rest[..length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_shortest() {
        assert_eq!(read(&[0x17]), Ok(Value::Uint(23)));
        assert_eq!(read(&[0x18, 24]), Ok(Value::Uint(24)));
        assert_eq!(read(&[0x39, 0x01, 0x00]), Ok(Value::Nint(256)));
        assert_eq!(read(&[0x1B, 0, 0, 0, 1, 0, 0, 0, 0]), Ok(Value::Uint(1 << 32)));
        for long in [
            &[0x18, 23][..],
            &[0x19, 0, 255],
            &[0x1A, 0, 0, 255, 255],
            &[0x1B, 0, 0, 0, 0, 255, 255, 255, 255],
            &[0x58, 1, 0],
        ] {
            assert_eq!(read(long), Err(CborError::NotCanonical(0)), "{long:02x?}");
        }
    }

    #[test]
    fn other_types_are_refused() {
        for other in [
            &[0xF4][..],            // false
            &[0xF7],                // undefined
            &[0xF8, 0xFF],          // a simple value
            &[0xF9, 0, 0],          // a half
            &[0xC1, 0x00],          // another tag
            &[0xD8, 18, 0x00],      // tag 18, not in its shortest form
            &[0x5F, 0x41, 0, 0xFF], // indefinite
            &[0x9F, 0xFF],
            &[0xBF, 0xFF],
        ] {
            let error = read(other).expect_err("refused");
            assert!(matches!(error, CborError::NotCanonical(_)), "{other:02x?}: {error}");
        }
        assert_eq!(read(&[0x1C]), Err(CborError::Malformed(0)));
        assert_eq!(read(&[0x62, 0xC3, 0x28]), Err(CborError::Malformed(1)));
    }

    #[test]
    fn keys_are_sorted_and_unique() {
        assert!(read(&[0xA2, 0x01, 0x00, 0x20, 0x00]).is_ok());
        assert_eq!(read(&[0xA2, 0x20, 0x00, 0x01, 0x00]), Err(CborError::NotCanonical(3)));
        assert_eq!(read(&[0xA2, 0x01, 0x00, 0x01, 0x00]), Err(CborError::NotCanonical(3)));
    }

    #[test]
    fn bombs_end_at_once() {
        let declared = [0x9B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(read(&declared), Err(CborError::Ends(9)));
        let mut text = declared;
        text[0] = 0x5B;
        assert_eq!(read(&text), Err(CborError::Ends(9)));
        let deep = vec![0x81; 1 << 20];
        assert_eq!(read(&deep), Err(CborError::TooDeep(DEPTH_MAX + 1)));
        let tags = vec![0xD2; 1 << 20];
        assert_eq!(read(&tags), Err(CborError::TooDeep(DEPTH_MAX + 1)));
        assert_eq!(read(&[]), Err(CborError::Ends(0)));
        assert_eq!(read(&[0x00, 0x00]), Err(CborError::Trailing(1)));
    }
}
