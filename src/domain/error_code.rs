//! The stable codes of all refusals. Each interface maps its failures to one of them; clients may
//! rely on the text.

use crate::domain::named_values::named_values;

named_values!(
    /// A stable error code, upper snake case.
    ErrorCode {
        /// The body is not JSON, has another shape than expected, or has an unknown field.
        MalformedRequest => "MALFORMED_REQUEST",
        /// The request is well-formed, but its values contradict each other.
        UnprocessableRequest => "UNPROCESSABLE_REQUEST",
        /// The body is larger than the route accepts.
        PayloadTooLarge => "PAYLOAD_TOO_LARGE",
        /// The route does not accept the content type of the body.
        UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
        /// The route does not accept this method.
        MethodNotAllowed => "METHOD_NOT_ALLOWED",
        /// There is no such route.
        RouteNotFound => "ROUTE_NOT_FOUND",
        /// The request has no credentials.
        CredentialsMissing => "CREDENTIALS_MISSING",
        /// The access token is not from the configured issuer for this audience, or its signature
        /// is wrong.
        TokenInvalid => "TOKEN_INVALID",
        /// The access token has expired.
        TokenExpired => "TOKEN_EXPIRED",
        /// The access token is bound to a key but came without a proof of possession (RFC 9449
        /// §7.2).
        TokenBound => "TOKEN_BOUND",
        /// The proof of possession is wrong (RFC 9449 §4.3).
        DpopProofInvalid => "DPOP_PROOF_INVALID",
        /// The proof of possession was used before.
        DpopProofReplayed => "DPOP_PROOF_REPLAYED",
        /// The proof needs the nonce of the `DPoP-Nonce` header (RFC 9449 §8).
        DpopNonceRequired => "DPOP_NONCE_REQUIRED",
        /// The resume token is not the last one of a connection that can be resumed.
        ResumeTokenInvalid => "RESUME_TOKEN_INVALID",
        /// The route is for services with a client certificate.
        ClientCertificateRequired => "CLIENT_CERTIFICATE_REQUIRED",
        /// The caller may not do this.
        Forbidden => "FORBIDDEN",
        /// There is no such session for this caller.
        SessionNotFound => "SESSION_NOT_FOUND",
        /// The session is not in a state that allows this.
        SessionStateConflict => "SESSION_STATE_CONFLICT",
        /// The session has ended or was cancelled.
        SessionOver => "SESSION_OVER",
        /// `If-Match` does not name the current version.
        VersionConflict => "VERSION_CONFLICT",
        /// The write needs an `If-Match` header.
        PreconditionRequired => "PRECONDITION_REQUIRED",
        /// The tenant has the most active sessions that it may have.
        SessionLimitReached => "SESSION_LIMIT_REACHED",
        /// The tenant is suspended and can neither create nor start sessions.
        TenantSuspended => "TENANT_SUSPENDED",
        /// The session has the most participants that it may have.
        ParticipantLimitReached => "PARTICIPANT_LIMIT_REACHED",
        /// The tenant receives the highest bitrate that it may.
        BitrateLimitReached => "BITRATE_LIMIT_REACHED",
        /// There are the most event streams that there may be.
        EventStreamLimitReached => "EVENT_STREAM_LIMIT_REACHED",
        /// Events after this cursor were deleted: begin again with `details.oldest`.
        EventsExpired => "EVENTS_EXPIRED",
        /// The idempotency key was used with another request before.
        IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
        /// The first request with this idempotency key is still running.
        IdempotencyKeyInUse => "IDEMPOTENCY_KEY_IN_USE",
        /// Too many requests.
        RateLimited => "RATE_LIMITED",
        /// A database or service does not answer.
        DependencyUnavailable => "DEPENDENCY_UNAVAILABLE",
        /// A defect of this server; the logs have the trace id.
        Internal => "INTERNAL",
        /// The session's media is carried by another provider.
        ProviderUnsupported => "PROVIDER_UNSUPPORTED",
        /// This installation has no account with the provider that the session names.
        ProviderNotConfigured => "PROVIDER_NOT_CONFIGURED",
        /// The provider does not answer usably; nothing has changed here.
        ProviderUnavailable => "PROVIDER_UNAVAILABLE",
        /// The provider refuses the account of this installation; nothing has changed here.
        ProviderRefused => "PROVIDER_REFUSED",
        /// The provider takes no more requests for a while; nothing has changed here.
        ProviderLimitReached => "PROVIDER_LIMIT_REACHED",
        /// The signature of a webhook is missing or wrong, or is about another account.
        WebhookSignatureInvalid => "WEBHOOK_SIGNATURE_INVALID",
        /// The webhook was signed too long ago.
        WebhookExpired => "WEBHOOK_EXPIRED",

        /// The speaking list is closed.
        QueueClosed => "QUEUE_CLOSED",
        /// The speaking list is full.
        QueueFull => "QUEUE_FULL",
        /// This person already waits with a request of this kind.
        AlreadyWaiting => "ALREADY_WAITING",
        /// There is no such speech request, or it was decided already.
        RequestNotFound => "REQUEST_NOT_FOUND",
        /// The speech request is not approved yet, or was approved already.
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
        /// The order does not name exactly the waiting entries.
        OrderInvalid => "ORDER_INVALID",
        /// There is no such participant in the room.
        ParticipantNotFound => "PARTICIPANT_NOT_FOUND",
        /// What the decision is about has changed since the caller last saw it.
        DecisionStale => "DECISION_STALE",
        /// No decision that could be taken back has this id.
        ActionNotFound => "ACTION_NOT_FOUND",
        /// The decision is too old to be taken back.
        UndoTooLate => "UNDO_TOO_LATE",
        /// Without this moderator nobody could admit people again.
        LastModerator => "LAST_MODERATOR",
        /// Another instance of the server has the room of the session open.
        RoomElsewhere => "ROOM_ELSEWHERE",
        /// The recording is not in a state that allows this.
        RecordingStateConflict => "RECORDING_STATE_CONFLICT",
        /// Nobody has confirmed the minutes of the session.
        MinutesNotFound => "MINUTES_NOT_FOUND",
        /// The session has as many confirmed versions of its minutes as it may.
        MinutesLimitReached => "MINUTES_LIMIT_REACHED",
        /// Speech in this language can't become text here.
        LanguageUnsupported => "LANGUAGE_UNSUPPORTED",
        /// The transcript has no text with this number.
        TranscriptChunkNotFound => "TRANSCRIPT_CHUNK_NOT_FOUND",

        /// What was presented does not prove presence.
        ProofInvalid => "PROOF_INVALID",
        /// What was presented has expired.
        ProofExpired => "PROOF_EXPIRED",
        /// What was presented was used before.
        ProofReplayed => "PROOF_REPLAYED",
        /// What was presented is for another session, tenant or person.
        ProofWrongContext => "PROOF_WRONG_CONTEXT",
        /// The person is not on the eligible list and represents nobody who is.
        NotEligible => "NOT_ELIGIBLE",
        /// The person is not present.
        NotPresent => "NOT_PRESENT",
        /// The eligible list is not known yet.
        EligibleListUnknown => "ELIGIBLE_LIST_UNKNOWN",
        /// The service gave an eligible list that is not taken.
        EligibleListRefused => "ELIGIBLE_LIST_REFUSED",
        /// The eligible list comes from a service, or is in use already.
        EligibleListFixed => "ELIGIBLE_LIST_FIXED",
        /// No unit of the eligible list has this id.
        UnitNotFound => "UNIT_NOT_FOUND",
        /// The unit is delegated already, or is not, or is the delegate's own.
        DelegationConflict => "DELEGATION_CONFLICT",
        /// The person represents as many units as the session allows.
        DelegationLimitReached => "DELEGATION_LIMIT_REACHED",
        /// The session has no second call, or it has begun already.
        QuorumCallConflict => "QUORUM_CALL_CONFLICT",
        /// As many people, proofs or delegations are kept as can be.
        AttendanceFull => "ATTENDANCE_FULL",

        /// The session description is malformed or has no usable section.
        SdpInvalid => "SDP_INVALID",
        /// A session description does not fit the state of its transport.
        SignallingStateConflict => "SIGNALLING_STATE_CONFLICT",
        /// There is no such track in the room.
        TrackNotFound => "TRACK_NOT_FOUND",
        /// The peer has the most tracks or subscriptions that it may have.
        TrackLimitReached => "TRACK_LIMIT_REACHED",
        /// There is no such media token for this caller, or it is not in force.
        MediaTokenNotFound => "MEDIA_TOKEN_NOT_FOUND",
        /// The caller has as many media tokens of the session as they may have.
        MediaTokenLimitReached => "MEDIA_TOKEN_LIMIT_REACHED",
        /// There is no such WHIP or WHEP resource.
        MediaResourceNotFound => "MEDIA_RESOURCE_NOT_FOUND",

        /// The session has no recording, or the recording has no such file.
        RecordingNotFound => "RECORDING_NOT_FOUND",
        /// The recording was erased.
        RecordingErased => "RECORDING_ERASED",
        /// As many bundles are being made as there may be at once.
        BundleLimitReached => "BUNDLE_LIMIT_REACHED",
        /// The playback address was not made by this server.
        PlaybackTokenFormatInvalid => "PLAYBACK_TOKEN_FORMAT_INVALID",
        /// The playback address was changed.
        PlaybackTokenSignatureInvalid => "PLAYBACK_TOKEN_SIGNATURE_INVALID",
        /// The playback address has expired.
        PlaybackTokenExpired => "PLAYBACK_TOKEN_EXPIRED",
        /// The playback address has no token.
        PlaybackTokenMissing => "PLAYBACK_TOKEN_MISSING",
        /// The token is signed, and its contents are none of ours.
        PlaybackTokenPayloadInvalid => "PLAYBACK_TOKEN_PAYLOAD_INVALID",
        /// The token is for another camera or tenant.
        PlaybackTokenScopeMismatch => "PLAYBACK_TOKEN_SCOPE_MISMATCH",
        /// The stream session is over.
        PlaybackSessionClosed => "PLAYBACK_SESSION_CLOSED",
        /// There is no such stream.
        PlaybackStreamNotFound => "PLAYBACK_STREAM_NOT_FOUND",
        /// The stream has nothing to play yet.
        PlaybackStreamNotReady => "PLAYBACK_STREAM_NOT_READY",
        /// The stream was ended.
        PlaybackStreamStopped => "PLAYBACK_STREAM_STOPPED",
        /// The playlist can't be waited for as it was asked for: a number is none, or is far ahead.
        PlaybackReloadInvalid => "PLAYBACK_RELOAD_INVALID",
        /// The viewer waits with more requests at once than a player has.
        PlaybackWaitLimitReached => "PLAYBACK_WAIT_LIMIT_REACHED",
        /// There is no such playlist.
        PlaybackManifestNotFound => "PLAYBACK_MANIFEST_NOT_FOUND",
        /// There is no such segment, or not any more.
        PlaybackSegmentNotFound => "PLAYBACK_SEGMENT_NOT_FOUND",
        /// The requested range is beyond the end of the file.
        RangeNotSatisfiable => "RANGE_NOT_SATISFIABLE",

        /// The tenant has no such camera.
        CameraNotFound => "CAMERA_NOT_FOUND",
        /// The tenant has as many cameras as it may.
        CameraLimitReached => "CAMERA_LIMIT_REACHED",
        /// The address of a camera is no RTSP address that can be used.
        CameraSourceInvalid => "CAMERA_SOURCE_INVALID",
        /// The address of a camera leads to a network that is not allowed.
        CameraSourceRefused => "CAMERA_SOURCE_REFUSED",
        /// The tenant has as many active streams as it may.
        StreamLimitReached => "STREAM_LIMIT_REACHED",
        /// The tenant may have no streams.
        StreamNotEntitled => "STREAM_NOT_ENTITLED",
        /// The session may not be watched live by people who are not in it.
        LiveViewingOff => "LIVE_VIEWING_OFF",
        /// The camera sends a codec that a room can't show.
        CameraCodecUnsupported => "CAMERA_CODEC_UNSUPPORTED",
        /// The camera sends B-frames, which a room can't show.
        CameraBframesUnsupported => "CAMERA_BFRAMES_UNSUPPORTED",
        /// No such stream.
        StreamNotFound => "STREAM_NOT_FOUND",
        /// The camera has an active stream.
        StreamAlreadyActive => "STREAM_ALREADY_ACTIVE",
        /// No such stream session.
        StreamSessionNotFound => "STREAM_SESSION_NOT_FOUND",
        /// The session is not in a state from which this leads on.
        SessionTransitionInvalid => "SESSION_TRANSITION_INVALID",
        /// The tenant has as many open capture sessions as it may.
        CaptureLimitReached => "CAPTURE_LIMIT_REACHED",
        /// No such capture session.
        CaptureSessionNotFound => "CAPTURE_SESSION_NOT_FOUND",
        /// The capture session is known with other contents, or closed already.
        CaptureSessionConflict => "CAPTURE_SESSION_CONFLICT",
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
