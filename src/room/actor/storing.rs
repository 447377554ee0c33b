//! What a room decides is stored in its repository before anybody is told.

use crate::domain::store_error::StoreError;
use crate::room::actor::RoomParts;
use crate::room::actor::{RoomActor, STORE_RETRY};
use crate::room::repository::{StoredChange, ToldEvent};

/// How often a room asks, each time after [`STORE_RETRY`], whether the repository
/// has stored what it was given before the database went away. Then the room
/// closes, and whoever comes next reads what is stored.
const UNKNOWN_TRIES_MAX: u32 = 60;

impl RoomActor {
    /// Stores what has changed in the room and the events to be told.
    pub(super) async fn keep(&mut self) -> Result<(), StoreError> {
        let mut change = self.engine.to_store();
        change.arrival = self.arrival.take();
        let events: Vec<ToldEvent> = self
            .engine
            .told()
            .iter()
            .map(|(told, at)| ToldEvent {
                seq: told.seq,
                at: *at,
                kind: told.event.kind().to_owned(),
                payload: told.to_json(),
            })
            .collect();
        if !events.is_empty() || !change.parts.is_empty() {
            self.append(&change, &events).await?;
            self.engine.stored();
        }
        if !events.is_empty() {
            self.events_kept();
        }
        Ok(())
    }

    /// Appends to the repository. When the database went away meanwhile, it is asked
    /// whether it has stored; until it says so nothing else is decided.
    async fn append(&self, change: &StoredChange, events: &[ToldEvent]) -> Result<(), StoreError> {
        let RoomParts { key, repository, .. } = &self.parts;
        let mut outcome = repository.append(*key, change, events).await;
        for _ in 0..UNKNOWN_TRIES_MAX {
            let Err(StoreError::Unknown(_)) = outcome else { return outcome };
            tokio::time::sleep(STORE_RETRY).await;
            outcome = self.append_again(change, events).await;
        }
        outcome
    }

    /// Finds out whether an append was stored. Without events it is simply done
    /// again, which changes nothing if it was.
    async fn append_again(
        &self,
        change: &StoredChange,
        events: &[ToldEvent],
    ) -> Result<(), StoreError> {
        let RoomParts { key, repository, .. } = &self.parts;
        let Some(first) = events.first() else {
            let again = repository.append(*key, change, events).await;
            return again.map_err(|error| match error {
                StoreError::Conflict | StoreError::Fenced => error,
                // It is still not known whether the first attempt was stored.
                error => StoreError::Unknown(error.to_string()),
            });
        };
        let limit = u32::try_from(events.len() + 1).unwrap_or(u32::MAX);
        let found = repository.committed_after(*key, first.seq - 1, limit).await;
        match found {
            Err(error) => Err(StoreError::Unknown(error.to_string())),
            Ok(found) if found == events => Ok(()),
            Ok(found) if found.is_empty() => {
                Err(StoreError::Unavailable("the database lost what was given to it".to_owned()))
            }
            Ok(_) => Err(StoreError::Conflict),
        }
    }
}
