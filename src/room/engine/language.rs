#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The languages that people speak, where these are not the language of the session. They belong
//! to the person or device and last as long as the room, through absences and restarts.

use crate::domain::id::UserId;
use crate::domain::language::LanguageTag;
use crate::domain::time::Timestamp;
use crate::room::engine::{RoomEngine, TrackChange};
use crate::room::error::RoomError;
use crate::room::event::Event;

/// Most people whose language is remembered. Beyond it those who have left are forgotten, and
/// speak the language of the session until they say otherwise. Raising it makes the room larger.
pub const LANGUAGES_MAX: usize = 10_000;

impl RoomEngine {
    /// Sets which language `target` speaks from the next piece of their speech on; `None` for
    /// that of the session.
    pub(super) fn set_language(
        &mut self,
        target: &UserId,
        language: Option<LanguageTag>,
        by: &UserId,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let before = self.languages.get(target);
        if before.is_none() || language.is_some() {
            self.check_sends(target)?;
        }
        if before == language.as_ref() {
            return Ok(());
        }
        match language.clone() {
            Some(language) => {
                if self.languages.len() >= LANGUAGES_MAX && before.is_none() {
                    self.forget_a_language();
                }
                self.languages.insert(target.clone(), language);
            }
            None => drop(self.languages.remove(target)),
        }
        for connection in self.index.connections_of(target) {
            for track in self.index.tracks_of(connection) {
                self.track_changes.push(TrackChange::Language(track, language.clone()));
            }
        }
        let (user_id, by) = (target.as_str().to_owned(), by.as_str().to_owned());
        let language = language.map(|language| language.to_string());
        self.tell(Event::LanguageChanged { user_id, language, by }, now);
        Ok(())
    }

    fn forget_a_language(&mut self) {
        let has_left = |other: &&UserId| !self.members.contains_key(*other);
        let forgotten = self.languages.keys().find(has_left).cloned();
        if let Some(forgotten) = forgotten {
            self.languages.remove(&forgotten);
        }
    }
}
