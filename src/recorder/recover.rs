//! What a start takes up of earlier processes.

use std::sync::Arc;

use crate::recorder::core::Core;
use crate::recorder::ports::RecorderError;
use crate::recorder::spool::{ItemKind, Place};
use crate::recorder::upload::{Upload, blocking};

impl Core {
    /// Takes up what earlier processes left.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<(), RecorderError> {
        let core = Arc::clone(self);
        let places = blocking(move || core.spool.recover()).await.map_err(RecorderError::Spool)?;
        let repository = &self.parts.repository;
        let mut sessions = repository.unfinished().await?;
        sessions.extend(places.iter().map(|place| (place.tenant, place.session)));
        sessions.sort_unstable();
        sessions.dedup();
        let mut found = Vec::new();
        for (tenant, session) in sessions {
            let tracks = repository.tracks(tenant, session).await?;
            for track in &tracks {
                let place = Place { tenant, session, recorded: track.id };
                if track.ended_at.is_none() || places.contains(&place) {
                    found.push((place, track.clone()));
                }
            }
            for place in places.iter().filter(|it| (it.tenant, it.session) == (tenant, session)) {
                if !tracks.iter().any(|track| track.id == place.recorded) {
                    self.forget(*place).await?;
                }
            }
        }
        for (place, track) in found {
            Upload::recovered(self, place, track).spawn();
        }
        Ok(())
    }

    /// A track whose key was never kept has nothing complete.
    async fn forget(self: &Arc<Self>, place: Place) -> Result<(), RecorderError> {
        let core = Arc::clone(self);
        let forgotten = blocking(move || {
            let items = core.spool.items(&place, usize::MAX)?;
            if items.iter().any(|item| matches!(item.kind, ItemKind::Segment { .. })) {
                return Ok(false);
            }
            items.iter().try_for_each(|item| core.spool.remove(&place, item))?;
            core.spool.remove_track(&place);
            Ok(true)
        });
        if !forgotten.await.map_err(RecorderError::Spool)? {
            let text = "the spool has segments of a track that nobody knows";
            tracing::error!(track = %place.recorded, "{text}");
            self.parts.log.failed(place.tenant, place.session, text.to_owned()).await;
        }
        Ok(())
    }
}
