//! Rooms as the REST door wants them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::api::{MediaMember, MediaRefused, WhipRoom};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::SessionId;
use crate::domain::participant::Principal;
use crate::domain::session::Session;
use crate::room::error::RoomError;
use crate::room::{MemberHandle, Rooms};
use crate::sessions::{NotTold, SessionObserver};
use crate::sfu::TransportSide;

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

/// Lets WHIP and WHEP clients into rooms.
pub(super) struct RoomDoor {
    rooms: Rooms,
}

impl RoomDoor {
    pub(super) const fn new(rooms: Rooms) -> Self {
        Self { rooms }
    }
}

impl From<RoomError> for MediaRefused {
    fn from(error: RoomError) -> Self {
        Self { code: error.code(), message: error.to_string() }
    }
}

#[async_trait]
impl WhipRoom for RoomDoor {
    async fn join(
        &self,
        principal: &Principal,
        session: SessionId,
    ) -> Result<Arc<dyn MediaMember>, MediaRefused> {
        let entered = self.rooms.enter_by_media(principal.clone(), session).await?;
        Ok(Arc::new(RoomMember { member: entered.member }))
    }
}

struct RoomMember {
    member: MemberHandle,
}

impl RoomMember {
    /// Which transport a client has is known to the media plane alone: it has
    /// only one, so the other side's refusal leads to it.
    async fn restart(
        &self,
        side: TransportSide,
        ufrag: &str,
        password: &str,
    ) -> Result<(String, String), RoomError> {
        self.member.restart_ice(side, ufrag.to_owned(), password.to_owned()).await
    }
}

#[async_trait]
impl MediaMember for RoomMember {
    async fn publish(&self, offer: String) -> Result<String, MediaRefused> {
        let answer = self.member.publish(offer, Vec::new()).await?;
        Ok(answer.sdp)
    }

    async fn play(&self, offer: String) -> Result<String, MediaRefused> {
        self.member.whep(offer).await.map_err(MediaRefused::from)
    }

    async fn restart_ice(
        &self,
        ufrag: String,
        password: String,
    ) -> Result<(String, String), MediaRefused> {
        match self.restart(TransportSide::Publish, &ufrag, &password).await {
            Err(RoomError::Media { code: ErrorCode::MediaResourceNotFound, .. }) => self
                .restart(TransportSide::Subscribe, &ufrag, &password)
                .await
                .map_err(MediaRefused::from),
            outcome => outcome.map_err(MediaRefused::from),
        }
    }

    async fn leave(&self) {
        self.member.leave().await;
    }

    async fn is_gone(&self) -> bool {
        self.member.is_gone().await
    }
}
