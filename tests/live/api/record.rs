//! The doors of the record: the public proof, the operator log, and addresses of
//! recordings. What is behind them is tested where it is made.

use std::time::Duration;

use cabildo::verify::{Options, TrustedKeys, Verdict, verify_proof};
use reqwest::Method;

use crate::api::person::Person;
use crate::api::server::{Answer, Server, send};

/// How long the log may take to say something; it signs within two seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Asks until the answer is as it is wanted.
pub(super) async fn until(server: &Server, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let asked = async {
        loop {
            let answer = send(server.request(Method::GET, path)).await;
            if wanted(&answer) {
                return answer;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("the answer that is wanted")
}

pub(super) fn proof_of(session: &str) -> String {
    format!("/api/v1/sessions/{session}/audit-proof")
}

#[tokio::test]
async fn the_proof_is_public_and_verifies_when_the_session_is_over() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let path = proof_of(&session);
    let live = until(&server, &path, |answer| answer.status == 200).await;
    let proof = live.json();
    assert_eq!(proof["status"], "live");
    assert_eq!(proof["close"], serde_json::Value::Null);
    assert_eq!(live.header("access-control-allow-origin"), "*");
    assert!(live.header("cache-control").starts_with("public"), "{live:?}");
    assert!(!live.text.contains(&server.tenant.to_string()), "a tenant is nobody's business");

    server.step(&session, "end").await;
    let over =
        until(&server, &path, |it| it.status == 200 && it.json()["status"] == "closed").await;
    let keys = send(server.request(Method::GET, "/.well-known/cabildo-evidence-keys.json")).await;
    let options =
        Options { keys: TrustedKeys::Independent(keys.text.into_bytes()), held_heads: None };
    let report = verify_proof(over.text.as_bytes(), &options);
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
    let again = server.request(Method::GET, &path).header("if-none-match", over.header("etag"));
    // The operator log may have grown between the two.
    assert!([200, 304].contains(&send(again).await.status));
    let anything = server.request(Method::GET, &path).header("if-none-match", "*");
    let anything = send(anything).await;
    assert_eq!((anything.status, anything.text.as_str()), (304, ""));

    let entry = send(server.request(Method::GET, &format!("{path}?seq=0&from_size=2"))).await;
    let proof = entry.json();
    assert_eq!(proof["receipts"][0]["seq"], 0);
    assert_eq!(proof["consistency"].as_array().map(Vec::len), Some(1));
    server.app.stop().await;
}

#[tokio::test]
async fn what_can_not_be_proven_is_refused() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let path = proof_of(&session);
    until(&server, &path, |answer| answer.status == 200).await;
    let nobody = proof_of("01890a5d-ac96-774b-bcce-b302099a8057");
    let scheduled = proof_of(&server.create().await);
    for (path, status, code) in [
        (format!("{path}?seq=999999"), 422, "UNPROCESSABLE_REQUEST"),
        (format!("{path}?from_size=0"), 422, "UNPROCESSABLE_REQUEST"),
        (format!("{path}?from_size=999999"), 422, "UNPROCESSABLE_REQUEST"),
        (format!("{path}?seq=one"), 400, "MALFORMED_REQUEST"),
        (format!("{path}?colour=red"), 400, "MALFORMED_REQUEST"),
        (nobody, 404, "SESSION_NOT_FOUND"),
        (scheduled, 404, "RECORDING_NOT_FOUND"),
        ("/evidence/log/tile/0/x".to_owned(), 404, "RECORDING_NOT_FOUND"),
        ("/evidence/log/tile/0/999".to_owned(), 404, "RECORDING_NOT_FOUND"),
        ("/evidence/log/../keys".to_owned(), 404, "ROUTE_NOT_FOUND"),
    ] {
        let answer = send(server.request(Method::GET, &path)).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}: {answer:?}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn the_operators_log_is_published() {
    let server = Server::start().await;
    for _ in 0..2 {
        let session = server.create_active().await;
        let path = proof_of(&session);
        until(&server, &path, |answer| answer.status == 200).await;
        server.step(&session, "end").await;
        let closed = |it: &Answer| it.status == 200 && it.json()["status"] == "closed";
        until(&server, &path, closed).await;
    }
    let has_two = |it: &Answer| {
        it.status == 200
            && it
                .text
                .lines()
                .nth(1)
                .is_some_and(|size| size.parse::<u64>().is_ok_and(|it| it >= 2))
    };
    let checkpoint = until(&server, "/evidence/log/checkpoint", has_two).await;
    assert!(checkpoint.text.starts_with("localhost/evidence/log\n"), "{checkpoint:?}");
    let tile = send(server.request(Method::GET, "/evidence/log/tile/0/000.p/2")).await;
    assert_eq!((tile.status, tile.header("content-length")), (200, "64"), "{tile:?}");
    server.app.stop().await;
}

#[tokio::test]
async fn addresses_of_recordings_are_read_strictly() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let auditor = Person::with_role(&server, "auditor").await;
    let path = format!("/api/v1/sessions/{session}/recording-url");
    let all = auditor.write(&server, Method::GET, &path, |request| request).await;
    assert_eq!((all.status, all.json()["state"].as_str()), (200, Some("none")), "{all:?}");
    assert_eq!(all.header("cache-control"), "no-store");
    let asked = [
        ("track", "combined", 404, "RECORDING_NOT_FOUND"),
        ("format", "avi", 400, "MALFORMED_REQUEST"),
        ("colour", "red", 400, "MALFORMED_REQUEST"),
    ];
    for (name, value, status, code) in asked {
        let path = format!("{path}?{name}={value}");
        let answer = auditor.write(&server, Method::GET, &path, |request| request).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{name}={value}");
    }

    let line = all.json()["timeline_url"].as_str().expect("an address").to_owned();
    let opened = send(server.request(Method::GET, &line)).await;
    assert_eq!(opened.status, 200, "{opened:?}");
    // The address of the time line opens no file, and a changed one nothing.
    let file = line.trim_end_matches("/timeline").to_owned();
    // All bits of a character in the middle count, unlike those of the last one.
    let middle = file.len() - 10;
    let other = if file[middle..].starts_with('A') { "B" } else { "A" };
    let changed = format!("{}{other}{}/timeline", &file[..middle], &file[middle + 1..]);
    for (path, status, code) in [
        (file, 404, "RECORDING_NOT_FOUND"),
        (changed, 401, "PLAYBACK_TOKEN_SIGNATURE_INVALID"),
        ("/api/v1/recordings/nonsense".to_owned(), 401, "PLAYBACK_TOKEN_FORMAT_INVALID"),
    ] {
        let answer = send(server.request(Method::GET, &path)).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    }
    server.ahead_us.store(3_600_000_000, std::sync::atomic::Ordering::SeqCst);
    let late = send(server.request(Method::GET, &line)).await;
    assert_eq!((late.status, late.code().as_str()), (401, "PLAYBACK_TOKEN_EXPIRED"));
    server.app.stop().await;
}

#[tokio::test]
async fn bundles_are_handed_out_strictly_and_noted_down() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let proof = proof_of(&session);
    until(&server, &proof, |answer| answer.status == 200).await;
    let scheduled = server.create().await;
    let auditor = Person::with_role(&server, "auditor").await;
    let path = format!("/api/v1/sessions/{session}/bundle");
    let nothing = "from=1970-01-01T00:00:01Z&to=1970-01-01T00:00:02Z";
    for (path, status, code) in [
        (format!("{path}?seq=999999"), 422, "UNPROCESSABLE_REQUEST"),
        (format!("{path}?seq=0"), 422, "UNPROCESSABLE_REQUEST"),
        (format!("{path}?{nothing}"), 404, "RECORDING_NOT_FOUND"),
        (format!("{path}?seq=one"), 400, "MALFORMED_REQUEST"),
        (format!("{path}?{nothing}&seq=1"), 400, "MALFORMED_REQUEST"),
        (format!("{path}?colour=red"), 400, "MALFORMED_REQUEST"),
        (format!("/api/v1/sessions/{scheduled}/bundle"), 404, "RECORDING_NOT_FOUND"),
    ] {
        let answer = auditor.write(&server, Method::GET, &path, |request| request).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}: {answer:?}");
    }
    let size = |answer: &Answer| answer.json()["head"]["tree_size"].as_u64();
    let before = size(&until(&server, &proof, |answer| answer.status == 200).await);

    // Nothing was begun, so there is nothing to continue.
    let ranged = |request: reqwest::RequestBuilder| request.header("range", "bytes=0-9");
    let whole = auditor.write(&server, Method::GET, &path, ranged).await;
    assert_eq!(whole.status, 200, "{whole:?}");
    assert_eq!(whole.header("content-type"), "application/x-tar");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("cache-control"), "private, no-store");
    let name = format!("attachment; filename=\"cabildo-{session}.tar\"");
    assert_eq!(whole.header("content-disposition"), name);
    assert!(whole.header("cabildo-expected-bytes").parse::<u64>().is_ok_and(|it| it > 1_000));
    assert_eq!(whole.header("content-length"), whole.header("cabildo-expected-bytes"));
    for file in ["bundle.json", "entries.cborseq", "heads.cborseq", "keys.json"] {
        assert!(whole.text.contains(&format!("cabildo-{session}/{file}")), "{file}");
    }
    let one = auditor.write(&server, Method::GET, &format!("{path}?seq=1"), |it| it).await;
    assert!(one.text.contains("\"kind\": \"clip\""), "{one:?}");
    assert!(!one.text.contains("entries.cborseq"), "{one:?}");
    let noted = |answer: &Answer| size(answer) >= before.map(|before| before + 2);
    until(&server, &proof, noted).await;
    server.app.stop().await;
}

#[tokio::test]
async fn a_bundle_that_was_cut_off_is_continued_by_who_began_it() {
    let server = Server::start().await;
    let session = server.create_active().await;
    until(&server, &proof_of(&session), |answer| answer.status == 200).await;
    let auditor = Person::with_role(&server, "auditor").await;
    let path = format!("/api/v1/sessions/{session}/bundle");
    let ask = async |person: &Person, headers: &[(&'static str, &str)]| {
        let headers = headers.to_vec();
        let with = |request| {
            headers.iter().fold(request, |request: reqwest::RequestBuilder, (name, value)| {
                request.header(*name, *value)
            })
        };
        person.write(&server, Method::GET, &path, with).await
    };
    let whole = ask(&auditor, &[]).await;
    let (tag, length) = (whole.header("etag").to_owned(), whole.bytes.len());
    // As `curl -C -` asks, and as a browser does.
    for headers in
        [vec![("range", "bytes=600-")], vec![("range", "bytes=600-"), ("if-range", tag.as_str())]]
    {
        let rest = ask(&auditor, &headers).await;
        assert_eq!(rest.status, 206, "{rest:?}");
        assert_eq!(rest.header("content-range"), format!("bytes 600-{}/{length}", length - 1));
        assert_eq!(rest.header("etag"), tag);
        assert_eq!(rest.bytes, whole.bytes[600..], "the same archive");
    }
    let part = ask(&auditor, &[("range", "bytes=512-1023"), ("if-range", &tag)]).await;
    assert_eq!((part.status, part.bytes.as_slice()), (206, &whole.bytes[512..1_024]));
    let beyond = format!("bytes={length}-");
    let beyond = ask(&auditor, &[("range", &beyond), ("if-range", &tag)]).await;
    assert_eq!((beyond.status, beyond.code().as_str()), (416, "RANGE_NOT_SATISFIABLE"));
    assert_eq!(beyond.header("content-range"), format!("bytes */{length}"));
    // Nobody else's, no other tag, no weak one: a whole archive of its own.
    let moderator = Person::with_role(&server, "moderator").await;
    let others = ask(&moderator, &[("range", "bytes=600-"), ("if-range", &tag)]).await;
    assert_eq!(others.status, 200, "{others:?}");
    let weak = format!("W/{tag}");
    for named in ["\"x\"", weak.as_str(), "Sat, 29 Nov 2026 19:43:31 GMT"] {
        let answer = ask(&auditor, &[("range", "bytes=600-"), ("if-range", named)]).await;
        assert_eq!(answer.status, 200, "{named}");
        assert_ne!(answer.header("etag"), tag, "{named}");
    }
    // Now there are several: without a tag nothing says which one was begun.
    let several = ask(&auditor, &[("range", "bytes=600-")]).await;
    assert_eq!(several.status, 200, "{several:?}");
    server.app.stop().await;
}
