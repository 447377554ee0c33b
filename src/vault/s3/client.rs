//! The client of the S3 protocol, with everything decided that it would decide
//! by itself.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::vault::VaultError;
use crate::vault::s3::S3Options;

/// How often a request is made that fails for a passing reason. Who calls has
/// more patience than we do.
const ATTEMPTS: u32 = 2;
/// Longest pause between the two.
const BACKOFF: Duration = Duration::from_millis(200);

pub(super) fn build(options: &S3Options) -> Result<Client, VaultError> {
    let credentials = Credentials::new(
        options.access_key_id.clone(),
        options.secret_access_key.expose().clone(),
        None,
        None,
        "configuration",
    );
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(
            Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(tls_context(options)?)
                .build_https(),
        )
        .region(Region::new(options.region.clone()))
        .credentials_provider(credentials)
        .force_path_style(options.path_style)
        // We send a hash that we have, and readers check what they open. Other
        // services know no other checksums.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(BACKOFF),
        )
        // Each call is bounded as a whole by who makes it.
        .timeout_config(TimeoutConfig::builder().connect_timeout(options.timeouts.connect).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = &options.endpoint {
        let is_url = url_scheme(endpoint).is_some();
        if !is_url {
            return Err(VaultError::Refused("the endpoint is no http URL".to_owned()));
        }
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}

fn url_scheme(endpoint: &str) -> Option<&str> {
    let uri: http::Uri = endpoint.parse().ok()?;
    uri.authority()?;
    ["http", "https"]
        .into_iter()
        .find_map(|scheme| (uri.scheme_str() == Some(scheme)).then(|| &endpoint[..scheme.len()]))
}

fn tls_context(options: &S3Options) -> Result<TlsContext, VaultError> {
    let is_plain = options.endpoint.as_deref().and_then(url_scheme) == Some("http");
    let trust = match &options.ca {
        Some(path) => TrustStore::empty().with_pem_certificate(authorities(path)?),
        // No client certificate is used.
        None if is_plain => TrustStore::empty(),
        None => TrustStore::default(),
    };
    let refused = |_| VaultError::Refused("TLS can't be set up".to_owned());
    TlsContext::builder().with_trust_store(trust).build().map_err(refused)
}

/// The text of a PEM file that holds certificates of authorities, and only
/// such: the client would panic at any other.
fn authorities(path: &Path) -> Result<Vec<u8>, VaultError> {
    let refused = || VaultError::Refused("the file of authorities holds none".to_owned());
    let pem = std::fs::read(path).map_err(|_| refused())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| refused())?;
        roots.add(certificate).map_err(|_| refused())?;
    }
    if roots.is_empty() { Err(refused()) } else { Ok(pem) }
}
