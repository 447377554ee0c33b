//! Checks datagrams before the DTLS engine sees them. rtc-dtls reassembles fragments without a
//! bound and trusts plaintext alerts: 150 datagrams of one-byte fragments take it 16 seconds, and
//! one forged alert ends a handshake. Everything that is not authenticated yet counts against a
//! budget.

/// Datagrams accepted before the handshake completes. A normal handshake needs under ten, and under
/// forty where 40 % are lost.
pub const DATAGRAMS_MAX: u32 = 64;
/// Bytes accepted before the handshake completes.
pub const BYTES_MAX: usize = 64 * 1024;
/// Unencrypted records in one datagram. Browsers put at most five.
pub const RECORDS_MAX: usize = 8;

const HEADER_BYTES: usize = 13;
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// Type, length, sequence, fragment offset and fragment length (RFC 6347 §4.2.2).
const HANDSHAKE_HEADER_BYTES: usize = 12;

/// What remains of the budget of a peer that is not authenticated yet.
#[derive(Debug, Default)]
pub(super) struct Guard {
    datagrams: u32,
    bytes: usize,
}

impl Guard {
    /// Whether the engine may see this datagram. When the handshake is `complete`, only unencrypted
    /// records count against the budget.
    pub(super) fn admits(&mut self, datagram: &[u8], complete: bool) -> bool {
        let Some(unprotected) = unprotected_records(datagram) else { return false };
        if complete && unprotected == 0 {
            return true;
        }
        let bytes = self.bytes.saturating_add(datagram.len());
        if unprotected > RECORDS_MAX || self.datagrams >= DATAGRAMS_MAX || bytes > BYTES_MAX {
            return false;
        }
        self.datagrams += 1;
        self.bytes = bytes;
        true
    }
}

/// The number of unencrypted records (epoch 0) in a datagram. `None` when the framing is wrong, or
/// when a record is unencrypted that must be encrypted.
fn unprotected_records(mut datagram: &[u8]) -> Option<usize> {
    let mut unprotected = 0;
    datagram.first()?;
    while !datagram.is_empty() {
        let (header, rest) = datagram.split_first_chunk::<HEADER_BYTES>()?;
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let body = rest.get(..length)?;
        match (header[0], header[3..5] == [0, 0]) {
            (CHANGE_CIPHER_SPEC, true) if body == [1] => unprotected += 1,
            (HANDSHAKE, true) if fragment_fits(body) => unprotected += 1,
            (CHANGE_CIPHER_SPEC..=APPLICATION_DATA, false) => {}
            // Unencrypted alerts and data, and unknown content types.
            (ALERT | _, _) => return None,
        }
        datagram = &rest[length..];
    }
    Some(unprotected)
}

/// Whether the handshake messages in a record state consistent lengths.
fn fragment_fits(mut body: &[u8]) -> bool {
    let number =
        |bytes: &[u8]| bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    if body.is_empty() {
        return false;
    }
    while !body.is_empty() {
        let Some((header, rest)) = body.split_first_chunk::<HANDSHAKE_HEADER_BYTES>() else {
            return false;
        };
        let (whole, offset, length) =
            (number(&header[1..4]), number(&header[6..9]), number(&header[9..12]));
        // An empty fragment of a message that is not empty serves only to waste work.
        if length > rest.len() || offset + length > whole || (length == 0 && whole > 0) {
            return false;
        }
        body = &rest[length..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("short").to_be_bytes();
        [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1], &length[..], body].concat()
    }

    fn fragment(whole: u8, offset: u8, length: u8) -> Vec<u8> {
        let mut body = vec![1, 0, 0, whole, 0, 0, 0, 0, offset, 0, 0, length];
        body.resize(body.len() + usize::from(length), 7);
        body
    }

    #[test]
    fn what_is_said_in_plaintext_is_limited() {
        let table: &[(&str, Vec<u8>, Option<usize>)] = &[
            ("a handshake message", record(22, 0, &fragment(4, 0, 4)), Some(1)),
            ("change cipher spec", record(20, 0, &[1]), Some(1)),
            ("a wrong change cipher spec", record(20, 0, &[2]), None),
            ("a fatal alert", record(21, 0, &[2, 40]), None),
            ("application data", record(23, 0, &[1]), None),
            ("a protected alert", record(21, 1, &[9; 24]), Some(0)),
            ("an unknown type", record(25, 1, &[9]), None),
            ("nothing", vec![], None),
            ("half a header", vec![22, 0xfe, 0xfd], None),
            (
                "a length beyond the datagram",
                record(22, 0, &fragment(4, 0, 4))[..20].to_vec(),
                None,
            ),
            ("an empty fragment", record(22, 0, &fragment(9, 0, 0)), None),
            ("a fragment beyond its message", record(22, 0, &fragment(3, 2, 2)), None),
            ("hello done", record(22, 0, &fragment(0, 0, 0)), Some(1)),
        ];
        for (name, datagram, expected) in table {
            assert_eq!(unprotected_records(datagram), *expected, "{name}");
        }
    }

    #[test]
    fn a_flood_is_cut_off_and_completion_frees_protected_records_only() {
        let mut guard = Guard::default();
        let hello = record(22, 0, &fragment(4, 0, 4));
        let admitted = (0..10_000).filter(|_| guard.admits(&hello, false)).count();
        assert_eq!(admitted, usize::try_from(DATAGRAMS_MAX).expect("small"));
        assert!(
            !guard.admits(&record(22, 1, &[0; 40]), false),
            "encrypted records before completion count too"
        );
        assert!(guard.admits(&record(23, 1, &[0; 40]), true));
        assert!(!guard.admits(&hello, true));
        assert!(!Guard::default().admits(&hello.repeat(RECORDS_MAX + 1), false));
    }
}
