//! One file of the whole meeting.

use crate::playable::PlayableError;
use crate::playable::build::Maker;
use crate::playable::driver::{PlayablesOptions, TimelineSource};
use crate::recorder::repository::{Playable, RecordedTrack};

impl Maker {
    pub(super) async fn make_combined(
        &self,
        _timeline: &dyn TimelineSource,
        _options: &PlayablesOptions,
        _tracks: &[RecordedTrack],
        _playable: Playable,
    ) -> Result<(), PlayableError> {
        Err(PlayableError::Mixing("none".into()))
    }
}
