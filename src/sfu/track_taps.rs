//! Tapping the tracks of a session, as recordings, transcripts and viewers outside do. Tests have a
//! stand-in for it.

use async_trait::async_trait;

use crate::domain::id::{SessionKey, TrackId};
use crate::sfu::tap::TapSink;
use crate::sfu::{Sfu, SfuError};

/// Where tracks are tapped.
#[async_trait]
pub trait SessionTaps: Send + Sync {
    /// As [`Sfu::tap`].
    async fn tap(&self, key: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError>;

    /// As [`Sfu::untap`].
    async fn untap(&self, key: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError>;
}

#[async_trait]
impl SessionTaps for Sfu {
    async fn tap(&self, key: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError> {
        Self::tap(self, key.session, track, sink).await
    }

    async fn untap(&self, key: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError> {
        Self::untap(self, key.session, track, sink).await
    }
}
