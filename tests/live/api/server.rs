//! A whole server on loopback, with a database of its own and certificates of
//! an authority made for the test.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use cabildo::app::{App, AppOptions, store_options};
use cabildo::clock::{BootClock, Clock, SteadyClock};
use cabildo::config::{Config, Profile, Source};
use cabildo::domain::id::TenantId;
use cabildo::domain::time::Timestamp;
use cabildo::store::{Store, StoreOptions};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use reqwest::{Certificate, Client, Identity, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

/// A running server and its callers.
pub(crate) struct Server {
    pub(crate) app: App,
    /// Origin of the public listener.
    pub(crate) http: String,
    /// Origin of the internal listener.
    pub(crate) internal: String,
    /// Nobody in particular.
    pub(crate) anybody: Client,
    /// The governance service.
    pub(crate) governance: Client,
    /// A service that may call nothing.
    pub(crate) stranger: Client,
    /// Trusts the server, shows no certificate.
    pub(crate) bare: Client,
    pub(crate) tenant: TenantId,
    /// How much more time has passed for the server than for the machine, microseconds.
    pub(crate) ahead_us: Arc<AtomicI64>,
    /// By how much the server's wall clock was set forward, microseconds.
    pub(crate) set_us: Arc<AtomicI64>,
    store: StoreOptions,
    data: tempfile::TempDir,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    /// What the text was made of, for answers that are none.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.expect("a body").to_vec();
        Self { status, headers, text: String::from_utf8_lossy(&bytes).into_owned(), bytes }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The stable code of a refusal, or nothing.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.expect("an answer")).await
}

pub(crate) fn provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another test of this process may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

fn leaf(
    issuer: &Issuer<'_, KeyPair>,
    names: Vec<SanType>,
    usage: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.extended_key_usages = vec![usage];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

fn uri(text: &str) -> Vec<SanType> {
    vec![SanType::URI(Ia5String::try_from(text).expect("ascii"))]
}

fn client(authority: &str, identity: Option<(String, String)>) -> Client {
    let authority = Certificate::from_pem(authority.as_bytes()).expect("a certificate");
    let mut builder = Client::builder().tls_certs_only([authority]);
    if let Some((certificate, key)) = identity {
        let pem = format!("{certificate}{key}");
        builder = builder.identity(Identity::from_pem(pem.as_bytes()).expect("an identity"));
    }
    builder.build().expect("a client")
}

/// Certificates in `directory` for the server; the authority, the governance
/// service's and the stranger's as PEM.
fn certificates(directory: &Path) -> (String, [(String, String); 2]) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    let localhost = vec![SanType::DnsName(Ia5String::try_from("localhost").expect("ascii"))];
    let (server, server_key) = leaf(&issuer, localhost, ExtendedKeyUsagePurpose::ServerAuth);
    for (name, text) in
        [("test-ca.pem", &authority), ("test.pem", &server), ("test.key", &server_key)]
    {
        std::fs::write(directory.join(name), text).expect("written");
    }
    let service = |name| leaf(&issuer, uri(name), ExtendedKeyUsagePurpose::ClientAuth);
    let services =
        [service("spiffe://cabildo.dev/governance"), service("spiffe://cabildo.dev/billing")];
    (authority, services)
}

thread_local! {
    /// How much time had passed for the wall clock that this thread read last.
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The clock of a server for which more time has passed and whose wall clock was set.
fn clock(ahead_us: Arc<AtomicI64>, set_us: Arc<AtomicI64>) -> SteadyClock {
    let (machine, boot) = (Clock::system(), BootClock::system());
    let wall = Clock::from_fn(move || {
        let ahead = Duration::from_micros(ahead_us.load(Ordering::SeqCst).unsigned_abs());
        PASSED.set(ahead);
        let shown = machine.now().after(ahead).unix_us();
        Timestamp::from_unix_us(shown + set_us.load(Ordering::SeqCst))
    });
    // Read right after the wall clock, by the same thread: the same time has passed for both.
    SteadyClock::new(wall, BootClock::from_fn(move || boot.now() + PASSED.get()))
}

/// The data of a server that was stopped.
pub(crate) struct Stopped {
    data: tempfile::TempDir,
    tenant: TenantId,
    ahead_us: Arc<AtomicI64>,
    /// As [`Server::set_us`].
    pub(crate) set_us: Arc<AtomicI64>,
}

impl Stopped {
    /// A process that takes over the data.
    pub(crate) async fn start_with(self, keys: &[(&str, &str)]) -> Server {
        Box::pin(Server::launch(keys, self.data, self.tenant, (self.ahead_us, self.set_us))).await
    }

    /// Why a process that should take over the data does not start.
    pub(crate) async fn refusal(&self, keys: &[(&str, &str)]) -> String {
        let (options, ..) = options(keys, self.data.path(), SteadyClock::system());
        let refused = Box::pin(App::start(options)).await.err().expect("it does not start");
        format!("{refused:#}")
    }

    /// Where everything is kept.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.data.path().join(name)
    }
}

/// With what a server is started, the authority of its certificates, and those of the services.
fn options(
    keys: &[(&str, &str)],
    data: &Path,
    clock: SteadyClock,
) -> (AppOptions, String, [(String, String); 2]) {
    provider();
    let (authority, services) = certificates(data);
    let mut source = Source::default();
    let path = |name: &str| data.join(name).display().to_string();
    for (key, value) in [
        ("http.bind", "127.0.0.1:0".to_owned()),
        ("internal.bind", "127.0.0.1:0".to_owned()),
        ("media.bind", "127.0.0.1:0".to_owned()),
        ("media.workers", "1".to_owned()),
        ("internal.ca", path("test-ca.pem")),
        ("internal.cert", path("test.pem")),
        ("internal.key", path("test.key")),
        ("limits.shutdown_grace_s", "1".to_owned()),
    ] {
        source.set(key, value);
    }
    for (key, value) in keys {
        source.set(key, (*value).to_owned());
    }
    let profile = Profile::Dev { data_dir: data.to_owned() };
    let config = Config::read(source, &profile).expect("a configuration");
    let dev_data_dir = Some(data.to_owned());
    (AppOptions { config, dev_data_dir, clock }, authority, services)
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server whose configuration has these keys beside development's.
    pub(crate) async fn start_with(keys: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        // Boxed because the future of a starting server is large.
        Box::pin(Self::launch(keys, data, TenantId::generate(), Default::default())).await
    }

    /// Stops, and another process takes over the same data.
    pub(crate) async fn restart(self) -> Self {
        Box::pin(self.restart_with(&[])).await
    }

    /// As [`Self::restart`], with these keys in its configuration.
    pub(crate) async fn restart_with(self, keys: &[(&str, &str)]) -> Self {
        let Self { app, data, tenant, ahead_us, set_us, .. } = self;
        app.stop().await;
        Box::pin(Self::launch(keys, data, tenant, (ahead_us, set_us))).await
    }

    /// As [`Self::restart`], at the same addresses, and it is away until `pause` is over.
    pub(crate) async fn restart_after(self, pause: impl Future<Output = ()>) -> Self {
        let Self { app, data, tenant, ahead_us, set_us, .. } = self;
        let addresses = app.addresses();
        let (http, media) = (addresses.http, addresses.media);
        app.stop().await;
        {
            // Sockets that answer nobody, so that nobody else is given the ports meanwhile.
            let _held = [(http, Type::STREAM), (media, Type::DGRAM)].map(|(address, kind)| {
                let socket = Socket::new(Domain::IPV4, kind, None).expect("a socket");
                socket.set_reuse_address(kind == Type::STREAM).expect("an option");
                socket.set_reuse_port(kind == Type::DGRAM).expect("an option");
                socket.bind(&address.into()).expect("the port that the server had");
                socket
            });
            pause.await;
        }
        let (http, media) = (http.to_string(), media.to_string());
        let keys = [("http.bind", http.as_str()), ("media.bind", media.as_str())];
        Box::pin(Self::launch(&keys, data, tenant, (ahead_us, set_us))).await
    }

    /// Stops, and leaves its data.
    pub(crate) async fn stop(self) -> Stopped {
        let Self { app, data, tenant, ahead_us, set_us, .. } = self;
        app.stop().await;
        Stopped { data, tenant, ahead_us, set_us }
    }

    /// Its database, reached beside it.
    pub(crate) async fn store(&self) -> Store {
        Store::connect(&self.store).await.expect("a database")
    }

    async fn launch(
        keys: &[(&str, &str)],
        data: tempfile::TempDir,
        tenant: TenantId,
        (ahead_us, set_us): (Arc<AtomicI64>, Arc<AtomicI64>),
    ) -> Self {
        let clock = clock(ahead_us.clone(), set_us.clone());
        let (options, authority, [governance, stranger]) = options(keys, data.path(), clock);
        let store = store_options(&options.config);
        let app = App::start(options).await.expect("a server");
        let addresses = app.addresses();
        Self {
            http: format!("http://127.0.0.1:{}", addresses.http.port()),
            internal: format!("https://localhost:{}", addresses.internal.port()),
            anybody: Client::new(),
            governance: client(&authority, Some(governance)),
            stranger: client(&authority, Some(stranger)),
            bare: client(&authority, None),
            tenant,
            ahead_us,
            set_us,
            app,
            store,
            data,
        }
    }

    /// Where it keeps everything.
    pub(crate) fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// A request of nobody in particular.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anybody.request(method, format!("{}{path}", self.http))
    }

    /// A request of the governance service.
    pub(crate) fn govern(&self, method: Method, path: &str) -> RequestBuilder {
        self.governance.request(method, format!("{}{path}", self.internal))
    }

    /// The least that creates a session.
    pub(crate) fn new_session(&self) -> Value {
        json!({
            "tenant_id": self.tenant.to_string(),
            "assembly_id": "01890a5d-ac96-774b-bcce-b302099a8057",
            "title": "Ordinary general assembly",
            "modality": "mixed",
        })
    }

    /// Creates a session and starts it; its id.
    pub(crate) async fn create_active(&self) -> String {
        let session = self.create().await;
        self.step(&session, "start").await;
        session
    }

    /// Starts, ends or cancels a session as the governance service.
    pub(crate) async fn step(&self, session: &str, step: &str) {
        let path = format!("/api/v1/sessions/{session}/{step}");
        let answer = send(self.govern(Method::POST, &path)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Creates a session; its id.
    pub(crate) async fn create(&self) -> String {
        let request = self.govern(Method::POST, "/api/v1/sessions").json(&self.new_session());
        let answer = send(request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().expect("an id").to_owned()
    }
}
