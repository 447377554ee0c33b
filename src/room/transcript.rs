//! The transcript as other parts reach it: through the room of the session, which is opened if
//! need be.

use crate::domain::id::{SessionKey, UserId};
use crate::domain::transcript::Transcribed;
use crate::room::Rooms;
use crate::room::error::RoomError;
use crate::room::member::Input;

impl Rooms {
    /// Speech in the room of an active session has become text, or can't. The room says whose it
    /// is and in which turn it was said, stores it and tells everybody. The same piece of speech is
    /// told once, so a call that got no answer may be repeated.
    ///
    /// # Errors
    /// The session's state as [`Self::enter`], and what the room refuses:
    /// [`RoomError::NotHeard`], [`RoomError::TooMuch`], [`RoomError::Unprocessable`].
    pub async fn transcribed(&self, key: SessionKey, said: Transcribed) -> Result<(), RoomError> {
        let room = Box::pin(self.room(key)).await?;
        room.ask(|reply| Input::Transcribed { said, reply }).await
    }

    /// A moderator, whom the door has permitted, corrects a text of an active session. Returns the
    /// `seq` of the correction.
    ///
    /// # Errors
    /// The session's state as [`Self::enter`], [`RoomError::ChunkNotFound`] and what the room
    /// refuses.
    pub async fn correct_transcript(
        &self,
        key: SessionKey,
        (by, of, text): (UserId, u64, String),
    ) -> Result<u64, RoomError> {
        let room = Box::pin(self.room_unless_elsewhere(key)).await?;
        room.ask(|reply| Input::Correct { by, of, text, reply }).await
    }
}
