//! Whether stream sessions are still active, and until when.

use std::time::Duration;

use crate::cameras::error::CameraError;
use crate::cameras::gateway::Gateway;
use crate::clock::UseTime;
use crate::domain::camera::StreamSessionStatus;
use crate::domain::id::{StreamSessionId, TenantId};

impl Gateway {
    /// The time by which stream sessions run out.
    pub(in crate::cameras) fn use_time(&self) -> UseTime {
        self.0.parts.uses.read()
    }

    /// When a session ends that is active, by the time since the start of the machine; nothing when it is not
    /// active. With `touch` that it is used is noted, so that it does not run out. `ends_at` is what this
    /// was found to be before: the stored times are by a clock that may have been set since.
    pub(in crate::cameras) async fn use_session(
        &self,
        (tenant, session): (TenantId, StreamSessionId),
        ends_at: Option<Duration>,
        (touch, time): (bool, UseTime),
    ) -> Result<Option<Duration>, CameraError> {
        let (lifetimes, sessions) = (self.0.options.lifetimes, &self.0.parts.sessions);
        let found = sessions.session(tenant, session).await?;
        let found = found.ok_or(CameraError::SessionNotFound)?;
        if found.status != StreamSessionStatus::Active || found.due_at <= time.judged {
            return Ok(None);
        }
        let ends_at = ends_at.unwrap_or_else(|| {
            let activated_at = found.activated_at.unwrap_or(found.requested_at);
            time.counted + lifetimes.absolute.saturating_sub(time.judged.since(activated_at))
        });
        let left = ends_at.saturating_sub(time.counted).min(lifetimes.idle);
        if left.is_zero() {
            return Ok(None);
        }
        let noted = (time.now, time.now.after(left));
        let is_active =
            !touch || sessions.touch_session(tenant, session, time.judged, noted).await?;
        Ok(is_active.then_some(ends_at))
    }
}
