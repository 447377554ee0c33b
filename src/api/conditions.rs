//! Requests that are answered only when somebody does not have the answer yet (RFC 9110 §13).

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;

/// Whether somebody who reads has what is tagged with `tag`: it is among what `If-None-Match` names, or that is
/// `*`, which is whatever there is. Tags are compared weakly (§8.8.3.2).
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // No tag of ours has a comma.
    let mut named = values.flat_map(|value| value.split(',')).map(str::trim);
    named.any(|known| known == "*" || opaque(known) == opaque(tag))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn what_somebody_has_is_known_by_its_tag_or_by_being_there() {
        let known = |values: &[&str], tag: &str| {
            let values = values.iter().map(|value| HeaderValue::from_str(value).expect("a value"));
            is_known(&values.map(|value| (IF_NONE_MATCH, value)).collect(), tag)
        };
        for tag in ["\"a\"", "W/\"a\""] {
            for values in [
                &["*"][..],
                &[" * "],
                &["\"a\""],
                &["W/\"a\""],
                &["\"b\", W/\"a\""],
                &["\"b\"", "\"c\",\"a\""],
            ] {
                assert!(known(values, tag), "{values:?} {tag}");
            }
            for values in [&[][..], &[""], &["a"], &["\"b\""], &["\"*\""], &["\"ab\", \"b\""]] {
                assert!(!known(values, tag), "{values:?} {tag}");
            }
        }
    }
}
