//! Which bytes a request wants (RFC 9110 §14.2).

use std::ops::Range;

use axum::http::HeaderValue;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: there is no header, or one that may be ignored.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that are not there.
    Unsatisfiable,
}

/// Reads the header for a file of `size` bytes. Several ranges at once and
/// units other than bytes are ignored, as §14.2 allows.
pub(super) fn wanted_range(header: Option<&HeaderValue>, size: u64) -> Wanted {
    let Some(text) = header.and_then(|value| value.to_str().ok()) else { return Wanted::All };
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|set| set.split_once('-'))
    else {
        return Wanted::All;
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match (first.trim(), last.trim()) {
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
}
