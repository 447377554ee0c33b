//! Configures the client of the S3 protocol; nothing is left to its defaults.

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

/// How often a request is tried that fails for a temporary reason. Callers try again for longer.
const ATTEMPTS: u32 = 2;
/// Longest pause between two tries.
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
        // Requests contain a hash that is known already, and readers authenticate what they
        // decrypt. Other services support no other checksums.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(BACKOFF),
        )
        // Callers limit the time of each call as a whole.
        .timeout_config(TimeoutConfig::builder().connect_timeout(options.timeouts.connect).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = &options.endpoint {
        let is_url = url_scheme(endpoint).is_some();
        if !is_url {
            return Err(VaultError::Refused("the endpoint is not an http URL".to_owned()));
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
        // No certificates are needed for plain http.
        None if is_plain => TrustStore::empty(),
        None => TrustStore::default(),
    };
    let refused = |_| VaultError::Refused("TLS can't be set up".to_owned());
    TlsContext::builder().with_trust_store(trust).build().map_err(refused)
}

/// Reads a PEM file that contains certificates of authorities and nothing else; the client would
/// panic at other contents.
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
