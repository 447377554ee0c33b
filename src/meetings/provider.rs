//! The providers behind one trait.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::id::SessionId;
use crate::domain::session::Provider;
use crate::services::{
    CallState, CreateError, GoogleMeetClient, MeetingAtProvider, ServiceError, WantedMeeting,
    ZoomClient,
};

/// A provider of meetings.
#[async_trait]
pub trait VideoProvider: Send + Sync {
    /// Makes a meeting; each call makes another one.
    async fn create(&self, wanted: &WantedMeeting) -> Result<MeetingAtProvider, CreateError>;

    /// The meeting that was made for a session by a call whose answer is not known, as
    /// far as the provider can be asked that; `None` when there is none.
    async fn find_by_session(
        &self,
        session: SessionId,
    ) -> Result<Option<MeetingAtProvider>, ServiceError>;

    /// The meeting with this name; `None` when it is gone.
    async fn find(&self, external_id: &str) -> Result<Option<MeetingAtProvider>, ServiceError>;

    /// Whether people are in it.
    async fn call_state(&self, external_id: &str) -> Result<CallState, ServiceError>;

    /// Ends its call, if there is one, and keeps people from joining it again. Nothing
    /// changes when it is closed already.
    async fn close(&self, external_id: &str) -> Result<(), ServiceError>;
}

/// The providers that are configured.
pub type VideoProviders = BTreeMap<Provider, Arc<dyn VideoProvider>>;

#[async_trait]
impl VideoProvider for GoogleMeetClient {
    async fn create(&self, _wanted: &WantedMeeting) -> Result<MeetingAtProvider, CreateError> {
        // A space has neither a title nor times.
        Self::create(self).await
    }

    async fn find_by_session(
        &self,
        _session: SessionId,
    ) -> Result<Option<MeetingAtProvider>, ServiceError> {
        // Spaces can't be listed. One of which no answer came is never used by anybody.
        Ok(None)
    }

    async fn find(&self, external_id: &str) -> Result<Option<MeetingAtProvider>, ServiceError> {
        Self::find(self, external_id).await
    }

    async fn call_state(&self, external_id: &str) -> Result<CallState, ServiceError> {
        Self::call_state(self, external_id).await
    }

    async fn close(&self, external_id: &str) -> Result<(), ServiceError> {
        // First, since whoever the end of the call throws out would come back.
        let restricted = self.restrict(external_id).await;
        // A link that can't be closed is no reason to let the call go on.
        self.end(external_id).await?;
        restricted
    }
}

#[async_trait]
impl VideoProvider for ZoomClient {
    async fn create(&self, wanted: &WantedMeeting) -> Result<MeetingAtProvider, CreateError> {
        Self::create(self, wanted).await
    }

    async fn find_by_session(
        &self,
        session: SessionId,
    ) -> Result<Option<MeetingAtProvider>, ServiceError> {
        Self::find_by_session(self, session).await
    }

    async fn find(&self, external_id: &str) -> Result<Option<MeetingAtProvider>, ServiceError> {
        Self::find(self, external_id).await
    }

    async fn call_state(&self, external_id: &str) -> Result<CallState, ServiceError> {
        Self::call_state(self, external_id).await
    }

    async fn close(&self, external_id: &str) -> Result<(), ServiceError> {
        Self::close(self, external_id).await
    }
}
