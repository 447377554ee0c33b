//! The section about the platform's other services.

use std::path::PathBuf;

use super::reader::Reader;
use super::sections::is_http_url;
use crate::domain::network::is_loopback_host;

/// Certificates for a service that knows its callers by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTlsConfig {
    /// PEM file of the only authorities whose server certificates are taken.
    pub ca: PathBuf,
    /// PEM file of this server's certificate chain for it.
    pub cert: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

/// How one service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Base URL; the paths of its contract are below it.
    pub url: String,
    /// Certificates, when it asks for one.
    pub tls: Option<ServiceTlsConfig>,
}

/// The platform's other services. Those without an address are not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicesConfig {
    /// What this server calls itself in `X-Service-ID`.
    pub service_id: String,
    /// Whether services beyond this machine may be called without TLS.
    pub plain_http: bool,
    /// Validates what people present.
    pub identity: Option<ServiceConfig>,
    /// Holds assemblies and their votes.
    pub governance: Option<ServiceConfig>,
    /// Knows what tenants may use.
    pub tenancy: Option<ServiceConfig>,
    /// Knows who is eligible.
    pub user_profiles: Option<ServiceConfig>,
}

pub(super) fn read(reader: &mut Reader) -> ServicesConfig {
    let service_id = reader.text("services.service_id").unwrap_or_else(|| "cabildo".to_owned());
    if !service_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        reader.problem("services.service_id", "expected ASCII without spaces");
    }
    let plain_http = reader.parsed("services.plain_http", "true or false").unwrap_or(false);
    let mut service = |name: &str| read_service(reader, name, plain_http);
    let (identity, governance) = (service("identity"), service("governance"));
    let (tenancy, user_profiles) = (service("tenancy"), service("user_profiles"));
    // Governance knows its callers by their certificates.
    if let Some(ServiceConfig { url, tls: None }) = &governance
        && url.starts_with("https:")
    {
        reader.problem("services.governance.cert", "must be given");
    }
    ServicesConfig { service_id, plain_http, identity, governance, tenancy, user_profiles }
}

fn read_service(reader: &mut Reader, name: &str, plain_http: bool) -> Option<ServiceConfig> {
    let key_of = |member: &str| format!("services.{name}.{member}");
    let url = reader.text(&key_of("url"));
    let mut path = |member: &str| reader.text(&key_of(member)).map(PathBuf::from);
    let files = (path("ca"), path("cert"), path("key"));
    let tls = match files {
        (Some(ca), Some(cert), Some(key)) => Some(ServiceTlsConfig { ca, cert, key }),
        (None, None, None) => None,
        _ => {
            reader.problem(&key_of("cert"), "ca, cert and key are given together or not at all");
            None
        }
    };
    let Some(url) = url else {
        if tls.is_some() {
            reader.problem(&key_of("url"), "must be given");
        }
        return None;
    };
    if !is_service_url(&url, plain_http) {
        let expected = "expected an https URL without credentials or query; http on this \
                        machine, or with services.plain_http";
        reader.problem(&key_of("url"), expected);
    }
    Some(ServiceConfig { url, tls })
}

fn is_service_url(text: &str, plain_http: bool) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let is_loopback = uri.host().is_some_and(is_loopback_host);
    let is_secret = uri.scheme_str() == Some("https") || is_loopback || plain_http;
    is_http_url(text) && is_secret && !text.contains('@') && uri.query().is_none()
}
