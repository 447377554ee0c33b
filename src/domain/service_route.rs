//! The routes that services call.

/// A route that services call, as the allow-list names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceRoute {
    /// `POST /api/v1/sessions`.
    CreateSession,
    /// `PATCH /api/v1/sessions/{id}`.
    PatchSession,
    /// `POST /api/v1/sessions/{id}/start`.
    StartSession,
    /// `POST /api/v1/sessions/{id}/cancel`.
    CancelSession,
    /// `POST /api/v1/sessions/{id}/end`.
    EndSession,
    /// `/gateway` and `/api/streams`: provisioning of cameras, streams, stream sessions, health.
    CameraGateway,
    /// `/store`: capture sessions of edge devices.
    CaptureSessions,
    /// `GET /api/v1/events`.
    ReadEvents,
}

impl ServiceRoute {
    /// Every route, in order.
    pub const ALL: &'static [Self] = &[
        Self::CreateSession,
        Self::PatchSession,
        Self::StartSession,
        Self::CancelSession,
        Self::EndSession,
        Self::CameraGateway,
        Self::CaptureSessions,
        Self::ReadEvents,
    ];

    /// Its name in allow-lists.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::CreateSession => "create_session",
            Self::PatchSession => "patch_session",
            Self::StartSession => "start_session",
            Self::CancelSession => "cancel_session",
            Self::EndSession => "end_session",
            Self::CameraGateway => "camera_gateway",
            Self::CaptureSessions => "capture_sessions",
            Self::ReadEvents => "read_events",
        }
    }
}
