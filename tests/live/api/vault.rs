//! A vault that can't store is known before the first meeting.

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use reqwest::Method;
use reqwest::StatusCode;
use serde_json::json;

use super::server::{Answer, Server, send};
use crate::vault::bucket::{Asked, BUCKET, Bucket, KEY_ID, serve};

async fn with_bucket(endpoint: &str, key: &str) -> Server {
    Server::start_with(&[
        ("vault.kind", "s3"),
        ("vault.s3.endpoint", endpoint),
        ("vault.s3.bucket", BUCKET),
        ("vault.s3.region", "eu-test-1"),
        ("vault.s3.access_key_id", KEY_ID),
        ("vault.s3.secret_access_key", key),
    ])
    .await
}

async fn health(server: &Server) -> Answer {
    send(server.request(Method::GET, "/health/ready")).await
}

/// Starts a server with a bucket and checks what it says about its health.
async fn expect_problem(endpoint: &str, key: &str, problem: &str) {
    let server = with_bucket(endpoint, key).await;
    let answer = health(&server).await;
    // Meetings still take place, and the spool keeps what is recorded.
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!(
        (&body["status"], &body["dependencies"]["vault"]),
        (&json!("degraded"), &json!("degraded"))
    );
    assert_eq!(body["problems"], json!({ "vault": problem }));
    server.app.stop().await;
}

#[tokio::test]
async fn a_vault_that_can_not_store_is_known_at_the_start() {
    let bucket = Bucket::new(Asked::BySigned);
    let endpoint = bucket.serve().await;
    let key = bucket.options(String::new()).secret_access_key;
    let key = key.expose();
    let unsupported = serve(|_: Request| async { refused(501, "NotImplemented") }).await;
    let missing = serve(|_: Request| async { refused(404, "NoSuchBucket") }).await;
    for (endpoint, key, problem) in [
        ("http://127.0.0.1:1", key.as_str(), "the vault is unavailable: no connection"),
        (&endpoint, "another", "the vault refuses: SignatureDoesNotMatch"),
        (&missing, key, "the vault refuses: NoSuchBucket"),
        (
            &unsupported,
            key,
            "the vault refuses: the bucket does not support conditional writes or SHA-256 checksums",
        ),
    ] {
        expect_problem(endpoint, key, problem).await;
    }

    let server = with_bucket(&endpoint, key).await;
    let body = health(&server).await.json();
    assert_eq!((&body["status"], &body["dependencies"]["vault"]), (&json!("ok"), &json!("ok")));
    assert_eq!(body["problems"], json!({}));
    server.app.stop().await;
}

fn refused(status: u16, code: &str) -> Response {
    let text = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    (StatusCode::from_u16(status).expect("a status"), text).into_response()
}
