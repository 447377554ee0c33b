//! A vault in a bucket.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cabildo::domain::secret::Secret;
use cabildo::vault::{Contents, Put, S3, S3Options, Vault as _, VaultError};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::nobody::nobody;
use crate::vault::bucket::{Asked, Bucket, Seen, options, serve, vault};
use crate::vault::suite::{self, file_of, name, put, sha256};

fn answer(status: u16, code: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    Response::builder().status(status).body(Body::from(body)).expect("an answer")
}

#[tokio::test]
async fn a_bucket_does_what_every_vault_does() {
    let bucket = Bucket::new(Asked::BySigned);
    let options = bucket.options(bucket.serve().await);
    suite::run(&vault(&options)).await;
    suite::run(&vault(&S3Options { prefix: "/cabildo/prod/".to_owned(), ..options })).await;
    assert!(bucket.path_of("check").is_file());
    assert!(bucket.path_of("cabildo/prod/check").is_file());
}

#[tokio::test]
async fn who_is_not_let_in_is_refused() {
    let bucket = Bucket::new(Asked::BySigned);
    let right = bucket.options(bucket.serve().await);
    let name = name();
    assert_eq!(put(&vault(&right), &name, b"x").await, Ok(Put::Stored));
    let wrong = Secret::new("another secret".to_owned());
    let wrong_secret = S3Options { secret_access_key: wrong, ..right.clone() };
    let wrong_id = S3Options { access_key_id: "nobody".to_owned(), ..right };
    for options in [wrong_secret, wrong_id] {
        let vault = vault(&options);
        let refused = [
            put(&vault, &name, b"x").await.map(|_| ()),
            vault.read(&name, None).await.map(|_| ()),
            vault.delete(&name).await,
            vault.check().await,
        ];
        for result in refused {
            assert!(matches!(result, Err(VaultError::Refused(_))), "{result:?}");
        }
    }
}

#[tokio::test]
async fn what_is_put_carries_its_hash_and_overwrites_nothing() {
    let bucket = Bucket::new(Asked::BySigned);
    let seen: Seen<(Method, HeaderMap)> = Seen::default();
    let endpoint = serve({
        let (bucket, seen) = (bucket.clone(), seen.clone());
        move |request: Request| {
            let head = (request.method().clone(), request.headers().clone());
            seen.lock().expect("not poisoned").push(head);
            let bucket = bucket.clone();
            async move { bucket.answer(request).await }
        }
    })
    .await;
    let options = S3Options { object_lock_days: Some(30), ..bucket.options(endpoint) };
    let bytes = vec![7; 100_000];
    let file = file_of(&bytes);
    for contents in [Contents::Bytes(&bytes), Contents::File(file.path())] {
        let put = vault(&options).put(&name(), contents, sha256(&bytes)).await;
        assert_eq!(put, Ok(Put::Stored));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let seen = seen.lock().expect("not poisoned");
    assert_eq!(seen.len(), 2, "one request each");
    for (method, headers) in seen.iter() {
        assert_eq!(method, Method::PUT);
        assert_eq!(headers["if-none-match"], "*");
        assert_eq!(headers["x-amz-checksum-sha256"], STANDARD.encode(sha256(&bytes)));
        assert_eq!(headers["content-length"], "100000");
        for chunked in ["content-encoding", "x-amz-trailer", "transfer-encoding"] {
            assert!(!headers.contains_key(chunked), "{chunked}");
        }
        assert_eq!(headers["x-amz-object-lock-mode"], "COMPLIANCE");
        let until = headers["x-amz-object-lock-retain-until-date"].to_str().expect("ASCII");
        let until = cabildo::domain::time::Timestamp::parse_rfc3339(until).expect("a time");
        let days_30 = i64::try_from(now).expect("fits") + 30 * 24 * 3600;
        assert!((days_30 - 60..=days_30).contains(&until.unix_s()), "{until:?}");
    }
}

#[tokio::test]
async fn contents_changed_on_the_way_are_refused() {
    for asked in [Asked::BySigned, Asked::ByAnybody] {
        let bucket = Bucket::new(asked);
        let endpoint = serve({
            let bucket = bucket.clone();
            move |request: Request| {
                let bucket = bucket.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let mut body = to_bytes(body, usize::MAX).await.expect("a body").to_vec();
                    if let Some(byte) = body.last_mut() {
                        *byte ^= 1;
                    }
                    bucket.answer(Request::from_parts(head, Body::from(body))).await
                }
            }
        })
        .await;
        let vault = vault(&bucket.options(endpoint));
        let bytes = vec![7; 50_000];
        let file = file_of(&bytes);
        for contents in [Contents::Bytes(&bytes), Contents::File(file.path())] {
            // They were right when they left: another time they may arrive.
            let put = vault.put(&name(), contents, sha256(&bytes)).await;
            assert!(matches!(put, Err(VaultError::Unavailable(_))), "{put:?}");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_does_not_lose_the_object() {
    let bucket = Bucket::new(Asked::BySigned);
    let seen: Seen<Method> = Seen::default();
    let endpoint = serve({
        let (bucket, seen) = (bucket.clone(), seen.clone());
        move |request: Request| {
            let (bucket, seen) = (bucket.clone(), seen.clone());
            async move {
                let is_first = {
                    let mut seen = seen.lock().expect("not poisoned");
                    seen.push(request.method().clone());
                    seen.len() == 1
                };
                let stored = bucket.answer(request).await;
                if is_first { answer(500, "InternalError") } else { stored }
            }
        }
    })
    .await;
    let vault = vault(&bucket.options(endpoint));
    let name = name();
    assert_eq!(put(&vault, &name, b"stored twice").await, Ok(Put::AlreadyThere));
    assert_eq!(vault.read(&name, None).await.expect("there"), "stored twice");
}

#[tokio::test]
async fn a_bucket_that_keeps_no_hashes_is_read_to_compare() {
    let bucket = Bucket::new(Asked::BySigned);
    let endpoint = serve({
        let bucket = bucket.clone();
        move |request: Request| {
            let bucket = bucket.clone();
            async move {
                let mut answer = bucket.answer(request).await;
                answer.headers_mut().remove("x-amz-checksum-sha256");
                answer
            }
        }
    })
    .await;
    suite::run(&vault(&bucket.options(endpoint))).await;
}

#[tokio::test]
async fn a_bucket_that_knows_no_ranges_is_cut_to_size() {
    let bucket = Bucket::new(Asked::ByAnybody);
    let endpoint = serve({
        let bucket = bucket.clone();
        move |mut request: Request| {
            let bucket = bucket.clone();
            request.headers_mut().remove("range");
            async move { bucket.answer(request).await }
        }
    })
    .await;
    suite::run(&vault(&bucket.options(endpoint))).await;
}

#[tokio::test]
async fn a_bucket_that_overwrites_is_found_out() {
    let bucket = Bucket::new(Asked::ByAnybody);
    let endpoint = serve({
        let bucket = bucket.clone();
        move |mut request: Request| {
            let bucket = bucket.clone();
            request.headers_mut().remove("if-none-match");
            async move { bucket.answer(request).await }
        }
    })
    .await;
    let checked = vault(&bucket.options(endpoint)).check().await;
    assert_eq!(
        checked,
        Err(VaultError::Refused("the bucket overwrites objects that exist".to_owned()))
    );
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let unavailable = |code: &str| VaultError::Unavailable(code.to_owned());
    let refused = |code: &str| VaultError::Refused(code.to_owned());
    for (status, code, expected) in [
        (500, "InternalError", unavailable("InternalError")),
        (503, "SlowDown", unavailable("SlowDown")),
        (507, "InsufficientStorage", VaultError::Full),
        (403, "AccessDenied", refused("AccessDenied")),
        (501, "NotImplemented", refused("NotImplemented")),
        (404, "NoSuchBucket", refused("NoSuchBucket")),
        (301, "PermanentRedirect", refused("PermanentRedirect")),
    ] {
        let code = code.to_owned();
        let endpoint = serve(move |_: Request| {
            let answer = answer(status, &code);
            async move { answer }
        })
        .await;
        let vault = vault(&options(endpoint));
        assert_eq!(put(&vault, &name(), b"x").await, Err(expected.clone()), "{status}");
        assert_eq!(vault.read(&name(), None).await, Err(expected.clone()), "{status}");
        let checked = if status == 501 {
            refused("the bucket does not support conditional writes or SHA-256 checksums")
        } else {
            expected
        };
        assert_eq!(vault.check().await, Err(checked), "{status}");
    }
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for_for_ever() {
    let slow = serve(|_: Request| std::future::pending::<Response>()).await;
    // Answers, and never ends what it says.
    let endless = serve(|_: Request| async {
        let body = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, String>>());
        Response::builder().header("content-length", "1000").body(body).expect("an answer")
    })
    .await;
    let (_nobody, address) = nobody();
    let gone = format!("http://{address}");
    for endpoint in [slow, endless, gone] {
        let mut options = options(endpoint);
        options.timeouts.answer = Duration::from_millis(100);
        let vault = vault(&options);
        let read = vault.read(&name(), None).await;
        assert!(matches!(read, Err(VaultError::Unavailable(_))), "{read:?}");
        let checked = vault.check().await;
        assert!(matches!(checked, Err(VaultError::Unavailable(_))), "{checked:?}");
    }
}

/// A bucket that keeps versions, with one object that has two.
async fn versioned(retain_until: &'static str) -> (S3, Seen<(Method, Uri)>) {
    let seen: Seen<(Method, Uri)> = Seen::default();
    let endpoint = serve({
        let seen = seen.clone();
        move |request: Request| {
            let mut seen = seen.lock().expect("not poisoned");
            seen.push((request.method().clone(), request.uri().clone()));
            let deleted = seen.iter().filter(|(method, _)| method == Method::DELETE).count();
            let answer = Response::builder();
            let answer = match (request.method(), deleted) {
                (&Method::HEAD, 0 | 1) => answer
                    .header("x-amz-version-id", ["newer", "older"][deleted])
                    .header("x-amz-object-lock-mode", "COMPLIANCE")
                    .header("x-amz-object-lock-retain-until-date", retain_until),
                (&Method::HEAD, _) => answer.status(StatusCode::NOT_FOUND),
                _ => answer.status(StatusCode::NO_CONTENT),
            };
            let answer = answer.body(Body::empty()).expect("an answer");
            async move { answer }
        }
    })
    .await;
    (vault(&options(endpoint)), seen)
}

#[tokio::test]
async fn a_locked_object_is_not_deleted() {
    let (vault, seen) = versioned("2999-01-01T00:00:00Z").await;
    assert_eq!(vault.delete(&name()).await, Err(VaultError::Locked));
    let seen = seen.lock().expect("not poisoned");
    assert!(seen.iter().all(|(method, _)| method == Method::HEAD), "{seen:?}");
}

#[tokio::test]
async fn deleting_leaves_no_version() {
    let (vault, seen) = versioned("2001-01-01T00:00:00Z").await;
    assert_eq!(vault.delete(&name()).await, Ok(()));
    let seen = seen.lock().expect("not poisoned");
    let deleted: Vec<_> = seen
        .iter()
        .filter(|(method, _)| method == Method::DELETE)
        .map(|(_, uri)| uri.query().unwrap_or_default().contains("versionId=newer"))
        .collect();
    assert_eq!(deleted, [true, false]);
}

/// A server whose certificate is its own authority; returns its URL and the
/// authority in PEM.
fn serve_tls(bucket: Bucket) -> (String, String) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("signed");
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    let provider = rustls::crypto::ring::default_provider().into();
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key.into())
        .expect("the right key");
    let tls = axum_server::tls_rustls::RustlsConfig::from_config(tls.into());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("as it must be");
    let port = listener.local_addr().expect("bound").port();
    let router = axum::Router::new().fallback(move |request: Request| {
        let bucket = bucket.clone();
        async move { bucket.answer(request).await }
    });
    let server = axum_server::from_tcp_rustls(listener, tls).expect("a server");
    tokio::spawn(server.serve(router.into_make_service()));
    (format!("https://localhost:{port}"), signed.cert.pem())
}

#[tokio::test]
async fn a_bucket_behind_tls_is_asked_for_its_certificate() {
    let bucket = Bucket::new(Asked::BySigned);
    let (endpoint, authority) = serve_tls(bucket.clone());
    let authority = file_of(authority.as_bytes());
    let ours = S3Options { ca: Some(authority.path().to_owned()), ..bucket.options(endpoint) };
    vault(&ours).check().await.expect("its own authority is trusted");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("signed");
    let other = file_of(other.cert.pem().as_bytes());
    let checked = vault(&S3Options { ca: Some(other.path().to_owned()), ..ours }).check().await;
    let why = "the certificate of the bucket is not trusted".to_owned();
    assert_eq!(checked, Err(VaultError::Refused(why)));
}

#[tokio::test]
async fn options_that_can_not_be_right_are_refused() {
    let right = options("http://127.0.0.1:1".to_owned());
    let not_pem = file_of(b"no certificate");
    let wrong = [
        S3Options { bucket: String::new(), ..right.clone() },
        S3Options { region: String::new(), ..right.clone() },
        S3Options { endpoint: Some("ftp://127.0.0.1".to_owned()), ..right.clone() },
        S3Options { endpoint: Some("not a URL".to_owned()), ..right.clone() },
        S3Options { ca: Some(not_pem.path().to_owned()), ..right.clone() },
        S3Options { ca: Some("/nowhere/at/all.pem".into()), ..right.clone() },
    ];
    for options in wrong {
        assert!(matches!(S3::new(&options), Err(VaultError::Refused(_))), "{options:?}");
    }
    assert!(S3::new(&right).is_ok());
}
