//! Every bit of everything small, one at a time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cabildo::verify::files::InMemory;
use cabildo::verify::report::Problem;
use cabildo::verify::{Code, Options, Report, TrustedKeys, Verdict, verify_bundle, verify_proof};
use serde_json::{Value, json};

use crate::verify::forge::{Forge, Key, SESSION, b64, small, uuid};
use crate::verify::genuine::{assert_valid, verify};

/// Flips each bit of a file in turn and hands on what the verifier says.
fn flip_each(files: &InMemory, name: &str, check: impl Fn(usize, &Report)) {
    let mut copy = files.clone();
    let length = files.files[name].len();
    for at in 0..length {
        for bit in 0..8 {
            copy.files.get_mut(name).expect("there")[at] ^= 1 << bit;
            let report = verify(&copy);
            assert_ne!(report.verdict, Verdict::Valid, "{name}: byte {at}, bit {bit}");
            check(at, &report);
            copy.files.get_mut(name).expect("there")[at] ^= 1 << bit;
        }
    }
    assert_eq!(copy.files, files.files, "every flip was undone");
}

/// The smallest log that has everything: one track of two segments.
fn tiny() -> Forge {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.track(0);
    forge.sign_head();
    forge.segment(0, b"m", 1);
    forge.segment(0, b"n", 2);
    forge.close();
    forge.sign_head();
    forge
}

/// Its bundle without what is attacked elsewhere, so that each of many checks
/// is quick.
fn lean(forge: &Forge) -> InMemory {
    let mut files = forge.full();
    let mut proof = forge.proof(&[]);
    proof["kind"] = json!("full");
    proof["consistency"] = json!([]);
    proof["operator"] = json!(null);
    files.files.insert("bundle.json".into(), proof.to_string().into_bytes());
    assert_valid(&verify(&files));
    files
}

fn names(problem: &Problem, seq: u64) -> bool {
    let place = &problem.place;
    let last = place.seq_last.or(place.seq);
    place.seq.is_some_and(|first| first <= seq) && last.is_some_and(|last| seq <= last)
}

#[test]
fn every_bit_of_every_entry() {
    let forge = tiny();
    let files = lean(&forge);
    let mut starts = vec![0];
    for entry in &forge.entries {
        starts.push(starts.last().unwrap() + entry.len());
    }
    flip_each(&files, "entries.cborseq", |at, report| {
        let seq = starts.iter().rposition(|start| *start <= at).unwrap() as u64;
        let is_named = report.problems.iter().any(|problem| names(problem, seq));
        assert!(is_named, "byte {at} of entry {seq}: {report}");
    });
}

#[test]
fn every_bit_of_every_head() {
    let forge = tiny();
    let files = lean(&forge);
    let first = forge.heads[0].len();
    flip_each(&files, "heads.cborseq", |at, report| {
        // Framing that breaks ends the file; otherwise the head is named.
        let number = if at < first { "head 1" } else { "head 2" };
        let is_named = report.problems.iter().any(|problem| {
            problem.message.contains(number) || problem.message.contains("heads.cborseq")
        });
        assert!(is_named, "byte {at}: {report}");
    });
}

#[test]
fn every_bit_of_every_object() {
    let forge = tiny();
    let files = lean(&forge);
    for index in 0..2 {
        let track = uuid(&forge.tracks[0].id);
        let seq = forge.segment_seq(0, index);
        flip_each(&files, &format!("objects/{track}/{index}"), |at, report| {
            let found = report.problems.iter().find(|problem| problem.code == Code::ObjectChanged);
            let place = &found.unwrap_or_else(|| panic!("byte {at}: {report}")).place;
            assert_eq!((place.seq, place.segment), (Some(seq), Some(index)));
            assert_eq!(place.track.as_deref(), Some(track.as_str()));
            assert!(place.from_ms.is_some() && place.to_ms.is_some());
        });
    }
}

#[test]
fn every_bit_of_the_keys() {
    let files = tiny().full();
    flip_each(&files, "keys.json", |_, _| {});
}

/// The long texts of a proof are attacked below as the bytes that they are, and
/// here with one bit of each letter.
#[test]
fn every_bit_of_the_proof_in_a_bundle() {
    const LONG: usize = 60;
    let files = lean(&tiny());
    let text = String::from_utf8(files.files["bundle.json"].clone()).unwrap();
    let mut copy = files.clone();
    let mut at = 0;
    for piece in text.split_inclusive('"') {
        for letter in at..at + piece.len() {
            let bits = if piece.len() > LONG { letter % 8..letter % 8 + 1 } else { 0..8 };
            for bit in bits {
                copy.files.get_mut("bundle.json").expect("there")[letter] ^= 1 << bit;
                let report = verify(&copy);
                assert_ne!(report.verdict, Verdict::Valid, "byte {letter}, bit {bit}: {report}");
                copy.files.get_mut("bundle.json").expect("there")[letter] ^= 1 << bit;
            }
        }
        at += piece.len();
    }
    assert_eq!(at, text.len());
}

#[test]
fn every_bit_of_what_is_disclosed() {
    let forge = tiny();
    let mut files = lean(&forge);
    let disclosed = json!({"v": 1,
        "events": [forge.event_disclosure(1)],
        "subjects": [{"seq": 2, "salt": b64(&forge.subject_salt(&forge.tracks[0].id)),
            "subject": Forge::subject_text(0)}],
        "segments": [forge.segment_disclosure(0, 0), forge.segment_disclosure(0, 1)]});
    files.files.insert("disclosures.json".into(), disclosed.to_string().into_bytes());
    assert_valid(&verify(&files));
    flip_each(&files, "disclosures.json", |_, _| {});
}

/// Flips each bit of what the pointers of a proof name, in a proof that has
/// nothing else that it may leave out.
fn flip_in_proof(pointers: &[&str], is_b64: bool) {
    let forge = tiny();
    let keys = TrustedKeys::Independent(forge.keys_json().to_string().into_bytes());
    let options = Options { keys, held_heads: None };
    let check = |proof: &Value| verify_proof(proof.to_string().as_bytes(), &options);
    for pointer in pointers {
        let mut genuine = forge.proof(&[1]);
        for (name, nothing) in [
            ("consistency", json!([])),
            ("operator", json!(null)),
            ("receipts", json!([])),
            ("close", json!(null)),
        ] {
            if !pointer[1..].starts_with(name) {
                genuine[name] = nothing;
            }
        }
        genuine["status"] = json!("interrupted");
        assert_valid(&check(&genuine));
        let text = genuine.pointer(pointer).and_then(Value::as_str).expect("there").to_owned();
        let bytes =
            if is_b64 { URL_SAFE_NO_PAD.decode(&text).expect("b64") } else { text.into_bytes() };
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let flipped = if is_b64 { Ok(b64(&flipped)) } else { String::from_utf8(flipped) };
            // JSON has no text that is not UTF-8.
            let Ok(flipped) = flipped else { continue };
            let mut proof = genuine.clone();
            *proof.pointer_mut(pointer).expect("there") = flipped.into();
            let report = check(&proof);
            assert_ne!(report.verdict, Verdict::Valid, "{pointer}, bit {at}: {report}");
        }
    }
}

#[test]
fn every_bit_of_the_heads_of_a_proof() {
    flip_in_proof(&["/head/cose"], true);
    flip_in_proof(&["/head/jws"], false);
}

#[test]
fn every_bit_of_receipts() {
    let parts = ["/consistency/0", "/close/entry", "/close/receipt"];
    flip_in_proof(&parts, true);
    flip_in_proof(&["/receipts/0/entry", "/receipts/0/receipt"], true);
}

#[test]
fn every_bit_of_the_operators_log() {
    flip_in_proof(&["/operator/head", "/operator/receipt"], true);
    flip_in_proof(&["/operator/checkpoint"], false);
}

#[test]
fn sampled_bits_of_larger_media() {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.track(0);
    forge.segment(0, &vec![7; 60_000], 3);
    forge.close();
    forge.sign_head();
    let mut files = forge.full();
    let disclosed = json!({"v": 1, "events": [], "subjects": [],
        "segments": [forge.segment_disclosure(0, 0)]});
    files.files.insert("disclosures.json".into(), disclosed.to_string().into_bytes());
    assert_valid(&verify(&files));
    let name = format!("objects/{}/0", uuid(&forge.tracks[0].id));
    let length = files.files[&name].len();
    for at in (56..length).step_by(997) {
        let mut copy = files.clone();
        copy.files.get_mut(&name).expect("there")[at] ^= 0x10;
        let report = verify(&copy);
        assert!(report.has(Code::ObjectChanged), "{report}");
        // The chunk is named, too.
        let chunk = format!("chunk {} can't be decrypted", (at - 56) / 16_400);
        let named = report.problems.iter().find(|p| p.code == Code::DecryptionFailed);
        assert_eq!(named.map(|problem| problem.message.as_str()), Some(chunk.as_str()));
    }
}

/// A bundle has no file that is not checked, so none may be left out either.
#[test]
fn every_file_is_needed() {
    let forge = small();
    let files = forge.full();
    for name in files.files.keys() {
        let mut copy = files.clone();
        copy.files.remove(name);
        let report = verify_bundle(&copy, &Options::default());
        assert_ne!(report.verdict, Verdict::Valid, "without {name}");
    }
}
