//! What is known of the tracks of the rooms that are open: who is chosen in each.

use std::collections::BTreeMap;

use crate::domain::id::{SessionKey, TrackId};
use crate::domain::media::Codec;
use crate::live::engine::Chosen;
use crate::room::engine::Featured;

#[derive(Debug, Default)]
struct Room {
    codecs: BTreeMap<TrackId, Codec>,
    featured: Featured,
}

/// The rooms that have tracks.
#[derive(Debug, Default)]
pub(super) struct KnownRooms(BTreeMap<SessionKey, Room>);

impl KnownRooms {
    /// A track was published, or has another codec than was told before.
    pub(super) fn handle_track(&mut self, key: SessionKey, track: TrackId, codec: Codec) {
        self.0.entry(key).or_default().codecs.insert(track, codec);
    }

    /// A track has ended.
    pub(super) fn handle_track_end(&mut self, key: SessionKey, track: TrackId) {
        if let Some(room) = self.0.get_mut(&key) {
            room.codecs.remove(&track);
        }
        self.forget_if_empty(key);
    }

    /// Others are featured.
    pub(super) fn handle_featured(&mut self, key: SessionKey, featured: Featured) {
        self.0.entry(key).or_default().featured = featured;
        self.forget_if_empty(key);
    }

    /// Who is featured is kept without a track: whoever publishes anew is featured by the new tracks
    /// before the room tells that the old ones ended.
    fn forget_if_empty(&mut self, key: SessionKey) {
        let is_empty = |room: &Room| room.codecs.is_empty() && room.featured == Featured::default();
        if self.0.get(&key).is_some_and(is_empty) {
            self.0.remove(&key);
        }
    }

    /// A session is over.
    pub(super) fn forget(&mut self, key: SessionKey) {
        self.0.remove(&key);
    }

    /// Who is chosen in a room. A track that is not known is nobody's.
    pub(super) fn chosen(&self, key: SessionKey) -> Chosen {
        let Some(Room { codecs, featured }) = self.0.get(&key) else { return Chosen::default() };
        let of = |track: Option<TrackId>| {
            track.and_then(|track| codecs.get(&track).map(|codec| (track, *codec)))
        };
        let sound = of(featured.audio).filter(|(_, codec)| *codec == Codec::Opus);
        Chosen { sound: sound.map(|(track, _)| track), pictures: of(featured.video) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{SessionId, TenantId};

    #[test]
    fn the_only_person_who_publishes_anew_stays_chosen() {
        let key = SessionKey::new(TenantId::generate(), SessionId::generate());
        let (old, new) = (TrackId::generate(), TrackId::generate());
        let mut rooms = KnownRooms::default();
        rooms.handle_featured(key, Featured { audio: Some(old), video: None });
        rooms.handle_track(key, old, Codec::Opus);
        rooms.handle_featured(key, Featured { audio: Some(new), video: None });
        rooms.handle_track_end(key, old);
        rooms.handle_track(key, new, Codec::Opus);
        assert_eq!(rooms.chosen(key).sound, Some(new));
    }

    #[test]
    fn whoever_is_featured_is_chosen_as_long_as_their_track_is_there() {
        let key = SessionKey::new(TenantId::generate(), SessionId::generate());
        let (sound, screen) = (TrackId::generate(), TrackId::generate());
        let mut rooms = KnownRooms::default();
        // The room tells who is featured before it tells of the tracks.
        rooms.handle_featured(key, Featured { audio: Some(sound), video: Some(screen) });
        assert_eq!(rooms.chosen(key), Chosen::default());
        rooms.handle_track(key, sound, Codec::Opus);
        rooms.handle_track(key, screen, Codec::Vp8);
        let both = Chosen { sound: Some(sound), pictures: Some((screen, Codec::Vp8)) };
        assert_eq!(rooms.chosen(key), both);
        rooms.handle_track(key, screen, Codec::H264);
        assert_eq!(rooms.chosen(key).pictures, Some((screen, Codec::H264)));
        // A camera of the hall may send sound that no file of ours holds.
        rooms.handle_track(key, sound, Codec::Pcma);
        assert_eq!(rooms.chosen(key).sound, None);
        rooms.handle_track_end(key, screen);
        assert_eq!(rooms.chosen(key).pictures, None);
        rooms.handle_track_end(key, sound);
        rooms.handle_featured(key, Featured::default());
        assert!(rooms.0.is_empty(), "a room without tracks is kept");
        rooms.handle_track(key, sound, Codec::Opus);
        rooms.forget(key);
        assert!(rooms.0.is_empty());
    }
}
