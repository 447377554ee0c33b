//! That the vault and the keys are those of the database's installation.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::{Config, S3Config, VaultConfig};
use crate::store::{OnConnect, Store};
use crate::vault::{
    Directory, Identified, IdentifiedVault, Installation, MARKER, NotKnown, Place, S3, S3Options,
    S3Timeouts, Vault, VaultError, WrongPlace,
};

use super::base::store_options;

/// How long a start waits to hear whose the vault is. A vault that does not answer is asked again
/// before it is used.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Opens the vault of the configuration, and sees to it that it and the directory of keys are those of the
/// installation. Places in which nothing that is needed was ever stored become those of the installation.
pub(super) async fn open_own(config: &Config, store: &Store) -> anyhow::Result<Arc<dyn Vault>> {
    let installation = identified(store).await?;
    let turn = installation.wait_for_turn().await.context("the store")?;
    let keys = installation.verify_keys(&config.recording.keys.directory).await;
    let opened = open_vault(config)?;
    let vault = IdentifiedVault::new(Arc::clone(&opened), installation.clone());
    let verifying = async {
        if keys.is_ok() {
            return vault.verify().await;
        }
        // What is not started gives no other place a marker either.
        installation.examine_vault(&*opened).await.map(drop)
    };
    let verified = tokio::time::timeout(ANSWER_MAX, verifying).await;
    drop(turn);
    let mut wrong = Vec::new();
    match keys {
        Ok(()) => {}
        Err(NotKnown::Wrong(place)) => wrong.push(place),
        Err(error) => return Err(error).context("keys.directory"),
    }
    match verified {
        Ok(Err(NotKnown::Wrong(place))) => wrong.push(place),
        Ok(Err(NotKnown::Database(error))) => return Err(error).context("the store"),
        // It is told by the checks of the vault.
        Ok(Ok(()) | Err(NotKnown::Vault(_) | NotKnown::File { .. })) | Err(_) => {}
    }
    if wrong.is_empty() {
        return Ok(Arc::new(vault));
    }
    let told: Vec<String> = wrong.into_iter().map(|place| advice(config, place)).collect();
    Err(anyhow::anyhow!("{}", told.join("\n")))
}

/// The marker was written, or was there already.
pub(crate) struct Adopted {
    /// Which place, as the configuration names it.
    pub(crate) place: String,
    /// Whether it had the marker.
    pub(crate) was_there: bool,
}

/// Makes places those of the installation, whatever the database knows of them.
pub(crate) async fn adopt(
    config: &Config,
    store: &Store,
    places: &[Place],
) -> anyhow::Result<Vec<Adopted>> {
    let installation = identified(store).await?;
    let mut adopted = Vec::new();
    for place in places {
        let was_there = match place {
            Place::Keys => adopt_keys(config, &installation).await,
            Place::Vault => adopt_vault(&*open_vault(config)?, &installation).await,
        };
        let was_there = match was_there {
            Ok(was_there) => was_there,
            Err(NotKnown::Wrong(wrong)) => anyhow::bail!(advice(config, wrong)),
            Err(error) => return Err(error).context(named(config, *place)),
        };
        adopted.push(Adopted { place: named(config, *place), was_there });
    }
    Ok(adopted)
}

async fn adopt_keys(config: &Config, installation: &Identified) -> Result<bool, NotKnown> {
    let directory = &config.recording.keys.directory;
    if let Ok(true) = installation.examine_keys(directory).await {
        return Ok(true);
    }
    installation.mark_keys(directory).await.map(|()| false)
}

async fn adopt_vault(vault: &dyn Vault, installation: &Identified) -> Result<bool, NotKnown> {
    if let Ok(true) = installation.examine_vault(vault).await {
        return Ok(true);
    }
    installation.mark_vault(vault).await.map(|()| false)
}

/// What is known of a place without a running server.
pub(crate) enum Seen {
    /// It has the marker.
    Own(String),
    /// It gets the marker at the next start.
    New(String),
    /// It is another; with what to do.
    Wrong(String),
    /// It can't be known now, for this reason.
    Unknown(String),
}

/// Looks at vault and keys without changing anything.
pub(crate) async fn examine(config: &Config) -> Vec<Seen> {
    let mut options = store_options(config);
    options.on_connect = OnConnect::Check;
    if options.is_absent_file() {
        return vec![Seen::Unknown("there is no database yet".to_owned())];
    }
    let looked = async {
        let store = Store::connect(&options).await?;
        let Some(identity) = store.known_identity().await? else {
            return anyhow::Ok(vec![Seen::New("vault and keys".to_owned())]);
        };
        let installation = Identified::new(identity, Arc::new(store));
        Ok(look_at_both(config, &installation).await)
    };
    match looked.await {
        Ok(seen) => seen,
        Err(error) => vec![Seen::Unknown(format!("the database: {error:#}"))],
    }
}

async fn look_at_both(config: &Config, installation: &Identified) -> Vec<Seen> {
    let keys = installation.examine_keys(&config.recording.keys.directory).await;
    let vault = match &config.recording.vault {
        VaultConfig::Directory(path) => installation.examine_directory(Place::Vault, path).await,
        VaultConfig::S3(s3) => match open_bucket(s3) {
            Ok(vault) => {
                let asked = tokio::time::timeout(ANSWER_MAX, installation.examine_vault(&vault));
                let late = |_| {
                    let why = "the bucket did not answer in time".to_owned();
                    Err(VaultError::Unavailable(why).into())
                };
                asked.await.unwrap_or_else(late)
            }
            Err(error) => Err(error.into()),
        },
    };
    [(Place::Keys, keys), (Place::Vault, vault)]
        .map(|(place, seen)| told(config, place, seen))
        .into()
}

fn told(config: &Config, place: Place, seen: Result<bool, NotKnown>) -> Seen {
    match seen {
        Ok(true) => Seen::Own(named(config, place)),
        Ok(false) => Seen::New(named(config, place)),
        Err(NotKnown::Wrong(wrong)) => Seen::Wrong(advice(config, wrong)),
        Err(error) => Seen::Unknown(format!("{}: {error}", named(config, place))),
    }
}

async fn identified(store: &Store) -> anyhow::Result<Identified> {
    let identity = store.identity().await.context("the store")?;
    Ok(Identified::new(identity, Arc::new(store.clone())))
}

/// A place as the configuration names it.
fn named(config: &Config, place: Place) -> String {
    match (place, &config.recording.vault) {
        (Place::Keys, _) => format!("keys.directory {}", config.recording.keys.directory.display()),
        (Place::Vault, VaultConfig::Directory(path)) => {
            format!("vault.directory {}", path.display())
        }
        (Place::Vault, VaultConfig::S3(s3)) => {
            let bucket = format!("vault.s3 bucket {}", s3.bucket);
            if s3.prefix.is_empty() { bucket } else { format!("{bucket} prefix {}", s3.prefix) }
        }
    }
}

/// What is wrong with a place, and what the operator does about it.
fn advice(config: &Config, wrong: WrongPlace) -> String {
    let (place, remedy) = match wrong {
        WrongPlace::Unmarked { place, .. } => {
            let (option, what) = match place {
                Place::Vault => ("--vault", "recordings"),
                Place::Keys => ("--keys", "keys"),
            };
            let remedy = format!(
                "something of this installation is elsewhere: mount or name where its {what} are. If they were \
                 moved here without the file or object `{MARKER}`, or are given up, say so: cabildo evidence \
                 adopt {option}"
            );
            (place, remedy)
        }
        WrongPlace::Foreign { place, .. } => {
            let remedy = format!(
                "name what belongs to this database, or the database that belongs to this; the marker is the \
                 file or object `{MARKER}`"
            );
            (place, remedy)
        }
    };
    format!("{}: {wrong}; {remedy}", named(config, place))
}

fn open_vault(config: &Config) -> anyhow::Result<Arc<dyn Vault>> {
    Ok(match &config.recording.vault {
        VaultConfig::Directory(path) => {
            Arc::new(Directory::open(path.clone()).context("vault.directory")?)
        }
        VaultConfig::S3(s3) => Arc::new(open_bucket(s3).context("vault.s3")?),
    })
}

fn open_bucket(s3: &S3Config) -> Result<S3, VaultError> {
    S3::new(&S3Options {
        endpoint: s3.endpoint.clone(),
        region: s3.region.clone(),
        bucket: s3.bucket.clone(),
        prefix: s3.prefix.trim_matches('/').to_owned(),
        path_style: s3.path_style,
        access_key_id: s3.access_key_id.clone(),
        secret_access_key: s3.secret_access_key.clone(),
        ca: s3.ca.clone(),
        object_lock_days: s3.object_lock_days,
        timeouts: S3Timeouts::default(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sha2::{Digest as _, Sha256};
    use tempfile::TempDir;

    use super::*;
    use crate::config::{Profile, Source};
    use crate::domain::id::{InstallationId, RecordedTrackId, SessionId, SessionKey, TenantId};
    use crate::domain::secret::Secret;
    use crate::vault::{
        Contents, IdentifiedKeys, KeyPurpose, KeyVault as _, LocalKeyVault, ObjectName, Put,
    };

    /// An installation in a directory of its own.
    struct Site {
        data: TempDir,
        store: Store,
    }

    impl Site {
        async fn new() -> Self {
            let data = tempfile::tempdir().expect("a directory");
            let store = Store::connect(&store_options(&config(data.path(), &[]))).await;
            Self { store: store.expect("a database"), data }
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.data.path().join(name)
        }

        fn config(&self) -> Config {
            config(self.data.path(), &[])
        }

        async fn open(&self) -> Result<Arc<dyn Vault>, String> {
            open_own(&self.config(), &self.store).await.map_err(|error| format!("{error:#}"))
        }

        /// Stores an object and wraps a key, as a recording does.
        async fn record(&self) {
            let vault = self.open().await.expect("its own");
            assert_eq!(put(&*vault).await, Ok(Put::Stored));
            let keys = LocalKeyVault::open(self.path("keys/tenants")).expect("opened");
            let keys = IdentifiedKeys::new(Arc::new(keys), Arc::new(self.store.clone()));
            let purpose = KeyPurpose::Events(SessionId::generate());
            let key = Secret::new([7; 32]);
            keys.wrap(TenantId::generate(), purpose, &key).await.expect("wrapped");
        }
    }

    fn config(data: &Path, more: &[(&str, &str)]) -> Config {
        let mut source = Source::default();
        for (key, value) in more {
            source.set(key, (*value).to_owned());
        }
        Config::read(source, &Profile::Dev { data_dir: data.to_owned() }).expect("valid")
    }

    async fn put(vault: &dyn Vault) -> Result<Put, VaultError> {
        let key = SessionKey::new(TenantId::generate(), SessionId::generate());
        let name = ObjectName::segment(key, RecordedTrackId::random(), 0);
        vault.put(&name, Contents::Bytes(b"sealed"), Sha256::digest(b"sealed").into()).await
    }

    fn swap(place: &Site, name: &str) {
        let away = place.path(&format!("{name}.away"));
        std::fs::rename(place.path(name), away).expect("moved");
    }

    fn back(place: &Site, name: &str) {
        drop(std::fs::remove_dir_all(place.path(name)));
        std::fs::rename(place.path(&format!("{name}.away")), place.path(name)).expect("moved");
    }

    #[tokio::test]
    async fn places_that_are_not_mounted_are_both_named_and_nothing_is_made_in_them() {
        let place = Site::new().await;
        place.record().await;
        place.open().await.expect("the same places");
        swap(&place, "vault");
        swap(&place, "keys");
        let refused = place.open().await.err().expect("refused");
        for said in ["KEYS_UNMARKED", "VAULT_UNMARKED", "adopt --vault", "adopt --keys"] {
            assert!(refused.contains(said), "{said} in {refused}");
        }
        assert!(refused.contains(&place.path("vault").display().to_string()), "{refused}");
        assert!(!place.path("keys").exists(), "keys were made");
        assert!(!place.path("vault").join(MARKER).exists(), "it was marked");
        back(&place, "vault");
        let refused = place.open().await.err().expect("the keys are still away");
        assert!(refused.contains("KEYS_UNMARKED") && !refused.contains("VAULT"), "{refused}");
        back(&place, "keys");
        place.open().await.expect("both are back");
    }

    #[tokio::test]
    async fn places_in_which_nothing_was_ever_stored_may_be_changed() {
        let place = Site::new().await;
        place.open().await.expect("new");
        swap(&place, "vault");
        swap(&place, "keys");
        place.open().await.expect("nothing is lost");
        assert!(place.path("vault").join(MARKER).is_file());
        assert!(place.path("keys").join(MARKER).is_file());
    }

    #[tokio::test]
    async fn the_places_of_another_installation_are_always_refused() {
        let (one, other) = (Site::new().await, Site::new().await);
        one.open().await.expect("new");
        other.open().await.expect("new");
        let of_other = |name: &str| other.path(name).display().to_string();
        let mixed = [
            ("vault.directory", of_other("vault"), Place::Vault, "VAULT_FOREIGN"),
            ("keys.directory", of_other("keys"), Place::Keys, "KEYS_FOREIGN"),
        ];
        for (key, path, wrong, code) in mixed {
            let config = config(one.data.path(), &[(key, &path)]);
            let refused = open_own(&config, &one.store).await.err().expect("refused");
            assert!(refused.to_string().contains(code), "{refused:#}");
            let adopted = adopt(&config, &one.store, &[wrong]).await.err().expect("refused");
            assert!(adopted.to_string().contains(code), "{adopted:#}");
        }
        std::fs::write(one.path("vault").join(MARKER), "no marker at all").expect("written");
        let refused = one.open().await.err().expect("refused");
        assert!(refused.contains("VAULT_FOREIGN") && refused.contains("no installation"));
    }

    #[tokio::test]
    async fn what_an_operator_moved_is_adopted_and_nothing_else_is() {
        let place = Site::new().await;
        place.record().await;
        swap(&place, "vault");
        swap(&place, "keys");
        place.open().await.err().expect("refused");
        let adopted = adopt(&place.config(), &place.store, &[Place::Vault]).await.expect("adopted");
        assert!(!adopted[0].was_there && adopted[0].place.starts_with("vault.directory"));
        let refused = place.open().await.err().expect("the keys were not adopted");
        assert!(refused.contains("KEYS_UNMARKED") && !refused.contains("VAULT"), "{refused}");
        adopt(&place.config(), &place.store, &[Place::Keys]).await.expect("adopted");
        place.open().await.expect("both were adopted");
        let again = adopt(&place.config(), &place.store, &[Place::Keys]).await.expect("again");
        assert!(again[0].was_there);
    }

    #[tokio::test]
    async fn an_earlier_version_had_no_markers_and_gets_them_unless_its_keys_are_away() {
        use crate::domain::session::Modality;
        use crate::sessions::{FixedLimits, NewSession, SessionService};

        let place = Site::new().await;
        let limits = Arc::new(FixedLimits::default());
        let service = SessionService::new(Arc::new(place.store.clone()), limits, Vec::new());
        let assembly = crate::domain::id::AssemblyId::generate();
        let new = NewSession::new(TenantId::generate(), assembly, "Asamblea", Modality::Mixed);
        let now = crate::domain::time::Timestamp::from_unix_us(1_800_000_000_000_000);
        service.create(new, now).await.expect("created");
        let refused = place.open().await.err().expect("its keys are elsewhere");
        assert!(refused.contains("KEYS_UNMARKED"), "{refused}");
        std::fs::create_dir_all(place.path("keys/evidence")).expect("made");
        place.open().await.expect("it starts");
        assert!(place.path("vault").join(MARKER).is_file());
        assert!(place.path("keys").join(MARKER).is_file());
        swap(&place, "vault");
        let refused = place.open().await.err().expect("it had recordings");
        assert!(refused.contains("VAULT_UNMARKED"), "{refused}");
    }

    #[tokio::test]
    async fn a_vault_that_vanishes_while_it_is_used_gets_nothing_more() {
        let place = Site::new().await;
        let vault = place.open().await.expect("new");
        assert_eq!(put(&*vault).await, Ok(Put::Stored));
        swap(&place, "vault");
        std::fs::create_dir_all(place.path("vault/.drafts")).expect("made");
        let found = vault.check().await;
        let is_told = |error: &VaultError| error.to_string().contains("VAULT_UNMARKED");
        assert!(found.as_ref().is_err_and(is_told), "{found:?}");
        let refused = put(&*vault).await;
        assert!(refused.as_ref().is_err_and(is_told), "{refused:?}");
        let files = std::fs::read_dir(place.path("vault")).expect("a directory").count();
        assert_eq!(files, 1, "something was stored");
        back(&place, "vault");
        assert_eq!(put(&*vault).await, Ok(Put::Stored), "as soon as it is back");
    }

    #[tokio::test]
    async fn a_look_at_the_places_tells_and_changes_nothing() {
        async fn words(config: &Config) -> Vec<String> {
            let word = |seen| match seen {
                Seen::Own(_) => "own".to_owned(),
                Seen::New(_) => "new".to_owned(),
                Seen::Wrong(what) => what,
                Seen::Unknown(why) => why,
            };
            examine(config).await.into_iter().map(word).collect()
        }
        let empty = tempfile::tempdir().expect("a directory");
        assert_eq!(words(&config(empty.path(), &[])).await, ["there is no database yet"]);
        assert_eq!(std::fs::read_dir(empty.path()).expect("there").count(), 0);
        let place = Site::new().await;
        assert_eq!(words(&place.config()).await, ["new"]);
        assert!(!place.path("keys").exists() && !place.path("vault").exists());
        place.record().await;
        assert_eq!(words(&place.config()).await, ["own", "own"]);
        swap(&place, "vault");
        let told = words(&place.config()).await;
        assert!(told[0] == "own" && told[1].contains("VAULT_UNMARKED"), "{told:?}");
        assert!(!place.path("vault").exists());
        let marker = format!("cabildo installation {}\n", InstallationId::generate());
        std::fs::write(place.path("keys").join(MARKER), marker).expect("written");
        assert!(words(&place.config()).await[0].contains("KEYS_FOREIGN"));
    }
}
