//! Media that arrives at a worker which does not know its address.

use super::*;
use crate::sfu::plane::MediaEvent;
use crate::sfu::transport::SILENT_AFTER;

const SSRC: u32 = 0x0102_0304;

fn elsewhere(last: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, last], 50_000))
}

/// The beginning of a packet; the control half does not read on.
fn media(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 111, 0, 1, 0, 0, 0, 0];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet
}

/// Two workers and somebody who publishes; returns their transport, its worker and the other one.
fn scene() -> (Scene, ConnectionId, TransportId, [usize; 2]) {
    let mut scene = Scene::with_workers(2);
    let peer = scene.join();
    let mut client = Client::new(0, 1);
    let answer = scene.publish(peer, &client.offer(&[audio("0", "sendonly")])).expect("published");
    scene.connect(&mut client, &answer.sdp);
    let transport = scene.commands.iter().find_map(|command| match command {
        Command::AddTransport { transport, .. } => Some(*transport),
        _ => None,
    });
    let worker = scene.control.rooms[&scene.room].worker;
    (scene, peer, transport.expect("connected"), [worker, 1 - worker])
}

/// Gives media from somewhere to a worker; returns where it was handed over.
fn arrives(scene: &mut Scene, at: usize, from: SocketAddr, ssrc: u32) -> Vec<usize> {
    scene.control.handle_datagram(at, from, media(ssrc), scene.now);
    scene.poll_transport();
    scene.handed_over.drain(..).map(|(worker, _)| worker).collect()
}

fn tell(scene: &mut Scene, event: MediaEvent) {
    scene.control.handle_media_event(event, scene.now);
    scene.poll_transport();
}

fn moved(scene: &mut Scene) -> Vec<SocketAddr> {
    let moves = scene.commands.extract_if(.., |it| matches!(it, Command::MoveTransport { .. }));
    let remote = |command| match command {
        Command::MoveTransport { remote, .. } => Some(remote),
        _ => None,
    };
    moves.filter_map(remote).collect()
}

#[test]
fn media_of_a_silent_transport_is_handed_to_the_worker_that_searches_for_it() {
    let (mut scene, _, transport, [worker, other]) = scene();
    assert!(arrives(&mut scene, other, elsewhere(1), SSRC).is_empty(), "nobody is searched for");
    tell(&mut scene, MediaEvent::Silent { transports: vec![(transport, vec![9, SSRC])] });
    assert_eq!(arrives(&mut scene, other, elsewhere(1), SSRC), [worker]);
    assert!(arrives(&mut scene, worker, elsewhere(1), SSRC).is_empty(), "it has looked itself");
    assert!(arrives(&mut scene, other, elsewhere(1), SSRC + 1).is_empty());
    tell(&mut scene, MediaEvent::Heard { transports: vec![transport] });
    assert!(arrives(&mut scene, other, elsewhere(1), SSRC).is_empty(), "it is heard again");
}

#[test]
fn a_transport_that_was_found_is_followed_and_known_by_its_new_address() {
    let (mut scene, peer, transport, [worker, other]) = scene();
    scene.pass(SILENT_AFTER);
    tell(&mut scene, MediaEvent::Silent { transports: vec![(transport, vec![SSRC])] });
    tell(&mut scene, MediaEvent::HeardFrom { transport, from: elsewhere(1) });
    assert_eq!(moved(&mut scene), [elsewhere(1)]);
    tell(&mut scene, MediaEvent::Heard { transports: vec![transport] });
    assert_eq!(arrives(&mut scene, other, elsewhere(1), SSRC + 1), [worker]);
    // What another address sends meanwhile moves nothing.
    tell(&mut scene, MediaEvent::HeardFrom { transport, from: elsewhere(2) });
    assert!(moved(&mut scene).is_empty());
    // Nothing is kept of whoever leaves.
    tell(&mut scene, MediaEvent::Silent { transports: vec![(transport, vec![SSRC])] });
    scene.control.leave(scene.room, peer, scene.now).expect("left");
    scene.poll_transport();
    assert!(scene.control.silent.is_empty() && scene.control.by_address.is_empty());
    tell(&mut scene, MediaEvent::Silent { transports: vec![(transport, vec![SSRC])] });
    tell(&mut scene, MediaEvent::HeardFrom { transport, from: elsewhere(1) });
    assert!(scene.control.silent.is_empty() && scene.control.by_address.is_empty());
}

#[test]
fn transports_with_the_same_ssrc_are_considered_up_to_a_number() {
    let (mut scene, _, transport, [worker, other]) = scene();
    let strangers = (0..20).map(|number| (SSRC, TransportId(1_000 + number)));
    scene.control.silent.extend(strangers);
    tell(&mut scene, MediaEvent::Silent { transports: vec![(transport, vec![SSRC])] });
    assert_eq!(arrives(&mut scene, other, elsewhere(1), SSRC), [worker], "each worker once");
}
