//! Writes elements of EBML (RFC 8794): an identifier, a size, a body.

/// Appends an element.
pub(super) fn element(out: &mut Vec<u8>, id: u32, body: &[u8]) {
    head(out, id, body.len() as u64);
    out.extend_from_slice(body);
}

/// Appends an identifier and a size of eight bytes.
pub(super) fn head(out: &mut Vec<u8>, id: u32, size: u64) {
    let bytes = id.to_be_bytes();
    let leading =
        usize::from(id < 0x0100_0000) + usize::from(id < 0x01_0000) + usize::from(id < 0x100);
    out.extend_from_slice(&bytes[leading..]);
    if size < 0x7F {
        out.push(0x80 | size.to_le_bytes()[0]);
    } else {
        out.extend((0x0100_0000_0000_0000 | size).to_be_bytes());
    }
}

/// Appends an unsigned number in its shortest form.
pub(super) fn unsigned(out: &mut Vec<u8>, id: u32, value: u64) {
    let bytes = value.to_be_bytes();
    let leading = usize::try_from(value.leading_zeros() / 8).unwrap_or(0).min(7);
    element(out, id, &bytes[leading..]);
}

/// Appends an unsigned number in eight bytes, so that its size does not depend on its value.
pub(super) fn wide(out: &mut Vec<u8>, id: u32, value: u64) {
    element(out, id, &value.to_be_bytes());
}

/// Appends a floating-point number.
pub(super) fn float(out: &mut Vec<u8>, id: u32, value: f64) {
    element(out, id, &value.to_be_bytes());
}

/// Appends an element that holds elements.
pub(super) fn nested(out: &mut Vec<u8>, id: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    element(out, id, &body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_as_the_standard_says() {
        let mut out = Vec::new();
        unsigned(&mut out, 0xD7, 0);
        unsigned(&mut out, 0x4286, 0x1234);
        nested(&mut out, 0x1A45_DFA3, |out| element(out, 0xEC, b"x"));
        let wanted = [0xD7, 0x81, 0, 0x42, 0x86, 0x82, 0x12, 0x34, 0x1A, 0x45, 0xDF, 0xA3, 0x83];
        assert_eq!(out, [&wanted[..], &[0xEC, 0x81, b'x']].concat());
        let mut out = Vec::new();
        element(&mut out, 0xEC, &[0; 127]);
        assert_eq!(out[..9], [0xEC, 1, 0, 0, 0, 0, 0, 0, 127]);
    }
}
