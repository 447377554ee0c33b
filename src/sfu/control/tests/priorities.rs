//! Which pictures come first where a path can't carry all.

use super::*;
use crate::sfu::plane::{Loudness, MediaEvent, Priority};

impl Scene {
    /// What the worker was told of importance since the last call.
    fn priorities(&mut self) -> Vec<(TrackId, Priority)> {
        self.poll_transport();
        let commands = std::mem::take(&mut self.commands);
        let told = commands.into_iter().filter_map(|command| match command {
            Command::SetPriority { track, priority } => Some((track, priority)),
            _ => None,
        });
        told.collect()
    }

    fn speaks(&mut self, sound: Option<TrackId>) {
        let speakers = sound.map(|track| Loudness { track, level_dbov: 20 }).into_iter().collect();
        let event = MediaEvent::ActiveSpeakers { room: self.room, speakers };
        self.control.handle_media_event(event, self.now);
    }
}

#[test]
fn whoever_has_the_floor_comes_before_whoever_speaks_and_each_change_is_told_once() {
    let mut scene = Scene::new();
    let (_, [sound, picture]) = scene.publisher();
    let (_, [other_sound, other_picture]) = scene.publisher();
    assert_eq!(scene.priorities(), []);
    scene.speaks(Some(other_sound));
    assert_eq!(scene.priorities(), [(other_picture, Priority::Speaker)]);
    scene.control.feature(scene.room, Some(sound), Some(picture)).expect("known");
    assert_eq!(scene.priorities(), [(picture, Priority::Floor)]);
    scene.speaks(Some(sound));
    assert_eq!(scene.priorities(), [(other_picture, Priority::Rest)]);
    scene.speaks(Some(sound));
    assert_eq!(scene.priorities(), []);
    scene.control.feature(scene.room, None, None).expect("nothing is known always");
    assert_eq!(scene.priorities(), [(picture, Priority::Speaker)]);
}

#[test]
fn a_receiver_is_told_what_its_network_does_not_carry() {
    let mut scene = Scene::new();
    let (_, [_, picture]) = scene.publisher();
    let listener = scene.join();
    scene.subscribe(listener, picture);
    let transport = scene
        .control
        .peer(scene.room, listener)
        .ok()
        .and_then(|member| member.receiver.as_ref().and_then(Receiver::transport));
    let transport = transport.expect("it was offered one");
    let event = MediaEvent::LeftOut { transport, tracks: vec![picture] };
    scene.control.handle_media_event(event, scene.now);
    scene.poll_transport();
    let told = RoomMediaEvent::LeftOut { peer: listener, tracks: vec![picture] };
    assert_eq!(scene.events.last(), Some(&told));
    let gone = MediaEvent::LeftOut { transport: TransportId(999), tracks: Vec::new() };
    scene.control.handle_media_event(gone, scene.now);
    scene.poll_transport();
    assert_eq!(scene.events.last(), Some(&told), "a transport that has ended is left alone");
}

#[test]
fn a_publisher_is_told_which_layers_nobody_wants_of_its_own_tracks() {
    let mut scene = Scene::new();
    let (publisher, [_, picture]) = scene.publisher();
    let transport = scene
        .control
        .peer(scene.room, publisher)
        .ok()
        .and_then(|member| member.publisher.as_ref().map(|it| it.transport));
    let transport = transport.expect("it publishes");
    let mut reports = |transport, track| {
        let event = MediaEvent::Unseen { transport, track, rids: vec!["f".to_owned()] };
        scene.control.handle_media_event(event, scene.now);
        scene.poll_transport();
        scene.events.clone()
    };
    let told =
        RoomMediaEvent::Unseen { peer: publisher, track: picture, rids: vec!["f".to_owned()] };
    let events = reports(transport, picture);
    assert_eq!(events.last(), Some(&told));
    assert_eq!(reports(transport, TrackId::generate()), events, "the track has ended");
    assert_eq!(reports(TransportId(999), picture), events, "the transport has ended");
}
