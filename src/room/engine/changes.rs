#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! A decision is made, and then stored or undone.

use crate::room::engine::RoomEngine;

impl RoomEngine {
    /// Undoes everything since the last [`accept`](Self::accept) or
    /// [`stored`](Self::stored), as if it had never been asked for.
    pub fn undo(&mut self) {
        self.moderation.undo();
        self.chair.undo();
        self.clock_ahead_ms.undo();
        self.floor.undo();
        self.attendance.undo();
        self.quorum_told.undo();
        self.notes.truncate(self.notes_accepted);
        self.members.undo();
        self.connections.undo();
        self.muted.undo();
        self.pictures_stopped.undo();
        self.removed.undo();
        self.languages.undo();
        self.tracks.undo();
        self.votes.undo();
        self.index.undo();
        self.voices.undo();
        self.recording.undo();
        self.acknowledged.undo();
        self.passing.undo();
        self.last_changes.undo();
        self.mutes_changed.undo();
        self.pictures_changed.undo();
        self.queue_told.undo();
        self.undoable.undo();
        let untold = self.told.split_off(self.told_accepted);
        self.seq -= untold.len() as u64;
        self.gates.clear();
        self.goodbyes.clear();
        self.track_changes.clear();
    }

    /// Everything since stands, although it could not be stored: it has happened.
    /// It is stored with the next decision.
    pub fn accept(&mut self) {
        self.moderation.accept();
        self.chair.accept();
        self.clock_ahead_ms.accept();
        self.floor.accept();
        self.attendance.accept();
        self.quorum_told.accept();
        self.notes_accepted = self.notes.len();
        self.members.accept();
        self.connections.accept();
        self.muted.accept();
        self.pictures_stopped.accept();
        self.removed.accept();
        self.languages.accept();
        self.tracks.accept();
        self.votes.accept();
        self.index.stored();
        self.voices.stored();
        self.recording.accept();
        self.acknowledged.accept();
        self.passing.stored();
        self.last_changes.stored();
        self.mutes_changed.stored();
        self.pictures_changed.stored();
        self.queue_told.stored();
        self.undoable.stored();
        self.told_accepted = self.told.len();
    }

    /// What [`to_store`](Self::to_store) yielded is stored, and stands.
    pub fn stored(&mut self) {
        self.moderation.stored();
        self.chair.stored();
        self.clock_ahead_ms.stored();
        self.floor.stored();
        self.attendance.stored();
        self.quorum_told.stored();
        self.members.stored();
        self.connections.stored();
        self.muted.stored();
        self.pictures_stopped.stored();
        self.removed.stored();
        self.languages.stored();
        self.tracks.stored();
        self.votes.stored();
        self.index.stored();
        self.voices.stored();
        self.recording.stored();
        self.acknowledged.stored();
        self.passing.stored();
        self.last_changes.stored();
        self.mutes_changed.stored();
        self.pictures_changed.stored();
        self.queue_told.stored();
        self.undoable.stored();
        self.told_accepted = self.told.len();
        self.is_stored = true;
    }
}
