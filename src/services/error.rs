//! Why a service could not be asked, or its answer not used.

use std::time::Duration;

use crate::domain::eligible_list::ListRefused;
use crate::services::client::RemoteService;

/// Codes of refusals for which there were too many requests.
const LIMIT_CODES: [&str; 2] = ["429", "RESOURCE_EXHAUSTED"];
/// How long whoever is refused by a limit is to wait when the service does not say.
const LIMIT_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Why a client can't be made of its options.
#[derive(Debug, thiserror::Error)]
pub enum ServiceSetupError {
    /// The address is not an absolute https URL, nor an allowed http one, or it
    /// carries credentials.
    #[error("the address of the {0} service is not an https URL without credentials")]
    AddressInvalid(RemoteService),
    /// The id is not a header value.
    #[error("the service id is not the value of a header")]
    ServiceIdInvalid,
    /// The certificates or the key can't be read.
    #[error("the certificates or the key for the {0} service can't be used")]
    CertificatesInvalid(RemoteService, #[source] reqwest::Error),
    /// The key of a service account is not an RSA key in PEM.
    #[error("the private key of the service account is not an RSA key in PEM")]
    KeyInvalid,
    /// The client can't be made.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
}

/// Why a call brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The service failed before and is left alone.
    #[error("the {service} service failed before and is not asked for now")]
    LeftAlone {
        /// Which service.
        service: RemoteService,
        /// For how long.
        retry_after: Duration,
    },
    /// No connection could be made, or it broke.
    #[error("the {service} service can't be reached")]
    Unreachable {
        /// Which service.
        service: RemoteService,
        /// What happened. It may print addresses.
        source: reqwest::Error,
    },
    /// There was no answer in time.
    #[error("the {service} service did not answer in time")]
    TimedOut {
        /// Which service.
        service: RemoteService,
    },
    /// The answer has a status that the contract does not know, redirects
    /// included: none is followed.
    #[error("the {service} service answered with status {status}")]
    Status {
        /// Which service.
        service: RemoteService,
        /// The status.
        status: u16,
    },
    /// A provider of meetings refuses; redirects are refusals too, none is followed.
    #[error("the {service} service refuses with status {status} and code {code}")]
    Refused {
        /// Which service.
        service: RemoteService,
        /// The status.
        status: u16,
        /// The code in its answer: letters, digits, `_`, `-` and `.`; `none` without one.
        code: String,
        /// After how long it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The answer is longer than is read.
    #[error("the answer of the {service} service is too long to be read")]
    TooLong {
        /// Which service.
        service: RemoteService,
    },
    /// The answer is not JSON of the shape that the contract says.
    #[error("the answer of the {service} service is not what its contract says: {what}")]
    NotByContract {
        /// Which service.
        service: RemoteService,
        /// What differs, by the name of the member. No values of the answer.
        what: String,
    },
    /// The answer is about something else than was asked, or contradicts itself.
    #[error("the answer of the {service} service contradicts the question: {what}")]
    Contradicts {
        /// Which service.
        service: RemoteService,
        /// What does not fit.
        what: &'static str,
    },
    /// The eligible list in the answer is not taken.
    #[error("the eligible list of the user_profiles service is refused: {0}")]
    ListRefused(ListRefused),
}

impl ServiceError {
    /// Its name in metrics and in the record of what failed.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::LeftAlone { .. } => "left_alone",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed_out",
            Self::Status { .. } => "status",
            Self::Refused { .. } => "refused",
            Self::TooLong { .. } => "too_long",
            Self::NotByContract { .. } => "not_by_contract",
            Self::Contradicts { .. } | Self::ListRefused(_) => "contradicts",
        }
    }

    /// After how long another try makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::LeftAlone { retry_after, .. }
            | Self::Refused { retry_after: Some(retry_after), .. } => *retry_after,
            _ if self.is_limit() => LIMIT_RETRY_AFTER,
            _ => Duration::from_secs(5),
        }
    }

    /// Whether the service takes no more requests for a while. It works, and may take others.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status == 429,
            // Zoom has this code in refusals of other statuses too, and Google has a word for it.
            Self::Refused { status, code, .. } => {
                *status == 429
                    || ((400..500).contains(status) && LIMIT_CODES.contains(&code.as_str()))
            }
            _ => false,
        }
    }

    /// Whether the service surely did nothing: it was not reached, or it refused.
    #[must_use]
    pub fn nothing_was_done(&self) -> bool {
        match self {
            Self::LeftAlone { .. } => true,
            Self::Unreachable { source, .. } => source.is_connect(),
            Self::Status { status, .. } | Self::Refused { status, .. } => {
                (400..500).contains(status) && *status != 408
            }
            Self::TimedOut { .. }
            | Self::TooLong { .. }
            | Self::NotByContract { .. }
            | Self::Contradicts { .. }
            | Self::ListRefused(_) => false,
        }
    }

    /// Whether the service does not let us in: a secret was changed, or a right taken away. Until
    /// somebody sees to it, other questions fare no better.
    #[must_use]
    pub fn refuses_us(&self) -> bool {
        match self {
            _ if self.is_limit() => false,
            // Whoever gives tokens says by 400 that the account or its key is wrong (RFC 6749 §5.2).
            Self::Refused {
                service: RemoteService::GoogleToken | RemoteService::ZoomToken,
                status,
                ..
            } => (400..500).contains(status),
            Self::Status { status, .. } | Self::Refused { status, .. } => {
                matches!(status, 401 | 403)
            }
            _ => false,
        }
    }

    /// Whether it lies with the service, and not with what was asked.
    pub(super) fn blames_service(&self) -> bool {
        match self {
            Self::Status { status, .. } => !(400..500).contains(status) || *status == 429,
            // A provider limits each kind of call; the others go on.
            Self::Refused { status, .. } => !(400..500).contains(status),
            Self::LeftAlone { .. } => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_let_in_is_told_from_who_asks_wrongly() {
        let refused = |service, status, code: &str| ServiceError::Refused {
            service,
            status,
            code: code.to_owned(),
            retry_after: None,
        };
        for (error, refuses_us) in [
            (refused(RemoteService::Zoom, 401, "124"), true),
            (refused(RemoteService::GoogleMeet, 403, "PERMISSION_DENIED"), true),
            (refused(RemoteService::GoogleMeet, 403, "RESOURCE_EXHAUSTED"), false),
            (refused(RemoteService::Zoom, 404, "3001"), false),
            (refused(RemoteService::Zoom, 400, "300"), false),
            (refused(RemoteService::ZoomToken, 400, "invalid_client"), true),
            (refused(RemoteService::GoogleToken, 400, "invalid_grant"), true),
            (refused(RemoteService::GoogleToken, 429, "none"), false),
            (refused(RemoteService::GoogleToken, 503, "none"), false),
            (ServiceError::Status { service: RemoteService::Identity, status: 401 }, true),
            (ServiceError::Status { service: RemoteService::Governance, status: 403 }, true),
            (ServiceError::Status { service: RemoteService::Tenancy, status: 404 }, false),
            (ServiceError::TimedOut { service: RemoteService::Identity }, false),
        ] {
            assert_eq!(error.refuses_us(), refuses_us, "{error}");
        }
    }

    #[test]
    fn a_limit_is_known_by_its_status_or_its_code() {
        let refused = |status, code: &str| ServiceError::Refused {
            service: RemoteService::Zoom,
            status,
            code: code.to_owned(),
            retry_after: None,
        };
        for (status, code, is_limit) in [
            (429, "none", true),
            (429, "300", true),
            (400, "429", true),
            (403, "RESOURCE_EXHAUSTED", true),
            (400, "300", false),
            (403, "PERMISSION_DENIED", false),
            (500, "429", false),
        ] {
            let error = refused(status, code);
            assert_eq!(error.is_limit(), is_limit, "{status} {code}");
            assert_eq!(error.blames_service(), status >= 500, "{status} {code}");
            let wait = if is_limit { LIMIT_RETRY_AFTER } else { Duration::from_secs(5) };
            assert_eq!(error.retry_after(), wait, "{status} {code}");
        }
    }
}
