//! The bitrate that a tenant may receive, and what happens above it.

use super::*;
use crate::domain::media::MediaKind;
use crate::sfu::plane::MediaEvent;

impl Scene {
    /// Reports a measured bitrate of the room; returns the layer limits that the worker was then
    /// given.
    fn measured(&mut self, kbps: u32) -> Vec<u8> {
        let rooms = vec![(self.room, kbps)];
        self.control.handle_media_event(MediaEvent::Incoming { rooms }, self.now);
        self.poll_transport();
        self.layers_max()
    }

    fn layers_max(&mut self) -> Vec<u8> {
        let commands = std::mem::take(&mut self.commands);
        let layers = commands.into_iter().filter_map(|command| match command {
            Command::SetLayerMax { layer_max, .. } => Some(layer_max),
            _ => None,
        });
        layers.collect()
    }
}

#[test]
fn a_tenant_beyond_its_bitrate_publishes_sound_only_and_is_held_to_low_layers() {
    let mut scene = Scene::new();
    let (_, [_, picture]) = scene.publisher();
    assert_eq!(scene.measured(1_000), [0_u8; 0], "exactly at the limit");
    assert_eq!(scene.measured(1_001), [0]);
    assert_eq!(scene.bitrates, [1_000, 1_001]);
    let late = scene.join();
    let client = Client::new(1, 2);
    let both = [audio("0", "sendonly"), video("1", "sendonly", "")];
    let refused = scene.publish(late, &client.offer(&both)).expect_err("refused");
    assert!(matches!(refused, SfuError::BitrateLimit), "{refused}");
    assert_eq!(refused.code().as_str(), "BITRATE_LIMIT_REACHED");
    assert_eq!(scene.control.stats().tracks, 2, "no part of the refused offer was accepted");
    let sound = [audio("0", "sendonly")];
    assert_eq!(scene.publish(late, &client.offer(&sound)).expect("taken").tracks.len(), 1);
    assert!(scene.control.track(scene.room, picture).is_some(), "existing tracks continue");
    // Near the limit nothing changes; clearly below it the layer limit is removed.
    assert_eq!(scene.measured(950), [0_u8; 0]);
    assert_eq!(scene.measured(900), [u8::MAX]);
    assert_eq!(scene.publish(late, &client.offer(&both)).expect("taken").tracks.len(), 2);
}

#[test]
fn rooms_of_one_tenant_count_together_and_of_another_do_not() {
    let mut scene = Scene::new();
    let tenant = scene.control.rooms[&scene.room].tenant;
    scene.publisher();
    let second = SessionId::generate();
    scene.control.open_room(second, BitrateBudget { tenant, max_kbps: 1_000 }).expect("opened");
    let other = SessionId::generate();
    let others = BitrateBudget { tenant: TenantId::generate(), max_kbps: 1_000 };
    scene.control.open_room(other, others).expect("opened");
    let rooms = vec![(scene.room, 600), (second, 600), (other, 900)];
    scene.control.handle_media_event(MediaEvent::Incoming { rooms }, scene.now);
    scene.poll_transport();
    assert_eq!(scene.layers_max(), [0, 0], "both rooms of the tenant, and no other");
    assert!(scene.control.check_budget(second, MediaKind::Video).is_err());
    assert!(scene.control.check_budget(second, MediaKind::Audio).is_ok());
    assert!(scene.control.check_budget(other, MediaKind::Video).is_ok());
    // A room that opens meanwhile is limited; a room that closes no longer counts.
    let third = SessionId::generate();
    scene.control.open_room(third, BitrateBudget { tenant, max_kbps: 1_000 }).expect("opened");
    scene.poll_transport();
    assert_eq!(scene.layers_max(), [0]);
    scene.control.close_room(second, scene.now).expect("closed");
    scene.poll_transport();
    assert_eq!(
        scene.layers_max(),
        [u8::MAX; 3],
        "the closed room is not counted, the others are no longer limited"
    );
    assert!(scene.control.check_budget(third, MediaKind::Video).is_ok());
}

#[test]
fn a_room_whose_last_track_ends_counts_for_nothing() {
    let mut scene = Scene::new();
    let (peer, _) = scene.publisher();
    assert_eq!(scene.measured(2_000), [0]);
    scene.control.unpublish(scene.room, peer, scene.now).expect("ended");
    scene.poll_transport();
    assert_eq!(scene.layers_max(), [u8::MAX]);
    assert_eq!(scene.bitrates.last(), Some(&0));
}
