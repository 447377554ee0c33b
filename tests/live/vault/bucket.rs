//! A bucket in this process, and what may go wrong on the way to it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use cabildo::domain::secret::Secret;
use cabildo::vault::{S3, S3Options, S3Timeouts};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;

pub(crate) const KEY_ID: &str = "a-key-of-this-test";
pub(crate) const BUCKET: &str = "evidence";

/// Who may ask a bucket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Who signs with the right credentials.
    BySigned,
    /// Anybody: what is on the way may change headers.
    ByAnybody,
}

/// A bucket on disk, spoken to without a network.
#[derive(Clone)]
pub(crate) struct Bucket {
    service: S3Service,
    root: Arc<TempDir>,
    secret: String,
    asked: Asked,
}

impl Bucket {
    pub(crate) fn new(asked: Asked) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(root.path().join(BUCKET)).expect("made");
        let files = s3s_fs::FileSystem::new(root.path()).expect("a file system");
        let secret: String = format!("{:032x}", rand::random::<u128>());
        let mut builder = S3ServiceBuilder::new(files);
        if asked == Asked::BySigned {
            builder.set_auth(SimpleAuth::from_single(KEY_ID, secret.as_str()));
        }
        Self { service: builder.build(), root: Arc::new(root), secret, asked }
    }

    pub(crate) async fn answer(&self, mut request: Request) -> Response {
        if self.asked == Asked::ByAnybody {
            request.headers_mut().remove("authorization");
        }
        let answer = tower::Service::call(&mut self.service.clone(), request).await;
        answer.expect("answered").map(Body::new)
    }

    /// Where an object lies, if it is there.
    pub(crate) fn path_of(&self, key: &str) -> PathBuf {
        self.root.path().join(BUCKET).join(key)
    }

    pub(crate) fn options(&self, endpoint: String) -> S3Options {
        S3Options { secret_access_key: Secret::new(self.secret.clone()), ..options(endpoint) }
    }

    /// A server for this bucket.
    pub(crate) async fn serve(&self) -> String {
        let bucket = self.clone();
        serve(move |request| {
            let bucket = bucket.clone();
            async move { bucket.answer(request).await }
        })
        .await
    }
}

pub(crate) fn options(endpoint: String) -> S3Options {
    S3Options {
        endpoint: Some(endpoint),
        region: "eu-test-1".to_owned(),
        bucket: BUCKET.to_owned(),
        prefix: String::new(),
        path_style: true,
        access_key_id: KEY_ID.to_owned(),
        secret_access_key: Secret::new("not the right one".to_owned()),
        ca: None,
        object_lock_days: None,
        timeouts: S3Timeouts { connect: Duration::from_secs(5), answer: Duration::from_secs(20) },
    }
}

pub(crate) fn vault(options: &S3Options) -> S3 {
    S3::new(options).expect("right options")
}

/// A server on loopback; returns its URL.
pub(crate) async fn serve<F, A>(answer: F) -> String
where
    F: Fn(Request) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let router = axum::Router::new().fallback(move |request: Request| answer(request));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// What came by, one after the other.
pub(crate) type Seen<T> = Arc<Mutex<Vec<T>>>;
