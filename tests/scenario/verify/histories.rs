//! Two histories of one log, ends cut off, and logs mixed up.

use cabildo::verify::cose::Head;
use cabildo::verify::{Code, Options, Report, TrustedKeys, Verdict, verify_bundle, verify_proof};
use serde_json::json;

use crate::verify::forge::{Forge, Key, SESSION, b64, root, small, small_of, uuid};
use crate::verify::genuine::{assert_valid, verify};

/// A bundle or proof against heads and keys that somebody holds.
fn against(forge: &Forge, holder: &Forge, heads: &[Vec<u8>]) -> [Report; 2] {
    let options = Options {
        keys: TrustedKeys::Independent(holder.keys_json().to_string().into_bytes()),
        held_heads: Some(holder.held(heads)),
    };
    // As who holds a head asks for it: with its size.
    let mut proof = forge.proof(&[]);
    let sizes = heads.iter().map(|head| Head::parse(head).expect("fits").size);
    let sizes = sizes.filter(|size| *size < forge.entries.len() as u64);
    let receipts = sizes.map(|size| b64(&forge.consistency(usize::try_from(size).expect("fits"))));
    proof["consistency"] = receipts.collect();
    [verify_bundle(&forge.full(), &options), verify_proof(proof.to_string().as_bytes(), &options)]
}

#[test]
fn a_history_rewritten_with_the_real_key_is_exposed_by_any_head_after_the_change() {
    let truth = small();
    let rewritten = small_of(SESSION, Key::new(3), "the motion is rejected");
    // By itself it is perfect: the operator signed it.
    assert_valid(&verify(&rewritten.full()));
    let change = truth.entries.iter().zip(&rewritten.entries).position(|(a, b)| a != b).unwrap();
    for (head, size) in truth.heads.iter().zip(&truth.head_sizes) {
        for report in against(&rewritten, &truth, std::slice::from_ref(head)) {
            if *size > change {
                assert!(report.has(Code::ForkedLog), "head of {size}: {report}");
                let problem = &report.problems[0];
                assert_eq!(problem.place.head, Some(*size as u64));
                assert!(problem.message.contains(&format!("{size}")), "{problem:?}");
            } else {
                assert_valid(&report);
            }
        }
    }
}

#[test]
fn a_fork_with_an_unsigned_path_does_not_hide() {
    // The operator gives no receipts, or receipts that do not connect.
    let truth = small();
    let rewritten = small_of(SESSION, Key::new(3), "the motion is rejected");
    let held = Some(truth.held(&truth.heads[3..4]));
    let options = Options { held_heads: held, ..Options::default() };
    let mut proof = rewritten.proof(&[]);
    proof["consistency"] = json!([]);
    let report = verify_proof(proof.to_string().as_bytes(), &options);
    assert_eq!(report.verdict, Verdict::Incomplete, "{report}");
    proof["consistency"] = truth.proof(&[])["consistency"].clone();
    let report = verify_proof(proof.to_string().as_bytes(), &options);
    assert_eq!(report.verdict, Verdict::Invalid, "{report}");
}

#[test]
fn a_held_head_exposes_that_the_whole_tail_is_gone() {
    let whole = small();
    // The same log up to the middle, closed there with the real key.
    let mut cut = whole.clone();
    let keep = 3;
    cut.heads.truncate(keep);
    cut.head_sizes.truncate(keep);
    cut.entries.truncate(cut.head_sizes[keep - 1]);
    cut.events.retain(|seq, _| *seq < cut.entries.len() as u64);
    for track in &mut cut.tracks {
        track.objects.truncate(1);
    }
    cut.close = None;
    cut.close();
    cut.sign_head();
    assert_valid(&verify(&cut.full()));
    for report in against(&cut, &whole, &whole.heads[5..]) {
        assert!(report.has(Code::TruncatedLog), "{report}");
        assert_eq!(report.problems[0].place.head, Some(whole.entries.len() as u64));
    }
    // A head before the cut still holds; one after tells two histories.
    for report in against(&cut, &whole, &whole.heads[..3]) {
        assert_valid(&report);
    }
}

#[test]
fn entries_cut_from_the_end_are_missed() {
    let forge = small();
    let total = forge.entries.len();
    for keep in 0..total {
        let mut files = forge.full();
        files.files.insert("entries.cborseq".into(), forge.entries[..keep].concat());
        let report = verify(&files);
        assert!(report.has(Code::TruncatedLog), "{keep}: {report}");
        let found = report.problems.iter().find(|p| p.code == Code::TruncatedLog).unwrap();
        assert_eq!(found.place.seq, Some(keep as u64));
        assert_eq!(found.place.seq_last, Some(total as u64 - 1));
    }
}

#[test]
fn entries_that_no_head_covers_are_told() {
    let mut forge = small();
    forge.event(64, "{}");
    let report = verify(&forge.full());
    assert!(report.has(Code::RootMismatch), "{report}");
    forge.sign_head();
    assert_valid(&verify(&forge.full()));
}

#[test]
fn heads_dropped_swapped_and_repeated() {
    let forge = small();
    for drop in 0..forge.heads.len() {
        let mut heads = forge.heads.clone();
        heads.remove(drop);
        let mut files = forge.full();
        files.files.insert("heads.cborseq".into(), heads.concat());
        let report = verify(&files);
        let expected =
            if drop + 1 == forge.heads.len() { Code::TruncatedLog } else { Code::ChainBroken };
        assert!(report.has(expected), "without head {drop}: {report}");
    }
    for swap in 1..forge.heads.len() {
        let mut heads = forge.heads.clone();
        heads.swap(swap - 1, swap);
        let mut files = forge.full();
        files.files.insert("heads.cborseq".into(), heads.concat());
        assert!(verify(&files).has(Code::ChainBroken));
        let mut heads = forge.heads.clone();
        heads.insert(swap, heads[swap].clone());
        files.files.insert("heads.cborseq".into(), heads.concat());
        assert!(verify(&files).has(Code::ChainBroken));
    }
}

#[test]
fn entries_dropped_swapped_and_repeated() {
    let forge = small();
    for at in 0..forge.entries.len() {
        let mut dropped = forge.entries.clone();
        dropped.remove(at);
        let mut swapped = forge.entries.clone();
        let other = (at + 1) % swapped.len();
        swapped.swap(at, other);
        let mut repeated = forge.entries.clone();
        repeated.insert(at, repeated[at].clone());
        for (kind, entries) in [("dropped", dropped), ("swapped", swapped), ("repeated", repeated)]
        {
            let mut files = forge.full();
            files.files.insert("entries.cborseq".into(), entries.concat());
            let report = verify(&files);
            let is_last = at + 1 == forge.entries.len();
            let is_told = report.has(Code::SequenceInvalid)
                || (kind == "dropped" && is_last && report.has(Code::TruncatedLog));
            assert!(is_told, "entry {at} {kind}: {report}");
            assert_eq!(report.verdict, Verdict::Invalid);
        }
    }
}

#[test]
fn another_session_is_another_session() {
    let other_session = [0x52; 16];
    let mine = small();
    let other = small_of(other_session, Key::new(3), "the motion is carried");
    // Its heads, receipts and entries under the name of this one.
    let mut proof = other.proof(&[1]);
    proof["session"] = json!(uuid(&SESSION));
    let report = verify_proof(proof.to_string().as_bytes(), &Options::default());
    assert!(report.has(Code::WrongSession), "{report}");
    // One of its receipts among ours.
    let mut proof = mine.proof(&[1]);
    proof["receipts"][0] = other.proof(&[1])["receipts"][0].clone();
    let report = verify_proof(proof.to_string().as_bytes(), &Options::default());
    assert_eq!(report.verdict, Verdict::Invalid, "{report}");
    // Its heads held against ours.
    let options = Options { held_heads: Some(other.held(&other.heads)), ..Options::default() };
    let report = verify_proof(mine.proof(&[]).to_string().as_bytes(), &options);
    assert!(report.has(Code::WrongSession), "{report}");
    let options = Options { held_heads: Some(mine.held(&other.heads)), ..Options::default() };
    let report = verify_proof(mine.proof(&[]).to_string().as_bytes(), &options);
    assert!(report.has(Code::WrongSession), "{report}");
    // Another log's name on the same entries.
    let mut files = mine.full();
    let mut proof = mine.proof(&[]);
    proof["kind"] = json!("full");
    proof["log"] = json!(b64(&[0x11; 16]));
    files.files.insert("bundle.json".into(), proof.to_string().into_bytes());
    assert!(verify(&files).has(Code::WrongSession));
}

#[test]
fn a_head_over_other_entries_names_where_they_part() {
    let truth = small();
    let rewritten = small_of(SESSION, Key::new(3), "the motion is rejected");
    let change = truth.entries.iter().zip(&rewritten.entries).position(|(a, b)| a != b).unwrap();
    let mut files = truth.full();
    files.files.insert("entries.cborseq".into(), rewritten.entries.concat());
    let report = verify(&files);
    let problem = report.problems.iter().find(|p| p.code == Code::RootMismatch).unwrap();
    let (from, to) = (problem.place.seq.unwrap(), problem.place.seq_last.unwrap());
    assert!((from..=to).contains(&(change as u64)), "{problem:?}");
    assert!(to - from < 10, "{problem:?}");
    // The held heads agree with the heads, so nobody is accused of a fork.
    let options = Options { held_heads: Some(truth.held(&truth.heads)), ..Options::default() };
    assert!(!verify_bundle(&files, &options).has(Code::ForkedLog));
    assert_ne!(root(&truth.entries), root(&rewritten.entries));
}

#[test]
fn the_operators_log_is_checked() {
    let forge = small();
    let keys = TrustedKeys::Independent(forge.keys_json().to_string().into_bytes());
    let options = Options { keys, held_heads: None };
    let check = |operator: serde_json::Value| {
        let mut proof = forge.proof(&[]);
        proof["operator"] = operator;
        verify_proof(proof.to_string().as_bytes(), &options)
    };
    let heads = vec![b"one".to_vec(), b"two".to_vec()];
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
    let mut other_tree = forge.operator();
    other_tree["checkpoint"] = json!(crate::verify::forge::checkpoint(
        3,
        root(&heads),
        &crate::verify::forge::operator_key()
    ));
    assert!(check(other_tree).has(Code::OperatorLogInvalid));
    let mut other_size = forge.operator();
    let text = other_size["checkpoint"].as_str().unwrap().replace("\n3\n", "\n4\n");
    other_size["checkpoint"] = json!(text);
    assert!(check(other_size).has(Code::OperatorLogInvalid));
    let mine = forge.heads.last().unwrap().clone();
    let all = vec![b"another head".to_vec(), mine, b"and another".to_vec()];
    let mut other_key = forge.operator();
    other_key["checkpoint"] = json!(crate::verify::forge::checkpoint(3, root(&all), &stranger));
    assert!(check(other_key).has(Code::OperatorLogInvalid));
    let rewritten = small_of(SESSION, Key::new(3), "the motion is rejected");
    assert!(check(rewritten.operator()).has(Code::ForkedLog));
}
