//! Receivers that can't take what is sent.

use super::*;
use crate::domain::media::Codec;

/// A section that sends H.264 in High profile, as encoders that are no browsers offer it.
const H264_HIGH: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n\
     a=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n\
     a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640028\r\n";

/// Publishes it to a room with one receiver; returns the receiver, the track and the offer of it.
fn offered(scene: &mut Scene) -> (ConnectionId, TrackId, String) {
    let publisher = scene.join();
    let offer = Client::new(0, 1).offer(&[H264_HIGH.to_owned()]);
    let track = scene.publish(publisher, &offer).expect("published").tracks[0].track;
    let receiver = scene.join();
    scene.subscribe(receiver, track);
    let (sdp, _) = scene.offers().pop().expect("an offer");
    (receiver, track, sdp)
}

fn refused(scene: &mut Scene) -> Vec<(ConnectionId, TrackId, Codec)> {
    let is_refusal = |it: &mut RoomMediaEvent| matches!(it, RoomMediaEvent::TrackRefused { .. });
    let refusals = scene.events.extract_if(.., is_refusal);
    refusals
        .filter_map(|event| match event {
            RoomMediaEvent::TrackRefused { peer, track, codec } => Some((peer, track, codec)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_receiver_that_lists_only_the_simplest_profile_of_h264_gets_the_picture() {
    let mut scene = Scene::new();
    let (receiver, track, offer) = offered(&mut scene);
    assert!(offer.contains("m=video 9 UDP/TLS/RTP/SAVPF 108 109 106 107 104 105 102 103\r\n"));
    let mut client = Client::new(1, 2);
    // It takes what `42e0…` says, with retransmissions.
    let answer = client.answer(&offer);
    let kept = |line: &&str| {
        !["108", "109", "106", "107", "104", "105"].iter().any(|number| {
            ["rtpmap", "fmtp"].iter().any(|name| line.starts_with(&format!("a={name}:{number} ")))
        })
    };
    let answer = answer
        .replace("SAVPF 108 109 106 107 104 105 102 103", "SAVPF 102 103")
        .lines()
        .filter(kept)
        .fold(String::new(), |text, line| text + line + "\r\n");
    scene.answer(receiver, &answer).expect("answered");
    assert!(refused(&mut scene).is_empty());
    scene.connect(&mut client, &offer);
    let sent = scene.commands.iter().find_map(|command| match command {
        Command::AddSubscription(spec) if spec.source == Some(track) => Some(&spec.formats),
        _ => None,
    });
    let [format] = &sent.expect("it is sent")[..] else { panic!("{sent:?}") };
    assert_eq!((format.payload_type, format.rtx_payload_type), (102, Some(103)));
}

#[test]
fn a_receiver_that_refuses_a_track_is_told_so_once_for_each_offer_of_it() {
    let mut scene = Scene::new();
    let (receiver, track, offer) = offered(&mut scene);
    let mut client = Client::new(1, 2);
    let refusing =
        |client: &mut Client, offer: &str| client.answer(offer).replace("m=video 9 ", "m=video 0 ");
    let answer = refusing(&mut client, &offer);
    scene.answer(receiver, &answer).expect("answered");
    assert_eq!(refused(&mut scene), [(receiver, track, Codec::H264)]);

    // An offer of something else does not tell it again.
    let (_, [sound, _]) = scene.publisher();
    scene.subscribe(receiver, sound);
    let (offer, _) = scene.offers().pop().expect("an offer");
    let answer = refusing(&mut client, &offer);
    scene.answer(receiver, &answer).expect("answered");
    assert!(refused(&mut scene).is_empty());

    // Wanted anew, it is offered and refused anew.
    scene.control.unsubscribe(scene.room, receiver, track).expect("unsubscribed");
    scene.poll_transport();
    let (offer, _) = scene.offers().pop().expect("an offer");
    let answer = refusing(&mut client, &offer);
    scene.answer(receiver, &answer).expect("answered");
    scene.subscribe(receiver, track);
    let (offer, _) = scene.offers().pop().expect("an offer");
    let answer = refusing(&mut client, &offer);
    scene.answer(receiver, &answer).expect("answered");
    assert_eq!(refused(&mut scene), [(receiver, track, Codec::H264)]);
}

#[test]
fn an_offer_that_can_not_be_used_is_told_what_would_be() {
    let section = |kind: &str, format: &str| {
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n\
             a=rtcp-mux\r\na=rtpmap:96 {format}\r\n"
        )
    };
    let h265 = section("video", "H265/90000");
    let high10 = format!("{}a=fmtp:96 profile-level-id=6e0028\r\n", section("video", "H264/90000"));
    let opus = section("audio", "opus/48000/2");
    let cases = [
        (h265, "names no codec"),
        (high10, "names no codec"),
        (section("audio", "PCMA/8000"), "names no codec"),
        (section("audio", "MP4A-LATM/48000/2"), "names no codec"),
        (opus.replace("a=rtcp-mux\r\n", ""), "rtcp-mux"),
        (opus.replace("audio 9", "audio 0"), "port"),
        (opus.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "UDP/TLS/RTP/SAVPF"),
    ];
    for (section, expected) in cases {
        let mut scene = Scene::new();
        let publisher = scene.join();
        let refused =
            scene.publish(publisher, &Client::new(0, 1).offer(std::slice::from_ref(&section)));
        let Err(SfuError::SdpInvalid(message)) = refused else { panic!("{section}: {refused:?}") };
        assert!(message.contains(expected), "{section}: {message}");
    }
}
