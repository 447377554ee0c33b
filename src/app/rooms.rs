//! Rooms as they hear of their sessions.

use async_trait::async_trait;

use crate::domain::session::Session;
use crate::room::Rooms;
use crate::sessions::{NotTold, SessionObserver};

/// Tells rooms what becomes of their sessions.
pub(super) struct RoomObserver {
    rooms: Rooms,
}

impl RoomObserver {
    pub(super) const fn new(rooms: Rooms) -> Self {
        Self { rooms }
    }
}

#[async_trait]
impl SessionObserver for RoomObserver {
    /// A room opens when somebody comes.
    async fn session_started(&self, _session: &Session) -> Result<(), NotTold> {
        Ok(())
    }

    async fn session_changed(&self, session: &Session) -> Result<(), NotTold> {
        self.rooms.session_changed(session).await;
        Ok(())
    }

    async fn session_ended(&self, session: &Session) -> Result<(), NotTold> {
        self.rooms.session_over(session.id, session.status).await;
        Ok(())
    }
}
