//! What is read of the refusals of providers: their code, and when to come again.

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::domain::time::Timestamp;

/// Longest code that is kept, in bytes.
const CODE_BYTES_MAX: usize = 64;
/// Longest time that a provider is left alone because it says so. A daily limit ends
/// within it.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// The code of a refusal: `error.status` of Google, `code` of Zoom, `error` of token
/// endpoints. What has other characters than codes have is none.
pub(super) fn refusal_code(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = body.get("error");
    let said = error.and_then(|error| error.get("status")).or_else(|| body.get("code")).or(error);
    let code = match said {
        Some(Value::String(code)) => code.clone(),
        Some(Value::Number(code)) => code.to_string(),
        _ => String::new(),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let fits = (1..=CODE_BYTES_MAX).contains(&code.len()) && code.bytes().all(is_plain);
    if fits { code } else { "none".to_owned() }
}

/// How long `Retry-After` says to wait: seconds, a date as HTTP has it, or one as ISO
/// 8601 does, which Zoom sends at its daily limit. `None` when it says nothing usable.
pub(super) fn retry_after_of(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(RETRY_AFTER_MAX),
        Err(_) => moment_of(text)?.since(now),
    };
    Some(wait.clamp(Duration::from_secs(1), RETRY_AFTER_MAX))
}

fn moment_of(text: &str) -> Option<Timestamp> {
    if let Some(moment) = Timestamp::parse_rfc3339(text) {
        return Some(moment);
    }
    // Without a time of day, or without an offset.
    for completed in [format!("{text}T00:00:00Z"), format!("{text}Z")] {
        if let Some(moment) = Timestamp::parse_rfc3339(&completed) {
            return Some(moment);
        }
    }
    let http = text.replace("GMT", "+0000");
    let moment = OffsetDateTime::parse(&http, &Rfc2822).ok()?;
    Some(Timestamp::from_unix_us(moment.unix_timestamp().saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_and_texts_are_not_repeated() {
        for (body, code) in [
            (
                r#"{"error":{"code":403,"message":"m","status":"PERMISSION_DENIED"}}"#,
                "PERMISSION_DENIED",
            ),
            (r#"{"code":3001,"message":"Meeting not found"}"#, "3001"),
            (r#"{"error":"invalid_grant","error_description":"ana@example.org"}"#, "invalid_grant"),
            (r#"{"error":"ana garcia"}"#, "none"),
            (r#"{"code":""}"#, "none"),
            ("<html>", "none"),
            ("", "none"),
        ] {
            assert_eq!(refusal_code(body.as_bytes()), code, "{body}");
        }
        let long = format!(r#"{{"error":"{}"}}"#, "a".repeat(65));
        assert_eq!(refusal_code(long.as_bytes()), "none");
    }

    #[test]
    fn a_wait_is_read_in_every_form_that_providers_send() {
        let now = Timestamp::parse_rfc3339("2026-11-28T23:00:00Z").expect("a moment");
        for (text, seconds) in [
            ("7", Some(7)),
            (" 7.9 ", Some(7)),
            ("0", Some(1)),
            ("-5", Some(1)),
            ("1e300", Some(86_400)),
            ("2026-11-29T00:00:00Z", Some(3_600)),
            ("2026-11-29T00:00:00", Some(3_600)),
            ("2026-11-29", Some(3_600)),
            ("Sat, 28 Nov 2026 23:00:30 GMT", Some(30)),
            ("Sat, 28 Nov 2020 23:00:30 GMT", Some(1)),
            ("2126-11-29", Some(86_400)),
            ("soon", None),
            ("", None),
            ("NaN", Some(1)),
        ] {
            let wait = retry_after_of(text, now).map(|wait| wait.as_secs());
            assert_eq!(wait, seconds, "{text:?}");
        }
    }
}
