//! Keys: whose they are, when it is their turn, and what is not one.

use cabildo::verify::{Code, Options, Report, TrustedKeys, Verdict, verify_bundle, verify_proof};
use serde_json::{Value, json};

use crate::verify::forge::{Forge, Key, SESSION, b64, bytes, head_cose, small, small_of};
use crate::verify::genuine::verify;

fn with_keys(forge: &Forge, keys: &Value) -> Report {
    let keys = TrustedKeys::Independent(keys.to_string().into_bytes());
    verify_bundle(&forge.full(), &Options { keys, held_heads: None })
}

#[test]
fn a_perfect_bundle_of_a_stranger_is_invalid() {
    let operator = small();
    let stranger = small_of(SESSION, Key::new(8), "the motion is carried");
    assert_eq!(verify(&stranger.full()).verdict, Verdict::Valid);
    let report = with_keys(&stranger, &operator.keys_json());
    assert_eq!(report.verdict, Verdict::Invalid);
    assert!(report.has(Code::UnknownKey), "{report}");
    // Nor does a key of the right name help.
    let mut proof = stranger.proof(&[]);
    proof["keys"][0]["kid"] = json!(b64(&operator.key.kid()));
    let report = verify_proof(proof.to_string().as_bytes(), &Options::default());
    assert!(report.has(Code::Malformed), "{report}");
}

#[test]
fn another_issuers_keys_are_not_taken() {
    let forge = small();
    let mut keys = forge.keys_json();
    keys["iss"] = json!("https://other.example");
    assert!(with_keys(&forge, &keys).has(Code::UnknownKey));
}

#[test]
fn a_list_of_keys_may_name_more_issuers_than_its_own() {
    let forge = small();
    let mut keys = forge.keys_json();
    let iss = keys["iss"].clone();
    keys["iss"] = json!("https://moved.example");
    keys["issuers"] = json!([iss, "https://moved.example"]);
    let report = with_keys(&forge, &keys);
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
    keys["issuers"] = json!(["https://moved.example"]);
    assert!(with_keys(&forge, &keys).has(Code::UnknownKey));
    for malformed in [json!([]), json!([iss]), json!([1]), json!("https://moved.example")] {
        keys["issuers"] = malformed;
        let report = with_keys(&forge, &keys);
        assert!(report.has(Code::Malformed), "{}: {report}", keys["issuers"]);
    }
}

#[test]
fn lists_of_keys_are_exact() {
    let forge = small();
    let point = b64(&[4; 32]);
    for (pointer, value) in [
        ("/v", json!(2)),
        ("/keys/0/kid", json!(b64(&[1; 32]))),
        ("/keys/0/spki", json!("AA")),
        ("/keys/0/x", json!(point)),
        ("/keys/0/y", json!(point)),
        ("/keys/0/alg", json!("ES384")),
        ("/keys/0/kty", json!("OKP")),
        ("/keys/0/crv", json!("P-384")),
        ("/keys/0/use", json!("enc")),
        ("/operator/origin", json!("other.example")),
        ("/operator/vkey", json!("record.example/evidence/log+00000000+AQ==")),
    ] {
        let mut keys = forge.keys_json();
        *keys.pointer_mut(pointer).unwrap() = value;
        let report = with_keys(&forge, &keys);
        assert!(report.has(Code::Malformed), "{pointer}: {report}");
    }
    let mut twice = forge.keys_json();
    let key = twice["keys"][0].clone();
    twice["keys"].as_array_mut().unwrap().push(key);
    assert!(with_keys(&forge, &twice).has(Code::Malformed));
}

/// A log whose key changes, with heads signed by `signers` in turn.
fn rotated(signers: [u8; 4]) -> Report {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.keys.push(Key::new(4));
    let sign = |forge: &mut Forge, seed: u8| {
        let key = Key::new(seed);
        let previous = forge.head_sizes.last().copied().unwrap_or(0);
        let cose = head_cose(key.kid(), &forge.subject(), &forge.entries, previous);
        forge.heads.push(cose.sign(&key));
        forge.head_sizes.push(forge.entries.len());
        forge.key = key;
    };
    sign(&mut forge, signers[0]);
    forge.event(3, "{}");
    sign(&mut forge, signers[1]);
    forge.append(6, crate::verify::forge::array(&[bytes(&Key::new(4).kid())]));
    sign(&mut forge, signers[2]);
    forge.close();
    sign(&mut forge, signers[3]);
    verify(&forge.full())
}

#[test]
fn each_key_signs_in_its_turn() {
    let right = rotated([3, 3, 3, 4]);
    assert_eq!(right.verdict, Verdict::Valid, "{right}");
    for wrong in [[3, 3, 3, 3], [3, 3, 4, 4], [3, 4, 3, 4], [4, 3, 3, 4], [4, 4, 4, 4]] {
        let report = rotated(wrong);
        assert!(report.has(Code::WrongKey), "{wrong:?}: {report}");
    }
}

#[test]
fn a_receipt_of_a_key_that_the_log_does_not_name() {
    let mut forge = small();
    let other = Key::new(9);
    forge.keys.push(other.clone());
    let receipt = crate::verify::forge::inclusion_cose(
        other.kid(),
        &forge.subject(),
        &forge.entries,
        forge.close.unwrap(),
    );
    let mut files = forge.full();
    let mut proof = forge.proof(&[]);
    proof["kind"] = json!("full");
    proof["close"]["receipt"] = json!(b64(&receipt.sign(&other)));
    files.files.insert("bundle.json".into(), proof.to_string().into_bytes());
    assert!(verify(&files).has(Code::WrongKey));
}
