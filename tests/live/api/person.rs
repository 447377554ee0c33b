//! People: a key, an access token bound to it, and proofs of possession.

use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cabildo::auth::dev_issuer::{DevIssuer, TOKEN_LIFETIME_S, TokenRequest};
use cabildo::clock::Clock;
use cabildo::domain::id::TenantId;
use cabildo::domain::role::{Role, Roles};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::server::{Answer, Server, send};

/// Somebody with an access token.
pub(crate) struct Person {
    key: SigningKey,
    pub(crate) user_id: String,
    pub(crate) token: String,
    nonce: Mutex<Option<String>>,
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn jwk(key: &SigningKey) -> Value {
    let point = key.verifying_key().to_sec1_point(false);
    let bytes = point.as_bytes();
    json!({"kty": "EC", "crv": "P-256", "x": encode(&bytes[1..33]), "y": encode(&bytes[33..])})
}

pub(crate) fn thumbprint(key: &SigningKey) -> String {
    let jwk = jwk(key);
    let (x, y) = (jwk["x"].as_str().expect("x"), jwk["y"].as_str().expect("y"));
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    encode(&Sha256::digest(canonical))
}

pub(crate) fn fresh_key() -> SigningKey {
    SigningKey::from_slice(&[&[7; 16][..], uuid::Uuid::new_v4().as_bytes()].concat()).expect("key")
}

fn now_s() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A token of the built-in issuer; a bearer token without `jkt`.
pub(crate) async fn token(
    server: &Server,
    tenant: TenantId,
    (user_id, role): (&str, &str),
    session: Option<&str>,
    jkt: Option<String>,
) -> String {
    called(server, tenant, (user_id, "Somebody", role), session, jkt).await
}

/// A token of the built-in issuer without a key, of the server's tenant, that ends in `left`.
pub(crate) async fn ending_token(
    server: &Server,
    (user_id, role): (&str, Role),
    left: Duration,
) -> String {
    let usual = token(server, server.tenant, (user_id, role.as_str()), None, None).await;
    let claims = usual.split('.').nth(1).expect("a JWT");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("claims");
    let text = |name: &str| claims[name].as_str().expect("a text").to_owned();
    let issuer = DevIssuer::open(server.data_dir(), text("iss"), text("aud")).expect("its key");
    let request = TokenRequest {
        tenant_id: server.tenant,
        user_id: user_id.parse().expect("a user id"),
        name: Some(user_id.to_owned()),
        roles: Roles::of(&[role]),
        session_id: None,
        jkt: None,
    };
    let life = Duration::from_secs(u64::from(TOKEN_LIFETIME_S));
    let issued_at = Clock::system().now().before(life.saturating_sub(left));
    issuer.issue(&request, issued_at).expect("issued").access_token
}

/// As [`token`], for somebody whose name is given.
async fn called(
    server: &Server,
    tenant: TenantId,
    (user_id, name, role): (&str, &str, &str),
    session: Option<&str>,
    jkt: Option<String>,
) -> String {
    let mut body = json!({
        "tenant_id": tenant.to_string(), "user_id": user_id, "name": name, "roles": [role],
    });
    if let Some(jkt) = &jkt {
        body["jkt"] = json!(jkt);
    }
    if let Some(session) = session {
        body["session_id"] = json!(session);
    }
    let answer = send(server.request(Method::POST, "/dev/token").json(&body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["token_type"], if jkt.is_some() { "DPoP" } else { "Bearer" });
    answer["access_token"].as_str().expect("a token").to_owned()
}

impl Person {
    /// A person of the server's tenant.
    pub(crate) async fn with_role(server: &Server, role: &str) -> Self {
        Self::of(server, server.tenant, role, None).await
    }

    /// A person of the server's tenant whose token says that they are `user_id`.
    pub(crate) async fn named(server: &Server, user_id: &str, role: &str) -> Self {
        Self::issued(server, server.tenant, user_id.to_owned(), role, None).await
    }

    pub(crate) async fn of(
        server: &Server,
        tenant: TenantId,
        role: &str,
        session: Option<&str>,
    ) -> Self {
        let user_id = format!("user-{}", uuid::Uuid::new_v4());
        Self::issued(server, tenant, user_id, role, session).await
    }

    /// A person of the server's tenant whose token says that this is their name.
    pub(crate) async fn called(server: &Server, name: &str, role: &str) -> Self {
        let user_id = format!("user-{}", uuid::Uuid::new_v4());
        let key = fresh_key();
        let jkt = Some(thumbprint(&key));
        let person = (user_id.as_str(), name, role);
        let token = called(server, server.tenant, person, None, jkt).await;
        Self { key, user_id, token, nonce: Mutex::new(None) }
    }

    async fn issued(
        server: &Server,
        tenant: TenantId,
        user_id: String,
        role: &str,
        session: Option<&str>,
    ) -> Self {
        let key = fresh_key();
        let jkt = Some(thumbprint(&key));
        let token = token(server, tenant, (&user_id, role), session, jkt).await;
        Self { key, user_id, token, nonce: Mutex::new(None) }
    }

    /// This request with the token and a proof of its key, made just now.
    pub(crate) fn prove(&self, request: RequestBuilder) -> RequestBuilder {
        let (request, built) = (request.try_clone().expect("no stream"), request.build());
        let built = built.expect("a request");
        let mut address = built.url().clone();
        address.set_query(None);
        let proof = self.proof(built.method(), address.as_str(), None);
        request.header("authorization", format!("DPoP {}", self.token)).header("dpop", proof)
    }

    /// A proof for one request (RFC 9449 §4.2).
    pub(crate) fn proof(&self, method: &Method, url: &str, nonce: Option<&str>) -> String {
        self.proof_at(now_s(), method, url, nonce)
    }

    /// As [`Self::proof`], made at another time.
    pub(crate) fn proof_at(
        &self,
        iat: u64,
        method: &Method,
        url: &str,
        nonce: Option<&str>,
    ) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk(&self.key)});
        let mut claims = json!({
            "jti": uuid::Uuid::new_v4().to_string(), "htm": method.as_str(), "htu": url,
            "iat": iat, "ath": encode(&Sha256::digest(&self.token)),
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", encode(&signature.to_bytes()))
    }

    /// A read with a proof that carries no nonce.
    pub(crate) async fn read(&self, server: &Server, method: Method, path: &str) -> Answer {
        send(self.prove(server.request(method, path))).await
    }

    /// A write with a proof; asks for a nonce first when it has none.
    pub(crate) async fn write(
        &self,
        server: &Server,
        method: Method,
        path: &str,
        adjust: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Answer {
        for _ in 0..2 {
            let nonce = self.nonce.lock().expect("whole").clone();
            // RFC 9449 §4.2: the address without its query.
            let address = format!("{}{}", server.http, path.split('?').next().unwrap_or(path));
            let proof = self.proof(&method, &address, nonce.as_deref());
            let request = server
                .request(method.clone(), path)
                .header("authorization", format!("DPoP {}", self.token))
                .header("dpop", proof);
            let answer = send(adjust(request)).await;
            let fresh = answer.header("dpop-nonce");
            if !fresh.is_empty() {
                *self.nonce.lock().expect("whole") = Some(fresh.to_owned());
            }
            if answer.code() != "DPOP_NONCE_REQUIRED" {
                return answer;
            }
            assert!(answer.header("www-authenticate").contains("use_dpop_nonce"), "{answer:?}");
        }
        panic!("the server asks for nonces for ever");
    }

    /// A nonce that is current, learnt by a request.
    pub(crate) async fn learn_nonce(&self, server: &Server) -> String {
        let path = "/api/v1/sessions/01890a5d-ac96-774b-bcce-b302099a8057/start";
        let proof = self.proof(&Method::POST, &format!("{}{path}", server.http), None);
        let request = server
            .request(Method::POST, path)
            .header("authorization", format!("DPoP {}", self.token))
            .header("dpop", proof);
        send(request).await.header("dpop-nonce").to_owned()
    }
}
