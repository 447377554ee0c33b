//! Where sealed bytes live, and where the keys that wrap keys live. Both are
//! traits: a local directory is the embedded default, S3 and a key management
//! service are for installations that have them.

mod directory;
mod files;
mod local_keys;
mod outcome;
mod s3;

use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::id::{PlayableId, RecordedTrackId, SessionId, TenantId};
use crate::domain::secret::Secret;

pub use directory::Directory;
pub use local_keys::LocalKeyVault;
pub use outcome::describe_metrics;
pub use s3::{S3, S3Options, S3Timeouts};

/// Most that is read of an object at once, in bytes; a longer read is
/// [`VaultError::Refused`]. Raising it raises what one reader may hold in memory.
pub const READ_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The name of an object: a path of plain words, tenant first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    /// The name of a sealed segment.
    #[must_use]
    pub fn segment(
        tenant: TenantId,
        session: SessionId,
        track: RecordedTrackId,
        index: u64,
    ) -> Self {
        Self(format!("{tenant}/{session}/{track}/{index:08}"))
    }

    /// The name of a part of a playable file.
    #[must_use]
    pub fn part(tenant: TenantId, session: SessionId, file: PlayableId, part: u64) -> Self {
        Self(format!("{tenant}/{session}/playable/{file}/{part:08}"))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is put into a vault.
#[derive(Debug, Clone, Copy)]
pub enum Contents<'a> {
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// A file that stays as it is until the call returns.
    File(&'a Path),
}

/// What putting an object did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is there now.
    Stored,
    /// It was there, with the same hash.
    AlreadyThere,
}

/// The vault could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The vault has no object of that name.
    #[error("no such object")]
    NotFound,
    /// Another object has that name already.
    #[error("another object has that name")]
    Conflict,
    /// The object may not be deleted yet (Object Lock).
    #[error("the object is locked")]
    Locked,
    /// The disk or bucket has no room.
    #[error("the vault is full")]
    Full,
    /// Not now; trying again later may work.
    #[error("the vault is unavailable: {0}")]
    Unavailable(String),
    /// Trying again will not help until an operator changes something.
    #[error("the vault refuses: {0}")]
    Refused(String),
}

/// Where sealed objects live. An object never changes.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Puts an object that is on stable storage when the call returns. Never
    /// overwrites: the same contents are [`Put::AlreadyThere`], others
    /// [`VaultError::Conflict`]. `sha256` is of the contents, which are
    /// refused when they have another.
    async fn put(
        &self,
        name: &ObjectName,
        contents: Contents<'_>,
        sha256: [u8; 32],
    ) -> Result<Put, VaultError>;

    /// The bytes of an object in `range`, or all; a range that reaches beyond
    /// the end yields what there is.
    async fn read(&self, name: &ObjectName, range: Option<Range<u64>>)
    -> Result<Bytes, VaultError>;

    /// Deletes an object; one that is not there is deleted.
    async fn delete(&self, name: &ObjectName) -> Result<(), VaultError>;

    /// Whether objects can be put and read now.
    async fn check(&self) -> Result<(), VaultError>;
}

/// What a key is for: bound into its wrapping, so that a wrapped key can't be
/// passed for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPurpose {
    /// `K_track` of an epoch.
    Track(RecordedTrackId, u32),
    /// `K_events` of a session's log.
    Events(SessionId),
    /// `K_file` of a playable file.
    File(PlayableId),
}

/// The key vault could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyVaultError {
    /// The tenant key that wrapped it was destroyed, or never was.
    #[error("no such tenant key")]
    NoSuchKey,
    /// It is not a wrapped key, or one for another tenant or purpose.
    #[error("the wrapped key is not authentic")]
    NotAuthentic,
    /// Not now; trying again later may work.
    #[error("the key vault is unavailable: {0}")]
    Unavailable(String),
}

/// Where tenant keys live. They never leave it.
#[async_trait]
pub trait KeyVault: Send + Sync {
    /// Wraps a key with the tenant's newest key, which is made when the tenant
    /// has none.
    async fn wrap(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        key: &Secret<[u8; 32]>,
    ) -> Result<Vec<u8>, KeyVaultError>;

    /// Unwraps a key.
    async fn unwrap(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        wrapped: &[u8],
    ) -> Result<Secret<[u8; 32]>, KeyVaultError>;

    /// Makes a new tenant key, with which is wrapped from here on; returns its
    /// version. Older ones still unwrap.
    async fn rotate(&self, tenant: TenantId) -> Result<u32, KeyVaultError>;

    /// Destroys a version of the tenant's key, and with it everything that is
    /// wrapped by it.
    async fn destroy(&self, tenant: TenantId, version: u32) -> Result<(), KeyVaultError>;
}

/// The version of the tenant key that wrapped `wrapped`, if it is a wrapped key.
#[must_use]
pub fn wrapped_version(wrapped: &[u8]) -> Option<u32> {
    let (&suite, rest) = wrapped.split_first()?;
    let version = rest.first_chunk::<4>()?;
    (suite == 1).then(|| u32::from_be_bytes(*version))
}
