//! Takes over what earlier processes left in the spool, and what other instances
//! left in the repository.

use std::io;
use std::sync::Arc;

use crate::domain::claim::Work;
use crate::recorder::core::{Core, blocking};
use crate::recorder::engine::GapReason;
use crate::recorder::ports::RecorderError;
use crate::recorder::spool::{Item, ItemKind, Place};
use crate::recorder::upload::Upload;

impl Core {
    /// Starts an upload for each track that has something in the spool, and for
    /// what other instances left that no longer run.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<(), RecorderError> {
        self.succeed().await?;
        let places =
            blocking(self, |core| core.spool.recover()).await.map_err(RecorderError::Spool)?;
        for place in places {
            let tracks = self.parts.repository.tracks(place.key).await?;
            match tracks.into_iter().find(|track| track.id == place.recorded) {
                Some(track) => Upload::recovered(self, place, track).spawn(),
                None => self.forget(place).await?,
            }
        }
        self.take_over().await
    }

    /// Ends the claims of the process that had this spool before. It has ended,
    /// since the spool's lock was free.
    async fn succeed(self: &Arc<Self>) -> Result<(), RecorderError> {
        let before = blocking(self, |core| core.spool.last_instance()).await;
        if let Some(before) = before.map_err(RecorderError::Spool)? {
            self.parts.claims.succeed(before).await?;
        }
        let noted =
            blocking(self, |core| core.spool.note_instance(core.parts.claims.instance())).await;
        noted.map_err(RecorderError::Spool)
    }

    /// Starts an upload for each track without an end whose recorder no longer
    /// runs: those of sessions that no other instance has a claim on, and that
    /// are not this recorder's own.
    pub(super) async fn take_over(self: &Arc<Self>) -> Result<(), RecorderError> {
        let repository = &self.parts.repository;
        let sessions = repository.unfinished().await?;
        if sessions.is_empty() {
            return Ok(());
        }
        let others = self.parts.claims.taken_by_others(Work::Recording).await?;
        for key in sessions {
            if others.contains(&key.session) {
                continue;
            }
            for track in repository.tracks(key).await? {
                let place = Place { key, recorded: track.id };
                if track.ended_at.is_none() && !self.handled().contains(&track.id) {
                    Upload::recovered(self, place, track).spawn();
                }
            }
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
            self.parts.log.failed(place.key, text.to_owned()).await;
        }
        Ok(())
    }
}

/// What an earlier process left of a track.
pub(super) struct Left {
    /// When its last record came, as far as known.
    pub(super) last_ms: u64,
    /// Until when everything is a segment, a gap or a rest.
    pub(super) covered_ms: u64,
    /// Index of the segment behind those that are logged.
    pub(super) next_index: u64,
}

/// What the spool has of it, too.
pub(super) struct Found {
    left: Left,
    /// Sizes of the segments in the spool.
    pub(super) segments: Vec<u64>,
    next_number: u64,
    pub(super) is_ended: bool,
}

impl Left {
    pub(super) fn read(mut self, core: &Core, place: &Place) -> io::Result<Found> {
        let (mut segments, mut next_number, mut is_ended) = (Vec::new(), 0, false);
        for item in core.spool.items(place, usize::MAX)? {
            next_number = item.number + 1;
            match item.kind {
                ItemKind::Segment { index, ms, .. } => {
                    self.last_ms = self.last_ms.max(ms.1);
                    self.next_index = self.next_index.max(index + 1);
                    segments.push(core.spool.object(place, &item)?.0);
                }
                ItemKind::Gap { .. } | ItemKind::Rest { .. } => {}
                ItemKind::End { .. } => is_ended = true,
            }
            self.covered_ms = self.covered_ms.max(item.latest_ms());
        }
        Ok(Found { left: self, segments, next_number, is_ended })
    }
}

impl Found {
    /// The items that end the track: a gap until now, since the process was
    /// down, and the end.
    pub(super) fn end(&self, now_ms: u64) -> [Item; 2] {
        let Left { last_ms, covered_ms, next_index } = self.left;
        let ms = (covered_ms, now_ms.max(covered_ms));
        let gap = ItemKind::Gap { ms, reason: GapReason::Down.number() };
        let end = ItemKind::End { at_ms: last_ms, segments: next_index };
        let number = self.next_number;
        [Item { number, kind: gap }, Item { number: number + 1, kind: end }]
    }
}
