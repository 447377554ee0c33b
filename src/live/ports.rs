//! What streams of sessions need of elsewhere.

use async_trait::async_trait;

use crate::domain::id::{SessionKey, TrackId};
use crate::domain::session::Session;
use crate::domain::store_error::StoreError;
use crate::sessions::SessionRepository;
use crate::sfu::tap::TapSink;
use crate::sfu::{Sfu, SfuError};

/// Where tracks are tapped.
#[async_trait]
pub trait Taps: Send + Sync {
    /// As [`Sfu::tap`].
    async fn tap(&self, key: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError>;

    /// As [`Sfu::untap`].
    async fn untap(&self, key: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError>;
}

#[async_trait]
impl Taps for Sfu {
    async fn tap(&self, key: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError> {
        Self::tap(self, key.session, track, sink).await
    }

    async fn untap(&self, key: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError> {
        Self::untap(self, key.session, track, sink).await
    }
}

/// The sessions that there are.
#[async_trait]
pub trait KnownSessions: Send + Sync {
    /// The session; `None` when this tenant has none with this id.
    async fn known(&self, key: SessionKey) -> Result<Option<Session>, StoreError>;
}

#[async_trait]
impl<R: SessionRepository> KnownSessions for R {
    async fn known(&self, key: SessionKey) -> Result<Option<Session>, StoreError> {
        self.find(key).await
    }
}
