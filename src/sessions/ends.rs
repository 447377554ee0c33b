//! Which instance tells of the end of a session: the one that has its room open, and any when none
//! has.

use async_trait::async_trait;

use crate::domain::id::SessionKey;
use crate::domain::store_error::StoreError;

/// Decides between instances which of them ends the rooms of sessions that are over.
#[async_trait]
pub trait RoomEnds: Send + Sync {
    /// Takes it upon this instance to end a room, if it has the room or nobody has; `None` while
    /// another instance has the room or is ending it.
    async fn take(&self, key: SessionKey) -> Result<Option<Box<dyn TakenEnd>>, StoreError>;
}

/// The end of a room that this instance has taken upon itself; while this is there no other takes it.
#[async_trait]
pub trait TakenEnd: Send + Sync {
    /// Lets others take it: it was told, or could not be.
    async fn release(self: Box<Self>);
}
