//! `If-Match` (RFC 9110 §13.1.1), for every resource with versions.

use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;

use super::error::ApiError;
use crate::domain::error_code::ErrorCode;

/// The contents of `If-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// `*`: any version.
    Any,
    /// One of these tags, without quotes. Weak tags are left out, since they never match in the
    /// strong comparison (§8.8.3.2).
    Tags(Vec<String>),
}

impl IfMatch {
    /// Parses the header; `None` when it is absent. RFC 9725 §4.3.2 writes the asterisk in quotes,
    /// so both forms are accepted.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let malformed = || {
            let problem = "expected entity tags, such as \"7\", or *";
            ApiError::malformed_field("If-Match", problem)
        };
        let mut lines = Vec::new();
        for value in headers.get_all(IF_MATCH) {
            lines.push(value.to_str().map_err(|_| malformed())?);
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let list = lines.join(",");
        if list.trim() == "*" {
            return Ok(Some(Self::Any));
        }
        let tags = strong_tags(&list).ok_or_else(malformed)?;
        if tags.iter().any(|tag| tag == "*") {
            return Ok(Some(Self::Any));
        }
        Ok(Some(Self::Tags(tags)))
    }

    /// Parses the header of a request that requires it.
    pub(super) fn required(headers: &HeaderMap) -> Result<Self, ApiError> {
        Self::read(headers)?.ok_or_else(|| {
            let message = "a change must name the current version in If-Match";
            ApiError::new(ErrorCode::PreconditionRequired, message)
        })
    }
}

/// The strong tags in a list; `None` when it is malformed or empty.
fn strong_tags(list: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    let mut elements = 0_u32;
    let mut rest = list.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let weak = rest.strip_prefix("W/");
        let (tag, after) = weak.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        // RFC 9110 §8.8.3: visible characters without quotes, and obs-text.
        if !tag.bytes().all(|byte| byte > 0x20 && byte != 0x7F) {
            return None;
        }
        elements += 1;
        if weak.is_none() {
            tags.push(tag.to_owned());
        }
        let after = after.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    (elements > 0).then_some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Option<IfMatch>, ErrorCode> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, line.parse().expect("a header"));
        }
        IfMatch::read(&headers).map_err(|refusal| refusal.code())
    }

    fn tags(tags: &[&str]) -> IfMatch {
        IfMatch::Tags(tags.iter().map(|&tag| tag.to_owned()).collect())
    }

    #[test]
    fn lists_and_weak_tags_are_read_as_rfc_9110_says() {
        assert_eq!(read(&[]), Ok(None));
        for any in [&["*"][..], &["\"*\""], &[" * "]] {
            assert_eq!(read(any), Ok(Some(IfMatch::Any)), "{any:?}");
        }
        assert_eq!(read(&["\"7\""]), Ok(Some(tags(&["7"]))));
        assert_eq!(read(&["\"7\", \"8\"", "\"a,b\""]), Ok(Some(tags(&["7", "8", "a,b"]))));
        assert_eq!(read(&[", \"7\" ,, \"8\","]), Ok(Some(tags(&["7", "8"]))));
        assert_eq!(read(&["W/\"7\", \"8\""]), Ok(Some(tags(&["8"]))));
        assert_eq!(read(&["W/\"7\""]), Ok(Some(tags(&[]))));
        for wrong in ["7", "", ",", "\"7", "\"7\" \"8\"", "w/\"7\"", "*, \"7\"", "\"a b\""] {
            assert_eq!(read(&[wrong]), Err(ErrorCode::MalformedRequest), "{wrong}");
        }
    }
}
