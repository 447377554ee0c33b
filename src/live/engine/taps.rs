//! Which tracks are tapped, and when a tap that the media plane refused is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::domain::backoff::Backoff;
use crate::domain::id::TrackId;
use crate::sfu::tap::{TapBatch, TapKind};

/// Wait after the first refusal, and the longest one. Raising them shows whoever is chosen later once
/// there is a place; lowering them asks a media plane that is full more often.
pub const WAIT_FIRST: Duration = Duration::from_millis(250);
/// See [`WAIT_FIRST`].
pub const WAIT_MAX: Duration = Duration::from_secs(8);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapChange {
    /// The track is to be tapped.
    Tap(TrackId),
    /// Its tap is to be ended.
    Untap(TrackId),
}

#[derive(Debug)]
struct Tapped {
    backoff: Backoff,
    /// When it is to be tapped, unless it is.
    due: Option<Instant>,
}

/// The taps of one stream.
#[derive(Debug, Default)]
pub struct Taps(BTreeMap<TrackId, Tapped>);

impl Taps {
    /// What is to be done so that these tracks are tapped, and no others.
    pub fn handle_wanted(&mut self, wanted: &BTreeSet<TrackId>, now: Instant) -> Vec<TapChange> {
        let mut changes = Vec::new();
        self.0.retain(|track, tapped| {
            let is_wanted = wanted.contains(track);
            if !is_wanted && tapped.due.is_none() {
                changes.push(TapChange::Untap(*track));
            }
            is_wanted
        });
        for track in wanted {
            let tapped = self.0.entry(*track).or_insert_with(|| Tapped {
                backoff: Backoff::new(WAIT_FIRST, WAIT_MAX),
                due: Some(now),
            });
            if tapped.due.is_some_and(|due| due <= now) {
                tapped.due = None;
                changes.push(TapChange::Tap(*track));
            }
        }
        changes
    }

    /// What the taps tell. One that ends while it is wanted was refused, unless its track is over,
    /// which the room tells. `drawn` is a uniform random byte.
    pub fn handle_batch(&mut self, batch: &TapBatch, drawn: u8, now: Instant) {
        for item in batch.items() {
            if item.kind == TapKind::Ended {
                self.handle_refused(item.track, drawn, now);
            } else if let Some(tapped) = self.0.get_mut(&item.track) {
                tapped.backoff.reset();
            }
        }
    }

    /// A track could not be tapped.
    pub fn handle_refused(&mut self, track: TrackId, drawn: u8, now: Instant) {
        if let Some(tapped) = self.0.get_mut(&track)
            && tapped.due.is_none()
        {
            tapped.due = Some(now + tapped.backoff.next(drawn));
        }
    }

    /// When [`Self::handle_wanted`] has something to do even if the same tracks are wanted.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.0.values().filter_map(|tapped| tapped.due).min()
    }
}
