//! Streams of sessions, for viewers who are not in them.

use std::sync::Arc;

use super::base::Base;
use super::media::Media;
use crate::cameras::{Captions, WatchedSessions};
use crate::live::{Live, LiveOptions, LiveParts};
use crate::room::ports::TrackListener;
use crate::sessions::SessionObserver;

/// The streams of the sessions that are watched.
pub(super) struct LiveViewing {
    live: Live,
    captions: Option<Captions>,
}

impl LiveViewing {
    pub(super) fn start(base: &Base, media: &Media) -> Self {
        let captions = base.config.cameras.captions.then(Captions::default);
        let parts = LiveParts {
            captions: captions.clone(),
            taps: Arc::new(media.sfu.clone()),
            sessions: Arc::new(base.store.clone()),
            // Players are told the time of the machine, as with cameras.
            clock: base.wall.clone(),
        };
        Self { live: Live::new(LiveOptions::default(), parts), captions }
    }

    /// What is said in sessions, for whoever watches them or a camera; nothing when nobody may read it.
    pub(super) fn captions(&self) -> Option<Captions> {
        self.captions.clone()
    }

    /// What listens to the tracks of rooms.
    pub(super) fn listener(&self) -> Arc<dyn TrackListener> {
        Arc::new(self.live.clone())
    }

    pub(super) fn observer(&self) -> Arc<dyn SessionObserver> {
        Arc::new(self.live.clone())
    }

    /// The sessions, for whoever plays them.
    pub(super) fn watched(&self) -> Arc<dyn WatchedSessions> {
        Arc::new(self.live.clone())
    }

    pub(super) async fn shutdown(self) {
        self.live.shutdown().await;
    }
}
