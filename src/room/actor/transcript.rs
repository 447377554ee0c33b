//! Speech that has become text, and corrections of it.

use std::sync::Arc;

use crate::domain::id::UserId;
use crate::domain::language::LanguageTag;
use crate::domain::time::Timestamp;
use crate::domain::transcript::{Transcribed, TranscriptChunk};
use crate::room::actor::{RoomActor, RoomParts};
use crate::room::error::RoomError;
use crate::room::member::Outbound;
use crate::room::metrics;

/// The `type` of the events that can be corrected.
const CHUNK: &str = "transcript_chunk";

impl RoomActor {
    pub(super) async fn handle_transcribed(&mut self, said: Transcribed) -> Result<(), RoomError> {
        let spoken_until = match &said {
            Transcribed::Chunk(chunk) => Some(chunk.to),
            Transcribed::Gap(_) => None,
        };
        let is_text = self.decide(|engine, now| engine.handle_transcribed(said, now)).await?;
        if let Some(until) = spoken_until.filter(|_| is_text) {
            self.count_chunk(until);
        }
        Ok(())
    }

    /// Shows members what whoever has the floor is saying. It is told at once and stored nowhere.
    pub(super) fn handle_so_far(&mut self, chunk: &TranscriptChunk) {
        let now = self.parts.clock.now();
        if let Some(view) = self.engine.spoken_so_far(chunk, now) {
            self.offer_ready(&Outbound::SpokenSoFar(Arc::new(view)));
        }
    }

    fn count_chunk(&self, spoken_until: Timestamp) {
        metrics::chunk_told(self.parts.clock.now().since(spoken_until));
    }

    /// Takes the correction of a moderator who is not connected. Returns its `seq`.
    pub(super) async fn handle_correction(
        &mut self,
        by: UserId,
        of: u64,
        text: String,
    ) -> Result<u64, RoomError> {
        self.check_chunk(of).await?;
        self.decide(|engine, now| engine.handle_correction(&by, of, &text, now)).await
    }

    /// Whether people can say that they speak this language.
    pub(super) fn check_language(&self, language: &LanguageTag) -> Result<(), RoomError> {
        let known = self.parts.ports.transcription.languages(self.parts.key.tenant);
        let is_known = known.is_some_and(|known| known.iter().any(|it| it.agrees_with(language)));
        if is_known { Ok(()) } else { Err(RoomError::LanguageUnsupported) }
    }

    /// Whether the event with this number is a text.
    pub(super) async fn check_chunk(&mut self, of: u64) -> Result<(), RoomError> {
        let before = of.checked_sub(1).ok_or(RoomError::ChunkNotFound)?;
        let RoomParts { key, repository, .. } = &self.parts;
        let found = repository.events_after(*key, before, 1).await;
        let found = match found {
            Ok(found) => found,
            Err(error) => return Err(self.storing_failed(&error)),
        };
        let is_chunk = found.first().is_some_and(|event| event.seq == of && event.kind == CHUNK);
        if is_chunk { Ok(()) } else { Err(RoomError::ChunkNotFound) }
    }
}
