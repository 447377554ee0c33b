//! Makes the certificates for `--dev` and `cabildo certs`: an authority whose key is dropped after
//! signing, a server certificate for this machine and a client certificate for the governance
//! service.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;

use crate::auth::client_cert::{
    ServiceIdentity, TlsFiles, identities_of, read_authorities, read_certificates, read_key,
};
use crate::domain::time::Timestamp;

/// The name of the governance service in its certificate.
pub const GOVERNANCE_IDENTITY: &str = "spiffe://cabildo.dev/governance";
/// How long all certificates are valid.
const LIFETIME: Duration = Duration::from_hours(365 * 24);
/// Certificates that expire sooner than this are replaced.
const REMAINING_MIN: Duration = Duration::from_hours(7 * 24);
/// How far in the past certificates begin to be valid, for clocks that are slow.
const BACKDATED: Duration = Duration::from_hours(1);

/// Why the certificates cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum DevCertificatesError {
    /// A file or directory cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// `now` is outside the dates that certificates can contain.
    #[error("the clock is outside of the dates of certificates")]
    DateOutOfRange,
}

/// The paths of the certificates and keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevCertificates {
    /// The authority that signed the other two certificates.
    pub authority: PathBuf,
    /// The governance service's certificate.
    pub governance: PathBuf,
    /// The governance service's key.
    pub governance_key: PathBuf,
    /// The server's certificate.
    pub server: PathBuf,
    /// The server's key.
    pub server_key: PathBuf,
}

impl DevCertificates {
    fn within(directory: &Path) -> Self {
        Self {
            authority: directory.join("ca.pem"),
            governance: directory.join("governance.pem"),
            governance_key: directory.join("governance.key"),
            server: directory.join("server.pem"),
            server_key: directory.join("server.key"),
        }
    }

    /// The files in the form that the internal listener uses.
    #[must_use]
    pub fn tls_files(&self) -> TlsFiles {
        TlsFiles {
            client_authorities: self.authority.clone(),
            certificate: self.server.clone(),
            key: self.server_key.clone(),
        }
    }
}

/// Makes sure that `directory` contains certificates that match and stay valid for another week.
/// Otherwise replaces all of them, since the authority's key is not kept. Blocks on files.
pub fn ensure(directory: &Path, now: Timestamp) -> Result<DevCertificates, DevCertificatesError> {
    let files = DevCertificates::within(directory);
    if !are_usable(&files, now) {
        write_all(&files, directory, now)?;
    }
    Ok(files)
}

/// Whether the files would still be accepted by TLS in a week.
fn are_usable(files: &DevCertificates, now: Timestamp) -> bool {
    let provider = Arc::new(ring::default_provider());
    let Ok(in_a_week_s) = u64::try_from(now.after(REMAINING_MIN).unix_s()) else { return false };
    let in_a_week = UnixTime::since_unix_epoch(Duration::from_secs(in_a_week_s));
    let Ok(roots) = read_authorities(&files.authority).map(Arc::new) else { return false };
    let Some(server) = matching(&files.server, &files.server_key) else { return false };
    let Some(governance) = matching(&files.governance, &files.governance_key) else {
        return false;
    };
    let Ok(servers) =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
    else {
        return false;
    };
    let Ok(clients) = WebPkiClientVerifier::builder_with_provider(roots, provider).build() else {
        return false;
    };
    let names = [
        ServerName::try_from("localhost").ok(),
        Some(IpAddr::V4(Ipv4Addr::LOCALHOST).into()),
        Some(IpAddr::V6(Ipv6Addr::LOCALHOST).into()),
    ];
    let is_named = names.iter().all(|name| {
        name.as_ref().is_some_and(|name| {
            servers.verify_server_cert(&server, &[], name, &[], in_a_week).is_ok()
        })
    });
    is_named
        && clients.verify_client_cert(&governance, &[], in_a_week).is_ok()
        && identities_of(&[governance]).contains(&ServiceIdentity::Uri(GOVERNANCE_IDENTITY.into()))
}

/// The certificate, if the key belongs to it.
fn matching(certificate: &Path, key: &Path) -> Option<CertificateDer<'static>> {
    let chain = read_certificates(certificate).ok()?;
    let first = chain.first()?.clone();
    let key = read_key(key).ok()?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).ok().map(|_| first)
}

fn write_all(
    files: &DevCertificates,
    directory: &Path,
    now: Timestamp,
) -> Result<(), DevCertificatesError> {
    let file_error =
        |path: &Path, source| DevCertificatesError::File { path: path.to_owned(), source };
    fs::create_dir_all(directory).map_err(|source| file_error(directory, source))?;

    let mut params = parameters("cabildo development authority", now)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let authority = params.self_signed(&authority_key)?;
    let issuer = Issuer::new(params, authority_key);

    let mut params = parameters("cabildo development server", now)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = vec![
        SanType::DnsName(Ia5String::try_from("localhost")?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    let server = signed(params, &issuer)?;

    let mut params = parameters("governance", now)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(GOVERNANCE_IDENTITY)?)];
    let governance = signed(params, &issuer)?;

    for (path, text, mode) in [
        (&files.server_key, &server.key, 0o600),
        (&files.governance_key, &governance.key, 0o600),
        (&files.server, &server.certificate, 0o644),
        (&files.governance, &governance.certificate, 0o644),
        (&files.authority, &authority.pem(), 0o644),
    ] {
        replace(path, text, mode).map_err(|source| file_error(path, source))?;
    }
    Ok(())
}

struct Signed {
    certificate: String,
    key: String,
}

fn signed(
    mut params: CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<Signed, rcgen::Error> {
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?.pem();
    Ok(Signed { certificate, key: key.serialize_pem() })
}

fn parameters(name: &str, now: Timestamp) -> Result<CertificateParams, DevCertificatesError> {
    let date = |moment: Timestamp| {
        OffsetDateTime::from_unix_timestamp(moment.unix_s())
            .map_err(|_| DevCertificatesError::DateOutOfRange)
    };
    let mut params = CertificateParams::default();
    params.not_before = date(now.before(BACKDATED))?;
    params.not_after = date(now.after(LIFETIME))?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// Writes a temporary file and renames it, so that no reader sees an incomplete file and a key is
/// never readable by others.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    // A process that was killed while writing may have left the file; in a container the next
    // process has the same id.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let replaced = written.and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        fs::remove_file(&beside)?;
    }
    replaced
}
