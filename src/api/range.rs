//! Parses `Range` headers (RFC 9110 §14.2).

use std::ops::Range;

use axum::http::HeaderValue;

/// The contents of a `Range` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The whole file: the header is absent or may be ignored.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// A range beyond the end of the file.
    Unsatisfiable,
}

/// Parses the header for a file of `size` bytes. Several ranges, and units other than bytes, are
/// ignored, as §14.2 allows.
pub(super) fn wanted_range(header: Option<&HeaderValue>, size: u64) -> Wanted {
    let Some(text) = header.and_then(|value| value.to_str().ok()) else { return Wanted::All };
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|set| set.split_once('-'))
    else {
        return Wanted::All;
    };
    let range = match (first.trim_matches(WHITE), last.trim_matches(WHITE)) {
        ("", suffix) => number(suffix).map(|length| size.saturating_sub(length)..size),
        (first, "") => number(first).map(|first| first..size),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                Some(first..last.saturating_add(1).min(size))
            }
            _ => None,
        },
    };
    match range {
        None => Wanted::All,
        Some(range) if range.start >= range.end => Wanted::Unsatisfiable,
        Some(range) => Wanted::Part(range),
    }
}

/// Optional white space of RFC 9110 §5.6.3.
const WHITE: [char; 2] = [' ', '\t'];

/// Parses a position, which consists of digits. A number of more than 64 bits becomes the largest
/// number, which is beyond every file.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let read = |text: &str| wanted_range(Some(&text.parse().expect("a header")), 100);
        assert_eq!(wanted_range(None, 100), Wanted::All);
        assert_eq!(read("bytes=0-"), Wanted::Part(0..100));
        assert_eq!(read("bytes=0-0"), Wanted::Part(0..1));
        assert_eq!(read("bytes=10-19"), Wanted::Part(10..20));
        assert_eq!(read("bytes=90-1000"), Wanted::Part(90..100));
        assert_eq!(read("bytes=-5"), Wanted::Part(95..100));
        assert_eq!(read("bytes=-500"), Wanted::Part(0..100));
        for beyond in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(read(beyond), Wanted::Unsatisfiable, "{beyond}");
        }
        for ignored in ["bytes=5-4", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=", "x"] {
            assert_eq!(read(ignored), Wanted::All, "{ignored}");
        }
        let huge = format!("bytes=0-{}", u64::MAX);
        assert_eq!(read(&huge), Wanted::Part(0..100));
    }

    #[test]
    fn positions_beyond_64_bits_are_beyond_the_file() {
        let read = |text: &str| wanted_range(Some(&text.parse().expect("a header")), 100);
        for beyond in ["18446744073709551616", &"9".repeat(1_000)] {
            assert_eq!(read(&format!("bytes={beyond}-")), Wanted::Unsatisfiable);
            assert_eq!(read(&format!("bytes={beyond}-{beyond}")), Wanted::Unsatisfiable);
            assert_eq!(read(&format!("bytes=10-{beyond}")), Wanted::Part(10..100));
            assert_eq!(read(&format!("bytes=-{beyond}")), Wanted::Part(0..100));
        }
        for ignored in ["bytes=+1-2", "bytes=1-+2", "bytes=-+1", "bytes=0x1-"] {
            assert_eq!(read(ignored), Wanted::All, "{ignored}");
        }
        assert_eq!(
            wanted_range(Some(&"bytes=0-".parse().expect("a header")), 0),
            Wanted::Unsatisfiable
        );
    }
}
