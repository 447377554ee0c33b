//! The built-in key vault: tenant keys as files of this machine.
//!
//! ```text
//! <tenant>/<version, 10 digits>.key         key(32) ‖ SHA-256(0x01 ‖ tenant ‖ be32(version) ‖ key)
//! <tenant>/<version, 10 digits>.destroyed   empty: that version existed and is never made again
//! ```
//!
//! Keys are read when they are needed, wiped afterwards and not cached, so that a key that one
//! process destroys is not used by another process any more.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::domain::id::TenantId;
use crate::domain::secret::Secret;
use crate::sealing::{random_key, random_salt};
use crate::vault::files::{self, Draft};
use crate::vault::{KeyPurpose, KeyVault, KeyVaultError, wrapped_version};

const SUITE: u8 = 1;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const WRAPPED_BYTES: usize = 1 + 4 + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
const FILE_BYTES: usize = KEY_BYTES + 32;
/// Keys that are known to be on stable storage. At the limit the set is cleared, which costs two
/// syncs more for each.
const SYNCED_MAX: usize = 10_000;
/// How often making a key is tried when other processes make one at the same time.
const ATTEMPTS: usize = 16;

/// Tenant keys in a directory of this machine. Its files are accessible only to their owner;
/// several processes may share it. Whoever can read the directory can decrypt every recording, and
/// without it nobody can.
#[derive(Debug, Clone)]
pub struct LocalKeyVault(Arc<Keys>);

#[derive(Debug)]
struct Keys {
    root: PathBuf,
    drafts: PathBuf,
    /// Keys whose names are known to be on stable storage.
    synced: Mutex<BTreeSet<(TenantId, u32)>>,
}

/// The versions that a tenant has ever had.
#[derive(Debug, Default, PartialEq, Eq)]
struct Versions {
    newest: u32,
    newest_is_destroyed: bool,
}

impl LocalKeyVault {
    /// Opens a key vault in `directory`, which is created if it does not exist, and completes
    /// destructions that were interrupted.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, KeyVaultError> {
        let root = directory.into();
        let open = || -> io::Result<Keys> {
            files::create_directory(&root)?;
            if std::fs::metadata(&root)?.permissions().mode() & 0o077 != 0 {
                tracing::warn!(
                    "the directory of tenant keys is accessible to users other than its owner"
                );
            }
            let drafts = files::prepare_drafts(&root)?;
            files::sync_directory(&root)?;
            let keys = Keys { root: root.clone(), drafts, synced: Mutex::default() };
            keys.end_destructions()?;
            Ok(keys)
        };
        open().map(|keys| Self(Arc::new(keys))).map_err(|error| unavailable(&error))
    }

    /// Runs blocking work on a thread where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keys) -> Result<T, KeyVaultError> + Send + 'static,
    ) -> Result<T, KeyVaultError> {
        let keys = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&keys)).await;
        done.unwrap_or_else(|_| {
            Err(KeyVaultError::Unavailable("the work was interrupted".to_owned()))
        })
    }
}

#[async_trait]
impl KeyVault for LocalKeyVault {
    async fn wrap(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        key: &Secret<[u8; 32]>,
    ) -> Result<Vec<u8>, KeyVaultError> {
        let (version, tenant_key) = self.blocking(move |keys| keys.newest(tenant)).await?;
        let mut wrapped = Vec::with_capacity(WRAPPED_BYTES);
        wrapped.push(SUITE);
        wrapped.extend(version.to_be_bytes());
        let salt = random_salt();
        let (nonce, _) = salt.split_first_chunk::<NONCE_BYTES>().unwrap_or((&[0; 12], &[]));
        wrapped.extend(nonce);
        let mut sealed = Zeroizing::new(*key.expose());
        let aad = associated_data(tenant, purpose);
        let tag = cipher(&tenant_key)
            .encrypt_inout_detached(nonce.into(), aad.as_bytes(), (&mut sealed[..]).into())
            .expect("a key is far shorter than GCM allows");
        wrapped.extend_from_slice(&*sealed);
        wrapped.extend_from_slice(&tag);
        Ok(wrapped)
    }

    async fn unwrap(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        wrapped: &[u8],
    ) -> Result<Secret<[u8; 32]>, KeyVaultError> {
        let version = wrapped_version(wrapped).ok_or(KeyVaultError::NotAuthentic)?;
        let wrapped =
            <[u8; WRAPPED_BYTES]>::try_from(wrapped).map_err(|_| KeyVaultError::NotAuthentic)?;
        let tenant_key = self.blocking(move |keys| keys.load(tenant, version)).await?;
        let (_, rest) = wrapped.split_at(1 + 4);
        let (nonce, rest) = rest.split_first_chunk().ok_or(KeyVaultError::NotAuthentic)?;
        let (sealed, tag) =
            rest.split_last_chunk::<TAG_BYTES>().ok_or(KeyVaultError::NotAuthentic)?;
        let nonce: &[u8; NONCE_BYTES] = nonce;
        let mut key = Secret::new([0; KEY_BYTES]);
        key.expose_mut().copy_from_slice(sealed);
        let aad = associated_data(tenant, purpose);
        let inside = key.expose_mut().as_mut_slice().into();
        cipher(&tenant_key)
            .decrypt_inout_detached(nonce.into(), aad.as_bytes(), inside, tag.into())
            .map_err(|_| KeyVaultError::NotAuthentic)?;
        Ok(key)
    }

    async fn rotate(&self, tenant: TenantId) -> Result<u32, KeyVaultError> {
        self.blocking(move |keys| keys.rotate(tenant)).await
    }

    async fn destroy(&self, tenant: TenantId, version: u32) -> Result<(), KeyVaultError> {
        self.blocking(move |keys| keys.destroy(tenant, version)).await
    }
}

impl Keys {
    /// The key to wrap with. After a destroyed version comes a new one, since an older one was
    /// replaced before and must not be used again.
    fn newest(&self, tenant: TenantId) -> Result<(u32, Secret<[u8; 32]>), KeyVaultError> {
        for _ in 0..ATTEMPTS {
            let versions = self.versions(tenant).map_err(|error| unavailable(&error))?;
            if versions.newest == 0 || versions.newest_is_destroyed {
                self.make(tenant, next(versions.newest)?)?;
                continue;
            }
            match self.load(tenant, versions.newest) {
                // It was destroyed since the versions were listed.
                Err(KeyVaultError::NoSuchKey) => {}
                loaded => {
                    let key = loaded?;
                    // The process that made it may not have synced it yet, or failed to.
                    self.sync(tenant, versions.newest)?;
                    return Ok((versions.newest, key));
                }
            }
        }
        Err(KeyVaultError::Unavailable(
            "other processes keep changing the tenant's keys".to_owned(),
        ))
    }

    /// Brings the name of a key to stable storage. A power failure must not lose a key that has
    /// wrapped anything.
    fn sync(&self, tenant: TenantId, version: u32) -> Result<(), KeyVaultError> {
        let synced = || self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if synced().contains(&(tenant, version)) {
            return Ok(());
        }
        files::sync_up_to(&self.root, &self.directory_of(tenant))
            .map_err(|error| unavailable(&error))?;
        let mut synced = synced();
        if synced.len() >= SYNCED_MAX {
            synced.clear();
        }
        synced.insert((tenant, version));
        Ok(())
    }

    fn rotate(&self, tenant: TenantId) -> Result<u32, KeyVaultError> {
        for _ in 0..ATTEMPTS {
            let versions = self.versions(tenant).map_err(|error| unavailable(&error))?;
            let version = next(versions.newest)?;
            if self.make(tenant, version)? {
                return Ok(version);
            }
        }
        Err(KeyVaultError::Unavailable(
            "other processes keep changing the tenant's keys".to_owned(),
        ))
    }

    /// Makes a version on stable storage; returns `false` when another process has made it.
    fn make(&self, tenant: TenantId, version: u32) -> Result<bool, KeyVaultError> {
        let make = || -> io::Result<bool> {
            let directory = self.directory_of(tenant);
            files::create_directory(&directory)?;
            let key = random_key();
            let mut draft = Draft::create(&self.drafts)?;
            draft.write(key.expose())?;
            draft.write(&check_value(tenant, version, &key))?;
            let made = draft.publish(&self.key_file(tenant, version))?;
            files::sync_up_to(&self.root, &directory)?;
            Ok(made)
        };
        make().map_err(|error| unavailable(&error))
    }

    fn load(&self, tenant: TenantId, version: u32) -> Result<Secret<[u8; 32]>, KeyVaultError> {
        let load = || -> io::Result<Zeroizing<Vec<u8>>> {
            if self.is_destroyed(tenant, version)? {
                return Err(io::ErrorKind::NotFound.into());
            }
            let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES + 1));
            let file = files::open(&self.key_file(tenant, version))?;
            let longest = u64::try_from(FILE_BYTES + 1).unwrap_or(u64::MAX);
            io::Read::read_to_end(&mut io::Read::take(file, longest), &mut bytes)?;
            Ok(bytes)
        };
        let bytes = load().map_err(|error| {
            if files::is_absent(&error) { KeyVaultError::NoSuchKey } else { unavailable(&error) }
        })?;
        let damaged =
            || KeyVaultError::Unavailable("the file of a tenant key is damaged".to_owned());
        let (key_bytes, check) = bytes.split_first_chunk::<KEY_BYTES>().ok_or_else(damaged)?;
        let key = Secret::new(*key_bytes);
        let is_whole: bool = check_value(tenant, version, &key).ct_eq(check).into();
        if is_whole { Ok(key) } else { Err(damaged()) }
    }

    fn destroy(&self, tenant: TenantId, version: u32) -> Result<(), KeyVaultError> {
        let was = |path: PathBuf| path.try_exists().map_err(|error| unavailable(&error));
        if version == 0
            || !was(self.key_file(tenant, version))? && !was(self.tombstone(tenant, version))?
        {
            return Err(KeyVaultError::NoSuchKey);
        }
        let destroy = || -> io::Result<()> {
            // Once the tombstone exists nobody uses the key, whatever happens next.
            let published = Draft::create(&self.drafts)?.publish(&self.tombstone(tenant, version));
            published?;
            files::sync_up_to(&self.root, &self.directory_of(tenant))?;
            self.erase(&self.key_file(tenant, version))
        };
        destroy().map_err(|error| unavailable(&error))
    }

    /// Overwrites a key, as far as the disk allows that, and removes it.
    fn erase(&self, path: &Path) -> io::Result<()> {
        let overwritten = OpenOptions::new().write(true).open(path).and_then(|mut file| {
            file.write_all(random_key().expose())?;
            file.write_all(random_key().expose())?;
            file.sync_all()
        });
        match overwritten {
            Err(error) if files::is_absent(&error) => {}
            // It must be removed even if it can't be overwritten.
            Err(_) => tracing::warn!("a tenant key could not be overwritten before it was removed"),
            Ok(()) => {}
        }
        files::remove(path)?;
        files::sync_directory(path.parent().unwrap_or(&self.root))
    }

    fn end_destructions(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            let is_tenant =
                entry.file_name().to_str().is_some_and(|name| name.parse::<TenantId>().is_ok());
            if !is_tenant {
                continue;
            }
            for entry in std::fs::read_dir(entry.path())? {
                let path = entry?.path();
                let key = path.with_extension("key");
                if path.extension().is_some_and(|end| end == "destroyed") && key.try_exists()? {
                    self.erase(&key)?;
                }
            }
        }
        Ok(())
    }

    fn versions(&self, tenant: TenantId) -> io::Result<Versions> {
        let entries = match std::fs::read_dir(self.directory_of(tenant)) {
            Ok(entries) => entries,
            Err(error) if files::is_absent(&error) => return Ok(Versions::default()),
            Err(error) => return Err(error),
        };
        let mut newest = 0;
        for entry in entries {
            let path = entry?.path();
            let version = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            newest = newest.max(version.unwrap_or(0));
        }
        let newest_is_destroyed = newest > 0 && self.is_destroyed(tenant, newest)?;
        Ok(Versions { newest, newest_is_destroyed })
    }

    fn is_destroyed(&self, tenant: TenantId, version: u32) -> io::Result<bool> {
        self.tombstone(tenant, version).try_exists()
    }

    fn directory_of(&self, tenant: TenantId) -> PathBuf {
        self.root.join(tenant.to_string())
    }

    fn key_file(&self, tenant: TenantId, version: u32) -> PathBuf {
        self.directory_of(tenant).join(format!("{version:010}.key"))
    }

    fn tombstone(&self, tenant: TenantId, version: u32) -> PathBuf {
        self.directory_of(tenant).join(format!("{version:010}.destroyed"))
    }
}

fn next(version: u32) -> Result<u32, KeyVaultError> {
    let exhausted = || KeyVaultError::Unavailable("the tenant has no versions left".to_owned());
    version.checked_add(1).ok_or_else(exhausted)
}

fn cipher(key: &Secret<[u8; 32]>) -> Aes256Gcm {
    Aes256Gcm::new_from_slice(key.expose()).expect("32 bytes")
}

/// A checksum that shows whether a key file is damaged or misplaced.
fn check_value(tenant: TenantId, version: u32, key: &Secret<[u8; 32]>) -> [u8; 32] {
    Sha256::new()
        .chain_update([1])
        .chain_update(tenant.as_uuid().as_bytes())
        .chain_update(version.to_be_bytes())
        .chain_update(key.expose())
        .finalize()
        .into()
}

/// The associated data to which a wrapping is bound.
fn associated_data(tenant: TenantId, purpose: KeyPurpose) -> String {
    match purpose {
        KeyPurpose::Track(track, epoch) => {
            format!("cabildo/wrap/v1/{tenant}/track/{track}/{epoch}")
        }
        KeyPurpose::Events(session) => format!("cabildo/wrap/v1/{tenant}/events/{session}"),
        KeyPurpose::File(file) => format!("cabildo/wrap/v1/{tenant}/file/{file}"),
        KeyPurpose::Camera(secret) => format!("cabildo/wrap/v1/{tenant}/camera/{secret}"),
        KeyPurpose::Capture(publication) => {
            format!("cabildo/wrap/v1/{tenant}/capture/{publication}")
        }
    }
}

/// The error without paths, since it is logged.
fn unavailable(error: &io::Error) -> KeyVaultError {
    KeyVaultError::Unavailable(error.kind().to_string())
}
