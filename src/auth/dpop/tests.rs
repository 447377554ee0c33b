//! Each check of RFC 9449 §4.3, violated separately.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::auth::jws::encode;

const NOW_S: i64 = 1_700_000_000;
const TOKEN: &str = "an.access.token";
const URL: &str = "https://cabildo.example/api/v1/sessions/7/start";

fn now() -> Timestamp {
    Timestamp::from_unix_us(NOW_S * 1_000_000)
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).expect("below the order")
}

fn jwk(key: &SigningKey) -> Value {
    let point = key.verifying_key().to_sec1_point(false);
    let bytes = point.as_bytes();
    json!({"kty": "EC", "crv": "P-256", "x": encode(&bytes[1..33]), "y": encode(&bytes[33..])})
}

fn header() -> Value {
    json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk(&key(1))})
}

fn claims() -> Value {
    json!({
        "jti": "one", "htm": "POST", "htu": URL, "iat": NOW_S,
        "ath": encode(&Sha256::digest(TOKEN)), "nonce": "n",
    })
}

fn signed(header: &Value, claims: &Value, key: &SigningKey) -> String {
    let message = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature: Signature = key.sign(message.as_bytes());
    format!("{message}.{}", encode(&signature.to_bytes()))
}

fn expected() -> Expected<'static> {
    let (_, thumbprint) = proof_key(jwk(&key(1)).as_object().expect("object")).expect("a key");
    Expected { token: TOKEN, thumbprint, method: "POST", url: URL }
}

fn checked(header: &Value, claims: &Value) -> Option<CheckedProof> {
    check(&signed(header, claims, &key(1)), &expected(), now())
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().expect("object").remove(name);
    object
}

const RFC_9449_HEADER: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19";

/// RFC 9449 §6.1: the thumbprint of the key in all of its examples.
fn rfc_9449_thumbprint() -> [u8; 32] {
    decode_exactly("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I").expect("32 bytes")
}

#[test]
fn the_proof_of_rfc_9449_section_4_1_has_its_key_and_signature() {
    let proof = format!(
        "{RFC_9449_HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
    );
    let jws = CompactJws::parse(&proof, PROOF_LENGTH_MAX).expect("well formed");
    let jwk = jws.header["jwk"].as_object().expect("an object");
    let (key, thumbprint) = proof_key(jwk).expect("a key");
    assert_eq!(thumbprint, rfc_9449_thumbprint());
    assert!(jws.is_signed_by(&key));
    // The example is for a token endpoint and has no `ath`, so it is no proof for a resource.
    let expected = Expected {
        token: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
        thumbprint,
        method: "POST",
        url: "https://server.example.com/token",
    };
    assert_eq!(check(&proof, &expected, Timestamp::from_unix_us(1_562_262_616_000_000)), None);
}

#[test]
fn the_proof_of_rfc_9449_section_7_1_passes_at_its_time() {
    let proof = format!(
        "{RFC_9449_HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
    );
    let expected = Expected {
        token: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
        thumbprint: rfc_9449_thumbprint(),
        method: "GET",
        url: "https://resource.example.org/protectedresource",
    };
    let checked = check(&proof, &expected, Timestamp::from_unix_us(1_562_262_618_000_000));
    assert_eq!(checked.expect("valid").nonce, None);
    assert_eq!(check(&proof, &expected, now()), None, "years later");
}

#[test]
fn a_right_proof_passes() {
    let proof = checked(&header(), &claims()).expect("valid");
    assert_eq!(proof.nonce.as_deref(), Some("n"));
    assert_eq!(proof.fresh_until(now()).expect("fresh").unix_s(), NOW_S + 61);
}

#[test]
fn wrong_headers_are_refused() {
    let private = with(jwk(&key(1)), "d", json!(encode(&[1; 32])));
    for (what, header) in [
        ("no type", without(header(), "typ")),
        ("a token's type", with(header(), "typ", json!("at+jwt"))),
        ("no algorithm", without(header(), "alg")),
        ("no signature", with(header(), "alg", json!("none"))),
        ("a symmetric algorithm", with(header(), "alg", json!("HS256"))),
        ("another algorithm", with(header(), "alg", json!("RS256"))),
        ("another curve's algorithm", with(header(), "alg", json!("EdDSA"))),
        ("no key", without(header(), "jwk")),
        ("text for a key", with(header(), "jwk", json!("key"))),
        ("a private key", with(header(), "jwk", private)),
        ("a symmetric key", with(header(), "jwk", json!({"kty": "oct", "k": "AAAA"}))),
        ("another curve", with(header(), "jwk", with(jwk(&key(1)), "crv", json!("P-384")))),
        ("no coordinate", with(header(), "jwk", without(jwk(&key(1)), "y"))),
        ("another's key", with(header(), "jwk", jwk(&key(2)))),
        ("an extension", with(header(), "crit", json!(["exp"]))),
    ] {
        assert_eq!(checked(&header, &claims()), None, "{what}");
    }
}

#[test]
fn wrong_claims_are_refused() {
    let far = "x".repeat(PROOF_ID_LENGTH_MAX + 1);
    for (name, bad) in [
        ("jti", json!("")),
        ("jti", json!(far)),
        ("jti", json!(1)),
        ("htm", json!("GET")),
        ("htm", json!("post")),
        ("htu", json!("https://cabildo.example/api/v1/sessions/8/start")),
        ("htu", json!("http://cabildo.example/api/v1/sessions/7/start")),
        ("htu", json!("/api/v1/sessions/7/start")),
        ("iat", json!(NOW_S - 86_401)),
        ("iat", json!(NOW_S + 86_401)),
        ("iat", json!(-0.5)),
        ("iat", json!(i64::MAX)),
        ("iat", json!(i64::MIN)),
        ("iat", json!("1700000000")),
        ("ath", json!(encode(&Sha256::digest("another.token")))),
        ("ath", json!("")),
        ("ath", json!(TOKEN)),
        ("nonce", json!("n".repeat(NONCE_LENGTH_MAX + 1))),
        ("nonce", json!(7)),
    ] {
        assert_eq!(checked(&header(), &with(claims(), name, bad.clone())), None, "{name}: {bad}");
    }
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        assert_eq!(checked(&header(), &without(claims(), name)), None, "without {name}");
    }
    let order = ["jti", "htm", "htu", "iat", "ath", "nonce"];
    let list: Value = order.iter().map(|name| claims()[*name].clone()).collect();
    assert_eq!(checked(&header(), &list), None, "a list");
}

#[test]
fn without_a_nonce_the_window_is_a_minute_back_and_the_leeway_ahead() {
    for (iat, taken) in
        [(NOW_S - 61, false), (NOW_S - 60, true), (NOW_S + 30, true), (NOW_S + 31, false)]
    {
        let proof = checked(&header(), &with(claims(), "iat", json!(iat))).expect("within a day");
        assert_eq!(proof.fresh_until(now()).is_some(), taken, "{iat}");
    }
}

#[test]
fn a_proof_is_dated_within_a_day() {
    for (iat, taken) in [
        (NOW_S - 86_401, false),
        (NOW_S - 86_400, true),
        (NOW_S + 86_400, true),
        (NOW_S + 86_401, false),
    ] {
        let claims = with(claims(), "iat", json!(iat));
        assert_eq!(checked(&header(), &claims).is_some(), taken, "{iat}");
    }
}

#[test]
fn a_date_may_have_a_fraction() {
    for iat in [json!(1_700_000_000.123_456), json!(1.7e9), json!(NOW_S)] {
        assert!(checked(&header(), &with(claims(), "iat", iat.clone())).is_some(), "{iat}");
    }
}

#[test]
fn the_proofs_key_must_be_the_one_that_signed_and_the_tokens() {
    let by_another = signed(&header(), &claims(), &key(2));
    assert_eq!(check(&by_another, &expected(), now()), None, "signed by another key");
    let anothers = signed(&with(header(), "jwk", jwk(&key(2))), &claims(), &key(2));
    assert_eq!(check(&anothers, &expected(), now()), None, "not the key of the token");
    let other_token = Expected { token: "another.access.token", ..expected() };
    let proof = signed(&header(), &claims(), &key(1));
    assert_eq!(check(&proof, &other_token, now()), None, "made for another token");
    assert!(check(&proof, &expected(), now()).is_some());
    let long = with(header(), "pad", json!("x".repeat(PROOF_LENGTH_MAX)));
    assert_eq!(checked(&long, &claims()), None, "too long");
}

#[test]
fn proofs_are_told_apart_by_key_and_id() {
    let name = |claims: &Value| checked(&header(), claims).expect("valid").replay_key;
    assert_eq!(name(&claims()), name(&with(claims(), "iat", json!(NOW_S - 1))));
    assert_ne!(name(&claims()), name(&with(claims(), "jti", json!("two"))));
    assert_ne!(replay_key(&[1; 32], "one"), replay_key(&[2; 32], "one"));
}

#[test]
fn urls_are_compared_as_rfc_3986_normalises_them() {
    let actual = "https://cabildo.example/api/v1/a%20b/~c?from=1";
    for same in [
        "https://cabildo.example/api/v1/a%20b/~c",
        "HTTPS://CABILDO.example:443/api/v1/a%20b/~c?other=2#fragment",
        "https://cabildo.example/api/./v1/x/../a%20b/%7Ec",
        "https://cabildo.example/api/v%31/a%20b/%7ec",
    ] {
        assert!(is_same_resource(same, actual), "{same}");
    }
    for other in [
        "",
        "https://cabildo.example/api/v1/a%20b/~C",
        "https://cabildo.example/API/v1/a%20b/~c",
        "https://cabildo.example/api/v1/a%20b/~c/",
        "https://cabildo.example:8443/api/v1/a%20b/~c",
        "http://cabildo.example:443/api/v1/a%20b/~c",
        "wss://cabildo.example/api/v1/a%20b/~c",
        "https://user@cabildo.example/api/v1/a%20b/~c",
        "https://cabildo.example.evil/api/v1/a%20b/~c",
        "https://cabildo.example/api%2Fv1/a%20b/~c",
    ] {
        assert!(!is_same_resource(other, actual), "{other}");
    }
    assert!(is_same_resource("http://localhost:3014/x", "http://LOCALHOST:3014/x"));
    assert!(is_same_resource("https://h/a%2fb", "https://h/a%2Fb"));
    assert!(!is_same_resource("https://h/a%2fb", "https://h/a/b"));
    let long = format!("https://h/{}", "x".repeat(URL_LENGTH_MAX));
    assert!(!is_same_resource(&long, &long));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_altered_proof_passes(position in 0_usize..700, byte in any::<u8>()) {
        let proof = signed(&header(), &claims(), &key(1));
        let position = position % proof.len();
        let mut altered = proof.clone().into_bytes();
        altered[position] = byte;
        let altered = String::from_utf8_lossy(&altered).into_owned();
        prop_assume!(altered != proof);
        prop_assert_eq!(check(&altered, &expected(), now()), None);
    }

    #[test]
    fn no_text_and_no_url_panics(text in "\\PC{0,200}", path in "[%0-9a-zA-Zé/+.]{0,40}") {
        prop_assert_eq!(check(&text, &expected(), now()), None);
        let url = format!("https://h/{path}");
        prop_assert!(is_same_resource(&url, &url));
        prop_assert!(!is_same_resource(&url, &text));
    }

    #[test]
    fn no_signed_nonsense_panics(name in 0_usize..6, value in "\\PC{0,80}", number in any::<i64>()) {
        let name = ["jti", "htm", "htu", "iat", "ath", "nonce"][name];
        let _: Option<CheckedProof> = checked(&header(), &with(claims(), name, json!(value)));
        let passed = checked(&header(), &with(claims(), "iat", json!(number))).is_some();
        prop_assert_eq!(passed, (NOW_S - 86_400..=NOW_S + 86_400).contains(&number));
    }
}
