//! What is uploaded of a track that an earlier process recorded.

use std::sync::Arc;

use super::{Origin, Upload};
use crate::recorder::core::blocking;
use crate::recorder::recover::Left;
use crate::recorder::spool::Place;
use crate::recorder::sync::{Entry, TrackShared};

impl Upload {
    /// Finds out how far an earlier process came, and ends its track.
    pub(super) async fn recover(&mut self) {
        self.unsure = true;
        let Place { key, recorded } = self.shared.place;
        // Nobody else writes from here on; what was read before may be old.
        self.owner().await;
        let mut tries = self.tries();
        let known = loop {
            match self.core.parts.repository.tracks(key).await {
                Ok(tracks) => break tracks.into_iter().find(|track| track.id == recorded),
                Err(error) => self.wait(&mut tries, "reading a track", &error).await,
            }
        };
        let Origin::Recovered(track) = &mut self.origin else { return };
        if let Some(known) = known {
            **track = known;
        }
        let track = (**track).clone();
        let last = loop {
            match self.core.parts.repository.last_segment(key, recorded).await {
                Ok(last) => break last,
                Err(error) => self.wait(&mut tries, "reading a track", &error).await,
            }
        };
        let gaps = loop {
            match self.core.parts.repository.gaps(key).await {
                Ok(gaps) => break gaps,
                Err(error) => self.wait(&mut tries, "reading gaps", &error).await,
            }
        };
        self.next_index = last.as_ref().map_or(0, |last| last.index + 1);
        self.tail = last.as_ref().map(|last| last.sha256);
        let gaps = gaps.iter().filter(|gap| gap.track == recorded);
        let mut gaps: Vec<_> = gaps.map(|gap| (gap.from_ms, gap.to_ms)).collect();
        gaps.sort_unstable();
        let started_ms = u64::try_from(track.started_at.unix_ms()).unwrap_or(0);
        let last_ms = last.map_or(started_ms, |last| last.to_ms.max(started_ms));
        self.logged_ms = last_ms;
        for gap in gaps {
            self.cover(gap);
        }
        let found = loop {
            let (place, next_index) = (self.shared.place, self.next_index);
            let left = Left { last_ms, covered_ms: self.logged_ms, next_index };
            match blocking(&self.core, move |core| left.read(core, &place)).await {
                Ok(found) => break found,
                Err(error) => self.wait(&mut tries, "reading the spool", &error).await,
            }
        };
        for bytes in &found.segments {
            self.core.counters.spooled(*bytes);
        }
        if track.ended_at.is_none() && !found.is_ended {
            let now_ms = u64::try_from(self.core.parts.clock.now().unix_ms()).unwrap_or(0);
            let items = found.end(now_ms);
            let place = self.shared.place;
            let entries = items.map(|item| Entry::new(&self.core, &place, item)).into();
            self.shared = Arc::new(TrackShared::new(place, entries));
        }
        self.name_waiting().await;
    }
}
