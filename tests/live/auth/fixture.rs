//! An identity service on loopback, people with keys, and what they sign.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cabildo::auth::{
    AuthOptions, Authenticator, HttpKeySource, HttpKeySourceOptions, InMemoryReplayCache, NonceKey,
    PlainHttp, ReplayCache,
};
use cabildo::domain::time::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Seconds of the moment at which the tests start.
pub(crate) const NOW_S: i64 = 1_700_000_000;
/// A resource to write to.
pub(crate) const URL: &str = "https://cabildo.example/api/v1/sessions/7/start";

/// The moment `seconds` after the start.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_us((NOW_S + seconds) * 1_000_000)
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of an issuer, with its public half as a JWK.
pub(crate) struct IssuerKey {
    secret: Secret,
    pub(crate) jwk: Value,
}

enum Secret {
    P256(SigningKey),
    Ed25519(EncodingKey),
    Recorded(Vec<&'static str>),
}

impl IssuerKey {
    pub(crate) fn p256(id: &str, byte: u8) -> Self {
        let key = SigningKey::from_slice(&[byte; 32]).expect("below the order");
        let mut jwk = public_jwk(&key);
        jwk["kid"] = json!(id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!("ES256");
        Self { secret: Secret::P256(key), jwk }
    }

    /// A key whose private half no longer exists: it gives the tokens it signed
    /// when the vectors were made, and no others.
    pub(crate) fn rsa() -> Self {
        let jwk = include_str!("../../vectors/auth/rsa_issuer.jwk.json");
        let tokens = include_str!("../../vectors/auth/rsa_tokens.txt").lines().collect();
        Self { secret: Secret::Recorded(tokens), jwk: serde_json::from_str(jwk).expect("JSON") }
    }

    pub(crate) fn ed25519(id: &str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let x = encode(pair.der_bytes());
        Self {
            secret: Secret::Ed25519(EncodingKey::from_ed_der(&pair.serialize_der())),
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "use": "sig"}),
        }
    }

    pub(crate) fn header(&self) -> Value {
        let algorithm = match &self.secret {
            Secret::P256(_) => "ES256",
            Secret::Ed25519(_) => "EdDSA",
            Secret::Recorded(_) => "RS256",
        };
        json!({"typ": "at+jwt", "alg": algorithm, "kid": self.jwk["kid"]})
    }

    /// A token with any header and claims, signed with this key.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        match &self.secret {
            Secret::P256(key) => sign(&message, key),
            Secret::Ed25519(key) => {
                let signature =
                    jsonwebtoken::crypto::sign(message.as_bytes(), key, Algorithm::EdDSA);
                format!("{message}.{}", signature.expect("signs"))
            }
            Secret::Recorded(tokens) => {
                let signed = |token: &&&str| {
                    token.rsplit_once('.').is_some_and(|(signed, _)| signed == message)
                };
                (*tokens.iter().find(signed).expect("recorded in the vectors")).to_owned()
            }
        }
    }

    /// A right token of this key for `person`.
    pub(crate) fn token(&self, person: &Person) -> String {
        self.sign(&self.header(), &claims(person))
    }
}

pub(crate) fn message(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| encode(part.to_string().as_bytes()));
    format!("{header}.{claims}")
}

fn sign(message: &str, key: &SigningKey) -> String {
    let signature: Signature = key.sign(message.as_bytes());
    format!("{message}.{}", encode(&signature.to_bytes()))
}

fn public_jwk(key: &SigningKey) -> Value {
    let point = key.verifying_key().to_sec1_point(false);
    let bytes = point.as_bytes();
    json!({"kty": "EC", "crv": "P-256", "x": encode(&bytes[1..33]), "y": encode(&bytes[33..])})
}

/// Somebody with a key in their browser.
pub(crate) struct Person(SigningKey);

impl Person {
    pub(crate) fn new(byte: u8) -> Self {
        Self(SigningKey::from_slice(&[byte; 32]).expect("below the order"))
    }

    pub(crate) fn thumbprint(&self) -> String {
        let jwk = public_jwk(&self.0);
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        encode(&Sha256::digest(text))
    }

    pub(crate) fn prove(&self, claims: &Value) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk(&self.0)});
        sign(&message(&header, claims), &self.0)
    }

    /// A right proof for a write to [`URL`].
    pub(crate) fn proof(&self, token: &str, id: &str, nonce: &str) -> String {
        self.prove(&proof_claims(token, id, nonce))
    }
}

pub(crate) fn proof_claims(token: &str, id: &str, nonce: &str) -> Value {
    json!({
        "jti": id, "htm": "POST", "htu": URL, "iat": NOW_S,
        "ath": encode(&Sha256::digest(token)), "nonce": nonce,
    })
}

pub(crate) fn claims(person: &Person) -> Value {
    json!({
        "iss": "https://identity.example", "aud": "cabildo", "sub": "maria",
        "iat": NOW_S - 60, "exp": NOW_S + 40_000, "jti": "token-1",
        "tenant_id": "0190a1b2-0000-7000-8000-000000000001",
        "roles": ["moderator"], "cnf": {"jkt": person.thumbprint()},
    })
}

/// What the issuer answers next.
#[derive(Clone)]
pub(crate) enum Answer {
    Keys(Vec<Value>),
    Raw(StatusCode, Vec<u8>),
    Redirect(String),
}

/// An identity service on loopback.
pub(crate) struct Issuer {
    pub(crate) url: String,
    state: Arc<State>,
}

struct State {
    answer: Mutex<Answer>,
    fetches: AtomicUsize,
    service_ids: Mutex<Vec<String>>,
}

impl Issuer {
    pub(crate) async fn serving(keys: &[&IssuerKey]) -> Self {
        let state = Arc::new(State {
            answer: Mutex::new(Answer::Keys(keys.iter().map(|key| key.jwk.clone()).collect())),
            fetches: AtomicUsize::new(0),
            service_ids: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/jwks.json", listener.local_addr().expect("bound"));
        let shared = Arc::clone(&state);
        let handler = move |headers: HeaderMap| async move { shared.respond(&headers) };
        let router = Router::new().route("/jwks.json", get(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.state.answer.lock().expect("whole") = answer;
    }

    pub(crate) fn keys(&self, keys: &[&IssuerKey]) {
        self.answer(Answer::Keys(keys.iter().map(|key| key.jwk.clone()).collect()));
    }

    pub(crate) fn fetches(&self) -> usize {
        self.state.fetches.load(Ordering::SeqCst)
    }

    pub(crate) fn service_ids(&self) -> Vec<String> {
        self.state.service_ids.lock().expect("whole").clone()
    }

    pub(crate) fn authenticator(&self) -> Authenticator {
        authenticator(&self.url, Arc::new(InMemoryReplayCache::default()))
    }
}

impl State {
    fn respond(&self, headers: &HeaderMap) -> Response<Body> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let service = headers.get("x-service-id").and_then(|value| value.to_str().ok());
        self.service_ids.lock().expect("whole").extend(service.map(str::to_owned));
        let (status, location, body) = match self.answer.lock().expect("whole").clone() {
            Answer::Keys(keys) => {
                (StatusCode::OK, None, json!({ "keys": keys }).to_string().into_bytes())
            }
            Answer::Raw(status, body) => (status, None, body),
            Answer::Redirect(to) => (StatusCode::FOUND, Some(to), Vec::new()),
        };
        let mut response = Response::builder().status(status);
        if let Some(to) = location {
            response = response.header("location", to);
        }
        response.body(Body::from(body)).expect("a response")
    }
}

/// An authenticator that trusts the issuer at `url`.
pub(crate) fn authenticator(url: &str, replay: Arc<dyn ReplayCache>) -> Authenticator {
    // Every test asks; only the first of the process installs.
    drop(rustls::crypto::ring::default_provider().install_default());
    let source = HttpKeySource::new(&HttpKeySourceOptions {
        url: url.to_owned(),
        headers: vec![("X-Service-ID".into(), "cabildo".into())],
        plain_http: PlainHttp::LoopbackOnly,
    })
    .expect("a source");
    Authenticator::new(options(), Arc::new(source), replay)
}

pub(crate) fn options() -> AuthOptions {
    AuthOptions {
        issuer: "https://identity.example".into(),
        audience: "cabildo".into(),
        nonce_key: NonceKey::new(vec![9; 32]).expect("long enough"),
    }
}
