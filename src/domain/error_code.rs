//! The stable codes of everything that can be refused. Each door maps its
//! failures to one of these; clients may rely on the text.

use crate::domain::words::words;

words!(
    /// A stable error code, upper snake case.
    ErrorCode {
        /// Not JSON, not the expected shape, or an unknown field.
        MalformedRequest => "MALFORMED_REQUEST",
        /// Understood, but its values make no sense together.
        UnprocessableRequest => "UNPROCESSABLE_REQUEST",
        /// The body is larger than the route takes.
        PayloadTooLarge => "PAYLOAD_TOO_LARGE",
        /// The body has a content type the route does not take.
        UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
        /// The route does not take this method.
        MethodNotAllowed => "METHOD_NOT_ALLOWED",
        /// No such route.
        RouteNotFound => "ROUTE_NOT_FOUND",
        /// No credentials.
        CredentialsMissing => "CREDENTIALS_MISSING",
        /// The access token is not from our issuer for us, or its signature is wrong.
        TokenInvalid => "TOKEN_INVALID",
        /// The access token has expired.
        TokenExpired => "TOKEN_EXPIRED",
        /// The access token is bound to a key and came without a proof of it
        /// (RFC 9449 §7.2).
        TokenBound => "TOKEN_BOUND",
        /// The proof of possession is wrong (RFC 9449 §4.3).
        DpopProofInvalid => "DPOP_PROOF_INVALID",
        /// The proof of possession was used before.
        DpopProofReplayed => "DPOP_PROOF_REPLAYED",
        /// The proof needs the nonce of the `DPoP-Nonce` header (RFC 9449 §8).
        DpopNonceRequired => "DPOP_NONCE_REQUIRED",
        /// The resume token is not the last one of a connection that lives.
        ResumeTokenInvalid => "RESUME_TOKEN_INVALID",
        /// The route is for services with a client certificate.
        ClientCertificateRequired => "CLIENT_CERTIFICATE_REQUIRED",
        /// The caller may not do this.
        Forbidden => "FORBIDDEN",
        /// No such session for this caller.
        SessionNotFound => "SESSION_NOT_FOUND",
        /// The session is not in a state that allows this.
        SessionStateConflict => "SESSION_STATE_CONFLICT",
        /// The session is over.
        SessionOver => "SESSION_OVER",
        /// `If-Match` does not name the current version.
        VersionConflict => "VERSION_CONFLICT",
        /// The write needs an `If-Match` header.
        PreconditionRequired => "PRECONDITION_REQUIRED",
        /// The tenant has as many active sessions as it may.
        SessionLimitReached => "SESSION_LIMIT_REACHED",
        /// The session has as many participants as it may.
        ParticipantLimitReached => "PARTICIPANT_LIMIT_REACHED",
        /// The tenant uses as much bitrate as it may.
        BitrateLimitReached => "BITRATE_LIMIT_REACHED",
        /// The same idempotency key came with another request.
        IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
        /// The first request with this idempotency key is still running.
        IdempotencyKeyInUse => "IDEMPOTENCY_KEY_IN_USE",
        /// Too many requests.
        RateLimited => "RATE_LIMITED",
        /// A database or service does not answer.
        DependencyUnavailable => "DEPENDENCY_UNAVAILABLE",
        /// A defect of this server; the trace id finds it in the logs.
        Internal => "INTERNAL",
        /// The session's media is carried by another provider.
        ProviderUnsupported => "PROVIDER_UNSUPPORTED",

        /// The speaking list is closed.
        QueueClosed => "QUEUE_CLOSED",
        /// The speaking list is full.
        QueueFull => "QUEUE_FULL",
        /// This person already waits with a request of this kind.
        AlreadyWaiting => "ALREADY_WAITING",
        /// No such speech request, or it no longer waits.
        RequestNotFound => "REQUEST_NOT_FOUND",
        /// The speech request is not approved yet, or already is.
        RequestStateConflict => "REQUEST_STATE_CONFLICT",
        /// No approved request waits in the speaking list.
        QueueEmpty => "QUEUE_EMPTY",
        /// Nobody holds the floor.
        NoTurn => "NO_TURN",
        /// The turn is not in a state that allows this.
        TurnStateConflict => "TURN_STATE_CONFLICT",
        /// The caller does not hold the floor.
        NotYourTurn => "NOT_YOUR_TURN",
        /// The turn would be longer than the session allows.
        TurnLimitReached => "TURN_LIMIT_REACHED",
        /// The order is not one of exactly the entries that wait.
        OrderInvalid => "ORDER_INVALID",
        /// No such participant in the room.
        ParticipantNotFound => "PARTICIPANT_NOT_FOUND",
        /// What the decision is about has changed since the caller last saw it.
        DecisionStale => "DECISION_STALE",
        /// Without this moderator nobody could let people in again.
        LastModerator => "LAST_MODERATOR",
        /// The recording is not in a state that allows this.
        RecordingStateConflict => "RECORDING_STATE_CONFLICT",

        /// The session description is malformed or offers nothing usable.
        SdpInvalid => "SDP_INVALID",
        /// A session description came out of turn.
        SignallingStateConflict => "SIGNALLING_STATE_CONFLICT",
        /// No such track in the room.
        TrackNotFound => "TRACK_NOT_FOUND",
        /// The peer publishes or subscribes to as much as it may.
        TrackLimitReached => "TRACK_LIMIT_REACHED",
        /// No such WHIP or WHEP resource.
        MediaResourceNotFound => "MEDIA_RESOURCE_NOT_FOUND",

        /// The session has no recording, or not this file.
        RecordingNotFound => "RECORDING_NOT_FOUND",
        /// The recording was erased.
        RecordingErased => "RECORDING_ERASED",
        /// The address of a recording is not one of this server's.
        PlaybackTokenFormatInvalid => "PLAYBACK_TOKEN_FORMAT_INVALID",
        /// The address of a recording was changed.
        PlaybackTokenSignatureInvalid => "PLAYBACK_TOKEN_SIGNATURE_INVALID",
        /// The address of a recording is too old.
        PlaybackTokenExpired => "PLAYBACK_TOKEN_EXPIRED",
        /// The range asked for lies beyond the file.
        RangeNotSatisfiable => "RANGE_NOT_SATISFIABLE",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_upper_snake_case_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ErrorCode::ALL {
            let text = code.as_str();
            assert!(text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
            assert!(seen.insert(code.as_str()), "{code} twice");
        }
    }
}
