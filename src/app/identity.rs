//! Authentication of callers: people by tokens, services by certificates.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};

use super::base::Base;
use super::certificates::Certificates;
use crate::auth::client_cert::{ServiceAllowList, ServiceIdentity, TlsFiles};
use crate::auth::dev_issuer::DevIssuer;
use crate::auth::{
    AuthOptions, Authenticator, HttpKeySource, HttpKeySourceOptions, KeySource, KeySourceError,
    NonceKey, PlainHttp, dev_certificates,
};
use crate::config::Config;

/// The parts that authenticate callers.
pub(super) struct Identity {
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) services: ServiceAllowList,
    /// The built-in issuer, in development only.
    pub(super) dev_issuer: Option<Arc<DevIssuer>>,
    /// The certificate files of the internal listener.
    pub(super) tls: TlsFiles,
    /// When the certificates of this server run out.
    pub(super) certificates: Certificates,
    /// The origins at which clients may address this server.
    pub(super) origins: Vec<String>,
}

impl Identity {
    /// Starts authentication; `http` is the address of the public listener.
    pub(super) async fn start(base: &Base, http: SocketAddr) -> anyhow::Result<Self> {
        let tls = tls_files(base).await?;
        let dev_issuer = match &base.dev_data_dir {
            Some(data_dir) => Some(Arc::new(open_issuer(&base.config, data_dir.clone()).await?)),
            None => None,
        };
        Ok(Self {
            authenticator: Arc::new(authenticator(base, dev_issuer.as_ref())?),
            services: allow_list(&base.config)?,
            origins: public_origins(&base.config, http, dev_issuer.is_some())?,
            dev_issuer,
            certificates: Certificates::start(base, &tls).await,
            tls,
        })
    }
}

/// The certificate files of the internal listener; in development they are made when missing.
async fn tls_files(base: &Base) -> anyhow::Result<TlsFiles> {
    let internal = &base.config.internal;
    if let Some(data_dir) = &base.dev_data_dir {
        let (directory, now) = (data_dir.join("certs"), base.clock.now());
        tokio::task::spawn_blocking(move || dev_certificates::ensure(&directory, now))
            .await?
            .context("the development certificates")?;
    }
    Ok(TlsFiles {
        client_authorities: internal.ca.clone(),
        certificate: internal.cert.clone(),
        key: internal.key.clone(),
    })
}

async fn open_issuer(config: &Config, data_dir: PathBuf) -> anyhow::Result<DevIssuer> {
    let (issuer, audience) = (config.identity.issuer.clone(), config.identity.audience.clone());
    tokio::task::spawn_blocking(move || DevIssuer::open(&data_dir, issuer, audience))
        .await?
        .context("the development issuer")
}

fn authenticator(
    base: &Base,
    dev_issuer: Option<&Arc<DevIssuer>>,
) -> anyhow::Result<Authenticator> {
    let config = &base.config;
    let nonce_key = match &config.dpop.nonce_key {
        Some(key) => NonceKey::new(key.expose().clone()).context("dpop.nonce_key")?,
        None => NonceKey::random(),
    };
    let options = AuthOptions {
        issuer: config.identity.issuer.clone(),
        audience: config.identity.audience.clone(),
        nonce_key,
    };
    let keys: Arc<dyn KeySource> = if let Some(issuer) = dev_issuer {
        issuer.clone()
    } else {
        Arc::new(key_source(config).context("identity.jwks_url")?)
    };
    Ok(Authenticator::new(options, keys, Arc::new(base.store.replay_cache())))
}

/// The public keys of the issuer.
pub(super) fn key_source(config: &Config) -> Result<HttpKeySource, KeySourceError> {
    HttpKeySource::new(&HttpKeySourceOptions {
        url: config.identity.jwks_url.clone(),
        headers: vec![
            ("X-Service-ID".to_owned(), "cabildo".to_owned()),
            ("X-Internal-Service".to_owned(), "true".to_owned()),
        ],
        plain_http: PlainHttp::LoopbackOnly,
    })
}

/// The identity of a service that may call.
pub(super) fn service_identity(name: &str) -> anyhow::Result<ServiceIdentity> {
    ServiceIdentity::parse(name).ok_or_else(|| {
        anyhow!("{name} is no identity: expected a DNS name, or a URI like spiffe://example/name")
    })
}

fn allow_list(config: &Config) -> anyhow::Result<ServiceAllowList> {
    let mut list = ServiceAllowList::new();
    for (route, names) in &config.internal.allow {
        for name in names {
            let context = || format!("internal.allow.{}", route.key());
            let identity = service_identity(name).with_context(context)?;
            list.allow(route.key(), identity);
        }
    }
    Ok(list)
}

/// The origins at which clients may address this server. In development `localhost` and the
/// loopback address are both allowed.
fn public_origins(config: &Config, http: SocketAddr, dev: bool) -> anyhow::Result<Vec<String>> {
    let mut origins: Vec<String> = config.http.public_url.iter().cloned().collect();
    if dev {
        let port = http.port();
        origins.push(format!("http://localhost:{port}"));
        origins.push(format!("http://127.0.0.1:{port}"));
        if !http.ip().is_unspecified() {
            origins.push(format!("http://{http}"));
        }
    }
    if origins.is_empty() { Err(anyhow!("http.public_url must be given")) } else { Ok(origins) }
}
