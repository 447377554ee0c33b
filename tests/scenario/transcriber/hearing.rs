//! From packets to pieces of speech, whatever the network and the sender do.

use std::collections::BTreeMap;

use cabildo::domain::media::Codec;
use cabildo::domain::session::TranscriptionPolicy;
use cabildo::domain::transcript::GapCause;
use cabildo::formats::codec::g711_samples;
use cabildo::sfu::tap::TapKind;
use cabildo::transcriber::engine::{Expected, WORDS_BYTES_MAX};

use super::fixture::{BEGUN_US, PACKET_US, SAMPLES, Scene, key, loses, microphone, seconds};
use crate::speech::{PAYLOAD_TYPE, Sound, encode, samples, silence};

const PHRASE: &str = "es-pido-la-palabra-por-favor.wav";

fn phrase() -> Vec<Sound> {
    encode(&samples(PHRASE))
}

/// A phrase, a pause of two seconds, and the phrase again.
fn two_phrases() -> Vec<Sound> {
    encode(&[samples(PHRASE), silence(2), samples(PHRASE), silence(1)].concat())
}

#[test]
fn a_pause_ends_a_piece_and_its_times_are_those_of_the_speech() {
    let mut scene = Scene::new();
    scene.say(&two_phrases());
    let times = scene.times();
    assert_eq!(times.len(), 2, "{times:?}");
    let ((first_from, first_to), (second_from, second_to)) = (times[0], times[1]);
    // The phrase of three seconds was said again after five.
    assert!((second_from - first_from - 5.0).abs() < 0.05, "{times:?}");
    assert!((second_to - first_to - 5.0).abs() < 0.05, "{times:?}");
    assert!((0.0..1.0).contains(&first_from) && first_to < 3.0, "{times:?}");
    let piece = &scene.pieces[0];
    assert_eq!((piece.user.as_str(), piece.language.as_deref()), ("ana", Some("es")));
    assert!(piece.samples.len() > 16_000, "the sound is with it");
    // The text is wanted two seconds after the speech, and half a second is the pause.
    let mut quick = Scene::new();
    quick.say(&encode(&samples(PHRASE)));
    let said = quick.times().first().map_or(first_to, |it| it.1);
    assert!((said - first_to).abs() < 0.05);
}

#[test]
fn silence_and_noise_are_no_speech_for_long() {
    for file in ["silence.wav", "white-noise.wav"] {
        let mut scene = Scene::new();
        for _ in 0..5 {
            scene.say(&encode(&samples(file)));
        }
        scene.pass(2_000_000);
        assert!(scene.pieces.is_empty(), "{file}: {:?}", scene.times());
        assert!(scene.unheard.is_empty(), "{file}");
    }
}

#[test]
fn lost_packets_are_reconstructed_and_the_times_stay() {
    let mut whole = Scene::new();
    whole.say(&two_phrases());
    for percent in [1, 5, 10] {
        let mut scene = Scene::new();
        scene.say_but(&two_phrases(), loses(percent));
        let (times, expected) = (scene.times(), whole.times());
        assert_eq!(times.len(), expected.len(), "{percent} %: {times:?}");
        for (is, should) in times.iter().zip(&expected) {
            assert!((is.0 - should.0).abs() < 0.2, "{percent} %: {times:?} for {expected:?}");
            assert!((is.1 - should.1).abs() < 0.2, "{percent} %: {times:?} for {expected:?}");
        }
        assert!(scene.engine.counts().concealed > 0, "{percent} %");
        assert!(scene.unheard.is_empty(), "a loss of the network is no gap");
    }
}

#[test]
fn packets_that_overtake_each_other_or_come_twice_change_nothing() {
    let mut whole = Scene::new();
    whole.say(&two_phrases());
    let mut scene = Scene::new();
    for pair in two_phrases().chunks(2) {
        let packets: Vec<Vec<u8>> = pair.iter().map(|sound| scene.next_packet(sound)).collect();
        for packet in packets.iter().rev().chain(&packets) {
            scene.packet(packet);
        }
        scene.pass(PACKET_US * pair.len() as u64);
    }
    assert_eq!(scene.pieces.len(), 2);
    assert_eq!(scene.engine.counts().concealed, 0);
    for (piece, expected) in scene.pieces.iter().zip(&whole.pieces) {
        assert_eq!(piece.samples.len(), expected.samples.len());
    }
}

#[test]
fn a_sender_that_is_silent_sends_nothing_and_that_is_no_loss() {
    let mut whole = Scene::new();
    whole.say(&two_phrases());
    let mut scene = Scene::new();
    let mut left_out = 0;
    for sound in two_phrases() {
        // Of the silent packets one in twenty is sent; numbers go on, timestamps jump.
        if sound.level > 90 && left_out < 19 {
            left_out += 1;
            scene.timestamp = scene.timestamp.wrapping_add(960);
        } else {
            left_out = 0;
            let packet = scene.next_packet(&sound);
            scene.packet(&packet);
        }
        scene.pass(PACKET_US);
    }
    let (times, expected) = (scene.times(), whole.times());
    assert_eq!(times.len(), 2, "{times:?}");
    for (is, should) in times.iter().zip(&expected) {
        assert!((is.0 - should.0).abs() < 0.1 && (is.1 - should.1).abs() < 0.1, "{times:?}");
    }
    assert_eq!(scene.engine.counts().concealed, 0);
}

#[test]
fn a_sender_that_stops_in_a_word_ends_the_piece() {
    let mut scene = Scene::new();
    let sounds = phrase();
    let speech = sounds.iter().position(|sound| sound.level < 40).expect("speech");
    scene.say(&sounds[..speech + 40]);
    assert!(scene.pieces.is_empty());
    for _ in 0..20 {
        scene.pass(50_000);
    }
    assert_eq!(scene.pieces.len(), 1, "{:?}", scene.times());
}

#[test]
fn silence_of_two_days_costs_little_and_speech_is_heard_afterwards() {
    let mut scene = Scene::new();
    scene.say(&phrase());
    let quiet = &encode(&silence(1))[10];
    // An hour of packets that are called silent.
    for _ in 0..180_000 {
        let packet = scene.next_packet(quiet);
        scene.packet(&packet);
        scene.now_us += PACKET_US;
    }
    let decoded = scene.engine.counts().decoded;
    assert!(decoded < 300, "{decoded} packets were decoded");
    // Two days of which nothing is sent.
    scene.now_us += 48 * 3_600 * 1_000_000;
    scene.timestamp = scene.timestamp.wrapping_add(172_800_u32.wrapping_mul(48_000));
    scene.pass(PACKET_US);
    scene.say(&encode(&[samples(PHRASE), silence(1)].concat()));
    assert_eq!(scene.pieces.len(), 2, "{:?}", scene.times());
    let (from, to) = scene.times()[1];
    assert!(from > 49.0 * 3_600.0 && to - from < 3.0, "{from} to {to}");
}

#[test]
fn a_microphone_that_calls_speech_silent_is_found_out() {
    let mut scene = Scene::new();
    let quiet = &encode(&silence(1))[10];
    scene.say(&vec![quiet.clone(); 100]);
    let mut sounds = encode(&[samples(PHRASE), silence(2), samples(PHRASE), silence(1)].concat());
    for sound in &mut sounds {
        sound.level = 127;
    }
    scene.say(&sounds);
    assert_eq!(scene.engine.counts().levels_distrusted, 1);
    assert!(!scene.pieces.is_empty(), "what it says afterwards is heard");
    let (_, to) = *scene.times().last().expect("a piece");
    assert!(to > 7.0, "the second phrase is among it: {:?}", scene.times());
}

#[test]
fn a_wrong_clock_rate_does_not_make_pauses_in_speech() {
    for ticks in [160, 320, 441, 1_800] {
        let mut scene = Scene::new();
        scene.ticks = ticks;
        scene.say(&two_phrases());
        assert_eq!(scene.pieces.len(), 2, "{ticks} ticks: {:?}", scene.times());
        for (piece, from) in scene.times().iter().zip([0.0, 5.0]) {
            assert!((from - 2.2..from + 3.5).contains(&piece.0), "{ticks}: {:?}", scene.times());
        }
    }
}

#[test]
fn packets_that_are_no_opus_are_counted_left_alone_and_told() {
    let mut scene = Scene::new();
    scene.say(&phrase());
    // Code 3 with a count of frames that does not fit (RFC 6716 §3.2.5).
    let garbage = Sound { payload: vec![0xFF, 0x3F, 0xFF, 0xFF], level: 20 };
    scene.say(&vec![garbage; 1_000]);
    scene.pass(2_000_000);
    assert_eq!(scene.engine.counts().malformed, 1_000);
    let causes: Vec<GapCause> = scene.unheard.iter().map(|gap| gap.cause).collect();
    assert_eq!(causes, [GapCause::BadAudio], "{:?}", scene.unheard);
    let gap = &scene.unheard[0];
    assert!(gap.to.since(gap.from).as_secs() >= 18, "{gap:?}");
    // The source recovers.
    scene.pass(5_000_000);
    scene.timestamp = scene.timestamp.wrapping_add(7 * 48_000);
    scene.say(&encode(&[samples(PHRASE), silence(1)].concat()));
    assert_eq!(scene.pieces.len(), 2, "{:?}", scene.times());
}

#[test]
fn any_bytes_are_taken() {
    let mut scene = Scene::new();
    let mut seed = 1_u32;
    for length in (0..1_500).chain(0..1_500) {
        let bytes: Vec<u8> = (0..length)
            .map(|place| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if place == 1 { 111 } else { seed.to_be_bytes()[0] }
            })
            .collect();
        let mut packet = bytes;
        if let Some(first) = packet.first_mut() {
            *first = 0x80;
        }
        scene.packet(&packet);
        scene.pass(1_000);
    }
    assert_eq!(scene.engine.counts().packets, 3_000);
}

#[test]
fn nothing_is_heard_behind_a_closed_gate_and_what_was_said_before_is_kept() {
    let mut scene = Scene::new();
    let sounds = phrase();
    let speech = sounds.iter().position(|sound| sound.level < 40).expect("speech");
    scene.say(&sounds[..speech + 40]);
    let said_until = scene.now_us;
    // One packet is still held, since the one before is missing.
    let missing = scene.next_packet(&sounds[speech + 40]);
    let held = scene.next_packet(&sounds[speech + 41]);
    scene.packet(&held);
    scene.give(TapKind::GateClosed);
    assert_eq!(scene.pieces.len(), 1, "{:?}", scene.times());
    let until = seconds(scene.pieces[0].to.unix_us());
    assert!(until <= seconds(i64::try_from(said_until).expect("fits")) + 0.05);
    // Neither what comes late nor what would come in spite of the gate is heard.
    scene.packet(&missing);
    let decoded = scene.engine.counts().decoded;
    scene.say(&phrase());
    scene.pass(2_000_000);
    assert_eq!((scene.pieces.len(), scene.engine.counts().decoded), (1, decoded));
    scene.give(TapKind::GateOpened);
    scene.say(&encode(&[samples(PHRASE), silence(1)].concat()));
    assert_eq!(scene.pieces.len(), 2);
    let reopened = scene.times()[1].0;
    assert!(reopened > until + 3.0, "{:?}", scene.times());
}

#[test]
fn a_loss_in_this_process_is_a_gap() {
    let mut scene = Scene::new();
    scene.say(&phrase()[..60]);
    scene.pass(400_000);
    scene.give(TapKind::Lost(20));
    scene.pass(400_000);
    scene.give(TapKind::Lost(20));
    scene.pass(2_000_000);
    assert_eq!(scene.unheard.len(), 1, "{:?}", scene.unheard);
    assert_eq!(scene.unheard[0].cause, GapCause::Overload);
    let (from, to) = (scene.unheard[0].from.unix_us(), scene.unheard[0].to.unix_us());
    assert!((1.0..1.4).contains(&seconds(from)), "{}", seconds(from));
    assert!((1.9..2.1).contains(&seconds(to)), "{}", seconds(to));
}

#[test]
fn time_behind_a_closed_gate_is_no_part_of_a_gap() {
    let mut scene = Scene::new();
    scene.say(&phrase());
    scene.give(TapKind::GateClosed);
    scene.pass(60_000_000);
    scene.give(TapKind::GateOpened);
    let opened_us = scene.now_us;
    scene.pass(100_000);
    scene.give(TapKind::Lost(1));
    scene.pass(2_000_000);
    assert_eq!(scene.unheard.len(), 1, "{:?}", scene.unheard);
    let from = scene.unheard[0].from.unix_us();
    assert_eq!(from, i64::try_from(opened_us).expect("fits"));
}

#[test]
fn a_gate_whose_opening_was_lost_is_open_for_what_passes() {
    let mut scene = Scene::new();
    scene.give(TapKind::GateClosed);
    scene.pass(5_000_000);
    // A tap that lost an item names the source again with the next packet.
    scene.give(TapKind::Source { ssrc: 7, layer: 0 });
    scene.say(&encode(&[samples(PHRASE), silence(1)].concat()));
    assert_eq!(scene.pieces.len(), 1, "{:?}", scene.times());
}

/// Speech without its pauses.
fn without_pauses() -> Vec<i16> {
    ["es-apruebo-el-presupuesto.wav", PHRASE, "es-mocion-de-orden.wav"]
        .iter()
        .flat_map(|file| samples(file))
        .collect::<Vec<i16>>()
        .chunks(SAMPLES)
        .filter(|chunk| chunk.iter().any(|sample| sample.unsigned_abs() > 1_500))
        .flatten()
        .copied()
        .collect::<Vec<i16>>()
        .repeat(8)
}

#[test]
fn who_does_not_pause_is_cut_at_quiet_places() {
    let mut scene = Scene::new();
    scene.say(&encode(&[without_pauses(), silence(1)].concat()));
    let times = scene.times();
    assert!(times.len() >= 3, "{times:?}");
    for pair in times.windows(2) {
        assert!((pair[1].0 - pair[0].1).abs() < 1.5, "what is cut goes on: {times:?}");
    }
    for piece in &scene.pieces {
        assert!(piece.samples.len() <= 8 * 16_000 + 256, "{}", piece.samples.len());
    }
}

/// What a camera with G.711 makes of the sound of a microphone: 20 ms at 8 kHz in each packet.
fn telephone(codec: Codec, sounds: &[Sound]) -> Vec<Sound> {
    let table = g711_samples(codec, &(0..=255).collect::<Vec<u8>>());
    let nearest = |sample: i16| {
        let far = |byte: &u8| table[usize::from(*byte)].abs_diff(sample);
        (0..=255_u8).min_by_key(far).expect("some byte")
    };
    let mut decoder = opus::Decoder::new(8_000, opus::Channels::Mono).expect("a decoder");
    let mut samples = [0; 160];
    let mut heard = |sound: &Sound| {
        let count = decoder.decode(&sound.payload, &mut samples, false).expect("Opus");
        Sound {
            payload: samples[..count].iter().map(|it| nearest(*it)).collect(),
            level: sound.level,
        }
    };
    sounds.iter().map(&mut heard).collect()
}

#[test]
fn the_sound_of_a_camera_in_g711_is_heard_as_that_of_a_microphone() {
    let mut wanted = Scene::new();
    wanted.say(&two_phrases());
    for (payload_type, codec) in [(0, Codec::Pcmu), (8, Codec::Pcma)] {
        let mut scene = Scene::new();
        scene.give(TapKind::Codec { payload_type, codec });
        scene.ticks = 160;
        for (number, sound) in telephone(codec, &two_phrases()).iter().enumerate() {
            let mut packet = scene.next_packet(sound);
            packet[1] = payload_type;
            // A packet that is lost in the first phrase and one in the second are silence.
            if number % 300 != 60 {
                scene.packet(&packet);
            }
            scene.pass(PACKET_US);
        }
        let (times, wanted) = (scene.times(), wanted.times());
        assert_eq!(times.len(), wanted.len(), "{codec}: {times:?}");
        for (found, wanted) in times.iter().zip(wanted) {
            assert!((found.0 - wanted.0).abs() < 0.15, "{codec}: {times:?}");
            assert!((found.1 - wanted.1).abs() < 0.15, "{codec}: {times:?}");
        }
        let loud = scene.pieces[0].samples.iter().any(|sample| sample.abs() > 0.05);
        assert!(loud, "{codec}: the sound is with it");
        assert!(scene.unheard.is_empty(), "{codec}: {:?}", scene.unheard);
        // A track that goes on in Opus is heard on.
        scene.ticks = 960;
        scene.give(TapKind::Codec { payload_type: PAYLOAD_TYPE, codec: Codec::Opus });
        scene.say(&two_phrases());
        assert_eq!(scene.pieces.len(), 4, "{codec}: {:?}", scene.times());
    }
    let mut scene = Scene::new();
    scene.give(TapKind::Codec { payload_type: 0, codec: Codec::Pcmu });
    for bytes in [0, 1, 2_000, 65_000] {
        let mut packet = scene.next_packet(&Sound { payload: vec![0; bytes], level: 0 });
        packet[1] = 0;
        scene.packet(&packet);
        scene.pass(PACKET_US);
    }
    assert!(scene.engine.counts().malformed >= 2, "{:?}", scene.engine.counts());
}

#[test]
fn other_tracks_and_sessions_are_left_alone() {
    let mut scene = Scene::new();
    let (other, camera) = (key(), microphone("cam"));
    assert!(scene.engine.add_track(other, camera), "a session that is not transcribed");
    assert_eq!(scene.engine.tracks(), 1);
    scene.give(TapKind::Codec { payload_type: 111, codec: Codec::Vp8 });
    scene.say(&phrase());
    assert_eq!(scene.engine.counts().decoded, 0, "another payload type");
    assert!(scene.now_us > BEGUN_US);
}

#[test]
fn what_a_tap_gives_after_its_track_was_removed_is_heard_as_well() {
    let mut samples = samples(PHRASE);
    let end = samples.iter().rposition(|sample| sample.abs() > 600).expect("a word");
    samples.truncate(end);
    let sounds = encode(&samples);
    let (first, last) = sounds.split_at(sounds.len() - 15);
    let whole = |removed_early: bool| {
        let mut scene = Scene::new();
        scene.say(first);
        if removed_early {
            scene.engine.remove_track(scene.track);
        }
        scene.say(last);
        scene.engine.remove_track(scene.track);
        scene.give(TapKind::Ended);
        assert_eq!(scene.engine.tracks(), 0);
        scene.times()
    };
    assert_eq!(whole(true), whole(false));
    assert_eq!(whole(true).len(), 1);

    // A tap that never says that it has ended is not waited for without end.
    let mut silent = Scene::new();
    silent.say(first);
    silent.engine.remove_track(silent.track);
    silent.pass(PACKET_US);
    assert_eq!((silent.engine.tracks(), silent.pieces.len()), (1, 0));
    silent.pass(500_000);
    assert_eq!((silent.engine.tracks(), silent.pieces.len()), (0, 1));
}

#[test]
fn a_track_that_is_listened_to_again_does_not_end_with_its_first_tap() {
    let (key, microphone) = (key(), microphone("ana"));
    let mut scene = Scene::new();
    scene.track = microphone.track;
    assert!(scene.engine.open_session(key, Expected::default()));
    assert!(scene.engine.add_track(key, microphone.clone()));
    scene.engine.close_session(key);
    assert!(scene.engine.hears(key), "its last packets may still come");
    assert!(scene.engine.open_session(key, Expected::default()));
    assert!(scene.engine.add_track(key, microphone));
    scene.give(TapKind::Ended);
    scene.pass(1_000_000);
    assert!(scene.engine.hears(key));
}

#[test]
fn an_engine_is_told_the_glossary_and_then_names_as_many_as_fit() {
    let policy = |glossary: &[&str]| TranscriptionPolicy {
        enabled: true,
        language: None,
        glossary: glossary.iter().map(|&term| term.to_owned()).collect(),
    };
    let names = ["Ana Benítez".to_owned(), "Beatriz Ocampos".to_owned()];
    let words = |glossary: &[&str], names: &[String]| Expected::of(&policy(glossary), names).words;
    assert_eq!(words(&[], &[]), None);
    assert_eq!(words(&["Ñemby"], &names).as_deref(), Some("Ñemby, Ana Benítez, Beatriz Ocampos"));
    assert_eq!(words(&[], &names[..1]).as_deref(), Some("Ana Benítez"));
    let many: Vec<String> = (0..5_000).map(|number| format!("Owner {number}")).collect();
    let told = words(&["Ñemby"], &many).expect("words");
    assert!(told.len() <= WORDS_BYTES_MAX && told.starts_with("Ñemby, Owner 0, Owner 1, "));
    assert!(many.contains(&told.rsplit(", ").next().expect("one").to_owned()), "none is cut");
}

#[test]
fn what_is_being_said_is_the_beginning_of_the_piece_of_its_name() {
    let mut scene = Scene::new();
    let mut given: BTreeMap<_, Vec<f32>> = BTreeMap::new();
    for sound in &encode(&[samples(PHRASE), silence(1), without_pauses(), silence(1)].concat()) {
        scene.say(std::slice::from_ref(sound));
        for speech in scene.engine.being_said() {
            assert_eq!((speech.language, speech.words), (Some("es"), Some("Ñemby, Areguá")));
            let before = given.entry(speech.id.expect("a name")).or_default();
            assert!(speech.samples.starts_with(before), "what was given stays");
            *before = speech.samples.to_vec();
        }
    }
    assert!(scene.pieces.len() >= 4, "{:?}", scene.times());
    assert_eq!(given.len(), scene.pieces.len(), "each becomes a piece");
    for piece in &scene.pieces {
        let said = &given[&(piece.track, piece.from)];
        let common = said.len().min(piece.samples.len());
        assert!(common >= 960, "{common}");
        assert_eq!(said[..common], piece.samples[..common]);
        // Of a pause more may be given than the piece has.
        assert!(said.len() <= piece.samples.len() + 16 * 480, "{}", said.len());
    }
    assert_eq!(scene.engine.being_said().count(), 0, "nothing is being said");
}

#[test]
fn what_is_still_being_said_can_be_had_as_a_piece_that_grows() {
    let mut scene = Scene::new();
    let track = scene.track;
    let mut given = Vec::new();
    for sound in &two_phrases() {
        scene.say(std::slice::from_ref(sound));
        assert!(scene.engine.so_far(&[]).is_none(), "nobody asks for it");
        let piece = scene.engine.so_far(&[track, microphone("bea").track]);
        given.extend(piece.map(|piece| (scene.pieces.len(), piece)));
    }
    let [first, second] = scene.pieces.as_slice() else { panic!("{:?}", scene.times()) };
    assert!(given.len() >= 2, "a phrase takes more than a second");
    for (before, piece) in &given {
        let whole = if *before == 0 { first } else { second };
        assert_eq!((piece.from, &piece.user), (whole.from, &whole.user), "its beginning names it");
        assert!(piece.to <= whole.to && piece.samples.len() <= whole.samples.len());
        assert!(piece.to.since(piece.from).as_millis() >= 1_000, "a second of it at least");
        assert_eq!(piece.samples[..8_000], whole.samples[..8_000]);
    }
    let of_first = given.iter().filter(|(before, _)| *before == 0);
    let ends: Vec<_> = of_first.map(|(_, piece)| piece.to).collect();
    for pair in ends.windows(2) {
        assert!(pair[1].since(pair[0]).as_millis() >= 1_000, "a second more each time");
    }
    assert!(scene.engine.so_far(&[track]).is_none(), "nothing is being said");
}
