//! Starts the session service with its observers, and the outbox.

use std::sync::Arc;

use super::base::Base;
use super::meetings::ProviderMeetings;
use super::rooms::{Beside, LiveRooms};
use super::tenants;
use crate::sessions::SessionService;

/// The running session service.
pub(super) struct Sessions {
    pub(super) service: SessionService,
}

impl Sessions {
    pub(super) fn start(
        base: &Base,
        rooms: &LiveRooms,
        beside: &Beside<'_>,
        providers: &ProviderMeetings,
    ) -> Self {
        let Beside { recording, transcription, live, services } = beside;
        let store = Arc::new(base.store.clone());
        // Rooms come first: their last events must be in the log before it is closed.
        let mut observers = vec![rooms.observer(), recording.observer(), providers.observer(base)];
        observers.extend(transcription.observer());
        observers.push(live.observer());
        let service = SessionService::new(store, tenants::limits(base, services), observers);
        let service = service.making_by(Arc::new(providers.meetings.clone()));
        service.start_telling(base.clock.clone());
        Self { service }
    }

    pub(super) async fn shutdown(self) {
        self.service.shutdown().await;
    }
}
