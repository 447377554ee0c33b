//! Streams of sessions, for viewers who are not in them.

use std::sync::Arc;

use super::base::Base;
use super::media::Media;
use crate::cameras::WatchedSessions;
use crate::live::{Live, LiveOptions, LiveParts};
use crate::room::ports::TrackListener;
use crate::sessions::SessionObserver;

/// The streams of the sessions that are watched.
pub(super) struct LiveViewing(Live);

impl LiveViewing {
    pub(super) fn start(base: &Base, media: &Media) -> Self {
        let parts = LiveParts {
            taps: Arc::new(media.sfu.clone()),
            sessions: Arc::new(base.store.clone()),
            // Players are told the time of the machine, as with cameras.
            clock: base.wall.clone(),
        };
        Self(Live::new(LiveOptions::default(), parts))
    }

    /// What listens to the tracks of rooms.
    pub(super) fn listener(&self) -> Arc<dyn TrackListener> {
        Arc::new(self.0.clone())
    }

    pub(super) fn observer(&self) -> Arc<dyn SessionObserver> {
        Arc::new(self.0.clone())
    }

    /// The sessions, for whoever plays them.
    pub(super) fn watched(&self) -> Arc<dyn WatchedSessions> {
        Arc::new(self.0.clone())
    }

    pub(super) async fn shutdown(self) {
        self.0.shutdown().await;
    }
}
