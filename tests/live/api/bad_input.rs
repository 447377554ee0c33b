//! What can't be taken, each with its exact code.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::person::Person;
use crate::api::server::{Server, send};

type Adjust = Box<dyn Fn(RequestBuilder) -> RequestBuilder>;

fn raw(content_type: &'static str, body: impl Into<String>) -> Adjust {
    let body = body.into();
    Box::new(move |request| request.header("content-type", content_type).body(body.clone()))
}

/// The body of a new session with another member in front, which may be there
/// already.
fn twice(server: &Server, member: &str, value: &str) -> String {
    let body = server.new_session().to_string();
    body.replacen('{', &format!("{{\"{member}\":{value},"), 1)
}

fn with(server: &Server, change: impl FnOnce(&mut Value)) -> Adjust {
    let mut body = server.new_session();
    change(&mut body);
    raw("application/json", body.to_string())
}

/// What is sent to create a session, and the status, the code and the field of its refusal.
type Refusal<'a> = (Adjust, u16, &'a str, &'a str);

async fn all_refused(server: &Server, cases: Vec<Refusal<'_>>) {
    for (index, (adjust, status, code, field)) in cases.into_iter().enumerate() {
        let answer = send(adjust(server.govern(Method::POST, "/api/v1/sessions"))).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{index}: {answer:?}");
        let fields = answer.json()["details"]["fields"].clone();
        let named = fields.as_array().is_some_and(|fields| {
            fields.iter().any(|named| named["field"].as_str() == Some(field))
        });
        assert!(field.is_empty() || named, "{index}: {field} is not named in {answer:?}");
        assert_eq!(answer.json()["trace_id"].as_str(), Some(answer.header("x-trace-id")));
    }
}

#[tokio::test]
async fn a_text_that_is_no_session_is_refused() {
    let server = Server::start().await;
    let json_type = "application/json";
    let large = format!("{{\"title\":\"{}\"}}", "x".repeat(70_000));
    let cases = vec![
        (raw(json_type, "{"), 400, "MALFORMED_REQUEST", ""),
        (raw(json_type, ""), 400, "MALFORMED_REQUEST", ""),
        (raw(json_type, "[]"), 400, "MALFORMED_REQUEST", ""),
        (raw(json_type, format!("{} x", server.new_session())), 400, "MALFORMED_REQUEST", ""),
        (raw(json_type, "\u{0}"), 400, "MALFORMED_REQUEST", ""),
        (raw(json_type, twice(&server, "title", "\"Other\"")), 400, "MALFORMED_REQUEST", ""),
        (raw(json_type, twice(&server, "t\\u0069tle", "\"Other\"")), 400, "MALFORMED_REQUEST", ""),
        (
            raw(json_type, twice(&server, "speaking", "{\"max_turn_s\":1,\"max_turn_s\":2}")),
            400,
            "MALFORMED_REQUEST",
            "speaking",
        ),
        (raw("text/plain", server.new_session().to_string()), 415, "UNSUPPORTED_MEDIA_TYPE", ""),
        (raw(json_type, large), 413, "PAYLOAD_TOO_LARGE", ""),
    ];
    all_refused(&server, cases).await;
    server.app.stop().await;
}

#[tokio::test]
async fn a_session_that_cannot_be_is_refused_with_its_fields() {
    let server = Server::start().await;
    let cases = vec![
        (with(&server, |body| body["colour"] = json!("red")), 400, "MALFORMED_REQUEST", "colour"),
        (with(&server, |body| body["title"] = json!(7)), 400, "MALFORMED_REQUEST", "title"),
        (with(&server, |body| body["title"] = json!("")), 422, "UNPROCESSABLE_REQUEST", "title"),
        (
            with(&server, |body| body["title"] = json!("\u{202e}\u{200b} ")),
            422,
            "UNPROCESSABLE_REQUEST",
            "title",
        ),
        (
            with(&server, |body| body["modality"] = json!("Mixed")),
            400,
            "MALFORMED_REQUEST",
            "modality",
        ),
        (
            with(&server, |body| body["tenant_id"] = json!("acme")),
            400,
            "MALFORMED_REQUEST",
            "tenant_id",
        ),
        (
            with(&server, |body| body["speaking"] = json!({"max_turn_s": -1})),
            400,
            "MALFORMED_REQUEST",
            "speaking.max_turn_s",
        ),
        (
            with(&server, |body| {
                body["speaking"] = json!({"default_turn_s": 700, "max_turn_s": 600});
            }),
            422,
            "UNPROCESSABLE_REQUEST",
            "speaking.default_turn_s",
        ),
        (
            with(&server, |body| body["scheduled_start_at"] = json!("tomorrow")),
            400,
            "MALFORMED_REQUEST",
            "scheduled_start_at",
        ),
        (
            with(&server, |body| body["max_participants"] = json!(0)),
            422,
            "UNPROCESSABLE_REQUEST",
            "max_participants",
        ),
    ];
    all_refused(&server, cases).await;
    server.app.stop().await;
}

#[tokio::test]
async fn a_question_that_cannot_be_is_refused() {
    let server = Server::start().await;
    let person = Person::with_role(&server, "participant").await;
    for (query, status, code) in [
        ("status=asleep", 400, "MALFORMED_REQUEST"),
        ("colour=red", 400, "MALFORMED_REQUEST"),
        ("limit=many", 400, "MALFORMED_REQUEST"),
        ("assembly_id=7", 400, "MALFORMED_REQUEST"),
        ("from=yesterday", 400, "MALFORMED_REQUEST"),
        ("limit=0", 422, "UNPROCESSABLE_REQUEST"),
        ("limit=201", 422, "UNPROCESSABLE_REQUEST"),
        ("cursor=nonsense", 422, "UNPROCESSABLE_REQUEST"),
    ] {
        let path = format!("/api/v1/sessions?{query}");
        let answer = person.read(&server, Method::GET, &path).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query}: {answer:?}");
    }
    for path in ["/api/v1/sessions/7", "/api/v1/sessions/01890a5d-ac96-774b-bcce-b302099a8057"] {
        let answer = person.read(&server, Method::GET, path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "SESSION_NOT_FOUND"), "{path}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_change_has_to_name_the_version_it_is_of() {
    let server = Server::start().await;
    let path = format!("/api/v1/sessions/{}", server.create().await);
    for (if_match, status, code) in [
        (None, 428, "PRECONDITION_REQUIRED"),
        (Some("1"), 400, "MALFORMED_REQUEST"),
        (Some("\"1\" \"2\""), 400, "MALFORMED_REQUEST"),
        // The comparison is strong (RFC 9110 §13.1.1).
        (Some("W/\"1\""), 412, "VERSION_CONFLICT"),
        (Some("\"2\""), 412, "VERSION_CONFLICT"),
        (Some("\"2\", \"3\", \"other\""), 412, "VERSION_CONFLICT"),
        (Some("\"1\""), 200, ""),
        (Some("\"1\""), 412, "VERSION_CONFLICT"),
        (Some("W/\"1\", \"1\", \"2\""), 200, ""),
        (Some("*"), 200, ""),
    ] {
        let title = uuid::Uuid::new_v4().to_string();
        let mut request = server.govern(Method::PATCH, &path).json(&json!({ "title": title }));
        if let Some(if_match) = if_match {
            request = request.header("if-match", if_match);
        }
        let answer = send(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{if_match:?}");
    }
    let wrong = server.govern(Method::PATCH, &path).header("if-match", "*").body("{}");
    assert_eq!(send(wrong).await.code(), "UNSUPPORTED_MEDIA_TYPE");
    server.app.stop().await;
}

/// Asking for the headers alone would enter in the log that a bundle was handed out.
#[tokio::test]
async fn the_headers_of_a_bundle_are_not_to_be_had_alone() {
    let server = Server::start().await;
    let person = Person::with_role(&server, "moderator").await;
    let path = format!("/api/v1/sessions/{}/bundle", server.create().await);
    let answer = send(person.prove(server.request(Method::HEAD, &path))).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET"), "{answer:?}");
    server.app.stop().await;
}

/// RFC 9112 §3.2.
#[tokio::test]
async fn a_request_with_two_hosts_is_refused() {
    let server = Server::start().await;
    let address = server.app.addresses().http;
    for (second, status) in [("", 200), ("Host: 127.0.0.1\r\n", 400), ("host: other\r\n", 400)] {
        let mut socket = TcpStream::connect(address).await.expect("connected");
        let request = format!(
            "GET /health/live HTTP/1.1\r\nHost: {address}\r\n{second}Connection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{second}: {answer}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn credentials_that_do_not_hold_are_refused() {
    let server = Server::start().await;
    let person = Person::with_role(&server, "moderator").await;
    let path = format!("/api/v1/sessions/{}/start", server.create().await);
    let url = format!("{}{path}", server.http);
    let nonce = person.learn_nonce(&server).await;
    let proof = |method: Method, url: &str| person.proof(&method, url, Some(&nonce));
    let dpop = format!("DPoP {}", person.token);
    let right = proof(Method::POST, &url);
    let other = Person::with_role(&server, "moderator").await;
    let of_another = other.proof(&Method::POST, &url, Some(&nonce));
    let wrong_host = proof(Method::POST, &format!("https://evil.example{path}"));
    let broken = format!("{}x", person.token);
    for (authorization, proofs, code) in [
        (None, vec![], "CREDENTIALS_MISSING"),
        (Some("Basic eDp5".to_owned()), vec![], "CREDENTIALS_MISSING"),
        (Some(format!("Bearer {}", person.token)), vec![], "TOKEN_BOUND"),
        (Some(format!("Bearer {broken}")), vec![], "CREDENTIALS_MISSING"),
        (Some(format!("DPoP {broken}")), vec![right.clone()], "TOKEN_INVALID"),
        (Some(dpop.clone()), vec![], "DPOP_PROOF_INVALID"),
        (Some(dpop.clone()), vec![right.clone(), right.clone()], "DPOP_PROOF_INVALID"),
        (Some(dpop.clone()), vec!["nonsense".to_owned()], "DPOP_PROOF_INVALID"),
        (Some(dpop.clone()), vec![of_another], "DPOP_PROOF_INVALID"),
        (Some(dpop.clone()), vec![wrong_host], "DPOP_PROOF_INVALID"),
        (Some(dpop.clone()), vec![proof(Method::GET, &url)], "DPOP_PROOF_INVALID"),
        (Some(dpop.clone()), vec![person.proof(&Method::POST, &url, None)], "DPOP_NONCE_REQUIRED"),
        (
            Some(dpop.clone()),
            vec![person.proof(&Method::POST, &url, Some("stale"))],
            "DPOP_NONCE_REQUIRED",
        ),
        (Some(dpop.clone()), vec![right.clone()], ""),
        (Some(dpop), vec![right], "DPOP_PROOF_REPLAYED"),
    ] {
        let mut request = server.request(Method::POST, &path);
        if let Some(authorization) = &authorization {
            request = request.header("authorization", authorization);
        }
        for proof in &proofs {
            request = request.header("dpop", proof);
        }
        let answer = send(request).await;
        let status = if code.is_empty() { 200 } else { 401 };
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
        assert_eq!(answer.header("www-authenticate").is_empty(), code.is_empty(), "{answer:?}");
        assert!(!answer.header("dpop-nonce").is_empty(), "{answer:?}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn both_spellings_of_loopback_are_right_in_proofs_and_no_other() {
    let server = Server::start().await;
    let person = Person::with_role(&server, "moderator").await;
    let port = server.app.addresses().http.port();
    for (host, status) in [("localhost", 200), ("127.0.0.1", 200), ("evil.example", 403)] {
        let path = format!("/api/v1/sessions/{}/start", server.create().await);
        let nonce = person.learn_nonce(&server).await;
        let url = format!("http://{host}:{port}{path}");
        let request = server
            .request(Method::POST, &path)
            .header("host", format!("{host}:{port}"))
            .header("authorization", format!("DPoP {}", person.token))
            .header("dpop", person.proof(&Method::POST, &url, Some(&nonce)));
        let answer = send(request).await;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn an_array_is_no_object_and_a_body_has_no_encoding() {
    let server = Server::start().await;
    let session = server.new_session();
    let values: Vec<Value> = session.as_object().expect("an object").values().cloned().collect();
    let gzip: Adjust = Box::new(move |request| {
        let request = request.header("content-encoding", "gzip");
        request.header("content-type", "application/json").body(session.to_string())
    });
    let json_type = "application/json";
    let cases = vec![
        (raw(json_type, json!(values).to_string()), 400, "MALFORMED_REQUEST", ""),
        (raw(json_type, "[]"), 400, "MALFORMED_REQUEST", ""),
        (
            with(&server, |body| body["recording"] = json!([true, 30])),
            400,
            "MALFORMED_REQUEST",
            "recording",
        ),
        (
            with(&server, |body| body["attendance"] = json!({"quorum": [{"weight": "1/2"}, null]})),
            400,
            "MALFORMED_REQUEST",
            "attendance.quorum",
        ),
        (gzip, 415, "UNSUPPORTED_MEDIA_TYPE", ""),
    ];
    all_refused(&server, cases).await;
    server.app.stop().await;
}
