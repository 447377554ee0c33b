//! Starts the session service with its observers, and the outbox.

use std::sync::Arc;

use async_trait::async_trait;

use super::base::Base;
use super::foundation::Foundation;
use super::meetings::ProviderMeetings;
use super::rooms::{Beside, LiveRooms};
use super::tenants;
use crate::claims::{Claim, ClaimError, Claims};
use crate::domain::claim::Work;
use crate::domain::id::SessionKey;
use crate::domain::store_error::StoreError;
use crate::sessions::{RoomEnds, SessionService, TakenEnd};

/// The running session service.
pub(super) struct Sessions {
    pub(super) service: SessionService,
}

impl Sessions {
    pub(super) fn start(
        base: &Base,
        foundation: &Foundation,
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
        let mut service = SessionService::new(store, tenants::limits(base, services), observers);
        if base.store.serves_several() {
            service = service.ending_by(Arc::new(EndsByClaims(foundation.claims.clone())));
        }
        let service = service.making_by(Arc::new(providers.meetings.clone()));
        service.start_telling(base.clock.clone());
        Self { service }
    }

    pub(super) async fn shutdown(self) {
        self.service.shutdown().await;
    }
}

/// A room is ended by the instance that has the claim on it.
struct EndsByClaims(Claims);

#[async_trait]
impl RoomEnds for EndsByClaims {
    async fn take(&self, key: SessionKey) -> Result<Option<Box<dyn TakenEnd>>, StoreError> {
        match self.0.share(key, Work::Room).await {
            Ok(claim) if claim.holds() => Ok(Some(Box::new(EndByClaim(claim)))),
            // Whether another instance has it is known once the lease was renewed.
            Ok(_) | Err(ClaimError::Taken | ClaimError::Lost) => Ok(None),
            Err(ClaimError::Store(error)) => Err(error),
        }
    }
}

struct EndByClaim(Claim);

#[async_trait]
impl TakenEnd for EndByClaim {
    async fn release(self: Box<Self>) {
        self.0.release().await;
    }
}
