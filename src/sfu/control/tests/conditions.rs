//! What is told of the paths of peers.

use std::net::{Ipv4Addr, SocketAddrV6};

use super::*;
use crate::sfu::interface::PathReport;
use crate::sfu::plane::{MediaEvent, PathConditions};

/// What connections of TCP have as their flow label.
const TCP_MARK: u32 = 0x000C_AB1D;

/// Somebody who publishes from this address, and their transport.
fn publish_from(from: SocketAddr) -> (Scene, ConnectionId, TransportId) {
    let mut scene = Scene::new();
    let peer = scene.join();
    let mut client = Client { from, ..Client::new(0, 1) };
    let answer = scene.publish(peer, &client.offer(&[audio("0", "sendonly")])).expect("published");
    scene.connect(&mut client, &answer.sdp);
    let transport = scene.commands.iter().find_map(|command| match command {
        Command::AddTransport { transport, .. } => Some(*transport),
        _ => None,
    });
    (scene, peer, transport.expect("connected"))
}

/// What the room is told after a worker has measured these transports.
fn told(scene: &mut Scene, transports: &[TransportId]) -> Vec<Vec<PathReport>> {
    let conditions = PathConditions { round_trip_ms: Some(70), ..PathConditions::default() };
    let transports = transports.iter().map(|id| (*id, conditions)).collect();
    scene.control.handle_media_event(MediaEvent::Conditions { transports }, scene.now);
    scene.poll_transport();
    let told = scene.events.drain(..).filter_map(|event| match event {
        RoomMediaEvent::Conditions { paths } => Some(paths),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_room_is_told_of_its_paths_in_one_message_with_how_long_they_are_silent() {
    let (mut scene, peer, transport) = publish_from(SocketAddr::from(([198, 51, 100, 1], 40_000)));
    let stranger = TransportId(transport.0 + 100);
    let [paths] = &told(&mut scene, &[transport, stranger])[..] else { panic!("one message") };
    let [report] = &paths[..] else { panic!("one path: {paths:?}") };
    assert_eq!((report.peer, report.side), (peer, TransportSide::Publish));
    assert_eq!(report.conditions.round_trip_ms, Some(70));
    assert_eq!((report.silent_for, report.is_by_tcp), (Duration::ZERO, false));

    scene.pass(Duration::from_secs(9));
    assert_eq!(told(&mut scene, &[transport])[0][0].silent_for, Duration::from_secs(9));
    let heard = MediaEvent::Heard { transports: vec![transport] };
    scene.control.handle_media_event(heard, scene.now);
    assert_eq!(told(&mut scene, &[transport])[0][0].silent_for, Duration::ZERO);
    scene.control.leave(scene.room, peer, scene.now).expect("in the room");
    assert!(told(&mut scene, &[transport]).is_empty(), "it has ended");
}

#[test]
fn a_path_of_tcp_is_told_as_one() {
    let ip = Ipv4Addr::new(198, 51, 100, 1).to_ipv6_mapped();
    let by_tcp = SocketAddrV6::new(ip, 40_000, TCP_MARK, 7);
    let (mut scene, _, transport) = publish_from(by_tcp.into());
    assert!(told(&mut scene, &[transport])[0][0].is_by_tcp);
}
