//! Connections by TCP and TLS, with the authorities of this machine.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ReachError;

/// Time to open a connection, and for each further step of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A connection, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Opens connections.
pub(super) struct Connector {
    config: ClientConfig,
}

impl Connector {
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, ReachError> {
        let unusable = |error: rustls::Error| ReachError::Tls(error.to_string());
        let provider = Arc::new(ring::default_provider());
        let verifier = match authorities {
            Some(path) => Verifier::new_with_extra_roots(read(path)?, provider.clone()),
            None => Verifier::new(provider.clone()),
        };
        let verifier = verifier.map_err(unusable)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self { config })
    }

    /// The configuration of TLS that offers these protocols, the preferred one first.
    pub(super) fn config(&self, protocols: &[&[u8]]) -> ClientConfig {
        let mut config = self.config.clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }

    /// Begins TLS on a connection to the host of this name.
    pub(super) async fn secure(
        &self,
        stream: TcpStream,
        host: &str,
        protocols: &[&[u8]],
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let connector = TlsConnector::from(Arc::new(self.config(protocols)));
        in_time(connector.connect(name, stream)).await
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, ReachError> {
    let unreadable = |error: rustls_pki_types::pem::Error| {
        ReachError::Authorities(format!("{}: {error}", path.display()))
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        let nothing = format!("{}: no certificate in it", path.display());
        return Err(ReachError::Authorities(nothing));
    }
    Ok(certificates)
}

/// Opens a connection by TCP.
pub(super) async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    in_time(TcpStream::connect(to)).await
}

/// Gives up after [`PATIENCE`].
pub(super) async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(late()))
}

/// Why a connection failed, in words.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => format!("no answer within {} s", PATIENCE.as_secs()),
        io::ErrorKind::ConnectionRefused => "nothing listens there (refused)".to_owned(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "there is no route to it from this machine".to_owned()
        }
        io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether the error says that this machine has no network of that kind.
pub(super) fn is_unroutable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::Unsupported
    )
}

/// Why TLS failed and what to do about it.
pub(super) fn tls_words(error: &io::Error) -> (String, &'static str) {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(wrong)) = inner else {
        let advice = "Check that this port speaks TLS, and that no proxy or filter is in between.";
        return (words(error), advice);
    };
    match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "the certificate has expired, or the clock here is wrong".to_owned(),
            "Renew the certificate on the server; check the clock of this machine.",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "the certificate is not valid yet, or the clock here is wrong".to_owned(),
            "Check the clocks of this machine and of the server.",
        ),
        CertificateError::NotValidForName => (
            "the certificate is for another name".to_owned(),
            "Get a certificate for this name, or use the name that it has.",
        ),
        CertificateError::NotValidForNameContext { presented, .. } => (
            format!("the certificate is for another name: {}", presented.join(", ")),
            "Get a certificate for this name, or use the name that it has.",
        ),
        CertificateError::UnknownIssuer => (
            "no authority that this machine trusts has signed the certificate".to_owned(),
            "Serve the whole chain. Of an authority of your own, give the certificate with --ca; \
             participants need it in their browsers.",
        ),
        CertificateError::Revoked => {
            ("the certificate was revoked".to_owned(), "Get a new certificate.")
        }
        other => (
            format!("the certificate can't be used: {other}"),
            "Get a certificate that browsers take.",
        ),
    }
}
