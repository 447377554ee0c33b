//! Services with certificates, and what `--dev` makes by itself.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use cabildo::auth::client_cert::{
    ServiceAllowList, ServiceIdentity, TlsFilesInvalid, identities_of, internal_server_config,
};
use cabildo::auth::dev_certificates::{self, DevCertificates, GOVERNANCE_IDENTITY};
use cabildo::auth::dev_issuer::{DevIssuer, DevIssuerError, TokenRequest};
use cabildo::auth::served_tls::{Refreshed, ServedTls};
use cabildo::auth::{AuthError, Authenticator, InMemoryReplayCache};
use cabildo::domain::id::{SessionId, TenantId};
use cabildo::domain::participant::ServiceName;
use cabildo::domain::role::{Role, Roles};
use cabildo::domain::time::Timestamp;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::auth::fixture::{at, options};

const DAY_S: i64 = 86_400;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn contents(files: &DevCertificates) -> Vec<Vec<u8>> {
    [&files.authority, &files.server, &files.server_key, &files.governance, &files.governance_key]
        .map(|path| fs::read(path).expect("there"))
        .to_vec()
}

/// The clock, as TLS reads it by itself.
fn clock() -> Timestamp {
    let since_1970 = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    Timestamp::from_unix_us(i64::try_from(since_1970.as_micros()).expect("before 292277"))
}

#[test]
fn certificates_are_kept_while_they_are_good_for_a_week() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().join("certs");
    let files = dev_certificates::ensure(&directory, at(0)).expect("written");
    let first = contents(&files);
    assert_eq!(fs::read_dir(&directory).expect("there").count(), 5, "nothing else is left");
    for name in ["ca.pem", "governance.pem", "governance.key", "server.pem", "server.key"] {
        let is_key = Path::new(name).extension().is_some_and(|extension| extension == "key");
        assert_eq!(mode(&directory.join(name)), if is_key { 0o600 } else { 0o644 }, "{name}");
    }
    dev_certificates::ensure(&directory, at(357 * DAY_S)).expect("kept");
    assert_eq!(contents(&files), first);
    dev_certificates::ensure(&directory, at(359 * DAY_S)).expect("replaced");
    let second = contents(&files);
    assert!(first.iter().zip(&second).all(|(old, new)| old != new));
}

#[test]
fn certificates_that_do_not_match_are_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let other = tempfile::tempdir().expect("a directory");
    let files = dev_certificates::ensure(directory.path(), at(0)).expect("written");
    let others = dev_certificates::ensure(other.path(), at(0)).expect("written");
    for (own, foreign) in [
        (&files.authority, &others.authority),
        (&files.server_key, &others.server_key),
        (&files.governance, &others.governance),
        (&files.governance_key, &files.server_key),
        (&files.governance, &files.server),
    ] {
        fs::copy(foreign, own).expect("copied");
        let broken = contents(&files);
        dev_certificates::ensure(directory.path(), at(0)).expect("replaced");
        assert_ne!(contents(&files), broken, "{}", own.display());
    }
    fs::write(&files.server, "not PEM").expect("written");
    dev_certificates::ensure(directory.path(), at(0)).expect("replaced");
    fs::remove_file(&files.governance_key).expect("removed");
    dev_certificates::ensure(directory.path(), at(0)).expect("replaced");
    assert!(internal_server_config(&files.tls_files()).is_ok());
}

/// Connects to `server` as whoever holds `identity`, and reads what it says.
async fn visit(
    port: u16,
    files: &DevCertificates,
    identity: Option<(&Path, &Path)>,
) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(&files.authority).expect("PEM") {
        roots.add(authority.expect("a certificate")).expect("an authority");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(certificate).expect("PEM")],
                PrivateKeyDer::from_pem_file(key).expect("PEM"),
            )
            .expect("a pair"),
    };
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    stream.write_all(b"?").await?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await?;
    Ok(said)
}

/// Serves one connection; the names of the client's certificate if it was let in.
async fn answer(
    listener: &TcpListener,
    config: Arc<ServerConfig>,
) -> Option<BTreeSet<ServiceIdentity>> {
    let (socket, _) = listener.accept().await.expect("accepts");
    let mut stream = TlsAcceptor::from(config).accept(socket).await.ok()?;
    let names = identities_of(stream.get_ref().1.peer_certificates().expect("verified"));
    let mut question = [0];
    stream.read_exact(&mut question).await.expect("asked");
    stream.write_all(b"welcome").await.expect("answered");
    stream.shutdown().await.expect("closed");
    Some(names)
}

#[tokio::test]
async fn new_certificates_are_used_without_a_restart() {
    let [before, after, used] = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
    let before = dev_certificates::ensure(before.path(), clock()).expect("written");
    let after = dev_certificates::ensure(after.path(), clock()).expect("written");
    let files = dev_certificates::ensure(used.path(), clock()).expect("written").tls_files();
    let install = |from: &Path, to: &Path| {
        fs::copy(from, to).expect("copied");
    };
    install(&before.authority, &files.client_authorities);
    install(&before.server, &files.certificate);
    install(&before.server_key, &files.key);
    let tls = ServedTls::read(files.clone()).expect("usable");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    let holder = |set: &DevCertificates| (set.governance.clone(), set.governance_key.clone());
    let let_in = async |set: &DevCertificates| {
        let (certificate, key) = holder(set);
        let visit = visit(port, set, Some((&certificate, &key)));
        let (said, names) = tokio::join!(visit, answer(&listener, tls.current()));
        said.is_ok_and(|said| said == "welcome") && names.is_some()
    };
    assert_eq!(tls.refresh(), Refreshed::Unchanged);
    assert_eq!((let_in(&before).await, let_in(&after).await), (true, false));
    // The certificate is replaced before its key, as files are.
    install(&after.server, &files.certificate);
    assert_eq!(tls.refresh(), Refreshed::Rejected);
    assert_eq!(tls.refresh(), Refreshed::Unchanged, "reported once");
    assert_eq!((let_in(&before).await, let_in(&after).await), (true, false));
    install(&after.server_key, &files.key);
    install(&after.authority, &files.client_authorities);
    assert_eq!(tls.refresh(), Refreshed::Renewed);
    assert_eq!((let_in(&before).await, let_in(&after).await), (false, true));
    fs::remove_file(&files.key).expect("removed");
    assert_eq!(tls.refresh(), Refreshed::Rejected);
    assert!(let_in(&after).await, "the certificates in use stay in use");
}

#[tokio::test]
async fn only_certificates_of_the_authority_pass_the_internal_listener() {
    let directory = tempfile::tempdir().expect("a directory");
    let other = tempfile::tempdir().expect("a directory");
    let now = clock();
    let files = dev_certificates::ensure(directory.path(), now).expect("written");
    let strangers = dev_certificates::ensure(other.path(), now).expect("written");
    let config = Arc::new(internal_server_config(&files.tls_files()).expect("a configuration"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    let server = tokio::spawn(async move {
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(answer(&listener, Arc::clone(&config)).await);
        }
        seen
    });
    let governance = (&*files.governance, &*files.governance_key);
    let stranger = (&*strangers.governance, &*strangers.governance_key);
    let not_a_client = (&*files.server, &*files.server_key);
    assert_eq!(visit(port, &files, Some(governance)).await.expect("let in"), "welcome");
    assert!(visit(port, &files, None).await.is_err(), "nobody");
    assert!(visit(port, &files, Some(stranger)).await.is_err(), "another authority's");
    assert!(visit(port, &files, Some(not_a_client)).await.is_err(), "a server's");
    let governance = ServiceIdentity::Uri(GOVERNANCE_IDENTITY.into());
    let expected = Some(BTreeSet::from([governance]));
    assert_eq!(server.await.expect("ran"), [expected, None, None, None]);
}

#[test]
fn a_service_may_call_what_it_is_listed_for() {
    let identity = |text| ServiceIdentity::parse(text).expect("an identity");
    let mut list = ServiceAllowList::new();
    list.allow("create_session", identity(GOVERNANCE_IDENTITY));
    list.allow("create_session", identity("Governance.internal"));
    let holder = |texts: &[&'static str]| -> BTreeSet<_> {
        texts.iter().map(|text| identity(text)).collect()
    };
    let governance = Ok(ServiceName(GOVERNANCE_IDENTITY.into()));
    assert_eq!(list.authorise("create_session", &holder(&[GOVERNANCE_IDENTITY])), governance);
    let by_dns = list.authorise("create_session", &holder(&["billing", "GOVERNANCE.internal"]));
    assert_eq!(by_dns, Ok(ServiceName("governance.internal".into())));
    for (route, names) in [
        ("end_session", &[GOVERNANCE_IDENTITY][..]),
        ("create_session", &["billing.internal"]),
        ("create_session", &["spiffe://cabildo.dev/governance/"]),
        ("create_session", &["spiffe://cabildo.dev/Governance"]),
        ("create_session", &["spiffe://cabildo.dev"]),
        ("", &[GOVERNANCE_IDENTITY]),
    ] {
        let outcome = list.authorise(route, &holder(names));
        assert_eq!(outcome, Err(AuthError::Forbidden), "{route} {names:?}");
    }
    let nobody = list.authorise("create_session", &BTreeSet::new());
    assert_eq!(nobody, Err(AuthError::ClientCertificateRequired));
}

#[test]
fn wildcards_and_nonsense_are_no_identity() {
    for text in ["", "*.internal", "a b", "ü.internal", "spiffe://a b", &"x".repeat(254)] {
        assert_eq!(ServiceIdentity::parse(text), None, "{text}");
    }
    assert!(identities_of(&[]).is_empty());
    assert!(identities_of(&[CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x01])]).is_empty());
}

#[test]
fn tls_errors_name_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = dev_certificates::ensure(directory.path(), at(0)).expect("written");
    let right = files.tls_files();
    let with_ca = |path: &Path| {
        let mut wrong = right.clone();
        wrong.client_authorities = path.to_owned();
        internal_server_config(&wrong).expect_err("refused")
    };
    let missing = with_ca(&directory.path().join("missing.pem"));
    assert!(missing.to_string().contains("missing.pem"), "{missing}");
    let key_only = with_ca(&files.server_key);
    assert!(matches!(key_only, TlsFilesInvalid::NoCertificate { .. }), "{key_only}");
    let mut wrong = right.clone();
    wrong.key = files.governance_key.clone();
    let mismatch = internal_server_config(&wrong).expect_err("refused").to_string();
    assert!(mismatch.contains("governance.key") && mismatch.contains("server.pem"), "{mismatch}");
    wrong.key = files.server.clone();
    let no_key = internal_server_config(&wrong).expect_err("refused").to_string();
    assert!(no_key.contains("server.pem"), "{no_key}");
}

fn request() -> TokenRequest {
    TokenRequest {
        tenant_id: TenantId::generate(),
        user_id: "maria".parse().expect("a user id"),
        name: Some("María Gómez".into()),
        roles: Roles::of(&[Role::Moderator, Role::Participant]),
        session_id: Some(SessionId::generate()),
        jkt: None,
    }
}

fn open(directory: &Path) -> Result<DevIssuer, DevIssuerError> {
    DevIssuer::open(directory, "https://identity.example", "cabildo")
}

#[tokio::test]
async fn tokens_of_the_built_in_issuer_pass_the_same_verifier() {
    let directory = tempfile::tempdir().expect("a directory");
    let issuer = Arc::new(open(directory.path()).expect("opens"));
    let request = request();
    let answer = issuer.issue(&request, at(0)).expect("issued");
    let replay = Arc::new(InMemoryReplayCache::default());
    let authenticator = Authenticator::new(options(), issuer, replay);
    let authorization = format!("Bearer {}", answer.access_token);
    let principal = authenticator.bearer(Some(&authorization), at(0)).await.expect("valid");
    assert_eq!(principal.tenant_id, request.tenant_id);
    assert_eq!(principal.session_id, request.session_id);
    assert_eq!(principal.roles, request.roles);
    assert_eq!(principal.name, "María Gómez");
    assert_eq!(principal.expires_at, at(i64::from(answer.expires_in_s)));
    let late = at(i64::from(answer.expires_in_s) + 31);
    let outcome = authenticator.bearer(Some(&authorization), late).await;
    assert_eq!(outcome, Err(AuthError::TokenExpired));
}

#[test]
fn the_built_in_issuer_keeps_its_key_to_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = open(directory.path()).expect("opens");
    let file = directory.path().join("dev-issuer.key");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(open(directory.path()).expect("opens").jwks(), first.jwks());
    assert!(first.jwks()["keys"][0].get("d").is_none(), "the private half is published");
    assert!(!format!("{first:?}").contains("PRIVATE"));
    let mut nonsense = request();
    nonsense.jkt = Some("short".into());
    let outcome = first.issue(&nonsense, at(0));
    assert!(matches!(outcome, Err(DevIssuerError::ThumbprintInvalid)));
    fs::write(&file, "not a key").expect("written");
    let error = open(directory.path()).expect_err("refused");
    assert!(error.to_string().contains("dev-issuer.key"), "{error}");
}
