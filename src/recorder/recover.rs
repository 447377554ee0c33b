//! Takes over what earlier processes left in the spool and the repository.

use std::sync::Arc;

use crate::recorder::core::Core;
use crate::recorder::ports::RecorderError;
use crate::recorder::spool::{ItemKind, Place};
use crate::recorder::upload::{Upload, blocking};

impl Core {
    /// Starts an upload for each track that has no end yet or has something in
    /// the spool.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<(), RecorderError> {
        let places =
            blocking(self, |core| core.spool.recover()).await.map_err(RecorderError::Spool)?;
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

    /// Removes what the spool has of a track whose key was never kept: it can't
    /// have a segment, since segments get their names after that.
    async fn forget(self: &Arc<Self>, place: Place) -> Result<(), RecorderError> {
        let forgotten = blocking(self, move |core| {
            let items = core.spool.items(&place, usize::MAX)?;
            if items.iter().any(|item| matches!(item.kind, ItemKind::Segment { .. })) {
                return Ok(false);
            }
            items.iter().try_for_each(|item| core.spool.remove(&place, item))?;
            core.spool.remove_track(&place);
            Ok(true)
        });
        if !forgotten.await.map_err(RecorderError::Spool)? {
            let text = "the spool has segments of a track that is not in the database";
            tracing::error!(track = %place.recorded, "{text}");
            self.parts.log.failed(place.tenant, place.session, text.to_owned()).await;
        }
        Ok(())
    }
}
