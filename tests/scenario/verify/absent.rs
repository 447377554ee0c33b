//! What is absent is told as missing, never as false, and its absence never makes a false bundle
//! valid.

use cabildo::verify::files::InMemory;
use cabildo::verify::{Code, Verdict, verify_proof};

use crate::verify::forge::{Forge, small};
use crate::verify::genuine::verify;

const PARTS: [&str; 4] = ["bundle.json", "entries.cborseq", "heads.cborseq", "keys.json"];

/// The bundle without each choice of parts, and the names of those.
fn each_without(files: &InMemory, parts: &[&'static str]) -> Vec<(Vec<&'static str>, InMemory)> {
    let chosen = |choice: u32| {
        let taken = |at: &usize| choice & (1 << at) != 0;
        (0..parts.len()).filter(taken).map(|at| parts[at]).collect::<Vec<_>>()
    };
    let without = |names: Vec<&'static str>| {
        let mut left = files.clone();
        left.files.retain(|name, _| !names.contains(&name.as_str()));
        (names, left)
    };
    (1..1 << parts.len()).map(|choice| without(chosen(choice))).collect()
}

fn is_absence(code: Code) -> bool {
    matches!(code, Code::NotClosed | Code::ObjectMissing)
}

fn disclosing(forge: &Forge) -> InMemory {
    let mut files = forge.full();
    let disclosed = serde_json::json!({
        "v": 1, "events": [forge.event_disclosure(*forge.events.keys().next().expect("an event"))],
        "subjects": [], "segments": [forge.segment_disclosure(0, 0)],
    });
    files.files.insert("disclosures.json".into(), disclosed.to_string().into_bytes());
    files
}

#[test]
fn an_absent_part_is_missing_and_not_false() {
    let forge = small();
    for (names, left) in each_without(&disclosing(&forge), &PARTS) {
        let report = verify(&left);
        assert_eq!(report.verdict, Verdict::Incomplete, "{names:?}: {report}");
        assert!(report.problems.iter().all(|one| is_absence(one.code)), "{names:?}: {report}");
        let first = names[0];
        assert!(report.to_string().contains(first), "{first} is named: {report}");
    }
    let clip = forge.clip(1, 1..3);
    for (names, left) in each_without(&clip, &["bundle.json", "heads.cborseq", "keys.json"]) {
        let report = verify(&left);
        assert_eq!(report.verdict, Verdict::Incomplete, "{names:?}: {report}");
    }
}

#[test]
fn a_part_that_is_there_and_malformed_is_false() {
    let forge = small();
    for name in PARTS {
        for contents in [&b""[..], b"\xFF", b"{"] {
            let mut files = forge.full();
            files.files.insert(name.into(), contents.to_vec());
            let report = verify(&files);
            assert_eq!(report.verdict, Verdict::Invalid, "{name} {contents:?}: {report}");
        }
    }
}

#[test]
fn leaving_out_parts_never_makes_a_false_bundle_valid() {
    let forge = small();
    let mut entry_changed = forge.full();
    *entry_changed.files.get_mut("entries.cborseq").unwrap().last_mut().unwrap() ^= 1;
    let mut entries_cut = forge.full();
    let kept = forge.entries[..forge.entries.len() - 1].concat();
    entries_cut.files.insert("entries.cborseq".into(), kept);
    let mut head_changed = forge.full();
    *head_changed.files.get_mut("heads.cborseq").unwrap().last_mut().unwrap() ^= 1;
    for files in [&entry_changed, &entries_cut, &head_changed] {
        assert_eq!(verify(files).verdict, Verdict::Invalid);
        let parts = [&PARTS[..], &["disclosures.json"]].concat();
        for (names, left) in each_without(files, &parts) {
            if names == ["disclosures.json"] {
                continue;
            }
            let report = verify(&left);
            assert_ne!(report.verdict, Verdict::Valid, "{names:?}: {report}");
        }
    }
    // The head of the proof is enough to expose entries.
    for files in [&mut entry_changed, &mut entries_cut] {
        files.files.remove("heads.cborseq");
        assert_eq!(verify(files).verdict, Verdict::Invalid);
    }
}

#[test]
fn the_document_of_a_bundle_is_a_proof_by_itself() {
    let document = &small().full().files["bundle.json"];
    let report = verify_proof(document, &cabildo::verify::Options::default());
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
}
