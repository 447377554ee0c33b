//! Interprets the errors of a bucket.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::vault::VaultError;

/// S3 error code for a range that begins beyond the end of the object.
pub(super) const BEYOND_THE_END: &str = "InvalidRange";
/// Longest error code of a service that is repeated in errors and logs, in bytes.
const CODE_BYTES_MAX: usize = 64;

/// Why a request failed.
pub(super) enum Refusal {
    /// An object has this name, or another client is storing one under it now.
    AlreadyThere,
    /// It is not known whether the request was carried out.
    Unanswered(VaultError),
    /// Anything else.
    Other(VaultError),
}

impl From<Refusal> for VaultError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::AlreadyThere => Self::Conflict,
            Refusal::Unanswered(error) | Refusal::Other(error) => error,
        }
    }
}

pub(super) fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Refusal {
    let Some(response) = error.raw_response() else { return unanswered(error) };
    let status = response.status().as_u16();
    match (status, error.code().unwrap_or_default()) {
        (409 | 412, _) => Refusal::AlreadyThere,
        (status, code) => Refusal::Other(refused(status, code)),
    }
}

fn unanswered<E>(error: &SdkError<E>) -> Refusal {
    let why = match error {
        SdkError::ConstructionFailure(_) => {
            let why = "the request can't be made".to_owned();
            return Refusal::Other(VaultError::Refused(why));
        }
        SdkError::TimeoutError(_) => "the bucket did not answer in time",
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            "no connection was established in time"
        }
        SdkError::DispatchFailure(failure)
            if failure.as_connector_error().is_some_and(|error| is_about_certificate(error)) =>
        {
            let why = "the certificate of the bucket is not trusted".to_owned();
            return Refusal::Other(VaultError::Refused(why));
        }
        SdkError::DispatchFailure(_) => "no connection",
        _ => "the answer was interrupted",
    };
    Refusal::Unanswered(VaultError::Unavailable(why.to_owned()))
}

/// Whether the error is that the server's certificate is not trusted.
fn is_about_certificate(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(tls_error(error), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Finds the TLS error inside an I/O error, which its `source` does not return.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => tls_error(error.get_ref()?),
        None => error.downcast_ref(),
    }
}

fn refused(status: u16, code: &str) -> VaultError {
    let said = || if code.is_empty() { format!("status {status}") } else { plain(code) };
    match (status, code) {
        (_, "NoSuchBucket") => VaultError::Refused(plain(code)),
        (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage") => {
            VaultError::Full
        }
        (404, _) => VaultError::NotFound,
        (416, _) => VaultError::Refused(BEYOND_THE_END.to_owned()),
        // A checksum error: the contents had the right hash when they were sent.
        (
            400,
            "BadDigest"
            | "XAmzContentChecksumMismatch"
            | "XAmzContentSHA256Mismatch"
            | "IncompleteBody"
            | "RequestTimeout",
        ) => VaultError::Unavailable(plain(code)),
        (501, _) => VaultError::Refused(said()),
        // A successful status with an unreadable answer counts as a failure.
        (200..=299 | 408 | 425 | 429 | 500.., _) => VaultError::Unavailable(said()),
        _ => VaultError::Refused(said()),
    }
}

/// A code as it is repeated: short and of plain characters, whatever the service sends.
fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).take(CODE_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_a_bucket_are_told_apart() {
        let unavailable = |code: &str| VaultError::Unavailable(code.to_owned());
        let cases = [
            (404, "NoSuchKey", VaultError::NotFound),
            (404, "", VaultError::NotFound),
            (404, "NoSuchBucket", VaultError::Refused("NoSuchBucket".to_owned())),
            (403, "AccessDenied", VaultError::Refused("AccessDenied".to_owned())),
            (403, "", VaultError::Refused("status 403".to_owned())),
            (301, "PermanentRedirect", VaultError::Refused("PermanentRedirect".to_owned())),
            (400, "BadDigest", unavailable("BadDigest")),
            (400, "InvalidRequest", VaultError::Refused("InvalidRequest".to_owned())),
            (429, "TooManyRequests", unavailable("TooManyRequests")),
            (503, "SlowDown", unavailable("SlowDown")),
            (500, "", unavailable("status 500")),
            (501, "NotImplemented", VaultError::Refused("NotImplemented".to_owned())),
            (507, "", VaultError::Full),
            (403, "QuotaExceeded", VaultError::Full),
            (200, "", unavailable("status 200")),
        ];
        for (status, code, expected) in cases {
            assert_eq!(refused(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn a_code_is_repeated_short_and_plain() {
        let code = format!("<b>\n{}", "x".repeat(500));
        let VaultError::Refused(said) = refused(403, &code) else { panic!("refused") };
        assert_eq!(said, format!("b{}", "x".repeat(63)));
    }
}
