//! Cameras that the server calls, as participants.

use cabildo::domain::camera::StreamFault;
use cabildo::domain::id::{CameraId, ConnectionId};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::participant::Principal;
use cabildo::domain::role::Role;
use cabildo::domain::session::ModerationMode;
use cabildo::room::action::PeopleAction;
use cabildo::room::camera_user;
use cabildo::room::engine::{Goodbye, NewTrack};
use cabildo::room::error::RoomError;
use cabildo::room::event::{Event, ParticipantView};

use super::{Hall, user};

const CAMERA: &str = "cabildo:camera:hall-1";

impl Hall {
    fn camera(&mut self, user_id: &str) -> Result<ConnectionId, RoomError> {
        let connection = ConnectionId::generate();
        let principal =
            Principal { user_id: user(user_id), ..self.principal("hall-1", Role::Hall) };
        self.engine.handle_camera(connection, &principal, self.now)?;
        self.drain();
        Ok(connection)
    }

    fn shown_camera(&self, seen_by: ConnectionId) -> Option<ParticipantView> {
        let view = self.view(seen_by).expect("in the room");
        view.crowd.participants.iter().find(|one| one.user_id == CAMERA).cloned()
    }

    /// What was told last of the camera's pictures.
    fn last_fault(&self) -> Option<String> {
        let told = self.told.iter().rev().find_map(|(_, event)| match event {
            Event::ParticipantUpdated(view) if view.user_id == CAMERA => Some(view),
            _ => None,
        });
        told.expect("something was told").media_fault.clone()
    }
}

#[test]
fn a_camera_is_a_participant_and_nobody_else_has_its_name() {
    let id: CameraId = "hall-1".parse().expect("an id");
    assert_eq!(camera_user(&id), Some(user(CAMERA)));
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    // Everybody's places are taken.
    for name in ["a", "b", "c", "d"] {
        hall.enter(name, Role::Participant);
    }
    let posing = hall.try_enter(CAMERA, Role::Hall);
    assert_eq!(posing, Err(RoomError::Forbidden), "a token that names a camera");
    assert_eq!(hall.camera("ana"), Err(RoomError::Forbidden), "a camera that names a person");
    let camera = hall.camera(CAMERA).expect("it takes no place");
    let view = hall.shown_camera(chair).expect("it is there");
    assert_eq!(
        (view.name.as_str(), view.roles, view.connections),
        ("hall-1", vec!["camera".to_owned()], 1)
    );
    assert!(hall.seen(camera) && !hall.heard(camera), "it is a device of the hall");
    let seq = hall.engine.seq();
    for (source, codec) in
        [(TrackSource::Camera, Codec::H264), (TrackSource::Microphone, Codec::Opus)]
    {
        let track = cabildo::domain::id::TrackId::generate();
        let new = NewTrack { track, source, codec, layers: 1 };
        hall.engine.handle_feed(camera, new, hall.now);
        hall.drain();
    }
    let kinds = hall.kinds_since(seq);
    assert_eq!(kinds.iter().filter(|kind| **kind == "track_published").count(), 2, "{kinds:?}");
    let view = hall.shown_camera(chair).expect("it is there");
    assert!(view.video && view.audio && !view.muted, "{view:?}");
}

#[test]
fn a_camera_is_muted_and_removed_like_anybody_and_may_come_again() {
    let mut hall = Hall::new(ModerationMode::Open);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let camera = hall.camera(CAMERA).expect("let in");
    assert!(hall.heard(camera) && hall.seen(camera));
    let mute = || PeopleAction::Mute(user(CAMERA));
    assert_eq!(hall.act(ana, mute()), Err(RoomError::Forbidden));
    hall.act(chair, mute()).expect("muted");
    assert!(!hall.heard(camera) && hall.seen(camera));
    hall.act(chair, PeopleAction::Unmute(user(CAMERA))).expect("unmuted");
    assert!(hall.heard(camera));
    hall.publish(camera, TrackSource::Camera, Codec::H264);
    let remove = || PeopleAction::Remove(user(CAMERA));
    assert_eq!(hall.act(ana, remove()), Err(RoomError::Forbidden));
    hall.act(chair, remove()).expect("removed");
    assert_eq!(hall.goodbyes.last(), Some(&(camera, Goodbye::Removed)));
    assert_eq!(hall.shown_camera(chair), None);
    assert!(hall.told.iter().any(|(_, event)| matches!(event, Event::TrackUnpublished { .. })));
    hall.camera(CAMERA).expect("a moderator brings it in again");
    // A process that takes the room up has no camera to show.
    hall.restart();
    let chair = hall.enter("chair", Role::Moderator);
    assert_eq!(hall.shown_camera(chair), None);
}

#[test]
fn everybody_is_told_once_why_nothing_of_a_camera_comes() {
    let mut hall = Hall::new(ModerationMode::Open);
    let chair = hall.enter("chair", Role::Moderator);
    let camera = hall.camera(CAMERA).expect("let in");
    let report = |hall: &mut Hall, fault| {
        let before = hall.engine.seq();
        hall.engine.handle_fault(camera, fault, hall.now);
        hall.drain();
        hall.engine.seq() - before
    };
    assert_eq!(report(&mut hall, None), 0, "nothing new");
    assert_eq!(report(&mut hall, Some(StreamFault::UnsupportedBframes)), 1);
    assert_eq!(report(&mut hall, Some(StreamFault::UnsupportedBframes)), 0);
    assert_eq!(hall.last_fault(), Some("unsupported_bframes".to_owned()));
    let view = hall.shown_camera(chair).expect("it is there");
    assert_eq!(view.media_fault.as_deref(), Some("unsupported_bframes"));
    assert_eq!(report(&mut hall, None), 1);
    assert_eq!(hall.last_fault(), None);
}
