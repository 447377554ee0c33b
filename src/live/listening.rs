//! What rooms and sessions tell the streams of sessions.

use async_trait::async_trait;

use crate::cameras::Words;
use crate::domain::id::{SessionKey, TrackId};
use crate::domain::participant::ParticipantKind;
use crate::domain::recording::RecordingState;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::live::Live;
use crate::room::engine::Featured;
use crate::room::event::{Event, TranscriptChunkView};
use crate::room::ports::{RoomTrack, TrackListener};
use crate::sessions::{NotTold, SessionObserver};

#[async_trait]
impl TrackListener for Live {
    /// It is no participant: members are told by the policy of the session that it may be watched.
    fn kind(&self) -> Option<ParticipantKind> {
        None
    }

    async fn session_told(&self, session: &Session) {
        if !session.live_viewing {
            self.end(session.key());
        }
        self.handle_session(session);
    }

    async fn text_told(&self, key: SessionKey, seq: u64, event: &Event) {
        if let Some(words) = words_of(seq, event) {
            self.handle_words(key, &words);
        }
    }

    async fn featured(&self, key: SessionKey, featured: Featured) {
        self.handle_room(key, |rooms| rooms.handle_featured(key, featured));
    }

    /// Does nothing: who may be recorded and who may be watched are decided separately.
    async fn recording_changed(&self, _key: SessionKey, _state: RecordingState) {}

    /// Does nothing: a tap tells itself when its gate is closed.
    async fn gates_decided(&self, _key: SessionKey, _decision: u64) {}

    async fn track_published(&self, key: SessionKey, track: RoomTrack) {
        self.handle_room(key, |rooms| rooms.handle_track(key, track.track, track.codec));
    }

    async fn track_unpublished(&self, key: SessionKey, track: TrackId) {
        self.handle_room(key, |rooms| rooms.handle_track_end(key, track));
    }
}

#[async_trait]
impl SessionObserver for Live {
    /// Does nothing: a stream begins when somebody watches.
    async fn session_started(&self, _session: &Session) -> Result<(), NotTold> {
        Ok(())
    }

    async fn session_changed(&self, session: &Session) -> Result<(), NotTold> {
        self.session_told(session).await;
        Ok(())
    }

    async fn session_ended(&self, session: &Session) -> Result<(), NotTold> {
        let key = session.key();
        self.handle_room(key, |rooms| rooms.forget(key));
        self.end(key);
        Ok(())
    }
}

/// What an event says of a text; nothing when it is about something else.
#[must_use]
pub fn words_of(seq: u64, event: &Event) -> Option<Words> {
    match event {
        Event::TranscriptChunk(TranscriptChunkView { text, from, to, .. }) => {
            let (from, to) = (Timestamp::parse_rfc3339(from)?, Timestamp::parse_rfc3339(to)?);
            Some(Words::Said { seq, from, to, text: text.clone() })
        }
        Event::TranscriptCorrected { of, text, .. } => {
            Some(Words::Corrected { seq: *of, text: text.clone() })
        }
        _ => None,
    }
}
