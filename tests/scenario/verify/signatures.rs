//! Signatures and their headers: nothing but the one form is taken.

use cabildo::verify::cose::{Head, Receipt};
use cabildo::verify::{Code, Options, Report, TrustedKeys, verify_proof};
use serde_json::{Value, json};

use crate::verify::forge::{
    Cose, Forge, ISSUER, START_MS, array, b64, bytes, claims, consistency_cose, head_cose,
    inclusion_cose, map, minus, null, protected, sha256, small, text, uint,
};
use crate::verify::genuine::assert_valid;

fn check(forge: &Forge, proof: &Value) -> Report {
    let keys = TrustedKeys::Independent(forge.keys_json().to_string().into_bytes());
    verify_proof(proof.to_string().as_bytes(), &Options { keys, held_heads: None })
}

/// The proof with another head.
fn with_head(forge: &Forge, cose: &[u8]) -> Report {
    let mut proof = forge.proof(&[]);
    proof["head"]["cose"] = json!(b64(cose));
    check(forge, &proof)
}

/// The proof with another receipt for the first entry.
fn with_receipt(forge: &Forge, cose: &[u8]) -> Report {
    let mut proof = forge.proof(&[0]);
    proof["receipts"][0]["receipt"] = json!(b64(cose));
    check(forge, &proof)
}

fn head(forge: &Forge) -> Cose {
    let previous = forge.head_sizes[forge.head_sizes.len() - 2];
    head_cose(forge.key.kid(), &forge.subject(), &forge.entries, previous)
}

fn receipt(forge: &Forge) -> Cose {
    inclusion_cose(forge.key.kid(), &forge.subject(), &forge.entries, 0)
}

const HEAD: &str = "application/vnd.cabildo.head+cose";
const RECEIPT: &str = "application/vnd.cabildo.receipt+cose";

#[test]
fn headers_are_exactly_those_of_the_format() {
    let forge = small();
    let (kid, subject) = (forge.key.kid(), forge.subject());
    let size = forge.entries.len() as u64;
    let alg = (uint(1), minus(7));
    let kid = (uint(4), bytes(&kid));
    let cwt = (uint(15), claims(&subject, size));
    let typ = (uint(16), text(HEAD));
    let crit = (uint(2), array(&[uint(99)]));
    let sorted = |mut pairs: Vec<(Vec<u8>, Vec<u8>)>| {
        pairs.sort();
        map(&pairs)
    };
    let all = || vec![alg.clone(), kid.clone(), cwt.clone(), typ.clone()];
    let mut wrong = Vec::new();
    for missing in 0..4 {
        let mut pairs = all();
        pairs.remove(missing);
        wrong.push((sorted(pairs), Code::HeaderInvalid));
    }
    for extra in [
        crit.clone(),
        (uint(3), uint(0)),
        (uint(33), bytes(b"a certificate")),
        (uint(395), uint(1)),
        (text("more"), uint(1)),
        (minus(1), uint(1)),
    ] {
        let mut pairs = all();
        pairs.push(extra);
        wrong.push((sorted(pairs), Code::HeaderInvalid));
    }
    // Known labels with values of another kind.
    for (at, value) in [
        (0, minus(8)),
        (0, uint(7)),
        (1, bytes(b"short")),
        (1, text("kid")),
        (2, map(&[])),
        (2, uint(1)),
        (3, text(RECEIPT)),
        (3, uint(1)),
    ] {
        let mut pairs = all();
        pairs[at].1 = value;
        wrong.push((sorted(pairs), Code::HeaderInvalid));
    }
    // Another order, a key twice, no map, an indefinite map.
    let mut swapped = all();
    swapped.swap(0, 1);
    wrong.push((map(&swapped), Code::NotCanonical));
    wrong.push((map(&[alg.clone(), alg.clone(), kid, cwt, typ]), Code::NotCanonical));
    wrong.push((array(&[]), Code::HeaderInvalid));
    wrong.push((vec![], Code::Malformed));
    let definite = head(&forge).protected;
    let indefinite = [&[0xBF], &definite[1..], &[0xFF]].concat();
    wrong.push((indefinite, Code::NotCanonical));
    for (protected, code) in wrong {
        let cose = Cose { protected: protected.clone(), ..head(&forge) }.sign(&forge.key);
        let report = with_head(&forge, &cose);
        assert!(report.has(code), "{protected:02x?}: {report}");
    }
    let claimed = claims(&subject, size);
    assert_valid(&with_head(&forge, &forge.heads[forge.heads.len() - 1]));
    assert!(claimed.len() > 40);
}

#[test]
fn claims_are_exactly_those_of_the_format() {
    let forge = small();
    let size = forge.entries.len() as u64;
    let subject = forge.subject();
    let pair = |iss: &str, sub: &str, size: u64| {
        vec![
            (uint(1), text(iss)),
            (uint(2), text(sub)),
            (uint(6), uint(START_MS / 1_000 + 5)),
            (text("tree_size"), uint(size)),
        ]
    };
    let mut wrong = vec![
        (map(&pair("https://other.example", &subject, size)), Code::HeaderInvalid),
        (map(&pair(ISSUER, "urn:uuid:0", size)), Code::WrongSession),
        (map(&pair(ISSUER, &subject, size - 1)), Code::HeaderInvalid),
        (map(&pair(ISSUER, &subject, size)[..3]), Code::HeaderInvalid),
    ];
    let mut more = pair(ISSUER, &subject, size);
    more.insert(2, (uint(4), uint(9)));
    wrong.push((map(&more), Code::HeaderInvalid));
    for (claims, code) in wrong {
        let headers = map(&[
            (uint(1), minus(7)),
            (uint(4), bytes(&forge.key.kid())),
            (uint(15), claims),
            (uint(16), text(HEAD)),
        ]);
        let cose = Cose { protected: headers, ..head(&forge) }.sign(&forge.key);
        let report = with_head(&forge, &cose);
        assert!(report.has(code), "{report}");
    }
}

#[test]
fn outer_forms_are_exact() {
    let forge = small();
    let good = head(&forge).sign(&forge.key);
    let untagged = &good[1..];
    let report = with_head(&forge, untagged);
    assert!(report.has(Code::HeaderInvalid), "{report}");
    // Another tag, a long tag, something after it, an unprotected header.
    let other = [&[0xD1], untagged].concat();
    assert!(with_head(&forge, &other).has(Code::NotCanonical));
    let long = [&[0xD8, 0x12], untagged].concat();
    assert!(with_head(&forge, &long).has(Code::NotCanonical));
    let more = [&good[..], &[0]].concat();
    assert!(with_head(&forge, &more).has(Code::Malformed));
    let header = Cose { unprotected: map(&[(uint(4), uint(1))]), ..head(&forge) };
    assert!(with_head(&forge, &header.sign(&forge.key)).has(Code::HeaderInvalid));
    let detached = Cose { payload: None, ..head(&forge) };
    assert!(with_head(&forge, &detached.sign(&forge.key)).has(Code::HeaderInvalid));
    let attached = Cose { payload: Some(vec![0; 32]), ..receipt(&forge) };
    assert!(with_receipt(&forge, &attached.sign(&forge.key)).has(Code::HeaderInvalid));
    let huge = Cose { payload: Some(vec![0; 20_000]), ..head(&forge) };
    assert!(with_head(&forge, &huge.sign(&forge.key)).has(Code::TooLarge));
}

#[test]
fn high_s_is_refused_everywhere() {
    let forge = small();
    let high = head(&forge).sign_high(&forge.key);
    assert!(with_head(&forge, &high).has(Code::SignatureInvalid));
    let high = receipt(&forge).sign_high(&forge.key);
    assert!(
        with_receipt(&forge, &high).has(Code::SignatureInvalid) || {
            with_receipt(&forge, &high).has(Code::ReceiptInvalid)
        }
    );
    for signature in [vec![0; 64], vec![0xFF; 64], vec![1; 63], vec![], vec![1; 72]] {
        let cose = head(&forge).with_signature(&signature);
        assert!(with_head(&forge, &cose).has(Code::SignatureInvalid));
    }
}

#[test]
fn payloads_of_heads_are_exact() {
    let forge = small();
    let size = forge.entries.len() as u64;
    let (root, previous) = (bytes(&[1; 32]), bytes(&[2; 32]));
    let empty = bytes(&sha256(&[]));
    for (payload, code) in [
        (array(&[uint(2), uint(size), root.clone(), uint(3), previous.clone()]), Code::Malformed),
        (array(&[uint(1), uint(size), root.clone(), uint(3)]), Code::Malformed),
        (
            array(&[uint(1), uint(size), bytes(&[1; 31]), uint(3), previous.clone()]),
            Code::Malformed,
        ),
        (
            array(&[uint(1), uint(size), root.clone(), uint(size), previous.clone()]),
            Code::SequenceInvalid,
        ),
        (array(&[uint(1), uint(size), root.clone(), uint(0), previous]), Code::ChainBroken),
        (
            array(&[uint(1), uint(size), root.clone(), uint(1), empty.clone()]),
            Code::SequenceInvalid,
        ),
        (
            array(&[uint(1), uint(size - 1), root.clone(), uint(0), empty.clone()]),
            Code::HeaderInvalid,
        ),
        // Well formed and signed, and another root than everybody else's.
        (array(&[uint(1), uint(size), root, uint(0), empty]), Code::RootMismatch),
        (null(), Code::Malformed),
    ] {
        let cose = Cose { payload: Some(payload), ..head(&forge) }.sign(&forge.key);
        let report = with_head(&forge, &cose);
        assert!(report.has(code), "{}: {report}", code.as_str());
    }
}

#[test]
fn the_size_of_a_receipt_can_not_be_bent() {
    // A plain receipt for one size verifies as several; the claims bind it.
    let forge = small();
    let size = forge.entries.len() as u64;
    let path: Vec<Vec<u8>> = crate::verify::forge::inclusion_path(0, &forge.entries)
        .iter()
        .map(|hash| bytes(hash))
        .collect();
    let bent = |size: u64| {
        let proof = array(&[uint(size), uint(0), array(&path)]);
        let unprotected = map(&[(uint(396), map(&[(minus(1), array(&[bytes(&proof)]))]))]);
        Cose { unprotected, ..receipt(&forge) }.sign(&forge.key)
    };
    assert_valid(&with_receipt(&forge, &bent(size)));
    for other in (size - 4..=size + 9).filter(|other| *other != size) {
        assert!(with_receipt(&forge, &bent(other)).has(Code::HeaderInvalid), "{other}");
    }
}

#[test]
fn proofs_in_receipts_are_exact() {
    let forge = small();
    let size = forge.entries.len() as u64;
    let path = array(&[bytes(&[1; 32])]);
    let inclusion = |proof: Vec<u8>| map(&[(minus(1), array(&[bytes(&proof)]))]);
    let good = array(&[uint(size), uint(0), path.clone()]);
    let two = map(&[(minus(1), array(&[bytes(&good), bytes(&good)]))]);
    let recursive = (0..6).fold(bytes(&good), |inner, _| array(&[inner]));
    let many: Vec<Vec<u8>> = (0..66).map(|_| bytes(&[1; 32])).collect();
    for unprotected in [
        map(&[]),
        map(&[(uint(395), uint(1)), (uint(396), inclusion(good.clone()))]),
        map(&[(uint(396), two)]),
        map(&[(uint(396), map(&[(minus(3), array(&[bytes(&good)]))]))]),
        map(&[(uint(396), map(&[(minus(1), bytes(&good))]))]),
        map(&[(uint(396), inclusion(recursive))]),
        map(&[(uint(396), inclusion(array(&[uint(size), uint(0), array(&[])])))]),
        map(&[(uint(396), inclusion(array(&[uint(size), uint(0), array(&many)])))]),
        map(&[(uint(396), inclusion(array(&[uint(size), uint(0)])))]),
        map(&[(uint(396), inclusion(array(&[uint(size), uint(0), array(&[bytes(&[1])])])))]),
    ] {
        let cose = Cose { unprotected, ..receipt(&forge) }.sign(&forge.key);
        let report = with_receipt(&forge, &cose);
        assert!(report.has(Code::HeaderInvalid), "{report}");
    }
    let beyond = map(&[(uint(396), inclusion(array(&[uint(size), uint(size), path])))]);
    let cose = Cose { unprotected: beyond, ..receipt(&forge) }.sign(&forge.key);
    assert!(with_receipt(&forge, &cose).has(Code::ReceiptInvalid));
    // The receipt of another entry, and one of consistency, for this entry.
    let other = inclusion_cose(forge.key.kid(), &forge.subject(), &forge.entries, 1);
    assert!(with_receipt(&forge, &other.sign(&forge.key)).has(Code::ReceiptInvalid));
    let other = consistency_cose(forge.key.kid(), &forge.subject(), &forge.entries, 2);
    assert!(with_receipt(&forge, &other.sign(&forge.key)).has(Code::ReceiptInvalid));
    let mut proof = forge.proof(&[]);
    proof["consistency"][0] = json!(b64(&forge.receipt(0)));
    assert!(check(&forge, &proof).has(Code::ConsistencyInvalid));
}

#[test]
fn heads_and_receipts_are_not_taken_for_each_other() {
    let forge = small();
    assert!(Head::parse(&receipt(&forge).sign(&forge.key)).is_err());
    assert!(Receipt::parse(&head(&forge).sign(&forge.key)).is_err());
    // The same structure with the other's type.
    let (kid, subject) = (forge.key.kid(), forge.subject());
    let size = forge.entries.len() as u64;
    let as_receipt =
        Cose { protected: protected(kid, &subject, size, true), ..head(&forge) }.sign(&forge.key);
    assert!(with_head(&forge, &as_receipt).has(Code::HeaderInvalid));
}

#[test]
fn a_jws_for_another_head_is_told() {
    let forge = small();
    let genuine = forge.jws_claims();
    for (name, value) in [
        ("iss", json!("https://other.example")),
        ("sub", json!("urn:uuid:0")),
        ("iat", json!(1)),
        ("tree_size", json!(7)),
        ("root", json!(b64(&[1; 32]))),
        ("prev_tree_size", json!(2)),
        ("prev_root", json!(b64(&[1; 32]))),
        ("cose_sha256", json!(b64(&[1; 32]))),
    ] {
        let mut claims = genuine.clone();
        claims[name] = value;
        let mut proof = forge.proof(&[]);
        proof["head"]["jws"] = json!(forge.jws(&claims));
        assert!(check(&forge, &proof).has(Code::ForkedLog), "{name}");
    }
    let mut claims = genuine;
    claims["more"] = json!(1);
    let mut proof = forge.proof(&[]);
    proof["head"]["jws"] = json!(forge.jws(&claims));
    assert!(check(&forge, &proof).has(Code::Malformed));
    for header in [
        json!({"alg": "none", "typ": "cabildo-head+jwt", "kid": b64(&forge.key.kid())}),
        json!({"alg": "ES256", "typ": "JWT", "kid": b64(&forge.key.kid())}),
        json!({"alg": "ES256", "typ": "cabildo-head+jwt", "kid": b64(&[1; 32])}),
        json!({"alg": "ES256", "typ": "cabildo-head+jwt", "kid": b64(&forge.key.kid()),
            "crit": ["x"], "x": 1}),
    ] {
        let message = format!(
            "{}.{}",
            b64(header.to_string().as_bytes()),
            b64(forge.jws_claims().to_string().as_bytes())
        );
        let signature = b64(&forge.key.sign(message.as_bytes()));
        let mut proof = forge.proof(&[]);
        proof["head"]["jws"] = json!(format!("{message}.{signature}"));
        let report = check(&forge, &proof);
        assert!(report.has(Code::HeaderInvalid) || report.has(Code::Malformed), "{report}");
    }
}
