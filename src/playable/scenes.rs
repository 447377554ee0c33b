//! Divides the meeting into scenes: intervals in which the layout of the combined picture does not
//! change. No I/O; the same meeting always gives the same scenes.

use std::collections::BTreeSet;

use crate::domain::id::UserId;
use crate::domain::media::{MediaKind, TrackSource};

/// Scenes begin and end at multiples of this many milliseconds: 16 pictures at 25 per second and 30
/// AAC frames at 48 kHz, so that encoded scenes join without a gap.
pub(super) const GRID_MS: u64 = 640;
/// Longest scene, in steps of the grid: half a minute.
const SCENE_STEPS_MAX: u64 = 47;
/// Most pictures shown in a grid.
const GRID_PICTURES_MAX: usize = 9;

/// A turn: a person had the floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorTurn {
    /// The person.
    pub user: UserId,
    /// Their name, as it is drawn on the picture.
    pub name: String,
    /// Begin, in milliseconds since 1970.
    pub from_ms: u64,
    /// End, in milliseconds since 1970.
    pub to_ms: u64,
}

/// Who was heard from a moment on, until the next entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The moment, in milliseconds since 1970.
    pub at_ms: u64,
    /// Loudest first; empty when nobody was heard.
    pub users: Vec<UserId>,
}

/// The events of a meeting that the combined picture shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeetingTimeline {
    /// Turns, including those that interpose another; of overlapping turns the one that began last
    /// is shown.
    pub turns: Vec<FloorTurn>,
    /// Who was heard, in order of time.
    pub speakers: Vec<Heard>,
}

/// A track that can be shown or heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SceneTrack {
    pub user: UserId,
    pub source: TrackSource,
    /// Intervals in which it was present, in milliseconds since 1970, in order.
    pub present: Vec<(u64, u64)>,
}

impl SceneTrack {
    /// Limits its presence to what its file contains, in milliseconds since 1970.
    pub(super) fn keep_within(&mut self, from_ms: u64, to_ms: u64) {
        for (from, to) in &mut self.present {
            (*from, *to) = ((*from).max(from_ms), (*to).min(to_ms));
        }
        self.present.retain(|(from, to)| from < to);
    }
}

/// A layout. Tracks are given by their position in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// These tracks side by side; an empty picture when there are none.
    Grid(Vec<usize>),
    /// One track fills the picture, another is small in its corner.
    Speaker { main: usize, small: Option<usize> },
}

impl View {
    /// The layout when some tracks can't be shown.
    pub(super) fn without(&self, hidden: &[usize]) -> Self {
        let is_shown = |place: &usize| !hidden.contains(place);
        match self {
            Self::Grid(places) => Self::Grid(places.iter().copied().filter(is_shown).collect()),
            Self::Speaker { main, small } => {
                let mut left = [Some(*main), *small].into_iter().flatten().filter(is_shown);
                left.next().map_or(Self::Grid(Vec::new()), |main| Self::Speaker {
                    main,
                    small: left.next(),
                })
            }
        }
    }
}

/// An interval with one layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scene {
    /// Begin, in steps of the grid after the beginning of the meeting.
    pub from: u64,
    /// End, in steps of the grid; after `from`.
    pub to: u64,
    pub view: View,
    /// Name of the person who has the floor.
    pub name: Option<String>,
    /// Tracks that are heard.
    pub sound: Vec<usize>,
}

/// The scenes from `zero_ms` to `end_ms`, without a gap between them; the last one ends on the grid
/// at or after `end_ms`.
pub(super) fn scenes(
    tracks: &[SceneTrack],
    timeline: &MeetingTimeline,
    zero_ms: u64,
    end_ms: u64,
) -> Vec<Scene> {
    let end = end_ms.saturating_sub(zero_ms).div_ceil(GRID_MS);
    let step = |ms: u64| ((ms.saturating_sub(zero_ms) + GRID_MS / 2) / GRID_MS).min(end);
    let mut cuts = BTreeSet::from([0, end]);
    for track in tracks.iter().filter(|track| track.source.kind() == MediaKind::Video) {
        cuts.extend(track.present.iter().flat_map(|(from, to)| [step(*from), step(*to)]));
    }
    cuts.extend(timeline.turns.iter().flat_map(|turn| [step(turn.from_ms), step(turn.to_ms)]));
    cuts.extend(timeline.speakers.iter().map(|heard| step(heard.at_ms)));
    let cuts: Vec<u64> = cuts.into_iter().collect();
    let mut scenes: Vec<Scene> = Vec::new();
    for (&from, &to) in cuts.iter().zip(cuts.iter().skip(1)) {
        let middle_ms = zero_ms + (from + to) * GRID_MS / 2;
        let (view, name) = view(tracks, timeline, middle_ms);
        match scenes.last_mut() {
            Some(last) if last.view == view && last.name == name => last.to = to,
            _ => scenes.push(Scene { from, to, view, name, sound: Vec::new() }),
        }
    }
    let mut scenes: Vec<Scene> = scenes.into_iter().flat_map(in_pieces).collect();
    for scene in &mut scenes {
        let (from_ms, to_ms) = (zero_ms + scene.from * GRID_MS, zero_ms + scene.to * GRID_MS);
        let is_heard = |(_, track): &(usize, &SceneTrack)| {
            track.source.kind() == MediaKind::Audio
                && track.present.iter().any(|(from, to)| *from < to_ms && *to >= from_ms)
        };
        scene.sound = tracks.iter().enumerate().filter(is_heard).map(|(place, _)| place).collect();
    }
    scenes
}

fn in_pieces(scene: Scene) -> impl Iterator<Item = Scene> {
    let starts = (scene.from..scene.to).step_by(usize::try_from(SCENE_STEPS_MAX).unwrap_or(1));
    starts.map(move |from| {
        let to = (from + SCENE_STEPS_MAX).min(scene.to);
        Scene { from, to, ..scene.clone() }
    })
}

fn view(tracks: &[SceneTrack], timeline: &MeetingTimeline, at_ms: u64) -> (View, Option<String>) {
    let is_there = |track: &SceneTrack| {
        let after = track.present.partition_point(|(from, _)| *from <= at_ms);
        after.checked_sub(1).and_then(|at| track.present.get(at)).is_some_and(|p| at_ms < p.1)
    };
    let shown = |source: TrackSource| {
        let fits =
            move |(_, track): &(usize, &SceneTrack)| track.source == source && is_there(track);
        tracks.iter().enumerate().filter(fits)
    };
    let runs = |turn: &&FloorTurn| turn.from_ms <= at_ms && at_ms < turn.to_ms;
    let turn = timeline.turns.iter().filter(runs).max_by_key(|turn| turn.from_ms);
    let after = timeline.speakers.partition_point(|heard| heard.at_ms <= at_ms);
    let heard = after.checked_sub(1).and_then(|at| timeline.speakers.get(at));
    let heard = heard.map_or(&[][..], |heard| heard.users.as_slice());
    let camera_of = |user: &UserId| {
        shown(TrackSource::Camera).find(|(_, track)| track.user == *user).map(|(place, _)| place)
    };
    let name = turn.map(|turn| turn.name.clone());
    let speaker = match turn {
        Some(turn) => camera_of(&turn.user),
        None => heard.iter().find_map(camera_of),
    };
    // The screen shared by whoever has the floor comes before other screens; among those the newest
    // is first.
    let screen = shown(TrackSource::Screen)
        .max_by_key(|(place, track)| (turn.is_some_and(|turn| turn.user == track.user), *place));
    let view = match (screen, turn, speaker) {
        (Some((main, _)), _, small) => View::Speaker { main, small },
        (None, Some(_), Some(main)) => View::Speaker { main, small: None },
        (None, Some(_), None) => View::Grid(Vec::new()),
        (None, None, _) => View::Grid(grid(shown(TrackSource::Camera), heard)),
    };
    (view, name)
}

/// Everybody in the order of the list; when there are too many, those who are heard come first.
fn grid<'tracks>(
    cameras: impl Iterator<Item = (usize, &'tracks SceneTrack)>,
    heard: &[UserId],
) -> Vec<usize> {
    let mut cameras: Vec<(usize, &SceneTrack)> = cameras.collect();
    if cameras.len() > GRID_PICTURES_MAX {
        let loudness = |user: &UserId| heard.iter().position(|heard| heard == user);
        cameras.sort_by_key(|(_, track)| loudness(&track.user).unwrap_or(usize::MAX));
        cameras.truncate(GRID_PICTURES_MAX);
    }
    let mut places: Vec<usize> = cameras.into_iter().map(|(place, _)| place).collect();
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO_MS: u64 = 1_700_000_000_000;

    fn user(name: &str) -> UserId {
        name.parse().expect("valid")
    }

    fn track(name: &str, source: TrackSource, present: &[(u64, u64)]) -> SceneTrack {
        let present =
            present.iter().map(|(from, to)| (ZERO_MS + from * 640, ZERO_MS + to * 640)).collect();
        SceneTrack { user: user(name), source, present }
    }

    fn turn(name: &str, from: u64, to: u64) -> FloorTurn {
        let (from_ms, to_ms) = (ZERO_MS + from * 640, ZERO_MS + to * 640);
        FloorTurn { user: user(name), name: name.to_uppercase(), from_ms, to_ms }
    }

    fn run(tracks: &[SceneTrack], turns: Vec<FloorTurn>, steps: u64) -> Vec<(u64, u64, View)> {
        let timeline = MeetingTimeline { turns, speakers: Vec::new() };
        let scenes = scenes(tracks, &timeline, ZERO_MS, ZERO_MS + steps * 640);
        assert!(scenes.windows(2).all(|pair| pair[0].to == pair[1].from), "{scenes:?}");
        scenes.into_iter().map(|scene| (scene.from, scene.to, scene.view)).collect()
    }

    #[test]
    fn who_has_the_floor_fills_the_picture() {
        let tracks = [
            track("ana", TrackSource::Camera, &[(0, 40)]),
            track("bea", TrackSource::Camera, &[(0, 40)]),
        ];
        let speaker = |main| View::Speaker { main, small: None };
        // An interposed question, after which the first turn continues.
        let turns = vec![turn("ana", 5, 30), turn("bea", 10, 15)];
        let wanted = [
            (0, 5, View::Grid(vec![0, 1])),
            (5, 10, speaker(0)),
            (10, 15, speaker(1)),
            (15, 30, speaker(0)),
            (30, 40, View::Grid(vec![0, 1])),
        ];
        assert_eq!(run(&tracks, turns, 40), wanted);
    }

    #[test]
    fn a_screen_is_large_and_who_speaks_is_small() {
        let tracks = [
            track("ana", TrackSource::Camera, &[(0, 20)]),
            track("ana", TrackSource::Screen, &[(5, 10)]),
        ];
        let wanted = [
            (0, 5, View::Speaker { main: 0, small: None }),
            (5, 10, View::Speaker { main: 1, small: Some(0) }),
            (10, 20, View::Speaker { main: 0, small: None }),
        ];
        assert_eq!(run(&tracks, vec![turn("ana", 0, 20)], 20), wanted);
    }

    #[test]
    fn a_speaker_without_a_camera_has_a_name_only() {
        let tracks = [track("ana", TrackSource::Camera, &[(0, 20)])];
        let timeline = MeetingTimeline { turns: vec![turn("bea", 0, 20)], speakers: Vec::new() };
        let scenes = scenes(&tracks, &timeline, ZERO_MS, ZERO_MS + 20 * 640);
        assert_eq!(scenes.len(), 1);
        assert_eq!(scenes[0].view, View::Grid(Vec::new()));
        assert_eq!(scenes[0].name.as_deref(), Some("BEA"));
    }

    #[test]
    fn long_scenes_are_cut_and_sound_is_where_it_is() {
        let tracks = [
            track("ana", TrackSource::Camera, &[(0, 100)]),
            track("ana", TrackSource::Microphone, &[(0, 10), (60, 70)]),
            track("bea", TrackSource::ScreenAudio, &[(95, 99)]),
        ];
        let scenes = scenes(&tracks, &MeetingTimeline::default(), ZERO_MS, ZERO_MS + 100 * 640);
        let sound: Vec<_> =
            scenes.iter().map(|scene| (scene.from, scene.to, scene.sound.clone())).collect();
        assert_eq!(sound, [(0, 47, vec![1]), (47, 94, vec![1]), (94, 100, vec![2])]);
    }

    #[test]
    fn a_layout_does_without_tracks_that_can_not_be_shown() {
        let both = View::Speaker { main: 3, small: Some(5) };
        assert_eq!(both.without(&[]), both);
        assert_eq!(both.without(&[5]), View::Speaker { main: 3, small: None });
        assert_eq!(both.without(&[3]), View::Speaker { main: 5, small: None });
        assert_eq!(both.without(&[3, 5]), View::Grid(Vec::new()));
        assert_eq!(View::Grid(vec![1, 2, 4]).without(&[2]), View::Grid(vec![1, 4]));
    }

    #[test]
    fn a_large_grid_shows_who_is_heard() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        let tracks: Vec<_> =
            names.iter().map(|name| track(name, TrackSource::Camera, &[(0, 10)])).collect();
        let speakers = vec![Heard { at_ms: ZERO_MS, users: vec![user("k"), user("j")] }];
        let timeline = MeetingTimeline { turns: Vec::new(), speakers };
        let scenes = scenes(&tracks, &timeline, ZERO_MS, ZERO_MS + 6_400);
        assert_eq!(scenes[0].view, View::Grid(vec![0, 1, 2, 3, 4, 5, 6, 9, 10]));
    }
}
