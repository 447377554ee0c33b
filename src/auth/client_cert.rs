//! Services: which service a verified TLS client certificate names, and which routes that service
//! may call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::auth::error::AuthError;
use crate::domain::participant::ServiceName;
use crate::domain::time::Timestamp;

/// Most names read from one certificate; further ones are ignored.
const NAMES_MAX: usize = 32;
/// Longest name accepted, in bytes (RFC 1035 allows 253, SPIFFE 2048).
const NAME_LENGTH_MAX: usize = 2_048;

/// A URI or DNS name in a certificate. DNS names are compared without case, URIs exactly; a URI
/// never equals a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceIdentity {
    /// A URI, such as `spiffe://cabildo.dev/governance`.
    Uri(String),
    /// A DNS name, in lower case.
    Dns(String),
}

impl ServiceIdentity {
    /// Parses an identity as written in the configuration: a URI when it contains `://`, otherwise
    /// a DNS name. `None` when it is neither, or a wildcard.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains("://") { Self::of_uri(text) } else { Self::of_dns(text) }
    }

    fn of_uri(uri: &str) -> Option<Self> {
        let fits = uri.len() <= NAME_LENGTH_MAX && uri.bytes().all(|byte| byte.is_ascii_graphic());
        (fits && uri.contains("://")).then(|| Self::Uri(uri.to_owned()))
    }

    fn of_dns(name: &str) -> Option<Self> {
        let fits = (1..=253).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        fits.then(|| Self::Dns(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for ServiceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(text) | Self::Dns(text) => f.write_str(text),
        }
    }
}

/// The identities in the first certificate of `chain`: its URI and DNS names (RFC 5280 §4.2.1.6).
/// TLS has verified the chain before. Empty when the certificate has no such name.
#[must_use]
pub fn identities_of(chain: &[CertificateDer<'_>]) -> BTreeSet<ServiceIdentity> {
    let Some(Ok((_, certificate))) = chain.first().map(|der| X509Certificate::from_der(der)) else {
        return BTreeSet::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return BTreeSet::new();
    };
    let identity = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => ServiceIdentity::of_uri(uri),
        GeneralName::DNSName(name) => ServiceIdentity::of_dns(name),
        _ => None,
    };
    names.value.general_names.iter().take(NAMES_MAX).filter_map(identity).collect()
}

/// Which services may call which routes. No service may call a route that is not listed.
#[derive(Debug, Clone, Default)]
pub struct ServiceAllowList(BTreeMap<String, BTreeSet<ServiceIdentity>>);

impl ServiceAllowList {
    /// An empty list: no service may call anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `identity` call the route with this name.
    pub fn allow(&mut self, route: impl Into<String>, identity: ServiceIdentity) {
        self.0.entry(route.into()).or_default().insert(identity);
    }

    /// The service among `identities` that may call `route`.
    pub fn authorise(
        &self,
        route: &str,
        identities: &BTreeSet<ServiceIdentity>,
    ) -> Result<ServiceName, AuthError> {
        if identities.is_empty() {
            return Err(AuthError::ClientCertificateRequired);
        }
        let allowed = self.0.get(route).ok_or(AuthError::Forbidden)?;
        let service = identities.intersection(allowed).next().ok_or(AuthError::Forbidden)?;
        Ok(ServiceName(service.to_string()))
    }
}

/// The files of the internal listener, all in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The authorities that client certificates must come from.
    pub client_authorities: PathBuf,
    /// The listener's certificate, followed by its intermediates.
    pub certificate: PathBuf,
    /// The listener's private key.
    pub key: PathBuf,
}

/// Why the internal listener's TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesInvalid {
    /// A file can't be read or does not contain the expected PEM.
    #[error("{} does not hold {expected} in PEM: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it should contain.
        expected: &'static str,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// A file contains no certificate.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in the file cannot be an authority.
    #[error("{} holds a certificate that cannot be an authority: {source}", path.display())]
    AuthorityInvalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The authorities cannot verify clients.
    #[error("{} cannot verify clients: {source}", path.display())]
    Verifier {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: VerifierBuilderError,
    },
    /// The key does not belong to the certificate, or neither is usable.
    #[error("{} is not the key of {}: {source}", key.display(), certificate.display())]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

/// Makes the TLS configuration of the internal listener, which refuses clients without a
/// certificate from one of the authorities. Reads files and blocks.
pub fn internal_server_config(files: &TlsFiles) -> Result<ServerConfig, TlsFilesInvalid> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(read_authorities(&files.client_authorities)?);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().map_err(
            |source| TlsFilesInvalid::Verifier { path: files.client_authorities.clone(), source },
        )?;
    let chain = read_certificates(&files.certificate)?;
    let key = read_key(&files.key)?;
    let mismatch = |source| TlsFilesInvalid::KeyMismatch {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let mut config = server_builder(provider)
        .map_err(mismatch)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Makes the TLS configuration of a listener whose clients have no certificates. Reads files and
/// blocks.
pub(super) fn public_server_config(
    certificate: &Path,
    key: &Path,
) -> Result<ServerConfig, TlsFilesInvalid> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mismatch = |source| TlsFilesInvalid::KeyMismatch {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    };
    let (chain, read_key) = (read_certificates(certificate)?, read_key(key)?);
    let builder = server_builder(provider).map_err(mismatch)?.with_no_client_auth();
    builder.with_single_cert(chain, read_key).map_err(mismatch)
}

/// What is wrong with the authorities, the certificate and the key, each if it is. Reads files and blocks.
#[must_use]
pub fn invalid_files(files: &TlsFiles) -> [Option<TlsFilesInvalid>; 3] {
    let authorities = invalid_authorities(&files.client_authorities);
    let [certificate, key] = invalid_pair(&files.certificate, &files.key);
    [authorities, certificate, key]
}

/// What is wrong with a file of authorities, if anything is. Reads it and blocks.
#[must_use]
pub fn invalid_authorities(path: &Path) -> Option<TlsFilesInvalid> {
    read_authorities(path).err()
}

/// What is wrong with a certificate and its key, each if it is. Reads files and blocks.
#[must_use]
pub fn invalid_pair(certificate: &Path, key: &Path) -> [Option<TlsFilesInvalid>; 2] {
    let found = [read_certificates(certificate).err(), read_key(key).err()];
    if found.iter().any(Option::is_some) {
        return found;
    }
    [None, public_server_config(certificate, key).err()]
}

fn server_builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

/// Reads the authorities in a PEM file.
pub(super) fn read_authorities(path: &Path) -> Result<RootCertStore, TlsFilesInvalid> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|source| TlsFilesInvalid::AuthorityInvalid {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(roots)
}

/// Reads the certificates in a PEM file, at least one.
pub(super) fn read_certificates(
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsFilesInvalid> {
    let unreadable = |source| TlsFilesInvalid::Unreadable {
        path: path.to_owned(),
        expected: "certificates",
        source,
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(TlsFilesInvalid::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

/// When the first certificate in a PEM file runs out; `None` when it can't be read. Blocks.
#[must_use]
pub fn end_of_certificate(path: &Path) -> Option<Timestamp> {
    let certificates = read_certificates(path).ok()?;
    let (_, certificate) = X509Certificate::from_der(certificates.first()?).ok()?;
    let end_s = certificate.validity().not_after.timestamp();
    Some(Timestamp::from_unix_us(end_s.saturating_mul(1_000_000)))
}

/// Reads the private key in a PEM file.
pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFilesInvalid> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsFilesInvalid::Unreadable {
        path: path.to_owned(),
        expected: "a private key",
        source,
    })
}
