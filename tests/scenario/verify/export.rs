//! A bundle for verifiers that others wrote; see scripts/foreign.

use cabildo::verify::{Options, verify_bundle};
use serde_json::json;

use crate::verify::forge::{START_MS, checkpoint, journal, operator_key, record, root, small};
use crate::verify::genuine::assert_valid;

/// Written to the directory `CABILDO_WRITE_BUNDLE`, when it is set.
#[test]
fn a_bundle_for_foreign_verifiers() {
    let forge = small();
    let mut files = forge.full();
    let mut proof = forge.proof_to_holder(&[0, 1, 7, forge.entries.len() - 2]);
    proof["kind"] = json!("full");
    files.files.insert("bundle.json".into(), proof.to_string().into_bytes());
    assert_valid(&verify_bundle(&files, &Options::default()));
    let Some(directory) = std::env::var_os("CABILDO_WRITE_BUNDLE") else { return };
    for (name, contents) in &files.files {
        let path = std::path::Path::new(&directory).join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, contents).expect("written");
    }
    std::fs::write(
        std::path::Path::new(&directory).join("held-heads.json"),
        forge.held(&forge.heads),
    )
    .expect("written");
}

/// Seeds of the fuzz targets of the verifier, written to the directory
/// `CABILDO_WRITE_SEEDS`, when it is set; always such that they are read.
#[test]
fn seeds_of_the_fuzz_targets_are_genuine() {
    let forge = small();
    let last = forge.entries.len() - 1;
    let mut plaintext = journal(START_MS, 65_534, 3, b"media");
    plaintext.extend(record(1, 20, &[&[0x80, 200, 0, 6][..], &[0; 24]].concat()));
    plaintext.extend(record(2, 0, &[6, 96, 2]));
    let disclosed = json!({"v": 1, "events": [forge.event_disclosure(1)], "subjects": [],
        "segments": [forge.segment_disclosure(0, 0)]});
    let mut seeds = vec![
        ("cbor_item/head".to_owned(), forge.heads[0].clone()),
        ("cbor_item/close".to_owned(), forge.entries[last].clone()),
        ("evidence_head/first".to_owned(), forge.heads[0].clone()),
        ("evidence_head/last".to_owned(), forge.heads[5].clone()),
        ("evidence_receipt/inclusion".to_owned(), forge.receipt(1)),
        ("evidence_receipt/consistency".to_owned(), forge.consistency(6)),
        ("audit_proof/closed".to_owned(), forge.proof(&[1]).to_string().into_bytes()),
        ("disclosures/all".to_owned(), disclosed.to_string().into_bytes()),
        (
            "checkpoint/signed".to_owned(),
            checkpoint(3, root(&forge.entries), &operator_key()).into_bytes(),
        ),
        ("segment_journal/all".to_owned(), plaintext.clone()),
    ];
    for (seq, entry) in forge.entries.iter().enumerate() {
        seeds.push((format!("evidence_entry/{seq:02}"), entry.clone()));
        cabildo::verify::entry::Entry::parse(entry).expect("an entry");
    }
    for head in &forge.heads {
        cabildo::verify::cose::Head::parse(head).expect("a head");
    }
    let mut reader = cabildo::verify::journal::JournalReader::default();
    reader.handle_bytes(&plaintext).expect("a journal");
    assert_eq!(reader.finish().expect("a whole one").packets, 3);
    let Some(directory) = std::env::var_os("CABILDO_WRITE_SEEDS") else { return };
    for (name, contents) in &seeds {
        let path = std::path::Path::new(&directory).join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, contents).expect("written");
    }
}
