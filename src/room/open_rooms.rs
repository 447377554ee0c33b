//! The rooms that are open in this process, by session. Opening a room reads the database and may
//! take long; openings of one session are serialised, and the lock of the map is never held while
//! something is awaited.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::id::{SessionId, TenantId};
use crate::room::error::RoomError;
use crate::room::member::RoomHandle;

/// A room and the tenant that its session belongs to.
#[derive(Debug, Clone)]
pub(super) struct OpenRoom {
    pub(super) tenant: TenantId,
    pub(super) handle: RoomHandle,
}

/// The entry of one session's room.
#[derive(Debug, Default)]
struct Slot {
    /// Held while the room is opened or its session is marked as over.
    opening: tokio::sync::Mutex<()>,
    room: Mutex<Option<OpenRoom>>,
}

impl Slot {
    /// The room, if it is running.
    fn room(&self) -> Option<OpenRoom> {
        let room = lock(&self.room);
        room.as_ref().filter(|room| !room.handle.inputs.is_closed()).cloned()
    }
}

#[derive(Debug, Default)]
struct Map {
    slots: BTreeMap<SessionId, Arc<Slot>>,
    /// Set when the server stops: no further room may open.
    is_closed: bool,
}

/// The open rooms; the module describes them.
#[derive(Debug, Default)]
pub(super) struct OpenRooms {
    map: Mutex<Map>,
}

impl OpenRooms {
    /// The room of a session, if it is open here. Never waits.
    pub(super) fn find(&self, session: SessionId) -> Option<OpenRoom> {
        let slot = lock(&self.map).slots.get(&session).cloned();
        slot?.room()
    }

    /// The room of a session, opened with `open` if there is none. Of several callers for one
    /// session, one opens and the others wait for it.
    ///
    /// # Errors
    /// Those of `open`, and [`RoomError::Unreachable`] when the server stops.
    pub(super) async fn find_or_open(
        &self,
        session: SessionId,
        open: impl Future<Output = Result<OpenRoom, RoomError>>,
    ) -> Result<OpenRoom, RoomError> {
        let slot = lock(&self.map).slots.entry(session).or_default().clone();
        if let Some(room) = slot.room() {
            return Ok(room);
        }
        let opened = {
            let _opening = slot.opening.lock().await;
            match slot.room() {
                Some(room) => Ok(room),
                None => open.await.and_then(|room| self.keep(&slot, room)),
            }
        };
        if opened.is_err() {
            self.discard(session, slot);
        }
        opened
    }

    /// The room of a session, if it is open here. Waits for a room that is being opened, so that it
    /// misses no change of its session after the session was read.
    pub(super) async fn find_opened(&self, session: SessionId) -> Option<OpenRoom> {
        let slot = lock(&self.map).slots.get(&session).cloned()?;
        let room = {
            let _opening = slot.opening.lock().await;
            slot.room()
        };
        self.discard(session, slot);
        room
    }

    /// Removes a session's room. Waits for a room that is being opened, so that it can be told that
    /// its session is over.
    pub(super) async fn remove(&self, session: SessionId) -> Option<OpenRoom> {
        let slot = lock(&self.map).slots.get(&session).cloned()?;
        let room = {
            let _opening = slot.opening.lock().await;
            lock(&slot.room).take()
        };
        self.discard(session, slot);
        room
    }

    /// Removes all rooms; none can be opened afterwards.
    pub(super) fn close(&self) -> Vec<OpenRoom> {
        let mut map = lock(&self.map);
        map.is_closed = true;
        std::mem::take(&mut map.slots).into_values().filter_map(|slot| slot.room()).collect()
    }

    /// The open rooms.
    pub(super) fn all(&self) -> Vec<OpenRoom> {
        lock(&self.map).slots.values().filter_map(|slot| slot.room()).collect()
    }

    /// Number of open rooms.
    pub(super) fn count(&self) -> usize {
        lock(&self.map).slots.values().filter(|slot| slot.room().is_some()).count()
    }

    /// Stores a room that was opened, unless the server has stopped meanwhile. Also removes entries
    /// whose rooms have ended.
    fn keep(&self, slot: &Slot, room: OpenRoom) -> Result<OpenRoom, RoomError> {
        let mut map = lock(&self.map);
        if map.is_closed {
            return Err(RoomError::Unreachable);
        }
        *lock(&slot.room) = Some(room.clone());
        map.slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.room().is_some());
        Ok(room)
    }

    /// Removes an empty entry that nobody else uses, so that requests for unknown sessions leave no
    /// entries.
    fn discard(&self, session: SessionId, slot: Arc<Slot>) {
        let mut map = lock(&self.map);
        drop(slot);
        let is_unused = map
            .slots
            .get(&session)
            .is_some_and(|slot| Arc::strong_count(slot) == 1 && slot.room().is_none());
        if is_unused {
            map.slots.remove(&session);
        }
    }
}

/// Locks a mutex. Code under these locks can't leave the data in an inconsistent state, so a panic
/// of another holder does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
