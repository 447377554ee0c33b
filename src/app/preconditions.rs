//! What of the configuration this machine doesn't fulfil, found before anything is started: files and
//! directories that can't be used, addresses that are the same, and values that only their users understand.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags};

use super::cameras::kept_secret;
use super::delivery::webhook;
use super::identity::{key_source, service_identity};
use super::meetings::{google_meet, zoom};
use super::recording::on_path;
use crate::auth::client_cert::{TlsFiles, invalid_authorities, invalid_files, invalid_pair};
use crate::clock::Clock;
use crate::config::{Config, Problem, ServiceTlsConfig, VaultConfig};
use crate::evidence::{EvidenceKeys, OperatorKey};
use crate::store::StoreOptions;

use super::base::store_options;

/// Everything that is found. `dev_data_dir` is the directory in which development makes what is missing.
pub(crate) fn unfulfilled(config: &Config, dev_data_dir: Option<&Path>) -> Vec<Problem> {
    let mut found = Found::default();
    let is_made = |path: &Path| dev_data_dir.is_some_and(|data| path.starts_with(data));
    found.addresses(config);
    found.internal(config, &is_made);
    found.identity(config, dev_data_dir.is_some());
    found.services(config);
    found.outside(config);
    found.directories(config);
    found.database(&store_options(config), &is_made);
    found.keys(config);
    found.0
}

/// What of the database's files is found, for commands that use nothing else. `dev_data_dir` is as
/// in [`unfulfilled`].
pub(crate) fn unusable_database(config: &Config, dev_data_dir: Option<&Path>) -> Vec<Problem> {
    let mut found = Found::default();
    let is_made = |path: &Path| dev_data_dir.is_some_and(|data| path.starts_with(data));
    found.database(&store_options(config), &is_made);
    found.0
}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, key: impl Into<String>, message: &impl ToString) {
        self.0.push(Problem { key: key.into(), message: message.to_string() });
    }

    fn add_all<E: ToString, const N: usize>(&mut self, keys: [&str; N], problems: [Option<E>; N]) {
        for (key, problem) in keys.into_iter().zip(problems) {
            if let Some(problem) = problem {
                self.add(key, &problem);
            }
        }
    }

    /// Two listeners can't have one address.
    fn addresses(&mut self, config: &Config) {
        let (http, media) = (&config.http, &config.media);
        let turn = media.turn.as_ref().and_then(|turn| turn.tls.as_ref());
        let listeners = [
            ("http.bind", Some(http.bind)),
            ("internal.bind", Some(config.internal.bind)),
            ("http.metrics_bind", http.metrics_bind),
            ("media.bind", Some(media.bind).filter(|_| media.tcp)),
            ("media.turn.tls_bind", turn.map(|turn| turn.bind)),
            ("cameras.rtsp_bind", config.cameras.rtsp_bind),
        ];
        let listeners = listeners.map(|(key, address)| address.map(|address| (key, address)));
        let listeners: Vec<_> = listeners.into_iter().flatten().collect();
        for (place, (key, address)) in listeners.iter().enumerate() {
            for (other, before) in &listeners[..place] {
                if excludes(*address, *before) {
                    self.add(*key, &format!("{address} can't be used beside {other} {before}"));
                }
            }
        }
    }

    fn internal(&mut self, config: &Config, is_made: &dyn Fn(&Path) -> bool) {
        let internal = &config.internal;
        let files = TlsFiles {
            client_authorities: internal.ca.clone(),
            certificate: internal.cert.clone(),
            key: internal.key.clone(),
        };
        let will_be_made = |path: &PathBuf| is_made(path) && !path.exists();
        if ![&internal.ca, &internal.cert, &internal.key].into_iter().any(will_be_made) {
            self.add_all(["internal.ca", "internal.cert", "internal.key"], invalid_files(&files));
        }
        for (route, names) in &internal.allow {
            for name in names {
                if let Err(error) = service_identity(name) {
                    self.add(format!("internal.allow.{}", route.key()), &error);
                }
            }
        }
        let turn = config.media.turn.as_ref().and_then(|turn| turn.tls.as_ref());
        if let Some(turn) = turn {
            let keys = ["media.turn.tls_cert", "media.turn.tls_key"];
            self.add_all(keys, invalid_pair(&turn.cert, &turn.key));
        }
    }

    fn identity(&mut self, config: &Config, has_own_issuer: bool) {
        if !has_own_issuer && let Err(error) = key_source(config) {
            self.add("identity.jwks_url", &error);
        }
    }

    fn services(&mut self, config: &Config) {
        let services = &config.services;
        let named = [
            ("identity", &services.identity),
            ("governance", &services.governance),
            ("tenancy", &services.tenancy),
            ("user_profiles", &services.user_profiles),
        ];
        for (name, service) in named {
            let Some(tls) = service.as_ref().and_then(|service| service.tls.as_ref()) else {
                continue;
            };
            let ServiceTlsConfig { ca, cert, key } = tls.clone();
            let keys = ["ca", "cert", "key"].map(|member| format!("services.{name}.{member}"));
            let files = TlsFiles { client_authorities: ca, certificate: cert, key };
            self.add_all(keys.each_ref().map(String::as_str), invalid_files(&files));
        }
    }

    /// What is told to others and asked of them.
    fn outside(&mut self, config: &Config) {
        if let VaultConfig::S3(s3) = &config.recording.vault
            && let Some(ca) = &s3.ca
        {
            self.add_all(["vault.s3.ca"], [invalid_authorities(ca)]);
        }
        if let Some(kafka) = &config.kafka {
            let (cert, key) = kafka.identity.clone().unzip();
            let files = [("kafka.ca", &kafka.ca), ("kafka.cert", &cert), ("kafka.key", &key)];
            for (name, file) in files {
                if let Some(Err(error)) = file.as_ref().map(|file| read_a_byte(file)) {
                    self.add(name, &error);
                }
            }
        }
        for (name, hook) in &config.events.webhooks {
            if let Err(error) = webhook(Clock::system(), hook) {
                self.add(format!("events.webhooks.{name}"), &format!("{error:#}"));
            }
        }
        if let Some(account) = &config.providers.google_meet
            && let Err(error) = google_meet(Clock::system(), account)
        {
            self.add("providers.google_meet", &format!("{error:#}"));
        }
        if let Some(account) = &config.providers.zoom
            && let Err(error) = zoom(Clock::system(), account)
        {
            self.add("providers.zoom", &format!("{error:#}"));
        }
    }

    fn directories(&mut self, config: &Config) {
        let recording = &config.recording;
        let mut directories = vec![
            ("keys.directory", &recording.keys.directory),
            ("recorder.spool", &recording.recorder.spool),
        ];
        if let VaultConfig::Directory(vault) = &recording.vault {
            directories.push(("vault.directory", vault));
        }
        for (key, directory) in directories {
            if let Err(error) = try_directory(directory) {
                self.add(key, &format!("{} can't be written to: {error}", directory.display()));
            }
        }
        if let Some(ffmpeg) = &recording.recorder.ffmpeg {
            let is_name = ffmpeg.components().count() == 1;
            let is_there = ffmpeg.is_file()
                || is_name && ffmpeg.to_str().is_some_and(|name| on_path(name).is_some());
            if !is_there {
                self.add("recorder.ffmpeg", &format!("there is no program {}", ffmpeg.display()));
            }
        }
    }

    fn database(&mut self, options: &StoreOptions, is_made: &dyn Fn(&Path) -> bool) {
        const KEY: &str = "store.url";
        let Some(file) = options.file() else { return };
        // SQLite follows links, and keeps its log and the index of that beside the file itself.
        let file = fs::canonicalize(&file).unwrap_or(file);
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        if !directory.is_dir() && !is_made(directory) {
            self.add(KEY, &format!("{} is no directory", directory.display()));
            return;
        }
        for end in ["", "-wal", "-shm"] {
            let mut path = file.clone().into_os_string();
            path.push(end);
            let path = PathBuf::from(path);
            if let Err(error) = look_at_file(&path) {
                self.add(KEY, &format!("{} can't be written to: {error}", path.display()));
                return;
            }
        }
        if let Err(error) = try_directory(directory) {
            let directory = directory.display();
            let is = "in which the log of the database is kept, can't be written to";
            self.add(KEY, &format!("{directory}, {is}: {error}"));
        }
    }

    /// Keys that are there already.
    fn keys(&mut self, config: &Config) {
        const KEY: &str = "keys.directory";
        let directory = &config.recording.keys.directory;
        let (evidence, operator) = (directory.join("evidence"), directory.join("operator"));
        if EvidenceKeys::are_in(&evidence)
            && let Err(error) = EvidenceKeys::open(&evidence)
        {
            self.add(KEY, &error);
        }
        if names_in(&operator).iter().any(|name| name == OperatorKey::FILE)
            && let Err(error) = OperatorKey::open(&operator)
        {
            self.add(KEY, &error);
        }
        if config.cameras.playback_secret.is_none()
            && let Some(Err(error)) = kept_secret(directory)
        {
            self.add(KEY, &format!("{error:#}"));
        }
    }
}

/// Whether no socket can listen at one address while another listens at the other.
fn excludes(one: SocketAddr, other: SocketAddr) -> bool {
    let (here, there) = (one.ip(), other.ip());
    let is_one_family = here.is_ipv4() == there.is_ipv4();
    let overlaps = here == there || here.is_unspecified() || there.is_unspecified();
    one.port() != 0 && one.port() == other.port() && is_one_family && overlaps
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

fn read_a_byte(file: &Path) -> Result<(), String> {
    let read = File::open(file).and_then(|mut file| io::Read::read(&mut file, &mut [0]));
    match read {
        Ok(0) => Err(format!("{} is empty", file.display())),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{} can't be read: {error}", file.display())),
    }
}

/// Whether a file that is there can be read and written. It is not opened: closing it would end the
/// locks that this process has on a database.
fn look_at_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(found) if !found.is_file() => return Err(io::Error::other("it is no file")),
        found => found?,
    };
    let wanted = Access::READ_OK | Access::WRITE_OK;
    Ok(rustix::fs::accessat(rustix::fs::CWD, path, wanted, AtFlags::EACCESS)?)
}

/// Makes a file in a directory and leaves nothing behind. The part of the path that does not exist
/// is made under a name of its own, so that others who try or make the same directory at the same
/// time are not disturbed.
fn try_directory(directory: &Path) -> io::Result<()> {
    let is_missing = |path: &&Path| {
        let missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        !path.as_os_str().is_empty() && fs::symlink_metadata(path).is_err_and(missing)
    };
    let missing = directory.ancestors().take_while(is_missing).count();
    let existing = directory.ancestors().nth(missing).unwrap_or(Path::new(""));
    let draft = existing.join(format!(".draft-{:032x}", rand::random::<u128>()));
    let make_file = |file: &Path| {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map(drop)
    };
    if missing == 0 {
        return make_file(&draft).and_then(|()| fs::remove_file(&draft));
    }
    let made = draft.join(directory.strip_prefix(existing).unwrap_or(directory));
    let tried = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&made)
        .and_then(|()| make_file(&made.join("file")));
    match fs::remove_dir_all(&draft) {
        Err(error) if tried.is_ok() => Err(error),
        _ => tried,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::auth::dev_certificates;
    use crate::config::{Profile, Source};

    /// A directory in which a configuration for production has everything that it needs.
    struct Machine(TempDir);

    impl Machine {
        fn new() -> Self {
            // Another test of this process may have been first.
            drop(rustls::crypto::ring::default_provider().install_default());
            let machine = Self(tempfile::tempdir().expect("a directory"));
            dev_certificates::ensure(&machine.path("certs"), Clock::system().now()).expect("made");
            machine
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// What is told of the configuration with these keys, by key.
        fn told(&self, keys: &[(&str, &str)]) -> Vec<(String, String)> {
            let path = |name: &str| self.path(name).display().to_string();
            let mut source = Source::default();
            for (key, value) in [
                ("http.public_url", "https://cabildo.example".to_owned()),
                ("http.metrics_bind", "127.0.0.1:9464".to_owned()),
                ("identity.issuer", "https://login.example".to_owned()),
                ("identity.audience", "cabildo".to_owned()),
                ("identity.jwks_url", "https://login.example/jwks".to_owned()),
                ("internal.ca", path("certs/ca.pem")),
                ("internal.cert", path("certs/server.pem")),
                ("internal.key", path("certs/server.key")),
                ("internal.allow.create_session", "spiffe://x/governance".to_owned()),
                ("store.url", format!("sqlite:{}", path("cabildo.sqlite"))),
                ("keys.directory", path("new/keys")),
                ("recorder.spool", path("new/spool")),
                ("vault.directory", path("new/vault")),
            ] {
                source.set(key, value);
            }
            for (key, value) in keys {
                source.set(key, value.replace("{}", &self.0.path().display().to_string()));
            }
            let examine = |config: &Config| unfulfilled(config, None);
            let read = Config::read_and_examine(source, &Profile::Production, examine);
            let problems = read.err().map(|error| error.0).unwrap_or_default();
            problems.into_iter().map(|Problem { key, message }| (key, message)).collect()
        }

        /// That one key is told of, in these words.
        fn tells(&self, keys: &[(&str, &str)], key: &str, words: &str) {
            let told = self.told(keys);
            assert_eq!(told.len(), 1, "{keys:?}: {told:?}");
            assert!(told[0].0 == key && told[0].1.contains(words), "{keys:?}: {told:?}");
        }
    }

    #[test]
    fn several_processes_may_try_and_make_the_same_new_directory_at_once() {
        let machine = TempDir::new().expect("a directory");
        for round in 0..200 {
            let directory = machine.path().join(format!("{round}/new/keys"));
            let at_once = (0..6).map(|number| {
                let directory = directory.clone();
                std::thread::spawn(move || match number {
                    5 => fs::create_dir_all(&directory),
                    _ => try_directory(&directory),
                })
            });
            for tried in at_once.collect::<Vec<_>>() {
                tried.join().expect("no panic").expect("it can be written to");
            }
            assert_eq!(names_in(&directory), Vec::<String>::new());
            assert_eq!(names_in(machine.path()), [round.to_string()]);
            fs::remove_dir_all(machine.path().join(round.to_string())).expect("removed");
        }
    }

    #[test]
    fn a_machine_with_everything_has_no_problem_and_nothing_is_left_on_it() {
        let machine = Machine::new();
        assert_eq!(machine.told(&[]), []);
        assert!(!machine.path("new").exists());
        fs::create_dir_all(machine.path("new/keys")).expect("made");
        assert_eq!(machine.told(&[]), []);
        assert_eq!(names_in(&machine.path("new/keys")), Vec::<String>::new());
    }

    #[test]
    fn everything_is_told_at_once_with_what_the_text_has_wrong() {
        let machine = Machine::new();
        let told = machine.told(&[
            ("http.bind", "nowhere"),
            ("internal.ca", "/nowhere/ca.pem"),
            ("internal.allow.create_session", "*"),
            ("identity.jwks_url", "http://idp.example/jwks"),
            ("store.url", "sqlite:/nowhere/cabildo.sqlite"),
            ("keys.directory", "{}/certs/ca.pem"),
            ("media.bind", "127.0.0.1:9464"),
            ("limits.shutdown_grace_s", "-1"),
        ]);
        let keys: Vec<&str> = told.iter().map(|(key, _)| key.as_str()).collect();
        let all = [
            "http.bind",
            "identity.jwks_url",
            "internal.allow.create_session",
            "internal.ca",
            "keys.directory",
            "limits.shutdown_grace_s",
            "media.bind",
            "store.url",
        ];
        assert_eq!(keys, all, "{told:?}");
        let without = machine.told(&[("store.url", "oracle:"), ("internal.ca", "/nowhere")]);
        assert_eq!(without.len(), 2, "{without:?}");
    }

    #[test]
    fn certificates_and_keys_are_what_they_should_be() {
        let machine = Machine::new();
        fs::write(machine.path("empty"), "").expect("written");
        for (file, words) in [
            ("/nowhere/ca.pem", "No such file"),
            ("{}/certs/server.key", "no certificate"),
            ("{}/empty", "no certificate"),
        ] {
            machine.tells(&[("internal.ca", file)], "internal.ca", words);
        }
        machine.tells(&[("internal.cert", "{}/certs/server.key")], "internal.cert", "certificate");
        machine.tells(&[("internal.key", "{}/certs/ca.pem")], "internal.key", "private key");
        let of_another = [("internal.key", "{}/certs/governance.key")];
        machine.tells(&of_another, "internal.key", "is not the key of");
        let mut turn = [
            ("media.turn.tls_bind", "127.0.0.1:0"),
            ("media.turn.tls_host", "turn.example"),
            ("media.turn.tls_cert", "{}/certs/server.pem"),
            ("media.turn.tls_key", "{}/certs/server.key"),
        ];
        assert_eq!(machine.told(&turn), []);
        turn[3].1 = "{}/certs/governance.key";
        machine.tells(&turn, "media.turn.tls_key", "is not the key of");
        let mut service = [
            ("services.governance.url", "https://governance.example"),
            ("services.governance.ca", "{}/certs/ca.pem"),
            ("services.governance.cert", "{}/certs/governance.pem"),
            ("services.governance.key", "{}/certs/governance.key"),
        ];
        assert_eq!(machine.told(&service), []);
        service[1].1 = "{}/empty";
        machine.tells(&service, "services.governance.ca", "no certificate");
        let mut kafka = [
            ("kafka.brokers", "127.0.0.1:9092"),
            ("kafka.security", "ssl"),
            ("kafka.ca", "{}/certs/ca.pem"),
        ];
        assert_eq!(machine.told(&kafka), []);
        kafka[2].1 = "/nowhere/kafka.pem";
        machine.tells(&kafka, "kafka.ca", "can't be read");
        let bucket = [
            ("vault.kind", "s3"),
            ("vault.s3.bucket", "evidence"),
            ("vault.s3.access_key_id", "key"),
            ("vault.s3.secret_access_key", "secret"),
            ("vault.s3.ca", "{}/empty"),
        ];
        machine.tells(&bucket, "vault.s3.ca", "no certificate");
    }

    #[test]
    fn no_two_listeners_have_one_address() {
        let machine = Machine::new();
        for (key, address) in [
            ("internal.bind", "127.0.0.1:3014"),
            ("internal.bind", "0.0.0.0:3014"),
            ("http.metrics_bind", "127.0.0.1:3014"),
            ("media.bind", "10.0.0.1:3014"),
            ("cameras.rtsp_bind", "0.0.0.0:3014"),
        ] {
            machine.tells(&[(key, address)], key, "beside http.bind 0.0.0.0:3014");
        }
        let apart = [
            ("http.bind", "127.0.0.1:3014"),
            ("internal.bind", "127.0.0.2:3014"),
            ("http.metrics_bind", "[::1]:3014"),
            ("media.bind", "127.0.0.1:3014"),
            // Without TCP nothing listens there but UDP.
            ("media.tcp", "false"),
        ];
        assert_eq!(machine.told(&apart), []);
        let any = ["http.bind", "internal.bind", "media.bind"].map(|key| (key, "127.0.0.1:0"));
        assert_eq!(machine.told(&any), []);
    }

    #[test]
    fn directories_and_programs_can_be_used() {
        let machine = Machine::new();
        fs::write(machine.path("file"), "x").expect("written");
        for key in ["keys.directory", "recorder.spool", "vault.directory"] {
            machine.tells(&[(key, "{}/file")], key, "can't be written to");
            machine.tells(&[(key, "{}/file/below")], key, "can't be written to");
            machine.tells(&[(key, "/proc/cabildo")], key, "can't be written to");
        }
        machine.tells(&[("store.url", "sqlite:{}/file/db")], "store.url", "no directory");
        machine.tells(&[("recorder.ffmpeg", "{}/ffmpeg")], "recorder.ffmpeg", "no program");
        machine.tells(&[("recorder.ffmpeg", "no-such-ffmpeg")], "recorder.ffmpeg", "no program");
        assert_eq!(machine.told(&[("recorder.ffmpeg", "sh")]), []);
    }

    #[test]
    fn files_of_the_database_are_files_that_can_be_used() {
        let machine = Machine::new();
        fs::create_dir(machine.path("directory")).expect("made");
        machine.tells(&[("store.url", "sqlite:{}/directory")], "store.url", "it is no file");
        for end in ["-wal", "-shm"] {
            let beside = machine.path(&format!("cabildo.sqlite{end}"));
            fs::create_dir(&beside).expect("made");
            machine.tells(&[], "store.url", &format!("{} can't be", beside.display()));
            fs::remove_dir(&beside).expect("removed");
        }
        let database = machine.path("real.sqlite");
        fs::write(&database, "").expect("written");
        std::os::unix::fs::symlink(&database, machine.path("link")).expect("linked");
        assert_eq!(machine.told(&[("store.url", "sqlite:{}/link")]), []);
        fs::create_dir(machine.path("real.sqlite-wal")).expect("made");
        machine.tells(&[("store.url", "sqlite:{}/link")], "store.url", "real.sqlite-wal");
        machine.tells(
            &[("store.url", "sqlite:/proc/none")],
            "store.url",
            "the log of the database",
        );
    }

    #[test]
    fn keys_that_are_there_are_keys() {
        let machine = Machine::new();
        let keys = machine.path("new/keys");
        EvidenceKeys::open(&keys.join("evidence")).expect("made");
        OperatorKey::open(&keys.join("operator")).expect("made");
        fs::write(keys.join("playback.secret"), [7; 32]).expect("written");
        assert_eq!(machine.told(&[]), []);
        let [evidence] = &names_in(&keys.join("evidence"))[..] else { panic!("one key") };
        for (file, words) in [
            (format!("evidence/{evidence}"), "evidence"),
            ("operator/operator-log.pem".to_owned(), "operator-log.pem"),
            ("playback.secret".to_owned(), "32 bytes"),
        ] {
            let path = keys.join(file);
            let right = fs::read(&path).expect("a key");
            fs::write(&path, "short").expect("written");
            machine.tells(&[], "keys.directory", words);
            fs::write(&path, right).expect("written");
        }
        assert_eq!(machine.told(&[]), []);
    }

    #[test]
    fn what_only_its_user_understands_is_told_too() {
        let machine = Machine::new();
        let secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let tenant = "0190a1b2-0000-7000-8000-000000000001";
        let mut hook = [
            ("events.webhooks.x.tenant_id", tenant),
            ("events.webhooks.x.url", "https://10.0.0.1/h"),
            ("events.webhooks.x.secret", secret),
            ("events.webhooks.x.types", "no.such.event"),
        ];
        machine.tells(&hook, "events.webhooks.x", "no type of event");
        hook[3] = ("events.webhooks.x.allow_private_network", "false");
        machine.tells(&hook, "events.webhooks.x", "inside the operator's network");
    }
}
