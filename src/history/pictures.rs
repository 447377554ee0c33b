//! The history of a session in the form that the combined picture needs.

use async_trait::async_trait;

use crate::domain::id::SessionKey;
use crate::domain::time::Timestamp;
use crate::history::{History, HistoryError, ItemKind, Timeline};
use crate::playable::{self, FloorTurn, MeetingTimeline, TimelineSource};

#[async_trait]
impl TimelineSource for History {
    async fn timeline(&self, key: SessionKey) -> Result<MeetingTimeline, String> {
        let line = match Self::timeline(self, key).await {
            Ok(line) => line,
            // Without a time line, the picture shows everybody who has a camera.
            Err(HistoryError::NoLog | HistoryError::Erased) => Timeline::default(),
            Err(error) => return Err(error.to_string()),
        };
        let ms = |moment: Timestamp| u64::try_from(moment.unix_ms()).unwrap_or(0);
        let turns = line.items.iter().filter(|item| item.kind == ItemKind::Turn);
        let turns = turns.filter_map(|item| {
            Some(FloorTurn {
                user: item.user.clone()?,
                name: item.name.clone().unwrap_or_default(),
                from_ms: ms(item.from),
                // A turn that was never ended lasts until the end of the recording.
                to_ms: item.to.map_or(u64::MAX, ms),
            })
        });
        let speakers = line
            .heard
            .iter()
            .map(|heard| playable::Heard { at_ms: ms(heard.at), users: heard.users.clone() });
        Ok(MeetingTimeline { turns: turns.collect(), speakers: speakers.collect() })
    }
}
