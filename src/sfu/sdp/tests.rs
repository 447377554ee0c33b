//! Offers as browsers write them, and malformed ones.

use proptest::prelude::*;

use super::*;
use crate::domain::media::Codec;

const CHROMIUM: &str = include_str!("fixtures/chromium.sdp");
const FIREFOX: &str = include_str!("fixtures/firefox.sdp");
const AIORTC: &str = include_str!("fixtures/aiortc.sdp");
/// Of libavformat 62.12, as the `PyAV` package has it.
const FFMPEG: &str = include_str!("fixtures/ffmpeg.sdp");
/// Made after the sources of OBS Studio 32 and libdatachannel 0.23: four layers, the best one first.
const OBS: &str = include_str!("fixtures/obs.sdp");

fn read(text: &str) -> Result<Description, SdpError> {
    parse(&text.replace('\n', "\r\n").replace("\r\r\n", "\r\n"), OFFER_LIMITS)
}

fn local<'a>(credentials: &'a Credentials, candidates: &'a [SocketAddr]) -> LocalSide<'a> {
    LocalSide {
        tcp: false,
        credentials,
        fingerprint: Fingerprint::Sha256([0xAB; 32]),
        candidates,
        setup: Setup::Passive,
        session_id: 77,
        version: 3,
    }
}

fn payload_types(section: &Section) -> Vec<(u8, Codec, Option<u8>)> {
    section
        .formats
        .iter()
        .map(|it| (it.format.payload_type, it.format.codec, it.format.rtx_payload_type))
        .collect()
}

#[test]
fn chromium_offers_simulcast_in_its_order_of_preference() {
    let offer = read(CHROMIUM).expect("valid");
    let [audio, video] = &offer.sections[..] else { panic!("{:?}", offer.sections) };
    assert!(offer.bundle && !audio.rejected && !video.rejected);
    assert_eq!(
        payload_types(audio),
        [(111, Codec::Opus, None), (0, Codec::Pcmu, None), (8, Codec::Pcma, None)]
    );
    assert_eq!(video.rids, ["q", "h", "f"]);
    assert_eq!(payload_types(video)[0], (96, Codec::Vp8, Some(97)));
    let codecs: std::collections::BTreeSet<Codec> =
        video.formats.iter().map(|it| it.format.codec).collect();
    assert_eq!(
        codecs.into_iter().collect::<Vec<_>>(),
        [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1]
    );
    let modes: Vec<bool> = video
        .formats
        .iter()
        .map(|it| {
            matches!(it.config, CodecConfig::H264 { mode: PacketizationMode::SingleUnit, .. })
        })
        .collect();
    assert!(modes.is_sorted(), "packetization mode 1 first");
    let transport = offer.transport.expect("a transport");
    assert_eq!(transport.setup, Setup::ActiveOrPassive);
    assert_eq!(transport.fingerprints.len(), 1);
    assert!(video.extensions.mid.is_some() && video.extensions.rid.is_some());
    assert!(video.extensions.repaired_rid.is_some() && video.extensions.transport_cc.is_some());
    assert!(audio.extensions.audio_level.is_some());
}

#[test]
fn firefox_sections_that_only_live_in_the_bundle_are_not_rejected() {
    let offer = read(FIREFOX).expect("valid");
    let [audio, video] = &offer.sections[..] else { panic!("{:?}", offer.sections) };
    assert!(!audio.rejected && !video.rejected, "port 0 and bundle-only");
    assert_eq!((audio.primary_ssrc, audio.rtx_ssrc), (Some(2_316_790_853), None));
    assert_eq!((video.primary_ssrc, video.rtx_ssrc), (Some(1_141_517_105), Some(2_906_230_226)));
    assert_eq!(payload_types(video)[0], (120, Codec::Vp8, Some(124)));
    // The same without the attribute is a section that was stopped.
    let stopped = read(&FIREFOX.replace("a=bundle-only\n", "")).expect("valid");
    assert!(!stopped.sections[0].rejected && stopped.sections[1].rejected);
}

#[test]
fn aiortc_offers_a_data_channel_that_is_rejected_cleanly() {
    let offer = read(AIORTC).expect("valid");
    let rejected: Vec<bool> = offer.sections.iter().map(|section| section.rejected).collect();
    assert_eq!(rejected, [false, false, true]);
    let answers = [SectionAnswer::Receive, SectionAnswer::Receive, SectionAnswer::Rejected];
    let credentials = Credentials::from_random([1; 32]);
    let text = answer(&offer, &answers, local(&credentials, &[]));
    assert!(text.contains("m=application 0 DTLS/SCTP 5000\r\n"), "{text}");
    assert!(text.contains("a=group:BUNDLE 0 1\r\n"), "{text}");
}

#[test]
fn ffmpeg_wants_to_be_the_dtls_server_and_the_answer_says_that_this_side_is_the_client() {
    let offer = read(FFMPEG).expect("valid");
    let [audio, video] = &offer.sections[..] else { panic!("{:?}", offer.sections) };
    assert_eq!(payload_types(audio), [(111, Codec::Opus, None)]);
    assert_eq!(payload_types(video), [(106, Codec::H264, Some(105))]);
    assert!(video.primary_ssrc.is_some() && video.rtx_ssrc.is_some());
    assert_eq!(offer.transport.as_ref().map(|it| it.setup), Some(Setup::Passive));
    let credentials = Credentials::from_random([1; 32]);
    let local = LocalSide { setup: Setup::Active, ..local(&credentials, &[]) };
    let text = answer(&offer, &[SectionAnswer::Receive, SectionAnswer::Receive], local);
    assert_eq!(text.matches("a=setup:active\r\n").count(), 2, "{text}");
}

#[test]
fn of_more_than_three_layers_the_first_and_the_last_are_answered() {
    let listed = |layers: &[&str]| -> String {
        let kept = |line: &&str| match line.strip_prefix("a=rid:") {
            Some(rid) => layers.iter().any(|layer| rid == format!("{layer} send")),
            None => true,
        };
        let lines: Vec<&str> = OBS.lines().filter(kept).collect();
        let simulcast = match layers {
            [] => String::new(),
            layers => format!("a=simulcast:send {}", layers.join(";")),
        };
        lines.join("\n").replace("a=simulcast:send 0;1;2;3", &simulcast) + "\n"
    };
    // OBS lists the best one first, browsers list it last.
    for (layers, expected) in [
        (&[][..], &[][..]),
        (&["0", "1"], &["0", "1"]),
        (&["0", "1", "2"], &["0", "1", "2"]),
        (&["0", "1", "2", "3"], &["0", "1", "3"]),
        (&["3", "2", "1", "0"], &["3", "2", "0"]),
    ] {
        let offer = read(&listed(layers)).unwrap_or_else(|error| panic!("{layers:?}: {error}"));
        assert_eq!(offer.sections[1].rids, expected);
        let credentials = Credentials::from_random([1; 32]);
        let answers = [SectionAnswer::Receive, SectionAnswer::Receive];
        let text = answer(&offer, &answers, local(&credentials, &[]));
        let line = format!("a=simulcast:recv {}\r\n", expected.join(";"));
        assert_eq!(text.contains(&line), !layers.is_empty(), "{text}");
        assert_eq!(text.matches(" recv\r\n").count(), expected.len(), "{text}");
    }
}

#[test]
fn our_answer_reads_back() {
    let credentials = Credentials::from_random([7; 32]);
    let candidates = [
        SocketAddr::from(([192, 0, 2, 4], 3478)),
        SocketAddr::from(([0x2001, 0, 0, 0, 0, 0, 0, 1], 3478)),
    ];
    for text in [CHROMIUM, FIREFOX] {
        let offer = read(text).expect("valid");
        let answers = vec![SectionAnswer::Receive; offer.sections.len()];
        let text = answer(&offer, &answers, local(&credentials, &candidates));
        assert!(text.contains("a=ice-lite\r\n") && text.contains("192.0.2.4 3478 typ host"));
        assert_eq!(text.matches("a=candidate:").count(), 2 * offer.sections.len());
        let read = read(&text.replace("a=ice-lite\r\n", "")).expect("ours is valid");
        let transport = read.transport.expect("a transport");
        assert_eq!(transport.ufrag, credentials.ufrag);
        assert_eq!(transport.setup, Setup::Passive);
        for (ours, theirs) in read.sections.iter().zip(&offer.sections) {
            assert_eq!(ours.mid, theirs.mid);
            assert_eq!(payload_types(ours), payload_types(theirs));
            assert_eq!(ours.extensions, theirs.extensions);
            assert_eq!(ours.direction, Direction::ReceiveOnly);
        }
    }
}

#[test]
fn our_offer_reads_back_with_the_primary_source_first() {
    let credentials = Credentials::from_random([7; 32]);
    let stream = |ssrc, rtx_ssrc| Stream { group: "g".into(), track: "t".into(), ssrc, rtx_ssrc };
    let sections = [
        OfferSection { mid: "0".into(), config: CodecConfig::Opus, stream: None },
        OfferSection { mid: "1".into(), config: CodecConfig::Vp8, stream: Some(stream(9, 4)) },
    ];
    let text = offer(&sections, local(&credentials, &[]));
    assert!(text.contains("o=- 77 3 IN IP4 0.0.0.0\r\n"));
    let primary = text.find("a=ssrc:9 ").expect("primary");
    assert!(primary < text.find("a=ssrc:4 ").expect("retransmissions"));
    assert!(text.contains("a=msid:g t\r\n"));
    let read = read(&text.replace("a=ice-lite\r\n", "")).expect("ours is valid");
    assert_eq!(read.sections[0].direction, Direction::Inactive);
    assert_eq!(read.sections[1].direction, Direction::SendOnly);
    assert_eq!((read.sections[1].primary_ssrc, read.sections[1].rtx_ssrc), (Some(9), Some(4)));
    assert!(read.transport.is_some(), "an inactive first section carries the transport");
}

#[test]
fn descriptions_that_lie_are_refused() {
    let swap = |from: &str, to: &str| {
        assert!(CHROMIUM.contains(from), "{from}");
        CHROMIUM.replace(from, to)
    };
    let ufrag = line(CHROMIUM, "a=ice-ufrag:");
    let pwd = line(CHROMIUM, "a=ice-pwd:");
    let fingerprint = line(CHROMIUM, "a=fingerprint:");
    let longer = |hash: &str, bytes: usize| {
        swap(&fingerprint, &format!("a=fingerprint:{hash} {}", vec!["AB"; bytes].join(":")))
    };
    for (hash, bytes) in [("sha-384", 48), ("SHA-512", 64)] {
        assert!(read(&longer(hash, bytes)).is_ok(), "{hash}");
        assert!(read(&longer(hash, 32)).is_err(), "{hash} of another length");
    }
    let table: Vec<(&str, String)> = vec![
        ("nothing", String::new()),
        ("no description", "hello".into()),
        ("too long", format!("{CHROMIUM}a={}\n", "x".repeat(OFFER_LIMITS.bytes))),
        ("a lone carriage return", swap("a=mid:0", "a=mid:0\ra=mid:7")),
        ("a null", swap("a=mid:0", "a=mid:0\0")),
        ("both lite", swap("a=group", "a=ice-lite\na=group")),
        ("no ufrag", swap(&ufrag, "a=x:y")),
        ("a malformed ufrag", swap(&ufrag, "a=ice-ufrag:a b c d")),
        ("a short password", swap(&pwd, "a=ice-pwd:short")),
        ("no fingerprint", swap(&fingerprint, "a=x:y")),
        ("a weak fingerprint", swap("sha-256", "sha-1")),
        ("hold", swap("a=setup:actpass", "a=setup:holdconn")),
        ("one mid twice", swap("a=mid:1", "a=mid:0")),
        ("a long mid", swap("a=mid:1", "a=mid:12345678901234567")),
        ("a malformed mid", swap("a=mid:1", "a=mid:a b")),
        ("no mid", swap("a=mid:1", "a=x:1")),
        ("an encoding twice", swap("a=rid:h send", "a=rid:q send")),
        ("a malformed rid", swap("a=rid:q send", "a=rid:q,f send")),
        ("simulcast with an unknown rid", swap("a=simulcast:send q;h;f", "a=simulcast:send q;h;g")),
        ("too many encodings", swap("a=rid:q send", &"a=rid:z send\n".repeat(17))),
        ("an id for two extensions", swap("a=extmap:10 urn", "a=extmap:4 urn")),
        ("an id for two, across sections", swap("a=extmap:10 urn", "a=extmap:1 urn")),
    ];
    for (name, text) in table {
        assert!(read(&text).is_err(), "{name} was accepted");
    }
    let many = (10..50).fold(String::new(), |many, mid| {
        many + &format!("m=audio 9 UDP/TLS/RTP/SAVPF 0\nc=IN IP4 0.0.0.0\na=mid:{mid}\n")
    });
    assert!(read(&format!("{CHROMIUM}{many}")).is_err(), "too many sections");
}

fn line(text: &str, prefix: &str) -> String {
    text.lines().find(|line| line.starts_with(prefix)).expect(prefix).to_owned()
}

#[test]
fn sections_of_no_use_are_rejected_and_the_rest_is_taken() {
    for (name, text) in [
        (
            "another protocol",
            CHROMIUM.replacen("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/AVP", 1),
        ),
        (
            "no codec that this server forwards",
            CHROMIUM.replace("opus/48000/2", "speex/16000").replace(" PCM", " L"),
        ),
        ("stopped", CHROMIUM.replacen("m=audio 9 ", "m=audio 0 ", 1)),
        ("no multiplexing", CHROMIUM.replacen("a=rtcp-mux\n", "", 1)),
        ("outside the bundle", CHROMIUM.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 1")),
        ("another kind", CHROMIUM.replacen("m=audio", "m=text", 1)),
    ] {
        let offer = read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(offer.sections[0].rejected && !offer.sections[1].rejected, "{name}");
        assert!(offer.transport.is_some(), "{name}");
    }
    let lone = read(&CHROMIUM.replace("a=group:BUNDLE 0 1\n", "")).expect("valid");
    assert!(!lone.sections[0].rejected && lone.sections[1].rejected, "one transport only");
    let told = lone.refused();
    let told: Vec<_> = told.iter().map(|it| (it.mid.as_str(), it.obstacle)).collect();
    assert_eq!(told, [("1", Obstacle::Bundle)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_descriptions_never_panic_and_answers_stay_well_formed(
        which in 0_usize..5,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..5, any::<u8>()), 1..12),
    ) {
        let mut bytes = [CHROMIUM, FIREFOX, AIORTC, FFMPEG, OBS][which].as_bytes().to_vec();
        for (at, kind, value) in edits {
            let at = at.index(bytes.len().max(1));
            match kind {
                0 if at < bytes.len() => bytes[at] = value,
                1 => bytes.truncate(at),
                2 if at < bytes.len() => { bytes.remove(at); }
                3 => bytes.insert(at, value),
                _ => {
                    let copied = bytes[at..].iter().take(usize::from(value)).copied().collect::<Vec<_>>();
                    bytes.splice(at..at, copied);
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Ok(offer) = read(&text) {
            let credentials = Credentials::from_random([5; 32]);
            let answers: Vec<SectionAnswer> = offer.sections.iter().map(|section| {
                if section.rejected { SectionAnswer::Rejected } else { SectionAnswer::Receive }
            }).collect();
            let written = answer(&offer, &answers, local(&credentials, &[]));
            let again = read(&written.replace("a=ice-lite\r\n", ""));
            prop_assert!(again.is_ok(), "{:?}\n{}", again, written);
            prop_assert_eq!(again.expect("checked").sections.len(), offer.sections.len());
        }
    }
}

#[test]
fn a_section_that_cannot_be_used_is_named_with_what_is_wrong() {
    let good = |mid: &str| {
        format!(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:{mid}\na=rtcp-mux\na=rtpmap:111 opus/48000/2\n"
        )
    };
    let head = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0 1\n\
                a=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuvwx\na=setup:actpass\n\
                a=fingerprint:sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:\
                AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB\n";
    for (from, to, code) in [
        ("opus/48000/2", "speex/8000", Some(Obstacle::Codec)),
        ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", Some(Obstacle::Protocol)),
        ("a=rtcp-mux\n", "", Some(Obstacle::RtcpMux)),
        ("a=mid:1", "a=mid:2", Some(Obstacle::Bundle)),
        ("m=audio 9 ", "m=audio 0 ", None),
        ("opus", "opus", None),
    ] {
        let second = good("1").replacen(from, to, 1);
        let offer = read(&format!("{head}{}{second}", good("0"))).expect("valid");
        let refused: Vec<_> = offer.refused().iter().map(|it| it.obstacle).collect();
        assert_eq!(refused, code.into_iter().collect::<Vec<_>>(), "{from} as {to}");
        for refused in offer.refused() {
            assert_eq!((refused.media.as_str(), refused.mid.len()), ("audio", 1));
            assert!(refused.obstacle.of_all().ends_with(refused.obstacle.problem()));
        }
    }
}
