//! Stories of what comes in for a room, and of rooms held to lower layers.

use cabildo::domain::media::MediaKind;
use cabildo::sfu::plane::{Command, MediaEvent};

use super::peers::{Fixture, Received, Stream, publication};
use super::{PUBLISHER, SUBSCRIBER, say, show_both, simulcast_scene};

fn measured(fixture: &mut Fixture) -> Vec<u32> {
    let mut measured = Vec::new();
    while let Some(event) = fixture.forwarder.poll_event() {
        if let MediaEvent::Incoming { rooms } = event {
            assert_eq!(rooms.len(), 1);
            assert_eq!(rooms[0].0, fixture.room);
            measured.push(rooms[0].1);
        }
    }
    measured
}

#[test]
fn the_bitrate_of_a_room_is_measured_each_second() {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(spec));
    let mut stream = Stream::new(500, 111, "a");
    // Fifty packets of 500 bytes a second.
    for _ in 0..150 {
        say(&mut fixture, PUBLISHER, &mut stream, &"x".repeat(500));
    }
    let told = measured(&mut fixture);
    assert!((2..=4).contains(&told.len()), "{told:?}");
    assert!(told[1..].iter().all(|kbps| (190..=210).contains(kbps)), "{told:?}");
    fixture.pass(2_500);
    assert_eq!(measured(&mut fixture).last(), Some(&0), "silence is told");
}

#[test]
fn a_room_that_is_held_gets_its_lowest_layer_until_it_is_released() {
    let (mut fixture, _, mut streams) = simulcast_scene();
    let hold =
        |fixture: &Fixture, layer_max| Command::SetLayerMax { room: fixture.room, layer_max };
    for _ in 0..4 {
        show_both(&mut fixture, &mut streams, [true, true]);
    }
    let last = fixture.take_rtp(SUBSCRIBER).last().map(Received::text);
    assert_eq!(last.as_deref(), Some("high"));
    let command = hold(&fixture, 0);
    fixture.command(command);
    show_both(&mut fixture, &mut streams, [true, true]);
    fixture.take_rtp(SUBSCRIBER);
    for _ in 0..4 {
        show_both(&mut fixture, &mut streams, [true, true]);
    }
    let held = fixture.take_rtp(SUBSCRIBER);
    assert!(held.iter().all(|packet| packet.text() == "low"), "{:?}", held.last());
    assert_eq!(held.len(), 4);
    let command = hold(&fixture, u8::MAX);
    fixture.command(command);
    for _ in 0..3 {
        show_both(&mut fixture, &mut streams, [true, true]);
    }
    let last = fixture.take_rtp(SUBSCRIBER).last().map(Received::text);
    assert_eq!(last.as_deref(), Some("high"));
}

#[test]
fn a_track_that_comes_later_is_held_too() {
    let (mut fixture, spec, mut streams) = simulcast_scene();
    fixture.command(Command::RemovePublication { track: spec.track });
    let command = Command::SetLayerMax { room: fixture.room, layer_max: 0 };
    fixture.command(command);
    fixture.command(Command::AddPublication(spec));
    for _ in 0..5 {
        show_both(&mut fixture, &mut streams, [true, true]);
    }
    let seen = fixture.take_rtp(SUBSCRIBER);
    assert!(!seen.is_empty() && seen.iter().all(|packet| packet.text() == "low"));
}
