//! What is true is found true, and what it says is told.

use cabildo::verify::files::{Directory, InMemory};
use cabildo::verify::{Code, Options, Report, TrustedKeys, Verdict, verify_bundle, verify_proof};
use serde_json::json;

use crate::verify::forge::{Forge, Key, SESSION, START_MS, segment_key, small, uuid};

pub(crate) fn verify(files: &InMemory) -> Report {
    verify_bundle(files, &Options::default())
}

pub(crate) fn assert_valid(report: &Report) {
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
    assert!(report.problems.is_empty(), "{report}");
}

fn count(report: &Report, what: &str) -> u64 {
    report.checked.iter().find(|check| check.what == what).map_or(0, |check| check.count)
}

/// Puts disclosures of everything into a bundle.
fn disclose_all(forge: &Forge, files: &mut InMemory) {
    let segments: Vec<_> = (0..3)
        .flat_map(|track| (0..3).map(move |index| (track, index)))
        .map(|(track, index)| forge.segment_disclosure(track, index))
        .collect();
    let events: Vec<_> = forge.events.keys().map(|seq| forge.event_disclosure(*seq)).collect();
    let subjects: Vec<_> = (0..3_u8)
        .map(|number| {
            let track = &forge.tracks[usize::from(number)];
            json!({"seq": track.seq, "salt": crate::verify::forge::b64(&forge.subject_salt(&track.id)),
                "subject": Forge::subject_text(number)})
        })
        .collect();
    let all = json!({"v": 1, "events": events, "subjects": subjects, "segments": segments});
    files.files.insert("disclosures.json".into(), all.to_string().into_bytes());
}

#[test]
fn a_full_bundle_is_valid_and_says_what_was_recorded() {
    let forge = small();
    let report = verify(&forge.full());
    assert_valid(&report);
    assert_eq!(count(&report, "entries"), forge.entries.len() as u64);
    assert_eq!(count(&report, "objects"), 9);
    assert_eq!(count(&report, "consistency receipts"), 4);
    assert_eq!(count(&report, "inclusion receipts"), 1);
    assert_eq!(count(&report, "places in the operator's log"), 1);
    let facts = &report.facts;
    assert_eq!(facts.session.as_deref(), Some(uuid(&SESSION).as_str()));
    assert_eq!((facts.entries, facts.heads), (forge.entries.len() as u64, 6));
    assert_eq!(facts.tracks.len(), 3);
    assert_eq!((facts.tracks[1].segments, facts.tracks[1].recorded_ms), (3, 60));
    assert_eq!((facts.tracks[1].gaps, facts.tracks[1].gap_ms), (1, 3_980));
    assert_eq!(facts.tracks[1].from_ms, Some(START_MS));
    assert_eq!(facts.closed.as_ref().map(|close| close.reason), Some("the session ended"));
    // Keys from the bundle itself are not the operator's word.
    assert!(report.not_checked.iter().any(|line| line.contains("these keys")), "{report}");
    let text = report.to_string();
    assert!(text.starts_with("VALID") && text.contains(&facts.tracks[2].track), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (&json["verdict"], &json["facts"]["tracks"][0]["segments"]),
        (&json!("valid"), &json!(3))
    );
}

#[test]
fn keys_that_somebody_trusts_leave_nothing_unchecked() {
    let forge = small();
    let keys = TrustedKeys::Independent(forge.keys_json().to_string().into_bytes());
    let options = Options { keys, held_heads: Some(forge.held(&forge.heads)) };
    let report = verify_bundle(&forge.full(), &options);
    assert_valid(&report);
    // The log is of version 1, which does not account for every moment.
    assert_eq!(report.not_checked.len(), 1, "{report}");
    assert!(report.not_checked[0].contains("version 1"), "{report}");
    assert_eq!(count(&report, "held heads"), 6);
}

#[test]
fn everything_disclosed_is_opened_and_is_what_was_committed_to() {
    let forge = small();
    let mut files = forge.full();
    disclose_all(&forge, &mut files);
    let report = verify(&files);
    assert_valid(&report);
    assert_eq!(count(&report, "opened segments"), 9);
    assert_eq!(count(&report, "packets in opened segments"), 27);
    assert_eq!(count(&report, "disclosed events"), forge.events.len() as u64);
    assert_eq!(count(&report, "disclosed subjects"), 3);
}

#[test]
fn a_directory_is_read_like_memory() {
    let forge = small();
    let directory = tempfile::tempdir().unwrap();
    for (name, contents) in &forge.full().files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    let report = verify_bundle(&Directory::new(directory.path()), &Options::default());
    assert_valid(&report);
    // What is not a file is not read, so nothing can make the reader wait.
    let object = format!("objects/{}/0", uuid(&forge.tracks[0].id));
    let path = directory.path().join(&object);
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let report = verify_bundle(&Directory::new(directory.path()), &Options::default());
    assert_eq!(report.verdict, Verdict::Incomplete, "{report}");
}

#[test]
fn large_objects_are_opened_chunk_by_chunk() {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.track(0);
    // Packets of 16 KiB put records across the borders of chunks.
    for payload in [16_000, 16_300, 60_000] {
        forge.segment(0, &vec![7; payload], 1);
    }
    forge.close();
    forge.sign_head();
    let mut files = forge.full();
    let segments: Vec<_> = (0..3).map(|index| forge.segment_disclosure(0, index)).collect();
    let disclosed = json!({"v": 1, "events": [], "subjects": [], "segments": segments});
    files.files.insert("disclosures.json".into(), disclosed.to_string().into_bytes());
    let report = verify(&files);
    assert_valid(&report);
    assert_eq!(count(&report, "packets in opened segments"), 9);
}

#[test]
fn a_proof_by_itself_is_valid() {
    let forge = small();
    let held = Some(forge.held(&forge.heads));
    let options = Options { held_heads: held, ..Options::default() };
    let report = verify_proof(forge.proof_to_holder(&[1, 7]).to_string().as_bytes(), &options);
    assert_valid(&report);
    assert_eq!(count(&report, "inclusion receipts"), 3);
    assert_eq!(count(&report, "held heads"), 6);
    let keys = TrustedKeys::SameSource(forge.keys_json().to_string().into_bytes());
    let options = Options { keys, held_heads: None };
    let report = verify_proof(forge.proof(&[]).to_string().as_bytes(), &options);
    assert_valid(&report);
    assert_eq!(count(&report, "places in the operator's log"), 1);
}

#[test]
fn a_held_head_without_a_receipt_is_not_called_checked() {
    let forge = small();
    let mut proof = forge.proof(&[]);
    proof["consistency"] = json!([]);
    let held = Some(forge.held(&forge.heads[1..2]));
    let options = Options { held_heads: held, ..Options::default() };
    let report = verify_proof(proof.to_string().as_bytes(), &options);
    assert_eq!(report.verdict, Verdict::Incomplete, "{report}");
    assert!(report.problems.is_empty());
}

#[test]
fn a_clip_is_proven_with_only_its_own_keys() {
    let forge = small();
    let files = forge.clip(1, 1..3);
    let report = verify(&files);
    assert_valid(&report);
    assert_eq!(count(&report, "opened segments"), 2);
    // The rest stays closed: a key opens its own segment and no other.
    let mut moved = files;
    let track = uuid(&forge.tracks[1].id);
    let disclosed = json!({"v": 1, "events": [], "subjects": [], "segments": [
        {"track": track, "index": 1, "epoch": 1,
         "key": crate::verify::forge::b64(&segment_key(forge.tracks[1].key, 2))}]});
    moved.files.insert("disclosures.json".into(), disclosed.to_string().into_bytes());
    let report = verify(&moved);
    assert!(report.has(Code::WrongKey), "{report}");
}

#[test]
fn a_log_without_an_end_is_incomplete_and_not_false() {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.track(0);
    forge.segment(0, b"media", 1);
    forge.sign_head();
    let report = verify(&forge.full());
    assert_eq!(report.verdict, Verdict::Incomplete, "{report}");
    assert!(report.has(Code::NotClosed));
    // A proof by itself only says that it is not the end.
    let report = verify_proof(forge.proof(&[]).to_string().as_bytes(), &Options::default());
    assert_valid(&report);
    assert!(report.not_checked.iter().any(|line| line.contains("not closed")), "{report}");
}

#[test]
fn keys_change_in_the_middle() {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.track(0);
    forge.sign_head();
    forge.rotate(Key::new(4));
    forge.segment(0, b"media", 3);
    forge.close();
    forge.sign_head();
    assert_valid(&verify(&forge.full()));
}
