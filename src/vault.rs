//! Storage of sealed objects, and of the keys that wrap keys. Both are traits: a local directory is
//! the built-in default; S3 and a key management service can be used where they are available.

mod damage;
mod directory;
mod files;
mod installation;
mod local_keys;
mod outcome;
mod s3;
mod watch;

use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::id::{
    CameraSecretId, PlayableId, PublicationId, RecordedTrackId, SessionId, SessionKey, TenantId,
};
use crate::domain::secret::Secret;

pub use damage::{Damage, DamagedObjects};
pub use directory::Directory;
pub use installation::{
    Identified, IdentifiedKeys, IdentifiedVault, Installation, NotKnown, Place, PlaceClaim,
    WrongPlace,
};
pub use local_keys::LocalKeyVault;
pub use s3::{S3, S3Options, S3Timeouts};
pub use watch::{PutFailures, VaultState, VaultWatch, WatchedVault};

/// Describes every metric of vaults.
pub fn describe_metrics() {
    damage::describe_metrics();
    outcome::describe_metrics();
    watch::describe_metrics();
}

/// Most bytes of an object that are read at once; a longer read is [`VaultError::Refused`]. Raising
/// it raises the memory that one reader may use.
pub const READ_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Name of the object or file that says which installation a vault or a directory of keys belongs to.
pub const MARKER: &str = "installation";

/// The name of an object: a path of identifiers and numbers that begins with the tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    /// The name of a sealed segment.
    #[must_use]
    pub fn segment(
        SessionKey { tenant, session }: SessionKey,
        track: RecordedTrackId,
        index: u64,
    ) -> Self {
        Self(format!("{tenant}/{session}/{track}/{index:08}"))
    }

    /// The name of a part of a playable file.
    #[must_use]
    pub fn part(SessionKey { tenant, session }: SessionKey, file: PlayableId, part: u64) -> Self {
        Self(format!("{tenant}/{session}/playable/{file}/{part:08}"))
    }

    /// The name of a file of what an edge device published.
    #[must_use]
    pub fn capture(tenant: TenantId, publication: PublicationId, number: u64) -> Self {
        Self(format!("{tenant}/captures/{publication}/{number:08}"))
    }

    /// The name of the marker that says which installation a vault belongs to.
    pub(crate) fn marker() -> Self {
        Self(MARKER.to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The contents to store.
#[derive(Debug, Clone, Copy)]
pub enum Contents<'a> {
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// A file that must not change until the call returns.
    File(&'a Path),
}

/// The result of storing an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object was stored.
    Stored,
    /// The same object was stored already.
    AlreadyThere,
}

/// Why the vault failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The vault has no object of that name.
    #[error("no such object")]
    NotFound,
    /// Another object has this name.
    #[error("another object has that name")]
    Conflict,
    /// The object may not be deleted yet (Object Lock).
    #[error("the object is locked")]
    Locked,
    /// The disk or bucket has no room.
    #[error("the vault is full")]
    Full,
    /// The vault is temporarily unavailable; trying again later may succeed.
    #[error("the vault is unavailable: {0}")]
    Unavailable(String),
    /// The vault refuses; trying again can't succeed until an operator changes something.
    #[error("the vault refuses: {0}")]
    Refused(String),
}

/// Stores sealed objects, which never change.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Stores an object, which is on stable storage when the call returns. Never overwrites: when
    /// an object with this name exists, the result is [`Put::AlreadyThere`] for the same contents
    /// and [`VaultError::Conflict`] for others. Contents whose SHA-256 is not `sha256` are refused.
    async fn put(
        &self,
        name: &ObjectName,
        contents: Contents<'_>,
        sha256: [u8; 32],
    ) -> Result<Put, VaultError>;

    /// The bytes of an object in `range`, or all of them. A range that reaches beyond the end gives
    /// the bytes up to the end.
    async fn read(&self, name: &ObjectName, range: Option<Range<u64>>)
    -> Result<Bytes, VaultError>;

    /// Deletes an object; succeeds when it does not exist.
    async fn delete(&self, name: &ObjectName) -> Result<(), VaultError>;

    /// Checks that objects can be stored and read now.
    async fn check(&self) -> Result<(), VaultError>;
}

/// The purpose of a key. It is bound into the wrapping, so that a wrapped key can't be passed for
/// another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPurpose {
    /// `K_track` of an epoch.
    Track(RecordedTrackId, u32),
    /// `K_events` of a session's log.
    Events(SessionId),
    /// `K_file` of a playable file.
    File(PlayableId),
    /// The key of the sealed address of a camera.
    Camera(CameraSecretId),
    /// The key of what an edge device published.
    Capture(PublicationId),
}

/// Why the key vault failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyVaultError {
    /// The tenant key that wrapped the key was destroyed, or never existed.
    #[error("no such tenant key")]
    NoSuchKey,
    /// The bytes are not a wrapped key, or one for another tenant or purpose.
    #[error("the wrapped key is not authentic")]
    NotAuthentic,
    /// The key vault is temporarily unavailable; trying again later may succeed.
    #[error("the key vault is unavailable: {0}")]
    Unavailable(String),
}

/// Keeps the keys of tenants, which never leave it.
#[async_trait]
pub trait KeyVault: Send + Sync {
    /// Wraps a key with the newest key of the tenant. Makes one when the tenant has none.
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

    /// Makes a new key of the tenant and uses it for wrapping from now on; returns its version.
    /// Older versions still unwrap.
    async fn rotate(&self, tenant: TenantId) -> Result<u32, KeyVaultError>;

    /// Destroys a version of the tenant's key. Everything wrapped with it can't be decrypted any
    /// more.
    async fn destroy(&self, tenant: TenantId, version: u32) -> Result<(), KeyVaultError>;
}

/// The version of the tenant key with which `wrapped` was wrapped; `None` when it is not a wrapped
/// key.
#[must_use]
pub fn wrapped_version(wrapped: &[u8]) -> Option<u32> {
    let (&suite, rest) = wrapped.split_first()?;
    let version = rest.first_chunk::<4>()?;
    (suite == 1).then(|| u32::from_be_bytes(*version))
}
