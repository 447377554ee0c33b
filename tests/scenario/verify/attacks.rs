//! Objects dropped, swapped, cut and grown; keys that do not belong; what is
//! disclosed falsely; and input made to exhaust its reader.

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use cabildo::verify::entry::Entry;
use cabildo::verify::files::InMemory;
use cabildo::verify::journal::{JournalError, JournalReader};
use cabildo::verify::report::Problem;
use cabildo::verify::{Code, Options, Report, Verdict, cbor, verify_proof};
use serde_json::{Value, json};

use crate::verify::forge::{
    Forge, Key, SESSION, START_MS, array, b64, bytes, context, journal, map, object_keys, record,
    rtp, seal, segment_body, segment_key, sha256, small, small_of, text, track_id, uint, uuid,
};
use crate::verify::genuine::{assert_valid, verify};

fn found(report: &Report, code: Code) -> &Problem {
    let found = report.problems.iter().find(|problem| problem.code == code);
    found.unwrap_or_else(|| panic!("{} was not found: {report}", code.as_str()))
}

fn object(forge: &Forge, track: usize, index: u64) -> String {
    format!("objects/{}/{index}", uuid(&forge.tracks[track].id))
}

fn disclose(files: &mut InMemory, events: &[Value], segments: &[Value]) {
    let all = json!({"v": 1, "events": events, "subjects": [], "segments": segments});
    files.files.insert("disclosures.json".into(), all.to_string().into_bytes());
}

/// A closed log of one track whose one segment is this object.
fn one_object(object: &[u8], rtp: [u64; 2], time_ms: [u64; 2]) -> (Forge, InMemory) {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.track(0);
    let body = segment_body(track_id(0), 0, vec![0xF6], object, rtp, time_ms, 3);
    forge.append(2, body);
    forge.tracks[0].objects.push(object.to_vec());
    forge.close();
    forge.sign_head();
    let mut files = forge.full();
    disclose(&mut files, &[], &[forge.segment_disclosure(0, 0)]);
    (forge, files)
}

fn sealed(forge_key: [u8; 32], plaintext: &[u8]) -> Vec<u8> {
    let key = segment_key(forge_key, 0);
    seal(key, [5; 24], &context(SESSION, track_id(0), 0, 1), plaintext)
}

fn track_key() -> [u8; 32] {
    sha256(&[&b"track"[..], &track_id(0)].concat())
}

#[test]
fn every_object_dropped() {
    let forge = small();
    for track in 0..3 {
        for index in 0..3 {
            let mut files = forge.full();
            files.files.remove(&object(&forge, track, index));
            let report = verify(&files);
            let place = &found(&report, Code::ObjectMissing).place;
            assert_eq!(place.track.as_deref(), Some(uuid(&forge.tracks[track].id).as_str()));
            assert_eq!(place.segment, Some(index));
            assert_eq!(place.from_ms, Some(START_MS + index * 4_000));
            assert_eq!(report.verdict, Verdict::Incomplete);
        }
    }
}

#[test]
fn every_pair_of_objects_swapped() {
    let forge = small();
    let all: Vec<_> = (0..3).flat_map(|track| (0..3).map(move |index| (track, index))).collect();
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            let mut files = forge.full();
            let (a, b) = (object(&forge, one.0, one.1), object(&forge, other.0, other.1));
            let (first, second) = (files.files[&a].clone(), files.files[&b].clone());
            files.files.insert(a, second);
            files.files.insert(b, first);
            let report = verify(&files);
            let changed =
                report.problems.iter().filter(|problem| problem.code == Code::ObjectChanged);
            let places: Vec<_> = changed.map(|problem| problem.place.segment).collect();
            assert!(places.contains(&Some(one.1)) && places.contains(&Some(other.1)), "{report}");
        }
    }
}

#[test]
fn objects_cut_and_grown_at_every_border() {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.track(0);
    forge.segment(0, &vec![7; 16_000], 3);
    forge.close();
    forge.sign_head();
    let name = object(&forge, 0, 0);
    let whole = &forge.tracks[0].objects[0];
    let borders = [0, 24, 55, 56, 56 + 16_399, 56 + 16_400, 56 + 32_800, whole.len() - 1];
    for keep in borders {
        let mut files = forge.full();
        files.files.insert(name.clone(), whole[..keep].to_vec());
        assert_eq!(found(&verify(&files), Code::ObjectChanged).place.segment, Some(0));
    }
    for extra in [1, 16, 16_400] {
        let mut files = forge.full();
        files.files.insert(name.clone(), [whole.clone(), vec![0; extra]].concat());
        found(&verify(&files), Code::ObjectChanged);
    }
    // Chunks in another order.
    let mut moved = whole.clone();
    moved[56..56 + 32_800].rotate_left(16_400);
    let mut files = forge.full();
    files.files.insert(name, moved);
    found(&verify(&files), Code::ObjectChanged);
}

#[test]
fn another_tenants_object_in_the_place_of_ours() {
    let forge = small();
    let other = small_of([0x99; 16], Key::new(3), "the motion is carried");
    let mut files = forge.full();
    let theirs = other.tracks[1].objects[1].clone();
    assert_eq!(theirs.len(), forge.tracks[1].objects[1].len());
    files.files.insert(object(&forge, 1, 1), theirs);
    disclose(&mut files, &[], &[forge.segment_disclosure(1, 1)]);
    let report = verify(&files);
    assert_eq!(found(&report, Code::ObjectChanged).place.segment, Some(1));
    found(&report, Code::WrongKey);
}

#[test]
fn an_object_that_no_entry_names() {
    let forge = small();
    for name in ["objects/.DS_Store", "objects/a/._0", "objects/Thumbs.db", "objects/a/desktop.ini"]
    {
        let mut files = forge.full();
        files.files.insert(name.to_owned(), b"made by a file manager".to_vec());
        assert_eq!(verify(&files), verify(&forge.full()), "{name}");
    }
    for name in ["objects/stray", "objects/a/b/c"] {
        let mut files = forge.full();
        files.files.insert(name.into(), vec![1]);
        found(&verify(&files), Code::ObjectUnknown);
    }
    let mut files = forge.full();
    files.files.insert(object(&forge, 0, 3), forge.tracks[0].objects[2].clone());
    found(&verify(&files), Code::ObjectUnknown);
    let mut files = forge.full();
    let padded = format!("objects/{}/00", uuid(&forge.tracks[0].id));
    files.files.insert(padded, forge.tracks[0].objects[0].clone());
    found(&verify(&files), Code::ObjectUnknown);
    // Nor may a clip have what it does not name.
    let mut clip = forge.clip(0, 0..1);
    clip.files.insert(object(&forge, 0, 1), forge.tracks[0].objects[1].clone());
    found(&verify(&clip), Code::ObjectUnknown);
}

#[test]
fn a_track_whose_key_was_destroyed() {
    // The objects are gone and the log does not say why.
    let mut forge = small();
    let target = forge.tracks[1].seq;
    let without = |forge: &Forge| {
        let mut files = forge.full();
        for index in 0..3 {
            files.files.remove(&object(forge, 1, index));
        }
        files
    };
    found(&verify(&without(&forge)), Code::ObjectMissing);
    // With the erasure every proof still holds.
    let seq = forge.erase(target);
    forge.sign_head();
    let report = verify(&without(&forge));
    assert_valid(&report);
    assert_eq!(report.facts.tracks[1].erased_by, Some(seq));
    assert!(report.not_checked.iter().any(|line| line.contains("key was destroyed")), "{report}");
    assert_valid(&verify(&forge.full()));
    // Nobody has the key any more; what is offered instead opens nothing.
    let mut files = forge.full();
    let mut guess = forge.segment_disclosure(1, 0);
    guess["key"] = json!(b64(&[0; 32]));
    disclose(&mut files, &[], &[guess]);
    found(&verify(&files), Code::WrongKey);
    // What is no track can't be erased.
    for target in [1, 10_000] {
        let mut forge = small();
        let seq = forge.erase(target);
        forge.sign_head();
        assert_eq!(found(&verify(&forge.full()), Code::ErasureInvalid).place.seq, Some(seq));
    }
}

#[test]
fn one_event_is_disclosed_and_the_others_stay_closed() {
    let forge = small();
    let seq = *forge.events.iter().find(|(_, event)| event.contains("motion")).unwrap().0;
    let mut files = forge.full();
    disclose(&mut files, &[forge.event_disclosure(seq)], &[]);
    assert_valid(&verify(&files));
    // Without the salt every likely text fails, the true one included.
    let likely = ["the motion is carried", "the motion is rejected", "adjourned", ""];
    let salts = [[0; 32], [0xFF; 32], sha256(b""), forge.event_salt(seq + 1)];
    for event in likely {
        for salt in salts {
            let guess = json!({"seq": seq, "salt": b64(&salt), "event": event});
            disclose(&mut files, &[guess], &[]);
            let report = verify(&files);
            assert_eq!(found(&report, Code::DisclosureInvalid).place.seq, Some(seq));
        }
    }
    // Nor does the salt open another event, or what is no event.
    for other in [1, 0, 2, 9_999] {
        let mut moved = forge.event_disclosure(seq);
        moved["seq"] = json!(other);
        disclose(&mut files, &[moved], &[]);
        found(&verify(&files), Code::DisclosureInvalid);
    }
    disclose(&mut files, &[forge.event_disclosure(seq), forge.event_disclosure(seq)], &[]);
    found(&verify(&files), Code::Malformed);
}

#[test]
fn one_ciphertext_does_not_open_under_two_keys() {
    // AES-GCM does not commit to its key: a ciphertext is made whose tag holds
    // under the keys of two different K_seg. The block at the end is chosen so
    // that GHASH comes out for both; here it is enough to show that the second
    // key is refused before anything is opened.
    let (first, second) = ([1; 32], [2; 32]);
    let context = context(SESSION, track_id(0), 0, 1);
    let salt = [5; 24];
    let plaintext = journal(START_MS, 1, 3, b"the true words");
    let object = seal(first, salt, &context, &plaintext);
    let (forge, mut files) = one_object(&object, [1, 3], [START_MS, START_MS + 20]);
    let with = |files: &mut InMemory, key: [u8; 32]| {
        let mut disclosed = forge.segment_disclosure(0, 0);
        disclosed["key"] = json!(b64(&key));
        disclose(files, &[], &[disclosed]);
    };
    with(&mut files, first);
    assert_valid(&verify(&files));
    with(&mut files, second);
    found(&verify(&files), Code::WrongKey);
    // Even with the commitment of the second key in the object and in the log,
    // one object commits to one of them.
    let (other_key, nonce, commitment) = object_keys(second, salt, &context);
    let mut chunk = b"the false words".to_vec();
    let cipher = Aes256Gcm::new_from_slice(&other_key).unwrap();
    let buffer = chunk.as_mut_slice();
    let tag = cipher.encrypt_inout_detached(&nonce.into(), &[], buffer.into()).unwrap();
    let both = [&salt[..], &commitment, &chunk, &tag].concat();
    let (_, mut files) = one_object(&both, [1, 3], [START_MS, START_MS + 20]);
    with(&mut files, first);
    found(&verify(&files), Code::WrongKey);
}

#[test]
fn what_a_segment_holds_is_what_its_entry_says() {
    let times = [START_MS, START_MS + 20];
    let plaintext = journal(START_MS, 100, 3, b"x");
    let good = sealed(track_key(), &plaintext);
    assert_valid(&verify(&one_object(&good, [100, 102], times).1));
    // A cycle or more makes no difference; another packet does.
    assert_valid(&verify(&one_object(&good, [65_636, 65_638], times).1));
    for rtp in [[101, 102], [100, 101], [100, 103]] {
        found(&verify(&one_object(&good, rtp, times).1), Code::DisclosureInvalid);
    }
    for times in [[START_MS + 10, START_MS + 20], [START_MS, START_MS + 10]] {
        found(&verify(&one_object(&good, [100, 102], times).1), Code::DisclosureInvalid);
    }
    for plaintext in [&b""[..], &[2; 9], &[1; 8], &plaintext[..plaintext.len() - 1], b"words"] {
        let object = sealed(track_key(), plaintext);
        found(&verify(&one_object(&object, [100, 102], times).1), Code::DisclosureInvalid);
    }
    // Sealed for another place.
    for (session, index, epoch) in [([9; 16], 0, 1), (SESSION, 1, 1), (SESSION, 0, 2)] {
        let context = context(session, track_id(0), index, epoch);
        let object = seal(segment_key(track_key(), 0), [5; 24], &context, &plaintext);
        found(&verify(&one_object(&object, [100, 102], times).1), Code::WrongKey);
    }
}

#[test]
fn journals_are_read_in_pieces_and_strictly() {
    let read = |plaintext: &[u8], step: usize| {
        let mut reader = JournalReader::default();
        for piece in plaintext.chunks(step) {
            reader.handle_bytes(piece)?;
        }
        reader.finish()
    };
    let report = [&[0x80, 200, 0, 6][..], &[0; 24]].concat();
    let mut whole = journal(START_MS, 65_534, 3, b"abc");
    whole.extend(record(1, 5, &report));
    for event in [&[2][..], &[3], &[4], &[5, 0, 0, 0, 9], &[6, 96, 2]] {
        whole.extend(record(2, 0, event));
    }
    for step in [1, 2, 7, whole.len()] {
        let facts = read(&whole, step).unwrap();
        assert_eq!((facts.packets, facts.reports, facts.side_events), (3, 1, 6));
        assert_eq!(facts.last_ms, START_MS + 25);
        let span = facts.rtp.unwrap();
        assert_eq!((span.lowest, span.highest), (65_534, 0));
    }
    let start = || [vec![1], vec![0; 8]].concat();
    for wrong in [
        record(3, 0, b"x"),
        record(0, 0, b"short"),
        record(0, 0, &[0x40; 12]),
        record(0, 0, &[&[0x9F][..], &[0; 14]].concat()),
        record(1, 0, &report[1..]),
        record(1, 0, &[&[0x81][..], &report[1..]].concat()),
        record(2, 0, &[7]),
        record(2, 0, &[6, 96, 10]),
        record(2, 0, &[6, 128, 1]),
        record(2, 0, b""),
        vec![0x80, 0x00],
        [vec![0xFF; 9], vec![2]].concat(),
        vec![0xFF; 11],
        [record(0, u64::MAX, &rtp(1, b""))].concat(),
    ] {
        // A sender report may say anything in its first byte but the version.
        if wrong == record(1, 0, &[&[0x81][..], &report[1..]].concat()) {
            continue;
        }
        let plaintext = [start(), wrong.clone()].concat();
        let error = read(&plaintext, 3).expect_err(&format!("{wrong:02x?}"));
        assert!(!matches!(error, JournalError::Version), "{wrong:02x?}");
    }
    assert_eq!(read(&[2; 9], 9), Err(JournalError::Version));
}

#[test]
fn a_clip_may_not_leave_out_its_middle() {
    let forge = small();
    let mut files = forge.clip(0, 0..3);
    let mut proof: Value = serde_json::from_slice(&files.files["bundle.json"]).unwrap();
    proof["receipts"].as_array_mut().unwrap().remove(2);
    files.files.insert("bundle.json".into(), proof.to_string().into_bytes());
    let report = verify(&files);
    assert_eq!(found(&report, Code::SegmentMissing).place.segment, Some(2));
    let mut files = forge.clip(0, 0..3);
    files.files.insert("heads.cborseq".into(), forge.heads[2].clone());
    found(&verify(&files), Code::ChainBroken);
    let mut files = forge.clip(0, 0..3);
    files.files.remove(&object(&forge, 0, 1));
    assert_eq!(found(&verify(&files), Code::ObjectMissing).place.segment, Some(1));
}

/// What one more entry in an otherwise true log is told to be.
fn with_entry(kind: u64, body: Vec<u8>) -> Report {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.track(0);
    forge.segment(0, b"media", 1);
    forge.append(kind, body);
    forge.sign_head();
    verify(&forge.full())
}

#[test]
fn entries_that_no_log_has() {
    let segment = |index, previous: Vec<u8>, flags| {
        let object = sealed([1; 32], b"x");
        segment_body(track_id(0), index, previous, &object, [1, 1], [1, 1], flags)
    };
    let tail = small().tracks[0].objects[0].clone();
    let tail = bytes(&sha256(&tail));
    let zero = bytes(&[0; 32]);
    let unknown = bytes(&[1; 16]);
    for (kind, body, code) in [
        (8, array(&[]), Code::Malformed),
        (0, array(&[]), Code::Malformed),
        (3, array(&[uint(2)]), Code::Malformed),
        (3, array(&[uint(0), zero.clone()]), Code::Malformed),
        (3, array(&[text("2"), zero.clone()]), Code::Malformed),
        (4, array(&[bytes(&track_id(0)), uint(2), uint(1), uint(1)]), Code::Malformed),
        (4, array(&[bytes(&track_id(0)), uint(1), uint(1), uint(6)]), Code::Malformed),
        (4, array(&[unknown.clone(), uint(1), uint(1), uint(1)]), Code::SequenceInvalid),
        (5, array(&[uint(0), uint(4), zero.clone()]), Code::Malformed),
        (5, array(&[uint(0), uint(1), null()]), Code::Malformed),
        (6, array(std::slice::from_ref(&zero)), Code::UnknownKey),
        (7, array(&[array(&[]), uint(1), uint(1)]), Code::SequenceInvalid),
        (7, array(&[array(&[]), uint(0), uint(1)]), Code::SequenceInvalid),
        (2, segment(2, tail.clone(), 0), Code::SegmentMissing),
        (2, segment(1, zero.clone(), 0), Code::ChainBroken),
        (2, segment(1, null(), 0), Code::Malformed),
        (2, segment(0, null(), 0), Code::SequenceInvalid),
        (2, segment(1, tail, 16), Code::Malformed),
        (0, genesis(), Code::SequenceInvalid),
    ] {
        let report = with_entry(kind, body.clone());
        let problem = found(&report, code);
        assert_eq!(problem.place.seq, Some(4), "{kind} {body:02x?}: {report}");
    }
}

fn null() -> Vec<u8> {
    vec![0xF6]
}

fn genesis() -> Vec<u8> {
    let hash = bytes(&Key::new(3).kid());
    array(&[bytes(&[1; 16]), hash.clone(), hash.clone(), uint(2), hash])
}

#[test]
fn a_close_that_does_not_say_how_tracks_end() {
    type Lie = (fn(&mut Forge), Code);
    let lies: [Lie; 4] = [
        (|forge| drop(forge.tracks[0].objects.pop()), Code::ChainBroken),
        (|forge| forge.tracks[0].objects.push(vec![7; 99]), Code::SegmentMissing),
        (|forge| forge.tracks[0].objects.clear(), Code::SequenceInvalid),
        (|forge| drop(forge.events.pop_last()), Code::SequenceInvalid),
    ];
    for (lie, code) in lies {
        let mut truth = Forge::new(SESSION, Key::new(3));
        for number in 0..2 {
            truth.track(number);
        }
        truth.event(2, "{}");
        for index in 0..2 {
            truth.segment(0, b"m", index * 2);
            truth.segment(1, b"m", index * 2);
        }
        let mut liar = truth.clone();
        lie(&mut liar);
        let body = liar.close_body();
        let seq = truth.append(7, body);
        truth.close = Some(truth.entries.len() - 1);
        truth.sign_head();
        let report = verify(&truth.full());
        assert_eq!(found(&report, code).place.seq, Some(seq), "{report}");
    }
}

#[test]
fn nothing_but_the_allowed_follows_a_close() {
    let mut forge = small();
    forge.event(64, "{}");
    forge.erase(0);
    forge.sign_head();
    assert_valid(&verify(&forge.full()));
    let mut late = small();
    let seq = late.event(3, "{}");
    late.sign_head();
    assert_eq!(found(&verify(&late.full()), Code::SequenceInvalid).place.seq, Some(seq));
    let mut late = small();
    let seq = late.track(7);
    late.sign_head();
    assert_eq!(found(&verify(&late.full()), Code::SequenceInvalid).place.seq, Some(seq));
}

#[test]
fn input_made_to_exhaust_its_reader_ends_at_once() {
    let forge = small();
    let huge = [0x9B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF].to_vec();
    let deep = vec![0x81; 4 << 20];
    let wide = [vec![0x9A, 0, 0x20, 0, 0], vec![0; 2 << 20]].concat();
    let text = [vec![0x5A, 0x7F, 0xFF, 0xFF, 0xFF], vec![0; 3 << 20]].concat();
    for bomb in [huge, deep, wide, text] {
        for name in ["entries.cborseq", "heads.cborseq"] {
            let mut files = forge.full();
            files.files.insert(name.into(), bomb.clone());
            assert_ne!(verify(&files).verdict, Verdict::Valid);
        }
        assert!(Entry::parse(&bomb).is_err());
        let mut proof = forge.proof(&[]);
        for pointer in ["/head/cose", "/close/entry", "/close/receipt", "/operator/receipt"] {
            *proof.pointer_mut(pointer).unwrap() = json!(b64(&bomb));
            let report = verify_proof(proof.to_string().as_bytes(), &Options::default());
            assert_eq!(report.verdict, Verdict::Invalid);
        }
    }
    let nested = "[".repeat(1 << 20);
    let report = verify_proof(nested.as_bytes(), &Options::default());
    assert!(report.has(Code::Malformed));
    // A proof in a proof in a proof is refused by its form.
    let mut inner = bytes(b"x");
    for _ in 0..64 {
        inner = bytes(&map(&[(uint(396), inner)]));
    }
    assert!(cbor::read(&inner).is_ok(), "strings are not followed");
    // An entry that claims an object beyond all limits.
    let mut body = segment_body(track_id(0), 0, null(), &sealed([1; 32], b"x"), [1, 1], [1, 1], 0);
    let small_size = [uint(1), uint(73)].concat();
    let at = body.windows(3).position(|window| window == small_size).unwrap();
    body.splice(at + 1..at + 3, uint((1 << 40) + 16));
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.track(0);
    forge.append(2, body);
    forge.sign_head();
    found(&verify(&forge.full()), Code::TooLarge);
}

/// Two segments of a track, four seconds apart, with what `between` says of the
/// time between them, which is given.
fn with_hole(between: impl FnOnce(&mut Forge, [u64; 2])) -> Report {
    let mut forge = Forge::of_version(2, SESSION, Key::new(3));
    forge.track(0);
    forge.segment(0, b"media", 1);
    between(&mut forge, [START_MS + 20, START_MS + 4_000]);
    forge.segment(0, b"media", 2);
    forge.close();
    forge.sign_head();
    verify(&forge.full())
}

#[test]
fn a_hole_that_nobody_declared_is_found() {
    let report = with_hole(|_, _| {});
    let problem = found(&report, Code::TimeUnaccounted);
    assert_eq!(problem.place.track, Some(uuid(&track_id(0))));
    let place = (problem.place.from_ms, problem.place.to_ms);
    assert_eq!(place, (Some(START_MS + 20), Some(START_MS + 4_000)));
    assert_eq!(report.verdict, Verdict::Invalid);
    assert_eq!(report.facts.tracks[0].unaccounted_ms, Some(3_980));
    assert!(report.to_string().contains("unaccounted for"), "{report}");

    // Declared in part.
    let report = with_hole(|forge, [from, to]| {
        forge.gap(0, from, from + 900, 3);
        forge.rest(0, [to - 900, to], 2, None);
    });
    found(&report, Code::TimeUnaccounted);
    assert_eq!(report.facts.tracks[0].unaccounted_ms, Some(3_980 - 1_800));

    // A closed gate that no decision before it explains.
    for event in [None, Some(0), Some(1), Some(2), Some(4), Some(5), Some(99)] {
        let report = with_hole(|forge, ms| {
            forge.rest(0, ms, 1, event);
        });
        found(&report, Code::TimeUnaccounted);
        assert_eq!(report.facts.tracks[0].unaccounted_ms, Some(3_980), "{event:?}");
    }
}

#[test]
fn time_that_is_accounted_for_is_told() {
    let report = with_hole(|forge, [from, to]| {
        let decision = forge.event(3, r#"{"type":"turn_ended","seq":7}"#);
        forge.rest(0, [from, from + 1_000], 1, Some(decision));
        forge.rest(0, [from + 1_000, from + 3_000], 2, None);
        forge.gap(0, from + 3_000, to, 4);
    });
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
    let track = &report.facts.tracks[0];
    assert_eq!((track.gated_ms, track.silent_ms, track.gap_ms), (1_000, 2_000, 980));
    assert_eq!(track.unaccounted_ms, Some(0));
    assert!(!report.not_checked.iter().any(|line| line.contains("every moment")), "{report}");
}

#[test]
fn a_log_of_version_1_holds_and_the_verifier_says_what_it_does_not_tell() {
    let report = verify(&small().full());
    assert_eq!(report.verdict, Verdict::Valid);
    assert_eq!(report.facts.tracks[0].unaccounted_ms, None);
    assert!(report.not_checked.iter().any(|line| line.contains("every moment")), "{report}");
}

#[test]
fn the_versions_of_a_log_can_not_be_mixed() {
    let report = with_hole(|forge, ms| {
        forge.version = 1;
        forge.gap(0, ms[0], ms[1], 4);
        forge.version = 2;
    });
    found(&report, Code::SequenceInvalid);
    for (version, state, event) in [(1, 2, None), (3, 2, None), (2, 3, None), (2, 2, Some(1))] {
        let report = with_hole(|forge, ms| {
            forge.version = version;
            forge.rest(0, ms, state, event);
            forge.version = 2;
        });
        found(&report, Code::Malformed);
    }
}
