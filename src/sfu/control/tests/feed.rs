//! Tracks whose packets come from this process.

use super::*;
use crate::domain::media::MediaKind;
use crate::sfu::feed::KeyFrameSignal;
use crate::sfu::interface::FeedSpec;
use crate::sfu::sdp::CodecConfig;

#[test]
fn a_feed_is_a_track_of_its_peer_until_it_ends_or_the_peer_leaves() {
    let mut scene = Scene::new();
    let peer = scene.join();
    let signal = KeyFrameSignal::default;
    let spec = FeedSpec { source: TrackSource::Camera, config: CodecConfig::Vp8, payload_type: 96 };
    let of_sound = FeedSpec { config: CodecConfig::Opus, ..spec };
    let refused = scene.control.feed(scene.room, peer, of_sound, signal());
    assert!(matches!(refused, Err(SfuError::FeedInvalid(_))));
    let (first, worker) = scene.control.feed(scene.room, peer, spec, signal()).expect("fed");
    assert_eq!(worker, 0);
    let viewer = scene.join();
    scene.subscribe(viewer, first);
    let offered = scene.offers();
    assert_eq!(offered[0].1, [("0".to_owned(), first)]);
    let microphone =
        FeedSpec { source: TrackSource::Microphone, config: CodecConfig::Opus, payload_type: 111 };
    let (sound, _) = scene.control.feed(scene.room, peer, microphone, signal()).expect("fed");
    let gated =
        scene.control.set_gate(scene.room, peer, MediaKind::Audio, Gate::Closed).expect("gated");
    assert_eq!(gated, (0, vec![sound]));
    let gated = scene.control.set_gate(scene.room, peer, MediaKind::Video, Gate::Closed);
    assert_eq!(gated.expect("gated"), (0, vec![first]));
    scene.control.end_feed(scene.room, peer, first).expect("ended");
    let again = scene.control.end_feed(scene.room, peer, first);
    assert!(matches!(again, Err(SfuError::TrackNotFound)));
    for _ in 1..TRACKS_PER_PEER_MAX {
        scene.control.feed(scene.room, peer, spec, signal()).expect("fed");
    }
    let beyond = scene.control.feed(scene.room, peer, spec, signal());
    assert!(matches!(beyond, Err(SfuError::TrackLimit)));
    scene.control.leave(scene.room, peer, scene.now).expect("left");
    scene.poll_transport();
    assert_eq!(scene.control.stats().tracks, 0);
    let removed =
        scene.commands.iter().filter(|it| matches!(it, Command::RemovePublication { .. })).count();
    assert_eq!(removed, TRACKS_PER_PEER_MAX + 1);
}

#[test]
fn a_feed_of_a_worker_that_ended_is_told_as_lost() {
    let mut scene = Scene::new();
    let peer = scene.join();
    let spec = FeedSpec { source: TrackSource::Camera, config: CodecConfig::Vp8, payload_type: 96 };
    scene.control.feed(scene.room, peer, spec, KeyFrameSignal::default()).expect("fed");
    scene.control.handle_worker_gone(0, scene.now);
    scene.poll_transport();
    assert_eq!(scene.lost(), [(TransportSide::Publish, LostReason::ServerFault)]);
    assert_eq!(scene.control.stats().tracks, 0);
    let again = scene.control.feed(scene.room, peer, spec, KeyFrameSignal::default());
    assert!(matches!(again, Err(SfuError::Stopped)));
}

#[test]
fn g711_is_offered_for_a_feed_and_taken_from_no_peer() {
    let mut scene = Scene::new();
    let camera = scene.join();
    let (source, config) = (TrackSource::Microphone, CodecConfig::Pcma);
    let spec = FeedSpec { source, config, payload_type: 8 };
    let fed = scene.control.feed(scene.room, camera, spec, KeyFrameSignal::default());
    let (track, _) = fed.expect("fed");
    let viewer = scene.join();
    scene.subscribe(viewer, track);
    let offered = scene.offers();
    assert!(offered[0].0.contains("a=rtpmap:8 PCMA/8000\r\n"), "{}", offered[0].0);
    let opus = audio("0", "sendonly");
    let both = opus.replacen(" 111", " 0 111", 1) + "a=rtpmap:0 PCMU/8000\r\n";
    let peer = scene.join();
    let answer = scene.publish(peer, &Client::new(0, 1).offer(&[both])).expect("published");
    assert!(answer.sdp.contains("opus") && !answer.sdp.contains("PCMU"), "{}", answer.sdp);
    let only = opus.replace("opus/48000/2", "PCMU/8000");
    let peer = scene.join();
    let refused = scene.publish(peer, &Client::new(1, 2).offer(&[only]));
    assert!(matches!(refused, Err(SfuError::SdpInvalid(_))), "{refused:?}");
}
