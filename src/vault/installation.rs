//! The marker by which a vault and a directory of keys are known to be those of an installation: a disk that is
//! not mounted, or another bucket or directory, is empty and would otherwise be taken for a new one.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::domain::id::{InstallationId, TenantId};
use crate::domain::secret::Secret;
use crate::domain::store_error::StoreError;
use crate::vault::files::{self, Draft};
use crate::vault::{
    Contents, KeyPurpose, KeyVault, KeyVaultError, MARKER, ObjectName, Put, Vault, VaultError,
};

/// What stands before the identity in a marker.
const PREFIX: &str = "cabildo installation ";

/// What has a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The vault.
    Vault,
    /// The directory of keys.
    Keys,
}

/// What the database knows of its installation.
#[async_trait]
pub trait Installation: Send + Sync {
    /// The identity, if it was given one.
    async fn known_identity(&self) -> Result<Option<InstallationId>, StoreError>;

    /// The identity, which is given once, to whichever process asks first.
    async fn identity(&self) -> Result<InstallationId, StoreError>;

    /// Whether a place has something that is needed, so that it must have the marker.
    async fn is_used(&self, place: Place) -> Result<bool, StoreError>;

    /// Notes, before it is written, that a place has something that is needed.
    async fn note_used(&self, place: Place) -> Result<(), StoreError>;

    /// Whether there is anything whose keys and recordings may be in the places already.
    async fn has_data(&self) -> Result<bool, StoreError>;

    /// The right to give a place its marker, for one process at a time, which waits for the one before; none
    /// when it must have the marker.
    async fn claim(&self, place: Place) -> Result<Option<Box<dyn PlaceClaim>>, StoreError>;

    /// Lets no other process compare its places until what this returns is dropped. Does nothing where the
    /// database is for one process.
    async fn wait_for_turn(&self) -> Result<Box<dyn Send>, StoreError>;

    /// Notes that a place was given its marker. Where several instances use the database, it is the only one
    /// from then on, since another instance may store something at any time; otherwise, when there is something
    /// that it may hold already.
    async fn note_marked(&self, place: Place) -> Result<(), StoreError>;

    /// Notes that a place had its marker already; where several instances use the database, it is the only one
    /// from then on.
    async fn note_found(&self, place: Place) -> Result<(), StoreError>;
}

/// The right to give a place its marker, which nobody else has until this is dropped.
#[async_trait]
pub trait PlaceClaim: Send {
    /// Notes that the place has its marker, as [`Installation::note_marked`] does.
    async fn marked(self: Box<Self>) -> Result<(), StoreError>;
}

/// Why a place is not the one of the installation. The text has no paths, since health shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongPlace {
    /// It has no marker, though it must have one.
    #[error("{}: it has no marker of installation {identity}, to which the database belongs", .place.unmarked())]
    Unmarked {
        /// Which place.
        place: Place,
        /// The installation of the database.
        identity: InstallationId,
    },
    /// It has the marker of another installation, or an object of that name that is no marker.
    #[error(
        "{}: it has the marker of {}, and the database belongs to installation {identity}",
        .place.foreign(),
        named(*found)
    )]
    Foreign {
        /// Which place.
        place: Place,
        /// The installation of the database.
        identity: InstallationId,
        /// That of the marker, if it is one.
        found: Option<InstallationId>,
    },
}

impl Place {
    const fn unmarked(self) -> &'static str {
        match self {
            Self::Vault => "VAULT_UNMARKED",
            Self::Keys => "KEYS_UNMARKED",
        }
    }

    const fn foreign(self) -> &'static str {
        match self {
            Self::Vault => "VAULT_FOREIGN",
            Self::Keys => "KEYS_FOREIGN",
        }
    }
}

fn named(found: Option<InstallationId>) -> String {
    found.map_or_else(|| "no installation".to_owned(), |found| format!("installation {found}"))
}

/// Why it is not known that a place is the one of the installation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKnown {
    /// It is another.
    #[error(transparent)]
    Wrong(#[from] WrongPlace),
    /// The vault can't be asked now.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database can't be asked now.
    #[error(transparent)]
    Database(#[from] StoreError),
    /// The directory can't be read or written.
    #[error("the marker {}: {why}", path.display())]
    File {
        /// The marker's path.
        path: PathBuf,
        /// The reason.
        why: String,
    },
}

impl From<NotKnown> for VaultError {
    fn from(error: NotKnown) -> Self {
        match error {
            NotKnown::Wrong(wrong) => Self::Refused(wrong.to_string()),
            NotKnown::Vault(error) => error,
            NotKnown::Database(error) => Self::Unavailable(error.to_string()),
            NotKnown::File { why, .. } => Self::Unavailable(why),
        }
    }
}

/// The installation that places are compared with.
#[derive(Clone)]
pub struct Identified {
    identity: InstallationId,
    database: Arc<dyn Installation>,
}

impl Identified {
    /// The installation of this identity in its database.
    #[must_use]
    pub fn new(identity: InstallationId, database: Arc<dyn Installation>) -> Self {
        Self { identity, database }
    }

    /// Lets no other process compare its places until what this returns is dropped: so whoever comes first
    /// has all of its places, and nobody some of them.
    ///
    /// # Errors
    /// The database can't be asked now.
    pub async fn wait_for_turn(&self) -> Result<Box<dyn Send>, StoreError> {
        self.database.wait_for_turn().await
    }

    fn marker(&self) -> String {
        format!("{PREFIX}{}\n", self.identity)
    }

    fn compare(&self, place: Place, marker: &[u8]) -> Result<(), WrongPlace> {
        let found = std::str::from_utf8(marker).ok().and_then(|text| {
            text.trim_end().strip_prefix(PREFIX).and_then(|text| text.parse().ok())
        });
        if found == Some(self.identity) {
            return Ok(());
        }
        Err(WrongPlace::Foreign { place, identity: self.identity, found })
    }

    const fn unmarked(&self, place: Place) -> WrongPlace {
        WrongPlace::Unmarked { place, identity: self.identity }
    }

    /// Notes that a place had its marker. What can't be noted now is noted with the next look.
    async fn note_found(&self, place: Place) {
        if let Err(error) = self.database.note_found(place).await {
            tracing::debug!(%error, "it could not be noted that a place has its marker");
        }
    }

    /// Checks that a directory of keys is the one of this installation, without changing anything.
    /// Returns whether it has the marker.
    ///
    /// # Errors
    /// It is another, or it is not known.
    pub async fn examine_keys(&self, directory: &Path) -> Result<bool, NotKnown> {
        if self.examine_directory(Place::Keys, directory).await? {
            return Ok(true);
        }
        // Earlier versions made no marker, but the keys that sign at their first start.
        let has_keys = directory.join("evidence").is_dir();
        if !has_keys && self.database.has_data().await? {
            return Err(self.unmarked(Place::Keys).into());
        }
        Ok(false)
    }

    /// As [`Self::examine_vault`], of a directory that need not exist.
    ///
    /// # Errors
    /// It is another, or it is not known.
    pub async fn examine_directory(
        &self,
        place: Place,
        directory: &Path,
    ) -> Result<bool, NotKnown> {
        match read_file(&directory.join(MARKER))? {
            Some(marker) => Ok(self.compare(place, &marker).map(|()| true)?),
            None if !self.database.is_used(place).await? => Ok(false),
            None => {
                // It may have got its marker after it was looked for.
                let marker = read_file(&directory.join(MARKER))?;
                let marker = marker.ok_or_else(|| self.unmarked(place))?;
                Ok(self.compare(place, &marker).map(|()| true)?)
            }
        }
    }

    /// Checks that a directory of keys is the one of this installation, and gives it the marker when nothing
    /// that is needed was ever written to it.
    ///
    /// # Errors
    /// It is another, or it is not known.
    pub async fn verify_keys(&self, directory: &Path) -> Result<(), NotKnown> {
        if self.examine_keys(directory).await? {
            self.note_found(Place::Keys).await;
            return Ok(());
        }
        let Some(claim) = self.database.claim(Place::Keys).await? else {
            // Another process may have marked it since.
            return self.examine_keys(directory).await.map(drop);
        };
        self.write_keys(directory)?;
        Ok(claim.marked().await?)
    }

    /// Gives a directory of keys the marker, whatever the database knows.
    ///
    /// # Errors
    /// It has the marker of another installation, or it can't be written.
    pub async fn mark_keys(&self, directory: &Path) -> Result<(), NotKnown> {
        self.write_keys(directory)?;
        Ok(self.database.note_marked(Place::Keys).await?)
    }

    fn write_keys(&self, directory: &Path) -> Result<(), NotKnown> {
        let path = directory.join(MARKER);
        let made = write_file(directory, &path, self.marker().as_bytes());
        made.map_err(|error| NotKnown::File { path: path.clone(), why: error.to_string() })?;
        // Read even if it was just made: another process may have made it first.
        Ok(self.compare(Place::Keys, &read_file(&path)?.unwrap_or_default())?)
    }

    /// Checks that a vault is the one of this installation, without changing anything. Returns whether it has
    /// the marker.
    ///
    /// # Errors
    /// It is another, or it is not known.
    pub async fn examine_vault(&self, vault: &dyn Vault) -> Result<bool, NotKnown> {
        match vault.read(&ObjectName::marker(), None).await {
            Ok(marker) => Ok(self.compare(Place::Vault, &marker).map(|()| true)?),
            Err(VaultError::NotFound) if !self.database.is_used(Place::Vault).await? => Ok(false),
            Err(VaultError::NotFound) => {
                // It may have got its marker after it was looked for.
                match vault.read(&ObjectName::marker(), None).await {
                    Ok(marker) => Ok(self.compare(Place::Vault, &marker).map(|()| true)?),
                    Err(VaultError::NotFound) => Err(self.unmarked(Place::Vault).into()),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn verify_vault(&self, vault: &dyn Vault) -> Result<(), NotKnown> {
        if self.examine_vault(vault).await? {
            self.note_found(Place::Vault).await;
            return Ok(());
        }
        let Some(claim) = self.database.claim(Place::Vault).await? else {
            // Another process may have marked it since.
            return self.examine_vault(vault).await.map(drop);
        };
        self.write_vault(vault).await?;
        Ok(claim.marked().await?)
    }

    /// Gives a vault the marker, whatever the database knows.
    ///
    /// # Errors
    /// It has the marker of another installation, or it can't be written.
    pub async fn mark_vault(&self, vault: &dyn Vault) -> Result<(), NotKnown> {
        self.write_vault(vault).await?;
        Ok(self.database.note_marked(Place::Vault).await?)
    }

    async fn write_vault(&self, vault: &dyn Vault) -> Result<(), NotKnown> {
        let (name, marker) = (ObjectName::marker(), self.marker());
        let sha256 = Sha256::digest(&marker).into();
        match vault.put(&name, Contents::Bytes(marker.as_bytes()), sha256).await {
            Ok(_) => {}
            Err(VaultError::Conflict) => {
                self.compare(Place::Vault, &vault.read(&name, None).await?)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, NotKnown> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if files::is_absent(&error) => Ok(None),
        Err(error) => Err(NotKnown::File { path: path.to_owned(), why: error.to_string() }),
    }
}

/// Makes a file unless it exists.
fn write_file(directory: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    files::create_directory(directory)?;
    let mut draft = Draft::create(directory)?;
    draft.write(bytes)?;
    draft.publish(path)?;
    files::sync_directory(directory)
}

/// A vault that is used only while it is known to be the one of the installation.
pub struct IdentifiedVault {
    vault: Arc<dyn Vault>,
    installation: Identified,
    is_known: AtomicBool,
    is_noted: AtomicBool,
}

impl IdentifiedVault {
    /// The vault of this installation, if it is that.
    #[must_use]
    pub fn new(vault: Arc<dyn Vault>, installation: Identified) -> Self {
        let (is_known, is_noted) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { vault, installation, is_known, is_noted }
    }

    /// Looks at the marker now, and writes it when nothing that is needed was ever stored.
    ///
    /// # Errors
    /// It is another vault, or it is not known.
    pub async fn verify(&self) -> Result<(), NotKnown> {
        let verified = self.installation.verify_vault(&*self.vault).await;
        match &verified {
            Ok(()) => self.is_known.store(true, Ordering::Relaxed),
            Err(NotKnown::Wrong(_)) => self.is_known.store(false, Ordering::Relaxed),
            // What does not answer now is still what it was.
            Err(_) => {}
        }
        verified
    }

    async fn known(&self) -> Result<(), VaultError> {
        if !self.is_known.load(Ordering::Relaxed) {
            self.verify().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Vault for IdentifiedVault {
    async fn put(
        &self,
        name: &ObjectName,
        contents: Contents<'_>,
        sha256: [u8; 32],
    ) -> Result<Put, VaultError> {
        self.known().await?;
        if !self.is_noted.load(Ordering::Relaxed) {
            let noted = self.installation.database.note_used(Place::Vault).await;
            noted.map_err(|error| VaultError::Unavailable(error.to_string()))?;
            self.is_noted.store(true, Ordering::Relaxed);
        }
        self.vault.put(name, contents, sha256).await
    }

    async fn read(
        &self,
        name: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, VaultError> {
        // Of another vault nothing is known to be missing.
        self.known().await?;
        self.vault.read(name, range).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), VaultError> {
        self.known().await?;
        self.vault.delete(name).await
    }

    async fn check(&self) -> Result<(), VaultError> {
        // Each time: a disk may be unmounted while the server runs. The marker comes first, since what is
        // stored to check a vault is not stored in another.
        match self.verify().await {
            Ok(()) => self.vault.check().await,
            // The check of the vault says in words what it refuses.
            Err(NotKnown::Vault(error @ VaultError::Refused(_))) => {
                self.vault.check().await.and(Err(error))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Keys of tenants of which the database is told before the first is used.
pub struct IdentifiedKeys {
    keys: Arc<dyn KeyVault>,
    database: Arc<dyn Installation>,
    is_noted: AtomicBool,
}

impl IdentifiedKeys {
    /// The keys of the installation.
    #[must_use]
    pub fn new(keys: Arc<dyn KeyVault>, database: Arc<dyn Installation>) -> Self {
        Self { keys, database, is_noted: AtomicBool::new(false) }
    }
}

#[async_trait]
impl KeyVault for IdentifiedKeys {
    async fn wrap(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        key: &Secret<[u8; 32]>,
    ) -> Result<Vec<u8>, KeyVaultError> {
        if !self.is_noted.load(Ordering::Relaxed) {
            let noted = self.database.note_used(Place::Keys).await;
            noted.map_err(|error| KeyVaultError::Unavailable(error.to_string()))?;
            self.is_noted.store(true, Ordering::Relaxed);
        }
        self.keys.wrap(tenant, purpose, key).await
    }

    async fn unwrap(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        wrapped: &[u8],
    ) -> Result<Secret<[u8; 32]>, KeyVaultError> {
        self.keys.unwrap(tenant, purpose, wrapped).await
    }

    async fn rotate(&self, tenant: TenantId) -> Result<u32, KeyVaultError> {
        self.keys.rotate(tenant).await
    }

    async fn destroy(&self, tenant: TenantId, version: u32) -> Result<(), KeyVaultError> {
        self.keys.destroy(tenant, version).await
    }
}
